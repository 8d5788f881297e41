//! An engine that answers its probe well and cases as it is told, to the byte.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// One step of an answer; the connection closes after the last.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// A TCP reset.
    Reset,
    /// Nothing more until the client leaves.
    Hang,
}

#[derive(Default)]
struct State {
    case: Vec<Act>,
    /// Bodies of the cases asked.
    asked: Vec<Value>,
}

/// A running engine; it stops listening when dropped.
pub(crate) struct Engine {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    log_probs: bool,
    tasks: JoinSet<()>,
}

impl Engine {
    pub(crate) async fn start(case: Vec<Act>) -> Self {
        Self::at("127.0.0.1:0", case, true).await
    }

    pub(crate) async fn without_log_probs(case: Vec<Act>) -> Self {
        Self::at("127.0.0.1:0", case, false).await
    }

    pub(crate) async fn at(address: &str, case: Vec<Act>, log_probs: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { case, asked: Vec::new() }));
        let mut engine = Self { url, state, log_probs, tasks: JoinSet::new() };
        engine.serve(listener);
        engine
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, log_probs) = (Arc::clone(&self.state), self.log_probs);
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer(stream, Arc::clone(&state), log_probs));
            }
        });
    }

    /// How cases are answered from now on.
    pub(crate) fn set(&self, case: Vec<Act>) {
        self.state.lock().unwrap().case = case;
    }

    /// The bodies of the cases asked so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.state.lock().unwrap().asked.clone()
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>, log_probs: bool) {
    let Some((line, body)) = read(&mut stream).await else { return };
    let text = body.to_string();
    let acts = if line.starts_with("GET /v1/models ") {
        json_answer(200, "", &json!({ "data": [{ "id": "stub-8b", "owned_by": "vllm" }] }))
    } else if line.starts_with("GET ") {
        json_answer(404, "", &json!({}))
    } else if text.contains("about the sea") && body.get("structured_outputs").is_some() {
        stream_of(&["{\"", "colour", "\":\"", "red", "\"}"], log_probs)
    } else if text.contains("about the sea") {
        stream_of(&["The", " sea"], log_probs)
    } else {
        let mut state = state.lock().unwrap();
        state.asked.push(body);
        state.case.clone()
    };
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Wait(time) => tokio::time::sleep(time).await,
            Act::Reset => return stream.set_zero_linger().unwrap(),
            Act::Hang => {
                while !matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)) {}
                return;
            }
        }
    }
}

/// The request's line and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
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
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&bytes[..end]).lines().next().unwrap_or("").to_owned();
    Some((line, serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null)))
}

/// A whole JSON answer with further header lines, each ended by `\r\n`.
pub(crate) fn json_answer(status: u16, headers: &str, body: &Value) -> Vec<Act> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Because\r\ncontent-type: application/json\r\n{headers}\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    vec![Act::Send([head, body].concat().into_bytes())]
}

/// A chat completion of this text, all at once.
pub(crate) fn whole(text: &str) -> Vec<Act> {
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    json_answer(200, "", &json!({ "choices": [choice] }))
}

/// The head of a stream that ends with its connection.
pub(crate) fn stream_head() -> Act {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    Act::Send(head.into())
}

/// One token, with the probabilities at its place.
pub(crate) fn token(text: &str, listed: &[(&str, f64)]) -> Act {
    let mut choice = json!({ "index": 0, "delta": { "content": text }, "finish_reason": null });
    if !listed.is_empty() {
        let entry = |(token, p): &(&str, f64)| json!({ "token": token, "logprob": p.ln() });
        let top: Vec<Value> = listed.iter().map(entry).collect();
        let own = listed.iter().find(|(token, _)| *token == text).map_or(1.0, |(_, p)| *p);
        choice["logprobs"] = json!({ "content": [
            { "token": text, "logprob": own.ln(), "top_logprobs": top },
        ]});
    }
    event(&json!({ "choices": [choice] }))
}

/// The stream's last events.
pub(crate) fn stream_end() -> Vec<Act> {
    let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    vec![event(&last), Act::Send(b"data: [DONE]\n\n".to_vec())]
}

fn event(data: &Value) -> Act {
    Act::Send(format!("data: {data}\n\n").into_bytes())
}

fn stream_of(tokens: &[&str], log_probs: bool) -> Vec<Act> {
    let one = |text: &&str| {
        let certain = [(*text, 1.0)];
        token(text, if log_probs { &certain } else { &[] })
    };
    [vec![stream_head()], tokens.iter().map(one).collect(), stream_end()].concat()
}

/// What a report says after its verdict.
pub(crate) const REST: &str = ",\"typology\":\"mule_account\",\"reasons\":[],\"action\":\"decline\",\
     \"narrative\":\"Passed on at once.\"}";

/// A stream up to its verdict, which is fraud with these probabilities (none listed when empty).
pub(crate) fn verdict(listed: &[(&str, f64)]) -> Vec<Act> {
    // Only tokens that have probabilities are spelt together, so all have them or none.
    let certain = |text: &str| {
        let certain = [(text, 1.0)];
        token(text, if listed.is_empty() { &[] } else { &certain })
    };
    vec![stream_head(), certain("{\"verdict\":\""), token("fraud", listed), certain("\"")]
}

/// Probabilities of the three verdicts.
pub(crate) const LISTED: [(&str, f64); 3] = [("fraud", 0.7), ("susp", 0.2), ("legit", 0.1)];

/// A well-behaved report.
pub(crate) fn report() -> Vec<Act> {
    [verdict(&LISTED), vec![token(REST, &[])], stream_end()].concat()
}
