//! `weir ledger`: verifies the chain, erases an account, lets old records go.

use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::bail;
use clap::{Args as ClapArgs, Subcommand};
use domain::AccountId;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use prometheus::Registry;

use crate::settings::Settings;

/// Looks after the record of decisions.
///
/// Examples:
///   weir ledger verify
///   weir ledger erase acc-4711 --reason "request of 2026-11-20" --yes
///   weir ledger retain --older-than-days 1825 --yes
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(VerifyArgs),
    Erase(EraseArgs),
    Retain(RetainArgs),
}

/// Walks the whole chain of hashes and reports every record that was altered, removed or moved.
///
/// May run beside a service that writes; it verifies what was there when it began. Note the hash of
/// the last record somewhere else from time to time: a chain proves that nothing inside it was
/// changed, and the noted hash that its end was not cut off.
///
/// Examples:
///   weir ledger verify
///   weir ledger verify --expect-head 4be2…
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct VerifyArgs {
    /// A hash noted earlier, which must still be in the chain.
    #[arg(long, value_name = "SHA256")]
    expect_head: Option<String>,
}

/// Erases the personal content of everything recorded of an account; the chain still verifies.
///
/// What stays of each decision is that it was taken: its name, times, outcome, score, policy and
/// package. It can no longer be read, replayed or exported with its content. There is no way back.
///
/// Examples:
///   weir ledger erase acc-4711 --reason "request of 2026-11-20"
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct EraseArgs {
    /// The account's identifier, as in `transaction.account.id`.
    account: AccountId,
    /// Why; recorded, and so must name nobody.
    #[arg(long)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Removes records older than a number of days; the chain begins after them then.
///
/// Policies stay, and so does what is still owed.
///
/// Examples:
///   weir ledger retain --older-than-days 1825
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct RetainArgs {
    /// How many days are kept.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    older_than_days: u32,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let ledger = Ledger::open(settings.ledger_config()?, &Registry::new()).await?;
    let result = match &args.command {
        Command::Verify(args) => verify(args, &ledger).await,
        Command::Erase(args) => erase(args, &ledger).await,
        Command::Retain(args) => retain(args, &ledger).await,
    };
    ledger.close().await;
    result
}

async fn verify(args: &VerifyArgs, ledger: &Ledger) -> anyhow::Result<ExitCode> {
    let expected = args.expect_head.as_ref().map(|text| text.to_ascii_lowercase());
    let mut met = expected.is_none();
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{pos} records  {per_sec}  {elapsed_precise}")?);
    let verification = ledger
        .verify(|seen| {
            bar.set_position(seen.entries);
            met = met || expected.as_deref() == Some(hex(&seen.hash).as_str());
        })
        .await?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    let found = &verification;
    writeln!(
        out,
        "{} records in the chain ({} to {}), {} of them erased, {} recorded before the chain began",
        found.entries, found.first_seq, found.last_seq, found.erased, found.unchained
    )?;
    writeln!(out, "head {}", hex(&found.head))?;
    for fault in &found.faults {
        writeln!(out, "record {}: {}", fault.seq, fault.what)?;
    }
    if !met {
        writeln!(out, "the hash that was expected is not in the chain")?;
    }
    if found.fault_count > 0 {
        writeln!(out, "{} faults", found.fault_count)?;
    }
    let sound = found.fault_count == 0 && met;
    if sound {
        writeln!(out, "the chain verifies")?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn erase(args: &EraseArgs, ledger: &Ledger) -> anyhow::Result<ExitCode> {
    confirm(args.yes, &format!("erase everything recorded of account {}", args.account))?;
    let erased = ledger.erase_account(&args.account, &args.reason, Timestamp::now()).await?;
    writeln!(
        std::io::stdout().lock(),
        "erased the content of {} decisions and {} labels, and removed {} events",
        erased.decisions,
        erased.labels,
        erased.events
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn retain(args: &RetainArgs, ledger: &Ledger) -> anyhow::Result<ExitCode> {
    let days = i64::from(args.older_than_days);
    let before = Timestamp::now().checked_sub(SignedDuration::from_hours(days * 24))?;
    confirm(args.yes, &format!("remove all records from before {before}"))?;
    let retained = ledger.apply_retention(before).await?;
    writeln!(
        std::io::stdout().lock(),
        "removed {} decisions, {} labels and {} events from before {before}",
        retained.decisions,
        retained.labels,
        retained.events
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Asks whoever sits at the terminal; where nobody does, only `--yes` will do.
fn confirm(yes: bool, what: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("this would {what}, for good; say so with --yes");
    }
    write!(std::io::stderr(), "This will {what}, for good. Type \"yes\" to go on: ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was changed");
    }
    Ok(())
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
