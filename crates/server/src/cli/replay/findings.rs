//! What a replay found, counted and told.

use std::{
    fs::File,
    io::{BufWriter, Write},
    process::ExitCode,
};

use domain::{Decision, Outcome, TruthLabel};
use export::standing;
use ledger::{StoredDecision, StoredLabel};
use screening::{Compared, Comparison, Projected, Projection, Recomputed, ScreenError};
use serde::Serialize;

use super::difference::{Difference, differences};

/// Differences shown on the terminal; the file has all of them.
const SHOWN_MAX: usize = 10;

/// What a replay found.
pub(super) struct Findings {
    /// Whether another policy was asked for, so that differences are no failure.
    asked_for_others: bool,
    identical: u64,
    differing: u64,
    erased: u64,
    incomplete: u64,
    failed: u64,
    /// Of other packages than those of the record.
    other_packages: u64,
    comparison: Comparison,
    score_moved: f64,
    shown: Vec<String>,
    out: Option<BufWriter<File>>,
}

#[derive(Serialize)]
struct Line<'a> {
    decision_id: String,
    recorded: Outcome,
    recomputed: Outcome,
    differences: &'a [Difference],
}

impl Findings {
    pub(super) fn new(asked_for_others: bool, out: Option<BufWriter<File>>) -> Self {
        Self {
            asked_for_others,
            identical: 0,
            differing: 0,
            erased: 0,
            incomplete: 0,
            failed: 0,
            other_packages: 0,
            comparison: Comparison::default(),
            score_moved: 0.0,
            shown: Vec::new(),
            out,
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.identical + self.differing + self.erased + self.incomplete + self.failed
    }

    pub(super) fn progress(&self) -> String {
        format!("{} identical, {} differ", self.identical, self.differing)
    }

    pub(super) fn take(
        &mut self,
        stored: &StoredDecision,
        labels: &[StoredLabel],
        recomputed: Result<Recomputed, ScreenError>,
    ) -> anyhow::Result<()> {
        let recomputed = match recomputed {
            Ok(recomputed) => recomputed,
            Err(ScreenError::Incomplete(_)) => {
                if stored.is_erased() {
                    self.erased += 1;
                } else {
                    self.incomplete += 1;
                }
                return Ok(());
            }
            Err(error) => {
                self.failed += 1;
                self.show(format!("{}: {error}", stored.decision_id));
                return Ok(());
            }
        };
        let Some(content) = &stored.content else {
            self.erased += 1;
            return Ok(());
        };
        let then: Decision = serde_json::from_str(&content.response)?;
        let now = recomputed.current();
        if then.screening.package != now.screening.package {
            self.other_packages += 1;
        }
        let moved = (then.screening.score.value() - now.screening.score.value()).abs();
        self.score_moved = self.score_moved.max(moved);
        let truth = standing(labels.iter().map(|s| s.label)).map(|label| label.label);
        self.comparison.add(&compared(&then, now, stored, truth));
        if recomputed.agrees_with(stored) {
            self.identical += 1;
            return Ok(());
        }
        self.differing += 1;
        let mut found = differences(&content.first_response, &recomputed.first_response);
        if let Some((_, response)) = &recomputed.completed {
            found.extend(differences(&content.response, response));
        }
        self.tell(stored, &then, now, &found)
    }

    fn tell(
        &mut self,
        stored: &StoredDecision,
        then: &Decision,
        now: &Decision,
        found: &[Difference],
    ) -> anyhow::Result<()> {
        let places: Vec<_> = found.iter().map(|found| found.pointer.as_str()).collect();
        let what = match places.as_slice() {
            [] => "what tier 1 read, or what the policy made of it".to_owned(),
            places => places.join(" "),
        };
        self.show(format!("{}: {} -> {}: {what}", stored.decision_id, then.outcome, now.outcome));
        if let Some(out) = &mut self.out {
            let line = Line {
                decision_id: stored.decision_id.to_string(),
                recorded: then.outcome,
                recomputed: now.outcome,
                differences: found,
            };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn show(&mut self, line: String) {
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(line);
        }
    }

    /// Prints the report; fails when bytes differ that should not.
    pub(super) fn finish(mut self) -> anyhow::Result<ExitCode> {
        if let Some(out) = &mut self.out {
            out.flush()?;
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(
            stdout,
            "{} decisions: {} identical, {} differ, {} failed, {} erased, {} recorded by versions that \
             kept too little",
            self.total(),
            self.identical,
            self.differing,
            self.failed,
            self.erased,
            self.incomplete
        )?;
        let others = self.asked_for_others || self.other_packages > 0;
        if others {
            if self.other_packages > 0 {
                writeln!(
                    stdout,
                    "{} of them were scored by another package than the one in use; tier 1's score \
                     moved by {:.6} at most",
                    self.other_packages, self.score_moved
                )?;
            }
            write!(stdout, "{}", self.comparison)?;
        }
        for line in &self.shown {
            writeln!(stdout, "  {line}")?;
        }
        let failed = self.failed > 0 || (self.differing > 0 && !others);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn compared(
    then: &Decision,
    now: &Decision,
    stored: &StoredDecision,
    truth: Option<TruthLabel>,
) -> Compared {
    let to = Projection {
        projected: Projected::Outcome(now.outcome),
        escalated: now.escalated.is_some(),
    };
    let escalated = then.escalated.is_some();
    let amount = screening::read_record(stored)
        .ok()
        .flatten()
        .map_or(0.0, |record| record.facts.derived.amount);
    Compared { from: then.outcome, escalated, to, amount, truth }
}
