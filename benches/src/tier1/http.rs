//! One server under one load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use load::{Answer, Arrivals, Measured, Observer, Plan, Progress, Snapshot, Traffic};

use super::{
    book::Sample,
    process::{Server, Watch},
};

/// How long a caller waits before it gives up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A late answer is one that came later than the deadline and the time that the loopback
/// interface and a busy load generator may take.
const LATE_AFTER: Duration = Duration::from_millis(5);

/// Whom to ask, and what the answers must be.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is called in tables.
    pub name: String,
    /// Where to send bodies.
    pub url: String,
    /// One body for each text.
    pub bodies: Arc<[Bytes]>,
    /// The score of each text.
    pub references: Arc<[f64]>,
    /// What stands in an answer just before the score.
    pub score_after: &'static str,
    /// Whether scores are compared.
    pub checked: bool,
    /// The deadline that the bodies state.
    pub deadline: Option<Duration>,
}

/// The least warm-up with idle connections, whose opening is part of it.
const OPENING: Duration = Duration::from_secs(2);

/// Which load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// When requests start.
    pub arrivals: Arrivals,
    /// How many connections an open loop may use.
    pub connections_max: usize,
    /// Further connections that do nothing.
    pub idle_connections: usize,
    /// How long it is measured, after a warm-up of a fifth of that.
    pub duration: Duration,
    /// The first text.
    pub first: usize,
}

impl Load {
    /// A closed loop.
    #[must_use]
    pub fn closed(connections: usize, duration: Duration, first: usize) -> Self {
        let arrivals = Arrivals::Closed { connections };
        Self { arrivals, connections_max: connections, idle_connections: 0, duration, first }
    }

    /// Independent callers on at most 512 connections.
    #[must_use]
    pub fn open(per_second: f64, duration: Duration, first: usize) -> Self {
        let arrivals = Arrivals::Poisson { per_second, seed: first as u64 + 1 };
        Self { arrivals, connections_max: 512, idle_connections: 0, duration, first }
    }

    fn plan(self) -> Plan {
        let opening = if self.idle_connections > 0 { OPENING } else { Duration::ZERO };
        Plan {
            arrivals: self.arrivals,
            connections_max: self.connections_max,
            idle_connections: self.idle_connections,
            warm_up: (self.duration / 5).max(opening),
            duration: self.duration,
            timeout: TIMEOUT,
        }
    }
}

/// Compares every score with its reference.
#[derive(Debug)]
struct Checker<'a> {
    subject: &'a Subject,
    first: usize,
    answered: AtomicU64,
    wrong: AtomicU64,
    late: AtomicU64,
    /// Bits of the largest difference; a positive number's bits are in the number's order.
    deviation: AtomicU64,
}

/// Counts good answers, those of the warm-up and of the end included.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Progress for Counter {
    fn passed(&self, snapshot: &Snapshot) {
        self.0.fetch_add(snapshot.ok, Ordering::Relaxed);
    }
}

impl Observer for Checker<'_> {
    fn answered(&self, answer: &Answer<'_>) {
        if answer.status != 200 {
            return;
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        if self.subject.deadline.is_some_and(|deadline| answer.service > deadline + LATE_AFTER) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if !self.subject.checked {
            return;
        }
        let references = &self.subject.references;
        let reference = references[(answer.body_index + self.first) % references.len()];
        let score = score(answer.body, self.subject.score_after).unwrap_or(f64::INFINITY);
        if score.to_bits() != reference.to_bits() {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            let difference = (score - reference).abs();
            self.deviation.fetch_max(difference.to_bits(), Ordering::Relaxed);
        }
    }
}

/// The number behind the first `marker`, exactly as written.
fn score(body: &[u8], marker: &str) -> Option<f64> {
    let text = std::str::from_utf8(body).ok()?;
    let number = &text[text.find(marker)? + marker.len()..];
    let end = number.find([',', '}', ' '])?;
    number[..end].parse().ok()
}

/// Drives the server and answers what it did.
///
/// # Errors
/// When the load cannot be made.
pub async fn measure(server: &Server, subject: &Subject, load: Load) -> anyhow::Result<Sample> {
    let first = load.first % subject.bodies.len();
    let (front, back) = subject.bodies.split_at(first);
    let traffic = Traffic {
        url: subject.url.parse()?,
        bodies: back.iter().chain(front).cloned().collect(),
        content_type: "application/json".into(),
        headers: Vec::new(),
    };
    let checker = Checker {
        subject,
        first,
        answered: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
        late: AtomicU64::new(0),
        deviation: AtomicU64::new(0),
    };
    let (server_before, watch) = (server.usage()?.cpu, Watch::start()?);
    let counter = Counter::default();
    let measured = load::run(&traffic, &load.plan(), &checker, &counter).await;
    let measured = measured.with_context(|| subject.name.clone())?;
    let watched = watch.end()?;
    let server_cpu = server.usage()?.cpu.saturating_sub(server_before);
    let sample = sample(&measured, &checker);
    // Processor time is spent before and after the window too.
    let answers = counter.0.load(Ordering::Relaxed).max(1) as f64;
    Ok(Sample {
        server_cpu_ms: server_cpu.as_secs_f64() * 1e3 / answers,
        client_cpu_ms: watched.own.as_secs_f64() * 1e3 / answers,
        others: watched.others(server_cpu),
        ..sample
    })
}

fn sample(measured: &Measured, checker: &Checker<'_>) -> Sample {
    let status = |wanted: u16| measured.by_status.get(&wanted).copied().unwrap_or(0);
    let answers: u64 = measured.by_status.values().sum();
    let failures: u64 = measured.errors.values().sum();
    let refused = &measured.refused;
    let milliseconds = |micros: u64| micros as f64 / 1e3;
    let quantile = |q| milliseconds(measured.latency.value_at_quantile(q));
    Sample {
        per_second: measured.throughput(),
        p50_ms: Some(quantile(0.5)),
        p99_ms: Some(quantile(0.99)),
        answered: status(200),
        refused: status(429),
        other: answers - status(200) - status(429),
        failed: failures + measured.unsent,
        refused_p99_ms: (!refused.is_empty())
            .then(|| milliseconds(refused.value_at_quantile(0.99))),
        missing_retry_after: measured.missing_retry_after,
        late: checker.late.load(Ordering::Relaxed),
        wrong: checker.wrong.load(Ordering::Relaxed),
        deviation: f64::from_bits(checker.deviation.load(Ordering::Relaxed)),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn the_score_is_read_as_written() {
        let body = br#"{"score":1,"screening":{"score":0.30000000000000004,"package":1}}"#;
        assert_eq!(score(body, r#""screening":{"score":"#), Some(0.1 + 0.2));
        assert_eq!(score(br#"{"score":5e-324}"#, r#""score":"#), Some(5e-324));
        assert_eq!(score(b"{}", r#""score":"#), None);
    }
}
