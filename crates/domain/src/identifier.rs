//! Identifiers chosen by the caller: opaque, bounded, printable.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::contains_card_number;

/// The longest identifier, in characters.
const LENGTH_MAX: usize = 128;

/// What all identifiers share.
pub trait Identifier: FromStr<Err = String> + fmt::Display {
    /// The identifier as text.
    fn as_str(&self) -> &str;
}

fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().count() > LENGTH_MAX {
        return Err(format!("must have at most {LENGTH_MAX} characters"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("must not contain spaces or control characters".into());
    }
    if contains_card_number(text) {
        return Err("looks like a card number; send a token or a prefixed identifier".into());
    }
    Ok(())
}

macro_rules! identifier {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        ///
        /// 1 to 128 characters without spaces or control characters; never a card number.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "schema", schema(value_type = String, min_length = 1, max_length = 128))]
        pub struct $name(String);

        impl Identifier for $name {
            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

identifier! {
    /// Names a transaction, unique within the caller's system.
    TransactionId,
    /// Names the account that pays (or is refunded).
    AccountId,
    /// Stands for a card; never its number.
    CardToken,
    /// Names a merchant or beneficiary.
    CounterpartyId,
    /// Names a point-of-sale or cash terminal.
    TerminalId,
    /// Names a phone, computer or browser.
    DeviceId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_that_could_do_harm_are_refused() {
        let long = "x".repeat(129);
        for bad in ["", " ", "a b", "a\nb", "4111111111111111", long.as_str()] {
            assert!(TransactionId::from_str(bad).is_err(), "{bad:?}");
        }
        assert!(TransactionId::from_str("tx_0001:é").is_ok());
    }
}
