//! The ledger against the contracts: random actions of many people on the embedded chain, and after each block every
//! amount that the vault and the arena can be asked for.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod compare;
mod play;
mod random;
mod settle;
mod world;

use self::{random::Random, world::World};

/// How many histories are played; `LEDGER_HISTORIES` for more.
const HISTORIES: u64 = 4;

/// Epochs of one history.
const EPOCHS: u32 = 26;

#[tokio::test]
async fn the_ledger_is_what_the_contracts_hold_after_every_block() {
    let histories = std::env::var("LEDGER_HISTORIES").map_or(HISTORIES, |count| count.parse().unwrap());
    let first = std::env::var("LEDGER_FIRST").map_or(0, |first| first.parse().unwrap());
    let mut total = world::Counts::default();
    for seed in first..first + histories {
        let mut world = World::build(seed).await;
        let mut random = Random::new(seed);
        for _ in 0..EPOCHS {
            world.epoch(&mut random).await;
        }
        world.end(&mut random).await;
        total.add(&world.counts);
    }
    println!("{total:#?}");
    // A test whose actions all fail would compare nothing.
    if histories >= HISTORIES {
        for action in total.by_action.keys() {
            assert!(total.succeeded(action) > 0, "no {action} ever succeeded");
        }
        let rare = [total.slashes_of_delegators, total.lost_while_unbonding, total.tallies_replaced];
        assert!(rare.iter().all(|count| *count > 0), "{total:?}");
    }
}
