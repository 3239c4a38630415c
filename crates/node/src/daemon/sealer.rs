//! The daemon of a creator: seals each epoch's slice to the validators, and publishes all slices at the end.
//!
//! It keeps nothing on disk but what its account's journal holds: a slice that is sealed again has another encryption and the
//! same content, so whoever takes the place of a process that was killed just does everything again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use aiarena_chain::{
    bindings::Arena,
    client::{Account, ClientError},
    follow::Follower,
    ledger::Task,
};
use aiarena_store::{Limits, ObjectName, Stores};
use alloy::primitives::{Address, B256, U256};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tracing::{debug, info, warn};

use super::{DaemonError, GRACE, Health, Pace, REST, metrics, passes, told};
use crate::sealed::{
    Delivered, Delivery, EvaluationTree, Place, SealedError, deliveries, published_name, put_everywhere,
    seal, sealed_name, without_key,
};

/// A task whose slices are at hand.
#[derive(Debug)]
pub struct SealedTask {
    /// Its number.
    pub number: u64,
    /// The tree whose root is on chain.
    pub tree: EvaluationTree,
}

/// A task, and what was done for it.
struct Desk {
    tree: EvaluationTree,
    delivered: Delivered,
    /// A slice on its way into the stores.
    work: Option<(Delivery, JoinHandle<bool>)>,
    /// Nothing is tried again before.
    rests_until: Option<Instant>,
    /// Epochs whose slices some store did not take, for which the others do not wait.
    passed_over: BTreeSet<u32>,
    /// Who was warned of, in which epoch.
    warned: BTreeSet<(u32, Address)>,
}

/// A creator's daemon: one account, and the slices of each of its tasks.
pub struct Sealer {
    follower: Follower,
    account: Account,
    desks: BTreeMap<u64, Desk>,
    stores: Stores,
    limits: Limits,
    pace: Pace,
    health: Arc<Health>,
    /// Tasks of this creator that were there when it started, or that it was warned of.
    known: BTreeSet<u64>,
}

