//! Sorts what happens into what is measured. It is told every time; it reads no clock.

use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

use crate::{
    error::{Failure, LoadError},
    measured::{LATENCY_MAX_US, Measured, Second},
    plan::Plan,
    progress::Snapshot,
};

/// Relative error of a quantile within one second: 10^-2.
const SECOND_DIGITS: u8 = 2;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// Counted over all threads, from the first request of the warm-up on.
    pub(crate) sequence: u64,
    pub(crate) intended: Instant,
    /// No connection was free when it came due.
    pub(crate) waited: bool,
}

/// How a request that was taken up ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchanged {
    pub(crate) job: Job,
    /// When the generator took it up.
    pub(crate) taken_up: Instant,
    /// When it went out on an open connection.
    pub(crate) sent: Instant,
    pub(crate) finished: Instant,
    pub(crate) outcome: Result<Head, Failure>,
}

/// What is counted of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
}

impl Exchanged {
    pub(crate) fn latency(&self) -> Duration {
        self.finished.saturating_duration_since(self.job.intended)
    }

    pub(crate) fn service(&self) -> Duration {
        self.finished.saturating_duration_since(self.sent)
    }
}

enum Kind {
    Ok,
    Refused,
    Error,
}

impl Kind {
    fn of(outcome: Result<Head, Failure>) -> Self {
        match outcome {
            Ok(Head { status: 200..300, .. }) => Self::Ok,
            Ok(Head { status: 429 | 503, .. }) => Self::Refused,
            Ok(_) | Err(_) => Self::Error,
        }
    }
}

struct Tally {
    second: Second,
    latency: Histogram<u32>,
}

/// Collects what one thread sees.
pub(crate) struct Recorder {
    window_start: Instant,
    window_end: Instant,
    measured: Measured,
    seconds: Vec<Tally>,
    since_snapshot: Snapshot,
}

impl Recorder {
    pub(crate) fn new(start: Instant, plan: &Plan) -> Result<Self, CreationError> {
        let window_start = start + plan.warm_up;
        Ok(Self {
            window_start,
            window_end: window_start + plan.duration,
            measured: Measured::new(plan.duration)?,
            seconds: Vec::new(),
            since_snapshot: Snapshot::default(),
        })
    }

    /// Whether the request belongs to the window rather than to the warm-up.
    pub(crate) fn is_measured(&self, job: &Job) -> bool {
        job.intended >= self.window_start
    }

    /// A request came due.
    pub(crate) fn scheduled(&mut self, job: &Job) -> Result<(), LoadError> {
        self.since_snapshot.scheduled += 1;
        if self.is_measured(job) {
            self.measured.scheduled += 1;
            self.measured.waited += u64::from(job.waited);
            self.second(job.intended)?.second.scheduled += 1;
        }
        Ok(())
    }

    /// No connection was free for a request within the timeout.
    pub(crate) fn unsent(&mut self, job: &Job, now: Instant) -> Result<(), LoadError> {
        self.since_snapshot.errors += 1;
        if self.is_measured(job) {
            self.measured.unsent += 1;
            self.second(now)?.second.errors += 1;
        }
        Ok(())
    }

    /// A request that was taken up ended.
    pub(crate) fn exchanged(&mut self, exchanged: &Exchanged) -> Result<(), LoadError> {
        let kind = Kind::of(exchanged.outcome);
        match kind {
            Kind::Ok => {
                self.since_snapshot.ok += 1;
                let slowest = &mut self.since_snapshot.slowest;
                *slowest = (*slowest).max(exchanged.latency());
                let inside = self.window_start..self.window_end;
                self.measured.ok_in_window += u64::from(inside.contains(&exchanged.finished));
            }
            Kind::Refused => self.since_snapshot.refused += 1,
            Kind::Error => self.since_snapshot.errors += 1,
        }
        if self.is_measured(&exchanged.job) {
            self.measure(exchanged, &kind)?;
        }
        Ok(())
    }

    fn measure(&mut self, exchanged: &Exchanged, kind: &Kind) -> Result<(), LoadError> {
        let measured = &mut self.measured;
        measured.sent += 1;
        let job = &exchanged.job;
        if !job.waited {
            let lateness = exchanged.taken_up.saturating_duration_since(job.intended);
            measured.lateness.saturating_record(micros(lateness));
        }
        match exchanged.outcome {
            Ok(head) => *measured.by_status.entry(head.status).or_default() += 1,
            Err(failure) => {
                *measured.errors.entry(failure.as_str().to_owned()).or_default() += 1;
            }
        }
        let latency = micros(exchanged.latency());
        match kind {
            Kind::Ok => {
                measured.latency.saturating_record(latency);
                measured.service.saturating_record(micros(exchanged.service()));
                let tally = self.second(exchanged.finished)?;
                tally.second.ok += 1;
                // It grows to hold the value; only saturating would cut it off.
                let _ = tally.latency.record(latency.min(LATENCY_MAX_US));
            }
            Kind::Refused => {
                measured.refused.saturating_record(latency);
                let told = exchanged.outcome.is_ok_and(|head| head.retry_after);
                measured.missing_retry_after += u64::from(!told);
                self.second(exchanged.finished)?.second.refused += 1;
            }
            Kind::Error => self.second(exchanged.finished)?.second.errors += 1,
        }
        Ok(())
    }

