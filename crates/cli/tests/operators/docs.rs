//! The commands of `docs/operators.md`, run in their order, with the daemons that it starts, up to a claim.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aiarena_chain::{
    deploy::Deployment,
    follow::Follower,
    ledger::{Phase, Task},
};
use aiarena_ml::Dataset;
use aiarena_node::plan::commits_from;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use clap::Parser;
use serde_json::Value;

use crate::{
    contrib,
    world::{Anvil, Operator, PASSWORD, get, said, shell},
};

/// In the endpoint's URL, and nowhere else.
const SECRET: &str = "topsecret";
/// Rows that the creator of the sealed task has.
const ROWS: usize = 300;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the guide tells its reader to do.
#[derive(Debug)]
enum Step {
    Run(String),
    Edit { file: String, lines: String },
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

/// A daemon that the guide starts.
struct Daemon {
    command: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(mut shell: Command, command: &str, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log");
        let child = shell.stdout(Stdio::null()).stderr(file).spawn().expect("a shell");
        Self { command: command.to_owned(), child, log }
    }

    fn log(&self) -> String {
        format!("{}\n{}", self.command, std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Tells it to stop, which it does by itself.
    fn stop(mut self) -> String {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none(), "it ended by itself, {ended:?}: {}", self.log());
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "it is there");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the time of an epoch pass, phase by phase, each as soon as the daemons did in all tasks what they have to do before.
struct Clockwork<'a> {
    provider: DynProvider,
    follower: Follower,
    daemons: &'a [Daemon],
}

impl Clockwork<'_> {
    async fn ask(&self, method: &'static str, params: Value) {
        self.provider.raw_request::<_, Value>(method.into(), params).await.expect("Anvil answers");
    }

    async fn jump(&mut self, phase: Phase) {
        let clock = self.follower.ledger().clock;
        let time = if phase == Phase::Commit { commits_from(&clock, 1) } else { clock.start(1, phase) };
        self.ask("evm_setNextBlockTimestamp", serde_json::json!([time])).await;
        self.ask("evm_mine", serde_json::json!([])).await;
    }

    /// Waits until something holds of all tasks; a block four times a second is what moves the chain's clock meanwhile.
    async fn until(&mut self, what: &str, holds: impl Fn(&Task) -> bool) {
        let patience = Instant::now() + PATIENCE;
        loop {
            self.follower.sync().await.expect("the chain can be read");
            if self.follower.ledger().tasks.values().all(&holds) {
                return;
            }
            if Instant::now() > patience {
                let logs: Vec<String> = self.daemons.iter().map(Daemon::log).collect();
                panic!("not in time: {what}\n{}", logs.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.ask("evm_mine", serde_json::json!([])).await;
        }
    }

    async fn play(mut self) {
        self.follower.sync().await.expect("the chain can be read");
        assert_eq!(self.follower.ledger().tasks.len(), 2, "one daemon serves two tasks");
        let flight = |task: &Task, done: fn(&aiarena_chain::ledger::Flight) -> bool| {
            task.flight.as_ref().is_some_and(done) || !task.settled.is_empty()
        };
        self.jump(Phase::Submit).await;
        self.until("a submission is committed to", |task| !task.pledges.is_empty()).await;
        self.jump(Phase::Disclose).await;
        self.until("it is disclosed", |task| !task.disclosures.is_empty()).await;
        self.jump(Phase::Seed).await;
        self.until("the seed is drawn", |task| task.flight.is_some()).await;
        self.jump(Phase::Commit).await;
        self.until("scores are committed to", |task| flight(task, |flight| !flight.commitments.is_empty()))
            .await;
        self.jump(Phase::Reveal).await;
        self.until("they are revealed", |task| flight(task, |flight| !flight.reveals.is_empty())).await;
        self.jump(Phase::Settle).await;
        self.until("the epoch is settled", |task| !task.settled.is_empty()).await;
        for task in self.follower.ledger().tasks.values() {
            let outcome = &task.settled[0].outcome;
            assert_eq!((outcome.nodes.len(), outcome.validators.len()), (1, 1), "task {}", task.number);
        }
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
            let daemon = Daemon::start(self.shell(&format!("exec {filled}")), command, log);
            self.daemons.push(daemon);
            return;
        }
        if command.contains("# when an epoch is settled") {
            self.earn();
        }
        let claims = command.contains(" claim ") && !command.contains("# refuses");
        let before = if claims { self.tokens(command) } else { 0.0 };
        let output = self.shell(&filled).output().expect("a shell");
        let expected = if command.contains("# refuses") { 1 } else { 0 };
        let text = said(&output);
        assert_eq!(output.status.code(), Some(expected), "{filled}: {text}");
        assert!(!text.contains(SECRET), "{filled}: {text}");
        if claims {
            let got = self.tokens(command) - before;
            assert!(got > 0.0, "{filled} pays {got}: {text}");
        }
        if command.ends_with("key new") {
            let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            // Somebody sends the account coins for its gas.
            self.anvil.fund(&address);
            let whose = ["creator/", "validator/"].into_iter().find(|folder| command.contains(folder));
            let name =
                whose.map_or("ADDRESS", |folder| if folder == "creator/" { "CREATOR" } else { "VALIDATOR" });
            self.placeholders.insert(name, address);
        }
    }

    /// Tokens of whoever gives this command.
    fn tokens(&self, command: &str) -> f64 {
        let mut arguments = vec!["status", "--json"];
        if command.contains("validator/") {
            arguments.extend(["--config", "validator/aiarena.toml"]);
        }
        let status = self.operator.json(&arguments);
        status["tokens"].as_str().and_then(|text| text.parse().ok()).expect("an amount")
    }

    /// The daemons play an epoch and are stopped.
    fn earn(&mut self) {
        assert_eq!(self.daemons.len(), 3, "the guide starts a node, a validator and a creator");
        let deployment: Deployment =
            serde_json::from_str(&self.operator.read("contracts.json")).expect("an address book");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let provider =
                ProviderBuilder::new().connect_http(self.anvil.url.parse().expect("a URL")).erased();
            let follower = Follower::connect(provider.clone(), deployment).await.expect("an arena");
            Clockwork { provider, follower, daemons: &self.daemons }.play().await;
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

/// What the guide does is run above, what the demo does in a test of its own; here the command lines are those of the program.
#[test]
fn the_commands_of_the_readme_are_those_of_the_program() {
    let readme = read("README.md");
    let makefile = read("Makefile");
    let mut seen = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let line = line.replace("ADDRESS", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
        if line.starts_with("aiarena ") {
            continue;
        }
        if let Some(target) = line.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}:")), "{line}");
        } else {
            let arguments = line.strip_prefix("cargo run --release --").unwrap_or_else(|| panic!("{line}"));
            let parsed = aiarena_cli::args::Cli::try_parse_from(
                std::iter::once("aiarena").chain(arguments.split_whitespace()),
            );
            let refused = parsed.err().filter(|error| error.use_stderr());
            assert!(refused.is_none(), "{line}: {refused:?}");
        }
        seen += 1;
    }
    assert!(seen > 5, "the README shows commands");
    assert!(readme.contains("docs/operators.md"));
}
