//! Everything that one run found: the content of `report.json`.

use std::collections::BTreeMap;

use domain::PackageRef;
use evaluation::CurvePoint;
use jiff::Timestamp;
use package::Package;
use serde::Serialize;

use super::{
    collect::{Collected, Scored},
    judge::{Split, Verdict, count_frauds},
    propose::Proposal,
};

/// The longest curve kept, in points.
const CURVE_MAX: usize = 20_000;

/// One side of the split.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Part {
    pub(super) labels: usize,
    pub(super) frauds: usize,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

/// What was read.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Input {
    pub(super) labelled: usize,
    pub(super) frauds: usize,
    /// Distinct accounts that the frauds come from.
    pub(super) fraud_accounts: usize,
    pub(super) unlabelled: usize,
    pub(super) skipped: usize,
    pub(super) currencies: BTreeMap<String, usize>,
    pub(super) fit: Part,
    pub(super) held: Part,
}

/// What one run found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) package: PackageRef,
    pub(super) input: Input,
    pub(super) verdict: Verdict,
    pub(super) proposal: Proposal,
    /// On the later labels, with the chosen calibration, from the highest score down.
    pub(super) curve: Vec<CurvePoint>,
}

impl Report {
    pub(super) fn new(
        package: &Package,
        collected: &Collected,
        split: &Split<'_>,
        verdict: Verdict,
        proposal: Proposal,
        curve: Vec<CurvePoint>,
    ) -> Self {
        let package = PackageRef {
            name: package.name().to_owned(),
            version: package.version().to_owned(),
            sha256: package.sha256().to_owned(),
        };
        let input = Input {
            labelled: collected.labelled.len(),
            frauds: count_frauds(&collected.labelled),
            fraud_accounts: collected.fraud_accounts.len(),
            unlabelled: collected.unlabelled,
            skipped: collected.skipped,
            currencies: collected.currencies.clone(),
            fit: Part::of(split.fit),
            held: Part::of(split.held),
        };
        Self { package, input, verdict, proposal, curve: at_most(curve, CURVE_MAX) }
    }
}

impl Part {
    fn of(scored: &[Scored]) -> Self {
        Self {
            labels: scored.len(),
            frauds: count_frauds(scored),
            from: scored.first().map(|first| first.at),
            to: scored.last().map(|last| last.at),
        }
    }
}

/// A longer curve keeps its first points, where scores are high and shares small, and of the rest
/// an even choice.
fn at_most(curve: Vec<CurvePoint>, most: usize) -> Vec<CurvePoint> {
    let (whole, rest) = (most / 2, curve.len().saturating_sub(most / 2));
    let every = rest.div_ceil((most / 2).max(1)).max(1);
    let last = curve.len().saturating_sub(1);
    curve
        .into_iter()
        .enumerate()
        .filter(|(n, _)| *n < whole || *n == last || (n - whole).is_multiple_of(every))
        .map(|(_, point)| point)
        .collect()
}
