// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice Phases of an epoch, in their order (M-1).
enum Phase {
    Submit,
    Disclose,
    Seed,
    Commit,
    Reveal,
    Settle
}

/// @notice How far the epoch in flight of a task is. `Idle`: none is in flight.
enum Stage {
    Idle,
    Scoring,
    Ranking,
    Paying
}

/// @notice What a rank earns (M-5).
enum RankingRule {
    StakeIntegral,
    RankGeometric
}

/// @notice How the task's metric becomes a score (M-16). `Gain`: accuracy and its kind. `Loss`: needs `lossCapWad`.
enum Metric {
    Gain,
    Loss
}

/// @notice Ends of the phases, in seconds after the epoch's start, and the least delay of the seed after Disclose.
struct Schedule {
    uint32 submitEnd;
    uint32 discloseEnd;
    uint32 seedEnd;
    uint32 commitEnd;
    uint32 revealEnd;
    uint32 seedDelay;
}

/// @notice What a creator fixes for a task. Nobody can change it later. Ratios are in WAD (1e18).
/// @param metadata SHA-256 of the task's description: data, model limits, licence.
/// @param epochs how many epochs the task runs, from the one after its creation.
/// @param emissionPerEpoch most that one epoch draws from the task's reserve.
/// @param minNodeStake, minValidatorStake least direct stakes (M-13); at least 1.
/// @param maxSubmissions cap on standing submissions, 1 … 2048 (M-1).
/// @param redundancy scores wanted per submission, 1 … 255 (M-9).
/// @param freshData whether evaluation data is drawn anew in each epoch; if not, unchanged submissions keep their score.
/// @param rule what a rank earns; `phiWad` (0.05 … 10) for StakeIntegral, `qWad` (0 … 1], `alphaWad` [0 … 1] and
/// `rankCutoff` (0: none) for RankGeometric. RankGeometric pays for splitting a stake over identities.
/// @param metric, lossCapWad the map from metric to score (M-16).
/// @param tolerance difference that two honest validators may have, in score units (M-8).
/// @param gammaWad share that each side gets whatever its stake, 0 … 0.5 (M-3).
/// @param epsilonWad weight of delegated stake, 0 … 1.
struct TaskParams {
    bytes32 metadata;
    uint96 emissionPerEpoch;
    uint96 minNodeStake;
    uint32 epochs;
    uint32 tolerance;
    uint96 minValidatorStake;
    uint64 phiWad;
    uint64 qWad;
    uint16 maxSubmissions;
    uint16 rankCutoff;
    uint64 alphaWad;
    uint64 gammaWad;
    uint64 epsilonWad;
    uint64 lossCapWad;
    uint8 redundancy;
    bool freshData;
    RankingRule rule;
    Metric metric;
}

/// @notice A standing submission and what the last tally found.
/// @param number commitment number: the order in which commitments arrived in the task.
/// @param withdrawnIn the epoch in which the node withdrew it, 0 if it did not.
/// @param consensus consensus score (M-7), meaningful if `scored`.
/// @param stake the node's effective stake in the last tallied epoch; 0 if it was not eligible.
/// @param rank its rank there, 1 is best, 0 if unranked.
/// @param scored whether a quorum scored it.
/// @param ranked whether it takes part in the ranking.
/// @param queued whether it waits to be scored (tasks without fresh data).
struct Entry {
    bytes32 contentHash;
    address node;
    uint64 number;
    uint32 withdrawnIn;
    uint32 consensus;
    uint96 stake;
    uint32 rank;
    uint32 queuePosition;
    bool scored;
    bool ranked;
    bool queued;
}

/// @notice A walk over the ranked entries, best first: once to rank them, once to pay them.
/// @param done entries walked; @param stake their effective stake; @param boundary ⌊B·F⌋ so far (M-5).
/// @param decay q^done; @param weight sum of the rank-geometric weights so far.
struct Walk {
    uint32 done;
    uint32 lastScore;
    uint64 lastNumber;
    uint96 stake;
    uint96 boundary;
    uint256 decay;
    uint256 weight;
}

/// @notice The epoch in flight of a task.
/// @param entries length of the list when the seed was drawn; @param listed how many of them are to be scored.
/// @param validatorStake V: effective stake of all eligible validators.
/// @param rankedStake S: effective stake of the ranked nodes; @param rankable how many they are.
/// @param upperScore, lowerScore consensus scores at a quarter and at three quarters of the ranked stake (M-8).
struct Flight {
    bytes32 seed;
    uint32 epoch;
    Stage stage;
    uint8 activeQueue;
    uint32 entries;
    uint32 listed;
    uint32 tallied;
    uint32 rankable;
    uint32 upperScore;
    uint32 lowerScore;
    uint96 validatorStake;
    uint96 rankedStake;
    uint32 revealers;
    uint32 validatorsPaid;
    uint96 nodeBudget;
    uint96 validatorBudget;
    uint32 chunksRevealed;
    uint32 chunksWeighed;
    uint256 geometricTotal;
    uint256 validatorWeight;
    Walk walk;
}

