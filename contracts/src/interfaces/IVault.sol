// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice What an operator does in a task. An operator has one role per task, for ever.
enum Role {
    None,
    Node,
    Validator
}

/// @notice What the vault must know of a task.
/// @param creator who may reclaim what the task left unspent.
/// @param firstEpoch the first epoch that can pay.
/// @param lastEpoch the last epoch that can pay.
/// @param emissionPerEpoch most that one epoch draws from the task's reserve, in base units.
/// @param minNodeStake least direct stake at which a node counts (M-13).
/// @param minValidatorStake least direct stake at which a validator counts (M-13).
struct Terms {
    address creator;
    uint32 firstEpoch;
    uint32 lastEpoch;
    uint96 emissionPerEpoch;
    uint96 minNodeStake;
    uint96 minValidatorStake;
}

/// @title Vault: custody of every token of a deployment
/// @notice Holds stakes, unbonding stakes, budgets and rewards. It never sees a score: the arena tells it only whom to
/// credit, within a budget that the vault itself opened. Nobody else can move a balance, and nobody can pause an exit.
/// Amounts are base units of `token`. Rules: `docs/mechanism.md`.
interface IVault {
    // ------------------------------------------------------------------ errors

    error NotArena(address caller);
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
    error NothingToWithdraw(address account);
    error NothingToClaim(address account);
    error NothingToReclaim(uint256 task);
    error NotCreator(uint256 task, address caller);
    error CommissionTooHigh(uint256 commissionWad);
    error TokenAmountMismatch(uint256 expected, uint256 received);
    error BudgetOpen(uint256 task, uint256 epoch);
    error BudgetClosed(uint256 task);
    error OverBudget(uint256 task, uint256 requested, uint256 left);

    // ------------------------------------------------------------------ events

    event TaskRegistered(uint256 indexed task, Terms terms);
    event Funded(
        uint256 indexed task, uint256 indexed epoch, address indexed from, uint256 emission, uint256 bounty
    );
    event Staked(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed operator,
        Role role,
        uint256 amount,
        uint256 direct
    );
    event Unstaked(
        uint256 indexed task, uint256 indexed epoch, address indexed operator, uint256 amount, uint256 direct
    );
    event Delegated(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        address indexed delegator,
        uint256 amount
    );
    event Undelegated(
        uint256 indexed task,
        uint256 epoch,
        address indexed operator,
        address indexed delegator,
        uint256 amount
    );
    /// @param effectiveEpoch the first epoch to which the commission applies.
    event CommissionSet(
        uint256 indexed task, address indexed operator, uint256 commissionWad, uint256 indexed effectiveEpoch
    );
    /// @param releaseEpoch the first epoch in which the amount can be withdrawn.
    event Unbonding(address indexed account, uint256 amount, uint256 indexed releaseEpoch);
    event Withdrawn(address indexed account, uint256 amount);
    event Claimed(uint256 indexed task, address indexed operator, address indexed account, uint256 amount);
    event Reclaimed(uint256 indexed task, address indexed creator, uint256 amount);
    event BudgetOpened(uint256 indexed task, uint256 indexed epoch, uint256 emission, uint256 bounty);
    /// @param operatorAmount what the operator may claim, @param delegatorsAmount what its delegators may claim together.
    event Credited(
        uint256 indexed task,
        uint256 indexed epoch,
        address indexed operator,
        uint256 operatorAmount,
        uint256 delegatorsAmount
    );
    event BudgetSettled(
        uint256 indexed task, uint256 indexed epoch, uint256 paid, uint256 toReserve, uint256 toBounty
    );

    // ------------------------------------------------------------------ for everyone

    /// @notice Adds to a task's reserve (`emission`) and to its bounty. Counts from the next epoch on (M-2).
    function fund(uint256 task, uint96 emission, uint96 bounty) external;

    /// @notice Stakes as an operator of `task`. The first stake fixes the role. Counts from the next epoch on (M-13).
    function stake(uint256 task, Role role, uint96 amount) external;

    /// @notice Starts unbonding own stake; it counts until the end of this epoch (M-13).
    function unstake(uint256 task, uint96 amount) external;

    /// @notice Delegates to an operator. Counts from the next epoch on (M-13).
    function delegate(uint256 task, address operator, uint96 amount) external;

    /// @notice Starts unbonding delegated stake; it counts until the end of this epoch (M-13).
    function undelegate(uint256 task, address operator, uint96 amount) external;

    /// @notice Sets the caller's commission σ, in WAD. A lower one acts from the next epoch, a higher one from the next
    /// but one (M-6).
    function setCommission(uint256 task, uint64 commissionWad) external;

    /// @notice Pays out what has finished unbonding, oldest first, at most `limit` requests.
    function withdraw(uint256 limit) external returns (uint256 amount);

    /// @notice Pays the caller's rewards from one pool: its delegation rewards and, if it is the operator, those too.
    function claim(uint256 task, address operator) external returns (uint256 amount);

    /// @notice Returns to the creator what a finished task left unspent.
    function reclaim(uint256 task) external returns (uint256 amount);

    // ------------------------------------------------------------------ for the arena

    /// @notice Registers a task.
    function register(uint256 task, Terms calldata terms) external;

    /// @notice Sets aside the budget of `epoch`: the emission of one epoch, as far as the reserve holds it, and an equal
    /// part of the bounty for each remaining epoch (M-2). Epochs before it are thereby closed.
    function openBudget(uint256 task, uint32 epoch) external returns (uint256 emission, uint256 bounty);

    /// @notice Credits an operator's pool from the open budget.
    /// @param withDelegation the pool's reward.
    /// @param withoutDelegation what it would be without the pool's delegated stake (M-6).
    function credit(uint256 task, address operator, uint256 withDelegation, uint256 withoutDelegation)
        external;

    /// @notice Ends the open epoch and returns what was not paid to the reserve and the bounty, in proportion (M-15).
    function closeBudget(uint256 task) external;

    // ------------------------------------------------------------------ views

    function token() external view returns (address);
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

    /// @notice A pool's stakes as they count in `epoch`.
    function stakeAt(uint256 task, address operator, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated);

    /// @notice Sums over the pools of `role` whose direct stake reaches the task's minimum, as they count in `epoch`.
    function totalsAt(uint256 task, Role role, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated);

    /// @notice A delegator's stake in a pool as it counts in `epoch`.
    function delegationAt(uint256 task, address operator, address delegator, uint256 epoch)
        external
        view
        returns (uint256);
    function commissionAt(uint256 task, address operator, uint256 epoch)
        external
        view
        returns (uint256 commissionWad);

    /// @notice What `claim` would pay `account` now.
    function claimable(uint256 task, address operator, address account) external view returns (uint256);

    /// @notice An account's requests that have not been withdrawn: how many, their sum, and what is due now.
    function unbondingOf(address account)
        external
        view
        returns (uint256 requests, uint256 amount, uint256 due);

    /// @notice What a task has left: its reserve and its bounty, both without the open budget.
    function unspent(uint256 task) external view returns (uint256 emission, uint256 bounty);

    /// @notice What the vault owes, by kind. Their sum never exceeds its token balance (M-15).
    function liabilities()
        external
        view
        returns (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets);
}
