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
    let (mut out, mut err) = (io::stdout(), io::stderr());
    match &args.command {
        Command::Check(args) => check(&args.file, &mut out, &mut err),
        Command::Diff(args) => diff(&args.before, &args.after, &mut out, &mut err),
        Command::Backtest(args) => backtest::run(args, settings).await,
    }
}

fn read(path: &Path) -> anyhow::Result<Result<Policy, PolicyError>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(Policy::parse(&text))
}

fn check(path: &Path, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    match read(path)? {
        Ok(policy) => {
            write!(out, "{policy}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            complain(path, &error, err)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn complain(path: &Path, error: &PolicyError, err: &mut impl Write) -> io::Result<()> {
    for problem in &error.problems {
        let (line, column) = (problem.line, problem.column);
        writeln!(err, "{}:{line}:{column}: {}", path.display(), problem.detail)?;
        writeln!(err, "{}", problem.snippet())?;
    }
    Ok(())
}

fn diff(
    before: &Path,
    after: &Path,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut policies = Vec::new();
    for path in [before, after] {
        match read(path)? {
            Ok(policy) => policies.push(policy),
            Err(error) => {
                complain(path, &error, err)?;
                return Ok(ExitCode::from(2));
            }
        }
    }
    let [before, after] = policies.as_slice() else { return Ok(ExitCode::from(2)) };
    let changes = before.diff(after);
    for change in &changes {
        writeln!(out, "{change}")?;
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../deploy/policy.example.toml");

    /// A file of that text, kept while the folder is.
    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_good_policy_is_summed_up_and_a_bad_one_shown_with_carets() {
        let folder = tempfile::tempdir().unwrap();
        let good = file(&folder, "good.toml", EXAMPLE);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(check(&good, &mut out, &mut err).unwrap(), ExitCode::SUCCESS);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("rules      6") && err.is_empty(), "{out}");

        let bad = EXAMPLE.replace("derived.hour < 5", "derived.our < 5");
        let bad = file(&folder, "bad.toml", &bad);
        let mut out = Vec::new();
        assert_eq!(check(&bad, &mut out, &mut err).unwrap(), ExitCode::FAILURE);
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("unknown field `our`") && err.contains("| "), "{err}");
        assert!(err.lines().any(|line| line.ends_with(" ^^^")) && out.is_empty(), "{err}");
    }

    #[test]
    fn a_difference_fails_and_a_bad_policy_fails_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(&folder, "one.toml", EXAMPLE);
        let other = EXAMPLE.replace("target_share = 0.05", "target_share = 0.04");
        let other = file(&folder, "other.toml", &other);
        let bad = file(&folder, "bad.toml", "version = 1");
        let run = |before: &Path, after: &Path| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = diff(before, after, &mut out, &mut err).unwrap();
            (code, String::from_utf8(out).unwrap())
        };
        assert_eq!(run(&one, &one), (ExitCode::SUCCESS, String::new()));
        let told = "~ budget.target_share: 0.05 -> 0.04\n".to_owned();
        assert_eq!(run(&one, &other), (ExitCode::FAILURE, told));
        assert_eq!(run(&one, &bad), (ExitCode::from(2), String::new()));
    }
}
