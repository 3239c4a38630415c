// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EmissionConfig, IEmission} from "../../src/interfaces/IEmission.sol";
import {Credit, IVault, Role, Stake, Terms, VaultConfig} from "../../src/interfaces/IVault.sol";
import {TestBase} from "../TestBase.sol";
import {IMintable} from "./IMintable.sol";

/// @notice A vault whose arena and whose emission's owner is the test itself, with one task that runs in epochs 1 to 10.
/// @dev Amounts that delegators share are multiples of `UNIT`: the reward per share counts a smaller pool as one of it.
abstract contract VaultFixture is TestBase {
    uint256 internal constant WAD = 1e18;
    uint64 internal constant GENESIS = 1_700_000_000;
    uint32 internal constant EPOCH = 1000;
    uint32 internal constant UNBONDING = 2;
    uint96 internal constant BOND = 7;
    uint64 internal constant MAX_FEE_WAD = 0.2e18;
    uint64 internal constant SLASH_WAD = 0.1e18;
    uint256 internal constant TASK = 1;
    uint32 internal constant LAST_EPOCH = 10;
    uint96 internal constant UNIT = 1 << 16;
    uint96 internal constant WEALTH = 1 << 80;
    address internal constant GRAVE = 0x000000000000000000000000000000000000dEaD;

    IMintable internal token;
    IVault internal vault;
    IEmission internal emission;

    address internal creator = makeAddr("creator");
    address internal node = makeAddr("node");
    address internal validator = makeAddr("validator");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    address internal treasury = makeAddr("treasury");

    /// @dev What is left of the open budget, which no view of the vault tells.
    uint256 internal openLeft;

    function setUp() public virtual {
        vm.warp(GENESIS - 10);
        token = IMintable(vm.deployCode("ArenaToken.sol:ArenaToken", ""));
        (vault, emission) = deployFor(address(token));
        address[5] memory people = [creator, node, validator, alice, bob];
        for (uint256 i = 0; i < people.length; ++i) {
            enrich(people[i]);
        }
        vault.register(TASK, terms());
    }

    function enrich(address who) internal {
        token.mint(who, WEALTH);
        vm.prank(who);
        token.approve(address(vault), type(uint256).max);
    }

    // ------------------------------------------------------------------ deployment

    function vaultConfig() internal view virtual returns (VaultConfig memory) {
        return VaultConfig({
            token: address(token),
            emission: address(0),
            arena: address(this),
            genesis: GENESIS,
            epochLength: EPOCH,
            unbondingEpochs: UNBONDING,
            bond: BOND,
            maxFeeWad: MAX_FEE_WAD,
            slashWad: SLASH_WAD
        });
    }

    function emissionConfig() internal view virtual returns (EmissionConfig memory) {
        return
            EmissionConfig({
                vault: address(0), owner: address(this), initial: 1000, decayWad: 0.5e18, period: 4
            });
    }

    /// @dev By artifact: the very bytecode that is exported, and the compiler need not build it again for each test.
    function deploy(VaultConfig memory v, EmissionConfig memory e) internal returns (IVault, IEmission) {
        e.vault = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        v.emission = vm.deployCode("Emission.sol:Emission", abi.encode(e));
        return (IVault(vm.deployCode("Vault.sol:Vault", abi.encode(v))), IEmission(v.emission));
    }

    function deployFor(address token_) internal returns (IVault, IEmission) {
        VaultConfig memory v = vaultConfig();
        v.token = token_;
        return deploy(v, emissionConfig());
    }

    function terms() internal view virtual returns (Terms memory) {
        return Terms({
            creator: creator,
            firstEpoch: 1,
            lastEpoch: LAST_EPOCH,
            minNodeStake: 10,
            minValidatorStake: 20,
            epsilonWad: 0.5e18
        });
    }

    // ------------------------------------------------------------------ what people do

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

    function withdrawAs(address who, address operator) internal returns (uint256) {
        return withdrawAs(who, operator, type(uint256).max);
    }

    function withdrawAs(address who, address operator, uint256 limit) internal returns (uint256) {
        vm.prank(who);
        return vault.withdraw(TASK, operator, limit);
    }

    function claimAs(address who, address operator) internal returns (uint256) {
        vm.prank(who);
        return vault.claim(TASK, operator);
    }

    function setCommissionAs(address who, uint64 commissionWad) internal {
        vm.prank(who);
        vault.setCommission(TASK, commissionWad);
    }

    function fund(uint96 amount) internal {
        fundAs(creator, amount);
    }

    function fundAs(address who, uint96 amount) internal {
        vm.prank(who);
        vault.fund(TASK, amount);
    }

    function fundEmission(uint96 amount) internal {
        vm.prank(creator);
        vault.fundEmission(amount);
    }

    function reclaimAs(address who) internal returns (uint256) {
        vm.prank(who);
        return vault.reclaim(TASK);
    }

    // ------------------------------------------------------------------ what the arena does

    function open() internal returns (uint256 emission_, uint256 bounty) {
        (emission_, bounty) = vault.openBudget(TASK);
        openLeft = emission_ + bounty;
    }

    function credit(address operator, uint256 with_, uint256 without) internal {
        Credit[] memory credits = new Credit[](1);
        credits[0] =
            Credit({operator: operator, withDelegation: uint96(with_), withoutDelegation: uint96(without)});
        vault.credit(TASK, credits);
        openLeft -= with_;
    }

    function close() internal {
        vault.closeBudget(TASK);
        openLeft = 0;
    }

    /// @notice Opens the current epoch's budget, credits one operator, and closes it.
    function pay(address operator, uint256 with_, uint256 without) internal {
        open();
        if (with_ != 0) credit(operator, with_, without);
        close();
    }

    function payEpoch(uint32 epoch, address operator, uint256 with_, uint256 without) internal {
        warpTo(epoch);
        pay(operator, with_, without);
    }

    // ------------------------------------------------------------------ what must hold

    /// @notice M-15: what the vault holds beyond what it owes to everybody who is known here.
    /// @dev In the books of `TASK` alone, until something of it is reclaimed. Reverts if it owes more than it holds.
    function surplus() internal view returns (uint256) {
        address[2] memory operators = [node, validator];
        address[5] memory people = [creator, node, validator, alice, bob];
        uint256 owed =
            vault.reserve() + vault.slashed() + vault.fees() + vault.bountyOf(TASK) + openLeft + BOND;
        for (uint256 i = 0; i < operators.length; ++i) {
            owed += vault.stakeAt(TASK, operators[i], vault.currentEpoch() + 1).direct;
            for (uint256 j = 0; j < people.length; ++j) {
                (, uint256 delegated) = vault.delegationOf(TASK, operators[i], people[j]);
                (, uint256 unbonding,) = vault.unbondingOf(TASK, operators[i], people[j]);
                owed += delegated + unbonding + vault.claimable(TASK, operators[i], people[j]);
            }
        }
        return token.balanceOf(address(vault)) - owed;
    }

    function assertExact() internal view {
        assertEq(surplus(), 0, "balance equals what is owed");
    }

    function assertStake(address operator, uint256 epoch, uint256 direct, uint256 delegated) internal view {
        Stake memory stake = vault.stakeAt(TASK, operator, epoch);
        assertEq(stake.direct, direct, "direct stake");
        assertEq(stake.delegated, delegated, "delegated stake");
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
