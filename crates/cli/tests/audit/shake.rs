//! Histories that are shaken at random: whatever comes of it, the auditor answers.

use aiarena_chain::history::Record;
use aiarena_cli::audit::{Evidence, Findings, receipt, replay};
use alloy::primitives::{B256, U256, keccak256};

use crate::{
    events::{copies, copy, neighbours, swap, with},
    story::story,
};

/// The same throws in every run.
struct Dice(B256);

impl Dice {
    /// A number below `sides`.
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = keccak256(self.0);
        (U256::from_be_bytes(self.0.0) % U256::from(sides)).to()
    }
}

/// Some events are removed, repeated, moved, swapped or changed in a bit.
fn shake(evidence: &Evidence, dice: &mut Dice) -> Vec<Record> {
    let mut records = copies(evidence);
    for _ in 0..=dice.throw(5) {
        let (i, j) = (dice.throw(records.len()), dice.throw(records.len()));
        match dice.throw(5) {
            0 => drop(records.remove(i)),
            1 => {
                let again = copy(&records[i]);
                records.insert(j, again);
            }
            2 if i < j => swap(&mut records, i, j),
            3 => {
                let moved = records.remove(i);
                records.insert(j.min(records.len()), moved);
            }
            _ => {
                let mut around = neighbours(&records[i].event);
                if !around.is_empty() {
                    (_, records[i].event) = around.swap_remove(dice.throw(around.len()));
                }
            }
        }
    }
    records
}

#[tokio::test]
async fn no_history_makes_the_auditor_panic() {
    let mut world = story().await;
    let evidence = world.evidence().await;
    let mut dice = Dice(keccak256("dice"));
    let people = ["ann", "bob", "cid", "dan", "vet", "vic", "val", "dora"].map(|name| world.address(name));
    for _ in 0..2_000 {
        let records = shake(&evidence, &mut dice);
        let mut findings = Findings::default();
        let replayed = replay(&with(&evidence, records), &mut findings);
        for address in people {
            assert!(receipt(&replayed, 18, address).contains("Receipt of"));
        }
    }
}
