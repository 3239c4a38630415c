//! Brings a creator's slices into the stores: sealed while their epochs run, published when their task is over.
//!
//! It keeps nothing on disk: a slice that is sealed again has another encryption and the same content, so whoever takes the
//! place of a process that was killed just does everything again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    mem::take,
    ops::Range,
    sync::Arc,
    time::Duration,
};

use aiarena_chain::ledger::{Ledger, Task};
use aiarena_store::{Error, Limits, Store, Stores};
use alloy::primitives::{Address, B256};
use tokio::{task::JoinHandle, time::Instant};
use tracing::{debug, info, warn};

use super::metrics;
use crate::sealed::{
    EvaluationTree, MAX_RECIPIENTS, Place, SealedError, Sealing, for_slices, is_due, is_published,
    next_sealing, published_name, seal, sealed_name, who_misses,
};

/// After the first of several failures.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// At most, before a store gets a slice again.
const STORE_PAUSE: Duration = Duration::from_secs(60);
/// At most, before slices are looked for again: of an old task they may never come.
const SEARCH_PAUSE: Duration = Duration::from_secs(600);
/// Slices that one store gets before the next look at the chain.
const BATCH: u32 = 64;

/// Where a creator's slices are found.
pub trait SliceSource: Send + Sync + 'static {
    /// The slices of a task; `None` if its evaluation data are public.
    ///
    /// # Errors
    /// Why they cannot be had. It is asked again, ever more seldom.
    fn find(&self, task: Task) -> impl Future<Output = Result<Option<EvaluationTree>, String>> + Send;
}

/// What is seen at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// What the chain says after its newest block.
    pub ledger: &'a Ledger,
    /// Number of that block.
    pub head: u64,
    /// Its time, in seconds since 1970.
    pub now: u64,
    /// The same of the newest block that can no longer be reorganised, with its time; `None` before there is one.
    pub settled: Option<(&'a Ledger, u64)>,
    /// Time of this machine, in seconds since 1970.
    pub machine_time: u64,
}

impl Sight<'_> {
    /// Whether a task is over for good. Neither a branch of the chain that comes to nothing nor a block with a wrong time may
    /// make anybody publish what others are still evaluated on.
    fn is_over(&self, task: u64) -> bool {
        self.settled.is_some_and(|(ledger, time)| {
            let task = ledger.tasks.get(&task);
            task.is_some_and(|task| is_published(task, &ledger.clock, time.min(self.machine_time)))
        })
    }
}

/// Whose slices are delivered, and to where.
#[derive(Debug, Clone)]
pub struct Route {
    /// The chain.
    pub chain_id: u64,
    /// The arena.
    pub arena: Address,
    /// Who created the tasks.
    pub creator: Address,
    /// These tasks alone; none: all of the creator.
    pub only: BTreeSet<u64>,
    /// Blocks for which the end of a task must have been settled before its slices are published.
    pub patience_blocks: u64,
    /// What a transfer may cost.
    pub limits: Limits,
}

/// The courier of one creator.
pub struct Courier<S> {
    route: Route,
    source: Arc<S>,
    stores: Vec<Store>,
    desks: BTreeMap<u64, Desk>,
}

/// Shows no row.
impl<S> std::fmt::Debug for Courier<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("route", &self.route).finish_non_exhaustive()
    }
}

impl<S: SliceSource> Courier<S> {
    /// A courier to those of the stores that can be written.
    #[must_use]
    pub fn new(route: Route, source: S, stores: &Stores) -> Self {
        let route = Route { limits: for_slices(&route.limits), ..route };
        let stores = stores.stores().iter().filter(|store| store.is_writable()).cloned().collect();
        Self { route, source: Arc::new(source), stores, desks: BTreeMap::new() }
    }

    /// Whose slices it delivers.
    #[must_use]
    pub fn creator(&self) -> Address {
        self.route.creator
    }

