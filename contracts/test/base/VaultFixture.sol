// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role, Terms} from "../../src/interfaces/IVault.sol";
import {TestBase} from "../TestBase.sol";
import {IMintable} from "./IMintable.sol";

/// @notice A vault whose arena is the test itself, with one task that runs in epochs 1 to 10.
abstract contract VaultFixture is TestBase {
    uint256 internal constant WAD = 1e18;
    uint64 internal constant GENESIS = 1_700_000_000;
    uint32 internal constant EPOCH = 1000;
    uint32 internal constant UNBONDING = 2;
    uint256 internal constant TASK = 1;
    uint32 internal constant LAST_EPOCH = 10;

    IMintable internal token;
    IVault internal vault;

    address internal creator = makeAddr("creator");
    address internal node = makeAddr("node");
    address internal validator = makeAddr("validator");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function setUp() public virtual {
        vm.warp(GENESIS - 10);
        token = IMintable(vm.deployCode("ArenaToken.sol:ArenaToken", ""));
        vault = newVault(address(token), address(this), GENESIS, EPOCH, UNBONDING);
        vault.register(TASK, terms());
        address[5] memory people = [creator, node, validator, alice, bob];
        for (uint256 i = 0; i < people.length; ++i) {
            token.mint(people[i], 1_000_000);
            vm.prank(people[i]);
            token.approve(address(vault), type(uint256).max);
        }
    }

    function newVault(address token_, address arena, uint64 genesis, uint32 length, uint32 unbonding)
        internal
        returns (IVault)
    {
        // By artifact: the very bytecode that is exported, and the compiler need not build it again for each test.
        return IVault(vm.deployCode("Vault.sol:Vault", abi.encode(token_, arena, genesis, length, unbonding)));
    }

    function terms() internal view returns (Terms memory) {
        return Terms({
            creator: creator,
            firstEpoch: 1,
            lastEpoch: LAST_EPOCH,
            emissionPerEpoch: 100,
            minNodeStake: 10,
            minValidatorStake: 20
        });
    }

    function warpTo(uint256 epoch) internal {
        vm.warp(epoch == 0 ? GENESIS - 10 : GENESIS + (epoch - 1) * EPOCH);
    }

    function stakeAs(address who, Role role, uint96 amount) internal {
        vm.prank(who);
        vault.stake(TASK, role, amount);
    }

    function unstakeAs(address who, uint96 amount) internal {
        vm.prank(who);
        vault.unstake(TASK, amount);
    }

    function delegateTo(address who, address operator, uint96 amount) internal {
        vm.prank(who);
        vault.delegate(TASK, operator, amount);
    }

    function undelegateFrom(address who, address operator, uint96 amount) internal {
        vm.prank(who);
        vault.undelegate(TASK, operator, amount);
    }

    function fund(uint96 emission, uint96 bounty) internal {
        vm.prank(creator);
        vault.fund(TASK, emission, bounty);
    }

    /// @notice Opens the epoch's budget, credits one operator, and closes it.
    function payEpoch(uint32 epoch, address operator, uint256 with_, uint256 without) internal {
        vault.openBudget(TASK, epoch);
        if (with_ != 0) vault.credit(TASK, operator, with_, without);
        vault.closeBudget(TASK);
    }

    function claimAs(address who, address operator) internal returns (uint256) {
        vm.prank(who);
        return vault.claim(TASK, operator);
    }

    function setCommissionAs(address who, uint64 commissionWad) internal {
        vm.prank(who);
        vault.setCommission(TASK, commissionWad);
    }

    /// @notice M-15: the balance covers what is owed; here nobody gives the vault anything, so they are equal.
    function assertExact() internal view {
        (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets) = vault.liabilities();
        assertEq(
            token.balanceOf(address(vault)),
            staked + unbonding + credited + budgets,
            "balance equals what is owed"
        );
    }

    function assertStake(address operator, uint256 epoch, uint256 direct, uint256 delegated) internal view {
        (uint256 d, uint256 g) = vault.stakeAt(TASK, operator, epoch);
        assertEq(d, direct, "direct stake");
        assertEq(g, delegated, "delegated stake");
    }

    function assertTotals(Role role, uint256 epoch, uint256 direct, uint256 delegated) internal view {
        (uint256 d, uint256 g) = vault.totalsAt(TASK, role, epoch);
        assertEq(d, direct, "direct total");
        assertEq(g, delegated, "delegated total");
    }

    function expect(bytes4 selector, bytes memory arguments) internal {
        vm.expectRevert(bytes.concat(selector, arguments));
    }
}
