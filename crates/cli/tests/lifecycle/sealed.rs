//! A task with sealed evaluation data, with a process for everybody, over Anvil with a block per second: a creator whose daemon
//! is there before its task, knows no password, is killed once and told once to read its configuration again; two nodes; and
//! three validators, of whom one registers its key after the first sealing and one cannot reach the slices in the first epoch.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use aiarena_chain::{
    deploy::Deployment,
    follow::Follower,
    ledger::{Phase, Task},
};
use aiarena_mechanism::Score;
use aiarena_ml::{Dataset, Model, Rows, evaluate};
use aiarena_node::sealed::{
    EvaluationKey, EvaluationKind, Place, SealedError, open, open_published, published_name, sealed_name,
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::{
    primitives::Address,
    providers::{Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use serde_json::json;

use crate::{
    DEPLOYMENT, TASK,
    actor::{Actor, Daemon},
    anvil::Anvil,
    task, task_params, until, until_time,
};

const EPOCHS: u32 = 2;
/// Evaluation rows of the task.
const ROWS: usize = 400;

#[expect(clippy::disallowed_methods, reason = "the clock of the machine is what the chain's is set by")]
fn machine_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Uses these stores from the next start on.
fn use_stores(actor: &Actor, stores: &[&str]) {
    let config = actor.read("aiarena.toml");
    let line = config.lines().find(|line| line.starts_with("stores = ")).unwrap();
    actor.write("aiarena.toml", &config.replace(line, &format!("stores = {stores:?}")));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// No file of a folder has a slice or the pixels of its rows in it.
fn check_secret(folder: &Path, rows: &Rows) {
    for path in files(folder) {
        let bytes = fs::read(&path).unwrap();
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        let shown = holds(b"aiarena slice") || holds(b"aiarena opening") || holds(rows.image(0));
        assert!(!shown, "{} shows evaluation data", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_validators_see_sealed_data_until_the_task_is_over() {
    // The chain's clock is behind that of this machine, which has to be past the end, too, before slices are published.
    let genesis = machine_time() - 2_000;
    let anvil = Anvil::start(&["--timestamp", &genesis.to_string()]);
    let root = tempfile::tempdir().unwrap();
    let (public, slices) = (root.path().join("public"), root.path().join("slices"));
    let url = |folder: &Path| format!("file:{}", folder.display());
    let (public_url, slices_url) = (url(&public), url(&slices));
    let actor = |name: &str, extra: &str| Actor::new(root.path(), name, &anvil, &slices_url, extra);

    let creator = actor("creator", "");
    let train = "[train]\nhidden = []\nrows = 500\npasses = 1\n";
    let nodes: Vec<Actor> = (0..2).map(|i| actor(&format!("node-{i}"), train)).collect();
    let validators: Vec<Actor> = (0..3).map(|i| actor(&format!("validator-{i}"), "")).collect();
    nodes.iter().chain(&validators).for_each(|actor| use_stores(actor, &[&public_url, &slices_url]));
    // It finds models, but no slice.
    use_stores(&validators[1], &[&public_url]);

    let embedded = Dataset::embedded();
    let rows = embedded.evaluation.first(ROWS);
    let own = Dataset { training: embedded.training.first(3), evaluation: rows.clone() };
    own.save(&root.path().join("creator/secret")).unwrap();

    creator.write("deployment.toml", DEPLOYMENT);
    creator.run(&["deploy", "--params", "deployment.toml", "--yes"]);
    let book = creator.read("contracts.json");
    let deployment: Deployment = serde_json::from_str(&book).unwrap();
    let provider = ProviderBuilder::new().connect_http(anvil.url().parse().unwrap()).erased();
    let mut follower = Follower::connect(provider, deployment).await.unwrap();
    follower.sync().await.unwrap();
    for other in nodes.iter().chain(&validators) {
        other.write("contracts.json", &book);
        creator.run(&["token", "mint", "2000", "--to", &other.address(), "--yes"]);
    }
    creator.run(&["token", "mint", "4000", "--yes"]);
    let mut description = json!({
        "title": "sealed", "data": embedded.digest_hex(), "metric": "accuracy", "slice": 0, "licence": "MIT",
        "copy_threshold_ppm": aiarena_ml::COPY_THRESHOLD_PPM, "evaluation": EvaluationKind::SealedSlices,
    });
    // What cannot work is refused before anything is sent.
    let refused = |description: &serde_json::Value, params: &str, why: &str| {
        creator.write("task-description.json", &description.to_string());
        creator.write("task.toml", params);
        let (code, said) = creator.try_run(&["task", "create", "--params", "task.toml", "--yes"]);
        assert!(code == Some(2) && said.contains(why), "{why}: {code:?} {said}");
    };
    let params = task_params("secret", EPOCHS);
    refused(&description, &params, "of their training rows alone");
    description["data"] = json!(embedded.training.digest_hex());
    refused(&description, &task_params("embedded", EPOCHS), "a folder of your own");
    refused(&description, &task_params("secret", 401), "too few for 401 epochs");
    creator.write("task.toml", &params);
    // It finds the task that is made while it runs, and keeps no command of the key from running.
    let mut sealing = creator.daemon("seal");
    until(&mut follower, "the creator's daemon runs", |_| sealing.log().contains("sealing the slices")).await;
    creator.run(&["task", "create", "--params", "task.toml", "--yes"]);
    creator.run(&["task", "fund", "1", "3000", "--yes"]);
    let few = Dataset { evaluation: rows.select(&[7, 0]), ..own };
    few.save(&root.path().join("creator/other")).unwrap();
    creator.write("task.toml", &task_params("other", EPOCHS));
    let (code, said) = creator.try_run(&["task", "create", "--params", "task.toml", "--yes"]);
    assert!(code == Some(2) && said.contains("2 of the evaluation rows are rows of task 1 too"), "{said}");
    // The folder is not needed any more: what was kept is enough.
    fs::remove_dir_all(root.path().join("creator/secret")).unwrap();
    let described = files(&slices);
    let [description] = described.as_slice() else { panic!("only the description is public: {described:?}") };
    let copied = public.join(description.strip_prefix(&slices).unwrap());
    fs::create_dir_all(copied.parent().unwrap()).unwrap();
    fs::copy(description, copied).unwrap();
    std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(|| node.run(&["stake", "1", "500", "--role", "node", "--yes"]));
        }
        for validator in &validators {
            scope.spawn(|| validator.run(&["stake", "1", "1000", "--role", "validator", "--yes"]));
        }
    });

    follower.sync().await.unwrap();
    let clock = follower.ledger().clock;
    anvil.jump_to(clock.start(1, Phase::Submit) - 6);
    let mut training: Vec<Daemon> = nodes.iter().map(|node| node.daemon("train")).collect();
    let mut scoring: Vec<Daemon> = validators[..2].iter().map(|actor| actor.daemon("validate")).collect();

    // In the first epoch the third validator comes when the slice is sealed to the other two already.
    let name = |epoch| sealed_name(deployment.chain_id, deployment.arena, TASK, epoch);
    let sealed_file = |epoch| slices.join(name(epoch).as_str());
    until(&mut follower, "the first slice is sealed", |_| sealed_file(1).exists()).await;
    let first = fs::read(sealed_file(1)).unwrap();
    scoring.push(validators[2].daemon("validate"));
    until(&mut follower, "it is sealed to the third", |_| fs::read(sealed_file(1)).unwrap() != first).await;
    until_time(&mut follower, clock.start(2, Phase::Submit)).await;
    assert!(sealing.get("/health").contains("ok, block"));
    assert!(sealing.get("/metrics").contains("aiarena_slices_sealed_total 2"), "{}", sealing.log());

    use_stores(&validators[1], &[&public_url, &slices_url]);
    scoring[1].signal("HUP");
    let arena = deployment.arena.to_string();
    let artifacts = slices.display().to_string();
    let audit =
        ["audit", "--rpc-url", anvil.url(), "--arena", &arena, "--rescore", "--artifacts", &artifacts];
    let said = creator.run(&audit);
    assert!(said.contains("cannot be evaluated again yet"), "{said}");

    until(&mut follower, "the second seed", |follower| task(follower).epoch(2).is_some()).await;
    sealing.kill();
    sealing = creator.daemon("seal");
    until_time(&mut follower, clock.start(2, Phase::Reveal)).await;
    check_secret(&public, &rows);
    check_secret(&slices, &rows);
    let sealed = fs::read(sealed_file(2)).unwrap();
    let place = Place::of(task(&follower), 2).unwrap();
    let stranger = EvaluationKey::new(&PrivateKeySigner::random(), deployment.chain_id, deployment.arena);
    assert!(matches!(open(&sealed, &stranger, &place), Err(SealedError::OtherRecipients)));

    until_time(&mut follower, clock.start(EPOCHS + 1, Phase::Submit)).await;
    let published =
        |epoch| slices.join(published_name(deployment.chain_id, deployment.arena, TASK, epoch).as_str());
    assert!((1..=EPOCHS).all(|epoch| !published(epoch).exists()), "the end may still be undone");
    let settled = |follower: &Follower| task(follower).settled.len() == EPOCHS as usize;
    until(&mut follower, "all epochs are settled", settled).await;
    sealing.signal("HUP");
    anvil.request("anvil_mine", json!([65]));
    until(&mut follower, "all slices are published", |_| (1..=EPOCHS).all(|e| published(e).exists())).await;
    for daemon in training.iter_mut().chain(&mut scoring).chain([&mut sealing]) {
        daemon.stop();
    }
    let warned = creator.logs();
    assert!(warned.contains("and no usable key") && warned.contains(&validators[2].address()), "{warned}");
    check_scores(task(&follower), &validators, &rows, &slices, published);

    let said = creator.run(&audit);
    assert!(said.contains("Everything agrees") && said.contains("evaluated again"), "{said}");
    let honest = fs::read(published(2)).unwrap();
    let mut tampered = honest.clone();
    *tampered.last_mut().unwrap() ^= 1;
    fs::write(published(2), tampered).unwrap();
    let (code, said) = creator.try_run(&audit);
    assert!(code == Some(1) && said.contains("not what the task's creator promised"), "{code:?} {said}");
    fs::remove_file(published(2)).unwrap();
    let (code, said) = creator.try_run(&audit);
    assert!(code == Some(1) && said.contains("did not publish it"), "{code:?} {said}");
}

/// What is on chain is the accuracy on all rows of the slice; who had no slice abstained from everything.
fn check_scores(
    task: &Task,
    validators: &[Actor],
    rows: &Rows,
    artifacts: &Path,
    published: impl Fn(u32) -> PathBuf,
) {
    let store = FolderStore::open(artifacts, 1 << 26).unwrap();
    let abstention = Score::to_wire(None);
    for flight in &task.settled {
        let epoch = flight.epoch;
        let place = Place::of(task, epoch).unwrap();
        let slice = open_published(&fs::read(published(epoch)).unwrap(), &place).unwrap();
        let half = u32::try_from(ROWS).unwrap() / EPOCHS;
        let numbers: Vec<u32> = ((epoch - 1) * half..epoch * half).collect();
        assert_eq!(slice, rows.select(&numbers), "epoch {epoch}");
        assert_eq!(flight.entries.len(), 2, "epoch {epoch}");
        for entry in &flight.entries {
            let model =
                Model::from_bytes(&store.get(ContentHash(entry.content_hash.0), 1 << 26).unwrap()).unwrap();
            let all: Vec<u32> = (0..half).collect();
            let expected = evaluate(&model, &slice, &all).unwrap().score().get();
            let tally = &flight.outcome.tallies[&entry.node];
            assert_eq!((tally.scored, tally.consensus), (true, expected), "epoch {epoch}, {}", entry.node);
        }
        for (i, validator) in validators.iter().enumerate() {
            let reveal = flight.reveals.get(&validator.address().parse::<Address>().unwrap());
            let reveal = reveal.unwrap_or_else(|| panic!("epoch {epoch}, {i}:\n{}", validator.logs()));
            let abstained = reveal.scores.iter().all(|score| *score == abstention);
            assert_eq!(abstained, (epoch, i) == (1, 1), "epoch {epoch}, {i}:\n{}", validator.logs());
        }
    }
}