    /// Notes what is done, and begins what is to be done now, for tasks that are new, too. It waits for no store.
    pub async fn look(&mut self, sight: Sight<'_>) {
        let Self { route, source, stores, desks } = self;
        for task in sight.ledger.tasks.values().filter(|task| route.has(task)) {
            let desk = desks.entry(task.number).or_default();
            desk.search(task, source, stores).await;
            let Desk::Open(open) = desk else { continue };
            // A reorganisation may give a number to another task of the same creator.
            if !is_of(&open.tree, task) {
                *desk = Desk::default();
            } else if open.look(task, sight, route).await {
                info!(task = task.number, "all slices are published");
                *desk = Desk::Closed;
            }
        }
    }
}

impl Route {
    fn has(&self, task: &Task) -> bool {
        task.creator == self.creator && (self.only.is_empty() || self.only.contains(&task.number))
    }
}

fn is_of(tree: &EvaluationTree, task: &Task) -> bool {
    tree.root() == task.params.evaluation_root && tree.slices().len() == task.params.epochs as usize
}

/// What is known of a task.
enum Desk {
    /// Its slices were not found yet.
    Missing(Pauses),
    Searching(JoinHandle<Result<Option<EvaluationTree>, String>>, Pauses),
    Open(Box<Open>),
    /// There is nothing to do for it, or not any more.
    Closed,
}

impl Default for Desk {
    fn default() -> Self {
        Self::Missing(Pauses::default())
    }
}

impl Desk {
    /// Looks for the slices of a task, unless that is done.
    async fn search<S: SliceSource>(&mut self, task: &Task, source: &Arc<S>, stores: &[Store]) {
        let number = task.number;
        match self {
            Self::Missing(pauses) if pauses.are_over() => {
                let (source, task) = (Arc::clone(source), task.clone());
                let search = tokio::spawn(async move { source.find(task).await });
                *self = Self::Searching(search, take(pauses));
            }
            Self::Searching(search, pauses) if search.is_finished() => {
                let why = match search.await {
                    Ok(Ok(None)) => return *self = Self::Closed,
                    Ok(Ok(Some(tree))) if is_of(&tree, task) => {
                        info!(task = number, slices = tree.slices().len(), "its slices are here");
                        return *self = Self::Open(Box::new(Open::new(tree, stores)));
                    }
                    Ok(Ok(Some(tree))) => format!("what was found has the root {}", tree.root()),
                    Ok(Err(why)) => why,
                    Err(error) => error.to_string(),
                };
                metrics::failed("slices");
                warn!(
                    task = number,
                    why, "its slices are not here: it is not sealed; they are looked for again"
                );
                pauses.failed(SEARCH_PAUSE);
                *self = Self::Missing(take(pauses));
            }
            _ => {}
        }
    }
}

/// A task whose slices are at hand.
struct Open {
    tree: Arc<EvaluationTree>,
    /// The newest sealing and its file; `None` if it could not be made.
    sealed: Option<(Sealing, Option<Arc<Vec<u8>>>)>,
    shelves: Vec<Shelf>,
    /// The newest block when the task was first seen to be over for good.
    over_since: Option<u64>,
    /// Who was warned of, in which epoch.
    warned: BTreeSet<(u32, Address)>,
}

impl Open {
    fn new(tree: EvaluationTree, stores: &[Store]) -> Self {
        let shelves = stores.iter().cloned().map(Shelf::new).collect();
        Self { tree: Arc::new(tree), sealed: None, shelves, over_since: None, warned: BTreeSet::new() }
    }

