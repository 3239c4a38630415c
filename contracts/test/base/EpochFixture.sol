// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, Flight, Phase, Stage, Tally, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role, Stake} from "../../src/interfaces/IVault.sol";
import {Assignment} from "../../src/libraries/Assignment.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";
import {ArenaFixture} from "./ArenaFixture.sol";
import {Vm} from "./Vm.sol";

/// @notice Plays whole epochs: nodes that submit, validators that score what they drew, and a settler that finds the
/// medians and the order by its own simple code, independent of the contract's.
abstract contract EpochFixture is ArenaFixture {
    uint32 internal constant ABSTAIN = type(uint32).max;

    /// @dev What a validator reported for the submissions it drew, in the order of the draw.
    struct Sheet {
        address[] nodes;
        uint32[] scores;
    }

    /// @dev The epoch in flight as its draw left it, and the nodes whose submissions are scored.
    struct Draw {
        uint256 epoch;
        bytes32 seed;
        uint256 entries;
        uint256 listed;
        uint256 validatorStake;
        uint256 nodeBudget;
        uint256 validatorBudget;
        address[] list;
    }

    /// @dev One score. `revealer` counts reveals in their order.
    struct Vote {
        uint256 revealer;
        uint256 weight;
        uint32 score;
    }

    uint256 internal task;
    TaskParams internal params;
    Draw internal draw;
    address[] internal nodes;
    address[] internal validators;

    /// @dev What an honest validator finds for a content hash.
    mapping(bytes32 contentHash => uint32) internal truth;
    mapping(uint256 task => mapping(address validator => Sheet)) internal sheets;
    /// @dev What was revealed for a submission, without abstentions.
    mapping(uint256 task => mapping(uint256 epoch => mapping(address node => Vote[]))) private votes;
    /// @dev Validators that revealed in this epoch, in order.
    address[] internal revealers;

    // ------------------------------------------------------------------ participants

    /// @notice A task with nodes and validators that count from the next epoch on.
    function populate(
        TaskParams memory params_,
        uint256[] memory nodeStakes,
        uint256[] memory validatorStakes
    ) internal {
        task = createTask(params_);
        params = params_;
        for (uint256 i = 0; i < nodeStakes.length; ++i) {
            nodes.push(makeAddr(string.concat("node", vm.toString(i))));
            stakeAs(nodes[i], task, Role.Node, nodeStakes[i]);
        }
        for (uint256 i = 0; i < validatorStakes.length; ++i) {
            validators.push(makeAddr(string.concat("validator", vm.toString(i))));
            stakeAs(validators[i], task, Role.Validator, validatorStakes[i]);
        }
    }

    function equalStakes(uint256 count, uint256 amount) internal pure returns (uint256[] memory stakes) {
        stakes = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            stakes[i] = amount;
        }
    }

    function artifact(address node, uint256 epoch) internal pure returns (bytes32) {
        return keccak256(abi.encode("artifact", node, epoch));
    }

    /// @notice Every node submits a new artifact; the truth about node i is `scores[i]`.
    function submitAll(uint256 epoch, uint32[] memory scores) internal {
        warpTo(epoch, Phase.Submit);
        for (uint256 i = 0; i < nodes.length; ++i) {
            bytes32 contentHash = artifact(nodes[i], epoch);
            truth[contentHash] = scores[i];
            commitSubmission(nodes[i], task, contentHash);
        }
        warpTo(epoch, Phase.Disclose);
        for (uint256 i = 0; i < nodes.length; ++i) {
            openSubmission(nodes[i], task, artifact(nodes[i], epoch));
        }
    }

    /// @notice Scores from 900 million down in equal steps: node 0 is best.
    function descendingScores(uint256 count, uint256 step) internal pure returns (uint32[] memory scores) {
        scores = new uint32[](count);
        for (uint256 i = 0; i < count; ++i) {
            scores[i] = uint32(900_000_000 - i * step);
        }
    }

    function descendingScores(uint256 count) internal pure returns (uint32[] memory) {
        return descendingScores(count, 50_000_000);
    }

    function entryOf(address node) internal view returns (Entry memory entry) {
        (entry,) = arena.entryOf(task, node);
    }

    function earned(address operator) internal view returns (uint256) {
        return earned(task, operator);
    }

    // ------------------------------------------------------------------ scores

    function drawSeed(uint256 epoch) internal {
        warpTo(epoch, Phase.Seed);
        drawNow(epoch);
    }

    function drawNow(uint256 epoch) internal virtual {
        vm.prevrandao(keccak256(abi.encode("randomness", epoch)));
        delete revealers;
        draw.epoch = epoch;
        draw.list = waiting();
        draw.seed = arena.drawSeed(task);
        readDraw();
    }

    /// @dev What the draw fixed.
    function readDraw() internal {
        Flight memory f = arena.flightOf(task);
        assertEq(f.seed, draw.seed, "the seed");
        assertEq(f.listed, draw.list.length, "what is to be scored");
        (draw.entries, draw.listed, draw.validatorStake) = (f.entries, f.listed, f.validatorStake);
        (draw.nodeBudget, draw.validatorBudget) = (f.nodeBudget, f.validatorBudget);
    }

    /// @notice The nodes with a standing submission.
    function standing() internal view returns (address[] memory) {
        return arena.listOf(task, 0, type(uint256).max);
    }

    /// @notice What the next seed puts on the list: all submissions, or what waits to be scored.
    function waiting() internal view returns (address[] memory) {
        return params.freshData ? standing() : arena.queueOf(task, false);
    }

    function lastLog(bytes32 topic) internal returns (Vm.Log memory) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = logs.length; i > 0; --i) {
            if (logs[i - 1].topics[0] == topic) return logs[i - 1];
        }
        revert("no such log");
    }

    /// @notice The nodes whose submissions a validator drew, in the order of the draw.
    function drawn(address validator) internal view returns (address[] memory found) {
        bytes32 key = Assignment.key(draw.seed, task, draw.epoch, validator);
        Assignment.Grid memory grid = Assignment.grid(draw.listed);
        found = new address[](assigned(validator));
        for (uint256 i = 0; i < found.length; ++i) {
            found[i] = draw.list[Assignment.image(grid, key, i)];
        }
    }

    function assigned(address validator) internal view returns (uint256) {
        return Assignment.count(
            params.redundancy, draw.listed, effectiveStake(validator, draw.epoch), draw.validatorStake
        );
    }

    function effectiveStake(address operator, uint256 epoch) internal view returns (uint256) {
        Stake memory stake = vault.stakeAt(task, operator, epoch);
        return Rewards.effective(stake.direct, stake.delegated, params.epsilonWad);
    }

    function directStake(address operator, uint256 epoch) internal view returns (uint256) {
        return vault.stakeAt(task, operator, epoch).direct;
    }

    /// @notice The true scores of what a validator drew.
    function honest(address validator) internal view returns (uint32[] memory scores) {
        address[] memory mine = drawn(validator);
        scores = new uint32[](mine.length);
        for (uint256 i = 0; i < scores.length; ++i) {
            (, bytes32 contentHash) = arena.entryOf(task, mine[i]);
            scores[i] = truth[contentHash];
        }
    }

    function constant_(address validator, uint32 score) internal view returns (uint32[] memory scores) {
        scores = new uint32[](assigned(validator));
        for (uint256 i = 0; i < scores.length; ++i) {
            scores[i] = score;
        }
    }

    function commitScores(address validator, uint32[] memory scores) internal {
        sheets[task][validator] = Sheet({nodes: drawn(validator), scores: scores});
        bytes32 commitment = scoresCommitment(validator, SALT, packed(scores));
        vm.prank(validator);
        arena.commitScores(task, commitment);
    }

    function scoresCommitment(address validator, bytes32 salt, bytes memory scores)
        internal
        view
        returns (bytes32)
    {
        return Commitment.scores(
            block.chainid, address(arena), task, draw.epoch, validator, salt, draw.seed, scores
        );
    }

    function reveal(address validator) internal {
        bytes memory scores = packed(sheets[task][validator].scores);
        vm.prank(validator);
        arena.revealScores(task, SALT, scores);
        countReveal(validator);
    }

    /// @dev Keeps what the settlement needs to know of a reveal.
    function countReveal(address validator) internal {
        Sheet memory sheet = sheets[task][validator];
        if (sheet.scores.length != 0) {
            uint256 omega = effectiveStake(validator, draw.epoch) * draw.listed / sheet.scores.length;
            for (uint256 i = 0; i < sheet.scores.length; ++i) {
                if (sheet.scores[i] == ABSTAIN) continue;
                Vote memory vote = Vote(revealers.length, omega, sheet.scores[i]);
                votes[task][draw.epoch][sheet.nodes[i]].push(vote);
            }
        }
        revealers.push(validator);
    }

    /// @notice All validators score honestly, from the draw of the seed to the last reveal.
    function scoreHonestly(uint256 epoch) internal {
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
        for (uint256 i = 0; i < validators.length; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        warpTo(epoch, Phase.Reveal);
        for (uint256 i = 0; i < validators.length; ++i) {
            reveal(validators[i]);
        }
        warpTo(epoch, Phase.Settle);
    }

    // ------------------------------------------------------------------ settlement

    function settle() internal {
        settleInBatches(type(uint256).max);
    }

    function settleInBatches(uint256 batch) internal {
        tallyInBatches(batch);
        if (stage() == Stage.Ranking) arena.rank(task, orderOfRanked());
        payInBatches(batch);
    }

    function tallyInBatches(uint256 batch) internal {
        Tally[] memory all = tallies();
        for (uint256 from = 0; from < all.length; from += least(batch, all.length - from)) {
            // Others may have done the rest before.
            if (stage() != Stage.Scoring) return;
            arena.tally(task, slice(all, from, batch));
        }
    }

    /// @dev Others may have done a part before, so that each step may be the last one.
    function payInBatches(uint256 batch) internal {
        address[] memory order = orderOfRanked();
        uint256 count = order.length;
        for (uint256 from = 0; from < count && stage() == Stage.Paying; from += least(batch, count - from)) {
            arena.payNodes(task, from, least(batch, count - from), order);
        }
        count = revealers.length;
        for (uint256 from = 0; from < count && stage() == Stage.Paying; from += least(batch, count - from)) {
            arena.weigh(task, from, least(batch, count - from));
        }
        // Without any weight the epoch has ended already: there is no validator to pay.
        for (uint256 from = 0; from < count && stage() == Stage.Paying; from += least(batch, count - from)) {
            arena.payValidators(task, from, least(batch, count - from));
        }
    }

    /// @notice What there is to say of every standing submission, in the order of the list.
    function tallies() internal view returns (Tally[] memory all) {
        address[] memory list = standing();
        all = new Tally[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            all[i] = tallyOf(list[i]);
        }
    }

    function tallyOf(address node) internal view returns (Tally memory) {
        Vote[] memory cast = votesFor(node);
        return Tally({node: node, place: placeOf(node), median: medianOf(cast), revealers: revealersOf(cast)});
    }

    /// @notice A node's place on the list that is scored; 0 if it is not on it.
    function placeOf(address node) internal view returns (uint32) {
        if (params.freshData) return entryOf(node).place;
        for (uint256 i = 0; i < draw.list.length; ++i) {
            if (draw.list[i] == node) return uint32(i);
        }
        return 0;
    }

    function votesFor(address node) internal view returns (Vote[] memory) {
        return votes[task][draw.epoch][node];
    }

    /// @notice Indices of those who scored a submission, four bytes each.
    function revealersOf(Vote[] memory cast) internal pure returns (bytes memory) {
        uint32[] memory indices = new uint32[](cast.length);
        for (uint256 i = 0; i < cast.length; ++i) {
            indices[i] = uint32(cast[i].revealer);
        }
        return packed(indices);
    }

    /// @notice Whether the revealed weight reaches a third of all validators' (M-7).
    function hasQuorum(Vote[] memory cast) internal view returns (bool) {
        uint256 total = weightOf(cast);
        return total != 0 && 3 * total >= draw.validatorStake;
    }

    function weightOf(Vote[] memory cast) internal pure returns (uint256 total) {
        for (uint256 i = 0; i < cast.length; ++i) {
            total += cast[i].weight;
        }
    }

    /// @notice The lower weighted median (M-7), by trying each score; 0 without quorum.
    function medianOf(Vote[] memory cast) internal view returns (uint32 median) {
        if (!hasQuorum(cast)) return 0;
        uint256 total = weightOf(cast);
        median = ABSTAIN;
        for (uint256 i = 0; i < cast.length; ++i) {
            uint256 upTo = 0;
            for (uint256 j = 0; j < cast.length; ++j) {
                if (cast[j].score <= cast[i].score) upTo += cast[j].weight;
            }
            if (2 * upTo >= total && cast[i].score < median) median = cast[i].score;
        }
    }

    /// @notice The nodes that the tally found rankable: by score, best first, then by commitment number.
    function orderOfRanked() internal view returns (address[] memory order) {
        address[] memory list = standing();
        uint256[] memory keys = new uint256[](list.length);
        uint256 found = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            Entry memory entry = entryOf(list[i]);
            if (!isRankable(entry)) continue;
            uint256 key = (uint256(entry.consensus) << 96) | (uint256(~entry.number) << 32) | i;
            uint256 place = found++;
            for (; place > 0 && keys[place - 1] < key; --place) {
                keys[place] = keys[place - 1];
            }
            keys[place] = key;
        }
        order = new address[](found);
        for (uint256 i = 0; i < found; ++i) {
            order[i] = list[uint32(keys[i])];
        }
    }

    function isRankable(Entry memory entry) internal pure returns (bool) {
        return entry.scored && entry.consensus != 0 && entry.stake != 0 && !entry.duplicate;
    }

    function stage() internal view returns (Stage) {
        return arena.flightOf(task).stage;
    }

    // ------------------------------------------------------------------ parts

    /// @notice Four bytes per number, big-endian.
    function packed(uint32[] memory list) internal pure returns (bytes memory bytes_) {
        bytes_ = new bytes(4 * list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            for (uint256 k = 0; k < 4; ++k) {
                bytes_[4 * i + k] = bytes1(uint8(list[i] >> (24 - 8 * k)));
            }
        }
    }

    function slice(address[] memory list, uint256 from, uint256 limit)
        internal
        pure
        returns (address[] memory part)
    {
        part = new address[](least(limit, list.length - from));
        for (uint256 i = 0; i < part.length; ++i) {
            part[i] = list[from + i];
        }
    }

    function slice(Tally[] memory list, uint256 from, uint256 limit)
        internal
        pure
        returns (Tally[] memory part)
    {
        part = new Tally[](least(limit, list.length - from));
        for (uint256 i = 0; i < part.length; ++i) {
            part[i] = list[from + i];
        }
    }

    function one(address node) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = node;
    }

    function one(Tally memory tally) internal pure returns (Tally[] memory list) {
        list = new Tally[](1);
        list[0] = tally;
    }

    function least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
