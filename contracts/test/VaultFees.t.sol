// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice The fee on claims (M-14): announced two epochs ahead, limited, never of principal.
contract VaultFeesTest is VaultFixture {
    function setUp() public override {
        super.setUp();
        fund(10_000);
        stakeAs(node, Role.Node, 100);
    }

    function test_OnlyTheEmissionSetsIt() public {
        expect(IVault.NotEmission.selector, abi.encode(address(this)));
        vault.setFee(1, treasury);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", alice));
        emission.setFee(1, treasury);
    }

    function test_ItHasALimitAndAReceiver() public {
        expect(IVault.FeeTooHigh.selector, abi.encode(MAX_FEE_WAD + 1, MAX_FEE_WAD));
        emission.setFee(MAX_FEE_WAD + 1, treasury);
        vm.expectRevert(IVault.TreasuryZero.selector);
        emission.setFee(1, address(0));
        emission.setFee(MAX_FEE_WAD, treasury);
    }

    function test_ItActsFromTheNextEpochButOne() public {
        warpTo(1);
        vm.expectEmit(address(vault));
        emit IVault.FeeSet(0.1e18, treasury, 3);
        emission.setFee(0.1e18, treasury);
        for (uint256 epoch = 1; epoch < 6; ++epoch) {
            assertEq(vault.feeAt(epoch), epoch < 3 ? 0 : 0.1e18);
        }
        pay(node, 205, 205);
        assertEq(claimAs(node, node), 205);
        payEpoch(2, node, 205, 205);
        assertEq(vault.fees(), 0);
        warpTo(3);
        assertEq(vault.claimable(TASK, node, node), 205, "before the fee");
        vm.expectEmit(address(vault));
        emit IVault.Claimed(TASK, node, node, 185, 20);
        assertEq(claimAs(node, node), 185);
        assertEq(vault.fees(), 20);
        assertExact();
    }

    function test_ALaterAnnouncementDelaysAndNeverHastens() public {
        warpTo(1);
        emission.setFee(0.1e18, treasury);
        warpTo(2);
        emission.setFee(0.2e18, treasury);
        assertEq(vault.feeAt(3), 0);
        assertEq(vault.feeAt(4), 0.2e18);
        warpTo(4);
        emission.setFee(0, treasury);
        assertEq(vault.feeAt(5), 0.2e18);
        assertEq(vault.feeAt(6), 0);
    }

    /// @notice Also of what was taken before: until the new treasury begins, everything can be sent to the old one.
    function test_TheTreasuryChangesFromTheNextEpochButOne() public {
        emission.setFee(0.2e18, treasury);
        assertEq(vault.treasury(), address(0), "there is no fee yet");
        payEpoch(2, node, 100, 100);
        claimAs(node, node);
        emission.setFee(0.2e18, alice);
        for (uint256 epoch = 2; epoch < 6; ++epoch) {
            warpTo(epoch);
            assertEq(vault.treasury(), epoch < 4 ? treasury : alice);
        }
        warpTo(3);
        uint256 before = token.balanceOf(alice);
        assertEq(vault.collectFees(), 20);
        assertEq(token.balanceOf(treasury), 20);
        pay(node, 100, 100);
        claimAs(node, node);
        warpTo(4);
        assertEq(vault.collectFees(), 20);
        assertEq(token.balanceOf(alice) - before, 20);
        assertExact();
    }

    function test_ALaterTreasuryDelaysAndNeverHastens() public {
        emission.setFee(0.2e18, treasury);
        warpTo(2);
        emission.setFee(0.2e18, alice);
        warpTo(3);
        emission.setFee(0.1e18, bob);
        assertEq(vault.treasury(), treasury);
        warpTo(4);
        assertEq(vault.treasury(), treasury, "alice was replaced before she began");
        assertEq(vault.feeAt(4), 0.2e18);
        warpTo(5);
        assertEq(vault.treasury(), bob);
        assertEq(vault.feeAt(5), 0.1e18);
    }

    function test_DelegatorsPayItToo() public {
        delegateTo(alice, node, 256 * UNIT);
        emission.setFee(0.2e18, treasury);
        payEpoch(2, node, 100, 0);
        assertEq(claimAs(alice, node), 80);
        assertEq(vault.fees(), 20);
        assertExact();
    }

    function test_PrincipalIsFree() public {
        emission.setFee(0.2e18, treasury);
        delegateTo(alice, node, 1000);
        warpTo(2);
        undelegateFrom(alice, node, 1000);
        unstakeAs(node, 100);
        warpTo(LAST_EPOCH + 1);
        assertEq(withdrawAs(alice, node), 1000);
        assertEq(withdrawAs(node, node), 100);
        assertEq(reclaimAs(creator), 10_000 + BOND);
        assertEq(vault.fees(), 0);
    }

    function test_AnybodySendsThemToTheTreasury() public {
        vm.expectRevert(IVault.NothingToCollect.selector);
        vault.collectFees();
        emission.setFee(0.2e18, treasury);
        payEpoch(2, node, 100, 100);
        claimAs(node, node);
        payEpoch(3, node, 50, 50);
        claimAs(node, node);
        vm.expectEmit(address(vault));
        emit IVault.FeesCollected(treasury, 30);
        vm.prank(bob);
        assertEq(vault.collectFees(), 30);
        assertEq(token.balanceOf(treasury), 30);
        vm.expectRevert(IVault.NothingToCollect.selector);
        vault.collectFees();
        assertExact();
    }

    function test_AFeeOfOneUnitIsKept() public {
        emission.setFee(0.1e18, treasury);
        payEpoch(2, node, 10, 10);
        assertEq(claimAs(node, node), 9);
        assertEq(vault.fees(), 1);
        assertExact();
    }

    function testFuzz_ItRoundsDownAndNothingIsLost(uint256 amount, uint64 feeWad) public {
        feeWad = uint64(bound(feeWad, 0, MAX_FEE_WAD));
        amount = bound(amount, 1, 1000);
        emission.setFee(feeWad, treasury);
        payEpoch(2, node, amount, amount);
        uint256 expected = amount * feeWad / WAD;
        assertEq(claimAs(node, node), amount - expected);
        assertEq(vault.fees(), expected);
        assertExact();
    }
}
