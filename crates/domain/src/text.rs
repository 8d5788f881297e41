//! Free text written by strangers: names and memos.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::redact_card_numbers;

/// Untrusted text of at most `MAX` characters: NFKC, no control characters, nothing invisible
/// (zero-width, bidirectional, tags, variation selectors, fillers), at most
/// [`MARKS_MAX`] combining marks on a character, card numbers masked.
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
        let collapsed =
            if text.is_ascii() { single_line(text) } else { single_line(&normalised(text)) };
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

/// The most combining marks that stay on one character. Four are enough for any orthography in
/// use; towers of them hide text from readers and models alike.
pub const MARKS_MAX: usize = 4;

/// NFKC without what cannot be seen.
fn normalised(text: &str) -> String {
    // First away with what is invisible: it would keep letters and marks from composing.
    let composed = text.chars().filter(|c| !is_invisible(*c)).nfkc();
    let mut marks = 0;
    let few_marks = |c: &char| {
        marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
        marks <= MARKS_MAX
    };
    composed.filter(|c| !is_invisible(*c)).filter(few_marks).collect()
}

/// What takes no room of its own: Unicode's default-ignorable characters (zero-width and
/// bidirectional controls, fillers, variation selectors, tags), interlinear and musical
/// controls, and the blank Braille pattern.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
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
            let cleaned = normalised(&text);
            let collapsed = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected: String = redact_card_numbers(&collapsed).chars().take(24).collect();
            if let Ok(parsed) = text.parse::<Text<24>>() {
                proptest::prop_assert_eq!(parsed.as_str(), expected);
            }
        }
    }

    #[test]
    fn nothing_invisible_stays_and_marks_do_not_pile_up() {
        let cases = [
            ("rent\u{FE0F} \u{E0141}\u{E0167}march\u{E0100}", "rent march"),
            ("a\u{034F}b\u{3164}c\u{FFA0}d\u{2800}e", "abcde"),
            ("e\u{200B}\u{301}", "é"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Text<64>>().unwrap().as_str(), expected);
        }
        let tower = format!("x{}y", "\u{0336}\u{0321}".repeat(30));
        assert_eq!(tower.parse::<Text<64>>().unwrap().as_str().chars().count(), 2 + MARKS_MAX);
    }

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for text in [
            "loyer août, à bientôt",
            "Überweisung für Żółć",
            "भुगतान के लिए क्षेत्रीय",
            "ค่าเช่าบ้านเดือนนี้",
            "thanks 👍 xx",
            "家賃3月分",
            "دفعة الإيجار",
            "tiền thuê nhà tháng này",
        ] {
            let text: String = text.nfkc().collect();
            assert_eq!(text.parse::<Text<64>>().unwrap().as_str(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn cleaning_is_idempotent(text in "(\\PC|[\u{300}-\u{36f}a\u{200b}\u{1100}-\u{11ff}\u{ffa0}-\u{ffdc}]){0,24}") {
            if let Ok(once) = text.parse::<Text<64>>() {
                let twice = once.as_str().parse::<Text<64>>();
                proptest::prop_assert_eq!(Ok(once), twice);
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
