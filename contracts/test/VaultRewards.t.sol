// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice How a pool's reward reaches its operator and its delegators (M-6), however late an epoch is settled.
/// @dev The stakes of the tests with exact amounts add up to powers of two, which the reward per share divides exactly.
contract VaultRewardsTest is VaultFixture {
    function setUp() public override {
        super.setUp();
        fund(10_000);
        stakeAs(node, Role.Node, 100);
    }

    function test_WithoutDelegationAllIsTheOperators() public {
        setCommissionAs(node, 0);
        warpTo(1);
        open();
        vm.expectEmit(address(vault));
        emit IVault.Credited(TASK, 1, node, 80, 0, 80);
        credit(node, 80, 0);
        close();
        assertEq(vault.claimable(TASK, node, node), 80);
        vm.expectEmit(address(vault));
        emit IVault.Claimed(TASK, node, node, 80, 0);
        assertEq(claimAs(node, node), 80);
        expect(IVault.NothingToClaim.selector, abi.encode(node));
        claimAs(node, node);
        assertExact();
    }

    function test_DelegatorsShareTheDifferenceLessCommission() public {
        setCommissionAs(node, 0.25e18);
        delegateTo(alice, node, 384 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
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
        delegateTo(alice, node, 300 * UNIT);
        // Rounding can make the reward without delegation larger than that with it; the difference counts as 0.
        payEpoch(1, node, 50, 51);
        assertEq(claimAs(node, node), 50);
        expect(IVault.NothingToClaim.selector, abi.encode(alice));
        claimAs(alice, node);
        assertExact();
    }

    function test_AFullCommissionLeavesNothingToDelegators() public {
        setCommissionAs(node, uint64(WAD));
        delegateTo(alice, node, 300 * UNIT);
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
        delegateTo(alice, node, 128 * UNIT);
        warpTo(1);
        open();
        delegateTo(bob, node, 384 * UNIT);
        credit(node, 100, 0);
        close();
        assertEq(vault.claimable(TASK, node, alice), 100);
        assertEq(vault.claimable(TASK, node, bob), 0);
        payEpoch(2, node, 100, 0);
        assertEq(vault.claimable(TASK, node, alice), 125);
        assertEq(vault.claimable(TASK, node, bob), 75);
        assertExact();
    }

    function test_WhoLeavesDuringAnEpochStillEarnsIt() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
        warpTo(1);
        open();
        undelegateFrom(alice, node, 128 * UNIT);
        // Epoch 1 is settled two epochs later: what happened in between does not change who earned it.
        warpTo(3);
        delegateTo(alice, node, 960 * UNIT);
        undelegateFrom(bob, node, 64 * UNIT);
        credit(node, 100, 0);
        close();
        assertEq(vault.claimable(TASK, node, alice), 50);
        assertEq(vault.claimable(TASK, node, bob), 50);
        pay(node, 100, 0);
        assertEq(claimAs(alice, node), 50);
        assertEq(claimAs(bob, node), 150);
        payEpoch(4, node, 64, 0);
        assertEq(claimAs(alice, node), 60);
        assertEq(claimAs(bob, node), 4);
        assertExact();
    }

    /// @notice Both delegators change in each of four epochs while epoch 1 is in flight.
    function test_AnEpochInFlightOverManyChangesPaysWhoHeldItsShares() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 384 * UNIT);
        warpTo(1);
        open();
        for (uint32 epoch = 2; epoch < 6; ++epoch) {
            warpTo(epoch);
            delegateTo(alice, node, epoch * UNIT);
            undelegateFrom(bob, node, epoch * UNIT);
        }
        credit(node, 400, 0);
        close();
        assertEq(vault.claimable(TASK, node, alice), 100);
        assertEq(vault.claimable(TASK, node, bob), 300);
        // Epoch 5 itself is drawn after that, with the shares that the changes of epoch 4 left: 137 and 375.
        open();
        assertEq(vault.claimable(TASK, node, alice), 100);
        assertEq(vault.claimable(TASK, node, bob), 300);
        credit(node, 512, 0);
        close();
        assertEq(vault.claimable(TASK, node, alice), 100 + 137);
        assertEq(claimAs(bob, node), 300 + 375);
        payEpoch(6, node, 512, 0);
        assertEq(claimAs(alice, node), 100 + 137 + 142);
        assertEq(claimAs(bob, node), 370);
        assertExact();
    }

    /// @dev Others' changes mark the beginning of hers before the epoch in flight is credited; she claims meanwhile.
    function test_AClaimWhileAnEpochIsInFlightKeepsItsReward() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 384 * UNIT);
        payEpoch(1, node, 512, 0);
        warpTo(2);
        open();
        undelegateFrom(alice, node, 64 * UNIT);
        for (uint32 epoch = 3; epoch < 6; ++epoch) {
            warpTo(epoch);
            delegateTo(bob, node, UNIT);
        }
        assertEq(claimAs(alice, node), 128);
        credit(node, 512, 0);
        close();
        assertEq(claimAs(alice, node), 128);
        assertEq(claimAs(bob, node), 384 + 384);
        assertExact();
    }

    /// @dev What is pending belongs to the shares of its epoch, in which the last stage but one began.
    function test_ACreditOfAStagesFirstEpochBelongsToThatStage() public {
        delegateTo(alice, node, UNIT);
        warpTo(1);
        delegateTo(bob, node, 3 * UNIT);
        payEpoch(2, node, 400, 0);
        warpTo(3);
        delegateTo(alice, node, UNIT);
        assertEq(claimAs(alice, node), 100);
        assertEq(claimAs(bob, node), 300);
        assertExact();
    }

    function test_TwoChangesInAnEpochCountFromTheNext() public {
        delegateTo(bob, node, UNIT);
        warpTo(1);
        delegateTo(alice, node, UNIT);
        delegateTo(alice, node, UNIT);
        pay(node, 100, 0);
        assertEq(vault.claimable(TASK, node, alice), 0);
        payEpoch(2, node, 300, 0);
        assertEq(claimAs(alice, node), 200);
        assertEq(claimAs(bob, node), 200);
        assertExact();
    }

    function test_ASingleUnitIsCredited() public {
        delegateTo(alice, node, UNIT);
        payEpoch(1, node, 1, 0);
        assertEq(claimAs(alice, node), 1);
        assertExact();
    }

    function test_AnEpochInFlightPaysOldSharesThoughOthersChangeLater() public {
        assertOldSharesArePaid(128 * UNIT, 100);
    }

    /// @dev The credit raises the reward per share by the least there is.
    function test_TheLeastRisePaysOldShares() public {
        fund(1 << 20);
        assertOldSharesArePaid(1 << 76, 1 << 12);
    }

    /// @dev Others' changes drop the stage in which hers began before the epoch in flight is credited.
    function assertOldSharesArePaid(uint96 shares, uint256 reward) private {
        delegateTo(alice, node, shares);
        delegateTo(bob, node, 3 * shares);
        warpTo(1);
        open();
        warpTo(2);
        undelegateFrom(alice, node, shares / 2);
        for (uint32 epoch = 3; epoch < 6; ++epoch) {
            warpTo(epoch);
            delegateTo(bob, node, UNIT);
        }
        credit(node, 4 * reward, 0);
        close();
        assertEq(claimAs(alice, node), reward);
        assertEq(claimAs(bob, node), 3 * reward);
        assertExact();
    }

    /// @dev She claims after her change, before the last epoch of her old shares is drawn.
    function test_AClaimAfterAChangeKeepsTheRewardOfItsEpoch() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
        payEpoch(1, node, 256, 0);
        warpTo(2);
        delegateTo(alice, node, 128 * UNIT);
        assertEq(claimAs(alice, node), 128);
        pay(node, 256, 0);
        assertEq(claimAs(alice, node), 128);
        payEpoch(3, node, 384, 0);
        assertEq(claimAs(alice, node), 256);
        assertEq(claimAs(bob, node), 128 + 128 + 128);
        assertExact();
    }

    function test_AChangeAfterAClaimCountsFromTheNextEpoch() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
        payEpoch(1, node, 256, 0);
        assertEq(claimAs(alice, node), 128);
        warpTo(2);
        delegateTo(alice, node, 128 * UNIT);
        pay(node, 256, 0);
        assertEq(claimAs(alice, node), 128);
        assertEq(claimAs(bob, node), 128 + 128);
        assertExact();
    }

    /// @dev She changes twice while an epoch is in flight, claims before it is credited, and changes twice in another.
    function test_ClaimsBetweenTwoChangesAndTheCreditLoseNothing() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
        payEpoch(1, node, 256, 0);
        uint96 held = 128;
        uint256 owed = 128;
        for (uint32 epoch = 2; epoch < 6; epoch += 2) {
            warpTo(epoch);
            open();
            undelegateFrom(alice, node, 64 * UNIT);
            warpTo(epoch + 1);
            delegateTo(alice, node, 32 * UNIT);
            if (epoch == 2) {
                assertEq(claimAs(alice, node), owed);
                owed = 0;
            }
            credit(node, held + 128, 0);
            close();
            owed += held;
            assertEq(vault.claimable(TASK, node, alice), owed);
            held -= 32;
        }
        payEpoch(6, node, held + 128, 0);
        assertEq(claimAs(alice, node), owed + held);
        assertEq(claimAs(bob, node), 4 * 128);
        assertExact();
    }

    /// @dev The stage behind hers is dropped, and so marked, before the one in which hers began is.
    function test_AnEpochInFlightMarksWhereItsStageBegan() public {
        delegateTo(alice, node, 128 * UNIT);
        delegateTo(bob, node, 128 * UNIT);
        warpTo(1);
        open();
        for (uint32 epoch = 2; epoch < 5; ++epoch) {
            warpTo(epoch);
            delegateTo(bob, node, UNIT);
        }
        credit(node, 100, 0);
        close();
        assertEq(claimAs(alice, node), 50);
        assertEq(claimAs(bob, node), 50);
        assertExact();
    }

    function test_AnEpochThatClosesWithoutACreditChangesNothing() public {
        delegateTo(alice, node, 128 * UNIT);
        warpTo(1);
        open();
        delegateTo(bob, node, 128 * UNIT);
        warpTo(3);
        undelegateFrom(alice, node, 64 * UNIT);
        delegateTo(bob, node, 64 * UNIT);
        close();
        payEpoch(4, node, 100, 0);
        assertEq(claimAs(alice, node), 25);
        assertEq(claimAs(bob, node), 75);
        assertExact();
    }

    function test_ClaimingInTheMiddleOfAnOpenEpochLosesNothing() public {
        delegateTo(alice, node, 128 * UNIT);
        warpTo(1);
        open();
        credit(node, 40, 0);
        assertEq(claimAs(alice, node), 40);
        undelegateFrom(alice, node, 64 * UNIT);
        close();
        payEpoch(2, node, 40, 0);
        assertEq(claimAs(alice, node), 40);
        assertExact();
    }

    function test_WhoLeftForGoodStillClaims() public {
        delegateTo(alice, node, 128 * UNIT);
        payEpoch(1, node, 100, 0);
        undelegateFrom(alice, node, 128 * UNIT);
        payEpoch(2, node, 60, 10);
        assertEq(vault.claimable(TASK, node, node), 60, "nobody delegates any more");
        warpTo(LAST_EPOCH + 20);
        assertEq(claimAs(alice, node), 100);
        assertEq(withdrawAs(alice, node), 128 * UNIT);
        assertExact();
    }

    // ------------------------------------------------------------------ small pools

    /// @notice A pool of fewer than 2^16 shares earns as a part of so many; what it does not earn waits for later credits.
    function test_ASmallPoolEarnsItsPartAndLosesNothing() public {
        delegateTo(alice, node, UNIT / 4);
        payEpoch(1, node, 400, 0);
        assertEq(vault.claimable(TASK, node, alice), 100);
        delegateTo(bob, node, UNIT - UNIT / 4);
        payEpoch(2, node, 100, 0);
        assertEq(vault.claimable(TASK, node, alice), 100 + 100, "a quarter of what waited and came");
        assertEq(vault.claimable(TASK, node, bob), 300);
        assertExact();
    }

    function test_WhatASmallPoolDidNotEarnWaitsForTheNextCredit() public {
        delegateTo(alice, node, UNIT / 4);
        warpTo(1);
        open();
        delegateTo(bob, node, UNIT - UNIT / 4);
        credit(node, 400, 0);
        close();
        assertEq(vault.claimable(TASK, node, alice), 100);
        assertEq(vault.claimable(TASK, node, bob), 0);
        payEpoch(2, node, 100, 0);
        assertEq(vault.claimable(TASK, node, alice), 100 + 100);
        assertEq(vault.claimable(TASK, node, bob), 300);
        assertExact();
    }

    function test_CreditsToOneShareDoNotUseUpTheRange() public {
        fund(1 << 70);
        delegateTo(alice, node, 1);
        uint256 all = 0;
        for (uint32 epoch = 1; epoch <= LAST_EPOCH; ++epoch) {
            warpTo(epoch);
            (, uint256 bounty) = open();
            all += bounty;
            credit(node, bounty, 0);
            close();
            assertEq(vault.claimable(TASK, node, alice), all >> 16);
        }
    }

    /// @notice At the end of the range a pool earns no more, but nothing reverts, and nobody is owed what is not there.
    function test_TheEndOfTheRangeHurtsNobody() public {
        token.mint(creator, 1 << 94);
        fund(1 << 94);
        delegateTo(alice, node, 1);
        for (uint32 epoch = 1; epoch < 6; ++epoch) {
            warpTo(epoch);
            (, uint256 bounty) = open();
            credit(node, bounty, 0);
            close();
            delegateTo(bob, node, 1);
        }
        assertEq(vault.claimable(TASK, node, alice), type(uint64).max);
        assertEq(vault.claimable(TASK, node, bob), 0);
        undelegateFrom(alice, node, 1);
        undelegateFrom(bob, node, 5);
        assertEq(claimAs(alice, node), type(uint64).max);
        warpTo(8);
        assertEq(withdrawAs(bob, node), 5);
        assertGt(surplus(), 0);
    }

    // ------------------------------------------------------------------ P8

    /// @notice P8: claiming often or once pays the same to a unit per claim and fold.
    function testFuzz_P8ClaimingOftenOrOncePaysTheSame(uint256 seed) public {
        uint96 each = uint96(bound(seed, UNIT, 1 << 70));
        delegateTo(alice, node, each);
        delegateTo(bob, node, each);
        uint256 often = 0;
        uint256 claims = 0;
        for (uint32 epoch = 1; epoch < LAST_EPOCH; ++epoch) {
            seed = uint256(keccak256(abi.encode(seed)));
            payEpoch(epoch, node, seed % 900, 0);
            if ((seed >> 128) % 3 == 0 || vault.claimable(TASK, node, alice) == 0) continue;
            often += claimAs(alice, node);
            ++claims;
        }
        often += vault.claimable(TASK, node, alice);
        uint256 once = vault.claimable(TASK, node, bob);
        assertLe(often, once, "claiming often never pays more");
        assertGe(often + claims, once, "and a unit less for each claim at most");
    }
}
