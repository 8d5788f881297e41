//! The chain finds what was altered; erasure and retention leave it whole.

use ledger::{
    DeliveryState, Ledger, LedgerError, NewNote, NewPolicy, NoteKind, PageRequest, Reservation,
    Verification,
};

use crate::support::{
    Bench, at, completion, decision, decision_id, event, key, keyed, label, promising,
    transaction_id,
};

async fn verified(ledger: &Ledger) -> Verification {
    ledger.verify(|_| {}).await.unwrap()
}

/// Of every kind a few.
async fn fill(ledger: &Ledger) {
    for n in 0..20 {
        ledger.append(promising(n)).await.unwrap();
        ledger.append_label(label(n, 0, false)).await.unwrap();
    }
    for n in 0..10 {
        ledger.append_completion(completion(n)).await.unwrap();
    }
    let reference = domain::PolicyRef { version: "1".into(), sha256: "ab".into() };
    let policy = NewPolicy {
        reference,
        document: "version = 1".into(),
        author: "ana".into(),
        recorded_at: at(5),
    };
    ledger.append_policy(policy).await.unwrap();
    ledger.append_note(note(3)).await.unwrap();
    ledger.append_events((100..110).map(event).collect()).await.unwrap();
}

fn note(n: u32) -> NewNote {
    let kind = NoteKind::Shadow;
    NewNote { decision_id: decision_id(n), kind, recorded_at: at(7), record: "{}".into() }
}

async fn an_untouched_chain_verifies(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    assert_eq!(verified(&ledger).await.entries, 0);
    fill(&ledger).await;
    ledger.close().await;
    let ledger = bench.open().await.unwrap();
    let mut heard = None;
    let verification = ledger.verify(|seen| heard = Some(*seen)).await.unwrap();
    assert_eq!((verification.entries, verification.fault_count), (52, 0), "{verification:?}");
    assert_eq!((verification.unchained, verification.erased), (0, 0));
    assert_eq!(heard.unwrap().hash, verification.head);
    ledger.close().await;
}

async fn every_kind_of_tampering_is_found(mut bench: Bench) {
    let tampering = [
        ("a core column", "UPDATE decisions SET outcome = 'approve' WHERE seq = 7"),
        ("a score's last digit", "UPDATE decisions SET score = score + 1e-15 WHERE seq = 7"),
        ("content", "UPDATE decisions SET response = '{}' WHERE seq = 7"),
        ("content and its salt", "UPDATE decisions SET response = '{}', salt = NULL WHERE seq = 7"),
        (
            "a completion",
            "UPDATE completions SET record = 'x' WHERE seq = (SELECT min(seq) FROM completions)",
        ),
        ("a label's truth", "UPDATE labels SET label = 'legitimate' WHERE seq = 8"),
        ("a policy", "UPDATE policies SET document = 'version = 2'"),
        ("an author", "UPDATE policies SET author = 'eve'"),
        ("a missing entry", "DELETE FROM labels WHERE seq = 8"),
        ("a missing first entry", "DELETE FROM decisions WHERE seq = 1"),
        ("a missing last entry", "DELETE FROM notes"),
        (
            "a swapped pair",
            "UPDATE labels SET seq = 1000 WHERE seq = 8; UPDATE labels SET seq = 8 WHERE seq = 10; \
             UPDATE labels SET seq = 10 WHERE seq = 1000",
        ),
        ("another head", "UPDATE sequence SET head = head - 1"),
        (
            "another hash of the head",
            "UPDATE sequence SET head_hash = (SELECT hash FROM decisions WHERE seq = 1)",
        ),
        (
            "content gone without an erasure",
            "UPDATE decisions SET transaction_id = NULL, account_id = NULL, record = NULL, \
             response = NULL, salt = NULL WHERE seq = 7",
        ),
        ("an entry beyond the end", "UPDATE notes SET seq = seq + 1000"),
        (
            "an entry put behind the end",
            "INSERT INTO labels (seq, label, source, effective_at, reversed, recorded_at, \
             transaction_id) SELECT 1000, label, source, effective_at, reversed, recorded_at, \
             transaction_id FROM labels WHERE seq = 8",
        ),
        ("all said to be older than the chain", "UPDATE sequence SET unchained_until = last"),
        ("a digest taken out", "UPDATE decisions SET digest = NULL WHERE seq = 7"),
        ("a hash taken out", "UPDATE decisions SET hash = NULL WHERE seq = 7"),
        ("a floor of nobody's", "UPDATE sequence SET floor = 9"),
    ];
    let ledger = bench.open().await.unwrap();
    fill(&ledger).await;
    assert_eq!(verified(&ledger).await.fault_count, 0);
    let tables = ["decisions", "completions", "labels", "policies", "notes", "sequence"];
    // Statements that do not depend on earlier ones: each starts from a copy.
    for table in tables {
        let copy = format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}");
        bench.execute(copy.leak()).await.unwrap();
    }
    for (what, statement) in tampering {
        bench.tamper(statement).await;
        let verification = verified(&ledger).await;
        assert!(verification.fault_count > 0, "{what}: {verification:?}");
        for table in tables {
            let restore =
                format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM copy_of_{table}");
            bench.tamper(&restore).await;
        }
        assert_eq!(verified(&ledger).await.fault_count, 0, "after {what}");
    }
    ledger.close().await;
}

