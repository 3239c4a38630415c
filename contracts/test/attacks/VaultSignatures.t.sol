// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../../src/interfaces/IVault.sol";
import {RelayFixture} from "../base/VaultRelayFixture.sol";

/// @notice Attacks with signatures that were meant for something else: for each of the calls that relayers send.
contract VaultSignatureAttacksTest is RelayFixture {
    /// @dev `stakeFor`, `delegateFor`, `claimFor`.
    uint256 private constant CALLS = 3;

    /// @dev All of them for the signer's next nonce.
    bytes[CALLS] private signatures;

    /// @dev The signer has something to claim.
    function setUp() public override {
        super.setUp();
        fund(1000);
        stakeAs(node, Role.Node, 10);
        delegateTo(signer, node, UNIT);
        payEpoch(1, node, 100, 40);
        assertEq(vault.claimable(TASK, node, signer), 60);
        signatures[0] = signStake(signerKey, signer, 500, 0, deadline);
        signatures[1] = signDelegate(signerKey, signer, node, UNIT, 0, deadline);
        signatures[2] = signClaim(signerKey, signer, node, 0, deadline);
    }

    function test_attack_ASignatureIsUsedOnce() public {
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        for (uint256 i = 0; i < CALLS; ++i) {
            uint256 snapshot = vm.snapshotState();
            accepted(i);
            refused(i, signatures[i]);
            // Nor in another encoding of the same: its mirrored s, or the short form.
            (bytes32 r, bytes32 s, uint8 v) = wordsOf(signatures[i]);
            refused(i, abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : 27));
            refused(i, abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255))));
            assertEq(nonces(signer), 1);
            vm.revertToState(snapshot);
        }
    }

    function test_attack_ASignatureIsOfOneFunction() public {
        for (uint256 i = 0; i < CALLS; ++i) {
            for (uint256 j = 0; j < CALLS; ++j) {
                if (i != j) refused(i, signatures[j]);
            }
        }
    }

    function test_attack_ASignatureIsOfOneChain() public {
        uint256 chain = block.chainid;
        for (uint256 i = 0; i < CALLS; ++i) {
            uint256 snapshot = vm.snapshotState();
            vm.chainId(chain + 1);
            refused(i, signatures[i]);
            vm.chainId(chain);
            accepted(i);
            vm.revertToState(snapshot);
        }
    }

    /// @notice The other vault is in the same state, so that nothing but the signature is wrong.
    function test_attack_ASignatureIsOfOneVault() public {
        IVault first = vault;
        (vault, emission) = deployFor(address(token));
        address[3] memory people = [creator, node, signer];
        for (uint256 i = 0; i < people.length; ++i) {
            enrich(people[i]);
        }
        warpTo(0);
        vault.register(TASK, terms());
        fund(1000);
        stakeAs(node, Role.Node, 10);
        delegateTo(signer, node, UNIT);
        payEpoch(1, node, 100, 40);
        assertEq(vault.claimable(TASK, node, signer), 60);
        for (uint256 i = 0; i < CALLS; ++i) {
            refused(i, signatures[i]);
        }
        vault = first;
        accepted(0);
    }

    function test_attack_ASignatureExpires() public {
        bytes memory expired = abi.encodeWithSelector(IVault.SignatureExpired.selector, deadline);
        bytes memory over = abi.encodeWithSelector(IVault.TaskOver.selector, TASK, LAST_EPOCH);
        for (uint256 i = 0; i < CALLS; ++i) {
            vm.warp(deadline + 1);
            fails(i, signatures[i], expired);
            vm.warp(deadline);
            // In time, but the task is over: there is nothing to do but to claim.
            if (i != 2) fails(i, signatures[i], over);
        }
        accepted(2);
    }

    function test_attack_ASignatureThatWasReplacedIsWorthless() public {
        // The signer changes its mind: it uses the nonce for something else.
        vault.stakeFor(signer, TASK, Role.Node, 1, deadline, signStake(signerKey, signer, 1, 0, deadline));
        for (uint256 i = 0; i < CALLS; ++i) {
            refused(i, signatures[i]);
        }
    }

    function test_attack_ABatchCarriesASignatureOnlyOnce() public {
        bytes[] memory calls = new bytes[](2);
        for (uint256 i = 0; i < CALLS; ++i) {
            calls[0] = callOf(i, signatures[i]);
            calls[1] = calls[0];
            expect(IVault.SignatureInvalid.selector, abi.encode(signer));
            multicall(calls);
            assertEq(nonces(signer), 0);
        }
    }

    // ------------------------------------------------------------------ parts

    function callOf(uint256 i, bytes memory signature) private view returns (bytes memory) {
        if (i == 0) {
            return abi.encodeCall(IVault.stakeFor, (signer, TASK, Role.Node, 500, deadline, signature));
        }
        if (i == 1) {
            return abi.encodeCall(IVault.delegateFor, (signer, TASK, node, UNIT, deadline, signature));
        }
        return abi.encodeCall(IVault.claimFor, (signer, TASK, node, deadline, signature));
    }

    function accepted(uint256 i) private {
        uint256 before = token.balanceOf(signer);
        (bool ok,) = address(vault).call(callOf(i, signatures[i]));
        assertTrue(ok);
        uint256[CALLS] memory expected = [before - 500, before - UNIT, before + 60];
        assertEq(token.balanceOf(signer), expected[i]);
    }

    function refused(uint256 i, bytes memory signature) private {
        fails(i, signature, abi.encodeWithSelector(IVault.SignatureInvalid.selector, signer));
    }

    function fails(uint256 i, bytes memory signature, bytes memory expected) private {
        (bool ok, bytes memory reason) = address(vault).call(callOf(i, signature));
        assertFalse(ok);
        assertEq(reason, expected);
    }
}
