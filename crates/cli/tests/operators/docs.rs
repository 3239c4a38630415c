//! The commands of `docs/operators.md`, run in their order.

use std::{path::Path, process::Command};

use crate::world::{Anvil, Operator, PASSWORD};

/// The lines that begin with `$ ` in the blocks marked `console`.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.lines().filter_map(|line| line.strip_prefix("$ ")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_guide_works_as_it_is_written() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operators.md");
    let text = std::fs::read_to_string(guide).expect("the guide");
    let commands = commands(&text);
    assert!(commands.len() > 10, "{commands:?}");
    let anvil = Anvil::start();
    let operator = Operator::bare();
    let binary = Path::new(env!("CARGO_BIN_EXE_aiarena")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut address = String::new();
    for command in commands {
        // The placeholders that the guide explains.
        let filled = command
            .replace("RPC_URL", &anvil.url)
            .replace("OPERATOR", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
            .replace("ADDRESS", &address);
        let output = Command::new("sh")
            .args(["-c", &filled])
            .current_dir(operator.folder.path())
            .env("PATH", &path)
            .env("AIARENA_PASSWORD", PASSWORD)
            .env_remove("AIARENA_CONFIG")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("a shell");
        let expected = if command.contains("# refuses") { Some(1) } else { Some(0) };
        assert_eq!(output.status.code(), expected, "{filled}: {}", crate::world::said(&output));
        if command.starts_with("aiarena key new") {
            address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            // Somebody sends the account coins for its gas.
            anvil.fund(&address);
        }
    }
    assert!(!address.is_empty(), "the guide makes a key");
}
