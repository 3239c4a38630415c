//! The auditor agrees with an honest history, and finds what was tampered with.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod agreement;
mod events;
mod files;
mod rescore;
mod shake;
mod story;
mod world;
