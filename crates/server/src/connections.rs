//! Accepts connections and serves them until told to stop.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::settings::Http;

/// How long to rest when no connection can be accepted, as when file descriptors run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A listening socket with the bounds of its connections.
pub(crate) struct Connections {
    listener: TcpListener,
    builder: Builder<TokioExecutor>,
    slots: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Connections {
    pub(crate) async fn bind(listen: &str, http: &Http) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(http.header_timeout_ms));
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
        Ok(Self {
            listener,
            builder,
            slots: Arc::new(Semaphore::new(http.max_connections)),
            graceful: GracefulShutdown::new(),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then lets open connections finish what they are at. Dropping the
    /// future cuts them off.
    pub(crate) async fn serve(self, router: Router, stop: &CancellationToken) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = open.join_next() => continue,
                accepted = self.accept() => accepted,
            };
            if let Some((stream, permit)) = accepted {
                open.spawn(self.connection(stream, permit, router.clone()));
            }
        }
        // The socket closes before the wait: new callers are refused, not left hanging.
        let Self { listener, graceful, .. } = self;
        drop(listener);
        graceful.shutdown().await;
        while open.join_next().await.is_some() {}
    }

    async fn accept(&self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        // Never closed: the only error there is.
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, permit)),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
                None
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        router: Router,
    ) -> impl Future<Output = ()> + Send + use<> {
        // Answers are small and written at once; Nagle's algorithm would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let service = hyper::service::service_fn(move |request| answer(router.clone(), request));
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "connection ended");
            }
            drop(permit);
        }
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    router.oneshot(request.map(Body::new)).await
}
