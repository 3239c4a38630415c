// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Metric, Phase, RankingRule, Schedule, TaskParams} from "../src/interfaces/IArena.sol";
import {Terms} from "../src/interfaces/IVault.sol";
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
        assertEq(terms.emissionPerEpoch, params.emissionPerEpoch);
        assertEq(terms.minNodeStake, params.minNodeStake);
        assertEq(terms.minValidatorStake, params.minValidatorStake);
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
        arena.commitScores(7, 0);
        vm.expectRevert(unknown);
        arena.revealScores(7, 0, 0, 0, "", new bytes32[](0));
        vm.expectRevert(unknown);
        arena.tally(7, 0, new uint32[](0));
        vm.expectRevert(unknown);
        arena.tallyPart(7, 0, 0, 0);
        vm.expectRevert(unknown);
        arena.rank(7, 0, new uint32[](0));
        vm.expectRevert(unknown);
        arena.payNodes(7, 0, new uint32[](0));
        vm.expectRevert(unknown);
        arena.weigh(7, creator, 0, "");
        vm.expectRevert(unknown);
        arena.payValidators(7, 0, 0);
        vm.expectRevert(unknown);
        arena.flightOf(7);
        vm.expectRevert(unknown);
        arena.entryCount(7);
        vm.expectRevert(unknown);
        arena.entryAt(7, 0);
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
        address future = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        address vault_ =
            vm.deployCode("Vault.sol:Vault", abi.encode(address(token), future, GENESIS, EPOCH, UNBONDING));
        vm.deployCode("Arena.sol:Arena", abi.encode(vault_, schedule_));
    }
}
