//! A creator's courier, with stores that fail, hang or come back, and a chain that changes its mind.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use aiarena_chain::ledger::{Ledger, Phase, Task};
use aiarena_node::{
    daemon::{Courier, Route, Sight, SliceSource},
    sealed::{EvaluationTree, open, open_published, published_name, sealed_name},
};
use aiarena_store::{Limits, Policy, S3Settings, Settings, Stores};
use alloy::primitives::{Address, B256};
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::{CLOCK, CONSTANTS, EPOCHS, FIRST, drawn, key, place, tree};

const TASK: u64 = 1;

/// The slices that a creator has at hand, which may change.
#[derive(Clone, Default)]
pub(crate) struct Slices(Arc<Mutex<Option<EvaluationTree>>>);

impl Slices {
    pub(crate) fn of(tree: EvaluationTree) -> Self {
        Self(Arc::new(Mutex::new(Some(tree))))
    }
}

impl SliceSource for Slices {
    async fn find(&self, _task: Task) -> Result<Option<EvaluationTree>, String> {
        self.0.lock().unwrap().clone().map(Some).ok_or_else(|| "they are not here".to_owned())
    }
}

fn courier(slices: Slices, stores: &Stores, patience_blocks: u64) -> Courier<Slices> {
    Courier::new(route(patience_blocks), slices, stores)
}

fn route(patience_blocks: u64) -> Route {
    // Slices may be larger than artifacts. What hangs is not given up by itself.
    let long = Duration::from_secs(600);
    let limits = Limits { rounds: 1, deadline: long, patience: long, ..Limits::new(1) };
    let (chain_id, arena, creator) = (1, Address::ZERO, Address::ZERO);
    Route { chain_id, arena, creator, only: BTreeSet::new(), patience_blocks, limits }
}

fn folders(folders: &[&Path]) -> Stores {
    let urls: Vec<String> = folders.iter().map(|folder| format!("file:{}", folder.display())).collect();
    Stores::open(urls.iter().map(String::as_str), &Settings::default()).unwrap()
}

fn ledger(task: Task) -> Ledger {
    let mut ledger = Ledger::new(CLOCK, CONSTANTS);
    ledger.tasks.insert(TASK, task);
    ledger.keys.insert(Address::repeat_byte(1), key(1).public());
    ledger
}

/// Nothing of it is final yet.
fn at(ledger: &Ledger, now: u64) -> Sight<'_> {
    Sight { ledger, head: 100, now, settled: None, machine_time: u64::MAX }
}

fn sealed_in(folder: &Path) -> PathBuf {
    folder.join(sealed_name(1, Address::ZERO, TASK, 4).as_str())
}

fn published_in(folder: &Path, index: u32) -> PathBuf {
    folder.join(published_name(1, Address::ZERO, TASK, FIRST + index).as_str())
}

/// Looks until something holds.
async fn until(courier: &mut Courier<Slices>, sight: Sight<'_>, what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            courier.look(sight).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Looks often enough for all that is begun to end.
async fn settle(courier: &mut Courier<Slices>, sight: Sight<'_>) {
    for _ in 0..20 {
        courier.look(sight).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Nothing can be written into a folder whose place a file takes.
fn break_store(folder: &Path) -> PathBuf {
    let name = sealed_name(1, Address::ZERO, TASK, 4);
    let file = folder.join(name.as_str().split('/').next().unwrap());
    fs::write(&file, "").unwrap();
    file
}

#[tokio::test]
async fn a_store_that_fails_gets_the_same_file_later_and_the_others_are_left_alone() {
    let (good, bad) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let obstacle = break_store(bad.path());
    let tree = tree(13);
    let mut ledger = ledger(drawn(tree.root(), &[1, 2]));
    let stores = folders(&[bad.path(), good.path()]);
    let mut courier = courier(Slices::of(tree.clone()), &stores, 0);
    let now = CLOCK.start(4, Phase::Seed);
    until(&mut courier, at(&ledger, now), "the good store has it", || sealed_in(good.path()).exists()).await;
    settle(&mut courier, at(&ledger, now)).await;
    let first = fs::read(sealed_in(good.path())).unwrap();
    let written = fs::metadata(sealed_in(good.path())).unwrap().modified().unwrap();
    fs::remove_file(&obstacle).unwrap();
    until(&mut courier, at(&ledger, now), "the other one has it", || sealed_in(bad.path()).exists()).await;
    assert_eq!(fs::read(sealed_in(bad.path())).unwrap(), first, "it was not sealed again");
    assert_eq!(fs::metadata(sealed_in(good.path())).unwrap().modified().unwrap(), written);

    // Who was added gets it, and who was there still does.
    ledger.keys.insert(Address::repeat_byte(2), key(2).public());
    let to_both = || {
        [bad.path(), good.path()].iter().all(|folder| {
            let file = fs::read(sealed_in(folder)).unwrap();
            [1, 2].iter().all(|byte| open(&file, &key(*byte), &place(&tree, 1)).is_ok())
        })
    };
    until(&mut courier, at(&ledger, now), "it is sealed to both", to_both).await;
}

#[tokio::test]
async fn new_tasks_are_found_and_slices_that_are_not_there_yet_are_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, slices) = (tree(13), Slices::default());
    let mut courier = courier(slices.clone(), &folders(&[folder.path()]), 0);
    let now = CLOCK.start(4, Phase::Seed);
    settle(&mut courier, at(&Ledger::new(CLOCK, CONSTANTS), now)).await;
    let mut ledger = ledger(drawn(tree.root(), &[1, 2]));
    settle(&mut courier, at(&ledger, now)).await;
    *slices.0.lock().unwrap() = Some(tree);
    until(&mut courier, at(&ledger, now), "it is sealed", || sealed_in(folder.path()).exists()).await;
    settle(&mut courier, at(&ledger, now)).await;

    // A reorganisation gives the number to a task with other slices: the old ones are not sent for it.
    fs::remove_file(sealed_in(folder.path())).unwrap();
    let mut next = ledger.tasks[&TASK].clone();
    next.number += 1;
    let task = ledger.tasks.get_mut(&TASK).unwrap();
    task.params.evaluation_root = B256::repeat_byte(9);
    ledger.keys.insert(Address::repeat_byte(2), key(2).public());
    // Once a later task has its file, this one would have it, too.
    let later = folder.path().join(sealed_name(1, Address::ZERO, next.number, 4).as_str());
    ledger.tasks.insert(next.number, next);
    until(&mut courier, at(&ledger, now), "the later task is sealed", || later.exists()).await;
    settle(&mut courier, at(&ledger, now)).await;
    assert!(!sealed_in(folder.path()).exists());
}

#[tokio::test]
async fn tasks_of_others_and_those_that_are_not_named_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(13);
    let ledger = ledger(drawn(tree.root(), &[1]));
    let now = CLOCK.start(4, Phase::Seed);
    let stores = folders(&[folder.path()]);
    let courier = |route| Courier::new(route, Slices::of(tree.clone()), &stores);
    let (creator, named) = (Address::repeat_byte(1), |task| BTreeSet::from([task]));
    for route in [Route { creator, ..route(0) }, Route { only: named(TASK + 1), ..route(0) }] {
        settle(&mut courier(route), at(&ledger, now)).await;
        assert!(!sealed_in(folder.path()).exists());
    }
    let mut one = courier(Route { only: named(TASK), ..route(0) });
    until(&mut one, at(&ledger, now), "it is sealed", || sealed_in(folder.path()).exists()).await;
}

