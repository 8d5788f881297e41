//! A server that behaves as a test tells it, on a thread of its own until it is dropped.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Answers with these headers, and the body that came.
    Answer(u16, &'static [(&'static str, &'static str)]),
    /// Answers nobody for so long, and then as usual.
    Stall(Duration),
    /// Never answers this one.
    Never,
    /// Closes the connection instead of an answer.
    Close,
}

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    react: Box<dyn Fn(u64) -> Reaction + Send + Sync>,
    seen: AtomicU64,
    /// Held by a stall; every answer passes it.
    gate: tokio::sync::Mutex<()>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Stub {
    /// The reaction to the `nth` request, counted from 0.
    pub(crate) fn start(react: impl Fn(u64) -> Reaction + Send + Sync + 'static) -> Self {
        let bodies = Arc::default();
        let shared = Arc::new(Shared {
            react: Box::new(react),
            seen: AtomicU64::new(0),
            gate: tokio::sync::Mutex::default(),
            bodies: Arc::clone(&bodies),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    () = serve(TcpListener::from_std(listener).unwrap(), shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, bodies, stop: Some(stop), thread: Some(thread) }
    }

    /// All bodies that came, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().map(|body| String::from_utf8(body.to_vec()).unwrap()).collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        open.spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    shared.bodies.lock().unwrap().push(body.clone());
    let reaction = (shared.react)(shared.seen.fetch_add(1, Ordering::Relaxed));
    let mut response = Response::new(Full::new(body));
    match reaction {
        Reaction::Answer(status, headers) => {
            *response.status_mut() = status.try_into()?;
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse()?);
            }
        }
        Reaction::Stall(time) => {
            let _held = shared.gate.lock().await;
            tokio::time::sleep(time).await;
            return Ok(response);
        }
        Reaction::Never => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Reaction::Close => return Err("closed".into()),
    }
    drop(shared.gate.lock().await);
    Ok(response)
}
