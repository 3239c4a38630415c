//! Children that misbehave, and how each is stopped; and that the sandbox changes no verdict.
//!
//! It is a program of its own and not a harness of tests, because a child is this program once more, and enters the sandbox
//! before it has a second thread.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed expectation is the point of a test")]

mod hostile;
mod layers;
mod verdicts;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use aiarena_node::sandbox::{self, Limits};

/// Small enough that a child that runs into one is soon done.
pub(crate) const SMALL: Limits =
    Limits { memory_bytes: 256 << 20, cpu_secs: 1, wall_secs: 3, output_bytes: 4 << 10 };

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [sandbox::COMMAND] => return sandbox::child_main(),
        ["misbehave", how] => return hostile::misbehave(how),
        ["attempt", held, what] => return layers::attempt(held == "held", what),
        _ => {}
    }
    // `cargo test name` gives a filter; options of the usual harness mean nothing here.
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let tests = [hostile::TESTS, layers::TESTS, verdicts::TESTS].concat();
    let chosen = tests.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str())));
    let mut failed: Vec<&str> = Vec::new();
    for (name, test) in chosen {
        let ok = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        failed.extend((!ok).then_some(*name));
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {failed:?}");
    ExitCode::FAILURE
}
