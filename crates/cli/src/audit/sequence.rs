//! Events that come together: one call of a contract emits both, one right after the other.

use std::fmt::{self, Display};

use aiarena_chain::{
    bindings::{Arena::ArenaEvents as A, Vault::VaultEvents as V},
    history::{Event, Record},
};
use alloy::primitives::{Address, B256, U256};

use super::finding::{Findings, Kind, Place};

/// An event that must come next, in the same transaction, and at no other time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sequel {
    Registered { task: U256 },
    Unbonding { account: Address, amount: U256 },
    SeedDrawn { task: U256, epoch: U256 },
    Credited { task: U256, epoch: U256, operator: Address, amount: U256 },
    BudgetSettled { task: U256, epoch: U256 },
}

impl Display for Sequel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { task } => write!(f, "the vault's registration of task {task}"),
            Self::Unbonding { account, amount } => write!(f, "the unbonding of {amount} of {account}"),
            Self::SeedDrawn { task, epoch } => write!(f, "the seed of task {task}, epoch {epoch}"),
            Self::Credited { task, epoch, operator, amount } => {
                write!(f, "the credit of {amount} to {operator} in task {task}, epoch {epoch}")
            }
            Self::BudgetSettled { task, epoch } => write!(f, "the end of task {task}, epoch {epoch}"),
        }
    }
}

/// What must come next.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    awaited: Option<(B256, Place, Sequel)>,
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
    }

    /// At the end of the history nothing may be awaited.
    pub(super) fn finish(self, findings: &mut Findings) {
        if let Some((_, place, awaited)) = self.awaited {
            findings.push(Kind::History, "", place, format!("the history ends before {awaited}"));
        }
    }
}

/// What an event demands.
fn demanded(event: &Event) -> Option<Sequel> {
    match event {
        Event::Arena(A::TaskCreated(e)) => Some(Sequel::Registered { task: e.task }),
        Event::Arena(A::NodePaid(e)) => credit(e.task, e.epoch, e.node, e.withDelegation),
        Event::Arena(A::ValidatorPaid(e)) => credit(e.task, e.epoch, e.validator, e.withDelegation),
        Event::Arena(A::EpochSettled(e)) => Some(Sequel::BudgetSettled { task: e.task, epoch: e.epoch }),
        Event::Vault(V::Unstaked(e)) => Some(Sequel::Unbonding { account: e.operator, amount: e.amount }),
        Event::Vault(V::Undelegated(e)) => Some(Sequel::Unbonding { account: e.delegator, amount: e.amount }),
        Event::Vault(V::BudgetOpened(e)) => Some(Sequel::SeedDrawn { task: e.task, epoch: e.epoch }),
        _ => None,
    }
}

/// Rewards of zero are not credited.
fn credit(task: U256, epoch: U256, operator: Address, amount: U256) -> Option<Sequel> {
    (!amount.is_zero()).then_some(Sequel::Credited { task, epoch, operator, amount })
}

/// What an event answers to.
fn as_sequel(event: &Event) -> Option<Sequel> {
    match event {
        Event::Arena(A::SeedDrawn(e)) => Some(Sequel::SeedDrawn { task: e.task, epoch: e.epoch }),
        Event::Vault(V::TaskRegistered(e)) => Some(Sequel::Registered { task: e.task }),
        Event::Vault(V::Unbonding(e)) => Some(Sequel::Unbonding { account: e.account, amount: e.amount }),
        Event::Vault(V::Credited(e)) => Some(Sequel::Credited {
            task: e.task,
            epoch: e.epoch,
            operator: e.operator,
            amount: e.operatorAmount.saturating_add(e.delegatorsAmount),
        }),
        Event::Vault(V::BudgetSettled(e)) => Some(Sequel::BudgetSettled { task: e.task, epoch: e.epoch }),
        _ => None,
    }
}
