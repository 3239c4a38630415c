// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";
import {Multicallable} from "solady/src/utils/Multicallable.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";

import {IEmission} from "./interfaces/IEmission.sol";
import {Credit, IVault, Role, Stake, Terms, VaultConfig} from "./interfaces/IVault.sol";
import {Checkpoints, Trace} from "./libraries/Checkpoints.sol";
import {Pool, Pools, Position, Request, Stage} from "./libraries/Pools.sol";
import {Rewards} from "./libraries/Rewards.sol";
import {Slashing} from "./libraries/Slashing.sol";

/// @title Vault
/// @notice Implements `IVault`, which documents every function.
contract Vault is IVault, EIP712, Nonces, Multicallable, ReentrancyGuardTransient {
    using Checkpoints for Trace;
    using Pools for Pool;
    using SafeTransferLib for address;
    using SafeCast for uint256;

    uint256 private constant WAD = 1e18;
    uint256 private constant MAX_UNBONDING_EPOCHS = 60;
    uint256 private constant MAX_FEE_WAD = 0.2e18;
    uint256 private constant MAX_SLASH_WAD = 0.1e18;
    /// @dev Far more than can be unbonding at a time, which is at most one request in each unbonding epoch: whoever
    /// reaches it can withdraw some.
    uint256 private constant MAX_REQUESTS = 255;
    /// @dev Of its own stake an operator loses at most so many times the fraction, however much was delegated to it.
    uint256 private constant OWN_SLASHES = 5;
    /// @dev Below it a deposit would buy so many shares that they could outgrow a word.
    uint256 private constant LEAST_FACTOR_WAD = 1e12;
    /// @dev A commission is stored in units of 1e-9.
    uint64 private constant COMMISSION_UNIT = 1e9;
    /// @dev Where burned tokens go: nobody has a key of it.
    address private constant GRAVE = 0x000000000000000000000000000000000000dEaD;

    bytes32 private constant STAKE_TYPEHASH = keccak256(
        "Stake(address account,uint256 task,uint8 role,uint96 amount,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant DELEGATE_TYPEHASH = keccak256(
        "Delegate(address account,uint256 task,address operator,uint96 amount,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant CLAIM_TYPEHASH =
        keccak256("Claim(address account,uint256 task,address operator,uint256 nonce,uint256 deadline)");

    /// @dev Sums over the eligible pools of a side, from epoch `since` on and before it.
    struct Side {
        uint96 direct;
        uint96 delegated;
        uint32 since;
        uint96 directBefore;
        uint96 delegatedBefore;
    }

    /// @dev Everything of one task. `drawnEpoch` is the epoch whose budget was opened last, `open` whether it still is.
    /// `funded` counts from `fundedSince` on, `fundedBefore` until then; `spent` is what of it left the bounty, which streams
    /// up to `streamEnd`, also if the task is shortened.
    struct Task {
        address creator;
        uint32 firstEpoch;
        uint32 lastEpoch;
        uint32 drawnEpoch;
        uint96 minNodeStake;
        uint96 minValidatorStake;
        uint64 epsilonWad;
        uint96 funded;
        uint96 fundedBefore;
        uint32 fundedSince;
        uint32 streamEnd;
        bool open;
        bool bonded;
        uint96 spent;
        uint96 openPaid;
        uint96 openEmission;
        uint96 openBounty;
        Side[3] sides;
        mapping(address account => uint96) contributions;
        mapping(address operator => Pool) pools;
    }

    /// @dev The fee and who gets it, from epoch `nextFrom` on and before it. What a claim reads lies in one word.
    struct Fee {
        uint64 nextFeeWad;
        uint32 nextFrom;
        address nextTreasury;
        uint64 feeWad;
        address treasury;
    }

    address public immutable token;
    address public immutable emission;
    address public immutable arena;
    uint64 public immutable genesis;
    uint32 public immutable epochLength;
    uint32 public immutable unbondingEpochs;
    uint96 private immutable bond;
    uint64 private immutable maxFeeWad;
    uint64 private immutable slashWad;

    uint96 public reserve;
    uint96 public slashed;
    Fee private fee;
    uint96 public fees;
    mapping(uint256 task => Task) private tasks;

    modifier onlyArena() {
        _requireArena();
        _;
    }

    constructor(VaultConfig memory c) {
        if (c.token.code.length == 0) revert BadDeployment("token is no contract");
        if (c.emission.code.length == 0) revert BadDeployment("emission is no contract");
        if (IEmission(c.emission).config().vault != address(this)) {
            revert BadDeployment("emission of another vault");
        }
        if (c.arena == address(0)) revert BadDeployment("arena is zero");
        if (c.genesis < block.timestamp) revert BadDeployment("genesis is in the past");
        if (c.epochLength == 0) revert BadDeployment("epoch length is zero");
        if (c.unbondingEpochs < 2 || c.unbondingEpochs > MAX_UNBONDING_EPOCHS) {
            revert BadDeployment("unbonding epochs");
        }
        if (c.maxFeeWad > MAX_FEE_WAD) revert BadDeployment("fee limit");
        if (c.slashWad > MAX_SLASH_WAD) revert BadDeployment("slash fraction");
        token = c.token;
        emission = c.emission;
        arena = c.arena;
        genesis = c.genesis;
        epochLength = c.epochLength;
        unbondingEpochs = c.unbondingEpochs;
        bond = c.bond;
        maxFeeWad = c.maxFeeWad;
        slashWad = c.slashWad;
    }

    // ------------------------------------------------------------------ for everyone

    /// @inheritdoc IVault
    function fund(uint256 task, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Task storage t = _task(task);
        uint32 epoch = _requireRunning(task, t);
        if (t.fundedSince != epoch + 1) {
            t.fundedBefore = t.funded;
            t.fundedSince = epoch + 1;
        }
        t.funded += amount;
        t.contributions[msg.sender] += amount;

        emit Funded(task, epoch, msg.sender, amount);
        _receive(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function fundEmission(uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        reserve += amount;
        emit EmissionFunded(msg.sender, amount);
        _receive(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function stake(uint256 task, Role role, uint96 amount) external {
        _stake(msg.sender, task, role, amount);
    }

    /// @inheritdoc IVault
    function unstake(uint256 task, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Task storage t = tasks[task];
        Pool storage pool = t.pools[msg.sender];
        uint32 epoch = currentEpoch();
        Stage memory stage = pool.next(epoch, t.drawnEpoch);
        if (amount > stage.direct) revert InsufficientStake(amount, stage.direct);
        uint256 delegated = _worth(pool, stage);
        uint96 before = stage.direct;
        stage.direct -= amount;
        pool.current = stage;
        _moveTotals(t, stage, epoch, before, delegated, delegated);
        uint32 releaseEpoch = _unbond(pool.positions[msg.sender], epoch, amount, 0);

        emit Unstaked(task, epoch, msg.sender, amount, releaseEpoch);
    }

    /// @inheritdoc IVault
    function delegate(uint256 task, address operator, uint96 amount) external {
        _delegate(msg.sender, task, operator, amount);
    }

    /// @inheritdoc IVault
    function undelegate(uint256 task, address operator, uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Task storage t = tasks[task];
        Pool storage pool = t.pools[operator];
        Position storage position = pool.positions[msg.sender];
        uint96 held = position.shares;
        uint256 factor = _factor(pool);
        uint256 available = Slashing.worth(held, factor);
        if (amount > available) revert InsufficientStake(amount, available);
        uint96 shares = uint96(Slashing.sharesOf(amount, factor));
        // What is left and worth nothing goes with the rest.
        if (Slashing.worth(held - shares, factor) == 0) shares = held;

        uint32 epoch = currentEpoch();
        pool.move(position, epoch, t.drawnEpoch, held - shares);
        Stage memory stage = pool.next(epoch, t.drawnEpoch);
        uint256 before = Slashing.worth(stage.shares, factor);
        stage.shares -= shares;
        stage.moved = true;
        pool.current = stage;
        _moveTotals(t, stage, epoch, stage.direct, before, Slashing.worth(stage.shares, factor));
        uint32 releaseEpoch = _unbond(position, epoch, amount, shares);

        emit Undelegated(task, epoch, operator, msg.sender, amount, shares, releaseEpoch);
    }

    /// @inheritdoc IVault
    function setCommission(uint256 task, uint64 commissionWad) external {
        if (commissionWad > WAD || commissionWad % COMMISSION_UNIT != 0) {
            revert CommissionInvalid(commissionWad);
        }
        Task storage t = tasks[task];
        Pool storage pool = t.pools[msg.sender];
        if (pool.current.role == Role.None) revert NotOperator(task, msg.sender);
        uint32 epoch = currentEpoch();
        uint32 from = pool.commissionFrom;
        uint32 value = uint32(commissionWad / COMMISSION_UNIT);
        // Compared with what was announced for the next epoch, so that a lower one cannot be a bait.
        bool higher = value > (from <= epoch + 1 ? pool.nextCommission : pool.commission);
        if (from <= epoch) {
            // The epoch drawn last may still be paid by the commission before.
            if (t.open && t.drawnEpoch < from) revert CommissionPending(from);
            pool.commission = pool.nextCommission;
        } else if (from == epoch + 1 && higher) {
            revert CommissionPending(from);
        }
        uint32 effectiveEpoch = higher ? epoch + 2 : epoch + 1;
        pool.nextCommission = value;
        pool.commissionFrom = effectiveEpoch;

        emit CommissionSet(task, msg.sender, commissionWad, effectiveEpoch);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 task, address operator, uint256 limit)
        external
        nonReentrant
        returns (uint256 amount)
    {
        Pool storage pool = tasks[task].pools[operator];
        Position storage position = pool.positions[msg.sender];
        (uint8 head, uint8 tail) = (position.head, position.tail);
        uint32 epoch = currentEpoch();
        uint256 asked = 0;
        for (uint256 i = 0; i < limit && head != tail; ++i) {
            Request memory request = position.requests[head];
            if (request.releaseEpoch > epoch) break;
            asked += request.amount;
            amount += _payable(pool, request);
            head = _after(head);
        }
        if (head == position.head) revert NothingToWithdraw(msg.sender);
        (position.head, position.tail) = head == tail ? (0, 0) : (head, tail);
        uint256 lost = asked - amount;
        if (lost != 0) slashed += lost.toUint96();

        emit Withdrawn(task, operator, msg.sender, amount, lost);
        // Some tokens refuse to send nothing, which is what a slash may have left.
        if (amount != 0) token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function claim(uint256 task, address operator) external returns (uint256) {
        return _claim(msg.sender, task, operator);
    }

    /// @inheritdoc IVault
    function reclaim(uint256 task) external nonReentrant returns (uint256 amount) {
        Task storage t = _task(task);
        if (currentEpoch() <= t.lastEpoch) revert TaskNotOver(task, t.lastEpoch);
        if (t.open) revert BudgetOpen(task, t.drawnEpoch);
        // Nothing is spent any more, so that the order of those who reclaim makes no difference.
        uint256 bounty = Rewards.proportional(t.funded - t.spent, t.contributions[msg.sender], t.funded);
        uint256 bond_ = 0;
        if (msg.sender == t.creator && t.bonded) {
            bond_ = bond;
            t.bonded = false;
        }
        amount = bounty + bond_;
        if (amount == 0) revert NothingToReclaim(task);
        t.contributions[msg.sender] = 0;

        emit Reclaimed(task, msg.sender, bounty, bond_);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IVault
    function burn() external nonReentrant returns (uint256 amount) {
        amount = slashed;
        if (amount == 0) revert NothingToBurn();
        slashed = 0;
        emit Burned(amount);
        token.safeTransfer(GRAVE, amount);
    }

    /// @inheritdoc IVault
    function collectFees() external nonReentrant returns (uint256 amount) {
        amount = fees;
        if (amount == 0) revert NothingToCollect();
        fees = 0;
        address to = treasury();
        emit FeesCollected(to, amount);
        token.safeTransfer(to, amount);
    }

    // ------------------------------------------------------------------ for relayers

    /// @inheritdoc IVault
    function permit(address account, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        // Used already: the allowance is there, or the transfer that follows says what is missing.
        try IERC20Permit(token).permit(account, address(this), amount, deadline, v, r, s) {} catch {}
    }

    /// @inheritdoc IVault
    function stakeFor(
        address account,
        uint256 task,
        Role role,
        uint96 amount,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 content = keccak256(
            abi.encode(STAKE_TYPEHASH, account, task, role, amount, _useNonce(account), deadline)
        );
        _checkSignature(account, content, deadline, signature);
        _stake(account, task, role, amount);
    }

    /// @inheritdoc IVault
    function delegateFor(
        address account,
        uint256 task,
        address operator,
        uint96 amount,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 content = keccak256(
            abi.encode(DELEGATE_TYPEHASH, account, task, operator, amount, _useNonce(account), deadline)
        );
        _checkSignature(account, content, deadline, signature);
        _delegate(account, task, operator, amount);
    }

    /// @inheritdoc IVault
    function claimFor(
        address account,
        uint256 task,
        address operator,
        uint256 deadline,
        bytes calldata signature
    ) external returns (uint256) {
        bytes32 content = keccak256(
            abi.encode(CLAIM_TYPEHASH, account, task, operator, _useNonce(account), deadline)
        );
        _checkSignature(account, content, deadline, signature);
        return _claim(account, task, operator);
    }

    // ------------------------------------------------------------------ for the emission

    /// @inheritdoc IVault
    function setFee(uint64 feeWad, address treasury_) external {
        if (msg.sender != emission) revert NotEmission(msg.sender);
        if (feeWad > maxFeeWad) revert FeeTooHigh(feeWad, maxFeeWad);
        if (treasury_ == address(0)) revert TreasuryZero();
        uint32 epoch = currentEpoch();
        (fee.feeWad, fee.treasury) = (uint64(feeAt(epoch)), treasury());
        (fee.nextFeeWad, fee.nextTreasury, fee.nextFrom) = (feeWad, treasury_, epoch + 2);
        emit FeeSet(feeWad, treasury_, epoch + 2);
    }

    // ------------------------------------------------------------------ for the arena

    /// @inheritdoc IVault
    function register(uint256 task, Terms calldata terms) external onlyArena nonReentrant {
        Task storage t = tasks[task];
        if (t.creator != address(0)) revert TaskExists(task);
        t.creator = terms.creator;
        t.firstEpoch = terms.firstEpoch;
        (t.lastEpoch, t.streamEnd) = (terms.lastEpoch, terms.lastEpoch);
        t.minNodeStake = terms.minNodeStake;
        t.minValidatorStake = terms.minValidatorStake;
        t.epsilonWad = terms.epsilonWad;
        t.bonded = bond != 0;
        emit TaskRegistered(task, terms, bond);
        if (bond != 0) _receive(terms.creator, bond);
    }

    /// @inheritdoc IVault
    function shorten(uint256 task, uint32 lastEpoch) external onlyArena {
        Task storage t = _task(task);
        if (lastEpoch >= t.lastEpoch) revert TaskOver(task, t.lastEpoch);
        t.lastEpoch = lastEpoch;
        emit TaskShortened(task, lastEpoch);
    }

    /// @inheritdoc IVault
    function openBudget(uint256 task) external onlyArena returns (uint256 emission_, uint256 bounty) {
        Task storage t = _task(task);
        uint32 epoch = currentEpoch();
        if (t.open) revert BudgetOpen(task, t.drawnEpoch);
        if (epoch > t.lastEpoch) revert TaskOver(task, t.lastEpoch);
        uint256 funded = epoch >= t.fundedSince ? t.funded : t.fundedBefore;
        bounty = (funded - t.spent) / (t.streamEnd - epoch + 1);
        emission_ = Math.min(IEmission(emission).draw(task), reserve);
        reserve -= uint96(emission_);
        t.spent += uint96(bounty);
        t.drawnEpoch = epoch;
        t.open = true;
        t.openEmission = uint96(emission_);
        t.openBounty = uint96(bounty);
        t.openPaid = 0;
        emit BudgetOpened(task, epoch, emission_, bounty);
    }

    /// @inheritdoc IVault
    function credit(uint256 task, Credit[] calldata credits) external onlyArena {
        Task storage t = tasks[task];
        if (!t.open) revert BudgetClosed(task);
        uint32 epoch = t.drawnEpoch;
        uint256 total = 0;
        for (uint256 i = 0; i < credits.length; ++i) {
            total += credits[i].withDelegation;
            _credit(task, t.pools[credits[i].operator], epoch, credits[i]);
        }
        uint256 left = uint256(t.openEmission) + t.openBounty - t.openPaid;
        if (total > left) revert OverBudget(task, total, left);
        t.openPaid += uint96(total);
    }

    /// @inheritdoc IVault
    function closeBudget(uint256 task) external onlyArena {
        Task storage t = tasks[task];
        if (!t.open) revert BudgetClosed(task);
        (uint256 toReserve, uint256 toBounty) = Rewards.returnUnpaid(t.openEmission, t.openBounty, t.openPaid);
        reserve += uint96(toReserve);
        t.spent -= uint96(toBounty);
        t.open = false;
        emit BudgetSettled(task, t.drawnEpoch, t.openPaid, toReserve, toBounty);
    }

    /// @inheritdoc IVault
    function slash(uint256 task, address operator, uint256 effective)
        external
        onlyArena
        returns (uint256 taken)
    {
        Task storage t = tasks[task];
        Pool storage pool = t.pools[operator];
        uint32 epoch = currentEpoch();
        uint256 rest = Slashing.penalty(effective, slashWad);
        Stage memory stage = pool.next(epoch, t.drawnEpoch);
        uint96 directBefore = stage.direct;
        uint256 ownWad = OWN_SLASHES * slashWad;
        uint256 direct = Math.min(rest, Slashing.penalty(directBefore, ownWad));
        stage.direct -= uint96(direct);
        rest -= direct;
        uint256 unbonding = _slashRequests(pool.positions[operator], epoch, rest, ownWad);
        rest -= unbonding;

        uint256 factor = _factor(pool);
        uint256 delegated = Slashing.worth(stage.shares, factor);
        uint256 loss = Slashing.lossWad(rest, delegated, slashWad);
        uint256 delegatedAfter = delegated;
        if (loss != 0) {
            // Never nothing, which would mean that no slash was yet.
            factor = Math.max(1, Slashing.reduced(factor, loss));
            pool.factor.set(epoch + 1, factor);
            stage.slashed = true;
            delegatedAfter = Slashing.worth(stage.shares, factor);
        }
        pool.current = stage;
        _moveTotals(t, stage, epoch, directBefore, delegated, delegatedAfter);
        taken = direct + unbonding + delegated - delegatedAfter;
        slashed += uint96(taken);
        emit Slashed(task, epoch, operator, direct, unbonding, delegated - delegatedAfter, factor);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IVault
    function config() external view returns (VaultConfig memory) {
        return VaultConfig({
            token: token,
            emission: emission,
            arena: arena,
            genesis: genesis,
            epochLength: epochLength,
            unbondingEpochs: unbondingEpochs,
            bond: bond,
            maxFeeWad: maxFeeWad,
            slashWad: slashWad
        });
    }

    /// @inheritdoc IVault
    function currentEpoch() public view returns (uint32) {
        if (block.timestamp < genesis) return 0;
        return (1 + (block.timestamp - genesis) / epochLength).toUint32();
    }

    /// @inheritdoc IVault
    function termsOf(uint256 task) external view returns (Terms memory) {
        Task storage t = tasks[task];
        return Terms({
            creator: t.creator,
            firstEpoch: t.firstEpoch,
            lastEpoch: t.lastEpoch,
            minNodeStake: t.minNodeStake,
            minValidatorStake: t.minValidatorStake,
            epsilonWad: t.epsilonWad
        });
    }

    /// @inheritdoc IVault
    function roleOf(uint256 task, address operator) external view returns (Role) {
        return tasks[task].pools[operator].current.role;
    }

    /// @inheritdoc IVault
    function stakeAt(uint256 task, address operator, uint256 epoch) external view returns (Stake memory) {
        return _stakeAt(tasks[task].pools[operator], epoch);
    }

    /// @inheritdoc IVault
    function stakesAt(uint256 task, Role role, address[] calldata operators, uint256 epoch)
        external
        view
        returns (Stake[] memory stakes)
    {
        stakes = new Stake[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            Pool storage pool = tasks[task].pools[operators[i]];
            if (pool.current.role == role) stakes[i] = _stakeAt(pool, epoch);
        }
    }

    /// @inheritdoc IVault
    function totalsAt(uint256 task, Role role, uint256 epoch)
        external
        view
        returns (uint256 direct, uint256 delegated)
    {
        return _totalsAt(tasks[task].sides[uint256(role)], epoch);
    }

    /// @inheritdoc IVault
    function effectiveStakeOf(uint256 task) external view returns (uint256) {
        Task storage t = tasks[task];
        uint32 epoch = currentEpoch();
        if (epoch < t.firstEpoch || epoch > t.lastEpoch) return 0;
        (uint256 direct, uint256 delegated) = _totalsAt(t.sides[uint256(Role.Node)], epoch);
        (uint256 direct_, uint256 delegated_) = _totalsAt(t.sides[uint256(Role.Validator)], epoch);
        return Rewards.effective(direct + direct_, delegated + delegated_, t.epsilonWad);
    }

    /// @inheritdoc IVault
    function commissionAt(uint256 task, address operator, uint256 epoch) external view returns (uint256) {
        return _commissionAt(tasks[task].pools[operator], epoch);
    }

    /// @inheritdoc IVault
    function delegationOf(uint256 task, address operator, address delegator)
        external
        view
        returns (uint256 shares, uint256 amount)
    {
        Pool storage pool = tasks[task].pools[operator];
        shares = pool.positions[delegator].shares;
        amount = Slashing.worth(shares, _factor(pool));
    }

    /// @inheritdoc IVault
    function factorOf(uint256 task, address operator) external view returns (uint256) {
        return _factor(tasks[task].pools[operator]);
    }

    /// @inheritdoc IVault
    function claimable(uint256 task, address operator, address account)
        external
        view
        returns (uint256 amount)
    {
        Task storage t = tasks[task];
        Pool storage pool = t.pools[operator];
        (amount,,) = pool.accrued(pool.positions[account], t.drawnEpoch);
        if (account == operator) amount += pool.credits.operator;
    }

    /// @inheritdoc IVault
    function unbondingOf(uint256 task, address operator, address account)
        external
        view
        returns (uint256 requests, uint256 amount, uint256 due)
    {
        Pool storage pool = tasks[task].pools[operator];
        Position storage position = pool.positions[account];
        uint32 epoch = currentEpoch();
        for (uint8 i = position.head; i != position.tail; i = _after(i)) {
            Request memory request = position.requests[i];
            uint256 value = _payable(pool, request);
            ++requests;
            amount += value;
            if (request.releaseEpoch <= epoch) due += value;
        }
    }

    /// @inheritdoc IVault
    function bountyOf(uint256 task) external view returns (uint256) {
        return tasks[task].funded - tasks[task].spent;
    }

    /// @inheritdoc IVault
    function contributionOf(uint256 task, address account) external view returns (uint256) {
        return tasks[task].contributions[account];
    }

    /// @inheritdoc IVault
    function feeAt(uint256 epoch) public view returns (uint256) {
        return epoch >= fee.nextFrom ? fee.nextFeeWad : fee.feeWad;
    }

    /// @inheritdoc IVault
    function treasury() public view returns (address) {
        return currentEpoch() < fee.nextFrom ? fee.treasury : fee.nextTreasury;
    }

    // ------------------------------------------------------------------ staking, for the caller or whoever signed

    function _stake(address account, uint256 task, Role role, uint96 amount) private nonReentrant {
        if (amount == 0) revert ZeroAmount();
        if (role == Role.None) revert RoleInvalid();
        Task storage t = _task(task);
        uint32 epoch = _requireRunning(task, t);
        Pool storage pool = t.pools[account];
        Stage memory stage = pool.next(epoch, t.drawnEpoch);
        if (stage.role == Role.None) stage.role = role;
        else if (stage.role != role) revert RoleTaken(task, account, stage.role);
        uint96 before = stage.direct;
        stage.direct += amount;
        pool.current = stage;
        uint256 delegated = _worth(pool, stage);
        _moveTotals(t, stage, epoch, before, delegated, delegated);

        emit Staked(task, epoch, account, role, amount, stage.direct);
        _receive(account, amount);
    }

    function _delegate(address account, uint256 task, address operator, uint96 amount) private nonReentrant {
        if (amount == 0) revert ZeroAmount();
        if (operator == account) revert SelfDelegation(operator);
        Task storage t = _task(task);
        uint32 epoch = _requireRunning(task, t);
        Pool storage pool = t.pools[operator];
        if (pool.current.role == Role.None) revert NotOperator(task, operator);
        uint256 factor = _factor(pool);
        if (factor < LEAST_FACTOR_WAD) revert PoolWornOut(task, operator);
        uint96 shares = Slashing.sharesFor(amount, factor).toUint96();

        Position storage position = pool.positions[account];
        pool.move(position, epoch, t.drawnEpoch, position.shares + shares);
        Stage memory stage = pool.next(epoch, t.drawnEpoch);
        uint256 before = Slashing.worth(stage.shares, factor);
        stage.shares += shares;
        stage.moved = true;
        pool.current = stage;
        _moveTotals(t, stage, epoch, stage.direct, before, Slashing.worth(stage.shares, factor));

        emit Delegated(task, epoch, operator, account, amount, shares);
        _receive(account, amount);
    }

    function _claim(address account, uint256 task, address operator)
        private
        nonReentrant
        returns (uint256 amount)
    {
        Task storage t = tasks[task];
        Pool storage pool = t.pools[operator];
        if (account == operator) {
            amount = pool.credits.operator;
            pool.credits.operator = 0;
        } else {
            Position storage position = pool.positions[account];
            // Behind the last change of its shares a position does not depend on the epoch drawn last.
            amount = pool.take(position, position.passed ? 0 : t.drawnEpoch);
        }
        if (amount == 0) revert NothingToClaim(account);
        uint256 fee_ = Rewards.fee(amount, feeAt(currentEpoch()));
        if (fee_ != 0) {
            fees += uint96(fee_);
            amount -= fee_;
        }

        emit Claimed(task, operator, account, amount, fee_);
        token.safeTransfer(account, amount);
    }

    function _checkSignature(address account, bytes32 content, uint256 deadline, bytes calldata signature)
        private
        view
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(account, _hashTypedData(content), signature)) {
            revert SignatureInvalid(account);
        }
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("AIArena Vault", "1");
    }

    // ------------------------------------------------------------------ tasks

    function _requireArena() private view {
        if (msg.sender != arena) revert NotArena(msg.sender);
    }

    function _task(uint256 task) private view returns (Task storage t) {
        t = tasks[task];
        if (t.creator == address(0)) revert UnknownTask(task);
    }

    function _requireRunning(uint256 task, Task storage t) private view returns (uint32 epoch) {
        epoch = currentEpoch();
        // Stake and bounty count from the next epoch on, so in the last one they would only be locked for nothing.
        if (epoch >= t.lastEpoch) revert TaskOver(task, t.lastEpoch);
    }

    // ------------------------------------------------------------------ stakes

    /// @dev What a share is worth from the next epoch on.
    function _factor(Pool storage pool) private view returns (uint256) {
        return pool.current.slashed ? pool.factor.latest() : WAD;
    }

    function _factorAt(Pool storage pool, uint256 epoch) private view returns (uint256 factor) {
        if (!pool.current.slashed) return WAD;
        factor = pool.factor.valueAt(epoch);
        if (factor == 0) factor = WAD;
    }

    function _worth(Pool storage pool, Stage memory stage) private view returns (uint256) {
        return Slashing.worth(stage.shares, _factor(pool));
    }

    function _stakeAt(Pool storage pool, uint256 epoch) private view returns (Stake memory) {
        Stage memory stage = pool.stageAt(epoch);
        return Stake({
            direct: stage.direct, delegated: uint96(Slashing.worth(stage.shares, _factorAt(pool, epoch)))
        });
    }

    function _totalsAt(Side storage side, uint256 epoch) private view returns (uint256, uint256) {
        if (epoch >= side.since) return (side.direct, side.delegated);
        return (side.directBefore, side.delegatedBefore);
    }

    /// @dev Moves the sums over the eligible pools after a pool's stake changed from the next epoch on.
    function _moveTotals(
        Task storage t,
        Stage memory stage,
        uint32 epoch,
        uint256 directBefore,
        uint256 delegatedBefore,
        uint256 delegated
    ) private {
        uint256 minimum = stage.role == Role.Node ? t.minNodeStake : t.minValidatorStake;
        bool counted = directBefore >= minimum;
        bool counts = stage.direct >= minimum;
        if (!counted && !counts) return;
        Side storage side = t.sides[uint256(stage.role)];
        (uint256 direct_, uint256 delegated_) = (side.direct, side.delegated);
        if (side.since != epoch + 1) {
            (side.directBefore, side.delegatedBefore) = (uint96(direct_), uint96(delegated_));
            side.since = epoch + 1;
        }
        if (counted) (direct_, delegated_) = (direct_ - directBefore, delegated_ - delegatedBefore);
        if (counts) (direct_, delegated_) = (direct_ + stage.direct, delegated_ + delegated);
        (side.direct, side.delegated) = (direct_.toUint96(), delegated_.toUint96());
    }

    /// @dev One request per account, pool and epoch; what is asked for again in an epoch joins it.
    function _unbond(Position storage position, uint32 epoch, uint96 amount, uint96 shares)
        private
        returns (uint32 releaseEpoch)
    {
        releaseEpoch = epoch + 1 + unbondingEpochs;
        (uint8 head, uint8 tail) = (position.head, position.tail);
        if (tail != head) {
            Request storage last = position.requests[_before(tail)];
            if (last.releaseEpoch == releaseEpoch) {
                (last.amount, last.shares) = (last.amount + amount, last.shares + shares);
                return releaseEpoch;
            }
            if (_after(tail) == head) revert TooManyRequests(msg.sender, MAX_REQUESTS);
        }
        position.requests[tail] = Request({amount: amount, shares: shares, releaseEpoch: releaseEpoch});
        position.tail = _after(tail);
    }

    /// @dev Places of requests go round.
    function _after(uint8 place) private pure returns (uint8) {
        unchecked {
            return place + 1;
        }
    }

    function _before(uint8 place) private pure returns (uint8) {
        unchecked {
            return place - 1;
        }
    }

    /// @dev What a request pays: a delegator's bears the slashes up to its release. The operator's was slashed directly.
    function _payable(Pool storage pool, Request memory request) private view returns (uint256) {
        if (request.shares == 0 || !pool.current.slashed) return request.amount;
        uint256 factor = _factorAt(pool, request.releaseEpoch);
        return Math.min(request.amount, Slashing.worth(request.shares, factor));
    }

    /// @dev Takes at most `rest` from the operator's own stake that is still unbonding, and of each request at most a
    /// fraction, the newest first: at most one request for each unbonding epoch.
    function _slashRequests(Position storage position, uint32 epoch, uint256 rest, uint256 fractionWad)
        private
        returns (uint256 taken)
    {
        for (uint8 i = position.tail; i != position.head && taken < rest; i = _before(i)) {
            Request storage request = position.requests[_before(i)];
            if (request.releaseEpoch <= epoch) break;
            uint96 part = uint96(Math.min(Slashing.penalty(request.amount, fractionWad), rest - taken));
            request.amount -= part;
            taken += part;
        }
    }

    // ------------------------------------------------------------------ budgets and credits

    function _credit(uint256 task, Pool storage pool, uint32 epoch, Credit calldata c) private {
        uint256 shares = pool.stageAt(epoch).shares;
        uint256 toOperator = c.withDelegation;
        if (shares != 0) {
            toOperator =
                Rewards.operatorShare(c.withDelegation, c.withoutDelegation, _commissionAt(pool, epoch));
        }
        pool.credit(epoch, shares, toOperator, c.withDelegation - toOperator);
        emit Credited(task, epoch, c.operator, c.withDelegation, c.withoutDelegation, toOperator);
    }

    function _commissionAt(Pool storage pool, uint256 epoch) private view returns (uint256) {
        return uint256(epoch >= pool.commissionFrom ? pool.nextCommission : pool.commission) * COMMISSION_UNIT;
    }

    // ------------------------------------------------------------------ tokens

    /// @dev Takes exactly `amount`; a token that delivers less or more is refused. All sums of amounts fit in 96 bits,
    /// because the balance that covers them does.
    function _receive(address from, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 balance = IERC20(token).balanceOf(address(this));
        if (balance - before != amount) revert TokenAmountMismatch(amount, balance - before);
        if (balance > type(uint96).max) revert VaultFull(balance);
    }
}
