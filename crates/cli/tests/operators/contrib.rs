//! What is in `contrib/` fits the program.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use aiarena_cli::args::Cli;
use clap::Parser;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Names of metrics in a text, without what a histogram adds to its own.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("aiarena_"));
    let base = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        parts.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

/// What the panels of the dashboard ask for.
pub(crate) fn dashboard() -> BTreeSet<String> {
    let dashboard: Value = serde_json::from_str(&read("contrib/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.flat_map(|target| names(target["expr"].as_str().expect("an expression"))).collect()
}

/// Rust sources below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let text = |path: &Path| fs::read_to_string(path).expect("text");
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![text(&path)] }).collect()
}

/// The metrics that these macros name in the program's source.
fn named_by(macros: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in ["chain", "store", "ml", "node", "cli"]
        .iter()
        .flat_map(|room| sources(&root().join("crates").join(room).join("src")))
    {
        for name in macros {
            // A longer macro's name may end like this one's.
            let call = format!("{name}!(");
            let calls = source.match_indices(&call).map(|(at, _)| source.split_at(at));
            let calls = calls.filter(|(before, _)| !before.ends_with('_'));
            found.extend(calls.map(|(_, call)| call.split('"').nth(1).expect("a name").to_owned()));
        }
    }
    found
}

#[test]
fn the_dashboard_shows_what_the_program_exports() {
    let exported = named_by(&["gauge", "counter", "histogram"]);
    assert!(exported.len() > 15, "{exported:?}");
    assert_eq!(
        named_by(&["describe_gauge", "describe_counter", "describe_histogram"]),
        exported,
        "all are explained"
    );
    assert_eq!(dashboard(), exported);
    let file: Value = serde_json::from_str(&read("contrib/grafana.json")).unwrap();
    let panels = file["panels"].as_array().unwrap();
    let distinct = |field: &str| panels.iter().map(|panel| panel[field].to_string()).collect::<BTreeSet<_>>();
    assert_eq!((distinct("id").len(), distinct("gridPos").len()), (panels.len(), panels.len()));
    assert!(panels.iter().all(|panel| panel["datasource"]["uid"] == "${source}"));
}

/// Arguments that the program must take.
fn parses(arguments: &[&str]) {
    let parsed = Cli::try_parse_from(std::iter::once("aiarena").chain(arguments.iter().copied()));
    let refused = parsed.err().filter(|error| error.use_stderr());
    assert!(refused.is_none(), "{arguments:?}: {refused:?}");
}

#[test]
fn the_units_start_what_there_is() {
    let units = fs::read_dir(root().join("contrib")).unwrap().map(|entry| entry.unwrap().path());
    let units: Vec<_> = units.filter(|path| path.extension().is_some_and(|kind| kind == "service")).collect();
    assert!(!units.is_empty());
    for unit in units {
        let text = fs::read_to_string(&unit).unwrap();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        let command = value("ExecStart").expect("it starts something");
        let (program, arguments) = command.split_once(' ').unwrap();
        assert!(read("contrib/Containerfile").contains(program), "both have the program in the same place");
        // The instances that the unit's first line names.
        let instances: Vec<&str> = text.lines().next().unwrap().split(['@', '`', '…']).collect();
        let instances = ["train", "validate", "seal"].into_iter().filter(|name| instances.contains(name));
        let mut count = 0;
        for instance in instances {
            parses(&arguments.replace("%i", instance).split(' ').collect::<Vec<_>>());
            count += 1;
        }
        assert_eq!(count, 3, "{}", unit.display());
        assert_eq!(value("ExecReload"), Some("/bin/kill -HUP $MAINPID"), "the signal that reloads");
        assert_eq!(value("WorkingDirectory"), value("ReadWritePaths"), "nothing else can be written");

        // Where systemd is, it knows better. It wants the program and the user to exist, so they are exchanged.
        let known = text.replace(program, "/bin/true").replace("User=aiarena", "User=root");
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(unit.file_name().unwrap());
        fs::write(&copy, known).unwrap();
        if let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let name = unit.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!text.lines().any(|line| line.contains(&name) && line.contains("nknown")), "{text}");
        }
    }
}

#[test]
fn the_container_holds_the_program() {
    let text = read("contrib/Containerfile");
    let instructions: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let all = |name: &str| -> Vec<&str> {
        instructions.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect()
    };
    // Its compiler is as new as the workspace needs.
    let minor =
        |version: &str| -> u32 { version.trim_matches('"').split('.').nth(1).unwrap().parse().unwrap() };
    let compiler = minor(all("FROM")[0].split(['-', ':']).nth(1).unwrap());
    let manifest = read("Cargo.toml");
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(compiler >= minor(needed), "{compiler} < {needed}");
    // What it builds is a package, and what it copies is that package's program.
    let [build] = all("RUN").into_iter().filter(|run| run.starts_with("cargo ")).collect::<Vec<_>>()[..]
    else {
        panic!("one build: {text}")
    };
    let words: Vec<&str> = build.split(' ').collect();
    let package = words[words.iter().position(|word| *word == "--package").unwrap() + 1];
    assert_eq!(
        (package, words.contains(&"--release"), words.contains(&"--locked")),
        (env!("CARGO_PKG_NAME"), true, true)
    );
    let built = Path::new(env!("CARGO_BIN_EXE_aiarena")).file_name().unwrap().to_str().unwrap();
    let source = all("WORKDIR")[0];
    let mut copies = 0;
    for copy in all("COPY") {
        let paths: Vec<&str> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
        if copy.starts_with("--from=build") {
            assert_eq!(paths[0], format!("{source}/target/release/{built}"));
            assert!(all("ENTRYPOINT")[0].contains(&format!("\"{}\"", paths[1])), "what is copied is started");
        } else {
            assert!(root().join(paths[0]).exists(), "{copy}");
        }
        copies += 1;
    }
    assert_eq!(copies, 2);
    let command: Vec<String> = serde_json::from_str(all("CMD")[0]).unwrap();
    parses(&command.iter().map(String::as_str).collect::<Vec<_>>());
    // The example in its comments, after the image's name.
    let example = text.lines().find(|line| line.contains("podman run")).unwrap();
    let arguments = example.split_once(" aiarena ").unwrap().1;
    parses(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(all("STOPSIGNAL"), ["SIGTERM"], "the signal that stops a daemon");
}
