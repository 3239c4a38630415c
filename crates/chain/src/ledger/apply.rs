//! One event after the other: how each changes the state.

use aiarena_mechanism::{assignment::list_digest, slashing};
use alloy::primitives::{Address, B256, U256};

use super::{
    Ballot, Disclosure, Entry, Flight, Ledger, Offence, Origin, Outcome, Payment, Pledge, Pool, Ranked,
    Request, Reveal, Role, Share, Silence, Stage, Tally, Task,
};
use crate::{
    bindings::{
        Arena::{self as arena, ArenaEvents as A},
        Emission::EmissionEvents as E,
        Vault::{self as vault, VaultEvents as V},
    },
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
    /// What budgets, rewards and commissions are is taken as said, for the auditor to compare; all that follows from it, and
    /// what a slash or a claim takes, must be as the rules have it.
    ///
    /// # Errors
    /// [`LedgerError`] if the event cannot have followed the ones before it; the state is then of no use.
    pub fn apply(&mut self, record: &Record) -> Result<(), LedgerError> {
        let applied = match &record.event {
            Event::Arena(event) => self.apply_arena(event),
            Event::Vault(event) => self.apply_vault(event),
            Event::Emission(event) => self.apply_emission(event),
        };
        applied.map_err(|what| LedgerError { block: record.block, log_index: record.log_index, what })
    }

    fn task_mut(&mut self, task: U256) -> Result<&mut Task, String> {
        let number = u64::try_from(task).map_err(|_| format!("no task {task}"))?;
        self.tasks.get_mut(&number).ok_or_else(|| format!("no task {task}"))
    }

    fn apply_arena(&mut self, event: &A) -> Applied {
        match event {
            A::TaskCreated(e) => self.create(e),
            A::TaskEnded(e) => {
                let last = epoch(e.lastEpoch)?;
                let task = self.task_mut(e.task)?;
                if last >= task.last_epoch {
                    return Err(format!("task {} ends in {last}, not before {}", e.task, task.last_epoch));
                }
                task.last_epoch = last;
                Ok(())
            }
            A::KeyRegistered(e) => {
                self.keys.insert(e.account, e.key);
                Ok(())
            }
            A::SubmissionCommitted(e) => self.task_mut(e.task)?.pledge(e),
            A::SubmissionOpened(e) => self.task_mut(e.task)?.open(e),
            A::SubmissionWithdrawn(e) => {
                let withdrawn = epoch(e.epoch)?;
                self.task_mut(e.task)?.entry(e.node)?.withdrawn_in = Some(withdrawn);
                Ok(())
            }
            A::SubmissionEvicted(e) => self.task_mut(e.task)?.evict(e.node, e.moved),
            A::SeedDrawn(e) => self.task_mut(e.task)?.draw(e),
            // Anyone may commit to anything, also in a task that does not exist.
            A::ScoresCommitted(e) => match self.task_mut(e.task) {
                Ok(task) => task.commit_scores(e),
                Err(_) => Ok(()),
            },
            A::ScoresRevealed(e) => self.task_mut(e.task)?.reveal_scores(e),
            A::Tallied(e) => self.task_mut(e.task)?.tallied(e),
            A::PartlyTallied(e) => {
                let (median, counted) = (word(e.median)?, word(e.counted)?);
                let flight = self.task_mut(e.task)?.at_stage(e.epoch, Stage::Scoring)?;
                flight.outcome.counted.insert((e.node, e.settler, median), counted);
                Ok(())
            }
            A::Ranked(e) => {
                let ranked = Ranked {
                    ranked: word(e.ranked)?,
                    upper_score: word(e.upperScore)?,
                    lower_score: word(e.lowerScore)?,
                };
                let flight = self.task_mut(e.task)?.at_stage(e.epoch, Stage::Ranking)?;
                flight.outcome.ranked = Some(ranked);
                Ok(())
            }
            A::Weighed(e) => {
                let flight = self.task_mut(e.task)?.at_stage(e.epoch, Stage::Paying)?;
                match flight.outcome.weights.insert(e.validator, e.weight) {
                    Some(_) => Err(format!("{} weighed twice", e.validator)),
                    None => Ok(()),
                }
            }
            // The vault's `BudgetSettled` follows in the same transaction and ends the epoch.
            A::EpochSettled(e) => self.task_mut(e.task)?.at_stage(e.epoch, Stage::Paying).map(|_| ()),
            A::UnrevealedReported(e) => {
                let task = self.task_mut(e.task)?;
                task.offended(e.validator, e.epoch, Offence::Unrevealed)?;
                if let Some(ballot) = task.ballots.get_mut(&e.validator) {
                    ballot.closed = true;
                }
                task.awaited_slash = Some(e.validator);
                Ok(())
            }
            A::SilenceReported(e) => {
                let limit = u32::from(self.clock.schedule.silent_epochs);
                let task = self.task_mut(e.task)?;
                task.offended(e.validator, e.epoch, Offence::Silent)?;
                let count = task.silent_epochs(e.validator);
                let slashed = count == limit;
                let count = if slashed { 0 } else { count };
                if e.count != U256::from(count) {
                    return Err(format!("{} silent epochs of {}, not {count}", e.count, e.validator));
                }
                task.silences.insert(e.validator, Silence { epoch: epoch(e.epoch)?, count });
                task.awaited_slash = slashed.then_some(e.validator);
                Ok(())
            }
        }
    }

    fn create(&mut self, e: &arena::TaskCreated) -> Applied {
        let number = u64::try_from(e.task).map_err(|_| "task number too large".to_owned())?;
        if number != self.tasks.len() as u64 + 1 {
            return Err(format!("task {number} after {} tasks", self.tasks.len()));
        }
        let epochs = (epoch(e.firstEpoch)?, epoch(e.lastEpoch)?);
        self.tasks.insert(number, Task::new(number, e.creator, epochs, (&e.params).into()));
        Ok(())
    }

    fn apply_vault(&mut self, event: &V) -> Applied {
        match event {
            V::TaskRegistered(e) => {
                self.task_mut(e.task)?.bond = e.bond;
                Ok(())
            }
            V::TaskShortened(e) => {
                let last = self.task_mut(e.task)?.last_epoch;
                if U256::from(last) != e.lastEpoch {
                    return Err(format!("the vault ends task {} in {}, not in {last}", e.task, e.lastEpoch));
                }
                Ok(())
            }
            V::Funded(e) => {
                let from = epoch(e.epoch)? + 1;
                let task = self.task_mut(e.task)?;
                let funded = add(task.funded.latest(), e.amount)?;
                task.funded.set(from, funded);
                grow(task.contributions.entry(e.from).or_default(), e.amount)
            }
            V::EmissionFunded(e) => grow(&mut self.reserve, e.amount),
            V::FeeSet(e) => {
                let from = epoch(e.fromEpoch)?;
                // What was announced and does not act yet is forgotten, also for the epoch before.
                self.fee.forget_after(from.saturating_sub(2));
                self.treasury.forget_after(from.saturating_sub(2));
                self.fee.set(from, e.feeWad);
                self.treasury.set(from, e.treasury);
                Ok(())
            }
            V::Staked(e) => self.task_mut(e.task)?.stake(e),
            V::Unstaked(e) => {
                let unbonding = self.clock.unbonding_epochs;
                let (at, release_epoch) = (epoch(e.epoch)?, release(e.epoch, e.releaseEpoch, unbonding)?);
                let pool = self.task_mut(e.task)?.pool(e.operator)?;
                let (direct, shares) = pool.stakes.latest();
                pool.set_stake(at, sub(direct, e.amount)?, shares).map_err(text)?;
                pool.unbond(e.operator, Request { amount: e.amount, shares: U256::ZERO, release_epoch });
                Ok(())
            }
            V::Delegated(e) => self.task_mut(e.task)?.delegate(e),
            V::Undelegated(e) => {
                let unbonding = self.clock.unbonding_epochs;
                let release_epoch = release(e.epoch, e.releaseEpoch, unbonding)?;
                self.task_mut(e.task)?.undelegate(e, release_epoch)
            }
            V::CommissionSet(e) => {
                let from = epoch(e.effectiveEpoch)?;
                self.task_mut(e.task)?.pool(e.operator)?.commission.set(from, e.commissionWad);
                Ok(())
            }
            V::Withdrawn(e) => {
                self.task_mut(e.task)?.pool(e.operator)?.withdraw(e)?;
                grow(&mut self.slashed, e.lost)
            }
            V::Claimed(e) => {
                self.task_mut(e.task)?.pool(e.operator)?.claim(e)?;
                let claims = self.claims.entry(e.account).or_default();
                claims.count += 1;
                grow(&mut claims.amount, e.amount)?;
                grow(&mut claims.fees, e.fee)?;
                grow(&mut self.fees, e.fee)
            }
            V::Reclaimed(e) => self.task_mut(e.task)?.reclaim(e),
            V::BudgetOpened(e) => {
                self.task_mut(e.task)?.open_budget(epoch(e.epoch)?, e.emission, e.bounty)?;
                shrink(&mut self.reserve, e.emission)
            }
            V::Credited(e) => self.task_mut(e.task)?.credit(e),
            V::BudgetSettled(e) => {
                let parts = (e.paid, e.toReserve, e.toBounty);
                self.task_mut(e.task)?.settle(epoch(e.epoch)?, parts)?;
                grow(&mut self.reserve, e.toReserve)
            }
            V::Slashed(e) => {
                let slash_wad = self.constants.slash_wad;
                self.task_mut(e.task)?.slash(e, slash_wad)?;
                grow(&mut self.slashed, add(add(e.direct, e.unbonding)?, e.delegated)?)
            }
            V::Burned(e) => {
                shrink(&mut self.slashed, e.amount)?;
                grow(&mut self.burned, e.amount)
            }
            V::FeesCollected(e) => {
                shrink(&mut self.fees, e.amount)?;
                grow(&mut self.collected, e.amount)
            }
        }
    }

    fn apply_emission(&mut self, event: &E) -> Applied {
        match event {
            E::Admitted(e) => {
                let task = self.task_mut(e.task)?.number;
                let from = epoch(e.fromEpoch)?;
                self.emission.forget(&self.tasks, from.saturating_sub(2));
                self.emission.admit(task, from);
                Ok(())
            }
            E::Dismissed(e) => {
                let task = self.task_mut(e.task)?.number;
                let until = epoch(e.untilEpoch)?;
                let admission = self.emission.admissions.get_mut(&task);
                admission.ok_or_else(|| format!("task {task} was not admitted"))?.until_epoch = until;
                Ok(())
            }
            E::EmissionFixed(e) => {
                let epoch = epoch(e.epoch)?;
                self.emission.share = Some(Share { epoch, amount: e.amount, total_stake: e.totalStake });
                Ok(())
            }
            E::OwnershipTransferStarted(e) => {
                self.emission.pending_owner = e.newOwner;
                Ok(())
            }
            E::OwnershipTransferred(e) => {
                (self.emission.owner, self.emission.pending_owner) = (e.newOwner, Address::ZERO);
                Ok(())
            }
        }
    }
}

