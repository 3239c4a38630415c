// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Flight, IArena, Phase, Stage} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {Assignment} from "../src/libraries/Assignment.sol";
import {Commitment} from "../src/libraries/Commitment.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice The seed, the commitments to scores, and their reveals (M-9, M-10).
contract ArenaScoresTest is EpochFixture {
    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(3, 100e18), equalStakes(3, 100e18));
        fundTask(task, 2200e18);
    }

    // ------------------------------------------------------------------ seed

    function test_TheSeedFixesListAndBudget() public {
        submitAll(1, descendingScores(3));
        drawSeed(1);
        Flight memory f = arena.flightOf(task);
        assertEq(f.epoch, 1);
        assertEq(f.previousEpoch, 0);
        assertEq(f.draws, 1);
        assertTrue(f.stage == Stage.Scoring);
        assertEq(draw.entries, 3);
        assertEq(draw.listed, 3);
        assertEq(draw.validatorStake, 300e18);
        // A twentieth of the bounty; equal direct stakes share it equally (M-3).
        assertEq(draw.nodeBudget, 55e18);
        assertEq(draw.validatorBudget, 55e18);
    }

    function test_TheDrawIsAnEvent() public {
        submitAll(1, descendingScores(3));
        warpTo(1, Phase.Seed);
        vm.prevrandao(bytes32(uint256(7)));
        bytes32 seed = Assignment.seed(7, block.chainid, address(arena), task, 1, historyOfAll(1));
        vm.expectEmit(address(arena));
        emit IArena.SeedDrawn(task, 1, seed, 3, 3, 300e18, 55e18, 55e18);
        assertEq(arena.drawSeed(task), seed);
    }

    /// @notice The same randomness, nodes and places, and another seed: it is one of the list's history (M-9).
    function test_TheSeedBindsTheHistory() public {
        submitAll(1, descendingScores(3));
        uint256 snapshot = vm.snapshotState();
        bytes32 seed = seedOf(1);
        vm.revertToState(snapshot);
        assertEq(seedOf(1), seed, "nothing else decides it");
        vm.revertToState(snapshot);
        scoreHonestly(1);
        settle();

        // One submission is replaced by another artifact, or by the same one again; or none is.
        snapshot = vm.snapshotState();
        bytes32 unchanged = seedOf(2);
        assertEq(unchanged, expectedSeed(2, historyOfAll(1)));
        vm.revertToState(snapshot);
        bytes32 other = seedAfterReplacing("other");
        vm.revertToState(snapshot);
        bytes32 same = seedAfterReplacing(artifact(nodes[0], 1));
        assertNotEq(other, unchanged);
        assertNotEq(same, unchanged);
        assertNotEq(same, other);
    }

    function test_TheSeedBindsEvictions() public {
        submitAll(1, descendingScores(3));
        vm.prank(nodes[2]);
        arena.withdrawSubmission(task);
        warpTo(2, Phase.Submit);
        arena.evict(task, nodes[2]);
        bytes32 history = Assignment.listDigest(historyOfAll(1), nodes[2], 0, 0);
        assertEq(seedOf(2), expectedSeed(2, history));
    }

    function seedAfterReplacing(bytes32 contentHash) internal returns (bytes32) {
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[0], task, contentHash);
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[0], task, contentHash);
        bytes32 seed = seedOf(2);
        assertEq(seed, expectedSeed(2, Assignment.listDigest(historyOfAll(1), nodes[0], contentHash, 4)));
        return seed;
    }

    /// @dev The seed that the same randomness gives.
    function seedOf(uint256 epoch) internal returns (bytes32) {
        warpTo(epoch, Phase.Seed);
        vm.prevrandao(bytes32(uint256(7)));
        return arena.drawSeed(task);
    }

    function expectedSeed(uint256 epoch, bytes32 history) internal view returns (bytes32) {
        return Assignment.seed(7, block.chainid, address(arena), task, epoch, history);
    }

    /// @dev All nodes opened in their order, and nothing else happened to the list.
    function historyOfAll(uint256 epoch) internal view returns (bytes32 history) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            history = Assignment.listDigest(history, nodes[i], artifact(nodes[i], epoch), i + 1);
        }
    }

    function test_TheBudgetFollowsTheDirectStakes() public {
        stakeAs(makeAddr("big"), task, Role.Node, 300e18);
        delegateTo(stranger, task, validators[0], 1000e18);
        submitAll(1, descendingScores(3));
        drawSeed(1);
        // Dn = 600, Dv = 300: 0.25 + 0.5 · 600/900 of 110; delegation changes V but not this.
        assertEq(draw.nodeBudget, uint256(110e18) * 7 / 12);
        assertEq(draw.nodeBudget + draw.validatorBudget, 110e18);
        assertEq(draw.validatorStake, 1300e18);
    }

    function test_TheSeedIsDrawnInItsTime() public {
        submitAll(1, descendingScores(3));
        uint256 earliest = GENESIS + 420;
        vm.warp(earliest - 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.SeedTooEarly.selector, earliest));
        arena.drawSeed(task);
        uint256 latest = GENESIS + 500;
        vm.warp(latest);
        vm.expectRevert(abi.encodeWithSelector(IArena.SeedTooLate.selector, latest));
        arena.drawSeed(task);
        vm.warp(latest - 1);
        arena.drawSeed(task);
    }

    function test_TheSeedIsNeverRedrawn() public {
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        warpTo(1, Phase.Seed);
        bytes memory drawnAlready = abi.encodeWithSelector(IArena.SeedAlreadyDrawn.selector, task, 1);
        vm.expectRevert(drawnAlready);
        arena.drawSeed(task);
        warpTo(2, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.EpochInFlight.selector, task, 1));
        arena.drawSeed(task);
        settle();
        drawSeed(2);
    }

    function test_NoSeedWithoutSubmissionsOrValidators() public {
        warpTo(1, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.NothingToScore.selector, task));
        arena.drawSeed(task);
        for (uint256 i = 0; i < validators.length; ++i) {
            vm.prank(validators[i]);
            vault.unstake(task, uint96(90e18 + 1));
        }
        submitAll(2, descendingScores(3));
        warpTo(2, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.NoValidators.selector, task));
        arena.drawSeed(task);
    }

    function test_NoSeedOutsideOfTheTasksLife() public {
        warpTo(21, Phase.Seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, task, 21));
        arena.drawSeed(task);
        uint256 other = createTask(defaultParams());
        vm.expectRevert(abi.encodeWithSelector(IArena.TaskNotRunning.selector, other, 21));
        arena.drawSeed(other);
    }

    // ------------------------------------------------------------------ commitments

    function test_ScoresAreCommittedOncePerEpoch() public {
        startScoring(1);
        vm.expectEmit(address(arena));
        emit IArena.ScoresCommitted(task, 1, validators[0], keccak256("scores"));
        commitAnything(validators[0]);
        vm.expectRevert(abi.encodeWithSelector(IArena.AlreadyCommitted.selector, validators[0], 1));
        commitAnything(validators[0]);
    }

    function test_ScoresAreCommittedInCommit() public {
        startScoring(1);
        for (uint256 phase = 0; phase < 6; ++phase) {
            if (Phase(phase) == Phase.Commit) continue;
            warpTo(1, Phase(phase));
            vm.expectRevert(abi.encodeWithSelector(IArena.WrongPhase.selector, Phase.Commit, Phase(phase)));
            commitAnything(validators[0]);
        }
    }

    function test_ScoresNeedASeedOfTheirEpoch() public {
        startReveal(1);
        warpTo(2, Phase.Commit);
        // The commitment itself reads nothing, and leads to nothing.
        commitAnything(validators[0]);
        warpTo(2, Phase.Reveal);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.NotInFlight.selector, task, 2));
    }

    // ------------------------------------------------------------------ reveals

    function test_RevealsAreEvents() public {
        startReveal(1);
        bytes memory scores = packed(sheets[task][validators[1]].scores);
        vm.expectEmit(address(arena));
        emit IArena.ScoresRevealed(task, 1, validators[1], SALT, scores);
        reveal(validators[1]);
        assertEq(arena.flightOf(task).revealers, 1);
        assertEq(arena.flightOf(task).revealed, 3);
    }

    function test_AbstentionsAreNotCountedAsRevealed() public {
        startScoring(1);
        uint32[] memory scores = honest(validators[0]);
        scores[1] = ABSTAIN;
        commitScores(validators[0], scores);
        commitScores(validators[1], constant_(validators[1], ABSTAIN));
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        reveal(validators[1]);
        assertEq(arena.flightOf(task).revealers, 2);
        assertEq(arena.flightOf(task).revealed, 2);
    }

    function test_ScoresAreRevealedInReveal() public {
        startReveal(1);
        for (uint256 phase = 0; phase < 6; ++phase) {
            if (Phase(phase) == Phase.Reveal) continue;
            warpTo(1, Phase(phase));
            failedReveal(
                validators[0], abi.encodeWithSelector(IArena.WrongPhase.selector, Phase.Reveal, Phase(phase))
            );
        }
    }

    function test_ASheetIsRevealedOnce() public {
        startReveal(1);
        reveal(validators[0]);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.NoCommitment.selector, validators[0], 1));
    }

    function test_NothingIsRevealedWithoutCommitment() public {
        startScoring(1);
        warpTo(1, Phase.Reveal);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.NoCommitment.selector, validators[0], 1));
    }

    /// @notice It would look like one that was revealed already, and so escape both reports of M-12.
    function test_AnEmptyCommitmentIsRefused() public {
        startScoring(1);
        bytes32[3] memory empty = [bytes32(0), bytes32(uint256(1)), bytes32(uint256(type(uint32).max))];
        for (uint256 i = 0; i < empty.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IArena.BadParameter.selector, bytes32("commitment")));
            vm.prank(validators[0]);
            arena.commitScores(task, empty[i]);
        }
        vm.prank(validators[0]);
        arena.commitScores(task, bytes32(uint256(1) << 32));
    }

    function test_RevealsMatchTheCommitment() public {
        startReveal(1);
        address v = validators[0];
        bytes memory scores = packed(sheets[task][v].scores);
        bytes32 committed = tagged(v, SALT, scores);
        expectMismatch(committed, tagged(v, "pepper", scores));
        vm.prank(v);
        arena.revealScores(task, "pepper", scores);

        for (uint256 i = 0; i < scores.length; ++i) {
            bytes memory changed = packed(sheets[task][v].scores);
            changed[i] ^= 0x01;
            expectMismatch(committed, tagged(v, SALT, changed));
            revealAs(v, changed);
        }
    }

    function test_ACommitmentOfAnotherEpochIsWorthless() public {
        startReveal(1);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        settle();
        drawSeed(2);
        warpTo(2, Phase.Reveal);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.NoCommitment.selector, validators[0], 2));
    }

    function test_ASheetIsWhole() public {
        uint256[6] memory lengths = [uint256(0), 4, 11, 13, 16, 4096];
        startScoring(1);
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; i < lengths.length; ++i) {
            bytes memory scores = new bytes(lengths[i]);
            bytes32 commitment = scoresCommitment(validators[0], SALT, scores);
            vm.prank(validators[0]);
            arena.commitScores(task, commitment);
            warpTo(1, Phase.Reveal);
            vm.expectRevert(abi.encodeWithSelector(IArena.ScoresLength.selector, 12, lengths[i]));
            revealAs(validators[0], scores);
            vm.revertToState(snapshot);
        }
    }

    function test_ScoresAreInRange() public {
        uint32[3] memory illegal = [uint32(1_000_000_001), 2_000_000_000, type(uint32).max - 1];
        startScoring(1);
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; i < illegal.length; ++i) {
            uint32[] memory scores = honest(validators[0]);
            scores[i] = illegal[i];
            commitScores(validators[0], scores);
            warpTo(1, Phase.Reveal);
            failedReveal(validators[0], abi.encodeWithSelector(IArena.IllegalScore.selector, illegal[i]));
            vm.revertToState(snapshot);
        }
        uint32[4] memory legal = [uint32(0), 1, 1_000_000_000, ABSTAIN];
        for (uint256 i = 0; i < legal.length; ++i) {
            commitScores(validators[0], constant_(validators[0], legal[i]));
            warpTo(1, Phase.Reveal);
            reveal(validators[0]);
            vm.revertToState(snapshot);
        }
    }

    function test_OnlyValidatorsWithTheLeastStakeReveal() public {
        stakeAs(stranger, task, Role.Validator, 10e18 - 1);
        startScoring(1);
        notEligible(nodes[0], 0);
        notEligible(stranger, 10e18 - 1);
        notEligible(creator, 0);
    }

    function test_StakeThatLeavesInTheEpochStillCounts() public {
        startReveal(1);
        vm.prank(validators[0]);
        vault.unstake(task, uint96(100e18));
        reveal(validators[0]);
        reveal(validators[1]);
        reveal(validators[2]);
        warpTo(1, Phase.Settle);
        settle();
        assertEq(
            vault.claimable(task, validators[0], validators[0]),
            vault.claimable(task, validators[1], validators[1])
        );
    }

    // ------------------------------------------------------------------ parts

    function startScoring(uint256 epoch) internal {
        submitAll(epoch, descendingScores(3));
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
    }

    function startReveal(uint256 epoch) internal {
        startScoring(epoch);
        for (uint256 i = 0; i < validators.length; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(epoch, Phase.Reveal);
    }

    function commitAnything(address who) internal {
        vm.prank(who);
        arena.commitScores(task, keccak256("scores"));
    }

    /// @dev One call alone, so that an expected revert meets no other.
    function revealAs(address who, bytes memory scores) internal {
        vm.prank(who);
        arena.revealScores(task, SALT, scores);
    }

    function failedReveal(address who, bytes memory reason) internal {
        bytes memory scores = packed(sheets[task][who].scores);
        vm.expectRevert(reason);
        revealAs(who, scores);
    }

    function notEligible(address who, uint256 direct) internal {
        uint256 snapshot = vm.snapshotState();
        bytes32 commitment = scoresCommitment(who, SALT, new bytes(12));
        vm.prank(who);
        arena.commitScores(task, commitment);
        warpTo(1, Phase.Reveal);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotEligible.selector, who, direct, 10e18));
        revealAs(who, new bytes(12));
        vm.revertToState(snapshot);
    }

    function tagged(address validator, bytes32 salt, bytes memory scores) internal view returns (bytes32) {
        return Commitment.tagged(scoresCommitment(validator, salt, scores), uint32(draw.epoch));
    }

    function expectMismatch(bytes32 expected, bytes32 computed) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.CommitmentMismatch.selector, expected, computed));
    }
}
