//! Serves connections within limits, so that no connection can hold more than its share. A client that sends or reads
//! slowly, or nothing, or too much, is cut off. It takes a place from the other clients only for a bounded time.
//!
//! ```text
//! accepted ──▶ has a place, of all and of its client's ──▶ all routes, for a minute
//!         └──▶ has none ──▶ reserve ──▶ probes alone, one request; the oldest gives way
//! ```

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::Tls;
use super::places::Places;
use super::reserve::{Reserve, probes_alone};

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at a time that may ask for anything.
    pub connections: usize,
    /// The most of these connections from one client. A client is an IPv4 address, or an IPv6 network of 64 bits.
    pub share: usize,
    /// The number of further connections, for which only `/healthz` and `/readyz` are answered.
    pub reserve: usize,
    /// The most time for a handshake, and for the head of each request, whether it is the first one or a later one.
    pub head: Duration,
    /// The size of a head that is always accepted, in bytes. A head of twice this size is always refused. The
    /// longest id of a monitor fits into this size when it is percent-encoded.
    pub head_bytes: usize,
    /// After this time, no further request of a connection is accepted.
    pub lifetime: Duration,
    /// The time after that for the end of the last answer.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            // All viewers behind a proxy are one client.
            share: 224,
            reserve: 16,
            head: Duration::from_secs(10),
            head_bytes: 72 << 10,
            lifetime: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

/// When there are no descriptors or buffers for a connection, accepting is tried again after this time.
const PAUSE: Duration = Duration::from_millis(500);

/// The most time for each step of a connection in the reserve. A probe sends its request at once.
const PROBE: Duration = Duration::from_secs(2);

/// Answers all connections, for ever.
pub async fn answer(listener: TcpListener, tls: Option<Tls>, limits: Limits, routes: Router) -> Infallible {
    let places = Places::new(limits.connections, limits.share);
    let mut reserve = Reserve::new(limits.reserve);
    let probes = probes_alone(routes.clone());
    let hasty = Limits { head: limits.head.min(PROBE), lifetime: limits.lifetime.min(PROBE), ..limits };
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                log::debug!(error:%; "a connection can't be taken");
                sleep(PAUSE).await;
                continue;
            }
        };
        let tls = tls.clone();
        match places.take(address.ip()) {
            Some(place) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    begin(socket, tls, limits, Keep::Alive, routes).await;
                    drop(place);
                });
            }
            None => reserve.spawn(begin(socket, tls, hasty, Keep::Once, probes.clone())),
        }
    }
}

/// The number of requests of a connection that are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// All requests that come within its lifetime.
    Alive,
    /// One request.
    Once,
}

async fn begin(socket: TcpStream, tls: Option<Tls>, limits: Limits, keep: Keep, routes: Router) {
    let Some(tls) = tls else { return converse(socket, limits, keep, routes).await };
    match timeout(limits.head, tls.accept(socket)).await {
        Ok(Ok(stream)) => converse(stream, limits, keep, routes).await,
        Ok(Err(error)) => log::debug!(error:%; "a handshake failed"),
        Err(_) => {}
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
    keep: Keep,
    routes: Router,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(keep == Keep::Alive)
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
