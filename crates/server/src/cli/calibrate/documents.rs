//! The snippet for `package.toml`, and a policy with the proposed thresholds.

use anyhow::Context;
use evaluation::AmountBand;
use package::Calibration;
use policy::Policy;
use serde::Serialize;
use toml::{Table, Value};

use super::report::Report;

/// Names of segments that this command writes begin so; a later run replaces them.
const SEGMENT_PREFIX: &str = "amount-";
const VERSION_SUFFIX: &str = "-calibrated";
const VERSION_MAX: usize = 64;

#[derive(Serialize)]
struct Snippet<'a> {
    calibration: &'a Calibration,
}

/// `[calibration]` as `package.toml` has it.
pub(super) fn calibration(report: &Report) -> anyhow::Result<String> {
    let verdict = &report.verdict;
    let table = toml::to_string(&Snippet { calibration: verdict.chosen() })?;
    Ok(format!(
        "# {} for {} {}: {}.\n# Fitted on {} labels ({} fraud), judged on {} later ones ({} fraud).\n{table}",
        verdict.chosen_name(),
        report.package.name,
        report.package.version,
        verdict.why,
        report.input.fit.labels,
        report.input.fit.frauds,
        report.input.held.labels,
        report.input.held.frauds,
    ))
}

/// The present policy with the proposed thresholds. Segments stand behind comment signs where
/// this build's parser refuses them.
pub(super) fn policy(present: &str, report: &Report) -> anyhow::Result<String> {
    let mut table: Table = present.parse().context("the present policy")?;
    let proposal = &report.proposal;
    let version = table.get("version").and_then(Value::as_str).unwrap_or_default();
    let version = renamed(version);
    table.insert("version".into(), version.into());
    let thresholds = table
        .entry("thresholds")
        .or_insert_with(|| Table::new().into())
        .as_table_mut()
        .context("[thresholds] is no table")?;
    thresholds.insert("escalate".into(), proposal.escalate.into());
    thresholds.insert("decline".into(), proposal.decline.into());
    let mut segments = match table.remove("segments") {
        Some(Value::Array(segments)) => segments,
        _ => Vec::new(),
    };
    segments.retain(|segment| {
        let name = segment.get("name").and_then(Value::as_str);
        !name.is_some_and(|name| name.starts_with(SEGMENT_PREFIX))
    });
    segments.extend(proposal.bands.iter().map(segment));

    let head = head(report);
    let plain = format!("{head}{}", toml::to_string(&table)?);
    let segments = toml::to_string(&Table::from_iter([("segments".to_owned(), segments.into())]))?;
    let whole = format!("{plain}\n{segments}");
    if Policy::parse(&whole).is_ok() {
        return Ok(whole);
    }
    Policy::parse(&plain).context("the proposed policy")?;
    let mut text = format!("{plain}\n# Thresholds by amount, for a policy that reads segments:\n");
    for line in segments.lines() {
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

fn head(report: &Report) -> String {
    let proposal = &report.proposal;
    let costs = &proposal.costs;
    format!(
        "# Proposed by `weir calibrate` for {} {} with its {} calibration: check it before use.\n\
         # escalate: {}.\n\
         # decline: C_FP / (C_FP + C_FN), a false alarm costing {} + {} of the amount, a missed fraud\n\
         # {} + {} of it.\n",
        report.package.name,
        report.package.version,
        report.verdict.chosen_name(),
        proposal.why,
        costs.false_alarm,
        costs.false_alarm_share,
        costs.missed,
        costs.missed_share,
    )
}

/// The version with a suffix, once, and short enough.
fn renamed(version: &str) -> String {
    let plain = version.strip_suffix(VERSION_SUFFIX).unwrap_or(version);
    let mut end = plain.len().min(VERSION_MAX - VERSION_SUFFIX.len());
    while !plain.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &plain[..end];
    format!("{kept}{VERSION_SUFFIX}")
}

fn segment(band: &AmountBand) -> Value {
    let mut amounts = Table::new();
    if band.from > 0.0 {
        amounts.insert("amount_from".into(), band.from.into());
    }
    if let Some(below) = band.below {
        amounts.insert("amount_below".into(), below.into());
    }
    let name = match band.below {
        Some(below) => format!("{SEGMENT_PREFIX}below-{below}"),
        None => format!("{SEGMENT_PREFIX}from-{}", band.from),
    };
    let mut segment = Table::new();
    segment.insert("name".into(), name.into());
    segment.insert("match".into(), amounts.into());
    segment.insert("escalate".into(), band.escalate.into());
    segment.insert("decline".into(), band.decline.into());
    segment.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_marked_once_and_stays_short() {
        assert_eq!(renamed("2026-11-1"), "2026-11-1-calibrated");
        assert_eq!(renamed("2026-11-1-calibrated"), "2026-11-1-calibrated");
        assert!(renamed(&"é".repeat(64)).len() <= VERSION_MAX);
    }
}
