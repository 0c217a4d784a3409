//! The outbox against a plain queue, through whatever may happen to it.

use std::collections::VecDeque;
use std::fs;

use proptest::prelude::*;
use rustix::io::Errno;
use tempfile::TempDir;

use super::damage::{Accounted, damage, drain};
use super::*;
use crate::outbox::shared::State;

#[derive(Clone, Debug)]
enum Step {
    /// This many records, each durable before the next.
    Append(u64),
    /// This many results that no one waits for.
    Keep(u64),
    /// Reads up to this many and acknowledges them.
    Deliver(usize),
    /// Reads, and does not.
    Read(usize),
    /// A clean stop and a start.
    Reopen,
    /// Goes on with the directory as it was at a moment of the run: what a kill leaves.
    Kill,
    /// The disk is full while this many results come, then takes them.
    Fill(u64),
    /// A stop, a damage, a start.
    Damage(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..25_u64).prop_map(Step::Append),
        2 => (1..80_u64).prop_map(Step::Keep),
        4 => (1..60_usize).prop_map(Step::Deliver),
        2 => (1..60_usize).prop_map(Step::Read),
        2 => Just(Step::Reopen),
        2 => Just(Step::Kill),
        1 => (1..30_u64).prop_map(Step::Fill),
        1 => any::<u64>().prop_map(Step::Damage),
    ];
    prop::collection::vec(step, 1..24)
}

/// An outbox and what it should hold.
struct Model {
    dir: TempDir,
    outbox: Outbox,
    committer: Option<Committer>,
    /// What waits, in order. Of an epoch's first record only the number is known.
    pending: VecDeque<(Number, Option<Vec<u8>>)>,
    issued: Vec<Number>,
    accounted: Accounted,
    appended: u64,
    /// From the first damage on, what waits may be declared dropped rather than read.
    damaged: bool,
}

impl Model {
    fn new() -> Model {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open_with(dir.path(), 10);
        let mut model = Model {
            dir,
            outbox,
            committer: None,
            pending: VecDeque::new(),
            issued: Vec::new(),
            accounted: Accounted::default(),
            appended: 0,
            damaged: false,
        };
        model.start();
        model
    }

    fn start(&mut self) {
        self.committer = Some(start(&self.outbox));
        let epoch = self.outbox.status().epoch.unwrap();
        self.issue(Number { epoch, seq: 1 }, None);
    }

    fn issue(&mut self, number: Number, payload: Option<Vec<u8>>) {
        self.issued.push(number);
        self.pending.push_back((number, payload));
    }

