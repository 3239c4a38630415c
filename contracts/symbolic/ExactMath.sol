// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Stands in for Solady's library of this name in the symbolic proofs
/// @notice The same results in plain arithmetic, which a solver can reason about. That Solady's functions give them is not
/// proved here; the differential tests compare them with exact integers.
library FixedPointMathLib {
    /// @dev A product of two such factors has at most 256 bits. A proof in which a larger one is possible fails.
    uint256 private constant FACTORS = 1 << 128;

    function fullMulDiv(uint256 x, uint256 y, uint256 d) internal pure returns (uint256) {
        return _product(x, y) / d;
    }

    function fullMulDivUp(uint256 x, uint256 y, uint256 d) internal pure returns (uint256) {
        return divUp(_product(x, y), d);
    }

    function divUp(uint256 x, uint256 d) internal pure returns (uint256) {
        uint256 down = x / d;
        unchecked {
            return down * d == x ? down : down + 1;
        }
    }

    function min(uint256 x, uint256 y) internal pure returns (uint256) {
        return x < y ? x : y;
    }

    function max(uint256 x, uint256 y) internal pure returns (uint256) {
        return x > y ? x : y;
    }

    function dist(uint256 x, uint256 y) internal pure returns (uint256) {
        return x > y ? x - y : y - x;
    }

    function zeroFloorSub(uint256 x, uint256 y) internal pure returns (uint256) {
        return x > y ? x - y : 0;
    }

    /// @dev For the lists of the proofs, which are short.
    function sqrt(uint256 x) internal pure returns (uint256 root) {
        while ((root + 1) * (root + 1) <= x) ++root;
    }

    /// @dev No proof needs a power but the one that is 1.
    function rpow(uint256, uint256 n, uint256 b) internal pure returns (uint256) {
        assert(n == 0);
        return b;
    }

    function _product(uint256 x, uint256 y) private pure returns (uint256) {
        assert(x < FACTORS && y < FACTORS);
        unchecked {
            return x * y;
        }
    }
}
