//! The plan, as a table: what is seen, and what is to be done.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use aiarena_chain::{
    deploy::Schedule,
    ledger::{
        Clock, Entry, Flight, Ledger, Origin, Outcome, Phase, Pledge, Pool, Reveals, Role, Tally, Task,
        TaskParams, Trace,
    },
};
use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use aiarena_node::plan::{Action, LANES, Prepared, Sheet, View, plan};
use alloy::primitives::{Address, B256, U256};

const CLOCK: Clock = Clock {
    genesis: 1_000,
    epoch_length: 100,
    unbonding_epochs: 1,
    schedule: Schedule {
        submit_end: 40,
        disclose_end: 50,
        seed_end: 60,
        commit_end: 75,
        reveal_end: 90,
        seed_delay: 3,
    },
};
const NODE: Address = Address::repeat_byte(1);
const OTHER_NODE: Address = Address::repeat_byte(2);
const VALIDATOR: Address = Address::repeat_byte(11);
const OTHER_VALIDATOR: Address = Address::repeat_byte(12);
const STRANGER: Address = Address::repeat_byte(99);
const HASH: B256 = B256::repeat_byte(7);
const EPOCH: u32 = 3;

fn wad(percent: u64) -> U256 {
    U256::from(percent) * U256::from(10_000_000_000_000_000_u64)
}

/// A task that runs from epoch 1 to 9, with two nodes and two validators of equal stake.
fn task() -> Task {
    let rules = Rules {
        rule: RankingRule::StakeIntegral { phi_wad: wad(20) },
        gamma_wad: wad(25),
        epsilon_wad: wad(100),
        tolerance: 0,
        redundancy: 15,
    };
    let mut task = Task {
        number: 1,
        params: TaskParams {
            metadata: B256::ZERO,
            epochs: 9,
            emission_per_epoch: U256::from(1_000),
            min_node_stake: U256::from(10),
            min_validator_stake: U256::from(10),
            max_submissions: 8,
            fresh_data: true,
            rules,
        },
        creator: STRANGER,
        first_epoch: 1,
        last_epoch: 9,
        funded: Trace::default(),
        spent: (U256::ZERO, U256::ZERO),
        pools: Default::default(),
        pledges: Default::default(),
        commitments: 0,
        entries: Vec::new(),
        waiting: Vec::new(),
        disclosures: Vec::new(),
        origins: Default::default(),
        flight: None,
        settled: Vec::new(),
        closed_through: 0,
    };
    for (operator, role) in [
        (NODE, Role::Node),
        (OTHER_NODE, Role::Node),
        (VALIDATOR, Role::Validator),
        (OTHER_VALIDATOR, Role::Validator),
    ] {
        let mut pool = Pool::new(role);
        pool.stakes.set(1, (U256::from(100), U256::ZERO));
        task.pools.insert(operator, pool);
    }
    task
}

fn entry(node: Address, number: u64) -> Entry {
    Entry {
        node,
        number,
        content_hash: B256::with_last_byte(u8::try_from(number).unwrap()),
        uri: String::new(),
        withdrawn_in: None,
        consensus: None,
        queued: false,
    }
}

/// The same with two submissions on the list.
fn listed() -> Task {
    let mut task = task();
    task.entries = vec![entry(NODE, 1), entry(OTHER_NODE, 2)];
    for entry in &task.entries {
        task.origins.insert(entry.content_hash, Origin { node: entry.node, number: entry.number });
    }
    task
}

/// The same with the seed of [`EPOCH`] drawn.
fn drawn() -> Task {
    let mut task = listed();
    task.flight = Some(Flight {
        epoch: EPOCH,
        seed: B256::repeat_byte(3),
        entries: task.entries.clone(),
        listed: vec![0, 1],
        validator_stake: U256::from(200),
        budgets: (U256::from(500), U256::from(500)),
        budget_parts: (U256::from(1_000), U256::ZERO),
        commitments: Default::default(),
        revealers: Vec::new(),
        reveals: Default::default(),
        outcome: Outcome::default(),
    });
    task
}

/// The same, and both validators have revealed: the second entry is the better one.
fn revealed() -> Task {
    let mut task = drawn();
    let places = |task: &Task, validator| {
        aiarena_node::settlement::assigned(task, task.flight.as_ref().unwrap(), validator).unwrap()
    };
    for validator in [VALIDATOR, OTHER_VALIDATOR] {
        let scores: Vec<u32> = places(&task, validator).iter().map(|place| 500 + 100 * place).collect();
        let flight = task.flight.as_mut().unwrap();
        flight.revealers.push(validator);
        flight.commitments.insert(validator, B256::ZERO);
        flight.reveals.insert(validator, Reveals { chunks: [(0, scores)].into(), ..Reveals::default() });
    }
    task
}

