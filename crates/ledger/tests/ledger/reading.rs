use domain::Outcome;
use jiff::Timestamp;
use ledger::{DecisionFilter, Entry, Ledger, NewLabel, Origin};

use crate::support::{
    Bench, at, completion, decision, decision_id, event, label, provisional, transaction_id,
};

/// The numbers of all decisions that pass, read page by page.
async fn walk(ledger: &Ledger, mut filter: DecisionFilter) -> Vec<u128> {
    let mut found = Vec::new();
    loop {
        let page = ledger.decisions(filter.clone()).await.unwrap();
        assert!(page.items.len() <= filter.limit);
        assert!(!page.items.is_empty() || page.next.is_none());
        found.extend(page.items.iter().map(|d| d.decision_id.0.as_u128()));
        // Through text and back, as callers hand it.
        let Some(next) = page.next else { return found };
        filter.cursor = Some(next.to_string().parse().unwrap());
    }
}

async fn pages_are_complete_without_gaps(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    for n in 0..40 {
        ledger.append(decision(n)).await.unwrap();
        // Leaves gaps in the sequence.
        ledger.append_events(vec![event(n)]).await.unwrap();
        assert!(ledger.append(decision(n)).await.is_err());
    }
    for limit in [1, 7, 20, 40, 41] {
        let all = DecisionFilter { limit, ..DecisionFilter::default() };
        assert_eq!(walk(&ledger, all.clone()).await, (0..40).collect::<Vec<_>>(), "{limit}");

        let declined = DecisionFilter { outcome: Some(Outcome::Decline), ..all.clone() };
        let expected = (0..40).filter(|n| n % 4 == 3);
        assert_eq!(walk(&ledger, declined.clone()).await, expected.collect::<Vec<_>>());

        let late = DecisionFilter { since: Some(at(30)), ..all };
        assert_eq!(walk(&ledger, late).await, (30..40).collect::<Vec<_>>());

        let late_declined = DecisionFilter { since: Some(at(30)), ..declined };
        assert_eq!(walk(&ledger, late_declined).await, [31, 35, 39]);
    }
    let never = DecisionFilter { since: Some(at(1000)), ..DecisionFilter::default() };
    assert!(walk(&ledger, never).await.is_empty());
    ledger.close().await;
}

async fn pages_of_an_outcome_are_those_of_all_without_the_others(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    // Recorded late, after its completion.
    ledger.append_completion(completion(20)).await.unwrap();
    for n in 0..40 {
        let mut new = if n % 5 == 0 { provisional(n) } else { decision(n) };
        new.account_id = format!("acc-{}", n % 3).parse().unwrap();
        ledger.append(new).await.unwrap();
        if n % 5 == 0 && n != 20 {
            ledger.append_completion(completion(n)).await.unwrap();
        }
    }
    let check = async |filter: DecisionFilter| {
        let any = DecisionFilter { outcome: None, limit: 1000, ..filter.clone() };
        let items = ledger.decisions(any).await.unwrap().items;
        for outcome in Outcome::ALL {
            let expected: Vec<_> = items.iter().filter(|d| d.outcome == *outcome).collect();
            let expected: Vec<_> = expected.iter().map(|d| d.decision_id.0.as_u128()).collect();
            for limit in [1, 3, 100] {
                let filter = DecisionFilter { outcome: Some(*outcome), limit, ..filter.clone() };
                assert_eq!(walk(&ledger, filter.clone()).await, expected, "{filter:?}");
            }
        }
    };
    let all = DecisionFilter::default();
    check(all.clone()).await;
    check(DecisionFilter { since: Some(at(11)), until: Some(at(31)), ..all.clone() }).await;
    check(DecisionFilter { account_id: Some("acc-1".parse().unwrap()), ..all.clone() }).await;
    check(DecisionFilter { transaction_id: Some(transaction_id(20)), ..all.clone() }).await;
    ledger.apply_retention(at(15)).await.unwrap();
    check(all).await;
    ledger.close().await;
}

async fn the_limit_is_clamped(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    for n in 0..3 {
        ledger.append(decision(n)).await.unwrap();
    }
    for (limit, count) in [(0, 1), (usize::MAX, 3)] {
        let filter = DecisionFilter { limit, ..DecisionFilter::default() };
        assert_eq!(ledger.decisions(filter).await.unwrap().items.len(), count);
    }
    ledger.close().await;
}

