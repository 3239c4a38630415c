// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {BareToken, FeeToken, GenerousToken, ReentrantToken, RefusingToken} from "./base/HostileTokens.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice Budgets: what an epoch may spend, what goes back, and what hostile tokens achieve.
contract VaultBudgetTest is VaultFixture {
    // ------------------------------------------------------------------ funding

    function test_FundsCountFromTheNextEpoch() public {
        warpTo(3);
        vm.expectEmit(address(vault));
        emit IVault.Funded(TASK, 3, creator, 250, 80);
        fund(250, 80);
        vm.expectEmit(address(vault));
        emit IVault.BudgetOpened(TASK, 3, 0, 0);
        assertBudget(3, 0, 0);
        // The bounty streams over epochs 4 to 10.
        assertBudget(4, 100, 11);
        assertExact();
    }

    function test_EmissionIsCappedByTheReserve() public {
        fund(250, 0);
        stakeAs(node, Role.Node, 10);
        uint96[4] memory emissions = [uint96(100), 100, 50, 0];
        for (uint32 i = 0; i < 4; ++i) {
            (uint256 emission, uint256 bounty) = vault.openBudget(TASK, i + 1);
            assertEq(emission, emissions[i]);
            assertEq(bounty, 0);
            if (emission != 0) vault.credit(TASK, node, emission, emission);
            vault.closeBudget(TASK);
        }
        assertExact();
    }

    function test_BountyStreamsEvenlyOverWhatIsLeft() public {
        fund(0, 103);
        stakeAs(node, Role.Node, 10);
        // 103 over 10 epochs; two of them stay idle, so the rest is shared by fewer. The last gets what is left.
        uint32[8] memory epochs = [uint32(1), 2, 5, 6, 7, 8, 9, 10];
        uint8[8] memory bounties = [10, 10, 13, 14, 14, 14, 14, 14];
        for (uint256 i = 0; i < 8; ++i) {
            (, uint256 bounty) = vault.openBudget(TASK, epochs[i]);
            assertEq(bounty, bounties[i]);
            vault.credit(TASK, node, bounty, bounty);
            vault.closeBudget(TASK);
        }
        (uint256 reserve, uint256 left) = vault.unspent(TASK);
        assertEq(reserve + left, 0, "nothing is left");
        assertExact();
    }

    function test_WhatIsNotPaidGoesBackInProportion() public {
        fund(1000, 100);
        stakeAs(node, Role.Node, 10);
        vault.openBudget(TASK, 1);
        (uint256 reserve, uint256 bounty) = vault.unspent(TASK);
        assertEq(reserve, 900);
        assertEq(bounty, 90);
        vault.credit(TASK, node, 54, 54);
        vm.expectEmit(address(vault));
        // 56 are left of 100 + 10: 50 go to the reserve, rounded down, the rest to the bounty.
        emit IVault.BudgetSettled(TASK, 1, 54, 50, 6);
        vault.closeBudget(TASK);
        (reserve, bounty) = vault.unspent(TASK);
        assertEq(reserve, 950);
        assertEq(bounty, 96);
        assertExact();
    }

    function test_AnUnpaidEpochGivesAllBack() public {
        fund(1000, 100);
        payEpoch(1, node, 0, 0);
        (uint256 reserve, uint256 bounty) = vault.unspent(TASK);
        assertEq(reserve, 1000);
        assertEq(bounty, 100);
    }

    // ------------------------------------------------------------------ the open budget

    function test_OneBudgetIsOpenAtATime() public {
        expect(IVault.BudgetClosed.selector, abi.encode(TASK));
        vault.credit(TASK, node, 0, 0);
        expect(IVault.BudgetClosed.selector, abi.encode(TASK));
        vault.closeBudget(TASK);
        vault.openBudget(TASK, 1);
        expect(IVault.BudgetOpen.selector, abi.encode(TASK, 1));
        vault.openBudget(TASK, 2);
        vault.closeBudget(TASK);
        expect(IVault.TaskOver.selector, abi.encode(TASK, LAST_EPOCH));
        vault.openBudget(TASK, LAST_EPOCH + 1);
    }

    function test_NobodyIsCreditedAboveTheBudget() public {
        fund(100, 10);
        stakeAs(node, Role.Node, 10);
        vault.openBudget(TASK, 1);
        expect(IVault.OverBudget.selector, abi.encode(TASK, 102, 101));
        vault.credit(TASK, node, 102, 102);
        vault.credit(TASK, node, 100, 100);
        expect(IVault.OverBudget.selector, abi.encode(TASK, 2, 1));
        vault.credit(TASK, node, 2, 0);
        vault.credit(TASK, node, 1, 0);
        expect(IVault.OverBudget.selector, abi.encode(TASK, type(uint256).max, 0));
        vault.credit(TASK, node, type(uint256).max, 0);
        vault.closeBudget(TASK);
        assertEq(claimAs(node, node), 101);
        assertExact();
    }

    // ------------------------------------------------------------------ reclaiming

    function test_TheCreatorReclaimsWhatIsLeftAfterTheEnd() public {
        fund(1000, 100);
        expect(IVault.NotCreator.selector, abi.encode(TASK, alice));
        vm.prank(alice);
        vault.reclaim(TASK);
        warpTo(LAST_EPOCH);
        expect(IVault.TaskNotOver.selector, abi.encode(TASK, LAST_EPOCH));
        reclaim();

        vault.openBudget(TASK, LAST_EPOCH);
        warpTo(LAST_EPOCH + 1);
        expect(IVault.BudgetOpen.selector, abi.encode(TASK, LAST_EPOCH));
        reclaim();
        vault.closeBudget(TASK);

        uint256 before = token.balanceOf(creator);
        vm.expectEmit(address(vault));
        emit IVault.Reclaimed(TASK, creator, 1100);
        assertEq(reclaim(), 1100);
        assertEq(token.balanceOf(creator) - before, 1100);
        expect(IVault.NothingToReclaim.selector, abi.encode(TASK));
        reclaim();
        assertExact();
    }

    // ------------------------------------------------------------------ hostile tokens

    function test_ATokenThatDeliversAnotherAmountIsRefused() public {
        refused(new FeeToken(), abi.encodeWithSelector(IVault.TokenAmountMismatch.selector, 50, 49));
        refused(new GenerousToken(), abi.encodeWithSelector(IVault.TokenAmountMismatch.selector, 50, 51));
        RefusingToken refusing = new RefusingToken();
        refused(refusing, abi.encodeWithSignature("SafeERC20FailedOperation(address)", refusing));
    }

    function test_ATokenCannotReenter() public {
        ReentrantToken hostile = new ReentrantToken();
        IVault other = vaultOf(hostile);
        hostile.mint(alice, 1000);
        vm.startPrank(alice);
        other.stake(TASK, Role.Node, 50);
        other.unstake(TASK, 10);
        vm.stopPrank();
        warpTo(4);
        bytes[8] memory calls = [
            abi.encodeCall(IVault.stake, (TASK, Role.Node, 1)),
            abi.encodeCall(IVault.unstake, (TASK, 1)),
            abi.encodeCall(IVault.delegate, (TASK, alice, 1)),
            abi.encodeCall(IVault.undelegate, (TASK, alice, 1)),
            abi.encodeCall(IVault.fund, (TASK, 1, 1)),
            abi.encodeCall(IVault.withdraw, (1)),
            abi.encodeCall(IVault.claim, (TASK, alice)),
            abi.encodeCall(IVault.reclaim, (TASK))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.arm(address(other), calls[i]);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.prank(alice);
            other.stake(TASK, Role.Node, 50);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.prank(alice);
            other.withdraw(1);
        }
    }

    function test_GivenTokensBelongToNobody() public {
        token.mint(address(vault), 77);
        fund(10, 0);
        warpTo(LAST_EPOCH + 1);
        assertEq(reclaim(), 10);
        assertEq(token.balanceOf(address(vault)), 77);
    }

    // ------------------------------------------------------------------ parts

    function assertBudget(uint32 epoch, uint256 emission, uint256 bounty) internal {
        (uint256 e, uint256 b) = vault.openBudget(TASK, epoch);
        assertEq(e, emission, "emission");
        assertEq(b, bounty, "bounty");
        vault.closeBudget(TASK);
    }

    function reclaim() internal returns (uint256) {
        vm.prank(creator);
        return vault.reclaim(TASK);
    }

    function vaultOf(BareToken hostile) internal returns (IVault other) {
        other = newVault(address(hostile), address(this), GENESIS, EPOCH, UNBONDING);
        other.register(TASK, terms());
    }

    function refused(BareToken hostile, bytes memory reason) internal {
        IVault other = vaultOf(hostile);
        hostile.mint(alice, 1000);
        vm.startPrank(alice);
        vm.expectRevert(reason);
        other.stake(TASK, Role.Node, 50);
        vm.expectRevert(reason);
        other.fund(TASK, 20, 30);
        vm.stopPrank();
    }
}
