//! Which transactions a segment or a fallback band is about.

use std::{fmt, marker::PhantomData, str::FromStr};

use domain::{Amount, Channel, Currency, Transaction, TransactionType};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

/// The most values that one key may list.
const VALUES_MAX: usize = 200;

/// Conditions that must all hold; one that is not written holds always. A transaction that lacks
/// the field does not match a condition on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Conditions {
    /// One of these types.
    #[serde(
        rename = "type",
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) kind: Vec<TransactionType>,
    /// One of these channels.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub(crate) channel: Vec<Channel>,
    /// One of these currencies.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub(crate) currency: Vec<Currency>,
    /// At least this amount, in major units of the transaction's own currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_from: Option<Money>,
    /// Below this amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_below: Option<Money>,
}

impl Conditions {
    /// Whether all of them hold for a transaction.
    pub(crate) fn hold(&self, transaction: &Transaction) -> bool {
        let amount = transaction.amount;
        among(&self.kind, transaction.kind)
            && among(&self.channel, transaction.channel)
            && among(&self.currency, Some(transaction.currency))
            && self.amount_from.is_none_or(|from| amount >= from.0)
            && self.amount_below.is_none_or(|below| amount < below.0)
    }

    /// What contradicts itself, if anything does.
    pub(crate) fn contradiction(&self) -> Option<String> {
        if *self == Self::default() {
            return Some(
                "must have at least one condition; what holds always is written outside".into(),
            );
        }
        match (self.amount_from, self.amount_below) {
            (Some(from), Some(below)) if from.0 >= below.0 => {
                Some(format!("amount_from = {} must be below amount_below = {}", from.0, below.0))
            }
            _ => None,
        }
    }
}

fn among<T: PartialEq>(allowed: &[T], value: Option<T>) -> bool {
    allowed.is_empty() || value.is_some_and(|value| allowed.contains(&value))
}

/// An amount, written as a number or as a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Money(pub(crate) Amount);

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as 250 or \"250.50\"")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Money, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Money, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Money, E> {
                Amount::from_str(text).map(Money).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// Currencies of a band.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Currencies(#[serde(deserialize_with = "one_or_more")] pub(crate) Vec<Currency>);

impl Currencies {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One word, or a list of at least one.
fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    struct Words<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err = String>> Visitor<'de> for Words<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word or a list of words")
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<Vec<T>, E> {
            word.parse().map(|value| vec![value]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(word) = list.next_element::<String>()? {
                values.push(word.parse().map_err(A::Error::custom)?);
                if values.len() > VALUES_MAX {
                    return Err(A::Error::custom(format!("must list at most {VALUES_MAX}")));
                }
            }
            if values.is_empty() {
                return Err(A::Error::custom("must list at least one"));
            }
            Ok(values)
        }
    }

    deserializer.deserialize_any(Words(PhantomData))
}
