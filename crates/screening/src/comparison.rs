//! What another policy or package would have decided, counted. Pure.

use std::{collections::BTreeMap, fmt};

use domain::{Decision, Outcome, Score, TruthLabel};
use policy::{Policy, Route, Shift};
use serde::{Deserialize, Serialize};

use crate::{desk::assess, facts::Facts};

/// Where a policy would have led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projected {
    /// To this outcome.
    Outcome(Outcome),
    /// To tier 2, which has not judged the case.
    NotAnalysed,
}

impl fmt::Display for Projected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(outcome) => f.pad(outcome.as_str()),
            Self::NotAnalysed => f.pad("not analysed"),
        }
    }
}

/// A projection, and whether it goes through tier 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection {
    /// Where it leads.
    pub projected: Projected,
    /// Whether tier 2 is asked.
    pub escalated: bool,
}

/// What `policy` makes of a decided case with this score of tier 1; of tier 2's analysis, what was
/// recorded is used.
#[must_use]
pub fn project(
    policy: &Policy,
    facts: &Facts,
    score: Score,
    shift: Shift,
    decided: &Decision,
) -> Projection {
    let assessment = assess(policy, facts, score, shift);
    let escalated = matches!(assessment.route, Route::Escalate(_));
    let analysis = decided.analysis.as_ref().map(|analysis| analysis.score);
    let asked_in_vain = decided.escalated.is_some() && analysis.is_none();
    let projected = if escalated && analysis.is_none() && !asked_in_vain {
        Projected::NotAnalysed
    } else {
        let analysis = analysis.filter(|_| escalated);
        Projected::Outcome(assessment.conclude(score, analysis).outcome)
    };
    Projection { projected, escalated }
}

/// One cell of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cell {
    /// Decisions.
    pub decisions: u64,
    /// Their amounts, in major units as given.
    pub amount: f64,
    /// Those known to be fraud.
    pub fraud: u64,
    /// Those known to be legitimate.
    pub legitimate: u64,
}

/// From what to what, and how often.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    cells: BTreeMap<(Outcome, Projected), Cell>,
    escalated_before: u64,
    escalated_after: u64,
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// What was decided.
    pub from: Outcome,
    /// What would be.
    pub to: Projected,
    /// How often.
    #[serde(flatten)]
    pub cell: Cell,
}

/// A decided case and what would become of it.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    /// What was decided.
    pub from: Outcome,
    /// Whether tier 2 was asked.
    pub escalated: bool,
    /// What would be.
    pub to: Projection,
    /// In major units.
    pub amount: f64,
    /// What it turned out to be.
    pub truth: Option<TruthLabel>,
}

impl Comparison {
    /// Counts a case.
    pub fn add(&mut self, case: &Compared) {
        let cell = self.cells.entry((case.from, case.to.projected)).or_default();
        cell.decisions += 1;
        cell.amount += case.amount;
        cell.fraud += u64::from(case.truth == Some(TruthLabel::Fraud));
        cell.legitimate += u64::from(case.truth == Some(TruthLabel::Legitimate));
        self.escalated_before += u64::from(case.escalated);
        self.escalated_after += u64::from(case.to.escalated);
    }

    /// How many were compared.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cells.values().map(|cell| cell.decisions).sum()
    }

    /// How many would be decided otherwise, those that tier 2 has not judged included.
    #[must_use]
    pub fn changed(&self) -> u64 {
        let same = |(from, to): &(Outcome, Projected)| *to == Projected::Outcome(*from);
        self.cells.iter().filter(|(key, _)| !same(key)).map(|(_, cell)| cell.decisions).sum()
    }

    /// The table.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.cells.iter().map(|(&(from, to), &cell)| Line { from, to, cell })
    }

    /// Share of decisions that went, and would go, to tier 2.
    #[must_use]
    pub fn escalated(&self) -> (f64, f64) {
        let total = self.total().max(1) as f64;
        (self.escalated_before as f64 / total, self.escalated_after as f64 / total)
    }
}

impl Serialize for Comparison {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Report {
            decisions: u64,
            changed: u64,
            escalated_share: (f64, f64),
            lines: Vec<Line>,
        }
        let report = Report {
            decisions: self.total(),
            changed: self.changed(),
            escalated_share: self.escalated(),
            lines: self.lines().collect(),
        };
        report.serialize(serializer)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.escalated();
        writeln!(
            f,
            "{} decisions, {} of them otherwise; to tier 2: {:.2} % before, {:.2} % after",
            self.total(),
            self.changed(),
            before * 100.0,
            after * 100.0
        )?;
        writeln!(
            f,
            "{:<10} {:<13} {:>10} {:>14} {:>8} {:>11}",
            "from", "to", "decisions", "amount", "fraud", "legitimate"
        )?;
        for Line { from, to, cell } in self.lines() {
            let mark = if to == Projected::Outcome(from) { ' ' } else { '*' };
            writeln!(
                f,
                "{:<10} {to:<13} {:>10} {:>14.2} {:>8} {:>11} {mark}",
                from.as_str(),
                cell.decisions,
                cell.amount,
                cell.fraud,
                cell.legitimate
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_with_what_the_cases_turned_out_to_be() {
        let mut comparison = Comparison::default();
        let to = |projected, escalated| Projection { projected, escalated };
        let same = to(Projected::Outcome(Outcome::Approve), false);
        let caught = to(Projected::Outcome(Outcome::Review), true);
        for (projection, truth) in [
            (same, None),
            (caught, Some(TruthLabel::Fraud)),
            (caught, Some(TruthLabel::Legitimate)),
        ] {
            comparison.add(&Compared {
                from: Outcome::Approve,
                escalated: false,
                to: projection,
                amount: 10.0,
                truth,
            });
        }
        assert_eq!((comparison.total(), comparison.changed()), (3, 2));
        let line = comparison.lines().find(|line| line.to == caught.projected).unwrap();
        let expected = Cell { decisions: 2, amount: 20.0, fraud: 1, legitimate: 1 };
        assert_eq!(line.cell, expected);
        let text = comparison.to_string();
        assert!(text.contains("3 decisions, 2 of them otherwise"), "{text}");
        assert!((comparison.escalated().1 - 2.0 / 3.0).abs() < 1e-12);
    }
}
