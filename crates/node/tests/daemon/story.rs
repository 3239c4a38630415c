//! One epoch with its faults, second by second.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use aiarena_chain::{
    account::{Account, Watcher},
    bindings::Arena::ArenaEvents,
    follow::Follower,
    history::{Event, Record},
    ledger::{Role, Stage, Task},
};
use aiarena_mechanism::Score;
use aiarena_node::{
    evaluator::{Evaluator, InProcess},
    judge::{Verdict, drawn_rows},
    settlement::assigned,
};
use aiarena_store::FolderStore;
use alloy::{primitives::U256, providers::ext::AnvilApi};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    faults::{DEEPEST, Fault, Kind, Plan, kills_at},
    weather::Weather,
    world::{BLOCK, PHASE, PHASES, SLICE, VALIDATORS, World, data, key},
};

/// Settling may take until here, in seconds after the epoch's start.
const END: u64 = (PHASES + 4) * PHASE;
/// Seconds after which a process that ended is started again, as by systemd.
const RESTART: u64 = 5;

/// Plays a story on this thread.
pub(crate) fn play(plan: Plan) {
    // One thread for blocking work, in the order in which it came: whoever waits in line there waits for all before. The other
    // one is held all the time, so that the clock moves when it is told to, and never by itself.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let world = World::build(plan.seed, plan.tasks).await;
        let (_hold, held) = std::sync::mpsc::channel::<()>();
        drop(tokio::task::spawn_blocking(move || held.recv()));
        Story::new(world, plan).tell().await;
    });
}

/// A process, by its operator and its number among those of the same key.
type Name = (usize, usize);

/// A process that runs, or will.
struct Process {
    task: JoinHandle<()>,
    /// When it starts again after it ended, in seconds after the epoch's start.
    restarts: Option<u64>,
}

struct Story {
    world: Rc<World>,
    plan: Plan,
    processes: BTreeMap<Name, Process>,
    /// Those of running processes.
    accounts: Rc<RefCell<BTreeMap<Name, Account>>>,
    /// How many processes are opening their journals.
    opening: Rc<Cell<usize>>,
    /// How often any process went on.
    polls: Arc<AtomicU64>,
    /// How many faults of a kind an operator has now.
    active: BTreeMap<(Kind, usize), usize>,
    /// Blocks to return to, by the fault.
    snapshots: BTreeMap<usize, (U256, u64)>,
    /// What the store held before it lied.
    truths: BTreeMap<PathBuf, Vec<u8>>,
}

impl Story {
    fn new(world: World, plan: Plan) -> Self {
        Self {
            world: Rc::new(world),
            plan,
            processes: BTreeMap::new(),
            accounts: Rc::default(),
            opening: Rc::default(),
            polls: Arc::default(),
            active: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            truths: BTreeMap::new(),
        }
    }

    async fn tell(mut self) {
        for operator in 0..=VALIDATORS {
            self.start((operator, 0), None);
        }
        let mut reader = Follower::connect(self.world.provider.clone(), self.world.deployment).await.unwrap();
        while self.world.elapsed() < END {
            self.second().await;
            if self.world.elapsed() > PHASES * PHASE && self.world.elapsed().is_multiple_of(60) {
                reader.sync().await.unwrap();
                if reader.ledger().tasks.values().all(|task| !task.settled.is_empty()) {
                    break;
                }
            }
        }
        self.check().await;
    }

    /// A second of everybody's time.
    async fn second(&mut self) {
        self.faults().await;
        self.restarts();
        let before = self.polls.load(Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(1)).await;
        self.world.pass();
        if self.world.elapsed().is_multiple_of(BLOCK) {
            self.world.mine().await;
        }
        self.settle(before).await;
    }

