//! `weir labels`: brings annotators' labels back.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use domain::Label;
use export::label_studio::{ImportedLabel, ImportedLabels, import};
use jiff::Timestamp;
use ledger::{Ledger, NewLabel};
use prometheus::Registry;

use crate::settings::Settings;

/// Imports labels.
///
/// Examples:
///   weir labels import annotations.json
///   weir labels import --dry-run annotations.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(ImportArgs),
}

/// Records the annotations of a Label Studio export (JSON or JSON-MIN) as labels of source analyst.
///
/// Of several annotators the majority counts; ties are reported and left open. A label that is in
/// force already is not recorded again, so the same file can be imported twice. A service that runs on
/// the same SQLite file hears of the labels at its next start; on PostgreSQL within a second.
///
/// Examples:
///   weir labels import annotations.json
///   weir labels import --dry-run annotations.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct ImportArgs {
    /// Read and report, and record nothing.
    #[arg(long)]
    dry_run: bool,
    /// The export.
    file: PathBuf,
}

#[derive(Default)]
struct Tally {
    recorded: u64,
    known: u64,
    strangers: u64,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let Command::Import(args) = &args.command;
    let file = File::open(&args.file).with_context(|| format!("{}", args.file.display()))?;
    let imported =
        import(BufReader::new(file)).with_context(|| format!("{}", args.file.display()))?;
    let ledger = Ledger::open(settings.ledger_config()?, &Registry::new()).await?;
    let tally = record_all(&imported, &ledger, args.dry_run).await;
    ledger.close().await;
    tell(&imported, &tally?, args.dry_run)?;
    Ok(if imported.bad_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

async fn record_all(
    imported: &ImportedLabels,
    ledger: &Ledger,
    dry_run: bool,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for label in &imported.labels {
        let id = &label.transaction_id;
        if !ledger.has_transaction(id).await? {
            tally.strangers += 1;
            tracing::warn!(transaction_id = %id, "this transaction was never screened or backfilled");
            continue;
        }
        let new = new_label(label);
        let known = ledger.labels(id).await?;
        if export::standing(known.iter().map(|stored| stored.label)) == Some(new) {
            tally.known += 1;
            continue;
        }
        tally.recorded += 1;
        if !dry_run {
            let transaction_id = id.clone();
            let recorded_at = Timestamp::now();
            let entry = NewLabel { transaction_id, decision_id: None, label: new, recorded_at };
            ledger.append_label(entry).await?;
        }
    }
    Ok(tally)
}

fn new_label(label: &ImportedLabel) -> Label {
    Label {
        label: label.label,
        source: label.source,
        effective_at: label.effective_at,
        reversed: false,
    }
}

fn tell(imported: &ImportedLabels, tally: &Tally, dry_run: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let verb = if dry_run { "would be recorded" } else { "recorded" };
    writeln!(
        out,
        "{} items: {} labels {verb}, {} known already, {} of unknown transactions",
        imported.items, tally.recorded, tally.known, tally.strangers
    )?;
    writeln!(
        out,
        "{} contested, {} ties, {} undecided, {} cancelled, {} without annotations, {} unusable",
        imported.contested,
        imported.tie_count,
        imported.undecided,
        imported.cancelled,
        imported.empty,
        imported.bad_count
    )?;
    for tie in &imported.ties {
        writeln!(out, "  item {}: {} votes each for {}", tie.index, tie.votes, tie.transaction_id)?;
    }
    for bad in &imported.bad {
        writeln!(out, "  item {}: {}", bad.index, bad.detail)?;
    }
    Ok(())
}
