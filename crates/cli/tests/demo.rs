//! The demo through the binary, as a user runs it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn aiarena(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aiarena"));
    command.args(arguments).env_remove("RUST_LOG").output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}\n{}", text(&output.stdout), text(&output.stderr)))
}

/// The report without its times, which alone may differ between two runs.
fn without_times(mut report: Value) -> Value {
    let fields = report.as_object_mut().expect("a report is an object");
    assert!(fields.remove("wall_seconds").is_some_and(|seconds| seconds.as_f64() > Some(0.0)));
    assert!(fields.remove("seconds").is_some());
    report
}

fn amount(value: &Value) -> u128 {
    value.as_str().expect("amounts are decimal strings").parse().expect("amounts are decimal strings")
}

#[test]
fn the_default_demo_holds_every_check_and_says_all_it_must() {
    let output = aiarena(&["demo", "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let report = report(&output);
    assert_eq!(report["ok"], true);
    assert_eq!(report["seed"], 1);
    assert_eq!(report["epochs"], 3);
    assert_eq!(report["conservation_difference"], "0");
    assert!(report["fairness"].as_f64() >= Some(0.98), "{}", report["fairness"]);
    assert!(report["payments"].as_u64() >= Some(3 * (6 + 7)), "{}", report["payments"]);

    let nodes = report["leaderboard"].as_array().expect("a list");
    assert_eq!(nodes.len(), 8);
    for row in nodes {
        for field in
            ["name", "address", "behaviour", "true_score", "consensus_score", "rank", "stake", "reward"]
        {
            assert!(row.get(field).is_some(), "{field} of {row}");
        }
    }
    let ranked: Vec<&Value> = nodes.iter().filter(|row| !row["rank"].is_null()).collect();
    assert_eq!(ranked.len(), 6, "the copier and the broken files are not ranked");
    let scores: Vec<u64> = ranked.iter().filter_map(|row| row["true_score"].as_u64()).collect();
    assert!(scores.is_sorted_by(|a, b| a > b), "the order follows true skill: {scores:?}");
    assert!(ranked.iter().all(|row| amount(&row["reward"]) > 0));
    assert!(nodes.iter().filter(|row| row["rank"].is_null()).all(|row| row["reward"] == "0"));

    let validators = report["validators"].as_array().expect("a list");
    assert_eq!(validators.len(), 8);
    let per_stake = |row: &Value| amount(&row["reward"]) as f64 / amount(&row["stake"]) as f64;
    let honest = validators.iter().filter(|row| row["behaviour"] == "honest").map(per_stake);
    let worst = honest.fold(f64::INFINITY, f64::min);
    for row in validators.iter().filter(|row| row["behaviour"] != "honest") {
        assert!(per_stake(row) < worst, "{row}");
    }
    for row in validators {
        let silent = row["behaviour"] == "commits, never reveals";
        assert_eq!(amount(&row["slashed"]) > 0, silent, "{row}");
    }
    let slashed: u128 = validators.iter().map(|row| amount(&row["slashed"])).sum();
    assert_eq!(amount(&report["burned"]), slashed);
    assert!(amount(&report["fees"]) > 0);
    let delegators = report["delegators"].as_array().expect("a list");
    assert_eq!(delegators.len(), 3);
    assert!(delegators.iter().all(|row| amount(&row["reward"]) > 0));
    for action in [
        "admit",
        "burn",
        "claim",
        "commitSubmission",
        "payNodes",
        "reclaim",
        "reportUnrevealed",
        "revealScores",
        "tally",
        "undelegate",
        "withdraw",
    ] {
        let row = &report["gas"][action];
        assert!(row["count"].as_u64() > Some(0) && row["mean"].as_u64() <= row["max"].as_u64(), "{action}");
    }
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_seed_another_one() {
    let run = |seed| {
        let output = aiarena(&[
            "demo",
            "--epochs",
            "2",
            "--nodes",
            "2",
            "--validators",
            "3",
            "--seed",
            seed,
            "--json",
            "-",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        without_times(report(&output))
    };
    let first = run("5");
    assert_eq!(first.to_string(), run("5").to_string());
    assert_ne!(first.to_string(), run("6").to_string());
}

#[test]
fn a_hostile_majority_of_stake_makes_the_checks_fail() {
    let output = aiarena(&[
        "demo",
        "--epochs",
        "2",
        "--nodes",
        "3",
        "--validators",
        "3",
        "--liar-stake",
        "50000",
        "--json",
        "-",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report = report(&output);
    assert_eq!(report["ok"], false);
    let failed: Vec<&str> = report["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|check| check["ok"] == false)
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert!(failed.iter().any(|name| name.contains("rank by their true skill")), "{failed:?}");
    assert!(failed.iter().any(|name| name.contains("fairness")), "{failed:?}");
    assert!(failed.iter().any(|name| name.contains("liar")), "{failed:?}");
    // The liar can buy the ranking, but neither tokens from nowhere nor payments against the rules.
    assert_eq!(report["conservation_difference"], "0");
    assert!(!failed.iter().any(|name| name.contains("auditor")), "{failed:?}");
}

/// Anvil from the npm packages of `contracts`, on a port of its own choice; ends with the test.
struct Anvil {
    child: Child,
    url: String,
}

impl Anvil {
    fn start(chain_id: &str) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/tools/native");
        let child = Command::new(&tool)
            .args(["anvil", "--port", "0", "--chain-id", chain_id])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{}: {error}; `make test` installs Anvil into contracts/", tool.display())
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("Anvil says where it listens").expect("text");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // Anvil stops if nobody reads what it prints.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_same_demo_runs_on_anvil_under_the_chain_id_of_base_sepolia() {
    let anvil = Anvil::start("84532");
    let output = aiarena(&["demo", "--rpc-url", &anvil.url, "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let report = report(&output);
    assert_eq!(report["chain_id"], 84_532);
    assert_eq!(report["ok"], true);
    assert_eq!(report["audit_findings"], Value::Array(Vec::new()));
}

/// A server that answers every request as a public chain's node would.
fn public_node() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = r#"{"jsonrpc":"2.0","id":0,"result":"Geth/v1.14.0/linux-amd64/go1.22"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

const ZERO: &str = "0x0000000000000000000000000000000000000000";

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let public = public_node();
    let not_a_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let not_a_folder = not_a_folder.to_str().expect("a path in Unicode");
    for (arguments, reason) in [
        (vec!["demo", "--rpc-url", public.as_str()], "needs a development chain"),
        (vec!["demo", "--rpc-url", "http://127.0.0.1:1"], "recognise the chain"),
        (vec!["demo", "--rpc-url", "no url"], "is no URL"),
        (vec!["demo", "--rpc-url", ""], "a value is required"),
        (vec!["demo", "--nodes", "1"], "--nodes must be 2 to 24"),
        (vec!["demo", "--nodes", "-1"], "unexpected argument"),
        (vec!["demo", "--validators", "2"], "--validators must be 3 to 40"),
        (vec!["demo", "--epochs", "0"], "0 is not in 1..=100"),
        (vec!["demo", "--seed", "18446744073709551616"], "number too large"),
        (vec!["demo", "--keep", not_a_folder], "cannot create"),
        (vec!["audit"], "--rpc-url"),
        (vec!["audit", "--dir", "x", "--rpc-url", "y", "--arena", ZERO], "cannot be used with"),
        (vec!["audit", "--rpc-url", "http://127.0.0.1:1"], "--arena"),
        (vec!["nothing"], "unrecognized subcommand"),
    ] {
        let output = aiarena(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}: results alone belong on standard output");
    }
}

#[test]
fn help_and_completions_come_from_the_same_definitions() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    let help: Vec<String> = [vec!["--help"], vec!["demo", "--help"], vec!["audit", "--help"]]
        .iter()
        .map(|arguments| text(&aiarena(arguments).stdout))
        .collect();
    let help = help.join("\n----\n\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &help).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(help, expected, "write it anew with UPDATE_GOLDEN=1 and look at the difference");
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&aiarena(&["completions", shell]).stdout);
        assert!(script.contains("rpc-url") && script.contains("audit"), "{shell}");
    }
}
