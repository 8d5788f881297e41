//! Which ratios have to hold.

use serde::Serialize;

use super::{
    book::{Book, Field, Sample, median, ratio},
    extras::{DEADLINE, memory_per_worker},
    online::Picker,
    rounds::{POOLS, closed_load, online_load, open_load, open_load_of_plain, sorted_limit},
};

/// One target and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Which model.
    pub model: String,
    /// What has to hold.
    pub what: String,
    /// What was measured; none when it was not.
    pub measured: Option<f64>,
    /// The limit.
    pub limit: f64,
    /// Whether it holds.
    pub holds: Option<bool>,
}

const RATE: Field = |sample| sample.per_second;
const MEDIAN_MS: Field = |sample| sample.p50_ms.unwrap_or(f64::NAN);
const TAIL_MS: Field = |sample| sample.p99_ms.unwrap_or(f64::NAN);

/// Collects the targets of one model.
struct Judge<'a> {
    book: &'a Book,
    model: &'a str,
    targets: Vec<Target>,
}

/// All targets of a model.
#[must_use]
pub fn judge(book: &Book, model: &str) -> Vec<Target> {
    let mut judge = Judge { book, model, targets: Vec::new() };
    judge.throughput();
    judge.latency();
    judge.overload();
    judge.connections();
    judge.memory();
    judge.scores();
    judge.targets
}

