//! A history in which everything happens that the contracts know.

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Settlement, Vault},
    ledger::Phase,
};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolCall,
};

use crate::world::{ABSTAIN, NODE, Until, VALIDATOR, WAD, World, params, tallies, tokens};

/// Fresh data, ranked by the stake-integral.
pub(crate) const FRESH: u64 = 1;
/// The same data in all epochs, ranked by the rank-geometric rule.
pub(crate) const STANDING: u64 = 2;
/// Nobody takes part in it.
pub(crate) const IDLE: u64 = 3;
/// Its creator ends it early.
pub(crate) const SHORT: u64 = 4;
/// There is no such task.
pub(crate) const NONE: u64 = 99;

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
    tasks(&mut world).await;
    for (name, stake) in
        [("ann", 1_500), ("bob", 2_500), ("cid", 1_000), ("dan", 300), ("eve", 200), ("fay", 150)]
    {
        world.stake(name, FRESH, NODE, stake).await;
    }
    for (name, stake) in [("val", 2_000), ("vic", 2_500), ("vet", 3_000), ("von", 500), ("vex", 2_000)] {
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
    for (name, operator, amount) in [("dora", "ann", 500), ("dora", "val", 700), ("fred", "von", 5_000)] {
        world.delegate(name, FRESH, operator, amount).await;
    }
    two_at_once(&mut world).await;
    commission(&world, "ann", WAD / 5).await;
    commission(&world, "val", WAD / 10).await;
    world.arena("ann", Arena::registerKeyCall { key: keccak256("ann's key") }).await;

    first_epoch(&mut world).await;
    second_epoch(&mut world).await;
    third_epoch(&mut world).await;
    last_epoch(&mut world).await;
    world
}

/// Tasks, their bounties, and the emission of which two get a part.
async fn tasks(world: &mut World) {
    let fresh = Arena::TaskParams { redundancy: 4, ..params(9) };
    assert_eq!(world.create(fresh, 60).await, FRESH);
    let standing = Arena::TaskParams { freshData: false, rule: 1, rankCutoff: 2, redundancy: 1, ..params(9) };
    assert_eq!(world.create(standing, 30).await, STANDING);
    assert_eq!(world.create(params(1), 7).await, IDLE);
    assert_eq!(world.create(params(40), 4).await, SHORT);
    world.person("dora").await;
    world.fund("dora", SHORT, 3).await;
    world.vault("dora", Vault::fundEmissionCall { amount: tokens(1_000).to() }).await;

    let owner = world.person("owner").await;
    world.emission("creator", Emission::admitCall { task: U256::from(IDLE) }).await;
    world.emission("creator", Emission::transferOwnershipCall { newOwner: owner }).await;
    world.emission("owner", Emission::acceptOwnershipCall {}).await;
    for task in [FRESH, STANDING] {
        world.emission("owner", Emission::admitCall { task: U256::from(task) }).await;
    }
    world.emission("owner", Emission::dismissCall { task: U256::from(IDLE) }).await;
    fee(world, WAD / 50, 1).await;
}

async fn fee(world: &World, wad: u64, treasury: u8) {
    let treasury = Address::repeat_byte(treasury);
    world.emission("owner", Emission::setFeeCall { feeWad: wad, treasury }).await;
}

/// Two delegations in one transaction.
async fn two_at_once(world: &mut World) {
    world.person("emil").await;
    let delegate = |operator: &str, amount| {
        let (task, operator) = (U256::from(FRESH), world.address(operator));
        Vault::delegateCall { task, operator, amount: tokens(amount).to() }.abi_encode().into()
    };
    let data = vec![delegate("val", 300), delegate("vic", 400)];
    world.vault("emil", Vault::multicallCall { data }).await;
}

async fn commission(world: &World, name: &str, wad: u64) {
    let call = Vault::setCommissionCall { task: U256::from(FRESH), commissionWad: wad };
    world.vault(name, call).await;
}

async fn unstake(world: &World, name: &str, amount: u64) {
    world.vault(name, Vault::unstakeCall { task: U256::from(FRESH), amount: tokens(amount).to() }).await;
}

async fn undelegate(world: &World, name: &str, operator: &str, amount: u64) {
    let (task, operator) = (U256::from(FRESH), world.address(operator));
    world.vault(name, Vault::undelegateCall { task, operator, amount: tokens(amount).to() }).await;
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
    world.arena("creator", Arena::endTaskCall { task: U256::from(SHORT) }).await;
    epoch(world, 1, &[(FRESH, &["vet", "vic", "val", "von"]), (STANDING, &["vet", "val"])]).await;
    // What leaves before a slash bears it.
    undelegate(world, "fred", "von", 1_000).await;
    let (task, validator) = (U256::from(FRESH), world.address("von"));
    world.arena("vet", Arena::reportUnrevealedCall { task, validator }).await;
    rivals(world, FRESH).await;
    world.settle(FRESH, Until::End).await;
    rivals(world, STANDING).await;
    world.settle(STANDING, Until::End).await;
    silent(world, "vex").await;

    world.claim("ann", FRESH, "ann").await;
    world.claim("dora", FRESH, "ann").await;
    world.claim("val", FRESH, "val").await;
    commission(world, "ann", WAD / 100 * 15).await;
    world.delegate("emil", FRESH, "ann", 100).await;
    world.delegate("emil", FRESH, "von", 90).await;
    world.arena("eve", Arena::withdrawSubmissionCall { task: U256::from(FRESH) }).await;
    unstake(world, "fay", 100).await;
}