/// Shows no row.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("account", &self.account.address()).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A daemon over an account, and the state that `follower` has read.
    #[must_use]
    pub fn new(follower: Follower, account: Account, pace: Pace, stores: Stores, limits: Limits) -> Self {
        metrics::describe();
        let known = follower.ledger().tasks.keys().copied().collect();
        let (desks, health) = Default::default();
        Self { follower, account, desks, stores, limits, pace, health, known }
    }

    /// Adds a task.
    ///
    /// # Errors
    /// [`DaemonError::NoTask`]; [`DaemonError::OtherSlices`] if its root on chain is another one.
    pub fn add(&mut self, task: SealedTask) -> Result<(), DaemonError> {
        let SealedTask { number, tree } = task;
        let found = self.follower.ledger().tasks.get(&number).ok_or(DaemonError::NoTask(number))?;
        let (root, count) = (found.params.evaluation_root, found.params.epochs);
        if tree.root() != root || tree.slices().len() != count as usize {
            return Err(DaemonError::OtherSlices { task: number, root });
        }
        let (delivered, passed_over, warned) = Default::default();
        self.desks
            .insert(number, Desk { tree, delivered, work: None, rests_until: None, passed_over, warned });
        Ok(())
    }

    /// How it is, also while it runs.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Works until `stop` turns true.
    ///
    /// # Errors
    /// [`DaemonError`], for what does not pass by itself.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
        let mut stopping = stop.clone();
        let result = loop {
            let looked = {
                let mut look = std::pin::pin!(self.look());
                tokio::select! {
                    result = &mut look => Some(result),
                    () = told(&mut stopping) => {
                        info!("stopping");
                        if tokio::time::timeout(GRACE, look).await.is_err() {
                            warn!("a transaction is still on its way; the next start looks after it");
                        }
                        None
                    }
                }
            };
            match looked {
                Some(Ok(())) => self.health.looked(),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
            tokio::select! {
                () = tokio::time::sleep(self.pace.poll) => {}
                () = told(&mut stop) => break Ok(()),
            }
        };
        // What is left of an older sealing must not replace one that the next daemon makes.
        for desk in self.desks.values() {
            if let Some((_, work)) = &desk.work {
                work.abort();
            }
        }
        result
    }

    /// One look at the chain, and what follows from it.
    async fn look(&mut self) -> Result<(), DaemonError> {
        if let Err(error) = self.read().await {
            self.health.reading.store(false, Ordering::Relaxed);
            metrics::failed("read");
            if passes(&error) {
                warn!(%error, "cannot read the chain; trying again");
                return Ok(());
            }
            return Err(error);
        }
        for task in self.follower.ledger().tasks.values() {
            if task.creator == self.account.address() && self.known.insert(task.number) {
                let task = task.number;
                warn!(
                    task,
                    "a new task of this key: if its evaluation data are sealed, send SIGHUP to this daemon"
                );
            }
        }
        for number in self.desks.keys().copied().collect::<Vec<_>>() {
            self.finish(number).await;
            self.act(number).await;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(), DaemonError> {
        self.follower.sync().await?;
        let head = self.follower.head().map_or(0, |head| head.number);
        self.account.confirm(head, self.pace.confirmations).await?;
        self.health.head.store(head, Ordering::Relaxed);
        self.health.reading.store(true, Ordering::Relaxed);
        metrics::looked(self.follower.ledger(), self.account.address(), head, self.follower.now());
        Ok(())
    }

    /// Notes what has arrived in the stores.
    async fn finish(&mut self, number: u64) {
        let Some(desk) = self.desks.get_mut(&number) else { return };
        if !desk.work.as_ref().is_some_and(|(_, work)| work.is_finished()) {
            return;
        }
        let Some((delivery, work)) = desk.work.take() else { return };
        if !work.await.unwrap_or(false) {
            metrics::failed("deliver");
            match delivery {
                Delivery::Publish { epoch } => _ = desk.passed_over.insert(epoch),
                _ => desk.rests_until = Some(Instant::now() + REST),
            }
            return;
        }
        match delivery {
            Delivery::Seal { epoch, keys } => {
                info!(task = number, epoch, recipients = keys.len(), "sealed the slice of the epoch");
                metrics::sealed();
                // Earlier epochs are over.
                desk.delivered.sealed = BTreeMap::from([(epoch, keys)]);
            }
            Delivery::Publish { epoch } => {
                info!(task = number, epoch, "published a slice");
                metrics::published();
                desk.delivered.published.insert(epoch);
            }
            Delivery::DrawSeed => {}
        }
    }

    /// Begins the next thing that is to be done for a task.
    async fn act(&mut self, number: u64) {
        let (ledger, now) = (self.follower.ledger(), self.follower.now());
        let (Some(desk), Some(task)) = (self.desks.get_mut(&number), ledger.tasks.get(&number)) else {
            return;
        };
        let (epoch, _) = ledger.clock.at(now);
        if (task.first_epoch..=task.last_epoch).contains(&epoch) {
            let without = without_key(ledger, task, epoch);
            metrics::without_key(number, without.len());
            desk.warned.retain(|(of, _)| *of == epoch);
            for validator in without {
                if desk.warned.insert((epoch, validator)) {
                    warn!(task = number, epoch, %validator, "it has stake and no usable key: it can only abstain");
                }
            }
        }
        if desk.work.is_some() || desk.rests_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        let courtesy = self.pace.turn_secs;
        let due = deliveries(ledger, task, now, courtesy, &desk.delivered);
        let passed_over = |delivery: &Delivery| matches!(delivery, Delivery::Publish { epoch } if desk.passed_over.contains(epoch));
        let waits = !due.is_empty();
        let Some(delivery) = due.into_iter().find(|delivery| !passed_over(delivery)) else {
            if waits {
                // All others are out; these are tried again.
                desk.passed_over.clear();
                desk.rests_until = Some(Instant::now() + REST);
            }
            return;
        };
        let made = match &delivery {
            Delivery::DrawSeed => return self.draw_seed(number).await,
            Delivery::Seal { epoch, keys } => self.sealing(task, *epoch, keys, number),
            Delivery::Publish { epoch } => self.publication(task, *epoch, number),
        };
        let Some(desk) = self.desks.get_mut(&number) else { return };
        match made {
            Ok((name, bytes)) => {
                let (stores, limits) = (self.stores.clone(), self.limits.clone());
                let work = async move {
                    let put = put_everywhere(&stores, &name, &bytes, &limits).await;
                    if let Err(error) = &put {
                        warn!(%name, %error, "a slice is not in all stores; it is put there again while there is time");
                    }
                    put.is_ok()
                };
                desk.work = Some((delivery, tokio::spawn(work)));
            }
            Err(error) => {
                metrics::failed("seal");
                warn!(task = number, %error, "a slice cannot be sent");
                desk.rests_until = Some(Instant::now() + REST);
            }
        }
    }

    fn sealing(
        &self,
        task: &Task,
        epoch: u32,
        keys: &BTreeSet<B256>,
        number: u64,
    ) -> Result<(ObjectName, Vec<u8>), SealedError> {
        let opening = self.opening(task, epoch, number)?;
        let sealed = seal(&opening, &keys.iter().copied().collect::<Vec<_>>())?;
        let deployment = self.follower.deployment();
        Ok((sealed_name(deployment.chain_id, deployment.arena, number, epoch), sealed))
    }

    fn publication(
        &self,
        task: &Task,
        epoch: u32,
        number: u64,
    ) -> Result<(ObjectName, Vec<u8>), SealedError> {
        let deployment = self.follower.deployment();
        let name = published_name(deployment.chain_id, deployment.arena, number, epoch);
        Ok((name, self.opening(task, epoch, number)?))
    }

    fn opening(&self, task: &Task, epoch: u32, number: u64) -> Result<Vec<u8>, SealedError> {
        let missing = || SealedError::Malformed(format!("the task has no epoch {epoch}"));
        let place = Place::of(task, epoch).ok_or_else(missing)?;
        self.desks.get(&number).ok_or_else(missing)?.tree.opening(epoch, place.index)
    }

    async fn draw_seed(&self, number: u64) {
        let call = Arena::drawSeedCall { task: U256::from(number) };
        match self.account.send(self.follower.deployment().arena, &call).await {
            Ok(sent) => {
                info!(task = number, block = sent.block, "drew the seed");
                metrics::sent("draw_seed", sent.gas);
            }
            Err(error @ (ClientError::Refused { .. } | ClientError::Failed { .. })) => {
                debug!(task = number, %error, "somebody else was faster");
            }
            Err(error) => {
                metrics::failed("draw_seed");
                warn!(task = number, %error, "the seed is not drawn; it is tried again while there is time");
            }
        }
    }
}
