//! What `doctor` finds of what a daemon needs, and how a task's description comes into the stores again.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::{
    journey::arena,
    world::{Anvil, Operator, said},
};

/// Runs the doctor; its exit code and what it says.
fn doctor(operator: &Operator) -> (Option<i32>, String) {
    let output = operator.run(&["doctor"]);
    (output.status.code(), said(&output))
}

/// Replaces the sections for daemons.
fn configure(operator: &Operator, sections: &str) {
    let config = operator.read("aiarena.toml");
    let (before, _) = config.split_once("[operator]").expect("a section for operators");
    operator.write("aiarena.toml", &format!("{before}{sections}"));
}

#[test]
fn a_doctor_says_what_a_daemon_lacks() {
    let anvil = Anvil::start();
    let (owner, me) = arena(&anvil);
    owner.ok(&["token", "mint", "10000", "--yes"]);
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warn  tasks: the key has no stake in any task"), "{text}");
    assert!(text.contains("ok    sandbox: "), "{text}");
    assert!(text.contains("ok    train: this program makes the models"), "{text}");

    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    owner.ok(&["stake", "1", "99", "--role", "node", "--yes"]);
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("99 ARENA of own stake are too little to take part: add 1 ARENA"), "{text}");
    assert!(text.contains("which are here"), "{text}");
    owner.ok(&["stake", "1", "1", "--yes"]);
    let (_, text) = doctor(&owner);
    assert!(
        text.contains("ok    tasks: task 1: the key trains with 100 ARENA of at least 100 ARENA"),
        "{text}"
    );
    assert!(text.contains("from the next epoch on: run `aiarena node train`"), "{text}");

    // Nothing of this works, and all of it is said at once.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    owner.write("train.sh", "#!/bin/sh\n");
    owner.write("a-file", "");
    let sections = format!(
        "[operator]\ntasks = [1, 7]\nstores = [\"file:artifacts\", \"http://127.0.0.1:1/a\"]\ndata = \"no-data\"\n\
         listen = \"127.0.0.1:{port}\"\n[train]\ncommand = [\"./train.sh\"]\n"
    );
    configure(&owner, &sections);
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "fail  train: [train] command: ./train.sh cannot be run",
        "chmod +x",
        &format!("warn  listen: 127.0.0.1:{port} is in use"),
        "ok    store: file:artifacts can be written and read",
        "fail  store: http://127.0.0.1:1/a (correct [operator] stores",
        "fail  tasks: [operator] tasks: there is no task 7",
        "fail  data: the description of task 1 is in none of the stores",
        &me,
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    let left = std::fs::read_dir(owner.path("artifacts"))
        .unwrap()
        .flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).into_iter().flatten());
    assert_eq!(left.count(), 0, "the probe of a folder is taken away again");

    // The data are others than those of the task, and more rows are named than there are.
    configure(&owner, "[operator]\ndata = \"no-data\"\n[train]\nhidden = [0]\n");
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("fail  data: task 1: cannot read ./no-data"), "{text}");
    assert!(text.contains("fail  train: [train] hidden: "), "{text}");
    std::fs::set_permissions(owner.path("train.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    configure(&owner, "[operator]\n[train]\nrows = 100000000\n");
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("fail  data: task 1: [train] rows is 100000000, and the data have"), "{text}");
    configure(&owner, "[train]\ncommand = [\"./train.sh\"]\n");
    let (code, text) = doctor(&owner);
    assert_eq!(code, Some(0), "{text}");
}

/// Something that is wrong, and what the doctor says of it.
struct Complaint<'a> {
    /// Breaks it.
    breaks: &'a dyn Fn(),
    /// Changes of the doctor's environment.
    environment: &'a [(&'a str, &'a str)],
    exit: i32,
    says: &'a [&'a str],
    /// Puts it right again.
    mends: &'a dyn Fn(),
}

