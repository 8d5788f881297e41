//! The numbers that a text states, in digits or in words.

use unicode_normalization::UnicodeNormalization;

/// Numbers read from a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Numbers {
    values: Vec<f64>,
    /// The text states an amount that no number stands for: "hundreds", digits of a script
    /// that is not read here.
    vague: bool,
}

/// Words for numbers; ordinals and "one" are left out, as they mostly mean something else.
const WORDS: &[(&str, f64)] = &[
    ("two", 2.0),
    ("twice", 2.0),
    ("double", 2.0),
    ("doubled", 2.0),
    ("three", 3.0),
    ("thrice", 3.0),
    ("triple", 3.0),
    ("tripled", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("dozen", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
    ("hundred", 100.0),
    ("thousand", 1e3),
    ("million", 1e6),
    ("billion", 1e9),
];

/// Words for many, which no fact can bear out.
const VAGUE: &[&str] = &["dozens", "hundreds", "thousands", "millions", "billions", "umpteen"];

/// What may follow a number and multiply it. "m" is left out: in the prompt it is minutes.
const MULTIPLIERS: &[(&str, f64)] = &[
    ("k", 1e3),
    ("thousand", 1e3),
    ("mn", 1e6),
    ("mio", 1e6),
    ("million", 1e6),
    ("bn", 1e9),
    ("billion", 1e9),
    ("dozen", 12.0),
    ("hundred", 1e2),
];

impl Numbers {
    /// Reads a text: grouped thousands, decimals, exponents, signs, percentages (as shares of
    /// one), multiples (`2.5k`, "3 million"), number words; digits are found wherever they
    /// stand, also in `EUR250` and `3rd`.
    pub(crate) fn of(text: &str) -> Self {
        let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
        let mut found = Self::default();
        let mut rest = text.as_str();
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            if c.is_ascii_digit() {
                let (number, length) = literal(rest);
                let (value, suffix) = scaled(number, rest.get(length..).unwrap_or_default());
                found.add(value, before);
                rest = rest.get(length + suffix..).unwrap_or_default();
                before = '0';
                continue;
            }
            if c.is_alphabetic() && !before.is_alphabetic() {
                found.add_word(rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default());
            }
            found.vague |= c.is_numeric();
            // A sign belongs to the number after it unless it joins two words: "3-5".
            before = match (c, before.is_alphanumeric()) {
                ('-' | '\u{2212}', false) => '-',
                ('-' | '\u{2212}', true) => ' ',
                _ => c,
            };
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        found
    }

    /// Whether every number here is one of `known`, and none is too vague to tell.
    pub(crate) fn all_in(&self, known: &Self) -> bool {
        let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
        !self.vague && self.values.iter().all(|v| known.values.iter().any(|k| same(*k, *v)))
    }

    fn add(&mut self, value: f64, before: char) {
        self.values.push(if before == '-' { -value } else { value });
    }

    fn add_word(&mut self, word: &str) {
        self.vague |= VAGUE.contains(&word);
        self.values.extend(WORDS.iter().filter(|(name, _)| *name == word).map(|(_, value)| *value));
    }
}

/// The number that a text begins with, and its length in bytes.
fn literal(text: &str) -> (f64, usize) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut plain = String::new();
    let mut length = digits(text);
    plain.push_str(text.get(..length).unwrap_or_default());
    // Groups of three: 1,000 and 1'000 and 1 000; the last with a space that does not break.
    while let Some(group) = grouped(text.get(length..).unwrap_or_default(), length, digits) {
        plain.push_str(group);
        length += 1 + group.len();
    }
    let fraction = |rest: &str| rest.strip_prefix(['.', ',']).map(digits).filter(|n| *n > 0);
    if let Some(count) = text.get(length..).and_then(fraction)
        && !another_part_follows(text.get(length + 1 + count..).unwrap_or_default())
    {
        plain.push('.');
        plain.push_str(text.get(length + 1..length + 1 + count).unwrap_or_default());
        length += 1 + count;
    }
    if let Some(exponent) = exponent(text.get(length..).unwrap_or_default(), digits) {
        plain.push_str(exponent);
        length += exponent.len();
    }
    (plain.parse().unwrap_or(f64::NAN), length)
}

/// Whether what looks like a fraction is part of a date or an address: `3.1.2026`.
fn another_part_follows(rest: &str) -> bool {
    let mut rest = rest.chars();
    rest.next() == Some('.') && rest.next().is_some_and(|c| c.is_ascii_digit())
}

fn grouped(rest: &str, before: usize, digits: impl Fn(&str) -> usize) -> Option<&str> {
    let after = rest.strip_prefix([',', '\'', '_'])?;
    (digits(after) == 3 && (1..=15).contains(&before)).then(|| after.get(..3)).flatten()
}

fn exponent(rest: &str, digits: impl Fn(&str) -> usize) -> Option<&str> {
    let unsigned = rest.strip_prefix('e')?;
    let unsigned = unsigned.strip_prefix(['+', '-']).unwrap_or(unsigned);
    let count = digits(unsigned);
    let length = rest.len() - unsigned.len() + count;
    ((1..=3).contains(&count)).then(|| rest.get(..length)).flatten()
}

/// A number with what follows it: `%`, or a word that multiplies it; and that word's length.
fn scaled(number: f64, rest: &str) -> (f64, usize) {
    let word_start = rest.len() - rest.trim_start_matches(' ').len();
    let after = rest.get(word_start..).unwrap_or_default();
    if after.starts_with('%') {
        return (number / 100.0, word_start + 1);
    }
    let word = after.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    if word == "percent" {
        return (number / 100.0, word_start + word.len());
    }
    match MULTIPLIERS.iter().find(|(name, _)| *name == word) {
        Some((_, factor)) => (number * factor, word_start + word.len()),
        None => (number, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &str = "amount 249.50 EUR, 3 earlier, mean 41, sum 12000, score 0.059, last 12m";

    #[test]
    fn numbers_are_compared_by_value() {
        for stated in [
            "249.5 spent",
            "249.50",
            "EUR249.50",
            "249,50 euros",
            "after 3",
            "the 3rd",
            "three",
            "mean of 41.",
            "12,000 in all",
            "12'000",
            "12k",
            "12 thousand",
            "1.2e4",
            "5.9%",
            "5.9 percent",
            "３ earlier",
            "no number",
            "one of them",
            "none",
            "within 12m",
            "003",
            "(41)",
            "3-3",
            "41/3",
        ] {
            assert!(Numbers::of(stated).all_in(&Numbers::of(KNOWN)), "{stated}");
        }
        for stated in [
            "250",
            "24",
            "1,000",
            "4",
            "four",
            "dozens",
            "hundreds of payments",
            "-3",
            "EUR250",
            "3k",
            "3 million",
            "3%",
            "1e6",
            "2.5k",
            "the 4th",
            "2026-03-01",
            "3.1.2026",
            "٤ earlier",
            "twice",
            "a dozen thousand",
            "41.01",
            "12.000.000",
            "3e2",
            "−41",
            "½",
        ] {
            assert!(!Numbers::of(stated).all_in(&Numbers::of(KNOWN)), "{stated}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_from_the_prompt_is_known(words in proptest::collection::vec("[a-z]{1,5}|-?[0-9]{1,6}|[0-9]{1,4}\\.[0-9]{1,2}", 0..12), from in 0usize..12) {
            let prompt = words.join(" ");
            let quoted = words.get(from.min(words.len())..).unwrap_or_default().join(" ");
            prop_assert!(Numbers::of(&quoted).all_in(&Numbers::of(&prompt)));
        }

        #[test]
        fn a_number_that_is_not_in_the_prompt_is_never_known(n in 1000u32..9_999_999, form in 0..6) {
            let stated = match form {
                0 => format!("{n}"),
                1 => format!("EUR{n}.00"),
                2 => format!("({n})"),
                3 => format!("{n}th"),
                4 => format!("{}e3", f64::from(n) / 1000.0),
                _ => format!("{},{:03}", n / 1000, n % 1000),
            };
            prop_assert!(!Numbers::of(&stated).all_in(&Numbers::of("1h 3/30.7 24h 6/178.63 fraud 0")));
            prop_assert!(Numbers::of(&stated).all_in(&Numbers::of(&format!("sum {n} eur"))), "{}", stated);
        }

        #[test]
        fn any_text_can_be_read(text in "\\PC{0,60}|[0-9.,'e%k +-]{0,40}") {
            let _ = Numbers::of(&text);
        }
    }
}
