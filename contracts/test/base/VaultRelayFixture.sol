// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Role} from "../../src/interfaces/IVault.sol";
import {Relaying} from "./Relaying.sol";
import {VaultFixture} from "./VaultFixture.sol";

/// @notice A signer with tokens, and what it signs for the one task.
abstract contract RelayFixture is VaultFixture, Relaying {
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
        return signFor(vault, key, stakeContent(account, TASK, Role.Node, amount, nonce, until));
    }

    function signDelegate(
        uint256 key,
        address account,
        address operator,
        uint96 amount,
        uint256 nonce,
        uint256 until
    ) internal view returns (bytes memory) {
        return signFor(vault, key, delegateContent(account, TASK, operator, amount, nonce, until));
    }

    function signClaim(uint256 key, address account, address operator, uint256 nonce, uint256 until)
        internal
        view
        returns (bytes memory)
    {
        return signFor(vault, key, claimContent(account, TASK, operator, nonce, until));
    }

    function nonces(address account) internal view returns (uint256) {
        return noncesOf(vault, account);
    }

    function multicall(bytes[] memory calls) internal {
        batch(vault, calls);
    }
}
