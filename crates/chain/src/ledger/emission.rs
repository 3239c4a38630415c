//! Which tasks share the emission, and what each of them gets (M-2).

use std::collections::BTreeMap;

use aiarena_mechanism::{
    Error, budget,
    rewards::{effective, proportional},
};
use alloy::primitives::{Address, U256};

use super::{Ledger, Role, Task};

/// From which epoch and before which epoch a task takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is an epoch, and named in the text above")]
pub struct Admission {
    pub from_epoch: u32,
    pub until_epoch: u32,
}

/// What all admitted tasks share in an epoch, fixed when its first seed is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The epoch.
    pub epoch: u32,
    /// What they share, in base units.
    pub amount: U256,
    /// Their effective stake together.
    pub total_stake: U256,
}

/// State of the contract with an owner.
#[derive(Debug, Clone, Default)]
pub struct Emission {
    /// Who may admit and dismiss, and set the fee; zero for nobody.
    pub owner: Address,
    /// Who was offered to become the owner.
    pub pending_owner: Address,
    /// Admissions by task.
    pub admissions: BTreeMap<u64, Admission>,
    /// The tasks on the list, in the contract's order: admitted, or dismissed and not forgotten yet.
    pub list: Vec<u64>,
    /// What was fixed last.
    pub share: Option<Share>,
}

impl Emission {
    /// Whether a task takes part in an epoch.
    #[must_use]
    pub fn admits(&self, task: u64, epoch: u32) -> bool {
        self.admissions.get(&task).is_some_and(|a| a.from_epoch <= epoch && epoch < a.until_epoch)
    }

    pub(super) fn admit(&mut self, task: u64, from_epoch: u32) {
        self.list.push(task);
        self.admissions.insert(task, Admission { from_epoch, until_epoch: u32::MAX });
    }

    /// Makes room as the contract does: tasks that are dismissed or over take no part any more.
    pub(super) fn forget(&mut self, tasks: &BTreeMap<u64, Task>, epoch: u32) {
        let mut i = 0;
        while let Some(number) = self.list.get(i) {
            let over = tasks.get(number).is_none_or(|task| task.last_epoch < epoch);
            let admission = self.admissions.get_mut(number);
            if !over && admission.as_ref().is_some_and(|admission| admission.until_epoch > epoch) {
                i += 1;
                continue;
            }
            if let Some(admission) = admission {
                admission.until_epoch = admission.until_epoch.min(epoch);
            }
            self.list.swap_remove(i);
        }
    }
}

impl Ledger {
    /// What the admitted tasks share in an epoch whose first seed is drawn now.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn share(&self, epoch: u32) -> Result<Share, Error> {
        let c = &self.constants;
        let rate = budget::emission(c.emission, c.emission_decay_wad, c.emission_period, epoch)?;
        let admitted = self.emission.list.iter().filter(|task| self.emission.admits(**task, epoch));
        let stakes = admitted.filter_map(|task| self.tasks.get(task)).map(|task| task.effective_stake(epoch));
        let total_stake = stakes.sum::<Result<U256, Error>>()?;
        Ok(Share { epoch, amount: rate.min(self.reserve), total_stake })
    }

    /// What a task is due of an epoch's emission if its seed is drawn now.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn emission_due(&self, task: &Task, epoch: u32) -> Result<U256, Error> {
        if !self.emission.admits(task.number, epoch) {
            return Ok(U256::ZERO);
        }
        let share = match self.emission.share {
            Some(share) if share.epoch == epoch => share,
            _ => self.share(epoch)?,
        };
        let due = proportional(share.amount, task.effective_stake(epoch)?, share.total_stake)?;
        Ok(due.min(self.reserve))
    }

    /// The fee on a claim in an epoch, the current one or a later one (M-14).
    #[must_use]
    pub fn fee_at(&self, epoch: u32) -> U256 {
        self.fee.at(epoch)
    }
}

impl Task {
    /// S_k: effective stake of all eligible pools in an epoch, nodes and validators together; 0 if the task is not running.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn effective_stake(&self, epoch: u32) -> Result<U256, Error> {
        if epoch < self.first_epoch || epoch > self.last_epoch {
            return Ok(U256::ZERO);
        }
        let (nodes, validators) = (self.totals_at(Role::Node, epoch), self.totals_at(Role::Validator, epoch));
        effective(nodes.0 + validators.0, nodes.1 + validators.1, self.params.rules.epsilon_wad)
    }

    /// The bounty's part of an epoch's budget if its seed is drawn now (M-2).
    ///
    /// # Errors
    /// The mechanism's, if the task is over.
    pub fn bounty_due(&self, epoch: u32) -> Result<U256, Error> {
        let left = self.funded.at(epoch).saturating_sub(self.spent);
        let remaining = self.stream_end.saturating_add(1).saturating_sub(epoch);
        Ok(budget::Budget::open(U256::ZERO, left, remaining)?.bounty)
    }
}
