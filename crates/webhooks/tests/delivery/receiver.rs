//! An endpoint that does what a script says, to the byte.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use webhooks::{Config, Endpoint, NewEndpoint, Secret, Sender};

/// The secret of the specification's libraries.
pub(crate) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// A status after a while.
    Late(Duration, u16),
    /// A status with further header lines, each ended by `\r\n`, and a body.
    Full(u16, String, Vec<u8>),
    /// A status, then a body that goes on until the client leaves.
    Endless(u16),
    /// Nothing until the client leaves.
    Hang,
    /// A TCP reset.
    Reset,
}

/// A request as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }
}

type Script = dyn Fn(&Seen, usize) -> Answer + Send + Sync;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    written: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    /// `script` maps a request and its number, from 0, to an answer.
    pub(crate) async fn start(
        script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, written): (Arc<Mutex<Vec<Seen>>>, Arc<AtomicUsize>) = Default::default();
        let (all, bytes, script): (_, _, Arc<Script>) =
            (Arc::clone(&seen), Arc::clone(&written), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (all, bytes, script) =
                    (Arc::clone(&all), Arc::clone(&bytes), Arc::clone(&script));
                connections.spawn(async move { serve(stream, &all, &bytes, &*script).await });
            }
        });
        Self { address, seen, written, _tasks: tasks }
    }

    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Bytes of endless bodies that the client took.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    pub(crate) async fn until_seen(&self, count: usize) {
        eventually(|| self.seen.lock().len() >= count).await;
    }

    pub(crate) fn endpoint(&self, name: &str) -> Endpoint {
        endpoint(name, &format!("http://{}/hook", self.address), &[SECRET])
    }

    pub(crate) fn sender(&self) -> Sender {
        Sender::new(self.endpoint("one"), &quick()).unwrap()
    }
}

pub(crate) fn endpoint(name: &str, url: &str, secrets: &[&str]) -> Endpoint {
    let secrets = secrets.iter().map(|text| Secret::parse(text).unwrap()).collect();
    let new = NewEndpoint { name: name.into(), url: url.into(), secrets, ..NewEndpoint::default() };
    Endpoint::parse(new).unwrap()
}

/// Settings under which tests do not wait for long.
pub(crate) fn quick() -> Config {
    let mut config = Config {
        timeout: Duration::from_millis(300),
        poll_min: Duration::from_millis(5),
        poll_max: Duration::from_millis(20),
        count_every: Duration::from_millis(10),
        drain: Duration::from_millis(50),
        ..Config::default()
    };
    config.plan.waits = vec![Duration::from_millis(5); 3];
    config
}

/// Fails after a time that only a fault reaches.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it never came true");
}

async fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<Seen>>,
    bytes: &AtomicUsize,
    script: &Script,
) {
    while let Some(seen) = read(&mut stream).await {
        let answer = {
            let mut all = all.lock();
            let number = all.len();
            all.push(seen.clone());
            script(&seen, number)
        };
        let (status, headers, body) = match answer {
            Answer::Status(status) => (status, String::new(), Vec::new()),
            Answer::Late(wait, status) => {
                sleep(wait).await;
                (status, String::new(), Vec::new())
            }
            Answer::Full(status, headers, body) => (status, headers, body),
            Answer::Endless(status) => return pour(stream, status, bytes).await,
            Answer::Hang => {
                while !matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)) {}
                return;
            }
            Answer::Reset => return stream.set_zero_linger().unwrap(),
        };
        let head =
            format!("HTTP/1.1 {status} Because\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

async fn pour(mut stream: TcpStream, status: u16, bytes: &AtomicUsize) {
    let head = format!("HTTP/1.1 {status} Because\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    while let Ok(count) = stream.write(&[b'x'; 4096]).await {
        bytes.fetch_add(count, Ordering::SeqCst);
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end..].to_vec()).unwrap();
    Some(Seen { line, headers, body })
}
