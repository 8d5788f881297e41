//! Puts the measurements together.

use std::{io::Write, path::PathBuf};

use anyhow::ensure;
use onnx::{Runtime, RuntimeConfig};

use super::{
    decode,
    figures::Figures,
    precision,
    reports::Comparison,
    settings::{Part, Settings},
    shelter,
};
use crate::tier1::report::cpu;

/// Measures all that is asked for and prints as it goes.
///
/// # Errors
/// When something failed to run.
pub async fn run(settings: &Settings, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let made = settings.made.join("random-33m");
    ensure!(made.is_dir(), "no graphs in {}; see benches/tier2/graphs", made.display());
    let runtime = Runtime::load(&RuntimeConfig::default())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut figures = Figures::default();
    writeln!(out, "tier 2 on {}", cpu())?;
    let graphs = |precision: &str| made.join(precision);
    if settings.wants(Part::Decode) {
        let shipped = PathBuf::from("models/analysis");
        let decoders = [
            ("shipped", shipped),
            ("33M fp32", graphs("fp32-last")),
            ("33M int8", graphs("int8-last")),
        ];
        for (name, dir) in &decoders {
            for rows in [1, 8, 16] {
                decode::rates(&mut figures, &runtime, (name, dir), rows, settings.rounds * 3)?;
            }
        }
        figures.table(out, "decode")?;
    }
    if settings.wants(Part::Join) {
        let decoder = ("33M int8", graphs("int8-last"));
        decode::join(&mut figures, &runtime, (decoder.0, &decoder.1), 60).await?;
        figures.table(out, "join")?;
    }
    let comparison = Comparison { settings, runtime: &runtime, client: &client };
    if settings.wants(Part::Reports) {
        comparison.plain(&mut figures).await?;
        figures.table(out, "reports")?;
        for model in ["random-33m", "shipped"] {
            comparison.cached(&mut figures, model).await?;
        }
        figures.table(out, "cached")?;
    }
    if settings.wants(Part::Precision) {
        precision::compare(&mut figures, settings, &runtime).await?;
        precision::forced_runs(&mut figures, settings, &runtime).await?;
        figures.table(out, "precision")?;
    }
    if settings.wants(Part::Shelter) {
        shelter::compare(&mut figures, settings, &client).await?;
        figures.table(out, "shelter")?;
    }
    figures.verdicts(out)?;
    figures.write_json(&settings.json)?;
    writeln!(out, "\nall figures: {}", settings.json.display())?;
    Ok(())
}
