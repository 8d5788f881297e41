//! `weir export`: what the ledger holds, for whoever computes, retrains or annotates.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use domain::{Decision, Label};
use export::{
    DecisionRow, DecisionWriter, Format, TrainingLine, TrainingWriter,
    label_studio::{CONFIG, Case, TaskWriter},
    standing,
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::{DecisionFilter, Ledger, StoredDecision, StoredLabel};
use prometheus::Registry;
use screening::{Record, read_record};

use crate::settings::Settings;

/// Exports decisions, labelled transactions, or tasks for annotators.
///
/// The ledger may be in use by a running service. docs/export.md describes the formats.
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
    /// Overwrite the file.
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
///   weir export label-studio --config > config.xml
///   weir export label-studio --since 2026-11-01T00:00:00Z --out tasks.json
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct LabelStudioArgs {
    #[command(flatten)]
    common: Common,
    /// Print the labelling configuration to be pasted into the project, and end.
    #[arg(long)]
    config: bool,
    /// Leave out what the models said, so that annotators judge for themselves.
    #[arg(long)]
    blind: bool,
    /// Also approved transactions; otherwise only those that were not.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Command::LabelStudio(LabelStudioArgs { config: true, .. }) = &args.command {
        io::stdout().write_all(CONFIG.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let ledger = Ledger::open(settings.ledger_config()?, &Registry::new()).await?;
    let result = match &args.command {
        Command::Decisions(args) => decisions(args, &ledger).await,
        Command::Training(args) => training(args, &ledger).await,
        Command::LabelStudio(args) => label_studio(args, &ledger).await,
    };
    ledger.close().await;
    let told = result?;
    writeln!(io::stderr(), "{told}")?;
    Ok(ExitCode::SUCCESS)
}

impl Common {
    fn open(&self) -> anyhow::Result<BufWriter<Box<dyn Write + Send>>> {
        if self.out.as_os_str() == "-" {
            return Ok(BufWriter::new(Box::new(io::stdout())));
        }
        let mut options = File::options();
        options.write(true);
        if self.force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        match options.open(&self.out) {
            Ok(file) => Ok(BufWriter::new(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} is there already; --force overwrites it", self.out.display())
            }
            Err(error) => Err(error).with_context(|| format!("{}", self.out.display())),
        }
    }

    /// Gives each decision of the period with its labels.
    async fn walk(
        &self,
        ledger: &Ledger,
        mut each: impl FnMut(&StoredDecision, &[StoredLabel]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bar = ProgressBar::new_spinner();
        let template = "{pos} decisions  {per_sec}  {elapsed_precise}";
        bar.set_style(ProgressStyle::with_template(template)?);
        let (since, until) = (self.since, self.until);
        let mut filter = DecisionFilter { since, until, limit: 500, ..DecisionFilter::default() };
        loop {
            let page = ledger.decisions(filter.clone()).await?;
            let contents = page.items.iter().filter_map(|stored| stored.content.as_ref());
            let ids: Vec<_> = contents.map(|content| content.transaction_id.clone()).collect();
            let labels = ledger.labels_for(&ids).await?;
            for stored in &page.items {
                let id = stored.content.as_ref().map(|content| &content.transaction_id);
                let known = id.and_then(|id| labels.get(id)).map_or(&[][..], Vec::as_slice);
                each(stored, known)?;
            }
            bar.inc(page.items.len() as u64);
            match page.next {
                Some(next) => filter.cursor = Some(next),
                None => break,
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

async fn decisions(args: &DecisionsArgs, ledger: &Ledger) -> anyhow::Result<String> {
    let format = match args.format {
        FileFormat::Ndjson => Format::Ndjson,
        FileFormat::Parquet => Format::Parquet,
    };
    let mut writer = DecisionWriter::new(format, args.common.open()?)?;
    args.common
        .walk(ledger, |stored, labels| {
            let mut row = row(stored, in_force(labels))?;
            if !args.records {
                (row.record, row.response) = (None, None);
            }
            Ok(writer.write(row)?)
        })
        .await?;
    let rows = writer.rows();
    writer.finish()?.flush()?;
    Ok(format!("{rows} decisions"))
}

async fn training(args: &TrainingArgs, ledger: &Ledger) -> anyhow::Result<String> {
    let mut writer = TrainingWriter::new(args.common.open()?);
    let mut erased = 0_u64;
    args.common
        .walk(ledger, |stored, labels| {
            let Some(record) = read_record(stored)? else {
                erased += 1;
                return Ok(());
            };
            let label = in_force(labels);
            if label.is_none() && args.labelled {
                return Ok(());
            }
            let line = TrainingLine {
                transaction_id: record.facts.transaction.id.clone(),
                event_time: stored.event_time,
                transaction: serde_json::to_string(&record.facts.transaction)?,
                label: label.map(|label| (label.label, Some(label.effective_at))),
            };
            Ok(writer.write(&line)?)
        })
        .await?;
    let (mut out, summary) = writer.finish()?;
    out.flush()?;
    Ok(format!(
        "{} transactions, {} labelled fraud, {} legitimate; {} came again, {} stand out of order, \
         {erased} erased were left out",
        summary.lines, summary.frauds, summary.legitimate, summary.repeated, summary.out_of_order
    ))
}

async fn label_studio(args: &LabelStudioArgs, ledger: &Ledger) -> anyhow::Result<String> {
    let mut writer = TaskWriter::new(args.common.open()?, args.blind)?;
    args.common
        .walk(ledger, |stored, labels| {
            let approved = stored.outcome == domain::Outcome::Approve;
            if approved && !args.all {
                return Ok(());
            }
            let Some(record) = read_record(stored)? else { return Ok(()) };
            let row = row(stored, in_force(labels))?;
            let transaction = serde_json::to_value(&record.facts.transaction)?;
            let decision = current(stored, &record)?;
            let analysis = decision.analysis.as_ref();
            let case = Case {
                row: &row,
                transaction: &transaction,
                reasons: &decision.reasons,
                narrative: analysis.and_then(|analysis| analysis.narrative.as_deref()),
            };
            writer.write(&case)?;
            Ok(())
        })
        .await?;
    let tasks = writer.tasks();
    writer.finish()?.flush()?;
    Ok(format!("{tasks} tasks"))
}

fn in_force(labels: &[StoredLabel]) -> Option<Label> {
    standing(labels.iter().map(|stored| stored.label))
}

/// The decision as it stands.
fn current(stored: &StoredDecision, record: &Record) -> anyhow::Result<Decision> {
    match &stored.content {
        Some(content) => Ok(serde_json::from_str(&content.response)?),
        None => Ok(record.decision.clone()),
    }
}

fn row(stored: &StoredDecision, label: Option<Label>) -> anyhow::Result<DecisionRow> {
    let content = stored.content.as_ref();
    let decision: Option<Decision> =
        content.map(|content| serde_json::from_str(&content.response)).transpose()?;
    let analysis = decision.as_ref().and_then(|decision| decision.analysis.as_ref());
    let policy = decision.as_ref().map(|decision| &decision.policy);
    Ok(DecisionRow {
        decision_id: stored.decision_id,
        transaction_id: content.map(|content| content.transaction_id.clone()),
        account_id: content.map(|content| content.account_id.clone()),
        event_time: stored.event_time,
        decided_at: stored.decided_at,
        outcome: stored.outcome,
        status: stored.status,
        decided_by: stored.decided_by,
        score: stored.score,
        screening_score: decision.as_ref().map(|decision| decision.screening.score),
        analysis_score: analysis.map(|analysis| analysis.score),
        analysis_verdict: analysis.map(|analysis| analysis.verdict),
        degraded: decision.as_ref().and_then(|decision| decision.degraded),
        policy_version: policy.map(|policy| policy.version.clone()),
        policy_sha256: policy.map(|policy| policy.sha256.clone()),
        screening_package: decision.as_ref().map(|decision| decision.screening.package.clone()),
        analysis_package: analysis.map(|analysis| analysis.package.clone()),
        label,
        erased: stored.is_erased(),
        record: content.map(|content| content.record.clone()),
        response: content.map(|content| content.response.clone()),
    })
}
