//! Those that wait, in every order that the scheduler asks for.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::dynamic::{Priority, RequestId};
use crate::window::Candidate;

/// A request that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// In tokens.
    pub length: usize,
    /// Who goes first.
    pub priority: Priority,
    /// When it was admitted.
    pub arrived: Instant,
    /// When the first of its callers stops waiting. A batch must end before it.
    pub deadline_first: Instant,
    /// When the last of its callers stops waiting. It is late from then on.
    pub deadline_last: Instant,
}

impl Waiting {
    /// A request with one caller.
    #[must_use]
    pub fn new(length: usize, priority: Priority, arrived: Instant, deadline: Instant) -> Self {
        Self { length, priority, arrived, deadline_first: deadline, deadline_last: deadline }
    }
}

/// Every operation takes time logarithmic in the number that wait.
#[derive(Debug, Default)]
pub(crate) struct WaitingRoom {
    requests: HashMap<RequestId, Waiting>,
    by_age: BTreeSet<(Priority, RequestId)>,
    by_length: BTreeSet<(usize, RequestId)>,
    by_deadline: BTreeSet<(Instant, RequestId)>,
    tokens: f64,
    token_pairs: f64,
}

impl WaitingRoom {
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// The sum of all lengths.
    pub(crate) fn tokens(&self) -> f64 {
        self.tokens
    }

    /// The sum of the squares of all lengths.
    pub(crate) fn token_pairs(&self) -> f64 {
        self.token_pairs
    }

    pub(crate) fn get(&self, id: RequestId) -> Option<&Waiting> {
        self.requests.get(&id)
    }

    pub(crate) fn oldest(&self, priority: Priority) -> Option<RequestId> {
        let from = (priority, RequestId(0))..=(priority, RequestId(u64::MAX));
        self.by_age.range(from).next().map(|(_, id)| *id)
    }

    /// The lengths, shortest first.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.by_length.iter().map(|(length, _)| *length)
    }

    pub(crate) fn insert(&mut self, id: RequestId, request: Waiting) {
        self.remove(id);
        let length = request.length as f64;
        self.tokens += length;
        self.token_pairs += length * length;
        self.by_age.insert((request.priority, id));
        self.by_length.insert((request.length, id));
        self.by_deadline.insert((request.deadline_last, id));
        self.requests.insert(id, request);
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Waiting> {
        let request = self.requests.remove(&id)?;
        let length = request.length as f64;
        // Whole numbers below 2^53: what was added is taken away exactly.
        self.tokens -= length;
        self.token_pairs -= length * length;
        self.by_age.remove(&(request.priority, id));
        self.by_length.remove(&(request.length, id));
        self.by_deadline.remove(&(request.deadline_last, id));
        Some(request)
    }

    /// One more caller: the request goes as soon as either would, and is late when both are.
    pub(crate) fn join(&mut self, id: RequestId, priority: Priority, deadline: Instant) {
        if let Some(mut request) = self.remove(id) {
            request.priority = request.priority.min(priority);
            request.deadline_first = request.deadline_first.min(deadline);
            request.deadline_last = request.deadline_last.max(deadline);
            self.insert(id, request);
        }
    }

    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<RequestId> {
        let mut expired = Vec::new();
        while let Some((deadline, id)) = self.by_deadline.first().copied() {
            if deadline > now {
                break;
            }
            self.remove(id);
            expired.push(id);
        }
        expired
    }

    /// The request with those nearest in length, fewer than `size_max` on either side, in order
    /// of length; among equal lengths the older are nearer.
    pub(crate) fn neighbours(
        &self,
        anchor: RequestId,
        size_max: usize,
    ) -> Vec<Candidate<RequestId>> {
        let Some(length) = self.requests.get(&anchor).map(|request| request.length) else {
            return Vec::new();
        };
        let beside = size_max.saturating_sub(1);
        let key = (length, anchor);
        let mut near: Vec<_> = self.by_length.range(..key).rev().take(beside).collect();
        near.reverse();
        near.extend(self.by_length.range(key..).take(beside + 1));
        near.iter().filter_map(|(_, id)| self.candidate(*id)).collect()
    }

    pub(crate) fn drain(&mut self) -> Vec<RequestId> {
        let mut ids: Vec<_> = self.requests.keys().copied().collect();
        ids.sort_unstable();
        *self = Self::default();
        ids
    }

    fn candidate(&self, id: RequestId) -> Option<Candidate<RequestId>> {
        let request = self.requests.get(&id)?;
        Some(Candidate { id, length: request.length, deadline: request.deadline_first })
    }
}