#[tokio::test]
async fn nothing_is_published_before_the_end_is_final_and_this_machine_thinks_so_too() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(13);
    let running = ledger(drawn(tree.root(), &[1]));
    let end = CLOCK.start(FIRST + EPOCHS, Phase::Submit);
    let mut ended = running.clone();
    ended.tasks.get_mut(&TASK).unwrap().last_epoch = FIRST;
    let mut courier = courier(Slices::of(tree.clone()), &folders(&[folder.path()]), 3);
    let over = Sight { settled: Some((&running, end)), ..at(&running, end) };
    for early in [
        at(&running, end),
        Sight { settled: Some((&running, end - 1)), ..over },
        Sight { machine_time: end - 1, ..over },
        // It was ended early, but that may be undone.
        Sight { ledger: &ended, now: end - 1, settled: Some((&running, end - 1)), ..over },
        over,
        Sight { head: 102, ..over },
        // What is undone is waited for anew.
        at(&running, end),
        Sight { head: 103, ..over },
        Sight { head: 105, ..over },
    ] {
        settle(&mut courier, early).await;
        assert!(!published_in(folder.path(), 0).exists(), "{early:?}");
    }
    let all = || (0..EPOCHS).all(|index| published_in(folder.path(), index).exists());
    until(&mut courier, Sight { head: 106, ..over }, "all are published", all).await;
    for index in 0..EPOCHS {
        let opening = fs::read(published_in(folder.path(), index)).unwrap();
        assert_eq!(
            open_published(&opening, &place(&tree, index)).unwrap(),
            tree.slices()[index as usize].rows
        );
    }
}

#[tokio::test]
async fn a_slice_that_a_store_does_not_take_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(13);
    let ledger = ledger(drawn(tree.root(), &[]));
    let end = CLOCK.start(FIRST + EPOCHS, Phase::Submit);
    fs::create_dir_all(published_in(folder.path(), 1)).unwrap();
    let mut courier = courier(Slices::of(tree), &folders(&[folder.path()]), 0);
    let over = Sight { settled: Some((&ledger, end)), ..at(&ledger, end) };
    let others = || [0, 2, 3, 4].iter().all(|index| published_in(folder.path(), *index).is_file());
    until(&mut courier, over, "the others are published", others).await;
    fs::remove_dir(published_in(folder.path(), 1)).unwrap();
    until(&mut courier, over, "this one, too", || published_in(folder.path(), 1).is_file()).await;
}

/// As when the daemon reads its configuration again.
#[tokio::test]
async fn a_courier_that_stops_during_a_delivery_takes_it_back_and_the_next_one_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let s3 = S3Settings {
        endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        region: None,
        access_key_id: Some("name".into()),
        secret_access_key: Some("of the test".into()),
        session_token: None,
        virtual_hosted: Some(false),
        allow_http: Some(true),
    };
    let settings = Settings { s3, policy: Policy::Loopback };
    let url = format!("file:{}", folder.path().display());
    let stores = Stores::open(["s3://bucket/a", &url], &settings).unwrap();
    let tree = tree(13);
    let ledger = ledger(drawn(tree.root(), &[1]));
    let now = CLOCK.start(4, Phase::Commit);

    let mut first = courier(Slices::of(tree.clone()), &stores, 0);
    // The store that never answers does not hold up the other one.
    until(&mut first, at(&ledger, now), "it is sealed", || sealed_in(folder.path()).exists()).await;
    let (mut hanging, _) = listener.accept().await.unwrap();
    drop(first);
    let mut asked = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), hanging.read_to_end(&mut asked));
    closed.await.expect("the delivery was taken back").ok();

    fs::remove_file(sealed_in(folder.path())).unwrap();
    let mut second = courier(Slices::of(tree), &stores, 0);
    until(&mut second, at(&ledger, now), "it is sealed again", || sealed_in(folder.path()).exists()).await;
}
