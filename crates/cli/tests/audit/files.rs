//! Tampering with the file of a saved chain, its headers left as they were.

use std::collections::BTreeSet;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    deploy::Deployment,
    embedded::EmbeddedChain,
    ledger::Phase,
};
use aiarena_cli::audit::{AuditOptions, AuditReport, Kind, audit};
use alloy::{
    primitives::{B256, U256},
    sol_types::SolEvent,
};
use serde_json::Value;

use crate::{
    story::{FRESH, story},
    world::World,
};

/// A saved chain as JSON.
struct Saved {
    json: Value,
    deployment: Deployment,
}

impl Saved {
    fn of(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.json");
        world.chain.save(&file).unwrap();
        let json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        Self { json, deployment: world.deployment }
    }

    async fn audit(&self) -> AuditReport {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.json");
        std::fs::write(&file, self.json.to_string()).unwrap();
        let chain = EmbeddedChain::load(&file).expect("it is a chain still");
        audit(&chain.provider(), AuditOptions::new(self.deployment)).await.unwrap()
    }

    /// The logs of the first transaction that holds one of this event, and the place of the first such.
    fn logs(&mut self, signature: B256) -> (&mut Vec<Value>, usize) {
        let is = |log: &Value| log["topics"][0] == signature.to_string();
        let blocks = self.json["blocks"].as_array_mut().unwrap();
        let transactions = blocks.iter_mut().flat_map(|block| block["transactions"].as_array_mut().unwrap());
        let mut logs = transactions.map(|transaction| transaction["logs"].as_array_mut().unwrap());
        let logs = logs.find(|logs| logs.iter().any(is)).expect("there is such an event");
        let at = logs.iter().position(is).unwrap();
        (logs, at)
    }

    /// Changes the last bit of a word of the data of the first event of a kind.
    fn flip<E: SolEvent>(&mut self, word: usize) {
        let (logs, at) = self.logs(E::SIGNATURE_HASH);
        flip(&mut logs[at]["data"], 2 + 64 * (word + 1) - 1);
    }

    /// The header of the block that holds the first event of a kind.
    fn header<E: SolEvent>(&mut self) -> &mut Value {
        let signature = E::SIGNATURE_HASH.to_string();
        let blocks = self.json["blocks"].as_array_mut().unwrap();
        let block = blocks.iter_mut().find(|block| block["transactions"].to_string().contains(&signature));
        &mut block.expect("there is such an event")["header"]
    }

    fn code_of(&mut self, contract: alloy::primitives::Address) -> &mut Value {
        &mut self.json["accounts"][contract.to_string().to_lowercase()]["code"]
    }

    /// Changes a contract's code near its end.
    fn code(&mut self, contract: alloy::primitives::Address) {
        let code = self.code_of(contract);
        let at = code.as_str().unwrap().len() - 9;
        flip(code, at);
    }

    /// Changes a word of a contract's storage that holds `value` after `shift` bits.
    fn store(&mut self, contract: alloy::primitives::Address, value: U256, shift: usize, change: U256) {
        let key = contract.to_string().to_lowercase();
        let slots = self.json["accounts"][key]["storage"].as_object_mut().expect("the contract's storage");
        let number = |slot: &Value| slot.as_str().unwrap().parse::<U256>().unwrap();
        let mask = U256::MAX >> 160;
        let slot = slots.values_mut().find(|slot| (number(slot) >> shift) & mask == value);
        let slot = slot.expect("there is such a word");
        *slot = Value::from(format!("{:#x}", number(slot) + (change << shift)));
    }
}

/// Changes the last bit of a hexadecimal digit.
fn flip(text: &mut Value, at: usize) {
    let mut digits: Vec<char> = text.as_str().unwrap().chars().collect();
    let digit = digits[at].to_digit(16).unwrap() ^ 1;
    digits[at] = char::from_digit(digit, 16).unwrap();
    *text = Value::from(digits.into_iter().collect::<String>());
}

fn add_one(number: &mut Value) {
    let text = number.as_str().expect("a quantity").trim_start_matches("0x");
    *number = Value::from(format!("{:#x}", u64::from_str_radix(text, 16).unwrap() + 1));
}

