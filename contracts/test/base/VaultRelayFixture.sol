// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Role} from "../../src/interfaces/IVault.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice Signs what relayers send, with the types written down once more, so that a change of them shows.
abstract contract RelayFixture is VaultFixture {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    uint256 internal signerKey = uint256(keccak256("signer"));
    address internal signer = makeAddr("signer");
    uint256 internal deadline = GENESIS + 100 * EPOCH;

    function setUp() public virtual override {
        super.setUp();
        enrich(signer);
    }

    function signStake(uint256 key, address account, uint96 amount, uint256 nonce, uint256 until)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "Stake(address account,uint256 task,uint8 role,uint96 amount,uint256 nonce,uint256 deadline)"
        );
        return sign(key, keccak256(abi.encode(typehash, account, TASK, Role.Node, amount, nonce, until)));
    }

    function signDelegate(
        uint256 key,
        address account,
        address operator,
        uint96 amount,
        uint256 nonce,
        uint256 until
    ) internal view returns (bytes memory) {
        bytes32 typehash = keccak256(
            "Delegate(address account,uint256 task,address operator,uint96 amount,uint256 nonce,uint256 deadline)"
        );
        return sign(key, keccak256(abi.encode(typehash, account, TASK, operator, amount, nonce, until)));
    }

    function signClaim(uint256 key, address account, address operator, uint256 nonce, uint256 until)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typehash = keccak256(
            "Claim(address account,uint256 task,address operator,uint256 nonce,uint256 deadline)"
        );
        return sign(key, keccak256(abi.encode(typehash, account, TASK, operator, nonce, until)));
    }

    function sign(uint256 key, bytes32 content) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN, keccak256("AIArena Vault"), keccak256("1"), block.chainid, address(vault))
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, content)));
        return abi.encodePacked(r, s, v);
    }

    function nonces(address account) internal view returns (uint256) {
        (bool ok, bytes memory result) =
            address(vault).staticcall(abi.encodeWithSignature("nonces(address)", account));
        require(ok, "nonces");
        return abi.decode(result, (uint256));
    }

    function multicall(bytes[] memory calls) internal {
        (bool ok, bytes memory reason) =
            address(vault).call(abi.encodeWithSignature("multicall(bytes[])", calls));
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}
