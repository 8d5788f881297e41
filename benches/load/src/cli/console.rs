//! Progress on the error stream: a moving line on a terminal, else a line every few seconds.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{Plan, Progress, Snapshot};

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Adds up what all threads tell.
pub(super) struct Console {
    bar: Option<ProgressBar>,
    warm_up: Duration,
    end: Duration,
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since the last line.
    sum: Snapshot,
    told: usize,
    shown_at: Duration,
}

impl Console {
    pub(super) fn new(plan: &Plan, threads: usize) -> Self {
        let end = plan.warm_up + plan.duration;
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            ProgressBar::new(end.as_secs())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, warm_up: plan.warm_up, end, threads, state: Mutex::default() }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, sum: &Snapshot, over: Duration) -> String {
        let phase = if sum.at < self.warm_up {
            "warming up"
        } else if sum.at < self.end {
            "measuring"
        } else {
            "waiting for answers"
        };
        let rate = |count: u64| count as f64 / over.as_secs_f64().max(0.001);
        format!(
            "{:>4.0} s  {phase}  due {:.0}/s  2xx {:.0}/s  refused {:.0}/s  errors {:.0}/s  \
             slowest {:.1?}  in flight {}  waiting {}",
            sum.at.as_secs_f64(),
            rate(sum.scheduled),
            rate(sum.ok),
            rate(sum.refused),
            rate(sum.errors),
            sum.slowest,
            sum.in_flight,
            sum.waiting
        )
    }
}

impl Progress for Console {
    fn passed(&self, snapshot: &Snapshot) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        let sum = &mut state.sum;
        // The gauges of one round; the counts since the last line.
        if state.told.is_multiple_of(self.threads) {
            (sum.in_flight, sum.waiting) = (0, 0);
        }
        sum.at = sum.at.max(snapshot.at);
        sum.scheduled += snapshot.scheduled;
        sum.ok += snapshot.ok;
        sum.refused += snapshot.refused;
        sum.errors += snapshot.errors;
        sum.slowest = sum.slowest.max(snapshot.slowest);
        sum.in_flight += snapshot.in_flight;
        sum.waiting += snapshot.waiting;
        let at = sum.at;
        state.told += 1;
        let over = at.saturating_sub(state.shown_at);
        let least = if self.bar.is_some() { Duration::from_millis(500) } else { EVERY };
        if !state.told.is_multiple_of(self.threads) || over + Duration::from_millis(100) < least {
            return;
        }
        let line = self.line(&state.sum, over);
        match &self.bar {
            Some(bar) => {
                bar.set_position(at.as_secs());
                bar.set_message(line);
            }
            // Progress that cannot be written is no reason to stop.
            None => drop(writeln!(io::stderr(), "{line}")),
        }
        *state = State { shown_at: at, told: state.told, ..State::default() };
    }
}
