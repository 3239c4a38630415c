//! Whole epochs of random populations, through the bytecode in revm and through `mechanism`: equal to the unit (P9).
//!
//! The populations are kept here, and not in the ledger: what goes into [`settle`] is what people did, and what comes out
//! is compared with what the vault said that it credited.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod arena;
mod population;
#[path = "../ledger/random.rs"]
mod random;

use self::{arena::Arena, random::Random};

/// How many epochs are settled; `DIFFERENTIAL_EPOCHS` for more or fewer.
const EPOCHS: usize = 1000;

#[tokio::test]
async fn epochs_pay_what_the_mechanism_says() {
    let wanted = std::env::var("DIFFERENTIAL_EPOCHS").map_or(EPOCHS, |count| count.parse().unwrap());
    let (mut epochs, mut payments, mut largest) = (0, 0, (0, 0, 0));
    for seed in 0.. {
        let mut random = Random::new(seed);
        let mut arena = Arena::build(seed, &mut random).await;
        while epochs < wanted && arena.goes_on() {
            let (settled, paid) = arena.epoch(&mut random).await;
            (epochs, payments) = (epochs + settled, payments + paid);
        }
        largest = largest.max(arena.largest());
        if epochs >= wanted {
            break;
        }
    }
    println!("{epochs} epochs, {payments} payments, largest population {largest:?}: all equal");
    assert!(payments > 10 * epochs, "too few payments to compare");
}
