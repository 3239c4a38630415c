//! Daemons under seeded faults: whatever fails for less than a quarter of a phase, no scores are lost and nothing has its
//! effect twice.
//!
//! The chain's clock and the daemons' clock are the same, and go as fast as the work allows: all timeouts, pauses and phases
//! have the lengths that they have in earnest.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

mod faults;
mod story;
mod weather;
mod world;

use std::{
    panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::faults::{Kind, Plan};

/// Threads; each plays one story at a time.
const THREADS: usize = 4;

/// Plays stories on several threads; panics with those that failed.
fn play(plans: Vec<Plan>) {
    quiet();
    let plans = Mutex::new(plans.into_iter());
    let failed = Mutex::new(Vec::new());
    let played = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(plan) = plans.lock().unwrap().next() else { break };
                    let text = format!("{plan:?}");
                    if panic::catch_unwind(|| story::play(plan)).is_err() {
                        failed.lock().unwrap().push(text);
                    }
                    played.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "of {played:?} stories these failed:\n{}", failed.join("\n"));
}

/// A daemon that is killed panics, which is no news.
fn quiet() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<faults::Killed>().is_none() {
            usual(info);
        }
    }));
}

/// `FAULTS=10000` plays more, and `FAULTS_SEED` others.
#[test]
fn no_reveal_is_lost_under_seeded_faults() {
    let number = |name, default| std::env::var(name).map_or(default, |text: String| text.parse().unwrap());
    let (count, first): (u64, u64) = (number("FAULTS", 150), number("FAULTS_SEED", 1));
    play((first..first + count).map(Plan::seeded).collect());
}

#[test]
fn nothing_fails() {
    play(vec![Plan::calm()]);
}

/// Each kind of fault for all of the time that it may last, at the beginning and at the end of each phase.
#[test]
fn each_kind_of_fault_in_each_phase() {
    play(Kind::ALL.into_iter().flat_map(Plan::worst).collect());
}
