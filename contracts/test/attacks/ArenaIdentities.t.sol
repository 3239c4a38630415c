// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role} from "../../src/interfaces/IVault.sol";
import {Referee} from "../base/Referee.sol";

/// @notice What one party gains by being many, by being both sides, by coming late, or by offending against itself.
contract ArenaIdentityAttacks is Referee {
    uint256 private constant STAKE = 100e18;

    // ------------------------------------------------------------------ splitting a node (P2)

    /// @notice Whatever the stakes and however they are split: not more than a unit per identity.
    /// forge-config: default.fuzz.runs = 64
    /// forge-config: deep.fuzz.runs = 20000
    function testFuzz_attack_SplittingANode(uint256 stake, uint256 others, uint256 rank, uint256 count)
        public
    {
        count = bound(count, 2, 6);
        stake = bound(stake, count, 1e27);
        rank = bound(rank, 0, 3);
        TaskParams memory p = defaultParams();
        (p.minNodeStake, p.phiWad) = (1, 0.05e18);
        uint256 whole = playWith(p, stake, 1, bound(others, 1, 1e27), rank);
        uint256 split = playWith(p, stake, count, bound(others, 1, 1e27), rank);
        assertLe(split, whole + count);
        assertLe(whole, split + count, "nor does it cost anything");
    }

    /// @notice Stated in M-5: the other rule pays for it. q = 0.9, α = 1: from 0.244 to 0.352 with ten clones.
    function test_attack_SplittingUnderRankGeometric() public {
        TaskParams memory p = defaultParams();
        (p.rule, p.minNodeStake) = (RankingRule.RankGeometric, 1);
        uint256 whole = playWith(p, STAKE, 1, STAKE, 0);
        uint256 budget = draw.nodeBudget;
        assertApproxEqAbs(whole * 1000 / budget, 244, 1);
        assertApproxEqAbs(playWith(p, STAKE, 10, STAKE, 0) * 1000 / draw.nodeBudget, 352, 1);
        p.alphaWad = 0.5e18;
        assertApproxEqAbs(playWith(p, STAKE, 10, STAKE, 0) * 1000 / draw.nodeBudget, 632, 1);
    }

    /// @dev What a stake earns as `count` identities with the same artifact quality, against four of `other` each, ranked
    /// behind `rank` of them.
    function playWith(TaskParams memory p, uint256 stake, uint256 count, uint256 other, uint256 rank)
        internal
        returns (uint256 sum)
    {
        delete nodes;
        delete validators;
        uint256[] memory stakes = new uint256[](4 + count);
        uint32[] memory scores = new uint32[](4 + count);
        for (uint256 i = 0; i < 4 + count; ++i) {
            stakes[i] = i < 4 ? other : stake / count;
            scores[i] = uint32(i < 4 ? 900 - 100 * i : 950 - 100 * rank);
        }
        stakes[4] += stake % count;
        uint256 epoch = vault.currentEpoch() + 1;
        populate(p, stakes, equalStakes(2, 4 * other + stake + STAKE));
        fundTask(task, 2000e18);
        submitAll(epoch, scores);
        scoreHonestly(epoch);
        settleAndCompare();
        for (uint256 i = 4; i < 4 + count; ++i) {
            sum += earned(nodes[i]);
        }
    }

    // ------------------------------------------------------------------ splitting a validator

    /// @notice Where all submissions weigh the same, many small validators earn what one does, though they score more.
    function test_attack_SplittingAValidator() public {
        TaskParams memory p = defaultParams();
        (p.minValidatorStake, p.redundancy) = (1, 2);
        uint256 whole = shareOfSplit(p, equalStakes(20, STAKE), 1);
        uint256 split = shareOfSplit(p, equalStakes(20, STAKE), 10);
        assertApproxEqAbs(whole, 0.2e18, 1000);
        assertApproxEqAbs(split, 0.2e18, 1000);
    }

    /// @notice Where they do not, it is a matter of luck: the mean over many seeds does not differ.
    function test_attack_SplittingAValidatorOverManySeeds() public {
        TaskParams memory p = defaultParams();
        (p.minValidatorStake, p.redundancy) = (1, 2);
        uint256[] memory stakes = new uint256[](10);
        for (uint256 i = 0; i < 10; ++i) {
            stakes[i] = (1 + i) * 10e18;
        }
        (uint256 whole, uint256 split) = (0, 0);
        for (uint256 i = 0; i < 16; ++i) {
            whole += shareOfSplit(p, stakes, 1);
            split += shareOfSplit(p, stakes, 4);
        }
        assertApproxEqAbs(split * 100 / whole, 100, 12);
    }

    /// @dev Which part of the validators' pay a fifth of their stake gets, as `count` identities.
    function shareOfSplit(TaskParams memory p, uint256[] memory nodeStakes, uint256 count)
        internal
        returns (uint256)
    {
        delete nodes;
        delete validators;
        uint256[] memory stakes = new uint256[](4 + count);
        for (uint256 i = 0; i < 4 + count; ++i) {
            stakes[i] = i < 4 ? STAKE : STAKE / count;
        }
        uint256 epoch = vault.currentEpoch() + 1;
        populate(p, nodeStakes, stakes);
        fundTask(task, 2000e18);
        submitAll(epoch, descendingScores(nodeStakes.length, 10_000_000));
        scoreHonestly(epoch);
        settle();
        (uint256 mine, uint256 all) = (0, 0);
        for (uint256 i = 0; i < 4 + count; ++i) {
            all += earned(validators[i]);
            if (i >= 4) mine += earned(validators[i]);
        }
        return mine * WAD / all;
    }

    // ------------------------------------------------------------------ being both sides

    /// @notice Alone on a task that is not admitted, a creator gets back what he paid in, and nothing else.
    function test_attack_ACreatorAloneOnHisTask() public {
        playAlone();
        fundTask(task, 500e18);
        uint256 epoch = vault.currentEpoch() + 1;
        submitAll(epoch, descendingScores(1));
        scoreHonestly(epoch);
        uint256 bounty = draw.nodeBudget + draw.validatorBudget;
        assertEq(settleAndCompare(), bounty);
        assertEq(earned(nodes[0]) + earned(validators[0]) + vault.bountyOf(task), 500e18, "his own money");
    }

    /// @notice Admitted, he earns the mean return on his stake: what everyone earns together, in proportion (M-2). Admission
    /// is what protects the others; stated.
    function test_attack_ACreatorAloneOnAnAdmittedTask() public {
        fundEmission(10_000e18);
        // Three times his stake elsewhere.
        populate(defaultParams(), equalStakes(3, STAKE), equalStakes(3, STAKE));
        uint256 honestTask = task;
        admit(honestTask);
        playAlone();
        admit(task);
        submitAll(2, descendingScores(1));
        scoreHonestly(2);
        assertEq(draw.nodeBudget + draw.validatorBudget, uint256(EMISSION) / 4, "a quarter of the stake");
        settleAndCompare();
        assertEq(earned(nodes[0]) + earned(validators[0]), uint256(EMISSION) / 4);
    }

    function playAlone() internal {
        delete nodes;
        delete validators;
        populate(defaultParams(), equalStakes(1, STAKE), equalStakes(1, STAKE));
    }

    // ------------------------------------------------------------------ coming late

    /// @notice Nothing is held back, so that a whale with half of the stake and a slightly better copy takes its part of the
    /// last epoch, and of no other.
    function test_attack_AWhaleThatJoinsInTheLastEpoch() public {
        TaskParams memory p = defaultParams();
        p.epochs = 5;
        populate(p, equalStakes(4, STAKE), equalStakes(4, STAKE));
        fundTask(task, 500e18);
        for (uint256 epoch = 1; epoch < 5; ++epoch) {
            submitAll(epoch, descendingScores(4));
            scoreHonestly(epoch);
            settleAndCompare();
            if (epoch == 4) break;
        }
        uint256 before = earned(nodes[0]) + earned(nodes[1]) + earned(nodes[2]) + earned(nodes[3]);
        assertApproxEqAbs(before, 200e18, 10);
        nodes.push(makeAddr("whale"));
        stakeAs(nodes[4], task, Role.Node, 4 * STAKE);
        uint32[] memory scores = descendingScores(5);
        scores[4] = 900_000_001;
        submitAll(5, scores);
        scoreHonestly(5);
        settleAndCompare();
        assertLt(earned(nodes[4]), draw.nodeBudget, "less than one epoch's budget");
        uint256 after_ = earned(nodes[0]) + earned(nodes[1]) + earned(nodes[2]) + earned(nodes[3]);
        assertGe(after_, before, "what was earned before stays");
        assertLt(draw.nodeBudget, 70e18);
    }

    // ------------------------------------------------------------------ slashing oneself

    /// @notice A slash is burned. Whoever reports its own validator, with its own delegation to it, has less of everything.
    function test_attack_SlashingOneself() public {
        populate(defaultParams(), equalStakes(2, STAKE), equalStakes(3, STAKE));
        fundTask(task, 2000e18);
        delegateTo(stranger, task, validators[2], 5 * STAKE);
        submitAll(2, descendingScores(2));
        drawSeed(2);
        warpTo(2, Phase.Commit);
        for (uint256 i = 0; i < 3; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(2, Phase.Reveal);
        reveal(validators[0]);
        reveal(validators[1]);
        warpTo(2, Phase.Settle);
        uint256 snapshot = vm.snapshotState();
        settle();
        (uint256 quiet, uint256 quietOthers) = (wealth(), othersEarned());
        vm.revertToState(snapshot);
        vm.prank(stranger);
        arena.reportUnrevealed(task, validators[2]);
        settle();
        assertEq(quiet - wealth(), 6e18, "one hundredth of its effective stake");
        assertEq(othersEarned(), quietOthers, "and nobody has it");
        assertEq(vault.burn(), 6e18);
        assertSolvent();
    }

    /// @dev All that the attacker has in the pool.
    function wealth() internal view returns (uint256) {
        (, uint256 delegated) = vault.delegationOf(task, validators[2], stranger);
        return directStake(validators[2], 3) + delegated + earned(validators[2])
            + vault.claimable(task, validators[2], stranger);
    }

    function othersEarned() internal view returns (uint256) {
        return earned(nodes[0]) + earned(nodes[1]) + earned(validators[0]) + earned(validators[1]);
    }
}
