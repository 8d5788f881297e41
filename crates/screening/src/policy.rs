//! Thresholds and fallbacks: which tier judges, and what its judgement leads to.

use domain::{Outcome, PolicyRef, RiskLevel, Score};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hostile::Instruction;

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not the TOML expected.
    #[error("{0}")]
    Malformed(String),
    /// Values that contradict each other.
    #[error("[{section}] {detail}")]
    Invalid {
        /// The TOML table.
        section: &'static str,
        /// What is wrong.
        detail: String,
    },
}

/// Where tier 1's score leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Tier 1 clears it alone.
    Clear,
    /// Tier 2 has to look.
    Escalate,
}

/// Tier 1's thresholds, as scores 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// At or above: tier 2 looks. Below: approved by tier 1 alone.
    pub escalate: f64,
    /// At or above: declined, unless tier 2 may lower it.
    pub decline: f64,
}

/// What tier 2's score leads to, and how far it may lower the risk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnalysisBands {
    /// At or above this analysis score: decline.
    decline: f64,
    /// At or above: review.
    review: f64,
    /// At or above: challenge. Below: approve.
    challenge: f64,
    /// Tier 2 may make the outcome laxer than `review` only where tier 1's score is below
    /// this. Above, it can only confirm or raise.
    may_lower_below: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fallback {
    /// The outcome when tier 2 was asked and could not answer.
    outcome: Outcome,
}

/// What text that tells its reader what to do leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TextPolicy {
    /// The least strict outcome where a text was found to give instructions.
    instruction_like: Outcome,
}

impl Default for TextPolicy {
    /// A person: whoever wrote the text may be the account holder, or be telling the account
    /// holder what to answer, so that a challenge proves nothing.
    fn default() -> Self {
        Self { instruction_like: Outcome::Review }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: String,
    thresholds: Thresholds,
    analysis: AnalysisBands,
    fallback: Fallback,
    #[serde(default)]
    text: TextPolicy,
}

/// A checked policy. Pure: the same scores always lead to the same outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    document: Document,
    reference: PolicyRef,
}

impl Policy {
    /// The policy shipped with the product.
    pub const DEFAULT: &'static str = include_str!("default_policy.toml");

    /// Parses and checks a TOML document. Unknown keys are refused.
    ///
    /// # Errors
    /// When it does not parse, or its values contradict each other.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Document =
            toml::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        document.check()?;
        let sha256 =
            Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let reference = PolicyRef { version: document.version.clone(), sha256 };
        Ok(Self { document, reference })
    }

    /// Version and hash, for the record.
    #[must_use]
    pub fn reference(&self) -> &PolicyRef {
        &self.reference
    }

    /// Tier 1's thresholds.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.document.thresholds
    }

    /// Which tier judges a transaction of this score.
    #[must_use]
    pub fn route(&self, screening: Score) -> Route {
        if screening.value() >= self.document.thresholds.escalate {
            Route::Escalate
        } else {
            Route::Clear
        }
    }

    /// The least strict outcome that the texts of a transaction allow; `Approve` where none of
    /// them gives instructions. Takes effect over every other outcome by `max`, so that a text
    /// can only make it stricter.
    #[must_use]
    pub fn text_floor(&self, instructions: &[Instruction]) -> Outcome {
        if instructions.is_empty() { Outcome::Approve } else { self.document.text.instruction_like }
    }

    /// The score in a word.
    #[must_use]
    pub fn risk_level(&self, score: Score) -> RiskLevel {
        let Thresholds { escalate, decline } = self.document.thresholds;
        match score.value() {
            p if p >= decline => RiskLevel::High,
            p if p >= escalate => RiskLevel::Medium,
            _ => RiskLevel::Low,
        }
    }

    /// The outcome of an escalated transaction that tier 2 has analysed.
    ///
    /// Tier 2 raises freely. It lowers below what tier 1's score alone would lead to only
    /// where that score is below `may_lower_below`.
    #[must_use]
    pub fn with_analysis(&self, screening: Score, analysis: Score) -> Outcome {
        let bands = &self.document.analysis;
        let by_analysis = match analysis.value() {
            p if p >= bands.decline => Outcome::Decline,
            p if p >= bands.review => Outcome::Review,
            p if p >= bands.challenge => Outcome::Challenge,
            _ => Outcome::Approve,
        };
        if screening.value() < bands.may_lower_below {
            by_analysis
        } else {
            by_analysis.max(self.without_analysis(screening))
        }
    }

    /// The outcome of an escalated transaction that tier 2 could not analyse.
    #[must_use]
    pub fn with_fallback(&self, screening: Score) -> Outcome {
        if screening.value() >= self.document.thresholds.decline {
            self.document.fallback.outcome.max(Outcome::Decline)
        } else {
            self.document.fallback.outcome
        }
    }

    /// What tier 1's score alone leads to, once escalated.
    fn without_analysis(&self, screening: Score) -> Outcome {
        if screening.value() >= self.document.thresholds.decline {
            Outcome::Decline
        } else {
            Outcome::Review
        }
    }
}