impl Judge<'_> {
    fn at_least(&mut self, what: String, measured: Option<f64>, limit: f64) {
        self.target(what, measured, limit, |measured| measured >= limit);
    }

    fn at_most(&mut self, what: String, measured: Option<f64>, limit: f64) {
        self.target(what, measured, limit, |measured| measured <= limit);
    }

    fn target(
        &mut self,
        what: String,
        measured: Option<f64>,
        limit: f64,
        holds: impl Fn(f64) -> bool,
    ) {
        let measured = measured.filter(|measured| measured.is_finite());
        let holds = measured.map(holds);
        let model = self.model.to_owned();
        self.targets.push(Target { model, what, measured, limit, holds });
    }

    fn samples(&self, subject: &str, load: &str) -> &[Sample] {
        self.book.samples(self.model, subject, load)
    }

    fn best_online(&self, version: &str, size: usize) -> Option<&[Sample]> {
        best_online(self.book, self.model, version, size).map(|(_, samples)| samples)
    }

    /// The peer with the higher throughput.
    fn best_peer(&self, load: &str) -> &[Sample] {
        let rate = |name: &&str| self.book.median(self.model, name, load, RATE).unwrap_or(0.0);
        let best = PEERS.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
        best.map_or(&[], |name| self.samples(name, load))
    }

    fn throughput(&mut self) {
        for version in ["fast", "plain"] {
            for size in POOLS {
                let served = self.samples(&format!("weir {version}"), &closed_load(size));
                let limit = self.best_online(version, size);
                let share = limit.and_then(|limit| ratio(served, limit, RATE));
                let what = format!("{version}: throughput at {size} / online limit");
                self.at_least(what, share, 0.97);
            }
        }
        for connections in [32, 128] {
            let load = closed_load(connections);
            let gain = ratio(self.samples("weir fast", &load), self.best_peer(&load), RATE);
            let what = format!("throughput at {connections} / best peer's on the plain graph");
            self.at_least(what, gain, 1.25);
        }
    }

    fn latency(&mut self) {
        let served = self.samples("weir fast", &closed_load(1));
        let loads = ["lone, 1 thread", "lone, all threads"];
        let calls = loads.map(|load| self.book.median(self.model, "bare fast", load, MEDIAN_MS));
        let best = calls.into_iter().flatten().min_by(f64::total_cmp);
        let load = loads
            .into_iter()
            .zip(calls)
            .find(|(_, call)| call.is_some() && *call == best)
            .map_or("", |(load, _)| load);
        let bare = self.samples("bare fast", load);
        let added = served.iter().zip(bare).map(|(a, b)| MEDIAN_MS(a) - MEDIAN_MS(b));
        let added = median(added.collect());
        self.at_most("one caller: median above the best bare call's, ms".into(), added, 0.3);

        let busy = open_load(80);
        let tail =
            ratio(self.samples("weir fast", &busy), self.samples("mosec plain", &busy), TAIL_MS);
        self.at_most("open loop at 80% of each one's limit: p99 / mosec's".into(), tail, 1.0 / 3.0);
        let same = self.samples("weir fast", &open_load_of_plain(80));
        let tail = ratio(same, self.samples("mosec plain", &busy), TAIL_MS);
        self.at_most("open loop, both at 80% of plain: p99 / mosec's".into(), tail, 1.0 / 3.0);
        let shed = self.book.median(self.model, "weir fast", &busy, |sample| {
            (sample.refused + sample.other + sample.failed) as f64
        });
        self.at_most("open loop at 80%: shed".into(), shed, 0.0);

        let half = self.samples("weir fast", &open_load(50));
        let alone = self.samples("bare fast", "lone, 1 thread");
        let tail = half.iter().zip(alone).map(|(served, call)| TAIL_MS(served) / MEDIAN_MS(call));
        let tail = median(tail.collect());
        self.at_most("open loop at 50%: p99 / median bare call's".into(), tail, 4.0);
    }

    fn overload(&mut self) {
        let field =
            |field: Field| self.book.median(self.model, "weir fast", "open, 300%, deadline", field);
        let goodput = field(|sample| {
            sample.per_second * (1.0 - sample.late as f64 / sample.answered.max(1) as f64)
        });
        let limit = sorted_limit(self.book, self.model, "fast");
        let goodput = goodput.zip(limit).map(|(goodput, limit)| goodput / limit);
        let refused = field(|sample| sample.refused_p99_ms.unwrap_or(f64::NAN));
        let unexplained = field(|sample| sample.missing_retry_after as f64);
        let late = field(|sample| {
            let taken = sample.answered + sample.other;
            (sample.late + sample.other) as f64 / taken.max(1) as f64
        });
        self.at_least("overload: goodput / sorted limit".into(), goodput, 0.9);
        self.at_most("overload: p99 of refusals, ms".into(), refused, 5.0);
        self.at_most("overload: refusals without Retry-After".into(), unexplained, 0.0);
        let what =
            format!("overload: taken and not answered within {} ms, share", DEADLINE.as_millis());
        self.at_most(what, late, 0.0);
    }

    fn connections(&mut self) {
        for many in ["1000 busy", "128 busy, 2000 idle"] {
            let subject = "weir fast, long queue";
            let kept = ratio(self.samples(subject, many), self.samples(subject, "128 busy"), RATE);
            self.at_least(format!("{many} / 128 busy: throughput"), kept, 0.95);
        }
    }

    fn memory(&mut self) {
        let share = memory_per_worker(self.book, self.model).map(|(more, graph)| more / graph);
        self.at_most("memory of one more worker / size of the graph".into(), share, 0.15);
    }

    fn scores(&mut self) {
        let ours = self
            .book
            .rows()
            .filter(|(key, _)| key.model == self.model && !PEERS.contains(&key.subject.as_str()));
        let wrong: u64 = ours.flat_map(|(_, samples)| samples).map(|sample| sample.wrong).sum();
        self.at_most("scores that differ from the reference".into(), Some(wrong as f64), 0.0);
    }
}

/// What the peers are called.
pub const PEERS: [&str; 2] = ["fastapi plain", "mosec plain"];

/// The picker with the highest median at a pool, and its samples.
#[must_use]
pub fn best_online<'a>(
    book: &'a Book,
    model: &str,
    version: &str,
    size: usize,
) -> Option<(Picker, &'a [Sample])> {
    let subject = format!("online {version}");
    let rate = |picker: &Picker| book.median(model, &subject, &online_load(size, *picker), RATE);
    let best = Picker::all()
        .into_iter()
        .filter_map(|picker| Some((rate(&picker)?, picker)))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some((best.1, book.samples(model, &subject, &online_load(size, best.1))))
}
