//! One event after the other: how each changes the state.

use alloy::primitives::{Address, U256};

use super::{
    Disclosure, Entry, Flight, Ledger, Origin, Outcome, Payment, Pledge, Pool, Role, Stage, Tally, Task,
    Trace,
};
use crate::{
    bindings::{Arena::ArenaEvents as A, Vault::VaultEvents as V},
    history::{Event, Record},
};

/// An event that cannot have happened in the state before it: the history is not the contracts' own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {block}, log {log_index}: {what}")]
pub struct LedgerError {
    /// Where the event stands.
    pub block: u64,
    /// Its place in the block.
    pub log_index: u64,
    /// Why it cannot be.
    pub what: String,
}

type Applied = Result<(), String>;

impl Ledger {
    /// Applies the next event.
    ///
    /// # Errors
    /// [`LedgerError`] if the event cannot have followed the ones before it; the state is then of no use.
    pub fn apply(&mut self, record: &Record) -> Result<(), LedgerError> {
        let applied = match &record.event {
            Event::Arena(event) => self.apply_arena(event),
            Event::Vault(event) => self.apply_vault(event),
        };
        applied.map_err(|what| LedgerError { block: record.block, log_index: record.log_index, what })
    }

    fn task_mut(&mut self, task: U256) -> Result<&mut Task, String> {
        let number = u64::try_from(task).map_err(|_| format!("no task {task}"))?;
        self.tasks.get_mut(&number).ok_or_else(|| format!("no task {task}"))
    }

    fn apply_arena(&mut self, event: &A) -> Applied {
        match event {
            A::TaskCreated(e) => {
                let number = u64::try_from(e.task).map_err(|_| "task number too large".to_owned())?;
                if number != self.tasks.len() as u64 + 1 {
                    return Err(format!("task {number} after {} tasks", self.tasks.len()));
                }
                let task = new_task(
                    number,
                    e.creator,
                    epoch(e.firstEpoch)?,
                    epoch(e.lastEpoch)?,
                    (&e.params).into(),
                );
                self.tasks.insert(number, task);
                Ok(())
            }
            A::SubmissionCommitted(e) => {
                let task = self.task_mut(e.task)?;
                task.commitments += 1;
                if e.number != U256::from(task.commitments) {
                    return Err(format!("commitment number {} after {}", e.number, task.commitments - 1));
                }
                let pledge = Pledge {
                    commitment: e.commitment,
                    number: task.commitments,
                    epoch: epoch(e.epoch)?,
                    opened: false,
                };
                task.pledges.insert(e.node, pledge);
                Ok(())
            }
            A::SubmissionOpened(e) => self.task_mut(e.task)?.open(e),
            A::SubmissionWithdrawn(e) => {
                let withdrawn = epoch(e.epoch)?;
                let entry = self.task_mut(e.task)?.entries.iter_mut().find(|entry| entry.node == e.node);
                entry.ok_or_else(|| format!("{} has no submission to withdraw", e.node))?.withdrawn_in =
                    Some(withdrawn);
                Ok(())
            }
            A::SubmissionEvicted(e) => self.task_mut(e.task)?.evict(e.node, index(e.entry)?),
            A::SeedDrawn(e) => self.task_mut(e.task)?.draw(e),
            A::ScoresCommitted(e) => {
                let flight = self.task_mut(e.task)?.in_flight(e.epoch)?;
                match flight.commitments.insert(e.validator, e.commitment) {
                    Some(_) => Err(format!("{} committed twice in epoch {}", e.validator, e.epoch)),
                    None => Ok(()),
                }
            }
            A::ScoresRevealed(e) => {
                let flight = self.task_mut(e.task)?.in_flight(e.epoch)?;
                if !flight.reveals.contains_key(&e.validator) {
                    flight.revealers.push(e.validator);
                }
                let scores = e.scores.chunks(4).map(|b| b.try_into().map(u32::from_be_bytes));
                let scores = scores.collect::<Result<Vec<u32>, _>>().map_err(|_| "a score is cut short")?;
                let reveals = flight.reveals.entry(e.validator).or_default();
                (reveals.salt, reveals.root) = (e.salt, e.root);
                match reveals.chunks.insert(u32::try_from(e.chunk).map_err(|_| "chunk out of range")?, scores)
                {
                    Some(_) => Err(format!("{} revealed chunk {} twice", e.validator, e.chunk)),
                    None => Ok(()),
                }
            }
            A::Tallied(e) => self.task_mut(e.task)?.tallied(e),
            A::Ranked(e) => {
                let outcome = &mut self.task_mut(e.task)?.in_flight(e.epoch)?.outcome;
                outcome.order.push(u32::try_from(e.entry).map_err(|_| "entry out of range")?);
                if e.rank != U256::from(outcome.order.len()) {
                    return Err(format!("rank {} after {} ranks", e.rank, outcome.order.len() - 1));
                }
                Ok(())
            }
            A::NodePaid(e) => {
                let payment = Payment {
                    operator: e.node,
                    with_delegation: e.withDelegation,
                    without_delegation: e.withoutDelegation,
                };
                self.task_mut(e.task)?.in_flight(e.epoch)?.outcome.nodes.push(payment);
                Ok(())
            }
            A::Weighed(e) => {
                let outcome = &mut self.task_mut(e.task)?.in_flight(e.epoch)?.outcome;
                let chunk = u32::try_from(e.chunk).map_err(|_| "chunk out of range")?;
                match outcome.weights.insert((e.validator, chunk), e.weight) {
                    Some(_) => Err(format!("chunk {chunk} of {} weighed twice", e.validator)),
                    None => Ok(()),
                }
            }
            A::ValidatorPaid(e) => {
                let payment = Payment {
                    operator: e.validator,
                    with_delegation: e.withDelegation,
                    without_delegation: e.withoutDelegation,
                };
                self.task_mut(e.task)?.in_flight(e.epoch)?.outcome.validators.push(payment);
                Ok(())
            }
            A::PartlyTallied(e) => {
                let outcome = &mut self.task_mut(e.task)?.in_flight(e.epoch)?.outcome;
                let word = |value: U256| u32::try_from(value).map_err(|_| format!("{value} is out of range"));
                outcome.counted.insert((word(e.entry)?, word(e.median)?), word(e.lanes)?);
                Ok(())
            }
            // The vault's `BudgetSettled` follows in the same transaction and ends the epoch.
            A::EpochSettled(e) => self.task_mut(e.task)?.in_flight(e.epoch).map(|_| ()),
        }
    }

