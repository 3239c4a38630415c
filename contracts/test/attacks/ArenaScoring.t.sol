// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, Stage, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role} from "../../src/interfaces/IVault.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Referee} from "../base/Referee.sol";

/// @notice What validators may try: to copy, to choose after seeing, to report anything, to move the consensus, to make
/// laziness pay. One test for each attack, with what it gains.
contract ArenaScoringAttacks is Referee {
    uint256 private constant STAKE = 100e18;

    function start(uint256 nodeCount, uint256 validatorCount) internal {
        populate(defaultParams(), equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
        fundTask(task, 2000e18);
    }

    /// @dev To Commit, with the seed drawn.
    function startScoring(uint256 nodeCount, uint256 validatorCount) internal {
        start(nodeCount, validatorCount);
        submitAll(1, descendingScores(nodeCount));
        drawSeed(1);
        warpTo(1, Phase.Commit);
    }

    // ------------------------------------------------------------------ copying

    /// @notice A copied commitment cannot be opened, and whoever made it pays for not opening it.
    function test_attack_CopiedCommitment() public {
        startScoring(4, 3);
        commitScores(validators[0], honest(validators[0]));
        bytes memory scores = packed(sheets[task][validators[0]].scores);
        bytes32 copied = scoresCommitment(validators[0], SALT, scores);
        vm.prank(validators[1]);
        arena.commitScores(task, copied);
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        mismatch(validators[1], SALT, scores, Commitment.tagged(copied, 1));
        warpTo(1, Phase.Settle);
        settleAndCompare();
        assertEq(earned(validators[1]), 0);
        arena.reportUnrevealed(task, validators[1]);
        assertEq(directStake(validators[1], 2), STAKE - STAKE / 100);
    }

    /// @notice Last epoch's scores are public. Without fresh data nothing is scored again; with it they are worthless.
    function test_attack_ScoresOfTheLastEpoch() public {
        start(4, 3);
        submitAll(1, descendingScores(4));
        scoreHonestly(1);
        settleAndCompare();
        uint256 first = earned(validators[2]);
        // Fresh data moves every score, here by a third of the spread, so that what was true is not.
        for (uint256 i = 0; i < 4; ++i) {
            truth[artifact(nodes[i], 1)] += 34_000_000;
        }
        drawSeed(2);
        warpTo(2, Phase.Commit);
        commitScores(validators[0], honest(validators[0]));
        commitScores(validators[1], honest(validators[1]));
        uint32[] memory stale = honest(validators[2]);
        for (uint256 i = 0; i < 4; ++i) {
            stale[i] -= 34_000_000;
        }
        commitScores(validators[2], stale);
        warpTo(2, Phase.Reveal);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(validators[i]);
        }
        warpTo(2, Phase.Settle);
        settleAndCompare();
        assertEq(earned(validators[2]), first, "nothing for stale scores");
    }

    function test_attack_ScoresOfTheLastEpochWithoutFreshData() public {
        TaskParams memory p = defaultParams();
        p.freshData = false;
        populate(p, equalStakes(4, STAKE), equalStakes(3, STAKE));
        fundTask(task, 2000e18);
        submitAll(1, descendingScores(4));
        scoreHonestly(1);
        settleAndCompare();
        uint256 first = earned(validators[2]);
        drawSeed(2);
        assertEq(assigned(validators[2]), 0, "no answer is asked for that is known");
        warpTo(2, Phase.Commit);
        commitScores(validators[2], new uint32[](0));
        warpTo(2, Phase.Reveal);
        reveal(validators[2]);
        warpTo(2, Phase.Settle);
        settleAndCompare();
        assertEq(earned(validators[2]), first);
    }

    // ------------------------------------------------------------------ choosing after the others revealed

    function test_attack_OtherDataRevealed() public {
        startScoring(4, 3);
        address cheat = validators[0];
        commitScores(cheat, honest(cheat));
        bytes memory scores = packed(sheets[task][cheat].scores);
        bytes32 committed = Commitment.tagged(scoresCommitment(cheat, SALT, scores), 1);
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < scores.length; ++i) {
            bytes memory other = bytes.concat(scores);
            other[i] ^= 0x80;
            mismatch(cheat, SALT, other, committed);
        }
        mismatch(cheat, keccak256("another salt"), scores, committed);
        reveal(cheat);
    }

    /// @notice A part of a sheet, or the scores it would rather have given, open nothing: all is revealed, or nothing and
    /// the penalty is due.
    function test_attack_SelectiveReveal() public {
        startScoring(4, 3);
        address cheat = validators[0];
        commitScores(cheat, honest(cheat));
        uint32[] memory scores = sheets[task][cheat].scores;
        bytes32 committed = Commitment.tagged(scoresCommitment(cheat, SALT, packed(scores)), 1);
        warpTo(1, Phase.Reveal);
        for (uint256 hidden = 1; hidden < 16; ++hidden) {
            uint32[] memory abstaining = sheets[task][cheat].scores;
            for (uint256 i = 0; i < 4; ++i) {
                if (hidden >> i & 1 == 1) abstaining[i] = ABSTAIN;
            }
            mismatch(cheat, SALT, packed(abstaining), committed);
        }
        for (uint256 length = 0; length < 4; ++length) {
            uint32[] memory shorter = new uint32[](length);
            for (uint256 i = 0; i < length; ++i) {
                shorter[i] = scores[i];
            }
            mismatch(cheat, SALT, packed(shorter), committed);
        }
        warpTo(1, Phase.Settle);
        arena.reportUnrevealed(task, cheat);
        assertEq(vault.slashed(), STAKE / 100);
    }

    /// @notice Committed in this form, a list that is too long, too short or out of range is never counted.
    function test_attack_MalformedLists() public {
        startScoring(4, 3);
        uint256 snapshot = vm.snapshotState();
        uint32[4] memory right = [uint32(1), 2, 3, 4];
        for (uint256 length = 0; length < 8; ++length) {
            if (length == 4) continue;
            uint32[] memory list = new uint32[](length);
            for (uint256 i = 0; i < length; ++i) {
                list[i] = right[i % 4];
            }
            refusedReveal(packed(list), abi.encodeWithSelector(IArena.ScoresLength.selector, 16, 4 * length));
            vm.revertToState(snapshot);
        }
        for (uint256 i = 0; i < 4; ++i) {
            uint32[] memory list = new uint32[](4);
            list[i] = [uint32(1_000_000_001), type(uint32).max - 1, 1 << 31, 3e9][i];
            refusedReveal(packed(list), abi.encodeWithSelector(IArena.IllegalScore.selector, list[i]));
            vm.revertToState(snapshot);
        }
        refusedReveal(new bytes(15), abi.encodeWithSelector(IArena.ScoresLength.selector, 16, 15));
    }

    /// @notice Scores have no labels: in another order they are scores of other submissions, and mostly wrong.
    function test_attack_UnsortedList() public {
        startScoring(4, 3);
        uint32[] memory sorted = descendingScores(4);
        address[] memory mine = drawn(validators[0]);
        assertTrue(keccak256(abi.encode(mine)) != keccak256(abi.encode(nodes)), "the draw has another order");
        commitScores(validators[0], sorted);
        commitScores(validators[1], honest(validators[1]));
        commitScores(validators[2], honest(validators[2]));
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 3; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        settleAndCompare();
        assertLe(earned(validators[0]) * 2, earned(validators[1]), "two of four are at their places");
    }

    // ------------------------------------------------------------------ moving the consensus

    /// @notice A tenth of the stake is a tenth of the weight on every submission, however few the others score (M-7).
    function test_attack_ATenthOfTheStakeAmongAThousand() public {
        TaskParams memory p = defaultParams();
        p.minValidatorStake = 1;
        uint256[] memory stakes = equalStakes(1001, 0.9e18);
        stakes[0] = 100e18;
        populate(p, equalStakes(10, STAKE), stakes);
        fundTask(task, 2000e18);
        submitAll(1, descendingScores(10));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        assertEq(assigned(validators[0]), 10, "it scores all");
        assertEq(assigned(validators[1]), 1, "and the others one each");
        commitScores(validators[0], constant_(validators[0], 1));
        for (uint256 i = 1; i < validators.length; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < validators.length; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        for (uint256 i = 0; i < 10; ++i) {
            Vote[] memory cast = votesFor(nodes[i]);
            assertLt(cast[0].weight * 5, weightOf(cast), "less than a fifth of what was revealed");
        }
        tallyInBatches(1);
        for (uint256 i = 0; i < 10; ++i) {
            assertEq(entryOf(nodes[i]).consensus, descendingScores(10)[i]);
        }
        arena.rank(task, nodes);
        payInBatches(200);
        assertTrue(stage() == Stage.Idle);
        assertEq(earned(validators[0]), 0, "it earns nothing for the attempt");
    }

    /// @notice A node that shows its artifact to friends alone makes the others abstain. Without a third of the stake its
    /// submission has no quorum; and who abstains loses nothing but that one score.
    function test_attack_SelectiveServing() public {
        startScoring(4, 10);
        uint256 snapshot = vm.snapshotState();
        playSelectiveServing(3);
        assertFalse(entryOf(nodes[0]).scored, "three of ten are too few");
        assertEq(earned(nodes[0]), 0);
        // The friends have scored one more that does not count: the same as the others.
        assertEq(earned(validators[0]), earned(validators[9]));
        vm.revertToState(snapshot);
        playSelectiveServing(4);
        assertTrue(entryOf(nodes[0]).scored, "stated: a third of the stake can do it");
    }

    function playSelectiveServing(uint256 friends) internal {
        for (uint256 i = 0; i < 10; ++i) {
            uint32[] memory scores = honest(validators[i]);
            address[] memory mine = drawn(validators[i]);
            for (uint256 j = 0; j < mine.length; ++j) {
                if (mine[j] == nodes[0]) scores[j] = i < friends ? 1_000_000_000 : ABSTAIN;
            }
            commitScores(validators[i], scores);
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 10; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        settleAndCompare();
    }

    // ------------------------------------------------------------------ laziness

    /// @notice The wider the spread, the cheaper an error. Decoys with bad scores move it between honest scores; to move it
    /// out of their range they need a quarter of the ranked stake, and then they cost what that stake would earn.
    function test_attack_DecoysThatWidenTheSpread() public {
        assertEq(spreadWithDecoys(0), 60_000_000);
        assertEq(spreadWithDecoys(3), 80_000_000, "a fifth: still between honest scores");
        assertGt(spreadWithDecoys(5), 600_000_000, "stated: a quarter of the ranked stake does more");
    }

    /// @dev Twelve honest nodes from 900 million down in steps of 10 million, and so many decoys with a score of 1.
    function spreadWithDecoys(uint256 decoys) internal returns (uint256) {
        delete nodes;
        delete validators;
        uint256 epoch = vault.currentEpoch() + 1;
        start(12 + decoys, 2);
        uint32[] memory scores = descendingScores(12 + decoys, 10_000_000);
        for (uint256 i = 12; i < 12 + decoys; ++i) {
            scores[i] = 1;
        }
        submitAll(epoch, scores);
        scoreHonestly(epoch);
        settleAndCompare();
        return arena.flightOf(task).upperScore - arena.flightOf(task).lowerScore;
    }

    /// @notice A constant report, whichever, is worth little where submissions differ.
    function test_attack_ConstantReports() public {
        start(12, 5);
        submitAll(1, descendingScores(12, 10_000_000));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        // The median of all, the best a lazy one could guess.
        commitScores(validators[0], constant_(validators[0], 845_000_000));
        for (uint256 i = 1; i < 5; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 5; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
        settleAndCompare();
        assertLt(earned(validators[0]) * 5, earned(validators[1]), "less than a fifth");
    }

    // ------------------------------------------------------------------ parts

    function mismatch(address who, bytes32 salt, bytes memory scores, bytes32 committed) internal {
        bytes32 computed = Commitment.tagged(scoresCommitment(who, salt, scores), uint32(draw.epoch));
        vm.expectRevert(abi.encodeWithSelector(IArena.CommitmentMismatch.selector, committed, computed));
        vm.prank(who);
        arena.revealScores(task, salt, scores);
    }

    function refusedReveal(bytes memory scores, bytes memory reason) internal {
        bytes32 commitment = scoresCommitment(validators[0], SALT, scores);
        vm.prank(validators[0]);
        arena.commitScores(task, commitment);
        warpTo(1, Phase.Reveal);
        vm.expectRevert(reason);
        vm.prank(validators[0]);
        arena.revealScores(task, SALT, scores);
        assertEq(arena.flightOf(task).revealers, 0);
    }
}
