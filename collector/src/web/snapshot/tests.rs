//! Tests that many clients ask and one reads. Readings wait until the test ends them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::gate::PLACES;
use super::*;
use crate::figures::alerts::AlertCounts;
use crate::unavailable::Unavailable;

const STALE: Age = Age { fresh: Duration::ZERO, usable: Duration::from_secs(600), rest: 0 };
const GONE: Age = Age { fresh: Duration::ZERO, usable: Duration::ZERO, rest: 0 };

/// A reading that ends when the test sends its outcome.
struct Told {
    begun: Arc<AtomicUsize>,
    words: Arc<Mutex<Receiver<Result<u32, Unavailable>>>>,
}

impl Told {
    fn new() -> (Told, Sender<Result<u32, Unavailable>>) {
        let (word, words) = channel();
        (Told { begun: Arc::default(), words: Arc::new(Mutex::new(words)) }, word)
    }

    fn reading(&self) -> impl FnOnce() -> Result<u32, Unavailable> + Send + 'static {
        let (begun, words) = (self.begun.clone(), self.words.clone());
        move || {
            begun.fetch_add(1, Ordering::SeqCst);
            words.lock().recv().unwrap()
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    async fn await_begun(&self, readings: usize) {
        while self.begun() < readings {
            tokio::task::yield_now().await;
        }
    }
}

fn failure() -> Result<u32, Unavailable> {
    Err(Unavailable("no server".into()))
}

#[tokio::test]
async fn a_hundred_who_ask_at_once_cost_one_reading() {
    let ((told, word), gate) = (Told::new(), Arc::new(Gate::default()));
    let slot = Arc::new(Slot::default());
    let ask = |_| {
        let (slot, gate, reading) = (slot.clone(), gate.clone(), told.reading());
        tokio::spawn(async move { slot.get(STALE, &gate, reading).await })
    };
    let asking: Vec<JoinHandle<_>> = (0..100).map(ask).collect();
    told.await_begun(1).await;
    word.send(Ok(7)).unwrap();
    for one in asking {
        assert_eq!(one.await.unwrap(), Ok(7));
    }
    assert_eq!(told.begun(), 1);
}

#[tokio::test]
async fn what_is_fresh_is_not_read_again() {
    let ((told, word), gate, slot) = (Told::new(), Arc::new(Gate::default()), Slot::default());
    word.send(Ok(1)).unwrap();
    let fresh = Age { fresh: Duration::from_secs(600), ..STALE };
    for _ in 0..3 {
        assert_eq!(slot.get(fresh, &gate, told.reading()).await, Ok(1));
    }
    assert_eq!(told.begun(), 1);
}

#[tokio::test]
async fn while_it_is_read_again_others_get_what_there_was_and_then_the_new() {
    let ((told, word), gate, slot) = (Told::new(), Arc::new(Gate::default()), Arc::new(Slot::default()));
    word.send(Ok(1)).unwrap();
    assert_eq!(slot.get(STALE, &gate, told.reading()).await, Ok(1));
    let first = tokio::spawn({
        let (slot, gate, reading) = (slot.clone(), gate.clone(), told.reading());
        async move { slot.get(STALE, &gate, reading).await }
    });
    told.await_begun(2).await;
    assert_eq!(slot.get(STALE, &gate, told.reading()).await, Ok(1));
    word.send(Ok(2)).unwrap();
    assert_eq!(first.await.unwrap(), Ok(2));
    assert_eq!(told.begun(), 2);
}

#[tokio::test]
async fn a_failure_leaves_what_is_usable_and_is_soon_forgotten() {
    let ((told, word), gate, slot) = (Told::new(), Arc::new(Gate::default()), Slot::default());
    word.send(failure()).unwrap();
    assert_eq!(slot.get(STALE, &gate, told.reading()).await, Err(Unreadable::Database));
    // No one reads again at once.
    assert_eq!(slot.get(STALE, &gate, told.reading()).await, Err(Unreadable::Database));
    assert_eq!(told.begun(), 1);
    word.send(Ok(1)).unwrap();
    while slot.get(STALE, &gate, told.reading()).await != Ok(1) {
        sleep(Duration::from_millis(10)).await;
    }
    word.send(failure()).unwrap();
    assert_eq!(slot.get(STALE, &gate, told.reading()).await, Ok(1));
    assert_eq!(slot.get(GONE, &gate, told.reading()).await, Err(Unreadable::Database));
}

#[tokio::test]
async fn a_reading_that_panics_is_a_failure_for_all_who_wait() {
    let (gate, slot) = (Arc::new(Gate::default()), Slot::<u32>::default());
    let broken = || -> Result<u32, Unavailable> { panic!("as the test wants") };
    assert_eq!(slot.get(STALE, &gate, broken).await, Err(Unreadable::Database));
}

#[tokio::test]
async fn anyone_who_goes_away_leaves_the_reading_to_the_next() {
    let ((told, word), gate, slot) = (Told::new(), Arc::new(Gate::default()), Arc::new(Slot::default()));
    let gone = tokio::spawn({
        let (slot, gate, reading) = (slot.clone(), gate.clone(), told.reading());
        async move { slot.get(STALE, &gate, reading).await }
    });
    told.await_begun(1).await;
    gone.abort();
    word.send(Ok(1)).unwrap();
    let fresh = Age { fresh: Duration::from_secs(600), ..STALE };
    assert_eq!(slot.get(fresh, &gate, told.reading()).await, Ok(1));
    assert_eq!(told.begun(), 1);
}

#[tokio::test]
async fn two_read_at_a_time_some_wait_and_the_rest_is_sent_away() {
    let ((told, word), gate) = (Told::new(), Arc::new(Gate::default()));
    let ask = |_| {
        let (gate, reading) = (gate.clone(), told.reading());
        tokio::spawn(async move { gate.read(reading).await })
    };
    let asking: Vec<JoinHandle<_>> = (0..PLACES + 36).map(ask).collect();
    told.await_begun(2).await;
    while asking.iter().filter(|one| one.is_finished()).count() < 36 {
        tokio::task::yield_now().await;
    }
    assert_eq!(told.begun(), 2);
    (0..PLACES).for_each(|_| word.send(Ok(0)).unwrap());
    let mut read = 0;
    for one in asking {
        match one.await.unwrap() {
            Ok(_) => read += 1,
            Err(unreadable) => assert_eq!(unreadable, Unreadable::Busy),
        }
    }
    assert_eq!((read, told.begun()), (PLACES, PLACES));
}

/// A source whose results take until the test ends the reading.
struct Slow(Told);

impl Source for Slow {
    fn overview(&self, _: Period) -> Result<Overview, Unavailable> {
        Err(Unavailable("no one asks".into()))
    }

