//! A process that takes part for months: reads the chain, plans, works and sends, until it is told to stop.

mod courier;
mod metrics;
mod sealer;
mod turns;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aiarena_chain::{
    client::{Account, ClientError},
    follow::{FollowError, Follower},
};
use aiarena_ml::Dataset;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tracing::{debug, error, info, warn};

use self::turns::Turns;
pub use self::{
    courier::{Courier, Route, Sight, SliceSource},
    sealer::Sealer,
};
use crate::{
    operator::{Operator, OperatorError},
    plan::{Action, plan},
};

/// For how long a transaction that is on its way is waited for after the daemon was told to stop. It is in the journal.
const GRACE: Duration = Duration::from_secs(20);

/// Between work that failed and the next try.
const REST: Duration = Duration::from_secs(20);

/// How a daemon goes about its work.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two looks at the chain.
    pub poll: Duration,
    /// Blocks on top of a block after which it is taken to stay.
    pub confirmations: u64,
    /// Seconds of the chain's time that one validator leaves the one before it for what anyone may do.
    pub turn_secs: u64,
}

/// Why a daemon ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The history cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The journal cannot be used.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The account cannot send.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Somebody else's task, or none.
    #[error("there is no task {0} in this arena")]
    NoTask(u64),
    /// Work on this machine ended in a way that its code does not foresee.
    #[error("the work on task {task} broke off: {why}")]
    Broken {
        /// The task.
        task: u64,
        /// How.
        why: String,
    },
}

/// How a daemon is, for those who watch it.
#[derive(Debug)]
pub struct Health {
    /// When it was made.
    begun: Instant,
    /// When the last look at the chain ended, in seconds after that.
    looked: AtomicU64,
    /// The newest block that was read.
    head: AtomicU64,
    /// Whether the last look at the chain succeeded.
    reading: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        let (looked, head, reading) = Default::default();
        Self { begun: Instant::now(), looked, head, reading }
    }
}

impl Health {
    /// Since when it is busy with one look at the chain and what follows from it, such as a transaction that is not mined.
    #[must_use]
    pub fn since_last_look(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_secs(self.looked.load(Ordering::Relaxed)))
    }

    fn looked(&self) {
        self.looked.store(self.begun.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// The newest block that was read; `None` while the chain cannot be read.
    #[must_use]
    pub fn head(&self) -> Option<u64> {
        self.reading.load(Ordering::Relaxed).then(|| self.head.load(Ordering::Relaxed))
    }
}

/// An operator, at hand or at work.
enum Seat {
    Idle(Box<Operator>),
    /// It trains or scores in a thread of its own, and does nothing else meanwhile.
    Working(JoinHandle<Result<Worked, JoinError>>),
}

/// An operator back from its work, and how that went.
type Worked = (Box<Operator>, Result<(), OperatorError>);

/// A daemon: one account, and an operator for each of its tasks.
pub struct Daemon {
    follower: Follower,
    account: Account,
    seats: BTreeMap<u64, (Seat, Arc<Dataset>)>,
    /// Until when a task whose work failed does not work again.
    rests: BTreeMap<u64, Instant>,
    turns: Turns,
    pace: Pace,
    /// Those of the token.
    decimals: u8,
    health: Arc<Health>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("account", &self.account.address()).finish_non_exhaustive()
    }
}

impl Daemon {
    /// A daemon over an account and the state that `follower` has read.
    ///
    /// - `decimals`: those of the token, in which metrics show amounts.
    #[must_use]
    pub fn new(follower: Follower, account: Account, pace: Pace, decimals: u8) -> Self {
        metrics::describe();
        let turns = Turns::new(account.address(), pace.turn_secs);
        let (seats, rests) = (BTreeMap::new(), BTreeMap::new());
        Self { follower, account, seats, rests, turns, pace, decimals, health: Arc::default() }
    }

    /// Adds an operator, with the data on which it scores.
    ///
    /// # Errors
    /// [`DaemonError::NoTask`]; or the journal cannot be read.
    pub async fn add(&mut self, mut operator: Operator, data: Arc<Dataset>) -> Result<(), DaemonError> {
        let task = operator.task();
        if !self.follower.ledger().tasks.contains_key(&task) {
            return Err(DaemonError::NoTask(task));
        }
        operator.recall().await?;
        self.seats.insert(task, (Seat::Idle(Box::new(operator)), data));
        Ok(())
    }

