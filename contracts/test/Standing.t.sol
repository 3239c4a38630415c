// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, Phase, Stage, TaskParams} from "../src/interfaces/IArena.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Tasks without fresh data: an unchanged submission keeps its score, only what waits is scored (M-9).
contract StandingTest is EpochFixture {
    uint256 private constant STAKE = 100e18;

    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.freshData = false;
        populate(p, equalStakes(5, STAKE), equalStakes(3, STAKE));
        fundTask(task, 2000e18, 0);
    }

    function test_UnchangedSubmissionsKeepTheirScores() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        assertEq(draw.listed, 5);
        settle();
        uint256 first = earned(nodes[0]);
        uint256 validator = earned(validators[0]);
        assertGt(validator, 0);

        drawSeed(2);
        assertEq(draw.listed, 0);
        warpTo(2, Phase.Commit);
        commitScores(validators[0], new uint32[](0));
        warpTo(2, Phase.Reveal);
        bytes32 root = sheets[validators[0]].root;
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchChunk.selector, 0, 0));
        vm.prank(validators[0]);
        arena.revealScores(task, SALT, root, 0, "", new bytes32[](0));
        warpTo(2, Phase.Settle);
        settle();
        assertTrue(stage() == Stage.Idle);
        assertEq(earned(nodes[0]), 2 * first, "ranked by the score that stands");
        assertEq(earned(validators[0]), validator, "nothing was scored");
    }

    function test_OnlyWhatIsNewIsScored() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        replace(2, 2, 950_000_000);
        scoreHonestly(2);
        assertEq(draw.listed, 1);
        assertEq(draw.list[0], 2);
        settle();
        assertEq(arena.entryAt(task, 2).rank, 1);
        assertEq(arena.entryAt(task, 0).rank, 2);
    }

    function test_AMedianForAStandingScoreIsRefused() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        drawSeed(2);
        warpTo(2, Phase.Settle);
        uint32[] memory medians = new uint32[](5);
        medians[3] = descendingScores(5)[3];
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, 3, medians[3]));
        arena.tally(task, 0, medians);
        arena.tally(task, 0, new uint32[](5));
        assertTrue(stage() == Stage.Ranking);
    }

    function test_WithoutQuorumASubmissionWaitsOn() public {
        submitAll(1, descendingScores(5));
        drawSeed(1);
        warpTo(1, Phase.Settle);
        settle();
        assertEq(earned(nodes[0]), 0);
        scoreHonestly(2);
        assertEq(draw.listed, 5);
        settle();
        assertGt(earned(nodes[0]), 0);
    }

    /// forge-config: default.fuzz.runs = 128
    /// @notice Whatever is replaced, evicted or left without quorum, the queue holds exactly what waits, once each.
    function testFuzz_TheQueueHoldsWhatWaits(uint256 random) public {
        bool[] memory withdrawn = new bool[](5);
        for (uint256 epoch = 1; epoch < 7; ++epoch) {
            warpTo(epoch, Phase.Submit);
            for (uint256 i = 0; i < 5; ++i) {
                random = uint256(keccak256(abi.encode(random)));
                if (withdrawn[i] && random % 3 == 0) {
                    arena.evict(task, nodes[i]);
                    withdrawn[i] = false;
                }
            }
            for (uint256 i = 0; i < 5; ++i) {
                random = uint256(keccak256(abi.encode(random)));
                if (random % 2 == 0) {
                    replace(epoch, i, uint32(random % 1_000_000_000));
                    withdrawn[i] = false;
                } else if (stands(nodes[i]) && !withdrawn[i] && random % 3 == 0) {
                    vm.prank(nodes[i]);
                    arena.withdrawSubmission(task);
                    withdrawn[i] = true;
                }
                assertQueue();
            }
            if (arena.entryCount(task) == 0) continue;
            drawSeed(epoch);
            playScores(epoch, random % 4);
            settle();
            assertQueue();
            assertScoredOrWaiting();
            assertSolvent();
        }
    }

    // ------------------------------------------------------------------ parts

    /// @dev None, one, two or all three validators reveal; one of three is a quorum.
    function playScores(uint256 epoch, uint256 count) internal {
        if (draw.listed != 0) {
            warpTo(epoch, Phase.Commit);
            for (uint256 i = 0; i < count && i < 3; ++i) {
                commitScores(validators[i], honest(validators[i]));
            }
            warpTo(epoch, Phase.Reveal);
            for (uint256 i = 0; i < count && i < 3; ++i) {
                reveal(validators[i]);
            }
        }
        warpTo(epoch, Phase.Settle);
    }

    /// @dev Commits and opens a new artifact, and returns to Submit for whoever comes next.
    function replace(uint256 epoch, uint256 node, uint32 score) internal {
        bytes32 contentHash = artifact(nodes[node], epoch);
        truth[contentHash] = score;
        warpTo(epoch, Phase.Submit);
        commitSubmission(nodes[node], task, contentHash);
        warpTo(epoch, Phase.Disclose);
        openSubmission(nodes[node], task, contentHash);
        warpTo(epoch, Phase.Submit);
    }

    function stands(address node) internal view returns (bool) {
        for (uint256 i = 0; i < arena.entryCount(task); ++i) {
            if (arena.entryAt(task, i).node == node) return true;
        }
        return false;
    }

    function assertQueue() internal view {
        uint256[] memory list = waiting();
        for (uint256 i = 0; i < arena.entryCount(task); ++i) {
            Entry memory entry = arena.entryAt(task, i);
            if (entry.queued) assertEq(list[entry.queuePosition], i, "one place each");
        }
    }

    function assertScoredOrWaiting() internal view {
        for (uint256 i = 0; i < arena.entryCount(task); ++i) {
            Entry memory entry = arena.entryAt(task, i);
            assertTrue(entry.queued != entry.scored, "scored, or waiting");
        }
    }

    function earned(address operator) internal view returns (uint256) {
        return vault.claimable(task, operator, operator);
    }
}
