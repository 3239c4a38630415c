//! The commands of `docs/operators.md`, run in their order, with the daemons that it starts, up to the end of a task; those that
//! are only named there and elsewhere are the program's.

use std::{collections::BTreeMap, path::Path, process::Command};

use aiarena_chain::ledger::{Flight, Phase, Task};
use aiarena_cli::args::Cli;
use aiarena_ml::Dataset;
use clap::{Parser, error::ErrorKind};
use serde_json::{Value, json};

use crate::{
    clockwork::{Clockwork, Daemon},
    contrib,
    world::{Anvil, Operator, PASSWORD, get, said, shell},
};

/// In the endpoint's URL, and nowhere else.
const SECRET: &str = "topsecret";
/// Any account.
const SOMEBODY: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
/// Rows that the creator of the sealed task has.
const ROWS: usize = 300;
/// Longer than stake unbonds, and a task takes to end, in seconds.
const NOTICE: u64 = 10 * 86_400;
/// Commands that pay whoever gives them.
const PAYING: [&str; 4] = [" claim ", " withdraw ", " reclaim ", " emission collect "];

/// What the guide tells its reader to do.
#[derive(Debug)]
enum Step {
    Run(String),
    Edit { file: String, lines: String },
}

/// The folder whose configuration a command of the guide names.
fn folder(command: &str) -> Option<&str> {
    Some(command.split_once("--config ")?.1.split_once('/')?.0)
}

/// The lines that begin with `$ ` in the blocks marked `console`, and the blocks that name a file.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (kind, lines) = block.split_once('\n').expect("a block has lines");
        match kind.split_once(' ') {
            Some((_, file)) => steps.push(Step::Edit { file: file.to_owned(), lines: lines.to_owned() }),
            None if kind == "console" => {
                let commands = lines.lines().filter_map(|line| line.strip_prefix("$ "));
                steps.extend(commands.map(|command| Step::Run(command.to_owned())));
            }
            None => {}
        }
    }
    steps
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Puts lines in place of those of the same name, which may be comments.
fn edit(path: &Path, lines: &str) {
    let text = std::fs::read_to_string(path).expect("the guide made the file");
    let text = if path.extension().is_some_and(|kind| kind == "json") {
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        let new: serde_json::Map<String, Value> = serde_json::from_str(lines).expect("a JSON object");
        value.as_object_mut().expect("an object").extend(new);
        value.to_string()
    } else {
        lines.lines().fold(text, |text, line| {
            let (key, _) = line.split_once(" = ").expect("key = value");
            let place = |old: &&str| old.trim_start_matches("# ").starts_with(&format!("{key} = "));
            let old = text.lines().find(place).unwrap_or_else(|| panic!("{} has no {key}", path.display()));
            text.replacen(old, line, 1)
        })
    };
    std::fs::write(path, text).expect("a file");
}

/// An epoch of all tasks, played by the daemons.
async fn play(mut clockwork: Clockwork<'_>) {
    clockwork.jump(Phase::Submit).await;
    clockwork.until_all("a submission is committed to", |task| !task.pledges.is_empty()).await;
    assert_eq!(clockwork.ledger().tasks.len(), 2, "one daemon serves two tasks");
    let flight = |task: &Task, done: fn(&Flight) -> bool| {
        task.flight.as_ref().is_some_and(done) || !task.settled.is_empty()
    };
    clockwork.jump(Phase::Disclose).await;
    clockwork.until_all("it is disclosed", |task| !task.disclosures.is_empty()).await;
    clockwork.jump(Phase::Seed).await;
    clockwork.until_all("the seed is drawn", |task| task.flight.is_some()).await;
    clockwork.jump(Phase::Commit).await;
    let done = |task: &Task| flight(task, |flight| !flight.commitments.is_empty());
    clockwork.until_all("scores are committed to", done).await;
    clockwork.jump(Phase::Reveal).await;
    clockwork.until_all("they are revealed", |task| flight(task, |flight| !flight.reveals.is_empty())).await;
    clockwork.jump(Phase::Settle).await;
    clockwork.until_all("the epoch is settled", |task| !task.settled.is_empty()).await;
    for task in clockwork.ledger().tasks.values() {
        let outcome = &task.settled[0].outcome;
        assert_eq!((outcome.nodes.len(), outcome.validators.len()), (1, 1), "task {}", task.number);
    }
}

/// The reader of the guide.
struct Reader {
    anvil: Anvil,
    operator: Operator,
    /// What stands for what.
    placeholders: BTreeMap<&'static str, String>,
    daemons: Vec<Daemon>,
}

