// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice What an operator does in a task. An operator has one role per task, for ever.
enum Role {
    None,
    Node,
    Validator
}

/// @notice What a deployment fixes for ever.
/// @param token the ERC-20 that stakes and rewards are in.
/// @param emission says which tasks share the emission; deployed before the vault.
/// @param arena the arena, which is deployed after the vault: its address is computed beforehand, and its constructor
/// checks that they belong together.
/// @param genesis start of epoch 1, in seconds since 1970; not in the past.
/// @param epochLength seconds per epoch.
/// @param unbondingEpochs epochs for which a stake unbonds after the epoch of the request, 2 … 60. Also the notice after
/// which a task that its creator ends is over.
/// @param bond what a creator locks for each task until it is over, in base units.
/// @param maxFeeWad most that the fee on claims can ever be, 0 … 0.2 (M-14).
/// @param slashWad fraction of a pool's stake that one offence costs, 0 … 0.1 (M-12).
struct VaultConfig {
    address token;
    address emission;
    address arena;
    uint64 genesis;
    uint32 epochLength;
    uint32 unbondingEpochs;
    uint96 bond;
    uint64 maxFeeWad;
    uint64 slashWad;
}

/// @notice What the vault must know of a task.
/// @param creator gets the bond back.
/// @param firstEpoch the first epoch that can pay.
/// @param lastEpoch the last epoch that can pay.
/// @param minNodeStake least direct stake at which a node counts (M-13).
/// @param minValidatorStake least direct stake at which a validator counts (M-13).
/// @param epsilonWad weight of delegated stake, 0 … 1.
struct Terms {
    address creator;
    uint32 firstEpoch;
    uint32 lastEpoch;
    uint96 minNodeStake;
    uint96 minValidatorStake;
    uint64 epsilonWad;
}

/// @notice A pool's stake in some epoch, in base units.
struct Stake {
    uint96 direct;
    uint96 delegated;
}

/// @notice What one epoch earned a pool, with and without its delegated stake (M-6).
struct Credit {
    address operator;
    uint96 withDelegation;
    uint96 withoutDelegation;
}

/// @title Vault: custody of every token of a deployment
/// @notice Holds stakes, unbonding stakes, budgets and rewards. It never sees a score: the arena tells it only whom to
/// credit, within a budget that the vault itself opened, and whom to slash, by a fraction that is fixed for ever. Nobody
/// else can move a balance, and nobody can pause an exit. Amounts are base units of `token`. Rules: `docs/mechanism.md`.
///
/// Stakes can be asked for in the epoch whose seed was drawn last in the task, in the current one, and in later ones;
/// totals in the current one and later ones, commissions also in the epoch in flight. Nothing pays for other epochs any
/// more, so nothing else is kept.
interface IVault {
    // ------------------------------------------------------------------ errors

    error NotArena(address caller);
    error NotEmission(address caller);
    error BadDeployment(bytes32 what);
    error ZeroAmount();
    error UnknownTask(uint256 task);
    error TaskExists(uint256 task);
    error TaskOver(uint256 task, uint256 lastEpoch);
    error TaskNotOver(uint256 task, uint256 lastEpoch);
    error RoleTaken(uint256 task, address operator, Role role);
    error RoleInvalid();
    error NotOperator(uint256 task, address account);
    error SelfDelegation(address operator);
    error InsufficientStake(uint256 requested, uint256 available);
    error PoolWornOut(uint256 task, address operator);
    error TooManyRequests(address account, uint256 limit);
    error NothingToWithdraw(address account);
    error NothingToClaim(address account);
    error NothingToReclaim(uint256 task);
    error NothingToBurn();
    error NothingToCollect();
    error CommissionInvalid(uint256 commissionWad);
    error CommissionPending(uint256 epoch);
    error TokenAmountMismatch(uint256 expected, uint256 received);
    error VaultFull(uint256 balance);
    error BudgetOpen(uint256 task, uint256 epoch);
    error BudgetClosed(uint256 task);
    error OverBudget(uint256 task, uint256 requested, uint256 left);
    error TreasuryZero();
    error FeeTooHigh(uint256 feeWad, uint256 limit);
    error SignatureExpired(uint256 deadline);
    error SignatureInvalid(address account);

    // ------------------------------------------------------------------ events

