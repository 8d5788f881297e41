//! The hash chain: every entry's hash covers its columns and the hash of the entry before it.
//!
//! An entry has a *core*, which stays for ever, and *content*, which may be personal and can be
//! erased. The chain covers the content through its digest alone:
//!
//! ```text
//! digest = SHA-256("weir ledger content 1" ‖ salt ‖ part…)
//! hash   = SHA-256("weir ledger entry 1" ‖ previous hash ‖ kind ‖ seq ‖ core part… ‖ digest)
//! part   = type (1 byte; 0 when null) ‖ length (8 bytes, big-endian) ‖ bytes
//! ```
//!
//! Kind is one byte, `seq` eight (big-endian), the salt 32 random bytes. Erasure forgets content
//! and salt: without the salt the content cannot be guessed back from its digest.

use sha2::{Digest, Sha256};

use crate::sql::Value;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What the first entry follows.
pub(crate) const GENESIS: Hash = [0; 32];

const CONTENT: &[u8] = b"weir ledger content 1";
const ENTRY: &[u8] = b"weir ledger entry 1";

/// How a column's values look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Real,
    Text,
    Bytes,
    Id,
    Flag,
}

/// A table of entries: beside these columns each has `seq`, `hash`, `digest` and `salt`.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What an entry is called in a complaint.
    pub(crate) noun: &'static str,
    /// Tells the kinds apart in the chain; never changes.
    pub(crate) kind: u8,
    pub(crate) core: &'static [(&'static str, Type)],
    pub(crate) content: &'static [(&'static str, Type)],
    /// Whether its entries outlive retention.
    pub(crate) kept: bool,
}

pub(crate) const DECISIONS: Table = Table {
    name: "decisions",
    noun: "decision",
    kind: 1,
    core: &[
        ("decision_id", Type::Id),
        ("event_time", Type::Integer),
        ("decided_at", Type::Integer),
        ("outcome", Type::Text),
        ("status", Type::Text),
        ("decided_by", Type::Text),
        ("score", Type::Real),
        ("policy_sha256", Type::Text),
        ("package_sha256", Type::Text),
        ("audited", Type::Flag),
    ],
    content: &[
        ("transaction_id", Type::Text),
        ("account_id", Type::Text),
        ("record", Type::Text),
        ("response", Type::Text),
    ],
    kept: false,
};

pub(crate) const COMPLETIONS: Table = Table {
    name: "completions",
    noun: "completion",
    kind: 2,
    core: &[
        ("decision_id", Type::Id),
        ("completed_at", Type::Integer),
        ("outcome", Type::Text),
        ("status", Type::Text),
        ("decided_by", Type::Text),
        ("score", Type::Real),
    ],
    content: &[("record", Type::Text), ("response", Type::Text)],
    kept: false,
};

pub(crate) const LABELS: Table = Table {
    name: "labels",
    noun: "label",
    kind: 3,
    core: &[
        ("decision_id", Type::Id),
        ("label", Type::Text),
        ("source", Type::Text),
        ("effective_at", Type::Integer),
        ("reversed", Type::Flag),
        ("recorded_at", Type::Integer),
    ],
    content: &[("transaction_id", Type::Text)],
    kept: false,
};

pub(crate) const POLICIES: Table = Table {
    name: "policies",
    noun: "policy",
    kind: 4,
    core: &[("version", Type::Text), ("sha256", Type::Text), ("recorded_at", Type::Integer)],
    content: &[("document", Type::Text), ("author", Type::Text)],
    kept: true,
};

pub(crate) const NOTES: Table = Table {
    name: "notes",
    noun: "note",
    kind: 5,
    core: &[("decision_id", Type::Id), ("kind", Type::Text), ("recorded_at", Type::Integer)],
    content: &[("record", Type::Text)],
    kept: false,
};

pub(crate) const ERASURES: Table = Table {
    name: "erasures",
    noun: "erasure",
    kind: 6,
    core: &[
        ("account_salt", Type::Bytes),
        ("account_digest", Type::Bytes),
        ("reason", Type::Text),
        ("recorded_at", Type::Integer),
        ("decisions", Type::Integer),
        ("completions", Type::Integer),
        ("labels", Type::Integer),
        ("notes", Type::Integer),
        ("events", Type::Integer),
    ],
    content: &[],
    kept: true,
};

pub(crate) const CHECKPOINTS: Table = Table {
    name: "checkpoints",
    noun: "checkpoint",
    kind: 7,
    core: &[
        ("older_than", Type::Integer),
        ("recorded_at", Type::Integer),
        ("floor", Type::Integer),
        ("floor_hash", Type::Bytes),
        ("kept_digest", Type::Bytes),
        ("decisions", Type::Integer),
        ("completions", Type::Integer),
        ("labels", Type::Integer),
        ("notes", Type::Integer),
    ],
    content: &[],
    kept: true,
};