impl Reader {
    fn new() -> Self {
        let (anvil, operator) = (Anvil::start(), Operator::bare());
        let host = anvil.url.trim_start_matches("http://");
        let own = Dataset::embedded();
        let rows = Dataset { training: own.training.first(3), evaluation: own.evaluation.first(ROWS) };
        rows.save(&operator.path("creator/my-rows")).expect("the creator has rows");
        let mut placeholders = BTreeMap::from([
            // A key in it is shown nowhere.
            ("RPC_URL", format!("'http://somebody:{SECRET}@{host}/?apikey={SECRET}'")),
            ("STORE", format!("file:{}", operator.path("store").display())),
            ("DIGEST", own.training.digest_hex()),
        ]);
        for port in ["9464", "9465", "9466"] {
            placeholders.insert(port, crate::world::free_port().to_string());
        }
        Self { anvil, operator, placeholders, daemons: Vec::new() }
    }

    fn fill(&self, text: &str) -> String {
        self.placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = shell(command);
        shell.current_dir(self.operator.folder.path()).env("AIARENA_PASSWORD", PASSWORD);
        shell
    }

    fn run(&mut self, command: &str) {
        let filled = self.fill(command);
        if ["train", "validate", "seal"].iter().any(|role| command.ends_with(&format!(" node {role}"))) {
            let log = self.operator.path(&format!("log-{}", self.daemons.len()));
            let daemon = Daemon::start(self.shell(&format!("exec {filled}")), command, &log);
            self.daemons.push(daemon);
            return;
        }
        if command.contains("# when an epoch is settled") {
            self.earn();
        } else if command.contains("# when the date has come") {
            self.anvil.pass(NOTICE);
        }
        let refuses = command.contains("# refuses");
        let pays = PAYING.iter().any(|paying| command.contains(paying)) && !refuses;
        let before = if pays { self.tokens(command) } else { 0.0 };
        let output = self.shell(&filled).output().expect("a shell");
        let text = said(&output);
        assert_eq!(output.status.code(), Some(i32::from(refuses)), "{filled}: {text}");
        assert!(!text.contains(SECRET), "{filled}: {text}");
        if pays {
            let got = self.tokens(command) - before;
            assert!(got > 0.0, "{filled} pays {got}: {text}");
        }
        if command.ends_with("key new") {
            let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            // Somebody sends the account coins for its gas.
            self.anvil.fund(&address);
            let name = match folder(command) {
                Some("creator") => "CREATOR",
                Some("delegator") => "DELEGATOR",
                Some("validator") => "VALIDATOR",
                other => {
                    assert_eq!(other, None, "{command}");
                    self.placeholders.insert("OPERATOR", address.clone());
                    "ADDRESS"
                }
            };
            self.placeholders.insert(name, address);
        }
    }

    /// Tokens of whoever gives this command.
    fn tokens(&self, command: &str) -> f64 {
        let file = folder(command).map_or("aiarena.toml".to_owned(), |name| format!("{name}/aiarena.toml"));
        let status = self.operator.json(&["status", "--json", "--config", &file]);
        status["tokens"].as_str().and_then(|text| text.parse().ok()).expect("an amount")
    }

    /// The daemons play an epoch and are stopped.
    fn earn(&mut self) {
        assert_eq!(self.daemons.len(), 3, "the guide starts a node, a validator and a creator");
        let book = self.operator.read("contracts.json");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            play(Clockwork::new(&self.anvil.url, &book, &self.daemons).await).await;
        });
        self.check_metrics();
        for daemon in self.daemons.drain(..) {
            let log = daemon.stop();
            assert!(!log.contains(SECRET), "{log}");
        }
    }

    /// Each daemon serves what the dashboard shows, and no secret.
    fn check_metrics(&self) {
        let dashboard = contrib::dashboard();
        let host = self.anvil.url.trim_start_matches("http://");
        for (port, role, stake) in [("9464", "node", 150), ("9465", "creator", 0), ("9466", "validator", 600)]
        {
            let port = self.placeholders[port].parse().expect("a port");
            let metrics = get(port, "/metrics");
            assert!(!metrics.contains(SECRET) && !metrics.contains("somebody"), "{role}: {metrics}");
            assert!(
                metrics.contains(&format!("aiarena_rpc_requests_total{{host=\"{host}\"}} ")),
                "{role}: {metrics}"
            );
            assert!(
                metrics.contains(&format!("aiarena_rpc_errors_total{{host=\"{host}\"}} 0")),
                "{role}: {metrics}"
            );
            for task in [1, 2] {
                let line = format!("aiarena_stake_tokens{{task=\"{task}\"}} {stake}\n");
                assert_eq!(metrics.contains(&line), stake > 0, "{role}: {metrics}");
                let missed = format!("aiarena_deadlines_missed{{task=\"{task}\"}} 0\n");
                assert_eq!(metrics.contains(&missed), stake > 0, "{role}: {metrics}");
            }
            for name in contrib::names(&metrics) {
                assert!(dashboard.contains(&name), "{role}: the dashboard does not show {name}");
            }
            assert!(get(port, "/health").starts_with("ok, block"), "{role}");
        }
    }
}

