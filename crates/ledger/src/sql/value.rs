//! What a statement is given.

use domain::DecisionId;
use jiff::Timestamp;
use uuid::Uuid;

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
    Id(Option<Uuid>),
    Flag(Option<bool>),
}

impl Value<'_> {
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Integer(value) => value.is_none(),
            Self::Real(value) => value.is_none(),
            Self::Text(value) => value.is_none(),
            Self::Bytes(value) => value.is_none(),
            Self::Id(value) => value.is_none(),
            Self::Flag(value) => value.is_none(),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

/// A count or a limit.
impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        Self::Integer(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Integer(Some(value.as_microsecond()))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Integer(value.map(Timestamp::as_microsecond))
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        // Not every store keeps the sign of a zero, and the chain covers its bits.
        Self::Real(Some(value + 0.0))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8; 32]> for Value<'a> {
    fn from(value: &'a [u8; 32]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Self::Id(Some(value))
    }
}

impl From<Option<Uuid>> for Value<'_> {
    fn from(value: Option<Uuid>) -> Self {
        Self::Id(value)
    }
}

impl From<DecisionId> for Value<'_> {
    fn from(value: DecisionId) -> Self {
        Self::Id(Some(value.0))
    }
}

impl From<Option<DecisionId>> for Value<'_> {
    fn from(value: Option<DecisionId>) -> Self {
        Self::Id(value.map(|id| id.0))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Flag(Some(value))
    }
}

/// Values in the order of their numbers in a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;
