// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role, VaultConfig} from "../../src/interfaces/IVault.sol";
import {
    BareToken,
    FeeToken,
    GenerousToken,
    LyingToken,
    RebasingToken,
    RefusingToken,
    RevertingToken,
    SilentToken
} from "../base/HostileTokens.sol";
import {VaultFixture} from "../base/VaultFixture.sol";

/// @notice Tokens that do not do what a token should: refused with a clear error, or handled exactly.
contract VaultTokenAttacksTest is VaultFixture {
    // ------------------------------------------------------------------ refused

    function test_attack_ATokenWithAFeeIsRefused() public {
        refused(new FeeToken(), abi.encodeWithSelector(IVault.TokenAmountMismatch.selector, 50, 49));
    }

    function test_attack_ATokenThatDeliversMoreIsRefused() public {
        refused(new GenerousToken(), abi.encodeWithSelector(IVault.TokenAmountMismatch.selector, 50, 51));
    }

    function test_attack_ATokenThatLiesIsRefused() public {
        refused(new LyingToken(), abi.encodeWithSelector(IVault.TokenAmountMismatch.selector, 50, 0));
    }

    function test_attack_ATokenThatReturnsFalseIsRefused() public {
        refused(new RefusingToken(), abi.encodeWithSignature("TransferFromFailed()"));
    }

    function test_attack_ATokenThatRevertsIsRefused() public {
        refused(new RevertingToken(), abi.encodeWithSignature("TransferFromFailed()"));
    }

    function test_attack_AnAccountIsNoToken() public {
        vm.expectRevert(
            abi.encodeWithSelector(IVault.BadDeployment.selector, bytes32("token is no contract"))
        );
        this.deployForExternal(alice);
    }

    // ------------------------------------------------------------------ handled exactly

    /// @notice It returns nothing, has no decimals and no name, and works.
    function test_attack_ATokenThatReturnsNothingWorks() public {
        SilentToken hostile = new SilentToken();
        use(address(hostile));
        hostile.mint(creator, BOND + 1000);
        hostile.mint(node, 100);
        vault.register(TASK, terms());
        fund(1000);
        stakeAs(node, Role.Node, 100);
        payEpoch(1, node, 70, 70);
        assertEq(claimAs(node, node), 70);
        unstakeAs(node, 100);
        warpTo(LAST_EPOCH + 1);
        assertEq(withdrawAs(node, node), 100);
        assertEq(reclaimAs(creator), 930 + BOND);
        assertEq(hostile.balanceOf(address(vault)), 0);
        assertEq(hostile.balanceOf(node), 170);
    }

    /// @notice What a rebase adds belongs to nobody and moves nobody's part.
    function test_attack_ARebaseUpGivesNothingAway() public {
        RebasingToken hostile = rebasing();
        hostile.rebase(address(vault), 2 * (BOND + 300));
        unstakeAs(node, 100);
        undelegateFrom(alice, node, 200);
        warpTo(3);
        assertEq(withdrawAs(node, node), 100);
        assertEq(withdrawAs(alice, node), 200);
        assertEq(hostile.balanceOf(address(vault)), 2 * BOND + 300);
    }

    /// @notice What a rebase takes is missing for whoever is last. Such a token must not be deployed with; until the missing
    /// part is given back, the others are paid exactly and nothing else goes wrong.
    function test_attack_ARebaseDownIsMissingForTheLast() public {
        RebasingToken hostile = rebasing();
        hostile.rebase(address(vault), 299);
        unstakeAs(node, 100);
        undelegateFrom(alice, node, 200);
        warpTo(3);
        assertEq(withdrawAs(node, node), 100);
        vm.expectRevert();
        withdrawAs(alice, node);
        hostile.mint(address(vault), 1);
        assertEq(withdrawAs(alice, node), 200);
    }

    /// @notice Balances beyond 96 bits are refused at the door, so that no sum of amounts can be cut off.
    function test_attack_AnAbundantTokenIsRefusedBeyond96Bits() public {
        BareToken hostile = new BareToken();
        use(address(hostile));
        hostile.mint(creator, BOND);
        vault.register(TASK, terms());
        hostile.mint(node, type(uint96).max);
        hostile.mint(alice, type(uint96).max);
        stakeAs(node, Role.Node, type(uint96).max - BOND);
        expect(IVault.VaultFull.selector, abi.encode(uint256(type(uint96).max) + 1));
        delegateTo(alice, node, 1);
        // A gift beyond the limit closes the door for all, but nobody is kept in.
        hostile.mint(address(vault), type(uint96).max);
        unstakeAs(node, type(uint96).max - BOND);
        warpTo(3);
        assertEq(withdrawAs(node, node), type(uint96).max - BOND);
    }

    // ------------------------------------------------------------------ parts

    function use(address hostile) internal {
        (vault, emission) = deployFor(hostile);
    }

    /// @dev An external call of its own, because the cheatcode that deploys is a call as well.
    function deployForExternal(address token_) external {
        deployFor(token_);
    }

    function rebasing() internal returns (RebasingToken hostile) {
        hostile = new RebasingToken();
        use(address(hostile));
        hostile.mint(creator, BOND);
        hostile.mint(node, 100);
        hostile.mint(alice, 200);
        vault.register(TASK, terms());
        stakeAs(node, Role.Node, 100);
        delegateTo(alice, node, 200);
    }

    /// @dev Every way in, in a vault that asks for no bond, which such a token could not deliver either.
    function refused(BareToken hostile, bytes memory reason) internal {
        VaultConfig memory v = vaultConfig();
        (v.token, v.bond) = (address(hostile), 0);
        (vault, emission) = deploy(v, emissionConfig());
        vault.register(TASK, terms());
        hostile.mint(alice, 1000);
        // What the vault holds already is no part of what it receives.
        hostile.mint(address(vault), 7);
        vm.startPrank(alice);
        vm.expectRevert(reason);
        vault.stake(TASK, Role.Node, 50);
        vm.expectRevert(reason);
        vault.fund(TASK, 50);
        vm.expectRevert(reason);
        vault.fundEmission(50);
        vm.stopPrank();
        assertEq(vault.reserve(), 0);
        assertEq(vault.bountyOf(TASK), 0);

        v.bond = 50;
        (vault, emission) = deploy(v, emissionConfig());
        hostile.mint(creator, 1000);
        vm.expectRevert(reason);
        vault.register(TASK, terms());
    }
}
