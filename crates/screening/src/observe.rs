//! Who watches decisions go by.

use domain::Decision;

use crate::facts::Facts;

/// Sees every decision that is recorded, at its first answer. Called on the way to the answer: a few
/// microseconds at most.
pub trait Observer: Send + Sync {
    /// A decision was recorded.
    fn decided(&self, facts: &Facts, decision: &Decision);
}

/// Sees nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _: &Facts, _: &Decision) {}
}
