//! Which cleared transactions tier 2 looks at nevertheless, so that what tier 1 misses can be
//! estimated.

use domain::TransactionId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The largest share of cleared traffic.
const SHARE_MAX: f64 = 0.5;
/// The longest seed, in bytes.
const SEED_MAX: usize = 64;

/// The audit sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// The share of cleared traffic, 0 to 0.5.
    share: Share,
    /// Chooses another sample of the same size.
    seed: Seed,
}

impl Audit {
    /// The share of cleared traffic that is drawn.
    pub(crate) fn share(&self) -> f64 {
        self.share.0
    }

    /// Whether a transaction belongs to the sample: the first 8 bytes of SHA-256 over seed and
    /// identifier, as a big-endian fraction of 2^64, lie below the share. The same answer on
    /// every machine and in every replay.
    pub(crate) fn draws(&self, id: &TransactionId) -> bool {
        // Exact: a share times a power of two loses no digit.
        let bound = (self.share.0 * 18_446_744_073_709_551_616.0) as u128;
        if bound == 0 {
            return false;
        }
        let mut hash = Sha256::new();
        hash.update(self.seed.0.as_bytes());
        hash.update(id.as_str().as_bytes());
        let digest = hash.finalize();
        let first = digest.iter().take(8).fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        first < bound
    }
}

/// 0 to [`SHARE_MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
struct Share(f64);

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=SHARE_MAX).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("must be a share between 0 and {SHARE_MAX}"))
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// At most [`SEED_MAX`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Seed(String);

impl TryFrom<String> for Seed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() <= SEED_MAX {
            Ok(Self(text))
        } else {
            Err(format!("must have at most {SEED_MAX} bytes"))
        }
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> Self {
        seed.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(share: f64, seed: &str) -> Audit {
        Audit { share: Share::try_from(share).unwrap(), seed: Seed(seed.to_owned()) }
    }

    fn drawn(audit: &Audit, count: usize) -> Vec<bool> {
        let id = |n: usize| format!("tx-{n}").parse().unwrap();
        (0..count).map(|n| audit.draws(&id(n))).collect()
    }

    #[test]
    fn the_sample_has_the_size_asked_for() {
        // Five standard deviations of a binomial: one false alarm in two million, were the
        // identifiers drawn anew; they are not.
        for share in [0.001, 0.01, 0.1, 0.5] {
            let n = 40_000.0;
            let seen = drawn(&audit(share, "2026"), 40_000).iter().filter(|drawn| **drawn).count();
            let deviation = f64::sqrt(n * share * (1.0 - share));
            assert!((seen as f64 - n * share).abs() < 5.0 * deviation, "{share}: {seen}");
        }
        assert!(!drawn(&audit(0.0, "2026"), 1_000).contains(&true));
    }

    #[test]
    fn a_larger_share_holds_the_smaller_sample_and_another_seed_another_one() {
        let (small, large) = (drawn(&audit(0.05, "a"), 5_000), drawn(&audit(0.2, "a"), 5_000));
        assert!(small.iter().zip(&large).all(|(small, large)| *large || !small));
        let other = drawn(&audit(0.2, "b"), 5_000);
        let both = large.iter().zip(&other).filter(|(a, b)| **a && **b).count();
        // Independent samples of a fifth share a twenty-fifth: 200 of 5,000.
        assert!((130..270).contains(&both), "{both}");
    }

    #[test]
    fn the_draw_is_the_documented_one() {
        // printf seedtx-1 | sha256sum begins with 79da62c8b94b6d20: 0.476 of 2^64.
        let id = "tx-1".parse().unwrap();
        for (share, expected) in [(0.0, false), (0.47, false), (0.475, false), (0.477, true)] {
            assert_eq!(audit(share, "seed").draws(&id), expected, "{share}");
        }
        let digest = Sha256::digest(b"seedtx-1");
        assert_eq!(digest[..4], [0x79, 0xda, 0x62, 0xc8]);
    }
}
