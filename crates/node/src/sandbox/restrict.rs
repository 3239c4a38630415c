//! What the child gives up, for ever, before it reads a stranger's bytes.

use std::{collections::BTreeMap, fmt, io, process};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use nix::{
    libc,
    sched::{CloneFlags, unshare},
};
use rlimit::{Resource, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use serde::{Deserialize, Serialize};

use super::Limits;

/// Files that the child may have open: the three that it was given, and those that Landlock needs for a moment.
const OPEN_FILES: u64 = 8;

/// What of the sandbox holds on this machine. Limits and the filter of system calls always do, or nothing is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enforced {
    /// The version of Landlock's interface whose every right is denied; 0 without Landlock.
    pub landlock_abi: u8,
    /// The namespaces of its own that the child has.
    pub namespaces: Vec<String>,
}

/// One line for people.
impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits, seccomp")?;
        match self.landlock_abi {
            0 => f.write_str(", no Landlock")?,
            abi => write!(f, ", Landlock (ABI {abi})")?,
        }
        match &self.namespaces[..] {
            [] => f.write_str(", no namespaces of its own"),
            names => write!(f, ", own namespaces: {}", names.join(" ")),
        }
    }
}

/// Why the sandbox could not be entered: nothing may be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unready {
    /// A limit could not be set.
    #[error("cannot limit {what}: {source}")]
    Limit {
        /// What was to be limited.
        what: &'static str,
        /// The system's reason.
        r#source: io::Error,
    },
    /// The memory that an evaluation may use is not to be had here.
    #[error("this machine does not grant {bytes} bytes to an evaluation")]
    Memory {
        /// How much was asked for.
        bytes: u64,
    },
    /// The filter of system calls could not be made or installed.
    #[error("cannot filter system calls: {0}")]
    Filter(String),
    /// Landlock is there and failed.
    #[error("cannot enter Landlock: {0}")]
    Landlock(landlock::RulesetError),
}

impl From<landlock::RulesetError> for Unready {
    fn from(error: landlock::RulesetError) -> Self {
        Self::Landlock(error)
    }
}

/// Gives up everything that an evaluation does not need. It cannot be undone, and holds for the calling thread: to be
/// called before there is another one.
///
/// # Errors
/// [`Unready`] if a layer that must hold does not.
pub fn enter(limits: &Limits) -> Result<Enforced, Unready> {
    let enforced = enter_unfiltered(limits)?;
    filter()?;
    Ok(enforced)
}

/// The same without the filter of system calls. For tests of the other layers alone, since the filter stops first whatever they
/// stop.
///
/// # Errors
/// As [`enter`].
#[doc(hidden)]
pub fn enter_unfiltered(limits: &Limits) -> Result<Enforced, Unready> {
    let namespaces = leave_namespaces();
    let landlock_abi = deny_files()?;
    limit(limits)?;
    reserve(limits.memory_bytes / 4 * 3)?;
    Ok(Enforced { landlock_abi, namespaces })
}

/// A network without interfaces and queues without messages; where the system refuses, it is left to the other layers.
fn leave_namespaces() -> Vec<String> {
    let mut flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    if unshare(flags).is_err() {
        // Some systems keep user namespaces from everybody, but an administrator needs none.
        flags.remove(CloneFlags::CLONE_NEWUSER);
        if unshare(flags).is_err() {
            return Vec::new();
        }
    }
    [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("net", CloneFlags::CLONE_NEWNET),
        ("ipc", CloneFlags::CLONE_NEWIPC),
    ]
    .into_iter()
    .filter(|(_, flag)| flags.contains(*flag))
    .map(|(name, _)| name.to_owned())
    .collect()
}

/// Denies every right that the kernel's Landlock knows, with no exception: the child needs no file. Returns the version of
/// the interface, or 0.
fn deny_files() -> Result<u8, Unready> {
    let newest = ABI::from(i32::from(u8::MAX));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            (1..=99).rev().find(|abi| effective_abi >= ABI::from(i32::from(*abi))).map_or(0, highest)
        }
        _ => 0,
    })
}

