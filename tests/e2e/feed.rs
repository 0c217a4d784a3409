//! Sends results all the time while a test does something to collectors and servers.
//!
//! Each partition has one epoch, which is numbered without a gap, and each message is sent once. So a test can compare
//! the numbers of an epoch in the ledger with the offset that the group has committed in the epoch's partition.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::{Stack, within};
use serde::Deserialize;
use uuid::Uuid;

use crate::store::summaries::random_result;
use crate::store::{assert_proven, await_consumed, numbers, rows};

/// The number of results that each partition gets in each `INTERVAL`.
const PORTION: u64 = 15;
const INTERVAL: Duration = Duration::from_millis(100);

/// The results that are being sent.
pub(crate) struct Feed<'a> {
    stack: &'a Stack,
    epochs: Vec<Uuid>,
    sent: AtomicU64,
    is_over: AtomicBool,
}

impl Feed<'_> {
    /// Feeds this number of partitions while `body` runs, and returns the number of results that were sent.
    pub(crate) fn during(stack: &Stack, partitions: usize, body: impl FnOnce(&Feed<'_>) -> Result<()>) -> Result<u64> {
        let epochs = (0..partitions).map(|_| Uuid::new_v4()).collect();
        let feed = Feed { stack, epochs, sent: AtomicU64::new(0), is_over: AtomicBool::new(false) };
        thread::scope(|scope| {
            let feeding = scope.spawn(|| feed.run());
            let outcome = {
                let _end = End(&feed.is_over);
                body(&feed)
            };
            let fed = feeding.join().expect("no panic");
            outcome.and(fed)
        })?;
        Ok(feed.sent.into_inner())
    }

    fn run(&self) -> Result<()> {
        let producer = self.stack.topic.producer()?;
        let mut random = rand::rng();
        let mut seq = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let portion: Vec<(i32, Vec<u8>)> = (0..)
                .zip(&self.epochs)
                .flat_map(|(partition, epoch)| (seq + 1..=seq + PORTION).map(move |seq| (partition, epoch, seq)))
                .map(|(partition, epoch, seq)| (partition, random_result(&mut random, *epoch, seq).to_string().into()))
                .collect();
            producer.produce(portion.iter().map(|(partition, value)| (*partition, value.as_slice())))?;
            seq += PORTION;
            self.sent.fetch_add(portion.len() as u64, Ordering::Relaxed);
            thread::sleep(INTERVAL);
        }
        Ok(())
    }

    /// Returns how many numbers the ledger has of each partition.
    pub(crate) fn accounted(&self) -> Result<Vec<u64>> {
        #[derive(Deserialize)]
        struct Accounted {
            epoch: Uuid,
            count: u64,
        }
        let all: Vec<Accounted> = self.stack.database.rows(
            "select epoch, (select coalesce(sum(upper(r) - lower(r)), 0) from unnest(accounted) r) as count
             from website_monitor.epochs",
        )?;
        let of = |epoch: &Uuid| all.iter().find(|one| one.epoch == *epoch).map_or(0, |one| one.count);
        Ok(self.epochs.iter().map(of).collect())
    }

    /// Does something, and returns the longest time that each partition stood still meanwhile.
    pub(crate) fn standstills(&self, doing: impl FnOnce() -> Result<()>) -> Result<Vec<Duration>> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut last: Vec<(u64, Instant)> =
                    self.accounted()?.into_iter().map(|count| (count, Instant::now())).collect();
                let mut longest = vec![Duration::ZERO; last.len()];
                while !is_over.load(Ordering::Relaxed) {
                    for ((count, last), longest) in self.accounted()?.into_iter().zip(&mut last).zip(&mut longest) {
                        *longest = last.1.elapsed().max(*longest);
                        if count > last.0 {
                            *last = (count, Instant::now());
                        }
                    }
                    thread::sleep(INTERVAL / 4);
                }
                Ok(longest)
            });
            let outcome = {
                let _end = End(&is_over);
                doing()
            };
            let looked = looking.join().expect("no panic");
            outcome.and(looked)
        })
    }

    /// Waits until each of these partitions makes progress, and returns the seconds that this took.
    pub(crate) fn progress(&self, partitions: &[usize], bound: Duration, collector: &Collector) -> Result<f64> {
        let began = Instant::now();
        let before = within(bound, "the ledger can be read", || self.accounted())?;
        within(bound, "every partition goes on", || {
            let now = self.accounted()?;
            let stands = partitions.iter().find(|partition| now[**partition] <= before[**partition]);
            ensure!(stands.is_none(), "{before:?} before, {now:?} now\n{}", collector.log());
            Ok(())
        })?;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Sets a flag when it is dropped, also when a test ends in a panic. The flag says that something is over.
pub(crate) struct End<'a>(pub(crate) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asserts that all that was sent is stored once, that nothing was set aside, and that `verify` proves it.
pub(crate) fn assert_stored_once(stack: &Stack, collector: &Collector, sent: u64) -> Result<()> {
    await_consumed(stack, &collector.group);
    assert_eq!((rows(stack)?, numbers(stack)?), (sent, sent), "lost or twice\n{}", collector.log());
    assert_eq!(stack.database.count("website_monitor.rejected")?, 0, "set aside\n{}", collector.log());
    assert_proven(&collector.verify()?);
    Ok(())
}

/// Returns the shortest, the median and the longest of some times, in words.
pub(crate) fn spread(seconds: &[f64]) -> Result<String> {
    let mut sorted = seconds.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (least, most) = (sorted.first().context("no times")?, sorted.last().context("no times")?);
    let median = sorted[sorted.len() / 2];
    Ok(format!("{least:.1} s at best, {median:.1} s in the median, {most:.1} s at worst (of {})", sorted.len()))
}
