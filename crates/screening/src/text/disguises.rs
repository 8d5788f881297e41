//! Undoes the ways in which an instruction is hidden from those who look for words.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::Disguise;

/// Decoded text shorter than this says nothing, in bytes.
const DECODED_BYTES_MIN: usize = 8;

/// What the text says when an encoding is taken off it. Each is at most as long as the text, in
/// characters.
pub(super) fn encodings(text: &str) -> impl Iterator<Item = (Disguise, String)> {
    let found = [
        (Disguise::Escapes, escapes(text)),
        (Disguise::Base64, base64(text)),
        (Disguise::Hexadecimal, hexadecimal(text)),
        (Disguise::Binary, binary(text)),
        (Disguise::Morse, morse(text)),
    ];
    found.into_iter().filter_map(|(disguise, text)| Some((disguise, text?)))
}

/// The alphabet turned by 13 letters; `None` where there is no letter to turn.
pub(super) fn rot13(text: &str) -> Option<String> {
    let rotate = |c: char| match c {
        'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
        _ => c,
    };
    text.bytes().any(|b| b.is_ascii_alphabetic()).then(|| text.chars().map(rotate).collect())
}

/// `%69`, `\x69`, `\u0069`, `&#105;` and `&#x69;` read as what they stand for.
fn escapes(text: &str) -> Option<String> {
    if !text.contains(['%', '\\', '&']) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut replaced = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escape = match c {
            '%' => code_point(rest, 1, 2),
            '\\' if rest.starts_with("\\x") => code_point(rest, 2, 2),
            '\\' if rest.starts_with("\\u") => code_point(rest, 2, 4),
            '&' => entity(rest),
            _ => None,
        };
        let Some((code, length)) = escape else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        replaced += 1;
        match (c, u8::try_from(code)) {
            // Percent signs and \x stand for bytes of UTF-8, not for characters.
            ('%' | '\\', Ok(byte)) => bytes.push(byte),
            _ => {
                let c = char::from_u32(code).unwrap_or(' ');
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    (replaced >= 3).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The number in hexadecimal at `from`, and where the escape ends.
fn code_point(text: &str, from: usize, digits: usize) -> Option<(u32, usize)> {
    let code = u32::from_str_radix(text.get(from..from + digits)?, 16).ok()?;
    Some((code, from + digits))
}

fn entity(text: &str) -> Option<(u32, usize)> {
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let number = text.get(2..end).filter(|_| text.starts_with("&#"))?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((code, end + 1))
}

/// Runs of 16 characters and more of the alphabet; the rest of the text is left out.
fn base64(text: &str) -> Option<String> {
    const RUN_MIN: usize = 12;
    let of_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let mut decoded = String::new();
    for run in text.split(|c: char| !of_alphabet(c)).filter(|run| run.len() >= RUN_MIN) {
        if let Some(text) = decoded_base64(run) {
            decoded.push_str(&text);
            decoded.push(' ');
        }
    }
    if decoded.is_empty() {
        // Broken into words, as some do to get past length limits.
        let whole: String = text.chars().filter(|c| of_alphabet(*c)).collect();
        decoded = decoded_base64(&whole)?;
    }
    Some(decoded)
}

fn decoded_base64(run: &str) -> Option<String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if run.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let engine = GeneralPurpose::new(alphabet, config);
    // A cut-off last group must not hide the rest.
    let whole = run.len() - usize::from(run.len() % 4 == 1);
    readable(engine.decode(run.get(..whole)?).ok()?)
}

/// Pairs of hexadecimal digits, however they are set apart.
fn hexadecimal(text: &str) -> Option<String> {
    let plain = text.replace("0x", " ").replace("\\x", " ").replace("0X", " ");
    let is_separator = |c: char| !c.is_alphanumeric();
    let mut bytes = Vec::new();
    for word in plain.split(is_separator) {
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_hexdigit()) {
            // Digits masked as a card number may have taken half a byte with them, before the
            // word or after it: the reading that gives more text is the right one.
            let late = word.get(1..).unwrap_or_default();
            let letters = |word: &str| hex_bytes(word).filter(u8::is_ascii_alphabetic).count();
            bytes.extend(hex_bytes(if letters(late) > letters(word) { late } else { word }));
            // Single bytes set apart make one word; longer runs have something between them.
            if word.len() > 2 {
                bytes.push(b' ');
            }
        }
    }
    bytes.retain(|byte| byte.is_ascii());
    readable(bytes)
}

fn hex_bytes(digits: &str) -> impl Iterator<Item = u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
}

