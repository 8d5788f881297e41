//! `weir policy`: checks, compares and tries policies before they go live.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use policy::{Policy, PolicyError};

use super::backtest;
use crate::settings::Settings;

/// Checks, compares and tries policies before they go live.
///
/// Examples:
///   weir policy check policy.toml
///   weir policy diff policy.toml candidate.toml
///   weir policy backtest candidate.toml --since 2026-11-01T00:00:00Z
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(CheckArgs),
    Diff(DiffArgs),
    Backtest(backtest::Args),
}

/// Reads a policy as the service would; prints what it holds, or everything wrong with its place.
///
/// Examples:
///   weir policy check policy.toml
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct CheckArgs {
    /// The policy document.
    file: PathBuf,
}

/// Prints what the second policy says otherwise; fails when they differ, as diff(1) does.
///
/// Examples:
///   weir policy diff policy.toml candidate.toml
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct DiffArgs {
    /// The policy before.
    before: PathBuf,
    /// The policy after.
    after: PathBuf,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check(&args.file),
        Command::Diff(args) => diff(&args.before, &args.after),
        Command::Backtest(args) => backtest::run(args, settings).await,
    }
}

fn read(path: &Path) -> anyhow::Result<Result<Policy, PolicyError>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(Policy::parse(&text))
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    match read(path)? {
        Ok(policy) => {
            write!(io::stdout().lock(), "{policy}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            complain(path, &error)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn complain(path: &Path, error: &PolicyError) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for problem in &error.problems {
        let (line, column) = (problem.line, problem.column);
        writeln!(out, "{}:{line}:{column}: {}", path.display(), problem.detail)?;
        writeln!(out, "{}", problem.snippet())?;
    }
    Ok(())
}

fn diff(before: &Path, after: &Path) -> anyhow::Result<ExitCode> {
    let mut policies = Vec::new();
    for path in [before, after] {
        match read(path)? {
            Ok(policy) => policies.push(policy),
            Err(error) => {
                complain(path, &error)?;
                return Ok(ExitCode::from(2));
            }
        }
    }
    let [before, after] = policies.as_slice() else { return Ok(ExitCode::from(2)) };
    let changes = before.diff(after);
    let mut out = io::stdout().lock();
    for change in &changes {
        writeln!(out, "{change}")?;
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