    /// How it is, also while it runs.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Works until `stop` turns true. A transaction on its way is waited for; the journal holds it in any case.
    ///
    /// # Errors
    /// [`DaemonError`], for what does not pass by itself.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
        let poll = self.pace.poll;
        run(&mut self, poll, stop).await
    }

    /// Takes back the operators whose work is done.
    async fn finish_work(&mut self) -> Result<(), DaemonError> {
        for (task, (seat, _)) in &mut self.seats {
            let Seat::Working(handle) = seat else { continue };
            if !handle.is_finished() {
                continue;
            }
            let broken = |error: JoinError| DaemonError::Broken { task: *task, why: error.to_string() };
            let (operator, result) = handle.await.map_err(broken)?.map_err(broken)?;
            // What cannot be kept now, as on a full disk, is kept before it is committed to, or nothing is sent.
            let kept = match result {
                Ok(()) => operator.keep().await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                metrics::failed("work");
                error!(task, %error, "the work failed; it is tried again while there is time");
                self.rests.insert(*task, Instant::now() + REST);
            }
            *seat = Seat::Idle(operator);
        }
        Ok(())
    }

    /// Does what is planned for a task: either the operator's own actions, or those of anyone whose turn has come.
    async fn act(&mut self, task: u64, own: bool) -> Result<(), DaemonError> {
        let (ledger, now) = (self.follower.ledger(), self.follower.now());
        let Some((Seat::Idle(operator), _)) = self.seats.get(&task) else { return Ok(()) };
        let Some(view) = operator.view(ledger, now) else { return Ok(()) };
        for action in plan(&view).into_iter().filter(|action| action.is_anyones() != own) {
            if action.is_local() {
                if self.rests.get(&task).is_none_or(|until| *until <= Instant::now()) {
                    self.begin_work(task, action);
                }
                return Ok(());
            }
            if !own && !self.turns.is_mine(view.task, &action, now) {
                continue;
            }
            let name = action.name();
            match operator.send(&action, ledger).await {
                Ok(sent) => {
                    metrics::sent(name, sent.gas);
                    // Of what anyone may do one step at a time, so that nobody's own deadline waits behind it.
                    if !own {
                        return Ok(());
                    }
                }
                Err(error) if error.is_lost_race(&action) => debug!(task, %error, "somebody else was faster"),
                Err(OperatorError::Client(ClientError::Journal(error)) | OperatorError::Journal(error)) => {
                    metrics::failed("journal");
                    error!(task, %error, "nothing is sent that cannot be written down; is the disk full?");
                    return Ok(());
                }
                Err(error) => {
                    metrics::failed(name);
                    warn!(task, action = name, %error, "not done; it is planned again while there is time");
                }
            }
        }
        Ok(())
    }

    /// Lets the operator of a task work in a thread.
    fn begin_work(&mut self, task: u64, action: Action) {
        let Some((Seat::Idle(mut operator), data)) = self.seats.remove(&task) else { return };
        let (ledger, now, rows) = (self.follower.ledger().clone(), self.follower.now(), Arc::clone(&data));
        let work = async move {
            let due = operator.fetch(&action, &ledger, now).await;
            let work = move || {
                let begun = Instant::now();
                let result = operator.work(&action, &ledger, now, &rows, due);
                metrics::worked(action.name(), begun.elapsed());
                (operator, result)
            };
            tokio::task::spawn_blocking(work).await
        };
        self.seats.insert(task, (Seat::Working(tokio::spawn(work)), data));
    }
}

impl Worker for Daemon {
    fn health(&self) -> &Health {
        &self.health
    }

    async fn read(&mut self) -> Result<(), DaemonError> {
        self.follower.sync().await?;
        let head = self.follower.head().map_or(0, |head| head.number);
        self.account.confirm(head, self.pace.confirmations).await?;
        self.health.head.store(head, Ordering::Relaxed);
        let unresolved = match self.account.journal() {
            Some(journal) => journal.unresolved().await.map_err(ClientError::from)?,
            None => 0,
        };
        let working = self.seats.values().filter(|(seat, _)| matches!(seat, Seat::Working(_))).count();
        let (ledger, me) = (self.follower.ledger(), self.account.address());
        metrics::looked(ledger, me, self.decimals, head, self.follower.now());
        metrics::queues(unresolved, working);
        Ok(())
    }

    async fn work(&mut self) -> Result<(), DaemonError> {
        self.finish_work().await?;
        // First what is the operator's own and has a deadline, in all tasks; then what anyone may do.
        for own in [true, false] {
            for task in self.seats.keys().copied().collect::<Vec<_>>() {
                self.act(task, own).await?;
            }
        }
        self.turns.forget(self.follower.now());
        Ok(())
    }
}

/// What a daemon does again and again.
trait Worker {
    fn health(&self) -> &Health;

    /// Reads the chain.
    async fn read(&mut self) -> Result<(), DaemonError>;

    /// Does what follows from it.
    async fn work(&mut self) -> Result<(), DaemonError>;

    /// One look at the chain, and what follows from it.
    async fn look(&mut self) -> Result<(), DaemonError> {
        let read = self.read().await;
        self.health().reading.store(read.is_ok(), Ordering::Relaxed);
        match read {
            Ok(()) => self.work().await,
            Err(error) => {
                metrics::failed("read");
                if !passes(&error) {
                    return Err(error);
                }
                warn!(%error, "cannot read the chain; trying again");
                Ok(())
            }
        }
    }
}

/// Lets a daemon look until `stop` turns true. What it is at then is waited for.
async fn run(
    worker: &mut impl Worker,
    poll: Duration,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let mut stopping = stop.clone();
    loop {
        {
            let mut look = std::pin::pin!(worker.look());
            tokio::select! {
                result = &mut look => result?,
                () = told(&mut stopping) => {
                    info!("stopping");
                    if tokio::time::timeout(GRACE, look).await.is_err() {
                        warn!("something is still on its way; the next start looks after it");
                    }
                    return Ok(());
                }
            }
        }
        worker.health().looked();
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = told(&mut stop) => return Ok(()),
        }
    }
}

/// Whether a failure to read the chain passes by itself.
fn passes(error: &DaemonError) -> bool {
    match error {
        DaemonError::Client(_) | DaemonError::Follow(FollowError::Client(_)) => true,
        DaemonError::Follow(error) => error.is_retryable(),
        _ => false,
    }
}

/// Waits until the daemon is told to stop, or nobody is left to tell it.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _nobody = stop.wait_for(|stop| *stop).await.map(drop);
}