impl Document {
    fn check(&self) -> Result<(), PolicyError> {
        let Thresholds { escalate, decline } = self.thresholds;
        let AnalysisBands { decline: hard, review, challenge, may_lower_below } = self.analysis;
        ordered("thresholds", &[("escalate", escalate), ("decline", decline)])?;
        ordered("analysis", &[("challenge", challenge), ("review", review), ("decline", hard)])?;
        ordered("analysis", &[("may_lower_below", may_lower_below)])?;
        if self.version.is_empty() || self.version.len() > 64 {
            let detail = "version must have 1 to 64 characters".into();
            return Err(PolicyError::Invalid { section: "version", detail });
        }
        Ok(())
    }
}

/// Probabilities that rise in this order.
fn ordered(section: &'static str, values: &[(&str, f64)]) -> Result<(), PolicyError> {
    for (name, value) in values {
        if !(0.0..=1.0).contains(value) {
            let detail = format!("{name} = {value} must be between 0 and 1");
            return Err(PolicyError::Invalid { section, detail });
        }
    }
    for pair in values.windows(2) {
        if let [(lower, a), (upper, b)] = pair
            && a > b
        {
            let detail = format!("{lower} = {a} must not be above {upper} = {b}");
            return Err(PolicyError::Invalid { section, detail });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        hostile::TextField,
        text::{Disguise, Finding, FindingKind},
    };

    fn score(value: f64) -> Score {
        Score::new(value).unwrap()
    }

    fn policy() -> Policy {
        Policy::parse(Policy::DEFAULT).unwrap()
    }

    #[test]
    fn contradictory_policies_are_refused_with_the_place() {
        let edits = [
            ("escalate = 0", "escalate = 9", "[thresholds] escalate"),
            ("[fallback]", "[fallback]\nhope = 1", "hope"),
            ("outcome = \"review\"", "outcome = \"shrug\"", "shrug"),
            ("[text]", "[text]\nmood = 1", "mood"),
            ("instruction_like = \"review\"", "instruction_like = \"obey\"", "obey"),
            ("version = ", "version = \"\" #", "version"),
        ];
        for (from, to, expected) in edits {
            let text = Policy::DEFAULT.replacen(from, to, 1);
            let error = Policy::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_document_without_the_text_table_asks_for_a_review() {
        let finding = Finding { kind: FindingKind::Override, disguise: Disguise::None };
        let found = [Instruction { field: TextField::Memo, finding }];
        let (older, _) = Policy::DEFAULT.split_once("[text]").unwrap();
        assert_eq!(Policy::parse(older).unwrap().text_floor(&found), Outcome::Review);
        assert_eq!(Policy::parse(older).unwrap().text_floor(&[]), Outcome::Approve);
        let strict = Policy::DEFAULT
            .replace("instruction_like = \"review\"", "instruction_like = \"decline\"");
        let strict = Policy::parse(&strict).unwrap();
        assert_eq!(strict.text_floor(&found), Outcome::Decline);
        assert_ne!(strict.reference().sha256, policy().reference().sha256);
    }

    proptest! {
        #[test]
        fn a_higher_score_never_leads_to_a_laxer_outcome(a in 0.0..=1.0, b in 0.0..=1.0, t2 in 0.0..=1.0) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            let policy = policy();
            prop_assert!(policy.with_analysis(score(low), score(t2)) <= policy.with_analysis(score(high), score(t2)));
            prop_assert!(policy.with_analysis(score(t2), score(low)) <= policy.with_analysis(score(t2), score(high)));
        }

        #[test]
        fn tier_2_lowers_only_inside_its_band(tier1 in 0.0..=1.0, tier2 in 0.0..=1.0) {
            let policy = policy();
            if tier1 >= policy.document.analysis.may_lower_below {
                prop_assert!(policy.with_analysis(score(tier1), score(tier2)) >= Outcome::Review);
            }
        }
    }
}
