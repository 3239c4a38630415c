//! Both evaluators say the same, and the judge makes the same of it.

use std::time::Instant;

use aiarena_chain::ledger::{Disclosure, Task, TaskParams};
use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use aiarena_ml::{Architecture, Dataset, Model, Rows};
use aiarena_node::{
    evaluator::{Evaluator, InProcess, Sandboxed},
    judge::{Judge, Verdict},
    sandbox::{Limits, Sandbox},
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::primitives::{Address, B256, U256};

use crate::{SMALL, Test};

pub(crate) const TESTS: &[Test] = &[
    ("both_evaluators_give_the_same_verdicts", both_evaluators_give_the_same_verdicts),
    ("a_model_larger_than_the_task_takes_is_none", a_model_larger_than_the_task_takes_is_none),
    ("the_largest_models_are_far_from_the_limits", the_largest_models_are_far_from_the_limits),
    ("an_evaluator_that_lies_is_not_believed", an_evaluator_that_lies_is_not_believed),
    ("who_is_to_blame_decides_the_verdict", who_is_to_blame_decides_the_verdict),
    ("long_chains_of_copies_need_little", long_chains_of_copies_need_little),
    ("what_an_evaluation_costs", what_an_evaluation_costs),
];

fn store() -> (tempfile::TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(folder.path(), 1 << 26).unwrap();
    (folder, store)
}

fn rows(count: u32) -> Rows {
    Dataset::embedded().evaluation.select(&(0..count).collect::<Vec<_>>())
}

fn task(disclosures: Vec<Disclosure>) -> Task {
    let rules = Rules {
        rule: RankingRule::StakeIntegral { phi_wad: U256::from(200_000_000_000_000_000_u64) },
        gamma_wad: U256::ZERO,
        epsilon_wad: U256::ZERO,
        tolerance: 0,
        redundancy: 1,
    };
    let params = TaskParams {
        metadata: B256::ZERO,
        evaluation_root: B256::ZERO,
        epochs: 9,
        min_node_stake: U256::from(1),
        min_validator_stake: U256::from(1),
        max_submissions: 8,
        fresh_data: true,
        rules,
    };
    let mut task = Task::new(1, Address::ZERO, (1, 9), params);
    task.disclosures = disclosures;
    task
}

fn disclosure(node: u8, number: u64, content_hash: B256) -> Disclosure {
    Disclosure { node: Address::repeat_byte(node), number, epoch: 1, content_hash, uri: String::new() }
}

fn both_evaluators_give_the_same_verdicts() {
    let (_folder, store) = store();
    let mlp = |seed: u8| Model::init(Architecture::mlp(&[32]).unwrap(), &[seed; 32]);
    let good = mlp(1).to_bytes();
    // Finite weights whose answers are not.
    let mut infinite = Model::init(Architecture::mlp(&[8, 8]).unwrap(), &[3; 32]).to_bytes();
    let header = usize::try_from(u64::from_le_bytes(infinite[..8].try_into().unwrap())).unwrap();
    for value in infinite[8 + header..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    let mut not_a_number = good.clone();
    let end = not_a_number.len();
    not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let artifacts: Vec<(u8, Vec<u8>)> = vec![
        (1, good.clone()),
        (2, mlp(2).to_bytes()),
        (3, mlp(1).perturbed(0.01, &[9; 32]).to_bytes()),
        (4, good.clone()),
        // A copy of a copy, and the first node's next version: no copy of what others copied from it.
        (5, mlp(1).perturbed(0.02, &[8; 32]).to_bytes()),
        (1, mlp(1).perturbed(0.03, &[7; 32]).to_bytes()),
        (6, Model::init(Architecture::linear(), &[4; 32]).to_bytes()),
        (7, Model::init(Architecture::cnn([4, 8]).unwrap(), &[5; 32]).to_bytes()),
        (8, infinite),
        (9, not_a_number),
        (10, b"no model at all".to_vec()),
        (11, Vec::new()),
        (12, good[..good.len() - 1].to_vec()),
        (13, vec![0; aiarena_ml::MAX_ARTIFACT_BYTES + 1]),
        (14, good),
    ];
    let mut disclosures: Vec<Disclosure> = (1..)
        .zip(&artifacts)
        .map(|(number, (node, bytes))| disclosure(*node, number, B256::from(store.put(bytes).unwrap().0)))
        .collect();
    disclosures.push(disclosure(15, 100, B256::repeat_byte(0xee)));
    // A file that is not what its name says.
    let broken = store.put(b"soon changed").unwrap();
    std::fs::write(store.path_of(broken), b"changed").unwrap();
    disclosures.push(disclosure(16, 101, B256::from(broken.0)));
    let task = task(disclosures.clone());
    let rows = rows(50);
    let verdicts = |evaluator: &mut dyn Evaluator| -> Vec<Verdict> {
        let mut judge = Judge::new(&task, evaluator);
        let mut verdict = |d: &Disclosure| judge.verdict(d.node, d.number, d.content_hash, &rows);
        disclosures.iter().map(&mut verdict).collect()
    };
    let here = verdicts(&mut InProcess::new(&store));
    let there = verdicts(&mut Sandboxed::new(&store, Sandbox::new(Limits::default())));
    assert_eq!(here, there);
    let kinds: String = here
        .iter()
        .map(|verdict| match verdict {
            Verdict::Valid(_) => 'v',
            Verdict::Invalid(why) if why.starts_with("a copy of submission 1") => 'c',
            Verdict::Invalid(_) => 'i',
            Verdict::Unavailable(_) => 'u',
        })
        .collect();
    assert_eq!(kinds, "vvcccvvviiiiiicuu", "{here:?}");
}

/// A task may take smaller models only. A byte too much is one, wherever it is evaluated, and it is nobody's original.
fn a_model_larger_than_the_task_takes_is_none() {
    let (_folder, store) = store();
    let model = Model::init(Architecture::linear(), &[1; 32]);
    let bytes = model.to_bytes();
    let hash = B256::from(store.put(&bytes).unwrap().0);
    let (size, rows) = (bytes.len() as u64, rows(3));
    for (largest, taken) in [(size, true), (size - 1, false)] {
        let sandboxed = Sandboxed::new(&store, Sandbox::new(Limits::default())).up_to(largest);
        let evaluators: [Box<dyn Evaluator>; 2] =
            [Box::new(InProcess::new(&store).up_to(largest)), Box::new(sandboxed)];
        for mut evaluator in evaluators {
            let found = evaluator.evaluate(hash, &rows);
            assert_eq!(matches!(found, Ok(Verdict::Valid(_))), taken, "{largest}: {found:?}");
            assert_eq!(matches!(found, Err(Verdict::Invalid(_))), !taken, "{largest}: {found:?}");
            assert_eq!(evaluator.alike(hash, &[hash]), Ok(vec![taken]), "{largest}");
        }
    }
}

fn the_largest_models_are_far_from_the_limits() {
    let (_folder, store) = store();
    let limits = Limits::default();
    // A quarter of the memory and of the time must do, or validators could differ.
    let quarter = Limits { memory_bytes: limits.memory_bytes / 4, cpu_secs: limits.cpu_secs / 4, ..limits };
    let rows = rows(1_500);
    for architecture in [Architecture::mlp(&[1_024, 1_024]).unwrap(), Architecture::cnn([64, 64]).unwrap()] {
        let model = Model::init(architecture, &[1; 32]);
        let hash = B256::from(store.put(&model.to_bytes()).unwrap().0);
        let later = B256::from(store.put(&model.perturbed(0.01, &[1; 32]).to_bytes()).unwrap().0);
        let mut sandboxed = Sandboxed::new(&store, Sandbox::new(quarter));
        let start = Instant::now();
        assert!(matches!(sandboxed.evaluate(hash, &rows), Ok(Verdict::Valid(_))));
        println!("{:?}: 1 500 rows in {:?}", model.architecture(), start.elapsed());
        let start = Instant::now();
        assert_eq!(sandboxed.alike(later, &[hash; 33]).unwrap(), [true; 33]);
        println!("compared with 33 others in {:?}", start.elapsed());
    }
}

fn misbehaving(store: &FolderStore, how: &str) -> (Result<Verdict, Verdict>, Result<Vec<bool>, String>) {
    let model = Model::init(Architecture::linear(), &[1; 32]);
    let hash = B256::from(store.put(&model.to_bytes()).unwrap().0);
    let sandbox = Sandbox::of("/proc/self/exe", ["misbehave", how], SMALL);
    let mut sandboxed = Sandboxed::new(store, sandbox);
    (sandboxed.evaluate(hash, &rows(3)), sandboxed.alike(hash, &[B256::ZERO, B256::repeat_byte(1)]))
}

fn an_evaluator_that_lies_is_not_believed() {
    let (_folder, store) = store();
    for how in ["an impossible answer", "two answers", "garbage", "nothing"] {
        let (evaluated, alike) = misbehaving(&store, how);
        assert!(matches!(evaluated, Err(Verdict::Unavailable(_))), "{how}: {evaluated:?}");
        assert!(alike.is_err(), "{how}: {alike:?}");
    }
}

fn who_is_to_blame_decides_the_verdict() {
    let (_folder, store) = store();
    let (evaluated, alike) = misbehaving(&store, "allocate");
    assert!(matches!(evaluated, Err(Verdict::Invalid(_))), "{evaluated:?}");
    // A comparison that nobody survives finds no copy, for every validator.
    assert_eq!(alike, Ok(vec![false, false]));
    for how in ["read a file", "crash", "fail"] {
        let (evaluated, alike) = misbehaving(&store, how);
        assert!(matches!(evaluated, Err(Verdict::Unavailable(_))), "{how}: {evaluated:?}");
        assert!(alike.is_err(), "{how}");
    }
    // Without a machine to evaluate on, a judge abstains from everything, copies included.
    let hash = B256::from(ContentHash::of(b"x").0);
    let task = task(vec![disclosure(1, 1, hash), disclosure(2, 2, hash)]);
    let mut sandboxed = Sandboxed::new(&store, Sandbox::of("/nowhere", ["x"], SMALL));
    store.put(b"x").unwrap();
    let verdict = Judge::new(&task, &mut sandboxed).verdict(Address::repeat_byte(2), 2, hash, &rows(1));
    assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
}

/// Each artifact is like the one before it and no other.
struct Chain {
    asked: usize,
}

impl Evaluator for Chain {
    fn evaluate(&mut self, _: B256, _: &Rows) -> Result<Verdict, Verdict> {
        Ok(Verdict::Unavailable("nobody asks".into()))
    }

    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        self.asked += earlier.len();
        let number = |hash: &B256| U256::from_be_bytes(hash.0);
        Ok(earlier.iter().map(|hash| number(hash) + U256::from(1) == number(&later)).collect())
    }

    fn batch(&self) -> usize {
        32
    }
}

/// Every second of a chain is a copy: the first is an original, so the second is none, so the third is one again.
fn long_chains_of_copies_need_little() {
    const LENGTH: u64 = 3_000;
    let hash = |number: u64| B256::from(U256::from(number));
    let node = |number: u64| u8::try_from(number % 2).unwrap();
    let task = task((1..=LENGTH).map(|number| disclosure(node(number), number, hash(number))).collect());
    let mut chain = Chain { asked: 0 };
    let mut judge = Judge::new(&task, &mut chain);
    for (number, copy) in [(LENGTH, true), (LENGTH - 1, false), (2, true), (1, false)] {
        let node = Address::repeat_byte(node(number));
        let verdict = judge.verdict(node, number, hash(number), &rows(1));
        let expected = format!("a copy of submission {}", number - 1);
        assert_eq!(verdict == Verdict::Invalid(expected), copy, "{number}: {verdict:?}");
    }
    // Each pair was compared at most once, however often it was asked about.
    let length = usize::try_from(LENGTH).unwrap();
    assert!(chain.asked <= length * length / 4, "{}", chain.asked);
}

fn what_an_evaluation_costs() {
    let (_folder, store) = store();
    let model = Model::init(Architecture::mlp(&[128]).unwrap(), &[1; 32]);
    let hash = B256::from(store.put(&model.to_bytes()).unwrap().0);
    let rows = rows(1_500);
    let time = |evaluator: &mut dyn Evaluator| {
        let mut times: Vec<u128> = (0..20)
            .map(|_| {
                let start = Instant::now();
                evaluator.evaluate(hash, &rows).unwrap();
                start.elapsed().as_micros()
            })
            .collect();
        times.sort_unstable();
        (times[times.len() / 2], times[0])
    };
    let there = time(&mut Sandboxed::new(&store, Sandbox::new(Limits::default())));
    let here = time(&mut InProcess::new(&store));
    let mut probes: Vec<u128> = (0..20)
        .map(|_| {
            let start = Instant::now();
            aiarena_node::sandbox::probe(&Sandbox::new(Limits::default())).unwrap();
            start.elapsed().as_micros()
        })
        .collect();
    probes.sort_unstable();
    println!(
        "evaluation, median and least in us: in process {here:?}, sandboxed {there:?}; empty child {:?}",
        (probes[10], probes[0])
    );
}
