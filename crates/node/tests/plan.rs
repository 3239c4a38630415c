//! The plan, as a table: what is seen, and what is to be done.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use aiarena_chain::{
    deploy::Schedule,
    ledger::{
        Ballot, Clock, Constants, Entry, Flight, Ledger, Offence, Outcome, Payment, Phase, Pledge, Pool,
        Ranked, Reveal, Role, Silence, Tally, Task, TaskParams,
    },
};
use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use aiarena_node::{
    plan::{Action, BATCH, Prepared, SCORES, Sheet, View, plan},
    settlement::Count,
};
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
        silent_epochs: 2,
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
    let params = TaskParams {
        metadata: B256::ZERO,
        evaluation_root: B256::ZERO,
        epochs: 9,
        min_node_stake: U256::from(10),
        min_validator_stake: U256::from(10),
        max_submissions: 8,
        fresh_data: true,
        rules,
    };
    let mut task = Task::new(1, STRANGER, (1, 9), params);
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
        duplicate: false,
        queued: false,
    }
}

/// The same with two submissions on the list.
fn listed() -> Task {
    let mut task = task();
    task.entries = vec![entry(NODE, 1), entry(OTHER_NODE, 2)];
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
        flight.reveals.insert(validator, Reveal { scores, ..Reveal::default() });
        task.ballots.insert(validator, Ballot { commitment: B256::ZERO, epoch: EPOCH, closed: true });
    }
    task
}

/// The same after the tally.
fn tallied() -> Task {
    let mut task = revealed();
    let flight = task.flight.as_mut().unwrap();
    for (entry, consensus) in task.entries.iter().zip([500, 600]) {
        let tally = Tally { scored: true, consensus, stake: U256::from(100), counted: 2 };
        flight.outcome.tallies.insert(entry.node, tally);
    }
    task
}

/// The same after the ranking.
fn ranked() -> Task {
    let mut task = tallied();
    let ranked = Ranked { ranked: 2, upper_score: 600, lower_score: 500 };
    task.flight.as_mut().unwrap().outcome.ranked = Some(ranked);
    task
}

/// The same after the nodes were paid and all validators weighed.
fn weighed() -> Task {
    let mut task = ranked();
    let outcome = &mut task.flight.as_mut().unwrap().outcome;
    for node in [OTHER_NODE, NODE] {
        outcome.nodes.push(payment(node));
    }
    outcome.weights = [(VALIDATOR, U256::from(1)), (OTHER_VALIDATOR, U256::from(1))].into();
    task
}

