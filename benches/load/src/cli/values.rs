//! What flags are parsed into.

use std::{fmt, str::FromStr, time::Duration};

use clap::ValueEnum;
use jiff::SignedDuration;

use crate::Measured;

/// How requests of an open loop follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spacing {
    /// Exponentially distributed gaps, as of independent callers.
    Poisson,
    /// Equal gaps.
    Constant,
}

/// A quantile of the latency that must stay within a bound, as `p99=50ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slo {
    /// Above 0 and below 100.
    percent: f64,
    within: Duration,
}

impl Slo {
    /// The measured value of the quantile.
    #[must_use]
    pub fn value(&self, measured: &Measured) -> Duration {
        measured.quantile(self.percent / 100.0)
    }

    /// Whether it was kept. A run without any good answer keeps nothing.
    #[must_use]
    pub fn holds(&self, measured: &Measured) -> bool {
        measured.ok() > 0 && self.value(measured) <= self.within
    }

    /// How it is written without the bound: `p99`.
    #[must_use]
    pub fn quantile_name(&self) -> String {
        format!("p{}", self.percent)
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}={:?}", self.percent, self.within)
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (quantile, within) = text.split_once('=').ok_or("must look like p99=50ms")?;
        let percent = quantile
            .strip_prefix('p')
            .and_then(|digits| digits.parse::<f64>().ok())
            .filter(|percent| *percent > 0.0 && *percent < 100.0)
            .ok_or_else(|| format!("{quantile:?} is no percentile; try p99 or p99.9"))?;
        Ok(Self { percent, within: duration(within)? })
    }
}

/// From one rate to another, as `100:2000`; requests per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RampRates {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl FromStr for RampRates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once(':').ok_or("must look like 100:2000")?;
        let rate = |text: &str| {
            text.parse::<f64>()
                .ok()
                .filter(|rate| (0.0..=crate::RATE_MAX).contains(rate))
                .ok_or_else(|| format!("{text:?} is no rate"))
        };
        Ok(Self { from: rate(from)?, to: rate(to)? })
    }
}

/// A header as `Name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must look like \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A time such as `30s`, `1m 30s`, `50ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is no time; try 30s, 1m or 50ms"))?;
    Duration::try_from(parsed).map_err(|_| "a time cannot be negative".to_owned())
}

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "must be a share from 0 to 1".to_owned())
}

/// Requests per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|rate| *rate > 0.0 && *rate <= crate::RATE_MAX)
        .ok_or_else(|| format!("must be a number above 0, at most {}", crate::RATE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_ramps_headers_and_times_parse_or_say_what_they_should_look_like() {
        let slo: Slo = "p99.9=50ms".parse().unwrap();
        assert_eq!(slo, Slo { percent: 99.9, within: Duration::from_millis(50) });
        assert_eq!(slo.to_string(), "p99.9=50ms");
        for bad in ["p99", "99=50ms", "p0=1s", "p100=1s", "p99=50", "p99=-1s", "pNaN=1s"] {
            assert!(bad.parse::<Slo>().is_err(), "{bad}");
        }
        assert_eq!("10:20".parse(), Ok(RampRates { from: 10.0, to: 20.0 }));
        for bad in ["10", "a:b", "-1:2", "1:inf"] {
            assert!(bad.parse::<RampRates>().is_err(), "{bad}");
        }
        assert_eq!(header("A: b:c").unwrap(), ("A".into(), "b:c".into()));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("30").is_err());
        assert!(share("1.1").is_err() && share("NaN").is_err());
        assert!(rate("0").is_err() && rate("inf").is_err());
    }
}
