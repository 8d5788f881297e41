//! The words of the grammar, read once from `lexicon.txt`.

use std::{collections::HashMap, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};

use super::fold::fold;

const LEXICON: &str = include_str!("lexicon.txt");

/// Words written apart or together are only believed from this many characters on: shorter
/// ones stand in the middle of ordinary words.
const JOINED_CHARACTERS_MIN: usize = 5;

macro_rules! classes {
    ($($name:ident = $word:literal),* $(,)?) => {
        /// What a word does in a sentence; `lexicon.txt` says more of each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Class { $($name),* }

        impl Class {
            const ALL: &[(&str, Self)] = &[$(($word, Self::$name)),*];
        }
    };
}

classes! {
    Override = "override", Prior = "prior", Directive = "directive", Model = "model",
    Reviewer = "reviewer", Role = "role", Helper = "helper", Output = "output", Mark = "mark",
    Approve = "approve", Legit = "legit", AsLegit = "aslegit", Verdict = "verdict",
    This = "this", Tx = "tx", Hush = "hush", Never = "never", Raise = "raise",
    RoleColon = "rolecolon", KeyLow = "keylow", Jailbreak = "jailbreak", Boundary = "boundary",
    PromptA = "prompta", PromptB = "promptb", Urge = "urge", Forbidden = "forbidden", Plea = "plea", Leak = "leak", Skip = "skip", Check = "check",
    Cleared = "cleared", Authority = "authority",
}

impl Class {
    /// The class as a set of one.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A word of the lexicon found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) class: Class,
    /// Range in the folded text, in characters.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// An automaton over patterns, and the class of each.
struct Words {
    automaton: AhoCorasick,
    classes: Vec<Class>,
}

impl Words {
    /// `None` when there are no patterns to search for.
    fn new(patterns: Vec<(String, Class)>) -> Option<Self> {
        let (patterns, classes): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns).ok()?;
        Some(Self { automaton, classes })
    }

    fn hits(&self, text: &str) -> Vec<Hit> {
        let (mut bytes, mut characters) = (0, 0);
        let mut character_at = |at: usize| {
            characters += text.get(bytes..at).map_or(0, |passed| passed.chars().count());
            bytes = at;
            characters
        };
        self.automaton
            .find_iter(text)
            .filter_map(|found| {
                let class = *self.classes.get(found.pattern().as_usize())?;
                let start = character_at(found.start());
                Some(Hit { class, start, end: character_at(found.end()) })
            })
            .collect()
    }
}

static APART: LazyLock<Option<Words>> = LazyLock::new(|| Words::new(patterns().collect()));

/// The same without spaces, and with each pattern how many words it has.
static TOGETHER: LazyLock<Option<(Words, Vec<usize>)>> = LazyLock::new(|| {
    let long_enough = |(pattern, class): (String, Class)| {
        let word: String = pattern.split_whitespace().collect();
        let least = if class == Class::Prior { 3 } else { JOINED_CHARACTERS_MIN };
        (word.is_ascii() && word.len() >= least && !pattern.contains(':'))
            .then(|| ((word, class), pattern.split_whitespace().count()))
    };
    let (patterns, counts): (Vec<_>, Vec<_>) = patterns().filter_map(long_enough).unzip();
    Some((Words::new(patterns)?, counts))
});

/// The words in a folded text, from left to right, the longest at each place.
pub(super) fn words_in(folded: &str) -> Vec<Hit> {
    APART.as_ref().map(|words| words.hits(folded)).unwrap_or_default()
}

/// A word this long may be several, in bytes.
const RUN_TOGETHER_MIN: usize = 14;
/// So many breaks too many are as good as a second odd word.
const TORN_BREAKS_MIN: usize = 4;
/// One odd word is chance.
const ODD_WORDS_MIN: usize = 2;