    fn apply_vault(&mut self, event: &V) -> Applied {
        match event {
            V::TaskRegistered(e) => self.task_mut(e.task).map(|_| ()),
            V::Funded(e) => {
                let from = epoch(e.epoch)? + 1;
                let task = self.task_mut(e.task)?;
                let (emission, bounty) = task.funded.latest();
                task.funded.set(from, (add(emission, e.emission)?, add(bounty, e.bounty)?));
                grow(&mut self.liabilities.budgets, add(e.emission, e.bounty)?)
            }
            V::Staked(e) => {
                let role = match e.role {
                    1 => Role::Node,
                    2 => Role::Validator,
                    other => return Err(format!("role {other}")),
                };
                let pool = self.task_mut(e.task)?.pools.entry(e.operator).or_insert_with(|| Pool::new(role));
                if pool.role != role {
                    return Err(format!("{} changed its role", e.operator));
                }
                let (direct, delegated) = pool.stakes.latest();
                pool.stakes.set(epoch(e.epoch)? + 1, (add(direct, e.amount)?, delegated));
                grow(&mut self.liabilities.staked, e.amount)
            }
            V::Unstaked(e) => {
                let pool = self.task_mut(e.task)?.pool(e.operator)?;
                let (direct, delegated) = pool.stakes.latest();
                pool.stakes.set(epoch(e.epoch)? + 1, (sub(direct, e.amount)?, delegated));
                shrink(&mut self.liabilities.staked, e.amount)
            }
            V::Delegated(e) => {
                let at = epoch(e.epoch)?;
                let task = self.task_mut(e.task)?;
                let closed_through = task.closed_through;
                let pool = task.pool(e.operator)?;
                pool.accrue(e.delegator, closed_through).map_err(text)?;
                let shares = pool.positions.get(&e.delegator).map_or(U256::ZERO, |p| p.shares.latest());
                pool.set_shares(e.delegator, at, add(shares, e.amount)?);
                let (direct, delegated) = pool.stakes.latest();
                pool.stakes.set(at + 1, (direct, add(delegated, e.amount)?));
                grow(&mut self.liabilities.staked, e.amount)
            }
            V::Undelegated(e) => {
                let at = epoch(e.epoch)?;
                let task = self.task_mut(e.task)?;
                let closed_through = task.closed_through;
                let pool = task.pool(e.operator)?;
                pool.accrue(e.delegator, closed_through).map_err(text)?;
                let shares = pool.positions.get(&e.delegator).map_or(U256::ZERO, |p| p.shares.latest());
                pool.set_shares(e.delegator, at, sub(shares, e.amount)?);
                let (direct, delegated) = pool.stakes.latest();
                pool.stakes.set(at + 1, (direct, sub(delegated, e.amount)?));
                shrink(&mut self.liabilities.staked, e.amount)
            }
            V::CommissionSet(e) => {
                let from = epoch(e.effectiveEpoch)?;
                self.task_mut(e.task)?.pool(e.operator)?.commission.set(from, e.commissionWad);
                Ok(())
            }
            V::Unbonding(e) => {
                self.unbonding.entry(e.account).or_default().push((e.amount, epoch(e.releaseEpoch)?));
                grow(&mut self.liabilities.unbonding, e.amount)
            }
            V::Withdrawn(e) => self.withdraw(e.account, e.amount),
            V::Claimed(e) => {
                let task = self.task_mut(e.task)?;
                let closed_through = task.closed_through;
                let pool = task.pool(e.operator)?;
                pool.accrue(e.account, closed_through).map_err(text)?;
                let mut owed = pool.take_owed(e.account);
                if e.account == e.operator {
                    owed += std::mem::take(&mut pool.operator_credit);
                }
                if owed != e.amount {
                    return Err(format!("{} claimed {}, but was owed {owed}", e.account, e.amount));
                }
                let claims = self.claims.entry(e.account).or_default();
                (claims.count, claims.amount) = (claims.count + 1, add(claims.amount, owed)?);
                shrink(&mut self.liabilities.credited, owed)
            }
            V::Reclaimed(e) => {
                let task = self.task_mut(e.task)?;
                let (emission, bounty) = task.unspent();
                if e.amount != add(emission, bounty)? {
                    return Err(format!("{} reclaimed, {emission} and {bounty} were left", e.amount));
                }
                task.spent = task.funded.latest();
                shrink(&mut self.liabilities.budgets, e.amount)
            }
            V::BudgetOpened(e) => self.task_mut(e.task)?.open_budget(epoch(e.epoch)?, e.emission, e.bounty),
            V::Credited(e) => {
                let at = epoch(e.epoch)?;
                let task = self.task_mut(e.task)?;
                task.pool(e.operator)?.credit(at, e.operatorAmount, e.delegatorsAmount).map_err(text)?;
                let credits = &mut task.in_flight(e.epoch)?.outcome.credits;
                if credits.insert(e.operator, (e.operatorAmount, e.delegatorsAmount)).is_some() {
                    return Err(format!("{} credited twice in epoch {at}", e.operator));
                }
                let amount = add(e.operatorAmount, e.delegatorsAmount)?;
                shrink(&mut self.liabilities.budgets, amount)?;
                grow(&mut self.liabilities.credited, amount)
            }
            V::BudgetSettled(e) => {
                self.task_mut(e.task)?.settle(epoch(e.epoch)?, (e.paid, e.toReserve, e.toBounty))
            }
        }
    }

