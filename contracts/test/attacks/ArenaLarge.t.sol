// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, Stage, Tally, TaskParams} from "../../src/interfaces/IArena.sol";
import {EpochFixture} from "../base/EpochFixture.sol";

/// @notice A task as large as it may be. Whatever an attacker makes of the list, the sheets and the reveals, each step of
/// the settlement fits into one transaction of Base: 2^24 gas, calldata included. Forge cannot play 2,000 submissions and
/// 1,000 validators in a reasonable time. So smaller tasks are played in which one item costs the same, and from what two
/// sizes cost follows what the largest one does: nothing grows faster than in proportion.
/// forge-config: default.isolate = true
contract ArenaLargeAttacks is EpochFixture {
    uint256 private constant TRANSACTION_LIMIT = 1 << 24;
    /// @dev What the settler of this project sends in one transaction: so many items, and at most so many scores, for which
    /// a validator that is weighed counts as ten more.
    uint256 private constant BATCH = 64;
    uint256 private constant SCORES = 1000;
    uint256 private constant LONGEST = 2048;
    uint256 private constant STAKE = 10e18;

    function start(bool freshData, uint256 nodeCount, uint256 validatorCount)
        internal
        returns (uint256 epoch)
    {
        TaskParams memory p = defaultParams();
        (p.maxSubmissions, p.freshData) = (uint16(LONGEST), freshData);
        (p.rule, p.alphaWad) = (RankingRule.RankGeometric, 0.5e18);
        delete nodes;
        delete validators;
        epoch = vault.currentEpoch() + 1;
        populate(p, equalStakes(nodeCount, STAKE), equalStakes(validatorCount, STAKE));
        fundTask(task, 2000e18);
        uint32[] memory scores = new uint32[](nodeCount);
        for (uint256 i = 0; i < nodeCount; ++i) {
            scores[i] = uint32(1_000_000_000 - 1000 * i);
        }
        submitAll(epoch, scores);
    }

    /// @notice As with 2,000 and 1,000, each validator scores 30 submissions and 15 score each; batches have 64 items.
    function test_attack_2000SubmissionsAnd1000Validators() public {
        scoreHonestly(start(true, 192, 96));
        assertEq(sheets[task][validators[0]].scores.length, 30);
        Tally[] memory all = tallies();
        for (uint256 from = 0; from < 192; from += BATCH) {
            arena.tally(task, slice(all, from, BATCH));
            within(spent(), "tally");
        }
        address[] memory order = orderOfRanked();
        arena.rank(task, order);
        for (uint256 from = 0; from < 192; from += BATCH) {
            arena.payNodes(task, from, BATCH, order);
            // The whole order is read each time: 192 nodes are here, 2,000 there.
            within(spent() + 2000 * 700, "payNodes");
        }
        // With 2,000 submissions all that a batch reads is different: each validator costs what a single one does here.
        arena.weigh(task, 0, 1);
        within(spent() * SCORES / (30 + 10), "weigh");
        arena.weigh(task, 0, 96);
        arena.payValidators(task, 0, BATCH);
        within(spent(), "payValidators");
        arena.payValidators(task, 0, 96);
        assertTrue(stage() == Stage.Idle);
    }

    /// @notice The longest sheet there can be. Nothing of it can be cut: it is revealed at once, and weighed at once.
    function test_attack_ASheetOf2048Scores() public {
        (uint256 reveal64, uint256 weigh64) = playSheet(64);
        (uint256 reveal192, uint256 weigh192) = playSheet(192);
        within(extrapolated(reveal64, reveal192), "revealScores");
        within(extrapolated(weigh64, weigh192), "weigh");
    }

    function playSheet(uint256 count) internal returns (uint256 revealing, uint256 weighing) {
        uint256 epoch = start(true, count, 1);
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
        commitScores(validators[0], honest(validators[0]));
        warpTo(epoch, Phase.Reveal);
        bytes memory scores = packed(sheets[task][validators[0]].scores);
        vm.prank(validators[0]);
        arena.revealScores(task, SALT, scores);
        revealing = spent();
        countReveal(validators[0]);
        warpTo(epoch, Phase.Settle);
        tallyInBatches(BATCH);
        arena.rank(task, orderOfRanked());
        arena.weigh(task, 0, 1);
        weighing = spent();
    }

    /// @notice All are ranked in one call, under the rule that costs most: a power for each.
    function test_attack_ARankingOf2048() public {
        uint256 rank64 = playRanking(64);
        within(extrapolated(rank64, playRanking(192)), "rank");
    }

    function playRanking(uint256 count) internal returns (uint256) {
        uint256 epoch = start(true, count, 1);
        scoreHonestly(epoch);
        tallyInBatches(BATCH);
        arena.rank(task, orderOfRanked());
        return spent();
    }

    /// @notice A draw does not get dearer with the queue that it empties.
    function test_attack_AQueueOf2048() public {
        uint256 draw64 = playQueue(64);
        within(extrapolated(draw64, playQueue(192)), "drawSeed");
    }

    function playQueue(uint256 count) internal returns (uint256) {
        uint256 epoch = start(false, count, 1);
        drawSeed(epoch);
        warpTo(epoch, Phase.Settle);
        // Nobody revealed: all wait again, in the other queue.
        tallyInBatches(BATCH);
        assertTrue(stage() == Stage.Idle);
        warpTo(epoch + 1, Phase.Seed);
        arena.drawSeed(task);
        uint256 gas = spent();
        assertEq(arena.flightOf(task).listed, count);
        return gas;
    }

    // ------------------------------------------------------------------ parts

    /// @dev What the longest list costs, from what 64 and 192 do.
    function extrapolated(uint256 of64, uint256 of192) internal pure returns (uint256) {
        return of64 + (of192 - of64) * (LONGEST - 64) / (192 - 64);
    }

    function spent() internal returns (uint256) {
        return vm.snapshotGasLastCall("attacks", "last");
    }

    event Spent(string what, uint256 gas);

    function within(uint256 gas, string memory what) internal {
        emit Spent(what, gas);
        assertLt(gas, TRANSACTION_LIMIT, what);
    }
}
