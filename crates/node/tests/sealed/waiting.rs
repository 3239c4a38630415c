//! Validators that wait for slices and score them in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aiarena_chain::{
    client::Account,
    deploy::Deployment,
    ledger::{Disclosure, Entry, Ledger, Phase},
};
use aiarena_mechanism::Score;
use aiarena_ml::{Architecture, Dataset, Model, Rows, evaluate};
use aiarena_node::{
    evaluator::{Evaluator, InProcess},
    judge::Verdict,
    operator::{Duty, Honest, Operator, Remote, Shelves},
    plan::{self, Action},
    salt::Salts,
    sealed::{EvaluationKey, SealedError, await_slice, seal, sealed_name},
};
use aiarena_store::{ContentHash, FolderStore, Limits, Policy, Settings, Stores};
use alloy::{
    primitives::{Address, B256, U256},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};
use tokio::net::TcpListener;

use crate::{CLOCK, CONSTANTS, FIRST, drawn, rows, tree};

fn read(bytes: &[u8]) -> Result<Vec<u8>, SealedError> {
    match bytes {
        b"it" => Ok(bytes.to_vec()),
        _ => Err(SealedError::OtherRecipients),
    }
}

#[tokio::test]
async fn a_store_that_hangs_does_not_hide_what_comes_late_into_another() {
    let (old, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [
        format!("http://{}/", hanging.local_addr().unwrap()),
        format!("file:{}", old.path().display()),
        format!("file:{}", folder.path().display()),
    ];
    let settings = Settings { policy: Policy::Loopback, ..Settings::default() };
    let stores = Stores::open(urls.iter().map(String::as_str), &settings).unwrap();
    let name = sealed_name(1, Address::ZERO, 1, 4);
    let put = |folder: &std::path::Path, bytes: &[u8]| {
        FolderStore::open(folder, 1 << 20).unwrap().put_named(&name, bytes).unwrap();
    };
    put(old.path(), b"an old one");
    // A slice may be larger than an artifact.
    let limits = Limits::new(1);
    let wait = |secs| await_slice(&stores, &name, &limits, tokio::time::Instant::now() + secs, read);
    let begun = Instant::now();
    let missing = wait(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(missing.0.len(), 3, "{missing}");
    assert!(begun.elapsed() < Duration::from_secs(9), "the one that hangs was waited for");

    let late = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        put(folder.path(), b"it");
    };
    let begun = Instant::now();
    let (found, ()) = tokio::join!(wait(Duration::from_secs(60)), late);
    assert_eq!(found.unwrap(), b"it");
    assert!(begun.elapsed() < Duration::from_secs(9), "the one that hangs was waited for");
}

/// Evaluates at once, but for one artifact, on which it works as long as it may.
struct Slow {
    endless: B256,
    deadline: Option<Instant>,
    asked: Vec<B256>,
}

impl Evaluator for Slow {
    fn evaluate(&mut self, content_hash: B256, _rows: &Rows) -> Result<Verdict, Verdict> {
        self.asked.push(content_hash);
        if content_hash != self.endless {
            return Ok(Verdict::Valid(Score::new(1).unwrap()));
        }
        let left = self.deadline.unwrap().saturating_duration_since(Instant::now());
        std::thread::sleep(left);
        Err(Verdict::Unavailable("it takes too long".to_owned()))
    }

    fn alike(&mut self, _later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        Ok(vec![false; earlier.len()])
    }

    fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }
}

/// A ledger in which the signer has to score these artifacts, by their numbers.
fn assigned(signer: &PrivateKeySigner, artifacts: &[B256]) -> Ledger {
    let mut task = drawn(B256::ZERO, &[1]);
    let pool = task.pools.remove(&Address::repeat_byte(1)).unwrap();
    task.pools.insert(signer.address(), pool);
    let entry = |(number, content_hash): (u8, B256)| Entry {
        node: Address::repeat_byte(100 + number),
        number: number.into(),
        content_hash,
        uri: String::new(),
        withdrawn_in: None,
        consensus: None,
        duplicate: false,
        queued: false,
    };
    let flight = task.flight.as_mut().unwrap();
    flight.entries = (1..).zip(artifacts.iter().copied()).map(entry).collect();
    flight.listed = (0..).take(artifacts.len()).collect();
    let disclosure = |entry: &Entry| Disclosure {
        node: entry.node,
        number: entry.number,
        content_hash: entry.content_hash,
        uri: String::new(),
        epoch: 4,
    };
    task.disclosures = flight.entries.iter().map(disclosure).collect();
    let mut ledger = Ledger::new(CLOCK, CONSTANTS);
    ledger.tasks.insert(1, task);
    ledger
}

