//! Reading in pages.

use std::{fmt, str::FromStr};

use domain::{AccountId, Outcome, TransactionId};
use jiff::Timestamp;

/// The most items of one page.
pub const PAGE_LIMIT_MAX: usize = 1000;

/// Which decisions to read.
///
/// Pages ascend in the order of recording (oldest first): a page once read never changes, and a
/// reader that keeps the last cursor later continues with what has come since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Only decisions with this outcome now.
    pub outcome: Option<Outcome>,
    /// Only decisions first made at or after this time.
    pub since: Option<Timestamp>,
    /// Only decisions made before this time.
    pub until: Option<Timestamp>,
    /// Only decisions on this account.
    pub account_id: Option<AccountId>,
    /// Only decisions on this transaction.
    pub transaction_id: Option<TransactionId>,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<Cursor>,
    /// How many to read: clamped to 1..=[`PAGE_LIMIT_MAX`].
    pub limit: usize,
}

impl Default for DecisionFilter {
    fn default() -> Self {
        Self {
            outcome: None,
            since: None,
            until: None,
            account_id: None,
            transaction_id: None,
            cursor: None,
            limit: 100,
        }
    }
}

/// Which part of a list to read; lists ascend in the order of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Continue after the page that gave this cursor.
    pub cursor: Option<Cursor>,
    /// How many to read: clamped to 1..=[`PAGE_LIMIT_MAX`].
    pub limit: usize,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { cursor: None, limit: 100 }
    }
}

impl PageRequest {
    /// After which entry the page starts.
    pub(crate) fn after(&self) -> i64 {
        self.cursor.map_or(0, |cursor| cursor.0)
    }

    /// How many rows to ask for: one more than the page holds tells whether there is a next.
    pub(crate) fn rows(&self) -> usize {
        self.limit.clamp(1, PAGE_LIMIT_MAX) + 1
    }
}

/// A part of a longer list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many items as asked for.
    pub items: Vec<T>,
    /// Where the next page starts; absent when there was nothing more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page of as many rows as [`PageRequest::rows`] asked for, or fewer.
    pub(crate) fn cut(mut items: Vec<T>, request: PageRequest, seq: fn(&T) -> i64) -> Self {
        let limit = request.rows() - 1;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| Cursor(seq(last)));
        Self { items, next }
    }
}

/// A place in a list. Its text is for handing back, not for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) i64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let well_formed = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed
            .then(|| i64::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
            .ok_or_else(|| "must be a cursor that an earlier page gave".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(seq in 0..=i64::MAX) {
            prop_assert_eq!(Cursor(seq).to_string().parse(), Ok(Cursor(seq)));
        }

        #[test]
        fn foreign_text_is_never_a_cursor_unless_it_prints_the_same(text in ".{0,20}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text.to_ascii_lowercase());
            }
        }
    }
}
