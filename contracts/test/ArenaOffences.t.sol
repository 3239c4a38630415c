// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, TaskParams} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Committed and not revealed, silent for several epochs in a row: who is slashed, when, and how often (M-12).
contract ArenaOffencesTest is EpochFixture {
    uint256 private constant STAKE = 100e18;
    uint256 private constant PENALTY = 1e18;

    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(2, STAKE), equalStakes(4, STAKE));
        fundTask(task, 2000e18);
        submitAll(1, descendingScores(2));
    }

    // ------------------------------------------------------------------ committed and not revealed

    function test_WhoDoesNotRevealIsSlashed() public {
        commitAndReveal(1, 4, 2);
        uint256 before = directStake(validators[2], 2);
        vm.expectEmit(address(arena));
        emit IArena.UnrevealedReported(task, 1, validators[2]);
        vm.prank(stranger);
        arena.reportUnrevealed(task, validators[2]);
        assertEq(directStake(validators[2], 2), before - PENALTY);
        assertEq(directStake(validators[2], 1), before, "the epoch in flight keeps its stakes");
        assertEq(vault.slashed(), PENALTY);
        assertSolvent();
    }

    function test_OneOffenceIsSlashedOnce() public {
        commitAndReveal(1, 4, 2);
        arena.reportUnrevealed(task, validators[2]);
        noOffence(validators[2]);
        noSilence(validators[2]);
        settle();
        noOffence(validators[2]);
        assertEq(directStake(validators[2], 2), STAKE - PENALTY);
    }

    function test_WhoRevealedIsNotSlashed() public {
        commitAndReveal(1, 4, 2);
        noOffence(validators[0]);
        noSilence(validators[0]);
    }

    function test_WhoDidNotCommitLeftNothingUnrevealed() public {
        commitAndReveal(1, 2, 1);
        noOffence(validators[2]);
        noOffence(validators[3]);
    }

    function test_OthersOweNothing() public {
        stakeAs(stranger, task, Role.Validator, STAKE);
        commitAndReveal(1, 4, 2);
        // A node, somebody without stake, and a validator whose stake counts from the next epoch on.
        address[3] memory others = [nodes[0], creator, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory reason = abi.encodeWithSelector(IArena.NotEligible.selector, others[i], 0, 10e18);
            vm.expectRevert(reason);
            arena.reportUnrevealed(task, others[i]);
            vm.expectRevert(reason);
            arena.reportSilent(task, others[i]);
        }
    }

    // ------------------------------------------------------------------ when

    function test_NobodyIsReportedBeforeTheEndOfReveal() public {
        drawSeed(1);
        stillOpen();
        warpTo(1, Phase.Commit);
        commitScores(validators[0], honest(validators[0]));
        stillOpen();
        warpTo(1, Phase.Reveal);
        stillOpen();
        vm.warp(timeOf(1, Phase.Settle) - 1);
        stillOpen();
        warpTo(1, Phase.Settle);
        arena.reportUnrevealed(task, validators[0]);
        arena.reportSilent(task, validators[1]);
    }

    function test_NobodyIsReportedForAnEpochThatWasNotDrawn() public {
        noOffence(validators[0]);
        noSilence(validators[0]);
        // A commitment to the scores of an epoch without a seed is no offence.
        warpTo(1, Phase.Commit);
        vm.prank(validators[0]);
        arena.commitScores(task, "scores");
        warpTo(1, Phase.Settle);
        noOffence(validators[0]);
        noSilence(validators[0]);
    }

    /// @notice Until the next draw, or until commitments for a later epoch begin.
    function test_ReportsAreOpenUntilTheNextDraw() public {
        commitAndReveal(1, 3, 2);
        settle();
        uint256 until = timeOf(2, Phase.Commit);
        vm.warp(until - 1);
        uint256 snapshot = vm.snapshotState();
        arena.reportUnrevealed(task, validators[2]);
        arena.reportSilent(task, validators[3]);
        vm.revertToState(snapshot);
        vm.warp(until);
        bytes memory late = abi.encodeWithSelector(IArena.ReportTooLate.selector, until);
        vm.expectRevert(late);
        arena.reportUnrevealed(task, validators[2]);
        vm.expectRevert(late);
        arena.reportSilent(task, validators[3]);
        vm.revertToState(snapshot);
        drawSeed(2);
        warpTo(2, Phase.Settle);
        noOffence(validators[2]);
        arena.reportSilent(task, validators[3]);
        assertEq(directStake(validators[2], 3), STAKE, "it got away");
    }

    /// @notice A commitment for an epoch that was not drawn hides nothing: by then the reports are over.
    function test_ALaterCommitmentHidesNothing() public {
        commitAndReveal(1, 3, 2);
        warpTo(2, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongPhase.selector, Phase.Commit, Phase.Seed));
        vm.prank(validators[2]);
        arena.commitScores(task, "hide");
        arena.reportUnrevealed(task, validators[2]);
        // And an honest one that commits too early for the next epoch is not taken for silent in the last one.
        warpTo(2, Phase.Commit);
        vm.prank(validators[0]);
        arena.commitScores(task, "early");
        vm.expectRevert(abi.encodeWithSelector(IArena.ReportTooLate.selector, timeOf(2, Phase.Commit)));
        arena.reportSilent(task, validators[0]);
    }

    /// @notice Reports neither wait for the settlement nor disturb it.
    function test_ASlashChangesNoPaymentOfItsEpoch() public {
        commitAndReveal(1, 4, 2);
        uint256 snapshot = vm.snapshotState();
        settle();
        uint256 quiet = earned(validators[0]) + earned(nodes[0]) * 7;
        vm.revertToState(snapshot);
        tallyInBatches(1);
        arena.reportUnrevealed(task, validators[2]);
        arena.rank(task, orderOfRanked());
        arena.reportUnrevealed(task, validators[3]);
        payInBatches(1);
        assertEq(earned(validators[0]) + earned(nodes[0]) * 7, quiet);
        assertSolvent();
    }

    // ------------------------------------------------------------------ silence

    function test_SilenceIsSlashedAfterThreeEpochs() public {
        for (uint256 epoch = 1; epoch <= 7; ++epoch) {
            commitAndReveal(epoch, 3, 3);
            vm.expectEmit(address(arena));
            emit IArena.SilenceReported(task, epoch, validators[3], epoch % 3);
            arena.reportSilent(task, validators[3]);
            vm.expectRevert(abi.encodeWithSelector(IArena.AlreadyReported.selector, task, validators[3]));
            arena.reportSilent(task, validators[3]);
            // The count begins again after each slash: in epochs 3 and 6.
            uint256 slashes = epoch / 3;
            uint256 left =
                slashes == 0 ? STAKE : slashes == 1 ? STAKE - PENALTY : STAKE - 2 * PENALTY + 0.01e18;
            assertEq(directStake(validators[3], epoch + 1), left, "stake");
            settle();
        }
        assertSolvent();
    }

    function test_OneEpochOfWorkBreaksTheSilence() public {
        uint256[6] memory committing = [uint256(3), 3, 4, 3, 3, 3];
        for (uint256 epoch = 1; epoch <= 6; ++epoch) {
            commitAndReveal(epoch, committing[epoch - 1], 3);
            if (epoch != 3) arena.reportSilent(task, validators[3]);
            else noSilence(validators[3]);
            if (epoch == 3) arena.reportUnrevealed(task, validators[3]);
            settle();
            bool slashed = directStake(validators[3], epoch + 1) < STAKE - PENALTY;
            assertTrue(slashed == (epoch == 6), "slashed for silence");
        }
    }

    function test_AnEpochThatNobodyReportedBreaksTheRow() public {
        for (uint256 epoch = 1; epoch <= 5; ++epoch) {
            commitAndReveal(epoch, 3, 3);
            if (epoch != 2) arena.reportSilent(task, validators[3]);
            settle();
            assertEq(directStake(validators[3], epoch + 1), epoch < 5 ? STAKE : STAKE - PENALTY);
        }
    }

    /// @notice Idle epochs, in which no seed was drawn, are not epochs of silence, and do not break a row.
    function test_RowsAreOfDrawnEpochs() public {
        uint256[3] memory epochs = [uint256(1), 4, 9];
        for (uint256 i = 0; i < 3; ++i) {
            commitAndReveal(epochs[i], 3, 3);
            arena.reportSilent(task, validators[3]);
            settle();
            assertEq(directStake(validators[3], epochs[i] + 1), i < 2 ? STAKE : STAKE - PENALTY);
        }
    }

    // ------------------------------------------------------------------ leaving and coming back

    function test_LeavingDoesNotEscape() public {
        commitAndReveal(1, 4, 2);
        vm.prank(validators[2]);
        vault.unstake(task, uint96(STAKE));
        arena.reportUnrevealed(task, validators[2]);
        (, uint256 amount,) = vault.unbondingOf(task, validators[2], validators[2]);
        assertEq(amount, STAKE - PENALTY, "what is unbonding pays");
    }

    function test_WhoHasLeftOwesNothing() public {
        vm.prank(validators[3]);
        vault.unstake(task, uint96(STAKE));
        // Epoch 1 still counts; epoch 2 does not.
        commitAndReveal(1, 3, 3);
        arena.reportSilent(task, validators[3]);
        settle();
        commitAndReveal(2, 3, 3);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotEligible.selector, validators[3], 0, 10e18));
        arena.reportSilent(task, validators[3]);
    }

    /// @notice An epoch without stake is none of silence: the row begins anew.
    function test_RestakingBeginsANewRow() public {
        for (uint256 epoch = 1; epoch <= 2; ++epoch) {
            commitAndReveal(epoch, 3, 3);
            arena.reportSilent(task, validators[3]);
            settle();
        }
        vm.prank(validators[3]);
        vault.unstake(task, uint96(STAKE));
        commitAndReveal(3, 3, 3);
        settle();
        stakeAs(validators[3], task, Role.Validator, STAKE);
        for (uint256 epoch = 4; epoch <= 6; ++epoch) {
            commitAndReveal(epoch, 3, 3);
            arena.reportSilent(task, validators[3]);
            settle();
            assertEq(directStake(validators[3], epoch + 1), epoch < 6 ? STAKE : STAKE - PENALTY);
        }
    }

    /// @notice Nothing to score, so nothing is owed: tasks without fresh data in which nothing changed.
    function test_NothingIsOwedWhereNothingIsScored() public {
        TaskParams memory p = defaultParams();
        p.freshData = false;
        delete nodes;
        delete validators;
        populate(p, equalStakes(2, STAKE), equalStakes(4, STAKE));
        submitAll(2, descendingScores(2));
        scoreHonestly(2);
        settle();
        drawSeed(3);
        assertEq(draw.listed, 0);
        warpTo(3, Phase.Commit);
        commitScores(validators[0], new uint32[](0));
        warpTo(3, Phase.Settle);
        noOffence(validators[0]);
        noSilence(validators[1]);
    }

    function test_SlashesFollowTheStakeOfTheOffence() public {
        commitAndReveal(1, 4, 2);
        // Ten times the stake now, and a whale that delegates: neither owed anything in epoch 1.
        stakeAs(validators[2], task, Role.Validator, 9 * STAKE);
        delegateTo(stranger, task, validators[2], 100 * STAKE);
        arena.reportUnrevealed(task, validators[2]);
        assertEq(vault.slashed(), PENALTY);
        (, uint256 delegated) = vault.delegationOf(task, validators[2], stranger);
        assertEq(delegated, 100 * STAKE);
    }

    /// @notice However much was delegated to it, an operator keeps most of its own (M-12).
    function test_DelegationCannotBeUsedToRuinAnOperator() public {
        delegateTo(stranger, task, validators[2], 99 * STAKE);
        commitAndReveal(2, 4, 2);
        arena.reportUnrevealed(task, validators[2]);
        assertEq(directStake(validators[2], 3), STAKE - 5 * PENALTY, "five times the fraction");
        (, uint256 delegated) = vault.delegationOf(task, validators[2], stranger);
        assertApproxEqAbs(delegated, 99 * STAKE - 95 * PENALTY, 1e4, "its delegators pay the rest");
        assertSolvent();
    }

    // ------------------------------------------------------------------ parts

    /// @dev The first `committing` validators commit, the first `revealing` of them reveal.
    function commitAndReveal(uint256 epoch, uint256 committing, uint256 revealing) internal {
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
        for (uint256 i = 0; i < committing; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(epoch, Phase.Reveal);
        for (uint256 i = 0; i < revealing; ++i) {
            reveal(validators[i]);
        }
        warpTo(epoch, Phase.Settle);
    }

    function noOffence(address validator) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.NoOffence.selector, task, validator));
        arena.reportUnrevealed(task, validator);
    }

    function noSilence(address validator) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.NoOffence.selector, task, validator));
        arena.reportSilent(task, validator);
    }

    function stillOpen() internal {
        bytes memory open = abi.encodeWithSelector(IArena.RevealStillOpen.selector, timeOf(1, Phase.Settle));
        vm.expectRevert(open);
        arena.reportUnrevealed(task, validators[0]);
        vm.expectRevert(open);
        arena.reportSilent(task, validators[1]);
    }
}
