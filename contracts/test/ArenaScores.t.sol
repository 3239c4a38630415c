// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, Stage} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {Commitment} from "../src/libraries/Commitment.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice The seed, the commitments to scores, and their reveals (M-9, M-10).
contract ArenaScoresTest is EpochFixture {
    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(3, 100e18), equalStakes(3, 100e18));
        fundTask(task, 1000e18, 200e18);
    }

    // ------------------------------------------------------------------ seed

    function test_TheSeedFixesListAndBudget() public {
        submitAll(1, descendingScores(3));
        drawSeed(1);
        (uint32 epoch, Stage stage_, bytes32 seed) = arena.flightOf(task);
        assertEq(epoch, 1);
        assertTrue(stage_ == Stage.Scoring);
        bytes32 randomness = keccak256(abi.encode("randomness", uint256(1)));
        assertEq(seed, keccak256(abi.encode(uint256(randomness), block.chainid, arena, task, 1)));
        assertEq(draw.entries, 3);
        assertEq(draw.listed, 3);
        assertEq(draw.validatorStake, 300e18);
        // 100 of emission and 200/20 of bounty; equal direct stakes share it equally (M-3).
        assertEq(draw.nodeBudget, 55e18);
        assertEq(draw.validatorBudget, 55e18);
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
        uint256 latest = GENESIS + 700;
        vm.warp(latest);
        vm.expectRevert(abi.encodeWithSelector(IArena.SeedTooLate.selector, latest));
        arena.drawSeed(task);
        vm.warp(latest - 1);
        arena.drawSeed(task);
    }

    function test_TheSeedIsNeverRedrawn() public {
        submitAll(1, descendingScores(3));
        scoreHonestly(1);
        warpTo(1, Phase.Commit);
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
        startScoring(1);
        commitScores(validators[0], honest(validators[0]));
        bytes memory notInFlight = abi.encodeWithSelector(IArena.NotInFlight.selector, task, 2);
        warpTo(2, Phase.Commit);
        vm.expectRevert(notInFlight);
        commitAnything(validators[0]);
        warpTo(2, Phase.Reveal);
        vm.expectRevert(notInFlight);
        revealAs(validators[0], sheets[validators[0]].root, 0, packed(sheets[validators[0]].scores, 0));
    }

    // ------------------------------------------------------------------ reveals

    function test_RevealsAreEvents() public {
        startReveal(1);
        bytes memory scores = packed(sheets[validators[1]].scores, 0);
        vm.expectEmit(address(arena));
        emit IArena.ScoresRevealed(task, 1, validators[1], 0, SALT, sheets[validators[1]].root, scores);
        reveal(validators[1]);
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

    function test_AChunkIsRevealedOnce() public {
        startReveal(1);
        reveal(validators[0]);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.ChunkRevealed.selector, validators[0], 0));
    }

    function test_NothingIsRevealedWithoutCommitment() public {
        startScoring(1);
        warpTo(1, Phase.Reveal);
        failedReveal(validators[0], abi.encodeWithSelector(IArena.NoCommitment.selector, validators[0], 1));
    }

    function test_RevealsMatchTheCommitment() public {
        startReveal(1);
        address v = validators[0];
        bytes memory scores = packed(sheets[v].scores, 0);
        bytes32 committed = tagged(v, SALT, sheets[v].root);

        bytes32 otherRoot = keccak256("other root");
        expectMismatch(committed, tagged(v, SALT, otherRoot));
        revealAs(v, otherRoot, 0, scores);

        expectMismatch(committed, tagged(v, keccak256("pepper"), sheets[v].root));
        vm.prank(v);
        arena.revealScores(task, keccak256("pepper"), sheets[v].root, 0, scores, new bytes32[](0));
    }

    function test_ACopiedCommitmentCannotBeRevealed() public {
        startScoring(1);
        address copier = validators[1];
        commitScores(validators[0], honest(validators[0]));
        bytes32 root = sheets[validators[0]].root;
        bytes32 copied = Commitment.scores(block.chainid, address(arena), task, 1, validators[0], SALT, root);
        vm.prank(copier);
        arena.commitScores(task, copied);
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        expectMismatch(Commitment.tagged(copied, 1), tagged(copier, SALT, root));
        revealAs(copier, root, 0, packed(sheets[validators[0]].scores, 0));
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

    function test_ScoresAreThoseThatWereCommitted() public {
        startReveal(1);
        address v = validators[0];
        uint32[] memory scores = sheets[v].scores;
        scores[1] += 1;
        bytes memory changed = packed(scores, 0);
        bytes32 leaf = leavesOf(sheets[v].entries, scores)[0];
        vm.expectRevert(abi.encodeWithSelector(IArena.ProofInvalid.selector, sheets[v].root, leaf));
        revealAs(v, sheets[v].root, 0, changed);

        bytes32 right = leavesOf(sheets[v].entries, sheets[v].scores)[0];
        bytes32[] memory proof = new bytes32[](1);
        vm.expectRevert(abi.encodeWithSelector(IArena.ProofInvalid.selector, sheets[v].root, right));
        vm.prank(v);
        arena.revealScores(task, SALT, sheets[v].root, 0, packed(sheets[v].scores, 0), proof);
    }

    /// A root over many sheets for one chunk opens to none of them: its owner may not choose after the others revealed.
    function test_OneCommitmentHoldsOneSheet() public {
        submitAll(1, descendingScores(3));
        drawSeed(1);
        address cheat = validators[0];
        uint256[] memory entries = drawn(cheat);
        bytes32[] memory leaves = new bytes32[](8);
        uint32[][] memory choices = new uint32[][](8);
        for (uint256 i = 0; i < 8; ++i) {
            choices[i] = new uint32[](entries.length);
            for (uint256 j = 0; j < entries.length; ++j) {
                choices[i][j] = uint32(1 + i);
            }
            leaves[i] = leavesOf(entries, choices[i])[0];
        }
        bytes32 root = rootOf(leaves);
        warpTo(1, Phase.Commit);
        vm.prank(cheat);
        arena.commitScores(task, Commitment.scores(block.chainid, address(arena), task, 1, cheat, SALT, root));
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 8; ++i) {
            bytes memory scores = packed(choices[i], 0);
            bytes32[] memory proof = proofOf(leaves, i);
            vm.expectRevert(abi.encodeWithSelector(IArena.ProofInvalid.selector, root, leaves[i]));
            vm.prank(cheat);
            arena.revealScores(task, SALT, root, 0, scores, proof);
        }
    }

    function test_AChunkIsWhole() public {
        startReveal(1);
        uint256[5] memory lengths = [uint256(0), 4, 11, 13, 16];
        for (uint256 i = 0; i < lengths.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IArena.ChunkLength.selector, 12, lengths[i]));
            revealAs(validators[0], sheets[validators[0]].root, 0, new bytes(lengths[i]));
        }
    }

    function test_ThereAreOnlySoManyChunks() public {
        startReveal(1);
        uint256[5] memory chunks = [uint256(1), 16, 255, 256, type(uint256).max];
        for (uint256 i = 0; i < chunks.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchChunk.selector, chunks[i], 1));
            revealAs(validators[0], sheets[validators[0]].root, chunks[i], new bytes(12));
        }
    }

    function test_ScoresAreInRange() public {
        uint32[3] memory illegal = [uint32(1_000_000_001), 2_000_000_000, type(uint32).max - 1];
        startScoring(1);
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; i < illegal.length; ++i) {
            commitScores(validators[0], constant_(validators[0], illegal[i]));
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
    function revealAs(address who, bytes32 root, uint256 chunk, bytes memory scores) internal {
        vm.prank(who);
        arena.revealScores(task, SALT, root, chunk, scores, new bytes32[](0));
    }

    function failedReveal(address who, bytes memory reason) internal {
        bytes memory scores = sheets[who].scores.length == 0 ? new bytes(12) : packed(sheets[who].scores, 0);
        bytes32 root = sheets[who].root;
        vm.expectRevert(reason);
        revealAs(who, root, 0, scores);
    }

    function notEligible(address who, uint256 direct) internal {
        uint256 snapshot = vm.snapshotState();
        bytes32 commitment = Commitment.scores(block.chainid, address(arena), task, 1, who, SALT, 0);
        vm.prank(who);
        arena.commitScores(task, commitment);
        warpTo(1, Phase.Reveal);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotEligible.selector, who, direct, 10e18));
        revealAs(who, 0, 0, new bytes(12));
        vm.revertToState(snapshot);
    }

    function tagged(address validator, bytes32 salt, bytes32 root) internal view returns (bytes32) {
        return Commitment.tagged(
            Commitment.scores(block.chainid, address(arena), task, draw.epoch, validator, salt, root),
            uint32(draw.epoch)
        );
    }

    function expectMismatch(bytes32 expected, bytes32 computed) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.CommitmentMismatch.selector, expected, computed));
    }
}
