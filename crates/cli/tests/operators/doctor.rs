//! What `doctor` finds of what a daemon needs, and how a task's description comes into the stores again.

use std::os::unix::fs::PermissionsExt;

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
