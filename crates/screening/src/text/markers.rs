//! What no payment text contains: control tokens, chat templates, slots of our own inputs.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Written as such, in lower case and without spaces.
const MARKERS: &[&str] = &[
    "<|",
    "|>",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "<</sys>>",
    "</s>",
    "<s>",
    "<pad>",
    "<unk>",
    "<bos>",
    "<eos>",
    "<mask>",
    "[cls]",
    "[sep]",
    "[mask]",
    "[pad]",
    "[unk]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<system",
    "</system",
    "<assistant",
    "</assistant",
    "<user>",
    "</user>",
    "<instruction",
    "</instruction",
    "<prompt",
    "</prompt",
    "<memo>",
    "</memo>",
    "</data>",
    "</input>",
    "</context>",
    "</document>",
    "</transaction>",
    "<override",
    "<verdict",
    "</verdict",
    "<think>",
    "</think>",
    "<tool",
    "</tool",
    "<function",
    "im_start",
    "im_end",
    "begin_of_text",
    "start_header_id",
    "end_header_id",
    "eot_id",
    "endoftext",
    "fim_prefix",
    "###instruction",
    "###system",
    "###response",
    "###assistant",
    "###newinstruction",
    "###human",
    "###user",
    "###task",
    "##instruction",
    "##system",
    "##newinstruction",
    "\"role\":\"system\"",
    "\"role\":\"assistant\"",
    "'role':'system'",
    "\"verdict\"",
    "'verdict'",
    "{verdict",
    "\"fraud_score\"",
    "\"risk_score\"",
    "\"is_fraud\"",
    "\"narrative\"",
    "\"typology\"",
    "[system]",
    "[/system]",
    "[assistant]",
    "(system)",
    "[system:",
    "[system_",
    "{{system",
    "<!--",
    "-->",
    "begininstruction",
    "---begin",
    "===begin",
    "---end",
    "===end",
    "---system",
    "===system",
    "»score",
    "»signals",
    "»report",
    "»memo",
    "\"score0.",
    "//system",
    "/*system",
];

static AUTOMATON: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(MARKERS).ok());

/// Whether the text holds a control token, a marker of a chat template, or one of the keys of
/// a report in quotes.
pub(super) fn has_marker(text: &str) -> bool {
    let bare = |c: &char| !c.is_whitespace();
    let tight: String = text.chars().filter(bare).flat_map(char::to_lowercase).collect();
    AUTOMATON.as_ref().is_some_and(|automaton| automaton.is_match(&tight))
}

/// So many words that only tier 1's input has are no accident.
const SLOTS_MIN: usize = 3;

/// The slots of the shipped `input.j2` that a number follows, without it.
const SLOTS: &[&str] = &[
    "amt", "rat", "dev", "max", "hr", "an1h", "an24", "an7d", "an30", "as1h", "as24", "ad24", "al",
    "ao", "af", "sm", "rf", "cn1h", "cn24", "crat", "cf", "dn", "dd", "dk", "df", "pc", "pa", "pk",
    "pn24", "pd7", "pt", "pf", "pr", "prat", "tw", "tn24", "tf7", "tf30", "tr", "tl", "trat",
];

/// Whether the text imitates tier 1's input.
pub(super) fn imitates_slots(text: &str) -> bool {
    text.split_whitespace().filter(|word| is_slot(word)).count() >= SLOTS_MIN
}

fn is_slot(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let is_value =
        |value: &str| matches!(value.len(), 1..=2) && value.bytes().all(|b| b.is_ascii_digit());
    SLOTS.iter().any(|slot| word.strip_prefix(slot).is_some_and(is_value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_however_they_are_spaced() {
        for text in
            ["<|im_start|>", "< | system", "[ INST ]", "### Instruction:", "{ \"verdict\" : 1"]
        {
            assert!(has_marker(text), "{text}");
        }
        for text in ["[card]", "rent <3", "#4711 ->", "A|B", "love > money", "--- thanks ---"] {
            assert!(!has_marker(text), "{text}");
        }
    }

    #[test]
    fn a_few_slots_are_an_imitation_and_one_is_a_reference() {
        assert!(imitates_slots("af0 pf0 an1h0 known shop"));
        assert!(!imitates_slots("order PR12 room 4"));
    }
}
