// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, TaskParams} from "../src/interfaces/IArena.sol";
import {Anchors, IMasterChef, IStakingRewards} from "./Anchors.sol";
import {Ours} from "./Ours.sol";

/// @notice What the same actions cost in the contracts that ours are compared with.
contract AnchorBench is Anchors {
    function test_StakingRewards() public {
        IStakingRewards anchor = deployStakingRewards();
        address user = funded("user", address(anchor));
        vm.startPrank(user);
        anchor.stake(ANCHOR_STAKE);
        record("stake, first");

        pass(3 days);
        assertEq(anchor.rewards(user), 0, "nothing is stored");
        assertGt(anchor.earned(user), 0, "a reward is pending");
        uint256 state = vm.snapshotState();
        anchor.stake(ANCHOR_STAKE);
        record("stake, further");
        pass(3 days);
        assertGt(anchor.rewards(user), 0, "a reward is stored");
        uint256 later = vm.snapshotState();
        anchor.stake(ANCHOR_STAKE);
        record("stake, further, reward stored");
        vm.revertToState(later);
        anchor.withdraw(ANCHOR_STAKE);
        record("withdraw, part, reward stored");
        vm.revertToState(later);
        anchor.getReward();
        record("getReward, reward stored");

        vm.revertToState(state);
        anchor.withdraw(ANCHOR_STAKE / 2);
        record("withdraw, part");
        vm.revertToState(state);
        anchor.withdraw(ANCHOR_STAKE);
        record("withdraw, all");
        vm.revertToState(state);
        anchor.getReward();
        record("getReward");
        vm.stopPrank();
    }

    function test_MasterChef() public {
        IMasterChef anchor = deployMasterChef();
        address user = funded("user", address(anchor));
        vm.startPrank(user);
        anchor.deposit(0, ANCHOR_STAKE);
        vm.snapshotGasLastCall("MasterChef", "deposit, first");

        pass(3 days);
        assertGt(anchor.pendingSushi(0, user), 0, "a reward is pending");
        uint256 state = vm.snapshotState();
        anchor.deposit(0, ANCHOR_STAKE);
        vm.snapshotGasLastCall("MasterChef", "deposit, further");
        vm.revertToState(state);
        anchor.withdraw(0, ANCHOR_STAKE / 2);
        vm.snapshotGasLastCall("MasterChef", "withdraw, part");
        vm.revertToState(state);
        anchor.withdraw(0, ANCHOR_STAKE);
        vm.snapshotGasLastCall("MasterChef", "withdraw, all");
        vm.revertToState(state);
        anchor.deposit(0, 0);
        vm.snapshotGasLastCall("MasterChef", "harvest");
        vm.stopPrank();
    }

    function record(string memory action) private {
        vm.snapshotGasLastCall("StakingRewards", action);
    }
}

