// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EfficientHashLib} from "solady/src/utils/EfficientHashLib.sol";
import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Assignment: who scores what (M-9)
/// @notice Twin of `assignment` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
library Assignment {
    error IndexOutOfRange(uint256 index, uint256 length);

    uint256 private constant ROUNDS = 4;

    /// @notice Key of one validator's permutation.
    function key(bytes32 seed, uint256 task, uint256 epoch, address validator)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(seed, task, epoch, validator));
    }

    /// @notice How many of `n` submissions a validator with `stake` of `total` scores; rounds up, never above `n`.
    function count(uint256 redundancy, uint256 n, uint256 stake, uint256 total)
        internal
        pure
        returns (uint256)
    {
        if (n == 0 || stake == 0 || total == 0) return 0;
        return Math.min(n, Math.fullMulDivUp(redundancy * n, stake, total));
    }

    /// @notice Image of `i` under the keyed permutation of `[0, n)`: the place on the list of a validator's `i`-th score.
    /// @dev A generalised Feistel network over `[0, a·b)`, the smallest near-square rectangle with `a·b >= n`, walked
    /// until it falls into `[0, n)` (Black and Rogaway, 2002). Being a permutation it ends, after `a·b / n` steps on average.
    function image(bytes32 key_, uint256 n, uint256 i) internal pure returns (uint256) {
        if (i >= n) revert IndexOutOfRange(i, n);
        uint256 a = Math.sqrt(n);
        if (a * a < n) ++a;
        uint256 b = Math.divUp(n, a);
        do {
            i = _encrypt(key_, a, b, i);
        } while (i >= n);
        return i;
    }

    function _encrypt(bytes32 key_, uint256 a, uint256 b, uint256 i) private pure returns (uint256) {
        (uint256 l, uint256 r) = (i / b, i % b);
        for (uint256 round = 0; round < ROUNDS; round += 2) {
            l = addmod(l, _roundFunction(key_, round, r), a);
            r = addmod(r, _roundFunction(key_, round + 1, l), b);
        }
        return l * b + r;
    }

    function _roundFunction(bytes32 key_, uint256 round, uint256 x) private pure returns (uint256) {
        return uint256(EfficientHashLib.hash(uint256(key_), round, x));
    }
}
