//! Walks the chain of hashes and finds what does not belong.

mod entries;
mod walk;

use sha2::{Digest, Sha256};

use self::{
    entries::{Entries, columns},
    walk::Walk,
};
use crate::{
    LedgerError,
    chain::{self, Hash, TABLES},
    read::{Reader, unreadable},
    sql::{Statements, values},
};

/// The most rows of one table that are read at once.
const PAGE: usize = 500;

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Entries walked.
    pub entries: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
}

/// An entry that does not belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the sequence.
    pub seq: i64,
    /// What is wrong with it.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Entries of the chain that were walked.
    pub entries: u64,
    /// The first of them; 0 without any.
    pub first_seq: i64,
    /// The last of them; 0 without any.
    pub last_seq: i64,
    /// The hash of the last entry, as the chain has it.
    pub head: [u8; 32],
    /// Entries that were recorded before the chain began.
    pub unchained: u64,
    /// Entries whose content was erased.
    pub erased: u64,
    /// The first hundred faults.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub fault_count: u64,
}

/// Where the chain starts and ends, as the store says.
struct Bounds {
    head: i64,
    head_hash: Hash,
    unchained_until: i64,
    floor: i64,
}

pub(crate) async fn verify(
    reader: &Reader,
    mut progress: impl FnMut(&Verified),
) -> Result<Verification, LedgerError> {
    loop {
        let bounds = bounds(reader).await?;
        let found = walk(reader, &bounds, &mut progress).await?;
        // Entries that retention took from under the walk are no fault.
        if self::bounds(reader).await?.floor == bounds.floor {
            return Ok(found);
        }
    }
}

async fn walk(
    reader: &Reader,
    bounds: &Bounds,
    progress: &mut impl FnMut(&Verified),
) -> Result<Verification, LedgerError> {
    let (start, mut walk) = begin(reader, bounds).await?;
    let mut entries = Entries::open(start, bounds.head);
    while let Some(entry) = entries.next(reader).await? {
        walk.step(&entry);
        if walk.found.entries.is_multiple_of(PAGE as u64) {
            progress(&walk.progress());
        }
    }
    progress(&walk.progress());
    walk.end(bounds, start);
    walk.account_for_erasures(erasures(reader).await?);
    if let Some(seq) = beyond(reader).await? {
        walk.fault(seq, "this entry lies beyond the end of the chain");
    }
    Ok(walk.found)
}

async fn bounds(reader: &Reader) -> Result<Bounds, LedgerError> {
    let row = reader.one("SELECT * FROM sequence WHERE id = 1", &[]).await?;
    let read = || -> Result<Bounds, sqlx::Error> {
        Ok(Bounds {
            head: row.get("head")?,
            head_hash: row.hash("head_hash")?.unwrap_or(chain::GENESIS),
            unchained_until: row.get("unchained_until")?,
            floor: row.get("floor")?,
        })
    };
    read().map_err(unreadable)
}

/// After which entry the walk starts, and what the next one follows.
async fn begin(reader: &Reader, bounds: &Bounds) -> Result<(i64, Walk), LedgerError> {
    let (unchained, sealed) = unchained(reader, bounds).await?;
    let mut walk = Walk::new(bounds.head_hash, unchained);
    if sealed > 0 {
        let what = "entries up to here are said to be older than the chain, and are part of it";
        walk.fault(bounds.unchained_until, what);
    }
    let mut pool = reader.pool();
    let latest = "SELECT * FROM checkpoints ORDER BY seq DESC LIMIT 1";
    let Some(row) = pool.fetch(latest, &[]).await.map_err(unreadable)?.pop() else {
        if bounds.floor != 0 {
            walk.fault(bounds.floor, "entries up to here were removed and no checkpoint says so");
        }
        return Ok((bounds.unchained_until.max(bounds.floor), walk));
    };
    let floor: i64 = row.get("floor").map_err(unreadable)?;
    let hash = row.hash("floor_hash").map_err(unreadable)?;
    let kept = row.hash("kept_digest").map_err(unreadable)?;
    walk.previous = hash.unwrap_or(chain::GENESIS);
    if floor != bounds.floor {
        walk.fault(floor, "the latest checkpoint and the sequence name different floors");
    }
    if kept != Some(kept_digest(&mut pool, floor).await.map_err(unreadable)?) {
        walk.fault(floor, "what is kept from before the latest checkpoint was altered");
    }
    Ok((floor.max(bounds.unchained_until), walk))
}

/// How many entries are older than the chain, and how many of them have a hash all the same.
async fn unchained(reader: &Reader, bounds: &Bounds) -> Result<(u64, u64), LedgerError> {
    let mut counts = (0, 0);
    for table in TABLES {
        let statement = format!(
            "SELECT count(*) AS count, count(hash) AS sealed FROM {} WHERE seq <= $1 AND seq > $2",
            table.name
        );
        // What retention keeps below its floor has a digest of its own.
        let row = reader.one(statement, &values![bounds.unchained_until, bounds.floor]).await?;
        let count = |column| row.get::<i64>(column).map(i64::unsigned_abs).map_err(unreadable);
        counts = (counts.0 + count("count")?, counts.1 + count("sealed")?);
    }
    Ok(counts)
}

/// How many entries of each kind erasures say that they took the content of, by the table's name.
async fn erasures(reader: &Reader) -> Result<[(&'static str, u64); 4], LedgerError> {
    let tables = ["decisions", "completions", "labels", "notes"];
    let sums = tables.map(|table| format!("CAST(coalesce(sum({table}), 0) AS BIGINT) AS {table}"));
    let row = reader.one(format!("SELECT {} FROM erasures", sums.join(", ")), &[]).await?;
    let mut counts = tables.map(|table| (table, 0));
    for (table, count) in &mut counts {
        *count = row.get::<i64>(table).map_err(unreadable)?.unsigned_abs();
    }
    Ok(counts)
}

/// An entry after the last one of the chain, or of those that are older than it. One statement,
/// because others write meanwhile.
async fn beyond(reader: &Reader) -> Result<Option<i64>, LedgerError> {
    let tables = TABLES.map(|table| {
        format!(
            "SELECT min(seq) AS seq FROM {} WHERE seq > (SELECT \
                CASE WHEN head > unchained_until THEN head ELSE unchained_until END FROM sequence)",
            table.name
        )
    });
    let statement = format!("SELECT min(seq) AS seq FROM ({}) AS t", tables.join(" UNION ALL "));
    reader.one(statement, &[]).await?.get("seq").map_err(unreadable)
}

/// SHA-256 over all entries at or below `floor` that outlive retention, in the order of `seq`
/// within each kind: place, hash, digest, core and content.
pub(crate) async fn kept_digest(
    connection: &mut impl Statements,
    floor: i64,
) -> Result<Hash, sqlx::Error> {
    let mut hasher = Sha256::new();
    for table in TABLES.into_iter().filter(|table| table.kept) {
        let statement = format!("SELECT * FROM {} WHERE seq <= $1 ORDER BY seq", table.name);
        for row in connection.fetch(statement, &values![floor]).await? {
            let seq: i64 = row.get("seq")?;
            let digest = row.hash("digest")?.unwrap_or(chain::GENESIS);
            let hash = row.hash("hash")?.unwrap_or(chain::GENESIS);
            let mut parts = columns(&row, table.core)?;
            parts.extend(columns(&row, table.content)?);
            hasher.update(chain::entry_hash(&hash, table, seq, &parts, &digest));
        }
    }
    Ok(hasher.finalize().into())
}