// ------------------------------------------------------------------ what people do in the arena

impl Task {
    fn pledge(&mut self, e: &arena::SubmissionCommitted) -> Applied {
        self.commitments += 1;
        if e.number != U256::from(self.commitments) {
            return Err(format!("commitment number {} after {}", e.number, self.commitments - 1));
        }
        let (commitment, number, epoch) = (e.commitment, self.commitments, epoch(e.epoch)?);
        self.pledges.insert(e.node, Pledge { commitment, number, epoch, opened: false });
        Ok(())
    }

    fn entry(&mut self, node: Address) -> Result<&mut Entry, String> {
        let entry = self.entries.iter_mut().find(|entry| entry.node == node);
        entry.ok_or_else(|| format!("{node} has no submission"))
    }

    /// The list is fixed while an epoch is in flight.
    fn require_idle(&self) -> Applied {
        self.flight.as_ref().map_or(Ok(()), |flight| {
            Err(format!("the list changed while epoch {} is in flight", flight.epoch))
        })
    }

    fn open(&mut self, e: &arena::SubmissionOpened) -> Applied {
        self.require_idle()?;
        let pledge = self.pledges.get_mut(&e.node).ok_or_else(|| format!("{} did not commit", e.node))?;
        if U256::from(pledge.epoch) != e.epoch || U256::from(pledge.number) != e.number || pledge.opened {
            return Err(format!("{} has no commitment {} of epoch {} to open", e.node, e.number, e.epoch));
        }
        pledge.opened = true;
        let (number, epoch) = (pledge.number, pledge.epoch);
        let (node, content_hash, uri) = (e.node, e.contentHash, e.uri.clone());
        self.disclosures.push(Disclosure { node, number, epoch, content_hash, uri: uri.clone() });
        let entry = Entry {
            node,
            number,
            content_hash,
            uri,
            withdrawn_in: None,
            consensus: None,
            duplicate: self.is_duplicate(node, content_hash, number),
            queued: false,
        };
        match self.entries.iter_mut().find(|entry| entry.node == node) {
            Some(old) => {
                let queued = old.queued;
                *old = Entry { queued, ..entry };
            }
            None => self.entries.push(entry),
        }
        self.history = list_digest(self.history, node, content_hash, number);
        if self.params.fresh_data { Ok(()) } else { self.enqueue(node) }
    }