    fn withdraw(&mut self, account: Address, amount: U256) -> Applied {
        let queue = self.unbonding.entry(account).or_default();
        let mut left = amount;
        while !left.is_zero() {
            let Some((first, _)) = queue.first().copied() else {
                return Err(format!("{account} withdrew {left} more than was unbonding"));
            };
            left = sub(left, first)?;
            queue.remove(0);
        }
        shrink(&mut self.liabilities.unbonding, amount)
    }
}

fn new_task(
    number: u64,
    creator: Address,
    first_epoch: u32,
    last_epoch: u32,
    params: super::TaskParams,
) -> Task {
    Task {
        number,
        params,
        creator,
        first_epoch,
        last_epoch,
        funded: Trace::default(),
        spent: (U256::ZERO, U256::ZERO),
        pools: Default::default(),
        pledges: Default::default(),
        commitments: 0,
        entries: Vec::new(),
        waiting: Vec::new(),
        disclosures: Vec::new(),
        origins: Default::default(),
        flight: None,
        settled: Vec::new(),
        closed_through: 0,
    }
}

impl Task {
    fn pool(&mut self, operator: Address) -> Result<&mut Pool, String> {
        self.pools.get_mut(&operator).ok_or_else(|| format!("{operator} has no pool"))
    }

    /// The list is fixed while an epoch is in flight.
    fn require_idle(&self) -> Applied {
        self.flight.as_ref().map_or(Ok(()), |flight| {
            Err(format!("the list changed while epoch {} is in flight", flight.epoch))
        })
    }

