//! Upper bounds of what a value holds and of what computing it takes.

use cel::common::ast::LiteralValue;

use super::vocabulary::{ELEMENTS_MAX, Kind};

/// How many bytes are one unit of size.
const UNIT: u64 = 64;
/// The longest word: an identifier of 128 characters of 4 bytes.
const WORD_SIZE: u64 = 128 * 4 / UNIT;
/// The longest text: 256 characters of 4 bytes.
const TEXT_SIZE: u64 = 256 * 4 / UNIT;

/// What is known of a value before it is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Steps to compute it: one a node, and one a unit that it looks at.
    pub(super) steps: u64,
    /// Its size, in units.
    pub(super) size: u64,
    /// Its elements or members, where it can be walked.
    pub(super) elements: Option<u64>,
    /// The size of one of them.
    pub(super) element: u64,
    /// Its type, where that is known.
    pub(super) kind: Option<Kind>,
}

impl Cost {
    /// A number, an instant, true or false.
    pub(super) fn scalar(steps: u64) -> Self {
        Self { steps, size: 1, elements: None, element: 1, kind: None }
    }

    /// A fact of a known type.
    pub(super) fn fact(steps: u64, kind: Kind) -> Self {
        let (elements, element) = match kind {
            Kind::Fields(fields) => {
                let largest = fields.iter().map(|(_, kind)| size(*kind)).max();
                (Some(fields.len() as u64), largest.unwrap_or(1))
            }
            Kind::List(kind) => (Some(ELEMENTS_MAX), size(*kind)),
            Kind::Attributes => (Some(ELEMENTS_MAX), TEXT_SIZE),
            Kind::Bool | Kind::Int | Kind::Double | Kind::Time => (None, 1),
            Kind::Word | Kind::Text | Kind::TextBool => (None, 1),
        };
        Self { steps, size: size(kind), elements, element, kind: Some(kind) }
    }

    /// A literal that holds so many elements.
    pub(super) fn literal_of(elements: usize) -> Self {
        Self { elements: Some(elements as u64), ..Self::scalar(1) }
    }

    /// A literal.
    pub(super) fn literal(literal: &LiteralValue) -> Self {
        let bytes = match literal {
            LiteralValue::String(text) => text.inner().len(),
            LiteralValue::Bytes(bytes) => bytes.inner().len(),
            LiteralValue::Boolean(_) | LiteralValue::Double(_) | LiteralValue::Int(_) => 0,
            LiteralValue::Null | LiteralValue::UInt(_) => 0,
        };
        Self { size: 1 + bytes as u64 / UNIT, ..Self::scalar(1) }
    }

    /// A whole with one more part.
    pub(super) fn with(self, part: Self) -> Self {
        Self {
            steps: self.steps.saturating_add(part.steps),
            size: self.size.saturating_add(part.size),
            element: self.element.max(part.size),
            ..self
        }
    }

    /// One of its elements or members; `kind` where the whole's type tells it.
    pub(super) fn part(&self, steps: u64, kind: Option<Kind>) -> Self {
        match kind {
            Some(kind) => Self::fact(steps, kind),
            None => Self { size: self.element, element: self.element, ..Self::scalar(steps) },
        }
    }

    /// The type of its elements, where it is known.
    pub(super) fn element_kind(&self) -> Option<Kind> {
        match self.kind? {
            Kind::List(kind) => Some(*kind),
            // Maps are walked by their keys.
            Kind::Fields(_) | Kind::Attributes => Some(Kind::Word),
            Kind::Bool | Kind::Int | Kind::Double | Kind::Time => None,
            Kind::Word | Kind::Text | Kind::TextBool => None,
        }
    }
}

fn size(kind: Kind) -> u64 {
    match kind {
        Kind::Bool | Kind::TextBool | Kind::Int | Kind::Double | Kind::Time => 1,
        Kind::Word => WORD_SIZE,
        Kind::Text => TEXT_SIZE,
        Kind::Fields(fields) => fields.iter().map(|(_, kind)| size(*kind)).sum(),
        Kind::List(kind) => ELEMENTS_MAX * size(*kind),
        Kind::Attributes => ELEMENTS_MAX * (TEXT_SIZE + WORD_SIZE),
    }
}
