//! Text that speaks to whoever reads it instead of describing a payment.
//!
//! A memo or a name is written by a stranger. Where it tells a model or a reviewer what to do,
//! it is a sign of fraud in itself, and no model gets to read it. The detector is a small
//! grammar over folded text: classes of words per language (`lexicon.txt`), and which of them
//! make an instruction when they stand together (`grammar.rs`). Time is linear in the text for
//! each of a bounded number of readings.

mod disguises;
mod fold;
mod grammar;
mod lexicon;
mod markers;

use std::{collections::VecDeque, fmt};

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $words:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $words),* })
            }
        }
    };
}

named! {
    /// What a text tries to do.
    FindingKind {
        /// Set aside what the reader was told.
        Override = "sets instructions aside",
        /// Have the payment approved.
        Approval = "asks for approval",
        /// Keep a check from being made.
        Suppression = "asks for no check",
        /// Dictate the conclusion or a score.
        Verdict = "dictates a verdict",
        /// Speak to a model or a reviewer, or give it a part to play.
        Address = "addresses a model or a reviewer",
        /// Pose as the system, or end the data.
        RoleMarker = "poses as the system",
        /// Imitate what the models read.
        Mimicry = "imitates a model's input",
    }
}

named! {
    /// How the text was hidden.
    Disguise {
        /// Not at all, or by look-alike letters only.
        None = "in plain sight",
        /// Words torn apart or run together.
        Spacing = "with its words torn apart or run together",
        /// With the inner letters of its words shuffled.
        Scrambled = "with shuffled letters",
        /// Written backwards.
        Reversed = "backwards",
        /// The alphabet turned by 13 letters.
        Rot13 = "in ROT13",
        /// Base64, standard or URL-safe.
        Base64 = "in Base64",
        /// Hexadecimal bytes.
        Hexadecimal = "in hexadecimal",
        /// URL escapes, character references or Unicode escapes.
        Escapes = "in escapes",
        /// Morse code.
        Morse = "in Morse code",
        /// Binary digits.
        Binary = "in binary",
        /// Spread over two fields.
        Split = "spread over two fields",
    }
}

/// An instruction found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it tries to do.
    pub kind: FindingKind,
    /// How it was hidden.
    pub disguise: Disguise,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.kind, self.disguise)
    }
}

/// The most readings of one text: itself, and what is left when encodings are taken off.
const READINGS_MAX: usize = 12;
/// How many encodings may lie over each other.
const LAYERS_MAX: usize = 2;
/// The shortest text that can instruct, in bytes: "approve this" in Chinese.
const BYTES_MIN: usize = 6;

/// Finds an instruction in a text, if there is one. Pure; the time is linear in the length.
#[must_use]
pub fn instruction_like(text: &str) -> Option<Finding> {
    if text.len() < BYTES_MIN {
        return None;
    }
    if let Some(found) = in_reading(text) {
        return Some(found);
    }
    let mut waiting: VecDeque<_> =
        disguises::encodings(text).map(|(disguise, text)| (disguise, text, 1)).collect();
    for _ in 0..READINGS_MAX {
        let (disguise, text, layers) = waiting.pop_front()?;
        if let Some(found) = in_reading(&text) {
            return Some(Finding { disguise, ..found });
        }
        if layers < LAYERS_MAX {
            waiting
                .extend(disguises::encodings(&text).map(|(_, text)| (disguise, text, layers + 1)));
        }
    }
    None
}

/// Whether two texts, each without an instruction, make one when read after each other.
pub(crate) fn instruction_across(first: &str, second: &str) -> Option<Finding> {
    let kind = grammar::judge(&lexicon::words_in(&fold::fold(&format!("{first} {second}"))))?;
    Some(Finding { kind, disguise: Disguise::Split })
}

/// Whether a short text is an instruction as it stands, without a look beneath any disguise.
pub(crate) fn is_plain_instruction(text: &str) -> bool {
    markers::has_marker(text) || grammar::judge(&lexicon::words_in(&fold::fold(text))).is_some()
}

/// Builds what the detector searches with, so that the first transaction does not wait for it.
pub(crate) fn prepare() {
    let _ = instruction_like("warm up");
}

/// Looks at one reading of a text, forwards, backwards and with the alphabet turned.
fn in_reading(text: &str) -> Option<Finding> {
    let found = |kind, disguise| Finding { kind, disguise };
    if markers::has_marker(text) {
        return Some(found(FindingKind::RoleMarker, Disguise::None));
    }
    if markers::imitates_slots(text) {
        return Some(found(FindingKind::Mimicry, Disguise::None));
    }
    let judged = |folded: &str| grammar::judge(&lexicon::words_in(folded));
    let folded = fold::fold(text);
    if let Some(kind) = judged(&folded) {
        return Some(found(kind, Disguise::None));
    }
    if let Some(kind) = grammar::judge(&lexicon::words_in_joined(&folded)) {
        return Some(found(kind, Disguise::Spacing));
    }
    if let Some(kind) = lexicon::unscrambled(&folded).and_then(|right| judged(&right)) {
        return Some(found(kind, Disguise::Scrambled));
    }
    if let Some(kind) = judged(&folded.chars().rev().collect::<String>()) {
        return Some(found(kind, Disguise::Reversed));
    }
    let turned = disguises::rot13(text)?;
    judged(&fold::fold(&turned)).map(|kind| found(kind, Disguise::Rot13))
}