    /// Waits until nobody can go on before the clock does.
    async fn settle(&self, mut before: u64) {
        loop {
            // Files, training and scores.
            tokio::task::spawn_blocking(|| {}).await.unwrap();
            while self.opening.get() > 0 {
                tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(50))).await.unwrap();
            }
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let polls = self.polls.load(Ordering::Relaxed);
            if polls == before {
                return;
            }
            before = polls;
            // Journals: each answers one after the other.
            let accounts: Vec<Account> = self.accounts.borrow().values().cloned().collect();
            for account in accounts {
                drop(account.journal().unwrap().recall("nothing").await);
            }
        }
    }

    fn start(&mut self, name: Name, watcher: Option<Watcher>) {
        let live =
            live(Rc::clone(&self.world), Rc::clone(&self.accounts), Rc::clone(&self.opening), name, watcher);
        let task =
            tokio::task::spawn_local(Counted { inner: Box::pin(live), polls: Arc::clone(&self.polls) });
        self.processes.insert(name, Process { task, restarts: None });
    }

    fn kill(&mut self, name: Name, restarts: Option<u64>) {
        self.accounts.borrow_mut().remove(&name);
        if let Some(process) = self.processes.get_mut(&name) {
            process.task.abort();
            process.restarts = restarts;
        }
    }

    /// Starts again what ended by itself, or was killed and may go on.
    fn restarts(&mut self) {
        let now = self.world.elapsed();
        let mut due = Vec::new();
        for (name, process) in &mut self.processes {
            if process.task.is_finished() {
                self.accounts.borrow_mut().remove(name);
                if *process.restarts.get_or_insert(now + RESTART) <= now {
                    due.push(*name);
                }
            }
        }
        for name in due {
            self.start(name, None);
        }
    }

    /// Begins and ends what fails from now on, or until now. What fails twice at the same time ends with the last of both.
    async fn faults(&mut self) {
        let now = self.world.elapsed();
        let faults = self.plan.faults.clone();
        let lasts = |fault: &Fault| {
            matches!(fault.kind, Kind::Endpoint | Kind::StoreGone | Kind::StoreLies | Kind::Disk)
        };
        for (number, fault) in faults.iter().enumerate().filter(|(_, fault)| fault.from == now) {
            let active = self.active.entry((fault.kind, fault.operator)).or_default();
            *active += 1;
            if *active == 1 || !lasts(fault) {
                self.begin(number, *fault).await;
            }
        }
        for (number, fault) in faults.iter().enumerate() {
            let shallow = fault.until.saturating_sub(DEEPEST * BLOCK);
            if fault.kind == Kind::Reorganised && now == fault.from.max(shallow) {
                let snapshot = self.world.provider.anvil_snapshot().await.unwrap();
                self.snapshots.insert(number, (snapshot, now));
            }
        }
        for (number, fault) in faults.iter().enumerate().filter(|(_, fault)| fault.until == now) {
            let active = self.active.entry((fault.kind, fault.operator)).or_default();
            *active -= 1;
            if *active == 0 || !lasts(fault) {
                self.end(number, *fault).await;
            }
        }
    }

    async fn begin(&mut self, number: usize, fault: Fault) {
        let store = self.world.store();
        match fault.kind {
            Kind::Endpoint => Weather::set(&self.world.weather, u32::try_from(fault.number).unwrap()),
            Kind::StoreGone => block(&store),
            Kind::StoreLies => {
                for file in files(&store) {
                    let truth = std::fs::read(&file).unwrap();
                    std::fs::write(&file, vec![7; truth.len()]).unwrap();
                    self.truths.insert(file, truth);
                }
            }
            Kind::Disk => self.disk(fault.operator, true).await,
            Kind::Killed => self.kill((fault.operator, 0), Some(fault.until)),
            Kind::KilledAtStep => {
                self.kill((fault.operator, 0), None);
                self.start((fault.operator, 0), Some(kills_at(fault.number)));
            }
            Kind::Replica => self.start((fault.operator, number + 1), None),
            Kind::Reorganised => {}
        }
    }

    async fn end(&mut self, number: usize, fault: Fault) {
        match fault.kind {
            Kind::Endpoint => Weather::set(&self.world.weather, 0),
            Kind::StoreGone => unblock(&self.world.store()),
            Kind::StoreLies => {
                let store = self.world.store();
                for (file, truth) in std::mem::take(&mut self.truths) {
                    // The store may be gone at the moment.
                    let away = store.with_extension("away").join(file.strip_prefix(&store).unwrap());
                    std::fs::write(if away.exists() { away } else { file }, truth).unwrap();
                }
            }
            Kind::Disk => self.disk(fault.operator, false).await,
            Kind::Killed | Kind::KilledAtStep => {}
            Kind::Replica => self.kill((fault.operator, number + 1), Some(u64::MAX)),
            Kind::Reorganised => {
                let Some((snapshot, since)) = self.snapshots.remove(&number) else { return };
                // A deeper one may have undone it already.
                if self.world.provider.anvil_revert(snapshot).await.unwrap() {
                    self.world.mine_since(since).await;
                }
            }
        }
    }

    /// Makes the disk of an operator full, or not.
    async fn disk(&self, operator: usize, full: bool) {
        let home = self.world.home((operator, 0));
        for folder in ["drafts", "cache"] {
            let folder = home.join(folder);
            match full {
                true => block(&folder),
                false => unblock(&folder),
            }
        }
        let Ok(mut journal) = SqliteConnectOptions::new().filename(home.join("journal.db")).connect().await
        else {
            return;
        };
        for (table, event) in [
            ("memories", "INSERT"),
            ("transactions", "INSERT"),
            ("transactions", "UPDATE"),
            ("attempts", "INSERT"),
        ] {
            let name = format!("full_{table}_{event}");
            let text = match full {
                true => format!(
                    "CREATE TRIGGER IF NOT EXISTS {name} BEFORE {event} ON {table} BEGIN \
                     SELECT RAISE(FAIL, 'database or disk is full'); END"
                ),
                false => format!("DROP TRIGGER IF EXISTS {name}"),
            };
            // There are no tables yet if the process has never run.
            drop(sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut journal).await);
        }
        journal.close().await.unwrap();
    }

    async fn check(&self) {
        let plan = &self.plan;
        let mut reader = Follower::connect(self.world.provider.clone(), self.world.deployment).await.unwrap();
        let records = reader.sync().await.unwrap().records;
        assert!(reader.ledger().slashed.is_zero(), "{plan:?}: somebody was slashed");
        let tasks = &reader.ledger().tasks;
        assert_eq!(tasks.len() as u64, plan.tasks);
        for task in tasks.values() {
            self.check_task(task, &records);
        }
    }

    fn check_task(&self, task: &Task, records: &[Record]) {
        let (plan, number) = (&self.plan, task.number);
        let flight = task.settled.first();
        let flight = flight.unwrap_or_else(|| panic!("{plan:?}: {number} not settled, {:?}", task.flight));
        assert_eq!(flight.stage(), Stage::Settled);
        assert_eq!(flight.entries.len(), 1, "{plan:?}: the node's model is not on the list of {number}");
        let committed = |who| {
            let events = records.iter().filter(|record| match &record.event {
                Event::Arena(ArenaEvents::SubmissionCommitted(event)) => {
                    (event.task, event.node) == (U256::from(number), who)
                }
                Event::Arena(ArenaEvents::ScoresCommitted(event)) => {
                    (event.task, event.validator) == (U256::from(number), who)
                }
                _ => false,
            });
            events.count()
        };
        assert_eq!(committed(key(0).address()), 1, "{plan:?}: one submission to {number}");
        let store = FolderStore::open(self.world.store(), u64::MAX).unwrap();
        let rows = drawn_rows(flight, &data().evaluation, SLICE);
        for validator in 1..=VALIDATORS {
            let me = key(validator).address();
            assert_eq!(task.pools[&me].role, Role::Validator);
            let Some(reveal) = flight.reveals.get(&me) else {
                panic!("{plan:?}: {validator} did not reveal to {number}")
            };
            assert_eq!(committed(me), 1, "{plan:?}: {validator} committed once to {number}");
            let places = assigned(task, flight, me).unwrap();
            assert_eq!(places.len(), reveal.scores.len());
            for (place, score) in places.iter().zip(&reveal.scores) {
                let entry = &flight.entries[*place as usize];
                let honest = InProcess::new(&store).evaluate(entry.content_hash, &rows).unwrap();
                let Verdict::Valid(honest) = honest else { panic!("{honest:?}") };
                assert_eq!(*score, Score::to_wire(Some(honest)), "{plan:?}: {validator} did not score");
            }
        }
    }
}

