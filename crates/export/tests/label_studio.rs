//! Tasks out, annotations back.

#![allow(clippy::unwrap_used)]

mod common;

use common::{erased, full};
use domain::{Reason, ReasonCode, Score, TruthLabel, Verdict};
use export::{
    DecisionRow, ExportError,
    label_studio::{CONFIG, Case, ImportedLabels, TaskWriter, import},
};
use serde_json::{Value, json};

fn transaction() -> Value {
    json!({
        "id": "tx-1", "timestamp": "2026-05-28T20:26:40Z", "amount": "12.34", "currency": "EUR",
        "type": "card_payment", "account": { "id": "acc-Ü", "country": "DE" },
        "counterparty": { "id": "shop-1", "name": "Corner <b>Shop</b>" },
        "memo": "line one\nline two", "attributes": { "basket": 3, "gift": true },
    })
}

fn tasks(rows: &[DecisionRow], blind: bool) -> Vec<Value> {
    let transaction = transaction();
    let reasons = [Reason { code: ReasonCode::NewDevice.into(), detail: "never seen".into() }];
    let mut writer = TaskWriter::new(Vec::new(), blind).unwrap();
    for row in rows {
        let narrative = Some("A new device.");
        let case = Case { row, transaction: &transaction, reasons: &reasons, narrative };
        writer.write(&case).unwrap();
    }
    serde_json::from_slice(&writer.finish().unwrap()).unwrap()
}

fn read(export: &Value) -> ImportedLabels {
    import(export.to_string().as_bytes()).unwrap()
}

fn annotation(choice: &str, annotator: u32) -> Value {
    json!({
        "id": annotator, "completed_by": annotator, "was_cancelled": false, "ground_truth": false,
        "created_at": "2026-06-01T10:00:00.000000Z",
        "updated_at": format!("2026-06-01T10:00:{annotator:02}.5Z"),
        "result": [
            { "from_name": "note", "to_name": "case", "type": "textarea",
              "value": { "text": ["looks odd"] } },
            { "from_name": "label", "to_name": "case", "type": "choices",
              "value": { "choices": [choice] } },
        ],
    })
}

/// The tasks as Label Studio exports them (`JSON`), each with these annotations.
fn annotated(tasks: &[Value], annotations: &[Value]) -> Value {
    let export = |(index, task): (usize, &Value)| {
        let mut task = task.clone();
        task["id"] = json!(index + 1);
        task["annotations"] = annotations.into();
        task
    };
    tasks.iter().enumerate().map(export).collect()
}

#[test]
fn a_task_shows_what_an_annotator_needs_in_flat_fields() {
    let task = &tasks(&[full(1)], false)[0];
    let data = task["data"].as_object().unwrap();
    assert!(data.values().all(Value::is_string), "{data:?}");
    assert_eq!(data["transaction_id"], "tx-1");
    assert_eq!(data["counterparty_name"], "Corner <b>Shop</b>");
    assert_eq!(data["attributes"], "basket = 3, gift = true");
    assert_eq!(data["device_ip"], "");
    let case = data["case"].as_str().unwrap();
    assert!(case.contains("Amount: 12.34") && case.contains("line two"), "{case}");
    assert!(!case.contains("Network address"), "{case}");
    let models = data["models"].as_str().unwrap();
    for part in ["review", "NEW_DEVICE: never seen", "Verdict: suspicious", "A new device."] {
        assert!(models.contains(part), "{models}");
    }
    let meta = json!({ "decision_id": data["decision_id"], "transaction_id": "tx-1" });
    assert_eq!(task["meta"], meta);
}

#[test]
fn the_prediction_is_a_choice_of_the_labelling_interface() {
    let prediction = |row: DecisionRow| tasks(&[row], false)[0]["predictions"][0].clone();
    let suspicious = prediction(full(1));
    assert_eq!(suspicious["model_version"], "analysis 1.2.0");
    assert_eq!(suspicious["score"], 0.875);
    assert_eq!(
        suspicious["result"],
        json!([{ "from_name": "label", "to_name": "case", "type": "choices",
                 "value": { "choices": ["fraud"] } }])
    );
    let low = Score::new(0.25).unwrap();
    let clear = prediction(DecisionRow {
        score: low,
        analysis_verdict: None,
        analysis_package: None,
        ..full(1)
    });
    assert_eq!(clear["model_version"], "screening 1.2.0");
    assert_eq!(clear["score"], 0.75);
    assert_eq!(clear["result"][0]["value"]["choices"][0], "legitimate");
    let verdict = Some(Verdict::Fraud);
    let overruled = prediction(DecisionRow { score: low, analysis_verdict: verdict, ..full(1) });
    assert_eq!(overruled["result"][0]["value"]["choices"][0], "fraud");
}

