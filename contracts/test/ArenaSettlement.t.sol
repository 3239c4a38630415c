// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Phase, Stage} from "../src/interfaces/IArena.sol";
import {EpochFixture} from "./base/EpochFixture.sol";

/// @notice Settlement by hostile senders: whatever is wrong, early, late, twice or out of order is refused (M-5, M-7, M-8).
contract ArenaSettlementTest is EpochFixture {
    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(4, 100e18), equalStakes(4, 100e18));
        fundTask(task, 1000e18, 200e18);
        submitAll(1, descendingScores(4));
        scoreHonestly(1);
    }

    // ------------------------------------------------------------------ order of the stages

    function test_NothingIsSettledWhileRevealsAreOpen() public {
        vm.warp(GENESIS + 899);
        vm.expectRevert(abi.encodeWithSelector(IArena.RevealStillOpen.selector, GENESIS + 900));
        arena.tally(task, 0, new uint32[](4));
    }

    function test_StagesFollowEachOther() public {
        expectStages(Stage.Scoring);
        tallyInBatches(4);
        expectStages(Stage.Ranking);
        arena.rank(task, 0, best());
        expectStages(Stage.Paying);
        arena.payNodes(task, 0, best());
        weighAll();
        arena.payValidators(task, 0, 4);
        expectStages(Stage.Idle);
    }

    function test_ASettledEpochCannotBeSettledAgain() public {
        settle();
        assertTrue(stage() == Stage.Idle);
        uint256 node = vault.claimable(task, nodes[0], nodes[0]);
        expectStages(Stage.Idle);
        assertEq(vault.claimable(task, nodes[0], nodes[0]), node);
    }

    // ------------------------------------------------------------------ tally

    function test_EveryMedianIsChecked() public {
        uint32[] memory medians = expectedMedians();
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 k = 0; k < 4; ++k) {
                uint32[] memory wrong = expectedMedians();
                wrong[i] = [medians[i] - 1, medians[i] + 1, uint32(0), ABSTAIN][k];
                vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, i, wrong[i]));
                arena.tally(task, 0, wrong);
            }
        }
        arena.tally(task, 0, medians);
    }

    function test_TallyGoesOnWhereItEnded() public {
        uint32[] memory medians = expectedMedians();
        expectCursor(0, 1);
        arena.tally(task, 1, slice(medians, 1, 3));
        arena.tally(task, 0, slice(medians, 0, 2));
        expectCursor(2, 0);
        arena.tally(task, 0, medians);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 3, 2));
        arena.tally(task, 2, new uint32[](3));
        arena.tally(task, 2, slice(medians, 2, 2));
        assertTrue(stage() == Stage.Ranking);
    }

    function test_AnEntryCanBeTalliedInParts() public {
        uint32[] memory medians = expectedMedians();
        vm.expectEmit(address(arena));
        emit IArena.PartlyTallied(task, 1, 2, medians[2], 1);
        arena.tallyPart(task, 2, medians[2], 1);
        arena.tallyPart(task, 2, medians[2], 2);
        // Counting against another median neither helps nor hurts.
        arena.tallyPart(task, 2, medians[2] + 1, 4);
        arena.tallyPart(task, 1, medians[1] - 1, type(uint256).max);
        vm.expectEmit(address(arena));
        emit IArena.PartlyTallied(task, 1, 2, medians[2], 4);
        arena.tallyPart(task, 2, medians[2], type(uint256).max);
        arena.tallyPart(task, 2, medians[2], type(uint256).max);

        uint32[] memory wrong = expectedMedians();
        wrong[2] += 1;
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, 2, wrong[2]));
        arena.tally(task, 0, wrong);
        arena.tally(task, 0, medians);
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongStage.selector, Stage.Scoring, Stage.Ranking));
        arena.tallyPart(task, 2, medians[2], 1);
    }

    function test_PartsAreOfStandingEntries() public {
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchEntry.selector, 4));
        arena.tallyPart(task, 4, 1, 1);
    }

    // ------------------------------------------------------------------ rank

    function test_TheOrderIsChecked() public {
        tallyInBatches(4);
        uint32[] memory order = best();
        for (uint256 i = 0; i + 1 < 4; ++i) {
            uint32[] memory swapped = best();
            (swapped[i], swapped[i + 1]) = (order[i + 1], order[i]);
            vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, order[i]));
            arena.rank(task, 0, swapped);
            swapped[i] = order[i];
            swapped[i + 1] = order[i];
            vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, order[i]));
            arena.rank(task, 0, swapped);
        }
        order[3] = 4;
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchEntry.selector, 4));
        arena.rank(task, 0, order);
    }

    function test_TheOrderIsCheckedAcrossBatches() public {
        tallyInBatches(4);
        uint32[] memory order = best();
        arena.rank(task, 0, slice(order, 0, 2));
        expectCursor(2, 0);
        arena.rank(task, 0, order);
        vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, order[1]));
        arena.rank(task, 2, slice(order, 1, 2));
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 3, 2));
        arena.rank(task, 2, slice(order, 0, 3));
        // Leaving one out is found at the latest when nothing can follow.
        arena.rank(task, 2, slice(order, 3, 1));
        vm.expectRevert(abi.encodeWithSelector(IArena.OutOfOrder.selector, order[2]));
        arena.rank(task, 3, slice(order, 2, 1));
    }

    // ------------------------------------------------------------------ payNodes

    function test_NodesArePaidByTheirRanks() public {
        tallyInBatches(4);
        uint32[] memory order = best();
        arena.rank(task, 0, order);
        uint32[] memory swapped = best();
        (swapped[1], swapped[2]) = (order[2], order[1]);
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongRank.selector, order[2], 2));
        arena.payNodes(task, 0, swapped);
        swapped[1] = order[0];
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongRank.selector, order[0], 2));
        arena.payNodes(task, 0, swapped);
        expectCursor(0, 1);
        arena.payNodes(task, 1, slice(order, 1, 1));
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 5, 4));
        arena.payNodes(task, 0, new uint32[](5));
        arena.payNodes(task, 0, slice(order, 0, 3));
        expectCursor(3, 0);
        arena.payNodes(task, 0, slice(order, 0, 1));
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongRank.selector, order[0], 4));
        arena.payNodes(task, 3, slice(order, 0, 1));
        vm.expectRevert(abi.encodeWithSelector(IArena.NoSuchEntry.selector, 99));
        order[3] = 99;
        arena.payNodes(task, 3, slice(order, 3, 1));
    }

    // ------------------------------------------------------------------ weigh

    function test_OnlyRevealedScoresAreWeighed() public {
        toPaying();
        bytes memory scores = packed(sheets[validators[0]].scores, 0);
        uint256[4] memory chunks = [uint256(1), 15, 16, type(uint256).max];
        for (uint256 i = 0; i < chunks.length; ++i) {
            bytes memory notRevealed =
                abi.encodeWithSelector(IArena.ChunkNotRevealed.selector, validators[0], chunks[i]);
            vm.expectRevert(notRevealed);
            arena.weigh(task, validators[0], chunks[i], scores);
        }
        vm.expectRevert(abi.encodeWithSelector(IArena.ChunkNotRevealed.selector, stranger, 0));
        arena.weigh(task, stranger, 0, scores);
    }

    function test_ScoresAreWeighedAsRevealedAndOnce() public {
        toPaying();
        bytes memory scores = packed(sheets[validators[0]].scores, 0);
        bytes memory differs = abi.encodeWithSelector(IArena.ChunkDiffers.selector, validators[0], 0);
        scores[3] ^= 0x01;
        vm.expectRevert(differs);
        arena.weigh(task, validators[0], 0, scores);
        vm.expectRevert(differs);
        arena.weigh(task, validators[0], 0, "");
        scores[3] ^= 0x01;
        arena.weigh(task, validators[0], 0, scores);
        vm.expectRevert(abi.encodeWithSelector(IArena.ChunkWeighed.selector, validators[0], 0));
        arena.weigh(task, validators[0], 0, scores);
    }

    // ------------------------------------------------------------------ payValidators

    function test_ValidatorsArePaidOnceAllIsWeighed() public {
        toPaying();
        vm.expectRevert(abi.encodeWithSelector(IArena.WeighingIncomplete.selector, 0, 4));
        arena.payValidators(task, 0, 1);
        weighAll();
        expectCursor(0, 1);
        arena.payValidators(task, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, 5, 4));
        arena.payValidators(task, 0, 5);
        arena.payValidators(task, 0, 2);
        expectCursor(2, 0);
        arena.payValidators(task, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IArena.TooMany.selector, type(uint256).max, 2));
        arena.payValidators(task, 2, type(uint256).max);
        arena.payValidators(task, 2, 2);
        assertTrue(stage() == Stage.Paying, "the nodes wait");
        arena.payNodes(task, 0, best());
        assertTrue(stage() == Stage.Idle);
    }

    function test_EmptyBatchesChangeNothing() public {
        arena.tally(task, 0, new uint32[](0));
        tallyInBatches(4);
        arena.rank(task, 0, new uint32[](0));
        arena.rank(task, 0, best());
        arena.payNodes(task, 0, new uint32[](0));
        arena.payNodes(task, 0, best());
        weighAll();
        arena.payValidators(task, 0, 0);
        assertTrue(stage() == Stage.Paying);
        vm.expectEmit(address(arena));
        emit IArena.EpochSettled(task, 1);
        arena.payValidators(task, 0, 4);
    }

    // ------------------------------------------------------------------ parts

    /// @dev Node i has entry i and the i-th best score.
    function best() internal pure returns (uint32[] memory order) {
        order = new uint32[](4);
        for (uint32 i = 0; i < 4; ++i) {
            order[i] = i;
        }
    }

    function toPaying() internal {
        tallyInBatches(4);
        arena.rank(task, 0, best());
    }

    function expectCursor(uint256 expected, uint256 actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongCursor.selector, expected, actual));
    }

    /// @dev Every settling function but those of `actual` reverts.
    function expectStages(Stage actual) internal {
        if (actual != Stage.Scoring) {
            expectStage(Stage.Scoring, actual);
            arena.tally(task, 0, new uint32[](1));
            expectStage(Stage.Scoring, actual);
            arena.tallyPart(task, 0, 1, 1);
        }
        if (actual != Stage.Ranking) {
            expectStage(Stage.Ranking, actual);
            arena.rank(task, 0, new uint32[](1));
        }
        if (actual == Stage.Paying) return;
        expectStage(Stage.Paying, actual);
        arena.payNodes(task, 0, new uint32[](1));
        expectStage(Stage.Paying, actual);
        arena.weigh(task, nodes[0], 0, "");
        expectStage(Stage.Paying, actual);
        arena.payValidators(task, 0, 1);
    }

    function expectStage(Stage expected, Stage actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongStage.selector, expected, actual));
    }
}