async fn the_last_decision_of_a_transaction_is_found(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let id = transaction_id(1);
    assert_eq!(ledger.decision_by_transaction(&id).await.unwrap(), None);
    assert_eq!(ledger.transaction(&id).await.unwrap(), None);

    ledger.append_events(vec![event(1)]).await.unwrap();
    let observed = ledger.transaction(&id).await.unwrap().unwrap();
    assert_eq!((observed.origin, observed.record), (Origin::Event, event(1).record));

    ledger.append(decision(1)).await.unwrap();
    let mut again = decision(2);
    again.decision.transaction_id = id.clone();
    ledger.append(again.clone()).await.unwrap();
    let last = ledger.decision_by_transaction(&id).await.unwrap().unwrap();
    assert_eq!(last.decision_id, decision_id(2));
    let decided = ledger.transaction(&id).await.unwrap().unwrap();
    assert_eq!((decided.origin, decided.record), (Origin::Decision, again.record));
    ledger.close().await;
}

/// What a replay gives, in short: `d` decided, `e` observed, `l` labelled.
async fn replay(ledger: &Ledger, since: Timestamp) -> Vec<String> {
    let mut replay = ledger.replay_since(since).await.unwrap();
    let mut found = Vec::new();
    let mut last = 0;
    loop {
        let page = replay.next_page().await.unwrap();
        if page.is_empty() {
            return found;
        }
        for entry in page {
            assert!(entry.seq() > last);
            last = entry.seq();
            found.push(match entry {
                Entry::Transaction(t) => {
                    let origin = if t.origin == Origin::Decision { 'd' } else { 'e' };
                    format!("{origin} {}", t.transaction_id)
                }
                Entry::Label(l) => format!("l {}", l.transaction_id),
            });
        }
    }
}

async fn a_replay_gives_everything_in_the_order_of_recording(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    assert!(replay(&ledger, Timestamp::UNIX_EPOCH).await.is_empty());
    ledger.append(decision(100)).await.unwrap();
    ledger.append_label(label(100, 300, false)).await.unwrap();
    ledger.append_events(vec![event(200), event(50)]).await.unwrap();
    ledger.append(decision(20)).await.unwrap();
    // Arrived late, counts from early on; and the other way round.
    let backdated = NewLabel { recorded_at: at(500), ..label(50, 0, false) };
    ledger.append_label(backdated).await.unwrap();
    ledger.append_label(label(20, 0, false)).await.unwrap();
    ledger.close().await;

    let ledger = bench.open().await.unwrap();
    let all = ["d tx-100", "l tx-100", "e tx-200", "e tx-50", "d tx-20", "l tx-50", "l tx-20"];
    assert_eq!(replay(&ledger, Timestamp::UNIX_EPOCH).await, all);
    // Transaction 100 happened at 99 s.
    let recent = ["d tx-100", "l tx-100", "e tx-200", "l tx-50"];
    assert_eq!(replay(&ledger, at(99)).await, recent);
    assert_eq!(replay(&ledger, at(100)).await, recent[1..]);
    assert!(replay(&ledger, at(501)).await.is_empty());
    ledger.close().await;
}

async fn a_replay_spans_pages_and_ends_where_it_began(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append_events((0..1234).map(event).collect()).await.unwrap();
    let mut walk = ledger.replay_since(Timestamp::UNIX_EPOCH).await.unwrap();
    ledger.append_events((2000..2010).map(event).collect()).await.unwrap();
    let mut count = 0;
    loop {
        match walk.next_page().await.unwrap().len() {
            0 => break,
            length => count += length,
        }
    }
    assert_eq!(count, 1234);
    ledger.close().await;
}

#[tokio::test]
async fn an_outcome_that_is_no_word_of_ours_is_called_corrupt_with_its_place() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    bench.tamper("UPDATE decisions SET outcome = 'maybe'").await;
    let error = ledger.decision(decision_id(1)).await.unwrap_err().to_string();
    assert!(error.contains("outcome of entry 1"), "{error}");
    ledger.close().await;
}

on_both_stores!(
    pages_are_complete_without_gaps,
    pages_of_an_outcome_are_those_of_all_without_the_others,
    the_limit_is_clamped,
    the_last_decision_of_a_transaction_is_found,
    a_replay_gives_everything_in_the_order_of_recording,
    a_replay_spans_pages_and_ends_where_it_began,
);
