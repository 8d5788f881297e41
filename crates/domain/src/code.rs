//! Codes of reasons: Weir's own, and those that a policy's rules give.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ReasonCode;

/// The shortest and the longest code of a rule, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=64;

/// A code of the policy's author: 3 to 64 of `A` to `Z`, `0` to `9` and `_`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleCode(String);

impl RuleCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if first && LENGTH.contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 3 to 64 of A-Z, 0-9 and _, a letter first, such as \"BLOCKED_MERCHANT\""
                .into())
        }
    }
}

impl TryFrom<String> for RuleCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RuleCode> for String {
    fn from(code: RuleCode) -> Self {
        code.0
    }
}

/// The code of a reason. One string in JSON: a rule that gives one of Weir's own codes means that
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Code {
    /// One of Weir's own.
    Known(ReasonCode),
    /// A rule's.
    Rule(RuleCode),
}

impl Code {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Rule(code) => code.as_str(),
        }
    }

    /// Whether a model may claim this code, and is told of it.
    #[must_use]
    pub fn is_for_models(&self) -> bool {
        matches!(self, Self::Known(code) if code.is_for_models())
    }
}

impl From<ReasonCode> for Code {
    fn from(code: ReasonCode) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<ReasonCode> for Code {
    fn eq(&self, other: &ReasonCode) -> bool {
        matches!(self, Self::Known(code) if code == other)
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(known) => Ok(Self::Known(known)),
            Err(_) => text.parse().map(Self::Rule),
        }
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_string_and_finds_its_way_back() {
        for text in ["NEW_DEVICE", "BLOCKED_MERCHANT", "A12"] {
            let code: Code = text.parse().unwrap();
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
        }
        assert_eq!("NEW_DEVICE".parse::<Code>().unwrap(), ReasonCode::NewDevice);
        assert!(!"BLOCKED_MERCHANT".parse::<Code>().unwrap().is_for_models());
    }

    #[test]
    fn codes_that_are_none_are_refused() {
        let long = "A".repeat(65);
        for bad in ["", "AB", "new_device", "1AB", "A-B-C", "AÉB", "A B C", long.as_str()] {
            assert!(bad.parse::<Code>().is_err(), "{bad:?}");
        }
    }
}
