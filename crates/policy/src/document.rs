//! The document as it is written, with the place of everything in it.

use std::ops::Range;

use domain::{Code, Outcome, Score};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    audit::Audit,
    budget::Budget,
    conditions::{Conditions, Currencies, Money},
    error::{PolicyError, Problem, Problems},
    thresholds::{AnalysisBands, Thresholds},
};

/// The most segments, and the most fallback bands.
const SEGMENTS_MAX: usize = 64;
/// The most rules.
const RULES_MAX: usize = 256;
/// The longest document, in bytes.
const DOCUMENT_MAX: usize = 1 << 20;
/// The longest `version`, name or `id`, in characters.
const NAME_MAX: usize = 64;
/// The longest `detail`, in characters.
const DETAIL_MAX: usize = 200;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) version: Spanned<String>,
    pub(crate) thresholds: Spanned<Thresholds>,
    pub(crate) analysis: Spanned<AnalysisBands>,
    pub(crate) fallback: Fallback,
    #[serde(default)]
    pub(crate) text: TextPolicy,
    #[serde(default)]
    pub(crate) audit: Audit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<Spanned<Budget>>,
    #[serde(default)]
    pub(crate) segments: Vec<Segment>,
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
}

/// Other thresholds for part of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub(crate) name: Spanned<String>,
    #[serde(rename = "match")]
    pub(crate) conditions: Spanned<Conditions>,
    #[serde(default)]
    pub(crate) thresholds: PartialThresholds,
    #[serde(default)]
    pub(crate) analysis: PartialBands,
}

/// Any of [`Thresholds`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartialThresholds {
    #[serde(skip_serializing_if = "Option::is_none")]
    escalate: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<Score>,
}

/// Any of [`AnalysisBands`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartialBands {
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_lower_below: Option<Score>,
}

impl Segment {
    /// The document's thresholds with this segment's own over them.
    pub(crate) fn thresholds(&self, base: Thresholds) -> Thresholds {
        Thresholds {
            escalate: self.thresholds.escalate.unwrap_or(base.escalate),
            decline: self.thresholds.decline.unwrap_or(base.decline),
        }
    }

    /// The document's bands with this segment's own over them.
    pub(crate) fn analysis(&self, base: AnalysisBands) -> AnalysisBands {
        let own = &self.analysis;
        AnalysisBands {
            challenge: own.challenge.unwrap_or(base.challenge),
            review: own.review.unwrap_or(base.review),
            decline: own.decline.unwrap_or(base.decline),
            may_lower_below: own.may_lower_below.unwrap_or(base.may_lower_below),
        }
    }
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) id: Spanned<String>,
    pub(crate) when: Spanned<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) escalate: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Spanned<String>>,
}

/// What follows when tier 2 was asked and could not answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fallback {
    pub(crate) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) bands: Vec<Spanned<Band>>,
}

/// Another fallback for part of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenBand", into = "WrittenBand")]
pub(crate) struct Band {
    pub(crate) conditions: Conditions,
    pub(crate) outcome: Outcome,
}

/// A band's keys stand beside its outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBand {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount_from: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount_below: Option<Money>,
    #[serde(default, skip_serializing_if = "Currencies::is_empty")]
    currency: Currencies,
    outcome: Outcome,
}

impl From<WrittenBand> for Band {
    fn from(band: WrittenBand) -> Self {
        let WrittenBand { amount_from, amount_below, currency, outcome } = band;
        let currency = currency.0;
        let conditions =
            Conditions { currency, amount_from, amount_below, ..Conditions::default() };
        Self { conditions, outcome }
    }
}

impl From<Band> for WrittenBand {
    fn from(Band { conditions, outcome }: Band) -> Self {
        let Conditions { currency, amount_from, amount_below, .. } = conditions;
        let currency = Currencies(currency);
        Self { amount_from, amount_below, currency, outcome }
    }
}

/// What text that tells its reader what to do leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TextPolicy {
    /// The least strict outcome where a text was found to give instructions.
    pub(crate) instruction_like: Outcome,
}

impl Default for TextPolicy {
    /// A person: whoever wrote the text may be the account holder, or be telling the account
    /// holder what to answer, so that a challenge proves nothing.
    fn default() -> Self {
        Self { instruction_like: Outcome::Review }
    }
}