    fn detail(&self, _: &str, _: Period) -> Result<Option<Detail>, Unavailable> {
        Ok(None)
    }

    fn results(&self, _: &str, _: Timestamp, _: usize) -> Result<Option<Vec<ResultRow>>, Unavailable> {
        self.0.reading()().map(|_| None)
    }

    fn agents(&self) -> Result<Vec<AgentRow>, Unavailable> {
        Ok(Vec::new())
    }

    fn alerts(&self) -> Result<AlertCounts, Unavailable> {
        Ok(AlertCounts::default())
    }

    fn answers(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}

#[tokio::test]
async fn whether_the_database_answers_is_known_while_all_that_it_reads_takes_long() {
    let (told, word) = Told::new();
    let begun = told.begun.clone();
    let snapshots = Arc::new(Snapshots::new(Arc::new(Slow(told))));
    let ask = |_| {
        let snapshots = snapshots.clone();
        tokio::spawn(async move { snapshots.results("a", Timestamp::UNIX_EPOCH, 1).await })
    };
    let asking: Vec<JoinHandle<_>> = (0..=PLACES).map(ask).collect();
    while begun.load(Ordering::SeqCst) < 2 || !asking.iter().any(JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    assert_eq!(snapshots.agents().await.err(), Some(Unreadable::Busy));
    assert!(snapshots.is_readable().await);
    (0..PLACES).for_each(|_| word.send(Ok(0)).unwrap());
    for one in asking {
        drop(one.await);
    }
}

#[tokio::test]
async fn ids_that_no_monitor_can_have_cost_nothing() {
    let tables = crate::web::tests::Tables { is_away: true.into(), ..Default::default() };
    let snapshots = Snapshots::new(Arc::new(tables));
    for id in ["", "a\0", &*"x".repeat(20_000)] {
        assert_eq!(snapshots.detail(id, Period::Day).await.map(|none| none.is_none()), Ok(true));
    }
    assert_eq!(snapshots.detail("a", Period::Day).await.err(), Some(Unreadable::Database));
}

#[test]
fn a_longer_period_is_read_less_often_and_one_monitor_more_often_than_all() {
    let fresh =
        |age: fn(Period) -> Age| [Period::Day, Period::Month, Period::Quarter].map(|it| age(it).fresh.as_secs());
    assert_eq!((fresh(age), fresh(age_at_length)), ([10, 60, 180], [10, 60, 60]));
}

#[tokio::test]
async fn what_took_long_is_not_read_again_at_once() {
    let ((told, word), gate, slot) = (Told::new(), Arc::new(Gate::default()), Slot::default());
    let rested = Age { rest: 10_000_000, ..STALE };
    for age in [rested, rested, STALE] {
        word.send(Ok(1)).unwrap();
        assert_eq!(slot.get(age, &gate, told.reading()).await, Ok(1));
    }
    assert_eq!(told.begun(), 2, "the second who asked has the first one's");
    let gone = Age { rest: 10_000_000, ..GONE };
    assert_eq!(slot.get(gone, &gate, told.reading()).await, Ok(1));
    assert_eq!(told.begun(), 3, "it is older than it may be");
}
