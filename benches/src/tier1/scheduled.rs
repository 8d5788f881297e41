//! The product's own scheduler in the place of a picker.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use batching::{
    BatchShape, CostModel, DynamicConfig, DynamicScheduler, Priority, RequestId, RunTime,
    SessionKind, Sessions, Waiting,
};

use super::{bare::Feed, graph::Graph, online::Arrivals};

/// Nothing is late in this measurement.
const FAR: Duration = Duration::from_secs(3600);

/// A pool out of which the product's scheduler takes, with narrow sessions alone.
pub(super) struct Scheduled {
    scheduler: DynamicScheduler,
    arrivals: Arrivals,
    ids: u64,
    /// The text of each request that waits.
    waiting: HashMap<RequestId, usize>,
    /// Tokens of each text.
    lengths: Vec<usize>,
}

impl Scheduled {
    pub(super) fn new(arrivals: Arrivals, size: usize, graph: &Graph) -> Self {
        let shape = |texts, tokens| BatchShape { texts, tokens };
        let runs = graph.warm_up.iter();
        let runs: Vec<_> =
            runs.map(|(texts, tokens, took)| (shape(*texts, *tokens), *took)).collect();
        let cost = CostModel::new(&runs);
        let sessions = Sessions::narrow(graph.workers.len());
        let config = DynamicConfig::default();
        let scheduler = DynamicScheduler::new(&config, sessions, cost.clone(), cost);
        let lengths = (0..graph.encoded.len()).map(|text| graph.tokens(text)).collect();
        let mut scheduled = Self { scheduler, arrivals, ids: 0, waiting: HashMap::new(), lengths };
        scheduled.refill(size);
        scheduled
    }

    fn refill(&mut self, count: usize) {
        let now = Instant::now();
        for _ in 0..count {
            let (text, length) = self.arrivals.arrive();
            let id = RequestId(self.ids);
            self.ids += 1;
            self.waiting.insert(id, text);
            let request = Waiting::new(length, Priority::Interactive, now, now + FAR);
            self.scheduler.admit(id, request);
        }
    }
}

impl Feed for Scheduled {
    fn take(&mut self, idle: usize) -> Vec<usize> {
        // The thread that asks is idle too.
        let dispatch = self.scheduler.dispatch(Instant::now(), Sessions::narrow(idle + 1));
        let ids = dispatch.batch.map(|(_, ids)| ids).unwrap_or_default();
        ids.iter().filter_map(|id| self.waiting.remove(id)).collect()
    }

    fn done(&mut self, batch: &[usize], took: Duration) {
        let tokens = batch.iter().map(|text| self.lengths[*text]).max().unwrap_or(0);
        let shape = BatchShape { texts: batch.len(), tokens };
        self.scheduler.completed(SessionKind::Narrow, shape, RunTime::undisturbed(took));
        self.refill(batch.len());
    }
}