#[test]
fn the_guide_works_as_it_is_written() {
    let steps = steps(&read("docs/operators.md"));
    assert!(steps.len() > 40, "{steps:?}");
    let mut reader = Reader::new();
    for step in steps {
        match step {
            Step::Run(command) => reader.run(&command),
            Step::Edit { file, lines } => edit(&reader.operator.path(&file), &reader.fill(&lines)),
        }
    }
    assert!(reader.daemons.is_empty(), "the guide comes to a claim");
    let left = reader.operator.json(&["status", "--json", "--config", "delegator/aiarena.toml"]);
    assert_eq!(
        (&left["holdings"][0]["stake"], &left["holdings"][0]["unbonding"]),
        (&"75".into(), &json!([]))
    );
}

/// The walk in the README is a part of the guide's, which is run above.
#[test]
fn the_walk_of_the_readme_is_that_of_the_guide() {
    let commands = |file: &str| -> Vec<String> {
        let run = |step| if let Step::Run(command) = step { Some(command) } else { None };
        steps(&read(file))
            .into_iter()
            .filter_map(run)
            .filter(|command| command.starts_with("aiarena "))
            .collect()
    };
    let walk = commands("README.md");
    let mut guide = commands("docs/operators.md").into_iter();
    assert!(walk.first().is_some_and(|command| command.starts_with("aiarena init ")), "{walk:?}");
    assert!(walk.last().is_some_and(|command| command.starts_with("aiarena claim ")), "{walk:?}");
    for command in walk {
        assert!(guide.any(|step| step == command), "the guide does not run, or not in this order: {command}");
    }
}

/// What is wrong with a command line; nothing if only a part of it is shown.
fn wrong(line: &str) -> Option<clap::Error> {
    let error = Cli::try_parse_from(line.split_whitespace()).err()?;
    let partial = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    (error.use_stderr() && !partial.contains(&error.kind())).then_some(error)
}

/// What the guide does is run above, what the demo does in a test of its own; here the command lines are those of the program.
#[test]
fn the_commands_of_the_readme_are_those_of_the_program() {
    let readme = read("README.md");
    let makefile = read("Makefile");
    let mut seen = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with("aiarena ") {
            continue;
        }
        if let Some(target) = line.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}:")), "{line}");
        } else {
            let arguments = line.strip_prefix("cargo run --release --").unwrap_or_else(|| panic!("{line}"));
            let line = format!("aiarena {}", arguments.replace("ADDRESS", SOMEBODY));
            assert!(wrong(&line).is_none(), "{line}: {:?}", wrong(&line));
        }
        seen += 1;
    }
    assert!(seen > 5, "the README shows commands");
    assert!(readme.contains("docs/operators.md"));
}

#[test]
fn commands_that_texts_mention_are_those_of_the_program() {
    let mut seen = 0;
    for file in
        ["README.md", "SECURITY.md", "docs/operators.md", "docs/sealed-data.md", "docs/threat-model.md"]
    {
        let text = read(file);
        let shown = steps(&text).into_iter().filter_map(|step| match step {
            Step::Run(command) => Some(command.split('#').next().unwrap_or_default().to_owned()),
            Step::Edit { .. } => None,
        });
        let prose: String = text.split("\n```").step_by(2).collect();
        let named = prose.split('`').skip(1).step_by(2).map(str::to_owned);
        for line in shown.chain(named).filter(|line| line.starts_with("aiarena ")) {
            let addresses = ["ADDRESS", "OPERATOR", "VALIDATOR", "CREATOR", "DELEGATOR"];
            let filled =
                addresses.iter().fold(line.replace("TASK", "1"), |line, name| line.replace(name, SOMEBODY));
            assert!(wrong(&filled).is_none(), "{file}: {line}: {:?}", wrong(&filled));
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen} commands are mentioned");
    assert!(wrong("aiarena audit --rescored").is_some() && wrong("aiarena task begin 1").is_some());
}
