//! Keeps the escalated share near its target while the mix of scores drifts.
//!
//! A transaction's *margin* is how far its score lies above its segment's `escalate` threshold,
//! in log-odds; under a shift it is escalated when its margin is at least that shift. So the shift
//! for a share is a quantile of the latest margins. The quantile does not depend on the shift in
//! force: moving towards it cannot oscillate.

use domain::Score;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::thresholds::{Shift, Thresholds, logit};

mod window;

use window::Window;

/// The thresholds move at most this often in the time of one window.
const MOVES_PER_WINDOW: u32 = 50;
/// The part of the way to the quantile that one move goes.
const GAIN: f64 = 0.5;
/// Within this part of the target the shift is left alone.
const TOLERANCE: f64 = 0.02;

/// The `[budget]` table: which share of all transactions tier 2 is asked for, and how far
/// thresholds may move to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The share of all transactions that is escalated, whatever for; above 0, below 1.
    pub target_share: f64,
    /// How many of the latest transactions are looked at; 100 to 1,000,000.
    #[serde(default = "default_window")]
    pub window: u32,
    /// How many must have been seen before the first move; 1 to `window`.
    #[serde(default = "default_min_observations")]
    pub min_observations: u32,
    /// The lowest shift, in log-odds; at most 0.
    #[serde(default = "default_min_shift")]
    pub min_shift: Shift,
    /// The highest shift, in log-odds; at least 0.
    #[serde(default = "default_max_shift")]
    pub max_shift: Shift,
    /// The longest single move, in log-odds; above 0.
    #[serde(default = "default_max_step")]
    pub max_step: f64,
}

fn default_window() -> u32 {
    5_000
}

fn default_min_observations() -> u32 {
    100
}

fn default_min_shift() -> Shift {
    Shift::new(-2.0).unwrap_or(Shift::ZERO)
}

fn default_max_shift() -> Shift {
    Shift::new(2.0).unwrap_or(Shift::ZERO)
}

fn default_max_step() -> f64 {
    0.2
}

impl Budget {
    /// What is out of its range, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { target_share, window, min_observations, min_shift, max_shift, max_step } = *self;
        if !(target_share > 0.0 && target_share < 1.0) {
            return Err(format!("target_share = {target_share} must be above 0 and below 1"));
        }
        if !(100..=1_000_000).contains(&window) {
            return Err(format!("window = {window} must be between 100 and 1000000"));
        }
        if !(1..=window).contains(&min_observations) {
            return Err(format!("min_observations = {min_observations} must be 1 to {window}"));
        }
        if min_shift > Shift::ZERO || max_shift < Shift::ZERO || min_shift == max_shift {
            return Err("min_shift must be at most 0, max_shift at least 0, and both differ".into());
        }
        if !(max_step > 0.0 && max_step <= Shift::MAX) {
            return Err(format!(
                "max_step = {max_step} must be above 0 and at most {}",
                Shift::MAX
            ));
        }
        Ok(())
    }
}

/// What the shift has to do with one transaction's escalation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand {
    /// It is escalated whatever the shift: a rule, an instructing text, the audit sample, or a
    /// score that no shift keeps below the threshold.
    Always,
    /// It is escalated under no shift: a rule decided.
    Never,
    /// It is escalated when this margin, in log-odds, is at least the shift.
    Margin(f64),
}

impl Demand {
    /// The demand of a score under a segment's thresholds as they are written.
    pub(crate) fn of(score: Score, thresholds: &Thresholds) -> Self {
        let (value, escalate) = (score.value(), thresholds.escalate.value());
        // The shifted threshold stays at 0 and at 1, and never passes `decline`.
        if escalate <= 0.0 || score >= thresholds.decline {
            return Self::Always;
        }
        if escalate >= 1.0 {
            return Self::Never;
        }
        Self::Margin(logit(value) - logit(escalate))
    }
}

/// One transaction, as the controller sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// What the shift has to do with it.
    pub demand: Demand,
    /// Whether it was escalated.
    pub escalated: bool,
}

/// Why the controller does not go further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Too few transactions have been seen.
    Observations,
    /// The lowest shift is reached, and fewer than wanted are escalated.
    MinShift,
    /// The highest shift is reached, and more than wanted are escalated.
    MaxShift,
    /// The way is longer than one move may be; the next goes on.
    Step,
}