async fn an_erased_account_leaves_no_word_and_a_whole_chain(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    fill(&ledger).await;
    let mut other = decision(50);
    other.account_id = "acc-2".parse().unwrap();
    ledger.append(other).await.unwrap();
    let account = "acc-1".parse().unwrap();
    let erased = ledger.erase_account(&account, "asked for", at(2000)).await.unwrap();
    assert_eq!((erased.decisions, erased.labels, erased.events), (20, 20, 10));

    let verification = verified(&ledger).await;
    assert_eq!(verification.fault_count, 0, "{verification:?}");
    // 20 decisions, 20 labels, 10 completions, 1 note.
    assert_eq!(verification.erased, 51);
    let stored = ledger.decision(decision_id(3)).await.unwrap().unwrap();
    assert!(stored.is_erased());
    assert_eq!(stored.outcome.as_str(), "decline");
    assert!(!ledger.has_transaction(&transaction_id(3)).await.unwrap());
    assert!(ledger.labels(&transaction_id(3)).await.unwrap().is_empty());
    assert!(ledger.notes(decision_id(3)).await.unwrap().is_empty());
    assert_eq!(ledger.pending().await.unwrap().count, 0);
    assert_eq!(ledger.deliveries_waiting().await.unwrap(), 0);
    assert!(!ledger.decision(decision_id(50)).await.unwrap().unwrap().is_erased());
    let late = ledger.append_completion(completion(15)).await;
    assert!(matches!(late, Err(LedgerError::Erased(_))), "{late:?}");
    assert!(matches!(ledger.append_note(note(3)).await, Err(LedgerError::Erased(_))));
    let again = ledger.erase_account(&account, "asked for", at(2000)).await.unwrap();
    assert_eq!((again.decisions, again.labels, again.events), (0, 0, 0));
    assert_eq!(verified(&ledger).await.fault_count, 0);
    ledger.close().await;
}

async fn retention_removes_the_old_and_the_chain_verifies_from_there(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    for n in 0..30 {
        ledger.append(decision(n)).await.unwrap();
    }
    let reference = domain::PolicyRef { version: "1".into(), sha256: "ab".into() };
    let document = "version = 1".to_owned();
    let policy = NewPolicy { reference, document, author: "ana".into(), recorded_at: at(5) };
    ledger.append_policy(policy).await.unwrap();
    for n in 30..60 {
        ledger.append(decision(n)).await.unwrap();
    }
    let retained = ledger.apply_retention(at(40)).await.unwrap();
    assert_eq!(retained.decisions, 40);
    let verification = verified(&ledger).await;
    // Twenty decisions and the checkpoint.
    assert_eq!((verification.entries, verification.fault_count), (21, 0), "{verification:?}");
    assert_eq!(ledger.decision(decision_id(39)).await.unwrap(), None);
    assert!(ledger.decision(decision_id(40)).await.unwrap().is_some());
    assert!(ledger.policy("ab").await.unwrap().is_some());

    assert_eq!(ledger.apply_retention(at(40)).await.unwrap().decisions, 0);
    assert_eq!(ledger.apply_retention(at(50)).await.unwrap().decisions, 10);
    assert_eq!(verified(&ledger).await.fault_count, 0);
    bench.tamper("UPDATE policies SET author = 'eve'").await;
    assert!(verified(&ledger).await.fault_count > 0, "what is kept is covered too");
    ledger.close().await;
}

