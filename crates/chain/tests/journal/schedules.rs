//! Seeded schedules of faults: whatever fails and whenever the process dies, each transaction has its effect once.

use std::sync::{Arc, Mutex};

use aiarena_chain::account::{Account, Step};
use alloy::rpc::client::RpcClient;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::{
    faults::{Faulty, Weather, dies_at},
    world::World,
};

/// Transactions of a schedule.
const MINTS: u32 = 4;

/// Mints all, as a daemon would: what fails is tried again at the next look.
async fn work(world: &World, account: &Account) {
    for number in 0..MINTS {
        while let Err(error) = world.mint(account, number).await {
            tracing::debug!(%error, "tried again");
        }
    }
}

/// Runs a process that dies at its `nth` step; true if it did.
async fn run(world: &Arc<World>, rpc: RpcClient, nth: usize, steps: &Arc<Mutex<Vec<Step>>>) -> bool {
    let (world, steps) = (Arc::clone(world), Arc::clone(steps));
    let process = tokio::spawn(async move {
        let account = world.account(rpc, Some(dies_at(nth, steps))).await;
        while account.resume().await.is_err() {}
        work(&world, &account).await;
        let head = u64::MAX;
        while account.confirm(head, 0).await.is_err() {}
    });
    process.await.is_err()
}

async fn check(world: &World, schedule: &str) {
    assert_eq!(world.supply().await, (1 << MINTS) - 1, "{schedule}: each amount once");
    assert_eq!(world.nonce().await, 1 + u64::from(MINTS), "{schedule}: no nonce was wasted");
    assert_eq!(world.journal().await.unresolved().await.unwrap(), 0, "{schedule}");
}

#[tokio::test]
async fn a_process_may_die_at_every_step() {
    let mut seen = Vec::new();
    for nth in 0.. {
        let world = Arc::new(World::new().await);
        let steps = Arc::new(Mutex::new(Vec::new()));
        let died = run(&world, world.chain.rpc_client(), nth, &steps).await;
        seen.extend(steps.lock().unwrap().last().copied());
        assert!(!run(&world, world.chain.rpc_client(), usize::MAX, &steps).await);
        check(&world, &format!("died at step {nth}")).await;
        if !died {
            break;
        }
    }
    for step in [Step::Intended, Step::Signed, Step::Sent, Step::Mined, Step::Final] {
        assert!(seen.contains(&step), "{step:?} was never the last step");
    }
}

/// A schedule: an endpoint with faults, and several deaths in a row at random steps.
async fn schedule(seed: u64) {
    let world = Arc::new(World::new().await);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let weather = Weather::new(seed, 20 + random.next_u32() % 100, 60);
    let inner = world.chain.rpc_client().transport().clone();
    let rpc = || {
        let client = RpcClient::new(Faulty { inner: inner.clone(), weather: Arc::clone(&weather) }, true);
        client.set_poll_interval(std::time::Duration::from_millis(1));
        client
    };
    let deaths = random.next_u32() % 4;
    for _ in 0..deaths {
        run(&world, rpc(), random.next_u32() as usize % 12, &Arc::default()).await;
    }
    assert!(!run(&world, rpc(), usize::MAX, &Arc::default()).await, "seed {seed}");
    check(&world, &format!("seed {seed}")).await;
}

/// `FAULTS=10000` plays more, and `FAULTS_SEED` others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeded_faults() {
    let number = |name, default| std::env::var(name).map_or(default, |text: String| text.parse().unwrap());
    let (count, first): (u64, u64) = (number("FAULTS", 300), number("FAULTS_SEED", 1));
    let mut seeds = first..first + count;
    let mut running = tokio::task::JoinSet::new();
    for seed in seeds.by_ref().take(16) {
        running.spawn(schedule(seed));
    }
    let mut done = 0;
    while let Some(result) = running.join_next().await {
        result.unwrap();
        done += 1;
        if let Some(seed) = seeds.next() {
            running.spawn(schedule(seed));
        }
    }
    assert_eq!(done, count);
}
