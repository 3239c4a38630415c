//! What the contracts say of themselves at the newest block, against what their events give.

use std::collections::BTreeSet;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Vault},
    follow::contract_error,
    ledger::{Entry, Flight, Ledger, Liabilities, Phase, Pool, Role, Stage, Task, Trace},
};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, U256},
    providers::DynProvider,
};
use anyhow::Result;

use super::{
    evidence::{Evidence, Moved},
    finding::{Findings, Kind, Place},
};

/// What the vault holds and owes at the newest block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holdings {
    /// Its balance of the token.
    pub balance: U256,
    /// What it says that it owes.
    pub owed: Liabilities,
}

/// Compares every view of the contracts with the ledger.
///
/// # Errors
/// If the endpoint fails, or does not know the state at the newest block any more.
pub(super) async fn compare(
    provider: &DynProvider,
    evidence: &Evidence,
    ledger: &Ledger,
    findings: &mut Findings,
) -> Result<Holdings> {
    let head = evidence.head;
    let (epoch, phase) = ledger.clock.at(head.timestamp);
    let mut views = Views {
        arena: Arena::new(evidence.deployment.arena, provider.clone()),
        vault: Vault::new(evidence.deployment.vault, provider.clone()),
        token: ArenaToken::new(evidence.deployment.token, provider.clone()),
        at: BlockId::number(head.number),
        epoch,
        findings,
    };
    views.arena(ledger, phase).await?;
    for task in ledger.tasks.values() {
        views.task(task).await?;
        views.entries(task).await?;
        for (operator, pool) in &task.pools {
            views.pool(task, *operator, pool).await?;
        }
    }
    views.unbonding(ledger).await?;
    views.money(evidence, ledger).await
}

struct Views<'a> {
    arena: Arena::ArenaInstance<DynProvider>,
    vault: Vault::VaultInstance<DynProvider>,
    token: ArenaToken::ArenaTokenInstance<DynProvider>,
    at: BlockId,
    epoch: u32,
    findings: &'a mut Findings,
}

/// Calls a view at the newest block that the audit knows.
macro_rules! view {
    ($views:expr, $contract:ident . $function:ident ( $($argument:expr),* )) => {
        $views.$contract.$function($($argument),*).block($views.at).call().await
            .map_err(|error| contract_error(concat!("read ", stringify!($function)), error))?
    };
}

