//! One HTTP/1.1 connection and one request on it, with hyper's own client and nothing between.
//!
//! The connection is driven by the very future that waits for the answer, so that an exchange is
//! one task: no hand-over between tasks, and nothing runs on a connection at rest.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Uri,
    body::Incoming,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout_at};

use crate::{
    error::{Failure, LoadError},
    recorder::{Exchanged, Head, Job},
    traffic::{Traffic, UniqueIds},
};

/// The largest answer that is read.
const ANSWER_MAX: usize = 16 << 20;
/// How long a connection's place rests after nobody could be connected to: without it a closed
/// loop against a dead server would take all of a core.
const CONNECT_REST: Duration = Duration::from_millis(10);

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// Where requests go and what they look like.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    path: Uri,
    headers: HeaderMap,
    bodies: Arc<[Bytes]>,
    unique: Option<UniqueIds>,
}

impl Target {
    /// Resolves the host, and connects once: a server that is not there is told apart from one
    /// that fails under load.
    pub(crate) async fn reach(
        traffic: &Traffic,
        unique: Option<&UniqueIds>,
    ) -> Result<Self, LoadError> {
        if traffic.bodies.is_empty() {
            return Err(LoadError::NoBodies);
        }
        let (authority, port) = authority(&traffic.url)?;
        let headers = headers(traffic, authority)?;
        let stream = TcpStream::connect((authority.host().trim_matches(['[', ']']), port)).await;
        let address = stream.and_then(|stream| stream.peer_addr()).map_err(|source| {
            LoadError::Unreachable { address: format!("{}:{port}", authority.host()), source }
        })?;
        let path = traffic.url.path_and_query().map_or("/", |path| path.as_str());
        let path = path.parse().map_err(|_| url_error(&traffic.url, "its path is not valid"))?;
        Ok(Self {
            address,
            path,
            headers,
            bodies: Arc::clone(&traffic.bodies),
            unique: unique.cloned(),
        })
    }

    pub(crate) fn body_index(&self, sequence: u64) -> usize {
        (sequence % self.bodies.len() as u64) as usize
    }

    fn request(&self, sequence: u64) -> Request<Full<Bytes>> {
        let index = self.body_index(sequence);
        let body = match &self.unique {
            Some(unique) => {
                unique.apply(&self.bodies[index], index, sequence / self.bodies.len() as u64)
            }
            None => self.bodies[index].clone(),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn url_error(url: &Uri, problem: &'static str) -> LoadError {
    LoadError::Url { url: url.to_string(), problem }
}

fn authority(url: &Uri) -> Result<(&hyper::http::uri::Authority, u16), LoadError> {
    if url.scheme_str() != Some("http") {
        return Err(url_error(url, "it must start with http://; TLS is not spoken"));
    }
    let authority = url.authority().ok_or_else(|| url_error(url, "it names no host"))?;
    Ok((authority, authority.port_u16().unwrap_or(80)))
}

fn headers(
    traffic: &Traffic,
    authority: &hyper::http::uri::Authority,
) -> Result<HeaderMap, LoadError> {
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| LoadError::Header(text.chars().take(80).collect()))
    };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value(authority.as_str())?);
    headers.insert(CONTENT_TYPE, value(&traffic.content_type)?);
    for (name, text) in &traffic.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| LoadError::Header(name.chars().take(80).collect()))?;
        headers.insert(name, value(text)?);
    }
    Ok(headers)
}

/// An open connection; nothing happens on it until it is given to [`exchange`].
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None once the connection has ended.
    driver: Option<Driver>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(|_| Failure::Connect)?;
        stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Connect)?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Notices whether the server closed a connection at rest, so that its end is not blamed on
    /// the next request.
    fn if_open(mut self) -> Option<Self> {
        let ended = self.driver.as_mut().is_none_or(|driver| driver.now_or_never().is_some());
        (!ended).then_some(self)
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<(Head, Bytes), Failure> {
        let Self { sender, driver } = self;
        driven(driver, sender.ready()).await.map_err(|error| Failure::from(&error))?;
        let response = driven(driver, sender.send_request(request)).await;
        let (parts, body) = response.map_err(|error| Failure::from(&error))?.into_parts();
        let head = Head {
            status: parts.status.as_u16(),
            retry_after: parts.headers.contains_key(RETRY_AFTER),
        };
        Ok((head, read(driver, body).await?))
    }
}

/// Waits for the future while keeping the connection going.
async fn driven<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        // An error of the connection reaches the future as well, which tells it in more detail.
        if driver.as_mut().is_some_and(|driver| driver.poll_unpin(context).is_ready()) {
            *driver = None;
        }
        future.as_mut().poll(context)
    })
    .await
}

async fn read(driver: &mut Option<Driver>, mut body: Incoming) -> Result<Bytes, Failure> {
    // An answer that fits one read, as most do, is not copied.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = driven(driver, body.frame()).await {
        let frame = frame.map_err(|error| Failure::from(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > ANSWER_MAX {
            return Err(Failure::TooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

/// A finished exchange: what became of it, its body, and the connection if it can be used again.
pub(crate) struct Finished {
    pub(crate) exchanged: Exchanged,
    pub(crate) body: Bytes,
    pub(crate) connection: Option<Connection>,
}

/// Sends one request, on a new connection if there is none or it was closed meanwhile.
pub(crate) async fn exchange(
    target: Arc<Target>,
    held: Option<Connection>,
    job: Job,
    deadline: Instant,
) -> Finished {
    let taken_up = Instant::now();
    let mut sent = taken_up;
    let work = async {
        let mut connection = match held.and_then(Connection::if_open) {
            Some(held) => held,
            None => {
                let opened = Connection::open(target.address).await?;
                sent = Instant::now();
                opened
            }
        };
        let (head, body) = connection.ask(target.request(job.sequence)).await?;
        Ok((head, body, connection))
    };
    let result = timeout_at(deadline.into(), work).await.unwrap_or(Err(Failure::Timeout));
    let finished = Instant::now();
    let finish = |outcome| Exchanged { job, taken_up, sent, finished, outcome };
    match result {
        Ok((head, body, connection)) => {
            Finished { exchanged: finish(Ok(head)), body, connection: Some(connection) }
        }
        Err(failure) => {
            if failure == Failure::Connect {
                tokio::time::sleep(CONNECT_REST).await;
            }
            Finished { exchanged: finish(Err(failure)), body: Bytes::new(), connection: None }
        }
    }
}
