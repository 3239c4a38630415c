//! The demo's own material, evaluated again; through the library and through the binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use aiarena_chain::{deploy::Deployment, embedded::EmbeddedChain};
use aiarena_cli::{
    audit::{AuditOptions, AuditReport, Kind, Rescore, audit},
    description::TaskDescription,
};
use aiarena_ml::{Dataset, PIXELS, Rows};
use aiarena_node::sealed::EvaluationKind;
use aiarena_store::{ContentHash, FolderStore};
use serde_json::Value;

fn aiarena(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiarena"));
    command.args(arguments).env_remove("RUST_LOG").output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder that the demo kept, played once for all tests.
fn kept() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let output = aiarena(&["demo", "--epochs", "2", "--nodes", "2", "--validators", "3", "--keep", path]);
        // Whether the demo's own checks hold is another test's business.
        assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
        folder
    });
    folder.path()
}

/// A copy of the folder, to be tampered with.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_into(kept(), folder.path());
    folder
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        match item.file_type().unwrap().is_dir() {
            true => copy_into(&item.path(), &target),
            false => _ = std::fs::copy(item.path(), target).unwrap(),
        }
    }
}

fn deployment(folder: &Path) -> Deployment {
    serde_json::from_slice(&std::fs::read(folder.join("deployment.json")).unwrap()).unwrap()
}

/// The artifacts that nodes opened, oldest first.
fn artifacts(report: &AuditReport) -> Vec<ContentHash> {
    let task = &report.replayed.ledger.tasks[&1];
    task.disclosures.iter().map(|disclosure| ContentHash(disclosure.content_hash.0)).collect()
}

async fn rescored(folder: &Path, data: Dataset, descriptions: Vec<TaskDescription>) -> AuditReport {
    let chain = EmbeddedChain::load(&folder.join("chain.json")).unwrap();
    let store = FolderStore::open(folder.join("artifacts"), 1 << 26).unwrap();
    let mut options = AuditOptions::new(deployment(folder));
    options.rescore = Some(Rescore { data, store, descriptions });
    audit(&chain.provider(), options).await.unwrap()
}

#[tokio::test]
async fn artifacts_score_what_the_consensus_says() {
    let report = rescored(kept(), Dataset::embedded(), vec![TaskDescription::demo()]).await;
    assert!(report.ok, "{}", report.render(false));
    assert!(report.rescored >= Some(6), "{:?}", report.rescored);
}

#[tokio::test]
async fn a_changed_artifact_is_found() {
    let tampered = copy();
    let report = rescored(tampered.path(), Dataset::embedded(), vec![TaskDescription::demo()]).await;
    let file: PathBuf =
        FolderStore::open(tampered.path().join("artifacts"), 1).unwrap().path_of(artifacts(&report)[0]);
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let report = rescored(tampered.path(), Dataset::embedded(), vec![TaskDescription::demo()]).await;
    assert!(report.kinds().contains_key(&Kind::Artifact), "{}", report.render(false));

    std::fs::remove_file(&file).unwrap();
    let report = rescored(tampered.path(), Dataset::embedded(), vec![TaskDescription::demo()]).await;
    assert!(report.kinds().contains_key(&Kind::Artifact), "{}", report.render(false));
}

#[tokio::test]
async fn changed_evaluation_rows_are_found_by_their_digest_and_by_the_scores() {
    let honest = Dataset::embedded();
    let rows = &honest.evaluation;
    let pixels: Vec<u8> = (0..rows.len()).flat_map(|row| rows.image(row).to_vec()).collect();
    assert_eq!(pixels.len(), rows.len() * PIXELS);
    let labels = (0..rows.len()).map(|row| (rows.label(row) + u8::from(row % 3 == 0)) % 10).collect();
    let changed = Dataset { evaluation: Rows::new(pixels, labels).unwrap(), ..honest };
    let report = rescored(kept(), changed, vec![TaskDescription::demo()]).await;
    let kinds = report.kinds();
    assert!(
        kinds.contains_key(&Kind::Data) && kinds.contains_key(&Kind::Rescore),
        "{}",
        report.render(false)
    );
    // Both of the hashes that the creator published: the description's, and the root that is on chain itself.
    let rules: Vec<&str> = report.findings.iter().filter(|f| f.kind == Kind::Data).map(|f| f.rule).collect();
    assert_eq!(rules, ["M-16", "M-1"]);
}

