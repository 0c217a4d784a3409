//! Connections, none of which can hold more than its share: whoever sends or reads slowly, or nothing, or too much, is
//! cut off, and costs the others a place for a bounded time.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Tls;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at once; more are refused.
    pub connections: usize,
    /// For a handshake, or for a request's head, be it the first one or a later one.
    pub head: Duration,
    /// So many bytes of a head are let through for sure, and twice as many never. The longest id of a monitor fits into
    /// it percent-encoded.
    pub head_bytes: usize,
    /// After this time, no further request of a connection is taken.
    pub lifetime: Duration,
    /// After that, for the end of the last answer.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            head: Duration::from_secs(10),
            head_bytes: 72 << 10,
            lifetime: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

/// Where there are no descriptors or buffers for a connection, that is tried again after this time.
const PAUSE: Duration = Duration::from_millis(500);

const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";

/// Answers whoever connects, for ever.
pub async fn answer(listener: TcpListener, tls: Option<Tls>, limits: Limits, routes: Router) -> Infallible {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                log::debug!(error:%; "a connection can't be taken");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            if tls.is_none() {
                // As far as the socket takes it: nobody waits for those who are too many.
                drop(socket.try_write(NO_PLACE));
            }
            continue;
        };
        let (tls, routes) = (tls.clone(), routes.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(socket, limits, routes).await,
                Some(tls) => encrypted(socket, &tls, limits, routes).await,
            }
            drop(place);
        });
    }
}

async fn encrypted(socket: TcpStream, tls: &Tls, limits: Limits, routes: Router) {
    match timeout(limits.head, tls.accept(socket)).await {
        Ok(Ok(stream)) => converse(stream, limits, routes).await,
        Ok(Err(error)) => log::debug!(error:%; "a handshake failed"),
        Err(_) => {}
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, limits: Limits, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let ended = match timeout(limits.lifetime, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        log::debug!(error:%; "a connection broke");
    }
}
