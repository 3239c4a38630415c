//! Whatever goes wrong, `--json` prints one object of one shape.

use aiarena_cli::args::Cli;
use clap::CommandFactory;
use serde_json::{Value, json};

use crate::{
    journey::arena,
    world::{Anvil, CHAIN_ID, Operator, said},
};

const SOMEBODY: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// All commands with a flag `--json`, with arguments that they take.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(&Cli::command(), &[], &mut found);
    found
}

fn collect(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    for sub in command.get_subcommands() {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        collect(sub, &path, found);
        let flag = |arg: &clap::Arg| arg.get_long() == Some("json") && !arg.get_action().takes_values();
        if !sub.get_arguments().any(flag) {
            continue;
        }
        let mut arguments = path.clone();
        for positional in sub.get_positionals() {
            arguments.push(match positional.get_id().as_str() {
                "task" => "7".to_owned(),
                "operator" | "to" => SOMEBODY.to_owned(),
                "amount" | "percent" => "1".to_owned(),
                "name" => "another".to_owned(),
                "folder" => "elsewhere".to_owned(),
                other => panic!("{path:?} has an argument that this test does not know: {other}"),
            });
        }
        for (flag, value) in [
            ("params", "params.toml"),
            ("role", "node"),
            ("treasury", SOMEBODY),
            ("network", "anvil"),
            ("yes", ""),
        ] {
            if sub.get_arguments().any(|arg| arg.get_long() == Some(flag)) {
                arguments.push(format!("--{flag}"));
                arguments.extend((!value.is_empty()).then(|| value.to_owned()));
            }
        }
        arguments.push("--json".to_owned());
        found.push(arguments);
    }
}

/// Runs a command; its exit code, and the error if there was one.
fn run(operator: &Operator, command: &[String]) -> (i32, Option<Value>) {
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = operator.run(&arguments);
    let code = output.status.code().expect("it ends by itself");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{command:?} prints no JSON object, {error}: {}", said(&output)));
    if code == 0 {
        assert_ne!(report["ok"], json!(false), "{command:?}: {report}");
        return (code, None);
    }
    assert_eq!(report["ok"], json!(false), "{command:?}: {report}");
    let why = report["error"].as_str().unwrap_or_else(|| panic!("{command:?} does not say why: {report}"));
    assert!(!why.is_empty() && !why.starts_with("error"), "{command:?}: {report}");
    let advice = report.get("advice").unwrap_or_else(|| panic!("{command:?}: {report}"));
    assert!(advice.is_null() || advice.is_string(), "{command:?}: {report}");
    assert_eq!(report["transactions"], json!([]), "{command:?}: {report}");
    // People are told the same.
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = why.lines().next().unwrap_or_default();
    assert!(text.contains(&format!("error: {first}")), "{command:?}: {report}, {text}");
    (code, Some(report))
}

/// Runs all commands but those that succeed; each must fail with this code, and all say one of the reasons.
fn all_fail(operator: &Operator, succeed: &[&str], expected: i32, reasons: &[&str]) {
    for command in commands() {
        let (code, report) = run(operator, &command);
        let name = command.join(" ");
        if succeed.iter().any(|free| name.starts_with(free)) {
            assert_eq!(code, 0, "{command:?}: {report:?}");
            continue;
        }
        let report = report.unwrap_or_else(|| panic!("{command:?} does not fail"));
        // What the doctor finds wrong is its answer.
        let expected = if name.starts_with("doctor") { 1 } else { expected };
        assert_eq!(code, expected, "{command:?}: {report}");
        let text = report.to_string();
        assert!(reasons.iter().any(|reason| text.contains(reason)), "{command:?}: {report}");
    }
}

