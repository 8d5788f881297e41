//! Money: a positive decimal with a currency.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

/// A positive amount of money in major units, at most four decimals, at most a trillion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, example = "12.34"))]
pub struct Amount(Decimal);

/// The largest amount accepted, in major units: a trillion.
const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// ISO 4217 knows no currency with more than four decimals.
const SCALE_MAX: u32 = 4;

impl Amount {
    /// Checks a decimal.
    ///
    /// # Errors
    /// When it is not above zero, too large, or has too many decimals.
    pub fn new(value: Decimal) -> Result<Self, String> {
        if value <= Decimal::ZERO {
            return Err("must be above zero".into());
        }
        if value > Decimal::from(AMOUNT_MAX) {
            return Err("must be at most 1000000000000".into());
        }
        if value.normalize().scale() > SCALE_MAX {
            return Err("must have at most 4 decimals".into());
        }
        Ok(Self(value.normalize()))
    }

    /// The amount in ten-thousandths of the major unit: exact sums need no floating point.
    #[must_use]
    pub fn minor_units(self) -> i64 {
        // Bounded by AMOUNT_MAX * 10^4 = 10^16, well inside an i64.
        (self.0 * Decimal::from(10_i64.pow(SCALE_MAX))).to_i64().unwrap_or(i64::MAX)
    }

    /// The nearest floating-point value, in major units.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0.to_f64().unwrap_or(f64::MAX)
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > 32 {
            return Err("must be a decimal such as \"12.34\" of at most 32 characters".into());
        }
        let value = Decimal::from_str_exact(text)
            .map_err(|_| "must be a decimal number such as \"12.34\"".to_owned())?;
        Self::new(value)
    }
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An ISO 4217 alphabetic currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String, pattern = "^[A-Z]{3}$", example = "EUR"))]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err("must be an ISO 4217 code of three capital letters, such as \"EUR\"".into()),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_outside_reason_are_refused() {
        for bad in ["0", "-1", "NaN", "inf", "1e400", "1000000000001", "0.00001", "", "12,3", "٣"]
        {
            assert!(bad.parse::<Amount>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts_keep_their_cents() {
        let amount: Amount = "1234.50".parse().unwrap();
        assert_eq!((amount.minor_units(), amount.to_string().as_str()), (12_345_000, "1234.5"));
    }
}
