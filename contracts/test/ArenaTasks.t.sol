// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    IArena,
    Metric,
    Phase,
    RankingRule,
    Schedule,
    Stage,
    Tally,
    TaskParams
} from "../src/interfaces/IArena.sol";
import {IVault, Terms} from "../src/interfaces/IVault.sol";
import {ArenaFixture} from "./base/ArenaFixture.sol";

/// @notice Deployment, the clock, and what a task may be.
contract ArenaTasksTest is ArenaFixture {
    // ------------------------------------------------------------------ deployment

    function test_DeploymentIsReadable() public view {
        assertEq(arena.vault(), address(vault));
        assertEq(vault.arena(), address(arena));
        assertEq(arena.taskCount(), 0);
        Schedule memory s = arena.schedule();
        assertEq(keccak256(abi.encode(s)), keccak256(abi.encode(schedule())));
        assertGt(arena.settlement().code.length, 0, "deployed by the arena");
        assertEq(keccak256(abi.encode(emission.admitted())), keccak256(abi.encode(new uint256[](0))));
    }

    /// @notice The settlement's code runs on the arena's storage only; called directly, it knows no task.
    function test_TheSettlementHasNoTasksOfItsOwn() public {
        createTask(defaultParams());
        IArena settlement = IArena(arena.settlement());
        bytes memory unknown = abi.encodeWithSelector(IArena.UnknownTask.selector, 1);
        vm.expectRevert(unknown);
        settlement.tally(1, new Tally[](0));
        vm.expectRevert(unknown);
        settlement.rank(1, new address[](0));
        vm.expectRevert(unknown);
        settlement.payNodes(1, 0, 0, new address[](0));
        vm.expectRevert(unknown);
        settlement.payValidators(1, 0, 0);
    }

    function test_DeploymentChecksThatTheVaultIsItsOwn() public {
        expectBadDeployment("vault is no contract");
        this.newArena(stranger, schedule());
        expectBadDeployment("vault of another arena");
        this.newArena(address(vault), schedule());
    }

    function test_PhasesFollowEachOther() public {
        for (uint256 i = 0; i < 6; ++i) {
            Schedule memory s = schedule();
            if (i == 0) s.submitEnd = 0;
            if (i == 1) s.discloseEnd = s.submitEnd;
            if (i == 2) s.seedEnd = s.discloseEnd;
            if (i == 3) s.commitEnd = s.seedEnd;
            if (i == 4) s.revealEnd = s.commitEnd;
            if (i == 5) s.revealEnd = EPOCH;
            expectBadDeployment("phases out of order");
            this.newPair(s);
        }
        Schedule memory late = schedule();
        late.seedDelay = late.seedEnd - late.discloseEnd;
        expectBadDeployment("seed delay exceeds its phase");
        this.newPair(late);
        late.seedDelay -= 1;
        this.newPair(late);
        late.silentEpochs = 0;
        expectBadDeployment("silent epochs are zero");
        this.newPair(late);
    }

    function test_ClockNamesEpochAndPhase() public {
        uint256[9] memory offsets = [uint256(0), 199, 200, 400, 499, 500, 700, 900, 999];
        Phase[9] memory phases = [
            Phase.Submit,
            Phase.Submit,
            Phase.Disclose,
            Phase.Seed,
            Phase.Seed,
            Phase.Commit,
            Phase.Reveal,
            Phase.Settle,
            Phase.Settle
        ];
        for (uint256 epoch = 1; epoch < 4; ++epoch) {
            assertEq(arena.epochStart(epoch), GENESIS + (epoch - 1) * EPOCH);
            for (uint256 i = 0; i < offsets.length; ++i) {
                vm.warp(arena.epochStart(epoch) + offsets[i]);
                assertClock(epoch, phases[i]);
            }
        }
        vm.warp(GENESIS - 1);
        assertClock(0, Phase.Submit);
        assertEq(arena.epochStart(0), 0);
    }

    // ------------------------------------------------------------------ tasks

    function test_ATaskRunsFromTheNextEpoch() public {
        warpTo(3, Phase.Reveal);
        TaskParams memory params = defaultParams();
        vm.expectEmit(address(arena));
        emit IArena.TaskCreated(1, creator, 4, 23, params);
        assertEq(createTask(params), 1);
        assertEq(createTask(params), 2);
        assertEq(arena.taskCount(), 2);
        Terms memory terms = vault.termsOf(1);
        assertEq(terms.creator, creator);
        assertEq(terms.firstEpoch, 4);
        assertEq(terms.lastEpoch, 23);
        assertEq(terms.minNodeStake, params.minNodeStake);
        assertEq(terms.minValidatorStake, params.minValidatorStake);
        assertEq(terms.epsilonWad, params.epsilonWad);
        assertTrue(arena.flightOf(1).stage == Stage.Idle);
    }

    function test_ATaskMayBeCreatedBeforeGenesis() public {
        createTask(defaultParams());
        assertEq(vault.termsOf(1).firstEpoch, 1);
        assertEq(vault.termsOf(1).lastEpoch, 20);
    }

    function test_ParametersHaveBounds() public {
        refused("epochs", 0);
        refused("epochs", 1_000_001);
        refused("minNodeStake", 0);
        refused("minValidatorStake", 0);
        refused("maxSubmissions", 0);
        refused("maxSubmissions", 2049);
        refused("redundancy", 0);
        refused("gammaWad", 0.5e18 + 1);
        refused("epsilonWad", 1e18 + 1);
        refused("tolerance", 1e9 + 1);
        refused("phiWad", 0.05e18 - 1);
        refused("phiWad", 10e18 + 1);
        refused("qWad", 0);
        refused("qWad", 1e18 + 1);
        refused("alphaWad", 1e18 + 1);
        refused("lossCapWad", 0);
    }

    function test_BoundsThemselvesAreAllowed() public {
        accepted("epochs", 1);
        accepted("epochs", 1_000_000);
        accepted("minNodeStake", 1);
        accepted("minValidatorStake", 1);
        accepted("maxSubmissions", 1);
        accepted("maxSubmissions", 2048);
        accepted("redundancy", 1);
        accepted("redundancy", 255);
        accepted("gammaWad", 0);
        accepted("gammaWad", 0.5e18);
        accepted("epsilonWad", 0);
        accepted("tolerance", 0);
        accepted("tolerance", 1e9);
        accepted("phiWad", 0.05e18);
        accepted("phiWad", 10e18);
        accepted("qWad", 1);
        accepted("qWad", 1e18);
        accepted("alphaWad", 0);
        accepted("alphaWad", 1e18);
        accepted("lossCapWad", 1);
    }

    function test_UnknownTasksAreRefused() public {
        bytes memory unknown = abi.encodeWithSelector(IArena.UnknownTask.selector, 7);
        vm.expectRevert(unknown);
        arena.commitSubmission(7, 0);
        vm.expectRevert(unknown);
        arena.openSubmission(7, 0, 0, "");
        vm.expectRevert(unknown);
        arena.withdrawSubmission(7);
        vm.expectRevert(unknown);
        arena.evict(7, creator);
        vm.expectRevert(unknown);
        arena.drawSeed(7);
        vm.expectRevert(unknown);
        arena.endTask(7);
        vm.expectRevert(unknown);
        arena.revealScores(7, 0, "");
        vm.expectRevert(unknown);
        arena.reportUnrevealed(7, creator);
        vm.expectRevert(unknown);
        arena.reportSilent(7, creator);
        vm.expectRevert(unknown);
        arena.tally(7, new Tally[](0));
        vm.expectRevert(unknown);
        arena.tallyPart(7, Tally(creator, 0, 0, ""));
        vm.expectRevert(unknown);
        arena.rank(7, new address[](0));
        vm.expectRevert(unknown);
        arena.payNodes(7, 0, 0, new address[](0));
        vm.expectRevert(unknown);
        arena.weigh(7, 0, 0);
        vm.expectRevert(unknown);
        arena.payValidators(7, 0, 0);
        vm.expectRevert(unknown);
        arena.flightOf(7);
        vm.expectRevert(unknown);
        arena.listOf(7, 0, 1);
        vm.expectRevert(unknown);
        arena.queueOf(7, true);
        vm.expectRevert(unknown);
        arena.entryOf(7, creator);
    }

    /// @notice A commitment to scores reads nothing of a task, so that one to no task does nothing and harms nobody.
    function test_ScoresForNoTaskAreWorthless() public {
        warpTo(1, Phase.Commit);
        vm.prank(stranger);
        arena.commitScores(7, "scores");
        warpTo(1, Phase.Reveal);
        vm.expectRevert(abi.encodeWithSelector(IArena.UnknownTask.selector, 7));
        vm.prank(stranger);
        arena.revealScores(7, 0, "");
    }

    // ------------------------------------------------------------------ ending a task

    function test_ACreatorEndsATaskWithNotice() public {
        uint256 task = createTask(defaultParams());
        warpTo(5, Phase.Commit);
        vm.expectEmit(address(vault));
        emit IVault.TaskShortened(task, 5 + UNBONDING);
        vm.prank(creator);
        assertEq(arena.endTask(task), 5 + UNBONDING);
        assertEq(vault.termsOf(task).lastEpoch, 5 + UNBONDING);
        // Once is enough: a later call would not bring the end nearer.
        vm.expectRevert(abi.encodeWithSelector(IArena.EndTooLate.selector, task, 5 + UNBONDING));
        vm.prank(creator);
        arena.endTask(task);
        warpTo(5 + UNBONDING, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.NothingToScore.selector, task));
        arena.drawSeed(task);
        warpTo(6 + UNBONDING, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, task, 6 + UNBONDING));
        arena.drawSeed(task);
    }

    function test_OnlyTheCreatorEndsATaskAndOnlyEarlier() public {
        uint256 task = createTask(defaultParams());
        vm.expectRevert(abi.encodeWithSelector(IArena.NotCreator.selector, task, stranger));
        vm.prank(stranger);
        arena.endTask(task);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotCreator.selector, task, owner));
        vm.prank(owner);
        arena.endTask(task);
        // Two epochs of notice would end it in epoch 20, as it does anyway.
        warpTo(18, Phase.Submit);
        vm.expectRevert(abi.encodeWithSelector(IArena.EndTooLate.selector, task, 20));
        vm.prank(creator);
        arena.endTask(task);
        warpTo(25, Phase.Submit);
        vm.expectRevert(abi.encodeWithSelector(IArena.EndTooLate.selector, task, 20));
        vm.prank(creator);
        arena.endTask(task);
    }

    function test_ATaskMayEndBeforeItBegan() public {
        TaskParams memory params = defaultParams();
        warpTo(3, Phase.Settle);
        uint256 task = createTask(params);
        vm.prank(creator);
        assertEq(arena.endTask(task), 3 + UNBONDING);
        assertEq(vault.termsOf(task).firstEpoch, 4, "one epoch or more is left");
    }

    function test_WhatAnEndedTaskLeavesGoesBackToItsFunders() public {
        uint256 task = createTask(defaultParams());
        provide(stranger, 10e18);
        vm.prank(stranger);
        vault.fund(task, 10e18);
        fundTask(task, 30e18);
        vm.prank(creator);
        arena.endTask(task);
        warpTo(UNBONDING, Phase.Settle);
        vm.expectRevert(abi.encodeWithSelector(IVault.TaskNotOver.selector, task, UNBONDING));
        vm.prank(stranger);
        vault.reclaim(task);
        warpTo(UNBONDING + 1, Phase.Submit);
        vm.prank(stranger);
        assertEq(vault.reclaim(task), 10e18);
        vm.prank(creator);
        assertEq(vault.reclaim(task), 30e18);
    }

    // ------------------------------------------------------------------ keys

    function test_AnyoneRegistersItsKey() public {
        assertEq(arena.keyOf(stranger), bytes32(0));
        vm.expectEmit(address(arena));
        emit IArena.KeyRegistered(stranger, "key");
        vm.prank(stranger);
        arena.registerKey("key");
        assertEq(arena.keyOf(stranger), bytes32("key"));
        vm.prank(stranger);
        arena.registerKey("another");
        assertEq(arena.keyOf(stranger), bytes32("another"));
        assertEq(arena.keyOf(creator), bytes32(0));
    }

    // ------------------------------------------------------------------ parts

    function assertClock(uint256 epoch, Phase phase) internal view {
        (uint32 e, Phase p) = arena.clock();
        assertEq(e, epoch, "epoch");
        assertEq(uint256(p), uint256(phase), "phase");
    }

    /// @dev The default parameters with one changed; a parameter that only another rule reads brings that rule along.
    function with_(bytes32 name, uint256 value) internal pure returns (TaskParams memory p) {
        p = defaultParams();
        if (name == "epochs") p.epochs = uint32(value);
        if (name == "minNodeStake") p.minNodeStake = uint96(value);
        if (name == "minValidatorStake") p.minValidatorStake = uint96(value);
        if (name == "maxSubmissions") p.maxSubmissions = uint16(value);
        if (name == "redundancy") p.redundancy = uint8(value);
        if (name == "gammaWad") p.gammaWad = uint64(value);
        if (name == "epsilonWad") p.epsilonWad = uint64(value);
        if (name == "tolerance") p.tolerance = uint32(value);
        if (name == "phiWad") p.phiWad = uint64(value);
        if (name == "qWad" || name == "alphaWad") p.rule = RankingRule.RankGeometric;
        if (name == "qWad") p.qWad = uint64(value);
        if (name == "alphaWad") p.alphaWad = uint64(value);
        if (name == "lossCapWad") (p.metric, p.lossCapWad) = (Metric.Loss, uint64(value));
    }

    function refused(bytes32 name, uint256 value) internal {
        TaskParams memory params = with_(name, value);
        vm.expectRevert(abi.encodeWithSelector(IArena.BadParameter.selector, name));
        arena.createTask(params);
    }

    function accepted(bytes32 name, uint256 value) internal {
        arena.createTask(with_(name, value));
    }

    function expectBadDeployment(bytes32 what) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.BadDeployment.selector, what));
    }

    /// @dev External, because the cheatcode that deploys is a call as well.
    function newArena(address vault_, Schedule memory schedule_) external {
        vm.deployCode("Arena.sol:Arena", abi.encode(vault_, schedule_));
    }

    /// @dev External for the same reason.
    function newPair(Schedule memory schedule_) external {
        deploy(address(token), schedule_);
    }
}
