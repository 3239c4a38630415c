// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Flight, IArena, Phase, Stage, Tally, TaskParams} from "../src/interfaces/IArena.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Settlement by hostile senders: whatever is wrong, early, late or out of order is refused, what is done already
/// is passed over, and nothing can be left out (M-5, M-7, M-8).
contract ArenaSettlementTest is EpochFixture {
    address private settler = makeAddr("settler");

    /// @dev Four nodes, four validators, everyone scores all: validator i reports the truth and 10·i more, so that the
    /// lower median is validator 1's.
    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(4, 100e18), equalStakes(4, 100e18));
        fundTask(task, 2200e18);
        submitAll(1, descendingScores(4));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        for (uint256 i = 0; i < 4; ++i) {
            uint32[] memory scores = honest(validators[i]);
            for (uint256 j = 0; j < 4; ++j) {
                scores[j] += uint32(10 * i);
            }
            commitScores(validators[i], scores);
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 4; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
    }

    // ------------------------------------------------------------------ order of the stages

    function test_NothingIsSettledWhileRevealsAreOpen() public {
        Tally[] memory all = tallies();
        vm.warp(GENESIS + 899);
        bytes memory open = abi.encodeWithSelector(IArena.RevealStillOpen.selector, GENESIS + 900);
        vm.expectRevert(open);
        arena.tally(task, all);
        vm.expectRevert(open);
        arena.tallyPart(task, all[0]);
    }

    function test_StagesFollowEachOther() public {
        expectStages(Stage.Scoring);
        tallyInBatches(4);
        expectStages(Stage.Ranking);
        arena.rank(task, nodes);
        expectStages(Stage.Paying);
        arena.payNodes(task, 0, 4, nodes);
        arena.weigh(task, 0, 4);
        arena.payValidators(task, 0, 4);
        expectStages(Stage.Idle);
    }

    function test_ASettledEpochCannotBeSettledAgain() public {
        settle();
        assertTrue(stage() == Stage.Idle);
        uint256 node = earned(nodes[0]);
        expectStages(Stage.Idle);
        assertEq(earned(nodes[0]), node);
    }

    // ------------------------------------------------------------------ medians

    function test_EveryMedianIsChecked() public {
        for (uint256 i = 0; i < 4; ++i) {
            uint32 right = tallyOf(nodes[i]).median;
            assertEq(right, descendingScores(4)[i] + 10, "the lower one of the middle two");
            uint32[6] memory wrong = [right - 10, right - 1, right + 1, right + 10, 0, ABSTAIN];
            for (uint256 k = 0; k < 6; ++k) {
                Tally[] memory all = tallies();
                all[i].median = wrong[k];
                vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, nodes[i], wrong[k]));
                arena.tally(task, all);
            }
        }
        arena.tally(task, tallies());
    }

    function test_OneWithoutQuorumHasTheMedianZero() public {
        Tally memory t = some(nodes[2], 0x08, 0);
        t.median = descendingScores(4)[2] + 30;
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, nodes[2], t.median));
        arena.tally(task, one(t));
        t.median = 0;
        vm.expectEmit(address(arena));
        emit IArena.Tallied(task, 1, nodes[2], false, 0, 100e18, 1);
        arena.tally(task, one(t));
    }

    function test_SubmissionsAreTalliedInAnyOrder() public {
        uint256[4] memory order = [uint256(2), 0, 3, 1];
        for (uint256 i = 0; i < 4; ++i) {
            assertTrue(stage() == Stage.Scoring);
            arena.tally(task, one(tallyOf(nodes[order[i]])));
        }
        assertTrue(stage() == Stage.Ranking);
        assertEq(arena.flightOf(task).rankedStake, 400e18);
    }

    // ------------------------------------------------------------------ who scored it

    function test_PlacesAreChecked() public {
        for (uint32 place = 0; place < 6; ++place) {
            if (place == 2) continue;
            Tally memory t = tallyOf(nodes[2]);
            t.place = place;
            bytes memory wrong = abi.encodeWithSelector(IArena.WrongPlace.selector, nodes[2], place);
            vm.expectRevert(wrong);
            arena.tally(task, one(t));
            vm.expectRevert(wrong);
            arena.tallyPart(task, t);
        }
    }

    function test_OnlyStandingSubmissionsAreTallied() public {
        Tally memory t = tallyOf(nodes[0]);
        t.node = stranger;
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSubmission.selector, task, stranger));
        arena.tally(task, one(t));
    }

    function test_RevealersRise() public {
        refusesRevealers(hex"0000000100000000", IArena.RevealersUnsorted.selector, 0);
        refusesRevealers(hex"0000000000000000", IArena.RevealersUnsorted.selector, 0);
        refusesRevealers(hex"000000000000000200000001", IArena.RevealersUnsorted.selector, 1);
        refusesRevealers(hex"00000001000000020000000200000003", IArena.RevealersUnsorted.selector, 2);
    }

    function test_RevealersExist() public {
        refusesRevealers(hex"00000004", 4);
        refusesRevealers(hex"0000000000000001000000020000000300000004", 4);
        refusesRevealers(hex"ffffffff", type(uint32).max);
        // A mean trick: bytes behind the last whole index count for nothing.
        Tally memory t = tallyOf(nodes[1]);
        t.revealers = bytes.concat(t.revealers, hex"000000");
        arena.tally(task, one(t));
        assertEq(entryOf(nodes[1]).counted, 4);
    }

    // ------------------------------------------------------------------ nothing can be left out

    function test_ATallyWithMoreScoresReplacesAnEarlierOne() public {
        uint32 truth_ = descendingScores(4)[0];
        arena.tally(task, one(some(nodes[0], 0x08, 0)));
        assertTally(nodes[0], false, 0, 1);
        assertEq(arena.flightOf(task).rankable, 0);
        arena.tally(task, one(some(nodes[0], 0x0c, truth_ + 20)));
        assertTally(nodes[0], true, truth_ + 20, 2);
        assertEq(arena.flightOf(task).rankable, 1);
        arena.tally(task, one(some(nodes[0], 0x07, truth_ + 10)));
        assertTally(nodes[0], true, truth_ + 10, 3);
        vm.expectEmit(address(arena));
        emit IArena.Tallied(task, 1, nodes[0], true, truth_ + 10, 100e18, 4);
        arena.tally(task, one(tallyOf(nodes[0])));
        Flight memory f = arena.flightOf(task);
        assertEq(f.tallied, 1);
        assertEq(f.counted, 4);
        assertEq(f.rankable, 1);
        assertEq(f.rankedStake, 100e18);
    }

    /// @notice Also if it is wrong: whoever sends it first must not make the batch of the honest settler fail.
    function test_ATallyWithoutMoreScoresIsPassedOver() public {
        uint32 truth_ = descendingScores(4)[0];
        arena.tally(task, one(some(nodes[0], 0x0d, truth_ + 20)));
        arena.tally(task, one(some(nodes[0], 0x07, truth_ + 10)));
        arena.tally(task, one(some(nodes[0], 0x03, truth_)));
        arena.tally(task, one(some(nodes[0], 0x01, 0)));
        arena.tally(task, one(some(nodes[0], 0x00, 0)));
        arena.tally(task, one(some(nodes[0], 0x07, 12_345)));
        assertTally(nodes[0], true, truth_ + 20, 3);
        arena.tally(task, tallies());
        assertTally(nodes[0], true, truth_ + 10, 4);
        assertTrue(stage() == Stage.Ranking);
    }

    function test_ScoringDoesNotEndWithScoresLeftOut() public {
        Tally[] memory all = tallies();
        for (uint256 i = 0; i < 4; ++i) {
            all[i] = some(nodes[i], 0x0e, descendingScores(4)[i] + 20);
        }
        arena.tally(task, all);
        Flight memory f = arena.flightOf(task);
        assertEq(f.tallied, 4, "each is tallied");
        assertEq(f.counted, 12);
        assertTrue(f.stage == Stage.Scoring, "and it does not end");
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongStage.selector, Stage.Ranking, Stage.Scoring));
        arena.rank(task, nodes);
        all = tallies();
        for (uint256 i = 0; i < 3; ++i) {
            arena.tally(task, one(all[i]));
        }
        assertTrue(stage() == Stage.Scoring, "one score is left out");
        arena.tally(task, one(all[3]));
        assertTrue(stage() == Stage.Ranking);
    }

    /// @notice Whatever was tallied before by others, each payment is the same.
    function testFuzz_TalliesOfOthersChangeNothing(uint256 random) public {
        uint256 snapshot = vm.snapshotState();
        settle();
        bytes32 honest_ = allEarned();
        vm.revertToState(snapshot);
        for (uint256 i = 0; i < 12; ++i) {
            random = uint256(keccak256(abi.encode(random)));
            uint256 node = random % 4;
            uint256 who = (random >> 8) % 15;
            if ((random >> 16) % 3 == 0) {
                vm.prank(settler);
                arena.tallyPart(task, some(nodes[node], who, uint32(random >> 32) % 1e9));
            } else {
                arena.tally(task, one(some(nodes[node], who, medianOfSome(node, who))));
            }
        }
        settleInBatches(1 + random % 4);
        assertTrue(stage() == Stage.Idle);
        assertEq(allEarned(), honest_);
    }

    // ------------------------------------------------------------------ in parts

    function test_ASubmissionCanBeTalliedInParts() public {
        uint32 median = tallyOf(nodes[2]).median;
        vm.expectEmit(address(arena));
        emit IArena.PartlyTallied(task, 1, nodes[2], address(this), median, 1);
        arena.tallyPart(task, some(nodes[2], 0x01, median));
        vm.expectEmit(address(arena));
        emit IArena.PartlyTallied(task, 1, nodes[2], address(this), median, 3);
        arena.tallyPart(task, some(nodes[2], 0x06, median));
        // Counting against another median neither helps nor hurts.
        arena.tallyPart(task, some(nodes[2], 0x0f, median + 1));
        // What is counted already cannot be counted again.
        Tally memory again = some(nodes[2], 0x04, median);
        vm.expectRevert(abi.encodeWithSelector(IArena.RevealersUnsorted.selector, 2));
        arena.tallyPart(task, again);
        assertTrue(stage() == Stage.Scoring);
        assertTally(nodes[2], false, 0, 0);
        arena.tally(task, one(some(nodes[2], 0x08, median)));
        assertTally(nodes[2], true, median, 4);
    }

    function test_PartsMayCountAll() public {
        uint32 median = tallyOf(nodes[2]).median;
        arena.tallyPart(task, some(nodes[2], 0x0f, median));
        arena.tally(task, one(some(nodes[2], 0x00, median)));
        assertTally(nodes[2], true, median, 4);
    }

    function test_PartsOfOneSettlerDoNotDisturbAnother() public {
        Tally[] memory all = tallies();
        Tally memory upper = some(nodes[2], 0x0c, all[2].median);
        vm.startPrank(settler);
        arena.tallyPart(task, some(nodes[2], 0x03, all[2].median));
        arena.tallyPart(task, some(nodes[2], 0x08, all[2].median + 7));
        vm.stopPrank();
        vm.prank(stranger);
        arena.tallyPart(task, upper);
        // Each goes on where it stopped, and whoever began with nothing counts all.
        vm.expectRevert(abi.encodeWithSelector(IArena.RevealersUnsorted.selector, 0));
        vm.prank(settler);
        arena.tally(task, one(all[2]));
        uint256 snapshot = vm.snapshotState();
        arena.tally(task, all);
        assertTrue(stage() == Stage.Ranking);
        vm.revertToState(snapshot);
        vm.prank(settler);
        arena.tally(task, one(upper));
        assertTally(nodes[2], true, all[2].median, 4);
    }

    function test_PartsOfAnEpochCountInNoOther() public {
        Tally memory part = some(nodes[2], 0x07, tallyOf(nodes[2]).median);
        vm.prank(settler);
        arena.tallyPart(task, part);
        settle();
        scoreHonestly(2);
        // The same validators, submission, place, median and settler, from the first one on.
        part.median = tallyOf(nodes[2]).median;
        vm.prank(settler);
        arena.tallyPart(task, part);
        Tally memory rest = some(nodes[2], 0x08, part.median);
        vm.prank(settler);
        arena.tally(task, one(rest));
        assertTally(nodes[2], true, part.median, 4);
    }

    // ------------------------------------------------------------------ rank

    function test_TheOrderIsChecked() public {
        tallyInBatches(4);
        for (uint256 i = 0; i + 1 < 4; ++i) {
            address[] memory swapped = nodes;
            (swapped[i], swapped[i + 1]) = (nodes[i + 1], nodes[i]);
            outOfOrder(nodes[i]);
            arena.rank(task, swapped);
            swapped[i] = nodes[i];
            swapped[i + 1] = nodes[i];
            outOfOrder(nodes[i]);
            arena.rank(task, swapped);
        }
        address[] memory order = nodes;
        order[3] = stranger;
        vm.expectRevert(abi.encodeWithSelector(IArena.NotRankable.selector, stranger));
        arena.rank(task, order);
        vm.expectEmit(address(arena));
        emit IArena.Ranked(task, 1, 4, 900_000_010, 800_000_010);
        arena.rank(task, nodes);
    }

    /// @notice A part of the order could not be completed by anyone: what was left out could not follow any more.
    function test_AllAreRankedAtOnce() public {
        tallyInBatches(4);
        for (uint256 length = 0; length < 4; ++length) {
            vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, length, 4));
            arena.rank(task, slice(nodes, 0, length));
        }
        vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, 5, 4));
        arena.rank(task, new address[](5));
        vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, 1, 4));
        arena.rank(task, one(nodes[3]));
        arena.rank(task, nodes);
        assertTrue(stage() == Stage.Paying);
    }

    // ------------------------------------------------------------------ batches that overlap

    function test_WhatIsPaidAlreadyIsPassedOver() public {
        uint256 snapshot = vm.snapshotState();
        settle();
        bytes32 once = allEarned();
        vm.revertToState(snapshot);
        toPaying();
        arena.weigh(task, 0, 3);
        arena.weigh(task, 1, 2);
        assertEq(arena.flightOf(task).weighed, 3);
        arena.weigh(task, 0, 4);
        arena.payValidators(task, 0, 1);
        arena.payValidators(task, 0, 3);
        arena.payValidators(task, 1, 2);
        arena.payValidators(task, 3, 0);
        arena.payNodes(task, 0, 2, nodes);
        arena.payNodes(task, 0, 1, nodes);
        arena.payNodes(task, 1, 1, nodes);
        arena.payNodes(task, 1, 2, nodes);
        assertEq(arena.flightOf(task).walk.done, 3);
        arena.payNodes(task, 0, 4, nodes);
        assertTrue(stage() == Stage.Paying);
        arena.payValidators(task, 0, 4);
        assertTrue(stage() == Stage.Idle);
        assertEq(allEarned(), once);
    }

    // ------------------------------------------------------------------ pay

    function test_NodesArePaidInTheOrderOfTheRanking() public {
        toPaying();
        address[] memory order = nodes;
        (order[1], order[2]) = (nodes[2], nodes[1]);
        notTheRanking(order);
        order[1] = nodes[0];
        notTheRanking(order);
        order[1] = stranger;
        notTheRanking(order);
        notTheRanking(slice(nodes, 0, 3));
        notTheRanking(slice(nodes, 1, 3));
        notTheRanking(one(nodes[3]));
        notTheRanking(new address[](0));
        expectCursor(0, 1);
        arena.payNodes(task, 1, 1, nodes);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 5, 4));
        arena.payNodes(task, 0, 5, nodes);
        arena.payNodes(task, 0, 3, nodes);
        assertEq(earned(nodes[3]), 0);
        arena.payNodes(task, 3, 1, nodes);
        assertGt(earned(nodes[3]), 0);
    }

    function notTheRanking(address[] memory order) internal {
        vm.expectPartialRevert(IArena.NotTheRanking.selector);
        arena.payNodes(task, 0, order.length, order);
    }

    function test_ValidatorsArePaidOnceAllIsWeighed() public {
        toPaying();
        vm.expectRevert(abi.encodeWithSelector(IArena.WeighingIncomplete.selector, 0, 4));
        arena.payValidators(task, 0, 1);
        expectCursor(0, 1);
        arena.weigh(task, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 5, 4));
        arena.weigh(task, 0, 5);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, type(uint256).max, 4));
        arena.weigh(task, 0, type(uint256).max);
        arena.weigh(task, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IArena.WeighingIncomplete.selector, 3, 4));
        arena.payValidators(task, 0, 1);
        arena.weigh(task, 3, 1);
        expectCursor(0, 1);
        arena.payValidators(task, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 5, 4));
        arena.payValidators(task, 0, 5);
        arena.payValidators(task, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, type(uint256).max, 2));
        arena.payValidators(task, 2, type(uint256).max);
        arena.payValidators(task, 2, 2);
        assertTrue(stage() == Stage.Paying, "the nodes wait");
        arena.payNodes(task, 0, 4, nodes);
        assertTrue(stage() == Stage.Idle);
    }

    function test_EmptyBatchesChangeNothing() public {
        arena.tally(task, new Tally[](0));
        tallyInBatches(4);
        arena.rank(task, nodes);
        arena.payNodes(task, 0, 0, nodes);
        arena.payNodes(task, 0, 4, nodes);
        arena.weigh(task, 0, 0);
        arena.weigh(task, 0, 4);
        arena.payValidators(task, 0, 0);
        assertTrue(stage() == Stage.Paying);
        vm.expectEmit(address(arena));
        emit IArena.EpochSettled(task, 1);
        arena.payValidators(task, 0, 4);
    }

    // ------------------------------------------------------------------ parts

    /// @dev A tally by some of the four revealers: bit i stands for the i-th.
    function some(address node, uint256 who, uint32 median) internal view returns (Tally memory t) {
        t = Tally({node: node, place: placeOf(node), median: median, revealers: ""});
        for (uint32 i = 0; i < 4; ++i) {
            if (who >> i & 1 == 1) t.revealers = bytes.concat(t.revealers, bytes4(i));
        }
    }

    /// @dev The lower one of their scores; 0 for one alone, which is no quorum.
    function medianOfSome(uint256 node, uint256 who) internal pure returns (uint32) {
        uint256 count = (who & 1) + (who >> 1 & 1) + (who >> 2 & 1) + (who >> 3 & 1);
        if (count < 2) return 0;
        uint256 reached = 0;
        for (uint32 i = 0; i < 4; ++i) {
            reached += who >> i & 1;
            if (2 * reached >= count) return descendingScores(4)[node] + 10 * i;
        }
        revert("at most all of them");
    }

    function toPaying() internal {
        tallyInBatches(4);
        arena.rank(task, nodes);
    }

    function allEarned() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < 4; ++i) {
            digest = keccak256(abi.encode(digest, earned(nodes[i]), earned(validators[i])));
        }
    }

    function assertTally(address node, bool scored, uint256 consensus, uint256 counted) internal view {
        assertEq(entryOf(node).scored, scored);
        assertEq(entryOf(node).consensus, consensus, "consensus");
        assertEq(entryOf(node).counted, counted, "counted");
    }

    function refusesRevealers(bytes memory revealers_, bytes4 selector, uint256 index) internal {
        refuses(revealers_, abi.encodeWithSelector(selector, index));
    }

    function refusesRevealers(bytes memory revealers_, uint256 index) internal {
        refuses(revealers_, abi.encodeWithSelector(IArena.NoSuchRevealer.selector, index, 4));
    }

    function refuses(bytes memory revealers_, bytes memory reason) internal {
        Tally memory t = tallyOf(nodes[1]);
        t.revealers = revealers_;
        vm.expectRevert(reason);
        arena.tally(task, one(t));
        vm.expectRevert(reason);
        arena.tallyPart(task, t);
    }

    function outOfOrder(address node) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, node));
    }

    function expectCursor(uint256 expected, uint256 actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongCursor.selector, expected, actual));
    }

    /// @dev Every settling function but those of `actual` reverts.
    function expectStages(Stage actual) internal {
        if (actual != Stage.Scoring) {
            Tally memory t = Tally(nodes[0], 0, 1, "");
            expectStage(Stage.Scoring, actual);
            arena.tally(task, one(t));
            expectStage(Stage.Scoring, actual);
            arena.tallyPart(task, t);
        }
        if (actual != Stage.Ranking) {
            expectStage(Stage.Ranking, actual);
            arena.rank(task, new address[](1));
        }
        if (actual == Stage.Paying) return;
        expectStage(Stage.Paying, actual);
        arena.payNodes(task, 0, 1, new address[](1));
        expectStage(Stage.Paying, actual);
        arena.weigh(task, 0, 1);
        expectStage(Stage.Paying, actual);
        arena.payValidators(task, 0, 1);
    }

    function expectStage(Stage expected, Stage actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongStage.selector, expected, actual));
    }
}