impl Views<'_> {
    fn equal<T: PartialEq + std::fmt::Display>(&mut self, place: Place, what: &str, expected: T, found: T) {
        self.findings.equal((Kind::State, ""), place, what, expected, found);
    }

    /// The present epoch, and each in which a value changed or will: the contracts keep the whole history.
    fn epochs<T: Copy + Default>(&self, trace: &Trace<T>) -> BTreeSet<u32> {
        trace.points().iter().map(|(since, _)| *since).chain([self.epoch]).collect()
    }

    async fn arena(&mut self, ledger: &Ledger, phase: Phase) -> Result<()> {
        let tasks = view!(self, arena.taskCount());
        let known = U256::from(ledger.tasks.len());
        if tasks > known {
            let message = format!(
                "the arena has {tasks} tasks, the history {known}: it begins too late, give an earlier --from-block"
            );
            self.findings.push(Kind::History, "", Place::default(), message);
        }
        self.equal(Place::default(), "the number of tasks", known, tasks);
        let clock = view!(self, arena.clock());
        self.equal(Place::default(), "the epoch", self.epoch, clock.epoch);
        self.equal(Place::default(), "the phase", phase as u8, clock.phase);
        Ok(())
    }

    async fn task(&mut self, task: &Task) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number);
        let terms = view!(self, vault.termsOf(number));
        self.equal(place, "the creator", task.creator, terms.creator);
        self.equal(place, "the first epoch", task.first_epoch, terms.firstEpoch);
        self.equal(place, "the last epoch", task.last_epoch, terms.lastEpoch);
        let emission = terms.emissionPerEpoch.to::<U256>();
        self.equal(place, "the emission of an epoch", task.params.emission_per_epoch, emission);
        let (emission, bounty) = task.unspent();
        let unspent = view!(self, vault.unspent(number));
        self.equal(place, "the reserve", emission, unspent.emission);
        self.equal(place, "the bounty", bounty, unspent.bounty);

        let last = last_flight(task);
        let flight = view!(self, arena.flightOf(number));
        let (epoch, seed) = last.map_or((0, B256::ZERO), |flight| (flight.epoch, flight.seed));
        self.equal(place, "the epoch drawn last", epoch, flight.epoch);
        self.equal(place, "the seed drawn last", seed, flight.seed);
        self.equal(place, "the stage of the epoch", stage(last), flight.stage);
        for role in [Role::Node, Role::Validator] {
            for epoch in [self.epoch, self.epoch.saturating_add(1)] {
                let totals = view!(self, vault.totalsAt(number, role_word(role), U256::from(epoch)));
                let (direct, delegated) = task.totals_at(role, epoch);
                let place = place.epoch(epoch);
                self.equal(place, &format!("the direct stake of all {role:?}s"), direct, totals.direct);
                self.equal(
                    place,
                    &format!("the delegated stake of all {role:?}s"),
                    delegated,
                    totals.delegated,
                );
            }
        }
        Ok(())
    }

    async fn entries(&mut self, task: &Task) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number);
        let count = view!(self, arena.entryCount(number));
        if count != U256::from(task.entries.len()) {
            self.equal(place, "the number of submissions", U256::from(task.entries.len()), count);
            return Ok(());
        }
        for (index, entry) in task.entries.iter().enumerate() {
            let place = place.of(entry.node);
            let said = view!(self, arena.entryAt(number, U256::from(index)));
            self.equal(place, "the node of a submission", entry.node, said.node);
            self.equal(place, "the content hash", entry.content_hash, said.contentHash);
            self.equal(place, "the commitment number", entry.number, said.number);
            self.equal(place, "the epoch of withdrawal", entry.withdrawn_in.unwrap_or(0), said.withdrawnIn);
            self.equal(place, "whether it waits to be scored", entry.queued, said.queued);
            self.equal(place, "whether a quorum scored it", entry.consensus.is_some(), said.scored);
            if let Some(consensus) = entry.consensus {
                self.equal(place, "the consensus score", consensus, said.consensus);
            }
            if let Some(found) = last_flight(task).and_then(|flight| found(flight, entry)) {
                self.equal(place, "whether it is ranked", found.ranked, said.ranked);
                self.equal(place, "its stake in the last epoch", found.stake, said.stake.to::<U256>());
                self.equal(place, "its rank", found.rank, said.rank);
            }
        }
        Ok(())
    }

    async fn pool(&mut self, task: &Task, operator: Address, pool: &Pool) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number).of(operator);
        let role = view!(self, vault.roleOf(number, operator));
        self.equal(place, "the role", role_word(pool.role), role);
        for epoch in self.epochs(&pool.stakes) {
            let (direct, delegated) = pool.stakes.at(epoch);
            let stake = view!(self, vault.stakeAt(number, operator, U256::from(epoch)));
            self.equal(place.epoch(epoch), "the direct stake", direct, stake.direct);
            self.equal(place.epoch(epoch), "the delegated stake", delegated, stake.delegated);
        }
        for epoch in self.epochs(&pool.commission) {
            let commission = view!(self, vault.commissionAt(number, operator, U256::from(epoch)));
            self.equal(place.epoch(epoch), "the commission", pool.commission.at(epoch), commission);
        }
        for (delegator, position) in &pool.positions {
            let place = place.of(*delegator);
            for epoch in self.epochs(&position.shares) {
                let shares = position.shares.at(epoch);
                let said = view!(self, vault.delegationAt(number, operator, *delegator, U256::from(epoch)));
                self.equal(place.epoch(epoch), "the delegation", shares, said);
            }
            self.claimable(task, operator, pool, *delegator).await?;
        }
        if !pool.positions.contains_key(&operator) {
            self.claimable(task, operator, pool, operator).await?;
        }
        Ok(())
    }

    async fn claimable(
        &mut self,
        task: &Task,
        operator: Address,
        pool: &Pool,
        account: Address,
    ) -> Result<()> {
        let place = Place::default().task(task.number).of(account);
        let said = view!(self, vault.claimable(U256::from(task.number), operator, account));
        let own = if account == operator { pool.operator_credit } else { U256::ZERO };
        match pool.claimable(account, task.closed_through) {
            Ok(delegated) => self.equal(place, "what may be claimed", own.saturating_add(delegated), said),
            Err(error) => self.findings.push(Kind::Claim, "M-6", place, error.to_string()),
        }
        Ok(())
    }

    async fn unbonding(&mut self, ledger: &Ledger) -> Result<()> {
        for (account, requests) in &ledger.unbonding {
            let place = Place::default().of(*account);
            let sum = |parts: &mut dyn Iterator<Item = &(U256, u32)>| {
                parts.fold(U256::ZERO, |sum, (amount, _)| sum.saturating_add(*amount))
            };
            let (all, due) = (
                sum(&mut requests.iter()),
                sum(&mut requests.iter().filter(|(_, release)| *release <= self.epoch)),
            );
            let said = view!(self, vault.unbondingOf(*account));
            self.equal(place, "the number of unbonding requests", U256::from(requests.len()), said.requests);
            self.equal(place, "what is unbonding", all, said.amount);
            self.equal(place, "what has finished unbonding", due, said.due);
        }
        Ok(())
    }

    /// What the vault owes is what its events give, and it holds at least that (M-15).
    async fn money(&mut self, evidence: &Evidence, ledger: &Ledger) -> Result<Holdings> {
        let (place, about) = (Place::default().of(evidence.deployment.vault), (Kind::Conservation, "M-15"));
        let said = view!(self, vault.liabilities());
        let owed = Liabilities {
            staked: said.staked,
            unbonding: said.unbonding_,
            credited: said.credited,
            budgets: said.budgets_,
        };
        let by_events = ledger.liabilities;
        for (what, expected, found) in [
            ("the stake that the vault owes", by_events.staked, owed.staked),
            ("the unbonding stake that the vault owes", by_events.unbonding, owed.unbonding),
            ("the rewards that the vault owes", by_events.credited, owed.credited),
            ("the budgets that the vault owes", by_events.budgets, owed.budgets),
        ] {
            self.findings.equal(about, place, what, expected, found);
        }
        let balance = view!(self, token.balanceOf(evidence.deployment.vault));
        let total = by_events.total();
        self.findings.check(balance >= total, Kind::Conservation, "M-15", place, || {
            format!("the vault holds {balance} and owes {total}")
        });
        let moved = evidence.transfers.values().fold(Moved::default(), |sum, moved| Moved {
            into: sum.into.saturating_add(moved.into),
            out: sum.out.saturating_add(moved.out),
        });
        let what = "the vault's balance";
        self.findings.equal(about, place, what, moved.into.saturating_sub(moved.out), balance);
        Ok(Holdings { balance, owed })
    }
}

