//! The properties P1 … P8 of `docs/mechanism.md` and its table of edge cases. P9 is in `solidity`.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

mod conservation;
mod edge_cases;
mod epochs;
mod nodes;
mod scores;
mod slashing;
mod validators;
