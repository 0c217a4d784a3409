//! Tests of everything over a real connection, from made-up tables.

mod access;
mod badges;
mod hostile;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use settings::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::request::access::Access;
use super::routes::routes;
use super::snapshot::Snapshots;
use super::{Site, fixture};
use crate::config::Http;
use crate::figures::agent::AgentRow;
use crate::figures::alerts::AlertCounts;
use crate::figures::detail::{Detail, ResultRow};
use crate::figures::overview::{Overview, Summary};
use crate::figures::period::Period;
use crate::figures::source::Source;
use crate::health::Health;
use crate::unavailable::Unavailable;

/// Made-up tables: the fleet that is always there, and what a test adds to it.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) more: Vec<Summary>,
    pub(super) more_agents: Vec<AgentRow>,
    pub(super) is_away: AtomicBool,
}

/// The number of monitors of the fleet.
pub(super) const FLEET: usize = 24;

impl Tables {
    fn read<T>(&self, read: impl FnOnce() -> T) -> Result<T, Unavailable> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(Unavailable("no server at db.example for user hunter2".into())),
            false => Ok(read()),
        }
    }

    /// Creates tables with one additional monitor, which is one of the fleet under another id and name.
    pub(super) fn with(id: &str, name: &str) -> Tables {
        let one = fixture::overview(1, Period::Day).monitors.remove(0);
        Tables { more: vec![Summary { id: id.into(), name: name.into(), ..one }], ..Tables::default() }
    }
}

impl Source for Tables {
    fn overview(&self, period: Period) -> Result<Overview, Unavailable> {
        self.read(|| {
            let mut overview = fixture::overview(FLEET, period);
            overview.monitors.extend(self.more.iter().cloned());
            overview
        })
    }

    fn detail(&self, id: &str, period: Period) -> Result<Option<Detail>, Unavailable> {
        self.read(|| {
            let all = fixture::overview(FLEET, period).monitors;
            let summary = all.iter().chain(&self.more).find(|monitor| monitor.id == id)?.clone();
            Some(Detail { summary, ..fixture::detail(7, period) })
        })
    }

    fn results(&self, id: &str, before: Timestamp, most: usize) -> Result<Option<Vec<ResultRow>>, Unavailable> {
        let is_there = self.detail(id, Period::Day)?.is_some();
        let from = fixture::now().min(before);
        Ok(is_there.then(|| fixture::results(from).into_iter().take(most).collect()))
    }

    fn agents(&self) -> Result<Vec<AgentRow>, Unavailable> {
        self.read(|| fixture::agents().into_iter().chain(self.more_agents.iter().cloned()).collect())
    }

    fn alerts(&self) -> Result<AlertCounts, Unavailable> {
        self.read(fixture::alerts)
    }

    fn answers(&self) -> Result<(), Unavailable> {
        self.read(|| ())
    }
}

/// A server that runs for as long as the test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) tables: Arc<Tables>,
    pub(super) health: Arc<Health>,
}

impl Server {
    pub(super) async fn new(tables: Tables, configured: &str) -> Server {
        Server::within(Limits::default(), tables, configured).await
    }

    pub(super) async fn within(limits: Limits, tables: Tables, configured: &str) -> Server {
        let http = Http::of_text(configured);
        let (tables, health) = (Arc::new(tables), Arc::new(Health::new(1)));
        health.consumes();
        let site = Site { snapshots: Arc::new(Snapshots::new(tables.clone())), public: http.public.clone() };
        let (access, most) = (Access::new(&http), http.monitor_metrics);
        let routes = routes(site, access, health.clone(), most);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(settings::answer(listener, http.tls, limits, routes));
        Server { address, tables, health }
    }

    /// Returns the answer to a request for a path, with these lines in its head.
    pub(super) async fn get(&self, path: &str, lines: &[&str]) -> Answer {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")).await
    }

    /// Sends this text and returns the answer. A server that has read enough may close the connection before all is
    /// sent.
    pub(super) async fn send(&self, request: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        drop(socket.write_all(request.as_bytes()).await);
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer).await);
        Answer::of(&String::from_utf8(answer).unwrap())
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    fn of(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = match head.contains("transfer-encoding: chunked") {
            true => body.split("\r\n").skip(1).step_by(2).collect(),
            false => body.to_owned(),
        };
        Answer { status, head: head.into(), body }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Returns an id as it is written in a path.
pub(super) fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}
