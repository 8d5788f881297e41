//! Finds and masks primary account numbers (card numbers).

use std::borrow::Cow;

/// Lengths of card numbers: ISO/IEC 7812-1 allows up to 19 digits; 13 is the shortest in use.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// What a masked card number is replaced with.
const MASK: &str = "[card]";

/// Whether the text holds a card number: 13 to 19 digits, possibly grouped by single spaces,
/// dots or dashes, that start like a payment card (2 to 6) and pass the Luhn check.
#[must_use]
pub fn contains_card_number(text: &str) -> bool {
    find_card_number(text, 0).is_some()
}

/// Masks every card number in the text.
#[must_use]
pub fn redact_card_numbers(text: &str) -> Cow<'_, str> {
    let Some(mut found) = find_card_number(text, 0) else {
        return Cow::Borrowed(text);
    };
    let mut masked = String::with_capacity(text.len());
    let mut copied = 0;
    loop {
        masked.push_str(&text[copied..found.0]);
        masked.push_str(MASK);
        copied = found.1;
        match find_card_number(text, copied) {
            Some(next) => found = next,
            None => break,
        }
    }
    masked.push_str(&text[copied..]);
    Cow::Owned(masked)
}

/// A digit of any script that people type card numbers in, with its length in bytes.
fn digit_at(text: &str, at: usize) -> Option<(u8, usize)> {
    let c = text.get(at..)?.chars().next()?;
    let digit = match c {
        '0'..='9' => c as u32 - '0' as u32,
        '\u{FF10}'..='\u{FF19}' => c as u32 - 0xFF10,
        '\u{0660}'..='\u{0669}' => c as u32 - 0x0660,
        '\u{06F0}'..='\u{06F9}' => c as u32 - 0x06F0,
        '\u{0966}'..='\u{096F}' => c as u32 - 0x0966,
        _ => return None,
    };
    u8::try_from(digit).ok().map(|digit| (digit, c.len_utf8()))
}

/// Whether a single such character may stand between two digits of one number.
fn separator_at(text: &str, at: usize) -> Option<usize> {
    let c = text.get(at..)?.chars().next()?;
    let separates = matches!(c, ' ' | '-' | '.' | '_' | '/' | '\u{00A0}' | '\u{2010}'..='\u{2014}')
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{202F}');
    separates.then(|| c.len_utf8())
}

/// Byte range of the first card number at or after `from`.
fn find_card_number(text: &str, from: usize) -> Option<(usize, usize)> {
    if has_too_few_digits(text.get(from..)?) {
        return None;
    }
    scan(text, from)
}

fn scan(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at < text.len() {
        if digit_at(text, at).is_some() {
            let (digits, ends, after) = digit_run(text, at);
            if let Some((start, end)) = card_in_run(&digits, &ends) {
                return Some((start, end));
            }
            at = after;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// Whether there cannot be enough digits, every character beyond ASCII taken for one.
fn has_too_few_digits(text: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_digit() || *byte >= 0b1100_0000;
    text.bytes().filter(is_start).count() < *DIGITS.start()
}

/// The digits from `at` on, each with its byte start and end, and where the run ends.
fn digit_run(text: &str, at: usize) -> (Vec<u8>, Vec<(usize, usize)>, usize) {
    let (mut digits, mut spans, mut cursor) = (Vec::new(), Vec::new(), at);
    while let Some((digit, width)) = digit_at(text, cursor) {
        digits.push(digit);
        spans.push((cursor, cursor + width));
        cursor += width;
        if let Some(gap) = separator_at(text, cursor)
            && digit_at(text, cursor + gap).is_some()
        {
            cursor += gap;
        }
    }
    (digits, spans, cursor)
}

/// The leftmost, then longest, card number within a run of digits.
fn card_in_run(digits: &[u8], spans: &[(usize, usize)]) -> Option<(usize, usize)> {
    for start in 0..digits.len() {
        for length in DIGITS.rev() {
            let Some(candidate) = digits.get(start..start + length) else { continue };
            if (2..=6).contains(&candidate[0]) && luhn(candidate) {
                return Some((spans[start].0, spans[start + length - 1].1));
            }
        }
    }
    None
}

/// The Luhn check of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &digit)| {
            let doubled = u32::from(digit) * if i % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_masked_however_they_are_grouped() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "378282246310005",
            "５５５５５５５５５５５５４４４４",
            "4111\u{200B}111111111111",
        ] {
            assert_eq!(redact_card_numbers(&format!("pay {text} now")), "pay [card] now", "{text}");
        }
    }

    #[test]
    fn a_card_number_hidden_in_a_longer_run_is_still_found() {
        assert!(contains_card_number("ref0004111111111111111"));
    }

    #[test]
    fn ordinary_numbers_stay() {
        for text in ["4111111111111112", "invoice 4411", "+44 20 7946 0958", "2026-03-01", ""] {
            assert_eq!(redact_card_numbers(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn texts_passed_over_for_want_of_digits_hold_no_card_number(
            text in "([0-9]{0,6}[4 \\-a\u{FF10}-\u{FF19}\u{0660}-\u{0669}é]{0,4}){0,6}|4111[ .]1111 1111 11(11|12)",
        ) {
            proptest::prop_assert_eq!(find_card_number(&text, 0), scan(&text, 0));
        }

        #[test]
        fn redaction_never_panics_and_leaves_nothing_to_find(text in "[0-9 \\-.a\u{FF10}-\u{FF19}]{0,80}") {
            let masked = redact_card_numbers(&text);
            proptest::prop_assert!(!contains_card_number(&masked));
        }
    }
}