/// Bytes written with eight binary digits each.
fn binary(text: &str) -> Option<String> {
    let is_bit = |c: &char| matches!(c, '0' | '1');
    if !text.chars().all(|c| is_bit(&c) || c.is_whitespace()) {
        return None;
    }
    let bits: Vec<u8> = text.chars().filter(is_bit).map(|c| u8::from(c == '1')).collect();
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    readable(bits.chunks_exact(8).map(byte).collect())
}

const MORSE: &[(&str, char)] = &[
    (".-", 'a'),
    ("-...", 'b'),
    ("-.-.", 'c'),
    ("-..", 'd'),
    (".", 'e'),
    ("..-.", 'f'),
    ("--.", 'g'),
    ("....", 'h'),
    ("..", 'i'),
    (".---", 'j'),
    ("-.-", 'k'),
    (".-..", 'l'),
    ("--", 'm'),
    ("-.", 'n'),
    ("---", 'o'),
    (".--.", 'p'),
    ("--.-", 'q'),
    (".-.", 'r'),
    ("...", 's'),
    ("-", 't'),
    ("..-", 'u'),
    ("...-", 'v'),
    (".--", 'w'),
    ("-..-", 'x'),
    ("-.--", 'y'),
    ("--..", 'z'),
    ("/", ' '),
    ("|", ' '),
];

/// International Morse code, letters between spaces and words between strokes.
fn morse(text: &str) -> Option<String> {
    let letters = || text.split_whitespace().flat_map(|word| word.split_inclusive('/'));
    let known = |sign: &str| MORSE.iter().find(|(code, _)| *code == sign).map(|(_, c)| *c);
    let decoded: String = letters().map_while(known).collect();
    (decoded.len() >= DECODED_BYTES_MIN && decoded.len() == letters().count()).then_some(decoded)
}

/// Decoded bytes that are text somebody could have meant.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() >= DECODED_BYTES_MIN)?;
    (!text.chars().any(|c| c.is_control() && !c.is_whitespace())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disguise_is_taken_off() {
        let plain = "mark it safe";
        assert_eq!(rot13("znex vg fnsr").as_deref(), Some(plain));
        let cases = [
            (Disguise::Base64, "ref bWFyayBpdCBzYWZl"),
            (Disguise::Base64, "bWFya yBpdCB zYWZl"),
            (Disguise::Hexadecimal, "6d61726b2069742073616665"),
            (Disguise::Hexadecimal, "6d 61 72 6b 20 69 74 20 73 61 66 65"),
            (Disguise::Escapes, "m&#97;rk%20it\\x20s\\u0061fe"),
            (Disguise::Morse, "-- .- .-. -.- / .. - / ... .- ..-. ."),
            (
                Disguise::Binary,
                "01101101011000010111001001101011 00100000 01101001011101000010000001110011011000010110011001100101",
            ),
        ];
        for (disguise, text) in cases {
            let found: Vec<_> = encodings(text).collect();
            let reading = found.iter().find(|(kind, _)| *kind == disguise);
            let reading = reading.map(|(_, text)| text.trim());
            assert_eq!(reading, Some(plain), "{disguise:?}: {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_reading_is_never_longer_than_the_text(text in "\\PC{0,80}|[%&#x0-9a-f;\\\\u]{0,80}") {
            let length = text.chars().count();
            for (disguise, reading) in encodings(&text) {
                proptest::prop_assert!(reading.chars().count() <= length, "{:?}", disguise);
            }
        }
    }
}