/// @notice One validator's part in the epoch in flight.
/// @param commitment upper 224 bits of the commitment, and its epoch in the lower 32.
/// @param epoch the epoch of its last reveal; the fields after it belong to that epoch.
/// @param revealed, weighed one bit per chunk of scores.
struct Ballot {
    bytes32 commitment;
    uint32 epoch;
    uint32 index;
    uint96 direct;
    uint16 revealed;
    uint16 weighed;
    uint256 weight;
}

/// @title Arena: tasks, submissions, scores, consensus, ranking, settlement
/// @notice Decides who is paid what, from data that everyone can see, and tells the vault. It never holds a token. No
/// account has any special right in it: not the deployer, not a task's creator. Rules: `docs/mechanism.md`.
interface IArena {
    // ------------------------------------------------------------------ errors

    error BadDeployment(bytes32 what);
    error BadParameter(bytes32 what);
    error UnknownTask(uint256 task);
    error TaskNotRunning(uint256 task, uint256 epoch);
    error WrongPhase(Phase expected, Phase actual);
    error NotEligible(address operator, uint256 direct, uint256 minimum);
    error AlreadyCommitted(address operator, uint256 epoch);
    error NoCommitment(address operator, uint256 epoch);
    error CommitmentMismatch(bytes32 expected, bytes32 computed);
    error UriTooLong(uint256 length, uint256 limit);
    error ListFull(uint256 cap);
    error NoSubmission(uint256 task, address node);
    error AlreadyWithdrawn(uint256 task, address node);
    error StillEligible(uint256 task, address node);
    error EpochInFlight(uint256 task, uint256 epoch);
    error NotInFlight(uint256 task, uint256 epoch);
    error SeedAlreadyDrawn(uint256 task, uint256 epoch);
    error SeedTooEarly(uint256 earliest);
    error SeedTooLate(uint256 latest);
    error NothingToScore(uint256 task);
    error NoValidators(uint256 task);
    error NoSuchChunk(uint256 chunk, uint256 chunks);
    error ChunkLength(uint256 expected, uint256 actual);
    error ChunkRevealed(address validator, uint256 chunk);
    error ChunkNotRevealed(address validator, uint256 chunk);
    error ChunkWeighed(address validator, uint256 chunk);
    error ChunkDiffers(address validator, uint256 chunk);
    error IllegalScore(uint256 score);
    error ProofInvalid(bytes32 root, bytes32 leaf);
    error RevealStillOpen(uint256 until);
    error WrongStage(Stage expected, Stage actual);
    error WrongCursor(uint256 expected, uint256 actual);
    error TooMany(uint256 given, uint256 left);
    error WrongMedian(uint256 entry, uint256 candidate);
    error NotRankable(uint256 entry);
    error OutOfOrder(uint256 entry);
    error WrongRank(uint256 entry, uint256 expected);
    error NoSuchEntry(uint256 entry);
    error WeighingIncomplete(uint256 weighed, uint256 revealed);

    // ------------------------------------------------------------------ events

    event TaskCreated(
        uint256 indexed task,
        address indexed creator,
        uint256 firstEpoch,
        uint256 lastEpoch,
        TaskParams params
    );
    event SubmissionCommitted(
        uint256 indexed task, uint256 indexed epoch, address indexed node, uint256 number, bytes32 commitment
    );
    /// @param entry the place of the submission on the list.
    event SubmissionOpened(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed node,
        uint256 number,
        uint256 entry,
        bytes32 contentHash,
        bytes32 salt,
        string uri
    );
    event SubmissionWithdrawn(uint256 indexed task, uint256 indexed epoch, address indexed node);
    /// @param moved the node whose submission took the place, zero if the last one was evicted.
    event SubmissionEvicted(
        uint256 indexed task, uint256 indexed epoch, address indexed node, uint256 entry, address moved
    );
    event SeedDrawn(
        uint256 indexed task,
        uint256 indexed epoch,
        bytes32 seed,
        uint256 entries,
        uint256 listed,
        uint256 validatorStake,
        uint256 nodeBudget,
        uint256 validatorBudget
    );
    event ScoresCommitted(
        uint256 indexed task, uint256 indexed epoch, address indexed validator, bytes32 commitment
    );
    event ScoresRevealed(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed validator,
        uint256 chunk,
        bytes32 salt,
        bytes32 root,
        bytes scores
    );
    event Tallied(
        uint256 indexed task,
        uint256 indexed epoch,
        uint256 indexed entry,
        address node,
        bool scored,
        bool ranked,
        uint256 consensus,
        uint256 stake
    );
    /// @param lanes scores counted so far.
    event PartlyTallied(
        uint256 indexed task, uint256 indexed epoch, uint256 indexed entry, uint256 median, uint256 lanes
    );
    event Ranked(
        uint256 indexed task, uint256 indexed epoch, address indexed node, uint256 entry, uint256 rank
    );
    event NodePaid(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed node,
        uint256 withDelegation,
        uint256 withoutDelegation
    );
    event Weighed(
        uint256 indexed task, uint256 indexed epoch, address indexed validator, uint256 chunk, uint256 weight
    );
    event ValidatorPaid(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed validator,
        uint256 withDelegation,
        uint256 withoutDelegation
    );
    event EpochSettled(uint256 indexed task, uint256 indexed epoch);

