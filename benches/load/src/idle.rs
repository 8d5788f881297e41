//! Connections that are opened and never used, as of clients that wait.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::error::LoadError;

/// How many are opened at once: few enough for any listener's backlog.
const OPENING_AT_ONCE: usize = 32;
/// How long to wait before a closed connection is opened again.
const REST: Duration = Duration::from_millis(100);

/// Opens so many connections.
pub(crate) async fn open(address: SocketAddr, wanted: usize) -> Result<Vec<TcpStream>, LoadError> {
    let mut opened = Vec::with_capacity(wanted);
    let mut opening = stream::iter((0..wanted).map(|_| TcpStream::connect(address)))
        .buffer_unordered(OPENING_AT_ONCE);
    loop {
        match opening.try_next().await {
            Ok(Some(stream)) => opened.push(stream),
            Ok(None) => return Ok(opened),
            Err(source) => {
                return Err(LoadError::Idle { opened: opened.len(), wanted, source });
            }
        }
    }
}

/// Keeps them open for as long as it is polled, and counts how often the server closed one.
pub(crate) async fn keep(streams: Vec<TcpStream>, address: SocketAddr, closed: &AtomicU64) {
    join_all(streams.into_iter().map(|mut stream| async move {
        let mut byte = [0];
        loop {
            // Whatever a server says to a client that asked nothing is passed over.
            while matches!(stream.read(&mut byte).await, Ok(1..)) {}
            closed.fetch_add(1, Ordering::Relaxed);
            stream = loop {
                tokio::time::sleep(REST).await;
                if let Ok(stream) = TcpStream::connect(address).await {
                    break stream;
                }
            };
        }
    }))
    .await;
    std::future::pending().await
}
