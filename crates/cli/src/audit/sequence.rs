//! Events that come together: one call emits both, one right after the other.

use std::fmt::{self, Display};

use aiarena_chain::{
    bindings::{Arena::ArenaEvents as A, Emission::EmissionEvents as E, Vault::VaultEvents as V},
    history::{Event, Record},
};
use alloy::primitives::{Address, B256, U256};

use super::finding::{Findings, Kind, Place};

/// An event that must come next, in the same transaction, and at no other time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sequel {
    Registered { task: U256 },
    Shortened { task: U256, last: U256 },
    SeedDrawn { task: U256, epoch: U256 },
    BudgetSettled { task: U256, epoch: U256 },
    Slashed { task: U256, operator: Address },
}

impl Display for Sequel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { task } => write!(f, "the vault's registration of task {task}"),
            Self::Shortened { task, last } => write!(f, "the vault's end of task {task} in epoch {last}"),
            Self::SeedDrawn { task, epoch } => write!(f, "the seed of task {task}, epoch {epoch}"),
            Self::BudgetSettled { task, epoch } => write!(f, "the end of task {task}, epoch {epoch}"),
            Self::Slashed { task, operator } => write!(f, "the slash of {operator} in task {task}"),
        }
    }
}

/// What must come next.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    awaited: Option<(B256, Place, Sequel)>,
    /// The transaction in which an epoch's emission was fixed just now, for the budget that drew first.
    fixed: Option<(B256, Place, U256)>,
}

impl Sequence {
    /// Checks an event against what the one before it demands.
    pub(super) fn step(&mut self, record: &Record, findings: &mut Findings) {
        let place = Place::record(record);
        let (awaited, came) = (self.awaited.take(), as_sequel(&record.event));
        match (awaited, came) {
            (None, None) => {}
            (Some((transaction, before, awaited)), came) => {
                let right = came.as_ref() == Some(&awaited) && transaction == record.transaction;
                findings.check(right, Kind::History, "", before, || {
                    format!("{awaited} must follow at once, and does not")
                });
            }
            (None, Some(came)) => {
                findings.push(Kind::History, "", place, format!("{came} comes without its cause"));
            }
        }
        self.awaited = demanded(&record.event).map(|sequel| (record.transaction, place, sequel));

        if let Some((transaction, before, epoch)) = self.fixed.take() {
            let opened = matches!(&record.event, Event::Vault(V::BudgetOpened(e)) if e.epoch == epoch);
            let right = opened && transaction == record.transaction;
            findings.check(right, Kind::History, "M-2", before, || {
                "the emission is fixed, and no budget is opened with it".to_owned()
            });
        }
        if let Event::Emission(E::EmissionFixed(e)) = &record.event {
            self.fixed = Some((record.transaction, place, e.epoch));
        }
    }

    /// At the end of the history nothing may be awaited.
    pub(super) fn finish(self, findings: &mut Findings) {
        if let Some((_, place, awaited)) = self.awaited {
            findings.push(Kind::History, "", place, format!("the history ends before {awaited}"));
        }
        if let Some((_, place, _)) = self.fixed {
            findings.push(
                Kind::History,
                "",
                place,
                "the history ends before the budget that was to be opened",
            );
        }
    }
}

/// What an event demands.
fn demanded(event: &Event) -> Option<Sequel> {
    match event {
        Event::Arena(A::TaskCreated(e)) => Some(Sequel::Registered { task: e.task }),
        Event::Arena(A::TaskEnded(e)) => Some(Sequel::Shortened { task: e.task, last: e.lastEpoch }),
        Event::Arena(A::EpochSettled(e)) => Some(Sequel::BudgetSettled { task: e.task, epoch: e.epoch }),
        Event::Arena(A::UnrevealedReported(e)) => {
            Some(Sequel::Slashed { task: e.task, operator: e.validator })
        }
        // The last of the silent epochs in a row starts the count again.
        Event::Arena(A::SilenceReported(e)) if e.count.is_zero() => {
            Some(Sequel::Slashed { task: e.task, operator: e.validator })
        }
        Event::Vault(V::BudgetOpened(e)) => Some(Sequel::SeedDrawn { task: e.task, epoch: e.epoch }),
        _ => None,
    }
}

/// What an event answers to.
fn as_sequel(event: &Event) -> Option<Sequel> {
    match event {
        Event::Arena(A::SeedDrawn(e)) => Some(Sequel::SeedDrawn { task: e.task, epoch: e.epoch }),
        Event::Vault(V::TaskRegistered(e)) => Some(Sequel::Registered { task: e.task }),
        Event::Vault(V::TaskShortened(e)) => Some(Sequel::Shortened { task: e.task, last: e.lastEpoch }),
        Event::Vault(V::BudgetSettled(e)) => Some(Sequel::BudgetSettled { task: e.task, epoch: e.epoch }),
        Event::Vault(V::Slashed(e)) => Some(Sequel::Slashed { task: e.task, operator: e.operator }),
        _ => None,
    }
}
