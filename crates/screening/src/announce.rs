//! Who is told when a decision was completed after its first answer.

use domain::Decision;
use ledger::NewDelivery;

/// Turns completed decisions into deliveries, which are recorded in the completion's commit: a
/// decision that is completed is announced, and one that is not is not.
pub trait Announcer: Send + Sync {
    /// What to deliver of a decision, whose JSON is `response`.
    fn announce(&self, decision: &Decision, response: &str) -> Vec<NewDelivery>;

    /// Deliveries were recorded.
    fn announced(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl Announcer for Silence {
    fn announce(&self, _: &Decision, _: &str) -> Vec<NewDelivery> {
        Vec::new()
    }
}
