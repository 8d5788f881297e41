//! The short way through word pieces gives what the library gives, whatever the text.

use std::{fs, sync::LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Enough pieces to be split in many ways, too few to know every character.
const PIECES: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "amt", "amt1", "amt12", "pay", "PAY",
    "##a", "##b", "##1", "##12", "##3", "##pay", "1", "12", "-", "[", "]", "«", "cafe", "##e",
    "straße", "ss", "i", "##i", "̈", "漢", "字", "##字", "sep", "unk", "mask", "x", "##x", "ſ", "σ",
    "##σ", "##ς", ".", "##.", "pad",
];

fn file(change: impl FnOnce(&mut Value)) -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        PIECES.iter().zip(0..).map(|(piece, id)| ((*piece).to_owned(), json!(id))).collect();
    let special = |id: usize| {
        json!({"id": id, "content": PIECES[id], "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    let template = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}
    });
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": (0..5).map(special).collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 12, "vocab": vocabulary}
    });
    change(&mut file);
    file
}

fn encoder(file: &Value, max_tokens: usize) -> TextEncoder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, file.to_string()).unwrap();
    TextEncoder::load(&path, max_tokens, PIECES.len() + 8).unwrap()
}

/// The same tokenizer, but the long way.
fn whole(file: &Value, max_tokens: usize) -> TextEncoder {
    let mut encoder = encoder(file, max_tokens);
    let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
    encoder.tokenizer.inner.with_truncation(Some(truncation)).unwrap();
    encoder.word_pieces = None;
    encoder
}

/// Tokenizers that differ in everything the short way must heed.
fn variants() -> Vec<Value> {
    vec![
        file(|_| {}),
        file(|file| file["normalizer"]["lowercase"] = json!(false)),
        file(|file| file["normalizer"]["clean_text"] = json!(false)),
        file(|file| file["normalizer"]["handle_chinese_chars"] = json!(false)),
        file(|file| file["normalizer"]["strip_accents"] = json!(false)),
        file(|file| file["model"]["continuing_subword_prefix"] = json!("")),
        file(|file| file["model"]["max_input_chars_per_word"] = json!(3)),
        // Controls that the vocabulary knows as ordinary words.
        file(|file| {
            for id in [8, 9, 12] {
                let mut token = file["added_tokens"][0].clone();
                token["id"] = json!(id);
                token["content"] = json!(PIECES[id]);
                file["added_tokens"].as_array_mut().unwrap().push(token);
            }
        }),
        file(|file| {
            file["post_processor"] =
                json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
        }),
    ]
}

/// Each variant the short way and the long way, at several lengths.
static PAIRS: LazyLock<Vec<(TextEncoder, TextEncoder)>> = LazyLock::new(|| {
    let lengths = [3, 7, 64];
    let cases =
        variants().into_iter().flat_map(|file| lengths.map(|length| (file.clone(), length)));
    cases.map(|(file, length)| (encoder(&file, length), whole(&file, length))).collect()
});

fn assert_same(text: &str) {
    for (n, (short, long)) in PAIRS.iter().enumerate() {
        assert!(short.word_pieces.is_some(), "pair {n} does not go the short way");
        assert_eq!(short.encode(text).unwrap(), long.encode(text).unwrap(), "pair {n}: {text:?}");
    }
}

#[test]
fn awkward_texts_encode_as_the_library_encodes_them() {
    for text in [
        "",
        " ",
        "  amt12   pay ",
        "AMT12 Pay PAY pay.pay [SEP] [UNK][PAD] ##a a##b",
        "amt123 amt1233a unknownword aaaaaaaaaaaaaaaaaaaaaa",
        "café CAFÉ cafe\u{301} \u{301}cafe a \u{301}\u{308}b",
        "a\tb\nc\r\n a\u{0}b a\u{7f}b \u{1f}",
        "漢字pay漢 字a",
        "İi ſs straße STRASSE ΣΑΣ ας",
        "\u{a0}a\u{2003}b\u{3000}a a\u{200b}b \u{feff}pay \u{fffd}a",
        "«pay» “a” –b— ¡1!",
        "👩\u{200d}👩 pay\u{e0001} \u{10ffff}",
    ] {
        assert_same(text);
    }
}

#[test]
fn other_tokenizers_go_the_long_way() {
    for other in [
        file(|file| file["normalizer"] = json!({"type": "Lowercase"})),
        file(|file| file["normalizer"] = Value::Null),
        file(|file| file["pre_tokenizer"] = json!({"type": "Whitespace"})),
        file(|file| file["added_tokens"][4]["special"] = json!(false)),
        file(|file| file["post_processor"]["single"][2]["SpecialToken"]["type_id"] = json!(1)),
        file(|file| {
            let twice = file["post_processor"]["single"][1].clone();
            file["post_processor"]["single"].as_array_mut().unwrap().push(twice);
        }),
    ] {
        let encoder = encoder(&other, 8);
        assert!(encoder.word_pieces.is_none());
        assert_eq!(
            encoder.encode("amt12 pay").unwrap(),
            whole(&other, 8).encode("amt12 pay").unwrap()
        );
    }
}

/// Words that the vocabulary knows, nearly knows, or cannot know, and whatever else there is.
fn texts() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(PIECES).prop_map(ToOwned::to_owned),
        "[ab123xiPAY]{1,14}",
        "[!-~]{1,8}",
        "\\PC{0,6}",
        proptest::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter),
    ];
    let gap = proptest::sample::select(vec![" ", " ", "  ", "", "\t", "\u{a0}", "\u{301}"]);
    proptest::collection::vec((word, gap), 0..12).prop_map(|parts| {
        parts.into_iter().flat_map(|(word, gap)| [word, gap.to_owned()]).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_encodes_as_the_library_encodes_it(text in texts()) {
        assert_same(&text);
    }
}
