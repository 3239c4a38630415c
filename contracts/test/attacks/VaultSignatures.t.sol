// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../../src/interfaces/IVault.sol";
import {RelayFixture} from "../base/VaultRelayFixture.sol";

/// @notice Attacks with signatures that were meant for something else.
contract VaultSignatureAttacksTest is RelayFixture {
    bytes private signature;

    function setUp() public override {
        super.setUp();
        signature = signStake(signerKey, signer, 500, 0, deadline);
    }

    function test_attack_ASignatureIsUsedOnce() public {
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
        refused(vault);
        // Nor in another encoding of the same: its mirrored s, or the short form.
        (bytes32 r, bytes32 s, uint8 v) = wordsOf(signature);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        signature = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        refused(vault);
        signature = abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255)));
        refused(vault);
        assertStake(signer, 1, 500, 0);
    }

    function test_attack_ASignatureIsOfOneChain() public {
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        refused(vault);
        vm.chainId(chain);
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
    }

    function test_attack_ASignatureIsOfOneVault() public {
        (IVault other,) = deployFor(address(token));
        vm.startPrank(creator);
        token.approve(address(other), type(uint256).max);
        vm.stopPrank();
        vm.prank(signer);
        token.approve(address(other), type(uint256).max);
        other.register(TASK, terms());
        refused(other);
    }

    function test_attack_ASignatureExpires() public {
        vm.warp(deadline + 1);
        expect(IVault.SignatureExpired.selector, abi.encode(deadline));
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
        vm.warp(deadline);
        expect(IVault.TaskOver.selector, abi.encode(TASK, LAST_EPOCH));
        vault.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
    }

    function test_attack_ASignatureThatWasReplacedIsWorthless() public {
        // The signer changes its mind: it uses the nonce for something else.
        bytes memory other = signStake(signerKey, signer, 1, 0, deadline);
        vault.stakeFor(signer, TASK, Role.Node, 1, deadline, other);
        refused(vault);
    }

    function test_attack_ABatchCarriesASignatureOnlyOnce() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IVault.stakeFor, (signer, TASK, Role.Node, 500, deadline, signature));
        calls[1] = calls[0];
        expect(IVault.SignatureInvalid.selector, abi.encode(signer));
        multicall(calls);
        assertEq(nonces(signer), 0);
    }

    function refused(IVault other) private {
        expect(IVault.SignatureInvalid.selector, abi.encode(signer));
        other.stakeFor(signer, TASK, Role.Node, 500, deadline, signature);
    }
}
