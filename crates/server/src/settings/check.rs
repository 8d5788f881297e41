//! Ranges and combinations, all checked before a socket opens.

use std::ops::RangeInclusive;

use crate::authors::Authors;

use super::{AnalysisEngine, Settings, SettingsError};

/// Deadlines that a request may ask for, in milliseconds.
pub(crate) const DEADLINE_MS: RangeInclusive<u64> = 1..=60_000;

const MEBIBYTE: u64 = 1 << 20;

impl Settings {
    /// Everything wrong at once, so that an operator mends it in one go.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let mut problems: Vec<String> =
            self.ranges().into_iter().filter_map(out_of_range).collect();
        problems.extend(self.engine_ranges().into_iter().filter_map(out_of_range));
        problems.extend(self.webhooks.ranges().into_iter().filter_map(out_of_range));
        problems.extend(self.malformed());
        problems.extend(self.webhooks.problems());
        problems.extend(self.quality.problem());
        if self.analysis.enabled && self.analysis.engine == AnalysisEngine::OpenAi {
            problems.extend(self.engine.client_config().err());
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsError::Invalid(problems)) }
    }

    fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 38] {
        let (http, screening, analysis) = (&self.http, &self.screening, &self.analysis);
        [
            ("http.threads", http.threads as u64, 0..=1024),
            ("http.max_connections", http.max_connections as u64, 1..=1_000_000),
            ("http.max_in_flight", http.max_in_flight as u64, 1..=1_000_000),
            ("http.body_limit_bytes", http.body_limit_bytes as u64, 1024..=64 * MEBIBYTE),
            ("http.line_limit_bytes", http.line_limit_bytes as u64, 1024..=64 * MEBIBYTE),
            ("http.default_deadline_ms", http.default_deadline_ms, DEADLINE_MS),
            ("http.batch_concurrency", http.batch_concurrency as u64, 1..=4096),
            ("http.header_timeout_ms", http.header_timeout_ms, 1..=600_000),
            ("http.body_timeout_ms", http.body_timeout_ms, 1..=600_000),
            ("screening.workers", screening.workers as u64, 0..=1024),
            ("screening.intra_threads", screening.intra_threads as u64, 1..=1024),
            ("screening.wide_threads", screening.wide_threads as u64, 0..=1024),
            ("screening.max_queue_delay_us", screening.max_queue_delay_us, 0..=1_000_000),
            ("screening.max_batch_size", screening.max_batch_size as u64, 1..=256),
            ("screening.max_queue_depth", screening.max_queue_depth as u64, 1..=1_000_000),
            ("analysis.intra_threads", analysis.intra_threads as u64, 0..=1024),
            ("analysis.max_batch_size", analysis.max_batch_size as u64, 1..=256),
            ("analysis.max_queue_depth", analysis.max_queue_depth as u64, 1..=1_000_000),
            ("analysis.prefill_chunk_tokens", analysis.prefill_chunk_tokens as u64, 1..=65_536),
            ("analysis.forced_run_tokens", analysis.forced_run_tokens as u64, 1..=65_536),
            ("analysis.report_deadline_ms", analysis.report_deadline_ms, 1..=600_000),
            ("analysis.promise_deadline_ms", analysis.promise_deadline_ms, 1..=86_400_000),
            ("analysis.max_promised", analysis.max_promised as u64, 0..=1_000_000),
            ("analysis.promised_concurrency", analysis.promised_concurrency as u64, 1..=256),
            ("analysis.answer_reserve_ms", analysis.answer_reserve_ms, 0..=10_000),
            ("velocity.max_entities", self.velocity.max_entities as u64, 1..=1_000_000_000),
            (
                "velocity.max_events_per_entity",
                self.velocity.max_events_per_entity as u64,
                1..=1_000_000,
            ),
            ("ledger.queue_depth", self.ledger.queue_depth as u64, 1..=1_000_000),
            ("ledger.readers", self.ledger.readers.into(), 1..=256),
            ("ledger.spool_depth", self.ledger.spool_depth as u64, 0..=1_000_000),
            ("ledger.lease_ms", self.ledger.lease_ms, 1_000..=600_000),
            ("policy.reload_ms", self.policy.reload_ms, 100..=3_600_000),
            ("quality.every_s", self.quality.every_s, 10..=86_400),
            ("quality.window_days", self.quality.window_days.into(), 1..=3_650),
            ("quality.maturity_days", self.quality.maturity_days.into(), 1..=3_650),
            ("quality.max_decisions", self.quality.max_decisions as u64, 1_000..=10_000_000),
            ("shadow.max_in_flight", self.shadow.max_in_flight as u64, 1..=1_000_000),
            (
                "shutdown.grace_ms",
                self.shutdown.grace_ms.saturating_add(self.shutdown.delay_ms),
                1..=3_600_000,
            ),
        ]
    }

    fn engine_ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 12] {
        let engine = &self.engine;
        [
            ("engine.max_tokens", engine.max_tokens.into(), 1..=65_536),
            ("engine.max_concurrency", engine.max_concurrency as u64, 1..=4096),
            ("engine.max_waiting", engine.max_waiting as u64, 0..=1_000_000),
            ("engine.attempts", engine.attempts.into(), 1..=10),
            ("engine.connect_timeout_ms", engine.connect_timeout_ms, 1..=60_000),
            ("engine.breaker_window_ms", engine.breaker_window_ms, 100..=3_600_000),
            ("engine.breaker_minimum_calls", engine.breaker_minimum_calls.into(), 1..=1_000_000),
            ("engine.breaker_failure_percent", engine.breaker_failure_percent.into(), 1..=100),
            ("engine.breaker_open_ms", engine.breaker_open_ms, 1..=3_600_000),
            ("engine.breaker_open_max_ms", engine.breaker_open_max_ms, 1..=3_600_000),
            ("engine.breaker_trial_calls", engine.breaker_trial_calls.into(), 1..=1_000),
            ("engine.breaker_patience_ms", engine.breaker_patience_ms, 0..=60_000),
        ]
    }

    fn malformed(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let port = self.listen.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
            problems.push(format!(
                "listen = {:?} must be an address and a port such as \"127.0.0.1:8080\"",
                self.listen
            ));
        }
        if let Err(error) = crate::telemetry::filter(&self.log.level) {
            problems.push(format!("log.level = {:?} is not understood: {error}", self.log.level));
        }
        problems.extend(
            Authors::parse(&self.policy.authors).err().map(|e| format!("policy.authors: {e}")),
        );
        for (key, path) in [
            ("data_dir", &self.data_dir),
            ("ledger.file", &self.ledger.file),
            ("screening.package", &self.screening.package),
            ("analysis.package", &self.analysis.package),
        ] {
            if path.as_os_str().is_empty() {
                problems.push(format!("{key} must not be empty"));
            }
        }
        problems
    }
}

fn out_of_range((key, value, range): (&'static str, u64, RangeInclusive<u64>)) -> Option<String> {
    (!range.contains(&value))
        .then(|| format!("{key} = {value} must be between {} and {}", range.start(), range.end()))
}