/// The same after the tally.
fn tallied() -> Task {
    let mut task = revealed();
    let flight = task.flight.as_mut().unwrap();
    for (entry, consensus) in task.entries.iter().zip([500, 600]) {
        flight.outcome.tallies.push(Tally {
            node: entry.node,
            scored: true,
            ranked: true,
            consensus,
            stake: U256::from(100),
        });
    }
    task
}

/// The same after the ranking.
fn ranked() -> Task {
    let mut task = tallied();
    task.flight.as_mut().unwrap().outcome.order = vec![1, 0];
    task
}

/// The same after the nodes were paid and all chunks weighed.
fn weighed() -> Task {
    let mut task = ranked();
    let outcome = &mut task.flight.as_mut().unwrap().outcome;
    for node in [OTHER_NODE, NODE] {
        outcome.nodes.push(aiarena_chain::ledger::Payment {
            operator: node,
            with_delegation: U256::from(250),
            without_delegation: U256::from(250),
        });
    }
    outcome.weights = [((VALIDATOR, 0), U256::from(1)), ((OTHER_VALIDATOR, 0), U256::from(1))].into();
    task
}

#[derive(Default)]
struct Memory {
    prepared: Option<Prepared>,
    sheet: Option<Sheet>,
}

fn prepared(content_hash: Option<B256>) -> Memory {
    Memory { prepared: Some(Prepared { epoch: EPOCH, content_hash }), sheet: None }
}

fn scored() -> Memory {
    Memory { prepared: None, sheet: Some(Sheet { epoch: EPOCH, scores: vec![500, 600] }) }
}

fn check(what: &str, me: Address, task: &Task, memory: &Memory, at: (u32, Phase, u64), expected: &[Action]) {
    let (epoch, phase, seconds) = at;
    let view = View {
        me,
        task,
        clock: &CLOCK,
        now: CLOCK.start(epoch, phase) + seconds,
        prepared: memory.prepared.as_ref(),
        sheet: memory.sheet.as_ref(),
    };
    assert_eq!(plan(&view), expected, "{what}");
    assert_eq!(plan(&view), plan(&view), "{what}: the same view gives the same plan");
}

fn pledged(opened: bool) -> Task {
    let mut task = task();
    task.pledges.insert(NODE, Pledge { commitment: B256::ZERO, number: 1, epoch: EPOCH, opened });
    task
}

#[test]
fn a_node_trains_commits_and_opens() {
    let none = Memory::default();
    let ready = prepared(Some(HASH));
    let submit = (EPOCH, Phase::Submit, 0);
    let disclose = (EPOCH, Phase::Disclose, 0);
    let train = [Action::Train { epoch: EPOCH }];
    let commit = [Action::CommitSubmission { epoch: EPOCH, content_hash: HASH }];
    let open = [Action::OpenSubmission { epoch: EPOCH, content_hash: HASH }];
    check("nothing is ready", NODE, &task(), &none, submit, &train);
    check("the artifact is ready", NODE, &task(), &ready, submit, &commit);
    check("nothing to submit this time", NODE, &task(), &prepared(None), submit, &[]);
    check("committed already", NODE, &pledged(false), &ready, submit, &[]);
    check(
        "an old artifact is none",
        NODE,
        &task(),
        &prepared(Some(HASH)),
        (EPOCH + 1, Phase::Submit, 0),
        &[Action::Train { epoch: EPOCH + 1 }],
    );
    check("open what was committed", NODE, &pledged(false), &ready, disclose, &open);
    check("opened already", NODE, &pledged(true), &ready, disclose, &[]);
    check("not committed, nothing to open", NODE, &task(), &ready, disclose, &[]);
    check("too late to open", NODE, &pledged(false), &ready, (EPOCH, Phase::Seed, 0), &[]);
    check("lost what was committed", NODE, &pledged(false), &none, disclose, &[]);
    let mut busy = pledged(false);
    busy.flight = drawn().flight.map(|flight| Flight { epoch: EPOCH - 1, ..flight });
    check("an unsettled epoch keeps the list closed", NODE, &busy, &ready, disclose, &[]);
}

