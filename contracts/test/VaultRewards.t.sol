// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice How a pool's reward reaches its operator and its delegators (M-6), however late an epoch is settled.
/// @dev The stakes of the tests with exact amounts add up to powers of two, which the reward per share divides exactly.
contract VaultRewardsTest is VaultFixture {
    uint256 private constant DELEGATORS = 3;

    /// @dev The ghost ledger of the fuzz test: exact shares of each credit, in units of 2^-96.
    struct Ghost {
        uint256 random;
        uint32 open;
        uint256 credited;
        uint256 claimed;
        uint256[DELEGATORS] exact;
        uint256[DELEGATORS] roundings;
        uint256[DELEGATORS] got;
    }

    function setUp() public override {
        super.setUp();
        fund(1000, 0);
        stakeAs(node, Role.Node, 100);
    }

    function test_WithoutDelegationAllIsTheOperators() public {
        setCommissionAs(node, 0);
        warpTo(1);
        vault.openBudget(TASK, 1);
        vm.expectEmit(address(vault));
        emit IVault.Credited(TASK, 1, node, 80, 0);
        vault.credit(TASK, node, 80, 80);
        vault.closeBudget(TASK);
        assertEq(vault.claimable(TASK, node, node), 80);
        assertEq(claimAs(node, node), 80);
        expect(IVault.NothingToClaim.selector, abi.encode(node));
        claimAs(node, node);
        assertExact();
    }

    function test_DelegatorsShareTheDifferenceLessCommission() public {
        setCommissionAs(node, 0.25e18);
        delegateTo(alice, node, 384);
        delegateTo(bob, node, 128);
        // The commission was raised in epoch 0 and acts from epoch 2 on.
        payEpoch(1, node, 100, 20);
        assertEq(vault.claimable(TASK, node, node), 20);
        assertEq(vault.claimable(TASK, node, alice), 60);
        assertEq(vault.claimable(TASK, node, bob), 20);
        payEpoch(2, node, 100, 20);
        assertEq(claimAs(node, node), 20 + 20 + 20);
        assertEq(claimAs(alice, node), 60 + 45);
        assertEq(claimAs(bob, node), 20 + 15);
        assertExact();
    }

    function test_DelegationNeverLowersTheOperatorsReward() public {
        setCommissionAs(node, 0);
        delegateTo(alice, node, 300);
        // Rounding can make the reward without delegation larger than that with it; the difference counts as 0.
        payEpoch(1, node, 50, 51);
        assertEq(claimAs(node, node), 50);
        expect(IVault.NothingToClaim.selector, abi.encode(alice));
        claimAs(alice, node);
        assertExact();
    }

    function test_AFullCommissionLeavesNothingToDelegators() public {
        setCommissionAs(node, uint64(WAD));
        delegateTo(alice, node, 300);
        payEpoch(2, node, 100, 0);
        assertEq(vault.claimable(TASK, node, node), 100);
        assertEq(vault.claimable(TASK, node, alice), 0);
    }

    function test_StrangersClaimNothing() public {
        payEpoch(1, node, 100, 100);
        expect(IVault.NothingToClaim.selector, abi.encode(bob));
        claimAs(bob, node);
        expect(IVault.NothingToClaim.selector, abi.encode(node));
        claimAs(node, validator);
    }

    function test_WhoDelegatesInAnEpochEarnsFromTheNext() public {
        delegateTo(alice, node, 100);
        warpTo(1);
        vault.openBudget(TASK, 1);
        delegateTo(bob, node, 300);
        vault.credit(TASK, node, 100, 0);
        vault.closeBudget(TASK);
        assertEq(vault.claimable(TASK, node, alice), 100);
        assertEq(vault.claimable(TASK, node, bob), 0);
        warpTo(2);
        payEpoch(2, node, 100, 0);
        assertEq(vault.claimable(TASK, node, alice), 125);
        assertEq(vault.claimable(TASK, node, bob), 75);
    }

    function test_WhoLeavesDuringAnEpochStillEarnsIt() public {
        delegateTo(alice, node, 128);
        delegateTo(bob, node, 128);
        warpTo(1);
        vault.openBudget(TASK, 1);
        undelegateFrom(alice, node, 128);
        // Epoch 1 is settled two epochs later: what happened in between does not change who earned it.
        warpTo(3);
        delegateTo(alice, node, 960);
        undelegateFrom(bob, node, 64);
        vault.credit(TASK, node, 100, 0);
        vault.closeBudget(TASK);
        assertEq(vault.claimable(TASK, node, alice), 50);
        assertEq(vault.claimable(TASK, node, bob), 50);
        payEpoch(3, node, 100, 0);
        assertEq(claimAs(alice, node), 50);
        assertEq(claimAs(bob, node), 150);
        warpTo(4);
        payEpoch(4, node, 80, 0);
        assertEq(claimAs(alice, node), 75);
        assertEq(claimAs(bob, node), 5);
        assertExact();
    }

    function test_ClaimingInTheMiddleOfAnOpenEpochLosesNothing() public {
        delegateTo(alice, node, 128);
        warpTo(1);
        vault.openBudget(TASK, 1);
        vault.credit(TASK, node, 40, 0);
        assertEq(claimAs(alice, node), 40);
        undelegateFrom(alice, node, 64);
        vault.closeBudget(TASK);
        warpTo(2);
        payEpoch(2, node, 40, 0);
        assertEq(claimAs(alice, node), 40);
        assertExact();
    }

    // ------------------------------------------------------------------ any history against a ghost ledger

    function testFuzz_EveryHistoryPaysTheExactShares(uint256 seed) public {
        Ghost memory g;
        g.random = seed;
        setCommissionAs(node, uint64(next(g) % (WAD + 1)));
        for (uint32 epoch = 1; epoch < LAST_EPOCH; ++epoch) {
            warpTo(epoch);
            maybeSettle(g);
            act(g, epoch);
            if (g.open == 0 && next(g) % 4 != 0) {
                vault.openBudget(TASK, epoch);
                g.open = epoch;
            }
            act(g, epoch);
            maybeSettle(g);
            act(g, epoch);
            assertExact();
        }
        if (g.open != 0) settle(g);
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            claimAs(g, i);
            // P8: each accrual rounds down by less than one unit, and nobody ever gets more than the exact share.
            assertLe(g.got[i] << 96, g.exact[i], "never more than the exact share");
            assertGe((g.got[i] + g.roundings[i]) << 96, g.exact[i], "less by the roundings at most");
        }
        uint256 operator = vault.claimable(TASK, node, node);
        if (operator != 0) claimAs(node, node);
        assertLe(g.claimed + operator, g.credited, "no more than was credited");
        assertExact();
    }

    function delegator(uint256 i) internal view returns (address) {
        return [alice, bob, validator][i];
    }

    function next(Ghost memory g) internal pure returns (uint256) {
        g.random = uint256(keccak256(abi.encode(g.random)));
        return g.random;
    }

    /// @dev Each delegator does something, or nothing.
    function act(Ghost memory g, uint32 epoch) internal {
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            uint256 choice = next(g) % 6;
            uint256 amount = 1 + next(g) % (next(g) % 2 == 0 ? 3 : 5000);
            uint256 held = vault.delegationAt(TASK, node, delegator(i), epoch + 1);
            if (choice == 0) {
                delegateTo(delegator(i), node, uint96(amount));
                ++g.roundings[i];
            } else if (choice == 1 && held != 0) {
                undelegateFrom(delegator(i), node, uint96(amount < held ? amount : held));
                ++g.roundings[i];
            } else if (choice == 2) {
                claimAs(g, i);
            }
        }
    }

    function claimAs(Ghost memory g, uint256 i) internal {
        ++g.roundings[i];
        if (vault.claimable(TASK, node, delegator(i)) == 0) return;
        uint256 amount = claimAs(delegator(i), node);
        g.got[i] += amount;
        g.claimed += amount;
    }

    function maybeSettle(Ghost memory g) internal {
        if (g.open != 0 && next(g) % 2 == 0) settle(g);
    }

    function settle(Ghost memory g) internal {
        uint256 with_ = next(g) % 101;
        uint256 without = next(g) % 101;
        vault.credit(TASK, node, with_, without);
        vault.closeBudget(TASK);
        g.credited += with_;
        (, uint256 delegated) = vault.stakeAt(TASK, node, g.open);
        if (with_ > without && delegated != 0) {
            uint256 difference = with_ - without;
            uint256 commission = vault.commissionAt(TASK, node, g.open);
            uint256 shared = difference - difference * commission / WAD;
            for (uint256 i = 0; i < DELEGATORS; ++i) {
                uint256 shares = vault.delegationAt(TASK, node, delegator(i), g.open);
                g.exact[i] += (shared * shares << 96) / delegated + 1;
                // One for the reward per share, and one for a stretch that ends at this epoch's boundary.
                g.roundings[i] += 2;
            }
        }
        g.open = 0;
    }
}
