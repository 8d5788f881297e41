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

/// The most readings of one text: itself, and what is left when disguises are taken off.
const READINGS_MAX: usize = 16;
/// How many disguises may lie over each other.
const LAYERS_MAX: usize = 2;
/// The shortest text that can instruct, in bytes: "approve this" in Chinese.
const BYTES_MIN: usize = 6;

/// Finds an instruction in a text, if there is one. Pure; the time is linear in the length.
#[must_use]
pub fn instruction_like(text: &str) -> Option<Finding> {
    if text.len() < BYTES_MIN {
        return None;
    }
    let mut waiting = VecDeque::from([(Disguise::None, text.to_owned(), 0)]);
    for _ in 0..READINGS_MAX {
        let (disguise, text, layers) = waiting.pop_front()?;
        if let Some(found) = in_reading(&text) {
            let disguise = if layers == 0 { found.disguise } else { disguise };
            return Some(Finding { kind: found.kind, disguise });
        }
        if layers == LAYERS_MAX {
            continue;
        }
        for (taken_off, reading) in disguises::readings(&text) {
            let outermost = if layers == 0 { taken_off } else { disguise };
            // Twice backwards is forwards.
            if layers == 0 || taken_off != disguise || taken_off == Disguise::Base64 {
                waiting.push_back((outermost, reading, layers + 1));
            }
        }
    }
    None
}

/// Looks at one reading of a text as it stands.
fn in_reading(text: &str) -> Option<Finding> {
    let plain = |kind| Finding { kind, disguise: Disguise::None };
    if markers::has_marker(text) {
        return Some(plain(FindingKind::RoleMarker));
    }
    if markers::imitates_slots(text) {
        return Some(plain(FindingKind::Mimicry));
    }
    let folded = fold::fold(text);
    if let Some(kind) = grammar::judge(&lexicon::words_in(&folded)) {
        return Some(plain(kind));
    }
    if let Some(kind) = grammar::judge(&lexicon::words_in_joined(&fold::joined(&folded))) {
        return Some(Finding { kind, disguise: Disguise::Spacing });
    }
    let kind = grammar::judge(&lexicon::words_in(&lexicon::unscrambled(&folded)?))?;
    Some(Finding { kind, disguise: Disguise::Scrambled })
}
