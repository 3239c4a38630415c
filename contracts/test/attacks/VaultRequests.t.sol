// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role, Terms, VaultConfig} from "../../src/interfaces/IVault.sol";
import {VaultFixture} from "../base/VaultFixture.sol";

/// @notice Attacks with as many requests to unbond as there can be, and what they cost others.
contract VaultRequestAttacksTest is VaultFixture {
    /// @notice As many requests as a queue holds, and one that unbonds as long as is possible: a slash walks what is not
    /// released, at most one request per epoch, and what is released waits and makes nothing dearer.
    function test_attack_ASlashCannotBeBlockedByAFullQueue() public {
        // 40 or 2550 of 10 000 are asked back. A half is taken of what is staked and of what is not released.
        uint256 quiet = slashOfQueue(UNBONDING, 4, 4980 + 15);
        uint256 full = slashOfQueue(UNBONDING, 255, 3725 + 15);
        assertLe(full * 100, quiet * 101, "as with what unbonds and one request before it");
        // The longest that a deployment may take to unbond: 61 of the requests are not released yet.
        uint256 longest = slashOfQueue(60, 255, 3725 + 61 * 5);
        assertLe(longest, 500_000, "a small part of what a transaction holds");
    }

    /// @dev What a slash of all costs if the operator's last `count` requests are of one epoch each.
    function slashOfQueue(uint32 unbonding, uint256 count, uint256 expected) internal returns (uint256 gas) {
        VaultConfig memory c = vaultConfig();
        c.unbondingEpochs = unbonding;
        warpTo(0);
        (vault, emission) = deploy(c, emissionConfig());
        enrich(creator);
        enrich(validator);
        Terms memory t = terms();
        t.lastEpoch = 400;
        vault.register(TASK, t);
        stakeAs(validator, Role.Validator, 10_000);
        for (uint256 epoch = 1; epoch <= 255; ++epoch) {
            warpTo(epoch);
            if (epoch > 255 - count) unstakeAs(validator, 10);
        }
        if (count == 255) {
            warpTo(256);
            expect(IVault.TooManyRequests.selector, abi.encode(validator, 255));
            unstakeAs(validator, 10);
            warpTo(255);
        }
        vm.cool(address(vault));
        gas = gasleft();
        uint256 taken = vault.slash(TASK, validator, 1 << 60);
        gas -= gasleft();
        assertEq(taken, expected);
        // What is left of the requests can be withdrawn once all are released.
        warpTo(400);
        assertEq(withdrawAs(validator, validator), 10 * count - 5 * least(count, unbonding + 1));
    }

    function least(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