/// What the controller sees and does: for the log, for metrics, for people, and to go on with
/// after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ControllerState {
    /// The share of transactions that should be escalated.
    pub target: f64,
    /// The share that was, among those in the window; 0 without any.
    pub share: f64,
    /// How many transactions the window holds.
    pub observations: u32,
    /// The shift in force.
    pub shift: Shift,
    /// The document's own `escalate` under that shift.
    pub threshold: Score,
    /// What keeps the controller from going further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<Limit>,
    /// When the shift last moved (server time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<Timestamp>,
}

/// A move of the thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The shift before.
    pub from: Shift,
    /// The state after.
    pub state: ControllerState,
}

/// Moves the thresholds. A plain state machine; one observation costs a logarithm of time.
#[derive(Debug, Clone)]
pub struct Controller {
    budget: Budget,
    thresholds: Thresholds,
    window: Window,
    shift: Shift,
    limited: Option<Limit>,
    moved_at: Option<Timestamp>,
    since_look: u32,
}

impl Controller {
    /// Starts with thresholds as they are written. `budget` has been checked.
    pub(crate) fn new(budget: Budget, thresholds: Thresholds) -> Self {
        let (low, high) = (budget.min_shift.value(), budget.max_shift.value());
        Self {
            budget,
            thresholds,
            window: Window::new(low, high, budget.window as usize),
            shift: Shift::ZERO,
            limited: Some(Limit::Observations),
            moved_at: None,
            since_look: 0,
        }
    }

    /// Goes on from the shift of an earlier state, inside this budget's limits. The window starts
    /// empty.
    #[must_use]
    pub fn restored(mut self, state: &ControllerState) -> Self {
        self.shift = self.within(state.shift.value());
        self.moved_at = state.moved_at;
        self
    }

    /// The shift in force.
    #[must_use]
    pub fn shift(&self) -> Shift {
        self.shift
    }

    /// What it sees and does.
    #[must_use]
    pub fn state(&self) -> ControllerState {
        let observations = self.window.len();
        ControllerState {
            target: self.budget.target_share,
            share: self.window.escalated() as f64 / observations.max(1) as f64,
            observations: u32::try_from(observations).unwrap_or(u32::MAX),
            shift: self.shift,
            threshold: self.thresholds.shifted(self.shift).escalate,
            limited: self.limited,
            moved_at: self.moved_at,
        }
    }

    /// Counts a transaction; returns the move when it makes the thresholds move.
    pub fn observe(&mut self, observation: Observation, now: Timestamp) -> Option<Adjustment> {
        let margin = match observation.demand {
            Demand::Always => f64::INFINITY,
            Demand::Never => f64::NEG_INFINITY,
            Demand::Margin(margin) if margin.is_nan() => f64::NEG_INFINITY,
            Demand::Margin(margin) => margin,
        };
        self.window.push(margin, observation.escalated);
        self.since_look += 1;
        if self.since_look < (self.budget.window / MOVES_PER_WINDOW).max(1) {
            return None;
        }
        self.since_look = 0;
        if self.window.len() < self.budget.min_observations as usize {
            return None;
        }
        self.look(now)
    }

    /// Compares the window with the target, and goes part of the way.
    fn look(&mut self, now: Timestamp) -> Option<Adjustment> {
        let wanted = self.budget.target_share * self.window.len() as f64;
        let expected = self.window.at_or_above(self.shift.value()) as f64;
        self.limited = None;
        if (expected - wanted).abs() <= TOLERANCE * wanted {
            return None;
        }
        let way = self.window.shift_for(wanted as usize) - self.shift.value();
        let step = if way.abs() <= self.window.resolution() { way } else { way * GAIN };
        let max_step = self.budget.max_step;
        let to = self.within(self.shift.value() + step.clamp(-max_step, max_step));
        self.limited = self.limit(to, expected > wanted, step.abs() > max_step);
        if to == self.shift {
            return None;
        }
        let from = std::mem::replace(&mut self.shift, to);
        self.moved_at = Some(now);
        Some(Adjustment { from, state: self.state() })
    }

    fn limit(&self, to: Shift, too_many: bool, cut: bool) -> Option<Limit> {
        match to {
            _ if too_many && to == self.budget.max_shift => Some(Limit::MaxShift),
            _ if !too_many && to == self.budget.min_shift => Some(Limit::MinShift),
            _ => cut.then_some(Limit::Step),
        }
    }

    fn within(&self, shift: f64) -> Shift {
        let (low, high) = (self.budget.min_shift, self.budget.max_shift);
        Shift::new(shift.clamp(low.value(), high.value())).unwrap_or(Shift::ZERO)
    }
}

#[cfg(test)]
mod tests;
