//! `weir render`: exactly what the models see, for training and for inspection.

use std::{
    collections::HashSet,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::{Args as ClapArgs, ValueEnum};
use domain::Score;
use package::Template;
use prometheus::Registry;
use screening::{Facts, Renderer, supported_reasons};
use serde::Serialize;
use velocity::VelocityStore;

use crate::{
    models::OfflineClassifier,
    offline::{Case, CaseReader, LabelQueue},
};

/// Streams transactions through the velocity store and prints what a model would see.
///
/// Every transaction warms velocity; labels take effect at their `label_at`. Training reads
/// this output, so that features and templates have one implementation.
///
/// Examples:
///   weir render --tier screening samples/history.ndjson samples/payments.ndjson
///   weir render --tier facts samples/*.ndjson > facts.ndjson
///   weir render --tier analysis --select ids.txt samples/*.ndjson > prompts.ndjson
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which model's input to print.
    #[arg(long, value_enum, default_value = "screening")]
    tier: Tier,
    /// Tier 1's template.
    #[arg(long, value_name = "FILE", default_value = "models/screening/input.j2")]
    screening_template: PathBuf,
    /// Tier 2's template.
    #[arg(long, value_name = "FILE", default_value = "models/analysis/prompt.j2")]
    analysis_template: PathBuf,
    /// Tier 1's package, which gives the score that tier 2's prompt shows.
    #[arg(long, value_name = "DIR", default_value = "models/screening")]
    screening_package: PathBuf,
    /// Print only these transaction ids, one a line; the others still warm velocity.
    #[arg(long, value_name = "FILE")]
    select: Option<PathBuf>,
    /// Stop at the first line that is no transaction, instead of skipping it with a warning.
    #[arg(long)]
    strict: bool,
    /// ONNX Runtime's library, when it is not in its usual place.
    #[arg(long, value_name = "FILE", env = "WEIR_RUNTIME__LIBRARY")]
    runtime_library: Option<PathBuf>,
    /// NDJSON files of transactions, in event order.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// The text that tier 1 reads.
    Screening,
    /// The prompt that tier 2 reads.
    Analysis,
    /// The facts that both texts are made from, as JSON: for baselines that read numbers.
    Facts,
}

/// One line of output.
#[derive(Default, Serialize)]
struct Rendered<'a> {
    id: &'a str,
    timestamp: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<&'a Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<domain::Code>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<domain::TruthLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typology: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let selected = args.select.as_deref().map(read_ids).transpose()?;
    let velocity = Arc::new(VelocityStore::new(velocity::Config::default(), &Registry::new())?);
    let analysis = match args.tier {
        Tier::Screening | Tier::Facts => None,
        Tier::Analysis => Some(Template::read(&args.analysis_template)?),
    };
    let renderer = Renderer::new(Template::read(&args.screening_template)?, analysis);
    let mut classifier = match args.tier {
        Tier::Screening | Tier::Facts => None,
        Tier::Analysis => {
            let library = args.runtime_library.clone();
            Some(OfflineClassifier::load(&args.screening_package, library)?)
        }
    };
    let mut labels = LabelQueue::default();
    let mut cases = CaseReader::open(&args.files, true)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut skipped = 0_u64;
    while let Some(case) = cases.next_case()? {
        let case = match case {
            Ok(case) => case,
            Err(error) if args.strict => bail!(error),
            Err(error) => {
                cases.progress().suspend(|| tracing::warn!("skipped {error}"));
                skipped += 1;
                continue;
            }
        };
        labels.release(case.transaction.timestamp, &velocity);
        labels.hold(&case);
        let seen = velocity.observe(&case.transaction);
        if selected.as_ref().is_some_and(|ids| !ids.contains(case.transaction.id.as_str())) {
            continue;
        }
        let line = match args.tier {
            Tier::Facts => facts_alone(case, seen)?,
            Tier::Screening | Tier::Analysis => render(case, seen, &renderer, classifier.as_mut())?,
        };
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(if skipped == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn facts_alone(case: Case, velocity: velocity::VelocityFacts) -> anyhow::Result<String> {
    let Case { transaction, label, typology, scenario, .. } = case;
    let facts = Facts::new(transaction, velocity);
    let line = Rendered { facts: Some(&facts), label, typology, scenario, ..named(&facts) };
    Ok(serde_json::to_string(&line)?)
}

fn render(
    case: Case,
    velocity: velocity::VelocityFacts,
    renderer: &Renderer,
    classifier: Option<&mut OfflineClassifier>,
) -> anyhow::Result<String> {
    let Case { transaction, label, typology, scenario, .. } = case;
    let facts = Facts::new(transaction, velocity);
    let text = renderer.screening_text(&facts)?;
    let Some(classifier) = classifier else {
        let line = Rendered { text: Some(text), label, typology, scenario, ..named(&facts) };
        return Ok(serde_json::to_string(&line)?);
    };
    let score = classifier.score(&text)?;
    let facts = facts.with_score(score);
    let reasons = supported_reasons(&facts).into_iter().map(|reason| reason.code).collect();
    Ok(serde_json::to_string(&Rendered {
        prompt: renderer.analysis_prompt(&facts)?,
        score: Some(score),
        facts: Some(&facts),
        reasons: Some(reasons),
        label,
        typology,
        scenario,
        ..named(&facts)
    })?)
}

/// A line that only says which transaction it is of.
fn named(facts: &Facts) -> Rendered<'_> {
    let Facts { transaction, .. } = facts;
    Rendered {
        id: transaction.id.as_str(),
        timestamp: transaction.timestamp,
        ..Rendered::default()
    }
}

fn read_ids(path: &Path) -> anyhow::Result<HashSet<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}
