//! A history in which everything happens that the contracts know.

use aiarena_chain::{
    bindings::{Arena, Vault},
    ledger::Phase,
};
use alloy::primitives::{B256, U256, keccak256};

use crate::world::{ABSTAIN, NODE, Until, VALIDATOR, WAD, World, params, tokens};

/// Fresh data, ranked by the stake-integral.
pub(crate) const FRESH: u64 = 1;
/// The same data in all epochs, ranked by the rank-geometric rule.
pub(crate) const STANDING: u64 = 2;
/// Nobody takes part in it.
pub(crate) const IDLE: u64 = 3;

/// True scores, and what a validator makes of them: each is a little off in its own way.
fn score(validator: &str, hash: B256) -> u32 {
    let truth = [
        ("ann's model", 900_000_000),
        ("bob's model", 850_000_000),
        ("bob's better model", 950_000_000),
        ("cid's model", 800_000_000),
        ("eve's broken file", 0),
        ("fay's model", 700_000_000),
        ("gus's model", 650_000_000),
        ("gus's new model", 990_000_000),
        ("ann's other model", 750_000_000),
    ];
    let found = truth.iter().find(|(artifact, _)| keccak256(artifact) == hash);
    let truth = found.map_or(500_000_000, |(_, score)| *score);
    let off = match validator {
        "vet" => 0,
        "vic" => 900,
        _ => 400_000,
    };
    if truth == 0 { 0 } else { truth - off }
}

/// Two epochs of two tasks, settled; a third in flight, half of its nodes paid; all kinds of comings and goings.
pub(crate) async fn story() -> World {
    let mut world = World::new().await;
    assert_eq!(world.create(params(6), 600, 60).await, FRESH);
    let standing = Arena::TaskParams { freshData: false, rule: 1, rankCutoff: 2, redundancy: 1, ..params(6) };
    assert_eq!(world.create(standing, 200, 30).await, STANDING);
    assert_eq!(world.create(params(1), 5, 7).await, IDLE);
    for (name, stake) in
        [("ann", 1_500), ("bob", 2_500), ("cid", 1_000), ("dan", 300), ("eve", 200), ("fay", 150)]
    {
        world.stake(name, FRESH, NODE, stake).await;
    }
    for (name, stake) in [("val", 2_000), ("vic", 2_500), ("vet", 3_000), ("von", 2_000)] {
        world.stake(name, FRESH, VALIDATOR, stake).await;
    }
    for (name, role, stake) in [
        ("ann", NODE, 1_000),
        ("gus", NODE, 900),
        ("cid", NODE, 400),
        ("vet", VALIDATOR, 1_500),
        ("val", VALIDATOR, 1_000),
    ] {
        world.stake(name, STANDING, role, stake).await;
    }
    for (name, operator, amount) in
        [("dora", "ann", 500), ("dora", "val", 700), ("emil", "val", 300), ("emil", "vic", 400)]
    {
        world.delegate(name, FRESH, operator, amount).await;
    }
    commission(&world, "ann", WAD / 5).await;
    commission(&world, "val", WAD / 10).await;

    first_epoch(&mut world).await;
    second_epoch(&mut world).await;
    third_epoch(&mut world).await;
    world
}

async fn commission(world: &World, name: &str, wad: u64) {
    let call = Vault::setCommissionCall { task: U256::from(FRESH), commissionWad: wad };
    world.vault(name, call).await;
}

async fn first_epoch(world: &mut World) {
    world.at(1, Phase::Submit).await;
    let artifacts = [
        ("ann", FRESH, "ann's model"),
        ("bob", FRESH, "bob's model"),
        ("cid", FRESH, "cid's model"),
        ("dan", FRESH, "ann's model"),
        ("eve", FRESH, "eve's broken file"),
        ("fay", FRESH, "fay's model"),
        ("ann", STANDING, "ann's other model"),
        ("gus", STANDING, "gus's model"),
        ("cid", STANDING, "cid's other model"),
    ];
    for (name, task, artifact) in artifacts {
        world.commit(name, task, 1, artifact).await;
    }
    world.at(1, Phase::Disclose).await;
    for (name, task, artifact) in artifacts {
        world.open(name, task, artifact).await;
    }
    epoch(world, 1, &[(FRESH, &["vet", "vic", "val", "von"]), (STANDING, &["vet", "val"])]).await;
    world.settle(FRESH, Until::End).await;
    world.settle(STANDING, Until::End).await;

    world.claim("ann", FRESH, "ann").await;
    world.claim("dora", FRESH, "ann").await;
    world.claim("val", FRESH, "val").await;
    commission(world, "ann", WAD / 10 * 3).await;
    world.delegate("emil", FRESH, "ann", 100).await;
    world.arena("eve", Arena::withdrawSubmissionCall { task: U256::from(FRESH) }).await;
    world.vault("fay", Vault::unstakeCall { task: U256::from(FRESH), amount: tokens(100).to() }).await;
}

async fn second_epoch(world: &mut World) {
    world.at(2, Phase::Submit).await;
    for name in ["eve", "fay"] {
        let node = world.address(name);
        world.arena("creator", Arena::evictCall { task: U256::from(FRESH), node }).await;
    }
    world.commit("bob", FRESH, 2, "bob's better model").await;
    world.commit("cid", FRESH, 2, "never opened").await;
    world.commit("gus", STANDING, 2, "gus's new model").await;
    world.at(2, Phase::Disclose).await;
    world.open("bob", FRESH, "bob's better model").await;
    world.open("gus", STANDING, "gus's new model").await;
    let operator = world.address("ann");
    let call = Vault::undelegateCall { task: U256::from(FRESH), operator, amount: tokens(200).to() };
    world.vault("dora", call).await;
    epoch(world, 2, &[(FRESH, &["vet", "vic", "val"]), (STANDING, &["vet", "val"])]).await;
    world.settle(FRESH, Until::End).await;
    world.settle(STANDING, Until::End).await;
    world.claim("dora", FRESH, "ann").await;
    world.claim("emil", FRESH, "val").await;
    world.stake("bob", FRESH, NODE, 50).await;
    commission(world, "val", WAD / 20).await;
}

async fn third_epoch(world: &mut World) {
    epoch(world, 3, &[(FRESH, &["vet", "vic", "val"])]).await;
    world.settle(FRESH, Until::FirstPayment).await;
    world.at(4, Phase::Submit).await;
    world.vault("dora", Vault::withdrawCall { limit: U256::from(9) }).await;
    world.vault("creator", Vault::reclaimCall { task: U256::from(IDLE) }).await;
    world.fund("bob", FRESH, 1, 2).await;
}

/// Seed, commitments and reveals; `von` keeps its scores, and `vic` abstains on one artifact.
async fn epoch(world: &mut World, epoch: u32, tasks: &[(u64, &[&str])]) {
    world.at(epoch, Phase::Seed).await;
    for (task, _) in tasks {
        world.draw(*task).await;
    }
    world.at(epoch, Phase::Commit).await;
    let mut sheets = Vec::new();
    for (task, validators) in tasks {
        for name in *validators {
            let abstains = *name == "vic" && epoch == 2;
            let scores = world
                .commit_scores(name, *task, |hash| match hash == keccak256("ann's model") && abstains {
                    true => ABSTAIN,
                    false => score(name, hash),
                })
                .await;
            sheets.push((*task, *name, scores));
        }
    }
    world.at(epoch, Phase::Reveal).await;
    for (task, name, scores) in sheets.iter().filter(|(_, name, _)| *name != "von") {
        world.reveal(name, *task, scores, 0).await;
    }
    world.at(epoch, Phase::Settle).await;
}