    fn payload(&mut self) -> Vec<u8> {
        self.appended += 1;
        format!("{{\"n\":{},\"{}\":0}}", self.appended, "x".repeat(self.appended as usize % 300)).into_bytes()
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let payload = self.payload();
            let number = self.outbox.append(payload.clone()).unwrap();
            self.issue(number, Some(payload));
        }
    }

    /// Results get their numbers in the order in which they came, after what has one.
    fn keep(&mut self, count: u64, meanwhile: impl FnOnce(&Outbox)) {
        let payloads: Vec<_> = (0..count).map(|_| self.payload()).collect();
        // A repair takes numbers of its own.
        self.await_repair();
        let before = self.outbox.status();
        for payload in &payloads {
            self.outbox.intake().keep(payload.clone()).unwrap();
        }
        meanwhile(&self.outbox);
        assert!(self.outbox.flush(Duration::from_secs(60)));
        let epoch = before.epoch.unwrap();
        for (seq, payload) in (before.highest_seq + 1..).zip(payloads) {
            self.issue(Number { epoch, seq }, Some(payload));
        }
    }

    fn await_repair(&self) {
        let whole = |state: &State| state.damaged.is_empty() && state.front() <= state.acknowledged + 1;
        assert!(self.outbox.wait_until(Duration::from_secs(20), whole));
        assert!(self.outbox.flush(Duration::from_secs(60)));
    }

    fn read(&mut self, records: usize) -> Vec<Entry> {
        self.await_repair();
        let mut entries: Vec<Entry> = Vec::new();
        // A call reads one chunk.
        while entries.len() < records {
            let after = entries.last().map_or(0, |entry| entry.position);
            let more = self.outbox.read(after, records - entries.len(), usize::MAX).unwrap();
            if more.is_empty() {
                break;
            }
            entries.extend(more);
        }
        if self.damaged {
            return entries;
        }
        assert_eq!(entries.len(), records.min(self.pending.len()));
        for (entry, (number, payload)) in entries.iter().zip(&self.pending) {
            assert_eq!(Number { epoch: entry.epoch, seq: entry.seq }, *number);
            assert!(payload.as_ref().is_none_or(|payload| *payload == entry.payload));
        }
        entries
    }

    fn deliver(&mut self, records: usize) {
        let entries = self.read(records);
        let Some(last) = entries.last() else { return };
        self.outbox.acknowledge(last.position).unwrap();
        self.pending.drain(..entries.len().min(self.pending.len()));
        self.accounted.take(entries);
    }

    fn stop(&mut self) {
        self.committer.take().unwrap().stop();
    }

    fn reopen(&mut self) {
        // The lock goes with the last handle.
        let parked = tempfile::tempdir().unwrap();
        self.outbox = Outbox::open(&config(parked.path())).unwrap();
        self.outbox = open_with(self.dir.path(), 10);
        self.start();
    }

    fn kill(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(self.dir.path(), copy.path());
        self.stop();
        self.outbox = open_with(copy.path(), 10);
        self.dir = copy;
        self.start();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(count) => self.append(count),
            Step::Keep(count) => self.keep(count, |_| ()),
            Step::Deliver(records) => self.deliver(records),
            Step::Read(records) => drop(self.read(records)),
            Step::Reopen => {
                self.stop();
                self.reopen();
            }
            Step::Kill => self.kill(),
            Step::Fill(count) => {
                self.await_repair();
                self.outbox.shared.refusal.store(Errno::NOSPC.raw_os_error(), std::sync::atomic::Ordering::Relaxed);
                self.keep(count, |outbox| {
                    while outbox.status().refused.is_none() {
                        std::thread::yield_now();
                    }
                    outbox.shared.refusal.store(0, std::sync::atomic::Ordering::Relaxed);
                });
            }
            Step::Damage(seed) => {
                self.await_repair();
                self.stop();
                damage(self.dir.path(), seed);
                self.damaged = true;
                self.reopen();
            }
        }
    }

    fn end(mut self) {
        if !self.damaged {
            let waiting = self.pending.len();
            assert_eq!(self.read(waiting + 1).len(), waiting);
        }
        let rest = drain(&self.outbox);
        if !self.damaged {
            assert!(rest.declared.is_empty());
        }
        self.accounted.merge(rest);
        for number in &self.issued {
            assert!(self.accounted.has((number.epoch, number.seq)), "{number:?} is missing");
        }
        let status = self.outbox.status();
        assert_eq!((status.pending, status.refused), (0, None));
        self.stop();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    // A chunk may be freed meanwhile.
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).unwrap();
    for entry in entries {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &copy);
        } else {
            // A snapshot may get its name meanwhile.
            fs::copy(entry.path(), copy).ok();
        }
    }
}

fn play(steps: Vec<Step>) {
    let mut model = Model::new();
    steps.into_iter().for_each(|step| model.take(step));
    model.end();
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_outbox_is_the_queue_that_it_should_be(steps in steps()) {
        play(steps);
    }
}

#[test]
fn a_disk_that_is_full_right_after_a_damage_delays_the_repair_and_loses_nothing() {
    for seed in 0..7 {
        play(vec![Step::Append(24), Step::Keep(40), Step::Deliver(15), Step::Damage(seed), Step::Fill(11), Step::Kill]);
    }
}
