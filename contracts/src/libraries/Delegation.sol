// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Delegation: how delegators share what a pool earned for them (M-6)
/// @notice Twin of `delegation` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
/// @dev One running sum per pool, nothing per delegator: the reward per share, with 64 binary places, below 2^128.
library Delegation {
    /// @notice Binary places of the reward per share.
    uint256 internal constant SCALE_BITS = 64;

    /// @notice A pool with fewer shares is counted as one with so many, so that a credit to next to no shares does not
    /// use up the range of the reward per share.
    uint256 internal constant LEAST_SHARES = 1 << 16;

    uint256 private constant SCALE = 1 << SCALE_BITS;

    /// @notice Folds what is pending into the reward per share. What does not divide stays pending: nothing is lost.
    /// @dev `pending` and `shares` below 2^96 fit. The rise rounds down and what it takes rounds up, so that all positions
    /// together are never owed more than what left `pending`.
    /// @return risen the new reward per share, at most 2^128 − 1; @return rest what stays pending.
    function fold(uint256 perShare, uint256 pending, uint256 shares)
        internal
        pure
        returns (uint256 risen, uint256 rest)
    {
        uint256 rise = pending * SCALE / Math.max(shares, LEAST_SHARES);
        rise = Math.min(rise, type(uint128).max - perShare);
        risen = perShare + rise;
        rest = pending - Math.divUp(rise * shares, SCALE);
    }

    /// @notice What `shares` are owed for the rise of the reward per share from `from` to `to`; rounds down.
    function accrued(uint256 shares, uint256 from, uint256 to) internal pure returns (uint256) {
        return shares * (to - from) / SCALE;
    }
}
