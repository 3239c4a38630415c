// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Credit, IVault, Role, Terms, VaultConfig} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice Budgets: what an epoch may spend, what goes back, and who gets what a task leaves.
contract VaultBudgetTest is VaultFixture {
    // ------------------------------------------------------------------ funding

    function test_FundsCountFromTheNextEpoch() public {
        warpTo(3);
        vm.expectEmit(address(vault));
        emit IVault.Funded(TASK, 3, alice, 80);
        fundAs(alice, 80);
        assertEq(vault.contributionOf(TASK, alice), 80);
        vm.expectEmit(address(vault));
        emit IVault.BudgetOpened(TASK, 3, 0, 0);
        assertBudget(3, 0, 0);
        // It streams over epochs 4 to 10.
        assertBudget(4, 0, 11);
        assertExact();
    }

    function test_FundsOfSeveralEpochsCountOneAfterTheOther() public {
        warpTo(1);
        fund(100);
        warpTo(2);
        fund(900);
        fund(900);
        assertBudget(2, 0, 11);
        assertBudget(3, 0, 237);
        warpTo(5);
        fund(600);
        assertBudget(5, 0, 316);
        assertBudget(9, 0, 1250);
        assertExact();
    }

    function test_BountyStreamsEvenlyOverWhatIsLeft() public {
        fund(103);
        stakeAs(node, Role.Node, 10);
        // 103 over 10 epochs; two of them stay idle, so the rest is shared by fewer. The last gets what is left.
        uint32[8] memory epochs = [uint32(1), 2, 5, 6, 7, 8, 9, 10];
        uint8[8] memory bounties = [10, 10, 13, 14, 14, 14, 14, 14];
        for (uint256 i = 0; i < 8; ++i) {
            warpTo(epochs[i]);
            (, uint256 bounty) = open();
            assertEq(bounty, bounties[i]);
            credit(node, bounty, bounty);
            close();
        }
        assertEq(vault.bountyOf(TASK), 0, "nothing is left");
        assertExact();
    }

    function test_WhatIsNotPaidGoesBackInProportion() public {
        emission.admit(TASK);
        fundEmission(5000);
        fund(900);
        stakeAs(node, Role.Node, 10);
        warpTo(2);
        (uint256 emitted, uint256 bounty) = open();
        assertEq(emitted, 1000);
        assertEq(bounty, 100);
        assertEq(vault.reserve(), 4000);
        assertEq(vault.bountyOf(TASK), 800);
        credit(node, 540, 540);
        vm.expectEmit(address(vault));
        // 560 are left of 1000 + 100: 509 go to the reserve, rounded down, the rest to the bounty.
        emit IVault.BudgetSettled(TASK, 2, 540, 509, 51);
        close();
        assertEq(vault.reserve(), 4509);
        assertEq(vault.bountyOf(TASK), 851);
        assertExact();
    }

    function test_AnUnpaidEpochGivesAllBack() public {
        fund(1000);
        payEpoch(1, node, 0, 0);
        assertEq(vault.bountyOf(TASK), 1000);
        assertExact();
    }

    // ------------------------------------------------------------------ the open budget

    function test_TheReserveKeepsEveryGift() public {
        fundEmission(100);
        vm.expectEmit(address(vault));
        emit IVault.EmissionFunded(creator, 50);
        fundEmission(50);
        assertEq(vault.reserve(), 150);
    }

    function test_OneBudgetIsOpenAtATime() public {
        expect(IVault.BudgetClosed.selector, abi.encode(TASK));
        vault.credit(TASK, new Credit[](0));
        expect(IVault.BudgetClosed.selector, abi.encode(TASK));
        vault.closeBudget(TASK);
        warpTo(1);
        open();
        warpTo(2);
        expect(IVault.BudgetOpen.selector, abi.encode(TASK, 1));
        vault.openBudget(TASK);
        close();
        warpTo(LAST_EPOCH + 1);
        expect(IVault.TaskOver.selector, abi.encode(TASK, LAST_EPOCH));
        vault.openBudget(TASK);
    }

    function test_NobodyIsCreditedAboveTheBudget() public {
        fund(1010);
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        open();
        expect(IVault.OverBudget.selector, abi.encode(TASK, 102, 101));
        vault.credit(TASK, creditOf(102, 102));
        credit(node, 100, 100);
        expect(IVault.OverBudget.selector, abi.encode(TASK, 2, 1));
        vault.credit(TASK, creditOf(2, 0));
        credit(node, 1, 0);
        expect(IVault.OverBudget.selector, abi.encode(TASK, uint256(1), 0));
        vault.credit(TASK, creditOf(1, type(uint96).max));
        close();
        assertEq(claimAs(node, node), 101);
        assertExact();
    }

    function test_OneBatchIsCheckedByItsSum() public {
        fund(1000);
        stakeAs(node, Role.Node, 10);
        stakeAs(validator, Role.Validator, 20);
        warpTo(1);
        open();
        Credit[] memory credits = new Credit[](2);
        credits[0] = Credit({operator: node, withDelegation: 60, withoutDelegation: 60});
        credits[1] = Credit({operator: validator, withDelegation: 41, withoutDelegation: 0});
        expect(IVault.OverBudget.selector, abi.encode(TASK, 101, 100));
        vault.credit(TASK, credits);
        credits[1].withDelegation = 40;
        vault.credit(TASK, credits);
        openLeft = 0;
        assertEq(vault.claimable(TASK, node, node), 60);
        assertEq(vault.claimable(TASK, validator, validator), 40);
        close();
        assertExact();
    }

    // ------------------------------------------------------------------ the bond and the end

    function test_ATaskLocksTheBondOfItsCreator() public {
        uint256 before = token.balanceOf(creator);
        vm.expectEmit(address(vault));
        emit IVault.TaskRegistered(2, terms(), BOND);
        vault.register(2, terms());
        assertEq(before - token.balanceOf(creator), BOND);
        warpTo(LAST_EPOCH + 1);
        vm.expectEmit(address(vault));
        emit IVault.Reclaimed(TASK, creator, 0, BOND);
        assertEq(reclaimAs(creator), BOND);
        expect(IVault.NothingToReclaim.selector, abi.encode(TASK));
        reclaimAs(creator);
        expect(IVault.NothingToReclaim.selector, abi.encode(TASK));
        reclaimAs(alice);
    }

    function test_WithoutTheBondThereIsNoTask() public {
        Terms memory t = terms();
        t.creator = makeAddr("poor");
        vm.expectRevert();
        vault.register(2, t);
    }

    function test_FundersReclaimInProportionWhateverTheOrder() public {
        fundAs(creator, 300);
        fundAs(alice, 300);
        fundAs(alice, 200);
        fundAs(bob, 200);
        stakeAs(node, Role.Node, 10);
        payEpoch(1, node, 97, 97);
        warpTo(LAST_EPOCH);
        expect(IVault.TaskNotOver.selector, abi.encode(TASK, LAST_EPOCH));
        reclaimAs(alice);
        open();
        warpTo(LAST_EPOCH + 1);
        expect(IVault.BudgetOpen.selector, abi.encode(TASK, LAST_EPOCH));
        reclaimAs(alice);
        close();

        // 903 are left. In which order they ask makes no difference.
        uint256 snapshot = vm.snapshotState();
        assertEq(reclaimAs(alice), 451);
        assertEq(reclaimAs(creator), 270 + BOND);
        assertEq(reclaimAs(bob), 180);
        expect(IVault.NothingToReclaim.selector, abi.encode(TASK));
        reclaimAs(alice);
        assertEq(vault.contributionOf(TASK, alice), 0);
        vm.revertToState(snapshot);
        assertEq(reclaimAs(bob), 180);
        assertEq(reclaimAs(creator), 270 + BOND);
        assertEq(reclaimAs(alice), 451);
    }

    function test_AShortenedTaskEndsEarlierAndStreamsOnAtItsRate() public {
        fund(1000);
        warpTo(2);
        vm.expectEmit(address(vault));
        emit IVault.TaskShortened(TASK, 5);
        vault.shorten(TASK, 5);
        assertEq(vault.termsOf(TASK).lastEpoch, 5);
        expect(IVault.TaskOver.selector, abi.encode(TASK, 5));
        vault.shorten(TASK, 5);
        assertBudget(2, 0, 111);
        warpTo(5);
        expect(IVault.TaskOver.selector, abi.encode(TASK, 5));
        fund(1);
        warpTo(6);
        assertEq(reclaimAs(creator), 1000 + BOND);
        assertEq(token.balanceOf(address(vault)), 0);
    }

    function test_WithoutABondTheCreatorGetsNone() public {
        (vault, emission) = deploy(configWithBond(0), emissionConfig());
        vault.register(TASK, terms());
        warpTo(LAST_EPOCH + 1);
        expect(IVault.NothingToReclaim.selector, abi.encode(TASK));
        reclaimAs(creator);
    }

    function test_ABondOfOneUnitIsGivenBack() public {
        (vault, emission) = deploy(configWithBond(1), emissionConfig());
        enrich(creator);
        vault.register(TASK, terms());
        warpTo(LAST_EPOCH + 1);
        assertEq(reclaimAs(creator), 1);
    }

    function test_GivenTokensBelongToNobody() public {
        token.mint(address(vault), 77);
        fund(10);
        warpTo(LAST_EPOCH + 1);
        assertEq(reclaimAs(creator), 10 + BOND);
        assertEq(token.balanceOf(address(vault)), 77);
    }

    /// @notice Whatever was given and spent, the funders together get all that is left, but for less than a unit each.
    function testFuzz_FundersShareAllThatIsLeft(uint96 first, uint96 second, uint96 third, uint256 spent)
        public
    {
        first = uint96(bound(first, 1, WEALTH));
        second = uint96(bound(second, 1, WEALTH));
        third = uint96(bound(third, 1, WEALTH));
        fundAs(alice, first);
        fundAs(bob, second);
        fundAs(node, third);
        stakeAs(validator, Role.Validator, 20);
        warpTo(LAST_EPOCH);
        (, uint256 bounty) = open();
        assertEq(bounty, uint256(first) + second + third);
        spent = bound(spent, 0, bounty);
        credit(validator, spent, spent);
        close();
        warpTo(LAST_EPOCH + 1);
        uint256 got = reclaimIfAny(alice) + reclaimIfAny(bob) + reclaimIfAny(node);
        assertLe(got, bounty - spent);
        assertGe(got + 2, bounty - spent);
    }

    // ------------------------------------------------------------------ parts

    function configWithBond(uint96 bond) internal view returns (VaultConfig memory c) {
        c = vaultConfig();
        c.bond = bond;
    }

    function reclaimIfAny(address who) internal returns (uint256) {
        if (vault.bountyOf(TASK) == 0) return 0;
        vm.prank(who);
        try vault.reclaim(TASK) returns (uint256 amount) {
            return amount;
        } catch {
            return 0;
        }
    }

    function creditOf(uint96 with_, uint96 without) internal view returns (Credit[] memory credits) {
        credits = new Credit[](1);
        credits[0] = Credit({operator: node, withDelegation: with_, withoutDelegation: without});
    }

    function assertBudget(uint32 epoch, uint256 emission_, uint256 bounty) internal {
        warpTo(epoch);
        (uint256 e, uint256 b) = open();
        assertEq(e, emission_, "emission");
        assertEq(b, bounty, "bounty");
        close();
    }
}