    /// Whether another node disclosed the same content under a lower commitment number (M-11). One with a higher number
    /// was opened in the same epoch, and is overtaken.
    fn is_duplicate(&mut self, node: Address, content_hash: B256, number: u64) -> bool {
        if let Some(origin) = self.origins.get(&content_hash) {
            let first = origin.node;
            if first == node {
                return false;
            }
            if origin.number < number {
                return true;
            }
            if let Ok(overtaken) = self.entry(first) {
                overtaken.duplicate = true;
            }
        }
        self.origins.insert(content_hash, Origin { node, number });
        false
    }

    fn evict(&mut self, node: Address, moved: Address) -> Applied {
        self.require_idle()?;
        let place = self.entries.iter().position(|entry| entry.node == node);
        let place = place.ok_or_else(|| format!("{node} has no submission to evict"))?;
        self.dequeue(node)?;
        self.entries.swap_remove(place);
        let taken = self.entries.get(place).map_or(Address::ZERO, |entry| entry.node);
        if taken != moved {
            return Err(format!("{moved} took the place of {node}, not {taken}"));
        }
        self.history = list_digest(self.history, node, B256::ZERO, 0);
        Ok(())
    }

    fn enqueue(&mut self, node: Address) -> Applied {
        let entry = self.entry(node)?;
        if !std::mem::replace(&mut entry.queued, true) {
            self.waiting.push(node);
        }
        Ok(())
    }