#[test]
fn the_labelling_interface_shows_only_what_every_task_has() {
    for blind in [false, true] {
        let task = &tasks(&[full(1)], blind)[0];
        let shown: Vec<&str> =
            CONFIG.split("value=\"$").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(shown, ["headline", "case", "models"]);
        for field in shown {
            assert!(task["data"][field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
    }
    for word in ["name=\"label\"", "toName=\"case\"", "\"fraud\"", "\"legitimate\"", "\"unsure\""] {
        assert!(CONFIG.contains(word), "{word}");
    }
}

#[test]
fn a_blind_task_tells_nothing_of_the_models() {
    let text = tasks(&[full(1)], true)[0].to_string();
    for part in ["predictions", "NEW_DEVICE", "suspicious", "0.875", "review"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
fn an_erased_decision_is_no_task() {
    assert_eq!(tasks(&[erased(1), full(2)], false).len(), 1);
    assert!(tasks(&[], false).is_empty());
}

#[test]
fn what_was_exported_comes_back_as_labels() {
    let tasks = tasks(&[full(1), full(2)], false);
    let imported = read(&annotated(&tasks, &[annotation("fraud", 4)]));
    let lines: Vec<Value> =
        imported.labels.iter().map(|label| serde_json::to_value(label).unwrap()).collect();
    let line = |id: &str| {
        json!({ "transaction_id": id, "label": "fraud", "source": "analyst",
                "effective_at": "2026-06-01T10:00:04.5Z" })
    };
    assert_eq!(lines, [line("tx-1"), line("tx-2")]);
    assert_eq!((imported.items, imported.bad_count, imported.contested), (2, 0, 0));
}

#[test]
fn the_short_export_says_the_same() {
    let short = |annotator: u32, label: Value| {
        let mut item = tasks(&[full(1)], false)[0]["data"].clone();
        item["id"] = json!(1);
        item["label"] = label;
        item["annotator"] = json!(annotator);
        item["annotation_id"] = json!(annotator);
        item["created_at"] = json!("2026-06-01T10:00:00.000000Z");
        item["updated_at"] = json!(format!("2026-06-01T10:00:{annotator:02}.5Z"));
        item["lead_time"] = json!(4.2);
        item
    };
    let imported = read(&json!([
        short(4, json!("fraud")),
        short(5, json!({ "choices": ["fraud"] })),
        short(6, json!("legitimate")),
    ]));
    let votes = ["fraud", "fraud", "legitimate"].iter().zip(4..);
    let votes: Vec<Value> = votes.map(|(choice, who)| annotation(choice, who)).collect();
    let full = read(&annotated(&tasks(&[full(1)], false), &votes));
    assert_eq!(imported.labels, full.labels);
    assert_eq!((imported.contested, full.contested), (1, 1));
    assert_eq!(imported.labels[0].effective_at.to_string(), "2026-06-01T10:00:05.5Z");
}

#[test]
fn skipped_empty_and_unsure_annotations_are_no_labels() {
    let mut skipped = annotation("fraud", 1);
    skipped["was_cancelled"] = json!(true);
    let mut empty = annotation("fraud", 2);
    empty["result"] = json!([]);
    let annotations = [skipped, empty, annotation("unsure", 3)];
    let imported = read(&annotated(&tasks(&[full(1)], false), &annotations));
    assert!(imported.labels.is_empty() && imported.bad.is_empty());
    assert_eq!((imported.cancelled, imported.empty, imported.undecided), (1, 1, 1));
}

#[test]
fn annotators_who_disagree_are_reported() {
    let tasks = tasks(&[full(1)], false);
    let tie = read(&annotated(&tasks, &[annotation("fraud", 1), annotation("legitimate", 2)]));
    assert!(tie.labels.is_empty());
    assert_eq!(tie.ties[0].to_string(), "item 0: tx-1: 1 for fraud and 1 for legitimate");
    let mut truth = annotation("legitimate", 2);
    truth["ground_truth"] = json!(true);
    let settled = read(&annotated(&tasks, &[annotation("fraud", 1), truth]));
    assert_eq!(settled.labels[0].label, TruthLabel::Legitimate);
}

#[test]
fn what_makes_no_sense_is_reported_with_its_place_and_the_rest_is_read() {
    let good = annotated(&tasks(&[full(1)], false), &[annotation("fraud", 1)])[0].clone();
    let with = |annotation: Value| {
        let mut task = good.clone();
        task["annotations"] = json!([annotation]);
        task
    };
    let mut two = annotation("fraud", 1);
    two["result"][1]["value"]["choices"] = json!(["fraud", "legitimate"]);
    let mut untimed = annotation("fraud", 1);
    untimed["updated_at"] = json!("yesterday");
    let imported = read(&json!([
        3,
        { "annotations": [], "data": { "text": "someone else's" } },
        with(annotation("maybe", 1)),
        with(two),
        with(untimed),
        good,
    ]));
    let bad: Vec<String> = imported.bad.iter().map(ToString::to_string).collect();
    assert_eq!(
        bad,
        [
            "item 0: is not an object",
            "item 1: has no transaction_id: it is not one of Weir's tasks",
            "item 2: an annotation \"maybe\" is no choice of Weir's",
            "item 3: an annotation has 2 choices",
            "item 4: an annotation \"yesterday\" is not a time",
        ]
    );
    assert_eq!(imported.labels.len(), 1);
}

#[test]
fn bad_items_are_listed_up_to_a_bound_and_all_counted() {
    let imported = read(&json!(vec![1; 1000]));
    assert_eq!((imported.bad.len(), imported.bad_count), (100, 1000));
}

#[test]
fn what_is_no_list_is_no_export() {
    for text in ["", "{}", "[{}", "[] []", "\"x\""] {
        let error = import(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ExportError::NotAnExport(_)), "{text}: {error:?}");
    }
}
