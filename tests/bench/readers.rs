//! Many who read the status pages at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::collector::Collector;
use jiff::Timestamp;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Readers at work, each a thread.
pub(crate) struct Readers {
    is_over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// What they got.
#[derive(Debug, Default)]
struct Counts {
    pages: AtomicU64,
    failures: AtomicU64,
}

/// What they got, in the end.
pub(crate) struct Pages {
    pub(crate) pages: u64,
    pub(crate) failures: u64,
}

impl Readers {
    /// This many, each of which looks at a page so often: every other time at all monitors, else at one.
    pub(crate) fn start(collector: &Collector, readers: usize, every: Duration) -> Result<Readers> {
        let address = collector.listens()?;
        let paths = Arc::new(monitors(collector, "24h")?);
        let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let thread = |n: usize| {
            let (paths, is_over, counts) = (paths.clone(), is_over.clone(), counts.clone());
            std::thread::spawn(move || {
                // Not all at one moment.
                let mut due = Instant::now() + every.mul_f64(n as f64 / readers as f64);
                for turn in n.. {
                    while Instant::now() < due && !is_over.load(Ordering::Relaxed) {
                        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
                    }
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let path = if turn % 2 == 0 { "/" } else { &paths[turn % paths.len()] };
                    let count = if is_ok(address, path) { &counts.pages } else { &counts.failures };
                    count.fetch_add(1, Ordering::Relaxed);
                    due += every;
                }
            })
        };
        let threads = (0..readers).map(thread).collect();
        Ok(Readers { is_over, counts, threads })
    }

    /// Ends them; what they got.
    pub(crate) fn stop(self) -> Pages {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.thread().unpark();
            if thread.join().is_err() {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Pages { pages: of(&self.counts.pages), failures: of(&self.counts.failures) }
    }
}

fn is_ok(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}

/// The pages of the monitors over a period.
pub(crate) fn monitors(collector: &Collector, period: &str) -> Result<Vec<String>> {
    let answer = collector.get("/api/v1/monitors?limit=500")?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or(("", &answer));
    let listed: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
    let id = |monitor: &Value| Some(monitor["id"].as_str()?.replace(' ', "%20"));
    let ids = listed["monitors"].as_array().context("no monitors")?.iter().filter_map(id);
    Ok(ids.map(|id| format!("/monitors/{id}?period={period}")).collect())
}

/// When a collector began to read its topic.
pub(crate) fn took_partitions(collector: &Collector) -> Result<Timestamp> {
    let log = collector.log();
    let line = log.lines().find(|line| line.contains("took partitions")).with_context(|| log.clone())?;
    let time = line.split_once("time=").and_then(|(_, rest)| rest.split(' ').next()).context("a line without time")?;
    Ok(time.parse()?)
}
