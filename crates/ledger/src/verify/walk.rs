//! The chain, entry by entry.

use std::collections::HashMap;

use super::{
    Bounds, Fault, Verification, Verified,
    entries::{Entry, columns},
};
use crate::{
    chain::{self, Hash, Table},
    sql::Value,
};

/// The most faults that are described.
const FAULTS_MAX: usize = 100;

/// A walk under way.
pub(super) struct Walk {
    pub(super) found: Verification,
    /// What the next entry follows.
    pub(super) previous: Hash,
    /// Entries without content, by the name of their table.
    erased: HashMap<&'static str, u64>,
}

impl Walk {
    pub(super) fn new(head: Hash, unchained: u64) -> Self {
        let found = Verification {
            entries: 0,
            first_seq: 0,
            last_seq: 0,
            head,
            unchained,
            erased: 0,
            faults: Vec::new(),
            fault_count: 0,
        };
        Self { found, previous: chain::GENESIS, erased: HashMap::new() }
    }

    pub(super) fn progress(&self) -> Verified {
        Verified { entries: self.found.entries, hash: self.previous }
    }

    pub(super) fn step(&mut self, entry: &Entry) {
        self.found.entries += 1;
        if self.found.first_seq == 0 {
            self.found.first_seq = entry.seq;
        }
        self.found.last_seq = entry.seq;
        let noun = entry.table.noun;
        if let Err(error) = self.look_at(entry) {
            self.fault(entry.seq, &format!("this {noun} cannot be read: {error}"));
        }
        match entry.row.hash("hash") {
            // Its own hash, so that one bad entry is not held against all that follow.
            Ok(Some(hash)) => self.previous = hash,
            Ok(None) => self.fault(entry.seq, &format!("this {noun} has no part in the chain")),
            Err(_) => {}
        }
    }

    fn look_at(&mut self, entry: &Entry) -> Result<(), sqlx::Error> {
        let Entry { table, seq, row } = entry;
        let core = columns(row, table.core)?;
        let content = columns(row, table.content)?;
        let salt = row.hash("salt")?;
        let Some(hash) = row.hash("hash")? else { return Ok(()) };
        let Some(digest) = row.hash("digest")? else {
            self.fault(*seq, &format!("this {} has no digest of its content", table.noun));
            return Ok(());
        };
        match salt {
            Some(salt) if chain::content_digest(&salt, &content) != digest => {
                self.fault(*seq, &format!("the content of this {} was altered", table.noun));
            }
            None if may_be_erased(table) && content.iter().all(Value::is_null) => {
                self.found.erased += 1;
                *self.erased.entry(table.name).or_default() += 1;
            }
            None => {
                self.fault(*seq, &format!("this {} has content that is not sealed", table.noun));
            }
            Some(_) => {}
        }
        if chain::entry_hash(&self.previous, table, *seq, &core, &digest) != hash {
            let what = format!(
                "this {} was altered, or an entry before it was removed, added or moved",
                table.noun
            );
            self.fault(*seq, &what);
        }
        Ok(())
    }

    pub(super) fn fault(&mut self, seq: i64, what: &str) {
        self.found.fault_count += 1;
        if self.found.faults.len() < FAULTS_MAX {
            self.found.faults.push(Fault { seq, what: what.to_owned() });
        }
    }

    pub(super) fn end(&mut self, bounds: &Bounds, start: i64) {
        let is_empty = self.found.entries == 0;
        let last = if is_empty { start } else { self.found.last_seq };
        let ends_there = if is_empty { bounds.head <= start } else { last == bounds.head };
        if !ends_there || self.previous != bounds.head_hash {
            let what = format!("the chain ends here, and its head says {}", bounds.head);
            self.fault(last, &what);
        }
    }

    /// Content goes by an erasure or not at all. Erasures also count what retention has removed
    /// since, so there may be fewer.
    pub(super) fn account_for_erasures(&mut self, counts: [(&'static str, u64); 4]) {
        for (table, count) in counts {
            let found = self.erased.get(table).copied().unwrap_or_default();
            if found > count {
                let what =
                    format!("{found} {table} are without content, and erasures took {count}");
                self.fault(self.found.last_seq, &what);
            }
        }
    }
}

fn may_be_erased(table: &Table) -> bool {
    !table.kept && !table.content.is_empty()
}
