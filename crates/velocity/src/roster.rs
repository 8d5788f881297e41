//! All entities of one kind, bounded.

use std::{
    collections::VecDeque,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use parking_lot::Mutex;

use crate::entity::Entity;

/// An entity shared by the roster and whoever works with it.
pub(crate) type Slot = Arc<Mutex<Entity>>;

/// How many entities are compared before the longest idle of them goes.
const SAMPLE: usize = 16;

/// All entities of one kind.
///
/// Locks are taken in one direction: queue, then entity, then map; a map guard never outlives the
/// call that took it.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    slots: DashMap<Arc<str>, Slot, BuildHasherDefault<DefaultHasher>>,
    /// Every entity once, in the order in which they are looked at for eviction.
    queue: Mutex<VecDeque<Arc<str>>>,
    /// The queue's length, readable without its lock.
    population: AtomicUsize,
}

/// An entity and whether it was created just now.
pub(crate) struct Found {
    pub(crate) slot: Slot,
    pub(crate) created: bool,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.population.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Slot> {
        self.slots.get(id).map(|slot| Arc::clone(&slot))
    }

    pub(crate) fn get_or_create(&self, id: &str) -> Found {
        if let Some(slot) = self.get(id) {
            return Found { slot, created: false };
        }
        let key: Arc<str> = Arc::from(id);
        let found = match self.slots.entry(Arc::clone(&key)) {
            Entry::Occupied(entry) => Found { slot: Arc::clone(entry.get()), created: false },
            Entry::Vacant(entry) => {
                let slot = Slot::default();
                entry.insert(Arc::clone(&slot));
                Found { slot, created: true }
            }
        };
        if found.created {
            self.queue.lock().push_back(key);
            self.population.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Forgets the longest idle, in event time, of the next few entities; answers how many events
    /// went with it. `None` when all of them are in use or the roster is empty.
    pub(crate) fn evict_one(&self) -> Option<usize> {
        let mut queue = self.queue.lock();
        let sample_len = queue.len().min(SAMPLE);
        let mut idlest: Option<(usize, i64)> = None;
        for (index, key) in queue.range(..sample_len).enumerate() {
            let Some(slot) = self.get(key) else { continue };
            // An entity whose lock is held is not idle.
            let Some(newest) = slot.try_lock().map(|entity| entity.newest()) else { continue };
            // Without events it is new, and whoever is about to count in it will look again.
            let newest = newest.unwrap_or(i64::MIN);
            if idlest.is_none_or(|(_, least)| newest < least) {
                idlest = Some((index, newest));
            }
        }
        let chosen = idlest.and_then(|(index, _)| queue.remove(index));
        let rotation = sample_len.saturating_sub(1).min(queue.len());
        queue.rotate_left(rotation);
        let key = chosen?;
        let slot = self.get(&key)?;
        let mut entity = slot.lock();
        self.slots.remove(&key);
        self.population.fetch_sub(1, Ordering::Relaxed);
        let events = entity.len();
        entity.retire();
        Some(events)
    }
}
