//! `weir export`: what the ledger holds, for whoever computes, retrains or annotates.

mod output;
mod rows;
mod walk;

use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use domain::Outcome;
use export::{
    DecisionWriter, ExportError, Format, TrainingLine, TrainingWriter,
    label_studio::{CONFIG, Case, TaskWriter},
};
use jiff::Timestamp;
use ledger::{Ledger, StoredDecision};
use screening::read_record;

use self::{
    output::Output,
    rows::{add_texts, answered, row},
    walk::{Period, walk},
};
use super::recorded;
use crate::settings::Settings;

/// Exports decisions, labelled transactions, or tasks for annotators.
///
/// The ledger may be in use by a running service. A file appears under its name once it is whole, and
/// its owner alone can read it; docs/export.md describes the formats. The exit code is 2 when a
/// decision on record could not be read, and 1 when there is no export.
///
/// Examples:
///   weir export decisions --since 2026-11-01T00:00:00Z --format parquet --out november.parquet
///   weir export training --out labelled.ndjson
///   weir export label-studio --out tasks.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Decisions(DecisionsArgs),
    Training(TrainingArgs),
    LabelStudio(LabelStudioArgs),
}

/// What every export takes.
#[derive(Debug, ClapArgs)]
struct Common {
    /// Decisions made at or after this time; all of them without it.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Decisions made before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Where to write; `-` is the standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum FileFormat {
    #[default]
    Ndjson,
    Parquet,
}

/// Writes one row for each decision, with its label. Erased ones have their core alone.
///
/// Examples:
///   weir export decisions --format parquet --out decisions.parquet
///   weir export decisions --records | jq .outcome
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct DecisionsArgs {
    #[command(flatten)]
    common: Common,
    /// How rows are written.
    #[arg(long, value_enum, default_value_t)]
    format: FileFormat,
    /// Also write records and answers, which hold everything known of the transaction.
    #[arg(long)]
    records: bool,
}

/// Writes transactions with their labels as `weir screen`, `weir calibrate` and the training read
/// them: in event order, each transaction once. Erased ones are left out.
///
/// Examples:
///   weir export training --out labelled.ndjson
///   weir export training --labelled --until 2026-11-01T00:00:00Z | weir calibrate /dev/stdin
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct TrainingArgs {
    #[command(flatten)]
    common: Common,
    /// Only transactions whose truth is known.
    #[arg(long)]
    labelled: bool,
}

/// Writes tasks for Label Studio, to be imported there; `weir labels import` takes the annotations.
///
/// Examples:
///   weir export label-studio --labelling-config > config.xml
///   weir export label-studio --since 2026-11-01T00:00:00Z --out tasks.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct LabelStudioArgs {
    #[command(flatten)]
    common: Common,
    /// Print the labelling configuration to be pasted into the project, and end.
    #[arg(long)]
    labelling_config: bool,
    /// Leave out what the models said, so that annotators judge for themselves.
    #[arg(long)]
    blind: bool,
    /// Also approved transactions; otherwise only those that were not.
    #[arg(long)]
    all: bool,
}

