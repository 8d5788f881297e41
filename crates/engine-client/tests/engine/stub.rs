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
pub enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// A TCP reset.
    Reset,
    /// Nothing more until the client leaves.
    Hang,
}

/// A request as it was read.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub head: String,
    pub body: Value,
}

impl Seen {
    pub fn is(&self, line: &str) -> bool {
        self.line.starts_with(&format!("{line} "))
    }
}

type Script = dyn Fn(&Seen, usize) -> Vec<Act> + Send + Sync;

pub struct Stub {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Stub {
    /// `script` maps a request and its number, from 0, to an answer.
    pub async fn start(script: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, left) = (Arc::default(), Arc::default());
        let (all, gone, script): (_, _, Arc<Script>) =
            (Arc::clone(&seen), Arc::clone(&left), Arc::new(script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (all, gone, script) =
                    (Arc::clone(&all), Arc::clone(&gone), Arc::clone(&script));
                connections.spawn(async move { serve(stream, &all, &gone, &*script).await });
            }
        });
        Self { address, seen, left, _tasks: tasks }
    }

    /// Answers every question alike.
    pub async fn always(acts: Vec<Act>) -> Self {
        Self::start(move |_, _| acts.clone()).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until that many clients left an answer that hung.
    pub async fn until_left(&self, count: usize) {
        while self.left.load(Ordering::SeqCst) < count {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, all: &Mutex<Vec<Seen>>, left: &AtomicUsize, script: &Script) {
    let Some(seen) = read(&mut stream).await else { return };
    let acts = {
        let mut all = all.lock();
        let number = all.len();
        all.push(seen.clone());
        script(&seen, number)
    };
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Wait(time) => sleep(time).await,
            Act::Reset => {
                stream.set_zero_linger().expect("linger");
                return;
            }
            Act::Hang => {
                let mut byte = [0];
                while !matches!(stream.read(&mut byte).await, Ok(0) | Err(_)) {}
                left.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
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
pub fn answer(status: u16, body: &Value) -> Vec<Act> {
    answer_with(status, "", body)
}

/// A whole JSON answer with further header lines, each ended by `\r\n`.
pub fn answer_with(status: u16, headers: &str, body: &Value) -> Vec<Act> {
    vec![Act::Send(http(status, "application/json", headers, body.to_string().as_bytes()))]
}

/// A whole chat completion of this text.
pub fn completion(text: &str) -> Value {
    json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text },
                      "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 },
    })
}

/// The head of an event stream that ends with its connection.
pub fn stream_head() -> Act {
    Act::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
          connection: close\r\n\r\n"
            .to_vec(),
    )
}

pub fn event(data: &Value) -> Act {
    Act::Send(format!("data: {data}\n\n").into_bytes())
}

/// One chat event that adds a token, with its alternatives and their probabilities.
pub fn piece(text: &str, alternatives: &[(&str, f64)]) -> Value {
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
pub fn fraud_events() -> Vec<Act> {
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
pub fn rest_events() -> Vec<Act> {
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
pub fn fraud_stream() -> Vec<Act> {
    [vec![stream_head()], fraud_events(), rest_events()].concat()
}

pub const REPORT: &str = r#"{"verdict":"fraud","narrative":"Ça sent mauvais."}"#;

pub fn form() -> Form {
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

pub fn request() -> Request {
    Request { prompt: "Memo: pay the invoice of Tuesday".into(), form: form(), max_tokens: 64 }
}

/// A client that knows its engine, so that it asks nothing but questions.
pub fn config(url: String) -> Config {
    Config {
        base_url: url,
        model: Some("stub".into()),
        dialect: Some(Dialect::Generic),
        backoff_base: Duration::from_millis(1),
        ..Config::default()
    }
}

pub fn client(config: Config) -> (Client, Registry) {
    let registry = Registry::new();
    (Client::new(config, &registry).expect("a client"), registry)
}

/// Long enough for anything that is not meant to hang.
pub fn ample() -> Deadlines {
    within(10_000)
}

pub fn within(ms: u64) -> Deadlines {
    Deadlines::both(Instant::now() + Duration::from_millis(ms))
}

/// The value of a series, 0 when it has none.
pub fn metric(registry: &Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("the family");
    let has = |m: &&prometheus::proto::Metric| {
        label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label)
    };
    let metric = family.get_metric().iter().find(has).expect("the series");
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}
