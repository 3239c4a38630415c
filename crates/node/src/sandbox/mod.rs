//! Evaluates a stranger's artifact in a process of its own, which can do nothing but compute.
//!
//! A validator reads files that anybody may have written. The parser is safe Rust with limits before every allocation, so
//! no file should get further than an error. The sandbox is for the day on which one does: a bug in a library, a
//! loop that does not end, more memory than there is. Then the artifact costs its own score, and neither the
//! validator's key nor its machine.
//!
//! The parent starts its own binary once more with the hidden command `evaluate-artifact`, which calls [`child_main`].
//! The job is JSON on the child's standard input, followed by the bytes of the artifacts and of the rows; the answer is JSON
//! on its standard output. **The child opens no file.** Whatever it reads comes through that one pipe, so the filter
//! allows no `open` at all, what a validator keeps secret is never written to a disk for a child, and it makes no
//! difference which user may read which folder. Before it reads the first of a stranger's bytes the child gives up, in
//! [`enter`]:
//!
//! | layer | what it takes | without it |
//! |---|---|---|
//! | limits of the system | memory, processor time, files, processes, core dumps | nothing is evaluated |
//! | seccomp | every system call but those that memory, one pipe in, one out and an end need; others kill | nothing is evaluated |
//! | namespaces | network, message queues, capabilities of the user | reported, the other layers hold |
//! | Landlock | all files, TCP, signals to and sockets of others | reported, the other layers hold |
//!
//! A forbidden call kills the process instead of failing: safe code never makes one, so whoever does is no longer our code,
//! and is not to have a second try.
//!
//! # Whose fault it is
//!
//! A score of 0 and an abstention are not the same (M-7): honest validators must agree on the first, and the second is
//! always safe. So an artifact is invalid only if what happened would happen to every validator:
//!
//! - the parser refuses it, its answers are not finite, or the evaluator panics: the same bits on every machine;
//! - it uses more processor time than [`Limits::cpu_secs`], or it aborts the evaluator, which is what running out of
//!   memory does, twice in a row. Both limits are far above what the largest model needs (a test holds the distance),
//!   and the child asks for the memory before it reads the artifact, so a machine without it says so in time.
//!
//! Everything else is this machine's trouble, and an abstention: no child can be started, somebody killed it (the system
//! does when *it* is out of memory), the wall's clock ran out although the processor's did not, it answered nonsense or
//! made a forbidden call. The last two mean an evaluator that was taken over. It could have answered with any score, so
//! nothing is lost by believing none; and on a system library that makes a call which the filter does not
//! know, the validator abstains instead of calling every honest model invalid.

mod child;
mod fault;
mod restrict;
mod run;
mod wire;

use serde::{Deserialize, Serialize};

pub(crate) use self::wire::write_bytes;
pub use self::{
    child::child_main,
    fault::Fault,
    restrict::{Enforced, Unready, enter, enter_unfiltered},
    run::{Sandbox, probe},
    wire::{Answer, Job, Kind},
};

/// The hidden command on which the binary calls [`child_main`].
pub const COMMAND: &str = "evaluate-artifact";

/// What one evaluation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_secs: u64,
    /// Time on the wall, in seconds. Longer than the processor's: a busy machine must not decide a score.
    pub wall_secs: u64,
    /// What is read of the answer, in bytes.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// Enough for the largest model on the largest slice, several times.
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, cpu_secs: 120, wall_secs: 600, output_bytes: 64 << 10 }
    }
}
