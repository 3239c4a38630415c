//! The one error type of the crate.

use alloy_primitives::Address;

/// Why a rule has no result for its input. The first group is what a contract would revert with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Checked arithmetic left the range of 256 bits (Solidity's panic 0x11).
    #[error("arithmetic overflow")]
    Overflow,
    /// A plain division by zero (Solidity's panic 0x12).
    #[error("division by zero")]
    DivisionByZero,
    /// A full-precision quotient does not fit 256 bits, or its divisor is zero (Solady's `FullMulDivFailed`).
    #[error("full-precision quotient is too large, or its divisor is zero")]
    FullMulDivFailed,
    /// The exponential does not fit (Solady's `ExpOverflow`).
    #[error("exponential is too large")]
    ExpOverflow,
    /// The logarithm of zero or of a negative number (Solady's `LnWadUndefined`).
    #[error("logarithm of a number that is not positive")]
    LnUndefined,
    /// A square or a power does not fit (Solady's `RPowOverflow`).
    #[error("power is too large")]
    RpowOverflow,
    /// A place that is not in the list.
    #[error("index {index} is not below the length {length}")]
    IndexOutOfRange {
        /// The index asked for.
        index: u32,
        /// How many places there are.
        length: u32,
    },

    /// A word that is neither a score, nor invalid, nor an abstention.
    #[error("{0} is not a legal score")]
    IllegalScore(u32),
    /// Scores whose length is no multiple of four bytes.
    #[error("{0} bytes do not hold whole scores")]
    ScoresLength(usize),
    /// A consensus was asked for where no weight was revealed.
    #[error("no weight was revealed")]
    NoWeight,
    /// A tree needs at least one leaf.
    #[error("a Merkle tree needs at least one leaf")]
    NoLeaf,
    /// Stake that is ranked must be positive.
    #[error("the node at rank {rank} has no stake")]
    NoStake {
        /// 1 is the best.
        rank: u32,
    },
    /// Two submissions share a commitment number, so that ties would have no order.
    #[error("commitment number {0} occurs twice")]
    NumberTwice(u64),
    /// A validator scored one submission twice.
    #[error("validator {validator} scored submission {submission} twice")]
    ScoredTwice {
        /// The validator.
        validator: Address,
        /// Place of the submission in the input.
        submission: u32,
    },
    /// A score for a submission that keeps its consensus score.
    #[error("validator {validator} scored submission {submission}, which is not scored in this epoch")]
    NotListed {
        /// The validator.
        validator: Address,
        /// Place of the submission in the input.
        submission: u32,
    },
    /// A validator revealed more scores than it was assigned.
    #[error("validator {validator} revealed {given} scores and was assigned {assigned}")]
    TooManyScores {
        /// The validator.
        validator: Address,
        /// How many scores were revealed.
        given: usize,
        /// How many were assigned.
        assigned: u32,
    },
}
