//! Whole epochs of random populations, through the bytecode in revm and through `mechanism`: equal to the unit (P9).
//!
//! The populations are kept here, and not in the ledger: what goes into [`settle`] is what people did, and what comes out
//! is compared with what the vault said that it credited.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod arena;
mod batches;
mod flight;
mod list;
mod population;
#[path = "../ledger/random.rs"]
mod random;
mod stakes;

use self::{
    arena::{Arena, Seen},
    population::MOST,
    random::Random,
};

/// How many epochs are settled; `DIFFERENTIAL_EPOCHS` for more or fewer.
const EPOCHS: usize = 1000;

#[tokio::test]
async fn epochs_pay_what_the_mechanism_says() {
    let wanted = std::env::var("DIFFERENTIAL_EPOCHS").map_or(EPOCHS, |count| count.parse().unwrap());
    let (mut all, mut sizes) = (Seen::default(), Vec::new());
    for seed in 0.. {
        let mut random = Random::new(seed);
        let mut arena = Arena::build(seed, &mut random).await;
        sizes.extend(arena.sizes());
        arena.seen = all;
        while arena.seen.epochs < wanted && arena.goes_on() {
            arena.epoch(&mut random).await;
        }
        all = arena.seen;
        if all.epochs >= wanted {
            break;
        }
    }
    println!("all equal: {all:?}");
    let Seen { epochs, payments, kept, ineligible, evicted, slashed, silent, late, parts } = all;
    assert!(payments > 10 * epochs, "too few payments to compare");
    for count in [kept, ineligible, evicted, slashed, silent, late, parts] {
        assert!(wanted < EPOCHS || count > epochs / 10, "too little to compare: {all:?}");
    }
    assert!(sizes.contains(&MOST), "no population of the most that there are");
    let medians =
        [median(&sizes, |size| size.0), median(&sizes, |size| size.1), median(&sizes, |size| size.2)];
    println!("{} populations, median sizes {medians:?}", sizes.len());
    assert!(medians.iter().all(|median| wanted < EPOCHS || (15..=25).contains(median)), "{medians:?}");
}

fn median(sizes: &[(usize, usize, usize)], part: fn(&(usize, usize, usize)) -> usize) -> usize {
    let mut parts: Vec<usize> = sizes.iter().map(part).collect();
    parts.sort_unstable();
    parts[parts.len() / 2]
}