    /// True if nothing is left to do.
    async fn look(&mut self, task: &Task, sight: Sight<'_>, route: &Route) -> bool {
        let Sight { ledger, now, head, .. } = sight;
        let (epoch, _) = ledger.clock.at(now);
        self.warn(ledger, task, epoch);
        if let Some(sealing) = next_sealing(ledger, task, now, self.sealed.as_ref().map(|(last, _)| last)) {
            self.seal(task, sealing).await;
        }
        for shelf in &mut self.shelves {
            shelf.note(task.number).await;
        }
        if is_due(task, &ledger.clock, now, epoch) {
            let Some((sealing, Some(file))) = &self.sealed else { return false };
            for shelf in self.shelves.iter_mut().filter(|shelf| shelf.is_free()) {
                shelf.put_sealed(task.number, sealing, file, route);
            }
        }
        if !sight.is_over(task.number) {
            self.over_since = None;
            return false;
        }
        if head < self.over_since.get_or_insert(head).saturating_add(route.patience_blocks) {
            return false;
        }
        for shelf in self.shelves.iter_mut().filter(|shelf| shelf.is_free()) {
            shelf.publish(task, &self.tree, route);
        }
        self.shelves.iter().all(|shelf| shelf.is_complete(task.params.epochs))
    }

    /// Warns once in an epoch of each validator that gets no slice.
    fn warn(&mut self, ledger: &Ledger, task: &Task, epoch: u32) {
        if !(task.first_epoch..=task.last_epoch).contains(&epoch) {
            return;
        }
        let missing = who_misses(ledger, task, epoch);
        metrics::without_slice(task.number, missing.len());
        self.warned.retain(|(of, _)| *of == epoch);
        for validator in missing {
            if self.warned.insert((epoch, validator)) {
                warn!(
                    task = task.number, epoch, %validator,
                    "it has stake and no usable key, or {MAX_RECIPIENTS} others have more: it can only abstain"
                );
            }
        }
    }

    async fn seal(&mut self, task: &Task, sealing: Sealing) {
        let (number, epoch, recipients) = (task.number, sealing.epoch, sealing.keys.len());
        let (tree, place) = (Arc::clone(&self.tree), Place::of(task, epoch));
        // Two validators may have registered one key.
        let keys: Vec<B256> = sealing.keys.values().collect::<BTreeSet<_>>().into_iter().copied().collect();
        let work = move || {
            let missing = || SealedError::Malformed(format!("the task has no epoch {epoch}"));
            seal(&tree.opening(epoch, place.ok_or_else(missing)?.index)?, &keys)
        };
        let made = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string());
        let file = match made.and_then(|made| made.map_err(|error| error.to_string())) {
            Ok(file) => {
                info!(task = number, epoch, recipients, "sealed the slice of the epoch");
                metrics::sealed();
                Some(Arc::new(file))
            }
            Err(error) => {
                metrics::failed("seal");
                warn!(task = number, epoch, error, "the slice cannot be sealed");
                None
            }
        };
        self.sealed = Some((sealing, file));
        // Whoever was added waits for it, whatever failed before.
        self.shelves.iter_mut().for_each(|shelf| shelf.pauses = Pauses::default());
    }
}

/// What one store has of a task. Each goes at its own pace.
struct Shelf {
    store: Store,
    /// Epoch and number of recipients of the sealing that it has: within an epoch, each has more than the one before it.
    has: Option<(u32, usize)>,
    /// The first slice, by its place in the tree, that was not published yet, and those before it that were not taken.
    next: u32,
    refused: VecDeque<u32>,
    work: Option<(Load, JoinHandle<Taken>)>,
    pauses: Pauses,
}

/// Whether a store took all; if not, the place of the first slice that it did not take.
type Taken = Result<(), (u32, Error)>;

/// What is on its way to a store.
enum Load {
    /// With its epoch and the number of its recipients.
    Sealed(u32, usize),
    /// The slices at these places in the tree.
    Published(Range<u32>),
}

impl Load {
    fn first(&self) -> u32 {
        match self {
            Self::Sealed(..) => 0,
            Self::Published(places) => places.start,
        }
    }
}

impl Shelf {
    fn new(store: Store) -> Self {
        let (has, next, refused, work, pauses) = Default::default();
        Self { store, has, next, refused, work, pauses }
    }