fn payment(operator: Address) -> Payment {
    let half = U256::from(250);
    Payment { operator, with_delegation: half, without_delegation: half, operator_amount: half }
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
    Memory {
        prepared: None,
        sheet: Some(Sheet { epoch: EPOCH, seed: B256::repeat_byte(3), scores: vec![500, 600] }),
    }
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
        unregistered_key: None,
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
    check("late, but in time", VALIDATOR, &listed(), &none, (EPOCH, Phase::Seed, 9), &seed);
    check("too late", VALIDATOR, &listed(), &none, (EPOCH, Phase::Commit, 0), &[]);
    check("nothing on the list", VALIDATOR, &task(), &none, (EPOCH, Phase::Seed, 3), &[]);
    check("score as soon as the seed is known", VALIDATOR, &drawn(), &none, (EPOCH, Phase::Seed, 4), &score);
    check("wait for Commit", VALIDATOR, &drawn(), &scored(), (EPOCH, Phase::Seed, 4), &[]);
    check(
        "commit",
        VALIDATOR,
        &drawn(),
        &scored(),
        (EPOCH, Phase::Commit, 1),
        &[Action::CommitScores { epoch: EPOCH }],
    );
    check(
        "not under a seed that may be undone",
        VALIDATOR,
        &drawn(),
        &scored(),
        (EPOCH, Phase::Commit, 0),
        &[],
    );
    let mut redrawn = drawn();
    redrawn.flight.as_mut().unwrap().seed = B256::repeat_byte(4);
    check(
        "scored under a seed that was undone",
        VALIDATOR,
        &redrawn,
        &scored(),
        (EPOCH, Phase::Commit, 1),
        &score,
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
        &[Action::RevealScores { epoch: EPOCH }],
    );
    check("not committed, nothing to reveal", VALIDATOR, &drawn(), &scored(), (EPOCH, Phase::Reveal, 0), &[]);
    check("revealed", VALIDATOR, &revealed(), &scored(), (EPOCH, Phase::Reveal, 5), &[]);
    let mut poor = drawn();
    poor.pools.get_mut(&VALIDATOR).unwrap().stakes.set(1, (U256::from(9), U256::ZERO));
    check("below the least stake", VALIDATOR, &poor, &none, (EPOCH, Phase::Commit, 0), &[]);
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

fn count(node: Address, place: u32, median: u32, revealers: &[u32]) -> Count {
    Count { node, place, median, revealers: revealers.to_vec() }
}

#[test]
fn validators_settle_step_by_step_in_time_or_late() {
    let none = Memory::default();
    let order = vec![OTHER_NODE, NODE];
    let pay = |from, count| Action::PayNodes { from, count, order: order.clone() };
    let weigh = |from, count| Action::Weigh { from, count };
    for at in [(EPOCH, Phase::Settle, 0), (EPOCH + 1, Phase::Commit, 0), (20, Phase::Reveal, 0)] {
        let check = |what, task: &Task, expected: &[Action]| {
            let mut task = task.clone();
            // Who did not reveal is another test's subject.
            task.ballots
                .insert(OTHER_VALIDATOR, Ballot { commitment: B256::ZERO, epoch: EPOCH, closed: true });
            check(what, VALIDATOR, &task, &none, at, expected);
        };
        let nothing = [count(NODE, 0, 0, &[]), count(OTHER_NODE, 1, 0, &[])].to_vec();
        check("nobody revealed", &drawn(), &[Action::Tally { counts: nothing }]);
        let all = [count(NODE, 0, 500, &[0, 1]), count(OTHER_NODE, 1, 600, &[0, 1])].to_vec();
        check("tally", &revealed(), &[Action::Tally { counts: all }]);
        let mut half = tallied();
        half.flight.as_mut().unwrap().outcome.tallies.get_mut(&NODE).unwrap().counted = 1;
        let rest = [count(NODE, 0, 500, &[0, 1])].to_vec();
        check("tally again what another left out", &half, &[Action::Tally { counts: rest }]);
        check("rank", &tallied(), &[Action::Rank { order: order.clone() }]);
        check("pay and weigh", &ranked(), &[pay(0, 2), weigh(0, 2)]);
        check("pay validators", &weighed(), &[Action::PayValidators { from: 0, count: 2 }]);
        let mut half = weighed();
        let outcome = &mut half.flight.as_mut().unwrap().outcome;
        outcome.nodes.pop();
        outcome.weights.remove(&OTHER_VALIDATOR);
        check("go on where another stopped", &half, &[pay(1, 1), weigh(1, 1)]);
    }
    check("Reveal is not over", VALIDATOR, &revealed(), &none, (EPOCH, Phase::Reveal, 14), &[]);
    check("nodes do not settle", NODE, &revealed(), &none, (EPOCH, Phase::Settle, 0), &[]);
}

/// Many validators that score one submission.
fn crowd(many: usize) -> Task {
    let mut task = drawn();
    for i in 0..many {
        let mut bytes = [0x55; 20];
        bytes[..8].copy_from_slice(&i.to_be_bytes());
        let validator = Address::from(bytes);
        let mut pool = Pool::new(Role::Validator);
        pool.stakes.set(1, (U256::from(100), U256::ZERO));
        task.pools.insert(validator, pool);
        task.ballots.insert(validator, Ballot { commitment: B256::ZERO, epoch: EPOCH, closed: true });
        let flight = task.flight.as_mut().unwrap();
        flight.revealers.push(validator);
        flight.reveals.insert(validator, Reveal { scores: vec![500], ..Reveal::default() });
        flight.listed = vec![0];
        flight.entries.truncate(1);
    }
    for validator in [VALIDATOR, OTHER_VALIDATOR] {
        task.ballots.insert(validator, Ballot { commitment: B256::ZERO, epoch: EPOCH, closed: true });
    }
    task
}

#[test]
fn an_entry_with_too_many_scores_is_counted_in_parts() {
    let many = SCORES + 10;
    let mut task = crowd(many);
    let revealers: Vec<u32> = (0..u32::try_from(many).unwrap()).collect();
    let none = Memory::default();
    let at = (EPOCH, Phase::Settle, 0);
    let part = Action::TallyPart { part: count(NODE, 0, 500, &revealers[..SCORES]) };
    check("a part first", VALIDATOR, &task, &none, at, std::slice::from_ref(&part));
    let rest = Action::Tally { counts: vec![count(NODE, 0, 500, &revealers[SCORES..])] };
    let counted = u32::try_from(SCORES).unwrap();
    let outcome = &mut task.flight.as_mut().unwrap().outcome;
    outcome.counted.insert((NODE, OTHER_VALIDATOR, 500), counted);
    check("another's part is of no use", VALIDATOR, &task, &none, at, &[part]);
    task.flight.as_mut().unwrap().outcome.counted.insert((NODE, VALIDATOR, 500), counted);
    check("then the rest", VALIDATOR, &task, &none, at, &[rest]);
}

#[test]
fn many_validators_are_weighed_and_paid_in_batches() {
    let many = 2 * BATCH + 1;
    let mut task = crowd(many);
    let outcome = &mut task.flight.as_mut().unwrap().outcome;
    let counted = u32::try_from(many).unwrap();
    let tally = Tally { scored: true, consensus: 500, stake: U256::from(100), counted };
    outcome.tallies.insert(NODE, tally);
    outcome.ranked = Some(Ranked { ranked: 1, upper_score: 500, lower_score: 500 });
    outcome.nodes.push(payment(NODE));
    let (none, at) = (Memory::default(), (EPOCH, Phase::Settle, 0));
    let ranges = |actions: Vec<Action>| -> Vec<(u32, u32)> {
        let range = |action| match action {
            Action::Weigh { from, count } | Action::PayValidators { from, count } => (from, count),
            other => panic!("{other:?}"),
        };
        actions.into_iter().map(range).collect()
    };
    let view = |task: &Task| {
        plan(&View {
            me: VALIDATOR,
            task,
            clock: &CLOCK,
            now: CLOCK.start(at.0, at.1) + at.2,
            prepared: none.prepared.as_ref(),
            sheet: none.sheet.as_ref(),
            unregistered_key: None,
        })
    };
    let weights = ranges(view(&task));
    assert_eq!(weights.iter().map(|(_, count)| *count as usize).sum::<usize>(), many, "{weights:?}");
    let flight = task.flight.as_mut().unwrap();
    flight.outcome.weights = flight.revealers.iter().map(|validator| (*validator, U256::from(1))).collect();
    let batch = u32::try_from(BATCH).unwrap();
    assert_eq!(ranges(view(&task)), [(0, batch), (batch, batch), (2 * batch, 1)]);
}

#[test]
fn validators_report_what_others_owe() {
    let none = Memory::default();
    let report = |validator, offence| Action::Report { validator, offence };
    let settled = |change: &dyn Fn(&mut Task)| {
        let mut task = drawn();
        change(&mut task);
        let flight = task.flight.take().unwrap();
        task.settled.push(flight);
        task
    };
    let ballot = |closed| Ballot { commitment: B256::ZERO, epoch: EPOCH, closed };
    let silent = settled(&|_| {});
    let kept = settled(&|task| _ = task.ballots.insert(OTHER_VALIDATOR, ballot(false)));
    let told = settled(&|task| {
        task.silences.insert(OTHER_VALIDATOR, Silence { epoch: EPOCH, count: 1 });
    });
    let at = (EPOCH, Phase::Settle, 0);
    check("silent", VALIDATOR, &silent, &none, at, &[report(OTHER_VALIDATOR, Offence::Silent)]);
    check("unrevealed", VALIDATOR, &kept, &none, at, &[report(OTHER_VALIDATOR, Offence::Unrevealed)]);
    check("reported already", VALIDATOR, &told, &none, at, &[]);
    check(
        "revealed",
        VALIDATOR,
        &settled(&|t| _ = t.ballots.insert(OTHER_VALIDATOR, ballot(true))),
        &none,
        at,
        &[],
    );
    check("nodes report nobody", NODE, &kept, &none, at, &[]);
    check("until Commit", VALIDATOR, &told, &none, (EPOCH + 1, Phase::Commit, 0), &[]);
    check(
        "in the next epoch",
        VALIDATOR,
        &kept,
        &none,
        (EPOCH + 1, Phase::Seed, 9),
        &[report(OTHER_VALIDATOR, Offence::Unrevealed)],
    );
    check("too late", VALIDATOR, &kept, &none, (EPOCH + 1, Phase::Commit, 0), &[]);
    let poor = settled(&|task| {
        let pool = task.pools.get_mut(&OTHER_VALIDATOR).unwrap();
        pool.stakes.set(1, (U256::from(9), U256::ZERO));
    });
    check("below the least stake", VALIDATOR, &poor, &none, at, &[]);
    let empty = settled(&|task| task.flight.as_mut().unwrap().listed.clear());
    check("nothing to score", VALIDATOR, &empty, &none, at, &[]);
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
    let constants = Constants {
        bond: U256::ZERO,
        max_fee_wad: U256::ZERO,
        slash_wad: wad(1),
        emission: U256::ZERO,
        emission_decay_wad: wad(100),
        emission_period: 1,
    };
    assert!(Ledger::new(CLOCK, constants).tasks.is_empty());
}

#[test]
fn a_validator_registers_its_key_before_anything_else_and_nobody_else_does() {
    let (task, key) = (drawn(), B256::repeat_byte(9));
    let plan = |me, unregistered_key, epoch| {
        let now = CLOCK.start(epoch, Phase::Commit);
        plan(&View { me, task: &task, clock: &CLOCK, now, prepared: None, sheet: None, unregistered_key })
    };
    let registers = [Action::RegisterKey { key }];
    assert_eq!(plan(VALIDATOR, Some(key), EPOCH), registers);
    assert_eq!(plan(VALIDATOR, Some(key), 1), registers);
    for other in [plan(VALIDATOR, None, EPOCH), plan(NODE, Some(key), EPOCH), plan(VALIDATOR, Some(key), 10)]
    {
        assert!(!other.contains(&registers[0]), "{other:?}");
    }
}