    event TaskRegistered(uint256 indexed task, Terms terms, uint256 bond);
    event TaskShortened(uint256 indexed task, uint256 lastEpoch);
    event Funded(uint256 indexed task, uint256 indexed epoch, address indexed from, uint256 amount);
    event EmissionFunded(address indexed from, uint256 amount);
    event FeeSet(uint256 feeWad, address indexed treasury, uint256 indexed fromEpoch);
    event Staked(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        Role role,
        uint256 amount,
        uint256 direct
    );
    event Unstaked(
        uint256 indexed task, uint256 epoch, address indexed operator, uint256 amount, uint256 releaseEpoch
    );
    /// @param shares what the amount is in shares of the pool; the same number unless the pool was slashed.
    event Delegated(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        address indexed delegator,
        uint256 amount,
        uint256 shares
    );
    /// @param releaseEpoch the first epoch in which the amount can be withdrawn.
    event Undelegated(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        address indexed delegator,
        uint256 amount,
        uint256 shares,
        uint256 releaseEpoch
    );
    /// @param effectiveEpoch the first epoch to which the commission applies.
    event CommissionSet(
        uint256 indexed task, address indexed operator, uint256 commissionWad, uint256 indexed effectiveEpoch
    );
    /// @param lost what slashes took while the stake was unbonding, from delegators.
    event Withdrawn(
        uint256 indexed task, address indexed operator, address indexed account, uint256 amount, uint256 lost
    );
    event Claimed(
        uint256 indexed task, address indexed operator, address indexed account, uint256 amount, uint256 fee
    );
    event Reclaimed(uint256 indexed task, address indexed account, uint256 bounty, uint256 bond);
    event BudgetOpened(uint256 indexed task, uint256 indexed epoch, uint256 emission, uint256 bounty);
    /// @param operatorAmount what the operator may claim; its delegators may claim the rest together.
    event Credited(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        uint256 withDelegation,
        uint256 withoutDelegation,
        uint256 operatorAmount
    );
    event BudgetSettled(
        uint256 indexed task, uint256 indexed epoch, uint256 paid, uint256 toReserve, uint256 toBounty
    );
    /// @param direct, unbonding what was taken of the operator's own stake, @param delegated of its delegators' stake.
    /// @param factorWad what a share of the pool is worth from the next epoch on.
    event Slashed(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        uint256 direct,
        uint256 unbonding,
        uint256 delegated,
        uint256 factorWad
    );
    event Burned(uint256 amount);
    event FeesCollected(address indexed treasury, uint256 amount);

    // ------------------------------------------------------------------ for everyone

    /// @notice Adds to a task's bounty. Counts from the next epoch on (M-2).
    function fund(uint256 task, uint96 amount) external;

    /// @notice Adds to the reserve from which emission is paid (M-2). Nobody can take it out again.
    function fundEmission(uint96 amount) external;

    /// @notice Stakes as an operator of `task`. The first stake fixes the role. Counts from the next epoch on (M-13).
    function stake(uint256 task, Role role, uint96 amount) external;

    /// @notice Starts unbonding own stake; it counts until the end of this epoch (M-13).
    function unstake(uint256 task, uint96 amount) external;

    /// @notice Delegates to an operator. Counts from the next epoch on (M-13).
    function delegate(uint256 task, address operator, uint96 amount) external;

    /// @notice Starts unbonding delegated stake; it counts until the end of this epoch (M-13).
    function undelegate(uint256 task, address operator, uint96 amount) external;

    /// @notice Sets the caller's commission σ, in WAD, a multiple of 1e9. A lower one acts from the next epoch, a higher
    /// one from the next but one (M-6). One change waits at a time.
    function setCommission(uint256 task, uint64 commissionWad) external;

    /// @notice Pays out what has finished unbonding from one pool, oldest first, at most `limit` requests.
    function withdraw(uint256 task, address operator, uint256 limit) external returns (uint256 amount);

    /// @notice Pays the caller's rewards from one pool: its delegation rewards and, if it is the operator, those too.
    function claim(uint256 task, address operator) external returns (uint256 amount);

    /// @notice Once a task is over, returns what it left unspent to those who funded it, each in proportion, and the bond
    /// to its creator.
    function reclaim(uint256 task) external returns (uint256 amount);

    /// @notice Sends all slashed tokens to where nobody can spend them.
    function burn() external returns (uint256 amount);

    /// @notice Sends the fees to the treasury of the current epoch.
    function collectFees() external returns (uint256 amount);

    // ------------------------------------------------------------------ for relayers

