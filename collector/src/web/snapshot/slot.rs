//! A slot: one value that was read, and the reading that will replace it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Unreadable;
use super::gate::Gate;
use crate::unavailable::Unavailable;

/// How old a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// The age from which the value is read again.
    pub(super) fresh: Duration,
    /// The age up to which the value is shown while it is read again, or cannot be read.
    pub(super) usable: Duration,
    /// After a reading that took some time, nothing is read for this multiple of that time, but not beyond `usable`.
    /// What takes long is read less often, so that no number of monitors makes a database work for pages only.
    pub(super) rest: u32,
}

/// How long the client that begins a reading waits for it before it takes the value that was there.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nothing is read after a failure.
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
    /// How long the reading took.
    took: Duration,
    value: T,
}

impl<T: Clone> Latest<T> {
    /// Returns the value if it is fresh, and the value if it is usable.
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
    /// Returns the value if it is fresh. Otherwise it returns what `read` yields, which is called once for all clients
    /// that ask in the meantime.
    pub(super) async fn get(
        &self,
        age: Age,
        gate: &Arc<Gate>,
        read: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let (reading, usable, is_first) = {
            let mut state = self.state.lock();
            let (fresh, usable) = state.latest.as_ref().map_or((None, None), |latest| latest.by(age));
            if let Some(fresh) = fresh {
                return Ok(fresh);
            }
            if state.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                return usable.ok_or(Unreadable::Database);
            }
            // A reading whose sender is gone has ended, even when a panic ended it.
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
            // This measures the reading without the time of waiting for its turn.
            let timed = move || {
                let begun = Instant::now();
                read().map(|value| (value, begun.elapsed()))
            };
            let read = gate.read(timed).await;
            let mut state = place.lock();
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
