//! Tables for people, JSON for machines.

use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

use super::{
    book::{Book, Field, Key, Sample, median, ratio},
    rounds::{POOLS, closed_load, sorted_limit},
    targets::{PEERS, Target, best_online},
};

/// Everything that was measured of one model, with each rate's share of the sorted limit of the
/// graph it runs.
///
/// # Errors
/// When it cannot be written.
pub fn table(out: &mut dyn Write, book: &Book, model: &str) -> io::Result<()> {
    writeln!(out, "\n{model}: medians over the rounds")?;
    cells(out, ["", "load"], HEADINGS.map(str::to_owned))?;
    for (key, samples) in book.rows().filter(|(key, _)| key.model == model) {
        line(out, book, key, samples)?;
    }
    Ok(())
}

/// `limit`: share of the sorted limit. `batch`: texts in a batch. `CPU` and `client`: processor
/// time in ms for each answer, the server's and the load generator's. `ours`: share of the cores
/// that nobody else had.
const HEADINGS: [&str; 11] = [
    "texts/s", "limit", "batch", "p50 ms", "p99 ms", "CPU", "client", "429", "other", "wrong",
    "ours",
];

fn cells(out: &mut dyn Write, names: [&str; 2], figures: [String; 11]) -> io::Result<()> {
    write!(out, "{:<22} {:<36}", names[0], names[1])?;
    for figure in figures {
        write!(out, " {figure:>8}")?;
    }
    writeln!(out)
}

fn line(out: &mut dyn Write, book: &Book, key: &Key, samples: &[Sample]) -> io::Result<()> {
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) if value.is_finite() && value != 0.0 => format!("{value:.digits$}"),
        Some(_) | None => "-".into(),
    };
    let field =
        |digits: usize, field: Field| number(median(samples.iter().map(field).collect()), digits);
    let version = if key.subject.contains("plain") { "plain" } else { "fast" };
    let limit = sorted_limit(book, &key.model, version);
    let rate = median(samples.iter().map(|sample| sample.per_second).collect());
    let wrong: u64 = samples.iter().map(|sample| sample.wrong).sum();
    let figures = [
        number(rate, 1),
        number(rate.zip(limit).map(|(rate, limit)| rate / limit), 3),
        field(2, |sample| sample.mean_batch),
        field(2, |sample| sample.p50_ms.unwrap_or(f64::NAN)),
        field(2, |sample| sample.p99_ms.unwrap_or(f64::NAN)),
        field(3, |sample| sample.server_cpu_ms),
        field(3, |sample| sample.client_cpu_ms),
        field(0, |sample| sample.refused as f64),
        field(0, |sample| (sample.other + sample.failed) as f64),
        wrong.to_string(),
        field(2, |sample| 1.0 - sample.others),
    ];
    cells(out, [&key.subject, &key.load], figures)
}

/// What follows from the table: the best pickers, processor time side by side, single figures.
///
/// # Errors
/// When it cannot be written.
pub fn findings(out: &mut dyn Write, book: &Book, model: &str) -> io::Result<()> {
    writeln!(out)?;
    for size in POOLS {
        processor_time(out, book, model, size)?;
    }
    for (what, figure) in book.figures.iter().filter(|(what, _)| what.starts_with(model)) {
        writeln!(out, "{what}: {figure:.2}")?;
    }
    for (key, samples) in book.rows().filter(|(key, _)| key.model == model) {
        let deviation = samples.iter().map(|sample| sample.deviation).fold(0.0, f64::max);
        if deviation > 0.0 {
            let Key { subject, load, .. } = key;
            writeln!(out, "{subject}, {load}: scores deviate by up to {deviation:.2e}")?;
        }
    }
    Ok(())
}

/// Processor time tells what a quiet machine would do, even where others had a part of it.
fn processor_time(out: &mut dyn Write, book: &Book, model: &str, size: usize) -> io::Result<()> {
    let load = closed_load(size);
    let cpu: Field = |sample| sample.server_cpu_ms;
    for version in ["fast", "plain"] {
        let Some((picker, limit)) = best_online(book, model, version, size) else { continue };
        writeln!(out, "{version}: the online limit of {size} is that of: {}", picker.name())?;
        let served = book.samples(model, &format!("weir {version}"), &load);
        if let Some(share) = ratio(limit, served, cpu) {
            let beside = served.iter().zip(limit).map(|(served, limit)| cpu(served) - cpu(limit));
            writeln!(
                out,
                "    its processor time is {:.1}% of Weir's: {:+.3} ms a request",
                100.0 * share,
                median(beside.collect()).unwrap_or(f64::NAN)
            )?;
        }
    }
    let ours = book.samples(model, "weir fast", &load);
    if let Some(share) = median(ours.iter().map(generator_share).collect()) {
        writeln!(
            out,
            "weir fast at {size}: the load generator had {:.1}% of the processor time",
            100.0 * share
        )?;
    }
    for peer in PEERS {
        if let Some(times) = ratio(book.samples(model, peer, &load), ours, cpu) {
            writeln!(out, "{peer} at {size}: {times:.2} times the processor time of weir fast")?;
        }
    }
    Ok(())
}

fn generator_share(sample: &Sample) -> f64 {
    sample.client_cpu_ms / (sample.client_cpu_ms + sample.server_cpu_ms)
}

/// Above this share of the cores in others' hands a measurement is doubtful.
const OTHERS_MAX: f64 = 0.03;

/// A warning when the machine was not quiet.
///
/// # Errors
/// When it cannot be written.
pub fn quietness(out: &mut dyn Write, book: &Book) -> io::Result<()> {
    let samples: Vec<f64> =
        book.rows().flat_map(|(_, samples)| samples).map(|sample| sample.others).collect();
    let disturbed = samples.iter().filter(|others| **others > OTHERS_MAX).count();
    writeln!(
        out,
        "\n{disturbed} of {} measurements were disturbed: others had more than {:.0}% of the cores",
        samples.len(),
        100.0 * OTHERS_MAX
    )
}

/// PASS or MISS for each target.
///
/// # Errors
/// When it cannot be written.
pub fn verdicts(out: &mut dyn Write, targets: &[Target]) -> io::Result<()> {
    writeln!(out)?;
    for target in targets {
        let (word, measured) = match (target.holds, target.measured) {
            (Some(true), Some(measured)) => ("PASS", format!("{measured:.3}")),
            (Some(false), Some(measured)) => ("MISS", format!("{measured:.3}")),
            _ => ("  --", "not measured".into()),
        };
        writeln!(
            out,
            "{word}  {:<10} {:<62} {measured:>12}  (limit {:.3})",
            target.model, target.what, target.limit
        )?;
    }
    Ok(())
}

/// Every sample, every figure and every target.
///
/// # Errors
/// When the file cannot be written.
pub fn json(path: &Path, book: &Book, targets: &[Target], peers: &[String]) -> anyhow::Result<()> {
    let rows: Vec<Value> =
        book.rows().map(|(key, samples)| json!({"row": key, "samples": samples})).collect();
    let document = json!({
        "machine": {"cpu": cpu(), "cores": std::thread::available_parallelism()?.get()},
        "peers": peers,
        "rows": rows,
        "figures": book.figures,
        "targets": targets,
    });
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_string_pretty(&document)?)?;
    Ok(())
}

/// The processor's name.
#[must_use]
pub fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown".into(), |(_, name)| name.to_owned())
}
