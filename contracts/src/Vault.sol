// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";

import {IVault, Role, Terms} from "./interfaces/IVault.sol";
import {Checkpoints, Trace} from "./libraries/Checkpoints.sol";
import {Rewards} from "./libraries/Rewards.sol";

/// @title Vault
/// @notice Implements `IVault`, which documents every function.
contract Vault is IVault, ReentrancyGuardTransient {
    using Checkpoints for Trace;
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    uint256 private constant WAD = 1e18;

    /// @dev Scale of `rewardPerShare`: a credit of up to 2^96 over one share, 2^32 times, fits 224 bits.
    uint256 private constant SHARE_SCALE_BITS = 96;

    /// @dev A delegator's part of a pool. `cursor` counts the points of `shares` that `index` has passed.
    struct Position {
        uint256 index;
        uint96 owed;
        uint32 cursor;
        Trace shares;
    }

    /// @dev A pool is (task, operator). `stakes` holds `direct << 96 | delegated`. `past` holds `rewardPerShare` as it was
    /// before a credit, for each credit that followed a change of the stakes: exactly where a position may look it up.
    struct Pool {
        Role role;
        uint32 lastCredited;
        uint96 operatorCredit;
        uint256 rewardPerShare;
        Trace stakes;
        Trace commission;
        Trace past;
        mapping(address delegator => Position) positions;
    }

    /// @dev `funded` holds `emission << 96 | bounty`, both cumulative.
    struct Budget {
        Trace funded;
        uint96 emissionSpent;
        uint96 bountySpent;
        uint32 closedThrough;
        uint32 openEpoch;
        uint96 openEmission;
        uint96 openBounty;
        uint96 openPaid;
    }

    struct UnbondingRequest {
        uint96 amount;
        uint32 releaseEpoch;
    }

    struct UnbondingQueue {
        uint256 head;
        UnbondingRequest[] requests;
    }

    address public immutable token;
    address public immutable arena;
    uint64 public immutable genesis;
    uint32 public immutable epochLength;
    uint32 public immutable unbondingEpochs;

    uint96 private totalStaked;
    uint96 private totalUnbonding;
    uint96 private totalCredited;
    uint96 private totalBudgets;

    mapping(uint256 task => Terms) private terms;
    mapping(uint256 task => Budget) private budgets;
    mapping(uint256 task => mapping(Role => Trace)) private totals;
    mapping(uint256 task => mapping(address operator => Pool)) private pools;
    mapping(address account => UnbondingQueue) private unbonding;

    modifier onlyArena() {
        if (msg.sender != arena) revert NotArena(msg.sender);
        _;
    }

    modifier known(uint256 task) {
        if (terms[task].creator == address(0)) revert UnknownTask(task);
        _;
    }

    /// @param arena_ the arena, which is deployed after the vault: its address is computed beforehand, and its
    /// constructor checks that they belong together.
    /// @param genesis_ start of epoch 1, in seconds since 1970; not in the past.
    constructor(
        address token_,
        address arena_,
        uint64 genesis_,
        uint32 epochLength_,
        uint32 unbondingEpochs_
    ) {
        if (token_.code.length == 0) revert BadDeployment("token is no contract");
        if (arena_ == address(0)) revert BadDeployment("arena is zero");
        if (genesis_ < block.timestamp) revert BadDeployment("genesis is in the past");
        if (epochLength_ == 0) revert BadDeployment("epoch length is zero");
        if (unbondingEpochs_ == 0) revert BadDeployment("unbonding takes no epoch");
        token = token_;
        arena = arena_;
        genesis = genesis_;
        epochLength = epochLength_;
        unbondingEpochs = unbondingEpochs_;
    }

    // ------------------------------------------------------------------ for everyone

    /// @inheritdoc IVault
    function fund(uint256 task, uint96 emission, uint96 bounty) external nonReentrant known(task) {
        if (emission == 0 && bounty == 0) revert ZeroAmount();
        uint32 epoch = currentEpoch();
        if (epoch >= terms[task].lastEpoch) revert TaskOver(task, terms[task].lastEpoch);

        Trace storage funded = budgets[task].funded;
        (uint256 totalEmission, uint256 totalBounty) = _unpack(funded.latest());
        totalEmission += emission;
        totalBounty += bounty;
        uint256 amount = uint256(emission) + bounty;
        totalBudgets = (totalBudgets + amount).toUint96();
        funded.set(epoch + 1, _pack(totalEmission, totalBounty));

        emit Funded(task, epoch, msg.sender, emission, bounty);
        _receive(amount);
    }

    /// @inheritdoc IVault
    function stake(uint256 task, Role role, uint96 amount) external nonReentrant known(task) {
        if (amount == 0) revert ZeroAmount();
        if (role == Role.None) revert RoleInvalid();
        uint32 epoch = _requireRunning(task);
        Pool storage pool = pools[task][msg.sender];
        if (pool.role == Role.None) pool.role = role;
        else if (pool.role != role) revert RoleTaken(task, msg.sender, pool.role);

        (uint256 direct, uint256 delegated) = _unpack(pool.stakes.latest());
        totalStaked = (uint256(totalStaked) + amount).toUint96();
        _setStakes(task, pool, epoch, direct + amount, delegated);

        emit Staked(task, epoch, msg.sender, role, amount, direct + amount);
        _receive(amount);
    }

    /// @inheritdoc IVault
    function unstake(uint256 task, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Pool storage pool = pools[task][msg.sender];
        (uint256 direct, uint256 delegated) = _unpack(pool.stakes.latest());
        if (amount > direct) revert InsufficientStake(amount, direct);
        uint32 epoch = currentEpoch();
        _setStakes(task, pool, epoch, direct - amount, delegated);

        emit Unstaked(task, epoch, msg.sender, amount, direct - amount);
        _unbond(epoch, amount);
    }

    /// @inheritdoc IVault
    function delegate(uint256 task, address operator, uint96 amount) external nonReentrant known(task) {
        if (amount == 0) revert ZeroAmount();
        if (operator == msg.sender) revert SelfDelegation(operator);
        uint32 epoch = _requireRunning(task);
        Pool storage pool = pools[task][operator];
        if (pool.role == Role.None) revert NotOperator(task, operator);

        Position storage position = pool.positions[msg.sender];
        _accrue(task, pool, position);
        position.shares.set(epoch + 1, position.shares.latest() + amount);
        (uint256 direct, uint256 delegated) = _unpack(pool.stakes.latest());
        totalStaked = (uint256(totalStaked) + amount).toUint96();
        _setStakes(task, pool, epoch, direct, delegated + amount);

        emit Delegated(task, epoch, operator, msg.sender, amount);
        _receive(amount);
    }

    /// @inheritdoc IVault
    function undelegate(uint256 task, address operator, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Pool storage pool = pools[task][operator];
        Position storage position = pool.positions[msg.sender];
        uint256 shares = position.shares.latest();
        if (amount > shares) revert InsufficientStake(amount, shares);
        uint32 epoch = currentEpoch();
        _accrue(task, pool, position);
        position.shares.set(epoch + 1, shares - amount);
        (uint256 direct, uint256 delegated) = _unpack(pool.stakes.latest());
        _setStakes(task, pool, epoch, direct, delegated - amount);

        emit Undelegated(task, epoch, operator, msg.sender, amount);
        _unbond(epoch, amount);
    }

    /// @inheritdoc IVault
    function setCommission(uint256 task, uint64 commissionWad) external {
        if (commissionWad > WAD) revert CommissionTooHigh(commissionWad);
        Pool storage pool = pools[task][msg.sender];
        if (pool.role == Role.None) revert NotOperator(task, msg.sender);
        uint32 epoch = currentEpoch();
        // Compared with what was announced for the next epoch, so that a lower one cannot be a bait.
        uint32 effectiveEpoch = commissionWad > pool.commission.valueAt(epoch + 1) ? epoch + 2 : epoch + 1;
        pool.commission.dropFrom(effectiveEpoch);
        pool.commission.set(effectiveEpoch, commissionWad);
        emit CommissionSet(task, msg.sender, commissionWad, effectiveEpoch);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 limit) external nonReentrant returns (uint256 amount) {
        UnbondingQueue storage queue = unbonding[msg.sender];
        uint32 epoch = currentEpoch();
        uint256 length = queue.requests.length;
        uint256 head = queue.head;
        for (uint256 i = 0; i < limit && head < length; ++i) {
            UnbondingRequest memory request = queue.requests[head];
            if (request.releaseEpoch > epoch) break;
            amount += request.amount;
            delete queue.requests[head++];
        }
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        queue.head = head;
        totalUnbonding -= amount.toUint96();

        emit Withdrawn(msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function claim(uint256 task, address operator) external nonReentrant returns (uint256 amount) {
        Pool storage pool = pools[task][operator];
        Position storage position = pool.positions[msg.sender];
        _accrue(task, pool, position);
        amount = position.owed;
        position.owed = 0;
        if (msg.sender == operator) {
            amount += pool.operatorCredit;
            pool.operatorCredit = 0;
        }
        if (amount == 0) revert NothingToClaim(msg.sender);
        totalCredited -= amount.toUint96();

        emit Claimed(task, operator, msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function reclaim(uint256 task) external nonReentrant known(task) returns (uint256 amount) {
        Terms storage t = terms[task];
        if (msg.sender != t.creator) revert NotCreator(task, msg.sender);
        if (currentEpoch() <= t.lastEpoch) revert TaskNotOver(task, t.lastEpoch);
        Budget storage budget = budgets[task];
        if (budget.openEpoch != 0) revert BudgetOpen(task, budget.openEpoch);
        (uint256 emission, uint256 bounty) = unspent(task);
        amount = emission + bounty;
        if (amount == 0) revert NothingToReclaim(task);
        budget.emissionSpent += emission.toUint96();
        budget.bountySpent += bounty.toUint96();
        totalBudgets -= amount.toUint96();

        emit Reclaimed(task, msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    // ------------------------------------------------------------------ for the arena

    /// @inheritdoc IVault
    function register(uint256 task, Terms calldata terms_) external onlyArena {
        if (terms[task].creator != address(0)) revert TaskExists(task);
        terms[task] = terms_;
        emit TaskRegistered(task, terms_);
    }

    /// @inheritdoc IVault
    function openBudget(uint256 task, uint32 epoch)
        external
        onlyArena
        returns (uint256 emission, uint256 bounty)
    {
        Terms storage t = terms[task];
        Budget storage budget = budgets[task];
        if (budget.openEpoch != 0) revert BudgetOpen(task, budget.openEpoch);
        if (epoch > t.lastEpoch) revert TaskOver(task, t.lastEpoch);
        (uint256 fundedEmission, uint256 fundedBounty) = _unpack(budget.funded.valueAt(epoch));
        emission = FixedPointMathLib.min(t.emissionPerEpoch, fundedEmission - budget.emissionSpent);
        bounty = (fundedBounty - budget.bountySpent) / (t.lastEpoch - epoch + 1);
        budget.emissionSpent += emission.toUint96();
        budget.bountySpent += bounty.toUint96();
        budget.closedThrough = epoch - 1;
        budget.openEpoch = epoch;
        budget.openEmission = emission.toUint96();
        budget.openBounty = bounty.toUint96();
        budget.openPaid = 0;
        emit BudgetOpened(task, epoch, emission, bounty);
    }

    /// @inheritdoc IVault
    function credit(uint256 task, address operator, uint256 withDelegation, uint256 withoutDelegation)
        external
        onlyArena
    {
        Budget storage budget = budgets[task];
        uint32 epoch = budget.openEpoch;
        if (epoch == 0) revert BudgetClosed(task);
        uint256 left = uint256(budget.openEmission) + budget.openBounty - budget.openPaid;
        if (withDelegation > left) revert OverBudget(task, withDelegation, left);
        uint96 amount = withDelegation.toUint96();
        budget.openPaid += amount;
        totalBudgets -= amount;
        totalCredited += amount;

        Pool storage pool = pools[task][operator];
        (uint256 since, uint256 stakes) = pool.stakes.pointAt(epoch);
        (, uint256 delegated) = _unpack(stakes);
        uint256 operatorAmount = delegated == 0
            ? withDelegation
            : Rewards.operatorShare(withDelegation, withoutDelegation, pool.commission.valueAt(epoch));
        uint256 delegatorsAmount = withDelegation - operatorAmount;
        if (delegatorsAmount != 0) {
            // Positions that changed since the last credit start or end at the value before this one.
            if (pool.lastCredited != 0 && since > pool.lastCredited) {
                pool.past.set(pool.lastCredited, pool.rewardPerShare);
            }
            pool.rewardPerShare += (delegatorsAmount << SHARE_SCALE_BITS) / delegated;
            pool.lastCredited = epoch;
        }
        pool.operatorCredit += operatorAmount.toUint96();
        emit Credited(task, epoch, operator, operatorAmount, delegatorsAmount);
    }

    /// @inheritdoc IVault
    function closeBudget(uint256 task) external onlyArena {
        Budget storage budget = budgets[task];
        uint32 epoch = budget.openEpoch;
        if (epoch == 0) revert BudgetClosed(task);
        (uint256 toReserve, uint256 toBounty) =
            Rewards.returnUnpaid(budget.openEmission, budget.openBounty, budget.openPaid);
        budget.emissionSpent -= toReserve.toUint96();
        budget.bountySpent -= toBounty.toUint96();
        budget.closedThrough = epoch;
        budget.openEpoch = 0;
        emit BudgetSettled(task, epoch, budget.openPaid, toReserve, toBounty);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IVault
    function currentEpoch() public view returns (uint32) {
        if (block.timestamp < genesis) return 0;
        return (1 + (block.timestamp - genesis) / epochLength).toUint32();
    }

    /// @inheritdoc IVault
    function termsOf(uint256 task) external view returns (Terms memory) {
        return terms[task];
    }

    /// @inheritdoc IVault
    function roleOf(uint256 task, address operator) external view returns (Role) {
        return pools[task][operator].role;
    }

    /// @inheritdoc IVault
    function stakeAt(uint256 task, address operator, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated)
    {
        return _unpack(pools[task][operator].stakes.valueAt(epoch));
    }

    /// @inheritdoc IVault
    function totalsAt(uint256 task, Role role, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated)
    {
        return _unpack(totals[task][role].valueAt(epoch));
    }

    /// @inheritdoc IVault
    function delegationAt(uint256 task, address operator, address delegator, uint256 epoch)
        external
        view
        returns (uint256)
    {
        return pools[task][operator].positions[delegator].shares.valueAt(epoch);
    }

    /// @inheritdoc IVault
    function commissionAt(uint256 task, address operator, uint256 epoch) external view returns (uint256) {
        return pools[task][operator].commission.valueAt(epoch);
    }

    /// @inheritdoc IVault
    function claimable(uint256 task, address operator, address account)
        external
        view
        returns (uint256 amount)
    {
        Pool storage pool = pools[task][operator];
        (amount,,) = _accrued(task, pool, pool.positions[account]);
        if (account == operator) amount += pool.operatorCredit;
    }

    /// @inheritdoc IVault
    function unbondingOf(address account)
        external
        view
        returns (uint256 requests, uint256 amount, uint256 due)
    {
        UnbondingQueue storage queue = unbonding[account];
        uint32 epoch = currentEpoch();
        uint256 length = queue.requests.length;
        requests = length - queue.head;
        for (uint256 i = queue.head; i < length; ++i) {
            amount += queue.requests[i].amount;
            if (queue.requests[i].releaseEpoch <= epoch) due += queue.requests[i].amount;
        }
    }

    /// @inheritdoc IVault
    function unspent(uint256 task) public view returns (uint256 emission, uint256 bounty) {
        Budget storage budget = budgets[task];
        (emission, bounty) = _unpack(budget.funded.latest());
        emission -= budget.emissionSpent;
        bounty -= budget.bountySpent;
    }

    /// @inheritdoc IVault
    function liabilities()
        external
        view
        returns (uint256 staked, uint256 unbonding_, uint256 credited, uint256 budgets_)
    {
        return (totalStaked, totalUnbonding, totalCredited, totalBudgets);
    }

    // ------------------------------------------------------------------ stakes

    /// @dev Sets a pool's stakes from the next epoch on, and moves the sums over the eligible pools with them.
    function _setStakes(uint256 task, Pool storage pool, uint32 epoch, uint256 direct, uint256 delegated)
        private
    {
        uint256 minimum = pool.role == Role.Node ? terms[task].minNodeStake : terms[task].minValidatorStake;
        (uint256 oldDirect, uint256 oldDelegated) = _unpack(pool.stakes.latest());
        pool.stakes.set(epoch + 1, _pack(direct, delegated));

        bool counted = oldDirect >= minimum;
        bool counts = direct >= minimum;
        if (!counted && !counts) return;
        Trace storage total = totals[task][pool.role];
        (uint256 totalDirect, uint256 totalDelegated) = _unpack(total.latest());
        if (counted) {
            totalDirect -= oldDirect;
            totalDelegated -= oldDelegated;
        }
        if (counts) {
            totalDirect += direct;
            totalDelegated += delegated;
        }
        total.set(epoch + 1, _pack(totalDirect, totalDelegated));
    }

    function _unbond(uint32 epoch, uint96 amount) private {
        uint32 releaseEpoch = epoch + 1 + unbondingEpochs;
        totalStaked -= amount;
        totalUnbonding += amount;
        unbonding[msg.sender].requests.push(UnbondingRequest({amount: amount, releaseEpoch: releaseEpoch}));
        emit Unbonding(msg.sender, amount, releaseEpoch);
    }

    function _requireRunning(uint256 task) private view returns (uint32 epoch) {
        epoch = currentEpoch();
        // Stake counts from the next epoch on, so in the last one it would only be locked for nothing.
        if (epoch >= terms[task].lastEpoch) revert TaskOver(task, terms[task].lastEpoch);
    }

    // ------------------------------------------------------------------ rewards of delegators

    function _accrue(uint256 task, Pool storage pool, Position storage position) private {
        (uint256 owed, uint256 index, uint32 cursor) = _accrued(task, pool, position);
        position.owed = owed.toUint96();
        position.index = index;
        position.cursor = cursor;
    }

    /// @dev The products fit: a position's shares are part of `delegated`, so shares · rewardPerShare is at most the sum of
    /// all credits, shifted by 96 bits. Walks the changes of a position whose epochs are closed, each at the `rewardPerShare` of its boundary. The
    /// last stretch runs to the pool's present value: no epoch after an open boundary has been credited yet.
    function _accrued(uint256 task, Pool storage pool, Position storage position)
        private
        view
        returns (uint256 owed, uint256 index, uint32 cursor)
    {
        (owed, index, cursor) = (position.owed, position.index, position.cursor);
        uint256[] storage points = position.shares.points;
        uint256 length = points.length;
        uint256 shares = cursor == 0 ? 0 : points[cursor - 1] & Checkpoints.MAX_VALUE;
        uint256 closedThrough = budgets[task].closedThrough;
        while (cursor < length) {
            uint256 point = points[cursor];
            uint256 lastBefore = (point >> 224) - 1;
            if (lastBefore > closedThrough) break;
            uint256 boundary =
                pool.lastCredited <= lastBefore ? pool.rewardPerShare : pool.past.valueAt(lastBefore);
            owed += (shares * (boundary - index)) >> SHARE_SCALE_BITS;
            index = boundary;
            shares = point & Checkpoints.MAX_VALUE;
            ++cursor;
        }
        owed += (shares * (pool.rewardPerShare - index)) >> SHARE_SCALE_BITS;
        index = pool.rewardPerShare;
    }

    // ------------------------------------------------------------------ tokens and words

    /// @dev Takes exactly `amount`; a token that delivers less or more is refused.
    function _receive(uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert TokenAmountMismatch(amount, received);
    }

    function _pack(uint256 high, uint256 low) private pure returns (uint256) {
        return (uint256(high.toUint96()) << 96) | low.toUint96();
    }

    function _unpack(uint256 packed) private pure returns (uint256 high, uint256 low) {
        return (packed >> 96, packed & type(uint96).max);
    }
}
