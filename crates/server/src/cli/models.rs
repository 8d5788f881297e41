//! `weir models`: looks into packages and proves them.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args as ClapArgs, Subcommand};
use onnx::{
    ClassifierConfig, DecoderConfig, Runtime, RuntimeConfig, Verification, VerifyConfig,
    verify_classifier, verify_decoder,
};
use package::{Calibration, Kind, Package};

use crate::{
    models::{grammar, margin},
    settings::{Settings, locate},
};

/// Looks into model packages and proves them.
///
/// Examples:
///   weir models inspect models/screening
///   weir models verify models/screening
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Loads a package and measures it: files against their hashes, golden vectors, whether a
    /// score depends on its batch or its padding, drift against full precision, latency.
    ///
    /// Ends with status 1 when something that must hold does not.
    ///
    /// Examples:
    ///   weir models verify models/screening
    ///   weir models verify ./distilbert-export
    #[command(verbatim_doc_comment)]
    Verify(Target),
    /// Checks the files against their hashes and prints what the manifest says; runs nothing.
    ///
    /// Examples:
    ///   weir models inspect models/analysis
    #[command(verbatim_doc_comment)]
    Inspect(Target),
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// A package folder, or a bare export without `package.toml`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &args.command {
        Command::Inspect(target) => {
            let package = Package::open(&locate(&target.dir))?;
            inspect(&package, &mut out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(target) => {
            let package = Package::open(&locate(&target.dir))?;
            let library = settings.runtime.library.as_deref().map(locate);
            let runtime = Runtime::load(&RuntimeConfig { library })?;
            identify(&package, &mut out)?;
            writeln!(out, "runtime  {}\n", runtime.library().display())?;
            let verification = verify(&runtime, &package)?;
            report(&verification, &mut out)?;
            Ok(if verification.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// The kind a manifest states; a bare export tells it by its files.
fn kind(package: &Package) -> Kind {
    let by_files = || {
        let decoder = package.find(&["genai_config.json", "generation_config.json"]).is_some();
        if decoder { Kind::Decoder } else { Kind::Classifier }
    };
    package.manifest().map_or_else(by_files, |manifest| manifest.kind)
}

fn verify(runtime: &Runtime, package: &Package) -> anyhow::Result<Verification> {
    let config = VerifyConfig::default();
    Ok(match kind(package) {
        Kind::Classifier => {
            verify_classifier(runtime, package, &ClassifierConfig::default(), &config)?
        }
        Kind::Decoder => {
            let model = DecoderConfig::default();
            verify_decoder(
                runtime,
                package,
                &grammar(),
                model,
                &|answer| margin(&answer.opening),
                &config,
            )?
        }
    })
}

fn identify(package: &Package, out: &mut impl Write) -> io::Result<()> {
    let kind = match kind(package) {
        Kind::Classifier => "classifier",
        Kind::Decoder => "decoder",
    };
    writeln!(out, "package  {} {} ({kind})", package.name(), package.version())?;
    writeln!(out, "folder   {}", package.dir().display())?;
    writeln!(out, "sha256   {}", package.sha256())
}

fn inspect(package: &Package, out: &mut impl Write) -> io::Result<()> {
    identify(package, out)?;
    let Some(manifest) = package.manifest() else {
        return writeln!(out, "a bare export: no package.toml, so nothing more is stated");
    };
    if let Some(license) = &manifest.license {
        writeln!(out, "license  {license}")?;
    }
    if let Some(classifier) = &manifest.classifier {
        writeln!(out, "fraud    label {:?}", classifier.fraud_label)?;
        writeln!(
            out,
            "input    {}, at most {} tokens",
            classifier.input_template, classifier.max_tokens
        )?;
    }
    if let Some(decoder) = &manifest.decoder {
        let (prompt, new) = (decoder.max_prompt_tokens, decoder.max_new_tokens);
        writeln!(
            out,
            "prompt   {}, at most {prompt} tokens in, {new} out",
            decoder.prompt_template
        )?;
    }
    match &manifest.calibration {
        Calibration::Identity => writeln!(out, "score    the softmax as it is")?,
        Calibration::Platt { a, b } => writeln!(out, "score    Platt, a = {a}, b = {b}")?,
        Calibration::Isotonic { margins, .. } => {
            writeln!(out, "score    isotonic, a table of {} knots", margins.len())?;
        }
    }
    writeln!(out, "\nfiles, each as its hash says:")?;
    for file in manifest.files.keys() {
        writeln!(out, "  {:>12} bytes  {file}", size(&package.dir().join(file)))?;
    }
    for (title, table) in [("training", &manifest.training), ("metrics", &manifest.metrics)] {
        if !table.is_empty() {
            let table = toml::Table::from_iter([(title.to_owned(), table.clone().into())]);
            write!(out, "\n{}", toml::to_string_pretty(&table).unwrap_or_default())?;
        }
    }
    Ok(())
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn report(verification: &Verification, out: &mut impl Write) -> io::Result<()> {
    for check in &verification.checks {
        let passed = if check.passed { "pass" } else { "FAIL" };
        writeln!(
            out,
            "{passed}  {} ({} inputs, worst {:.2e}, allowed {:.0e})",
            check.property, check.inputs, check.worst, check.tolerance
        )?;
        if !check.detail.is_empty() {
            writeln!(out, "      {}", check.detail)?;
        }
    }
    if let Some(drift) = &verification.drift {
        writeln!(
            out,
            "\ndrift against full precision over {} texts: mean {:.2e}, worst {:.2e}, {} change sides",
            drift.texts, drift.mean, drift.worst, drift.flips
        )?;
    }
    writeln!(
        out,
        "\n{:<9} {:>6} {:>5} {:>11} {:>11}",
        "stage", "tokens", "batch", "median", "fastest"
    )?;
    for latency in &verification.latencies {
        writeln!(
            out,
            "{:<9} {:>6} {:>5} {:>8.3} ms {:>8.3} ms",
            format!("{:?}", latency.stage).to_lowercase(),
            latency.tokens,
            latency.batch,
            latency.median.as_secs_f64() * 1e3,
            latency.fastest.as_secs_f64() * 1e3
        )?;
    }
    Ok(())
}
