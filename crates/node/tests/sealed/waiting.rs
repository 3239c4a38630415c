//! Validators that wait for slices and score them in time.

use std::time::{Duration, Instant};

use aiarena_chain::{
    client::Account,
    deploy::Deployment,
    ledger::{Disclosure, Entry, Ledger},
};
use aiarena_mechanism::Score;
use aiarena_ml::Rows;
use aiarena_node::{
    evaluator::Evaluator,
    judge::Verdict,
    operator::{Duty, Honest, Operator, Shelves},
    salt::Salts,
    sealed::{SealedError, await_slice, sealed_name},
};
use aiarena_store::{FolderStore, Limits, Policy, Settings, Stores};
use alloy::{
    primitives::{Address, B256},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};
use tokio::net::TcpListener;

use crate::{CLOCK, CONSTANTS, drawn, rows};

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
    let limits = Limits::new(1 << 20);
    let wait = |secs| await_slice(&stores, &name, &limits, tokio::time::Instant::now() + secs, read);
    let missing = wait(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(missing.0.len(), 3, "{missing}");

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

/// A ledger in which the signer has to score these artifacts, which are of growing size in `store` and in another order
/// on the list.
fn assigned(signer: &PrivateKeySigner, store: &FolderStore, count: u8) -> (Ledger, Vec<B256>) {
    let mut task = drawn(B256::ZERO, &[1]);
    let pool = task.pools.remove(&Address::repeat_byte(1)).unwrap();
    task.pools.insert(signer.address(), pool);
    let artifacts: Vec<B256> =
        (1..=count).map(|size| B256::from(store.put(&vec![size; size.into()]).unwrap().0)).collect();
    let entry = |(number, content_hash): (u64, B256)| Entry {
        node: Address::repeat_byte(100 + u8::try_from(number).unwrap()),
        number,
        content_hash,
        uri: String::new(),
        withdrawn_in: None,
        consensus: None,
        duplicate: false,
        queued: false,
    };
    let flight = task.flight.as_mut().unwrap();
    flight.entries = (1..).zip(artifacts.iter().rev().copied()).map(entry).collect();
    flight.listed = (0..count.into()).collect();
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
    (ledger, artifacts)
}

#[tokio::test]
async fn one_endless_artifact_costs_no_other_its_score() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| FolderStore::open(folder.path().join(name), 1 << 20).unwrap();
    let signer = PrivateKeySigner::random();
    let (ledger, artifacts) = assigned(&signer, &store("public"), 6);
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
    let shelves = Shelves { drafts: store("drafts"), public: store("public"), remote: None };
    let salts = Salts::new(&signer, 1, Address::ZERO);
    let account = Account::new(rpc, signer);
    let mut operator = Operator::new(account, salts, deployment, 1, shelves, duty);

    let mut sheet = |endless: usize, time: Duration| {
        let mut slow = Slow { endless: artifacts[endless], deadline: None, asked: Vec::new() };
        let begun = tokio::time::Instant::now();
        operator.score(4, &ledger, &mut slow, Some(&rows(3)), Some(begun + time)).unwrap();
        assert!(begun.elapsed() < time + Duration::from_secs(1));
        let scores = operator.view(&ledger, 0).unwrap().sheet.unwrap().scores.clone();
        let abstention = Score::to_wire(None);
        (slow.asked, scores.iter().filter(|score| **score == abstention).count(), scores.len())
    };
    // The second smallest: the others have their scores before it gets a second try.
    let (asked, abstained, all) = sheet(1, Duration::from_millis(400));
    let again = [&artifacts[..], &artifacts[1..2]].concat();
    assert_eq!((asked, abstained, all), (again, 1, 6), "from small to large");
    assert_eq!(sheet(0, Duration::ZERO), (Vec::new(), 1, 6), "what was found is kept, and a sheet is owed");
}
