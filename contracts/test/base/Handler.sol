// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, Phase, Stage, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role} from "../../src/interfaces/IVault.sol";
import {Referee} from "./Referee.sol";
import {Vm} from "./Vm.sol";

/// @notice What the invariant runner may do, in any order: everything that participants can, with inputs bounded so
/// that nothing reverts. About every second call also plays the next phase of the epoch, for some of the participants.
/// Settlement goes in small steps between all of this. A ghost ledger keeps what the vault should hold.
contract Handler is Referee {
    uint256 private constant STAKE = 100e18;
    uint256 private constant PEOPLE = 4;

    address[] public delegators;

    // The ghost ledger.
    uint256 public deposited;
    uint256 public taken;
    uint256 public epochsSettled;
    mapping(address operator => uint256) public directOf;
    mapping(address operator => mapping(address delegator => uint256)) public delegatedOf;

    // The settlement in progress: what the referee expects and what the arena has announced so far.
    Pay[] private expectedNodes;
    Pay[] private expectedValidators;
    Pay[] private paidNodes;
    Pay[] private paidValidators;
    uint256 private tallied;
    uint256 private ranked;
    uint256 private weighed;
    uint256 private paidOut;

    mapping(address node => uint256 epoch) private committedIn;
    mapping(address validator => uint256 epoch) private scoredIn;
    uint256 private random;

    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.epochs = 200;
        populate(p, equalStakes(PEOPLE, STAKE), equalStakes(PEOPLE, STAKE));
        for (uint256 i = 0; i < PEOPLE; ++i) {
            directOf[nodes[i]] = STAKE;
            directOf[validators[i]] = STAKE;
            delegators.push(makeAddr(string.concat("delegator", vm.toString(i))));
        }
        deposited = 2 * PEOPLE * STAKE;
        warpTo(1, Phase.Submit);
    }

    /// @dev The seed of the call decides everything in it.
    modifier playing(uint256 seed) {
        random = seed;
        if (next() % 2 == 0) playPhase();
        _;
    }

    // ------------------------------------------------------------------ money

    function stake(uint256 seed) external playing(seed) {
        (address who, Role role) = anyOperator();
        uint256 amount = anyAmount();
        stakeAs(who, task, role, amount);
        directOf[who] += amount;
        deposited += amount;
    }

    function unstake(uint256 seed) external playing(seed) {
        (address who,) = anyOperator();
        uint256 amount = partOf(directOf[who]);
        if (amount == 0) return;
        vm.prank(who);
        vault.unstake(task, uint96(amount));
        directOf[who] -= amount;
    }

    function delegate(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        address who = anyDelegator();
        uint256 amount = anyAmount();
        delegateTo(who, task, operator, amount);
        delegatedOf[operator][who] += amount;
        deposited += amount;
    }

    function undelegate(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        address who = anyDelegator();
        uint256 amount = partOf(delegatedOf[operator][who]);
        if (amount == 0) return;
        vm.prank(who);
        vault.undelegate(task, operator, uint96(amount));
        delegatedOf[operator][who] -= amount;
    }

    function withdraw(uint256 seed) external playing(seed) {
        address who = anyone();
        (,, uint256 due) = vault.unbondingOf(who);
        if (due == 0) return;
        vm.prank(who);
        taken += vault.withdraw(1 + next() % 3);
    }

    function claim(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        address who = next() % 2 == 0 ? operator : anyDelegator();
        if (vault.claimable(task, operator, who) == 0) return;
        vm.prank(who);
        taken += vault.claim(task, operator);
    }

    function fund(uint256 seed) external playing(seed) {
        (uint256 emission, uint256 bounty) = (anyAmount(), anyAmount());
        fundTask(task, emission, bounty);
        deposited += emission + bounty;
    }

    function setCommission(uint256 seed) external playing(seed) {
        (address who,) = anyOperator();
        vm.prank(who);
        vault.setCommission(task, uint64(next() % (WAD + 1)));
    }

    // ------------------------------------------------------------------ the list and the settlement

    function withdrawSubmission(uint256 seed) external playing(seed) {
        address who = nodes[next() % PEOPLE];
        (bool stands, Entry memory entry) = entryOf(who);
        if (!stands || entry.withdrawnIn != 0) return;
        vm.prank(who);
        arena.withdrawSubmission(task);
    }

    function evict(uint256 seed) external playing(seed) {
        address who = nodes[next() % PEOPLE];
        (bool stands, Entry memory entry) = entryOf(who);
        (uint32 epoch, Phase phase) = arena.clock();
        bool gone = entry.withdrawnIn != 0 && entry.withdrawnIn < epoch;
        if (!stands || phase > Phase.Disclose || stage() != Stage.Idle) return;
        if (!gone && directStake(who, epoch) >= params.minNodeStake) return;
        arena.evict(task, who);
    }

    function settleSome(uint256 seed) external playing(seed) {
        settleStep();
    }

    // ------------------------------------------------------------------ the epoch

    /// @dev Plays the present phase for some of the participants and goes to the next one.
    function playPhase() private {
        (uint32 epoch, Phase phase) = arena.clock();
        if (phase == Phase.Submit) {
            commitSome(epoch);
        } else if (phase == Phase.Disclose) {
            openSome(epoch);
        } else if (phase == Phase.Seed) {
            drawIfPossible(epoch);
        } else if (phase == Phase.Commit) {
            commitSomeScores(epoch);
        } else if (phase == Phase.Reveal) {
            revealSome(epoch);
        } else {
            for (uint256 i = 0; i < next() % 16; ++i) {
                settleStep();
            }
        }
        if (phase == Phase.Settle) warpTo(epoch + 1, Phase.Submit);
        else warpTo(epoch, Phase(uint8(phase) + 1));
    }

    function commitSome(uint256 epoch) private {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            bytes32 contentHash = artifact(nodes[i], epoch);
            if (committedIn[nodes[i]] == epoch || directStake(nodes[i], epoch) < params.minNodeStake) {
                continue;
            }
            if (next() % 4 == 0) continue;
            truth[contentHash] = next() % 8 == 0 ? 0 : uint32(1 + next() % 1_000_000_000);
            commitSubmission(nodes[i], task, contentHash);
            committedIn[nodes[i]] = epoch;
        }
    }

    function openSome(uint256 epoch) private {
        if (stage() != Stage.Idle) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (committedIn[nodes[i]] != epoch || next() % 8 == 0) continue;
            openSubmission(nodes[i], task, artifact(nodes[i], epoch));
        }
    }

    function drawIfPossible(uint256 epoch) private {
        (uint256 direct,) = vault.totalsAt(task, Role.Validator, epoch);
        if (stage() != Stage.Idle || arena.entryCount(task) == 0 || direct == 0) return;
        drawSeed(epoch);
    }

    function commitSomeScores(uint256 epoch) private {
        if (draw.epoch != epoch) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (directStake(validators[i], epoch) < params.minValidatorStake || next() % 8 == 0) continue;
            uint32[] memory scores = honest(validators[i]);
            if (next() % 4 == 0) scores = constant_(validators[i], uint32(next() % 1_000_000_001));
            else if (next() % 4 == 0) scores = constant_(validators[i], ABSTAIN);
            commitScores(validators[i], scores);
            scoredIn[validators[i]] = epoch;
        }
    }

    function revealSome(uint256 epoch) private {
        if (draw.epoch != epoch) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (scoredIn[validators[i]] == epoch && next() % 8 != 0) reveal(validators[i]);
        }
    }

    // ------------------------------------------------------------------ settlement in steps

    function settleStep() private {
        Stage stage_ = stage();
        if (stage_ == Stage.Idle || block.timestamp < timeOf(draw.epoch, Phase.Settle)) return;
        if (stage_ == Stage.Scoring && tallied == 0) expectPayments();
        uint256 batch = 1 + next() % 3;
        vm.recordLogs();
        if (stage_ == Stage.Scoring) {
            uint32[] memory medians = slice(expectedMedians(), tallied, batch);
            arena.tally(task, tallied, medians);
            tallied += medians.length;
        } else if (stage_ == Stage.Ranking) {
            uint32[] memory order = slice(orderOfRanked(), ranked, batch);
            arena.rank(task, ranked, order);
            ranked += order.length;
        } else {
            payStep(batch);
        }
        collect(vm.getRecordedLogs());
        if (stage() == Stage.Idle) comparePayments();
    }

    function payStep(uint256 batch) private {
        bool nodesLeft = paidNodes.length < expectedNodes.length;
        if (nodesLeft && next() % 2 == 0) {
            arena.payNodes(task, paidNodes.length, slice(orderOfRanked(), paidNodes.length, batch));
        } else if (weighed < revealers.length) {
            address validator = revealers[weighed++];
            arena.weigh(task, validator, 0, packed(sheets[validator].scores, 0));
        } else if (paidValidators.length < revealers.length) {
            uint256 from = paidValidators.length;
            arena.payValidators(task, from, least(batch, revealers.length - from));
        } else {
            arena.payNodes(task, paidNodes.length, slice(orderOfRanked(), paidNodes.length, batch));
        }
    }

    function expectPayments() private {
        delete expectedNodes;
        delete expectedValidators;
        delete paidNodes;
        delete paidValidators;
        Pay[] memory pay = expectedNodePay();
        for (uint256 i = 0; i < pay.length; ++i) {
            expectedNodes.push(pay[i]);
        }
        pay = expectedValidatorPay();
        for (uint256 i = 0; i < pay.length; ++i) {
            expectedValidators.push(pay[i]);
        }
    }

    function collect(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (topic != IArena.NodePaid.selector && topic != IArena.ValidatorPaid.selector) continue;
            Pay memory pay;
            pay.operator = address(uint160(uint256(logs[i].topics[3])));
            (pay.with_, pay.without) = abi.decode(logs[i].data, (uint256, uint256));
            paidOut += pay.with_;
            if (topic == IArena.NodePaid.selector) paidNodes.push(pay);
            else paidValidators.push(pay);
        }
    }

    function comparePayments() private {
        assertEq(keccak256(abi.encode(paidNodes)), keccak256(abi.encode(expectedNodes)), "nodes");
        // If no score weighs anything, nobody needs to be paid nothing.
        if (expectedValidators.length != 0) {
            assertEq(
                keccak256(abi.encode(paidValidators)), keccak256(abi.encode(expectedValidators)), "validators"
            );
        }
        assertLe(paidOut, draw.nodeBudget + draw.validatorBudget, "no more than the budget");
        (tallied, ranked, weighed, paidOut) = (0, 0, 0, 0);
        ++epochsSettled;
    }

    // ------------------------------------------------------------------ choices

    function next() private returns (uint256) {
        random = uint256(keccak256(abi.encode(random)));
        return random;
    }

    function anyOperator() private returns (address, Role) {
        uint256 i = next() % PEOPLE;
        return next() % 2 == 0 ? (nodes[i], Role.Node) : (validators[i], Role.Validator);
    }

    function anyDelegator() private returns (address) {
        return delegators[next() % PEOPLE];
    }

    function anyone() private returns (address who) {
        (who,) = anyOperator();
        if (next() % 2 == 0) who = anyDelegator();
    }

    function anyAmount() private returns (uint256) {
        return 1 + next() % 10 ** (1 + next() % 21);
    }

    /// @dev All of it, or some of it.
    function partOf(uint256 whole) private returns (uint256) {
        if (whole == 0 || next() % 3 == 0) return whole;
        return 1 + next() % whole;
    }

    function directStake(address who, uint256 epoch) private view returns (uint256 direct) {
        (direct,) = vault.stakeAt(task, who, epoch);
    }

    function entryOf(address node) private view returns (bool, Entry memory entry) {
        for (uint256 i = 0; i < arena.entryCount(task); ++i) {
            entry = arena.entryAt(task, i);
            if (entry.node == node) return (true, entry);
        }
        return (false, entry);
    }

    // ------------------------------------------------------------------ what the invariants read

    function held() external view returns (uint256) {
        return token.balanceOf(address(vault));
    }

    function liabilities() external view returns (uint256, uint256, uint256, uint256) {
        return vault.liabilities();
    }

    function openBudget() external view returns (uint256) {
        return stage() == Stage.Idle ? 0 : draw.nodeBudget + draw.validatorBudget - paidOut;
    }

    function unspent() external view returns (uint256) {
        (uint256 emission, uint256 bounty) = vault.unspent(task);
        return emission + bounty;
    }

    /// @notice Sums over everyone: stakes by the ghost ledger, unbonding and claimable by the vault's views.
    function sums() external view returns (uint256 staked, uint256 unbonding, uint256 claimable) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            (uint256 a, uint256 b, uint256 c) = sumsOf(nodes[i]);
            (uint256 d, uint256 e, uint256 f) = sumsOf(validators[i]);
            (staked, unbonding, claimable) = (staked + a + d, unbonding + b + e, claimable + c + f);
            (, uint256 amount,) = vault.unbondingOf(delegators[i]);
            unbonding += amount;
        }
    }

    function sumsOf(address operator)
        private
        view
        returns (uint256 staked, uint256 unbonding, uint256 claimable)
    {
        (, unbonding,) = vault.unbondingOf(operator);
        staked = directOf[operator];
        claimable = vault.claimable(task, operator, operator);
        for (uint256 i = 0; i < PEOPLE; ++i) {
            staked += delegatedOf[operator][delegators[i]];
            claimable += vault.claimable(task, operator, delegators[i]);
        }
    }

    /// @notice The sums over eligible operators, by the ghost ledger and by the vault.
    function totals(Role role) external view returns (uint256 ghost, uint256 direct, uint256 delegated) {
        address[] storage operators = role == Role.Node ? nodes : validators;
        uint256 minimum = role == Role.Node ? params.minNodeStake : params.minValidatorStake;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (directOf[operators[i]] < minimum) continue;
            ghost += directOf[operators[i]];
            for (uint256 j = 0; j < PEOPLE; ++j) {
                ghost += delegatedOf[operators[i]][delegators[j]];
            }
        }
        (direct, delegated) = vault.totalsAt(task, role, vault.currentEpoch() + 1);
    }
}