    fn in_flight(&mut self, epoch: U256) -> Result<&mut Flight, String> {
        self.flight
            .as_mut()
            .filter(|flight| U256::from(flight.epoch) == epoch)
            .ok_or_else(|| format!("epoch {epoch} is not in flight"))
    }

    fn open(&mut self, e: &crate::bindings::Arena::SubmissionOpened) -> Applied {
        self.require_idle()?;
        let pledge = self.pledges.get_mut(&e.node).ok_or_else(|| format!("{} did not commit", e.node))?;
        if U256::from(pledge.epoch) != e.epoch || U256::from(pledge.number) != e.number || pledge.opened {
            return Err(format!("{} has no commitment {} of epoch {} to open", e.node, e.number, e.epoch));
        }
        pledge.opened = true;
        let (number, epoch) = (pledge.number, pledge.epoch);
        let disclosure =
            Disclosure { node: e.node, number, epoch, content_hash: e.contentHash, uri: e.uri.clone() };
        let mut entry = Entry {
            node: e.node,
            number,
            content_hash: e.contentHash,
            uri: e.uri.clone(),
            withdrawn_in: None,
            consensus: None,
            queued: !self.params.fresh_data,
        };
        let place = self.entries.iter().position(|entry| entry.node == e.node).unwrap_or(self.entries.len());
        if place != index(e.entry)? {
            return Err(format!("the submission of {} is at {place}, not at {}", e.node, e.entry));
        }
        let was_queued = self.entries.get(place).is_some_and(|old| old.queued);
        if entry.queued && !was_queued {
            self.waiting.push(place32(place)?);
        }
        match self.entries.get_mut(place) {
            Some(old) => std::mem::swap(old, &mut entry),
            None => self.entries.push(entry),
        }
        self.disclosures.push(disclosure);
        let origin = self.origins.entry(e.contentHash).or_insert(Origin { node: e.node, number });
        if number < origin.number {
            *origin = Origin { node: e.node, number };
        }
        Ok(())
    }

    fn evict(&mut self, node: Address, place: usize) -> Applied {
        self.require_idle()?;
        if self.entries.get(place).is_none_or(|entry| entry.node != node) {
            return Err(format!("{node} has no submission at {place} to evict"));
        }
        let last = self.entries.len() - 1;
        let removed = self.entries.swap_remove(place);
        if removed.queued {
            self.waiting_remove(place32(place)?);
        }
        if let Some(moved) = self.waiting.iter_mut().find(|waiting| **waiting as usize == last) {
            *moved = place32(place)?;
        }
        Ok(())
    }

    fn waiting_remove(&mut self, place: u32) {
        if let Some(position) = self.waiting.iter().position(|waiting| *waiting == place) {
            self.waiting.swap_remove(position);
        }
    }