/// All tables that the chain runs through.
pub(crate) const TABLES: [&Table; 7] =
    [&DECISIONS, &COMPLETIONS, &LABELS, &POLICIES, &NOTES, &ERASURES, &CHECKPOINTS];

/// What is said of one entry: values in the order of its table's columns.
pub(crate) struct Parts<'a> {
    pub(crate) core: Vec<Value<'a>>,
    pub(crate) content: Vec<Value<'a>>,
}

/// What the chain adds to an entry.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) seq: i64,
    pub(crate) hash: Hash,
    pub(crate) digest: Hash,
    pub(crate) salt: Hash,
}

/// The digest of content.
pub(crate) fn content_digest(salt: &Hash, content: &[Value<'_>]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(CONTENT);
    hasher.update(salt);
    for value in content {
        feed(&mut hasher, *value);
    }
    hasher.finalize().into()
}

/// The hash of an entry that follows `previous`.
pub(crate) fn entry_hash(
    previous: &Hash,
    table: &Table,
    seq: i64,
    core: &[Value<'_>],
    digest: &Hash,
) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(ENTRY);
    hasher.update(previous);
    hasher.update([table.kind]);
    hasher.update(seq.to_be_bytes());
    for value in core {
        feed(&mut hasher, *value);
    }
    hasher.update(digest);
    hasher.finalize().into()
}

/// The digest by which an account's erasure can be found by who knows the account.
pub(crate) fn account_digest(salt: &Hash, account: &str) -> Hash {
    content_digest(salt, &[account.into()])
}

fn feed(hasher: &mut Sha256, value: Value<'_>) {
    let mut part = |tag: u8, bytes: Option<&[u8]>| {
        let bytes_there = bytes.unwrap_or_default();
        hasher.update([if bytes.is_some() { tag } else { 0 }]);
        hasher.update((bytes_there.len() as u64).to_be_bytes());
        hasher.update(bytes_there);
    };
    match value {
        Value::Integer(value) => part(1, value.map(i64::to_be_bytes).as_ref().map(|b| &b[..])),
        Value::Real(value) => {
            part(2, value.map(|v| v.to_bits().to_be_bytes()).as_ref().map(|b| &b[..]));
        }
        Value::Text(value) => part(3, value.map(str::as_bytes)),
        Value::Bytes(value) => part(4, value),
        Value::Id(value) => part(5, value.as_ref().map(|id| &id.as_bytes()[..])),
        Value::Flag(value) => part(6, value.map(|v| [u8::from(v)]).as_ref().map(|b| &b[..])),
    }
}

/// Thirty-two bytes that nobody can guess.
pub(crate) fn salt() -> Hash {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content: &[Value<'_>]) -> Hash {
        content_digest(&[7; 32], content)
    }

    #[test]
    fn no_two_contents_look_the_same_to_the_digest() {
        let contents: [&[Value<'_>]; 7] = [
            &["ab".into(), "c".into()],
            &["a".into(), "bc".into()],
            &["abc".into()],
            &["abc".into(), "".into()],
            &["abc".into(), Value::Text(None)],
            &[Value::Bytes(Some(b"abc"))],
            &[],
        ];
        for (n, left) in contents.iter().enumerate() {
            for right in &contents[n + 1..] {
                assert_ne!(digest(left), digest(right), "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn the_hash_covers_place_kind_predecessor_and_digest() {
        let hash = |previous, table, seq, digest| entry_hash(previous, table, seq, &[], digest);
        let base = hash(&GENESIS, &NOTES, 1, &GENESIS);
        assert_eq!(base, hash(&GENESIS, &NOTES, 1, &GENESIS));
        assert_ne!(base, hash(&[1; 32], &NOTES, 1, &GENESIS));
        assert_ne!(base, hash(&GENESIS, &LABELS, 1, &GENESIS));
        assert_ne!(base, hash(&GENESIS, &NOTES, 2, &GENESIS));
        assert_ne!(base, hash(&GENESIS, &NOTES, 1, &[1; 32]));
    }

    /// Ledgers of today must verify for ever: the encoding never changes.
    #[test]
    fn the_encoding_is_what_it_was() {
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let content = digest(&["tx-1".into(), 5_i64.into(), 0.25.into(), true.into()]);
        let entry = entry_hash(&GENESIS, &DECISIONS, 3, &["approve".into()], &content);
        assert_eq!(hex(content), CONTENT_OF_TODAY);
        assert_eq!(hex(entry), ENTRY_OF_TODAY);
    }

    const CONTENT_OF_TODAY: &str =
        "34612c42e09519df304ab5d85a7fdfbf2852f96060ff5009cc857045cbcd2849";
    const ENTRY_OF_TODAY: &str = "d460d45261c544158b9574be5f99fb4fbfef3ec44518bcd1faafb0f369e23d9e";
}
