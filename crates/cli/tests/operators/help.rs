//! What `--help` says is kept, so that a change of the command line is seen.

use std::path::Path;

use crate::world::Operator;

const COMMANDS: [&str; 42] = [
    "init",
    "chain",
    "key",
    "key new",
    "key import",
    "key list",
    "key show",
    "doctor",
    "deploy",
    "task",
    "task create",
    "task publish",
    "task list",
    "task show",
    "task fund",
    "task end",
    "stake",
    "unstake",
    "delegate",
    "undelegate",
    "commission",
    "withdraw",
    "claim",
    "reclaim",
    "status",
    "emission",
    "emission show",
    "emission fund",
    "emission admit",
    "emission dismiss",
    "emission fee",
    "emission collect",
    "emission burn",
    "emission transfer",
    "emission accept",
    "emission renounce",
    "token",
    "token mint",
    "node",
    "node train",
    "node validate",
    "node seal",
];

#[test]
fn help_is_that_of_the_golden_file() {
    let operator = Operator::bare();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/operators.txt");
    let help: Vec<String> = COMMANDS
        .iter()
        .map(|command| {
            let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
            operator.ok(&arguments)
        })
        .collect();
    let help = help.join("\n----\n\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &help).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(help, expected, "write it anew with UPDATE_GOLDEN=1 and look at the difference");
}
