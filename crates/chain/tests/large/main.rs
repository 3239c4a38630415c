//! Tasks of 1 000 and of 2 000 nodes with 1 000 validators, played on the embedded chain with the committed bytecode: everybody
//! submits, all that is owed is scored and revealed, and somebody settles in batches of which each fits into a transaction of 2^24
//! gas. Who is paid what is equal to `mechanism`, to the unit. Two epochs, because the first one writes words that the later ones
//! rewrite.
//!
//! And a crowd of dust in one validator's pool, beside which nobody's calls become dearer.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]
#![expect(clippy::print_stdout, reason = "what the epochs cost is printed for whoever asks")]

mod task;

use self::task::{EPOCHS, Large, Step};

const VALIDATORS: usize = 1_000;
/// What a block of Base holds, and what a unit of gas costs there at 0.005 gwei, in wei.
const BLOCK: u64 = 400_000_000;
const WEI_PER_GAS: u64 = 5_000_000;
/// 2^24: what Base takes in one transaction (EIP-7825).
const TRANSACTION: u64 = 1 << 24;

/// Of a crowd of dust: accounts that delegate one base unit, and those of them that ask for it back.
const CROWD: usize = 100_000;
const REQUESTS: usize = 10_000;

#[tokio::test]
async fn a_crowd_of_delegators_and_requests_costs_nobody_else() {
    let quiet = Large::build(1, 3).await.visit().await;
    let mut large = Large::build(1, 3).await;
    large.crowd(CROWD, REQUESTS).await;
    let crowded = large.visit().await;
    println!("{:<20}{:>13}{:>13}", "", "alone", "in a crowd");
    for (quiet, crowded) in quiet.iter().zip(&crowded) {
        println!("{:<20}{:>13}{:>13}", quiet.name, quiet.gas, crowded.gas);
    }
    assert_eq!(quiet.len(), crowded.len());
    for (quiet, crowded) in quiet.iter().zip(&crowded) {
        assert!(crowded.gas * 100 <= quiet.gas * 105, "{} became dearer: {quiet:?}, {crowded:?}", quiet.name);
    }
}

#[tokio::test]
async fn a_task_of_1000_nodes_and_1000_validators_is_settled_in_batches() {
    play(1_000).await;
}

#[tokio::test]
async fn a_task_of_2000_nodes_and_1000_validators_is_settled_in_batches() {
    play(2_000).await;
}

async fn play(nodes: usize) {
    let mut large = Large::build(nodes, VALIDATORS).await;
    for epoch in 1..=EPOCHS {
        let steps = large.epoch().await;
        print(nodes, epoch, &steps);
        assert!(
            steps.iter().all(|step| step.most < TRANSACTION),
            "epoch {epoch}: a transaction is too large"
        );
    }
    large.claim_all().await;
}

fn print(nodes: usize, epoch: u32, steps: &[Step]) {
    println!("epoch {epoch}: {nodes} nodes, {VALIDATORS} validators");
    println!("{:<20}{:>13}{:>15}{:>13}", "", "transactions", "gas", "dearest");
    for step in steps {
        println!("{:<20}{:>13}{:>15}{:>13}", step.name, step.transactions, step.gas, step.most);
    }
    let settlement = ["tally", "rank", "payNodes", "weigh", "payValidators"];
    print_sum("settlement", steps.iter().filter(|step| settlement.contains(&step.name)));
    let gas = print_sum("together", steps.iter());
    let thousandths = gas * 1_000 / BLOCK;
    let micro_ether = gas * WEI_PER_GAS / 1_000_000_000_000;
    println!(
        "{}.{:03} blocks of {BLOCK} gas, {micro_ether} millionths of an ether",
        thousandths / 1_000,
        thousandths % 1_000
    );
}

fn print_sum<'a>(name: &str, steps: impl Iterator<Item = &'a Step> + Clone) -> u64 {
    let gas = steps.clone().map(|step| step.gas).sum();
    let transactions: usize = steps.clone().map(|step| step.transactions).sum();
    let most = steps.map(|step| step.most).max().unwrap();
    println!("{name:<20}{transactions:>13}{gas:>15}{most:>13}");
    gas
}
