// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, RankingRule, Stage, TaskParams} from "../src/interfaces/IArena.sol";
import {IVault, Role} from "../src/interfaces/IVault.sol";
import {Consensus} from "../src/libraries/Consensus.sol";
import {Ranking} from "../src/libraries/Ranking.sol";
import {Rewards} from "../src/libraries/Rewards.sol";
import {Referee} from "./base/Referee.sol";

/// @notice The table of M-15, row by row and in its order.
contract ArenaEdgeCasesTest is Referee {
    uint256 private constant STAKE = 100e18;

    function start(uint256 nodeCount, uint256 validatorCount) internal {
        startWith(smallest(), equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
    }

    function startWith(TaskParams memory p, uint256[] memory nodeStakes, uint256[] memory validatorStakes)
        internal
    {
        populate(p, nodeStakes, validatorStakes);
        fundTask(task, 2000e18);
    }

    /// @dev The least that a task can ask for.
    function smallest() internal pure returns (TaskParams memory p) {
        p = defaultParams();
        (p.minNodeStake, p.minValidatorStake) = (1, 1);
    }

    function test_M15_NoEntryOrNoEligibleValidator() public {
        start(2, 1);
        warpTo(1, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.NothingToScore.selector, task));
        arena.drawSeed(task);
        vm.prank(validators[0]);
        vault.unstake(task, uint96(STAKE));
        submitAll(2, descendingScores(2));
        warpTo(2, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.NoValidators.selector, task));
        arena.drawSeed(task);
        assertEq(vault.bountyOf(task), 2000e18, "untouched");
    }

    /// @dev An arena draws no seed without validators' stake, so that only the function itself can meet this.
    function test_M15_NoDirectStakeOnEitherSide() public pure {
        assertEq(Rewards.nodeBudget(100e18, 0.25e18, 0, 0), 0);
        assertEq(Rewards.nodeBudget(100e18, 0.25e18, 0, 1), 25e18, "the least part of a side");
        assertEq(Rewards.nodeBudget(100e18, 0.25e18, 1, 0), 75e18);
    }

    function test_M15_ZeroRankedNodes() public {
        start(3, 2);
        uint256 snapshot = vm.snapshotState();
        // All are invalid.
        submitAll(1, new uint32[](3));
        scoreHonestly(1);
        assertValidatorsAlone();
        // No quorum for any: the validator that reveals has less than a third.
        vm.revertToState(snapshot);
        stakeAs(stranger, task, Role.Validator, 2 * STAKE + 1);
        submitAll(1, descendingScores(3));
        scoreBy(1, 1);
        assertEq(settleAndCompare(), 0);
        // None is eligible.
        vm.revertToState(snapshot);
        submitAll(1, descendingScores(3));
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(nodes[i]);
            vault.unstake(task, uint96(STAKE));
        }
        scoreHonestly(2);
        assertEq(draw.nodeBudget + draw.validatorBudget, uint256(2000e18) / 19);
        assertEq(settleAndCompare(), 0, "and scores of those without stake weigh nothing");
    }

    function test_M15_ZeroRankedNodesBecauseAllAreCopies() public {
        start(2, 2);
        submitAll(1, descendingScores(2));
        // Both opened what a third one had opened before, and that one is gone.
        bytes32 content = artifact(nodes[0], 1);
        vm.prank(nodes[0]);
        arena.withdrawSubmission(task);
        warpTo(2, Phase.Submit);
        evict(task, nodes[0]);
        commitSubmission(nodes[1], task, content);
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[1], task, content);
        scoreHonestly(2);
        assertValidatorsAlone();
        assertTrue(entryOf(nodes[1]).duplicate);
    }

    /// @dev The nodes' part returns, and the spread is 0; the validators are paid.
    function assertValidatorsAlone() internal {
        uint256 bounty = vault.bountyOf(task);
        assertApproxEqAbs(settleAndCompare(), draw.validatorBudget, 1);
        assertEq(arena.flightOf(task).rankedStake, 0);
        assertEq(arena.flightOf(task).upperScore, 0);
        assertApproxEqAbs(vault.bountyOf(task), bounty + draw.nodeBudget, 1);
    }

    function test_M15_ZeroValidatorsRevealOrAllAbstain() public {
        start(2, 3);
        submitAll(1, descendingScores(2));
        uint256 snapshot = vm.snapshotState();
        scoreBy(1, 0);
        assertEq(settleAndCompare(), 0);
        vm.revertToState(snapshot);
        drawSeed(1);
        warpTo(1, Phase.Commit);
        for (uint256 i = 0; i < 3; ++i) {
            commitScores(validators[i], constant_(validators[i], ABSTAIN));
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        assertEq(settleAndCompare(), 0);
        assertEq(vault.bountyOf(task), 2000e18);
    }

    function test_M15_ZeroValidatorsRevealAndScoresAreKept() public {
        TaskParams memory p = smallest();
        p.freshData = false;
        startWith(p, equalStakes(2, STAKE), equalStakes(3, STAKE));
        submitAll(1, descendingScores(2));
        scoreHonestly(1);
        settleAndCompare();
        // One is new and nobody scores it; the other one has its score and all of the nodes' budget.
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[0], task, "new");
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[0], task, "new");
        scoreBy(2, 0);
        assertEq(settleAndCompare(), draw.nodeBudget);
    }

    function test_M15_AllWeightsAreZero() public {
        start(2, 1);
        submitAll(1, descendingScores(2));
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(nodes[i]);
            vault.unstake(task, uint96(STAKE));
        }
        scoreHonestly(2);
        assertEq(arena.flightOf(task).revealers, 1);
        assertEq(settleAndCompare(), 0);
        assertTrue(stage() == Stage.Idle);
        assertEq(vault.bountyOf(task), 2000e18);
    }

    function test_M15_AllScoresOfASubmissionAreZero() public {
        start(2, 3);
        uint32[] memory scores = descendingScores(2);
        scores[1] = 0;
        submitAll(1, scores);
        scoreHonestly(1);
        uint256 paid = settleAndCompare();
        assertEq(entryOf(nodes[1]).consensus, 0);
        assertTrue(entryOf(nodes[1]).scored);
        assertEq(earned(nodes[0]), draw.nodeBudget);
        assertApproxEqAbs(paid - draw.nodeBudget, draw.validatorBudget, 3);
    }

    function test_M15_AllConsensusScoresAreEqual() public {
        start(3, 2);
        uint32[] memory scores = new uint32[](3);
        (scores[0], scores[1], scores[2]) = (500, 500, 500);
        submitAll(1, scores);
        drawSeed(1);
        warpTo(1, Phase.Commit);
        // 1050 off, 1000 of it tolerated: 4 · 50 of a unit of 1000 are lost.
        uint32[] memory off = constant_(validators[1], 1550);
        commitScores(validators[0], honest(validators[0]));
        commitScores(validators[1], off);
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        reveal(validators[1]);
        warpTo(1, Phase.Settle);
        settleAndCompare();
        assertGt(earned(nodes[0]), earned(nodes[1]));
        assertGt(earned(nodes[1]), earned(nodes[2]));
        assertApproxEqAbs(earned(validators[1]) * 10, earned(validators[0]) * 8, 10);
    }

    function test_M15_OneRankedNode() public {
        start(1, 2);
        submitAll(1, descendingScores(1));
        scoreHonestly(1);
        settleAndCompare();
        assertEq(earned(nodes[0]), draw.nodeBudget);
        assertEq(arena.flightOf(task).upperScore, arena.flightOf(task).lowerScore);
    }

    function test_M15_OneValidatorWithWeight() public {
        start(3, 2);
        submitAll(1, descendingScores(3));
        scoreBy(1, 1);
        settleAndCompare();
        assertEq(earned(validators[0]), draw.validatorBudget);
        assertEq(earned(validators[1]), 0);
    }

    function test_M15_AStakeOfOneAmongEquals() public {
        startWith(smallest(), equalStakes(3, 1), equalStakes(2, 1));
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        settleAndCompare();
        assertEq(earned(nodes[0]) + earned(nodes[1]) + earned(nodes[2]), draw.nodeBudget);
        assertEq(earned(validators[0]), draw.validatorBudget / 2);
        assertGt(earned(nodes[2]), 0);
    }

    function test_M15_AStakeBelowTheResolution() public {
        uint256[] memory stakes = new uint256[](3);
        (stakes[0], stakes[1], stakes[2]) = (1e27, 1, 1e27);
        uint256[] memory validatorStakes = new uint256[](2);
        (validatorStakes[0], validatorStakes[1]) = (1e27, 1);
        startWith(smallest(), stakes, validatorStakes);
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        settleAndCompare();
        assertEq(earned(nodes[1]), 0);
        assertEq(earned(nodes[0]) + earned(nodes[2]), draw.nodeBudget, "the neighbours have it");
        assertEq(earned(validators[1]), 0);
    }

    function test_M15_NextToNoStakeOwesAScore() public {
        uint256[] memory stakes = new uint256[](2);
        (stakes[0], stakes[1]) = (1e27, 1);
        startWith(smallest(), equalStakes(4, STAKE), stakes);
        submitAll(1, descendingScores(4));
        drawSeed(1);
        assertEq(assigned(validators[0]), 4);
        assertEq(assigned(validators[1]), 1);
    }

    function test_M15_HalfOfTheWeightOnEachOfTwoScores() public {
        start(1, 2);
        submitAll(1, descendingScores(1));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        commitScores(validators[0], constant_(validators[0], 700));
        commitScores(validators[1], constant_(validators[1], 300));
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        reveal(validators[1]);
        warpTo(1, Phase.Settle);
        settleAndCompare();
        assertEq(entryOf(nodes[0]).consensus, 300);
    }

    function test_M15_ExactlyAThirdIsAQuorum() public {
        start(2, 3);
        submitAll(1, descendingScores(2));
        uint256 snapshot = vm.snapshotState();
        scoreBy(1, 1);
        settleAndCompare();
        assertTrue(entryOf(nodes[0]).scored);
        vm.revertToState(snapshot);
        // A unit more in all is a unit less than a third.
        stakeAs(stranger, task, Role.Validator, 1);
        scoreBy(2, 1);
        settleAndCompare();
        assertFalse(entryOf(nodes[0]).scored);
    }

    function test_M15_ABudgetOfZeroOrOne() public {
        populate(smallest(), equalStakes(2, STAKE), equalStakes(2, STAKE));
        submitAll(1, descendingScores(2));
        scoreHonestly(1);
        assertEq(draw.nodeBudget + draw.validatorBudget, 0);
        assertEq(settleAndCompare(), 0);
        fundTask(task, 18);
        submitAll(2, descendingScores(2));
        scoreHonestly(2);
        assertEq(draw.nodeBudget + draw.validatorBudget, 0);
        settleAndCompare();
        fundTask(task, 1);
        submitAll(3, descendingScores(2));
        scoreHonestly(3);
        assertEq(draw.nodeBudget + draw.validatorBudget, 1);
        assertLe(settleAndCompare(), 1);
        assertTrue(stage() == Stage.Idle);
        assertEq(owed(), token.balanceOf(address(vault)));
    }

    function test_M15_NothingToScore() public {
        TaskParams memory p = smallest();
        p.freshData = false;
        startWith(p, equalStakes(3, STAKE), equalStakes(2, STAKE));
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        settleAndCompare();
        scoreHonestly(2);
        assertEq(draw.listed, 0);
        assertEq(settleAndCompare(), draw.nodeBudget, "the validators' part returns");
    }

    function test_M15_AConsensusOfZeroIsKept() public {
        TaskParams memory p = smallest();
        p.freshData = false;
        startWith(p, equalStakes(2, STAKE), equalStakes(2, STAKE));
        uint32[] memory scores = descendingScores(2);
        scores[1] = 0;
        submitAll(1, scores);
        for (uint256 epoch = 1; epoch < 4; ++epoch) {
            scoreHonestly(epoch);
            settleAndCompare();
            assertEq(earned(nodes[1]), 0);
            assertFalse(isRankable(entryOf(nodes[1])));
        }
        warpTo(4, Phase.Submit);
        truth["valid"] = 1;
        commitSubmission(nodes[1], task, "valid");
        warpTo(4, Phase.Disclose);
        openSubmission(nodes[1], task, "valid");
        scoreHonestly(4);
        settleAndCompare();
        assertGt(earned(nodes[1]), 0);
    }

    function test_M15_DelegatedStakeThatWeighsNothing() public {
        uint64[2] memory epsilons = [uint64(0), uint64(WAD / 2)];
        for (uint256 i = 0; i < 2; ++i) {
            TaskParams memory p = smallest();
            p.epsilonWad = epsilons[i];
            delete nodes;
            delete validators;
            startWith(p, equalStakes(2, STAKE), equalStakes(2, STAKE));
            // With half a weight a single unit adds none.
            delegateTo(stranger, task, nodes[0], i == 0 ? 1000 * STAKE : 1);
            delegateTo(stranger, task, validators[0], i == 0 ? 1000 * STAKE : 1);
            submitAll(2 + i, descendingScores(2));
            scoreHonestly(2 + i);
            settleAndCompare();
            assertEq(vault.claimable(task, nodes[0], stranger), 0);
            assertEq(vault.claimable(task, validators[0], stranger), 0);
            assertEq(earned(validators[0]), draw.validatorBudget / 2);
        }
    }

    function test_M15_DelegatedStakeAlone() public {
        start(2, 2);
        delegateTo(stranger, task, nodes[0], 1000 * STAKE);
        delegateTo(stranger, task, validators[0], 1000 * STAKE);
        submitAll(1, descendingScores(2));
        vm.prank(nodes[0]);
        vault.unstake(task, uint96(STAKE));
        vm.prank(validators[0]);
        vault.unstake(task, uint96(STAKE));
        drawSeed(2);
        assertEq(draw.validatorStake, STAKE, "the other one alone");
        warpTo(2, Phase.Commit);
        commitScores(validators[1], honest(validators[1]));
        commitScores(validators[0], new uint32[](0));
        warpTo(2, Phase.Reveal);
        reveal(validators[1]);
        bytes memory nothing = packed(new uint32[](0));
        vm.expectRevert(abi.encodeWithSelector(IArena.NotEligible.selector, validators[0], 0, 1));
        vm.prank(validators[0]);
        arena.revealScores(task, SALT, nothing);
        warpTo(2, Phase.Settle);
        settleAndCompare();
        assertEq(earned(nodes[1]), draw.nodeBudget);
    }

    function test_M15_NoEmissionWithoutStakeOrReserve() public {
        start(2, 2);
        admit(task);
        submitAll(2, descendingScores(2));
        scoreHonestly(2);
        assertEq(draw.nodeBudget + draw.validatorBudget, uint256(2000e18) / 19, "the bounty alone");
        settleAndCompare();
        // One that is admitted and has no stake gets nothing, and takes nothing from the other one.
        fundEmission(1000e18);
        uint256 other = createTask(smallest());
        admit(other);
        submitAll(4, descendingScores(2));
        uint256 bounty = vault.bountyOf(task) / 17;
        scoreHonestly(4);
        assertEq(draw.nodeBudget + draw.validatorBudget, bounty + 100e18);
    }

    function test_M15_WhatHappensToATaskInFlight() public {
        start(2, 2);
        fundEmission(1000e18);
        admit(task);
        submitAll(2, descendingScores(2));
        scoreHonestly(2);
        uint256 budget = draw.nodeBudget + draw.validatorBudget;
        vm.prank(owner);
        emission.dismiss(task);
        vm.prank(creator);
        arena.endTask(task);
        warpTo(9, Phase.Submit);
        assertApproxEqAbs(settleAndCompare(), budget, 2, "it settles with what it drew");
    }

    function test_M15_ATaskEndsWithAnEpochInFlight() public {
        start(2, 2);
        vm.prank(creator);
        arena.endTask(task);
        submitAll(UNBONDING, new uint32[](2));
        scoreHonestly(UNBONDING);
        warpTo(UNBONDING + 1, Phase.Submit);
        vm.expectRevert(abi.encodeWithSelector(IVault.BudgetOpen.selector, task, UNBONDING));
        vm.prank(creator);
        vault.reclaim(task);
        settleAndCompare();
        uint256 left = vault.bountyOf(task);
        vm.prank(creator);
        assertEq(vault.reclaim(task), left);
    }

    function test_M15_ATaskIsEndedEarly() public {
        start(2, 2);
        fundAs(stranger, task, 1000e18);
        warpTo(2, Phase.Submit);
        vm.prank(creator);
        assertEq(arena.endTask(task), 2 + UNBONDING);
        uint256 paid = 0;
        for (uint256 epoch = 2; epoch <= 2 + UNBONDING; ++epoch) {
            submitAll(epoch, descendingScores(2));
            scoreHonestly(epoch);
            // The first epoch was idle: 3000 over the 19 that were left of 20, and not over the 3 that are left now.
            assertApproxEqAbs(
                draw.nodeBudget + draw.validatorBudget, uint256(3000e18) / 19, 2, "the old rate"
            );
            paid += settleAndCompare();
        }
        warpTo(3 + UNBONDING, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, task, 3 + UNBONDING));
        arena.drawSeed(task);

        uint256 left = 3000e18 - paid;
        assertEq(vault.bountyOf(task), left);
        assertSolvent();
        uint256 snapshot = vm.snapshotState();
        reclaimBoth(creator, left * 2 / 3, stranger, left / 3);
        vm.revertToState(snapshot);
        reclaimBoth(stranger, left / 3, creator, left * 2 / 3);
        claimed(nodes[0]);
        claimed(nodes[1]);
        claimed(validators[0]);
        claimed(validators[1]);
        assertApproxEqAbs(
            token.balanceOf(address(vault)), 4 * STAKE, 1, "stakes are left, and less than a unit"
        );
    }

    function reclaimBoth(address first, uint256 firsts, address second, uint256 seconds_) internal {
        vm.prank(first);
        assertEq(vault.reclaim(task), firsts);
        vm.prank(second);
        assertEq(vault.reclaim(task), seconds_);
    }

    function claimed(address operator) internal {
        (uint256 due, uint256 before) = (earned(operator), token.balanceOf(operator));
        assertGt(due, 0);
        vm.prank(operator);
        vault.claim(task, operator);
        assertEq(token.balanceOf(operator) - before, due, "earned stays earned");
    }

    /// @dev Reports end before a stake that was there can be withdrawn; a stake of one unit has nothing to lose.
    function test_M15_ASlashOfAPoolWithoutStake() public {
        uint256[] memory stakes = new uint256[](2);
        (stakes[0], stakes[1]) = (STAKE, 1);
        startWith(smallest(), equalStakes(2, STAKE), stakes);
        submitAll(1, descendingScores(2));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        commitScores(validators[1], honest(validators[1]));
        vm.prank(validators[1]);
        vault.unstake(task, 1);
        warpTo(1, Phase.Settle);
        arena.reportUnrevealed(task, validators[1]);
        assertEq(vault.slashed(), 0);
        assertSolvent();
    }

    function test_M15_ASlashWhileDelegatorsLeave() public {
        uint256[] memory stakes = new uint256[](2);
        (stakes[0], stakes[1]) = (STAKE, 1);
        startWith(smallest(), equalStakes(2, STAKE), stakes);
        delegateTo(stranger, task, validators[1], STAKE);
        submitAll(2, descendingScores(2));
        drawSeed(2);
        warpTo(2, Phase.Commit);
        commitScores(validators[1], honest(validators[1]));
        warpTo(2, Phase.Settle);
        vm.prank(stranger);
        vault.undelegate(task, validators[1], uint96(STAKE));
        arena.reportUnrevealed(task, validators[1]);
        (, uint256 amount,) = vault.unbondingOf(task, validators[1], stranger);
        assertEq(amount, STAKE - STAKE / 100, "it bears the fraction, and no more");
        settle();
        warpTo(3 + UNBONDING, Phase.Submit);
        vm.prank(stranger);
        assertEq(vault.withdraw(task, validators[1], 1), amount);
        assertSolvent();
    }

    function test_M15_StakesAtTheVaultsLimit() public {
        // All that a vault can hold, but for a budget; the rule whose weights are largest.
        uint256 half = uint256(type(uint96).max) / 4 - 1000e18;
        TaskParams memory p = smallest();
        (p.rule, p.qWad) = (RankingRule.RankGeometric, uint64(WAD));
        startWith(p, equalStakes(2, half), equalStakes(2, half));
        submitAll(1, descendingScores(2));
        scoreHonestly(1);
        assertApproxEqAbs(settleAndCompare(), draw.nodeBudget + draw.validatorBudget, 2);
        assertApproxEqAbs(earned(nodes[0]), draw.nodeBudget / 2, 1);
        assertSolvent();
    }

    /// @dev More than any vault can hold: as if each of 2048 nodes and the validator of all of them had all that there is. A
    /// sum or a product beyond 256 bits reverts.
    function test_M15_2048OfTheLargestWeights() public pure {
        uint256 most = type(uint96).max;
        uint64[3] memory alphas = [0, 0.5e18, 1e18];
        for (uint256 k = 0; k < alphas.length; ++k) {
            uint256 total = 0;
            for (uint256 i = 0; i < 2048; ++i) {
                total += Ranking.geometricWeight(WAD, most, alphas[k]);
            }
            assertEq(total / 2048, WAD * Ranking.stakePower(most, alphas[k]));
            assertEq(Rewards.proportional(most, total, total), most);
        }
        // All of 2048 scores, and so few of them owed that each weighs 2048 times the stake.
        uint256 omega = Consensus.weight(most, 2048, 1);
        uint256 weight = 0;
        for (uint256 i = 0; i < 2048; ++i) {
            weight += Rewards.validatorWeight(most, omega, WAD);
        }
        assertEq(weight / 2048, most * most * 2048);
        assertEq(Rewards.proportional(most, weight, weight), most);
    }

    // ------------------------------------------------------------------ parts

    /// @dev Only the first `count` validators commit and reveal.
    function scoreBy(uint256 epoch, uint256 count) internal {
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
        for (uint256 i = 0; i < count; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(epoch, Phase.Reveal);
        for (uint256 i = 0; i < count; ++i) {
            reveal(validators[i]);
        }
        warpTo(epoch, Phase.Settle);
    }
}