/// The epoch in flight, or the one settled last.
fn last_flight(task: &Task) -> Option<&Flight> {
    task.flight.as_ref().or(task.settled.last())
}

/// The arena's number of a stage.
fn stage(flight: Option<&Flight>) -> u8 {
    match flight.map(Flight::stage) {
        None | Some(Stage::Settled) => 0,
        Some(Stage::Scoring) => 1,
        Some(Stage::Ranking) => 2,
        Some(Stage::Paying) => 3,
    }
}

/// The vault's number of a role.
fn role_word(role: Role) -> u8 {
    match role {
        Role::Node => 1,
        Role::Validator => 2,
    }
}

/// What an epoch found about a standing submission.
struct Found {
    ranked: bool,
    stake: U256,
    rank: u32,
}

/// `None` if the epoch did not get so far, or saw another submission of the node.
fn found(flight: &Flight, entry: &Entry) -> Option<Found> {
    let place = flight.entries.iter().position(|old| old.number == entry.number)?;
    let tally = flight.outcome.tallies.get(place)?;
    let rank = (1_u32..).zip(&flight.outcome.order).find(|(_, ranked)| **ranked as usize == place);
    Some(Found { ranked: tally.ranked, stake: tally.stake, rank: rank.map_or(0, |(rank, _)| rank) })
}
