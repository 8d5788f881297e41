//! The command line.

mod backtest;
mod calibrate;
mod export;
mod labels;
mod ledger;
mod load;
mod models;
mod policy;
mod recorded;
pub mod render;
mod replay;
pub mod screen;
mod serve;
mod summary;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::settings::{Settings, SettingsError, Sources};

/// Screens payments for fraud in two tiers: a small model decides most of them in
/// milliseconds, a larger one writes an analysis of those that look doubtful.
///
/// Settings come from a TOML file, over it the environment (WEIR_SECTION__KEY), over it flags;
/// docs/configuration.md lists them all.
///
/// Examples:
///   weir serve
///   WEIR_LISTEN=0.0.0.0:8080 WEIR_DATA_DIR=/var/lib/weir weir serve --config weir.toml
///   weir serve --check
///   weir screen samples/payments.ndjson
///   weir calibrate --warm samples/history.ndjson labelled.ndjson
///   weir models verify models/screening
///   weir policy check policy.toml
///   weir replay --since 2026-11-01T00:00:00Z
///   weir ledger verify
///   weir load --rate 200 --duration 30s
#[derive(Debug, Parser)]
#[command(name = "weir", version, verbatim_doc_comment)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// Settings file; `WEIR_CONFIG` names one as well.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Screen(screen::Args),
    Calibrate(Box<calibrate::Args>),
    Render(render::Args),
    Models(models::Args),
    Policy(policy::Args),
    Replay(replay::Args),
    Ledger(ledger::Args),
    Export(export::Args),
    Labels(labels::Args),
    Load(Box<load::Args>),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        // Whoever reads the output has read enough.
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        // There may be no log yet, and whoever typed the command wants to read it here.
        let _ = writeln!(io::stderr(), "weir: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let sources = Sources::from_process(cli.common.config);
    match cli.command {
        Command::Serve(args) => serve::run(&args, sources),
        Command::Screen(args) => {
            let settings = load(&sources)?;
            runtime(settings.http.threads)?.block_on(screen::run(&args, &settings))
        }
        Command::Calibrate(args) => calibrate::run(&args, &load(&sources)?),
        Command::Render(args) => {
            load(&sources)?;
            render::run(&args)
        }
        Command::Models(args) => models::run(&args, &load(&sources)?),
        Command::Policy(args) => {
            let settings = load(&sources)?;
            runtime(settings.http.threads)?.block_on(policy::run(&args, &settings))
        }
        Command::Replay(args) => {
            let settings = load(&sources)?;
            let runtime = runtime(settings.http.threads)?;
            runtime.block_on(replay::run(&args, settings))
        }
        Command::Ledger(args) => {
            let settings = load(&sources)?;
            runtime(settings.http.threads)?.block_on(ledger::run(&args, &settings))
        }
        Command::Export(args) => {
            let settings = load(&sources)?;
            runtime(settings.http.threads)?.block_on(export::run(&args, &settings))
        }
        Command::Labels(args) => {
            let settings = load(&sources)?;
            runtime(settings.http.threads)?.block_on(labels::run(&args, &settings))
        }
        Command::Load(args) => load::run(&args),
    }
}

/// Settings with the log already going where they say.
fn load(sources: &Sources) -> Result<Settings, SettingsError> {
    let settings = Settings::load(sources)?;
    crate::telemetry::init(&settings.log);
    Ok(settings)
}

/// A request costs the models tens of times what it costs these threads: half of the cores are
/// enough for them, and more would only get into each other's way.
fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    let threads = if threads == 0 { (crate::models::cores() / 2).max(1) } else { threads };
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_examples() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for subcommand in
            command.get_subcommands_mut().filter(|command| command.get_name() != "help")
        {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", subcommand.get_name());
        }
    }
}
