//! A checked policy.

use std::fmt;

use domain::{Escalation, Outcome, PolicyRef, Score, Transaction};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    assessment::{Assessment, Route, Subject},
    budget::{Budget, Controller},
    diff::{Change, changes},
    document::{Document, Segment},
    error::{PolicyError, Problems},
    rules::{Effect, Findings, Rules},
    thresholds::{AnalysisBands, Shift, Thresholds},
};

/// A checked policy. Pure: the same subject and shift always lead to the same assessment.
#[derive(Debug)]
pub struct Policy {
    text: String,
    document: Document,
    rules: Rules,
    reference: PolicyRef,
}

impl Policy {
    /// The policy shipped with the product.
    pub const DEFAULT: &'static str = include_str!("default.toml");

    /// Parses and checks a TOML document. Unknown keys are refused, and so are rules that do not
    /// compile, that name what there is not, or that could take too long.
    ///
    /// # Errors
    /// Every problem found, with its place in the document.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document = Document::read(text)?;
        let mut problems = Problems::new(text);
        document.check(&mut problems);
        let rules = Rules::compile(&document.rules, &mut problems);
        problems.into_result()?;
        let sha256 =
            Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let reference = PolicyRef { version: document.version.get_ref().clone(), sha256 };
        Ok(Self { text: text.to_owned(), document, rules, reference })
    }

    /// Version and hash, for the record.
    #[must_use]
    pub fn reference(&self) -> &PolicyRef {
        &self.reference
    }

    /// The document, as it was parsed.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.text
    }

    /// Tier 1's thresholds outside any segment, as they are written.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        *self.document.thresholds.get_ref()
    }

    /// Tier 2's bands outside any segment.
    #[must_use]
    pub fn analysis(&self) -> AnalysisBands {
        *self.document.analysis.get_ref()
    }

    /// The share of cleared transactions that the audit draws, 0 to 0.5.
    #[must_use]
    pub fn audit_share(&self) -> f64 {
        self.document.audit.share()
    }

    /// The escalation budget, if there is one.
    #[must_use]
    pub fn budget(&self) -> Option<&Budget> {
        self.document.budget.as_ref().map(|budget| budget.get_ref())
    }

    /// A controller for the budget, which starts with thresholds as they are written; `None`
    /// without a budget.
    #[must_use]
    pub fn controller(&self) -> Option<Controller> {
        self.budget().map(|budget| Controller::new(*budget, self.thresholds()))
    }

    /// What the policy says of a transaction before tier 2 has looked. `shift` is the
    /// controller's, or [`Shift::ZERO`].
    #[must_use]
    pub fn assess<F: Serialize>(&self, subject: &Subject<'_, F>, shift: Shift) -> Assessment {
        let Subject { transaction, facts, screening, instructed } = *subject;
        let segment = self.segment(transaction);
        let written = segment.map_or(self.thresholds(), |s| s.thresholds(self.thresholds()));
        let Findings { hits, errors } = self.rules.run(facts, screening, instructed);
        let mut assessment = Assessment {
            shift,
            segment: segment.map(|segment| segment.name.get_ref().clone()),
            written,
            thresholds: written.shifted(shift),
            analysis: segment.map_or(self.analysis(), |s| s.analysis(self.analysis())),
            fallback: self.fallback(transaction, screening, &written),
            rule: None,
            floors: Vec::new(),
            escalations: Vec::new(),
            floor: if instructed { self.document.text.instruction_like } else { Outcome::Approve },
            instructed,
            drawn: self.document.audit.draws(&transaction.id),
            route: Route::Clear,
            rule_errors: errors,
        };
        for hit in hits {
            match hit.effect {
                Effect::Outcome(_) => assessment.rule = Some(hit),
                Effect::AtLeast(floor) => {
                    assessment.floor = assessment.floor.max(floor);
                    assessment.floors.push(hit);
                }
                Effect::Escalate => assessment.escalations.push(hit),
            }
        }
        assessment.route = route(&assessment, screening);
        assessment
    }

    /// What the other policy says otherwise, in the document's terms.
    #[must_use]
    pub fn diff(&self, other: &Self) -> Vec<Change> {
        changes(&self.document, &other.document)
    }

    fn segment(&self, transaction: &Transaction) -> Option<&Segment> {
        let mut segments = self.document.segments.iter();
        segments.find(|segment| segment.conditions.get_ref().hold(transaction))
    }

    /// The outcome when tier 2 cannot answer: the first band that matches, and a decline where
    /// tier 1's score alone is enough for one.
    fn fallback(
        &self,
        transaction: &Transaction,
        screening: Score,
        thresholds: &Thresholds,
    ) -> Outcome {
        let fallback = &self.document.fallback;
        let mut bands = fallback.bands.iter().map(|band| band.get_ref());
        let band = bands.find(|band| band.conditions.hold(transaction));
        let outcome = band.map_or(fallback.outcome, |band| band.outcome);
        if screening >= thresholds.decline { Outcome::Decline } else { outcome }
    }
}

fn route(assessment: &Assessment, screening: Score) -> Route {
    let Assessment { rule, thresholds, escalations, floor, instructed, drawn, .. } = assessment;
    match rule.as_ref().map(|rule| rule.effect) {
        Some(Effect::Outcome(outcome)) => return Route::Decided(outcome.max(*floor)),
        Some(Effect::AtLeast(_) | Effect::Escalate) | None => {}
    }
    if screening >= thresholds.escalate {
        Route::Escalate(Escalation::Score)
    } else if !escalations.is_empty() {
        Route::Escalate(Escalation::Rule)
    } else if *instructed {
        Route::Escalate(Escalation::Text)
    } else if *drawn && *floor == Outcome::Approve {
        Route::Escalate(Escalation::Audit)
    } else {
        Route::Clear
    }
}

/// What the policy holds, in a few lines for a terminal.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Thresholds { escalate, decline } = self.thresholds();
        writeln!(f, "version    {}", self.reference.version)?;
        writeln!(f, "sha256     {}", self.reference.sha256)?;
        let (escalate, decline) = (escalate.value(), decline.value());
        writeln!(f, "thresholds escalate at {escalate}, decline at {decline}")?;
        writeln!(f, "segments   {}", self.document.segments.len())?;
        writeln!(f, "rules      {}", self.rules.len())?;
        match self.budget() {
            Some(budget) => writeln!(f, "budget     {} escalated", budget.target_share),
            None => writeln!(f, "budget     none"),
        }
    }
}