    fn is_free(&self) -> bool {
        self.work.is_none() && self.pauses.are_over()
    }

    fn is_complete(&self, epochs: u32) -> bool {
        self.work.is_none() && self.next == epochs && self.refused.is_empty()
    }

    fn put_sealed(&mut self, task: u64, sealing: &Sealing, file: &Arc<Vec<u8>>, route: &Route) {
        let (epoch, recipients) = (sealing.epoch, sealing.keys.len());
        if self.has == Some((epoch, recipients)) {
            return;
        }
        let name = sealed_name(route.chain_id, route.arena, task, epoch);
        let (store, file, limits) = (self.store.clone(), Arc::clone(file), route.limits.clone());
        let put =
            async move { store.put_named(&name, file.to_vec(), &limits).await.map_err(|error| (0, error)) };
        self.work = Some((Load::Sealed(epoch, recipients), tokio::spawn(put)));
    }

    /// Those that it never got come first, so that one that it does not take holds up no other.
    fn publish(&mut self, task: &Task, tree: &Arc<EvaluationTree>, route: &Route) {
        let end = self.next.saturating_add(BATCH).min(task.params.epochs);
        let places = match self.next < end {
            true => self.next..end,
            false => match self.refused.pop_front() {
                Some(place) => place..place + 1,
                None => return,
            },
        };
        let (store, tree, route) = (self.store.clone(), Arc::clone(tree), route.clone());
        let (number, first, load) = (task.number, task.first_epoch, Load::Published(places.clone()));
        let puts = async move {
            for place in places {
                // A task that was ended early has slices that nothing was evaluated on; they are published like the others.
                let epoch = first.saturating_add(place);
                let Ok(opening) = tree.opening(epoch, place) else { continue };
                let name = published_name(route.chain_id, route.arena, number, epoch);
                store.put_named(&name, opening, &route.limits).await.map_err(|error| (place, error))?;
            }
            Ok(())
        };
        self.work = Some((load, tokio::spawn(puts)));
    }

    /// Notes what has arrived in the store.
    async fn note(&mut self, task: u64) {
        let Some((load, work)) = self.work.take_if(|(_, work)| work.is_finished()) else { return };
        let failed = match work.await {
            Ok(result) => result.err().map(|(place, error)| (place, error.to_string())),
            Err(error) => Some((load.first(), error.to_string())),
        };
        match &failed {
            Some((_, error)) => {
                metrics::failed("deliver");
                self.pauses.failed(STORE_PAUSE);
                let secs = self.pauses.pause.as_secs();
                warn!(task, store = %self.store, error, "a store did not take a slice; it gets it again in {secs} s");
            }
            None => self.pauses = Pauses::default(),
        }
        match (load, failed) {
            (Load::Sealed(epoch, recipients), None) => {
                debug!(task, store = %self.store, epoch, recipients, "a store has the sealed slice");
                self.has = Some((epoch, recipients));
            }
            (Load::Sealed(..), Some(_)) => {}
            (Load::Published(places), failed) => {
                let end = failed.as_ref().map_or(places.end, |(place, _)| *place);
                metrics::published(end - places.start);
                if end > places.start {
                    info!(task, store = %self.store, slices = end - places.start, "published");
                }
                self.next = self.next.max(end);
                if let Some((place, _)) = failed {
                    self.refused.push_back(place);
                    self.next = self.next.max(place + 1);
                }
            }
        }
    }
}

/// What is left of an older sealing must not replace one that the next daemon makes.
impl Drop for Shelf {
    fn drop(&mut self) {
        if let Some((_, work)) = &self.work {
            work.abort();
        }
    }
}

/// Pauses that grow with each failure in a row.
#[derive(Debug, Default)]
struct Pauses {
    pause: Duration,
    until: Option<Instant>,
}

impl Pauses {
    fn failed(&mut self, most: Duration) {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, most);
        self.until = Some(Instant::now() + self.pause);
    }

    fn are_over(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }
}
