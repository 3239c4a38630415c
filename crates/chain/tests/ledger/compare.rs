//! Everything that the contracts can be asked for, against the ledger.

use std::{collections::BTreeSet, fmt::Debug};

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    ledger::{Ledger, Pool, Role, Stage, Task},
};
use aiarena_mechanism::slashing::worth;
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolCall,
};

use crate::world::World;

type Check = Box<dyn Fn(&[u8]) -> Result<(), String>>;

/// Views of the vault, asked for in one call.
#[derive(Default)]
struct Views {
    calls: Vec<Bytes>,
    checks: Vec<Check>,
}

impl Views {
    fn expect<C, T>(&mut self, what: String, call: &C, expected: T, read: impl Fn(C::Return) -> T + 'static)
    where
        C: SolCall + Debug,
        T: PartialEq + Debug + 'static,
    {
        let what = format!("{what}: {call:?}");
        self.calls.push(call.abi_encode().into());
        self.checks.push(Box::new(move |data| {
            let found = read(C::abi_decode_returns(data).map_err(|error| error.to_string())?);
            if found == expected {
                Ok(())
            } else {
                Err(format!("{what}\n contract {found:?}\n ledger {expected:?}"))
            }
        }));
    }
}

/// Compares all that can be asked for.
pub(crate) async fn all(world: &World) -> Result<(), String> {
    let ledger = world.ledger();
    let epoch = ledger.clock.at(world.now).0;
    let mut views = Views::default();
    money(&mut views, ledger, epoch);
    for task in ledger.tasks.values() {
        task_views(&mut views, world, task, epoch);
        for (operator, pool) in &task.pools {
            pool_views(&mut views, world, task, *operator, pool, epoch)?;
        }
    }
    let vault = Vault::new(world.deployment.vault, world.provider.clone());
    let answers = vault.multicall(views.calls).call().await.map_err(|error| error.to_string())?;
    for (check, answer) in views.checks.iter().zip(&answers) {
        check(answer)?;
    }
    for task in ledger.tasks.values() {
        arena(world, task).await?;
    }
    emission(world, ledger).await?;
    let token = ArenaToken::new(world.deployment.token, world.provider.clone());
    let balance = token.balanceOf(world.deployment.vault).call().await.map_err(|error| error.to_string())?;
    let owed = ledger.liabilities().map_err(|error| error.to_string())?;
    // Rounding leaves a unit of a deposit or a withdrawal to nobody.
    let dust = U256::from(4 * world.log.len());
    if balance < owed.total() || balance - owed.total() > dust {
        return Err(format!("the vault holds {balance} and owes {}: {owed:?}", owed.total()));
    }
    Ok(())
}

fn money(views: &mut Views, ledger: &Ledger, epoch: u32) {
    let wide = |value: alloy::primitives::aliases::U96| value.to::<U256>();
    views.expect("the reserve".into(), &Vault::reserveCall {}, ledger.reserve, wide);
    views.expect("slashed".into(), &Vault::slashedCall {}, ledger.slashed, wide);
    views.expect("fees".into(), &Vault::feesCall {}, ledger.fees, wide);
    views.expect("the treasury".into(), &Vault::treasuryCall {}, ledger.treasury.at(epoch), |found| found);
    for at in epoch..epoch + 3 {
        let call = Vault::feeAtCall { epoch: U256::from(at) };
        views.expect("the fee".into(), &call, ledger.fee_at(at), |found| found);
    }
}

fn task_views(views: &mut Views, world: &World, task: &Task, epoch: u32) {
    let number = U256::from(task.number);
    let call = Vault::termsOfCall { task: number };
    views.expect("the last epoch".into(), &call, task.last_epoch, |found| found.lastEpoch);
    views.expect("the bounty".into(), &Vault::bountyOfCall { task: number }, task.bounty(), |found| found);
    let stake = task.effective_stake(epoch).unwrap();
    views.expect("S".into(), &Vault::effectiveStakeOfCall { task: number }, stake, |found| found);
    for (role, word) in [(Role::Node, 1), (Role::Validator, 2)] {
        for at in [epoch, epoch + 1] {
            let call = Vault::totalsAtCall { task: number, role: word, epoch: U256::from(at) };
            views.expect("totals".into(), &call, task.totals_at(role, at), |f| (f.direct, f.delegated));
        }
    }
    for person in &world.people {
        let account = person.address();
        let own = task.contributions.get(&account).copied().unwrap_or_default();
        let call = Vault::contributionOfCall { task: number, account };
        views.expect("contributions".into(), &call, own, |found| found);
    }
}

fn pool_views(
    views: &mut Views,
    world: &World,
    task: &Task,
    operator: Address,
    pool: &Pool,
    epoch: u32,
) -> Result<(), String> {
    let number = U256::from(task.number);
    let text = |error: aiarena_mechanism::Error| error.to_string();
    let role = if pool.role == Role::Node { 1 } else { 2 };
    views.expect("the role".into(), &Vault::roleOfCall { task: number, operator }, role, |found| found);
    let call = Vault::factorOfCall { task: number, operator };
    views.expect("the factor".into(), &call, pool.factor_wad(), |found| found);
    let drawn = task.drawn().map_or(epoch, |drawn| drawn.epoch);
    for at in BTreeSet::from([drawn, epoch, epoch + 1, epoch + 2]) {
        let call = Vault::stakeAtCall { task: number, operator, epoch: U256::from(at) };
        let stake = pool.stake_at(at).map_err(text)?;
        views.expect("stake".into(), &call, stake, |f| (f.direct.to::<U256>(), f.delegated.to::<U256>()));
        if at == drawn && task.flight.is_none() && at < epoch {
            continue;
        }
        let call = Vault::commissionAtCall { task: number, operator, epoch: U256::from(at) };
        views.expect("the commission".into(), &call, pool.commission.at(at), |found| found);
    }
    for (i, person) in world.people.iter().enumerate() {
        let account = person.address();
        // Of those who have nothing in a pool a few are asked for.
        let stranger = account != operator
            && !pool.positions.contains_key(&account)
            && !pool.unbonding.contains_key(&account);
        if stranger && i != world.log.len() % world.people.len() {
            continue;
        }
        let what = || {
            format!(
                "task {number}, person {} in the pool of {}",
                world.person(account),
                world.person(operator)
            )
        };
        let claimable = pool.claimable(operator, account).map_err(text)?;
        let call = Vault::claimableCall { task: number, operator, account };
        views.expect(what(), &call, claimable, |found| found);
        let shares = pool.positions.get(&account).map_or(U256::ZERO, |position| position.shares.latest());
        let held = (shares, worth(shares, pool.factor_wad()).map_err(text)?);
        let call = Vault::delegationOfCall { task: number, operator, delegator: account };
        views.expect(what(), &call, held, |found| (found.shares, found.amount));
        let (mut amount, mut due) = (U256::ZERO, U256::ZERO);
        for request in pool.unbonding.get(&account).into_iter().flatten() {
            let value = pool.payable(request).map_err(text)?;
            amount += value;
            due += if request.release_epoch <= epoch { value } else { U256::ZERO };
        }
        let call = Vault::unbondingOfCall { task: number, operator, account };
        views.expect(what(), &call, (amount, due), |found| (found.amount, found.due));
    }
    Ok(())
}

async fn arena(world: &World, task: &Task) -> Result<(), String> {
    let contract = Arena::new(world.deployment.arena, world.provider.clone());
    let number = U256::from(task.number);
    let text = |error: alloy::contract::Error| error.to_string();
    let flight = contract.flightOf(number).call().await.map_err(text)?;
    let drawn = task.drawn();
    let stage = match drawn.map(|drawn| drawn.stage()) {
        None | Some(Stage::Settled) => 0,
        Some(Stage::Scoring) => 1,
        Some(Stage::Ranking) => 2,
        Some(Stage::Paying) => 3,
    };
    equal("the stage", flight.stage, stage)?;
    equal("the epoch drawn last", flight.epoch, drawn.map_or(0, |drawn| drawn.epoch))?;
    equal("the epoch drawn before", flight.previousEpoch, task.drawn_before())?;
    if let Some(drawn) = &task.flight {
        equal("revealed scores", u64::from(flight.revealed), drawn.revealed())?;
        equal("rankable", flight.rankable as usize, drawn.rankable())?;
        let counted = drawn.outcome.tallies.values().map(|tally| tally.counted).sum();
        equal("counted scores", flight.counted, counted)?;
        equal("tallied", flight.tallied as usize, drawn.outcome.tallies.len())?;
        equal("weighed", flight.weighed as usize, drawn.outcome.weights.len())?;
        equal("paid validators", flight.paid as usize, drawn.outcome.validators.len())?;
        let active = contract.queueOf(number, true).call().await.map_err(text)?;
        let listed: Vec<Address> =
            drawn.listed.iter().map(|place| drawn.entries[*place as usize].node).collect();
        if !task.params.fresh_data {
            equal("the list that is scored", &active, &listed)?;
        }
    }
    let waiting = contract.queueOf(number, false).call().await.map_err(text)?;
    equal("what waits", &waiting, &task.waiting)?;
    let list = contract.listOf(number, U256::ZERO, U256::from(100)).call().await.map_err(text)?;
    let nodes: Vec<Address> = task.entries.iter().map(|entry| entry.node).collect();
    equal("the list", &list, &nodes)?;
    for (place, entry) in task.entries.iter().enumerate() {
        let found = contract.entryOf(number, entry.node).call().await.map_err(text)?;
        let (said, hash): (Arena::Entry, B256) = found.into();
        equal("the content hash", hash, entry.content_hash)?;
        equal("the place", usize::from(said.place), place)?;
        equal("the number", u64::from(said.number), entry.number)?;
        equal("the epoch of withdrawal", said.withdrawnIn, entry.withdrawn_in.unwrap_or(0))?;
        equal("whether it is a duplicate", said.duplicate, entry.duplicate)?;
        equal("the consensus score", said.scored.then_some(said.consensus), entry.consensus)?;
    }
    Ok(())
}

async fn emission(world: &World, ledger: &Ledger) -> Result<(), String> {
    let contract = Emission::new(world.deployment.emission, world.provider.clone());
    let text = |error: alloy::contract::Error| error.to_string();
    let admitted = contract.admitted().call().await.map_err(text)?;
    let list: Vec<U256> = ledger.emission.list.iter().map(|task| U256::from(*task)).collect();
    equal("the admitted tasks", &admitted, &list)?;
    for (task, admission) in &ledger.emission.admissions {
        let said = contract.admissionOf(U256::from(*task)).call().await.map_err(text)?;
        let expected = (admission.from_epoch, admission.until_epoch);
        equal("an admission", (said.fromEpoch, said.untilEpoch), expected)?;
    }
    equal("the owner", contract.owner().call().await.map_err(text)?, ledger.emission.owner)
}

fn equal<T: PartialEq + Debug>(what: &str, contract: T, ledger: T) -> Result<(), String> {
    if contract == ledger {
        return Ok(());
    }
    Err(format!("{what}\n contract {contract:?}\n ledger {ledger:?}"))
}