async fn silent(world: &World, name: &str) {
    let (task, validator) = (U256::from(FRESH), world.address(name));
    world.arena("vet", Arena::reportSilentCall { task, validator }).await;
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
    undelegate(world, "dora", "ann", 200).await;
    undelegate(world, "fred", "von", 30).await;
    unstake(world, "vex", 1_900).await;
    epoch(world, 2, &[(FRESH, &["vet", "vic", "val"]), (STANDING, &["vet", "val"])]).await;
    world.settle(FRESH, Until::End).await;
    world.settle(STANDING, Until::End).await;
    // The second time in a row: the slash takes what is left, and of what unbonds.
    silent(world, "vex").await;
    world.claim("dora", FRESH, "ann").await;
    world.claim("emil", FRESH, "val").await;
    world.stake("bob", FRESH, NODE, 50).await;
    commission(world, "val", WAD / 20).await;
    commission(world, "ann", WAD / 10 * 3).await;
    world.vault("dora", Vault::burnCall {}).await;
    world.vault("ann", Vault::collectFeesCall {}).await;
}

async fn third_epoch(world: &mut World) {
    epoch(world, 3, &[(FRESH, &["vet", "vic", "val"])]).await;
    rivals(world, FRESH).await;
    world.settle(FRESH, Until::FirstPayment).await;
    fee(world, WAD / 100, 2).await;
}

/// Nothing is drawn any more; what has finished leaves.
async fn last_epoch(world: &mut World) {
    world.at(5, Phase::Submit).await;
    for (name, operator) in [("dora", "ann"), ("fred", "von"), ("vex", "vex")] {
        let (task, operator) = (U256::from(FRESH), world.address(operator));
        world.vault(name, Vault::withdrawCall { task, operator, limit: U256::from(9) }).await;
    }
    for (name, task) in [("creator", IDLE), ("dora", SHORT), ("creator", SHORT)] {
        world.vault(name, Vault::reclaimCall { task: U256::from(task) }).await;
    }
    world.fund("bob", FRESH, 2).await;
    world.claim("vic", FRESH, "vic").await;
    world.vault("ann", Vault::collectFeesCall {}).await;
    let gift = ArenaToken::transferCall { to: world.deployment.vault, value: U256::from(1) };
    world.send("ann", world.deployment.token, gift).await;
    world.emission("owner", Emission::transferOwnershipCall { newOwner: world.address("ann") }).await;
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
    let nothing = Arena::commitScoresCall { task: U256::from(NONE), commitment: keccak256("nothing") };
    world.arena("von", nothing).await;
    world.at(epoch, Phase::Reveal).await;
    for (task, name, scores) in sheets.iter().filter(|(_, name, _)| *name != "von") {
        world.reveal(name, *task, scores).await;
    }
    world.at(epoch, Phase::Settle).await;
}

/// Others settle first: `vet` with a part of the scores of each submission, `vic` with all of one of them in two calls.
async fn rivals(world: &mut World, number: u64) {
    let (flight, input, settlement) = world.settlement(number).await;
    let task = U256::from(number);
    let all = tallies(&flight, &input, &settlement);
    let several = (0..).zip(all).filter(|(_, tally)| tally.revealers.len() > 4);
    for (at, tally) in several.collect::<Vec<(u32, Settlement::Tally)>>() {
        let index = u32::from_be_bytes(tally.revealers[..4].try_into().unwrap()) as usize;
        let (_, score) = input.validators[index].scores.iter().find(|(place, _)| *place == at).unwrap();
        let quorum = settlement.validators[index].omega * U256::from(3) >= settlement.validator_stake;
        let median = if quorum { score.unwrap().get() } else { 0 };
        let part = Settlement::Tally { median, revealers: tally.revealers.slice(..4), ..tally.clone() };
        world.arena("vet", Settlement::tallyCall { task, tallies: vec![part] }).await;
        if at == 0 {
            let part = Settlement::Tally { revealers: tally.revealers.slice(..4), ..tally.clone() };
            world.arena("vic", Settlement::tallyPartCall { task, part }).await;
            let tallies = vec![Settlement::Tally { revealers: tally.revealers.slice(4..), ..tally }];
            world.arena("vic", Settlement::tallyCall { task, tallies }).await;
        }
    }
}
