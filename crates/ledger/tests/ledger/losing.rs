//! Answers of PostgreSQL that get lost on the way, and a network that says nothing at all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use ledger::{Config, Ledger, LedgerError};
use prometheus::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    server::{Database, server},
    support::{completion, decision, decision_id, provisional, store_at},
};

/// What becomes of the next commit.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fate {
    Answered,
    /// It is done, and its answer lost with the connection.
    AnswerLost,
    /// It is lost itself, with the connection.
    Lost,
    /// It is neither done nor answered, and no connection breaks.
    Silence,
}

/// Stands between a ledger and the server.
struct Proxy {
    address: SocketAddr,
    fate: Arc<AtomicU8>,
    _connections: JoinSet<()>,
}

impl Proxy {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fate = Arc::new(AtomicU8::new(Fate::Answered as u8));
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, port, fate.clone()));
        Self { address, fate, _connections: connections }
    }

    fn next_commit(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, port: u16, fate: Arc<AtomicU8>) {
    let mut relays = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        relays.spawn(relay(client, server, fate.clone()));
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, fate: Arc<AtomicU8>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut is_prepared = false;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let words = &asked[..count];
                // The driver sends the text of a statement once on each connection.
                let is_commit = words.windows(7).any(|word| word == b"COMMIT\0");
                let at_hand = if is_commit { fate.swap(Fate::Answered as u8, Ordering::SeqCst) } else { 0 };
                if at_hand == Fate::Lost as u8 {
                    return;
                }
                if at_hand == Fate::Silence as u8 {
                    std::future::pending::<()>().await;
                }
                server.write_all(words).await.unwrap();
                if is_prepared {
                    // The answer shows that it is done.
                    assert_ne!(server.read(&mut answered).await.unwrap(), 0);
                    return;
                }
                // What comes next executes it.
                is_prepared = at_hand == Fate::AnswerLost as u8;
            }
            count = server.read(&mut answered) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A ledger behind a proxy, whose writer has not committed yet.
async fn behind_proxy() -> (Proxy, Ledger) {
    let database = Database::create(server()).await;
    let proxy = Proxy::to(server().port()).await;
    let url = database.url_at(proxy.address.port());
    let config = Config {
        answer_timeout: Duration::from_millis(500),
        busy_timeout: Duration::from_secs(2),
        ..Config::new(store_at(&url))
    };
    let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
    (proxy, ledger)
}

async fn is_recorded(ledger: &Ledger, n: u32) -> bool {
    ledger.decision(decision_id(n)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_looked_for_and_answered() {
    let (proxy, ledger) = behind_proxy().await;
    proxy.next_commit(Fate::AnswerLost);
    let (first, second) = tokio::join!(ledger.append(provisional(1)), ledger.append(decision(2)));
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert!(is_recorded(&ledger, 1).await && is_recorded(&ledger, 2).await);
    ledger.append_completion(completion(1)).await.unwrap();
    assert_eq!(ledger.verify(|_| {}).await.unwrap().fault_count, 0);
    ledger.close().await;
}

#[tokio::test]
async fn a_commit_that_was_lost_is_not_recorded_and_can_be_sent_again() {
    let (proxy, ledger) = behind_proxy().await;
    proxy.next_commit(Fate::Lost);
    let error = ledger.append(decision(1)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    assert!(!is_recorded(&ledger, 1).await);
    ledger.append(decision(1)).await.unwrap();
    assert_eq!(ledger.verify(|_| {}).await.unwrap().entries, 1);
    ledger.close().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_holds_nobody_up_for_ever() {
    let (proxy, ledger) = behind_proxy().await;
    proxy.next_commit(Fate::Silence);
    // Whoever held the head when the network went must not keep it.
    let error = ledger.append(decision(1)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    ledger.append(decision(2)).await.unwrap();
    assert!(!is_recorded(&ledger, 1).await);
    assert_eq!(ledger.verify(|_| {}).await.unwrap().entries, 1);
    ledger.close().await;
}