/// What an export came to.
struct Told {
    text: String,
    unreadable: u64,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Command::LabelStudio(LabelStudioArgs { labelling_config: true, .. }) = &args.command {
        io::stdout().write_all(CONFIG.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let ledger = recorded::open(settings).await?;
    // Dropping the work takes the unfinished file away.
    let result = tokio::select! {
        result = export(&args.command, &ledger) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    ledger.close().await;
    let told = result?;
    let mut out = io::stderr().lock();
    write!(out, "{}", told.text)?;
    if told.unreadable == 0 {
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "; {} on record could not be read", told.unreadable)?;
    Ok(ExitCode::from(2))
}

async fn export(command: &Command, ledger: &Ledger) -> anyhow::Result<Told> {
    match command {
        Command::Decisions(args) => decisions(args, ledger).await,
        Command::Training(args) => training(args, ledger).await,
        Command::LabelStudio(args) => label_studio(args, ledger).await,
    }
}

impl Common {
    fn open(&self) -> anyhow::Result<Output> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            bail!("--since {since} is not before --until {until}");
        }
        Output::open(&self.out, self.force)
    }

    fn period(&self) -> Period {
        Period { since: self.since, until: self.until }
    }
}

async fn decisions(args: &DecisionsArgs, ledger: &Ledger) -> anyhow::Result<Told> {
    let format = match args.format {
        FileFormat::Ndjson => Format::Ndjson,
        FileFormat::Parquet => Format::Parquet,
    };
    let mut writer = DecisionWriter::new(format, args.common.open()?).map_err(plain)?;
    let mut unreadable = 0;
    walk(ledger, args.common.period(), |stored, label| {
        let decision = answered(stored).unwrap_or_else(|error| {
            note(stored, &error, &mut unreadable);
            None
        });
        let mut row = row(stored, decision.as_ref(), label);
        if args.records
            && decision.is_some()
            && let Err(error) = add_texts(&mut row, stored)
        {
            note(stored, &error, &mut unreadable);
        }
        writer.write(row).map_err(plain)
    })
    .await?;
    let rows = writer.rows();
    writer.finish().map_err(plain)?.keep()?;
    Ok(Told { text: format!("{rows} decisions"), unreadable })
}

async fn training(args: &TrainingArgs, ledger: &Ledger) -> anyhow::Result<Told> {
    let mut writer = TrainingWriter::new(args.common.open()?);
    let (mut erased, mut unreadable) = (0_u64, 0);
    walk(ledger, args.common.period(), |stored, label| {
        let record = match read_record(stored) {
            Ok(Some(record)) => record,
            Ok(None) => {
                erased += 1;
                return Ok(());
            }
            Err(error) => {
                note(stored, &error, &mut unreadable);
                return Ok(());
            }
        };
        if label.is_none() && args.labelled {
            return Ok(());
        }
        let line = TrainingLine {
            transaction_id: record.facts.transaction.id.clone(),
            event_time: stored.event_time,
            transaction: serde_json::to_string(&record.facts.transaction)?,
            label: label.map(|label| (label.label, Some(label.effective_at))),
        };
        writer.write(&line).map_err(plain)
    })
    .await?;
    let (out, summary) = writer.finish().map_err(plain)?;
    out.keep()?;
    let text = format!(
        "{} transactions, {} labelled fraud, {} legitimate; {} came again, {} stand out of order, \
         {erased} erased were left out",
        summary.lines, summary.frauds, summary.legitimate, summary.repeated, summary.out_of_order
    );
    Ok(Told { text, unreadable })
}

async fn label_studio(args: &LabelStudioArgs, ledger: &Ledger) -> anyhow::Result<Told> {
    let mut writer = TaskWriter::new(args.common.open()?, args.blind).map_err(plain)?;
    let mut unreadable = 0;
    walk(ledger, args.common.period(), |stored, label| {
        if stored.outcome == Outcome::Approve && !args.all {
            return Ok(());
        }
        let read = || anyhow::Ok(read_record(stored)?.zip(answered(stored)?));
        let (record, decision) = match read() {
            Ok(Some(both)) => both,
            Ok(None) => return Ok(()),
            Err(error) => {
                note(stored, &error, &mut unreadable);
                return Ok(());
            }
        };
        let row = row(stored, Some(&decision), label);
        let transaction = serde_json::to_value(&record.facts.transaction)?;
        let analysis = decision.analysis.as_ref();
        let case = Case {
            row: &row,
            transaction: &transaction,
            reasons: &decision.reasons,
            narrative: analysis.and_then(|analysis| analysis.narrative.as_deref()),
        };
        writer.write(&case).map_err(plain)?;
        Ok(())
    })
    .await?;
    let tasks = writer.tasks();
    writer.finish().map_err(plain)?.keep()?;
    Ok(Told { text: format!("{tasks} tasks"), unreadable })
}

/// One record of an old version, or a damaged one, must not stand in the way of all others.
fn note(stored: &StoredDecision, error: &dyn Display, unreadable: &mut u64) {
    tracing::warn!(%error, decision = %stored.decision_id, "a decision on record cannot be read");
    *unreadable += 1;
}

/// An error of the output as itself, so that a reader who has read enough can be told from a defect.
fn plain(error: ExportError) -> anyhow::Error {
    if let ExportError::Io(error) = error { error.into() } else { error.into() }
}

#[cfg(test)]
mod tests {
    use domain::{ParseContext, Transaction};
    use serde_json::json;

    use crate::offline::Case;

    #[test]
    fn a_transaction_on_record_is_read_as_the_line_of_a_file() {
        let value = json!({
            "id": "t", "timestamp": "2026-03-01T12:00:00.25Z", "amount": "12.30", "currency": "EUR",
            "type": "card_payment", "channel": "ecommerce", "memo": "two\nlines",
            "account": {"id": "a", "opened_at": "2020-01-01T00:00:00Z", "country": "DE"},
            "counterparty": {"id": "c", "name": "Shop", "kind": "merchant", "mcc": "5411"},
            "card": {"token": "tok_1", "entry_mode": "chip"}, "terminal": {"id": "x"},
            "device": {"id": "d", "ip": "192.0.2.1", "ip_country": "FR", "user_agent": "Agent/1"},
            "attributes": {"note": "text", "n": 1.5, "yes": true},
        });
        let context = ParseContext { now: "2026-03-02T00:00:00Z".parse().unwrap() };
        let transaction = Transaction::parse(&value, &context).unwrap();
        let line = format!(
            r#"{{"transaction":{},"label":"fraud","label_at":"2026-03-05T00:00:00Z"}}"#,
            serde_json::to_string(&transaction).unwrap()
        );
        assert_eq!(Case::parse(&line).unwrap().transaction, transaction);
    }
}
