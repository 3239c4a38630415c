//! What fails, when and for how long.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aiarena_chain::account::Watcher;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::world::{BLOCK, PHASE, PHASES, VALIDATORS};

/// Longest time for which anything fails, in seconds: less than a quarter of a phase.
pub(crate) const LONGEST: u64 = PHASE / 4 - 1;

/// Most blocks that are undone.
pub(crate) const DEEPEST: u64 = 30;

/// What a daemon that is killed at a step of its journal panics with.
pub(crate) struct Killed;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Most requests to the endpoint, for everybody.
    Endpoint,
    /// The store: it has nothing and takes nothing.
    StoreGone,
    /// The store: it gives other bytes.
    StoreLies,
    /// The disk of one operator: nothing can be written.
    Disk,
    /// The process of one operator: it is killed and starts again at the end.
    Killed,
    /// The same, but it is killed at a step of its journal, soon after the beginning.
    KilledAtStep,
    /// Another process with the key of one operator and another folder works beside it, until the end.
    Replica,
    /// Blocks: those since the beginning, at most [`DEEPEST`], are undone at the end, and their transactions with them.
    Reorganised,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Endpoint,
        Self::StoreGone,
        Self::StoreLies,
        Self::Disk,
        Self::Killed,
        Self::KilledAtStep,
        Self::Replica,
        Self::Reorganised,
    ];

    fn is_everybodys(self) -> bool {
        matches!(self, Self::Endpoint | Self::StoreGone | Self::StoreLies | Self::Reorganised)
    }
}

/// Something that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Whose, if it is somebody's: 0 is the node, the others are validators.
    pub(crate) operator: usize,
    /// In seconds after the epoch's start.
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// Which step of the journal, or how many requests of 256 fail.
    pub(crate) number: usize,
}

/// All that fails in a story.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many tasks everybody serves at once.
    pub(crate) tasks: u64,
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    pub(crate) fn calm() -> Self {
        Self { seed: 0, tasks: 2, faults: Vec::new() }
    }

    /// Up to two faults in each phase; two tasks if the seed is even.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |limit: u64| u64::from(random.next_u32()) % limit;
        let mut faults = Vec::new();
        for phase in 0..PHASES {
            for _ in 0..below(3) {
                let length = 1 + below(LONGEST);
                let from = phase * PHASE + below(PHASE - length);
                let kind = Kind::ALL[usize::try_from(below(Kind::ALL.len() as u64)).unwrap()];
                let operator = usize::try_from(below(1 + VALIDATORS as u64)).unwrap();
                let operator = if kind.is_everybodys() { 0 } else { operator };
                let number = match kind {
                    Kind::Endpoint => 60 + below(197),
                    _ => below(8),
                };
                let number = usize::try_from(number).unwrap();
                faults.push(Fault { kind, operator, from, until: from + length, number });
            }
        }
        Self { seed, tasks: 2 - seed % 2, faults }
    }

    /// One kind, in all phases: at their beginnings, and at their ends. Two tasks have the same deadlines then.
    pub(crate) fn worst(kind: Kind) -> Vec<Self> {
        let mut plans = Vec::new();
        for at_end in [false, true] {
            for operator in 0..=VALIDATORS {
                let faults = (0..PHASES).map(|phase| {
                    let length = if kind == Kind::Reorganised { DEEPEST * BLOCK } else { LONGEST };
                    let from = phase * PHASE + if at_end { PHASE - length } else { 0 };
                    let number = if kind == Kind::Endpoint { 256 } else { usize::try_from(phase).unwrap() };
                    Fault { kind, operator, from, until: from + length, number }
                });
                plans.push(Self { seed: operator as u64, tasks: 2, faults: faults.collect() });
                if kind.is_everybodys() {
                    break;
                }
            }
        }
        plans
    }
}

/// A watcher that kills at the `nth` step that it is told, counted from 0.
pub(crate) fn kills_at(nth: usize) -> Watcher {
    let told = AtomicUsize::new(0);
    Arc::new(move |_| {
        if told.fetch_add(1, Ordering::SeqCst) == nth {
            std::panic::panic_any(Killed);
        }
    })
}
