// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Credit, IVault, Role, Stake, Terms, VaultConfig} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice Stakes, delegation, unbonding and commission: what counts when, and what is refused.
contract VaultTest is VaultFixture {
    // ------------------------------------------------------------------ deployment

    function test_DeploymentChecksItsArguments() public {
        VaultConfig memory c = vaultConfig();
        c.token = alice;
        refusedAs("token is no contract", c);
        c = vaultConfig();
        c.arena = address(0);
        refusedAs("arena is zero", c);
        c = vaultConfig();
        c.genesis = uint64(block.timestamp - 1);
        refusedAs("genesis is in the past", c);
        c = vaultConfig();
        c.epochLength = 0;
        refusedAs("epoch length is zero", c);
        c = vaultConfig();
        (c.unbondingEpochs) = 1;
        refusedAs("unbonding epochs", c);
        c.unbondingEpochs = 61;
        refusedAs("unbonding epochs", c);
        c = vaultConfig();
        c.maxFeeWad = 0.2e18 + 1;
        refusedAs("fee limit", c);
        c = vaultConfig();
        c.slashWad = 0.1e18 + 1;
        refusedAs("slash fraction", c);
    }

    function test_TheVaultChecksThatTheEmissionIsItsOwn() public {
        VaultConfig memory c = vaultConfig();
        c.emission = alice;
        vm.expectRevert(badDeployment("emission is no contract"));
        this.deployVault(c);
        c.emission = address(emission);
        vm.expectRevert(badDeployment("emission of another vault"));
        this.deployVault(c);
    }

    function test_TheLimitsThemselvesAreAllowed() public {
        VaultConfig memory c = vaultConfig();
        (c.unbondingEpochs, c.maxFeeWad, c.slashWad, c.bond) = (60, 0.2e18, 0.1e18, 0);
        c.genesis = uint64(block.timestamp);
        (IVault other,) = deploy(c, emissionConfig());
        assertEq(other.unbondingEpochs(), 60);
    }

    function test_DeploymentIsReadable() public view {
        VaultConfig memory c = vaultConfig();
        c.emission = address(emission);
        assertEq(keccak256(abi.encode(vault.config())), keccak256(abi.encode(c)));
        assertEq(vault.token(), address(token));
        assertEq(vault.emission(), address(emission));
        assertEq(vault.arena(), address(this));
        assertEq(vault.genesis(), GENESIS);
        assertEq(vault.epochLength(), EPOCH);
        assertEq(vault.unbondingEpochs(), UNBONDING);
        assertEq(keccak256(abi.encode(vault.termsOf(TASK))), keccak256(abi.encode(terms())));
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
        vault.shorten(TASK, 5);
        vm.expectRevert(notArena);
        vault.openBudget(TASK);
        vm.expectRevert(notArena);
        vault.credit(TASK, new Credit[](1));
        vm.expectRevert(notArena);
        vault.closeBudget(TASK);
        vm.expectRevert(notArena);
        vault.slash(TASK, alice, 1);
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
        vault.fund(99, 1);
        vm.expectRevert(unknown);
        vault.reclaim(99);
        vm.stopPrank();
        vm.expectRevert(unknown);
        vault.shorten(99, 1);
        vm.expectRevert(unknown);
        vault.openBudget(99);
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
        vault.fund(TASK, 0);
        vm.expectRevert(zero);
        vault.fundEmission(0);
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
        fund(1);

        warpTo(LAST_EPOCH + 50);
        unstakeAs(node, 10);
        undelegateFrom(alice, node, 10);
        warpTo(LAST_EPOCH + 53);
        assertEq(withdrawAs(node, node), 10);
        assertEq(withdrawAs(alice, node), 10);
        assertExact();
    }

    function test_TheVaultHoldsLessThanTwoToThe96() public {
        uint96 most = type(uint96).max - BOND;
        token.mint(alice, most - WEALTH);
        stakeAs(alice, Role.Node, most - 1);
        stakeAs(bob, Role.Node, 1);
        assertTotals(Role.Node, 1, most - 1, 0);
        bytes memory full = abi.encodeWithSelector(IVault.VaultFull.selector, uint256(type(uint96).max) + 1);
        vm.expectRevert(full);
        stakeAs(bob, Role.Node, 1);
        vm.expectRevert(full);
        delegateTo(bob, alice, 1);
        vm.expectRevert(full);
        fundAs(bob, 1);
        // Leaving makes room again.
        unstakeAs(alice, most - 1);
        warpTo(3);
        assertEq(withdrawAs(alice, alice), most - 1);
        delegateTo(bob, alice, 1);
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
        emit IVault.Delegated(TASK, 1, node, alice, 7, 7);
        delegateTo(alice, node, 7);
        assertStake(node, 1, 10, 0);
        assertStake(node, 2, 10, 7);
        assertDelegation(alice, 7);
        warpTo(2);
        vm.expectEmit(address(vault));
        emit IVault.Undelegated(TASK, 2, node, alice, 3, 3, 2 + 1 + UNBONDING);
        undelegateFrom(alice, node, 3);
        assertStake(node, 2, 10, 7);
        assertStake(node, 3, 10, 4);
        assertDelegation(alice, 4);
        assertExact();
    }

    // ------------------------------------------------------------------ unbonding

    function test_UnbondingTakesItsEpochs() public {
        stakeAs(node, Role.Node, 30);
        warpTo(2);
        vm.expectEmit(address(vault));
        emit IVault.Unstaked(TASK, 2, node, 10, 2 + 1 + UNBONDING);
        unstakeAs(node, 10);
        assertStake(node, 2, 30, 0);
        assertStake(node, 3, 20, 0);
        warpTo(3);
        unstakeAs(node, 5);

        for (uint256 epoch = 3; epoch < 5; ++epoch) {
            warpTo(epoch);
            expect(IVault.NothingToWithdraw.selector, abi.encode(node));
            withdrawAs(node, node);
        }
        warpTo(5);
        assertUnbonding(node, node, 2, 15, 10);
        uint256 before = token.balanceOf(node);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(TASK, node, node, 10, 0);
        assertEq(withdrawAs(node, node), 10, "the first only");
        assertEq(token.balanceOf(node) - before, 10);
        warpTo(6);
        assertEq(withdrawAs(node, node), 5);
        assertUnbonding(node, node, 0, 0, 0);
        expect(IVault.NothingToWithdraw.selector, abi.encode(node));
        withdrawAs(node, node);
        assertExact();
    }

    function test_RequestsOfOneEpochJoin() public {
        stakeAs(node, Role.Node, 30);
        for (uint96 i = 1; i <= 5; ++i) {
            unstakeAs(node, i);
        }
        assertUnbonding(node, node, 1, 15, 0);
        warpTo(3);
        assertEq(withdrawAs(node, node, 1), 15);
        assertExact();
    }

    function test_WithdrawalsCanBeTakenInParts() public {
        stakeAs(node, Role.Node, 30);
        delegateTo(alice, node, 30);
        for (uint96 i = 1; i <= 5; ++i) {
            unstakeAs(node, i);
            undelegateFrom(alice, node, i);
            warpTo(i);
        }
        warpTo(7);
        assertUnbonding(node, node, 5, 15, 15);
        expect(IVault.NothingToWithdraw.selector, abi.encode(node));
        withdrawAs(node, node, 0);
        assertEq(withdrawAs(node, node, 2), 1 + 2);
        assertEq(withdrawAs(node, node, 1), 3);
        assertEq(withdrawAs(node, node), 4 + 5);
        assertEq(withdrawAs(alice, node, 4), 1 + 2 + 3 + 4);
        assertUnbonding(node, alice, 1, 5, 5);
        assertExact();
    }

    function test_EachPoolHasRequestsOfItsOwn() public {
        stakeAs(node, Role.Node, 30);
        stakeAs(validator, Role.Validator, 30);
        delegateTo(alice, node, 8);
        delegateTo(alice, validator, 9);
        delegateTo(node, validator, 5);
        undelegateFrom(alice, node, 8);
        undelegateFrom(alice, validator, 9);
        undelegateFrom(node, validator, 5);
        unstakeAs(node, 3);
        warpTo(3);
        assertEq(withdrawAs(alice, node), 8);
        assertEq(withdrawAs(alice, validator), 9);
        assertEq(withdrawAs(node, validator), 5);
        assertEq(withdrawAs(node, node), 3);
        assertExact();
    }

    function test_AFullListOfRequestsIsEmptiedByWithdrawing() public {
        vault.register(2, endless());
        vm.startPrank(node);
        vault.stake(2, Role.Node, 1000);
        for (uint256 epoch = 1; epoch <= 255; ++epoch) {
            warpTo(epoch);
            vault.unstake(2, 1);
        }
        warpTo(256);
        expect(IVault.TooManyRequests.selector, abi.encode(node, 255));
        vault.unstake(2, 1);
        (uint256 requests, uint256 amount, uint256 due) = vault.unbondingOf(2, node, node);
        assertEq(requests, 255);
        assertEq(amount, 255);
        assertEq(due, 253);
        assertEq(vault.withdraw(2, node, 1), 1);
        vault.unstake(2, 745);
        assertEq(vault.withdraw(2, node, 1000), 252);
        warpTo(300);
        assertEq(vault.withdraw(2, node, 1000), 2 + 745);
        // Places begin anew, round as they are.
        vault.stake(2, Role.Node, 5);
        vault.unstake(2, 5);
        warpTo(303);
        assertEq(vault.withdraw(2, node, 1000), 5);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ commission

    function test_CommissionIsAShareInWholeUnits() public {
        stakeAs(node, Role.Node, 10);
        uint64[3] memory wrong = [uint64(WAD + 1e9), uint64(WAD + 1), 1e9 - 1];
        for (uint256 i = 0; i < wrong.length; ++i) {
            expect(IVault.CommissionInvalid.selector, abi.encode(wrong[i]));
            setCommissionAs(node, wrong[i]);
        }
        expect(IVault.NotOperator.selector, abi.encode(TASK, alice));
        setCommissionAs(alice, 1e9);
        setCommissionAs(node, uint64(WAD));
        assertCommissions([uint256(0), 0, WAD, WAD, WAD]);
    }

    function test_AHigherCommissionWaitsALowerOneDoesNot() public {
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.CommissionSet(TASK, node, 0.5e18, 3);
        setCommissionAs(node, 0.5e18);
        assertCommissions([0, uint256(0), 0, 0.5e18, 0.5e18]);

        warpTo(3);
        vm.expectEmit(address(vault));
        emit IVault.CommissionSet(TASK, node, 0.4e18, 4);
        setCommissionAs(node, 0.4e18);
        assertEq(vault.commissionAt(TASK, node, 3), 0.5e18);
        assertEq(vault.commissionAt(TASK, node, 4), 0.4e18);
    }

    function test_ALoweredCommissionIsNoBait() public {
        stakeAs(node, Role.Node, 10);
        setCommissionAs(node, 0.5e18);
        warpTo(5);
        setCommissionAs(node, 0.1e18);
        // Whoever delegates now expects 10 % in epoch 6, and can leave before the next increase.
        expect(IVault.CommissionPending.selector, abi.encode(6));
        setCommissionAs(node, 0.5e18);
        setCommissionAs(node, 0.05e18);
        warpTo(6);
        setCommissionAs(node, 0.5e18);
        assertEq(vault.commissionAt(TASK, node, 6), 0.05e18);
        assertEq(vault.commissionAt(TASK, node, 7), 0.05e18);
        assertEq(vault.commissionAt(TASK, node, 8), 0.5e18);
    }

    function test_TheSameCommissionAgainIsNoIncrease() public {
        stakeAs(node, Role.Node, 10);
        setCommissionAs(node, 0.5e18);
        warpTo(5);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectEmit(address(vault));
            emit IVault.CommissionSet(TASK, node, 0.5e18, 6);
            setCommissionAs(node, 0.5e18);
        }
    }

    function test_AnAnnouncedIncreaseCanOnlyBeReplacedByOneThatActsNoLater() public {
        stakeAs(node, Role.Node, 10);
        warpTo(1);
        setCommissionAs(node, 0.5e18);
        setCommissionAs(node, 0.3e18);
        assertEq(vault.commissionAt(TASK, node, 3), 0.3e18);
        warpTo(2);
        expect(IVault.CommissionPending.selector, abi.encode(3));
        setCommissionAs(node, 0.4e18);
        setCommissionAs(node, 0.2e18);
        assertEq(vault.commissionAt(TASK, node, 2), 0);
        assertEq(vault.commissionAt(TASK, node, 3), 0.2e18);
        setCommissionAs(node, 0);
        assertEq(vault.commissionAt(TASK, node, 3), 0);
    }

    function test_AnEpochInFlightKeepsItsCommission() public {
        stakeAs(node, Role.Node, 10);
        setCommissionAs(node, 0.5e18);
        warpTo(4);
        setCommissionAs(node, 0.4e18);
        open();
        warpTo(5);
        expect(IVault.CommissionPending.selector, abi.encode(5));
        setCommissionAs(node, 0.1e18);
        assertEq(vault.commissionAt(TASK, node, 4), 0.5e18);
        close();
        setCommissionAs(node, 0.1e18);
        assertEq(vault.commissionAt(TASK, node, 5), 0.4e18);
        assertEq(vault.commissionAt(TASK, node, 6), 0.1e18);
    }

    // ------------------------------------------------------------------ views

    function test_StakesOfSeveralAreThoseOfTheRole() public {
        stakeAs(node, Role.Node, 30);
        stakeAs(validator, Role.Validator, 40);
        delegateTo(alice, node, 7);
        address[] memory operators = new address[](3);
        (operators[0], operators[1], operators[2]) = (node, validator, bob);
        Stake[] memory stakes = vault.stakesAt(TASK, Role.Node, operators, 1);
        assertEq(stakes[0].direct, 30);
        assertEq(stakes[0].delegated, 7);
        assertEq(stakes[1].direct + stakes[1].delegated + stakes[2].direct, 0);
        stakes = vault.stakesAt(TASK, Role.Validator, operators, 1);
        assertEq(stakes[0].direct, 0);
        assertEq(stakes[1].direct, 40);
    }

    function test_TheEffectiveStakeOfATaskIsThatOfItsEligiblePools() public {
        stakeAs(node, Role.Node, 30);
        stakeAs(validator, Role.Validator, 19);
        delegateTo(alice, node, 7);
        delegateTo(alice, validator, 100);
        assertEq(vault.effectiveStakeOf(TASK), 0, "epoch 0");
        warpTo(1);
        // Half of the delegated stake counts, rounded down once for all pools.
        assertEq(vault.effectiveStakeOf(TASK), 33);
        stakeAs(validator, Role.Validator, 1);
        assertEq(vault.effectiveStakeOf(TASK), 33, "acts from the next epoch");
        warpTo(2);
        assertEq(vault.effectiveStakeOf(TASK), 30 + 20 + 53);
        warpTo(LAST_EPOCH);
        assertEq(vault.effectiveStakeOf(TASK), 30 + 20 + 53);
        warpTo(LAST_EPOCH + 1);
        assertEq(vault.effectiveStakeOf(TASK), 0, "over");
    }

    // ------------------------------------------------------------------ parts

    function endless() internal view returns (Terms memory t) {
        t = terms();
        t.lastEpoch = type(uint32).max;
    }

    function assertDelegation(address who, uint256 expected) internal view {
        (uint256 shares, uint256 amount) = vault.delegationOf(TASK, node, who);
        assertEq(shares, expected, "shares");
        assertEq(amount, expected, "amount");
    }

    function assertUnbonding(address operator, address who, uint256 count, uint256 sum, uint256 dueSum)
        internal
        view
    {
        (uint256 requests, uint256 amount, uint256 due) = vault.unbondingOf(TASK, operator, who);
        assertEq(requests, count, "requests");
        assertEq(amount, sum, "unbonding");
        assertEq(due, dueSum, "due");
    }

    /// @dev In epochs 0 to 4.
    function assertCommissions(uint256[5] memory expected) internal view {
        for (uint256 epoch = vault.currentEpoch(); epoch < 5; ++epoch) {
            assertEq(vault.commissionAt(TASK, node, epoch), expected[epoch], "commission");
        }
    }

    function badDeployment(bytes32 what) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IVault.BadDeployment.selector, what);
    }

    function refusedAs(bytes32 what, VaultConfig memory c) internal {
        vm.expectRevert(badDeployment(what));
        this.deployBoth(c);
    }

    /// @dev External calls of their own, because the cheatcode that deploys is a call as well.
    function deployBoth(VaultConfig memory c) external {
        deploy(c, emissionConfig());
    }

    function deployVault(VaultConfig memory c) external {
        vm.deployCode("Vault.sol:Vault", abi.encode(c));
    }
}
