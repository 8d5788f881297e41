//! Live precision and recall.

use serde::{Deserialize, Serialize};

/// Live precision and recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quality {
    /// How often they are estimated, in seconds.
    pub every_s: u64,
    /// How far back decisions are looked at.
    pub window_days: u32,
    /// From which age a decision counts while there are too few labels to tell how long they take.
    pub maturity_days: u32,
    /// Most decisions that one request reads, and labelled ones that are kept.
    pub max_decisions: usize,
}

impl Default for Quality {
    fn default() -> Self {
        Self { every_s: 60, window_days: 90, maturity_days: 60, max_decisions: 500_000 }
    }
}

impl Quality {
    /// What its values must not be together.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { window_days, maturity_days, .. } = self;
        (maturity_days >= window_days).then(|| {
            format!(
                "quality.maturity_days = {maturity_days} must be less than quality.window_days = \
                 {window_days}: no decision would ever count"
            )
        })
    }
}
