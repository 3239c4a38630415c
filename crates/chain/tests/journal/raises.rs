//! A process that dies around a raise: each transaction is mined only after two, or while nobody runs.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex},
};

use aiarena_chain::{account::Step, bindings::ArenaToken, client::ClientError};
use alloy::{
    primitives::{Address, U256},
    providers::ext::AnvilApi,
};
use tokio::task::JoinSet;

use crate::{
    faults::dies_at,
    miner::{mine_after_two_raises, waiting},
    world::World,
};

/// What a process sends: a mint of one unit that is of no use any more, if it says so, and then mints by their numbers.
#[derive(Debug, Clone)]
struct Work {
    late: bool,
    mints: Range<u32>,
}

/// The step at which a process died: which of its transactions, and how many offers of it were signed.
type Place = (usize, Step, usize);

fn place(steps: &[Step]) -> Option<Place> {
    let transaction = steps.iter().filter(|step| **step == Step::Intended).count();
    let newest = steps.rsplit(|step| *step == Step::Intended).next()?;
    let offers = newest.iter().filter(|step| **step == Step::Signed).count();
    steps.last().map(|step| (transaction, *step, offers))
}

/// Runs a process that dies at its `nth` step; the steps that it took.
async fn run(world: &Arc<World>, work: Work, nth: usize) -> Vec<Step> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let watcher = dies_at(nth, Arc::clone(&steps));
    let world = Arc::clone(world);
    let process = tokio::spawn(async move {
        let account = world.account(world.chain.rpc_client(), Some(watcher)).await;
        account.resume().await.unwrap();
        if work.late {
            let now = world.dev().await.now().await.unwrap();
            let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1) };
            let result = account.send_once("late".to_owned(), now, world.token, &call).await;
            assert!(matches!(result, Err(ClientError::Cancelled { .. })), "{result:?}");
        }
        for number in work.mints {
            world.mint(&account, number).await.unwrap();
        }
        account.confirm(u64::MAX, 0).await.unwrap();
    });
    let died = process.await.is_err();
    let steps = steps.lock().unwrap().clone();
    assert_eq!(died, steps.len() > nth, "it failed before it was killed, after {steps:?}");
    steps
}

/// A process dies at its `nth` step, perhaps a block comes, and another one goes on with `rest`. Where it died, the supply then
/// and the account's nonce.
async fn die(work: Work, rest: Work, nth: usize, block: bool) -> (Option<Place>, u64, u64) {
    let world = Arc::new(World::new().await);
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let miner = tokio::spawn(mine_after_two_raises(world.provider.clone()));
    let steps = run(&world, work, nth).await;
    if block {
        world.provider.evm_mine(None).await.unwrap();
    }
    run(&world, rest, usize::MAX).await;
    miner.abort();
    assert_eq!(waiting(&world.provider).await, [], "something waits still; died at {nth}");
    assert_eq!(world.journal().await.unresolved().await.unwrap(), 0, "died at {nth}");
    (place(&steps), world.supply().await, world.nonce().await)
}

/// Dies at every step of `work`, with and without a block before the restart; checks each by where it died and whether a block
/// came, and returns the places.
async fn die_at_every_step(work: Work, rest: Work, check: fn(Place, bool, u64, u64)) -> BTreeSet<Place> {
    let world = Arc::new(World::new().await);
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let miner = tokio::spawn(mine_after_two_raises(world.provider.clone()));
    let steps = run(&world, work.clone(), usize::MAX).await.len();
    miner.abort();
    let mut deaths = JoinSet::new();
    for (nth, block) in (0..steps).flat_map(|nth| [(nth, false), (nth, true)]) {
        let (work, rest) = (work.clone(), rest.clone());
        deaths.spawn(async move { (block, die(work, rest, nth, block).await) });
    }
    let mut places = BTreeSet::new();
    while let Some(death) = deaths.join_next().await {
        let (block, (place, supply, nonce)) = death.unwrap();
        let place = place.unwrap();
        check(place, block, supply, nonce);
        places.insert(place);
    }
    places
}

/// Deaths around each of two raises, of the process's first and second transaction.
fn around_raises() -> impl Iterator<Item = Place> {
    (1..=2).flat_map(|transaction| {
        let steps =
            [(Step::Signed, 1), (Step::Sent, 1), (Step::Signed, 2), (Step::Sent, 2), (Step::Signed, 3)];
        let end = [(Step::Sent, 3), (Step::Mined, 3)];
        steps.into_iter().chain(end).map(move |(step, offers)| (transaction, step, offers))
    })
}

#[tokio::test]
async fn a_process_may_die_at_every_step_of_a_raise() {
    let work = Work { late: false, mints: 0..2 };
    let places = die_at_every_step(work.clone(), work, |place, block, supply, nonce| {
        assert_eq!((supply, nonce), (3, 3), "died at {place:?}, then a block: {block}");
    })
    .await;
    assert!(around_raises().all(|place| places.contains(&place)), "{places:?}");
}

#[tokio::test]
async fn a_process_may_die_at_every_step_of_making_way() {
    let (work, rest) = (Work { late: true, mints: 1..2 }, Work { late: false, mints: 1..2 });
    let places = die_at_every_step(work, rest, |place, block, supply, nonce| {
        let expected = match place {
            // Nothing was signed, so that nothing has to make way.
            (1, Step::Intended, 0) => (2, 2),
            // The block came before anybody was offered what takes its place.
            (1, Step::Sent, 1) | (1, Step::Signed, 2) if block => (3, 3),
            _ => (2, 3),
        };
        assert_eq!((supply, nonce), expected, "died at {place:?}, then a block: {block}");
    })
    .await;
    assert!(around_raises().all(|place| places.contains(&place)), "{places:?}");
}
