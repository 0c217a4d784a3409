//! The gate: only a few readings run at a time, each in a thread of its own.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use settings::LogThrottle;
use tokio::sync::Semaphore;

use super::Unreadable;
use crate::unavailable::Unavailable;

/// The number of readings at a time. It is small because storing has priority.
pub(super) const READINGS: u32 = 2;
/// The number of readings that run or wait. It is the same as the number of connections.
pub(super) const PLACES: usize = 256;

pub(super) struct Gate {
    places: Arc<Semaphore>,
    readings: Arc<Semaphore>,
    outage: Arc<Mutex<LogThrottle>>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            places: Arc::new(Semaphore::new(PLACES)),
            readings: Arc::new(Semaphore::new(READINGS as usize)),
            outage: Arc::default(),
        }
    }
}

impl Gate {
    /// Creates another gate, which never waits for this one. It does not log an outage again that this one has logged.
    pub(super) fn beside(&self) -> Gate {
        Gate { outage: self.outage.clone(), ..Gate::default() }
    }

    /// Waits for its turn and reads. The turn ends with the reading, even when no client waits for the reading any
    /// more.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unreadable> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Unreadable::Busy)?;
        let turn = self.readings.clone().acquire_owned().await.map_err(|_| Unreadable::Busy)?;
        let reading = tokio::task::spawn_blocking(move || {
            let read = read();
            drop((place, turn));
            read
        });
        match reading.await {
            Ok(Ok(read)) => {
                self.outage.lock().ended();
                Ok(read)
            }
            Ok(Err(error)) => {
                self.say(&error);
                Err(Unreadable::Database)
            }
            Err(_) => Err(Unreadable::Database),
        }
    }

    fn say(&self, error: &Unavailable) {
        let mut outage = self.outage.lock();
        if let Some(times) = outage.happened(&error.to_string(), 1, Instant::now()) {
            log::warn!(times, error:%; "can't read from the database what is to be shown");
        }
    }
}