/// @notice A submission is scored by some of the validators, and not by all: only those who owed a score, and gave one,
/// can be named.
contract ArenaScorersTest is EpochFixture {
    /// @dev Four equal validators score three of twelve submissions each; the last one abstains from all.
    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.redundancy = 1;
        populate(p, equalStakes(12, 100e18), equalStakes(4, 100e18));
        fundTask(task, 2200e18);
        submitAll(1, descendingScores(12, 10_000_000));
        drawSeed(1);
        warpTo(1, Phase.Commit);
        for (uint256 i = 0; i < 4; ++i) {
            commitScores(validators[i], i < 3 ? honest(validators[i]) : constant_(validators[i], ABSTAIN));
        }
        warpTo(1, Phase.Reveal);
        for (uint256 i = 0; i < 4; ++i) {
            reveal(validators[i]);
        }
        warpTo(1, Phase.Settle);
    }

    function test_OnlyWhoScoredASubmissionIsNamed() public {
        uint256 scored = 0;
        for (uint256 i = 0; i < 12; ++i) {
            for (uint32 j = 0; j < 4; ++j) {
                if (gave(j, nodes[i])) {
                    ++scored;
                    continue;
                }
                Tally memory t = tallyOf(nodes[i]);
                t.revealers = abi.encodePacked(j);
                bytes memory reason =
                    abi.encodeWithSelector(IArena.NotScoredBy.selector, nodes[i], validators[j]);
                vm.expectRevert(reason);
                arena.tally(task, one(t));
                vm.expectRevert(reason);
                arena.tallyPart(task, t);
            }
        }
        assertEq(scored, 9, "three validators gave three scores each");
        assertEq(arena.flightOf(task).revealed, 9);
        settle();
        assertTrue(stage() == Stage.Idle);
        assertEq(earned(validators[3]), 0, "who abstains earns nothing");
    }

    function gave(uint32 revealer, address node) internal view returns (bool) {
        Vote[] memory cast = votesFor(node);
        for (uint256 i = 0; i < cast.length; ++i) {
            if (cast[i].revealer == revealer) return true;
        }
        return false;
    }

    function test_BatchesChangeNoPayment() public {
        uint256 snapshot = vm.snapshotState();
        settle();
        bytes32 atOnce = allEarned();
        for (uint256 batch = 1; batch < 13; batch += 3) {
            vm.revertToState(snapshot);
            settleInBatches(batch);
            assertTrue(stage() == Stage.Idle);
            assertEq(allEarned(), atOnce);
        }
        assertSolvent();
    }

    function allEarned() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < 12; ++i) {
            digest = keccak256(abi.encode(digest, earned(nodes[i]), earned(validators[i % 4])));
        }
    }
}
