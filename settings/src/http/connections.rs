//! Connections, none of which can hold more than its share: anyone who sends or reads slowly, or nothing, or too much, is
//! cut off, and costs the others a place for a bounded time.
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

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at once that may ask for anything.
    pub connections: usize,
    /// Most of them from one client: an address, or a network of 64 bits where it is of IPv6.
    pub share: usize,
    /// This many more, which are answered `/healthz` and `/readyz` alone.
    pub reserve: usize,
    /// For a handshake, or for a request's head, be it the first one or a later one.
    pub head: Duration,
    /// This many bytes of a head are let through for sure, and twice as many never. The longest id of a monitor fits into
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
            // Behind a proxy all who look are one client.
            share: 224,
            reserve: 16,
            head: Duration::from_secs(10),
            head_bytes: 72 << 10,
            lifetime: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

/// Where there are no descriptors or buffers for a connection, that is tried again after this time.
const PAUSE: Duration = Duration::from_millis(500);

/// For each step of a connection in the reserve: a probe is there to ask, and asks at once.
const PROBE: Duration = Duration::from_secs(2);

/// Answers anyone who connects, for ever.
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

/// How many requests of a connection are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// As many as come within its lifetime.
    Alive,
    /// One.
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