#[test]
fn a_doctor_says_what_is_wrong_with_key_chain_and_disk() {
    let anvil = Anvil::start();
    let (owner, me) = arena(&anvil);
    owner.ok(&["token", "mint", "100", "--yes"]);
    let (code, text) = doctor(&owner);
    let others: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("ok    ") && !line.is_empty()).collect();
    assert_eq!(code, Some(0), "{text}");
    assert!(matches!(others[..], [line] if line.starts_with("warn  tasks: ")), "{text}");
    assert!(text.contains("ok    tokens: 100 ARENA; the vault may take 0 ARENA of it"), "{text}");

    let config = owner.read("aiarena.toml");
    let book: Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    let code_of =
        |what: &str| anvil.ask("eth_getCode", json!([book[what], "latest"])).as_str().unwrap().to_owned();
    let (vault, code) = (book["vault"].as_str().unwrap(), code_of("vault"));
    let set_code = |code: &str| drop(anvil.ask("anvil_setCode", json!([vault, code])));
    let replace = |old: &str, new: &str| {
        assert!(config.contains(old), "{old}");
        owner.write("aiarena.toml", &config.replace(old, new));
    };
    let restore = || owner.write("aiarena.toml", &config);
    let coins = |wei: &str| drop(anvil.ask("anvil_setBalance", json!([me, wei])));
    let fund = || anvil.fund(&me);
    let nothing = || ();
    // Another chain with this number, which has fewer blocks and began in 2023.
    let old = Anvil::with(&["--timestamp", "1700000000"]);
    anvil.ask("anvil_mine", json!(["0x10"]));
    let (ours, theirs) = (format!("rpc = [\"{}\"]", anvil.url), format!("\"{}\"]", old.url));
    let both = ours.replace(']', &format!(", {theirs}"));
    owner.write("a-file", "");
    // A program that says what `df` says where a mebibyte is free, and one that is of no use.
    for (folder, script) in [("full", "printf 'Filesystem\\ndisk 9 8 1024 90%% /\\n'"), ("broken", "exit 1")]
    {
        std::fs::create_dir(owner.path(folder)).unwrap();
        owner.write(&format!("{folder}/df"), &format!("#!/bin/sh\n{script}\n"));
        let path = owner.path(&format!("{folder}/df"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let paths = ["full", "broken"].map(|folder| owner.path(folder).display().to_string());
    let full = format!("{}:{}", paths[0], std::env::var("PATH").unwrap());

    let complaints = [
        Complaint {
            breaks: &|| set_code(&format!("{code}00")),
            environment: &[],
            exit: 1,
            says: &[
                "fail  contracts: ",
                "is not that of this release's Vault: is the address book the right one?",
            ],
            mends: &|| set_code(&code),
        },
        Complaint {
            breaks: &nothing,
            environment: &[("AIARENA_PASSWORD", "wrong")],
            exit: 1,
            says: &["fail  key: the password is wrong for ./keys/operator.json: correct AIARENA_PASSWORD"],
            mends: &nothing,
        },
        Complaint {
            breaks: &|| replace("keys/operator.json", "keys/absent.json"),
            environment: &[],
            exit: 1,
            says: &["fail  key: there is no key at ./keys/absent.json: make one with `aiarena key new`"],
            mends: &restore,
        },
        Complaint {
            breaks: &|| coins("0x0"),
            environment: &[],
            exit: 1,
            says: &[&format!("fail  coins: {me} has none to pay for gas: send it some")],
            mends: &fund,
        },
        Complaint {
            breaks: &|| coins("0x1"),
            environment: &[],
            exit: 0,
            says: &["warn  coins: 0.000000000000000001 ETH are few", &format!("send {me} some")],
            mends: &fund,
        },
        Complaint {
            breaks: &|| replace("max_fee_gwei = \"10\"", "max_fee_gwei = \"0.000000001\""),
            environment: &[],
            exit: 0,
            says: &["warn  gas: gas costs", "that max_fee_gwei = 0.000000001 gwei allows: wait, or raise it"],
            mends: &restore,
        },
        Complaint {
            breaks: &|| replace(&ours, &both),
            environment: &[],
            exit: 0,
            says: &[
                &format!("warn  endpoint: {} is at block 0, ", old.url),
                "If it stays behind, name another one",
            ],
            mends: &restore,
        },
        Complaint {
            breaks: &|| replace(&ours, &both.replace(&old.url, "http://127.0.0.1:1")),
            environment: &[],
            exit: 1,
            says: &["fail  endpoint: http://127.0.0.1:1: ", "is the node running, and rpc right?"],
            mends: &restore,
        },
        Complaint {
            breaks: &|| replace(&ours, &format!("rpc = [{theirs}")),
            environment: &[],
            exit: 1,
            says: &["warn  clock: the newest block is ", "is the node in step, and this clock right?"],
            mends: &restore,
        },
        Complaint {
            breaks: &|| replace("data_dir = \"data\"", "data_dir = \"a-file\""),
            environment: &[],
            exit: 1,
            says: &[
                "fail  data folder: ./a-file: ",
                "correct data_dir or its permissions",
                "fail  store: ",
                "correct [store] folder or its permissions",
            ],
            mends: &restore,
        },
        Complaint {
            breaks: &nothing,
            environment: &[("PATH", &full)],
            exit: 0,
            says: &["warn  disk: only 1 MiB are free: make room"],
            mends: &nothing,
        },
        Complaint {
            breaks: &nothing,
            environment: &[("PATH", &paths[1])],
            exit: 0,
            says: &["warn  disk: `df` does not tell how much is free"],
            mends: &nothing,
        },
        // The last one, for no chain's clock goes back.
        Complaint {
            breaks: &|| anvil.pass(100_000),
            environment: &[],
            exit: 0,
            says: &[
                "warn  clock: the newest block is ",
                " s from this machine's clock: the chain's clock decides",
            ],
            mends: &nothing,
        },
    ];
    for Complaint { breaks, environment, exit, says, mends } in complaints {
        breaks();
        let output = owner.command(&["doctor"]).envs(environment.iter().copied()).output().unwrap();
        let text = said(&output);
        mends();
        assert_eq!(output.status.code(), Some(exit), "{says:?}: {text}");
        for part in says {
            assert!(text.contains(part), "{part:?} is missing: {text}");
        }
    }

    // An allowance that no command left behind.
    anvil.ask("anvil_impersonateAccount", json!([me]));
    let approve =
        format!("0x095ea7b3{:0>64}{:064x}", vault.trim_start_matches("0x"), 12_500_000_000_000_000_000_u128);
    anvil.ask("eth_sendTransaction", json!([{ "from": me, "to": book["token"], "data": approve }]));
    let (_, text) = doctor(&owner);
    assert!(
        text.contains("100 ARENA; the vault may take 12.5 ARENA of it, and commands approve what they need"),
        "{text}"
    );
}

#[test]
fn a_description_is_published_again() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    owner.ok(&["token", "mint", "10000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    // The store is a file, so nothing can be put there.
    owner.write("blocked", "");
    configure(&owner, "[operator]\nstores = [\"file:blocked/store\"]\n");
    owner.refuses(
        &["task", "create", "--params", "task.toml", "--yes"],
        2,
        "aiarena task publish TASK --params task.toml",
    );
    owner.refuses(&["task", "publish", "2"], 1, "there is no task 2");
    configure(&owner, "[operator]\nstores = [\"file:first\"]\n");
    owner.refuses(&["task", "publish", "1"], 2, "in none of the stores");
    let published = owner.json(&["task", "publish", "1", "--params", "task.toml", "--json"]);
    assert_eq!(published["stores"][0]["put"], true, "{published}");
    let hash = published["hash"].as_str().unwrap();
    assert!(owner.path(&format!("first/{}/{hash}", &hash[..2])).exists());

    // From the store where it is into others, without the parameters; a second time nothing changes.
    for _ in 0..2 {
        let text = owner.ok(&["task", "publish", "1", "--store", "file:second", "--store", "file:third"]);
        assert_eq!(text, format!("file:second has {hash}\nfile:third has {hash}\n"));
    }
    let bytes = |store: &str| std::fs::read(owner.path(&format!("{store}/{}/{hash}", &hash[..2]))).unwrap();
    assert_eq!(bytes("first"), bytes("third"));

    // What was changed since is not what the chain promises; what was damaged is not handed on.
    let description = owner.read("task-description.json");
    owner.write("task-description.json", &description.replace("MIT", "GPL"));
    owner.refuses(&["task", "publish", "1", "--params", "task.toml"], 1, "was changed since");
    owner.write(&format!("first/{}/{hash}", &hash[..2]), "{}");
    owner.refuses(&["task", "publish", "1", "--store", "file:fourth"], 2, "in none of the stores");
    owner.write("task-description.json", &description);
    owner.ok(&["task", "publish", "1", "--params", "task.toml"]);
    assert_eq!(bytes("first"), bytes("third"), "the damaged one is replaced");
    // One that fails does not keep the others from getting it.
    let places = ["--store", "file:blocked/store", "--store", "file:fifth"];
    let command = [&["task", "publish", "1"][..], &places].concat();
    owner.refuses(&command, 2, "could not be put everywhere");
    assert_eq!(bytes("fifth"), bytes("third"));
    owner.refuses(&["task", "publish", "1", "--store", "ftp://a"], 2, "is no store");
    owner.refuses(&["task", "publish", "1", "--store", "https://127.0.0.1:1"], 2, "read-only");
    owner.refuses(&["task", "publish", "1", "--store", "https://me:password@127.0.0.1"], 2, "credentials");
    let output = owner.run(&["task", "publish", "1", "--store", "https://me:password@127.0.0.1"]);
    assert!(!said(&output).contains("password@"), "{}", said(&output));
}
