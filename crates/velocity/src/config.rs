//! The store's bounds.

/// How much the store remembers. Every bound is approximate by a few entries, never more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The most transactions kept for one account, card, device, counterparty or terminal; the
    /// oldest go first, so that the windows of a very busy one shorten. At least 1.
    pub max_events_per_entity: usize,
    /// The most confirmed frauds dated individually for one of them; older ones only count.
    pub max_frauds_per_entity: usize,
    /// The most accounts, cards, devices, counterparties and terminals together.
    pub max_entities: usize,
    /// The most transactions kept over all of them (one transaction counts up to five times).
    pub max_events: usize,
    /// How late, in event time, a transaction may arrive and still be counted and see complete
    /// windows, in hours. Anything older than 30 days and this is forgotten.
    pub lateness_hours: u32,
    /// How long a transaction can still be recognised and labelled, in days of event time.
    pub label_horizon_days: u32,
    /// The most transactions that can be recognised and labelled.
    pub max_transactions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_events_per_entity: 4096,
            max_frauds_per_entity: 512,
            max_entities: 2_000_000,
            max_events: 50_000_000,
            lateness_hours: 48,
            label_horizon_days: 120,
            max_transactions: 5_000_000,
        }
    }
}
