// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Entry, Flight, IArena, Phase, Schedule, Stage, TaskParams} from "./interfaces/IArena.sol";
import {IVault, Role, Stake} from "./interfaces/IVault.sol";

/// @title ArenaBase: storage and clock that `Arena` and `Settlement` share
abstract contract ArenaBase {
    using SafeCast for uint256;

    uint256 internal constant WAD = 1e18;
    uint256 internal constant SCORES_PER_WORD = 8;

    /// @dev A node's last commitment to a submission.
    struct Pledge {
        bytes32 commitment;
        uint32 number;
        uint32 epoch;
    }

    /// @dev Who first disclosed a content hash.
    struct Origin {
        address node;
        uint32 number;
    }

    /// @dev Where a submission waits to be scored, in a task without fresh data: its place in the queue of the draw with
    /// this number.
    struct Waiting {
        uint32 draw;
        uint32 place;
    }

    /// @dev A validator that revealed in the epoch in flight, and its scores, eight in a word. What an earlier epoch left
    /// is overwritten.
    struct Revealer {
        address validator;
        uint96 stake;
        uint256 weight;
        mapping(uint256 word => uint256) scores;
    }

    /// @dev How far the scores of a submission were counted against a median, and their weights.
    struct Count {
        uint32 counted;
        uint32 next;
        uint256 total;
        uint256 below;
        uint256 atOrBelow;
    }

    /// @dev A validator's epochs of silence in a row: how many, and the last of them.
    struct Silence {
        uint32 epoch;
        uint8 count;
    }

    /// @dev Everything of one task. `history` is a digest of what was done to the list. `queues` serves tasks without
    /// fresh data: one lists what is being scored, the other what waits for the next draw. A ballot is a commitment's upper
    /// 224 bits and its epoch in the lower 32; only the epoch is left of it once it is revealed.
    struct Task {
        TaskParams params;
        address creator;
        uint32 firstEpoch;
        uint32 lastEpoch;
        uint32 commitments;
        Flight flight;
        bytes32 history;
        address[] list;
        address[][2] queues;
        mapping(address node => Entry) entries;
        mapping(address node => bytes32) contentHashes;
        mapping(address node => Waiting) waiting;
        mapping(address node => Pledge) pledges;
        mapping(bytes32 contentHash => Origin) origins;
        mapping(uint256 index => Revealer) revealers;
        mapping(address validator => bytes32) ballots;
        mapping(address validator => Silence) silences;
        mapping(bytes32 key => Count) counts;
    }

    address internal immutable _vault;
    uint64 internal immutable genesis;
    uint32 internal immutable epochLength;
    uint32 internal immutable submitEnd;
    uint32 internal immutable discloseEnd;
    uint32 internal immutable seedEnd;
    uint32 internal immutable commitEnd;
    uint32 internal immutable revealEnd;
    uint32 internal immutable seedDelay;
    uint8 internal immutable silentEpochs;

    mapping(uint256 task => Task) internal tasks;

    constructor(address vault_, Schedule memory schedule_) {
        if (vault_.code.length == 0) revert IArena.BadDeployment("vault is no contract");
        _vault = vault_;
        genesis = IVault(vault_).genesis();
        epochLength = IVault(vault_).epochLength();

        bool rising = schedule_.submitEnd > 0 && schedule_.discloseEnd > schedule_.submitEnd
            && schedule_.seedEnd > schedule_.discloseEnd && schedule_.commitEnd > schedule_.seedEnd
            && schedule_.revealEnd > schedule_.commitEnd && epochLength > schedule_.revealEnd;
        if (!rising) revert IArena.BadDeployment("phases out of order");
        if (schedule_.seedDelay >= schedule_.seedEnd - schedule_.discloseEnd) {
            revert IArena.BadDeployment("seed delay exceeds its phase");
        }
        if (schedule_.silentEpochs == 0) revert IArena.BadDeployment("silent epochs are zero");
        submitEnd = schedule_.submitEnd;
        discloseEnd = schedule_.discloseEnd;
        seedEnd = schedule_.seedEnd;
        commitEnd = schedule_.commitEnd;
        revealEnd = schedule_.revealEnd;
        seedDelay = schedule_.seedDelay;
        silentEpochs = schedule_.silentEpochs;
    }

    // ------------------------------------------------------------------ clock

    function _clock() internal view returns (uint32 epoch, Phase phase) {
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

    function _epochStart(uint256 epoch) internal view returns (uint256) {
        return epoch == 0 ? 0 : genesis + (epoch - 1) * epochLength;
    }

    // ------------------------------------------------------------------ preconditions

    function _task(uint256 task) internal view returns (Task storage t) {
        t = tasks[task];
        if (t.lastEpoch == 0) revert IArena.UnknownTask(task);
    }

    function _requireRevealOver(uint256 epoch) internal view {
        uint256 until = _epochStart(epoch) + revealEnd;
        if (block.timestamp < until) revert IArena.RevealStillOpen(until);
    }

    /// @dev An operator's stake; refused if it has another role or less direct stake than `minimum`.
    function _requireStake(uint256 task, Role role, address operator, uint256 minimum, uint256 epoch)
        internal
        view
        returns (Stake memory stake)
    {
        address[] memory operators = new address[](1);
        operators[0] = operator;
        stake = IVault(_vault).stakesAt(task, role, operators, epoch)[0];
        if (stake.direct < minimum) revert IArena.NotEligible(operator, stake.direct, minimum);
    }

    /// @dev Whether a submission may be ranked in `epoch`: its node has the least direct stake, and it had not been
    /// withdrawn before.
    function _isEligible(Task storage t, Entry memory entry, Stake memory stake, uint256 epoch)
        internal
        view
        returns (bool)
    {
        return stake.direct >= t.params.minNodeStake && (entry.withdrawnIn == 0 || entry.withdrawnIn >= epoch);
    }

    // ------------------------------------------------------------------ what waits to be scored

    /// @dev What waits for the next draw.
    function _queue(Task storage t) internal view returns (address[] storage) {
        return t.queues[t.flight.activeQueue ^ 1];
    }

    function _enqueue(Task storage t, address node) internal {
        uint32 draw = t.flight.draws + 1;
        if (t.waiting[node].draw == draw) return;
        address[] storage queue = _queue(t);
        t.waiting[node] = Waiting({draw: draw, place: uint32(queue.length)});
        queue.push(node);
    }

    function _dequeue(Task storage t, address node) internal {
        Waiting memory waiting = t.waiting[node];
        if (waiting.draw != t.flight.draws + 1) return;
        address[] storage queue = _queue(t);
        address last = queue[queue.length - 1];
        queue[waiting.place] = last;
        t.waiting[last].place = waiting.place;
        delete t.waiting[node];
        queue.pop();
    }

    function _scoreIn(uint256 word, uint256 place) internal pure returns (uint256) {
        return uint32(word >> (32 * (SCORES_PER_WORD - 1 - place)));
    }
}
