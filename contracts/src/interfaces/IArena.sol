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

/// @notice Ends of the phases, in seconds after the epoch's start, the least delay of the seed after Disclose, and after
/// how many silent epochs in a row a validator is slashed (M-12).
struct Schedule {
    uint32 submitEnd;
    uint32 discloseEnd;
    uint32 seedEnd;
    uint32 commitEnd;
    uint32 revealEnd;
    uint32 seedDelay;
    uint8 silentEpochs;
}

/// @notice What a creator fixes for a task. Nobody can change it later. Ratios are in WAD (1e18).
/// @param metadata SHA-256 of the task's description: data, metric, model limits, licence.
/// @param evaluationRoot Merkle root of the evaluation slices, so that anyone can check them once they are published;
/// zero if the data are public.
/// @param minNodeStake, minValidatorStake least direct stakes (M-13); at least 1.
/// @param redundancy scores wanted per submission, 1 … 255 (M-9).
/// @param freshData whether evaluation data is drawn anew in each epoch; if not, unchanged submissions keep their score.
/// @param rule what a rank earns; `phiWad` (0.05 … 10) for StakeIntegral, `qWad` (0 … 1], `alphaWad` [0 … 1] and
/// `rankCutoff` (0: none) for RankGeometric. RankGeometric pays for splitting a stake over identities.
/// @param metric, lossCapWad the map from metric to score (M-16).
/// @param maxSubmissions cap on standing submissions, 1 … 2048 (M-1).
/// @param epsilonWad weight of delegated stake, 0 … 1.
/// @param gammaWad share that each side gets whatever its stake, 0 … 0.5 (M-3).
/// @param tolerance difference that two honest validators may have, in score units (M-8).
/// @param epochs how many epochs the task runs, from the one after its creation.
struct TaskParams {
    bytes32 metadata;
    bytes32 evaluationRoot;
    uint96 minNodeStake;
    uint96 minValidatorStake;
    uint8 redundancy;
    bool freshData;
    RankingRule rule;
    Metric metric;
    uint16 maxSubmissions;
    uint16 rankCutoff;
    uint64 epsilonWad;
    uint64 gammaWad;
    uint64 phiWad;
    uint32 tolerance;
    uint32 epochs;
    uint64 qWad;
    uint64 alphaWad;
    uint64 lossCapWad;
}

/// @notice A standing submission and what the last tally found.
/// @param stake the node's effective stake in the last tallied epoch; 0 if it was not eligible.
/// @param consensus consensus score (M-7), meaningful if `scored`.
/// @param number commitment number: the order in which commitments arrived in the task.
/// @param withdrawnIn the epoch in which the node withdrew it, 0 if it did not.
/// @param counted how many scores the last tally counted, without abstentions.
/// @param place its place on the list of standing submissions.
/// @param tallied the number of the last draw, modulo 256, in which it was tallied.
/// @param scored whether a quorum scored it.
/// @param duplicate whether another node disclosed the same content under a lower commitment number (M-11).
struct Entry {
    uint96 stake;
    uint32 consensus;
    uint32 number;
    uint32 withdrawnIn;
    uint24 counted;
    uint16 place;
    uint8 tallied;
    bool scored;
    bool duplicate;
}

/// @notice What the settler says of one submission, and the contract checks (M-7).
/// @param place its place on the list that is scored; ignored for a submission that keeps its score.
/// @param median the lower weighted median of its scores; 0 for one without quorum or that keeps its score.
/// @param revealers who scored it: indices in the order of the reveals, rising, four bytes each, big-endian.
struct Tally {
    address node;
    uint32 place;
    uint32 median;
    bytes revealers;
}

/// @notice A walk over the ranked submissions, best first, to pay them.
/// @param done submissions paid; @param stake their effective stake; @param boundary ⌊B·F⌋ so far (M-5).
/// @param decay q^done; @param weight sum of the rank-geometric weights so far.
/// @param ranking keccak256 of the nodes by rank, a word each.
struct Walk {
    uint32 done;
    uint96 stake;
    uint96 boundary;
    uint64 decay;
    uint256 weight;
    bytes32 ranking;
}

