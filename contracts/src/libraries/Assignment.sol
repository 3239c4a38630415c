// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EfficientHashLib} from "solady/src/utils/EfficientHashLib.sol";
import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Assignment: who scores what (M-9)
/// @notice Twin of `assignment` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
library Assignment {
    error IndexOutOfRange(uint256 index, uint256 length);

    /// @notice The places `[0, n)` and the smallest near-square rectangle `a·b >= n` around them.
    /// @dev Taken once per call and not once per score, because of the root.
    struct Grid {
        uint256 n;
        uint256 a;
        uint256 b;
    }

    /// @notice Seed of an epoch: fixes what is scored, by whom, and which evaluation data is drawn.
    /// @param list digest of the list's history (`listDigest`), so that a seed is of one list and no other.
    function seed(
        uint256 randomness,
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        bytes32 list
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(randomness, chainId, arena, task, epoch, list));
    }

    /// @notice Digest of a list's history after `node` disclosed `contentHash` under the commitment number `number`.
    /// @dev An eviction has the content hash 0 and the number 0, which no submission has.
    function listDigest(bytes32 digest, address node, bytes32 contentHash, uint256 number)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(digest, node, contentHash, number));
    }

    /// @notice Key of one validator's permutation: keccak256(abi.encode(seed, task, epoch, validator)).
    function key(bytes32 seed_, uint256 task, uint256 epoch, address validator)
        internal
        pure
        returns (bytes32)
    {
        return
            EfficientHashLib.hash(seed_, bytes32(task), bytes32(epoch), bytes32(uint256(uint160(validator))));
    }

    /// @notice How many of `n` submissions a validator with `stake` of `total` scores; rounds up, never above `n`.
    function count(uint256 redundancy, uint256 n, uint256 stake, uint256 total)
        internal
        pure
        returns (uint256)
    {
        if (n == 0 || stake == 0 || total == 0) return 0;
        uint256 wanted = redundancy * n;
        // No vault and no list comes near these bounds, and then the product needs no more than 256 bits.
        if (wanted >> 128 == 0 && stake >> 128 == 0) return Math.min(n, Math.divUp(wanted * stake, total));
        return Math.min(n, Math.fullMulDivUp(wanted, stake, total));
    }

    /// @notice Grid of a list of length `n`: a = ⌈√n⌉, b = ⌈n/a⌉.
    function grid(uint256 n) internal pure returns (Grid memory) {
        uint256 a = Math.sqrt(n);
        if (a * a < n) ++a;
        return Grid({n: n, a: a, b: n == 0 ? 0 : Math.divUp(n, a)});
    }

    /// @notice Image of `i` under the keyed permutation of `[0, n)`: the place on the list of a validator's `i`-th score.
    /// @dev A generalised Feistel network over `[0, a·b)`, walked until it falls into `[0, n)` (Black and Rogaway, 2002).
    /// Being a permutation it ends, after `a·b / n` steps on average. In assembly because it runs once per score: checks of
    /// what cannot be zero and an allocation for each hash would double its cost.
    function image(Grid memory grid_, bytes32 key_, uint256 i) internal pure returns (uint256) {
        (uint256 n, uint256 a, uint256 b) = (grid_.n, grid_.a, grid_.b);
        if (i >= n) revert IndexOutOfRange(i, n);
        assembly ("memory-safe") {
            // keccak256(abi.encode(key, round, x)), beyond the allocated memory.
            function hash(words, round, x) -> h {
                mstore(add(words, 0x20), round)
                mstore(add(words, 0x40), x)
                h := keccak256(words, 0x60)
            }
            let words := mload(0x40)
            mstore(words, key_)
            for {} 1 {} {
                let l := div(i, b)
                let r := mod(i, b)
                l := addmod(l, hash(words, 0, r), a)
                r := addmod(r, hash(words, 1, l), b)
                l := addmod(l, hash(words, 2, r), a)
                r := addmod(r, hash(words, 3, l), b)
                i := add(mul(l, b), r)
                if lt(i, n) { break }
            }
        }
        return i;
    }

    /// @notice The `i` whose image is `x`: which of its scores a validator gives to the place `x`, if it owes so many.
    /// @dev The rounds of `image` backwards, walked in the same way.
    function preimage(Grid memory grid_, bytes32 key_, uint256 x) internal pure returns (uint256) {
        (uint256 n, uint256 a, uint256 b) = (grid_.n, grid_.a, grid_.b);
        if (x >= n) revert IndexOutOfRange(x, n);
        assembly ("memory-safe") {
            function hash(words, round, y) -> h {
                mstore(add(words, 0x20), round)
                mstore(add(words, 0x40), y)
                h := keccak256(words, 0x60)
            }
            let words := mload(0x40)
            mstore(words, key_)
            for {} 1 {} {
                let l := div(x, b)
                let r := mod(x, b)
                r := addmod(r, sub(b, mod(hash(words, 3, l), b)), b)
                l := addmod(l, sub(a, mod(hash(words, 2, r), a)), a)
                r := addmod(r, sub(b, mod(hash(words, 1, l), b)), b)
                l := addmod(l, sub(a, mod(hash(words, 0, r), a)), a)
                x := add(mul(l, b), r)
                if lt(x, n) { break }
            }
        }
        return x;
    }
}