    fn open_budget(&mut self, epoch: u32, emission: U256, bounty: U256) -> Applied {
        if self.flight.is_some() {
            return Err(format!("budget of epoch {epoch} opened while another is open"));
        }
        self.spent = (add(self.spent.0, emission)?, add(self.spent.1, bounty)?);
        self.closed_through = epoch.saturating_sub(1);
        self.flight = Some(Flight {
            epoch,
            seed: Default::default(),
            entries: Vec::new(),
            listed: Vec::new(),
            validator_stake: U256::ZERO,
            budgets: (U256::ZERO, U256::ZERO),
            budget_parts: (emission, bounty),
            commitments: Default::default(),
            revealers: Vec::new(),
            reveals: Default::default(),
            outcome: Outcome::default(),
        });
        Ok(())
    }

    fn draw(&mut self, e: &crate::bindings::Arena::SeedDrawn) -> Applied {
        let (entries, waiting) = (self.entries.clone(), self.waiting.clone());
        let fresh = self.params.fresh_data;
        let listed: Vec<u32> = if fresh { (0..place32(entries.len())?).collect() } else { waiting };
        if e.entries != U256::from(entries.len()) || e.listed != U256::from(listed.len()) {
            return Err(format!("seed of epoch {} over {} of {} entries", e.epoch, e.listed, e.entries));
        }
        let flight = self.in_flight(e.epoch)?;
        (flight.seed, flight.entries, flight.listed) = (e.seed, entries, listed);
        flight.validator_stake = e.validatorStake;
        flight.budgets = (e.nodeBudget, e.validatorBudget);
        self.waiting.clear();
        Ok(())
    }

    fn tallied(&mut self, e: &crate::bindings::Arena::Tallied) -> Applied {
        let place = index(e.entry)?;
        let fresh = self.params.fresh_data;
        let flight = self.in_flight(e.epoch)?;
        if flight.stage() != Stage::Scoring || place != flight.outcome.tallies.len() {
            return Err(format!("entry {place} tallied after {} entries", flight.outcome.tallies.len()));
        }
        let consensus = u32::try_from(e.consensus).map_err(|_| "consensus score out of range")?;
        flight.outcome.tallies.push(Tally {
            node: e.node,
            scored: e.scored,
            ranked: e.ranked,
            consensus,
            stake: e.stake,
        });
        let entry = self.entries.get_mut(place).ok_or_else(|| format!("no entry {place}"))?;
        entry.consensus = e.scored.then_some(consensus);
        if !fresh && entry.queued {
            entry.queued = !e.scored;
            if !e.scored {
                self.waiting.push(place32(place)?);
            }
        }
        Ok(())
    }

    fn settle(&mut self, epoch: u32, parts: (U256, U256, U256)) -> Applied {
        let mut flight =
            self.flight.take().filter(|f| f.epoch == epoch).ok_or("settled without being in flight")?;
        flight.outcome.settled = Some(parts);
        self.spent = (sub(self.spent.0, parts.1)?, sub(self.spent.1, parts.2)?);
        self.closed_through = epoch;
        self.settled.push(flight);
        Ok(())
    }
}

fn text(error: aiarena_mechanism::Error) -> String {
    error.to_string()
}

/// An epoch number that leaves room for the epochs after it.
fn epoch(value: U256) -> Result<u32, String> {
    u32::try_from(value).ok().filter(|epoch| *epoch < u32::MAX - 2).ok_or_else(|| format!("epoch {value}"))
}

fn index(value: U256) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("place {value}"))
}

fn place32(place: usize) -> Result<u32, String> {
    u32::try_from(place).map_err(|_| format!("place {place}"))
}

fn add(a: U256, b: U256) -> Result<U256, String> {
    a.checked_add(b).filter(|sum| sum.bit_len() <= 128).ok_or_else(|| format!("{a} + {b} is no amount"))
}

fn sub(a: U256, b: U256) -> Result<U256, String> {
    a.checked_sub(b).ok_or_else(|| format!("{b} taken from {a}"))
}

fn grow(total: &mut U256, amount: U256) -> Applied {
    *total = add(*total, amount)?;
    Ok(())
}

fn shrink(total: &mut U256, amount: U256) -> Applied {
    *total = sub(*total, amount)?;
    Ok(())
}
