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
}
