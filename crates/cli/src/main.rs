//! The one binary of AIArena.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use aiarena_cli::{
    args::{AuditArgs, Cli, Command, DemoArgs, LogFormat},
    audit,
    demo::{self, DemoOptions, population::Size},
    files::write_json,
    operator,
    ui::{Ui, told},
};
use aiarena_node::sandbox;
use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// The checks or the audit found something.
const FOUND: u8 = 1;
/// The command could not be carried out.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    // Hidden, and before anything else: a sandbox is entered by a process with one thread.
    if std::env::args_os().skip(1).eq([sandbox::COMMAND]) {
        return sandbox::child_main();
    }
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A line that is of no use is looked through by hand; in `demo` and `audit` the flag names a file for the report.
        Err(error) if error.use_stderr() && given("--json") && !given("demo") && !given("audit") => {
            let text = error.to_string();
            fail(&anyhow::anyhow!("{}", text.trim_start_matches("error: ").trim_end()), true);
            return ExitCode::from(FAILED);
        }
        Err(error) => error.exit(),
    };
    let json = given("--json") && matches!(cli.command, Command::Operator(_));
    if let Some(file) = cli.config.take()
        && let Err(command) = cli.command.configure(file)
    {
        let text = format!("`aiarena {command}` reads no configuration: leave --config out");
        Cli::command().error(clap::error::ErrorKind::ArgumentConflict, text).exit();
    }
    let color = !cli.no_color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
    log(cli.verbose, cli.log_format, color);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let ui = Ui::new(color);
    let result = match cli.command {
        Command::Demo(args) => runtime.block_on(run_demo(args, &ui)),
        Command::Audit(args) => runtime.block_on(run_audit(args, &ui)),
        Command::Operator(command) => runtime.block_on(operator::run(command)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "aiarena", &mut std::io::stdout());
            Ok(true)
        }
    };
    // A training command or an evaluation that still runs is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(10));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            fail(&error, json);
            ExitCode::from(if operator::is_refusal(&error) { FOUND } else { FAILED })
        }
    }
}

/// Whether a word is on the command line.
fn given(wanted: &str) -> bool {
    std::env::args_os().skip(1).any(|word| word == wanted)
}

/// Tells an error to people, and to the program that asked for JSON.
fn fail(error: &anyhow::Error, json: bool) {
    eprintln!("error: {}", told(error));
    if json && let Err(unheard) = print(&format!("{:#}", operator::error_report(error))) {
        eprintln!("error: {unheard:#}");
    }
}

/// Logs go to standard error: warnings, and with `-v` what is sent, with `-vv` what is thought.
fn log(verbose: u8, format: LogFormat, color: bool) {
    let level = match verbose {
        0 => "warn",
        1 => "aiarena_node=info,aiarena_cli=info,aiarena_chain=info,warn",
        _ => "aiarena_node=debug,aiarena_cli=debug,aiarena_chain=debug,info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(color && std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
}

async fn run_demo(args: DemoArgs, ui: &Ui) -> Result<bool> {
    let options = DemoOptions {
        seed: args.seed,
        epochs: args.epochs,
        size: Size { nodes: args.nodes, validators: args.validators, liar_stake: args.liar_stake },
        rpc_url: args.rpc_url,
        keep: args.keep.clone(),
    };
    let report = demo::run(&options, ui).await?;
    if let Some(folder) = &args.keep {
        write_json(&folder.join("report.json"), &report)?;
    }
    if !write_report(args.json.as_deref(), &report)? {
        print(&report.render(ui.color()))?;
    }
    Ok(report.ok)
}

async fn run_audit(args: AuditArgs, ui: &Ui) -> Result<bool> {
    let receipt = args.receipt;
    let json = args.json.clone();
    let report = audit::run(args, ui).await?;
    let machine = write_report(json.as_deref(), &report)?;
    if !machine {
        print(&report.render(ui.color()))?;
    }
    match receipt.map(|address| report.receipt(address)) {
        // Standard output holds the JSON alone.
        Some(text) if machine => eprintln!("{text}"),
        Some(text) => print(&text)?,
        None => {}
    }
    Ok(report.ok)
}

/// Writes a report as JSON if that was asked for; true if it went to standard output.
fn write_report<T: Serialize>(file: Option<&Path>, report: &T) -> Result<bool> {
    match file {
        None => Ok(false),
        Some(file) if file == Path::new("-") => {
            print(&serde_json::to_string_pretty(report)?)?;
            Ok(true)
        }
        Some(file) => {
            write_json(file, report)?;
            Ok(false)
        }
    }
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}
