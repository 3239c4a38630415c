// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Credit, IVault, Role, Stake, Terms} from "../../src/interfaces/IVault.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Everything that can happen to the pools of a task, in any order, beside a ghost that keeps it the plain way:
/// tables of every stake in every epoch, and exact shares of every credit. After each call the vault must agree.
/// @dev The bound on a delegator's reward: one unit per credit of its pool, 2^-64 of the pool's shares per credit, and one
/// unit per change or claim of its own. Everything else is exact.
contract PoolsHandler is VaultFixture {
    uint256 private constant OPERATORS = 3;
    uint256 private constant DELEGATORS = 4;
    uint96 private constant MINIMUM = UNIT * 4;

    struct Unbonding {
        uint256 amount;
        uint256 shares;
        uint256 release;
    }

    /// @dev From the next epoch on: `direct`, `factor`. `commission` is today's.
    struct Operator {
        Role role;
        uint256 direct;
        uint256 factor;
        uint256 commission;
        uint256 nextCommission;
        uint256 commissionFrom;
        uint256 credited;
        uint256 claimed;
        uint256 toDelegators;
        uint256 slack;
        bool paid;
    }

    /// @dev `exact` in 2^-32 of a unit.
    struct Delegator {
        uint256 shares;
        uint256 exact;
        uint256 claimed;
        uint256 roundings;
    }

    /// @dev If set, amounts are few units: pools too small for the reward per share. Their delegators' part is not checked
    /// but for its sum.
    bool private immutable tiny;

    address[] private people;
    uint256 private epoch;
    uint256 private drawn;
    bool private isOpen;
    uint256 private random;
    uint256 private slashedGhost;
    uint256 private donated;
    uint256 private roundings;

    mapping(address who => uint256) private wallets;
    mapping(address operator => Operator) private ops;
    mapping(address operator => mapping(address who => Delegator)) private dels;
    mapping(address operator => mapping(address who => Unbonding[])) private requests;
    mapping(address operator => mapping(address who => uint256)) private paidRequests;

    // The tables: what counted in each epoch that has begun.
    mapping(address operator => mapping(uint256 epoch => uint256)) private directIn;
    mapping(address operator => mapping(uint256 epoch => uint256)) private factorIn;
    mapping(address operator => mapping(uint256 epoch => uint256)) private commissionIn;
    mapping(address operator => mapping(uint256 epoch => mapping(address who => uint256))) private sharesIn;

    constructor(bool tiny_) {
        tiny = tiny_;
    }

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < OPERATORS + DELEGATORS; ++i) {
            address who = makeAddr(string.concat("person ", vm.toString(i)));
            people.push(who);
            token.mint(who, 1 << 93);
            vm.prank(who);
            token.approve(address(vault), type(uint256).max);
            wallets[who] = 1 << 93;
        }
        for (uint256 i = 0; i < OPERATORS; ++i) {
            ops[people[i]].factor = WAD;
        }
        fund(type(uint64).max);
    }

    function terms() internal view override returns (Terms memory t) {
        t = super.terms();
        t.lastEpoch = 1_000_000;
        t.minNodeStake = tiny ? 10 : MINIMUM;
        t.minValidatorStake = tiny ? 5 : MINIMUM / 2;
    }

    /// @notice One call of anybody, and the comparison. The seed decides everything; each history has a pace of its own,
    /// so that in some of them an epoch stays in flight over many changes.
    function play(uint256 seed, uint256 pace) external {
        random = seed;
        uint256 choice = next() % 24;
        if (choice == 0) stake();
        else if (choice == 1) unstake();
        else if (choice < 6) delegate();
        else if (choice < 10) undelegate();
        else if (choice == 10) leaveAll();
        else if (choice == 11) withdraw();
        else if (choice == 12) setCommission();
        else if (choice < 15) claim();
        else if (choice == 15) slash();
        else if (choice == 16) give();
        else if (choice < 18 + 2 * (pace % 3)) settle();
        else wait();
        check();
    }

    // ------------------------------------------------------------------ stakes

    function stake() private {
        address who = anyOperator();
        uint256 amount = anyAmount();
        Operator storage o = ops[who];
        if (wallets[who] < amount) return;
        o.role = roleOf(who);
        o.direct += amount;
        wallets[who] -= amount;
        stakeAs(who, o.role, uint96(amount));
    }

    function unstake() private {
        address who = anyOperator();
        Operator storage o = ops[who];
        uint256 amount = partOf(o.direct);
        if (amount == 0) return;
        o.direct -= amount;
        unbond(who, who, amount, 0);
        unstakeAs(who, uint96(amount));
    }

    function delegate() private {
        (address operator, address who) = (anyOperator(), anyDelegator());
        Operator storage o = ops[operator];
        uint256 amount = anyAmount();
        if (wallets[who] < amount) return;
        if (o.role == Role.None) {
            expect(IVault.NotOperator.selector, abi.encode(TASK, operator));
            delegateTo(who, operator, uint96(amount));
            return;
        }
        if (o.factor < 1e12) {
            expect(IVault.PoolWornOut.selector, abi.encode(TASK, operator));
            delegateTo(who, operator, uint96(amount));
            return;
        }
        uint256 shares = amount * WAD / o.factor;
        if (shares + totalShares(operator) > type(uint96).max) return;
        dels[operator][who].shares += shares;
        ++dels[operator][who].roundings;
        ++roundings;
        wallets[who] -= amount;
        delegateTo(who, operator, uint96(amount));
    }

    function undelegate() private {
        (address operator, address who) = (anyOperator(), anyDelegator());
        uint256 amount = partOf(worth(dels[operator][who].shares, ops[operator].factor));
        if (amount != 0) depart(operator, who, amount);
    }

    /// @notice All that an account holds in all pools starts to unbond; nothing may stand in the way.
    function leaveAll() private {
        address who = anyDelegator();
        for (uint256 i = 0; i < OPERATORS; ++i) {
            (, uint256 amount) = vault.delegationOf(TASK, people[i], who);
            if (amount != 0) depart(people[i], who, amount);
        }
    }

    function withdraw() private {
        address operator = anyOperator();
        address who = next() % 3 == 0 ? operator : anyDelegator();
        takeOut(operator, who, next() % 3 == 0 ? type(uint256).max : 1 + next() % 3);
    }

    // ------------------------------------------------------------------ rewards

    function setCommission() private {
        address who = anyOperator();
        Operator storage o = ops[who];
        uint256 value = next() % 5 == 0 ? WAD : (next() % 1e9) * 1e9;
        if (o.role == Role.None) {
            expect(IVault.NotOperator.selector, abi.encode(TASK, who));
            setCommissionAs(who, uint64(value));
            return;
        }
        bool waits = o.commissionFrom == epoch + 1;
        bool higher = value > (waits ? o.nextCommission : o.commission);
        // Refused while an earlier change has not reached every epoch that may still be paid.
        bool unreached = isOpen && drawn < o.commissionFrom && o.commissionFrom <= epoch;
        if (unreached || (waits && higher)) {
            expect(IVault.CommissionPending.selector, abi.encode(o.commissionFrom));
        } else {
            o.nextCommission = value;
            o.commissionFrom = higher ? epoch + 2 : epoch + 1;
        }
        setCommissionAs(who, uint64(value));
    }

    function claim() private {
        address operator = anyOperator();
        address who = next() % 3 == 0 ? operator : anyDelegator();
        takeReward(operator, who);
    }

    // ------------------------------------------------------------------ time and budgets

    /// @notice Often within the epoch, or into the next one, sometimes over several.
    function wait() private {
        uint256 choice = next() % 8;
        if (choice == 0) passTo(epoch + 2 + next() % 4);
        else if (choice < 6) passTo(epoch + 1);
        else if (epoch != 0) vm.warp(GENESIS + (epoch - 1) * EPOCH + next() % EPOCH);
    }

    function settle() private {
        if (!isOpen) draw();
        else if (next() % 2 == 0) creditSome();
        else closeEpoch();
    }

    function draw() private {
        if (drawn == epoch || epoch == 0) return;
        open();
        (drawn, isOpen) = (epoch, true);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            ops[people[i]].paid = false;
        }
    }

    /// @notice Credits some pools that had stake in the epoch in flight, each at most once.
    function creditSome() private {
        uint256 start = next();
        uint256 count = 1 + next() % OPERATORS;
        for (uint256 i = 0; i < count; ++i) {
            address operator = people[(start % OPERATORS + i) % OPERATORS];
            if (ops[operator].paid || directIn[operator][drawn] == 0) continue;
            ops[operator].paid = true;
            uint256 with_ = next() % 5 == 0 ? next() % 3 : next() % (openLeft / 2 + 1);
            uint256 without = next() % 4 == 0 ? 0 : next() % (with_ + 2);
            creditGhost(operator, with_, without);
            credit(operator, with_, without);
        }
    }

    function closeEpoch() private {
        isOpen = false;
        close();
    }

    function slash() private {
        address operator = anyOperator();
        if (ops[operator].role == Role.None) return;
        uint256 effective;
        uint256 choice = next() % 4;
        if (choice == 0) effective = anyAmount();
        else if (choice == 1) effective = ops[operator].direct * 12;
        else effective = directIn[operator][drawn] + worthIn(operator, drawn);
        if (effective > type(uint96).max) return;
        // Seldom so many that the pool takes no delegation any more, or that a share is worth nothing.
        uint256 times = next() % 20 == 0 ? (next() % 4 == 0 ? 450 : 140) : 1;
        for (uint256 i = 0; i < times; ++i) {
            uint256 taken = slashGhost(operator, effective);
            assertEq(vault.slash(TASK, operator, effective), taken, "taken");
        }
    }

    function give() private {
        uint256 amount = 1 + next() % 1e12;
        if (next() % 2 == 0) {
            fund(uint96(amount));
        } else {
            token.mint(address(vault), amount);
            donated += amount;
        }
    }

    // ------------------------------------------------------------------ the end

    /// @notice Everybody leaves, whatever has happened, and all that is left is what belongs to nobody.
    function everybodyLeaves() external {
        if (isOpen) close();
        isOpen = false;
        for (uint256 i = 0; i < OPERATORS; ++i) {
            address operator = people[i];
            if (ops[operator].direct != 0) {
                unbond(operator, operator, ops[operator].direct, 0);
                unstakeAs(operator, uint96(ops[operator].direct));
                ops[operator].direct = 0;
            }
            for (uint256 j = OPERATORS; j < people.length; ++j) {
                uint256 amount = worth(dels[operator][people[j]].shares, ops[operator].factor);
                if (amount != 0) depart(operator, people[j], amount);
            }
        }
        check();
        passTo(epoch + 1 + UNBONDING);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            for (uint256 j = 0; j < people.length; ++j) {
                if (j < OPERATORS && i != j) continue;
                takeOut(people[i], people[j], type(uint256).max);
                takeReward(people[i], people[j]);
            }
        }
        check();
        for (uint256 i = 0; i < OPERATORS; ++i) {
            // Shares of which nobody's part is worth a unit stay behind.
            Stake memory left = vault.stakeAt(TASK, people[i], epoch + 1);
            assertEq(left.direct, 0, "nobody is left");
            assertLt(left.delegated, DELEGATORS, "but for dust");
            for (uint256 j = OPERATORS; j < people.length; ++j) {
                (uint256 shares,) = vault.delegationOf(TASK, people[i], people[j]);
                assertEq(worth(shares, ops[people[i]].factor), 0, "nobody is left");
            }
        }
    }

    // ------------------------------------------------------------------ the ghost

    function passTo(uint256 to) private {
        for (uint256 e = epoch + 1; e <= to; ++e) {
            for (uint256 i = 0; i < OPERATORS; ++i) {
                address operator = people[i];
                Operator storage o = ops[operator];
                if (o.commissionFrom == e) o.commission = o.nextCommission;
                directIn[operator][e] = o.direct;
                factorIn[operator][e] = o.factor;
                commissionIn[operator][e] = o.commission;
                for (uint256 j = OPERATORS; j < people.length; ++j) {
                    sharesIn[operator][e][people[j]] = dels[operator][people[j]].shares;
                }
            }
        }
        epoch = to;
        warpTo(to);
    }

    function depart(address operator, address who, uint256 amount) private {
        Delegator storage d = dels[operator][who];
        uint256 factor = ops[operator].factor;
        uint256 shares = (amount * WAD + factor - 1) / factor;
        if (worth(d.shares - shares, factor) == 0) shares = d.shares;
        d.shares -= shares;
        ++d.roundings;
        ++roundings;
        unbond(operator, who, amount, shares);
        undelegateFrom(who, operator, uint96(amount));
    }

    function unbond(address operator, address who, uint256 amount, uint256 shares) private {
        Unbonding[] storage list = requests[operator][who];
        uint256 release = epoch + 1 + UNBONDING;
        uint256 last = list.length;
        if (last > paidRequests[operator][who] && list[last - 1].release == release) {
            list[last - 1].amount += amount;
            list[last - 1].shares += shares;
        } else {
            list.push(Unbonding({amount: amount, shares: shares, release: release}));
        }
    }

    function takeOut(address operator, address who, uint256 limit) private {
        Unbonding[] storage list = requests[operator][who];
        uint256 first = paidRequests[operator][who];
        (uint256 amount, uint256 asked, uint256 count) = (0, 0, 0);
        while (count < limit && first + count < list.length && list[first + count].release <= epoch) {
            asked += list[first + count].amount;
            amount += pays(operator, list[first + count]);
            ++count;
        }
        paidRequests[operator][who] = first + count;
        if (count == 0) expect(IVault.NothingToWithdraw.selector, abi.encode(who));
        assertEq(withdrawAs(who, operator, limit), amount, "withdrawn");
        wallets[who] += amount;
        slashedGhost += asked - amount;
    }

    function takeReward(address operator, address who) private {
        uint256 amount = vault.claimable(TASK, operator, who);
        if (amount == 0) expect(IVault.NothingToClaim.selector, abi.encode(who));
        assertEq(claimAs(who, operator), amount, "claimed");
        wallets[who] += amount;
        if (who == operator) ops[operator].claimed += amount;
        else dels[operator][who].claimed += amount;
        ++dels[operator][who].roundings;
    }

    function creditGhost(address operator, uint256 with_, uint256 without) private {
        Operator storage o = ops[operator];
        uint256 all = 0;
        for (uint256 j = OPERATORS; j < people.length; ++j) {
            all += sharesIn[operator][drawn][people[j]];
        }
        uint256 own = with_;
        if (all != 0 && with_ > without) {
            own = without + (with_ - without) * commissionIn[operator][drawn] / WAD;
        }
        o.credited += own;
        if (with_ == own) return;
        o.toDelegators += with_ - own;
        o.slack += 1 + (all >> 64);
        for (uint256 j = OPERATORS; j < people.length; ++j) {
            uint256 shares = sharesIn[operator][drawn][people[j]];
            dels[operator][people[j]].exact += ((with_ - own) * shares << 32) / all;
        }
    }

    function slashGhost(address operator, uint256 effective) private returns (uint256 taken) {
        Operator storage o = ops[operator];
        uint256 rest = effective * SLASH_WAD / WAD;
        taken = least(rest, o.direct / 2);
        o.direct -= taken;
        rest -= taken;
        Unbonding[] storage list = requests[operator][operator];
        for (uint256 i = list.length; i > paidRequests[operator][operator] && rest != 0; --i) {
            if (list[i - 1].release <= epoch) break;
            uint256 part = least(rest, list[i - 1].amount / 2);
            list[i - 1].amount -= part;
            taken += part;
            rest -= part;
        }
        if (rest != 0) {
            uint256 before = worth(totalShares(operator), o.factor);
            uint256 loss = before == 0 ? SLASH_WAD : least(SLASH_WAD, (rest * WAD + before - 1) / before);
            o.factor = o.factor * (WAD - loss) / WAD;
            if (o.factor == 0) o.factor = 1;
            taken += before - worth(totalShares(operator), o.factor);
        }
        slashedGhost += taken;
        ++roundings;
    }

    // ------------------------------------------------------------------ the comparison

    function check() private view {
        for (uint256 i = 0; i < OPERATORS; ++i) {
            checkOperator(people[i]);
            for (uint256 j = OPERATORS; j < people.length; ++j) {
                checkDelegator(people[i], people[j]);
            }
        }
        for (uint256 i = 0; i < people.length; ++i) {
            same(token.balanceOf(people[i]), wallets[people[i]], "nobody's tokens move by themselves");
        }
        checkTotals(Role.Node);
        checkTotals(Role.Validator);
        same(vault.slashed(), slashedGhost, "slashed");
        checkSolvency();
    }

    function checkOperator(address operator) private view {
        Operator storage o = ops[operator];
        assertTrue(vault.roleOf(TASK, operator) == o.role, "role");
        same(vault.factorOf(TASK, operator), o.factor, "factor");
        checkStake(operator, epoch + 1, o.direct, worth(totalShares(operator), o.factor));
        if (epoch != 0) {
            checkStake(operator, epoch, directIn[operator][epoch], worthIn(operator, epoch));
            same(vault.commissionAt(TASK, operator, epoch), commissionIn[operator][epoch], "commission");
        }
        if (drawn != 0) {
            checkStake(operator, drawn, directIn[operator][drawn], worthIn(operator, drawn));
        }
        if (isOpen) {
            same(
                vault.commissionAt(TASK, operator, drawn),
                commissionIn[operator][drawn],
                "commission in flight"
            );
        }
        uint256 from = o.commissionFrom;
        for (uint256 e = epoch + 1; e < epoch + 3; ++e) {
            same(
                vault.commissionAt(TASK, operator, e),
                e >= from ? o.nextCommission : o.commission,
                "commission to come"
            );
        }
        same(vault.claimable(TASK, operator, operator), o.credited - o.claimed, "operator's reward");
        checkRequests(operator, operator);
    }

    function checkDelegator(address operator, address who) private view {
        Delegator storage d = dels[operator][who];
        (uint256 shares, uint256 amount) = vault.delegationOf(TASK, operator, who);
        same(shares, d.shares, "shares");
        same(amount, worth(d.shares, ops[operator].factor), "delegated");
        checkRequests(operator, who);
        if (tiny) return;
        uint256 got = d.claimed + vault.claimable(TASK, operator, who);
        uint256 slack = ops[operator].slack;
        if (got << 32 > d.exact + (slack << 32)) {
            assertLe(got << 32, d.exact + (slack << 32), "never more than exact and what was carried on");
        }
        if ((got + slack + d.roundings + 1) << 32 < d.exact) {
            assertGe((got + slack + d.roundings + 1) << 32, d.exact, "less by the roundings at most");
        }
    }

    function checkRequests(address operator, address who) private view {
        Unbonding[] storage list = requests[operator][who];
        uint256 first = paidRequests[operator][who];
        (uint256 sum, uint256 due) = (0, 0);
        for (uint256 i = first; i < list.length; ++i) {
            uint256 amount = pays(operator, list[i]);
            sum += amount;
            if (list[i].release <= epoch) due += amount;
        }
        (uint256 count, uint256 vaultSum, uint256 vaultDue) = vault.unbondingOf(TASK, operator, who);
        same(count, list.length - first, "requests");
        same(vaultSum, sum, "unbonding");
        same(vaultDue, due, "due");
    }

    function checkTotals(Role role) private view {
        uint256 minimum = role == Role.Node ? terms().minNodeStake : terms().minValidatorStake;
        (uint256 direct, uint256 delegated) = (0, 0);
        (uint256 directNow, uint256 delegatedNow) = (0, 0);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            address operator = people[i];
            if (roleOf(operator) != role) continue;
            if (ops[operator].direct >= minimum) {
                direct += ops[operator].direct;
                delegated += worth(totalShares(operator), ops[operator].factor);
            }
            if (directIn[operator][epoch] >= minimum) {
                directNow += directIn[operator][epoch];
                delegatedNow += worthIn(operator, epoch);
            }
        }
        assertTotals(role, epoch + 1, direct, delegated);
        assertTotals(role, epoch, directNow, delegatedNow);
    }

    /// @dev What is owed, requests before what slashes still take of them. What is left is rounding, and credits that wait
    /// to be divided.
    function checkSolvency() private view {
        uint256 owed =
            vault.bountyOf(TASK) + openLeft + vault.reserve() + vault.slashed() + vault.fees() + BOND;
        uint256 dust = donated + 2 * roundings;
        for (uint256 i = 0; i < OPERATORS; ++i) {
            address operator = people[i];
            owed += ops[operator].direct + askedFor(operator, operator) + ops[operator].credited
            - ops[operator].claimed;
            uint256 unclaimed = 0;
            for (uint256 j = OPERATORS; j < people.length; ++j) {
                (, uint256 amount) = vault.delegationOf(TASK, operator, people[j]);
                owed += amount + askedFor(operator, people[j]);
                ++dust;
                uint256 reward = vault.claimable(TASK, operator, people[j]);
                unclaimed += reward;
                owed += reward;
            }
            uint256 rest = ops[operator].toDelegators - claimedOf(operator);
            assertLe(unclaimed, rest, "delegators are owed more than was credited");
            dust += rest - unclaimed;
        }
        uint256 balance = token.balanceOf(address(vault));
        assertGe(balance, owed, "the vault holds what it owes");
        assertLe(balance - owed, dust, "and no more than roundings leave");
    }

    // ------------------------------------------------------------------ parts

    /// @dev Asks Forge only about what is wrong: a hundred comparisons follow each call.
    function same(uint256 got, uint256 expected, string memory what) private pure {
        if (got != expected) assertEq(got, expected, what);
    }

    function checkStake(address operator, uint256 e, uint256 direct, uint256 delegated) private view {
        Stake memory s = vault.stakeAt(TASK, operator, e);
        same(s.direct, direct, "direct stake");
        same(s.delegated, delegated, "delegated stake");
    }

    function pays(address operator, Unbonding storage request) private view returns (uint256) {
        if (request.shares == 0) return request.amount;
        uint256 release = request.release;
        uint256 factor = release <= epoch ? factorIn[operator][release] : ops[operator].factor;
        return least(request.amount, worth(request.shares, factor));
    }

    function askedFor(address operator, address who) private view returns (uint256 sum) {
        Unbonding[] storage list = requests[operator][who];
        for (uint256 i = paidRequests[operator][who]; i < list.length; ++i) {
            sum += list[i].amount;
        }
    }

    function claimedOf(address operator) private view returns (uint256 sum) {
        for (uint256 j = OPERATORS; j < people.length; ++j) {
            sum += dels[operator][people[j]].claimed;
        }
    }

    function totalShares(address operator) private view returns (uint256 sum) {
        for (uint256 j = OPERATORS; j < people.length; ++j) {
            sum += dels[operator][people[j]].shares;
        }
    }

    function worthIn(address operator, uint256 e) private view returns (uint256) {
        uint256 sum = 0;
        for (uint256 j = OPERATORS; j < people.length; ++j) {
            sum += sharesIn[operator][e][people[j]];
        }
        return worth(sum, factorIn[operator][e]);
    }

    function worth(uint256 shares, uint256 factor) private pure returns (uint256) {
        return shares * factor / WAD;
    }

    function least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    function roleOf(address operator) private view returns (Role) {
        return operator == people[0] ? Role.Validator : Role.Node;
    }

    function anyOperator() private returns (address) {
        return people[next() % OPERATORS];
    }

    function anyDelegator() private returns (address) {
        return people[OPERATORS + next() % DELEGATORS];
    }

    /// @dev Of any order of magnitude, up to a billion tokens of 18 decimals.
    function anyAmount() private returns (uint256) {
        if (tiny) return 1 + next() % 50;
        return (2 * UNIT + next() % UNIT) << (next() % 4 == 0 ? next() % 56 : next() % 5);
    }

    /// @dev All of it or a part, so that neither the part nor the rest is dust.
    function partOf(uint256 amount) private returns (uint256) {
        if (next() % 3 == 0) return amount;
        if (tiny) return amount == 0 ? 0 : 1 + next() % amount;
        return amount > 4 * UNIT ? 2 * UNIT + next() % (amount - 4 * UNIT) : amount;
    }

    function next() private returns (uint256) {
        random = uint256(keccak256(abi.encode(random)));
        return random;
    }
}