/// @notice What they cost in ours, and what an epoch costs. 20 nodes and 20 validators with a redundancy of 15, so that
/// each validator scores 15 of 20 submissions; each node has delegators, and epochs have been paid.
contract OursBench is Ours {
    uint256 private constant COUNT = 20;
    uint256 private constant STAKE = 100e18;
    uint256 private constant FEW = 1;
    uint256 private constant MANY = 5;

    function setUp() public override {
        super.setUp();
        TaskParams memory p = defaultParams();
        p.epochs = 60;
        populate(p, equalStakes(COUNT, STAKE), equalStakes(COUNT, STAKE));
        fundTask(task, 33_000e18);
    }

    /// @dev As in a task that has run for a while: words that an action writes were written before by somebody, and somebody
    /// else has staked in this epoch already, unless it is said. The delegator's pool was not touched in it.
    function test_Participants() public {
        (address user, address other, address operator) = (stranger, makeAddr("other"), nodes[0]);
        delegators(MANY);
        provide(user, 10 * STAKE);
        provide(other, 10 * STAKE);
        provide(operator, 10 * STAKE);
        playEpochs(1, 2);
        stakeOurs(other, STAKE);
        delegateOurs(other, operator, STAKE);
        stakeOurs(operator, STAKE);
        playEpochs(3, 4);
        uint256 state = vm.snapshotState();
        record("stake, first, first of its epoch", stakeOurs(user, STAKE));
        vm.revertToState(state);
        record("delegate, first, first of its epoch", delegateOurs(user, operator, STAKE));
        vm.revertToState(state);
        stakeOurs(other, STAKE);
        state = vm.snapshotState();
        record("stake, first", stakeOurs(user, STAKE));
        vm.revertToState(state);
        record("delegate, first", delegateOurs(user, operator, STAKE));

        playEpochs(5, 6);
        claimOurs(user, operator);
        undelegateOurs(user, operator, STAKE / 4);
        unstakeOurs(operator, STAKE / 4);
        playEpochs(7, 7);
        uint256[2] memory afterOne = recordClaims("1 epoch", user, operator);
        playEpochs(8, 10);
        withdrawOurs(user, operator);
        withdrawOurs(operator, operator);
        stakeOurs(other, STAKE);
        assertGt(pendingOurs(user, operator), 0, "the delegator's reward is pending");
        assertGt(pendingOurs(operator, operator), 0, "the operator's reward is pending");
        state = vm.snapshotState();
        record("stake, further", stakeOurs(operator, STAKE));
        vm.revertToState(state);
        record("delegate, further", delegateOurs(user, operator, STAKE));
        vm.revertToState(state);
        uint256[2] memory afterFour = recordClaims("4 epochs", user, operator);
        record("undelegate, part", undelegateOurs(user, operator, STAKE / 2));
        vm.revertToState(state);
        record("unstake, part", unstakeOurs(operator, STAKE / 2));
        warpTo(18, Phase.Submit);
        record("withdraw", withdrawOurs(operator, operator));
        vm.revertToState(state);
        playEpochs(11, 56);
        uint256[2] memory afterFifty = recordClaims("50 epochs", user, operator);
        for (uint256 i = 0; i < 2; ++i) {
            assertApproxEqAbs(afterFifty[i], afterFour[i], 100, "no epoch is walked");
            // The delegator's shares changed in the first of them: behind it lies a boundary, however far.
            assertLe(afterFifty[i], afterOne[i] + 4000);
        }
    }

    function test_Epoch() public {
        delegators(MANY);
        playEpochs(1, 2);
        openEpoch(3);
        uint256 gas = 0;
        for (uint256 i = 0; i < COUNT; ++i) {
            gas += commitOurs(validators[i]);
        }
        record("commit", gas / COUNT);
        warpTo(3, Phase.Reveal);
        gas = 0;
        uint256 scores = 0;
        for (uint256 i = 0; i < COUNT; ++i) {
            gas += revealOurs(validators[i]);
            scores += sheets[task][validators[i]].scores.length;
        }
        record("reveal, per score", gas / scores);
        warpTo(3, Phase.Settle);
        gas = tallyOurs();
        gas += rankOurs();
        record("tally and rank, per submission of 15 scores", gas / COUNT);
        record("settle, per pool", payOurs() / COUNT);
        record("weigh, per score", weighOurs() / scores);
        record("settle, per validator's pool", finishOurs() / COUNT);
    }

    /// @dev The same epoch with few and with many delegators in each pool.
    function test_Delegators() public {
        uint256 state = vm.snapshotState();
        uint256 few = payOf(FEW);
        vm.revertToState(state);
        uint256 many = payOf(MANY);
        uint256 rise = many > few ? many - few : 0;
        record("settle, per delegator", rise / (COUNT * (MANY - FEW)));
    }

    // ------------------------------------------------------------------ parts

    function payOf(uint256 count) private returns (uint256) {
        delegators(count);
        playEpochs(1, 2);
        openEpoch(3);
        for (uint256 i = 0; i < COUNT; ++i) {
            commitOurs(validators[i]);
        }
        warpTo(3, Phase.Reveal);
        for (uint256 i = 0; i < COUNT; ++i) {
            revealOurs(validators[i]);
        }
        warpTo(3, Phase.Settle);
        tallyOurs();
        rankOurs();
        return payOurs();
    }

    function openEpoch(uint256 epoch) private {
        submitAll(epoch, descendingScores(COUNT, 10_000_000));
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
    }

    function delegators(uint256 count) private {
        for (uint256 i = 0; i < COUNT; ++i) {
            for (uint256 k = 0; k < count; ++k) {
                string memory name = string.concat("delegator", vm.toString(i), "-", vm.toString(k));
                delegateTo(makeAddr(name), task, nodes[i], STAKE);
            }
        }
    }

    /// @dev Of the operator and of the delegator, for all epochs since their last claims.
    function recordClaims(string memory missed, address delegator, address operator)
        private
        returns (uint256[2] memory gas)
    {
        uint256 state = vm.snapshotState();
        gas[0] = claimOurs(operator, operator);
        vm.revertToState(state);
        gas[1] = claimOurs(delegator, operator);
        vm.revertToState(state);
        record(string.concat("claim, operator, ", missed), gas[0]);
        record(string.concat("claim, delegator, ", missed), gas[1]);
    }

    function record(string memory action, uint256 gas) private {
        vm.snapshotValue("Ours", action, gas);
    }
}
