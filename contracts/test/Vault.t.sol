// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role, Terms} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice Stakes, delegation, unbonding and commission: what counts when, and what is refused.
contract VaultTest is VaultFixture {
    // ------------------------------------------------------------------ deployment

    function test_DeploymentChecksItsArguments() public {
        expectBadDeployment("token is no contract");
        newVaultAt(alice, address(this), GENESIS, EPOCH, UNBONDING);
        expectBadDeployment("arena is zero");
        newVaultAt(address(token), address(0), GENESIS, EPOCH, UNBONDING);
        expectBadDeployment("genesis is in the past");
        newVaultAt(address(token), address(this), uint64(block.timestamp - 1), EPOCH, UNBONDING);
        expectBadDeployment("epoch length is zero");
        newVaultAt(address(token), address(this), GENESIS, 0, UNBONDING);
        expectBadDeployment("unbonding takes no epoch");
        newVaultAt(address(token), address(this), GENESIS, EPOCH, 0);
    }

    function test_DeploymentIsReadable() public view {
        assertEq(vault.token(), address(token));
        assertEq(vault.arena(), address(this));
        assertEq(vault.genesis(), GENESIS);
        assertEq(vault.epochLength(), EPOCH);
        assertEq(vault.unbondingEpochs(), UNBONDING);
        assertEq(vault.termsOf(TASK).creator, creator);
        assertEq(vault.termsOf(TASK).lastEpoch, LAST_EPOCH);
    }

    function test_EpochsFollowTheClock() public {
        uint256[6] memory times =
            [0, GENESIS - 1, GENESIS, GENESIS + EPOCH - 1, GENESIS + EPOCH, uint256(GENESIS) + 7 * EPOCH];
        uint256[6] memory epochs = [uint256(0), 0, 1, 1, 2, 8];
        for (uint256 i = 0; i < times.length; ++i) {
            vm.warp(times[i]);
            assertEq(vault.currentEpoch(), epochs[i]);
        }
    }

    // ------------------------------------------------------------------ the arena alone

    function test_OnlyTheArenaDecides() public {
        bytes memory notArena = abi.encodeWithSelector(IVault.NotArena.selector, alice);
        vm.startPrank(alice);
        vm.expectRevert(notArena);
        vault.register(2, terms());
        vm.expectRevert(notArena);
        vault.openBudget(TASK, 1);
        vm.expectRevert(notArena);
        vault.credit(TASK, alice, 1, 1);
        vm.expectRevert(notArena);
        vault.closeBudget(TASK);
        vm.stopPrank();
    }

    function test_ATaskIsRegisteredOnce() public {
        expect(IVault.TaskExists.selector, abi.encode(TASK));
        vault.register(TASK, terms());
    }

    function test_UnknownTasksAreRefused() public {
        bytes memory unknown = abi.encodeWithSelector(IVault.UnknownTask.selector, 99);
        vm.startPrank(alice);
        vm.expectRevert(unknown);
        vault.stake(99, Role.Node, 1);
        vm.expectRevert(unknown);
        vault.delegate(99, node, 1);
        vm.expectRevert(unknown);
        vault.fund(99, 1, 0);
        vm.expectRevert(unknown);
        vault.reclaim(99);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ stakes

    function test_StakeCountsFromTheNextEpoch() public {
        warpTo(3);
        vm.expectEmit(address(vault));
        emit IVault.Staked(TASK, 3, node, Role.Node, 40, 40);
        stakeAs(node, Role.Node, 40);
        assertStake(node, 3, 0, 0);
        assertStake(node, 4, 40, 0);
        assertTotals(Role.Node, 3, 0, 0);
        assertTotals(Role.Node, 4, 40, 0);
        assertTotals(Role.Validator, 4, 0, 0);
        assertTrue(vault.roleOf(TASK, node) == Role.Node);

        stakeAs(node, Role.Node, 2);
        assertStake(node, 4, 42, 0);
        warpTo(4);
        stakeAs(node, Role.Node, 1);
        assertStake(node, 4, 42, 0);
        assertStake(node, 5, 43, 0);
        assertTotals(Role.Node, 100, 43, 0);
        assertExact();
    }

    function test_TheRoleIsForEver() public {
        vm.prank(node);
        vm.expectRevert(IVault.RoleInvalid.selector);
        vault.stake(TASK, Role.None, 1);

        stakeAs(node, Role.Node, 10);
        unstakeAs(node, 10);
        expect(IVault.RoleTaken.selector, abi.encode(TASK, node, Role.Node));
        stakeAs(node, Role.Validator, 10);
    }

    function test_NothingIsNoAmount() public {
        stakeAs(node, Role.Node, 10);
        bytes4 zero = IVault.ZeroAmount.selector;
        vm.startPrank(alice);
        vm.expectRevert(zero);
        vault.stake(TASK, Role.Node, 0);
        vm.expectRevert(zero);
        vault.unstake(TASK, 0);
        vm.expectRevert(zero);
        vault.delegate(TASK, node, 0);
        vm.expectRevert(zero);
        vault.undelegate(TASK, node, 0);
        vm.expectRevert(zero);
        vault.fund(TASK, 0, 0);
        vm.stopPrank();
    }

    function test_TotalsCountOnlyWhoReachesTheMinimum() public {
        stakeAs(validator, Role.Validator, 19);
        delegateTo(alice, validator, 1000);
        assertTotals(Role.Validator, 1, 0, 0);
        stakeAs(validator, Role.Validator, 1);
        assertTotals(Role.Validator, 1, 20, 1000);
        warpTo(1);
        delegateTo(bob, validator, 5);
        assertTotals(Role.Validator, 1, 20, 1000);
        assertTotals(Role.Validator, 2, 20, 1005);
        unstakeAs(validator, 1);
        assertTotals(Role.Validator, 1, 20, 1000);
        assertTotals(Role.Validator, 2, 0, 0);
        undelegateFrom(bob, validator, 5);
        assertTotals(Role.Validator, 2, 0, 0);
        assertStake(validator, 2, 19, 1000);
    }

    function test_TheMinimumDependsOnTheRole() public {
        stakeAs(node, Role.Node, 10);
        stakeAs(validator, Role.Validator, 10);
        assertTotals(Role.Node, 1, 10, 0);
        assertTotals(Role.Validator, 1, 0, 0);
    }

    function test_NobodyUnstakesMoreThanItsOwn() public {
        stakeAs(node, Role.Node, 10);
        delegateTo(alice, node, 100);
        expect(IVault.InsufficientStake.selector, abi.encode(11, 10));
        unstakeAs(node, 11);
        expect(IVault.InsufficientStake.selector, abi.encode(101, 100));
        undelegateFrom(alice, node, 101);
        expect(IVault.InsufficientStake.selector, abi.encode(1, 0));
        undelegateFrom(bob, node, 1);
        expect(IVault.InsufficientStake.selector, abi.encode(1, 0));
        unstakeAs(alice, 1);
    }

    function test_StakesEndWithTheTask() public {
        stakeAs(node, Role.Node, 10);
        delegateTo(alice, node, 10);
        warpTo(LAST_EPOCH);
        bytes memory over = abi.encodeWithSelector(IVault.TaskOver.selector, TASK, LAST_EPOCH);
        vm.expectRevert(over);
        stakeAs(node, Role.Node, 10);
        vm.expectRevert(over);
        delegateTo(bob, node, 10);
        vm.expectRevert(over);
        fund(1, 1);

        warpTo(LAST_EPOCH + 50);
        unstakeAs(node, 10);
        undelegateFrom(alice, node, 10);
        warpTo(LAST_EPOCH + 53);
        vm.prank(node);
        assertEq(vault.withdraw(10), 10);
        vm.prank(alice);
        assertEq(vault.withdraw(10), 10);
        assertExact();
    }

    function test_AllStakesTogetherStayBelowTheBound() public {
        uint96 most = type(uint96).max;
        token.mint(alice, most);
        token.mint(bob, most);
        stakeAs(alice, Role.Node, most - 1);
        stakeAs(bob, Role.Node, 1);
        expectOverflow(uint256(most) + 1);
        stakeAs(bob, Role.Node, 1);
        expectOverflow(uint256(most) + 1);
        delegateTo(bob, alice, 1);
        assertTotals(Role.Node, 1, most - 1, 0);
        assertExact();
    }

    // ------------------------------------------------------------------ delegation

    function test_DelegationNeedsAnOperator() public {
        expect(IVault.NotOperator.selector, abi.encode(TASK, node));
        delegateTo(alice, node, 10);
        stakeAs(node, Role.Node, 10);
        expect(IVault.SelfDelegation.selector, abi.encode(node));
        delegateTo(node, node, 10);
    }

    function test_DelegationCountsFromTheNextEpoch() public {
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.Delegated(TASK, 1, node, alice, 7);
        delegateTo(alice, node, 7);
        assertStake(node, 1, 10, 0);
        assertStake(node, 2, 10, 7);
        assertEq(vault.delegationAt(TASK, node, alice, 1), 0);
        assertEq(vault.delegationAt(TASK, node, alice, 2), 7);
        warpTo(2);
        vm.expectEmit(address(vault));
        emit IVault.Undelegated(TASK, 2, node, alice, 3);
        undelegateFrom(alice, node, 3);
        assertStake(node, 2, 10, 7);
        assertStake(node, 3, 10, 4);
        assertEq(vault.delegationAt(TASK, node, alice, 2), 7);
        assertEq(vault.delegationAt(TASK, node, alice, 3), 4);
        assertExact();
    }

    // ------------------------------------------------------------------ unbonding

    function test_UnbondingTakesItsEpochs() public {
        stakeAs(node, Role.Node, 30);
        warpTo(2);
        vm.expectEmit(address(vault));
        emit IVault.Unbonding(node, 10, 2 + 1 + UNBONDING);
        unstakeAs(node, 10);
        assertStake(node, 2, 30, 0);
        assertStake(node, 3, 20, 0);
        warpTo(3);
        unstakeAs(node, 5);

        for (uint256 epoch = 3; epoch < 5; ++epoch) {
            warpTo(epoch);
            expect(IVault.NothingToWithdraw.selector, abi.encode(node));
            vm.prank(node);
            vault.withdraw(10);
        }
        warpTo(5);
        (uint256 requests, uint256 amount, uint256 due) = vault.unbondingOf(node);
        assertEq(requests, 2);
        assertEq(amount, 15);
        assertEq(due, 10);
        uint256 before = token.balanceOf(node);
        vm.prank(node);
        assertEq(vault.withdraw(10), 10, "the first only");
        assertEq(token.balanceOf(node) - before, 10);
        warpTo(6);
        vm.prank(node);
        assertEq(vault.withdraw(10), 5);
        (requests, amount, due) = vault.unbondingOf(node);
        assertEq(requests + amount + due, 0);
        expect(IVault.NothingToWithdraw.selector, abi.encode(node));
        vm.prank(node);
        vault.withdraw(10);
        assertExact();
    }

    function test_WithdrawalsCanBeTakenInParts() public {
        stakeAs(node, Role.Node, 30);
        for (uint96 i = 1; i <= 5; ++i) {
            unstakeAs(node, i);
        }
        warpTo(3);
        vm.startPrank(node);
        expect(IVault.NothingToWithdraw.selector, abi.encode(node));
        vault.withdraw(0);
        assertEq(vault.withdraw(2), 1 + 2);
        assertEq(vault.withdraw(1), 3);
        assertEq(vault.withdraw(type(uint256).max), 4 + 5);
        vm.stopPrank();
        assertExact();
    }

    // ------------------------------------------------------------------ commission

    function test_CommissionIsAShare() public {
        stakeAs(node, Role.Node, 10);
        expect(IVault.CommissionTooHigh.selector, abi.encode(WAD + 1));
        setCommissionAs(node, uint64(WAD + 1));
        expect(IVault.NotOperator.selector, abi.encode(TASK, alice));
        setCommissionAs(alice, 1);
        setCommissionAs(node, uint64(WAD));
        assertEq(vault.commissionAt(TASK, node, 2), WAD);
    }

    function test_AHigherCommissionWaitsALowerOneDoesNot() public {
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.CommissionSet(TASK, node, 0.5e18, 3);
        setCommissionAs(node, 0.5e18);
        assertEq(vault.commissionAt(TASK, node, 2), 0);
        assertEq(vault.commissionAt(TASK, node, 3), 0.5e18);

        warpTo(3);
        setCommissionAs(node, 0.4e18);
        assertEq(vault.commissionAt(TASK, node, 3), 0.5e18);
        assertEq(vault.commissionAt(TASK, node, 4), 0.4e18);
    }

    function test_ALoweredCommissionIsNoBait() public {
        stakeAs(node, Role.Node, 10);
        setCommissionAs(node, 0.5e18);
        warpTo(5);
        setCommissionAs(node, 0.1e18);
        // Whoever delegates now expects 10 % in epoch 6, and can leave before epoch 7.
        setCommissionAs(node, 0.5e18);
        assertEq(vault.commissionAt(TASK, node, 6), 0.1e18);
        assertEq(vault.commissionAt(TASK, node, 7), 0.5e18);
    }

    function test_ALaterCommissionReplacesAWaitingOne() public {
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        setCommissionAs(node, 0.5e18);
        setCommissionAs(node, 0);
        for (uint256 epoch = 0; epoch < 6; ++epoch) {
            assertEq(vault.commissionAt(TASK, node, epoch), 0);
        }
    }

    // ------------------------------------------------------------------ expected errors

    function expectBadDeployment(bytes32 what) internal {
        vm.expectRevert(abi.encodeWithSelector(IVault.BadDeployment.selector, what));
    }

    function expectOverflow(uint256 value) internal {
        vm.expectRevert(abi.encodeWithSignature("SafeCastOverflowedUintDowncast(uint8,uint256)", 96, value));
    }

    /// @dev An external call of its own, because the cheatcode that deploys is a call as well.
    function newVaultAt(address token_, address arena, uint64 genesis, uint32 length, uint32 unbonding)
        internal
    {
        this.newVaultExternal(token_, arena, genesis, length, unbonding);
    }

    function newVaultExternal(address token_, address arena, uint64 genesis, uint32 length, uint32 unbonding)
        external
    {
        newVault(token_, arena, genesis, length, unbonding);
    }
}