/// A validator with its stores in a folder.
fn validator(signer: &PrivateKeySigner, folder: &Path, remote: Option<Remote>) -> Operator {
    let rpc = RpcClient::new_http("http://127.0.0.1:1".parse().unwrap());
    let deployment = Deployment {
        chain_id: 1,
        arena: Address::ZERO,
        vault: Address::ZERO,
        emission: Address::ZERO,
        token: Address::ZERO,
        from_block: 0,
    };
    let duty = Duty::Validator { reporter: Box::new(Honest), slice: 0, sandbox: None };
    let shelves = Shelves { drafts: store(folder, "drafts"), public: store(folder, "public"), remote };
    let salts = Salts::new(signer, 1, Address::ZERO);
    Operator::new(Account::new(rpc, signer.clone()), salts, deployment, 1, shelves, duty)
}

/// What it reports of the only submission in its sheet; `None` if it has no sheet.
fn reported(operator: &Operator, ledger: &Ledger) -> Option<Option<Score>> {
    let sheet = operator.view(ledger, 0).unwrap().sheet?;
    let [score] = sheet.scores[..] else { panic!("{sheet:?}") };
    Some(Score::from_wire(score).unwrap())
}

fn store(folder: &Path, name: &str) -> FolderStore {
    FolderStore::open(folder.join(name), 1 << 20).unwrap()
}

#[tokio::test]
async fn one_endless_artifact_costs_no_other_its_score() {
    let folder = tempfile::tempdir().unwrap();
    let signer = PrivateKeySigner::random();
    let public = store(folder.path(), "public");
    // Of growing size, and in another order on the list.
    let artifacts: Vec<B256> =
        (1..=6).map(|size| B256::from(public.put(&vec![size; size.into()]).unwrap().0)).collect();
    let ledger = assigned(&signer, &artifacts.iter().rev().copied().collect::<Vec<_>>());
    let mut operator = validator(&signer, folder.path(), None);

    let mut sheet = |endless: usize, time: Duration| {
        let mut slow = Slow { endless: artifacts[endless], deadline: None, asked: Vec::new() };
        let begun = tokio::time::Instant::now();
        operator.score(4, &ledger, &mut slow, Some(&rows(3)), Some(begun + time)).unwrap();
        assert!(begun.elapsed() < time + Duration::from_secs(5));
        let scores = operator.view(&ledger, 0).unwrap().sheet.unwrap().scores.clone();
        let abstention = Score::to_wire(None);
        (slow.asked, scores.iter().filter(|score| **score == abstention).count(), scores.len())
    };
    // The second smallest: the others have their scores before it gets a second try.
    let (asked, abstained, all) = sheet(1, Duration::from_secs(2));
    let again = [&artifacts[..], &artifacts[1..2]].concat();
    assert_eq!((asked, abstained, all), (again, 1, 6), "from small to large");
    assert_eq!(sheet(0, Duration::ZERO), (Vec::new(), 1, 6), "what was found is kept, and a sheet is owed");
}

/// Counts what it evaluates and how many it compares.
struct Counting<'a> {
    inner: InProcess<'a>,
    evaluated: usize,
    compared: usize,
}

impl Evaluator for Counting<'_> {
    fn evaluate(&mut self, content_hash: B256, rows: &Rows) -> Result<Verdict, Verdict> {
        let found = self.inner.evaluate(content_hash, rows);
        self.evaluated += usize::from(found.is_ok());
        found
    }

    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        self.compared += earlier.len();
        self.inner.alike(later, earlier)
    }
}

