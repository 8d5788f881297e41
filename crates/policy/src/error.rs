//! What is wrong with a policy document, and where.

use std::{fmt, ops::Range};

/// The most problems told of one document.
const PROBLEMS_MAX: usize = 20;

/// Something wrong at one place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters of that line it is about, at least 1.
    pub width: usize,
    /// That line of the document.
    pub source: String,
    /// What is wrong.
    pub detail: String,
}

impl Problem {
    /// A problem with the bytes `span` of `document`.
    pub(crate) fn at(document: &str, span: Range<usize>, detail: impl Into<String>) -> Self {
        let start = floor_boundary(document, span.start);
        let before = document.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = document.get(line_start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let end = floor_boundary(document, span.end.max(start));
        let about = document.get(start..end).unwrap_or_default();
        let width = about.lines().next().unwrap_or_default().chars().count();
        let left = source.chars().count().saturating_sub(column);
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            width: width.min(left).max(1),
            source: source.to_owned(),
            detail: detail.into(),
        }
    }

    /// The line with carets under what it is about, for a terminal.
    #[must_use]
    pub fn snippet(&self) -> String {
        let gutter = self.line.to_string().len();
        // A tab before the carets keeps them under what stands below a tab.
        let before = self.source.chars().take(self.column - 1);
        let lead: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(self.width);
        format!("{:gutter$} | {}\n{:gutter$} | {lead}{carets}", self.line, self.source, "")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.detail)
    }
}

/// A policy document that cannot be used. Displays as one line a problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct PolicyError {
    /// What is wrong with it, in the document's order; at least one, at most 20.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Collects problems while a document is checked.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    document: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(document: &'a str) -> Self {
        Self { document, found: Vec::new() }
    }

    /// The document's text.
    pub(crate) fn document(&self) -> &'a str {
        self.document
    }

    /// Notes a problem with the bytes `span`.
    pub(crate) fn add(&mut self, span: Range<usize>, detail: impl Into<String>) {
        self.found.push(Problem::at(self.document, span, detail));
    }

    /// Succeeds when nothing was found.
    pub(crate) fn into_result(mut self) -> Result<(), PolicyError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        self.found.truncate(PROBLEMS_MAX);
        Err(PolicyError { problems: self.found })
    }
}

/// The last character boundary at or before a byte.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_in_characters_and_shown_with_carets() {
        let document = "a = 1\nname = \"éé\" # x\n";
        let at = document.find('"').unwrap();
        let problem = Problem::at(document, at..at + 6, "too short");
        assert_eq!(problem.to_string(), "line 2, column 8: too short");
        assert_eq!(problem.snippet(), "2 | name = \"éé\" # x\n  |        ^^^^");
    }

    #[test]
    fn places_outside_the_document_are_harmless() {
        for span in [0..0, 1..1, 90..99] {
            let problem = Problem::at("é", span, "x");
            assert!(problem.width >= 1 && problem.line == 1);
            let _ = problem.snippet();
        }
        let end = Problem::at("a\n", 2..2, "unfinished");
        assert_eq!((end.line, end.column, end.snippet()), (2, 1, "2 | \n  | ^".to_owned()));
    }
}