#[test]
fn a_public_description_keeps_the_hash_it_had_before_there_were_sealed_ones() {
    let demo = TaskDescription::demo();
    let json = serde_json::to_string(&demo).unwrap();
    assert!(!json.contains("evaluation\""), "{json}");
    assert_eq!(serde_json::from_str::<TaskDescription>(&json).unwrap(), demo);
    let sealed = TaskDescription { evaluation: EvaluationKind::SealedSlices, ..demo };
    let json = serde_json::to_string(&sealed).unwrap();
    assert!(json.ends_with(r#""evaluation":"sealed_slices"}"#), "{json}");
}

#[tokio::test]
async fn a_task_without_its_description_cannot_be_evaluated() {
    let other = TaskDescription { slice: 7, ..TaskDescription::demo() };
    let report = rescored(kept(), Dataset::embedded(), vec![other]).await;
    assert!(report.kinds().contains_key(&Kind::Data), "{}", report.render(false));
    assert_eq!(report.rescored, Some(0));
}

#[test]
fn the_binary_audits_what_the_demo_kept() {
    let folder = kept().to_str().unwrap();
    let output = aiarena(&["audit", "--dir", folder, "--rescore"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", text(&output.stderr));
    assert!(said.contains("Everything agrees") && said.contains("evaluated again"), "{said}");

    let output = aiarena(&["audit", "--dir", folder, "--json", "-"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert!(report["rescored"].is_null());
    let operator = report["rewards"][0]["operator"].as_str().unwrap();

    let output = aiarena(&["audit", "--dir", folder, "--receipt", operator]);
    let said = text(&output.stdout);
    assert!(said.contains("M-5") && said.contains("as computed"), "{said}");
}

#[test]
fn the_binary_ends_with_1_where_something_was_tampered_with() {
    let tampered = copy();
    let file = tampered.path().join("chain.json");
    let chain = std::fs::read_to_string(&file).unwrap();
    let changed = chain.replacen("\"success\": true", "\"success\": false", 1);
    assert_ne!(chain, changed);
    std::fs::write(&file, changed).unwrap();
    let output = aiarena(&["audit", "--dir", tampered.path().to_str().unwrap()]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}\n{}", text(&output.stderr));
    assert!(said.contains("FOUND") && said.contains("block"), "{said}");
}

#[test]
fn the_binary_says_what_is_missing() {
    let tampered = copy();
    let folder = tampered.path().to_str().unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let output = aiarena(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    };
    refused(&["audit", "--dir", "/nowhere"], "is no folder");
    refused(&["audit", "--dir", folder, "--rescore", "--artifacts", "/nowhere"], "--artifacts names one");
    let arena = deployment(tampered.path()).arena.to_string();
    refused(&["audit", "--rpc-url", "http://127.0.0.1:1", "--arena", &arena], "cannot ask the endpoint");
    std::fs::write(tampered.path().join("eval-data/t10k-labels-idx1-ubyte.gz"), b"no gzip").unwrap();
    refused(&["audit", "--dir", folder, "--rescore"], "cannot load the evaluation data");
    std::fs::write(tampered.path().join("chain.json"), b"{}").unwrap();
    refused(&["audit", "--dir", folder], "cannot load");
    std::fs::remove_file(tampered.path().join("chain.json")).unwrap();
    refused(&["audit", "--dir", folder], "--rpc-url and --arena");
    std::fs::write(tampered.path().join("deployment.json"), b"[]").unwrap();
    refused(&["audit", "--dir", folder], "is not what it should be");
}
