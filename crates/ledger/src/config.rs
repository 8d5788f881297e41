//! What an operator can choose.

use std::{path::PathBuf, time::Duration};

use uuid::Uuid;

use crate::SecretUrl;

/// Where the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// In one file, by one process.
    Sqlite {
        /// The file; it and its folder are created when missing.
        path: PathBuf,
    },
    /// In a PostgreSQL database, which several instances may share.
    Postgres {
        /// Where the database is. It must exist; its tables are created when missing.
        url: SecretUrl,
    },
}

/// How the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it is kept.
    pub store: StoreConfig,
    /// How many requests may wait for the writer; at least 1.
    pub queue_depth: usize,
    /// How many rows one commit takes before the next one starts; at least 1.
    pub group_max: usize,
    /// How many reads run at once; at least 1.
    pub readers: u32,
    /// How long to wait for a lock that another process holds, for a free reader, and for a
    /// connection.
    pub busy_timeout: Duration,
    /// How long PostgreSQL may take for one statement, and how long an instance may leave a
    /// transaction open; at least 1 ms. A server or a network that says nothing at all is given
    /// up a second later.
    pub answer_timeout: Duration,
    /// How long work and keys belong to an instance that gives no sign of life; at least 1 ms.
    /// An instance must call [`Ledger::renew`](crate::Ledger::renew) more often than this.
    pub lease: Duration,
    /// How many decisions wait in memory for a store that does not answer; at least 1.
    pub spool_depth: usize,
    /// Who holds the leases; new for each process.
    pub instance: Uuid,
}

impl Config {
    /// The defaults for a ledger in this store, with a new instance.
    #[must_use]
    pub fn new(store: StoreConfig) -> Self {
        Self {
            store,
            queue_depth: 4096,
            group_max: 256,
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            lease: Duration::from_secs(15),
            spool_depth: 10_000,
            instance: Uuid::now_v7(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(StoreConfig::Sqlite { path: PathBuf::from("data/ledger.sqlite") })
    }
}
