// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, TaskParams} from "../src/interfaces/IArena.sol";
import {Referee} from "./base/Referee.sol";

/// @notice Whole epochs, from the first stake to the last claim: who earns how much, and where the rest goes.
contract LifecycleTest is Referee {
    uint256 private constant STAKE = 100e18;

    function start(TaskParams memory p, uint256 nodeCount, uint256 validatorCount) internal {
        populate(p, equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
        fundTask(task, 2000e18, 0);
    }

    function playEpoch(uint256 epoch) internal returns (uint256 paid) {
        submitAll(epoch, descendingScores(nodes.length));
        scoreHonestly(epoch);
        paid = settleAndCompare();
        assertSolvent();
    }

    // ------------------------------------------------------------------ what a rank earns

    function test_EqualStakesEarnAGeometricSeries() public {
        start(defaultParams(), 3, 3);
        playEpoch(1);
        // Each rank earns exp(-(1/3)/0.2) of the rank before, and all of them the nodes' half of 100.
        uint256 ratio = 188_875_602_837_561_830;
        assertApproxEqAbs(earned(nodes[1]) * WAD / earned(nodes[0]), ratio, 100);
        assertApproxEqAbs(earned(nodes[2]) * WAD / earned(nodes[1]), ratio, 100);
        assertEq(earned(nodes[0]) + earned(nodes[1]) + earned(nodes[2]), 50e18, "nothing is lost");
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(arena.entryAt(task, i).rank, i + 1);
            assertEq(earned(validators[i]), uint256(50e18) / 3);
        }
        (uint256 reserve,) = vault.unspent(task);
        assertEq(reserve, 1900e18 + 2, "dust goes back");
    }

    function test_RankGeometricPaysByRankAndStake() public {
        TaskParams memory p = defaultParams();
        p.rule = RankingRule.RankGeometric;
        p.qWad = 0.5e18;
        p.rankCutoff = 3;
        start(p, 4, 2);
        playEpoch(1);
        // Four nodes and two validators: Dn = 400, Dv = 200, so the nodes get 0.25 + 0.5 · 2/3 of 100.
        uint256 budget = draw.nodeBudget;
        assertEq(budget, uint256(100e18) * 7 / 12);
        assertApproxEqAbs(earned(nodes[0]), budget * 4 / 7, 1);
        assertApproxEqAbs(earned(nodes[1]), budget * 2 / 7, 1);
        assertApproxEqAbs(earned(nodes[2]), budget / 7, 1);
        assertEq(earned(nodes[3]), 0, "behind the cut");
        assertEq(earned(nodes[0]) + earned(nodes[1]) + earned(nodes[2]), budget);
    }

    function test_TiesGoToTheEarlierCommitment() public {
        start(defaultParams(), 3, 3);
        uint32[] memory scores = descendingScores(3);
        (scores[0], scores[1], scores[2]) = (500, 500, 500);
        submitAll(1, scores);
        scoreHonestly(1);
        settleAndCompare();
        assertGt(earned(nodes[0]), earned(nodes[1]));
        assertGt(earned(nodes[1]), earned(nodes[2]));
    }

    function test_OneNodeAndOneValidatorWithTheLeastStake() public {
        TaskParams memory p = defaultParams();
        (p.minNodeStake, p.minValidatorStake) = (1, 1);
        populate(p, equalStakes(1, 1), equalStakes(1, 1));
        fundTask(task, 100e18, 0);
        playEpoch(1);
        assertEq(earned(nodes[0]), 50e18);
        assertEq(earned(validators[0]), 50e18);
    }

    // ------------------------------------------------------------------ delegation

    function test_DelegationRaisesThePoolAndNeverLowersTheOperator() public {
        TaskParams memory p = defaultParams();
        p.rule = RankingRule.RankGeometric;
        p.qWad = 1e18;
        start(p, 2, 2);
        delegateTo(stranger, task, nodes[0], STAKE);
        delegateTo(stranger, task, validators[0], 2 * STAKE);
        vm.prank(nodes[0]);
        vault.setCommission(task, 0.5e18);
        submitAll(2, descendingScores(2));
        scoreHonestly(2);
        settleAndCompare();
        // Proportional to stake: 2/3 of 50 with delegation, 1/2 without; half of the difference is commission.
        assertApproxEqAbs(earned(nodes[0]), uint256(50e18) * 7 / 12, 2);
        assertApproxEqAbs(vault.claimable(task, nodes[0], stranger), uint256(50e18) / 12, 2);
        assertApproxEqAbs(earned(nodes[1]), uint256(50e18) / 3, 2);
        // Validators: 3/4 with delegation, 1/2 without, no commission.
        assertApproxEqAbs(earned(validators[0]), 25e18, 2);
        assertApproxEqAbs(vault.claimable(task, validators[0], stranger), 12.5e18, 2);
        assertApproxEqAbs(earned(validators[1]), 12.5e18, 2);
    }

    function test_DelegatedStakeWeighsEpsilon() public {
        TaskParams memory p = defaultParams();
        p.rule = RankingRule.RankGeometric;
        p.qWad = 1e18;
        p.epsilonWad = 0.5e18;
        start(p, 2, 2);
        delegateTo(stranger, task, nodes[0], 2 * STAKE);
        playEpoch(1);
        assertEq(arena.entryAt(task, 0).stake, 2 * STAKE);
        assertApproxEqAbs(
            earned(nodes[0]) + vault.claimable(task, nodes[0], stranger), uint256(100e18) / 3, 2
        );
    }

    // ------------------------------------------------------------------ time

    function test_WhatHappensInAnEpochChangesNoneOfItsPayments() public {
        start(defaultParams(), 3, 3);
        submitAll(1, descendingScores(3));
        uint256 snapshot = vm.snapshotState();
        scoreHonestly(1);
        settleAndCompare();
        bytes32 quiet = allEarned();

        vm.revertToState(snapshot);
        delegateTo(stranger, task, nodes[2], 1000e18);
        vm.prank(nodes[0]);
        vault.unstake(task, uint96(STAKE));
        vm.prank(nodes[1]);
        arena.withdrawSubmission(task);
        scoreHonestly(1);
        vm.prank(validators[0]);
        vault.unstake(task, uint96(STAKE));
        settleAndCompare();
        assertEq(allEarned(), quiet);
    }

    function test_LateSettlementPaysTheSame() public {
        start(defaultParams(), 3, 3);
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        uint256 snapshot = vm.snapshotState();
        settleAndCompare();
        bytes32 onTime = allEarned();

        vm.revertToState(snapshot);
        warpTo(3, Phase.Disclose);
        vm.prank(nodes[0]);
        vault.unstake(task, uint96(STAKE));
        delegateTo(stranger, task, validators[1], 1000e18);
        warpTo(7, Phase.Submit);
        settleAndCompare();
        assertEq(allEarned(), onTime);
        assertEq(vault.claimable(task, validators[1], stranger), 0);
    }

    function test_IdleEpochsPayNothingAndKeepTheBudget() public {
        populate(defaultParams(), equalStakes(2, STAKE), equalStakes(2, STAKE));
        fundTask(task, 1000e18, 160e18);
        assertEq(playEpoch(1), 108e18);
        // Epochs 2 to 5 stay idle: 152 of bounty stream over the 15 that are left, one emission is drawn per epoch.
        submitAll(6, descendingScores(2));
        scoreHonestly(6);
        assertEq(draw.nodeBudget + draw.validatorBudget, 100e18 + uint256(152e18) / 15);
        settleAndCompare();
        assertSolvent();
    }

    function test_ATaskEndsAndEverythingComesOut() public {
        TaskParams memory p = defaultParams();
        p.epochs = 3;
        start(p, 3, 3);
        delegateTo(stranger, task, nodes[1], 77e18 + 5);
        delegateTo(stranger, task, validators[1], 33e18 + 1);
        for (uint256 epoch = 1; epoch <= 3; ++epoch) {
            playEpoch(epoch);
        }
        warpTo(4, Phase.Submit);
        vm.prank(creator);
        vault.reclaim(task);
        for (uint256 i = 0; i < 3; ++i) {
            goHome(nodes[i]);
            goHome(validators[i]);
        }
        vm.startPrank(stranger);
        vault.claim(task, nodes[1]);
        vault.claim(task, validators[1]);
        vault.undelegate(task, nodes[1], uint96(77e18 + 5));
        vault.undelegate(task, validators[1], uint96(33e18 + 1));
        vm.stopPrank();
        warpTo(7, Phase.Submit);
        takeOut(stranger);
        for (uint256 i = 0; i < 3; ++i) {
            takeOut(nodes[i]);
            takeOut(validators[i]);
        }
        (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets) = vault.liabilities();
        assertEq(staked + unbonding + budgets, 0);
        // Each of the six credits to a pool with delegators rounds down by less than one unit.
        assertLe(credited, 6);
        assertEq(token.balanceOf(address(vault)), credited);
    }

    // ------------------------------------------------------------------ parts

    function earned(address operator) internal view returns (uint256) {
        return vault.claimable(task, operator, operator);
    }

    function allEarned() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            digest = keccak256(abi.encode(digest, earned(nodes[i]), earned(validators[i])));
        }
    }

    function goHome(address operator) internal {
        vm.startPrank(operator);
        vault.claim(task, operator);
        vault.unstake(task, uint96(STAKE));
        vm.stopPrank();
    }

    function takeOut(address who) internal {
        vm.prank(who);
        vault.withdraw(type(uint256).max);
    }
}