/// In whatever order artifacts come, the sheet is that of a validator who had them all at once.
#[tokio::test]
async fn an_original_that_comes_late_shows_its_copies_and_nothing_is_evaluated_twice() {
    let signer = PrivateKeySigner::random();
    let model = |seed: u8| Model::init(Architecture::mlp(&[16]).unwrap(), &[seed; 32]);
    // An original, two copies of it, one of them byte for byte, and a model that has nothing to do with it.
    let artifacts: Vec<Vec<u8>> = [model(1), model(1).perturbed(0.01, &[9; 32]), model(2), model(1)]
        .iter()
        .map(Model::to_bytes)
        .collect();
    let hashes: Vec<B256> = artifacts.iter().map(|bytes| B256::from(ContentHash::of(bytes).0)).collect();
    let ledger = assigned(&signer, &hashes);
    let rows = rows(50);
    // How many are new in each try, the copies first.
    let mut sheets = BTreeSet::new();
    for tries in [&[&[0_usize, 1, 2][..]][..], &[&[1], &[], &[2], &[0], &[]], &[&[2], &[0], &[1]]] {
        let folder = tempfile::tempdir().unwrap();
        let public = store(folder.path(), "public");
        let mut operator = validator(&signer, folder.path(), None);
        let mut evaluated = 0;
        for new in tries {
            for which in *new {
                public.put(&artifacts[*which]).unwrap();
            }
            let inner = InProcess::new(&public);
            let mut counting = Counting { inner, evaluated: 0, compared: 0 };
            operator.score(4, &ledger, &mut counting, Some(&rows), None).unwrap();
            assert!(!new.is_empty() || counting.compared == 0, "nothing has come, so nothing is compared");
            evaluated += counting.evaluated;
        }
        assert_eq!(evaluated, 3, "{tries:?}: each artifact once");
        let view = operator.view(&ledger, 0).unwrap();
        let places = plan::assigned(&view, view.task.flight.as_ref().unwrap());
        let scores: BTreeMap<u32, u32> =
            places.into_iter().zip(view.sheet.unwrap().scores.iter().copied()).collect();
        let copies = [0, 1, 2, 3].map(|place| scores[&place] == Score::INVALID.get());
        assert_eq!(copies, [false, true, false, true], "{tries:?}");
        sheets.insert(scores);
    }
    assert_eq!(sheets.len(), 1);
}

#[tokio::test]
async fn each_epoch_is_scored_on_its_own_slice_or_abstained_from() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, stop) = (PrivateKeySigner::random(), Arc::new(AtomicBool::new(false)));
    let model = Model::init(Architecture::mlp(&[16]).unwrap(), &[1; 32]);
    let hash = store(folder.path(), "public").put(&model.to_bytes()).unwrap();
    // A store that everybody can write.
    let (slices, tree) = (store(folder.path(), "slices"), tree(250));
    let url = format!("file:{}", folder.path().join("slices").display());
    let remote = Remote {
        stores: Stores::open([url.as_str()], &Settings::default()).unwrap(),
        limits: Limits::new(1 << 20),
    };
    let key = EvaluationKey::new(&signer, 1, Address::ZERO);
    let mut operator =
        validator(&signer, folder.path(), Some(remote)).with_sealed_data(key.clone(), Arc::clone(&stop));
    let ledger = |epoch: u32| {
        let mut ledger = assigned(&signer, &[B256::from(hash.0)]);
        let task = ledger.tasks.get_mut(&1).unwrap();
        task.params.evaluation_root = tree.root();
        let flight = task.flight.as_mut().unwrap();
        (flight.epoch, flight.seed) = (epoch, B256::from(U256::from(epoch)));
        ledger
    };
    let seal = |index: u32, named: u32| {
        let sealed = seal(&tree.opening(FIRST + index, index).unwrap(), &[key.public()]).unwrap();
        slices.put_named(&sealed_name(1, Address::ZERO, 1, FIRST + named), &sealed).unwrap();
    };
    let scored = |index: u32| {
        let rows = &tree.slices()[index as usize].rows;
        let all: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).collect();
        Some(Some(evaluate(&model, rows, &all).unwrap().score()))
    };
    assert_ne!(scored(1), scored(2));
    let nothing = Dataset { training: rows(0), evaluation: rows(0) };
    // Ten seconds before what is missing is given up, or one.
    let score = async |operator: &mut Operator, index: u32, late: bool| {
        let epoch = FIRST + index;
        let (action, ledger) = (Action::Score { epoch }, ledger(epoch));
        let now = CLOCK.start(epoch, Phase::Commit) + if late { 10 } else { 1 };
        operator.fetch(&action, &ledger, now).await;
        let done = operator.work(&action, &ledger, now, &nothing, None);
        done.map(|()| reported(operator, &ledger))
    };

    seal(1, 1);
    assert_eq!(score(&mut operator, 1, false).await.unwrap(), scored(1));
    // The slice of the epoch before is at hand, and under the name of this one.
    seal(1, 2);
    assert_eq!(score(&mut operator, 2, true).await.unwrap(), Some(None));
    seal(2, 2);
    assert_eq!(score(&mut operator, 2, false).await.unwrap(), scored(2));
    // Who is told to stop has time left when it is back.
    stop.store(true, Ordering::Relaxed);
    assert!(score(&mut operator, 3, false).await.is_err());
}
