// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ArenaBase} from "./ArenaBase.sol";
import {Settlement} from "./Settlement.sol";
import {
    Entry,
    Flight,
    IArena,
    Metric,
    Phase,
    RankingRule,
    Schedule,
    Stage,
    Tally,
    TaskParams
} from "./interfaces/IArena.sol";
import {IVault, Role, Stake, Terms} from "./interfaces/IVault.sol";
import {Assignment} from "./libraries/Assignment.sol";
import {Commitment} from "./libraries/Commitment.sol";
import {Consensus} from "./libraries/Consensus.sol";
import {Rewards} from "./libraries/Rewards.sol";

/// @title Arena
/// @notice Implements `IArena`, which documents every function. Settlement runs in the code of `Settlement`, because a
/// contract may hold no more than 24 KiB; its address is fixed when the arena is deployed, by the arena itself.
contract Arena is IArena, ArenaBase {
    using SafeCast for uint256;

    uint256 private constant MAX_SUBMISSIONS = 2048;
    uint256 private constant MAX_URI_LENGTH = 256;
    /// @inheritdoc IArena
    address public immutable settlement;

    /// @inheritdoc IArena
    uint256 public taskCount;
    /// @inheritdoc IArena
    mapping(address account => bytes32) public keyOf;

    constructor(address vault_, Schedule memory schedule_) ArenaBase(vault_, schedule_) {
        if (IVault(vault_).arena() != address(this)) revert BadDeployment("vault of another arena");
        settlement = address(new Settlement(vault_, schedule_));
    }

    // ------------------------------------------------------------------ tasks and submissions

    /// @inheritdoc IArena
    function createTask(TaskParams calldata params) external returns (uint256 task) {
        _checkParams(params);
        (uint32 epoch,) = _clock();
        task = ++taskCount;
        Task storage t = tasks[task];
        t.params = params;
        t.creator = msg.sender;
        t.firstEpoch = epoch + 1;
        t.lastEpoch = epoch + params.epochs;
        emit TaskCreated(task, msg.sender, t.firstEpoch, t.lastEpoch, params);
        IVault(_vault)
            .register(
                task,
                Terms({
                creator: msg.sender,
                firstEpoch: t.firstEpoch,
                lastEpoch: t.lastEpoch,
                minNodeStake: params.minNodeStake,
                minValidatorStake: params.minValidatorStake,
                epsilonWad: params.epsilonWad
            })
            );
    }

    /// @inheritdoc IArena
    function endTask(uint256 task) external returns (uint32 lastEpoch) {
        Task storage t = _task(task);
        if (msg.sender != t.creator) revert NotCreator(task, msg.sender);
        (uint32 epoch,) = _clock();
        lastEpoch = epoch + IVault(_vault).unbondingEpochs();
        if (lastEpoch >= t.lastEpoch) revert EndTooLate(task, t.lastEpoch);
        t.lastEpoch = lastEpoch;
        emit TaskEnded(task, lastEpoch);
        IVault(_vault).shorten(task, lastEpoch);
    }

    /// @inheritdoc IArena
    function registerKey(bytes32 key) external {
        keyOf[msg.sender] = key;
        emit KeyRegistered(msg.sender, key);
    }

    /// @inheritdoc IArena
    function commitSubmission(uint256 task, bytes32 commitment) external returns (uint256 number) {
        (Task storage t, uint32 epoch) = _running(task, Phase.Submit);
        Pledge storage pledge = t.pledges[msg.sender];
        if (pledge.epoch == epoch) revert AlreadyCommitted(msg.sender, epoch);
        _requireStake(task, Role.Node, msg.sender, t.params.minNodeStake, epoch);

        uint32 number_ = t.commitments + 1;
        t.commitments = number_;
        pledge.commitment = commitment;
        (pledge.number, pledge.epoch) = (number_, epoch);
        emit SubmissionCommitted(task, epoch, msg.sender, number_, commitment);
        return number_;
    }

    /// @inheritdoc IArena
    function openSubmission(uint256 task, bytes32 contentHash, bytes32 salt, string calldata uri) external {
        (Task storage t, uint32 epoch) = _running(task, Phase.Disclose);
        _requireIdle(task, t);
        if (bytes(uri).length > MAX_URI_LENGTH) revert UriTooLong(bytes(uri).length, MAX_URI_LENGTH);
        Pledge storage pledge = t.pledges[msg.sender];
        uint32 number = pledge.number;
        if (pledge.epoch != epoch || pledge.commitment == 0) revert NoCommitment(msg.sender, epoch);
        bytes32 computed =
            Commitment.submission(block.chainid, address(this), task, epoch, msg.sender, contentHash, salt);
        if (computed != pledge.commitment) revert CommitmentMismatch(pledge.commitment, computed);
        pledge.commitment = 0;

        Entry memory entry = t.entries[msg.sender];
        if (entry.number == 0) entry.place = _append(t, msg.sender);
        entry.number = number;
        entry.withdrawnIn = 0;
        // The next draw has another number, so that it will not be taken for tallied.
        entry.tallied = uint8(t.flight.draws);
        entry.scored = false;
        entry.duplicate = _isDuplicate(t, contentHash, number);
        t.entries[msg.sender] = entry;
        t.contentHashes[msg.sender] = contentHash;
        t.history = Assignment.listDigest(t.history, msg.sender, contentHash, number);
        if (!t.params.freshData) _enqueue(t, msg.sender);
        emit SubmissionOpened(task, epoch, msg.sender, number, contentHash, salt, uri);
    }

    /// @inheritdoc IArena
    function withdrawSubmission(uint256 task) external {
        Task storage t = _task(task);
        Entry storage entry = t.entries[msg.sender];
        if (entry.number == 0) revert NoSubmission(task, msg.sender);
        if (entry.withdrawnIn != 0) revert AlreadyWithdrawn(task, msg.sender);
        (uint32 epoch,) = _clock();
        entry.withdrawnIn = epoch;
        emit SubmissionWithdrawn(task, epoch, msg.sender);
    }

    /// @inheritdoc IArena
    function evict(uint256 task, address node) external {
        Task storage t = _task(task);
        _requireIdle(task, t);
        (uint32 epoch, Phase phase) = _clock();
        if (phase > Phase.Disclose) revert WrongPhase(Phase.Disclose, phase);
        Entry memory entry = t.entries[node];
        if (entry.number == 0) revert NoSubmission(task, node);
        Stake memory stake = IVault(_vault).stakeAt(task, node, epoch);
        if (_isEligible(t, entry, stake, epoch)) revert StillEligible(task, node);

        address moved = _remove(t, node, entry.place);
        t.history = Assignment.listDigest(t.history, node, 0, 0);
        emit SubmissionEvicted(task, epoch, node, moved);
    }

    // ------------------------------------------------------------------ scores

    /// @inheritdoc IArena
    function drawSeed(uint256 task) external returns (bytes32 seed) {
        Task storage t = _task(task);
        (uint32 epoch,) = _clock();
        if (epoch < t.firstEpoch || epoch > t.lastEpoch) revert TaskNotRunning(task, epoch);
        Flight storage f = t.flight;
        if (f.epoch == epoch) revert SeedAlreadyDrawn(task, epoch);
        _requireIdle(task, t);
        uint256 start = _epochStart(epoch);
        if (block.timestamp < start + discloseEnd + seedDelay) {
            revert SeedTooEarly(start + discloseEnd + seedDelay);
        }
        if (block.timestamp >= start + seedEnd) revert SeedTooLate(start + seedEnd);
        if (t.list.length == 0) revert NothingToScore(task);

        (uint256 nodesDirect,) = IVault(_vault).totalsAt(task, Role.Node, epoch);
        (uint256 direct, uint256 delegated) = IVault(_vault).totalsAt(task, Role.Validator, epoch);
        if (direct == 0) revert NoValidators(task);
        seed = Assignment.seed(block.prevrandao, block.chainid, address(this), task, epoch, t.history);
        (uint256 emission, uint256 bounty) = IVault(_vault).openBudget(task);

        Flight memory next;
        next.seed = seed;
        (next.epoch, next.previousEpoch, next.draws) = (epoch, f.epoch, f.draws + 1);
        next.activeQueue = f.activeQueue ^ 1;
        next.stage = Stage.Scoring;
        next.entries = uint32(t.list.length);
        next.listed = t.params.freshData ? next.entries : uint32(t.queues[next.activeQueue].length);
        next.validatorStake = Rewards.effective(direct, delegated, t.params.epsilonWad).toUint96();
        next.nodeBudget =
            Rewards.nodeBudget(emission + bounty, t.params.gammaWad, nodesDirect, direct).toUint96();
        next.validatorBudget = (emission + bounty - next.nodeBudget).toUint96();
        t.flight = next;
        address[] storage scored = t.queues[next.activeQueue ^ 1];
        // Empty, without clearing up to 2048 words: what is queued next overwrites them, which is cheaper, too.
        assembly ("memory-safe") {
            sstore(scored.slot, 0)
        }
        emit SeedDrawn(
            task,
            epoch,
            seed,
            next.entries,
            next.listed,
            next.validatorStake,
            next.nodeBudget,
            next.validatorBudget
        );
    }

    /// @inheritdoc IArena
    function commitScores(uint256 task, bytes32 commitment) external {
        // Nothing else of the task is read: who commits for nothing has paid for nothing, and cannot reveal.
        (uint32 epoch, Phase phase) = _clock();
        if (phase != Phase.Commit) revert WrongPhase(Phase.Commit, phase);
        // Stored, it would be taken for one that was revealed.
        if (uint256(commitment) >> 32 == 0) revert BadParameter("commitment");
        Task storage t = tasks[task];
        if (uint32(uint256(t.ballots[msg.sender])) == epoch) revert AlreadyCommitted(msg.sender, epoch);
        t.ballots[msg.sender] = Commitment.tagged(commitment, epoch);
        emit ScoresCommitted(task, epoch, msg.sender, commitment);
    }

    /// @inheritdoc IArena
    function revealScores(uint256 task, bytes32 salt, bytes calldata scores) external {
        (Task storage t, uint32 epoch) = _running(task, Phase.Reveal);
        Flight storage f = t.flight;
        if (f.epoch != epoch) revert NotInFlight(task, epoch);
        bytes32 ballot = t.ballots[msg.sender];
        if (uint32(uint256(ballot)) != epoch || uint256(ballot) == epoch) {
            revert NoCommitment(msg.sender, epoch);
        }
        bytes32 computed = Commitment.tagged(
            Commitment.scores(block.chainid, address(this), task, epoch, msg.sender, salt, f.seed, scores),
            epoch
        );
        if (computed != ballot) revert CommitmentMismatch(ballot, computed);

        Stake memory stake =
            _requireStake(task, Role.Validator, msg.sender, t.params.minValidatorStake, epoch);
        uint256 effective = Rewards.effective(stake.direct, stake.delegated, t.params.epsilonWad);
        uint256 count = Assignment.count(t.params.redundancy, f.listed, effective, f.validatorStake);
        if (scores.length != 4 * count) revert ScoresLength(4 * count, scores.length);

        uint32 index = f.revealers;
        Revealer storage revealer = t.revealers[index];
        (revealer.validator, revealer.stake) = (msg.sender, uint96(effective));
        (f.revealers, f.revealed) = (index + 1, f.revealed + _store(revealer, scores, count));
        t.ballots[msg.sender] = bytes32(uint256(epoch));
        emit ScoresRevealed(task, epoch, msg.sender, salt, scores);
    }

    // ------------------------------------------------------------------ offences

    /// @inheritdoc IArena
    function reportUnrevealed(uint256 task, address validator) external {
        (Task storage t, uint32 epoch, uint256 stake) = _duty(task, validator);
        uint256 ballot = uint256(t.ballots[validator]);
        if (uint32(ballot) != epoch || ballot == epoch) revert NoOffence(task, validator);
        // Like a ballot that was revealed, so that nobody is slashed twice for it.
        t.ballots[validator] = bytes32(uint256(epoch));
        emit UnrevealedReported(task, epoch, validator);
        IVault(_vault).slash(task, validator, stake);
    }

    /// @inheritdoc IArena
    function reportSilent(uint256 task, address validator) external {
        (Task storage t, uint32 epoch, uint256 stake) = _duty(task, validator);
        if (uint32(uint256(t.ballots[validator])) == epoch) revert NoOffence(task, validator);
        Silence memory silence = t.silences[validator];
        if (silence.epoch == epoch) revert AlreadyReported(task, validator);
        uint8 count = silence.epoch != 0 && silence.epoch == t.flight.previousEpoch ? silence.count + 1 : 1;
        bool slashes = count == silentEpochs;
        if (slashes) count = 0;
        t.silences[validator] = Silence({epoch: epoch, count: count});
        emit SilenceReported(task, epoch, validator, count);
        if (slashes) IVault(_vault).slash(task, validator, stake);
    }

    // ------------------------------------------------------------------ settlement

    /// @inheritdoc IArena
    function tally(uint256, Tally[] calldata) external {
        _settle();
    }

    /// @inheritdoc IArena
    function tallyPart(uint256, Tally calldata) external {
        _settle();
    }

    /// @inheritdoc IArena
    function rank(uint256, address[] calldata) external {
        _settle();
    }

    /// @inheritdoc IArena
    function payNodes(uint256, uint256, uint256, address[] calldata) external {
        _settle();
    }

    /// @inheritdoc IArena
    function weigh(uint256, uint256, uint256) external {
        _settle();
    }

    /// @inheritdoc IArena
    function payValidators(uint256, uint256, uint256) external {
        _settle();
    }

    /// @dev Runs the call in the code of `Settlement`, which is fixed for ever, on this contract's storage.
    function _settle() private {
        (bool ok, bytes memory returned) = settlement.delegatecall(msg.data);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(returned, 32), mload(returned))
        }
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IArena
    function vault() external view returns (address) {
        return _vault;
    }

    /// @inheritdoc IArena
    function clock() external view returns (uint32 epoch, Phase phase) {
        return _clock();
    }

    /// @inheritdoc IArena
    function epochStart(uint256 epoch) external view returns (uint256) {
        return _epochStart(epoch);
    }

    /// @inheritdoc IArena
    function schedule() external view returns (Schedule memory) {
        return Schedule({
            submitEnd: submitEnd,
            discloseEnd: discloseEnd,
            seedEnd: seedEnd,
            commitEnd: commitEnd,
            revealEnd: revealEnd,
            seedDelay: seedDelay,
            silentEpochs: silentEpochs
        });
    }

    /// @inheritdoc IArena
    function flightOf(uint256 task) external view returns (Flight memory) {
        return _task(task).flight;
    }

    /// @inheritdoc IArena
    function listOf(uint256 task, uint256 from, uint256 count)
        external
        view
        returns (address[] memory nodes)
    {
        address[] storage list = _task(task).list;
        if (from > list.length) from = list.length;
        if (count > list.length - from) count = list.length - from;
        nodes = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            nodes[i] = list[from + i];
        }
    }

    /// @inheritdoc IArena
    function queueOf(uint256 task, bool inFlight) external view returns (address[] memory) {
        Task storage t = _task(task);
        return t.queues[inFlight ? t.flight.activeQueue : t.flight.activeQueue ^ 1];
    }

    /// @inheritdoc IArena
    function entryOf(uint256 task, address node) external view returns (Entry memory, bytes32) {
        Task storage t = _task(task);
        return (t.entries[node], t.contentHashes[node]);
    }

    // ------------------------------------------------------------------ preconditions

    function _running(uint256 task, Phase expected) private view returns (Task storage t, uint32 epoch) {
        t = _task(task);
        Phase phase;
        (epoch, phase) = _clock();
        if (epoch < t.firstEpoch || epoch > t.lastEpoch) revert TaskNotRunning(task, epoch);
        if (phase != expected) revert WrongPhase(expected, phase);
    }

    function _requireIdle(uint256 task, Task storage t) private view {
        if (t.flight.stage != Stage.Idle) revert EpochInFlight(task, t.flight.epoch);
    }

    function _require(bool ok, bytes32 what) private pure {
        if (!ok) revert BadParameter(what);
    }

    function _checkParams(TaskParams calldata p) private pure {
        _require(p.epochs != 0 && p.epochs <= 1_000_000, "epochs");
        _require(p.minNodeStake != 0, "minNodeStake");
        _require(p.minValidatorStake != 0, "minValidatorStake");
        _require(p.maxSubmissions != 0 && p.maxSubmissions <= MAX_SUBMISSIONS, "maxSubmissions");
        _require(p.redundancy != 0, "redundancy");
        _require(p.gammaWad <= WAD / 2, "gammaWad");
        _require(p.epsilonWad <= WAD, "epsilonWad");
        _require(p.tolerance <= Consensus.MAX_SCORE, "tolerance");
        if (p.rule == RankingRule.StakeIntegral) {
            _require(p.phiWad >= WAD / 20 && p.phiWad <= 10 * WAD, "phiWad");
        } else {
            _require(p.qWad != 0 && p.qWad <= WAD, "qWad");
            _require(p.alphaWad <= WAD, "alphaWad");
        }
        _require(p.metric == Metric.Gain || p.lossCapWad != 0, "lossCapWad");
    }

    /// @dev The epoch drawn last, and the effective stake with which a validator owed scores in it. Reports end before a
    /// commitment for a later epoch can take the place of the one that they speak of.
    function _duty(uint256 task, address validator)
        private
        view
        returns (Task storage t, uint32 epoch, uint256 stake)
    {
        t = _task(task);
        epoch = t.flight.epoch;
        if (epoch == 0 || t.flight.listed == 0) revert NoOffence(task, validator);
        _requireRevealOver(epoch);
        uint256 until = _epochStart(uint256(epoch) + 1) + seedEnd;
        if (block.timestamp >= until) revert ReportTooLate(until);
        Stake memory held = _requireStake(task, Role.Validator, validator, t.params.minValidatorStake, epoch);
        stake = Rewards.effective(held.direct, held.delegated, t.params.epsilonWad);
    }

    // ------------------------------------------------------------------ the list

    function _append(Task storage t, address node) private returns (uint16 place) {
        uint256 length = t.list.length;
        if (length >= t.params.maxSubmissions) revert ListFull(t.params.maxSubmissions);
        t.list.push(node);
        return uint16(length);
    }

    /// @dev Removes a node's submission; the last one on the list takes its place.
    function _remove(Task storage t, address node, uint256 place) private returns (address moved) {
        delete t.entries[node];
        delete t.contentHashes[node];
        if (!t.params.freshData) _dequeue(t, node);
        uint256 last = t.list.length - 1;
        if (place != last) {
            moved = t.list[last];
            t.list[place] = moved;
            t.entries[moved].place = uint16(place);
        }
        t.list.pop();
    }

    /// @dev Whether another node disclosed the same content under a lower commitment number (M-11). Numbers rise with
    /// the epochs, so that a higher one found here was opened in this epoch, and its submission stands.
    function _isDuplicate(Task storage t, bytes32 contentHash, uint32 number) private returns (bool) {
        Origin memory origin = t.origins[contentHash];
        if (origin.node == msg.sender) return false;
        if (origin.node != address(0)) {
            if (origin.number < number) return true;
            t.entries[origin.node].duplicate = true;
        }
        t.origins[contentHash] = Origin({node: msg.sender, number: number});
        return false;
    }

    // ------------------------------------------------------------------ scores, one validator at a time

    /// @dev Stores a sheet of scores, eight in a word, as they come; returns how many are no abstentions.
    function _store(Revealer storage revealer, bytes calldata scores, uint256 count)
        private
        returns (uint32 revealed)
    {
        for (uint256 i = 0; i < count; i += SCORES_PER_WORD) {
            uint256 left = count - i;
            uint256 length = left < SCORES_PER_WORD ? left : SCORES_PER_WORD;
            // Scores lie from the highest bits down; behind the last of them there is nothing to read.
            uint256 word = uint256(bytes32(scores[4 * i:4 * (i + length)]));
            for (uint256 j = 0; j < length; ++j) {
                uint256 score = _scoreIn(word, j);
                if (score != Consensus.ABSTAINED) {
                    if (score > Consensus.MAX_SCORE) revert IllegalScore(score);
                    ++revealed;
                }
            }
            revealer.scores[i / SCORES_PER_WORD] = word;
        }
    }
}