    // ------------------------------------------------------------------ tasks and submissions

    /// @notice Creates a task, which runs from the next epoch on. Anyone may.
    function createTask(TaskParams calldata params) external returns (uint256 task);

    /// @notice Submit: commits to a submission. One per node and epoch, numbered as it arrives (M-1).
    /// @param commitment keccak256(chain id, arena, task, epoch, node, content hash, salt), ABI-encoded.
    function commitSubmission(uint256 task, bytes32 commitment) external returns (uint256 number);

    /// @notice Disclose: opens this epoch's commitment, and so enters or replaces the node's submission (M-1).
    /// @param uri where the artifact is, at most 256 bytes.
    function openSubmission(uint256 task, bytes32 contentHash, bytes32 salt, string calldata uri) external;

    /// @notice Withdraws the caller's submission from the next epoch on.
    function withdrawSubmission(uint256 task) external;

    /// @notice Submit and Disclose: removes a submission that was withdrawn, or whose node's direct stake is below the
    /// minimum. Anyone may.
    function evict(uint256 task, address node) external;

    // ------------------------------------------------------------------ scores

    /// @notice Fixes the seed of this epoch, and with it the list and the budget (M-9). Anyone may; the first call counts.
    function drawSeed(uint256 task) external returns (bytes32 seed);

    /// @notice Commit: commits to the caller's scores (M-10).
    /// @param commitment keccak256(chain id, arena, task, epoch, validator, salt, Merkle root), ABI-encoded.
    function commitScores(uint256 task, bytes32 commitment) external;

    /// @notice Reveal: reveals one chunk of scores, in the order of the draw, four bytes each (M-10).
    function revealScores(
        uint256 task,
        bytes32 salt,
        bytes32 root,
        uint256 chunk,
        bytes calldata scores,
        bytes32[] calldata proof
    ) external;

    // ------------------------------------------------------------------ settlement, by anyone, in batches

    /// @notice Finds the consensus scores of the next entries (M-7).
    /// @param from the number of entries tallied so far.
    /// @param medians one per entry: the lower weighted median of its scores, which the contract checks; 0 for one
    /// without quorum or not on this epoch's list.
    function tally(uint256 task, uint256 from, uint32[] calldata medians) external;

    /// @notice Counts the next `lanes` scores of an entry against a median, for entries with more scores than one
    /// transaction can count; `tally` then goes on from there.
    function tallyPart(uint256 task, uint256 entry, uint32 median, uint256 lanes) external;

    /// @notice Ranks the next entries (M-5).
    /// @param from the number of entries ranked so far.
    /// @param order entries, best first; the contract checks the order.
    function rank(uint256 task, uint256 from, uint32[] calldata order) external;

    /// @notice Credits the nodes of the next ranks (M-5, M-6).
    /// @param from the number of nodes paid so far.
    /// @param order entries by rank, as given to `rank`.
    function payNodes(uint256 task, uint256 from, uint32[] calldata order) external;

    /// @notice Weighs one revealed chunk of scores (M-8).
    function weigh(uint256 task, address validator, uint256 chunk, bytes calldata scores) external;

    /// @notice Credits the next validators, in the order of their first reveals (M-6, M-8).
    /// @param from the number of validators paid so far.
    function payValidators(uint256 task, uint256 from, uint256 count) external;

    // ------------------------------------------------------------------ views

    function vault() external view returns (address);
    function schedule() external view returns (Schedule memory);
    /// @notice Number of tasks; they are numbered from 1.
    function taskCount() external view returns (uint256);
    /// @notice The epoch whose seed was drawn last, how far it is, and its seed.
    function flightOf(uint256 task) external view returns (uint32 epoch, Stage stage, bytes32 seed);
    function entryCount(uint256 task) external view returns (uint256);
    function entryAt(uint256 task, uint256 index) external view returns (Entry memory);
    /// @notice Epoch and phase at this block's time.
    function clock() external view returns (uint32 epoch, Phase phase);
    /// @notice Start of an epoch, in seconds since 1970.
    function epochStart(uint256 epoch) external view returns (uint256);
}
