//! Configurations, keys and endpoints that are not what they should be.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::world::{Anvil, CHAIN_ID, Operator, PASSWORD, said};

#[test]
fn a_configuration_is_written_once_and_found_where_it_was_named() {
    let operator = Operator::bare();
    operator.refuses(&["status"], 2, "aiarena init");
    operator.refuses(&["init"], 2, "--network");
    operator.refuses(&["init", "--rpc", "http://127.0.0.1:1"], 2, "--chain-id");
    operator.refuses(&["init", "--rpc", "nonsense", "--chain-id", "1"], 2, "no URL");
    for network in ["embedded", "anvil", "base-sepolia", "base"] {
        operator.ok(&["init", network, "--network", network]);
    }
    assert!(operator.read("base-sepolia/aiarena.toml").contains("chain_id = 84532"));
    operator.refuses(&["init", "base", "--network", "base"], 2, "--force");
    operator.ok(&["init", "base", "--network", "anvil", "--force"]);
    assert!(operator.read("base/aiarena.toml").contains("chain_id = 31337"));

    // Paths are relative to the file, wherever the command runs.
    let named = operator.ok(&["key", "new", "--config", "base/aiarena.toml"]);
    assert!(operator.path("base/keys/operator.json").exists());
    let mut by_variable = operator.command(&["key", "show"]);
    let output = by_variable.env("AIARENA_CONFIG", operator.path("base/aiarena.toml")).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), named);
    // Before the command as well as after it, where it counts more.
    assert_eq!(operator.ok(&["--config", "base/aiarena.toml", "key", "show"]), named);
    assert_eq!(operator.ok(&["--config", "none", "key", "show", "--config", "base/aiarena.toml"]), named);
    for command in
        [vec!["demo"], vec!["completions", "bash"], vec!["chain"], vec!["init", "--network", "base"]]
    {
        let arguments = [vec!["--config", "base/aiarena.toml"], command].concat();
        operator.refuses(&arguments, 2, "reads no configuration");
    }
}

#[test]
fn hostile_configurations_are_refused_with_their_line() {
    let operator = Operator::bare();
    for (text, reason) in [
        ("[network]\nchain_id = 1\nrpc = [\"http://a\"]\nurl = 1\n", "unknown field `url`"),
        ("[network]\nchain_id = 1\nrpc = [\"http://a\"]\nurl = 1\n", "line 4"),
        ("[network\n", "line 1"),
        ("", "missing field `network`"),
    ] {
        operator.write("aiarena.toml", text);
        operator.refuses(&["status"], 2, reason);
        operator.refuses(&["status"], 2, "aiarena.toml");
        assert_eq!(operator.run(&["doctor"]).status.code(), Some(1));
    }
    std::fs::write(operator.path("aiarena.toml"), [0xff, 0xfe, 0]).unwrap();
    operator.refuses(&["status"], 2, "cannot read");
    std::fs::write(operator.path("aiarena.toml"), vec![b'#'; 2 << 20]).unwrap();
    operator.refuses(&["status"], 2, "larger than");
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let operator = Operator::bare();
    operator.ok(&["init", "--network", "anvil"]);
    operator.refuses(&["key", "show"], 2, "aiarena key new");
    let address = operator.ok(&["key", "new"]);
    let mode = |name: &str| operator.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keys"), mode("keys/operator.json")), (0o700, 0o600));
    operator.refuses(&["key", "new"], 2, "never overwritten");
    assert_eq!(operator.ok(&["key", "show", "--verify"]), address);
    operator.refuses(&["key", "new", "../evil"], 2, "no name of a key");

    // The first key of the development mnemonic, in all the ways in which a key comes in.
    let digits = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let known = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n";
    let output = operator.run_with(&["key", "import", "piped"], digits);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), known);
    assert!(!said(&output).contains("ac0974"), "a key is never printed");
    operator.write("plain", digits);
    assert_eq!(operator.ok(&["key", "import", "filed", "--file", "plain"]), known);
    assert_eq!(operator.ok(&["key", "import", "again", "--file", "keys/filed.json"]), known);
    assert_eq!(operator.ok(&["key", "list"]).lines().count(), 4);
    for (input, reason) in
        [("", "64"), ("0x12", "64"), (&"zz".repeat(32), "hexadecimal"), (&"00".repeat(32), "no private key")]
    {
        let output = operator.run_with(&["key", "import", "bad"], input);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(reason), "{}", said(&output));
    }

    let wrong =
        operator.command(&["key", "show", "--verify"]).env("AIARENA_PASSWORD", "wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("the password is wrong"), "{}", said(&wrong));
    let none =
        operator.command(&["key", "show", "--verify"]).env_remove("AIARENA_PASSWORD").output().unwrap();
    assert!(said(&none).contains("--password-file"), "{}", said(&none));
    operator.write("password", &format!("{PASSWORD}\n"));
    assert_eq!(operator.ok(&["key", "new", "other", "--password-file", "password"]).len(), known.len());

    std::fs::set_permissions(operator.path("keys/operator.json"), PermissionsExt::from_mode(0o644)).unwrap();
    operator.refuses(&["key", "show"], 0, "chmod 600");
}

