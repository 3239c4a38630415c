// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ArenaBase} from "./ArenaBase.sol";
import {
    Entry,
    Flight,
    IArena,
    RankingRule,
    Schedule,
    Stage,
    Tally,
    TaskParams,
    Walk
} from "./interfaces/IArena.sol";
import {Credit, IVault, Role, Stake} from "./interfaces/IVault.sol";
import {Assignment} from "./libraries/Assignment.sol";
import {Consensus} from "./libraries/Consensus.sol";
import {Ranking} from "./libraries/Ranking.sol";
import {Rewards} from "./libraries/Rewards.sol";

/// @title Settlement: from revealed scores to payments
/// @notice The part of `Arena` that settles an epoch; `IArena` documents every function. Arena deploys it and runs its code
/// on its own storage. Called directly, it knows no task.
contract Settlement is ArenaBase {
    using SafeCast for uint256;

    /// @dev What counting the scores of one submission after the other needs again and again. `keys` and `terms` keep, for
    /// each revealer that came up, the key of its draw, and how many scores it owed (from bit 128 on) and what each weighs;
    /// empty where so few scores are counted that keeping them costs more than it saves.
    struct Counting {
        Assignment.Grid grid;
        bytes32 seed;
        uint256 epoch;
        uint256 listed;
        uint256 revealers;
        uint256 redundancy;
        uint256 validatorStake;
        bytes32[] keys;
        uint256[] terms;
    }

    constructor(address vault_, Schedule memory schedule_) ArenaBase(vault_, schedule_) {}

    // ------------------------------------------------------------------ settlement

    function tally(uint256 task, Tally[] calldata tallies) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Scoring);
        Counting memory c = _counting(t, f);
        if (tallies.length * c.redundancy >= c.revealers) {
            (c.keys, c.terms) = (new bytes32[](c.revealers), new uint256[](c.revealers));
        }
        address[] memory nodes = new address[](tallies.length);
        for (uint256 i = 0; i < tallies.length; ++i) {
            nodes[i] = tallies[i].node;
        }
        Stake[] memory stakes = IVault(_vault).stakesAt(task, Role.Node, nodes, f.epoch);
        for (uint256 i = 0; i < tallies.length; ++i) {
            _tallyOne(task, t, f, c, tallies[i], stakes[i]);
        }
        if (f.tallied == f.entries && f.counted == f.revealed) {
            f.stage = f.rankable == 0 ? Stage.Paying : Stage.Ranking;
        }
        t.flight = f;
        _closeIfDone(task, t, f);
    }

    function tallyPart(uint256 task, Tally calldata part) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Scoring);
        bytes32 key = _countKey(f.epoch, part, msg.sender);
        Count memory count = t.counts[key];
        _requirePlace(t, f, part);
        _count(task, t, _counting(t, f), part, count);
        t.counts[key] = count;
        emit IArena.PartlyTallied(task, f.epoch, part.node, msg.sender, part.median, count.counted);
    }

    function rank(uint256 task, address[] calldata order) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Ranking);
        if (order.length != f.rankable) revert IArena.NotAllRanked(order.length, f.rankable);
        TaskParams memory p = t.params;
        Walk memory w = _start();
        (uint256 lastScore, uint256 lastNumber) = (type(uint32).max, 0);
        for (uint256 i = 0; i < order.length; ++i) {
            Entry storage entry = t.entries[order[i]];
            (uint256 score, uint256 number, uint256 stake) = (entry.consensus, entry.number, entry.stake);
            if (!_isRankable(entry.scored, entry.duplicate, score, stake)) {
                revert IArena.NotRankable(order[i]);
            }
            // Strictly downwards, and as many as there are: so each is there once.
            if (score > lastScore || (score == lastScore && number <= lastNumber)) {
                revert IArena.OutOfOrder(order[i]);
            }
            (lastScore, lastNumber) = (score, number);
            _step(p, w, stake);
            if (f.upperScore == 0 && uint256(w.stake) * 4 >= f.rankedStake) f.upperScore = uint32(score);
            if (f.lowerScore == 0 && uint256(w.stake) * 4 >= uint256(f.rankedStake) * 3) {
                f.lowerScore = uint32(score);
            }
        }
        (f.stage, f.geometricTotal, f.walk) = (Stage.Paying, w.weight, _start());
        f.walk.ranking = _digest(order);
        t.flight = f;
        emit IArena.Ranked(task, f.epoch, f.rankable, f.upperScore, f.lowerScore);
    }

    function payNodes(uint256 task, uint256 from, uint256 count, address[] calldata order) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Paying);
        uint256 skip = _skip(f.walk.done, from, count, f.rankable);
        bytes32 digest = _digest(order);
        if (f.rankable != 0 && digest != f.walk.ranking) {
            revert IArena.NotTheRanking(f.walk.ranking, digest);
        }
        TaskParams memory p = t.params;
        bool geometric = p.rule == RankingRule.RankGeometric;
        uint256 scale = geometric ? 0 : Ranking.integralScale(p.phiWad);
        order = order[from + skip:from + count];
        Stake[] memory stakes = IVault(_vault).stakesAt(task, Role.Node, order, f.epoch);
        Credit[] memory credits = new Credit[](stakes.length);
        for (uint256 i = 0; i < stakes.length; ++i) {
            uint256 stake = t.entries[order[i]].stake;
            (uint256 with_, uint256 without) = geometric
                ? _geometricReward(p, f, stake, stakes[i].direct)
                : _integralReward(f, stake, stakes[i].direct, p.phiWad, scale);
            _step(p, f.walk, stake);
            credits[i] = Credit({
                operator: order[i], withDelegation: with_.toUint96(), withoutDelegation: without.toUint96()
            });
        }
        t.flight.walk = f.walk;
        IVault(_vault).credit(task, credits);
        _closeIfDone(task, t, f);
    }

    function weigh(uint256 task, uint256 from, uint256 count) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Paying);
        uint256 skip = _skip(f.weighed, from, count, f.revealers);
        Counting memory c = _counting(t, f);
        for (uint256 i = from + skip; i < from + count; ++i) {
            Revealer storage revealer = t.revealers[i];
            uint256 weight = _weighOne(task, t, f, c, revealer);
            revealer.weight = weight;
            f.validatorWeight += weight;
            emit IArena.Weighed(task, f.epoch, revealer.validator, weight);
        }
        f.weighed += uint32(count - skip);
        t.flight.weighed = f.weighed;
        t.flight.validatorWeight = f.validatorWeight;
        _closeIfDone(task, t, f);
    }

    function payValidators(uint256 task, uint256 from, uint256 count) external {
        (Task storage t, Flight memory f) = _settling(task, Stage.Paying);
        if (f.weighed != f.revealers) revert IArena.WeighingIncomplete(f.weighed, f.revealers);
        uint256 skip = _skip(f.paid, from, count, f.revealers);
        address[] memory validators = new address[](count - skip);
        for (uint256 i = 0; i < validators.length; ++i) {
            validators[i] = t.revealers[f.paid + i].validator;
        }
        Stake[] memory stakes = IVault(_vault).stakesAt(task, Role.Validator, validators, f.epoch);
        Credit[] memory credits = new Credit[](validators.length);
        for (uint256 i = 0; i < validators.length; ++i) {
            Revealer storage revealer = t.revealers[f.paid + i];
            (uint256 stake, uint256 weight, uint256 direct) =
                (revealer.stake, revealer.weight, stakes[i].direct);
            uint256 with_ = Rewards.proportional(f.validatorBudget, weight, f.validatorWeight);
            uint256 without = with_;
            if (direct != stake) {
                uint256 alone = Rewards.proportional(weight, direct, stake);
                without = Rewards.proportional(f.validatorBudget, alone, f.validatorWeight - weight + alone);
            }
            credits[i] = Credit({
                operator: validators[i],
                withDelegation: with_.toUint96(),
                withoutDelegation: without.toUint96()
            });
        }
        f.paid += uint32(validators.length);
        t.flight.paid = f.paid;
        IVault(_vault).credit(task, credits);
        _closeIfDone(task, t, f);
    }

    // ------------------------------------------------------------------ preconditions

    function _settling(uint256 task, Stage expected) private view returns (Task storage t, Flight memory f) {
        t = _task(task);
        f = t.flight;
        if (f.stage != expected) revert IArena.WrongStage(expected, f.stage);
        _requireRevealOver(f.epoch);
    }

    /// @dev How many items of a batch are done already. A batch that overlaps what is done goes on behind it, so that
    /// nobody can make another's batch fail by sending a part of it first.
    function _skip(uint256 done, uint256 from, uint256 length, uint256 total) private pure returns (uint256) {
        if (from > done) revert IArena.WrongCursor(done, from);
        if (length > total - from) revert IArena.TooMany(length, total - from);
        return done - from < length ? done - from : length;
    }

    // ------------------------------------------------------------------ scores

    function _counting(Task storage t, Flight memory f) private view returns (Counting memory c) {
        c.grid = Assignment.grid(f.listed);
        (c.seed, c.epoch, c.listed, c.revealers) = (f.seed, f.epoch, f.listed, f.revealers);
        (c.redundancy, c.validatorStake) = (t.params.redundancy, f.validatorStake);
    }

    function _key(Counting memory c, uint256 task, address validator) private pure returns (bytes32) {
        return Assignment.key(c.seed, task, c.epoch, validator);
    }

    // ------------------------------------------------------------------ consensus, one submission at a time

    /// @dev Tallies one submission, unless it was tallied with as many scores already.
    function _tallyOne(
        uint256 task,
        Task storage t,
        Flight memory f,
        Counting memory c,
        Tally calldata given,
        Stake memory stake
    ) private {
        Entry memory entry = t.entries[given.node];
        if (entry.number == 0) revert IArena.NoSubmission(task, given.node);
        bool again = entry.tallied == uint8(f.draws);
        // What an earlier tally added, to be taken back if this one counts more.
        (uint32 countedBefore, uint96 rankedBefore) = (0, 0);
        if (again) {
            countedBefore = entry.counted;
            if (_isRankable(entry)) rankedBefore = entry.stake;
        }
        Count memory count;
        if (_requirePlace(t, f, given)) {
            count = t.counts[_countKey(f.epoch, given, msg.sender)];
            _count(task, t, c, given, count);
            if (again && count.counted <= countedBefore) return;
            bool quorum = Consensus.hasQuorum(count.total, f.validatorStake);
            bool right = quorum
                ? Consensus.isLowerMedian(given.median, count.below, count.atOrBelow, count.total)
                : given.median == Consensus.INVALID;
            if (!right) revert IArena.WrongMedian(given.node, given.median);
            (entry.scored, entry.consensus) = (quorum, given.median);
            if (!t.params.freshData) {
                if (quorum) _settleWaiting(t, f, given);
                else _enqueue(t, given.node);
            }
        } else if (again) {
            return;
        }

        f.counted -= countedBefore;
        if (rankedBefore != 0) {
            f.rankedStake -= rankedBefore;
            --f.rankable;
        }
        if (!again) ++f.tallied;
        entry.tallied = uint8(f.draws);
        entry.counted = uint24(count.counted);
        f.counted += count.counted;
        entry.stake = 0;
        if (_isEligible(t, entry, stake, f.epoch)) {
            entry.stake = uint96(Rewards.effective(stake.direct, stake.delegated, t.params.epsilonWad));
        }
        if (_isRankable(entry)) {
            f.rankedStake += entry.stake;
            ++f.rankable;
        }
        t.entries[given.node] = entry;
        emit IArena.Tallied(
            task, f.epoch, given.node, entry.scored, entry.consensus, entry.stake, entry.counted
        );
    }

    function _isRankable(Entry memory entry) private pure returns (bool) {
        return _isRankable(entry.scored, entry.duplicate, entry.consensus, entry.stake);
    }

    function _isRankable(bool scored, bool duplicate, uint256 score, uint256 stake)
        private
        pure
        returns (bool)
    {
        return scored && !duplicate && score != Consensus.INVALID && stake != 0;
    }

    /// @dev Whether the submission is scored in this epoch; its place on the list must then be right.
    function _requirePlace(Task storage t, Flight memory f, Tally calldata given)
        private
        view
        returns (bool)
    {
        if (t.params.freshData) {
            if (t.entries[given.node].place != given.place) {
                revert IArena.WrongPlace(given.node, given.place);
            }
            return true;
        }
        // Queued again means that it was scored in this epoch without a quorum: none is opened while one is in flight.
        uint256 draw = t.waiting[given.node].draw;
        if (draw != f.draws && draw != f.draws + 1) return false;
        address[] storage queue = t.queues[f.activeQueue];
        if (given.place >= queue.length || queue[given.place] != given.node) {
            revert IArena.WrongPlace(given.node, given.place);
        }
        return true;
    }

    /// @dev A submission that was queued again after a tally without quorum, and has one now, is on this epoch's list alone.
    function _settleWaiting(Task storage t, Flight memory f, Tally calldata given) private {
        if (t.waiting[given.node].draw != f.draws + 1) return;
        _dequeue(t, given.node);
        t.waiting[given.node] = Waiting({draw: f.draws, place: given.place});
    }

    /// @dev Partial counts of one settler are out of reach of all others.
    function _countKey(uint256 epoch, Tally calldata given, address settler) private pure returns (bytes32) {
        return keccak256(abi.encode(epoch, given.node, given.median, settler));
    }

    /// @dev Counts the scores that the given validators revealed for a submission, on top of what was counted before.
    function _count(uint256 task, Task storage t, Counting memory c, Tally calldata given, Count memory count)
        private
        view
    {
        (uint256 place, uint256 median, uint256 next) = (given.place, given.median, count.next);
        (uint256 total, uint256 below, uint256 atOrBelow) = (count.total, count.below, count.atOrBelow);
        bytes calldata indices = given.revealers;
        uint256 length = indices.length / 4;
        for (uint256 i = 0; i < length; ++i) {
            uint256 index;
            assembly ("memory-safe") {
                index := shr(224, calldataload(add(indices.offset, mul(4, i))))
            }
            if (index < next) revert IArena.RevealersUnsorted(index);
            if (index >= c.revealers) revert IArena.NoSuchRevealer(index, c.revealers);
            next = index + 1;
            (uint256 score, uint256 weight) = _scoreOf(task, t, c, index, place);
            if (score == Consensus.ABSTAINED) {
                revert IArena.NotScoredBy(given.node, t.revealers[index].validator);
            }
            total += weight;
            if (score < median) below += weight;
            if (score <= median) atOrBelow += weight;
        }
        (count.counted, count.next) = (uint32(count.counted + length), uint32(next));
        (count.total, count.below, count.atOrBelow) = (total, below, atOrBelow);
    }

    /// @dev The score that a validator gave to the submission at a place, and its weight; an abstention if it owed none.
    function _scoreOf(uint256 task, Task storage t, Counting memory c, uint256 index, uint256 place)
        private
        view
        returns (uint256 score, uint256 weight)
    {
        Revealer storage revealer = t.revealers[index];
        (bytes32 key, uint256 terms) = c.keys.length == 0 ? (bytes32(0), 0) : (c.keys[index], c.terms[index]);
        if (terms == 0) {
            (address validator, uint256 stake) = (revealer.validator, revealer.stake);
            key = _key(c, task, validator);
            uint256 owed = Assignment.count(c.redundancy, c.listed, stake, c.validatorStake);
            if (owed != 0) terms = owed << 128 | Consensus.weight(stake, c.listed, owed);
            if (c.keys.length != 0) (c.keys[index], c.terms[index]) = (key, terms);
        }
        uint256 i = Assignment.preimage(c.grid, key, place);
        if (i >= terms >> 128) return (Consensus.ABSTAINED, 0);
        score = _scoreIn(revealer.scores[i / SCORES_PER_WORD], i % SCORES_PER_WORD);
        weight = uint128(terms);
    }

    // ------------------------------------------------------------------ ranks and rewards, one at a time

    function _start() private pure returns (Walk memory w) {
        w.decay = uint64(WAD);
    }

    /// @dev keccak256 of the nodes, a word each.
    function _digest(address[] calldata order) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(order));
    }

    /// @dev One submission further in a walk.
    function _step(TaskParams memory p, Walk memory w, uint256 stake) private pure {
        ++w.done;
        w.stake += uint96(stake);
        if (p.rule == RankingRule.RankGeometric) {
            w.weight += _geometricWeight(p, w.done, w.decay, stake);
            w.decay = uint64(Ranking.decay(w.decay, p.qWad));
        }
    }

    /// @dev M-5, stake-integral: ⌊B·F⌋ at the upper boundary less the highest so far.
    function _integralReward(Flight memory f, uint256 stake, uint256 direct, uint256 phi, uint256 scale)
        private
        pure
        returns (uint256 with_, uint256 without)
    {
        (uint256 budget, uint256 total, uint256 above) = (f.nodeBudget, f.rankedStake, f.walk.stake);
        uint256 boundary = Ranking.integralCumulative(budget, above + stake, total, phi, scale);
        if (boundary > f.walk.boundary) {
            with_ = boundary - f.walk.boundary;
            f.walk.boundary = uint96(boundary);
        }
        if (direct == stake) return (with_, with_);
        without = Ranking.integralWithoutDelegation(budget, above, stake, direct, total, phi, scale);
    }

    /// @dev M-5, rank-geometric: differences of ⌊B·W⌋ over the cumulative weights.
    function _geometricReward(TaskParams memory p, Flight memory f, uint256 stake, uint256 direct)
        private
        pure
        returns (uint256 with_, uint256 without)
    {
        (uint256 budget, uint256 total, Walk memory w) = (f.nodeBudget, f.geometricTotal, f.walk);
        uint256 weight = _geometricWeight(p, w.done + 1, w.decay, stake);
        with_ = Rewards.proportional(budget, w.weight + weight, total)
            - Rewards.proportional(budget, w.weight, total);
        if (direct == stake) return (with_, with_);
        uint256 alone = _geometricWeight(p, w.done + 1, w.decay, direct);
        without = Rewards.proportional(budget, alone, total - weight + alone);
    }

    function _geometricWeight(TaskParams memory p, uint256 place, uint256 decay, uint256 stake)
        private
        pure
        returns (uint256)
    {
        if (p.rankCutoff != 0 && place > p.rankCutoff) return 0;
        return Ranking.geometricWeight(decay, stake, p.alphaWad);
    }

    /// @dev Weight of one validator's scores (M-8).
    function _weighOne(
        uint256 task,
        Task storage t,
        Flight memory f,
        Counting memory c,
        Revealer storage revealer
    ) private view returns (uint256 weight) {
        (uint256 spread, uint256 tolerance) = (f.upperScore - f.lowerScore, t.params.tolerance);
        uint256 assigned = Assignment.count(c.redundancy, c.listed, revealer.stake, c.validatorStake);
        uint256 omega = assigned == 0 ? 0 : Consensus.weight(revealer.stake, c.listed, assigned);
        bytes32 key = _key(c, task, revealer.validator);
        address[] storage list = t.params.freshData ? t.list : t.queues[f.activeQueue];
        uint256 word = 0;
        for (uint256 i = 0; i < assigned; ++i) {
            if (i % SCORES_PER_WORD == 0) word = revealer.scores[i / SCORES_PER_WORD];
            uint256 score = _scoreIn(word, i % SCORES_PER_WORD);
            if (score == Consensus.ABSTAINED) continue;
            Entry storage entry = t.entries[list[Assignment.image(c.grid, key, i)]];
            if (!entry.scored) continue;
            uint256 accuracy = Rewards.accuracy(score, entry.consensus, tolerance, spread);
            weight += Rewards.validatorWeight(entry.stake, omega, accuracy);
        }
    }

    /// @dev Ends the epoch once all nodes and, if any of them earned weight, all validators are paid.
    function _closeIfDone(uint256 task, Task storage t, Flight memory f) private {
        if (f.stage != Stage.Paying || f.walk.done != f.rankable || f.weighed != f.revealers) return;
        if (f.validatorWeight != 0 && f.paid != f.revealers) return;
        t.flight.stage = Stage.Idle;
        emit IArena.EpochSettled(task, f.epoch);
        IVault(_vault).closeBudget(task);
    }
}