    fn second(&mut self, at: Instant) -> Result<&mut Tally, LoadError> {
        let index = at.saturating_duration_since(self.window_start).as_secs() as usize;
        while self.seconds.len() <= index {
            let mut latency = Histogram::new(SECOND_DIGITS)?;
            latency.auto(true);
            self.seconds.push(Tally { second: Second::default(), latency });
        }
        Ok(&mut self.seconds[index])
    }

    /// What happened since the last call.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        std::mem::take(&mut self.since_snapshot)
    }

    pub(crate) fn idle_closed(&mut self, count: u64) {
        self.measured.idle_closed += count;
    }

    /// Takes in what another thread of the same run saw.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), LoadError> {
        let (ours, theirs) = (&mut self.measured, other.measured);
        ours.scheduled += theirs.scheduled;
        ours.sent += theirs.sent;
        ours.unsent += theirs.unsent;
        ours.waited += theirs.waited;
        ours.ok_in_window += theirs.ok_in_window;
        ours.missing_retry_after += theirs.missing_retry_after;
        ours.idle_closed += theirs.idle_closed;
        for (status, count) in theirs.by_status {
            *ours.by_status.entry(status).or_default() += count;
        }
        for (error, count) in theirs.errors {
            *ours.errors.entry(error).or_default() += count;
        }
        // All have the same bounds, so adding cannot fail.
        for (ours, theirs) in [
            (&mut ours.latency, theirs.latency),
            (&mut ours.service, theirs.service),
            (&mut ours.refused, theirs.refused),
            (&mut ours.lateness, theirs.lateness),
        ] {
            let _ = ours.add(theirs);
        }
        for (index, tally) in other.seconds.into_iter().enumerate() {
            let at = self.window_start + Duration::from_secs(index as u64);
            let into = self.second(at)?;
            into.second.scheduled += tally.second.scheduled;
            into.second.ok += tally.second.ok;
            into.second.refused += tally.second.refused;
            into.second.errors += tally.second.errors;
            let _ = into.latency.add(tally.latency);
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Measured {
        let mut measured = self.measured;
        measured.seconds = self
            .seconds
            .into_iter()
            .map(|Tally { second, latency }| Second {
                p50_us: latency.value_at_quantile(0.5),
                p99_us: latency.value_at_quantile(0.99),
                max_us: latency.max(),
                ..second
            })
            .collect();
        measured
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Arrivals;

    fn plan() -> Plan {
        Plan {
            arrivals: Arrivals::Constant { per_second: 1.0 },
            connections_max: 1,
            idle_connections: 0,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(2),
            timeout: Duration::from_secs(60),
        }
    }

    /// A 2xx answer to a request of one moment, sent at a second one and complete at a third.
    fn answer(start: Instant, millis: [u64; 3], status: u16) -> Exchanged {
        let [intended, sent, finished] = millis.map(|at| start + Duration::from_millis(at));
        let job = Job { sequence: 0, intended, waited: false };
        let outcome = Ok(Head { status, retry_after: false });
        Exchanged { job, taken_up: sent, sent, finished, outcome }
    }

    fn record(recorder: &mut Recorder, exchanged: &Exchanged) {
        recorder.scheduled(&exchanged.job).unwrap();
        recorder.exchanged(exchanged).unwrap();
    }

    #[test]
    fn latency_counts_from_the_intended_start_and_shows_in_the_second_of_the_answer() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start, &plan()).unwrap();
        record(&mut recorder, &answer(start, [1_500, 21_000, 21_500], 200));
        let measured = recorder.finish();
        let within = |value: u64, expected: u64| value.abs_diff(expected) * 100 <= expected;
        assert!(within(measured.latency.max(), 20_000_000));
        assert!(within(measured.service.max(), 500_000));
        assert!(within(measured.lateness.max(), 19_500_000));
        assert_eq!((measured.seconds[0].scheduled, measured.seconds[0].ok), (1, 0));
        let last = measured.seconds[20];
        assert_eq!((last.scheduled, last.ok), (0, 1));
        assert!(within(last.p50_us, 20_000_000) && within(last.max_us, 20_000_000), "{last:?}");
    }

    #[test]
    fn the_warm_up_counts_towards_throughput_only_where_its_answers_fall_into_the_window() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start, &plan()).unwrap();
        for millis in [[500, 500, 600], [900, 900, 1_100], [2_900, 2_900, 3_100]] {
            record(&mut recorder, &answer(start, millis, 200));
        }
        let measured = recorder.finish();
        assert_eq!((measured.scheduled, measured.ok(), measured.ok_in_window), (1, 1, 1));
    }

    #[test]
    fn what_threads_saw_adds_up() {
        let start = Instant::now();
        let recorded = |statuses: &[u16]| {
            let mut recorder = Recorder::new(start, &plan()).unwrap();
            for status in statuses {
                record(&mut recorder, &answer(start, [1_500, 1_500, 1_900], *status));
            }
            recorder
        };
        let mut whole = recorded(&[200, 429]);
        whole.merge(recorded(&[200, 503, 500])).unwrap();
        let (measured, alone) = (whole.finish(), recorded(&[200, 429, 200, 503, 500]).finish());
        assert_eq!(measured.by_status, alone.by_status);
        assert_eq!(measured.seconds, alone.seconds);
        assert_eq!(measured.latency, alone.latency);
        assert_eq!((measured.scheduled, measured.missing_retry_after), (5, 2));
    }
}
