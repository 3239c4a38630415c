//! Holds the import rule: what each room may depend on stands in `ARCHITECTURE.md`, and in no second place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use serde_json::Value;

const PREFIX: &str = "aiarena-";
const HEADING: &str = "## Who may import whom";

/// What a room may import from outside of the workspace.
#[derive(Debug, PartialEq)]
enum Outside {
    Anything,
    Only(Vec<String>),
    Not(Vec<String>),
}

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Rule {
    rooms: Vec<String>,
    outside: Outside,
}

impl Rule {
    /// The dependencies that this rule forbids.
    fn violations(&self, dependencies: &[String]) -> Vec<String> {
        dependencies.iter().filter(|name| !self.allows(name)).cloned().collect()
    }

    fn allows(&self, dependency: &String) -> bool {
        match dependency.strip_prefix(PREFIX) {
            Some(room) => self.rooms.iter().any(|allowed| allowed == room),
            None => match &self.outside {
                Outside::Anything => true,
                Outside::Only(names) => names.contains(dependency),
                Outside::Not(names) => !names.contains(dependency),
            },
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(cell: &str) -> Vec<String> {
    cell.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "–").collect()
}

/// The table below [`HEADING`], by room.
fn parse_rules(text: &str) -> BTreeMap<String, Rule> {
    let (_, section) = text.split_once(HEADING).expect("the heading of the table");
    let section = section.split_once("\n## ").map_or(section, |(before, _)| before);
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [room, rooms, outside] = cells[..] else { panic!("a row has three cells: {row}") };
        let outside = match outside.split_once(' ') {
            None if outside == "anything" => Outside::Anything,
            Some(("only", list)) => Outside::Only(names(list)),
            Some(("not", list)) => Outside::Not(names(list)),
            _ => panic!("`anything`, `only …` or `not …`: {row}"),
        };
        (room.to_owned(), Rule { rooms: names(rooms), outside })
    })
    .collect()
}

/// The packages of the workspace as cargo reads their manifests; needs no network.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

fn name_of(value: &Value) -> String {
    value["name"].as_str().expect("a name").to_owned()
}

/// Dependencies that reach what users run: all but those of tests.
fn shipped_dependencies(package: &Value) -> Vec<&Value> {
    let all = package["dependencies"].as_array().expect("a list of dependencies");
    all.iter().filter(|dependency| dependency["kind"] != "dev").collect()
}

#[test]
fn the_rooms_are_those_of_the_table() {
    let mut rooms: Vec<String> = packages()
        .iter()
        .map(|package| name_of(package).strip_prefix(PREFIX).expect("our prefix").to_owned())
        .collect();
    rooms.sort();
    let listed: Vec<String> = parse_rules(&read("ARCHITECTURE.md")).into_keys().collect();
    assert_eq!(rooms, listed);
}

#[test]
fn every_room_imports_only_what_it_may() {
    let rules = parse_rules(&read("ARCHITECTURE.md"));
    for package in packages() {
        let name = name_of(&package);
        let room = name.strip_prefix(PREFIX).expect("our prefix");
        let dependencies: Vec<String> = shipped_dependencies(&package).into_iter().map(name_of).collect();
        let forbidden = rules[room].violations(&dependencies);
        assert!(forbidden.is_empty(), "{room} must not import {forbidden:?}; see ARCHITECTURE.md");
    }
}

#[test]
fn mechanism_stands_alone() {
    let packages = packages();
    let mechanism =
        packages.iter().find(|package| name_of(package) == "aiarena-mechanism").expect("mechanism");
    for dependency in shipped_dependencies(mechanism) {
        assert_eq!(dependency["uses_default_features"], false, "{} brings std", name_of(dependency));
    }
    assert!(read("crates/mechanism/src/lib.rs").contains("no_std"), "mechanism must be no_std");
}

#[test]
fn the_vault_knows_nothing_of_scores() {
    for file in ["contracts/src/Vault.sol", "contracts/src/interfaces/IVault.sol"] {
        for import in read(file).lines().filter(|line| line.contains("import ")) {
            for room in ["Arena", "Consensus", "Ranking", "Assignment"] {
                assert!(!import.contains(room), "{file} must not import {room}: {import}");
            }
        }
    }
}