#[test]
fn who_has_no_stake_or_no_role_does_nothing() {
    let none = Memory::default();
    let mut poor = task();
    poor.pools.get_mut(&NODE).unwrap().stakes.set(EPOCH, (U256::from(9), U256::from(1_000)));
    check("below the least stake", NODE, &poor, &none, (EPOCH, Phase::Submit, 0), &[]);
    check(
        "an epoch before that it was enough",
        NODE,
        &poor,
        &none,
        (EPOCH - 1, Phase::Submit, 0),
        &[Action::Train { epoch: EPOCH - 1 }],
    );
    for phase in [Phase::Submit, Phase::Disclose, Phase::Seed, Phase::Commit, Phase::Reveal, Phase::Settle] {
        check("a stranger", STRANGER, &revealed(), &none, (EPOCH, phase, 5), &[]);
        check("before the task", NODE, &task(), &none, (0, phase, 0), &[]);
        check("after the task", NODE, &task(), &none, (10, phase, 5), &[]);
    }
}

#[test]
fn a_validator_draws_scores_commits_and_reveals() {
    let none = Memory::default();
    let seed = [Action::DrawSeed];
    let score = [Action::Score { epoch: EPOCH }];
    check("the delay is not over", VALIDATOR, &listed(), &none, (EPOCH, Phase::Seed, 2), &[]);
    check("draw the seed", VALIDATOR, &listed(), &none, (EPOCH, Phase::Seed, 3), &seed);
    check("late, but in time", VALIDATOR, &listed(), &none, (EPOCH, Phase::Commit, 14), &seed);
    check("too late", VALIDATOR, &listed(), &none, (EPOCH, Phase::Reveal, 0), &[]);
    check("nothing on the list", VALIDATOR, &task(), &none, (EPOCH, Phase::Seed, 3), &[]);
    check("score as soon as the seed is known", VALIDATOR, &drawn(), &none, (EPOCH, Phase::Seed, 4), &score);
    check("wait for Commit", VALIDATOR, &drawn(), &scored(), (EPOCH, Phase::Seed, 4), &[]);
    check(
        "commit",
        VALIDATOR,
        &drawn(),
        &scored(),
        (EPOCH, Phase::Commit, 0),
        &[Action::CommitScores { epoch: EPOCH }],
    );
    let mut committed = drawn();
    committed.flight.as_mut().unwrap().commitments.insert(VALIDATOR, B256::ZERO);
    check("committed", VALIDATOR, &committed, &scored(), (EPOCH, Phase::Commit, 5), &[]);
    check("committed, then lost its scores", VALIDATOR, &committed, &none, (EPOCH, Phase::Commit, 5), &score);
    check("the same in Reveal", VALIDATOR, &committed, &none, (EPOCH, Phase::Reveal, 0), &score);
    check(
        "reveal",
        VALIDATOR,
        &committed,
        &scored(),
        (EPOCH, Phase::Reveal, 0),
        &[Action::RevealScores { epoch: EPOCH, chunk: 0 }],
    );
    check("not committed, nothing to reveal", VALIDATOR, &drawn(), &scored(), (EPOCH, Phase::Reveal, 0), &[]);
    check("revealed", VALIDATOR, &revealed(), &scored(), (EPOCH, Phase::Reveal, 5), &[]);
    let mut poor = drawn();
    poor.pools.get_mut(&VALIDATOR).unwrap().stakes.set(1, (U256::from(9), U256::ZERO));
    check("below the least stake", VALIDATOR, &poor, &none, (EPOCH, Phase::Commit, 0), &[]);
}

#[test]
fn a_validator_reveals_chunk_by_chunk_what_is_left() {
    let mut task = drawn();
    let flight = task.flight.as_mut().unwrap();
    flight.commitments.insert(VALIDATOR, B256::ZERO);
    flight.revealers.push(VALIDATOR);
    flight.reveals.insert(VALIDATOR, Reveals { chunks: [(1, vec![1; 128])].into(), ..Reveals::default() });
    let memory = Memory { prepared: None, sheet: Some(Sheet { epoch: EPOCH, scores: vec![1; 300] }) };
    let reveal = |chunk| Action::RevealScores { epoch: EPOCH, chunk };
    check("two of three", VALIDATOR, &task, &memory, (EPOCH, Phase::Reveal, 0), &[reveal(0), reveal(2)]);
}

