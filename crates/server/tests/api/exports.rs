//! `weir export` and `weir labels import` as an operator runs them, beside a running service.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use domain::{LabelSource, TransactionId, TruthLabel};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::helpers::{TestApp, doubtful, spawn, transaction};

/// A folder with a ledger, and a place for files.
struct Desk {
    data: PathBuf,
    files: tempfile::TempDir,
}

impl Desk {
    fn beside(app: &TestApp) -> Self {
        Self { data: app.folder.path().to_owned(), files: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs `weir` while the service goes on answering.
    async fn weir(&self, arguments: &[&str]) -> Ran {
        let mut command = weir(&self.data);
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Ran::from(output)
    }
}

fn weir(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env_remove("WEIR_CONFIG").env("WEIR_DATA_DIR", data).stdin(Stdio::null());
    command
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Two that were cleared, two that were not.
async fn four_decisions() -> (TestApp, Desk) {
    let app = spawn().await;
    for case in [transaction("fine-1"), doubtful("odd-1"), transaction("fine-2"), doubtful("odd-2")]
    {
        assert_eq!(app.screen(case).await.status(), 200);
    }
    let desk = Desk::beside(&app);
    (app, desk)
}

fn id(text: &str) -> TransactionId {
    text.parse().unwrap()
}

/// The words of the labels of a transaction.
async fn words(app: &TestApp, transaction: &str) -> Vec<(TruthLabel, LabelSource)> {
    let labels = app.ledger.labels(&id(transaction)).await.unwrap();
    labels.iter().map(|stored| (stored.label.label, stored.label.source)).collect()
}

/// What an annotator makes of a task, in a full export.
fn annotate(task: &mut Value, choice: &str) {
    task["annotations"] = json!([{
        "completed_by": 7, "was_cancelled": false, "ground_truth": false,
        "updated_at": "2026-06-01T10:00:00.500000Z",
        "result": [{ "from_name": "label", "to_name": "case", "type": "choices",
                     "value": { "choices": [choice] } }],
    }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_annotators_say_of_exported_tasks_ends_in_the_training_lines() {
    let (app, desk) = four_decisions().await;
    let tasks = desk.path("tasks.json");
    let ran = desk.weir(&["export", "label-studio", "--out", &tasks]).await;
    assert_eq!((ran.code, ran.err.lines().last()), (0, Some("2 tasks")), "{ran:?}");
    let mut tasks: Value = serde_json::from_str(&desk.read("tasks.json")).unwrap();
    let named = |n: usize| tasks[n]["meta"]["transaction_id"].clone();
    assert_eq!((named(0), named(1)), (json!("odd-1"), json!("odd-2")));
    assert!(tasks[0]["data"]["models"].as_str().unwrap().contains("Passed on at once."));
    annotate(&mut tasks[0], "fraud");
    annotate(&mut tasks[1], "legitimate");

    let annotations = desk.write("annotations.json", &tasks.to_string());
    let dry = desk.weir(&["labels", "import", "--dry-run", &annotations]).await;
    assert!(dry.code == 0 && dry.out.contains("2 labels would be recorded"), "{dry:?}");
    assert_eq!(words(&app, "odd-1").await, []);
    let ran = desk.weir(&["labels", "import", &annotations]).await;
    assert!(ran.code == 0 && ran.out.contains("2 labels recorded, 0 known"), "{ran:?}");
    assert_eq!(words(&app, "odd-1").await, [(TruthLabel::Fraud, LabelSource::Analyst)]);
    assert_eq!(words(&app, "odd-2").await, [(TruthLabel::Legitimate, LabelSource::Analyst)]);
    let again = desk.weir(&["labels", "import", &annotations]).await;
    assert!(again.code == 0 && again.out.contains("0 labels recorded, 2 known"), "{again:?}");
    assert_eq!(words(&app, "odd-1").await.len(), 1);

    let training = desk.path("training.ndjson");
    let ran = desk.weir(&["export", "training", "--labelled", "--out", &training]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = desk.lines("training.ndjson");
    let told = |n: usize| (&lines[n]["transaction"]["id"], &lines[n]["label"]);
    assert_eq!(told(0), (&json!("odd-1"), &json!("fraud")));
    assert_eq!(told(1), (&json!("odd-2"), &json!("legitimate")));
    assert_eq!(lines[0]["label_at"], "2026-06-01T10:00:00.5Z");
    assert_eq!(lines.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn training_has_each_transaction_once_in_event_order_and_nobody_who_was_erased() {
    let (app, desk) = four_decisions().await;
    let mut early = transaction("early");
    early["timestamp"] = json!("2026-02-01T12:00:00Z");
    let mut other = transaction("other");
    other["account"]["id"] = json!("acc-2");
    for case in [early, other, transaction("fine-1")] {
        assert_eq!(app.screen(case).await.status(), 200);
    }
    app.ledger.erase_account(&"acc-2".parse().unwrap(), "asked", Timestamp::now()).await.unwrap();
    let ran = desk.weir(&["export", "training", "--out", &desk.path("all.ndjson")]).await;
    assert!(ran.err.contains("5 transactions") && ran.err.contains("1 came again"), "{ran:?}");
    assert!(ran.err.contains("1 erased were left out"), "{ran:?}");
    let lines = desk.lines("all.ndjson");
    let ids: Vec<&str> =
        lines.iter().filter_map(|line| line["transaction"]["id"].as_str()).collect();
    assert_eq!(ids, ["early", "fine-1", "odd-1", "fine-2", "odd-2"]);
    assert!(lines.iter().all(|line| line.get("label").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_have_their_label_and_an_erased_one_its_core_alone() {
    let (app, desk) = four_decisions().await;
    let mut other = doubtful("gone");
    other["account"]["id"] = json!("acc-2");
    assert_eq!(app.screen(other).await.status(), 200);
    let label = json!({ "transaction_id": "odd-1", "label": "fraud", "source": "chargeback",
                        "effective_at": "2026-03-02T00:00:00Z" });
    assert_eq!(app.post_json("/v1/labels", &label).await.status(), 200);
    app.ledger.erase_account(&"acc-2".parse().unwrap(), "asked", Timestamp::now()).await.unwrap();

    let ran = desk.weir(&["export", "decisions", "--records"]).await;
    assert_eq!((ran.code, ran.err.lines().last()), (0, Some("5 decisions")), "{ran:?}");
    let rows: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let odd = &rows[1];
    assert_eq!((&odd["transaction_id"], &odd["label"]), (&json!("odd-1"), &json!("fraud")));
    assert_eq!(odd["label_source"], "chargeback");
    assert_eq!(odd["analysis_verdict"], "fraud");
    assert_eq!(odd["record"]["facts"]["transaction"]["id"], "odd-1");
    assert_eq!(odd["response"]["outcome"], odd["outcome"]);
    let gone = &rows[4];
    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(gone), keys(odd));
    assert_eq!((&gone["erased"], &gone["outcome"]), (&json!(true), &odd["outcome"]));
    for absent in ["transaction_id", "account_id", "label", "record", "response", "policy_version"]
    {
        assert!(gone[absent].is_null(), "{absent}: {gone}");
    }
    assert!(!gone.to_string().contains("acc-2"));

    let parquet = desk.path("decisions.parquet");
    let ran = desk.weir(&["export", "decisions", "--format", "parquet", "--out", &parquet]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let bytes = fs::read(parquet).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_decisions_of_the_period_are_exported() {
    let (app, desk) = four_decisions().await;
    let page = app.ledger.decisions(ledger::DecisionFilter::default()).await.unwrap();
    let (first, third) =
        (page.items[1].decided_at.to_string(), page.items[3].decided_at.to_string());
    let ran = desk.weir(&["export", "decisions", "--since", &first, "--until", &third]).await;
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    let ran = desk.weir(&["export", "decisions", "--since", &third, "--until", &first]).await;
    assert!(ran.code == 1 && ran.err.contains("is not before --until"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_replaced_unasked_and_no_ledger_is_made_where_there_is_none() {
    let (_app, desk) = four_decisions().await;
    let out = desk.write("out.ndjson", "mine");
    let ran = desk.weir(&["export", "decisions", "--out", &out]).await;
    assert!(ran.code == 1 && ran.err.contains("--force"), "{ran:?}");
    assert_eq!(desk.read("out.ndjson"), "mine");
    let ran = desk.weir(&["export", "decisions", "--out", &out, "--force"]).await;
    assert!(ran.code == 0 && desk.lines("out.ndjson").len() == 4, "{ran:?}");

    let empty = tempfile::tempdir().unwrap();
    for arguments in [["export", "training"].as_slice(), &["labels", "import", &out]] {
        let ran = Ran::from(weir(empty.path()).args(arguments).output().unwrap());
        assert!(ran.code == 1 && ran.err.contains("there is no ledger"), "{ran:?}");
    }
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_read_enough_is_no_failure() {
    let (_app, desk) = four_decisions().await;
    for arguments in [["export", "decisions"], ["export", "training"], ["export", "label-studio"]] {
        let mut command = weir(&desk.data);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_labels_are_imported_and_what_cannot_be_is_reported() {
    let (app, desk) = four_decisions().await;
    let lines = [
        r#"{"transaction_id":"odd-1","label":"fraud"}"#,
        r#"{"transaction_id":"odd-1","label":"fraud","source":"customer","effective_at":"2026-03-02T00:00:00Z"}"#,
        r#"{"transaction_id":"nobody","label":"fraud"}"#,
        r#"{"transaction_id":"odd-2","label":"perhaps"}"#,
        r#"{"transaction_id":"odd-2","label":"fraud"}"#,
        r#"{"transaction_id":"odd-2","label":"fraud","reversed":true}"#,
    ];
    let file = desk.write("labels.ndjson", &lines.join("\n"));
    let import = ["labels", "import", "--source", "chargeback", &file];
    let ran = desk.weir(&import).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.contains("4 labels recorded, 0 known already, 1 of unknown"), "{ran:?}");
    assert!(ran.out.contains("line 3: no transaction nobody is on record"), "{ran:?}");
    assert!(ran.out.contains("line 4: /label: must be one of fraud legitimate"), "{ran:?}");
    let fraud = |source| (TruthLabel::Fraud, source);
    let known = [fraud(LabelSource::Chargeback), fraud(LabelSource::Customer)];
    assert_eq!(words(&app, "odd-1").await, known);
    let reversal = app.ledger.labels(&id("odd-2")).await.unwrap();
    assert_eq!(reversal.iter().map(|l| l.label.reversed).collect::<Vec<_>>(), [false, true]);
    let again = desk.weir(&["labels", "import", "--source", "chargeback", &file]).await;
    assert_eq!(words(&app, "odd-1").await, known, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_sent_to_a_running_service_count_at_once() {
    let (app, desk) = four_decisions().await;
    let lines = [
        r#"{"transaction_id":"odd-1","label":"fraud","effective_at":"2026-03-02T00:00:00Z"}"#,
        r#"{"transaction_id":"nobody","label":"fraud"}"#,
    ];
    let file = desk.write("labels.ndjson", &lines.join("\n"));
    let ran = desk.weir(&["labels", "import", "--url", &app.address, &file]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.contains("1 labels recorded") && ran.out.contains("line 2: no"), "{ran:?}");
    assert_eq!(words(&app, "odd-1").await, [(TruthLabel::Fraud, LabelSource::Analyst)]);
    let mut later = transaction("later");
    later["timestamp"] = json!("2026-03-03T12:00:00Z");
    app.screen(later).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen.last().unwrap().contains("frauds 1"), "{seen:?}");

    let elsewhere = format!("{}/elsewhere", app.address);
    let ran = desk.weir(&["labels", "import", "--url", &elsewhere, &file]).await;
    assert!(ran.out.contains("0 labels recorded"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_something_else_or_gone_ends_the_import() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_app, desk) = four_decisions().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let file = desk.write("labels.ndjson", r#"{"transaction_id":"odd-1","label":"fraud"}"#);
    let other = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let answer =
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\ncontent-type: text/html\r\n\r\nnone";
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let import = ["labels", "import", "--url", &address, &file];
    let (ran, ()) = tokio::join!(desk.weir(&import), other);
    assert!(ran.code == 1 && ran.err.contains("does not look like this service"), "{ran:?}");
    assert!(ran.out.contains("0 labels recorded"), "{ran:?}");
    drop(listener);
    let ran = desk.weir(&import).await;
    assert!(ran.code == 1 && ran.err.contains("refused"), "{ran:?}");
}