#[test]
fn every_function_of_the_contracts_is_documented() {
    for (contract, page) in [
        ("Arena", "arena"),
        ("ArenaToken", "token"),
        ("Emission", "emission"),
        ("Settlement", "settlement"),
        ("Vault", "vault"),
    ] {
        let text = read(&format!("docs/contracts/{page}.md"));
        // What stands between backticks, taken apart at everything that is no letter and no digit.
        let named: BTreeSet<&str> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .flat_map(|code| code.split(|c: char| !c.is_alphanumeric()))
            .collect();
        let abi: Value =
            serde_json::from_str(&read(&format!("contracts/abi/{contract}.json"))).expect("JSON");
        let items = abi["abi"].as_array().expect("an ABI");
        let functions = items.iter().filter(|item| item["type"] == "function");
        let missing: Vec<&str> =
            functions.filter_map(|item| item["name"].as_str()).filter(|name| !named.contains(name)).collect();
        assert!(missing.is_empty(), "docs/contracts/{page}.md says nothing of {missing:?}");
    }
    let pages = fs::read_dir(root().join("contracts/abi")).expect("a folder").filter_map(Result::ok);
    assert_eq!(
        pages.filter(|file| file.path().is_file()).count(),
        5,
        "contracts/abi has a contract without a page"
    );
}

#[test]
fn every_page_of_a_contract_has_all_parts() {
    for page in ["arena", "emission", "pools", "settlement", "token", "vault"] {
        let text = read(&format!("docs/contracts/{page}.md")).to_lowercase();
        for heading in ["## state", "## flow", "## invariants", "## assumptions"] {
            assert!(
                text.lines().any(|line| line.starts_with(heading)),
                "docs/contracts/{page}.md has no {heading:?}"
            );
        }
        // Of functions: in tables, or as a paragraph each. Who may call, and when, is a precondition as well.
        assert!(text.contains("effect"), "docs/contracts/{page}.md tells no effects");
        let conditions = ["precondition", "reverts", "caller:"];
        assert!(
            conditions.iter().any(|word| text.contains(word)),
            "docs/contracts/{page}.md tells no preconditions"
        );
    }
}

#[test]
fn a_forbidden_import_is_found() {
    let table = format!(
        "{HEADING}\n\n| room | may import | from outside |\n|---|---|---|\n| ml | mechanism | not alloy |\n\
         | mechanism | – | only thiserror |\n| cli | mechanism, ml | anything |\n\n## Next\n\n| x | y | z |\n"
    );
    let rules = parse_rules(&table);
    assert_eq!(rules.len(), 3);
    let dependencies =
        ["aiarena-mechanism", "aiarena-chain", "alloy", "serde", "thiserror"].map(str::to_owned);
    let cases: [(&str, &[&str]); 3] = [
        ("ml", &["aiarena-chain", "alloy"]),
        ("mechanism", &["aiarena-mechanism", "aiarena-chain", "alloy", "serde"]),
        ("cli", &["aiarena-chain"]),
    ];
    for (room, expected) in cases {
        assert_eq!(rules[room].violations(&dependencies), expected, "{room}");
    }
}

/// All files of Rust below a folder.
fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Lines in which an error tells its cause and hands it on as its source, too: it would be told twice.
fn doubled(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    let mut display = "";
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with("#[error(") {
            display = line;
        }
        let field = number > 0 && lines[number - 1].starts_with("///") && line.starts_with("source: ");
        if field && display.contains("{source}") || line.contains("#[from]") && display.contains("{0}") {
            found.push((*line).to_owned());
        }
    }
    found
}

#[test]
fn an_error_tells_its_cause_or_hands_it_on() {
    let enumeration = |display: &str, field: &str| {
        format!(
            "#[error({display})]\nIo {{\n/// The reason.\n{field},\n}}\n#[error(transparent)]\nOther(#[from] Other),\n"
        )
    };
    assert_eq!(doubled(&enumeration("\"no: {source}\"", "source: io::Error")).len(), 1);
    assert_eq!(doubled(&enumeration("\"no: {source}\"", "r#source: io::Error")).len(), 0);
    assert_eq!(doubled(&enumeration("\"no\"", "source: io::Error")).len(), 0);
    assert_eq!(doubled("#[error(\"no: {0}\")]\nOther(#[from] Other),\n").len(), 1);
    for file in sources(root().join("crates")) {
        let found = doubled(&fs::read_to_string(&file).expect("text"));
        let test = file.ends_with("architecture.rs");
        assert!(test || found.is_empty(), "{}: {found:?}: write r#source", file.display());
    }
}
