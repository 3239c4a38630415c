//! The committed bytecode of the Solidity libraries against their twins in Rust (P9), and the golden vectors.

mod differential;
mod evm;
mod functions;
mod inputs;
mod merkle;
mod vectors;
