//! An engine that does what a script says, to the byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engine_client::{Client, Config, Deadlines, Dialect, Form, Request};
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};

/// One step of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// A TCP reset.
    Reset,
    /// Nothing more until the client leaves.
    Hang,
    /// The next request comes over the same connection.
    KeepOpen,
}

/// A request as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn is(&self, line: &str) -> bool {
        self.line.starts_with(&format!("{line} "))
    }
}

type Script = dyn Fn(&Seen, usize) -> Vec<Act> + Send + Sync;

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Stub {
    /// `script` maps a request and its number, from 0, to an answer.
    pub(crate) async fn start(
        script: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, left, connections) = (Arc::default(), Arc::default(), Arc::default());
        let opened: Arc<AtomicUsize> = Arc::clone(&connections);
        let (all, gone, script): (_, _, Arc<Script>) =
            (Arc::clone(&seen), Arc::clone(&left), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                opened.fetch_add(1, Ordering::SeqCst);
                let (all, gone, script) =
                    (Arc::clone(&all), Arc::clone(&gone), Arc::clone(&script));
                connections.spawn(async move { serve(stream, &all, &gone, &*script).await });
            }
        });
        Self { address, seen, left, connections, _tasks: tasks }
    }

    /// Answers every question alike.
    pub(crate) async fn always(acts: Vec<Act>) -> Self {
        Self::start(move |_, _| acts.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until that many clients left an answer that hung.
    pub(crate) async fn until_left(&self, count: usize) {
        while self.left.load(Ordering::SeqCst) < count {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, all: &Mutex<Vec<Seen>>, left: &AtomicUsize, script: &Script) {
    while let Some(seen) = read(&mut stream).await {
        let acts = {
            let mut all = all.lock();
            let number = all.len();
            all.push(seen.clone());
            script(&seen, number)
        };
        if !perform(&mut stream, acts, left).await {
            return;
        }
    }
}

/// Whether the connection stays open for a further request.
async fn perform(stream: &mut TcpStream, acts: Vec<Act>, left: &AtomicUsize) -> bool {
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return false;
                }
            }
            Act::Wait(time) => sleep(time).await,
            Act::Reset => {
                stream.set_zero_linger().expect("linger");
                return false;
            }
            Act::Hang => {
                let mut byte = [0];
                while !matches!(stream.read(&mut byte).await, Ok(0) | Err(_)) {}
                left.fetch_add(1, Ordering::SeqCst);
                return false;
            }
            Act::KeepOpen => return true,
        }
    }
    false
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
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&bytes[..end]).lines().next().unwrap_or("").to_owned();
    let body = serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null);
    Some(Seen { line, head, body })
}

fn http(status: u16, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Because\r\ncontent-type: {kind}\r\n{headers}connection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A whole JSON answer.
pub(crate) fn answer(status: u16, body: &Value) -> Vec<Act> {
    answer_with(status, "", body)
}

/// A whole JSON answer with further header lines, each ended by `\r\n`.
pub(crate) fn answer_with(status: u16, headers: &str, body: &Value) -> Vec<Act> {
    vec![Act::Send(http(status, "application/json", headers, body.to_string().as_bytes()))]
}

/// A whole chat completion of this text.
pub(crate) fn completion(text: &str) -> Value {
    json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text },
                      "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 },
    })
}

/// The head of an event stream that ends with its connection.
pub(crate) fn stream_head() -> Act {
    Act::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
          connection: close\r\n\r\n"
            .to_vec(),
    )
}

pub(crate) fn event(data: &Value) -> Act {
    Act::Send(format!("data: {data}\n\n").into_bytes())
}

