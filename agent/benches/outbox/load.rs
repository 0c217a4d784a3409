//! A number of appenders that wait, put on a store for a while.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::Process;

use crate::directory;
use crate::records::Records;

const MEASURED: Duration = Duration::from_millis(1_000);

/// What keeps records: a record is handed over, then waited for until it is kept.
pub(crate) trait Store: Sync {
    type Ticket;
    fn submit(&self, record: Vec<u8>) -> Self::Ticket;
    fn wait(&self, ticket: Self::Ticket);
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    threads: usize,
    each: usize,
}

pub(crate) struct Measured {
    /// Records per second.
    pub(crate) rate: f64,
    /// CPU per record, of the whole process.
    pub(crate) cpu_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Load {
    /// Threads that each hand over this many records, then wait for them.
    pub(crate) fn of(threads: usize, each: usize) -> Load {
        Load { threads, each }
    }

    pub(crate) fn waiting(self) -> usize {
        self.threads * self.each
    }

    /// Opens a store in a new directory and measures it under this load.
    pub(crate) fn put_on<S: Store>(self, records: &Records, open: impl FnOnce(&Path) -> S) -> Measured {
        let directory = directory();
        let store = open(directory.path());
        // What earlier rounds left to write is not for this one.
        rustix::fs::sync();
        let (cpu, began) = (cpu_seconds(), Instant::now());
        let latencies = self.run(&store, records, |_| began.elapsed() < MEASURED);
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        drop(store);
        let count = (latencies.len() * self.each) as f64;
        let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        Measured { rate: count / seconds, cpu_us: cpu * 1e6 / count, p50_ms: at(0.5), p99_ms: at(0.99) }
    }

    /// Keeps the load up for as long as `goes_on` says of a thread's next record; the latencies, sorted.
    pub(crate) fn run<S: Store>(
        self,
        store: &S,
        records: &Records,
        goes_on: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Duration> {
        let go = AtomicBool::new(false);
        let mut latencies: Vec<Duration> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let (go, goes_on) = (&go, &goes_on);
                    scope.spawn(move || {
                        while !go.load(Ordering::Acquire) {
                            thread::yield_now();
                        }
                        self.one(store, records, thread, goes_on)
                    })
                })
                .collect();
            go.store(true, Ordering::Release);
            threads.into_iter().flat_map(|thread| thread.join().expect("an appender ends")).collect()
        });
        latencies.sort_unstable();
        latencies
    }

    fn one<S: Store>(
        self,
        store: &S,
        records: &Records,
        thread: usize,
        goes_on: impl Fn(usize) -> bool,
    ) -> Vec<Duration> {
        let mut latencies = Vec::new();
        let mut next = thread;
        while goes_on(next) {
            let began = Instant::now();
            let tickets: Vec<_> = (0..self.each).map(|n| store.submit(records.get(next + n * self.threads))).collect();
            tickets.into_iter().for_each(|ticket| store.wait(ticket));
            latencies.push(began.elapsed());
            next += self.waiting();
        }
        latencies
    }
}

fn cpu_seconds() -> f64 {
    let stat = Process::myself().and_then(|process| process.stat()).expect("/proc is mounted");
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
