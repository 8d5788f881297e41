//! What became of the labels.

use std::io::{self, Write};

use domain::TransactionId;
use export::label_studio::ImportedLabels;

use super::input::Given;

/// Of labels that were left out this many are listed; all are counted.
const LISTED_MAX: usize = 100;

/// The labels of one transaction, in the order of the file.
pub(super) struct Group {
    pub(super) transaction_id: TransactionId,
    pub(super) labels: Vec<Given>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) recorded: u64,
    pub(super) known: u64,
    strangers: u64,
    bad: u64,
    listed: Vec<String>,
}

impl Tally {
    /// The transaction is not known.
    pub(super) fn strange(&mut self, given: &Given) {
        self.strangers += 1;
        let id = &given.transaction_id;
        self.list(format!("{}: no transaction {id} is on record", given.place));
    }

    /// The label cannot be used.
    pub(super) fn bad(&mut self, what: String) {
        self.bad += 1;
        self.list(what);
    }

    /// Takes over what was found while an annotation tool's file was read.
    pub(super) fn add_findings(&mut self, imported: &ImportedLabels) {
        self.bad += imported.bad_count;
        for bad in &imported.bad {
            self.list(bad.to_string());
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.strangers + self.bad == 0
    }

    pub(super) fn settled(&self) -> u64 {
        self.recorded + self.known + self.strangers + self.bad
    }

    fn list(&mut self, what: String) {
        if self.listed.len() < LISTED_MAX {
            self.listed.push(what);
        }
    }

    pub(super) fn tell(&self, out: &mut impl Write, verb: &str) -> io::Result<()> {
        let Self { recorded, known, strangers, bad, listed } = self;
        writeln!(
            out,
            "{recorded} labels {verb}, {known} known already, {strangers} of unknown transactions, \
             {bad} unusable"
        )?;
        for what in listed {
            writeln!(out, "  {what}")?;
        }
        let unlisted = strangers + bad - listed.len() as u64;
        if unlisted > 0 {
            writeln!(out, "  and {unlisted} more")?;
        }
        Ok(())
    }
}

/// How annotators voted.
pub(super) fn tell_votes(imported: &ImportedLabels, out: &mut impl Write) -> io::Result<()> {
    let ImportedLabels { items, contested, tie_count, undecided, cancelled, empty, .. } = imported;
    writeln!(
        out,
        "{items} items: {contested} labels contested, {tie_count} ties, {undecided} undecided; \
         {cancelled} annotations skipped, {empty} without a choice"
    )?;
    for tie in &imported.ties {
        writeln!(out, "  tie: {tie}")?;
    }
    let unlisted = tie_count - imported.ties.len() as u64;
    if unlisted > 0 {
        writeln!(out, "  and {unlisted} more ties")?;
    }
    Ok(())
}
