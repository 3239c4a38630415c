// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../../src/interfaces/IVault.sol";
import {TestBase} from "../TestBase.sol";

/// @notice Signs what relayers send to a vault, with the types written down once more, so that a change of them shows.
abstract contract Relaying is TestBase {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant STAKE = keccak256(
        "Stake(address account,uint256 task,uint8 role,uint96 amount,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant DELEGATE = keccak256(
        "Delegate(address account,uint256 task,address operator,uint96 amount,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant CLAIM =
        keccak256("Claim(address account,uint256 task,address operator,uint256 nonce,uint256 deadline)");

    function stakeContent(
        address account,
        uint256 task,
        Role role,
        uint96 amount,
        uint256 nonce,
        uint256 deadline
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(STAKE, account, task, role, amount, nonce, deadline));
    }

    function delegateContent(
        address account,
        uint256 task,
        address operator,
        uint96 amount,
        uint256 nonce,
        uint256 deadline
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(DELEGATE, account, task, operator, amount, nonce, deadline));
    }

    function claimContent(address account, uint256 task, address operator, uint256 nonce, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(CLAIM, account, task, operator, nonce, deadline));
    }

    function signFor(IVault vault, uint256 key, bytes32 content) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN, keccak256("AIArena Vault"), keccak256("1"), block.chainid, address(vault))
        );
        return signDigest(key, domain, content);
    }

    function signDigest(uint256 key, bytes32 domain, bytes32 content) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, content)));
        return abi.encodePacked(r, s, v);
    }

    function wordsOf(bytes memory signature) internal pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
    }

    function noncesOf(IVault vault, address account) internal view returns (uint256) {
        (bool ok, bytes memory result) =
            address(vault).staticcall(abi.encodeWithSignature("nonces(address)", account));
        require(ok, "nonces");
        return abi.decode(result, (uint256));
    }

    /// @dev As the vault reverts.
    function batch(IVault vault, bytes[] memory calls) internal returns (bytes[] memory) {
        (bool ok, bytes memory result) =
            address(vault).call(abi.encodeWithSignature("multicall(bytes[])", calls));
        return abi.decode(orRevert(ok, result), (bytes[]));
    }

    function orRevert(bool ok, bytes memory result) internal pure returns (bytes memory) {
        if (ok) return result;
        assembly ("memory-safe") {
            revert(add(result, 32), mload(result))
        }
    }
}
