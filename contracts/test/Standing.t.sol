// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, Stage, Tally, TaskParams} from "../src/interfaces/IArena.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Tasks without fresh data: an unchanged submission keeps its score, only what waits is scored (M-9).
contract StandingTest is EpochFixture {
    uint256 private constant STAKE = 100e18;

    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.freshData = false;
        populate(p, equalStakes(5, STAKE), equalStakes(3, STAKE));
        fundTask(task, 2000e18);
    }

    function test_UnchangedSubmissionsKeepTheirScores() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        assertEq(draw.listed, 5);
        settle();
        (uint256 first, uint256 firstBudget) = (earned(nodes[0]), draw.nodeBudget);
        uint256 validator = earned(validators[0]);
        assertGt(validator, 0);

        drawSeed(2);
        assertEq(draw.listed, 0);
        warpTo(2, Phase.Commit);
        // Who reveals that it scored nothing, is paid nothing.
        commitScores(validators[0], new uint32[](0));
        warpTo(2, Phase.Reveal);
        reveal(validators[0]);
        warpTo(2, Phase.Settle);
        settle();
        assertTrue(stage() == Stage.Idle);
        uint256 share = first * draw.nodeBudget / firstBudget;
        assertApproxEqAbs(earned(nodes[0]) - first, share, 2, "ranked by the score that stands");
        assertEq(earned(validators[0]), validator, "nothing was scored");
    }

    function test_OnlyWhatIsNewIsScored() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        replace(2, 2, 950_000_000);
        scoreHonestly(2);
        assertEq(draw.listed, 1);
        assertEq(draw.list[0], nodes[2]);
        settle();
        assertEq(orderOfRanked()[0], nodes[2]);
        assertEq(orderOfRanked()[1], nodes[0]);
    }

    /// @notice Of a submission that keeps its score, the settler says nothing that counts.
    function test_AScoreThatStandsIsLeftAlone() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        replace(2, 2, 950_000_000);
        scoreHonestly(2);
        Tally[] memory all = tallies();
        // Also with the place and the revealers of the one that is scored.
        (all[3].place, all[3].median, all[3].revealers) = (all[2].place, all[2].median, all[2].revealers);
        (all[4].place, all[4].median, all[4].revealers) = (999, 1, hex"ffffffff");
        arena.tally(task, all);
        assertTrue(stage() == Stage.Ranking);
        assertEq(entryOf(nodes[3]).consensus, descendingScores(5)[3]);
        assertEq(entryOf(nodes[3]).counted, 0);
        assertEq(entryOf(nodes[4]).consensus, descendingScores(5)[4]);
    }

    function test_PartsOfAScoreThatStandsCountForNothing() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        replace(2, 2, 950_000_000);
        scoreHonestly(2);
        Tally memory part = tallyOf(nodes[2]);
        (part.node, part.median) = (nodes[3], 950_000_000);
        arena.tallyPart(task, part);
        settle();
        assertEq(entryOf(nodes[3]).consensus, descendingScores(5)[3]);
        // Nor in the next epoch, when it is scored anew.
        replace(3, 3, 100_000_000);
        scoreHonestly(3);
        settle();
        assertEq(entryOf(nodes[3]).consensus, 100_000_000);
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

    function test_PlacesAreThoseOfTheQueue() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        settle();
        replace(2, 4, 950_000_000);
        replace(2, 2, 960_000_000);
        scoreHonestly(2);
        assertEq(draw.list[0], nodes[4]);
        assertEq(draw.list[1], nodes[2]);
        uint32[4] memory wrong = [uint32(1), 2, 4, type(uint32).max];
        for (uint256 i = 0; i < wrong.length; ++i) {
            Tally memory t = tallyOf(nodes[4]);
            t.place = wrong[i];
            vm.expectRevert(abi.encodeWithSelector(IArena.WrongPlace.selector, nodes[4], wrong[i]));
            arena.tally(task, one(t));
        }
        settle();
        assertTrue(stage() == Stage.Idle);
    }

    // ------------------------------------------------------------------ tallied again and again

    /// @notice First without a quorum, so that it waits for the next epoch; then with one, so that it does not; then with
    /// all scores. Each step may come from somebody else, and none of them may stop the next.
    function test_ATallyWithAQuorumReplacesOneWithout() public {
        submitAll(1, descendingScores(5));
        scoreHonestly(1);
        // Of three equal validators each one is a quorum by itself: nobody counted is none.
        for (uint256 counted = 0; counted < 3; ++counted) {
            for (uint256 i = 0; i < 5; ++i) {
                arena.tally(task, one(firstOf(nodes[i], counted)));
                assertEq(entryOf(nodes[i]).counted, counted);
                assertEq(entryOf(nodes[i]).scored, counted != 0);
            }
            assertEq(arena.queueOf(task, false).length, counted == 0 ? 5 : 0, "waiting");
            assertEq(arena.queueOf(task, true).length, 5, "on the list");
            assertTrue(stage() == Stage.Scoring);
        }
        settle();
        assertTrue(stage() == Stage.Idle);
        assertEq(entryOf(nodes[1]).counted, 3);
        drawSeed(2);
        assertEq(draw.listed, 0);
    }

    function test_WhatWaitsAfterATallyWithoutQuorumWaitsOnce() public {
        submitAll(1, descendingScores(5));
        drawSeed(1);
        warpTo(1, Phase.Settle);
        arena.tally(task, one(tallyOf(nodes[3])));
        arena.tally(task, one(tallyOf(nodes[3])));
        settle();
        assertEq(arena.queueOf(task, false).length, 5);
        assertEq(arena.queueOf(task, false)[0], nodes[3]);
        // What waits may be replaced: it keeps its place.
        replace(2, 3, 990_000_000);
        assertEq(arena.queueOf(task, false).length, 5);
        scoreHonestly(2);
        settle();
        assertEq(orderOfRanked()[0], nodes[3]);
    }

    /// @notice A tally remembers the draw by its lowest byte alone.
    function test_The256thDrawIsLikeAnyOther() public {
        manyDraws(256);
    }

    function manyDraws(uint256 draws) internal {
        TaskParams memory p = defaultParams();
        (p.freshData, p.epochs) = (false, 300);
        delete nodes;
        delete validators;
        populate(p, equalStakes(2, STAKE), equalStakes(1, STAKE));
        fundTask(task, 300e18);
        warpTo(1, Phase.Submit);
        commitSubmission(nodes[0], task, "kept");
        warpTo(1, Phase.Disclose);
        openSubmission(nodes[0], task, "kept");
        truth["kept"] = 1000;
        scoreHonestly(1);
        settle();
        for (uint256 epoch = 2; epoch < draws; ++epoch) {
            drawSeed(epoch);
            warpTo(epoch, Phase.Settle);
            settle();
        }
        replace(draws, 1, 2000);
        scoreHonestly(draws);
        assertEq(arena.flightOf(task).draws, draws);
        settle();
        assertTrue(stage() == Stage.Idle);
        assertEq(orderOfRanked()[0], nodes[1]);
    }

    /// forge-config: default.fuzz.runs = 128
    /// forge-config: deep.fuzz.runs = 4000
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
            if (standing().length == 0) continue;
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

    /// @dev A tally by the first so many revealers.
    function firstOf(address node, uint256 count) internal view returns (Tally memory t) {
        t = tallyOf(node);
        bytes memory all = t.revealers;
        t.revealers = new bytes(4 * count);
        for (uint256 i = 0; i < 4 * count; ++i) {
            t.revealers[i] = all[i];
        }
        if (count == 0) t.median = 0;
    }

    function stands(address node) internal view returns (bool) {
        return entryOf(node).number != 0;
    }

    /// @dev Each one waits at most once, and stands.
    function assertQueue() internal view {
        address[] memory list = waiting();
        for (uint256 i = 0; i < list.length; ++i) {
            assertTrue(stands(list[i]), "what waits stands");
            for (uint256 j = 0; j < i; ++j) {
                assertTrue(list[i] != list[j], "one place each");
            }
        }
    }

    function assertScoredOrWaiting() internal view {
        address[] memory all = standing();
        address[] memory list = waiting();
        uint256 scored = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (entryOf(all[i]).scored) ++scored;
        }
        assertEq(scored + list.length, all.length, "scored, or waiting");
        for (uint256 i = 0; i < list.length; ++i) {
            assertFalse(entryOf(list[i]).scored, "not both");
        }
    }
}