#[test]
fn errors_have_one_shape_in_all_commands() {
    let commands = commands();
    assert!(commands.len() > 25, "{commands:?}");
    let anvil = Anvil::start();

    // From nothing to an arena in which nothing can be done.
    let operator = Operator::bare();
    all_fail(&operator, &["init"], 2, &["aiarena init"]);
    operator.write("aiarena.toml", "[network\n");
    all_fail(&operator, &[], 2, &["aiarena.toml"]);
    operator.ok(&["init", "--force", "--rpc", "http://127.0.0.1:1", "--chain-id", CHAIN_ID]);
    // What is there already.
    let there = ["elsewhere/aiarena.toml exists", "another.json exists"];
    let keys = ["key new", "key list", "key show"];
    let lacks = ["no endpoint answers", "aiarena key new", "params.toml"];
    all_fail(&operator, &keys, 2, &[&lacks[..], &there].concat());
    let me = operator.ok(&["key", "new"]);
    operator.ok(&["init", "--force", "--rpc", &anvil.url, "--chain-id", CHAIN_ID]);
    let keys = ["key list", "key show"];
    all_fail(&operator, &keys, 2, &[&["no address book", "params.toml"][..], &there].concat());
    operator.ok(&["init", "--force", "--rpc", &anvil.url, "--chain-id", "1"]);
    all_fail(&operator, &keys, 2, &[&["is of chain 84532", "params.toml"][..], &there].concat());

    // Without tokens, task or ownership everything that sends is refused, by us or by a contract.
    let (owner, _) = arena(&anvil);
    operator.ok(&["init", "--force", "--rpc", &anvil.url, "--chain-id", CHAIN_ID]);
    anvil.fund(me.trim());
    operator.write("contracts.json", &owner.read("contracts.json"));
    let reads = ["key list", "key show", "doctor", "task list", "status", "emission show"];
    let makes = ["init", "key new", "key import"];
    let asks = |command: &&Vec<String>| {
        let name = command.join(" ");
        !name.contains("--params") && !makes.iter().any(|makes| name.starts_with(makes))
    };
    for command in commands.iter().filter(asks) {
        let (code, report) = run(&operator, command);
        let reads = reads.iter().any(|read| command.join(" ").starts_with(read));
        assert_eq!(code, i32::from(!reads), "{command:?}: {report:?}");
    }
}

#[test]
fn command_lines_that_are_of_no_use_are_told_as_json_too() {
    let operator = Operator::bare();
    for command in commands() {
        let (code, report) = run(&operator, &[&command[..], &["--nonsense".to_owned()]].concat());
        assert_eq!(code, 2);
        assert!(
            report.is_some_and(|report| report["error"].to_string().contains("--nonsense")),
            "{command:?}"
        );
    }
    // Without the flag nothing is on standard output.
    let output = operator.run(&["stake", "--nonsense"]);
    assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{}", said(&output));
    // Nor where it means something else; a file may have the name of such a command.
    assert!(run(&operator, &["--config", "demo", "status", "--json"].map(str::to_owned)).1.is_some());
    let output = operator.run(&["demo", "--json"]);
    assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{}", said(&output));
}

#[test]
fn what_was_mined_before_an_error_is_told() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    owner.ok(&["token", "mint", "1000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    // The task is created, but its description cannot be put anywhere.
    owner.write("blocked", "");
    let config =
        owner.read("aiarena.toml").replace("[operator]\n", "[operator]\nstores = [\"file:blocked/store\"]\n");
    owner.write("aiarena.toml", &config);
    let output = owner.run(&["task", "create", "--params", "task.toml", "--yes", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((output.status.code(), &report["ok"]), (Some(2), &json!(false)), "{report}");
    assert_eq!(report["transactions"].as_array().map(Vec::len), Some(2), "{report}");
    // Another command adds which stores have it.
    let output = owner.run(&["task", "publish", "1", "--params", "task.toml", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((output.status.code(), &report["ok"]), (Some(2), &json!(false)), "{report}");
    assert_eq!(
        (&report["stores"][0]["put"], &report["transactions"]),
        (&json!(false), &json!([])),
        "{report}"
    );
}
