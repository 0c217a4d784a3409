//! One thing that was read, and the reading that will take its place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::Unreadable;
use super::gate::Gate;
use crate::unavailable::Unavailable;

/// How old a thing may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// It is read again when it is older.
    pub(super) fresh: Duration,
    /// It is shown while it is read again, or can't be, unless it is older.
    pub(super) usable: Duration,
    /// After a reading nothing is read for this many times as long as that took, unless it gets older than it may be: what
    /// takes long is read less often, so that no number of monitors makes a database work for nothing but pages.
    pub(super) rest: u32,
}

/// Anyone who begins a reading waits so long for it before taking what there was.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a failure nothing is read for so long.
const PAUSE: Duration = Duration::from_secs(1);

type Reading<T> = watch::Receiver<Option<Result<T, Unreadable>>>;

pub(super) struct Slot<T> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    latest: Option<Latest<T>>,
    failed: Option<Instant>,
    reading: Option<Reading<T>>,
}

struct Latest<T> {
    asked: Instant,
    /// How long it took to read.
    took: Duration,
    value: T,
}

impl<T: Clone> Latest<T> {
    /// It, if it is fresh; and if it is usable.
    fn by(&self, age: Age) -> (Option<T>, Option<T>) {
        let is_younger = |than: Duration| (self.asked.elapsed() < than).then(|| self.value.clone());
        (is_younger(age.fresh.max((self.took * age.rest).min(age.usable))), is_younger(age.usable))
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { state: Arc::new(Mutex::new(State { latest: None, failed: None, reading: None })) }
    }
}

impl<T: Clone + Send + Sync + 'static> Slot<T> {
    /// What is there, if it is fresh; else what `read` yields, which is called once for all who ask meanwhile.
    pub(super) async fn get(
        &self,
        age: Age,
        gate: &Arc<Gate>,
        read: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let (reading, usable, is_first) = {
            let mut state = locked(&self.state);
            let (fresh, usable) = state.latest.as_ref().map_or((None, None), |latest| latest.by(age));
            if let Some(fresh) = fresh {
                return Ok(fresh);
            }
            if state.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                return usable.ok_or(Unreadable::Database);
            }
            // One whose other end is gone is over, be it by a panic.
            match state.reading.clone().filter(|reading| reading.has_changed().is_ok()) {
                Some(reading) => (reading, usable, false),
                None => (self.begin(&mut state, gate, read), usable, true),
            }
        };
        match usable {
            None => end_of(reading).await,
            Some(usable) if is_first => match timeout(PATIENCE, end_of(reading)).await {
                Ok(Ok(read)) => Ok(read),
                _ => Ok(usable),
            },
            Some(usable) => Ok(usable),
        }
    }

    fn begin(
        &self,
        state: &mut State<T>,
        gate: &Arc<Gate>,
        read: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
    ) -> Reading<T> {
        let (done, reading) = watch::channel(None);
        state.reading = Some(reading.clone());
        let (place, gate) = (self.state.clone(), gate.clone());
        tokio::spawn(async move {
            let asked = Instant::now();
            // Without the time in line.
            let timed = move || {
                let begun = Instant::now();
                read().map(|value| (value, begun.elapsed()))
            };
            let read = gate.read(timed).await;
            let mut state = locked(&place);
            match &read {
                Ok((value, took)) => {
                    state.latest = Some(Latest { asked, took: *took, value: value.clone() });
                    state.failed = None;
                }
                Err(Unreadable::Database) => state.failed = Some(Instant::now()),
                Err(Unreadable::Busy) => {}
            }
            done.send_replace(Some(read.map(|(value, _)| value)));
        });
        reading
    }
}

async fn end_of<T: Clone>(mut reading: Reading<T>) -> Result<T, Unreadable> {
    match reading.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(read)) => read.clone(),
        _ => Err(Unreadable::Database),
    }
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