/// One chat event that adds a token, with its alternatives and their probabilities.
pub(crate) fn piece(text: &str, alternatives: &[(&str, f64)]) -> Value {
    let listed = |(token, p): &(&str, f64)| json!({ "token": token, "logprob": p.ln(), "bytes": token.as_bytes() });
    let top: Vec<Value> = alternatives.iter().map(listed).collect();
    let own = alternatives.iter().find(|(token, _)| *token == text).map_or(1.0, |(_, p)| *p);
    let mut choice = json!({ "index": 0, "delta": { "content": text }, "finish_reason": null });
    if !alternatives.is_empty() {
        choice["logprobs"] = json!({ "content": [
            { "token": text, "logprob": own.ln(), "bytes": text.as_bytes(), "top_logprobs": top },
        ]});
    }
    json!({ "choices": [choice] })
}

/// The events of a report that concludes with fraud, token by token.
pub(crate) fn fraud_events() -> Vec<Act> {
    let verdict = [("fraud", 0.7), ("susp", 0.2), ("legit", 0.1)];
    vec![
        event(&json!({ "choices": [{ "index": 0, "delta": { "role": "assistant" } }] })),
        event(&piece("{\"", &[("{\"", 1.0)])),
        event(&piece("verdict\":\"", &[("verdict\":\"", 1.0)])),
        event(&piece("fraud", &verdict)),
        event(&piece("\",\"", &[("\",\"", 1.0)])),
    ]
}

/// The rest of it, up to `[DONE]`.
pub(crate) fn rest_events() -> Vec<Act> {
    vec![
        event(&piece("narrative\":\"", &[])),
        event(&piece("Ça sent mauvais.\"}", &[])),
        event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] })),
        event(&json!({ "choices": [],
                       "usage": { "prompt_tokens": 41, "completion_tokens": 9 } })),
        Act::Send(b"data: [DONE]\n\n".to_vec()),
    ]
}

/// A well-behaved stream.
pub(crate) fn fraud_stream() -> Vec<Act> {
    [vec![stream_head()], fraud_events(), rest_events()].concat()
}

/// A well-behaved stream in chunks, over a connection that stays open.
pub(crate) fn lasting_stream() -> Vec<Act> {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                 transfer-encoding: chunked\r\n\r\n";
    let mut acts = vec![Act::Send(head.to_vec())];
    for act in fraud_events().into_iter().chain(rest_events()) {
        if let Act::Send(bytes) = act {
            let size = format!("{:x}\r\n", bytes.len());
            acts.push(Act::Send([size.as_bytes(), &bytes, b"\r\n"].concat()));
        }
    }
    acts.extend([Act::Send(b"0\r\n\r\n".to_vec()), Act::KeepOpen]);
    acts
}

pub(crate) const REPORT: &str = r#"{"verdict":"fraud","narrative":"Ça sent mauvais."}"#;

pub(crate) fn form() -> Form {
    let words = ["fraud", "suspicious", "legitimate"];
    let schema = json!({
        "type": "object",
        "properties": {
            "verdict": { "type": "string", "enum": words },
            "narrative": { "type": "string", "maxLength": 40 },
        },
        "required": ["verdict", "narrative"],
        "additionalProperties": false,
    });
    Form::new(schema, "{\"verdict\":\"", &words).expect("a form")
}

pub(crate) fn request() -> Request {
    Request { prompt: "Memo: pay the invoice of Tuesday".into(), form: form(), max_tokens: 64 }
}

/// A client that knows its engine, so that it asks nothing but questions.
pub(crate) fn config(url: String) -> Config {
    Config {
        base_url: url,
        model: Some("stub".into()),
        dialect: Some(Dialect::Generic),
        backoff_base: Duration::from_millis(1),
        ..Config::default()
    }
}

pub(crate) fn client(config: Config) -> (Client, Registry) {
    let registry = Registry::new();
    (Client::new(config, &registry).expect("a client"), registry)
}

/// Long enough for anything that is not meant to hang.
pub(crate) fn ample() -> Deadlines {
    within(10_000)
}

pub(crate) fn within(ms: u64) -> Deadlines {
    Deadlines::both(Instant::now() + Duration::from_millis(ms))
}

/// The value of a series, 0 when it has none.
pub(crate) fn metric(registry: &Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("the family");
    let has = |m: &&prometheus::proto::Metric| {
        label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label)
    };
    let metric = family.get_metric().iter().find(has).expect("the series");
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}