/// @notice The epoch in flight of a task.
/// @param previousEpoch the epoch whose seed was drawn before this one.
/// @param draws how many seeds the task has drawn.
/// @param entries length of the list when the seed was drawn; @param listed how many of them are to be scored.
/// @param revealers validators that revealed; @param revealed, counted scores revealed, and counted in tallies.
/// @param tallied submissions tallied; @param rankable how many of them are to be ranked.
/// @param weighed, paid validators weighed and paid.
/// @param validatorStake V: effective stake of all eligible validators.
/// @param rankedStake S: effective stake of the ranked nodes.
/// @param upperScore, lowerScore consensus scores at a quarter and at three quarters of the ranked stake (M-8).
struct Flight {
    bytes32 seed;
    uint32 epoch;
    uint32 previousEpoch;
    uint32 draws;
    uint32 entries;
    uint32 listed;
    uint32 revealers;
    uint32 revealed;
    Stage stage;
    uint8 activeQueue;
    uint96 validatorStake;
    uint96 rankedStake;
    uint32 counted;
    uint32 tallied;
    uint96 nodeBudget;
    uint96 validatorBudget;
    uint32 upperScore;
    uint32 lowerScore;
    uint32 rankable;
    uint32 weighed;
    uint32 paid;
    uint256 geometricTotal;
    uint256 validatorWeight;
    Walk walk;
}

/// @title Arena: tasks, submissions, scores, consensus, ranking, settlement
/// @notice Decides who is paid what, from data that everyone can see, and tells the vault. It never holds a token. No
/// account has any special right in it: not the deployer; a task's creator can end it early, and nothing else. Rules:
/// `docs/mechanism.md`.
interface IArena {
    // ------------------------------------------------------------------ errors

    error BadDeployment(bytes32 what);
    error BadParameter(bytes32 what);
    error UnknownTask(uint256 task);
    error TaskNotRunning(uint256 task, uint256 epoch);
    error NotCreator(uint256 task, address caller);
    error EndTooLate(uint256 task, uint256 lastEpoch);
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
    error ScoresLength(uint256 expected, uint256 actual);
    error IllegalScore(uint256 score);
    error RevealStillOpen(uint256 until);
    error WrongStage(Stage expected, Stage actual);
    error WrongCursor(uint256 expected, uint256 actual);
    error TooMany(uint256 given, uint256 left);
    error WrongPlace(address node, uint256 place);
    error NoSuchRevealer(uint256 revealer, uint256 revealers);
    error RevealersUnsorted(uint256 revealer);
    error NotScoredBy(address node, address validator);
    error WrongMedian(address node, uint256 candidate);
    error NotRankable(address node);
    error OutOfOrder(address node);
    error NotAllRanked(uint256 given, uint256 rankable);
    error NotTheRanking(bytes32 expected, bytes32 computed);
    error WeighingIncomplete(uint256 weighed, uint256 revealers);
    error NoOffence(uint256 task, address validator);
    error ReportTooLate(uint256 until);
    error AlreadyReported(uint256 task, address validator);

    // ------------------------------------------------------------------ events

    event TaskCreated(
        uint256 indexed task,
        address indexed creator,
        uint256 firstEpoch,
        uint256 lastEpoch,
        TaskParams params
    );
    event TaskEnded(uint256 indexed task, uint256 lastEpoch);
    event KeyRegistered(address indexed account, bytes32 key);
    event SubmissionCommitted(
        uint256 indexed task, uint256 indexed epoch, address indexed node, uint256 number, bytes32 commitment
    );
    event SubmissionOpened(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed node,
        uint256 number,
        bytes32 contentHash,
        bytes32 salt,
        string uri
    );
    event SubmissionWithdrawn(uint256 indexed task, uint256 indexed epoch, address indexed node);
    /// @param moved the node whose submission took the place, zero if the last one was evicted.
    event SubmissionEvicted(uint256 indexed task, uint256 indexed epoch, address indexed node, address moved);
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
    event ScoresCommitted(uint256 indexed task, uint256 epoch, address indexed validator, bytes32 commitment);
    event ScoresRevealed(
        uint256 indexed task, uint256 epoch, address indexed validator, bytes32 salt, bytes scores
    );
    /// @notice What a tally found. A tally that counted more scores replaces an earlier one.
    event Tallied(
        uint256 indexed task,
        uint256 epoch,
        address indexed node,
        bool scored,
        uint256 consensus,
        uint256 stake,
        uint256 counted
    );
    event PartlyTallied(
        uint256 indexed task,
        uint256 epoch,
        address indexed node,
        address indexed settler,
        uint256 median,
        uint256 counted
    );
    /// @notice All submissions are ranked.
    event Ranked(
        uint256 indexed task, uint256 indexed epoch, uint256 ranked, uint256 upperScore, uint256 lowerScore
    );
    event Weighed(uint256 indexed task, uint256 epoch, address indexed validator, uint256 weight);
    event EpochSettled(uint256 indexed task, uint256 indexed epoch);
    event UnrevealedReported(uint256 indexed task, uint256 indexed epoch, address indexed validator);
    /// @param count silent epochs in a row; 0 once they led to a slash.
    event SilenceReported(
        uint256 indexed task, uint256 indexed epoch, address indexed validator, uint256 count
    );

