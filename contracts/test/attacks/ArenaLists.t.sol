// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, Stage, Tally} from "../../src/interfaces/IArena.sol";
import {Assignment} from "../../src/libraries/Assignment.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Referee} from "../base/Referee.sol";

/// @notice Attacks on what a score is of: replaced and withdrawn submissions, places and storage that are used again, the
/// seed; and on the settlement by whoever sends it.
contract ArenaListAttacks is Referee {
    uint256 private constant STAKE = 100e18;

    address private hostile = makeAddr("hostile settler");

    function start(uint256 nodeCount, uint256 validatorCount) internal {
        populate(defaultParams(), equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
        fundTask(task, 2000e18);
        submitAll(1, descendingScores(nodeCount, 10_000_000));
    }

    // ------------------------------------------------------------------ between commit and reveal

    /// @notice Once the seed is drawn, an artifact cannot be replaced, and nobody taken off the list.
    function test_attack_ASubmissionReplacedWhileItIsScored() public {
        start(3, 2);
        scoreHonestly(1);
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[0], task, "worse and cheaper");
        bytes memory inFlight = abi.encodeWithSelector(IArena.EpochInFlight.selector, task, 1);
        vm.expectRevert(inFlight);
        arena.evict(task, nodes[0]);
        warpTo(2, Phase.Disclose);
        vm.expectRevert(inFlight);
        vm.prank(nodes[0]);
        arena.openSubmission(task, "worse and cheaper", SALT, "");
        for (uint256 i = uint256(Phase.Seed); i <= uint256(Phase.Settle); ++i) {
            warpTo(1, Phase(i));
            vm.expectRevert(abi.encodeWithSelector(IArena.WrongPhase.selector, Phase.Disclose, Phase(i)));
            vm.prank(nodes[0]);
            arena.openSubmission(task, "worse and cheaper", SALT, "");
        }
        warpTo(1, Phase.Settle);
        settleAndCompare();
    }

    /// @notice A withdrawal between commit and reveal changes nothing in its epoch: no place, no score, no payment.
    function test_attack_ASubmissionWithdrawnWhileItIsScored() public {
        start(3, 2);
        drawSeed(1);
        uint256 snapshot = vm.snapshotState();
        scoreAll();
        settleAndCompare();
        bytes32 quiet = allEarned();
        vm.revertToState(snapshot);
        warpTo(1, Phase.Commit);
        vm.prank(nodes[1]);
        arena.withdrawSubmission(task);
        scoreAll();
        vm.prank(nodes[0]);
        arena.withdrawSubmission(task);
        settleAndCompare();
        assertEq(allEarned(), quiet);
    }

    // ------------------------------------------------------------------ what is used again

    /// @notice The same place, another artifact: scores committed for the one cannot be revealed for the other.
    function test_attack_APlaceUsedAgain() public {
        start(3, 2);
        scoreHonestly(1);
        settleAndCompare();
        bytes memory old = packed(sheets[task][validators[0]].scores);
        bytes32 oldSeed = draw.seed;
        vm.prank(nodes[0]);
        arena.withdrawSubmission(task);
        warpTo(2, Phase.Submit);
        evict(task, nodes[0]);
        commitSubmission(nodes[0], task, "another");
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[0], task, "another");
        drawSeed(2);
        assertEq(entryOf(nodes[2]).place, 0, "the last one took the place");
        assertNotEq(draw.seed, oldSeed);
        // The old sheet, bound to the old seed, as a commitment of this epoch.
        bytes32 commitment =
            Commitment.scores(block.chainid, address(arena), task, 2, validators[0], SALT, oldSeed, old);
        warpTo(2, Phase.Commit);
        vm.prank(validators[0]);
        arena.commitScores(task, commitment);
        warpTo(2, Phase.Reveal);
        vm.expectPartialRevert(IArena.CommitmentMismatch.selector);
        vm.prank(validators[0]);
        arena.revealScores(task, SALT, old);
    }

    /// @notice Storage of an epoch serves the next ones: what a longer sheet left behind is never read as a score.
    function test_attack_StorageUsedAgain() public {
        start(20, 3);
        scoreHonestly(1);
        settleAndCompare();
        for (uint256 i = 0; i < 17; ++i) {
            vm.prank(nodes[i]);
            arena.withdrawSubmission(task);
        }
        warpTo(2, Phase.Submit);
        for (uint256 i = 0; i < 17; ++i) {
            evict(task, nodes[i]);
        }
        // Fewer submissions, fewer validators, in another order.
        drawSeed(2);
        warpTo(2, Phase.Commit);
        commitScores(validators[2], honest(validators[2]));
        commitScores(validators[1], honest(validators[1]));
        warpTo(2, Phase.Reveal);
        reveal(validators[2]);
        reveal(validators[1]);
        warpTo(2, Phase.Settle);
        // A revealer of the epoch before is none of this one.
        Tally memory t = tallyOf(nodes[19]);
        t.revealers = bytes.concat(t.revealers, bytes4(uint32(2)));
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchRevealer.selector, 2, 2));
        arena.tally(task, one(t));
        settleAndCompare();
        assertTrue(stage() == Stage.Idle);
    }

    // ------------------------------------------------------------------ the seed

    /// @notice Nothing but the block decides the seed once the list stands: not who draws, not when in its second, not how.
    /// And it can be drawn once, by anyone, from the first moment on: who wants another block's randomness must be first in
    /// that block, and all others silent until then. So what can be chosen is one block among those before anyone draws.
    function test_attack_GrindingTheSeed() public {
        start(8, 3);
        warpTo(1, Phase.Seed);
        vm.prevrandao(bytes32(uint256(1)));
        uint256 snapshot = vm.snapshotState();
        bytes32 seed = arena.drawSeed(task);
        vm.revertToState(snapshot);
        vm.prank(hostile);
        vm.warp(vm.getBlockTimestamp() + 1);
        assertEq(arena.drawSeed(task), seed, "neither the caller nor the second");
        vm.revertToState(snapshot);
        // After Disclose nothing can change the history that the seed is of.
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongPhase.selector, Phase.Disclose, Phase.Seed));
        arena.evict(task, nodes[0]);
        vm.prevrandao(bytes32(uint256(2)));
        bytes32 other = arena.drawSeed(task);
        assertNotEq(other, seed);
        vm.expectRevert(abi.encodeWithSelector(IArena.SeedAlreadyDrawn.selector, task, 1));
        arena.drawSeed(task);
    }

    /// @notice What a chosen block is worth: of two nodes' friends, which one scores a submission. Over 4096 blocks a validator
    /// with a tenth of the stake draws any given submission in its share of them, a fifth, and can never draw it more than once.
    function test_attack_WhatAChosenBlockIsWorth() public view {
        uint8[3] memory places = [0, 7, 99];
        Assignment.Grid memory grid = Assignment.grid(100);
        assertEq(Assignment.count(2, 100, 10, 100), 20);
        uint256[3] memory hits;
        for (uint256 i = 0; i < 4096; ++i) {
            bytes32 seed = Assignment.seed(i, 1, address(arena), 1, 1, 0);
            bytes32 key = Assignment.key(seed, 1, 1, hostile);
            for (uint256 k = 0; k < 3; ++k) {
                if (Assignment.preimage(grid, key, places[k]) < 20) ++hits[k];
            }
        }
        // Three standard deviations.
        for (uint256 k = 0; k < 3; ++k) {
            assertApproxEqAbs(hits[k], 819, 77);
        }
    }

    // ------------------------------------------------------------------ hostile settlers

    /// @notice Everything is front-run, in the worst order: one item at a time, with scores left out, with medians that are
    /// right for a part, with walks that lead nowhere. The honest settler's own batches still go through, and every payment
    /// is the same.
    function test_attack_TheWorstSettler() public {
        start(40, 8);
        drawSeed(1);
        scoreAll();
        uint256 snapshot = vm.snapshotState();
        settleAndCompare();
        bytes32 quiet = allEarned();
        vm.revertToState(snapshot);

        Tally[] memory all = tallies();
        for (uint256 from = 0; from < 40; from += 7) {
            for (uint256 i = from; i < least(from + 7, 40); ++i) {
                tallyWorst(all[i]);
            }
            arena.tally(task, slice(all, from, 7));
        }
        assertTrue(stage() == Stage.Ranking);
        address[] memory order = orderOfRanked();
        rankWorst(order);
        assertTrue(stage() == Stage.Paying);
        payWorst(order);
        assertTrue(stage() == Stage.Idle);
        assertEq(allEarned(), quiet);
        assertSolvent();
    }

    /// @dev By a part of the validators, with every wrong median before the right one.
    function tallyWorst(Tally memory t) internal {
        Vote[] memory cast = votesFor(t.node);
        Vote[] memory some = new Vote[](cast.length / 2);
        for (uint256 i = 0; i < some.length; ++i) {
            some[i] = cast[cast.length - some.length + i];
        }
        Tally memory worse = Tally(t.node, t.place, t.median + 1, revealersOf(some));
        vm.startPrank(hostile);
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, t.node, worse.median));
        arena.tally(task, one(worse));
        arena.tallyPart(task, worse);
        worse.median = medianOf(some);
        arena.tally(task, one(worse));
        vm.stopPrank();
    }

    /// @dev Any part of the order, and all of it in any other order, changes nothing.
    function rankWorst(address[] memory order) internal {
        vm.startPrank(hostile);
        for (uint256 i = 0; i < order.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, i, order.length));
            arena.rank(task, slice(order, order.length - i, i));
        }
        for (uint256 i = 0; i + 1 < order.length; ++i) {
            address[] memory wrong = slice(order, 0, order.length);
            (wrong[i], wrong[i + 1]) = (wrong[i + 1], wrong[i]);
            vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, order[i]));
            arena.rank(task, wrong);
        }
        vm.stopPrank();
        arena.rank(task, order);
    }

    function payWorst(address[] memory order) internal {
        uint256 count = revealers.length;
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(hostile);
            arena.weigh(task, i, 1);
            arena.weigh(task, 0, i + 1);
        }
        address[] memory wrong = slice(order, 0, order.length);
        (wrong[0], wrong[1]) = (wrong[1], wrong[0]);
        vm.startPrank(hostile);
        vm.expectPartialRevert(IArena.NotTheRanking.selector);
        arena.payNodes(task, 0, 1, wrong);
        for (uint256 i = 0; i < order.length / 2; ++i) {
            arena.payNodes(task, i, 1, order);
        }
        for (uint256 i = 0; i < count; ++i) {
            arena.payValidators(task, i, 1);
        }
        vm.stopPrank();
        arena.payValidators(task, 0, count);
        arena.payNodes(task, 0, order.length, order);
    }

    // ------------------------------------------------------------------ parts

    function scoreAll() internal {
        warpTo(1, Phase.Commit);
        for (uint256 i = 0; i < validators.length; ++i) {
            uint32[] memory scores = honest(validators[i]);
            for (uint256 j = 0; j < scores.length; ++j) {
                scores[j] += uint32(100 * i);
            }
            commitScores(validators[i], scores);
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < validators.length; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
    }

    function allEarned() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            digest = keccak256(abi.encode(digest, earned(nodes[i])));
        }
        for (uint256 i = 0; i < validators.length; ++i) {
            digest = keccak256(abi.encode(digest, earned(validators[i])));
        }
    }
}