#[test]
fn the_configuration_may_name_the_file_of_the_password() {
    let operator = Operator::bare();
    operator.ok(&["init", "--network", "anvil"]);
    let config = operator.read("aiarena.toml").replace("# password_file", "password_file");
    operator.write("aiarena.toml", &config);
    std::fs::create_dir(operator.path("keys")).unwrap();
    let keep = |text: &str| {
        operator.write("keys/password", text);
        std::fs::set_permissions(operator.path("keys/password"), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let run = |arguments: &[&str]| {
        let output = operator.command(arguments).env_remove("AIARENA_PASSWORD").output().unwrap();
        (output.status.code(), said(&output))
    };
    assert!(run(&["key", "new"]).1.contains("cannot read the password: "), "there is no such file");
    keep("from a file\nthe second line is none\n");
    assert_eq!(run(&["key", "new"]).0, Some(0));
    assert_eq!(run(&["key", "show", "--verify"]).0, Some(0));
    // It counts more than the variable, which holds another one.
    operator.ok(&["key", "show", "--verify"]);
    for (text, reason) in [("another\n", "the password is wrong for"), ("\n", "is empty: it should be")] {
        keep(text);
        let (code, said) = run(&["key", "show", "--verify"]);
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
    keep("from a file");
    std::fs::set_permissions(operator.path("keys/password"), PermissionsExt::from_mode(0o640)).unwrap();
    let (code, said) = run(&["key", "show", "--verify"]);
    assert!(code == Some(0) && said.contains("chmod 600"), "{said}");
}

#[test]
fn machines_are_told_the_same_of_keys_and_configurations() {
    let operator = Operator::bare();
    let written = operator.json(&["init", "folder", "--network", "anvil", "--json"]);
    assert_eq!(written, json!({ "ok": true, "file": "folder/aiarena.toml" }));
    let key = |arguments: &[&str]| {
        operator.json(&[&["--config", "folder/aiarena.toml", "key"], arguments, &["--json"]].concat())
    };
    let configured = key(&["new"]);
    let address = operator.ok(&["key", "show", "--config", "folder/aiarena.toml"]);
    let entry = |name: &str, address: &str, configured: bool| {
        let file = format!("folder/keys/{name}.json");
        json!({ "name": name, "address": address, "file": file, "configured": configured })
    };
    assert_eq!(configured, entry("operator", &address.trim().to_lowercase(), true));
    operator.write("plain", "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let imported = key(&["import", "known", "--file", "plain"]);
    assert_eq!(imported, entry("known", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", false));
    assert_eq!(key(&["show"]), configured);
    assert_eq!(key(&["show", "known", "--verify"]), imported);
    assert_eq!(key(&["list"]), json!({ "keys": [imported, configured] }));
}

#[test]
fn cast_reads_our_keys() {
    let operator = Operator::bare();
    operator.ok(&["init", "--network", "anvil"]);
    let address = operator.ok(&["key", "new"]);
    let cast = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/tools/cast");
    let output = std::process::Command::new(cast)
        .args(["wallet", "address", "--password", PASSWORD, "--keystore"])
        .arg(operator.path("keys/operator.json"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), address.trim(), "{}", said(&output));
}

#[test]
fn hostile_keystores_are_refused() {
    let operator = Operator::bare();
    operator.ok(&["init", "--network", "anvil"]);
    operator.ok(&["key", "new"]);
    let good: serde_json::Value = serde_json::from_str(&operator.read("keys/operator.json")).unwrap();
    let changes: [(&str, serde_json::Value, &str); 11] = [
        ("/version", 4.into(), "version"),
        ("/crypto/cipher", "rot13".into(), "cipher"),
        ("/crypto/ciphertext", "00".into(), "ciphertext"),
        ("/crypto/cipherparams/iv", "00".into(), "iv"),
        ("/crypto/mac", "zz".into(), "mac"),
        ("/crypto/kdf", "md5".into(), "key derivation"),
        ("/crypto/kdfparams/dklen", 8.into(), "dklen"),
        ("/crypto/kdfparams/n", (1_u64 << 31).into(), "scrypt"),
        ("/crypto/kdfparams/n", 8_191.into(), "scrypt"),
        ("/crypto/kdfparams/r", 4_000_000_000_u64.into(), "scrypt"),
        ("/address", "f39fd6e51aad88f6f4ce6ab8827279cfffb92266".into(), "another copy"),
    ];
    for (field, value, reason) in changes {
        let mut bad = good.clone();
        *bad.pointer_mut(field).unwrap() = value;
        operator.write("keys/operator.json", &bad.to_string());
        operator.refuses(&["key", "show", "--verify"], 2, reason);
    }
    for text in ["", "{}", "[]", "null", "\"x\""] {
        operator.write("keys/operator.json", text);
        operator.refuses(&["key", "show"], 2, "no encrypted key");
    }
}

#[test]
fn wrong_networks_are_noticed() {
    let anvil = Anvil::start();
    let operator = Operator::bare();
    operator.ok(&["init", "--rpc", &anvil.url, "--chain-id", "8453"]);
    operator.ok(&["key", "new"]);
    operator.ok(&["deploy", "--write-params", "deploy.toml"]);
    let reason = format!("is of chain {CHAIN_ID}, but the configuration is for chain 8453");
    operator.refuses(&["deploy", "--params", "deploy.toml", "--yes"], 2, &reason);
    operator.refuses(&["status"], 2, &reason);
    let output = operator.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("fail  endpoint"), "{}", said(&output));

    // A dead endpoint before a living one does not matter; only dead ones do.
    let dead = "http://127.0.0.1:1/secret-key";
    operator.ok(&["init", "--force", "--rpc", dead, "--rpc", &anvil.url, "--chain-id", CHAIN_ID]);
    operator.refuses(&["status"], 2, "there is no address book");
    operator.ok(&["init", "--force", "--rpc", dead, "--chain-id", CHAIN_ID]);
    operator.refuses(&["status"], 2, "no endpoint answers");
    assert!(
        !said(&operator.run(&["status"])).contains("secret-key"),
        "addresses of endpoints may hold secrets"
    );

    // One of another chain is refused, whichever it is.
    let mut other = operator.command(&["chain", "--port", "0"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(other.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let foreign = line.trim().rsplit(' ').next().unwrap();
    for rpc in [[&anvil.url, foreign], [foreign, &anvil.url]] {
        operator.ok(&["init", "--force", "--rpc", rpc[0], "--rpc", rpc[1], "--chain-id", CHAIN_ID]);
        operator.refuses(&["status"], 2, "is of chain 31337, but the configuration is for chain 84532");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    operator.ok(&["init", "--force", "--rpc", dead, "--chain-id", CHAIN_ID]);

    // Nothing is told twice, neither by us nor by what a library hands on.
    operator.write("broken.json", "no chain");
    for (command, cause) in [
        (vec!["status"], "no endpoint answers"),
        (vec!["chain", "--chain-file", "broken.json"], "expected ident"),
    ] {
        let text = said(&operator.run(&command));
        assert_eq!(text.matches(cause).count(), 1, "{text}");
    }

    // Contracts of another kind at the addresses.
    operator.ok(&["init", "--force", "--rpc", &anvil.url, "--chain-id", CHAIN_ID]);
    let zero = "0x0000000000000000000000000000000000000000";
    let book = serde_json::json!({
        "chain_id": 84532, "arena": zero, "vault": zero, "emission": zero, "token": zero, "from_block": 0,
    });
    operator.write("contracts.json", &book.to_string());
    operator.refuses(&["status"], 2, "does not say its decimals");
    // No price of gas is low enough for this one.
    let config =
        operator.read("aiarena.toml").replace("max_fee_gwei = \"10\"", "max_fee_gwei = \"0.000000001\"");
    operator.write("aiarena.toml", &config);
    std::fs::remove_file(operator.path("contracts.json")).unwrap();
    operator.refuses(&["deploy", "--params", "deploy.toml", "--yes"], 1, "max_fee_gwei");
}

#[test]
fn the_embedded_chain_is_served_and_kept() {
    use std::io::{BufRead, BufReader};
    let operator = Operator::bare();
    let funded = "0x00000000000000000000000000000000000000AA";
    let serve = || {
        let mut command =
            operator.command(&["chain", "--port", "0", "--chain-file", "chain.json", "--fund", funded]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        (child, out, line.trim().rsplit(' ').next().unwrap().to_owned())
    };
    let stop = |child: &mut std::process::Child| {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    };
    let (mut child, _out, url) = serve();
    operator.ok(&["init", "--rpc", &url, "--chain-id", "31337"]);
    let digits = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    assert_eq!(operator.run_with(&["key", "import"], digits).status.code(), Some(0));
    operator.ok(&["deploy", "--write-params", "deploy.toml"]);
    operator.ok(&["deploy", "--params", "deploy.toml", "--yes"]);
    operator.ok(&["token", "mint", "5", "--yes"]);
    // The same file under another name is the same chain.
    std::os::unix::fs::symlink("chain.json", operator.path("link.json")).unwrap();
    for file in ["chain.json", "./chain.json", "link.json"] {
        operator.refuses(
            &["chain", "--port", "0", "--chain-file", file],
            1,
            "another process serves this chain",
        );
    }
    stop(&mut child);
    let (mut child, _out, url) = serve();
    operator.ok(&["init", "--force", "--rpc", &url, "--chain-id", "31337"]);
    assert_eq!(operator.json(&["status", "--json"])["tokens"], "5");
    assert_eq!(operator.json(&["status", "--json", "--of", funded])["coins"], "100");
    stop(&mut child);
    operator.refuses(
        &["chain", "--port", "0", "--chain-file", "chain.json", "--chain-id", "5"],
        2,
        "--chain-id 31337",
    );
}
