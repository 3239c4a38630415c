// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, Phase, Stage, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role} from "../../src/interfaces/IVault.sol";
import {Assignment} from "../../src/libraries/Assignment.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";
import {ArenaFixture} from "./ArenaFixture.sol";
import {Vm} from "./Vm.sol";

/// @notice Plays whole epochs: nodes that submit, validators that score what they drew, and a settler that finds the
/// medians and the order by its own simple code, independent of the contract's.
abstract contract EpochFixture is ArenaFixture {
    uint32 internal constant ABSTAIN = type(uint32).max;
    uint256 internal constant CHUNK = 128;

    /// @dev What a validator reported for the entries it drew, in the order of the draw.
    struct Sheet {
        bytes32 root;
        uint256[] entries;
        uint32[] scores;
    }

    /// @dev The epoch in flight as its draw announced it, and the list that is scored.
    struct Draw {
        uint256 epoch;
        bytes32 seed;
        uint256 entries;
        uint256 listed;
        uint256 validatorStake;
        uint256 nodeBudget;
        uint256 validatorBudget;
        uint256[] list;
    }

    struct Vote {
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
    mapping(address validator => Sheet) internal sheets;
    /// @dev What was revealed for an entry, without abstentions.
    mapping(uint256 epoch => mapping(uint256 entry => Vote[])) internal votes;
    /// @dev Validators that revealed in this epoch, in order.
    address[] internal revealers;

    // ------------------------------------------------------------------ participants

    /// @notice A task with nodes and validators that count from epoch 1 on.
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

    // ------------------------------------------------------------------ scores

    function drawSeed(uint256 epoch) internal {
        warpTo(epoch, Phase.Seed);
        vm.prevrandao(keccak256(abi.encode("randomness", epoch)));
        delete revealers;
        draw.epoch = epoch;
        draw.list = waiting();
        vm.recordLogs();
        draw.seed = arena.drawSeed(task);
        Vm.Log memory log = lastLog(IArena.SeedDrawn.selector);
        bytes32 seed;
        (seed, draw.entries, draw.listed, draw.validatorStake, draw.nodeBudget, draw.validatorBudget) =
            abi.decode(log.data, (bytes32, uint256, uint256, uint256, uint256, uint256));
        assertEq(seed, draw.seed, "the event tells the seed");
        assertEq(draw.listed, draw.list.length, "the event tells the list's length");
    }

    /// @notice What the next seed puts on the list: all entries, or what waits to be scored.
    function waiting() internal view returns (uint256[] memory list) {
        uint256 count = arena.entryCount(task);
        uint256 length = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (params.freshData || arena.entryAt(task, i).queued) ++length;
        }
        list = new uint256[](length);
        for (uint256 i = 0; i < count; ++i) {
            Entry memory entry = arena.entryAt(task, i);
            if (params.freshData) list[i] = i;
            else if (entry.queued) list[entry.queuePosition] = i;
        }
    }

    function lastLog(bytes32 topic) internal returns (Vm.Log memory) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = logs.length; i > 0; --i) {
            if (logs[i - 1].topics[0] == topic) return logs[i - 1];
        }
        revert("no such log");
    }

    /// @notice The entries that a validator drew, in the order of the draw.
    function drawn(address validator) internal view returns (uint256[] memory entries) {
        bytes32 key = Assignment.key(draw.seed, task, draw.epoch, validator);
        entries = new uint256[](assigned(validator));
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i] = draw.list[Assignment.image(key, draw.listed, i)];
        }
    }

    function assigned(address validator) internal view returns (uint256) {
        return Assignment.count(
            params.redundancy, draw.listed, effectiveStake(validator, draw.epoch), draw.validatorStake
        );
    }

    function effectiveStake(address operator, uint256 epoch) internal view returns (uint256) {
        (uint256 direct, uint256 delegated) = vault.stakeAt(task, operator, epoch);
        return Rewards.effective(direct, delegated, params.epsilonWad);
    }

    /// @notice The true scores of what a validator drew.
    function honest(address validator) internal view returns (uint32[] memory scores) {
        uint256[] memory entries = drawn(validator);
        scores = new uint32[](entries.length);
        for (uint256 i = 0; i < entries.length; ++i) {
            scores[i] = truth[arena.entryAt(task, entries[i]).contentHash];
        }
    }

    function constant_(address validator, uint32 score) internal view returns (uint32[] memory scores) {
        scores = new uint32[](assigned(validator));
        for (uint256 i = 0; i < scores.length; ++i) {
            scores[i] = score;
        }
    }

    function commitScores(address validator, uint32[] memory scores) internal {
        uint256[] memory entries = drawn(validator);
        bytes32 root = rootOf(leavesOf(entries, scores));
        sheets[validator] = Sheet({root: root, entries: entries, scores: scores});
        bytes32 commitment =
            Commitment.scores(block.chainid, address(arena), task, draw.epoch, validator, SALT, root);
        vm.prank(validator);
        arena.commitScores(task, commitment);
    }

    function reveal(address validator) internal {
        uint256 chunks = (sheets[validator].scores.length + CHUNK - 1) / CHUNK;
        for (uint256 chunk = 0; chunk < chunks; ++chunk) {
            revealChunk(validator, chunk);
        }
    }

    function revealChunk(address validator, uint256 chunk) internal {
        Sheet memory sheet = sheets[validator];
        bytes32[] memory proof = proofOf(leavesOf(sheet.entries, sheet.scores), chunk);
        bytes memory scores = packed(sheet.scores, chunk);
        vm.prank(validator);
        arena.revealScores(task, SALT, sheet.root, chunk, scores, proof);
        countReveal(validator, chunk);
    }

    /// @dev Keeps what the settlement needs to know of a reveal.
    function countReveal(address validator, uint256 chunk) internal {
        Sheet memory sheet = sheets[validator];
        bool known = false;
        for (uint256 i = 0; i < revealers.length; ++i) {
            known = known || revealers[i] == validator;
        }
        if (!known) revealers.push(validator);

        uint256 omega = effectiveStake(validator, draw.epoch) * draw.listed / sheet.entries.length;
        for (uint256 i = chunk * CHUNK; i < sheet.scores.length && i < (chunk + 1) * CHUNK; ++i) {
            if (sheet.scores[i] == ABSTAIN) continue;
            votes[draw.epoch][sheet.entries[i]].push(Vote({weight: omega, score: sheet.scores[i]}));
        }
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
        uint32[] memory order = orderOfRanked();
        for (uint256 from = 0; from < order.length; from += least(batch, order.length - from)) {
            arena.rank(task, from, slice(order, from, batch));
        }
        for (uint256 from = 0; from < order.length; from += least(batch, order.length - from)) {
            arena.payNodes(task, from, slice(order, from, batch));
        }
        weighAll();
        // Without any weight the epoch has ended already: there is no validator to pay.
        if (stage() == Stage.Idle) return;
        for (uint256 from = 0; from < revealers.length; from += least(batch, revealers.length - from)) {
            arena.payValidators(task, from, least(batch, revealers.length - from));
        }
    }

    function tallyInBatches(uint256 batch) internal {
        uint32[] memory medians = expectedMedians();
        for (uint256 from = 0; from < medians.length; from += least(batch, medians.length - from)) {
            arena.tally(task, from, slice(medians, from, batch));
        }
    }

    function weighAll() internal {
        for (uint256 i = 0; i < revealers.length; ++i) {
            uint256 chunks = (sheets[revealers[i]].scores.length + CHUNK - 1) / CHUNK;
            for (uint256 chunk = 0; chunk < chunks; ++chunk) {
                arena.weigh(task, revealers[i], chunk, packed(sheets[revealers[i]].scores, chunk));
            }
        }
    }

    /// @notice The lower weighted median of every entry (M-7), by trying each reveal; 0 without quorum.
    function expectedMedians() internal view returns (uint32[] memory medians) {
        medians = new uint32[](arena.entryCount(task));
        for (uint256 entry = 0; entry < medians.length; ++entry) {
            medians[entry] = medianOf(votes[draw.epoch][entry]);
        }
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

    /// @notice The entries that the tally found rankable: by score, best first, then by commitment number.
    function orderOfRanked() internal view returns (uint32[] memory order) {
        uint256 count = arena.entryCount(task);
        uint256[] memory keys = new uint256[](count);
        uint256 found = 0;
        for (uint256 i = 0; i < count; ++i) {
            Entry memory entry = arena.entryAt(task, i);
            if (!entry.ranked) continue;
            uint256 key = (uint256(entry.consensus) << 96) | (uint256(~entry.number) << 32) | i;
            uint256 place = found++;
            for (; place > 0 && keys[place - 1] < key; --place) {
                keys[place] = keys[place - 1];
            }
            keys[place] = key;
        }
        order = new uint32[](found);
        for (uint256 i = 0; i < found; ++i) {
            order[i] = uint32(keys[i]);
        }
    }

    function stage() internal view returns (Stage stage_) {
        (, stage_,) = arena.flightOf(task);
    }

    // ------------------------------------------------------------------ bytes and trees

    /// @notice Four bytes per score, big-endian, of one chunk.
    function packed(uint32[] memory scores, uint256 chunk) internal pure returns (bytes memory bytes_) {
        uint256 from = chunk * CHUNK;
        uint256 count = least(CHUNK, scores.length - from);
        bytes_ = new bytes(4 * count);
        for (uint256 i = 0; i < count; ++i) {
            for (uint256 k = 0; k < 4; ++k) {
                bytes_[4 * i + k] = bytes1(uint8(scores[from + i] >> (24 - 8 * k)));
            }
        }
    }

    function leavesOf(uint256[] memory entries, uint32[] memory scores)
        internal
        view
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[]((scores.length + CHUNK - 1) / CHUNK);
        for (uint256 chunk = 0; chunk < leaves.length; ++chunk) {
            uint256 count = least(CHUNK, scores.length - chunk * CHUNK);
            bytes32[] memory hashes = new bytes32[](count);
            for (uint256 i = 0; i < count; ++i) {
                hashes[i] = arena.entryAt(task, entries[chunk * CHUNK + i]).contentHash;
            }
            leaves[chunk] = keccak256(
                bytes.concat(
                    keccak256(abi.encode(chunk, keccak256(abi.encodePacked(hashes)), packed(scores, chunk)))
                )
            );
        }
    }

    function rootOf(bytes32[] memory level) internal pure returns (bytes32) {
        if (level.length == 0) return 0;
        while (level.length > 1) level = parents(level);
        return level[0];
    }

    function proofOf(bytes32[] memory level, uint256 index) internal pure returns (bytes32[] memory proof) {
        bytes32[] memory long = new bytes32[](8);
        uint256 length = 0;
        for (; level.length > 1; level = parents(level)) {
            if (index ^ 1 < level.length) long[length++] = level[index ^ 1];
            index /= 2;
        }
        proof = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            proof[i] = long[i];
        }
    }

    function parents(bytes32[] memory level) internal pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            if (2 * i + 1 == level.length) {
                above[i] = level[2 * i];
                continue;
            }
            above[i] = keccak256(bytes.concat(level[2 * i], level[2 * i + 1]));
        }
    }

    function slice(uint32[] memory list, uint256 from, uint256 limit)
        internal
        pure
        returns (uint32[] memory part)
    {
        part = new uint32[](least(limit, list.length - from));
        for (uint256 i = 0; i < part.length; ++i) {
            part[i] = list[from + i];
        }
    }

    function least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
