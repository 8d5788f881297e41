//! What else is kept beside decisions: policies, notes.

use std::{fmt, str::FromStr};

use domain::{DecisionId, PolicyRef};
use jiff::Timestamp;

/// A policy to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Its version and hash.
    pub reference: PolicyRef,
    /// The whole document.
    pub document: String,
    /// Who put it in force.
    pub author: String,
    /// When it came into force.
    pub recorded_at: Timestamp,
}

/// A recorded policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Its place in the sequence; the last one is in force.
    pub seq: i64,
    /// Its version and hash.
    pub reference: PolicyRef,
    /// The whole document.
    pub document: String,
    /// Who put it in force.
    pub author: String,
    /// When it came into force.
    pub recorded_at: Timestamp,
}

/// What a note tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// What a shadow would have decided.
    Shadow,
    /// Which fields made the score.
    Attribution,
}

impl NoteKind {
    /// Its word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Attribution => "attribution",
        }
    }
}

impl FromStr for NoteKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "shadow" => Ok(Self::Shadow),
            "attribution" => Ok(Self::Attribution),
            _ => Err("must be shadow or attribution".to_owned()),
        }
    }
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something to be remembered beside a decision, without a part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote {
    /// The decision; the ledger does not check that it is known.
    pub decision_id: DecisionId,
    /// What the note tells.
    pub kind: NoteKind,
    /// When it was written.
    pub recorded_at: Timestamp,
    /// Its JSON; opaque here.
    pub record: String,
}

/// A recorded note; those of erased accounts are not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNote {
    /// Its place in the sequence.
    pub seq: i64,
    /// The decision.
    pub decision_id: DecisionId,
    /// What the note tells.
    pub kind: NoteKind,
    /// When it was written.
    pub recorded_at: Timestamp,
    /// Its JSON.
    pub record: String,
}