/// Versions that this program does not know count as the newest that it knows.
fn highest(abi: u8) -> u8 {
    let known = ABI::from(i32::from(abi));
    (1..=abi).find(|lower| ABI::from(i32::from(*lower)) == known).unwrap_or(abi)
}

fn limit(limits: &Limits) -> Result<(), Unready> {
    let set = |what: &'static str, resource: Resource, soft: u64, hard: u64| {
        let lower = || {
            let (_, most) = getrlimit(resource)?;
            setrlimit(resource, soft.min(most), hard.min(most))
        };
        lower().map_err(|source| Unready::Limit { what, source })
    };
    set("core dumps", Resource::CORE, 0, 0)?;
    set("written files", Resource::FSIZE, 0, 0)?;
    set("open files", Resource::NOFILE, OPEN_FILES, OPEN_FILES)?;
    set("processes", Resource::NPROC, 0, 0)?;
    // The first second beyond it ends the child by a signal that says why, the next one by the one that nothing stops.
    set("processor time", Resource::CPU, limits.cpu_secs, limits.cpu_secs.saturating_add(1))?;
    set("memory", Resource::AS, limits.memory_bytes, limits.memory_bytes)
}

/// Asks for memory and gives it back. Afterwards, running out of it is the artifact's doing.
fn reserve(bytes: u64) -> Result<(), Unready> {
    let mut memory: Vec<u8> = Vec::new();
    let size = usize::try_from(bytes).map_err(|_| Unready::Memory { bytes })?;
    memory.try_reserve_exact(size).map_err(|_| Unready::Memory { bytes })?;
    // Otherwise the compiler may leave out both asking and giving back.
    std::hint::black_box(&mut memory);
    Ok(())
}

/// Kills the process on every system call but the listed ones. This also sets `no_new_privs`.
fn filter() -> Result<(), Unready> {
    let wrong = |error: &dyn fmt::Display| Unready::Filter(error.to_string());
    let arch = std::env::consts::ARCH.try_into().map_err(|error: seccompiler::BackendError| wrong(&error))?;
    let rules = allowed().map_err(|error| wrong(&error))?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)
        .map_err(|error| wrong(&error))?;
    let program: BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| wrong(&error))?;
    apply_filter(&program).map_err(|error| wrong(&error))
}

/// The system calls that memory, one pipe in, one out, an abort and an end need, with the arguments that they need.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let equal = |argument: u8, value: u32| SeccompCondition::new(argument, Len::Dword, Op::Eq, value.into());
    let masked = |argument: u8, mask: libc::c_int, value: libc::c_int| {
        let (mask, value) = (u64::from(mask.unsigned_abs()), u64::from(value.unsigned_abs()));
        SeccompCondition::new(argument, Len::Dword, Op::MaskedEq(mask), value)
    };
    let (signal, exec, anonymous) = (libc::SIGABRT.unsigned_abs(), libc::PROT_EXEC, libc::MAP_ANONYMOUS);
    let mut rules = BTreeMap::from([
        (libc::SYS_read, vec![SeccompRule::new(vec![equal(0, 0)?])?]),
        (libc::SYS_write, vec![SeccompRule::new(vec![equal(0, 1)?])?, SeccompRule::new(vec![equal(0, 2)?])?]),
        // No code but the program's own, and no file: also not one that a careless parent left open.
        (
            libc::SYS_mmap,
            vec![SeccompRule::new(vec![masked(2, exec, 0)?, masked(3, anonymous, anonymous)?])?],
        ),
        (libc::SYS_mprotect, vec![SeccompRule::new(vec![masked(2, exec, 0)?])?]),
        // An abort signals the own process, and no other.
        (libc::SYS_tgkill, vec![SeccompRule::new(vec![equal(0, process::id())?, equal(2, signal)?])?]),
    ]);
    let plain = [
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    rules.extend(plain.map(|call| (call, Vec::new())));
    Ok(rules)
}