    /// @notice Uses an ERC-2612 permit for this vault. A permit that was used already is passed over, so that nobody can
    /// stop a batch by using it first.
    function permit(address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice `stake` for whoever signed it (EIP-712, also contracts by ERC-1271). The tokens come from `account`.
    function stakeFor(
        address account,
        uint256 task,
        Role role,
        uint96 amount,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `delegate` for whoever signed it. The tokens come from `account`.
    function delegateFor(
        address account,
        uint256 task,
        address operator,
        uint96 amount,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice `claim` for whoever signed it. The tokens go to `account`.
    function claimFor(
        address account,
        uint256 task,
        address operator,
        uint256 deadline,
        bytes calldata signature
    ) external returns (uint256 amount);

    // ------------------------------------------------------------------ for the emission

    /// @notice Sets the fee on claims, and who gets what is collected, both from the next epoch but one on (M-14).
    function setFee(uint64 feeWad, address treasury) external;

    // ------------------------------------------------------------------ for the arena

    /// @notice Registers a task and takes the bond from its creator.
    function register(uint256 task, Terms calldata terms) external;

    /// @notice Sets the last epoch of a task to an earlier one. The bounty streams on at its rate; what is left returns to
    /// its funders.
    function shorten(uint256 task, uint32 lastEpoch) external;

    /// @notice Sets aside the budget of the current epoch: the task's part of the emission, and an equal part of the
    /// bounty for each remaining epoch (M-2).
    function openBudget(uint256 task) external returns (uint256 emission, uint256 bounty);

    /// @notice Credits pools from the open budget, each at most once.
    function credit(uint256 task, Credit[] calldata credits) external;

    /// @notice Ends the open epoch and returns what was not paid to the reserve and the bounty, in proportion (M-15).
    function closeBudget(uint256 task) external;

    /// @notice Slashes a pool by a fixed fraction of `effective`, the stake with which it offended: its operator by at most
    /// five times that fraction of its own, its delegators by at most that fraction of theirs (M-12). Never reverts because
    /// of what the pool holds.
    function slash(uint256 task, address operator, uint256 effective) external returns (uint256 taken);

    // ------------------------------------------------------------------ views

    /// @notice What the deployment fixed.
    function config() external view returns (VaultConfig memory);
    function token() external view returns (address);
    function emission() external view returns (address);
    function arena() external view returns (address);
    /// @notice Start of epoch 1, in seconds since 1970. Epoch 0 is all time before it.
    function genesis() external view returns (uint64);
    /// @notice Seconds per epoch.
    function epochLength() external view returns (uint32);
    /// @notice Epochs for which a stake unbonds, after the epoch of the request.
    function unbondingEpochs() external view returns (uint32);
    function currentEpoch() external view returns (uint32);
    function termsOf(uint256 task) external view returns (Terms memory);
    function roleOf(uint256 task, address operator) external view returns (Role);

    /// @notice A pool's stake as it counts in `epoch`.
    function stakeAt(uint256 task, address operator, uint256 epoch) external view returns (Stake memory);

    /// @notice Stakes of several pools as they count in `epoch`; zeros where the role is another one.
    function stakesAt(uint256 task, Role role, address[] calldata operators, uint256 epoch)
        external
        view
        returns (Stake[] memory stakes);

    /// @notice Sums over the pools of `role` whose direct stake reaches the task's minimum, as they count in `epoch`.
    function totalsAt(uint256 task, Role role, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated);

    /// @notice A task's effective stake in the current epoch, nodes and validators together (S_k of M-2); 0 if it is not
    /// running.
    function effectiveStakeOf(uint256 task) external view returns (uint256);

    function commissionAt(uint256 task, address operator, uint256 epoch)
        external
        view
        returns (uint256 commissionWad);

    /// @notice A delegator's stake in a pool from the next epoch on: in shares, and what they are worth.
    function delegationOf(uint256 task, address operator, address delegator)
        external
        view
        returns (uint256 shares, uint256 amount);

    /// @notice What a share of the pool is worth from the next epoch on, in WAD; below 1 once its delegated stake was
    /// slashed.
    function factorOf(uint256 task, address operator) external view returns (uint256 factorWad);

    /// @notice What `claim` would pay `account` now, before the fee.
    function claimable(uint256 task, address operator, address account) external view returns (uint256);

    /// @notice An account's requests in a pool that have not been withdrawn: how many, their sum, and what is due now.
    function unbondingOf(uint256 task, address operator, address account)
        external
        view
        returns (uint256 requests, uint256 amount, uint256 due);

    /// @notice What is left of a task's bounty, without the open budget, and whether or not its funders reclaimed it.
    function bountyOf(uint256 task) external view returns (uint256);

    /// @notice What `account` added to a task's bounty and has not reclaimed.
    function contributionOf(uint256 task, address account) external view returns (uint256);

    /// @notice What is left to be emitted, without open budgets.
    function reserve() external view returns (uint96);

    /// @notice What was slashed and not burned yet.
    function slashed() external view returns (uint96);

    /// @notice What was taken as fees and not collected yet.
    function fees() external view returns (uint96);

    /// @notice The fee on claims in `epoch`, the current one or a later one.
    function feeAt(uint256 epoch) external view returns (uint256 feeWad);

    /// @notice Who gets what is collected now; zero before the first fee begins.
    function treasury() external view returns (address);
}
