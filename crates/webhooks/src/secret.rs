//! Signing secrets.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use standardwebhooks::Webhook;
use uuid::Uuid;

use crate::error::ConfigError;

const PREFIX: &str = "whsec_";
/// 192 to 512 bits, as the specification has it.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Padding is optional: people copy secrets with and without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A shared secret, written `whsec_` and the base64 of 24 to 64 bytes. It has no serialization,
/// and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads a secret as people write it.
    ///
    /// # Errors
    /// When it is none; the message tells what is expected and never repeats the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let expected = |what: &str| {
            ConfigError::Setting(format!(
                "a secret is \"{PREFIX}\" and the base64 of {} to {} bytes; {what}",
                BYTES.start(),
                BYTES.end()
            ))
        };
        let encoded =
            text.trim().strip_prefix(PREFIX).ok_or_else(|| expected("it begins otherwise"))?;
        let bytes = BASE64.decode(encoded).map_err(|_| expected("it is not base64"))?;
        if !BYTES.contains(&bytes.len()) {
            return Err(expected(&format!("it has {} bytes", bytes.len())));
        }
        Ok(Self(bytes))
    }

    /// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; `timestamp` in seconds since
    /// 1970.
    pub(crate) fn sign(&self, id: Uuid, timestamp: i64, body: &str) -> Result<String, Unsigned> {
        let webhook = Webhook::from_bytes(self.0.clone()).map_err(|_| Unsigned)?;
        webhook.sign(&id.to_string(), timestamp, body.as_bytes()).map_err(|_| Unsigned)
    }
}

/// The library refused to sign. It has no reason to.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be signed")]
pub(crate) struct Unsigned;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn debug_never_shows_a_secret() {
        let shown = format!("{:?}", Secret::parse(TEXT).unwrap());
        assert_eq!(shown, "Secret(***)");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it() {
        let short = "whsec_c2hvcnQ=";
        let long = format!("whsec_{}", "A".repeat(88));
        for text in ["", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_***", short, &long] {
            let error = Secret::parse(text).unwrap_err().to_string();
            assert!(error.contains("24 to 64 bytes"), "{error}");
            assert!(text.len() < 5 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn white_space_around_and_missing_padding_are_let_pass() {
        let padded = format!(" whsec_{} \n", BASE64.encode([7; 25]));
        let bare = padded.trim().trim_end_matches('=');
        assert!(padded.contains('=') && !bare.contains('='));
        assert_eq!(Secret::parse(&padded).unwrap(), Secret::parse(bare).unwrap());
    }
}
