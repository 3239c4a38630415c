// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../src/interfaces/IVault.sol";
import {OddWallet, PermitToken, Wallet} from "./base/HostileTokens.sol";
import {RelayFixture} from "./base/VaultRelayFixture.sol";

/// @notice What relayers send for others: exactly what was signed, once, in time, and nothing else.
contract VaultRelayTest is RelayFixture {
    // ------------------------------------------------------------------ what was signed happens

    function test_ARelayerStakesForWhoeverSigned() public {
        bytes memory signature = signStake(signerKey, signer, 500, 0, deadline);
        vm.expectEmit(address(vault));
        emit IVault.Staked(TASK, 0, signer, Role.Node, 500, 500);
        vm.prank(bob);
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
        assertStake(signer, 1, 500, 0);
        assertStake(bob, 1, 0, 0);
        assertEq(nonces(signer), 1);
        assertEq(token.balanceOf(signer), WEALTH - 500);
    }

    function test_ARelayerDelegatesForWhoeverSigned() public {
        stakeAs(node, Role.Node, 10);
        bytes memory signature = signDelegate(signerKey, signer, node, 400, 0, deadline);
        vault.delegateFor(signer, TASK, node, 400, deadline, signature);
        (uint256 shares,) = vault.delegationOf(TASK, node, signer);
        assertEq(shares, 400);
        expect(IVault.SelfDelegation.selector, abi.encode(signer));
        vault.delegateFor(
            signer, TASK, signer, 1, deadline, signDelegate(signerKey, signer, signer, 1, 1, deadline)
        );
    }

    function test_ARelayerClaimsForWhoeverSignedAndTheTokensGoThere() public {
        fund(1000);
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signStake(signerKey, signer, 500, 0, deadline));
        payEpoch(1, signer, 60, 60);
        uint256 before = token.balanceOf(signer);
        bytes memory signature = signClaim(signerKey, signer, signer, 1, deadline);
        vm.prank(bob);
        assertEq(vault.claimFor(signer, TASK, signer, deadline, signature), 60);
        assertEq(token.balanceOf(signer) - before, 60);
        assertEq(nonces(signer), 2);
    }

    function test_TheDeadlineItselfIsInTime() public {
        bytes memory signature = signStake(signerKey, signer, 500, 0, block.timestamp);
        vault.stakeFor(signer, TASK, Role.Node, 500, block.timestamp, signature);
    }

    function test_AContractSignsByItsOwnRule() public {
        Wallet wallet = new Wallet(signer);
        enrich(address(wallet));
        bytes memory signature = signStake(signerKey, address(wallet), 500, 0, deadline);
        vault.stakeFor(address(wallet), TASK, Role.Node, 500, deadline, signature);
        assertStake(address(wallet), 1, 500, 0);

        wallet.forget();
        signature = signStake(signerKey, address(wallet), 500, 1, deadline);
        expect(IVault.SignatureInvalid.selector, abi.encode(wallet));
        vault.stakeFor(address(wallet), TASK, Role.Node, 500, deadline, signature);
    }

    function test_AContractDelegatesAndClaimsByItsOwnRule() public {
        Wallet wallet = new Wallet(signer);
        address account = address(wallet);
        enrich(account);
        fund(1000);
        stakeAs(node, Role.Node, 10);
        bytes memory signature = signDelegate(signerKey, account, node, UNIT, 0, deadline);
        vault.delegateFor(account, TASK, node, UNIT, deadline, signature);
        (uint256 shares,) = vault.delegationOf(TASK, node, account);
        assertEq(shares, UNIT);
        payEpoch(1, node, 100, 40);

        signature = signClaim(signerKey, account, node, 1, deadline);
        vm.prank(bob);
        assertEq(vault.claimFor(account, TASK, node, deadline, signature), 60);
        assertEq(token.balanceOf(account), WEALTH - UNIT + 60);

        // It changed its mind before the relayer came.
        wallet.forget();
        signature = signDelegate(signerKey, account, node, UNIT, 2, deadline);
        expect(IVault.SignatureInvalid.selector, abi.encode(account));
        vault.delegateFor(account, TASK, node, UNIT, deadline, signature);
        signature = signClaim(signerKey, account, node, 2, deadline);
        expect(IVault.SignatureInvalid.selector, abi.encode(account));
        vault.claimFor(account, TASK, node, deadline, signature);
        assertEq(nonces(account), 2);
    }

    /// @notice Only the word that ERC-1271 names is a yes: 32 bytes with nothing behind the selector.
    function test_AContractThatDoesNotSayYesSaysNo() public {
        OddWallet wallet = new OddWallet();
        enrich(address(wallet));
        stakeAs(node, Role.Node, 10);
        bytes4 yes = 0x1626ba7e;
        bytes[7] memory replies = [
            bytes(""),
            abi.encode(bytes4(0xffffffff)),
            abi.encode(uint256(1)),
            abi.encodePacked(yes),
            abi.encodePacked(yes, uint224(1)),
            abi.encode(uint256(0), yes),
            abi.encode(uint256(uint32(yes)))
        ];
        for (uint256 i = 0; i < replies.length; ++i) {
            wallet.setReply(replies[i], false);
            refusedByContract(address(wallet));
        }
        wallet.setReply(abi.encode(yes), true);
        refusedByContract(address(wallet));
        wallet.setReply(abi.encode(yes), false);
        vault.delegateFor(address(wallet), TASK, node, 5, deadline, "anything");
    }

    function refusedByContract(address account) private {
        bytes memory invalid = abi.encodeWithSelector(IVault.SignatureInvalid.selector, account);
        vm.expectRevert(invalid);
        vault.stakeFor(account, TASK, Role.Node, 5, deadline, "anything");
        vm.expectRevert(invalid);
        vault.delegateFor(account, TASK, node, 5, deadline, "anything");
        vm.expectRevert(invalid);
        vault.claimFor(account, TASK, node, deadline, "anything");
        assertEq(nonces(account), 0);
    }

    // ------------------------------------------------------------------ and nothing else

    function test_NothingElseThanWhatWasSigned() public {
        stakeAs(node, Role.Node, 10);
        bytes memory signature = signStake(signerKey, signer, 500, 0, deadline);
        bytes memory invalid = abi.encodeWithSelector(IVault.SignatureInvalid.selector, signer);
        vm.expectRevert(invalid);
        vault.stakeFor(signer, 2, Role.Node, 500, deadline, signature);
        vm.expectRevert(invalid);
        vault.stakeFor(signer, TASK, Role.Validator, 500, deadline, signature);
        vm.expectRevert(invalid);
        vault.stakeFor(signer, TASK, Role.Node, 501, deadline, signature);
        vm.expectRevert(invalid);
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline + 1, signature);
        vm.expectRevert(invalid);
        vault.delegateFor(signer, TASK, node, 500, deadline, signature);
        vm.expectRevert(invalid);
        vault.claimFor(signer, TASK, node, deadline, signature);
        expect(IVault.SignatureInvalid.selector, abi.encode(alice));
        vault.stakeFor(alice, TASK, Role.Node, 500, deadline, signature);
        assertEq(nonces(signer), 0);
    }

    function test_AnotherSignerIsRefused() public {
        bytes memory signature = signStake(signerKey + 1, signer, 500, 0, deadline);
        expect(IVault.SignatureInvalid.selector, abi.encode(signer));
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
        expect(IVault.SignatureInvalid.selector, abi.encode(signer));
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, "");
        // An address that no key is known of is not who a broken signature recovers to.
        expect(IVault.SignatureInvalid.selector, abi.encode(address(0)));
        vault.stakeFor(address(0), TASK, Role.Node, 500, deadline, new bytes(65));
    }

    function test_AFutureNonceWaits() public {
        bytes memory second = signStake(signerKey, signer, 70, 1, deadline);
        expect(IVault.SignatureInvalid.selector, abi.encode(signer));
        vault.stakeFor(signer, TASK, Role.Node, 70, deadline, second);
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signStake(signerKey, signer, 500, 0, deadline));
        vault.stakeFor(signer, TASK, Role.Node, 70, deadline, second);
        assertStake(signer, 1, 570, 0);
    }

    function test_WhatFailsUsesNoNonce() public {
        bytes memory signature = signStake(signerKey, signer, WEALTH + 1, 0, deadline);
        vm.expectRevert();
        vault.stakeFor(signer, TASK, Role.Node, WEALTH + 1, deadline, signature);
        assertEq(nonces(signer), 0);
        token.mint(signer, 1);
        vault.stakeFor(signer, TASK, Role.Node, WEALTH + 1, deadline, signature);
    }

    // ------------------------------------------------------------------ permits

    function test_APermitAndAStakeInOneCall() public {
        PermitToken permitting = usePermitToken();
        bytes memory stake = abi.encodeCall(
            IVault.stakeFor,
            (signer, TASK, Role.Node, 500, deadline, signStake(signerKey, signer, 500, 0, deadline))
        );
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (permitCall(permitting, 500), stake);
        vm.prank(bob);
        multicall(calls);
        assertStake(signer, 1, 500, 0);
        assertEq(permitting.allowance(signer, address(vault)), 0);
    }

    function test_APermitThatSomebodyUsedFirstStopsNothing() public {
        PermitToken permitting = usePermitToken();
        bytes memory permit = permitCall(permitting, 500);
        bytes[] memory calls = new bytes[](2);
        calls[0] = permit;
        calls[1] = abi.encodeCall(
            IVault.stakeFor,
            (signer, TASK, Role.Node, 500, deadline, signStake(signerKey, signer, 500, 0, deadline))
        );
        (bool ok,) = address(vault).call(permit);
        assertTrue(ok);
        assertEq(permitting.allowance(signer, address(vault)), 500);
        multicall(calls);
        assertStake(signer, 1, 500, 0);
    }

    function test_AWrongPermitGrantsNothing() public {
        PermitToken permitting = usePermitToken();
        vault.permit(signer, 500, deadline, 27, bytes32(uint256(1)), bytes32(uint256(2)));
        assertEq(permitting.allowance(signer, address(vault)), 0);
        bytes memory signature = signStake(signerKey, signer, 500, 0, deadline);
        vm.expectRevert();
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
    }

    function test_ATokenWithoutPermitIsPassedOver() public {
        vault.permit(signer, 500, deadline, 27, bytes32(0), bytes32(0));
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signStake(signerKey, signer, 500, 0, deadline));
        assertStake(signer, 1, 500, 0);
    }

    // ------------------------------------------------------------------ batches

    function test_ABatchIsTheCallersAndAllOrNothing() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IVault.stake, (TASK, Role.Node, 50));
        calls[1] = abi.encodeCall(IVault.unstake, (TASK, 51));
        vm.prank(alice);
        expect(IVault.InsufficientStake.selector, abi.encode(51, 50));
        multicall(calls);
        assertStake(alice, 1, 0, 0);
        calls[1] = abi.encodeCall(IVault.unstake, (TASK, 20));
        vm.prank(alice);
        multicall(calls);
        assertStake(alice, 1, 30, 0);
        assertTrue(vault.roleOf(TASK, alice) == Role.Node);
    }

    function test_ABatchTakesNoValueAndGivesNoRights() public {
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(IVault.slash, (TASK, node, 1));
        vm.prank(alice);
        expect(IVault.NotArena.selector, abi.encode(alice));
        multicall(calls);
        calls[0] = abi.encodeCall(IVault.currentEpoch, ());
        vm.deal(alice, 1);
        vm.prank(alice);
        (bool ok,) = address(vault).call{value: 1}(abi.encodeWithSignature("multicall(bytes[])", calls));
        assertFalse(ok);
    }

    // ------------------------------------------------------------------ parts

    function usePermitToken() internal returns (PermitToken permitting) {
        permitting = new PermitToken();
        permitting.mint(signer, 1000);
        permitting.mint(creator, 1000);
        (vault, emission) = deployFor(address(permitting));
        vm.prank(creator);
        permitting.approve(address(vault), type(uint256).max);
        vault.register(TASK, terms());
    }

    function permitCall(PermitToken permitting, uint256 amount) internal view returns (bytes memory) {
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
                ),
                signer,
                address(vault),
                amount,
                permitting.nonces(signer),
                deadline
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(signerKey, keccak256(abi.encodePacked(hex"1901", permitting.DOMAIN_SEPARATOR(), content)));
        return abi.encodeCall(IVault.permit, (signer, amount, deadline, v, r, s));
    }
}