    fn dequeue(&mut self, node: Address) -> Applied {
        self.entry(node)?.queued = false;
        if let Some(place) = self.waiting.iter().position(|waiting| *waiting == node) {
            self.waiting.swap_remove(place);
        }
        Ok(())
    }

    fn open_budget(&mut self, epoch: u32, emission: U256, bounty: U256) -> Applied {
        if self.flight.is_some() {
            return Err(format!("budget of epoch {epoch} opened while another is open"));
        }
        if self.drawn().is_some_and(|drawn| drawn.epoch >= epoch) {
            return Err(format!("budget of epoch {epoch} opened after that of a later one"));
        }
        self.spent = add(self.spent, bounty)?;
        if self.spent > self.funded.latest() {
            return Err(format!("the bounty has no {bounty} for epoch {epoch}"));
        }
        self.flight = Some(Flight {
            epoch,
            seed: B256::ZERO,
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

    fn draw(&mut self, e: &arena::SeedDrawn) -> Applied {
        let entries = self.entries.clone();
        let at = |node: &Address| entries.iter().position(|entry| entry.node == *node);
        let listed: Vec<u32> = if self.params.fresh_data {
            (0..place32(entries.len())?).collect()
        } else {
            let places =
                self.waiting.iter().map(|node| at(node).ok_or_else(|| format!("{node} is not listed")));
            places.map(|place| place32(place?)).collect::<Result<_, String>>()?
        };
        if e.entries != U256::from(entries.len()) || e.listed != U256::from(listed.len()) {
            return Err(format!("seed of epoch {} over {} of {} entries", e.epoch, e.listed, e.entries));
        }
        let committed: Vec<_> = self.ballots.iter().filter(|(_, b)| U256::from(b.epoch) == e.epoch).collect();
        let commitments = committed.into_iter().map(|(validator, b)| (*validator, b.commitment)).collect();
        let flight = self.in_flight(e.epoch)?;
        (flight.seed, flight.entries, flight.listed) = (e.seed, entries, listed);
        flight.commitments = commitments;
        flight.validator_stake = e.validatorStake;
        flight.budgets = (e.nodeBudget, e.validatorBudget);
        self.waiting.clear();
        self.entries.iter_mut().for_each(|entry| entry.queued = false);
        Ok(())
    }

    fn in_flight(&mut self, epoch: U256) -> Result<&mut Flight, String> {
        self.flight
            .as_mut()
            .filter(|flight| U256::from(flight.epoch) == epoch)
            .ok_or_else(|| format!("epoch {epoch} is not in flight"))
    }

    fn at_stage(&mut self, epoch: U256, expected: Stage) -> Result<&mut Flight, String> {
        let flight = self.in_flight(epoch)?;
        let stage = flight.stage();
        if stage == expected {
            Ok(flight)
        } else {
            Err(format!("epoch {epoch} is {stage:?}, and this is part of {expected:?}"))
        }
    }

    fn commit_scores(&mut self, e: &arena::ScoresCommitted) -> Applied {
        let epoch = epoch(e.epoch)?;
        if self.ballots.get(&e.validator).is_some_and(|ballot| ballot.epoch == epoch) {
            return Err(format!("{} committed twice in epoch {epoch}", e.validator));
        }
        self.ballots.insert(e.validator, Ballot { commitment: e.commitment, epoch, closed: false });
        if let Ok(flight) = self.in_flight(e.epoch) {
            flight.commitments.insert(e.validator, e.commitment);
        }
        Ok(())
    }

    fn reveal_scores(&mut self, e: &arena::ScoresRevealed) -> Applied {
        let open = |ballot: &&mut Ballot| U256::from(ballot.epoch) == e.epoch && !ballot.closed;
        let Some(ballot) = self.ballots.get_mut(&e.validator).filter(open) else {
            return Err(format!("{} has no commitment of epoch {} to reveal", e.validator, e.epoch));
        };
        ballot.closed = true;
        let (words, rest) = e.scores.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("a score is cut short".to_owned());
        }
        let scores = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
        let flight = self.in_flight(e.epoch)?;
        flight.revealers.push(e.validator);
        flight.reveals.insert(e.validator, Reveal { salt: e.salt, scores });
        Ok(())
    }

    /// A tally that counted more scores replaces an earlier one.
    fn tallied(&mut self, e: &arena::Tallied) -> Applied {
        let (consensus, counted) = (word(e.consensus)?, word(e.counted)?);
        let flight = self.at_stage(e.epoch, Stage::Scoring)?;
        let place = flight.entries.iter().position(|entry| entry.node == e.node);
        let place = place32(place.ok_or_else(|| format!("{} is not on the list", e.node))?)?;
        let listed = flight.listed.contains(&place);
        let tally = Tally { scored: e.scored, consensus, stake: e.stake, counted };
        let before = flight.outcome.tallies.insert(e.node, tally);
        if before.is_some_and(|before| counted <= before.counted) {
            return Err(format!("{} tallied again without more scores", e.node));
        }
        self.entry(e.node)?.consensus = e.scored.then_some(consensus);
        match (self.params.fresh_data || !listed, e.scored) {
            (true, _) => Ok(()),
            (false, true) => self.dequeue(e.node),
            (false, false) => self.enqueue(e.node),
        }
    }

    fn offended(&self, validator: Address, epoch: U256, offence: Offence) -> Applied {
        let drawn = self.drawn().map_or(0, |drawn| drawn.epoch);
        let found = self.offence(validator);
        if U256::from(drawn) == epoch && found == Some(offence) {
            return Ok(());
        }
        Err(format!("{validator} is {offence:?} in epoch {epoch}; it is {found:?} in {drawn}"))
    }
}

// ------------------------------------------------------------------ what the vault holds

impl Task {
    fn pool(&mut self, operator: Address) -> Result<&mut Pool, String> {
        self.pools.get_mut(&operator).ok_or_else(|| format!("{operator} has no pool"))
    }

    fn stake(&mut self, e: &vault::Staked) -> Applied {
        let role = match e.role {
            1 => Role::Node,
            2 => Role::Validator,
            other => return Err(format!("role {other}")),
        };
        let pool = self.pools.entry(e.operator).or_insert_with(|| Pool::new(role));
        if pool.role != role {
            return Err(format!("{} changed its role", e.operator));
        }
        let (direct, shares) = pool.stakes.latest();
        pool.set_stake(epoch(e.epoch)?, add(direct, e.amount)?, shares).map_err(text)
    }

    fn delegate(&mut self, e: &vault::Delegated) -> Applied {
        let at = epoch(e.epoch)?;
        let pool = self.pool(e.operator)?;
        let shares = slashing::shares_for(e.amount, pool.factor_wad()).map_err(text)?;
        if e.shares != shares {
            return Err(format!(
                "{} delegated {} as {} shares, not {shares}",
                e.delegator, e.amount, e.shares
            ));
        }
        let held = pool.shares_of(e.delegator);
        pool.move_position(e.delegator, at, add(held, shares)?).map_err(text)?;
        let (direct, all) = pool.stakes.latest();
        pool.set_stake(at, direct, add(all, shares)?).map_err(text)
    }

    fn undelegate(&mut self, e: &vault::Undelegated, release_epoch: u32) -> Applied {
        let at = epoch(e.epoch)?;
        let pool = self.pool(e.operator)?;
        let (held, factor) = (pool.shares_of(e.delegator), pool.factor_wad());
        let shares = slashing::shares_of(e.amount, factor).map_err(text)?;
        let left = sub(held, shares)?;
        // What is left and worth nothing goes with the rest.
        let worthless = slashing::worth(left, factor).map_err(text)?.is_zero();
        let (shares, left) = if worthless { (held, U256::ZERO) } else { (shares, left) };
        if e.shares != shares {
            return Err(format!(
                "{} undelegated {} as {} shares, not {shares}",
                e.delegator, e.amount, e.shares
            ));
        }
        pool.move_position(e.delegator, at, left).map_err(text)?;
        let (direct, all) = pool.stakes.latest();
        pool.set_stake(at, direct, sub(all, shares)?).map_err(text)?;
        pool.unbond(e.delegator, Request { amount: e.amount, shares, release_epoch });
        Ok(())
    }

    fn slash(&mut self, e: &vault::Slashed, slash_wad: U256) -> Applied {
        if self.awaited_slash.take() != Some(e.operator) {
            return Err(format!("{} was slashed without having been reported", e.operator));
        }
        let at = epoch(e.epoch)?;
        let due = self.slash_due(e.operator, at, slash_wad).map_err(text)?;
        let due = due.ok_or_else(|| format!("{} owed no scores", e.operator))?;
        let said = (e.direct, e.unbonding, e.delegated, e.factorWad);
        let by_rule = (due.direct, due.unbonding, due.delegated, due.factor_wad);
        if said != by_rule {
            return Err(format!("a slash of {} took {said:?}, not {by_rule:?}", e.operator));
        }
        self.pool(e.operator)?.slash(e.operator, at, due, slash_wad).map_err(text)
    }

    fn credit(&mut self, e: &vault::Credited) -> Applied {
        let at = epoch(e.epoch)?;
        let pool = self.pool(e.operator)?;
        let role = pool.role;
        let delegators = sub(e.withDelegation, e.operatorAmount)?;
        if !delegators.is_zero() && pool.stakes.at(at).1.is_zero() {
            return Err(format!("{} has no delegators to credit in epoch {at}", e.operator));
        }
        pool.credit(at, e.operatorAmount, delegators).map_err(text)?;
        let payment = Payment {
            operator: e.operator,
            with_delegation: e.withDelegation,
            without_delegation: e.withoutDelegation,
            operator_amount: e.operatorAmount,
        };
        let flight = self.at_stage(e.epoch, Stage::Paying)?;
        let left = flight.unpaid();
        let outcome = &mut flight.outcome;
        let paid = if role == Role::Node { &mut outcome.nodes } else { &mut outcome.validators };
        if paid.iter().any(|paid| paid.operator == e.operator) {
            return Err(format!("{} credited twice in epoch {at}", e.operator));
        }
        paid.push(payment);
        sub(left, e.withDelegation).map(|_| ())
    }

    fn settle(&mut self, epoch: u32, parts: (U256, U256, U256)) -> Applied {
        let mut flight =
            self.flight.take().filter(|f| f.epoch == epoch).ok_or("settled without being in flight")?;
        let budget = flight.budget_parts.0 + flight.budget_parts.1;
        let paid = sub(budget, flight.unpaid())?;
        if paid != parts.0 || add(add(parts.0, parts.1)?, parts.2)? != budget {
            return Err(format!("epoch {epoch} paid {paid} of {budget}, and settled as {parts:?}"));
        }
        flight.outcome.settled = Some(parts);
        self.spent = sub(self.spent, parts.2)?;
        self.settled.push(flight);
        Ok(())
    }

    /// Each funder gets its part of what is left, the creator its bond.
    fn reclaim(&mut self, e: &vault::Reclaimed) -> Applied {
        let own = self.contributions.remove(&e.account).unwrap_or_default();
        let due = self.reclaimable(own).map_err(text)?;
        if e.bounty != due {
            return Err(format!("{} reclaimed {} of the bounty, not {due}", e.account, e.bounty));
        }
        let bond = if e.account == self.creator { self.bond } else { U256::ZERO };
        if e.bond != bond {
            return Err(format!("{} reclaimed a bond of {}, not {bond}", e.account, e.bond));
        }
        shrink(&mut self.bond, bond)?;
        grow(&mut self.reclaimed, due)
    }
}

impl Pool {
    fn shares_of(&self, delegator: Address) -> U256 {
        self.positions.get(&delegator).map_or(U256::ZERO, |position| position.shares.latest())
    }

    /// Whole requests leave, oldest first.
    fn withdraw(&mut self, e: &vault::Withdrawn) -> Applied {
        let mut asked = add(e.amount, e.lost)?;
        let mut paid = U256::ZERO;
        while !asked.is_zero() {
            let first = self.unbonding.get(&e.account).and_then(|requests| requests.first()).copied();
            let first = first.ok_or_else(|| format!("{} withdrew {asked} more than it had", e.account))?;
            asked = sub(asked, first.amount)?;
            paid = add(paid, self.payable(&first).map_err(text)?)?;
            self.unbonding.entry(e.account).or_default().remove(0);
        }
        if paid != e.amount {
            return Err(format!("{} withdrew {}, but was due {paid}", e.account, e.amount));
        }
        Ok(())
    }

    fn claim(&mut self, e: &vault::Claimed) -> Applied {
        let claimed = add(e.amount, e.fee)?;
        let owed = if e.account == e.operator {
            std::mem::take(&mut self.operator_credit)
        } else {
            self.take_owed(e.account).map_err(text)?
        };
        if owed != claimed {
            return Err(format!("{} claimed {claimed}, but was owed {owed}", e.account));
        }
        shrink(&mut self.credited, owed)
    }
}

// ------------------------------------------------------------------ numbers

fn text(error: aiarena_mechanism::Error) -> String {
    error.to_string()
}

/// An epoch number that leaves room for the epochs after it.
fn epoch(value: U256) -> Result<u32, String> {
    u32::try_from(value).ok().filter(|epoch| *epoch < u32::MAX - 2).ok_or_else(|| format!("epoch {value}"))
}

/// The epoch in which what was asked for in `asked` leaves.
fn release(asked: U256, release: U256, unbonding: u32) -> Result<u32, String> {
    let expected = epoch(asked)?.saturating_add(1).saturating_add(unbonding);
    if release == U256::from(expected) {
        return Ok(expected);
    }
    Err(format!("a request of epoch {asked} leaves in {release}, not in {expected}"))
}

fn word(value: U256) -> Result<u32, String> {
    u32::try_from(value).map_err(|_| format!("{value} is out of range"))
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