/// @notice Lists of several chunks: each reveals and is weighed by itself, in any order (M-10).
contract ArenaChunksTest is EpochFixture {
    uint256 private constant NODES = 300;

    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(NODES, 10e18), equalStakes(3, 100e18));
        fundTask(task, 1000e18, 0);
        uint32[] memory scores = new uint32[](NODES);
        for (uint256 i = 0; i < NODES; ++i) {
            scores[i] = uint32(1 + uint256(keccak256(abi.encode(i))) % 1_000_000_000);
        }
        submitAll(1, scores);
        drawSeed(1);
        warpTo(1, Phase.Commit);
    }

    function test_ChunksRevealInAnyOrderAndSettleInAnyBatches() public {
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(assigned(validators[i]), NODES, "everyone scores all");
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(1, Phase.Reveal);
        revealChunk(validators[0], 2);
        revealChunk(validators[0], 0);
        revealChunk(validators[0], 1);
        reveal(validators[1]);
        reveal(validators[2]);
        vm.expectRevert(abi.encodeWithSelector(IArena.ChunkRevealed.selector, validators[0], 1));
        this.revealAgain(validators[0], 1);

        warpTo(1, Phase.Settle);
        uint256 snapshot = vm.snapshotState();
        settle();
        bytes32 atOnce = balances();
        vm.revertToState(snapshot);
        settleInBatches(37);
        assertEq(balances(), atOnce, "batches do not change a payment");
        assertSolvent();
    }

    function test_AHiddenChunkCountsForNothing() public {
        for (uint256 i = 0; i < 3; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(1, Phase.Reveal);
        reveal(validators[0]);
        reveal(validators[1]);
        revealChunk(validators[2], 1);
        warpTo(1, Phase.Settle);
        tallyInBatches(NODES);
        uint32[] memory order = orderOfRanked();
        assertEq(order.length, NODES, "two of three reach the quorum everywhere");
        arena.rank(task, 0, order);
        arena.payNodes(task, 0, order);
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 chunk = 0; chunk < 3; ++chunk) {
                arena.weigh(task, validators[i], chunk, packed(sheets[validators[i]].scores, chunk));
            }
        }
        arena.weigh(task, validators[2], 1, packed(sheets[validators[2]].scores, 1));
        arena.payValidators(task, 0, 3);
        uint256 whole = vault.claimable(task, validators[0], validators[0]);
        assertEq(vault.claimable(task, validators[1], validators[1]), whole);
        assertApproxEqAbs(vault.claimable(task, validators[2], validators[2]), whole * 128 / 300, 2);
    }

    function revealAgain(address validator, uint256 chunk) external {
        revealChunk(validator, chunk);
    }

    /// @dev What everyone can claim, in one hash.
    function balances() internal view returns (bytes32 digest) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            digest = keccak256(abi.encode(digest, vault.claimable(task, nodes[i], nodes[i])));
        }
        for (uint256 i = 0; i < validators.length; ++i) {
            digest = keccak256(abi.encode(digest, vault.claimable(task, validators[i], validators[i])));
        }
    }
}
