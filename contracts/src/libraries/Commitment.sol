// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Commitment: what is hashed before it is shown (M-1, M-10)
/// @notice Twin of `commitment` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
library Commitment {
    /// @notice A node's commitment to a submission (M-1).
    function submission(
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        address node,
        bytes32 contentHash,
        bytes32 salt
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(chainId, arena, task, epoch, node, contentHash, salt));
    }

    /// @notice A validator's commitment to its scores (M-10).
    /// @param root Merkle root of its chunks of scores.
    function scores(
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        address validator,
        bytes32 salt,
        bytes32 root
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(chainId, arena, task, epoch, validator, salt, root));
    }

    /// @notice A commitment as it is stored: its upper 224 bits, and the epoch in the lower 32.
    /// @dev One word per validator, which is reused in each epoch; 112 bits of collision resistance remain.
    function tagged(bytes32 commitment, uint32 epoch) internal pure returns (bytes32) {
        return bytes32((uint256(commitment) & ~uint256(type(uint32).max)) | epoch);
    }

    /// @notice Leaf of the Merkle tree over a validator's chunks of scores (M-10).
    /// @dev Hashed twice, so that no inner node of a tree can be taken for a leaf.
    /// @param contentHashes what was scored, in the order of the draw.
    /// @param chunkScores four bytes each, big-endian, in the same order.
    function leaf(uint256 chunk, bytes32[] memory contentHashes, bytes calldata chunkScores)
        internal
        pure
        returns (bytes32)
    {
        bytes32 contents = keccak256(abi.encodePacked(contentHashes));
        return keccak256(bytes.concat(keccak256(abi.encode(chunk, contents, chunkScores))));
    }

    /// @notice Whether `leaf_` is the leaf at `index` of the tree of `count` leaves with this root (M-10).
    /// @dev The path follows from index and count alone: were the order of a pair or the length of the path free, a root
    /// could hold several leaves for one chunk, and its owner could choose among them after seeing what others revealed.
    function proves(bytes32[] calldata proof, bytes32 root, bytes32 leaf_, uint256 index, uint256 count)
        internal
        pure
        returns (bool)
    {
        uint256 used = 0;
        for (; count > 1; count = (count + 1) / 2) {
            // The last node of an odd level has no sibling and moves up unchanged.
            if (index ^ 1 < count) {
                if (used == proof.length) return false;
                bytes32 sibling = proof[used++];
                leaf_ = keccak256(index % 2 == 0 ? abi.encode(leaf_, sibling) : abi.encode(sibling, leaf_));
            }
            index /= 2;
        }
        return used == proof.length && leaf_ == root;
    }
}