/// A process from its start: it tries until it can begin, and then works until it is killed.
async fn live(
    world: Rc<World>,
    accounts: Rc<RefCell<BTreeMap<Name, Account>>>,
    opening: Rc<Cell<usize>>,
    name: Name,
    watcher: Option<Watcher>,
) {
    let home = world.home(name);
    let account = loop {
        let begun = Opening::begin(&opening);
        let account = world.account(name.0, &home, watcher.clone()).await;
        drop(begun);
        match account {
            Ok(account) => break account,
            Err(_) => tokio::time::sleep(Duration::from_secs(RESTART)).await,
        }
    };
    accounts.borrow_mut().insert(name, account.clone());
    let daemon = loop {
        match world.daemon(name.0, &home, account.clone()).await {
            Ok(daemon) => break daemon,
            Err(_) => tokio::time::sleep(Duration::from_secs(RESTART)).await,
        }
    };
    drop(account);
    let (_stop, stopped) = watch::channel(false);
    if let Err(error) = daemon.run(stopped).await {
        tracing::debug!(%error, "ended");
    }
}

/// One of those that are at it.
struct Opening(Rc<Cell<usize>>);

impl Opening {
    fn begin(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Puts a file where a folder is, so that nothing can be read there or written.
fn block(folder: &Path) {
    if folder.is_dir() {
        std::fs::rename(folder, folder.with_extension("away")).unwrap();
    }
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::fs::write(folder, "").unwrap();
}

fn unblock(folder: &Path) {
    std::fs::remove_file(folder).unwrap();
    let away = folder.with_extension("away");
    if away.is_dir() {
        std::fs::rename(away, folder).unwrap();
    }
}

/// All files in the folders of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(shards) = std::fs::read_dir(folder) else { return Vec::new() };
    let shards = shards.filter_map(|shard| std::fs::read_dir(shard.unwrap().path()).ok());
    shards.flat_map(|shard| shard.map(|file| file.unwrap().path())).filter(|file| file.is_file()).collect()
}

/// Counts how often a process goes on.
struct Counted {
    inner: Pin<Box<dyn Future<Output = ()>>>,
    polls: Arc<AtomicU64>,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.inner.as_mut().poll(context)
    }
}