type Row = (&'static str, Kind, fn(&mut Saved));

/// What is tampered with, and what it must be found as.
const ROWS: &[Row] = &[
    ("a payment", Kind::Block, |saved| saved.flip::<Vault::Credited>(1)),
    ("a weight", Kind::Block, |saved| saved.flip::<Arena::Weighed>(1)),
    ("a slash", Kind::Block, |saved| saved.flip::<Vault::Slashed>(1)),
    ("what is emitted", Kind::Block, |saved| saved.flip::<Emission::EmissionFixed>(0)),
    ("a revealed score", Kind::Block, |saved| saved.flip::<Arena::ScoresRevealed>(4)),
    ("a commitment to scores", Kind::Block, |saved| saved.flip::<Arena::ScoresCommitted>(0)),
    ("a commitment to a submission", Kind::Block, |saved| saved.flip::<Arena::SubmissionCommitted>(1)),
    ("a stake", Kind::Block, |saved| saved.flip::<Vault::Staked>(1)),
    ("a rank", Kind::Block, |saved| saved.flip::<Arena::Ranked>(0)),
    ("a claim", Kind::Block, |saved| saved.flip::<Vault::Claimed>(0)),
    ("a seed", Kind::Block, |saved| saved.flip::<Arena::SeedDrawn>(0)),
    ("a transfer of tokens", Kind::Block, |saved| saved.flip::<ArenaToken::Transfer>(0)),
    ("an event that no contract knows", Kind::History, |saved| {
        let (logs, at) = saved.logs(Arena::Tallied::SIGNATURE_HASH);
        flip(&mut logs[at]["topics"][0], 10);
    }),
    ("a removed event", Kind::Block, |saved| {
        let (logs, at) = saved.logs(Vault::Credited::SIGNATURE_HASH);
        logs.remove(at);
    }),
    ("a duplicated event", Kind::Block, |saved| {
        let (logs, at) = saved.logs(Vault::Funded::SIGNATURE_HASH);
        let again = logs[at].clone();
        logs.insert(at, again);
    }),
    ("two events in the other order", Kind::Block, |saved| {
        let (logs, at) = saved.logs(Vault::Credited::SIGNATURE_HASH);
        logs.swap(at, at + 1);
    }),
    ("a block's time", Kind::Block, |saved| add_one(&mut saved.header::<Arena::SeedDrawn>()["timestamp"])),
    ("a block's randomness", Kind::Block, |saved| {
        flip(&mut saved.header::<Arena::SeedDrawn>()["mixHash"], 9)
    }),
    ("a block's receipts", Kind::Block, |saved| {
        flip(&mut saved.header::<Vault::Credited>()["receiptsRoot"], 9);
    }),
    ("a link between blocks", Kind::Block, |saved| {
        flip(&mut saved.header::<Arena::Ranked>()["parentHash"], 9);
    }),
    ("a block's hash", Kind::Block, |saved| {
        let last = saved.json["blocks"].as_array_mut().unwrap().last_mut().unwrap();
        flip(&mut last["hash"], 9);
    }),
    ("who sent a transaction", Kind::Block, |saved| {
        let blocks = saved.json["blocks"].as_array_mut().unwrap();
        let last = blocks.iter_mut().rev().find(|block| !block["transactions"][0].is_null()).unwrap();
        flip(&mut last["transactions"][0]["from"], 9);
    }),
    ("whether a transaction succeeded", Kind::Block, |saved| {
        let blocks = saved.json["blocks"].as_array_mut().unwrap();
        let last = blocks.iter_mut().rev().find(|block| !block["transactions"][0].is_null()).unwrap();
        last["transactions"][0]["success"] = Value::from(false);
    }),
    ("the end of the history cut off", Kind::State, |saved| {
        let blocks = saved.json["blocks"].as_array_mut().unwrap();
        blocks.truncate(blocks.len() - 8);
    }),
    ("the code of the arena", Kind::Contract, |saved| saved.code(saved.deployment.arena)),
    // The arena created it, before anything else.
    ("the code of the settlement", Kind::Contract, |saved| saved.code(saved.deployment.arena.create(1))),
    ("the code of the vault", Kind::Contract, |saved| saved.code(saved.deployment.vault)),
    ("the code of the emission", Kind::Contract, |saved| saved.code(saved.deployment.emission)),
    ("a value in the code of the settlement", Kind::Contract, |saved| {
        let vault = saved.deployment.vault;
        let code = saved.code_of(saved.deployment.arena.create(1));
        let text = code.as_str().unwrap().to_lowercase();
        let at = text.rfind(&format!("{:x}", vault)).expect("the settlement knows its vault");
        flip(code, at);
    }),
];

#[tokio::test]
async fn every_kind_of_tampering_with_a_saved_chain_is_found() {
    let world = story().await;
    let honest = Saved::of(&world).audit().await;
    assert!(honest.ok, "{}", honest.render(false));
    for (what, kind, tamper) in ROWS {
        let mut saved = Saved::of(&world);
        tamper(&mut saved);
        let report = saved.audit().await;
        let kinds: BTreeSet<Kind> = report.kinds().into_keys().collect();
        assert!(!report.ok && kinds.contains(kind), "{what}: {kind:?}\n{}", report.render(false));
    }
}

#[tokio::test]
async fn tampering_with_the_state_is_found() {
    let mut world = story().await;
    world.at(5, Phase::Settle).await;
    world.claim("cid", FRESH, "cid").await;
    let task = world.task(FRESH).await.clone();
    let credit = |name: &str| task.pools[&world.address(name)].operator_credit;
    let Deployment { vault, token, .. } = world.deployment;
    let report = world.audit().await;
    assert!(report.ok, "{}", report.render(false));
    let (owed, balance) = (report.owed, report.balance);
    assert!(!credit("bob").is_zero() && !owed.slashed.is_zero() && !owed.fees.is_zero());
    let more = U256::from(7);
    let less = U256::ZERO.wrapping_sub(more);
    for (what, kind, contract, value, shift, change) in [
        ("what a node may claim", Kind::State, vault, credit("bob"), 0, more),
        ("what is to be emitted", Kind::State, vault, owed.reserve, 0, more),
        // It stands behind the reserve in its word.
        ("what was slashed", Kind::State, vault, owed.slashed, 96, more),
        ("the fees", Kind::State, vault, owed.fees, 0, more),
        ("the vault's tokens, fewer", Kind::Conservation, token, balance, 0, less),
        ("the vault's tokens, more", Kind::Conservation, token, balance, 0, more),
    ] {
        let mut saved = Saved::of(&world);
        saved.store(contract, value, shift, change);
        let report = saved.audit().await;
        let kinds: BTreeSet<Kind> = report.kinds().into_keys().collect();
        assert!(!report.ok && kinds.contains(&kind), "{what}: {kind:?}\n{}", report.render(false));
    }
}
