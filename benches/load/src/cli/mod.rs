//! The command line: `weir load`, and `weir-load` on its own.

mod args;
mod console;
mod input;
mod trials;
mod values;

use std::{
    fs::File,
    io::{self, BufReader, Write},
    num::NonZeroUsize,
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

pub use self::{
    args::Args,
    values::{RampRates, Slo, Spacing},
};
use self::{console::Console, input::Bodies};
use crate::{
    Measured, Plan, Session, Traffic, UniqueIds,
    report::{Context, Report},
};

/// What is sent, by whom, and where to.
struct Sending {
    traffic: Traffic,
    unique: Option<UniqueIds>,
    threads: NonZeroUsize,
}

impl Sending {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let path = &args.input;
        let file = File::open(path).with_context(|| format!("{}", path.display()))?;
        let Bodies { bodies, id_ends } = input::read(BufReader::new(file), args.shape())
            .with_context(|| format!("{}", path.display()))?;
        let traffic = Traffic {
            url: args.url.clone(),
            bodies,
            content_type: args.content_type.clone(),
            headers: args.headers.clone(),
        };
        let unique = id_ends.filter(|_| !args.same_ids).map(|ends| UniqueIds { ends, run: 0 });
        Ok(Self { traffic, unique, threads: args.threads })
    }

    /// Plays one plan; each `run` has identifiers of its own.
    fn play(&self, plan: &Plan, run: u32) -> anyhow::Result<Measured> {
        let unique = self.unique.clone().map(|unique| UniqueIds { run, ..unique });
        let console = Console::new(plan, self.threads.get());
        let session = Session {
            traffic: &self.traffic,
            plan,
            unique: unique.as_ref(),
            observer: &(),
            progress: &console,
        };
        let measured = session.run_on_threads(self.threads);
        console.finish();
        Ok(measured?)
    }
}

/// Runs the load that was asked for and writes what was found.
///
/// # Errors
/// If the input cannot be read, the server cannot be reached, or a file cannot be written.
/// A run whose requests fail is no error; its exit code says so.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sending = Sending::new(args)?;
    let report = if args.find_max_rate {
        trials::find_max_rate(args, &sending)?
    } else {
        let plan = args.plan();
        let measured = sending.play(&plan, 0)?;
        Report::new(&Context { url: &args.url, plan: &plan, threads: args.threads }, measured)
    };
    let mut out = io::stdout().lock();
    write!(out, "{report}")?;
    out.flush()?;
    if let Some(path) = &args.json {
        save(path, |file| Ok(serde_json::to_writer_pretty(file, &report)?))?;
    }
    if let Some(path) = &args.html {
        save(path, |file| Ok(file.write_all(report.html().as_bytes())?))?;
    }
    verdict(args, &report)
}

fn save(path: &Path, write: impl Fn(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("{}", path.display()))?;
    write(&mut file).with_context(|| format!("{}", path.display()))
}

/// Success only if the run was good enough; says why not.
fn verdict(args: &Args, report: &Report) -> anyhow::Result<ExitCode> {
    let mut err = io::stderr().lock();
    if report.trials.is_some() {
        // The trials that failed were meant to.
        return Ok(if report.found() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut good = true;
    let share = args.errors_of(&report.measured);
    if share > args.max_error_share {
        good = false;
        writeln!(
            err,
            "{:.2} % of the requests had no good answer; --max-error-share allows {:.2} %",
            100.0 * share,
            100.0 * args.max_error_share
        )?;
    }
    for slo in &args.slo {
        if !slo.holds(&report.measured) {
            good = false;
            writeln!(err, "{slo} was not kept: {:?}", slo.value(&report.measured))?;
        }
    }
    if report.measured.scheduled == 0 {
        good = false;
        writeln!(err, "no request came due within the window")?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
