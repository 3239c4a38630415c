//! The committed bytecode of the Solidity libraries against their twins in Rust (P9), and the golden vectors.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

mod differential;
mod evm;
mod functions;
mod inputs;
mod sheets;
mod vectors;