    // ------------------------------------------------------------------ tasks and submissions

    /// @notice Creates a task, which runs from the next epoch on. Anyone may, with the bond that the vault takes.
    function createTask(TaskParams calldata params) external returns (uint256 task);

    /// @notice Ends the caller's task early, after as many further epochs as stake takes to unbond. All that was earned
    /// stays claimable, and stakes leave as always.
    function endTask(uint256 task) external returns (uint32 lastEpoch);

    /// @notice Registers the caller's public key (X25519), to which evaluation data can be sealed.
    function registerKey(bytes32 key) external;

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

    /// @notice Seed: fixes the seed of this epoch, and with it the list and the budget (M-9). Anyone may; the first call
    /// counts.
    function drawSeed(uint256 task) external returns (bytes32 seed);

    /// @notice Commit: commits to the caller's scores (M-10). Without effect in an epoch whose seed was not drawn.
    /// @param commitment keccak256(chain id, arena, task, epoch, validator, salt, seed, keccak256(scores)), ABI-encoded.
    function commitScores(uint256 task, bytes32 commitment) external;

    /// @notice Reveal: reveals all of the caller's scores, in the order of the draw, four bytes each (M-10).
    function revealScores(uint256 task, bytes32 salt, bytes calldata scores) external;

    // ------------------------------------------------------------------ settlement, by anyone, in batches

    /// @notice Finds the consensus scores of submissions, in any order (M-7). What was tallied with as many scores
    /// already is passed over; the stage ends once all submissions are tallied and all revealed scores counted.
    function tally(uint256 task, Tally[] calldata tallies) external;

    /// @notice Counts some scores of a submission against a median, for one with more scores than one transaction can
    /// count; the same caller's `tally` of it, or its next `tallyPart`, then goes on from there.
    function tallyPart(uint256 task, Tally calldata part) external;

    /// @notice Ranks the submissions (M-5): all at once, because an order with one left out could not be completed.
    /// @param order their nodes, best first; the contract checks that it is strictly descending and whole.
    function rank(uint256 task, address[] calldata order) external;

    /// @notice Credits the nodes of the next ranks (M-5, M-6).
    /// @param from the first of them; who is paid already is passed over.
    /// @param order all nodes by rank, as given to `rank`.
    function payNodes(uint256 task, uint256 from, uint256 count, address[] calldata order) external;

    /// @notice Weighs the scores of the next validators, in the order of their reveals (M-8).
    /// @param from the first of them; who is weighed already is passed over.
    function weigh(uint256 task, uint256 from, uint256 count) external;

    /// @notice Credits the next validators, in the order of their reveals (M-6, M-8). Arguments as in `weigh`.
    function payValidators(uint256 task, uint256 from, uint256 count) external;

    // ------------------------------------------------------------------ offences, reported by anyone

    /// @notice Slashes a validator that committed to scores in the epoch drawn last and did not reveal them (M-12). From
    /// the end of Reveal to the next draw, or to the next epoch's Commit phase if there is none.
    function reportUnrevealed(uint256 task, address validator) external;

    /// @notice Records that a validator owed scores in the epoch drawn last and did not commit to any, and slashes it if
    /// that was so in `silentEpochs` drawn epochs in a row (M-12). When it may be reported is as for `reportUnrevealed`.
    function reportSilent(uint256 task, address validator) external;

    // ------------------------------------------------------------------ views

    function vault() external view returns (address);
    /// @notice The contract whose code settles epochs, on this contract's storage; fixed for ever.
    function settlement() external view returns (address);
    function schedule() external view returns (Schedule memory);
    /// @notice Number of tasks; they are numbered from 1.
    function taskCount() external view returns (uint256);
    /// @notice The epoch whose seed was drawn last and how far its settlement is.
    function flightOf(uint256 task) external view returns (Flight memory);
    /// @notice The nodes with a standing submission, at their places, a page of at most `count` from `from` on.
    function listOf(uint256 task, uint256 from, uint256 count) external view returns (address[] memory nodes);
    /// @notice The nodes whose submissions are scored next, or in the epoch in flight: tasks without fresh data.
    function queueOf(uint256 task, bool inFlight) external view returns (address[] memory nodes);
    function entryOf(uint256 task, address node)
        external
        view
        returns (Entry memory entry, bytes32 contentHash);
    /// @notice The key that an account registered, zero if it did not.
    function keyOf(address account) external view returns (bytes32);
    /// @notice Epoch and phase at this block's time.
    function clock() external view returns (uint32 epoch, Phase phase);
    /// @notice Start of an epoch, in seconds since 1970.
    function epochStart(uint256 epoch) external view returns (uint256);
}
