//! How an evaluation can end without an answer.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::sys::signal::Signal;

/// Why there is no answer. What of it counts against the artifact is in the [module's documentation](super).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The processor's time was used up.
    #[error("it used more than {limit} s of processor time")]
    CpuTime {
        /// The limit.
        limit: u64,
    },
    /// The evaluator aborted, as it does when it gets no more memory.
    #[error("it made the evaluator abort, as it does without memory")]
    Aborted,
    /// The evaluator made a system call that it has no use for.
    #[error("the evaluator made a forbidden system call")]
    Forbidden,
    /// The wall's time was used up, the processor's was not.
    #[error("no answer after {limit} s")]
    WallTime {
        /// The limit.
        limit: u64,
    },
    /// A signal that none of the limits sends.
    #[error("the evaluator was ended by signal {signal}")]
    Killed {
        /// Its number.
        signal: i32,
    },
    /// It ended by itself, without an answer.
    #[error("the evaluator ended with code {code}")]
    Exit {
        /// Its code.
        code: i32,
    },
    /// It said more than an answer can be long.
    #[error("the evaluator said more than {limit} bytes")]
    TooMuchOutput {
        /// The limit.
        limit: u64,
    },
    /// What it said is no answer to what it was asked.
    #[error("the evaluator did not answer: {why}")]
    NoAnswer {
        /// What is wrong with it.
        why: String,
    },
    /// It could not enter the sandbox, or not read what its parent gave it.
    #[error("the evaluator could not begin: {why}")]
    Unready {
        /// What it said.
        why: String,
    },
    /// It could not be started or spoken to.
    #[error("cannot run an evaluator: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// Whether the artifact is to blame, if it happens again: only what every validator would meet.
    #[must_use]
    pub fn is_the_artifacts(&self) -> bool {
        matches!(self, Self::CpuTime { .. } | Self::Aborted)
    }

    /// What an end other than success means.
    pub(super) fn of(status: ExitStatus, cpu_secs: u64) -> Option<Self> {
        let Some(number) = status.signal() else {
            return status.code().filter(|code| *code != 0).map(|code| Self::Exit { code });
        };
        Some(match Signal::try_from(number) {
            Ok(Signal::SIGXCPU) => Self::CpuTime { limit: cpu_secs },
            Ok(Signal::SIGABRT) => Self::Aborted,
            Ok(Signal::SIGSYS) => Self::Forbidden,
            _ => Self::Killed { signal: number },
        })
    }
}
