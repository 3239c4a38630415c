// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice What an offence costs whom (M-12): the operator first, at most a half, then its delegators, at most a tenth.
contract VaultSlashTest is VaultFixture {
    function setUp() public override {
        super.setUp();
        fund(10_000);
        stakeAs(validator, Role.Validator, 100);
    }

    // ------------------------------------------------------------------ the operator

    function test_TheOperatorPaysAndOnlyFromTheNextEpoch() public {
        delegateTo(alice, validator, 1000);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.Slashed(TASK, 1, validator, 40, 0, 0, WAD);
        assertEq(vault.slash(TASK, validator, 400), 40);
        assertEq(vault.slashed(), 40);
        assertStake(validator, 1, 100, 1000);
        assertTotals(Role.Validator, 1, 100, 1000);
        assertStake(validator, 2, 60, 1000);
        assertTotals(Role.Validator, 2, 60, 1000);
        assertEq(vault.factorOf(TASK, validator), WAD);
        assertExact();
    }

    function test_APenaltyRoundsDown() public {
        assertEq(vault.slash(TASK, validator, 9), 0);
        assertEq(vault.slash(TASK, validator, 19), 1);
        assertEq(vault.slash(TASK, validator, 0), 0);
        assertStake(validator, 1, 99, 0);
    }

    function test_ASlashCanMakeAPoolIneligible() public {
        delegateTo(alice, validator, 1000);
        assertTotals(Role.Validator, 1, 100, 1000);
        vault.slash(TASK, validator, 500);
        vault.slash(TASK, validator, 250);
        vault.slash(TASK, validator, 60);
        assertStake(validator, 1, 19, 1000);
        assertTotals(Role.Validator, 1, 0, 0);
        stakeAs(validator, Role.Validator, 1);
        assertTotals(Role.Validator, 1, 20, 1000);
        assertExact();
    }

    function test_UnbondingStakeIsNextTheNewestRequestFirst() public {
        unstakeAs(validator, 30);
        warpTo(1);
        unstakeAs(validator, 20);
        warpTo(2);
        unstakeAs(validator, 10);
        // 40 are staked; 10, 20 and 30 unbond until epochs 5, 4 and 3.
        vm.expectEmit(address(vault));
        emit IVault.Slashed(TASK, 2, validator, 20, 8, 0, WAD);
        assertEq(vault.slash(TASK, validator, 280), 28);
        // Of the newest its half, of the next what was missing.
        (uint256 requests, uint256 amount,) = vault.unbondingOf(TASK, validator, validator);
        assertEq(requests, 3);
        assertEq(amount, 5 + 17 + 30);
        // Released is released.
        warpTo(3);
        vm.expectEmit(address(vault));
        emit IVault.Slashed(TASK, 3, validator, 10, 2 + 8, 0, 0.9e18);
        assertEq(vault.slash(TASK, validator, 650), 20);
        assertEq(withdrawAs(validator, validator), 30);
        warpTo(5);
        assertEq(withdrawAs(validator, validator), 3 + 9);
        assertExact();
    }

    function test_AnOperatorLosesAtMostFiveTimesTheFractionOfItsOwn() public {
        delegateTo(alice, validator, 1_000_000);
        vm.expectEmit(address(vault));
        emit IVault.Slashed(TASK, 0, validator, 50, 0, 99_950, 0.90005e18);
        assertEq(vault.slash(TASK, validator, 1_000_000), 100_000);
        vault.slash(TASK, validator, 1_000_000);
        assertStake(validator, 1, 25, 810_045);
        assertExact();
    }

    function test_APoolWithoutAnythingLosesNothing() public {
        unstakeAs(validator, 100);
        warpTo(3);
        assertEq(vault.slash(TASK, validator, 1000), 0);
        assertEq(withdrawAs(validator, validator), 100);
        assertEq(vault.slash(TASK, validator, type(uint96).max), 0);
        assertExact();
    }

    // ------------------------------------------------------------------ its delegators

    function test_DelegatorsPayWhatTheOperatorCannot() public {
        delegateTo(alice, validator, 6000);
        delegateTo(bob, validator, 2000);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.Slashed(TASK, 1, validator, 50, 0, 400, 0.95e18);
        assertEq(vault.slash(TASK, validator, 4500), 450);
        assertDelegation(alice, 6000, 5700);
        assertDelegation(bob, 2000, 1900);
        assertStake(validator, 1, 100, 8000);
        assertStake(validator, 2, 50, 7600);
        assertExact();

        undelegateFrom(alice, validator, 5700);
        undelegateFrom(bob, validator, 1900);
        warpTo(4);
        assertEq(withdrawAs(alice, validator), 5700);
        assertEq(withdrawAs(bob, validator), 1900);
        assertEq(vault.burn(), 450);
        assertExact();
    }

    function test_NoDelegatorLosesMoreThanTheFraction() public {
        delegateTo(alice, validator, 1000);
        // The penalty is 10 000, far more than all there is.
        assertEq(vault.slash(TASK, validator, 100_000), 50 + 100);
        assertDelegation(alice, 1000, 900);
        assertEq(vault.slash(TASK, validator, 100_000), 25 + 90);
        assertDelegation(alice, 1000, 810);
        assertEq(vault.factorOf(TASK, validator), 0.81e18);
        assertExact();
    }

    function test_SharesAreWorthWhatTheFactorSays() public {
        delegateTo(alice, validator, 1000);
        vault.slash(TASK, validator, 100_000);
        // A newcomer buys at the factor, and the earlier loss is not his.
        vm.expectEmit(address(vault));
        emit IVault.Delegated(TASK, 0, validator, bob, 900, 1000);
        delegateTo(bob, validator, 900);
        assertDelegation(alice, 1000, 900);
        assertDelegation(bob, 1000, 900);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.Undelegated(TASK, 1, validator, bob, 90, 100, 4);
        undelegateFrom(bob, validator, 90);
        assertDelegation(bob, 900, 810);
        assertExact();
    }

    function test_AnUnbondingDelegatorBearsWhatFallsBeforeTheRelease() public {
        delegateTo(alice, validator, 1000);
        delegateTo(bob, validator, 1000);
        warpTo(1);
        undelegateFrom(alice, validator, 400);
        vault.slash(TASK, validator, 2_000_000);
        (, uint256 amount,) = vault.unbondingOf(TASK, validator, alice);
        assertEq(amount, 360);
        warpTo(3);
        vault.slash(TASK, validator, 2_000_000);
        (, amount,) = vault.unbondingOf(TASK, validator, alice);
        assertEq(amount, 324);
        // From the release on slashes pass it by.
        warpTo(4);
        vault.slash(TASK, validator, 2_000_000);
        uint256 before = vault.slashed();
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(TASK, validator, alice, 324, 76);
        assertEq(withdrawAs(alice, validator), 324);
        assertEq(vault.slashed() - before, 76);
        assertExact();
    }

    function test_IfEverybodyLeavesTheirRequestsBearTheFraction() public {
        delegateTo(alice, validator, 1000);
        warpTo(1);
        undelegateFrom(alice, validator, 1000);
        assertEq(vault.slash(TASK, validator, 100_000), 50);
        warpTo(4);
        assertEq(withdrawAs(alice, validator), 900);
        assertEq(vault.slashed(), 150);
        assertExact();
    }

    function test_RequestsOfOneEpochBearTheSlashBetweenThem() public {
        delegateTo(alice, validator, 2000);
        warpTo(1);
        undelegateFrom(alice, validator, 1000);
        vault.slash(TASK, validator, 100_000);
        undelegateFrom(alice, validator, 900);
        warpTo(4);
        assertEq(withdrawAs(alice, validator), 900 + 900);
        assertExact();
    }

    function test_WhatIsWorthNothingGoesWithTheRest() public {
        delegateTo(alice, validator, 1001);
        vault.slash(TASK, validator, 10_000_000);
        // 1001 shares are worth 900; 1000 would be enough for them.
        undelegateFrom(alice, validator, 900);
        assertDelegation(alice, 0, 0);
        assertStake(validator, 1, 50, 0);
    }

    // ------------------------------------------------------------------ rewards of a slashed pool

    function test_TheEpochInFlightPaysByTheSharesThatItBeganWith() public {
        delegateTo(alice, validator, 384 * UNIT);
        delegateTo(bob, validator, 128 * UNIT);
        warpTo(1);
        open();
        vault.slash(TASK, validator, 1 << 60);
        warpTo(2);
        undelegateFrom(bob, validator, 64 * UNIT);
        assertStake(validator, 1, 100, 512 * UNIT);
        credit(validator, 400, 0);
        close();
        assertEq(claimAs(alice, validator), 300);
        assertEq(claimAs(bob, validator), 100);
        assertLe(surplus(), 3);
    }

    // ------------------------------------------------------------------ total loss

    function test_AWornOutPoolTakesNoDelegationButLetsEverybodyOut() public {
        delegateTo(alice, validator, WEALTH);
        // 0.9^132 is just below 1e-6.
        for (uint256 i = 0; i < 131; ++i) {
            vault.slash(TASK, validator, type(uint96).max);
        }
        delegateTo(bob, validator, UNIT);
        vault.slash(TASK, validator, type(uint96).max);
        expect(IVault.PoolWornOut.selector, abi.encode(TASK, validator));
        delegateTo(bob, validator, UNIT);
        // The operator may go on alone.
        stakeAs(validator, Role.Validator, 50);
        assertStake(validator, 1, 51, uint256(WEALTH) * vault.factorOf(TASK, validator) / WAD + 58_982);
        (, uint256 left) = vault.delegationOf(TASK, validator, alice);
        assertGt(left, 0);
        undelegateFrom(alice, validator, uint96(left));
        (, uint256 bobs) = vault.delegationOf(TASK, validator, bob);
        undelegateFrom(bob, validator, uint96(bobs));
        warpTo(3);
        assertEq(withdrawAs(alice, validator), left);
        assertEq(withdrawAs(bob, validator), bobs);
        assertLe(surplus(), 10);
    }

    function test_AFactorOfAMillionthIsTheLeastThatTakesDelegation() public {
        delegateTo(alice, validator, WEALTH);
        for (uint256 i = 0; i < 131; ++i) {
            vault.slash(TASK, validator, type(uint96).max);
        }
        // From here to the limit itself. The operator's last unit is too little to be halved.
        uint256 factor = vault.factorOf(TASK, validator);
        uint256 loss = (factor - 1e12) * WAD / factor;
        (, uint256 left) = vault.delegationOf(TASK, validator, alice);
        vault.slash(TASK, validator, left * loss / WAD * WAD / SLASH_WAD);
        assertEq(vault.factorOf(TASK, validator), 1e12);
        delegateTo(bob, validator, UNIT);
        // The least penalty of all costs a unit of the factor.
        assertEq(vault.slash(TASK, validator, WAD / SLASH_WAD), WEALTH / WAD + 1);
        assertEq(vault.factorOf(TASK, validator), 1e12 - 1);
        expect(IVault.PoolWornOut.selector, abi.encode(TASK, validator));
        delegateTo(bob, validator, UNIT);
    }

    function test_AShareThatLostEverythingStaysWorthNextToNothing() public {
        delegateTo(alice, validator, WEALTH);
        warpTo(1);
        for (uint256 i = 0; i < 500; ++i) {
            vault.slash(TASK, validator, type(uint96).max);
        }
        uint256 left = WEALTH / WAD;
        assertEq(vault.factorOf(TASK, validator), 1);
        assertStake(validator, 1, 100, WEALTH);
        assertStake(validator, 2, 1, left);
        warpTo(2);
        assertStake(validator, 2, 1, left);
        undelegateFrom(alice, validator, uint96(left));
        warpTo(5);
        assertEq(withdrawAs(alice, validator), left);
        assertLe(surplus(), 3);
    }

    // ------------------------------------------------------------------ burning

    function test_AnybodyBurnsWhatWasSlashed() public {
        vm.expectRevert(IVault.NothingToBurn.selector);
        vault.burn();
        vault.slash(TASK, validator, 300);
        vm.expectEmit(address(vault));
        emit IVault.Burned(30);
        vm.prank(bob);
        assertEq(vault.burn(), 30);
        assertEq(token.balanceOf(GRAVE), 30);
        assertEq(vault.slashed(), 0);
        vm.expectRevert(IVault.NothingToBurn.selector);
        vault.burn();
        assertExact();
    }

    // ------------------------------------------------------------------ any slash

    /// @notice Nobody loses more than the fraction and a unit, and what is lost is what is counted as slashed.
    function testFuzz_NobodyLosesMoreThanTheFraction(
        uint96 first,
        uint96 second,
        uint96 own,
        uint256 effective
    ) public {
        first = uint96(bound(first, 1, WEALTH));
        second = uint96(bound(second, 1, WEALTH));
        own = uint96(bound(own, 1, WEALTH - 100));
        effective = bound(effective, 0, type(uint96).max);
        delegateTo(alice, validator, first);
        delegateTo(bob, validator, second);
        stakeAs(validator, Role.Validator, own);
        uint256 taken = vault.slash(TASK, validator, effective);
        // The loss of a share is rounded up to a multiple of 1e-18, and their worth down.
        uint256 rounding = 1 + (uint256(first) + second) / WAD;
        assertLe(taken, effective / 10 + rounding, "no more than the penalty");
        assertEq(vault.slashed(), taken);
        (, uint256 left) = vault.delegationOf(TASK, validator, alice);
        assertGe(left, first - (uint256(first) + 9) / 10, "alice");
        (, uint256 leftToo) = vault.delegationOf(TASK, validator, bob);
        assertGe(leftToo, second - (uint256(second) + 9) / 10, "bob");
        uint256 direct = vault.stakeAt(TASK, validator, 1).direct;
        uint256 before = uint256(own) + 100;
        assertGe(direct, before - before / 2, "the operator at most its half");
        if (left + leftToo < uint256(first) + second) {
            assertEq(direct, before - before / 2, "which comes first");
        }
        assertLe(surplus(), 1);
    }

    // ------------------------------------------------------------------ parts

    function assertDelegation(address who, uint256 shares, uint256 amount) internal view {
        (uint256 s, uint256 a) = vault.delegationOf(TASK, validator, who);
        assertEq(s, shares, "shares");
        assertEq(a, amount, "amount");
    }
}
