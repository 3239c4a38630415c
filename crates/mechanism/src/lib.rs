//! The rules of AIArena as pure integer functions: who is paid what, and why.
//!
//! Every function has a twin in `contracts/src/libraries` and agrees with it bit for bit; the text of the rules is
//! `docs/mechanism.md`, whose numbers (M-1 …) are cited here. [`settle::settle`] applies them to a whole epoch.
//!
//! - Amounts are `U256` in base units of the token, ratios are `U256` in [`WAD`](fixed_point::WAD), scores are [`Score`].
//! - Nothing here knows a clock, a chain, a file, a float or a random number: those are arguments or live elsewhere.
//! - Rounding is down, against the caller, unless a function says otherwise.
//! - Arithmetic that would revert on chain returns an [`Error`] that says which way it would revert.

#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod assignment;
pub mod budget;
pub mod commitment;
pub mod consensus;
pub mod delegation;
mod error;
pub mod evaluation;
pub mod fixed_point;
pub mod ranking;
pub mod rewards;
pub mod score;
pub mod settle;
pub mod slashing;

pub use error::Error;
pub use score::Score;