/// The words in a folded text when its spaces are taken out; empty unless some of them were
/// torn apart or run together, as the ends and beginnings of ordinary words make words too.
pub(super) fn words_in_joined(folded: &str) -> Vec<Hit> {
    let Some((words, counts)) = TOGETHER.as_ref() else { return Vec::new() };
    let mut joined = String::with_capacity(folded.len());
    // Where each word begins, and at every byte how long the word around it is.
    let (mut starts, mut lengths) = (Vec::new(), Vec::new());
    for word in folded.split_whitespace().filter(|word| *word != ":") {
        starts.push(joined.len());
        joined.push_str(word);
        lengths.resize(joined.len(), word.len());
    }
    let mut odd = 0;
    let mut hits = Vec::new();
    for found in words.automaton.find_iter(&joined) {
        let (start, end) = (found.start(), found.end());
        let index = found.pattern().as_usize();
        let (Some(class), Some(count)) = (words.classes.get(index), counts.get(index)) else {
            continue;
        };
        let breaks = starts.iter().filter(|at| (start + 1..end).contains(at)).count();
        let run_together = lengths.get(start).is_some_and(|length| *length >= RUN_TOGETHER_MIN);
        odd += usize::from(breaks + 1 != *count || (run_together && breaks == 0));
        // Nothing is in that many pieces by chance.
        odd += usize::from(breaks >= *count + TORN_BREAKS_MIN);
        hits.push(Hit { class: *class, start, end });
    }
    if odd < ODD_WORDS_MIN { Vec::new() } else { hits }
}

/// Shorter words have too many neighbours, in characters.
const SCRAMBLED_CHARACTERS_MIN: usize = 5;

/// The words of the lexicon by what is left of them when their inner letters are shuffled.
static SCRAMBLED: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let single = |(pattern, _): (String, Class)| {
        // A stem is mostly a word itself.
        let word = pattern.trim();
        Some((signature(word)?, word.to_owned()))
    };
    patterns().filter_map(single).collect()
});

/// A folded text whose words with shuffled inner letters are put right; `None` when there are
/// none.
pub(super) fn unscrambled(folded: &str) -> Option<String> {
    let mut changed = false;
    let mut right = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        let known = signature(word).and_then(|signature| SCRAMBLED.get(&signature));
        let word = known.map_or(word, |known| {
            changed |= known != word;
            known
        });
        right.extend([" ", word, " "]);
    }
    changed.then_some(right)
}

/// First letter, inner letters in order, last letter.
fn signature(word: &str) -> Option<String> {
    let bytes = word.as_bytes();
    if bytes.len() < SCRAMBLED_CHARACTERS_MIN || !bytes.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    let mut bytes = bytes.to_vec();
    let last = bytes.len() - 1;
    bytes.get_mut(1..last)?.sort_unstable();
    String::from_utf8(bytes).ok()
}

fn patterns() -> impl Iterator<Item = (String, Class)> {
    LEXICON.lines().filter_map(entry).flat_map(|(class, patterns)| {
        patterns.split('|').filter_map(move |pattern| Some((folded_pattern(pattern)?, class)))
    })
}

/// The class and the patterns of a line; `None` for a comment.
fn entry(line: &str) -> Option<(Class, &str)> {
    if line.starts_with('#') {
        return None;
    }
    let (head, patterns) = line.split_once(": ")?;
    let (class, _language) = head.split_once(' ')?;
    let (_, class) = Class::ALL.iter().find(|(word, _)| *word == class)?;
    Some((*class, patterns))
}

fn folded_pattern(pattern: &str) -> Option<String> {
    let pattern = pattern.trim();
    let folded = match pattern.strip_suffix('*') {
        Some(stem) => fold(stem).trim_end().to_owned(),
        None => fold(pattern),
    };
    let folded =
        if pattern.chars().any(has_no_word_boundary) { folded.trim().to_owned() } else { folded };
    (!folded.trim().is_empty()).then_some(folded)
}

/// Scripts that put no space between words, or hang particles on them.
fn has_no_word_boundary(c: char) -> bool {
    matches!(c,
        '\u{0600}'..='\u{06FF}' | '\u{1100}'..='\u{11FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_line_of_the_lexicon_is_read() {
        for line in LEXICON.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (_, words) = entry(line).unwrap_or_else(|| panic!("{line}"));
            for word in words.split('|') {
                assert!(folded_pattern(word).is_some(), "{word:?} in {line}");
                assert!(!word.trim_end().trim_end_matches('*').contains('*'), "{word:?}");
            }
        }
        assert!(APART.is_some() && TOGETHER.is_some());
    }

    #[test]
    fn a_pattern_has_one_class() {
        let mut seen: BTreeMap<String, Class> = BTreeMap::new();
        let mut twice = Vec::new();
        for (pattern, class) in patterns() {
            match seen.insert(pattern.clone(), class) {
                Some(other) if other != class => twice.push((pattern, other, class)),
                Some(_) | None => {}
            }
        }
        assert!(twice.is_empty(), "{twice:#?}");
    }
}
