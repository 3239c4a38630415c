// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, Phase, TaskParams} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Submissions: committed, opened, replaced, withdrawn, evicted (M-1, M-11, M-13).
contract ArenaSubmissionsTest is EpochFixture {
    bytes32 private constant HASH = keccak256("model");

    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.maxSubmissions = 3;
        populate(p, equalStakes(4, 100e18), equalStakes(2, 100e18));
        fundTask(task, 2000e18);
    }

    // ------------------------------------------------------------------ commitments

    function test_CommitmentsAreNumberedAsTheyArrive() public {
        warpTo(1, Phase.Submit);
        bytes32 commitment = submissionCommitment(nodes[1], task, HASH);
        vm.expectEmit(address(arena));
        emit IArena.SubmissionCommitted(task, 1, nodes[1], 1, commitment);
        assertEq(commitSubmission(nodes[1], task, HASH), 1);
        assertEq(commitSubmission(nodes[0], task, HASH), 2);
        warpTo(2, Phase.Submit);
        assertEq(commitSubmission(nodes[1], task, HASH), 3);
    }

    function test_OneCommitmentPerNodeAndEpoch() public {
        warpTo(1, Phase.Submit);
        commitSubmission(nodes[0], task, HASH);
        vm.expectRevert(abi.encodeWithSelector(IArena.AlreadyCommitted.selector, nodes[0], 1));
        commitAnything(nodes[0]);
        warpTo(1, Phase.Disclose);
        openSubmission(nodes[0], task, HASH);
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[0], task, HASH);
    }

    function test_OnlyNodesWithTheLeastStakeCommit() public {
        address small = makeAddr("small");
        stakeAs(small, task, Role.Node, 10e18 - 1);
        address late = makeAddr("late");
        warpTo(1, Phase.Submit);
        stakeAs(late, task, Role.Node, 10e18);
        // A delegator makes nobody eligible: the minimum is one of direct stake.
        delegateTo(stranger, task, small, 100e18);
        warpTo(2, Phase.Submit);
        commitSubmission(late, task, HASH);
        notEligible(small, 10e18 - 1);
        notEligible(stranger, 0);
        notEligible(validators[0], 0);
        vm.prank(nodes[0]);
        vault.unstake(task, uint96(91e18));
        commitSubmission(nodes[0], task, HASH);
        warpTo(3, Phase.Submit);
        notEligible(nodes[0], 9e18);
    }

    function test_StakeOfThisEpochDoesNotCountYet() public {
        warpTo(1, Phase.Submit);
        stakeAs(stranger, task, Role.Node, 10e18);
        notEligible(stranger, 0);
    }

    function test_CommitmentsBelongIntoSubmit() public {
        for (uint256 phase = 1; phase < 6; ++phase) {
            warpTo(1, Phase(phase));
            expectPhase(Phase.Submit, Phase(phase));
            commitAnything(nodes[0]);
        }
        vm.warp(GENESIS - 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, task, 0));
        commitAnything(nodes[0]);
        warpTo(21, Phase.Submit);
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, task, 21));
        commitAnything(nodes[0]);
    }

    // ------------------------------------------------------------------ opening

    function test_OpeningEntersTheList() public {
        commitAll(1);
        warpTo(1, Phase.Disclose);
        vm.expectEmit(address(arena));
        emit IArena.SubmissionOpened(task, 1, nodes[2], 3, artifact(nodes[2], 1), SALT, "store://artifact");
        openSubmission(nodes[2], task, artifact(nodes[2], 1));
        openSubmission(nodes[0], task, artifact(nodes[0], 1));
        address[] memory list = arena.listOf(task, 0, 10);
        assertEq(list.length, 2);
        assertEq(list[1], nodes[0]);
        (Entry memory entry, bytes32 contentHash) = arena.entryOf(task, nodes[0]);
        assertEq(entry.place, 1);
        assertEq(entry.number, 1);
        assertEq(contentHash, artifact(nodes[0], 1));
        (entry, contentHash) = arena.entryOf(task, nodes[1]);
        assertEq(entry.number, 0, "committed and not opened");
        assertEq(contentHash, bytes32(0));
    }

    function test_TheListIsReadInPages() public {
        openAll(1, 3);
        assertPage(0, 2, 2);
        assertPage(2, 2, 1);
        assertPage(3, 2, 0);
        assertPage(type(uint256).max, type(uint256).max, 0);
        assertPage(1, type(uint256).max, 2);
    }

    function assertPage(uint256 from, uint256 count, uint256 expected) internal view {
        address[] memory page = arena.listOf(task, from, count);
        assertEq(page.length, expected, "length");
        for (uint256 i = 0; i < page.length; ++i) {
            assertEq(page[i], nodes[from + i], "node");
        }
    }

    function test_OpeningNeedsTheVeryCommitment() public {
        commitAll(1);
        warpTo(1, Phase.Disclose);
        bytes32 expected = submissionCommitment(nodes[0], task, artifact(nodes[0], 1));
        mismatch(nodes[0], expected, HASH, SALT);
        mismatch(nodes[0], expected, artifact(nodes[0], 1), keccak256("other salt"));
        // What another node committed to cannot be opened as one's own.
        mismatch(
            nodes[1], submissionCommitment(nodes[1], task, artifact(nodes[1], 1)), artifact(nodes[0], 1), SALT
        );
        openSubmission(nodes[0], task, artifact(nodes[0], 1));
        noCommitment(nodes[0], 1);
    }

    function test_ACopiedCommitmentCannotBeOpened() public {
        warpTo(1, Phase.Submit);
        bytes32 commitment = submissionCommitment(nodes[0], task, HASH);
        commitSubmission(nodes[0], task, HASH);
        vm.prank(nodes[1]);
        arena.commitSubmission(task, commitment);
        warpTo(1, Phase.Disclose);
        openSubmission(nodes[0], task, HASH);
        mismatch(nodes[1], commitment, HASH, SALT);
    }

    function test_WhatIsNotOpenedLapses() public {
        commitAll(1);
        warpTo(2, Phase.Disclose);
        noCommitment(nodes[0], 2);
        noCommitment(stranger, 2);
    }

    function test_AnEmptyCommitmentCannotBeOpened() public {
        warpTo(1, Phase.Submit);
        vm.prank(nodes[0]);
        arena.commitSubmission(task, 0);
        warpTo(1, Phase.Disclose);
        noCommitment(nodes[0], 1);
    }

    function test_OpeningBelongsIntoDisclose() public {
        commitAll(1);
        for (uint256 phase = 0; phase < 6; ++phase) {
            if (Phase(phase) == Phase.Disclose) continue;
            warpTo(1, Phase(phase));
            expectPhase(Phase.Disclose, Phase(phase));
            openSubmission(nodes[0], task, artifact(nodes[0], 1));
        }
    }

    function test_AddressesOfArtifactsAreShort() public {
        commitAll(1);
        warpTo(1, Phase.Disclose);
        vm.startPrank(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IArena.UriTooLong.selector, 257, 256));
        arena.openSubmission(task, artifact(nodes[0], 1), SALT, string(new bytes(257)));
        arena.openSubmission(task, artifact(nodes[0], 1), SALT, string(new bytes(256)));
        vm.stopPrank();
    }

    function test_TheListIsCapped() public {
        openAll(1, 3);
        vm.expectRevert(abi.encodeWithSelector(IArena.ListFull.selector, 3));
        openSubmission(nodes[3], task, artifact(nodes[3], 1));
        // Replacing needs no further place.
        openAll(2, 3);
        assertEq(standing().length, 3);
    }

    function test_ReplacingKeepsThePlace() public {
        openAll(1, 3);
        openAll(2, 1);
        assertEq(standing()[0], nodes[0]);
        (Entry memory entry, bytes32 contentHash) = arena.entryOf(task, nodes[0]);
        assertEq(contentHash, artifact(nodes[0], 2));
        assertEq(entry.number, 5);
        assertEq(entry.place, 0);
        (, contentHash) = arena.entryOf(task, nodes[1]);
        assertEq(contentHash, artifact(nodes[1], 1));
    }

    // ------------------------------------------------------------------ withdrawing and evicting

    function test_WithdrawnSubmissionsCanBeEvictedInTheNextEpoch() public {
        openAll(1, 3);
        vm.expectEmit(address(arena));
        emit IArena.SubmissionWithdrawn(task, 1, nodes[0]);
        withdrawAs(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IArena.AlreadyWithdrawn.selector, task, nodes[0]));
        withdrawAs(nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IArena.StillEligible.selector, task, nodes[0]));
        arena.evict(task, nodes[0]);
        warpTo(2, Phase.Submit);
        vm.expectEmit(address(arena));
        emit IArena.SubmissionEvicted(task, 2, nodes[0], nodes[2]);
        arena.evict(task, nodes[0]);
        assertEq(standing().length, 2);
        assertEq(standing()[0], nodes[2]);
        assertEq(entryOf(nodes[2]).place, 0, "the last one took the place");
        assertEq(entryOf(nodes[0]).number, 0);
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSubmission.selector, task, nodes[0]));
        arena.evict(task, nodes[0]);
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSubmission.selector, task, nodes[0]));
        withdrawAs(nodes[0]);
    }

    function test_EvictingTheLastMovesNobody() public {
        openAll(1, 3);
        withdrawAs(nodes[2]);
        warpTo(2, Phase.Disclose);
        vm.expectEmit(address(arena));
        emit IArena.SubmissionEvicted(task, 2, nodes[2], address(0));
        arena.evict(task, nodes[2]);
        assertEq(standing().length, 2);
    }

    function test_AReplacementTakesBackAWithdrawal() public {
        openAll(1, 3);
        withdrawAs(nodes[0]);
        openAll(2, 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.StillEligible.selector, task, nodes[0]));
        arena.evict(task, nodes[0]);
        assertEq(entryOf(nodes[0]).withdrawnIn, 0);
    }

    function test_SubmissionsBelowTheLeastStakeCanBeEvicted() public {
        openAll(1, 3);
        vm.prank(nodes[1]);
        vault.unstake(task, uint96(90e18));
        vm.prank(nodes[2]);
        vault.unstake(task, uint96(90e18 + 1));
        warpTo(2, Phase.Submit);
        vm.expectRevert(abi.encodeWithSelector(IArena.StillEligible.selector, task, nodes[1]));
        arena.evict(task, nodes[1]);
        arena.evict(task, nodes[2]);
        // The place is free for another node again.
        commitSubmission(nodes[3], task, HASH);
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[3], task, HASH);
        assertEq(standing().length, 3);
    }

    function test_NobodyIsEvictedOnceTheListIsFixed() public {
        openAll(1, 3);
        withdrawAs(nodes[0]);
        for (uint256 phase = 2; phase < 6; ++phase) {
            warpTo(2, Phase(phase));
            expectPhase(Phase.Disclose, Phase(phase));
            arena.evict(task, nodes[0]);
        }
    }

    function test_TheListStandsWhileAnEpochIsInFlight() public {
        openAll(1, 3);
        withdrawAs(nodes[0]);
        drawSeed(1);
        commitAll(2);
        bytes memory inFlight = abi.encodeWithSelector(IArena.EpochInFlight.selector, task, 1);
        vm.expectRevert(inFlight);
        arena.evict(task, nodes[0]);
        warpTo(2, Phase.Disclose);
        vm.expectRevert(inFlight);
        openSubmission(nodes[1], task, artifact(nodes[1], 2));
        // Once the late epoch is settled, both are possible again.
        settle();
        arena.evict(task, nodes[0]);
        openSubmission(nodes[1], task, artifact(nodes[1], 2));
    }

    // ------------------------------------------------------------------ copies

    function test_ACopyIsDecidedWhenItIsOpened() public {
        commitSame();
        openSubmission(nodes[0], task, HASH);
        assertFalse(entryOf(nodes[0]).duplicate);
        openSubmission(nodes[1], task, HASH);
        assertTrue(entryOf(nodes[1]).duplicate, "a higher number");
        openSubmission(nodes[2], task, HASH);
        assertTrue(entryOf(nodes[2]).duplicate);
        assertFalse(entryOf(nodes[0]).duplicate);
    }

    function test_AnOriginalOpenedLaterOvertakesTheCopy() public {
        commitSame();
        openSubmission(nodes[2], task, HASH);
        assertFalse(entryOf(nodes[2]).duplicate, "as far as anyone knows");
        openSubmission(nodes[1], task, HASH);
        assertTrue(entryOf(nodes[2]).duplicate);
        assertFalse(entryOf(nodes[1]).duplicate);
        openSubmission(nodes[0], task, HASH);
        assertTrue(entryOf(nodes[1]).duplicate);
        assertTrue(entryOf(nodes[2]).duplicate);
        assertFalse(entryOf(nodes[0]).duplicate);
    }

    function test_WhatWasDisclosedInAnEarlierEpochStaysItsAuthors() public {
        openAll(1, 3);
        bytes32 old = artifact(nodes[0], 1);
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[1], task, old);
        commitSubmission(nodes[0], task, "new");
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[1], task, old);
        openSubmission(nodes[0], task, "new");
        assertTrue(entryOf(nodes[1]).duplicate, "also once its author replaced it");
        warpTo(3, Phase.Submit);
        commitSubmission(nodes[1], task, "own");
        commitSubmission(nodes[0], task, old);
        warpTo(3, Phase.Disclose);
        openSubmission(nodes[1], task, "own");
        openSubmission(nodes[0], task, old);
        assertFalse(entryOf(nodes[1]).duplicate, "what replaces a copy need not be one");
        assertFalse(entryOf(nodes[0]).duplicate, "an author comes back to its own");
    }

    function test_AnEvictedAuthorStaysTheAuthor() public {
        openAll(1, 3);
        withdrawAs(nodes[0]);
        warpTo(2, Phase.Submit);
        arena.evict(task, nodes[0]);
        bytes32 old = artifact(nodes[0], 1);
        commitSubmission(nodes[3], task, old);
        commitSubmission(nodes[0], task, old);
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[3], task, old);
        assertTrue(entryOf(nodes[3]).duplicate);
        vm.expectRevert(abi.encodeWithSelector(IArena.ListFull.selector, 3));
        openSubmission(nodes[0], task, old);
    }

    // ------------------------------------------------------------------ parts

    function commitSame() internal {
        warpTo(1, Phase.Submit);
        for (uint256 i = 0; i < 3; ++i) {
            commitSubmission(nodes[i], task, HASH);
        }
        warpTo(1, Phase.Disclose);
    }

    function commitAll(uint256 epoch) internal {
        warpTo(epoch, Phase.Submit);
        for (uint256 i = 0; i < nodes.length; ++i) {
            commitSubmission(nodes[i], task, artifact(nodes[i], epoch));
        }
    }

    function openAll(uint256 epoch, uint256 count) internal {
        commitAll(epoch);
        warpTo(epoch, Phase.Disclose);
        for (uint256 i = 0; i < count; ++i) {
            openSubmission(nodes[i], task, artifact(nodes[i], epoch));
        }
    }

    /// @dev One call alone, so that an expected revert meets no other.
    function commitAnything(address who) internal {
        vm.prank(who);
        arena.commitSubmission(task, HASH);
    }

    function withdrawAs(address node) internal {
        vm.prank(node);
        arena.withdrawSubmission(task);
    }

    function notEligible(address who, uint256 direct) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.NotEligible.selector, who, direct, 10e18));
        commitAnything(who);
    }

    function noCommitment(address who, uint256 epoch) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.NoCommitment.selector, who, epoch));
        openSubmission(who, task, artifact(who, 1));
    }

    function mismatch(address node, bytes32 expected, bytes32 contentHash, bytes32 salt) internal {
        bytes32 computed =
            keccak256(abi.encode(block.chainid, arena, task, vault.currentEpoch(), node, contentHash, salt));
        vm.expectRevert(abi.encodeWithSelector(IArena.CommitmentMismatch.selector, expected, computed));
        vm.prank(node);
        arena.openSubmission(task, contentHash, salt, "");
    }

    function expectPhase(Phase expected, Phase actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongPhase.selector, expected, actual));
    }
}
