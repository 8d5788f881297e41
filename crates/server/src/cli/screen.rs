//! `weir screen`: screens files without a server, and sums up.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args as ClapArgs;
use futures::{StreamExt, stream::FuturesOrdered};
use indicatif::ProgressBar;
use screening::{Priority, ScreenError, ScreenOptions, Screened, Screener};
use tokio::time::Instant;

use super::summary::Summary;
use crate::{
    models::offline_screener,
    offline::{Case, CaseReader, LabelQueue},
    settings::Settings,
};

/// Screens NDJSON files through both tiers, without a server.
///
/// Each line is a transaction, or `{"transaction": {...}, "label": "fraud", "label_at": ...}`.
/// Lines count towards velocity in order; labels take effect at their `label_at`. Nothing is
/// recorded in the ledger.
///
/// Examples:
///   weir screen samples/payments.ndjson
///   weir screen --warm samples/history.ndjson --output decisions.ndjson samples/payments.ndjson
///   weir screen --warm samples/history.ndjson --compare 200 samples/payments.ndjson
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files that only warm velocity before the first transaction is screened.
    #[arg(long, value_name = "FILE")]
    warm: Vec<PathBuf>,
    /// Write each decision as a line of JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also time tier 2 alone on this many of the same transactions, evenly spread and taken
    /// in turn with the cascade, one request at a time.
    #[arg(long, value_name = "N")]
    compare: Option<usize>,
    /// How many transactions are under way at once; `--compare` makes it 1.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// How long tier 2 may take for one transaction, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    deadline_ms: u64,
    /// NDJSON files of transactions, in event order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Everything one run holds.
struct Run {
    screener: Arc<Screener>,
    labels: LabelQueue,
    summary: Summary,
    output: Option<BufWriter<std::fs::File>>,
    deadline: Duration,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let offline = offline_screener(settings).await?;
    let output = match &args.output {
        Some(path) => {
            let file =
                std::fs::File::create(path).with_context(|| format!("{}", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let mut run = Run {
        screener: Arc::clone(&offline.screener),
        labels: LabelQueue::default(),
        summary: Summary::default(),
        output,
        deadline: Duration::from_millis(args.deadline_ms),
    };
    run.warm(&args.warm)?;
    let total = match args.compare {
        Some(_) => count_lines(&args.files)?,
        None => 0,
    };
    let started = Instant::now();
    run.screen(args, total).await?;
    run.summary.wall = started.elapsed();
    if let Some(mut output) = run.output.take() {
        output.flush()?;
    }
    write!(std::io::stdout().lock(), "{}", run.summary)?;
    offline.shutdown();
    Ok(if run.summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

impl Run {
    /// Counts transactions without screening them.
    fn warm(&mut self, files: &[PathBuf]) -> anyhow::Result<()> {
        let mut cases = CaseReader::open(files, true)?;
        cases.progress().set_message("warming velocity");
        while let Some(case) = cases.next_case()? {
            let Some(case) = self.usable(case, cases.progress()) else { continue };
            self.labels.release(case.transaction.timestamp, self.screener.velocity());
            self.labels.hold(&case);
            self.screener.velocity().observe(&case.transaction);
        }
        Ok(())
    }

    async fn screen(&mut self, args: &Args, total: usize) -> anyhow::Result<()> {
        let concurrency = if args.compare.is_some() { 1 } else { usize::from(args.concurrency) };
        let every = args.compare.map(|n| (total / n.max(1)).max(1));
        let mut cases = CaseReader::open(&args.files, true)?;
        let progress = cases.progress().clone();
        let screener = Arc::clone(&self.screener);
        let mut running = FuturesOrdered::new();
        let mut read = 0_usize;
        loop {
            let next = cases.next_case()?;
            let ended = next.is_none();
            if let Some(case) = next.and_then(|case| self.usable(case, &progress)) {
                self.labels.release(case.transaction.timestamp, screener.velocity());
                self.labels.hold(&case);
                let options = ScreenOptions {
                    priority: Priority::Bulk,
                    ..ScreenOptions::by(Instant::now() + self.deadline)
                };
                // Velocity counts here, in the order of the lines.
                let screened = screener.screen(case.transaction.clone(), options);
                let compare = every.is_some_and(|every| read.is_multiple_of(every));
                read += 1;
                running.push_back(async move { (case, compare, screened.await) });
            }
            while running.len() >= concurrency || (ended && !running.is_empty()) {
                if let Some((case, compare, screened)) = running.next().await {
                    self.settle(&case, compare, screened, &progress).await?;
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Takes one answer into the summary and the output.
    async fn settle(
        &mut self,
        case: &Case,
        compare: bool,
        screened: Result<Screened, ScreenError>,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        match screened {
            Ok(screened) => {
                self.summary.add(case, &screened);
                if compare {
                    self.compare(&screened).await;
                }
                if let Some(output) = &mut self.output {
                    output.write_all(screened.response.as_bytes())?;
                    output.write_all(b"\n")?;
                }
            }
            Err(error) => {
                self.summary.failed += 1;
                let id = &case.transaction.id;
                progress.suspend(|| tracing::warn!(transaction_id = %id, %error, "not screened"));
            }
        }
        progress.set_message(self.summary.progress());
        Ok(())
    }

    /// Times tier 2 alone on a transaction that the cascade has just decided.
    async fn compare(&mut self, screened: &Screened) {
        let deadline = Instant::now() + self.deadline;
        match self.screener.time_analysis(&screened.facts, deadline).await {
            Ok(alone) => self.summary.compared(screened, alone),
            Err(error) => tracing::warn!(%error, "tier 2 alone gave no answer"),
        }
    }

    fn usable(
        &mut self,
        case: Result<Case, crate::offline::LineError>,
        progress: &ProgressBar,
    ) -> Option<Case> {
        match case {
            Ok(case) => Some(case),
            Err(error) => {
                self.summary.failed += 1;
                progress.suspend(|| tracing::warn!("skipped {error}"));
                None
            }
        }
    }
}

fn count_lines(files: &[PathBuf]) -> anyhow::Result<usize> {
    let mut cases = CaseReader::open(files, false)?;
    let mut lines = 0;
    while cases.next_case()?.is_some() {
        lines += 1;
    }
    Ok(lines)
}
