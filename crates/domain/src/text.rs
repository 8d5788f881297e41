//! Free text written by strangers: names and memos.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::redact_card_numbers;

/// Untrusted text of at most `MAX` characters: NFKC, no control, zero-width or bidirectional
/// formatting characters, card numbers masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The cleaned text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // NFKC can grow a character eighteenfold: bound the input before normalising it.
        if text.chars().count() > MAX {
            return Err(format!("must have at most {MAX} characters"));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            return Err("must not contain control characters".into());
        }
        // Normalisation leaves ASCII as it is, and nothing of it is invisible.
        let collapsed = if text.is_ascii() {
            single_line(text)
        } else {
            single_line(&text.nfkc().filter(|c| !is_invisible(*c)).collect::<String>())
        };
        let masked = match redact_card_numbers(&collapsed) {
            Cow::Borrowed(_) => collapsed,
            Cow::Owned(masked) => masked,
        };
        if masked.len() <= MAX {
            return Ok(Self(masked));
        }
        Ok(Self(masked.chars().take(MAX).collect()))
    }
}

/// The text on one line: single spaces between words, and none around them.
#[must_use]
pub fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Zero-width and bidirectional formatting characters, tags and soft hyphens.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_normalised_and_masked() {
        let text: Text<256> = "ｐａｙ\u{202E} to  4111\u{200B}1111 1111 1111\t!".parse().unwrap();
        assert_eq!(text.as_str(), "pay to [card] !");
    }

    #[test]
    fn over_long_and_control_characters_are_refused() {
        assert!("x".repeat(9).parse::<Text<8>>().is_err());
        assert!("a\u{0}b".parse::<Text<8>>().is_err());
        assert!("a\u{1b}[31m".parse::<Text<8>>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn ascii_is_cleaned_as_all_other_text(text in "[ -~\\t\\r\\n]{0,24}|4111 1111  1111 1111[a ]{0,9}|\\PC{0,24}") {
            let cleaned: String = text.nfkc().filter(|c| !is_invisible(*c)).collect();
            let collapsed = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected: String = redact_card_numbers(&collapsed).chars().take(24).collect();
            if let Ok(parsed) = text.parse::<Text<24>>() {
                proptest::prop_assert_eq!(parsed.as_str(), expected);
            }
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        let once: Text<64> = "ﷺ Ⅷ  ½ ﬁn\u{FEFF}".parse().unwrap();
        let twice: Text<64> = once.as_str().parse().unwrap();
        assert_eq!(once, twice);
    }
}
