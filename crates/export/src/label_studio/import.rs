//! Labels from an export of Label Studio.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    io::Read,
};

use domain::{LabelSource, TransactionId, TruthLabel};
use jiff::Timestamp;
use serde::{
    Deserializer as _, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::Value;

use super::{
    item::Item,
    votes::{Agreement, Votes},
};
use crate::error::ExportError;

/// Of bad items and ties this many are listed; all are counted.
pub const REPORTED_MAX: usize = 100;

/// A label, as `POST /v1/labels` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedLabel {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// What it turned out to be.
    pub label: TruthLabel,
    /// Always the analyst.
    pub source: LabelSource,
    /// When the last of those who agree said so.
    pub effective_at: Timestamp,
}

/// As many annotators for the one as for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// The first item about it, from 0.
    pub index: usize,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// Votes for fraud, and as many for legitimate.
    pub votes: usize,
}

/// Something that could not be read; the rest was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The item, from 0.
    pub index: usize,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}: {}", self.index, self.detail)
    }
}

impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, transaction_id, votes } = self;
        write!(f, "item {index}: {transaction_id}: {votes} for fraud and {votes} for legitimate")
    }
}

/// What an export holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportedLabels {
    /// The labels, in the order of the items.
    pub labels: Vec<ImportedLabel>,
    /// Of those, labels that somebody voted against.
    pub contested: u64,
    /// Items read.
    pub items: u64,
    /// Annotations that their annotators skipped.
    pub cancelled: u64,
    /// Annotations without a choice.
    pub empty: u64,
    /// Transactions on which nobody chose a label.
    pub undecided: u64,
    /// The first [`REPORTED_MAX`] ties.
    pub ties: Vec<Tie>,
    /// How many there are.
    pub tie_count: u64,
    /// The first [`REPORTED_MAX`] things that could not be read.
    pub bad: Vec<Bad>,
    /// How many there are.
    pub bad_count: u64,
}

impl ImportedLabels {
    fn report(&mut self, index: usize, detail: String) {
        self.bad_count += 1;
        if self.bad.len() < REPORTED_MAX {
            self.bad.push(Bad { index, detail });
        }
    }
}

/// Reads an export, full (`JSON`) or short (`JSON_MIN`), item by item. Annotations of one transaction
/// are counted together, also from several items; the majority decides.
///
/// # Errors
/// When the input fails, is not JSON, or is not a list. An item that makes no sense is reported and
/// passed over.
pub fn import(input: impl Read) -> Result<ImportedLabels, ExportError> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let gathered = json.deserialize_seq(Gather).and_then(|gathered| json.end().map(|()| gathered));
    let Gathered { mut found, mut imported } = gathered.map_err(|error| {
        if error.is_io() {
            ExportError::Io(error.into())
        } else {
            ExportError::NotAnExport(error.to_string())
        }
    })?;
    found.sort_unstable_by_key(|found| found.index);
    for Found { index, transaction_id, votes } in found {
        match votes.agreement() {
            Agreement::Nothing => imported.undecided += 1,
            Agreement::Tie { fraud: votes, .. } => {
                imported.tie_count += 1;
                if imported.ties.len() < REPORTED_MAX {
                    imported.ties.push(Tie { index, transaction_id, votes });
                }
            }
            Agreement::Label { label, at, against, .. } => {
                imported.contested += u64::from(against > 0);
                let source = LabelSource::Analyst;
                let label = ImportedLabel { transaction_id, label, source, effective_at: at };
                imported.labels.push(label);
            }
        }
    }
    Ok(imported)
}

/// A transaction with the votes on it.
struct Found {
    /// The first item about it.
    index: usize,
    transaction_id: TransactionId,
    votes: Votes,
}

#[derive(Default)]
struct Gathered {
    found: Vec<Found>,
    imported: ImportedLabels,
}

struct Gather;

impl<'de> Visitor<'de> for Gather {
    type Value = Gathered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tasks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Gathered, A::Error> {
        let mut gathered = Gathered::default();
        let mut places: HashMap<TransactionId, usize> = HashMap::new();
        let mut index = 0;
        while let Some(value) = items.next_element::<Value>()? {
            match Item::read(&value) {
                Ok(item) => gathered.take(index, item, &mut places),
                Err(detail) => gathered.imported.report(index, detail),
            }
            index += 1;
        }
        gathered.imported.items = index as u64;
        Ok(gathered)
    }
}

impl Gathered {
    fn take(&mut self, index: usize, item: Item, places: &mut HashMap<TransactionId, usize>) {
        self.imported.cancelled += item.cancelled;
        self.imported.empty += item.empty;
        for detail in item.bad {
            self.imported.report(index, format!("an annotation {detail}"));
        }
        let place = match places.entry(item.transaction_id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let transaction_id = new.key().clone();
                self.found.push(Found { index, transaction_id, votes: Votes::default() });
                *new.insert(self.found.len() - 1)
            }
        };
        for vote in item.votes {
            self.found[place].votes.add(vote);
        }
    }
}