impl Document {
    /// Reads a document whose values still have to be checked against each other.
    pub(crate) fn read(text: &str) -> Result<Self, PolicyError> {
        let only = |problem| PolicyError { problems: vec![problem] };
        if text.len() > DOCUMENT_MAX {
            let detail = format!("the document must have at most {DOCUMENT_MAX} bytes");
            return Err(only(Problem::at(text, 0..0, detail)));
        }
        toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            // A word outside its set is told with backticks round it; a line is enough.
            let detail = error.message().trim().replace('\n', " ");
            only(Problem::at(text, span, detail))
        })
    }

    /// Everything that serde cannot see.
    pub(crate) fn check(&self, problems: &mut Problems<'_>) {
        if !is_plain(self.version.get_ref(), NAME_MAX) {
            let detail = format!("version must have 1 to {NAME_MAX} characters on one line");
            problems.add(self.version.span(), detail);
        }
        check_thresholds(*self.thresholds.get_ref(), self.thresholds.span(), problems);
        check_bands(*self.analysis.get_ref(), self.analysis.span(), problems);
        self.check_segments(problems);
        self.check_rules(problems);
        for (n, band) in self.fallback.bands.iter().enumerate() {
            if n == SEGMENTS_MAX {
                problems.add(band.span(), format!("must be at most {SEGMENTS_MAX} bands"));
            }
            if let Some(detail) = band.get_ref().conditions.contradiction() {
                problems.add(band.span(), detail);
            }
        }
        if let Some(budget) = &self.budget
            && let Err(detail) = budget.get_ref().check()
        {
            problems.add(budget.span(), detail);
        }
    }

    fn check_segments(&self, problems: &mut Problems<'_>) {
        for (n, segment) in self.segments.iter().enumerate() {
            let span = segment.name.span();
            check_name(&segment.name, "name", problems);
            if n == SEGMENTS_MAX {
                problems.add(span.clone(), format!("must be at most {SEGMENTS_MAX} segments"));
            }
            if self.segments.iter().take(n).any(|other| other.name == segment.name) {
                problems.add(span.clone(), "two segments must not have the same name");
            }
            if let Some(detail) = segment.conditions.get_ref().contradiction() {
                problems.add(segment.conditions.span(), detail);
            }
            check_thresholds(
                segment.thresholds(*self.thresholds.get_ref()),
                span.clone(),
                problems,
            );
            check_bands(segment.analysis(*self.analysis.get_ref()), span, problems);
        }
    }

    fn check_rules(&self, problems: &mut Problems<'_>) {
        for (n, rule) in self.rules.iter().enumerate() {
            let span = rule.id.span();
            check_name(&rule.id, "id", problems);
            if n == RULES_MAX {
                problems.add(span.clone(), format!("must be at most {RULES_MAX} rules"));
            }
            if self.rules.iter().take(n).any(|other| other.id == rule.id) {
                problems.add(span.clone(), "two rules must not have the same id");
            }
            let effects = usize::from(rule.outcome.is_some())
                + usize::from(rule.at_least.is_some())
                + usize::from(rule.escalate.is_some());
            if effects != 1 || rule.escalate == Some(false) {
                let detail = "must have exactly one of outcome, at_least, escalate = true";
                problems.add(span.clone(), detail);
            }
            if rule.reason.is_none() && rule.code().is_none() {
                problems.add(span, "makes no reason code: give the rule a `reason`");
            }
            if let Some(detail) = &rule.detail
                && !is_plain(detail.get_ref(), DETAIL_MAX)
            {
                let problem = format!("must be 1 to {DETAIL_MAX} characters on one line");
                problems.add(detail.span(), problem);
            }
        }
    }
}

impl Rule {
    /// The code given, or the one that the id makes: in capitals, `_` for `-`.
    pub(crate) fn code(&self) -> Option<Code> {
        let from_id = || {
            let id = self.id.get_ref().to_ascii_uppercase().replace('-', "_");
            id.parse().ok()
        };
        self.reason.clone().or_else(from_id)
    }
}

/// Names stand in paths, logs and metrics.
fn check_name(name: &Spanned<String>, key: &str, problems: &mut Problems<'_>) {
    let text = name.get_ref();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(allowed) {
        let detail = format!("{key} must have 1 to {NAME_MAX} of a-z, A-Z, 0-9, - and _");
        problems.add(name.span(), detail);
    }
}

fn is_plain(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

fn check_thresholds(thresholds: Thresholds, span: Range<usize>, problems: &mut Problems<'_>) {
    let Thresholds { escalate, decline } = thresholds;
    ordered("thresholds", &[("escalate", escalate), ("decline", decline)], span, problems);
}

fn check_bands(bands: AnalysisBands, span: Range<usize>, problems: &mut Problems<'_>) {
    let AnalysisBands { challenge, review, decline, .. } = bands;
    let rising = [("challenge", challenge), ("review", review), ("decline", decline)];
    ordered("analysis", &rising, span, problems);
}

/// Scores that rise in this order.
fn ordered(table: &str, values: &[(&str, Score)], span: Range<usize>, problems: &mut Problems<'_>) {
    for pair in values.windows(2) {
        if let [(lower, a), (upper, b)] = pair
            && a > b
        {
            let (a, b) = (a.value(), b.value());
            let detail = format!("[{table}] {lower} = {a} must not be above {upper} = {b}");
            problems.add(span.clone(), detail);
        }
    }
}
