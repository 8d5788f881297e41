//! `weir labels`: brings the truth back, from annotators or from another system.

mod input;
mod recorder;
mod service;
mod tally;

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    io,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args as ClapArgs, Subcommand};
use domain::{LabelSource, TransactionId};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use self::{
    input::{Fill, Input},
    recorder::Recorder,
    service::{Service, ServiceUrl},
    tally::{Group, Tally, tell_votes},
};
use super::recorded;
use crate::settings::Settings;

/// How many labels are held at once.
const CHUNK: usize = 500;
/// How many transactions are worked on at once: what is recorded together shares a flush.
const AT_ONCE: usize = 32;
/// The same for a service, which has others to serve.
const AT_ONCE_BY_HTTP: usize = 8;

/// Imports labels.
///
/// Examples:
///   weir labels import annotations.json
///   weir labels import --url http://127.0.0.1:8080 annotations.json
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

/// Records the labels of a file: an export of Label Studio (JSON or JSON-MIN), or lines of
/// {"transaction_id": …, "label": "fraud", "source"?: …, "effective_at"?: …, "reversed"?: …}.
///
/// Of several annotators the majority counts; ties are reported and left open. Labels of unknown
/// transactions and what cannot be read are reported and left out.
///
/// Without --url labels are written to the ledger, and none that is recorded already is written again:
/// the same file can be imported twice. A service that runs on the same SQLite file counts them from
/// its next start on, one on PostgreSQL within a second. With --url they are sent to the service, which
/// counts them at once, in velocity and metrics too; one that is sent twice is recorded twice, which
/// means the same. So: --url beside a running service, the ledger otherwise.
///
/// The exit code is 2 when something was left out, and 1 when the import could not go on.
///
/// Examples:
///   weir labels import --dry-run annotations.json
///   weir labels import annotations.json
///   weir labels import --url http://127.0.0.1:8080 --source chargeback chargebacks.ndjson
///   generate-labels | weir labels import -
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
struct ImportArgs {
    /// Who says so, where the file does not tell: chargeback, analyst, customer, external or
    /// simulation.
    #[arg(long, default_value = "analyst")]
    source: LabelSource,
    /// Read and report, and record nothing.
    #[arg(long, conflicts_with = "url")]
    dry_run: bool,
    /// Send the labels to this service instead of writing to the ledger.
    #[arg(long, value_name = "URL")]
    url: Option<ServiceUrl>,
    /// The file; `-` is the standard input.
    file: PathBuf,
}

/// Where labels go.
enum Sink {
    Ledger(Recorder),
    Service(Service),
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let Command::Import(args) = &args.command;
    let fill = Fill { source: args.source, now: Timestamp::now() };
    let mut input = Input::open(&args.file, fill)?;
    let sink = match &args.url {
        Some(url) => Sink::Service(Service::new(url.clone())?),
        None => {
            let ledger = recorded::open(settings).await?;
            Sink::Ledger(Recorder { ledger, dry_run: args.dry_run })
        }
    };
    let tally = RefCell::new(Tally::default());
    if let Input::Annotations { imported, .. } = &input {
        tally.borrow_mut().add_findings(imported);
    }
    let result = sink.take_all(&mut input, &tally).await;
    if let Sink::Ledger(recorder) = sink {
        recorder.ledger.close().await;
    }
    // Also after a failure: what was recorded stays recorded.
    let mut out = io::stdout().lock();
    if let Input::Annotations { imported, .. } = &input {
        tell_votes(imported, &mut out)?;
    }
    let tally = tally.into_inner();
    tally.tell(&mut out, if args.dry_run { "would be recorded" } else { "recorded" })?;
    result?;
    Ok(if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

impl Sink {
    async fn take_all(&self, input: &mut Input, tally: &RefCell<Tally>) -> anyhow::Result<()> {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{pos} labels  {per_sec}  {elapsed_precise}")?);
        loop {
            let groups = next_groups(input, tally)?;
            if groups.is_empty() {
                bar.finish_and_clear();
                return Ok(());
            }
            let running = groups.into_iter().map(|group| self.take(group, tally));
            let mut running = stream::iter(running).buffer_unordered(match self {
                Self::Ledger(_) => AT_ONCE,
                Self::Service(_) => AT_ONCE_BY_HTTP,
            });
            while let Some(taken) = running.next().await {
                taken?;
                bar.set_position(tally.borrow().settled());
            }
        }
    }

    async fn take(&self, group: Group, tally: &RefCell<Tally>) -> anyhow::Result<()> {
        match self {
            Self::Ledger(recorder) => Ok(recorder.take(group, tally).await?),
            Self::Service(service) => service.take(group, tally).await,
        }
    }
}

/// The next labels by transaction; empty at the end.
fn next_groups(input: &mut Input, tally: &RefCell<Tally>) -> io::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<TransactionId, usize> = HashMap::new();
    let mut held = 0;
    while held < CHUNK {
        let given = match input.next()? {
            None => break,
            Some(Ok(given)) => given,
            Some(Err(what)) => {
                tally.borrow_mut().bad(what);
                continue;
            }
        };
        held += 1;
        let place = match places.entry(given.transaction_id.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let transaction_id = given.transaction_id.clone();
                groups.push(Group { transaction_id, labels: Vec::new() });
                *new.insert(groups.len() - 1)
            }
        };
        groups[place].labels.push(given);
    }
    Ok(groups)
}
