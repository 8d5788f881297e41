//! When the outbox is looked at for an endpoint: a plain state machine that takes `now`.

use std::time::Duration;

use tokio::time::Instant;

/// The longest that an endpoint is left alone at its own wish. Each message keeps its own, longer
/// wait; this one holds back the messages behind it.
const REST_MAX: Duration = Duration::from_secs(300);
/// The shortest time between two looks that nothing but nudges calls for: a look may cost a commit,
/// and what is queued in a burst can be taken together.
const GAP: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Pace {
    min: Duration,
    max: Duration,
    /// How long to wait when nothing is found.
    wait: Duration,
    looked_at: Option<Instant>,
    look_at: Instant,
    rest_until: Instant,
}

impl Pace {
    /// Looks at once.
    pub(crate) fn new(min: Duration, max: Duration, now: Instant) -> Self {
        Self { min, max, wait: min, looked_at: None, look_at: now, rest_until: now }
    }

    /// When to look next, if there is a place.
    pub(crate) fn look_at(&self) -> Instant {
        self.look_at.max(self.rest_until)
    }

    /// As many were found as there were places: there may be more.
    pub(crate) fn found_enough(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.wait = self.min;
        self.look_at = now;
    }

    /// Fewer were found: that was all for now.
    pub(crate) fn found_some(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.wait = self.min;
        self.look_at = now + self.min;
    }

    /// There was nothing, or the outbox could not be read.
    pub(crate) fn found_nothing(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.look_at = now + self.wait;
        self.wait = self.wait.saturating_mul(2).min(self.max);
    }

    /// Something was queued.
    pub(crate) fn nudged(&mut self, now: Instant) {
        self.wait = self.min;
        let soon = self.looked_at.map_or(now, |looked| now.max(looked + GAP));
        self.look_at = self.look_at.min(soon);
    }

    /// The endpoint asks to be left alone.
    pub(crate) fn rest(&mut self, wish: Duration, now: Instant) {
        self.rest_until = self.rest_until.max(now + wish.min(REST_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_empty_outbox_is_looked_at_less_and_less_often() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 5 * SECOND, now);
        assert_eq!(pace.look_at(), now);
        for expected in [1, 2, 4, 5, 5] {
            pace.found_nothing(now);
            assert_eq!(pace.look_at(), now + expected * SECOND);
        }
        pace.found_some(now);
        assert_eq!(pace.look_at(), now + SECOND);
    }

    #[test]
    fn a_nudge_is_followed_at_once_unless_the_endpoint_rests() {
        let before = Instant::now();
        let now = before + GAP;
        let mut pace = Pace::new(SECOND, 5 * SECOND, before);
        pace.found_nothing(before);
        pace.nudged(now);
        assert_eq!(pace.look_at(), now);
        pace.rest(30 * SECOND, now);
        pace.nudged(now);
        assert_eq!(pace.look_at(), now + 30 * SECOND);
    }

    #[test]
    fn a_burst_of_nudges_is_one_look() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 5 * SECOND, now);
        pace.found_some(now);
        pace.nudged(now);
        pace.nudged(now + GAP / 2);
        assert_eq!(pace.look_at(), now + GAP);
    }

    #[test]
    fn no_endpoint_is_left_alone_for_longer_than_the_bound_and_no_wish_shortens_another() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 5 * SECOND, now);
        pace.rest(Duration::MAX, now);
        pace.rest(SECOND, now);
        assert_eq!(pace.look_at(), now + REST_MAX);
    }
}
