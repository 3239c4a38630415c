// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {
    Ballot,
    Entry,
    Flight,
    IArena,
    Metric,
    Phase,
    RankingRule,
    Schedule,
    Stage,
    TaskParams,
    Walk
} from "./interfaces/IArena.sol";
import {IVault, Role, Terms} from "./interfaces/IVault.sol";
import {Assignment} from "./libraries/Assignment.sol";
import {Commitment} from "./libraries/Commitment.sol";
import {Consensus} from "./libraries/Consensus.sol";
import {Ranking} from "./libraries/Ranking.sol";
import {Rewards} from "./libraries/Rewards.sol";

/// @title Arena
/// @notice Implements `IArena`, which documents every function.
contract Arena is IArena {
    using SafeCast for uint256;

    uint256 private constant WAD = 1e18;
    uint256 private constant MAX_SUBMISSIONS = 2048;
    uint256 private constant MAX_URI_LENGTH = 256;
    uint256 private constant CHUNK = 128;
    uint256 private constant LANES_PER_WORD = 4;

    /// @dev A node's last commitment to a submission.
    struct Pledge {
        bytes32 commitment;
        uint64 number;
        uint32 epoch;
    }

    /// @dev Who first disclosed a content hash.
    struct Origin {
        address node;
        uint64 number;
    }

    /// @dev The scores revealed for one entry in `epoch`: `count` lanes of (revealer index, score), four in a word. What
    /// an earlier epoch left is overwritten.
    struct Box {
        uint32 epoch;
        uint32 count;
        mapping(uint256 word => uint256) lanes;
    }

    /// @dev How far the scores of an entry were counted against a median, and their weights.
    struct Count {
        uint256 lanes;
        uint256 total;
        uint256 below;
        uint256 atOrBelow;
    }

    /// @dev Everything of one task. `revealers` holds `validator << 96 | effective stake`. `queues` serves tasks without
    /// fresh data: one lists what is being scored, the other what waits for the next epoch.
    struct Task {
        TaskParams params;
        uint32 firstEpoch;
        uint32 lastEpoch;
        uint64 commitments;
        Flight flight;
        Entry[] entries;
        uint32[][2] queues;
        mapping(address node => uint256) places;
        mapping(address node => Pledge) pledges;
        mapping(bytes32 contentHash => Origin) origins;
        mapping(uint256 entry => Box) boxes;
        mapping(uint256 key => Count) counts;
        mapping(uint256 index => uint256) revealers;
        mapping(address validator => Ballot) ballots;
        mapping(address validator => mapping(uint256 chunk => bytes32)) digests;
    }

    address public immutable vault;
    uint64 private immutable genesis;
    uint32 private immutable epochLength;
    uint32 private immutable submitEnd;
    uint32 private immutable discloseEnd;
    uint32 private immutable seedEnd;
    uint32 private immutable commitEnd;
    uint32 private immutable revealEnd;
    uint32 private immutable seedDelay;

    uint256 public taskCount;
    mapping(uint256 task => Task) private tasks;

    constructor(address vault_, Schedule memory schedule_) {
        if (vault_.code.length == 0) revert BadDeployment("vault is no contract");
        if (IVault(vault_).arena() != address(this)) revert BadDeployment("vault of another arena");
        vault = vault_;
        genesis = IVault(vault_).genesis();
        epochLength = IVault(vault_).epochLength();

        bool rising = schedule_.submitEnd > 0 && schedule_.discloseEnd > schedule_.submitEnd
            && schedule_.seedEnd > schedule_.discloseEnd && schedule_.commitEnd > schedule_.seedEnd
            && schedule_.revealEnd > schedule_.commitEnd && epochLength > schedule_.revealEnd;
        if (!rising) revert BadDeployment("phases out of order");
        if (schedule_.seedDelay >= schedule_.seedEnd - schedule_.discloseEnd) {
            revert BadDeployment("seed delay exceeds its phase");
        }
        submitEnd = schedule_.submitEnd;
        discloseEnd = schedule_.discloseEnd;
        seedEnd = schedule_.seedEnd;
        commitEnd = schedule_.commitEnd;
        revealEnd = schedule_.revealEnd;
        seedDelay = schedule_.seedDelay;
    }

    // ------------------------------------------------------------------ tasks and submissions

    /// @inheritdoc IArena
    function createTask(TaskParams calldata params) external returns (uint256 task) {
        _checkParams(params);
        (uint32 epoch,) = clock();
        task = ++taskCount;
        Task storage t = tasks[task];
        t.params = params;
        t.firstEpoch = epoch + 1;
        t.lastEpoch = epoch + params.epochs;
        emit TaskCreated(task, msg.sender, t.firstEpoch, t.lastEpoch, params);
        IVault(vault)
            .register(
                task,
                Terms({
                creator: msg.sender,
                firstEpoch: t.firstEpoch,
                lastEpoch: t.lastEpoch,
                emissionPerEpoch: params.emissionPerEpoch,
                minNodeStake: params.minNodeStake,
                minValidatorStake: params.minValidatorStake
            })
            );
    }

    /// @inheritdoc IArena
    function commitSubmission(uint256 task, bytes32 commitment) external returns (uint256 number) {
        (Task storage t, uint32 epoch) = _running(task, Phase.Submit);
        Pledge storage pledge = t.pledges[msg.sender];
        if (pledge.epoch == epoch) revert AlreadyCommitted(msg.sender, epoch);
        _requireStake(task, Role.Node, t.params.minNodeStake, epoch);

        number = ++t.commitments;
        pledge.commitment = commitment;
        pledge.number = uint64(number);
        pledge.epoch = epoch;
        emit SubmissionCommitted(task, epoch, msg.sender, number, commitment);
    }

    /// @inheritdoc IArena
    function openSubmission(uint256 task, bytes32 contentHash, bytes32 salt, string calldata uri) external {
        (Task storage t, uint32 epoch) = _running(task, Phase.Disclose);
        _requireIdle(task, t);
        if (bytes(uri).length > MAX_URI_LENGTH) revert UriTooLong(bytes(uri).length, MAX_URI_LENGTH);
        Pledge storage pledge = t.pledges[msg.sender];
        if (pledge.epoch != epoch || pledge.commitment == 0) revert NoCommitment(msg.sender, epoch);
        bytes32 computed =
            Commitment.submission(block.chainid, address(this), task, epoch, msg.sender, contentHash, salt);
        if (computed != pledge.commitment) revert CommitmentMismatch(pledge.commitment, computed);
        pledge.commitment = 0;

        uint256 index = _enter(t, msg.sender);
        Entry storage entry = t.entries[index];
        entry.contentHash = contentHash;
        entry.number = pledge.number;
        entry.withdrawnIn = 0;
        entry.scored = false;
        entry.ranked = false;
        if (!t.params.freshData && !entry.queued) _enqueue(t, index);
        Origin storage origin = t.origins[contentHash];
        if (origin.node == address(0) || pledge.number < origin.number) {
            origin.node = msg.sender;
            origin.number = pledge.number;
        }
        emit SubmissionOpened(task, epoch, msg.sender, pledge.number, index, contentHash, salt, uri);
    }

    /// @inheritdoc IArena
    function withdrawSubmission(uint256 task) external {
        Task storage t = _task(task);
        uint256 place = t.places[msg.sender];
        if (place == 0) revert NoSubmission(task, msg.sender);
        Entry storage entry = t.entries[place - 1];
        if (entry.withdrawnIn != 0) revert AlreadyWithdrawn(task, msg.sender);
        (uint32 epoch,) = clock();
        entry.withdrawnIn = epoch;
        emit SubmissionWithdrawn(task, epoch, msg.sender);
    }

    /// @inheritdoc IArena
    function evict(uint256 task, address node) external {
        Task storage t = _task(task);
        _requireIdle(task, t);
        (uint32 epoch, Phase phase) = clock();
        if (phase > Phase.Disclose) revert WrongPhase(Phase.Disclose, phase);
        uint256 place = t.places[node];
        if (place == 0) revert NoSubmission(task, node);
        (, bool eligible) = _eligibleStake(task, t, t.entries[place - 1], epoch);
        if (eligible) revert StillEligible(task, node);

        address moved = _remove(t, place - 1);
        emit SubmissionEvicted(task, epoch, node, place - 1, moved);
    }

    // ------------------------------------------------------------------ scores

    /// @inheritdoc IArena
    function drawSeed(uint256 task) external returns (bytes32 seed) {
        Task storage t = _task(task);
        (uint32 epoch,) = clock();
        if (epoch < t.firstEpoch || epoch > t.lastEpoch) revert TaskNotRunning(task, epoch);
        Flight storage f = t.flight;
        if (f.epoch == epoch) revert SeedAlreadyDrawn(task, epoch);
        _requireIdle(task, t);
        uint256 start = epochStart(epoch);
        if (block.timestamp < start + discloseEnd + seedDelay) {
            revert SeedTooEarly(start + discloseEnd + seedDelay);
        }
        if (block.timestamp >= start + commitEnd) revert SeedTooLate(start + commitEnd);
        if (t.entries.length == 0) revert NothingToScore(task);

        (uint256 nodesDirect,) = IVault(vault).totalsAt(task, Role.Node, epoch);
        (uint256 direct, uint256 delegated) = IVault(vault).totalsAt(task, Role.Validator, epoch);
        if (direct == 0) revert NoValidators(task);
        seed = keccak256(abi.encode(block.prevrandao, block.chainid, address(this), task, epoch));
        (uint256 emission, uint256 bounty) = IVault(vault).openBudget(task, epoch);

        uint8 queue = f.activeQueue ^ 1;
        uint256 listed = t.params.freshData ? t.entries.length : t.queues[queue].length;
        delete t.flight;
        f.seed = seed;
        f.epoch = epoch;
        f.stage = Stage.Scoring;
        f.entries = uint32(t.entries.length);
        f.listed = uint32(listed);
        f.activeQueue = queue;
        f.validatorStake = Rewards.effective(direct, delegated, t.params.epsilonWad).toUint96();
        f.nodeBudget =
            Rewards.nodeBudget(emission + bounty, t.params.gammaWad, nodesDirect, direct).toUint96();
        f.validatorBudget = (emission + bounty - f.nodeBudget).toUint96();
        delete t.queues[queue ^ 1];
        emit SeedDrawn(
            task, epoch, seed, f.entries, listed, f.validatorStake, f.nodeBudget, f.validatorBudget
        );
    }

    /// @inheritdoc IArena
    function commitScores(uint256 task, bytes32 commitment) external {
        (Task storage t, uint32 epoch) = _running(task, Phase.Commit);
        if (t.flight.epoch != epoch) revert NotInFlight(task, epoch);
        Ballot storage ballot = t.ballots[msg.sender];
        if (uint32(uint256(ballot.commitment)) == epoch) revert AlreadyCommitted(msg.sender, epoch);
        ballot.commitment = Commitment.tagged(commitment, epoch);
        emit ScoresCommitted(task, epoch, msg.sender, commitment);
    }

    /// @inheritdoc IArena
    function revealScores(
        uint256 task,
        bytes32 salt,
        bytes32 root,
        uint256 chunk,
        bytes calldata scores,
        bytes32[] calldata proof
    ) external {
        (Task storage t, uint32 epoch) = _running(task, Phase.Reveal);
        if (t.flight.epoch != epoch) revert NotInFlight(task, epoch);
        Ballot storage ballot = t.ballots[msg.sender];
        if (uint32(uint256(ballot.commitment)) != epoch) revert NoCommitment(msg.sender, epoch);
        bytes32 computed = Commitment.tagged(
            Commitment.scores(block.chainid, address(this), task, epoch, msg.sender, salt, root), epoch
        );
        if (computed != ballot.commitment) revert CommitmentMismatch(ballot.commitment, computed);

        uint256 effective = ballot.epoch == epoch
            ? uint96(t.revealers[ballot.index])
            : _enterRevealer(task, t, ballot, epoch);
        if (ballot.revealed & (1 << chunk) != 0) revert ChunkRevealed(msg.sender, chunk);
        (uint256 count, uint256 chunks) = _chunkLength(t, effective, chunk);
        if (scores.length != 4 * count) revert ChunkLength(4 * count, scores.length);

        bytes32 leaf = Commitment.leaf(chunk, _cast(task, t, ballot.index, chunk, count, scores), scores);
        if (!Commitment.proves(proof, root, leaf, chunk, chunks)) revert ProofInvalid(root, leaf);
        ballot.revealed |= uint16(1 << chunk);
        t.flight.chunksRevealed += 1;
        t.digests[msg.sender][chunk] = keccak256(scores);
        emit ScoresRevealed(task, epoch, msg.sender, chunk, salt, root, scores);
    }

    // ------------------------------------------------------------------ settlement

    /// @inheritdoc IArena
    function tally(uint256 task, uint256 from, uint32[] calldata medians) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Scoring);
        _checkBatch(f.tallied, from, medians.length, f.entries);
        uint256 rankedStake = f.rankedStake;
        uint32 rankable = f.rankable;
        for (uint256 i = 0; i < medians.length; ++i) {
            uint256 stake = _tallyEntry(task, t, from + i, medians[i]);
            if (stake != 0) {
                rankedStake += stake;
                ++rankable;
            }
        }
        f.rankedStake = rankedStake.toUint96();
        f.rankable = rankable;
        f.tallied = uint32(from + medians.length);
        if (f.tallied == f.entries) {
            f.stage = rankable == 0 ? Stage.Paying : Stage.Ranking;
            f.walk.lastScore = type(uint32).max;
            f.walk.decay = WAD;
            _closeIfDone(task, f);
        }
    }

    /// @inheritdoc IArena
    function tallyPart(uint256 task, uint256 entry, uint32 median, uint256 lanes) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Scoring);
        if (entry >= f.entries) revert NoSuchEntry(entry);
        Count memory count = _count(t, entry, median, lanes);
        t.counts[_countKey(f.epoch, entry, median)] = count;
        emit PartlyTallied(task, f.epoch, entry, median, count.lanes);
    }

    /// @inheritdoc IArena
    function rank(uint256 task, uint256 from, uint32[] calldata order) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Ranking);
        Walk memory w = f.walk;
        _checkBatch(w.done, from, order.length, f.rankable);
        for (uint256 i = 0; i < order.length; ++i) {
            Entry storage entry = _entry(t, order[i]);
            if (!entry.ranked) revert NotRankable(order[i]);
            (uint32 score, uint64 number) = (entry.consensus, entry.number);
            if (score > w.lastScore || (score == w.lastScore && number <= w.lastNumber)) {
                revert OutOfOrder(order[i]);
            }
            (w.lastScore, w.lastNumber) = (score, number);
            _step(t, w, entry.stake);
            if (f.upperScore == 0 && uint256(w.stake) * 4 >= f.rankedStake) f.upperScore = score;
            if (f.lowerScore == 0 && uint256(w.stake) * 4 >= uint256(f.rankedStake) * 3) {
                f.lowerScore = score;
            }
            entry.rank = w.done;
            emit Ranked(task, f.epoch, entry.node, order[i], w.done);
        }
        if (w.done == f.rankable) {
            f.stage = Stage.Paying;
            f.geometricTotal = w.weight;
            delete w;
            w.decay = WAD;
        }
        f.walk = w;
    }

    /// @inheritdoc IArena
    function payNodes(uint256 task, uint256 from, uint32[] calldata order) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Paying);
        Walk memory w = f.walk;
        _checkBatch(w.done, from, order.length, f.rankable);
        bool geometric = t.params.rule == RankingRule.RankGeometric;
        for (uint256 i = 0; i < order.length; ++i) {
            Entry storage entry = _entry(t, order[i]);
            if (!entry.ranked || entry.rank != w.done + 1) revert WrongRank(order[i], w.done + 1);
            (address node, uint256 stake) = (entry.node, entry.stake);
            (uint256 direct,) = _stakeAt(task, node, f.epoch);
            (uint256 with_, uint256 without) =
                geometric ? _geometricReward(t, f, w, stake, direct) : _integralReward(t, f, w, stake, direct);
            _step(t, w, stake);
            if (direct == stake) without = with_;
            emit NodePaid(task, f.epoch, node, with_, without);
            _credit(task, node, with_, without);
        }
        f.walk = w;
        _closeIfDone(task, f);
    }

    /// @inheritdoc IArena
    function weigh(uint256 task, address validator, uint256 chunk, bytes calldata scores) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Paying);
        Ballot storage ballot = t.ballots[validator];
        if (chunk >= 16 || ballot.epoch != f.epoch || ballot.revealed & (1 << chunk) == 0) {
            revert ChunkNotRevealed(validator, chunk);
        }
        if (ballot.weighed & (1 << chunk) != 0) revert ChunkWeighed(validator, chunk);
        if (keccak256(scores) != t.digests[validator][chunk]) revert ChunkDiffers(validator, chunk);

        uint256 weight = _weighChunk(task, t, validator, uint96(t.revealers[ballot.index]), chunk, scores);
        ballot.weighed |= uint16(1 << chunk);
        ballot.weight += weight;
        f.validatorWeight += weight;
        f.chunksWeighed += 1;
        emit Weighed(task, f.epoch, validator, chunk, weight);
        _closeIfDone(task, f);
    }

    /// @inheritdoc IArena
    function payValidators(uint256 task, uint256 from, uint256 count) external {
        (Task storage t, Flight storage f) = _settling(task, Stage.Paying);
        if (f.chunksWeighed != f.chunksRevealed) {
            revert WeighingIncomplete(f.chunksWeighed, f.chunksRevealed);
        }
        _checkBatch(f.validatorsPaid, from, count, f.revealers);
        (uint256 budget, uint256 total) = (f.validatorBudget, f.validatorWeight);
        for (uint256 i = from; i < from + count; ++i) {
            uint256 revealer = t.revealers[i];
            address validator = address(uint160(revealer >> 96));
            (uint256 direct, uint256 weight) = (t.ballots[validator].direct, t.ballots[validator].weight);
            uint256 with_ = Rewards.proportional(budget, weight, total);
            uint256 without = with_;
            if (direct != uint96(revealer)) {
                uint256 alone = Rewards.proportional(weight, direct, uint96(revealer));
                without = Rewards.proportional(budget, alone, total - weight + alone);
            }
            emit ValidatorPaid(task, f.epoch, validator, with_, without);
            _credit(task, validator, with_, without);
        }
        f.validatorsPaid = uint32(from + count);
        _closeIfDone(task, f);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IArena
    function clock() public view returns (uint32 epoch, Phase phase) {
        if (block.timestamp < genesis) return (0, Phase.Submit);
        uint256 elapsed = block.timestamp - genesis;
        epoch = (1 + elapsed / epochLength).toUint32();
        uint256 offset = elapsed % epochLength;
        if (offset < submitEnd) phase = Phase.Submit;
        else if (offset < discloseEnd) phase = Phase.Disclose;
        else if (offset < seedEnd) phase = Phase.Seed;
        else if (offset < commitEnd) phase = Phase.Commit;
        else if (offset < revealEnd) phase = Phase.Reveal;
        else phase = Phase.Settle;
    }

    /// @inheritdoc IArena
    function epochStart(uint256 epoch) public view returns (uint256) {
        return epoch == 0 ? 0 : genesis + (epoch - 1) * epochLength;
    }

    /// @inheritdoc IArena
    function schedule() external view returns (Schedule memory) {
        return Schedule({
            submitEnd: submitEnd,
            discloseEnd: discloseEnd,
            seedEnd: seedEnd,
            commitEnd: commitEnd,
            revealEnd: revealEnd,
            seedDelay: seedDelay
        });
    }

    /// @inheritdoc IArena
    function flightOf(uint256 task) external view returns (uint32 epoch, Stage stage, bytes32 seed) {
        Flight storage f = _task(task).flight;
        return (f.epoch, f.stage, f.seed);
    }

    /// @inheritdoc IArena
    function entryCount(uint256 task) external view returns (uint256) {
        return _task(task).entries.length;
    }

    /// @inheritdoc IArena
    function entryAt(uint256 task, uint256 index) external view returns (Entry memory) {
        return _entry(_task(task), index);
    }

    // ------------------------------------------------------------------ preconditions

    function _task(uint256 task) private view returns (Task storage t) {
        t = tasks[task];
        if (t.lastEpoch == 0) revert UnknownTask(task);
    }

    function _running(uint256 task, Phase expected) private view returns (Task storage t, uint32 epoch) {
        t = _task(task);
        Phase phase;
        (epoch, phase) = clock();
        if (epoch < t.firstEpoch || epoch > t.lastEpoch) revert TaskNotRunning(task, epoch);
        if (phase != expected) revert WrongPhase(expected, phase);
    }

    function _requireIdle(uint256 task, Task storage t) private view {
        if (t.flight.stage != Stage.Idle) revert EpochInFlight(task, t.flight.epoch);
    }

    function _settling(uint256 task, Stage expected) private view returns (Task storage t, Flight storage f) {
        t = _task(task);
        f = t.flight;
        if (f.stage != expected) revert WrongStage(expected, f.stage);
        uint256 until = epochStart(f.epoch) + revealEnd;
        if (block.timestamp < until) revert RevealStillOpen(until);
    }

    function _entry(Task storage t, uint256 index) private view returns (Entry storage) {
        if (index >= t.entries.length) revert NoSuchEntry(index);
        return t.entries[index];
    }

    /// @dev A batch goes on where the last one ended, so that two senders cannot settle the same twice.
    function _checkBatch(uint256 done, uint256 from, uint256 length, uint256 total) private pure {
        if (from != done) revert WrongCursor(done, from);
        if (length > total - done) revert TooMany(length, total - done);
    }

    function _require(bool ok, bytes32 what) private pure {
        if (!ok) revert BadParameter(what);
    }

    function _checkParams(TaskParams calldata p) private pure {
        _require(!(p.epochs == 0), "epochs");
        _require(!(p.epochs > 1_000_000), "epochs");
        _require(!(p.minNodeStake == 0), "minNodeStake");
        _require(!(p.minValidatorStake == 0), "minValidatorStake");
        _require(!(p.maxSubmissions == 0 || p.maxSubmissions > MAX_SUBMISSIONS), "maxSubmissions");
        _require(!(p.redundancy == 0), "redundancy");
        _require(!(p.gammaWad > WAD / 2), "gammaWad");
        _require(!(p.epsilonWad > WAD), "epsilonWad");
        _require(!(p.tolerance > Consensus.MAX_SCORE), "tolerance");
        if (p.rule == RankingRule.StakeIntegral) {
            _require(!(p.phiWad < WAD / 20 || p.phiWad > 10 * WAD), "phiWad");
        } else {
            _require(!(p.qWad == 0 || p.qWad > WAD), "qWad");
            _require(!(p.alphaWad > WAD), "alphaWad");
        }
        _require(!(p.metric == Metric.Loss && p.lossCapWad == 0), "lossCapWad");
    }

    // ------------------------------------------------------------------ the list

    /// @dev The place of the node's submission; a new one if it has none.
    function _enter(Task storage t, address node) private returns (uint256 index) {
        uint256 place = t.places[node];
        if (place != 0) return place - 1;
        index = t.entries.length;
        if (index >= t.params.maxSubmissions) revert ListFull(t.params.maxSubmissions);
        t.entries.push();
        t.entries[index].node = node;
        t.places[node] = index + 1;
    }

    /// @dev Removes an entry; the last one takes its place.
    function _remove(Task storage t, uint256 index) private returns (address moved) {
        uint256 last = t.entries.length - 1;
        delete t.places[t.entries[index].node];
        if (t.entries[index].queued) _dequeue(t, index);
        if (index != last) {
            Entry memory entry = t.entries[last];
            moved = entry.node;
            t.entries[index] = entry;
            t.places[moved] = index + 1;
            if (entry.queued) _waiting(t)[entry.queuePosition] = uint32(index);
        }
        t.entries.pop();
    }

    /// @dev What waits for the next epoch.
    function _waiting(Task storage t) private view returns (uint32[] storage) {
        return t.queues[t.flight.activeQueue ^ 1];
    }

    function _enqueue(Task storage t, uint256 index) private {
        uint32[] storage waiting = _waiting(t);
        t.entries[index].queued = true;
        t.entries[index].queuePosition = uint32(waiting.length);
        waiting.push(uint32(index));
    }

    function _dequeue(Task storage t, uint256 index) private {
        uint32[] storage waiting = _waiting(t);
        uint32 position = t.entries[index].queuePosition;
        uint32 last = waiting[waiting.length - 1];
        waiting[position] = last;
        t.entries[last].queuePosition = position;
        waiting.pop();
    }

    function _listed(Task storage t, uint256 place) private view returns (uint256) {
        return t.params.freshData ? place : t.queues[t.flight.activeQueue][place];
    }

    /// @dev An operator's stakes; refused if it has another role or less direct stake than `minimum`.
    function _requireStake(uint256 task, Role role, uint256 minimum, uint256 epoch)
        private
        view
        returns (uint256 direct, uint256 delegated)
    {
        if (IVault(vault).roleOf(task, msg.sender) == role) {
            (direct, delegated) = _stakeAt(task, msg.sender, epoch);
        }
        if (direct < minimum) revert NotEligible(msg.sender, direct, minimum);
    }

    function _stakeAt(uint256 task, address operator, uint256 epoch) private view returns (uint256, uint256) {
        return IVault(vault).stakeAt(task, operator, epoch);
    }

    /// @dev An entry's effective stake, and whether it may be ranked: its node has the least direct stake, and it had not
    /// been withdrawn before `epoch`.
    function _eligibleStake(uint256 task, Task storage t, Entry storage entry, uint256 epoch)
        private
        view
        returns (uint256 stake, bool eligible)
    {
        (uint256 direct, uint256 delegated) = _stakeAt(task, entry.node, epoch);
        eligible = direct >= t.params.minNodeStake && (entry.withdrawnIn == 0 || entry.withdrawnIn >= epoch);
        if (eligible) stake = Rewards.effective(direct, delegated, t.params.epsilonWad);
    }

    // ------------------------------------------------------------------ reveals

    /// @dev First reveal of a validator in an epoch: fixes its stake and gives it an index.
    function _enterRevealer(uint256 task, Task storage t, Ballot storage ballot, uint32 epoch)
        private
        returns (uint256 effective)
    {
        (uint256 direct, uint256 delegated) =
            _requireStake(task, Role.Validator, t.params.minValidatorStake, epoch);
        effective = Rewards.effective(direct, delegated, t.params.epsilonWad);
        uint32 index = t.flight.revealers;
        t.flight.revealers = index + 1;
        t.revealers[index] = (uint256(uint160(msg.sender)) << 96) | effective;
        ballot.epoch = epoch;
        ballot.index = index;
        ballot.direct = uint96(direct);
        ballot.revealed = 0;
        ballot.weighed = 0;
        ballot.weight = 0;
    }

    /// @dev How many scores a validator's chunk holds, and how many chunks it has.
    function _chunkLength(Task storage t, uint256 effective, uint256 chunk)
        private
        view
        returns (uint256 count, uint256 chunks)
    {
        uint256 assigned = _assigned(t, effective);
        chunks = (assigned + CHUNK - 1) / CHUNK;
        if (chunk >= chunks) revert NoSuchChunk(chunk, chunks);
        count = assigned - chunk * CHUNK;
        if (count > CHUNK) count = CHUNK;
    }

    /// @dev How many scores a validator owes (k of M-9).
    function _assigned(Task storage t, uint256 effective) private view returns (uint256) {
        return Assignment.count(t.params.redundancy, t.flight.listed, effective, t.flight.validatorStake);
    }

    /// @dev Puts the scores of a chunk into the boxes of their entries; returns the content hashes in order.
    function _cast(
        uint256 task,
        Task storage t,
        uint256 revealer,
        uint256 chunk,
        uint256 count,
        bytes calldata scores
    ) private returns (bytes32[] memory contentHashes) {
        (uint32 epoch, uint256 listed) = (t.flight.epoch, t.flight.listed);
        bytes32 key = Assignment.key(t.flight.seed, task, epoch, msg.sender);
        contentHashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 index = _listed(t, Assignment.image(key, listed, chunk * CHUNK + i));
            contentHashes[i] = t.entries[index].contentHash;
            uint256 score = _scoreAt(scores, i);
            if (!Consensus.isLegal(score)) revert IllegalScore(score);
            if (score != Consensus.ABSTAINED) _drop(t.boxes[index], epoch, (revealer << 32) | score);
        }
    }

    function _scoreAt(bytes calldata scores, uint256 i) private pure returns (uint256) {
        return uint32(bytes4(scores[4 * i:4 * i + 4]));
    }

    function _drop(Box storage box, uint32 epoch, uint256 lane) private {
        uint256 count = box.epoch == epoch ? box.count : 0;
        (uint256 word, uint256 shift) = (count / LANES_PER_WORD, (count % LANES_PER_WORD) * 64);
        box.lanes[word] = shift == 0 ? lane : box.lanes[word] | (lane << shift);
        box.epoch = epoch;
        box.count = uint32(count + 1);
    }

    // ------------------------------------------------------------------ settlement, one item at a time

    /// @dev Tallies one entry; returns its stake if it is to be ranked, else 0.
    function _tallyEntry(uint256 task, Task storage t, uint256 index, uint32 median)
        private
        returns (uint256)
    {
        Entry storage entry = t.entries[index];
        uint32 epoch = t.flight.epoch;
        (uint256 stake,) = _eligibleStake(task, t, entry, epoch);
        (bool scored, uint32 consensus) = (entry.scored, entry.consensus);
        bool fresh = t.params.freshData;
        if (fresh || entry.queued) {
            scored = _checkMedian(t, index, median);
            consensus = median;
            if (!fresh) {
                if (scored) entry.queued = false;
                else _enqueue(t, index);
            }
        } else if (median != 0) {
            revert WrongMedian(index, median);
        }
        bool ranked = scored && consensus != Consensus.INVALID && stake != 0
            && t.origins[entry.contentHash].node == entry.node;
        entry.consensus = consensus;
        entry.stake = stake.toUint96();
        entry.rank = 0;
        entry.scored = scored;
        entry.ranked = ranked;
        emit Tallied(task, epoch, index, entry.node, scored, ranked, consensus, stake);
        return ranked ? stake : 0;
    }

    /// @dev Whether the scores of an entry have a quorum; if so, the given median must be theirs.
    function _checkMedian(Task storage t, uint256 index, uint256 median) private view returns (bool) {
        Count memory count = _count(t, index, median, type(uint256).max);
        bool quorum = Consensus.hasQuorum(count.total, t.flight.validatorStake);
        bool right = quorum
            ? Consensus.isLowerMedian(median, count.below, count.atOrBelow, count.total)
            : median == Consensus.INVALID;
        if (!right) revert WrongMedian(index, median);
        return quorum;
    }

    function _countKey(uint256 epoch, uint256 index, uint256 median) private pure returns (uint256) {
        return (epoch << 64) | (index << 32) | median;
    }

    /// @dev Counts at most `limit` further scores of an entry against a median.
    function _count(Task storage t, uint256 index, uint256 median, uint256 limit)
        private
        view
        returns (Count memory count)
    {
        count = t.counts[_countKey(t.flight.epoch, index, median)];
        Box storage box = t.boxes[index];
        uint256 end = box.epoch == t.flight.epoch ? box.count : 0;
        uint256 left = end - count.lanes;
        if (limit < left) end = count.lanes + limit;
        for (uint256 i = count.lanes; i < end; ++i) {
            uint256 lane = box.lanes[i / LANES_PER_WORD] >> ((i % LANES_PER_WORD) * 64);
            uint256 weight = _omega(t, uint96(t.revealers[uint32(lane >> 32)]));
            uint256 score = uint32(lane);
            count.total += weight;
            if (score < median) count.below += weight;
            if (score <= median) count.atOrBelow += weight;
        }
        count.lanes = end;
    }

    /// @dev Weight of one score of a validator with this effective stake (ω of M-7).
    function _omega(Task storage t, uint256 effective) private view returns (uint256) {
        return Consensus.weight(effective, t.flight.listed, _assigned(t, effective));
    }

    function _weighChunk(
        uint256 task,
        Task storage t,
        address validator,
        uint256 effective,
        uint256 chunk,
        bytes calldata scores
    ) private view returns (uint256 weight) {
        Flight storage f = t.flight;
        bytes32 key = Assignment.key(f.seed, task, f.epoch, validator);
        (uint256 listed, uint256 spread, uint256 tolerance) =
            (f.listed, f.upperScore - f.lowerScore, t.params.tolerance);
        uint256 omega = _omega(t, effective);
        for (uint256 i = 0; i < scores.length / 4; ++i) {
            uint256 score = _scoreAt(scores, i);
            if (score == Consensus.ABSTAINED) continue;
            Entry storage entry = t.entries[_listed(t, Assignment.image(key, listed, chunk * CHUNK + i))];
            if (!entry.scored) continue;
            uint256 accuracy = Rewards.accuracy(score, entry.consensus, tolerance, spread);
            weight += Rewards.validatorWeight(entry.stake, omega, accuracy);
        }
    }

    /// @dev One entry further in a walk.
    function _step(Task storage t, Walk memory w, uint256 stake) private view {
        ++w.done;
        w.stake += uint96(stake);
        if (t.params.rule == RankingRule.RankGeometric) {
            w.weight += _geometricWeight(t, w.done, w.decay, stake);
            w.decay = Ranking.decay(w.decay, t.params.qWad);
        }
    }

    /// @dev M-5, stake-integral: ⌊B·F⌋ at the upper boundary less the highest so far.
    function _integralReward(Task storage t, Flight storage f, Walk memory w, uint256 stake, uint256 direct)
        private
        view
        returns (uint256 with_, uint256 without)
    {
        (uint256 budget, uint256 total, uint256 phi) = (f.nodeBudget, f.rankedStake, t.params.phiWad);
        uint256 boundary = Ranking.integralCumulative(budget, w.stake + stake, total, phi);
        if (boundary > w.boundary) {
            with_ = boundary - w.boundary;
            w.boundary = uint96(boundary);
        }
        without = Ranking.integralWithoutDelegation(budget, w.stake, stake, direct, total, phi);
    }

    /// @dev M-5, rank-geometric: differences of ⌊B·W⌋ over the cumulative weights.
    function _geometricReward(Task storage t, Flight storage f, Walk memory w, uint256 stake, uint256 direct)
        private
        view
        returns (uint256 with_, uint256 without)
    {
        (uint256 budget, uint256 total) = (f.nodeBudget, f.geometricTotal);
        uint256 weight = _geometricWeight(t, w.done + 1, w.decay, stake);
        with_ = Rewards.proportional(budget, w.weight + weight, total)
            - Rewards.proportional(budget, w.weight, total);
        uint256 alone = _geometricWeight(t, w.done + 1, w.decay, direct);
        without = Rewards.proportional(budget, alone, total - weight + alone);
    }

    function _geometricWeight(Task storage t, uint256 place, uint256 decay, uint256 stake)
        private
        view
        returns (uint256)
    {
        if (t.params.rankCutoff != 0 && place > t.params.rankCutoff) return 0;
        return Ranking.geometricWeight(decay, stake, t.params.alphaWad);
    }

    function _credit(uint256 task, address operator, uint256 with_, uint256 without) private {
        if (with_ != 0) IVault(vault).credit(task, operator, with_, without);
    }

    /// @dev Ends the epoch once all nodes and, if any of them earned weight, all validators are paid.
    function _closeIfDone(uint256 task, Flight storage f) private {
        if (f.stage != Stage.Paying || f.walk.done != f.rankable || f.chunksWeighed != f.chunksRevealed) {
            return;
        }
        if (f.validatorWeight != 0 && f.validatorsPaid != f.revealers) return;
        f.stage = Stage.Idle;
        emit EpochSettled(task, f.epoch);
        IVault(vault).closeBudget(task);
    }
}
