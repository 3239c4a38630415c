// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, TaskParams} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {Referee} from "./base/Referee.sol";

/// @notice Whole epochs, from the first stake to the last claim: who earns how much, and where the rest goes.
contract LifecycleTest is Referee {
    uint256 private constant STAKE = 100e18;

    function start(TaskParams memory p, uint256 nodeCount, uint256 validatorCount) internal {
        populate(p, equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
        fundTask(task, 2000e18);
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
            assertEq(orderOfRanked()[i], nodes[i]);
            assertEq(earned(validators[i]), uint256(50e18) / 3);
        }
        assertEq(vault.bountyOf(task), 1900e18 + 2, "dust goes back");
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
        fundTask(task, 2000e18);
        playEpoch(1);
        assertEq(earned(nodes[0]), 50e18);
        assertEq(earned(validators[0]), 50e18);
    }

    // ------------------------------------------------------------------ delegation

    function test_DelegationRaisesThePoolAndNeverLowersTheOperator() public {
        TaskParams memory p = defaultParams();
        p.rule = RankingRule.RankGeometric;
        (p.qWad, p.epochs) = (1e18, 21);
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
        assertApproxEqAbs(vault.claimable(task, nodes[0], stranger), uint256(50e18) / 12, 12);
        assertApproxEqAbs(earned(nodes[1]), uint256(50e18) / 3, 2);
        // Validators: 3/4 with delegation, 1/2 without, no commission.
        assertApproxEqAbs(earned(validators[0]), 25e18, 2);
        assertApproxEqAbs(vault.claimable(task, validators[0], stranger), 12.5e18, 12);
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
        assertEq(entryOf(nodes[0]).stake, 2 * STAKE);
        // 200e18 shares over 2^64: so many units at most are not divided yet.
        assertApproxEqAbs(
            earned(nodes[0]) + vault.claimable(task, nodes[0], stranger), uint256(100e18) / 3, 12
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
        start(defaultParams(), 2, 2);
        assertEq(playEpoch(1), 100e18);
        // Epochs 2 to 5 stay idle: what is left streams over the 15 epochs that remain.
        submitAll(6, descendingScores(2));
        scoreHonestly(6);
        assertEq(draw.nodeBudget + draw.validatorBudget, uint256(1900e18) / 15);
        settleAndCompare();
        assertSolvent();
    }

    // ------------------------------------------------------------------ emission (M-2)

    function test_AnAdmittedTaskIsPaidFromTheReserveToo() public {
        start(defaultParams(), 2, 2);
        fundEmission(250e18);
        warpTo(1, Phase.Submit);
        admit(task);
        assertEq(playEpoch(1), 100e18, "it acts from the next epoch but one");
        assertEq(playEpoch(2), 100e18);
        assertEq(playEpoch(3), 200e18);
        assertEq(playEpoch(4), 200e18);
        assertEq(playEpoch(5), 150e18, "half of an emission is left");
        assertEq(vault.reserve(), 0);
        assertEq(playEpoch(6), 100e18);
    }

    function test_TasksShareTheEmissionByTheirStake() public {
        start(defaultParams(), 2, 2);
        fundEmission(1000e18);
        uint256 other = createTask(defaultParams());
        stakeAs(stranger, other, Role.Node, 12 * STAKE);
        stakeAs(owner, other, Role.Validator, 4 * STAKE);
        admit(task);
        admit(other);
        // The other one does not even play: its part stays in the reserve.
        assertApproxEqAbs(playEpoch(2), uint256(2000e18) / 19 + 20e18, 2);
        assertApproxEqAbs(vault.reserve(), 980e18, 2);
    }

    function test_WhatIsNotPaidGoesBackWhereItCameFrom() public {
        start(defaultParams(), 2, 2);
        fundEmission(1000e18);
        admit(task);
        uint32[] memory invalid = new uint32[](2);
        submitAll(2, invalid);
        scoreHonestly(2);
        uint256 budget = draw.nodeBudget + draw.validatorBudget;
        uint256 paid = settleAndCompare();
        assertApproxEqAbs(paid, draw.validatorBudget, 1, "the validators alone");
        uint256 toReserve = (budget - paid) * 100e18 / budget;
        assertEq(vault.reserve(), 900e18 + toReserve);
        assertEq(vault.bountyOf(task), 2000e18 - (budget - 100e18) + (budget - paid - toReserve));
    }

    // ------------------------------------------------------------------ the end

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
        takeOut(stranger, nodes[1]);
        takeOut(stranger, validators[1]);
        for (uint256 i = 0; i < 3; ++i) {
            takeOut(nodes[i], nodes[i]);
            takeOut(validators[i], validators[i]);
        }
        // What did not divide by the shares of the two pools: each keeps less than their number over 2^64, and a unit.
        assertLe(token.balanceOf(address(vault)), 7);
    }

    // ------------------------------------------------------------------ parts

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

    function takeOut(address who, address operator) internal {
        vm.prank(who);
        vault.withdraw(task, operator, type(uint256).max);
    }
}
