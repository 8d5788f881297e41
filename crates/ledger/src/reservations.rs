//! Keys in flight within this process: those of a store that no other process writes.
//!
//! A plain state machine. Nothing of it is durable, because an attempt ends with its process.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    IdempotencyKey,
    store::RESERVATION_AGE_MAX,
    writer::{Write, Written},
};

/// The most keys in flight; the server bounds its requests far below.
const KEYS_MAX: usize = 65_536;
/// What who finds no room is told.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub(crate) struct Reservations {
    held: Arc<Mutex<HashMap<String, Held>>>,
}

#[derive(Debug)]
struct Held {
    fingerprint: [u8; 32],
    since: Instant,
}

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the caller's, unless it was settled before.
    Free,
    InFlight,
    Mismatch,
    Full,
}

impl Reservations {
    pub(crate) fn take(&self, key: &IdempotencyKey, now: Instant) -> Taken {
        let mut held = self.held.lock();
        let age = |held: &Held| now.saturating_duration_since(held.since);
        match held.get(&key.key) {
            Some(other) if age(other) > RESERVATION_AGE_MAX => {}
            Some(other) if other.fingerprint == key.fingerprint => return Taken::InFlight,
            Some(_) => return Taken::Mismatch,
            None => {}
        }
        if held.len() >= KEYS_MAX {
            held.retain(|_, held| age(held) <= RESERVATION_AGE_MAX);
        }
        if held.len() >= KEYS_MAX {
            return Taken::Full;
        }
        held.insert(key.key.clone(), Held { fingerprint: key.fingerprint, since: now });
        Taken::Free
    }

    pub(crate) fn release(&self, key: &IdempotencyKey) {
        let mut held = self.held.lock();
        if held.get(&key.key).is_some_and(|held| held.fingerprint == key.fingerprint) {
            held.remove(&key.key);
        }
    }

    /// A decision that was written has settled its key.
    pub(crate) fn settle(&self, write: &Write, answer: &Written) {
        if answer.is_ok()
            && let Some(key) = write.decision().and_then(|new| new.idempotency.as_ref())
        {
            self.release(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, fingerprint: u8) -> IdempotencyKey {
        IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] }
    }

    #[test]
    fn a_key_is_held_by_one_until_it_is_released() {
        let now = Instant::now();
        let reservations = Reservations::default();
        assert_eq!(reservations.take(&key("a", 1), now), Taken::Free);
        assert_eq!(reservations.take(&key("a", 1), now), Taken::InFlight);
        assert_eq!(reservations.take(&key("a", 2), now), Taken::Mismatch);
        assert_eq!(reservations.take(&key("b", 2), now), Taken::Free);
        reservations.release(&key("a", 2));
        assert_eq!(reservations.take(&key("a", 1), now), Taken::InFlight, "not theirs to release");
        reservations.release(&key("a", 1));
        assert_eq!(reservations.take(&key("a", 2), now), Taken::Free);
    }

    #[test]
    fn a_forgotten_key_is_free_after_a_while() {
        let now = Instant::now();
        let reservations = Reservations::default();
        reservations.take(&key("a", 1), now);
        let later = now + RESERVATION_AGE_MAX + Duration::from_millis(1);
        assert_eq!(reservations.take(&key("a", 2), later), Taken::Free);
    }

    #[test]
    fn there_is_a_bound_and_it_makes_room_of_forgotten_keys() {
        let now = Instant::now();
        let reservations = Reservations::default();
        for n in 0..KEYS_MAX {
            assert_eq!(reservations.take(&key(&n.to_string(), 1), now), Taken::Free);
        }
        assert_eq!(reservations.take(&key("more", 1), now), Taken::Full);
        let later = now + RESERVATION_AGE_MAX + Duration::from_millis(1);
        assert_eq!(reservations.take(&key("more", 1), later), Taken::Free);
    }
}
