//! What an operator can choose.

use std::{path::PathBuf, time::Duration};

/// How the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file; it and its folder are created when missing.
    pub path: PathBuf,
    /// How many requests may wait for the writer; at least 1.
    pub queue_depth: usize,
    /// How many rows one commit takes before the next one starts; at least 1.
    pub group_max: usize,
    /// How many reads run at once; at least 1.
    pub readers: u32,
    /// How long to wait for a lock that another process holds, and for a free reader.
    pub busy_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/ledger.sqlite"),
            queue_depth: 4096,
            group_max: 256,
            readers: 4,
            busy_timeout: Duration::from_secs(5),
        }
    }
}
