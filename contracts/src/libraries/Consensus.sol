// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Consensus: the score that a submission's validators agree on (M-7)
/// @notice Twin of `consensus` and `score` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
library Consensus {
    /// @notice Best score.
    uint256 internal constant MAX_SCORE = 1_000_000_000;
    /// @notice Score of an invalid submission.
    uint256 internal constant INVALID = 0;
    /// @notice Stands in the place of a score that could not be evaluated.
    uint256 internal constant ABSTAINED = type(uint32).max;

    /// @notice Whether a value may be revealed: a score, invalid, or an abstention.
    function isLegal(uint256 score) internal pure returns (bool) {
        return score <= MAX_SCORE || score == ABSTAINED;
    }

    /// @notice ω: weight of one score of a validator that scores `k` of `n` submissions with `stake`; rounds down.
    /// @dev Not its stake: assignment is already in proportion to stake.
    function weight(uint256 stake, uint256 n, uint256 k) internal pure returns (uint256) {
        return stake * n / k;
    }

    /// @notice Whether the revealed weight of a submission reaches a third of all validators' effective stake.
    function hasQuorum(uint256 revealedWeight, uint256 totalStake) internal pure returns (bool) {
        return revealedWeight != 0 && 3 * revealedWeight >= totalStake;
    }

    /// @notice Whether `candidate` is the lower weighted median of the scores of a submission: the smallest revealed
    /// score at which at least half of the revealed weight is reached.
    /// @param below weight of the scores below the candidate.
    /// @param atOrBelow weight of the scores not above the candidate.
    /// @param total weight of all scores, without abstentions.
    function isLowerMedian(uint256 candidate, uint256 below, uint256 atOrBelow, uint256 total)
        internal
        pure
        returns (bool)
    {
        // A score that nobody revealed has no weight of its own.
        return candidate <= MAX_SCORE && atOrBelow > below && 2 * below < total && 2 * atOrBelow >= total;
    }
}
