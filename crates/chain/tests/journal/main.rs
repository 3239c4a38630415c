//! The journal: whatever fails, each transaction has its effect once.
#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod faults;
mod fees;
mod miner;
mod raises;
mod refusals;
mod schedules;
mod world;
