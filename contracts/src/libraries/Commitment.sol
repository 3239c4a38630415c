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

    /// @notice A validator's commitment to its scores (M-10), which it reveals all at once: whoever could reveal a part
    /// would choose the part after seeing what the others revealed.
    /// @param seed of the epoch; it binds the list's history, so that a score is of one artifact and no other.
    /// @param scoresBytes all of its scores, four bytes each, big-endian, in the order of the draw.
    function scores(
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        address validator,
        bytes32 salt,
        bytes32 seed,
        bytes memory scoresBytes
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(chainId, arena, task, epoch, validator, salt, seed, keccak256(scoresBytes))
        );
    }

    /// @notice A commitment as it is stored: its upper 224 bits, and the epoch in the lower 32.
    /// @dev One word per validator, which is reused in each epoch; 112 bits of collision resistance remain.
    function tagged(bytes32 commitment, uint32 epoch) internal pure returns (bytes32) {
        return bytes32((uint256(commitment) & ~uint256(type(uint32).max)) | epoch);
    }
}
