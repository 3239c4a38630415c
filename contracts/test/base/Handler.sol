// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    Entry,
    Flight,
    IArena,
    Metric,
    Phase,
    RankingRule,
    Stage,
    Tally,
    TaskParams
} from "../../src/interfaces/IArena.sol";
import {IVault, Role} from "../../src/interfaces/IVault.sol";
import {IHook, MoodyToken} from "./HostileTokens.sol";
import {IMintable} from "./IMintable.sol";
import {Ledger} from "./Ledger.sol";
import {Relaying} from "./Relaying.sol";
import {Vm} from "./Vm.sol";

/// @notice What the invariant runner may do, in any order: everything that participants can, honest and hostile, with
/// inputs bounded so that nothing reverts. In between, epochs are played and time passes. Several settlers settle in small
/// steps against each other, and the referee says what each epoch should pay. In half of the runs the token returns nothing,
/// in half of them it calls back while it transfers: others then act in between, and nobody can enter the vault again.
contract Handler is Ledger, Relaying, IHook {
    uint256 private constant STAKE = 100e18;
    uint256 private constant PEOPLE = 3;
    uint256 private constant MAX_TASKS = 4;
    uint256 private constant DEADLINE = type(uint64).max;
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes4 private constant REENTERED = bytes4(keccak256("ReentrancyGuardReentrantCall()"));

    /// @dev The first two always delegate alike; the first one claims as often as it can, the second one never.
    address[] private delegators;
    address private settler = makeAddr("settler");
    address private hostile = makeAddr("hostile settler");

    // What happened, so that a campaign that does nothing is found out.
    uint256 public calls;
    uint256 public epochsSettled;
    uint256 public slashes;
    uint256 public claims;
    uint256 public relayed;
    uint256 public turnedAway;

    bool public callsBack;
    bool private ownerless;
    mapping(address account => uint256 key) private keyOf;
    uint256 private random;
    mapping(uint256 task => mapping(address operator => uint256 epoch)) private committedIn;
    mapping(uint256 task => mapping(address validator => uint256 epoch)) private revealedIn;
    mapping(uint256 task => mapping(address validator => uint256 epoch)) private reportedIn;
    mapping(uint256 task => mapping(address validator => uint256)) private silent;
    mapping(uint256 task => bool) private expecting;
    mapping(uint256 task => Pay[]) private expected;
    mapping(uint256 task => Pay[]) private seen;
    /// @dev What the twins took from a pool, and how often they moved or claimed.
    mapping(uint256 task => mapping(address operator => uint256)) private twinTook;
    mapping(uint256 task => mapping(address operator => uint256)) private twinSteps;

    /// @dev A part of a tally that its settler has not finished.
    struct Part {
        uint256 epoch;
        address node;
        uint32 median;
        uint256 done;
    }

    mapping(uint256 task => Part) private parts;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < PEOPLE; ++i) {
            nodes.push(signer(string.concat("node", vm.toString(i))));
            validators.push(signer(string.concat("validator", vm.toString(i))));
            delegators.push(signer(string.concat("delegator", vm.toString(i))));
        }
        newTask(RankingRule.StakeIntegral, true, 1e18, 60);
        newTask(RankingRule.RankGeometric, false, 0.5e18, 12);
        warpTo(1, Phase.Submit);
    }

    function newToken() internal override returns (IMintable) {
        return IMintable(address(new MoodyToken()));
    }

    function signer(string memory name) private returns (address who) {
        who = makeAddr(name);
        keyOf[who] = uint256(keccak256(bytes(name)));
    }

    /// @dev The seed of the call decides everything in it, the first one the token's mood as well.
    modifier playing(uint256 seed) {
        random = uint256(keccak256(abi.encode(seed, ++calls)));
        if (calls == 1) chooseMood();
        switchTo(1 + next() % arena.taskCount());
        if (next() % 8 < 3) playPhase();
        // Not by chance, so that no run stands still.
        if (calls % 8 == 0) playAllAndGoOn();
        _;
        checkMoney();
    }

    function chooseMood() private {
        callsBack = next() % 2 == 0;
        MoodyToken(address(token)).setMood(next() % 2 == 0, callsBack ? address(this) : address(0));
    }

    // ------------------------------------------------------------------ in the middle of a transfer

    /// @notice The token calls before and after it moves anything: whoever tries to enter the vault is turned away, and what
    /// else anybody may do, happens.
    function duringTransfer() external {
        assertEq(msg.sender, address(token));
        if (next() % 2 == 0) return enterAgain();
        uint256 choice = next() % 4;
        if (choice == 0) announceCommission();
        else if (choice == 1) playPhase();
        else settleStep();
    }

    function enterAgain() private {
        (address operator, Role role) = anyOperator();
        address who = next() % 2 == 0 ? operator : delegators[next() % PEOPLE];
        bytes[11] memory ways = [
            abi.encodeCall(IVault.withdraw, (task, operator, type(uint256).max)),
            abi.encodeCall(IVault.claim, (task, operator)),
            abi.encodeCall(IVault.burn, ()),
            abi.encodeCall(IVault.collectFees, ()),
            abi.encodeCall(IVault.reclaim, (task)),
            abi.encodeCall(IVault.stake, (task, role, 1)),
            abi.encodeCall(IVault.unstake, (task, 1)),
            abi.encodeCall(IVault.delegate, (task, operator, 1)),
            abi.encodeCall(IVault.undelegate, (task, operator, 1)),
            abi.encodeCall(IVault.fund, (task, 1)),
            abi.encodeCall(IVault.fundEmission, (1))
        ];
        bytes[] memory calls_ = new bytes[](1);
        calls_[0] = ways[next() % ways.length];
        bytes memory call = calls_[0];
        if (next() % 4 == 0) call = abi.encodeWithSignature("multicall(bytes[])", calls_);
        vm.prank(who);
        (bool ok, bytes memory reason) = address(vault).call(call);
        assertTrue(!ok && bytes4(reason) == REENTERED, "nobody enters the vault in the middle of a transfer");
        ++turnedAway;
    }

    // ------------------------------------------------------------------ ways to call

    /// @dev By itself, sometimes in a batch.
    function callAs(address who, bytes memory call) private returns (bytes memory) {
        bytes[] memory one_ = new bytes[](1);
        one_[0] = call;
        bool batched = next() % 4 == 0;
        vm.prank(who);
        if (batched) return batch(vault, one_)[0];
        (bool ok, bytes memory result) = address(vault).call(call);
        return orRevert(ok, result);
    }

    /// @dev By a relayer, sometimes with a permit for the tokens; who tries the same again is refused.
    function relay(address who, uint256 amount, bytes memory call) private returns (bytes memory result) {
        bool ok = true;
        if (next() % 2 == 0) {
            bytes[] memory both = new bytes[](2);
            (both[0], both[1]) = (permitOf(who, amount), call);
            vm.prank(hostile);
            result = batch(vault, both)[1];
        } else {
            vm.prank(hostile);
            (ok, result) = address(vault).call(call);
            orRevert(ok, result);
        }
        vm.expectRevert(abi.encodeWithSelector(IVault.SignatureInvalid.selector, who));
        vm.prank(stranger);
        (ok,) = address(vault).call(call);
        ++relayed;
    }

    /// @dev The whole allowance: what was approved before is taken back.
    function permitOf(address who, uint256 amount) private returns (bytes memory) {
        MoodyToken permitting = MoodyToken(address(token));
        vm.prank(who);
        permitting.approve(address(vault), 0);
        bytes32 content =
            keccak256(abi.encode(PERMIT, who, address(vault), amount, permitting.nonces(who), DEADLINE));
        bytes memory signature = signDigest(keyOf[who], permitting.DOMAIN_SEPARATOR(), content);
        (bytes32 r, bytes32 s, uint8 v) = wordsOf(signature);
        return abi.encodeCall(IVault.permit, (who, amount, DEADLINE, v, r, s));
    }

    // ------------------------------------------------------------------ money

    function stake(uint256 seed) external playing(seed) {
        if (isOver()) return;
        (address who, Role role) = anyOperator();
        uint96 amount = uint96(next() % 2 == 0 ? STAKE : anyAmount());
        provide(who, amount);
        remember(task, who, who);
        if (next() % 3 == 0) {
            bytes32 content = stakeContent(who, task, role, amount, noncesOf(vault, who), DEADLINE);
            bytes memory signature = signFor(vault, keyOf[who], content);
            relay(
                who, amount, abi.encodeCall(IVault.stakeFor, (who, task, role, amount, DEADLINE, signature))
            );
        } else {
            callAs(who, abi.encodeCall(IVault.stake, (task, role, amount)));
        }
        directOf[task][who] += amount;
        deposited += amount;
        owedToAll += amount;
    }

    function unstake(uint256 seed) external playing(seed) {
        (address who,) = anyOperator();
        uint256 amount = partOf(directOf[task][who]);
        if (amount == 0) return;
        callAs(who, abi.encodeCall(IVault.unstake, (task, uint96(amount))));
        directOf[task][who] -= amount;
        leaving[task][who][who] += amount;
    }

    function delegate(uint256 seed) external playing(seed) {
        if (isOver()) return;
        (address operator,) = anyOperator();
        uint256 amount = anyAmount();
        if (next() % 2 == 0) return delegateOne(delegators[2], operator, amount);
        delegateOne(delegators[0], operator, amount);
        delegateOne(delegators[1], operator, amount);
        ++twinSteps[task][operator];
    }

    function delegateOne(address who, address operator, uint256 amount) private {
        uint96 amount_ = uint96(amount);
        provide(who, amount);
        remember(task, operator, who);
        if (next() % 3 == 0) {
            bytes32 content = delegateContent(who, task, operator, amount_, noncesOf(vault, who), DEADLINE);
            bytes memory signature = signFor(vault, keyOf[who], content);
            relay(
                who,
                amount,
                abi.encodeCall(IVault.delegateFor, (who, task, operator, amount_, DEADLINE, signature))
            );
        } else {
            callAs(who, abi.encodeCall(IVault.delegate, (task, operator, amount_)));
        }
        countDelegation(who, operator, amount);
    }

    function countDelegation(address who, address operator, uint256 amount) private {
        (sharesOf[task][operator][who],) = vault.delegationOf(task, operator, who);
        deposited += amount;
        owedToAll += amount;
        ++roundings;
    }

    function undelegate(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        bool twins = next() % 2 == 0;
        address who = delegators[twins ? 0 : 2];
        (, uint256 worth) = vault.delegationOf(task, operator, who);
        uint256 amount = partOf(worth);
        if (amount == 0) return;
        undelegateOne(who, operator, amount);
        if (!twins) return;
        undelegateOne(delegators[1], operator, amount);
        ++twinSteps[task][operator];
    }

    function undelegateOne(address who, address operator, uint256 amount) private {
        callAs(who, abi.encodeCall(IVault.undelegate, (task, operator, uint96(amount))));
        countDeparture(who, operator, amount);
    }

    function countDeparture(address who, address operator, uint256 amount) private {
        (sharesOf[task][operator][who],) = vault.delegationOf(task, operator, who);
        leaving[task][operator][who] += amount;
        ++roundings;
    }

    /// @notice Out of a pool and into it again in one call; or one of the two is impossible, and nothing happens.
    function batchMoves(uint256 seed) external playing(seed) {
        if (isOver()) return;
        (address operator,) = anyOperator();
        address who = delegators[2];
        (, uint256 worth) = vault.delegationOf(task, operator, who);
        uint256 back = partOf(worth);
        if (back == 0) return;
        bytes[] memory both = new bytes[](2);
        both[0] = abi.encodeCall(IVault.undelegate, (task, operator, uint96(back)));
        if (next() % 4 == 0) {
            both[1] = abi.encodeCall(IVault.undelegate, (task, operator, type(uint96).max));
            vm.expectPartialRevert(IVault.InsufficientStake.selector);
            vm.prank(who);
            (bool ok,) = address(vault).call(abi.encodeWithSignature("multicall(bytes[])", both));
            assertTrue(ok, "expected to revert");
            return;
        }
        uint256 amount = anyAmount();
        provide(who, amount);
        both[1] = abi.encodeCall(IVault.delegate, (task, operator, uint96(amount)));
        vm.prank(who);
        batch(vault, both);
        countDeparture(who, operator, back);
        countDelegation(who, operator, amount);
    }

    function withdraw(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        address who = next() % 2 == 0 ? operator : delegators[next() % PEOPLE];
        (,, uint256 due) = vault.unbondingOf(task, operator, who);
        if (due == 0) return;
        withdrawSome(who, operator, 1 + next() % 3);
    }

    function withdrawSome(address who, address operator, uint256 limit) private {
        uint256 lost = vault.slashed();
        bytes memory result = callAs(who, abi.encodeCall(IVault.withdraw, (task, operator, limit)));
        uint256 amount = abi.decode(result, (uint256));
        lost = vault.slashed() - lost;
        pay(who, amount);
        if (who == operator) assertEq(lost, 0, "an operator's was slashed directly");
        leaving[task][operator][who] -= amount + lost;
        owedToAll -= amount + lost;
    }

    function claim(uint256 seed) external playing(seed) {
        (address operator,) = anyOperator();
        claimOne(next() % 2 == 0 ? operator : delegators[next() % 2 * 2], operator);
    }

    function claimOne(address who, address operator) private {
        uint256 gross = vault.claimable(task, operator, who);
        if (gross == 0) return;
        uint256 fees = vault.fees();
        uint256 net = abi.decode(sendClaim(who, operator), (uint256));
        pay(who, net);
        owedToAll -= gross;
        if (who == operator) operatorCredits[task][operator] -= gross;
        else poolCredits[task][operator] -= gross;
        assertEq(gross - net, vault.fees() - fees, "the fee");
        assertLe(gross - net, gross / 5, "the limit of the fee");
        // Otherwise an epoch may have been settled meanwhile.
        if (!callsBack) assertEq(vault.claimable(task, operator, who), 0);
        if (who == delegators[0]) {
            twinTook[task][operator] += gross;
            ++twinSteps[task][operator];
        }
        ++claims;
    }

    function sendClaim(address who, address operator) private returns (bytes memory) {
        if (next() % 3 != 0) return callAs(who, abi.encodeCall(IVault.claim, (task, operator)));
        bytes32 content = claimContent(who, task, operator, noncesOf(vault, who), DEADLINE);
        bytes memory signature = signFor(vault, keyOf[who], content);
        return relay(who, 0, abi.encodeCall(IVault.claimFor, (who, task, operator, DEADLINE, signature)));
    }

    function fund(uint256 seed) external playing(seed) {
        if (isOver()) return;
        uint256 amount = anyAmount();
        fundAs(next() % 2 == 0 ? creator : stranger, task, amount);
        deposited += amount;
    }

    function emit_(uint256 seed) external playing(seed) {
        uint256 amount = anyAmount();
        if (next() % 4 == 0) {
            fundEmission(amount);
            deposited += amount;
        }
        (, uint32 until) = emission.admissionOf(task);
        vm.startPrank(owner);
        if (ownerless) refusedWithoutOwner();
        else if (next() % 64 == 0) renounce();
        else if (until <= vault.currentEpoch()) emission.admit(task);
        else if (until == type(uint32).max && next() % 4 == 0) emission.dismiss(task);
        else emission.setFee(uint64(next() % 0.2e18), next() % 2 == 0 ? owner : stranger);
        vm.stopPrank();
    }

    /// @dev For ever. Everything else goes on.
    function renounce() private {
        (bool ok,) = address(emission).call(abi.encodeWithSignature("renounceOwnership()"));
        assertTrue(ok, "an owner may go");
        ownerless = true;
    }

    function refusedWithoutOwner() private {
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", owner));
        if (next() % 2 == 0) emission.setFee(0, owner);
        else emission.admit(task);
    }

    function setCommission(uint256 seed) external playing(seed) {
        announceCommission();
    }

    function announceCommission() private {
        (address who,) = anyOperator();
        vm.prank(who);
        try vault.setCommission(task, uint64(next() % (1e9 + 1) * 1e9)) {}
        catch (bytes memory reason) {
            assertTrue(bytes4(reason) == IVault.CommissionPending.selector, "one waits at a time");
        }
    }

    function collect(uint256 seed) external playing(seed) {
        if (vault.slashed() != 0) taken += vault.burn();
        if (vault.fees() == 0) return;
        address treasury = vault.treasury();
        pay(treasury, vault.collectFees());
    }

    // ------------------------------------------------------------------ tasks and the list

    function moveTasks(uint256 seed) external playing(seed) {
        uint256 choice = next() % 8;
        if (isOver()) return reclaimAll();
        if (choice == 0 && arena.taskCount() < MAX_TASKS) {
            RankingRule rule = RankingRule(next() % 2);
            newTask(rule, next() % 2 == 0, [uint64(0), 0.3e18, 1e18][next() % 3], 3 + next() % 30);
        }
        // Not before anything was settled, so that no run comes to nothing: `ArenaTasks` has tasks that end unsettled.
        bool mayEnd = vault.currentEpoch() + UNBONDING < vault.termsOf(task).lastEpoch;
        if (choice == 1 && mayEnd && epochsSettled != 0) {
            vm.prank(creator);
            arena.endTask(task);
        }
    }

    function reclaimAll() private {
        if (stage() != Stage.Idle || vault.currentEpoch() <= vault.termsOf(task).lastEpoch) return;
        if (vault.contributionOf(task, stranger) != 0 && vault.bountyOf(task) != 0) reclaimAs(stranger);
        if (bonded[task] || (vault.contributionOf(task, creator) != 0 && vault.bountyOf(task) != 0)) {
            reclaimAs(creator);
        }
    }

    function reclaimAs(address who) private {
        vm.prank(who);
        try vault.reclaim(task) returns (uint256 amount) {
            pay(who, amount);
            reclaimed[task] += amount;
            if (who == creator && bonded[task]) {
                bonded[task] = false;
                bonds -= BOND;
                reclaimed[task] -= BOND;
            }
        } catch (bytes memory reason) {
            assertTrue(bytes4(reason) == IVault.NothingToReclaim.selector, "a part that rounds to nothing");
        }
    }

    function changeList(uint256 seed) external playing(seed) {
        address who = nodes[next() % PEOPLE];
        Entry memory entry = entryOf(who);
        if (entry.number == 0) return;
        (uint32 epoch, Phase phase) = arena.clock();
        bool gone = entry.withdrawnIn != 0 && entry.withdrawnIn < epoch;
        if (phase <= Phase.Disclose && stage() == Stage.Idle) {
            if (gone || directStake(who, epoch) < params.minNodeStake) return evict(task, who);
        }
        if (entry.withdrawnIn != 0 || next() % 3 != 0) return;
        vm.prank(who);
        arena.withdrawSubmission(task);
    }

    // ------------------------------------------------------------------ offences

    function report(uint256 seed) external playing(seed) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (next() % 2 == 0) reportOne(validators[i]);
        }
    }

    function reportOne(address who) private {
        Flight memory f = arena.flightOf(task);
        if (f.epoch == 0 || f.listed == 0 || block.timestamp < timeOf(f.epoch, Phase.Settle)) return;
        if (block.timestamp >= timeOf(f.epoch + 1, Phase.Commit)) return;
        if (directStake(who, f.epoch) < params.minValidatorStake) return;
        if (revealedIn[task][who] == f.epoch || reportedIn[task][who] == f.epoch) return;
        uint256 effective = effectiveStake(who, f.epoch);
        vm.recordLogs();
        vm.prank(stranger);
        if (committedIn[task][who] == f.epoch) {
            arena.reportUnrevealed(task, who);
            ++slashes;
        } else {
            arena.reportSilent(task, who);
            bool inARow = silent[task][who] != 0 && lastSilent[task][who] == f.previousEpoch;
            silent[task][who] = inARow ? silent[task][who] + 1 : 1;
            lastSilent[task][who] = f.epoch;
            if (silent[task][who] == SILENT_EPOCHS) {
                silent[task][who] = 0;
                ++slashes;
            }
        }
        reportedIn[task][who] = f.epoch;
        ++roundings;
        slashed(task, who, effective, vm.getRecordedLogs());
    }

    mapping(uint256 task => mapping(address validator => uint256 epoch)) private lastSilent;

    // ------------------------------------------------------------------ the epoch

    function playAllAndGoOn() private {
        for (uint256 t = arena.taskCount(); t > 0; --t) {
            switchTo(t);
            playPhase();
        }
        (uint32 epoch, Phase phase) = arena.clock();
        uint256 choice = next() % 16;
        if (choice == 0) warpTo(epoch + 1 + next() % 2, Phase(next() % 6));
        else if (phase == Phase.Settle) warpTo(epoch + 1, Phase.Submit);
        else warpTo(epoch, Phase(uint8(phase) + 1));
        if (choice == 1) vm.warp(vm.getBlockTimestamp() + next() % 50);
    }

    /// @dev Plays the present phase for some of the participants.
    function playPhase() private {
        (uint32 epoch, Phase phase) = arena.clock();
        if (phase > Phase.Reveal || epoch > vault.termsOf(task).lastEpoch) {
            for (uint256 i = next() % 8; i > 0; --i) {
                settleStep();
            }
            return;
        }
        if (epoch < vault.termsOf(task).firstEpoch) return;
        if (phase == Phase.Submit) commitSome(epoch);
        else if (phase == Phase.Disclose) openSome(epoch);
        else if (phase == Phase.Reveal) revealSome(epoch);
        else if (phase == Phase.Seed) drawIfPossible(epoch);
        else commitSomeScores(epoch);
    }

    function commitSome(uint256 epoch) private {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            address who = nodes[i];
            if (committedIn[task][who] == epoch || directStake(who, epoch) < params.minNodeStake) continue;
            if (next() % 3 == 0) continue;
            // Now and then the content of somebody else.
            bytes32 contentHash = artifact(nodes[next() % 6 == 0 ? 0 : i], epoch);
            truth[contentHash] = next() % 8 == 0 ? 0 : uint32(1 + next() % 1_000_000_000);
            commitSubmission(who, task, contentHash);
            pledgedContent[task][who] = contentHash;
            committedIn[task][who] = epoch;
        }
    }

    mapping(uint256 task => mapping(address node => bytes32)) private pledgedContent;

    function openSome(uint256 epoch) private {
        if (stage() != Stage.Idle) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            bytes32 contentHash = pledgedContent[task][nodes[i]];
            if (committedIn[task][nodes[i]] != epoch || contentHash == 0 || next() % 4 == 0) continue;
            pledgedContent[task][nodes[i]] = 0;
            openSubmission(nodes[i], task, contentHash);
        }
    }

    function drawIfPossible(uint256 epoch) private {
        if (stage() != Stage.Idle || arena.flightOf(task).epoch == epoch || standing().length == 0) return;
        (uint256 direct,) = vault.totalsAt(task, Role.Validator, epoch);
        if (direct == 0 || block.timestamp < timeOf(epoch, Phase.Seed)) return;
        uint256 reserve = vault.reserve();
        drawNow(epoch);
        emitted[epoch] += reserve - vault.reserve();
        assertLe(emitted[epoch], emission.rateAt(epoch), "all tasks together");
        fixedStakes[task] = stakesOf(task);
        paidOf[task] = 0;
        expecting[task] = false;
    }

    function commitSomeScores(uint256 epoch) private {
        if (draw.epoch != epoch) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            address who = validators[i];
            if (committedIn[task][who] == epoch || directStake(who, epoch) < params.minValidatorStake) {
                continue;
            }
            // The last one is lazy.
            if (next() % 8 == 0 || (i == 2 && next() % 4 != 0)) continue;
            uint32[] memory scores = honest(who);
            uint256 behaviour = next() % 8;
            if (behaviour == 0) scores = constant_(who, uint32(next() % 1_000_000_001));
            for (uint256 j = 0; j < scores.length; ++j) {
                if (behaviour == 1 && next() % 2 == 0) scores[j] = ABSTAIN;
            }
            commitScores(who, scores);
            committedIn[task][who] = epoch;
        }
    }

    function revealSome(uint256 epoch) private {
        if (draw.epoch != epoch) return;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            address who = validators[i];
            if (committedIn[task][who] != epoch || revealedIn[task][who] == epoch || next() % 4 == 0) {
                continue;
            }
            reveal(who);
            revealedIn[task][who] = epoch;
        }
    }

    // ------------------------------------------------------------------ settlement, by several settlers in small steps

    function settleSome(uint256 seed) external playing(seed) {
        settleStep();
    }

    function settleStep() private {
        Stage stage_ = stage();
        if (stage_ == Stage.Idle || block.timestamp < timeOf(draw.epoch, Phase.Settle)) return;
        if (!expecting[task]) expectPayments();
        address who = next() % 2 == 0 ? settler : stranger;
        vm.recordLogs();
        if (stage_ == Stage.Scoring) tallyStep(who);
        else if (stage_ == Stage.Ranking) rankStep(who);
        else payStep(who);
        collectLogs(vm.getRecordedLogs());
        if (stage() == Stage.Idle) comparePayments();
    }

    function tallyStep(address who) private {
        Tally[] memory all = tallies();
        uint256 choice = next() % 4;
        uint256 from = next() % all.length;
        if (choice == 0) return hostileTally(all[from]);
        if (choice == 1) return partialTally(all[from]);
        vm.prank(who);
        arena.tally(task, slice(all, from, 1 + next() % 3));
    }

    /// @dev By some of those who scored it: right as far as it goes.
    function hostileTally(Tally memory t) private {
        Vote[] memory cast = votesFor(t.node);
        Vote[] memory some = new Vote[](next() % (cast.length + 1));
        for (uint256 i = 0; i < some.length; ++i) {
            some[i] = cast[i];
        }
        (t.median, t.revealers) = (medianOf(some), revealersOf(some));
        vm.prank(hostile);
        arena.tally(task, one(t));
    }

    /// @dev One part now, the rest the next time; whatever else happens meanwhile.
    function partialTally(Tally memory t) private {
        Part memory part = parts[task];
        if (part.epoch == draw.epoch && part.done != type(uint256).max) {
            Vote[] memory rest = votesFor(part.node);
            Vote[] memory left = new Vote[](rest.length - part.done);
            for (uint256 i = 0; i < left.length; ++i) {
                left[i] = rest[part.done + i];
            }
            parts[task].done = type(uint256).max;
            t = tallyOf(part.node);
            t.revealers = revealersOf(left);
            vm.prank(creator);
            return arena.tally(task, one(t));
        }
        Vote[] memory cast = votesFor(t.node);
        if (cast.length == 0 || part.epoch == draw.epoch) return;
        Vote[] memory first = new Vote[](1 + next() % cast.length);
        for (uint256 i = 0; i < first.length; ++i) {
            first[i] = cast[i];
        }
        t.revealers = revealersOf(first);
        parts[task] = Part({epoch: draw.epoch, node: t.node, median: t.median, done: first.length});
        vm.prank(creator);
        arena.tallyPart(task, t);
    }

    function rankStep(address who) private {
        address[] memory order = orderOfRanked();
        if (next() % 3 == 0) {
            // Somebody leaves some out.
            uint256 length = next() % order.length;
            vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, length, order.length));
            vm.prank(hostile);
            return arena.rank(task, slice(order, order.length - length, length));
        }
        vm.prank(who);
        arena.rank(task, order);
    }

    function payStep(address who) private {
        Flight memory f = arena.flightOf(task);
        address[] memory order = orderOfRanked();
        uint256 choice = next() % 3;
        vm.prank(who);
        if (choice == 0 || f.revealers == 0 || (f.paid == f.revealers && f.weighed == f.revealers)) {
            uint256 from = next() % (f.walk.done + 1);
            arena.payNodes(task, from, next() % (order.length - from + 1), order);
        } else if (f.weighed < f.revealers) {
            uint256 from = next() % (f.weighed + 1);
            arena.weigh(task, from, 1 + next() % (f.revealers - from));
        } else {
            uint256 from = next() % (f.paid + 1);
            arena.payValidators(task, from, next() % (f.revealers - from + 1));
        }
    }

    function expectPayments() private {
        expecting[task] = true;
        delete expected[task];
        delete seen[task];
        push(expected[task], expectedNodePay());
        push(expected[task], expectedValidatorPay());
    }

    function push(Pay[] storage list, Pay[] memory more) private {
        for (uint256 i = 0; i < more.length; ++i) {
            list.push(more[i]);
        }
    }

    function collectLogs(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IVault.Credited.selector) continue;
            Pay memory p;
            p.operator = address(uint160(uint256(logs[i].topics[2])));
            uint256 toOperator;
            (, p.with_, p.without, toOperator) =
                abi.decode(logs[i].data, (uint256, uint256, uint256, uint256));
            paidOf[task] += p.with_;
            operatorCredits[task][p.operator] += toOperator;
            poolCredits[task][p.operator] += p.with_ - toOperator;
            owedToAll += p.with_;
            seen[task].push(p);
        }
    }

    /// @dev Whoever settled, and in whatever order: the same payments, each once, within the budget.
    function comparePayments() private {
        uint256 found = 0;
        for (uint256 i = 0; i < seen[task].length; ++i) {
            Pay memory p = seen[task][i];
            bool same = false;
            for (uint256 j = 0; j < expected[task].length && !same; ++j) {
                Pay memory e = expected[task][j];
                if (e.operator != p.operator) continue;
                same = true;
                assertEq(p.with_, e.with_, "reward");
                assertEq(p.without, e.without, "reward without delegation");
                ++found;
            }
            // If no score weighs anything, nobody needs to be paid nothing, but may be.
            assertTrue(same || p.with_ == 0, "nobody else is paid");
        }
        assertEq(found, expected[task].length, "everyone is paid");
        assertLe(paidOf[task], draw.nodeBudget + draw.validatorBudget, "within the budget");
        keepScores();
        ++epochsSettled;
    }

    // ------------------------------------------------------------------ choices

    function newTask(RankingRule rule, bool fresh, uint64 epsilonWad, uint256 epochs) private {
        TaskParams memory p = defaultParams();
        (p.rule, p.freshData, p.epsilonWad, p.epochs) = (rule, fresh, epsilonWad, uint32(epochs));
        (p.redundancy, p.metric) = (2, Metric.Gain);
        uint256 created = createTask(p);
        deposited += BOND;
        bonds += BOND;
        bonded[created] = true;
        addPlay(created, p);
        for (uint256 i = 0; i < PEOPLE; ++i) {
            stakeAs(nodes[i], created, Role.Node, STAKE);
            stakeAs(validators[i], created, Role.Validator, STAKE);
            (directOf[created][nodes[i]], directOf[created][validators[i]]) = (STAKE, STAKE);
        }
        deposited += 2 * PEOPLE * STAKE;
        owedToAll += 2 * PEOPLE * STAKE;
        fundTask(created, 1000e18);
        deposited += 1000e18;
    }

    function next() private returns (uint256) {
        random = uint256(keccak256(abi.encode(random)));
        return random;
    }

    /// @dev Stake and bounty count from the next epoch on, so that in the last one nothing is taken any more.
    function isOver() private view returns (bool) {
        return vault.currentEpoch() >= vault.termsOf(task).lastEpoch;
    }

    function anyOperator() private returns (address, Role) {
        uint256 i = next() % PEOPLE;
        return next() % 2 == 0 ? (nodes[i], Role.Node) : (validators[i], Role.Validator);
    }

    function anyAmount() private returns (uint256) {
        return 1 + next() % 10 ** (1 + next() % 21);
    }

    /// @dev All of it, or some of it.
    function partOf(uint256 whole) private returns (uint256) {
        if (whole == 0 || next() % 4 == 0) return whole;
        return 1 + next() % whole;
    }

    // ------------------------------------------------------------------ what the invariant checks

    function check() external view {
        checkLedger();
        for (uint256 t = 1; t <= arena.taskCount(); ++t) {
            for (uint256 i = 0; i < PEOPLE; ++i) {
                checkTwins(t, nodes[i]);
                checkTwins(t, validators[i]);
            }
        }
    }

    /// @dev Claiming often or never comes to the same, but for a unit per claim and move (P8).
    function checkTwins(uint256 task_, address operator) private view {
        uint256 often = twinTook[task_][operator] + vault.claimable(task_, operator, delegators[0]);
        uint256 never = vault.claimable(task_, operator, delegators[1]);
        assertLe(often, never, "claiming often never pays more");
        assertLe(never - often, twinSteps[task_][operator], "and hardly less");
    }

    /// @notice Everyone leaves, whatever is in flight; then everything is settled and reclaimed, and nothing is left.
    function goHome() external {
        Holding[] memory all = holdings;
        for (uint256 i = 0; i < all.length; ++i) {
            switchTo(all[i].task);
            goHomeOne(all[i].operator, all[i].account);
        }
        warpTo(vault.currentEpoch() + 1 + UNBONDING, Phase.Submit);
        for (uint256 i = 0; i < all.length; ++i) {
            switchTo(all[i].task);
            (,, uint256 due) = vault.unbondingOf(task, all[i].operator, all[i].account);
            if (due != 0) withdrawSome(all[i].account, all[i].operator, type(uint256).max);
        }
        checkLedger();
        settleAll();
        for (uint256 i = 0; i < all.length; ++i) {
            switchTo(all[i].task);
            claimOne(all[i].account, all[i].operator);
        }
        checkLedger();
        uint256 rest = bonds + vault.reserve() + vault.slashed() + vault.fees();
        for (uint256 t = 1; t <= arena.taskCount(); ++t) {
            rest += vault.bountyOf(t) - reclaimed[t];
        }
        for (uint256 i = 0; i < all.length; ++i) {
            if (all[i].operator == all[i].account) rest += poolCredits[all[i].task][all[i].operator];
        }
        uint256 held = token.balanceOf(address(vault));
        assertGe(held, rest, "nothing is missing");
        assertLe(held - rest, 2 * roundings, "nothing else is left");
    }

    function goHomeOne(address operator, address who) private {
        claimOne(who, operator);
        if (who == operator) {
            uint256 direct = directOf[task][who];
            if (direct == 0) return;
            callAs(who, abi.encodeCall(IVault.unstake, (task, uint96(direct))));
            directOf[task][who] = 0;
            leaving[task][who][who] += direct;
            return;
        }
        (, uint256 worth) = vault.delegationOf(task, operator, who);
        if (worth != 0) undelegateOne(who, operator, worth);
    }

    function settleAll() private {
        for (uint256 t = 1; t <= arena.taskCount(); ++t) {
            switchTo(t);
            if (stage() == Stage.Idle) continue;
            if (!expecting[task]) expectPayments();
            vm.recordLogs();
            if (stage() == Stage.Scoring) tallyInBatches(2);
            if (stage() == Stage.Ranking) arena.rank(task, orderOfRanked());
            if (stage() == Stage.Paying) payInBatches(2);
            collectLogs(vm.getRecordedLogs());
            assertTrue(stage() == Stage.Idle, "whatever others did, one settler finishes");
            comparePayments();
        }
    }
}