#[test]
fn a_validator_evicts_what_only_makes_work() {
    let mut task = listed();
    task.entries[0].withdrawn_in = Some(EPOCH - 1);
    task.entries[1].withdrawn_in = Some(EPOCH);
    let evict = [Action::Evict { node: NODE }];
    let none = Memory::default();
    check("withdrawn before", VALIDATOR, &task, &none, (EPOCH, Phase::Submit, 0), &evict);
    check(
        "both",
        VALIDATOR,
        &task,
        &none,
        (EPOCH + 1, Phase::Disclose, 0),
        &[Action::Evict { node: NODE }, Action::Evict { node: OTHER_NODE }],
    );
    check("the list is closed", VALIDATOR, &task, &none, (EPOCH, Phase::Seed, 0), &[]);
    check("a node leaves it to others", NODE, &task, &prepared(None), (EPOCH, Phase::Submit, 0), &[]);
}

#[test]
fn validators_settle_step_by_step_in_time_or_late() {
    let none = Memory::default();
    let weigh = |validator| Action::Weigh { validator, chunk: 0 };
    let pay = Action::PayNodes { from: 0, order: vec![1, 0] };
    for at in [(EPOCH, Phase::Settle, 0), (EPOCH + 1, Phase::Submit, 0), (20, Phase::Reveal, 0)] {
        let check =
            |what, task: &Task, expected: &[Action]| check(what, VALIDATOR, task, &none, at, expected);
        check("nobody revealed", &drawn(), &[Action::Tally { from: 0, medians: vec![0, 0] }]);
        check("tally", &revealed(), &[Action::Tally { from: 0, medians: vec![500, 600] }]);
        check("rank", &tallied(), &[Action::Rank { from: 0, order: vec![1, 0] }]);
        check("pay and weigh", &ranked(), &[pay.clone(), weigh(VALIDATOR), weigh(OTHER_VALIDATOR)]);
        check("pay validators", &weighed(), &[Action::PayValidators { from: 0, count: 2 }]);
        let mut half = weighed();
        let outcome = &mut half.flight.as_mut().unwrap().outcome;
        outcome.nodes.pop();
        outcome.weights.remove(&(VALIDATOR, 0));
        check(
            "go on where another stopped",
            &half,
            &[Action::PayNodes { from: 1, order: vec![0] }, weigh(VALIDATOR)],
        );
    }
    check("Reveal is not over", VALIDATOR, &revealed(), &none, (EPOCH, Phase::Reveal, 14), &[]);
    check("nodes do not settle", NODE, &revealed(), &none, (EPOCH, Phase::Settle, 0), &[]);
}

#[test]
fn an_entry_with_too_many_scores_is_counted_in_parts() {
    let mut task = drawn();
    let many = LANES + 10;
    for i in 0..many {
        let mut bytes = [0x55; 20];
        bytes[..4].copy_from_slice(&i.to_be_bytes());
        let validator = Address::from(bytes);
        let mut pool = Pool::new(Role::Validator);
        pool.stakes.set(1, (U256::from(100), U256::ZERO));
        task.pools.insert(validator, pool);
        let flight = task.flight.as_mut().unwrap();
        flight.revealers.push(validator);
        flight.listed = vec![0];
        flight.entries.truncate(1);
        flight.reveals.insert(validator, Reveals { chunks: [(0, vec![500])].into(), ..Reveals::default() });
    }
    let none = Memory::default();
    let at = (EPOCH, Phase::Settle, 0);
    let part = Action::TallyPart { entry: 0, median: 500, lanes: LANES };
    check("a part first", VALIDATOR, &task, &none, at, &[part]);
    task.flight.as_mut().unwrap().outcome.counted.insert((0, 500), LANES);
    check("then the rest", VALIDATOR, &task, &none, at, &[Action::Tally { from: 0, medians: vec![500] }]);
}

#[test]
fn the_clock_knows_every_boundary() {
    assert_eq!(CLOCK.at(999), (0, Phase::Submit));
    for (offset, phase) in [
        (0, Phase::Submit),
        (39, Phase::Submit),
        (40, Phase::Disclose),
        (50, Phase::Seed),
        (60, Phase::Commit),
        (75, Phase::Reveal),
        (90, Phase::Settle),
        (99, Phase::Settle),
    ] {
        assert_eq!(CLOCK.at(1_000 + 200 + offset), (3, phase), "{offset}");
        assert!(CLOCK.start(3, phase) <= 1_200 + offset);
    }
    assert_eq!(CLOCK.at(1_300), (4, Phase::Submit));
    assert_eq!(CLOCK.at(u64::MAX).0, u32::MAX);
    assert!(Ledger::new(CLOCK).tasks.is_empty());
}
