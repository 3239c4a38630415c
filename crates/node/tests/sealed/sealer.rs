//! A creator's daemon on a chain whose clock is not that of this machine.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aiarena_chain::{
    account::Account,
    bindings::Arena,
    deploy::{DeployConfig, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
    follow::{Follower, MAX_REORG},
};
use aiarena_node::{
    daemon::{Courier, Route, Sealer},
    sealed::published_name,
};
use aiarena_store::{Limits, Settings, Stores};
use alloy::{
    primitives::{B256, U256, aliases::U96},
    providers::ext::AnvilApi,
    signers::local::PrivateKeySigner,
};
use tokio::sync::watch;

use crate::{EPOCHS, courier::Slices, tree};

const WAD: u64 = 1_000_000_000_000_000_000;
const EPOCH: u64 = 600;
const SCHEDULE: Schedule = Schedule {
    submit_end: 100,
    disclose_end: 200,
    seed_end: 300,
    commit_end: 400,
    reveal_end: 500,
    seed_delay: 0,
    silent_epochs: 2,
};

/// How long a daemon has that should publish nothing: many looks at the chain.
const GLANCES: Duration = Duration::from_secs(1);
/// How long one has that should, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a daemon publishes the slices of a task that began with the chain, so many blocks after the task's end.
async fn publishes(genesis: u64, blocks: u64, patience: Duration) -> bool {
    let tree = tree(13);
    let creator = PrivateKeySigner::random();
    let config = Config { genesis_timestamp: genesis - 1_000, ..Config::default() };
    let chain =
        EmbeddedChain::new(config.with_balance(creator.address(), U256::from(WAD) * U256::from(10))).unwrap();
    let account = Account::new(chain.rpc_client(), creator.clone());
    let rules = DeployConfig {
        bond: U256::ZERO,
        ..DeployConfig::new(genesis, u32::try_from(EPOCH).unwrap(), SCHEDULE)
    };
    let (deployment, _) = deploy(&account, rules).await.unwrap();
    account.send(deployment.arena, &Arena::createTaskCall { params: params(tree.root()) }).await.unwrap();
    let provider = chain.provider();
    let end = genesis + EPOCH * u64::from(EPOCHS);
    provider.anvil_set_next_block_timestamp(end).await.unwrap();
    provider.anvil_mine(Some(blocks), Some(1)).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let url = format!("file:{}", folder.path().display());
    let stores = Stores::open([url.as_str()], &Settings::default()).unwrap();
    let route = Route {
        chain_id: deployment.chain_id,
        arena: deployment.arena,
        creator: creator.address(),
        only: BTreeSet::new(),
        patience_blocks: 0,
        limits: Limits::new(1),
    };
    let mut follower = Follower::connect(provider, deployment).await.unwrap();
    follower.sync().await.unwrap();
    let epochs = follower.ledger().tasks[&1].last_epoch;
    assert_eq!(follower.ledger().clock.at(follower.now()).0, epochs + 1, "it is over");
    let courier = Courier::new(route, Slices::of(tree), &stores);
    let sealer = Sealer::new(follower, courier, Duration::from_millis(5), 18);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(sealer.run(stopped));
    let name = published_name(deployment.chain_id, deployment.arena, 1, epochs);
    let last = folder.path().join(name.as_str());
    let begun = Instant::now();
    while !last.exists() && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    last.exists()
}

/// A chain with a wrong clock, or a branch of it, ends no task.
#[tokio::test]
async fn slices_are_published_when_the_end_is_final_and_past_on_this_machine_too() {
    let (past, future) = (1_700_000_000, 20_000_000_000);
    let (past_end, just_ended, not_yet) = tokio::join!(
        publishes(past, MAX_REORG + 9, PATIENCE),
        publishes(past, 9, GLANCES),
        publishes(future, MAX_REORG + 9, GLANCES)
    );
    assert_eq!((past_end, just_ended, not_yet), (true, false, false));
}

fn params(root: B256) -> Arena::TaskParams {
    Arena::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: root,
        minNodeStake: U96::from(WAD),
        minValidatorStake: U96::from(WAD),
        redundancy: 15,
        freshData: true,
        rule: 0,
        metric: 0,
        maxSubmissions: 8,
        rankCutoff: 0,
        epsilonWad: WAD,
        gammaWad: WAD / 4,
        phiWad: WAD / 5,
        tolerance: 0,
        epochs: EPOCHS,
        qWad: WAD / 10 * 9,
        alphaWad: WAD,
        lossCapWad: 0,
    }
}