async fn retention_keeps_what_is_owed_and_all_after_it(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    for n in 0..10 {
        let new = if n == 4 { promising(n) } else { decision(n) };
        ledger.append(new).await.unwrap();
    }
    assert_eq!(ledger.apply_retention(at(100)).await.unwrap().decisions, 4);
    assert_eq!(ledger.pending().await.unwrap().count, 1);
    ledger.append_completion(completion(4)).await.unwrap();
    assert_eq!(ledger.apply_retention(at(2000)).await.unwrap().decisions, 6);
    assert_eq!(verified(&ledger).await.fault_count, 0);
    ledger.close().await;
}

async fn retention_goes_past_a_stretch_without_entries_and_ends(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(promising(1)).await.unwrap();
    ledger.append_completion(completion(1)).await.unwrap();
    // Two dead letters and a settled key, all of decisions that go.
    for endpoint in ["first", "second"] {
        let delivery = ledger.claim_deliveries(endpoint, 1).await.unwrap().remove(0);
        ledger.undelivered(delivery.id, "gone".into(), None).await.unwrap();
    }
    let k = key("k", 1);
    ledger.append(keyed(2, &k)).await.unwrap();
    ledger.append_events((1000..14_000).map(event).collect()).await.unwrap();
    ledger.append(decision(3)).await.unwrap();
    let before = at(1_000_000);
    let retained = ledger.apply_retention(before).await.unwrap();
    assert_eq!((retained.decisions, retained.events), (3, 13_000));
    let dead = ledger.deliveries(DeliveryState::Dead, PageRequest::default()).await.unwrap();
    assert!(dead.items.is_empty());
    assert_eq!(ledger.reserve(&k).await.unwrap(), Reservation::Reserved);
    ledger.append(keyed(4, &k)).await.unwrap();
    assert_eq!(verified(&ledger).await.fault_count, 0);

    ledger.apply_retention(before).await.unwrap();
    let entries = verified(&ledger).await.entries;
    ledger.apply_retention(before).await.unwrap();
    assert_eq!(verified(&ledger).await.entries, entries, "nothing to remove, nothing to say");
    ledger.close().await;
}

async fn a_letter_that_dies_after_its_decision_went_goes_with_the_next(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(promising(1)).await.unwrap();
    ledger.append_completion(completion(1)).await.unwrap();
    ledger.append(decision(2)).await.unwrap();
    ledger.append(decision(2000)).await.unwrap();
    assert_eq!(ledger.apply_retention(at(1500)).await.unwrap().decisions, 2);
    assert_eq!(ledger.deliveries_waiting().await.unwrap(), 2, "to be tried still");
    for endpoint in ["first", "second"] {
        let delivery = ledger.claim_deliveries(endpoint, 1).await.unwrap().remove(0);
        ledger.undelivered(delivery.id, "gone".into(), None).await.unwrap();
    }
    assert_eq!(ledger.apply_retention(at(3000)).await.unwrap().decisions, 1);
    let dead = ledger.deliveries(DeliveryState::Dead, PageRequest::default()).await.unwrap();
    assert!(dead.items.is_empty());
    ledger.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_a_fault_with_its_place() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    fill(&ledger).await;
    bench.tamper("UPDATE decisions SET record = CAST(X'ff' AS TEXT) WHERE seq = 7").await;
    let verification = verified(&ledger).await;
    assert_eq!(verification.fault_count, 1, "{verification:?}");
    assert_eq!(verification.faults[0].seq, 7);
    ledger.close().await;
}

#[tokio::test]
async fn erased_words_are_overwritten_in_the_file_and_its_log() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    let mut new = decision(1);
    new.record = format!("{{\"name\":\"Maria Sklodowska\",\"more\":\"{}\"}}", "x".repeat(20_000));
    ledger.append(new).await.unwrap();
    let holds = |path: std::path::PathBuf| {
        std::fs::read(path).unwrap().windows(10).any(|word| word == b"Sklodowska")
    };
    let log = bench.path().with_extension("sqlite-wal");
    assert!(holds(log.clone()));
    ledger.erase_account(&"acc-1".parse().unwrap(), "asked for", at(1)).await.unwrap();
    assert!(!holds(bench.path()) && !holds(log), "while the ledger is in use");
    ledger.close().await;
    assert!(!holds(bench.path()));
}

on_both_stores!(
    a_letter_that_dies_after_its_decision_went_goes_with_the_next,
    retention_goes_past_a_stretch_without_entries_and_ends,
    an_untouched_chain_verifies,
    every_kind_of_tampering_is_found,
    an_erased_account_leaves_no_word_and_a_whole_chain,
    retention_removes_the_old_and_the_chain_verifies_from_there,
    retention_keeps_what_is_owed_and_all_after_it,
);
