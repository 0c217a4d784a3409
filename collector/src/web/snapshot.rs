//! Snapshots: what was read from the tables a moment ago, so that many readers cost the database no more than one.
//!
//! ```text
//! asked ──▶ fresh? ── yes ─────────────────────▶ that
//!             └─ no: read, once for all who ask ─▶ the new one; and while that takes: what is not too old yet
//! ```
//! Readings go through a gate: a few run at a time, some more wait, and the rest are told to come again. A reading that
//! was begun is finished even when no client waits for it any more, and the next client that asks gets it. A failed
//! reading is remembered only for a short time, so that not every client asks a database that is away at once. The
//! question whether the database answers at all goes through a gate of its own: many readers are no sign that it does
//! not.

mod gate;
mod slot;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use crate::figures::agent::AgentRow;
use crate::figures::alerts::AlertCounts;
use crate::figures::detail::{Detail, ResultRow};
use crate::figures::overview::Overview;
use crate::figures::period::Period;
use crate::figures::source::Source;
use gate::Gate;
use slot::{Age, Slot};

/// The reason why there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The database could not be read just now. The log says why, because the reason is not for clients.
    #[error("the database can't be read")]
    Database,
    /// More is asked for than can be read.
    #[error("too many ask at once")]
    Busy,
}

impl Unreadable {
    /// The number of seconds after which it is worth asking again.
    pub const RETRY_AFTER: u64 = 5;
}

/// The snapshots of all that is shown.
pub struct Snapshots {
    source: Arc<dyn Source>,
    gate: Arc<Gate>,
    /// The gate of the question whether the database answers, which waits for no other reading.
    beside: Arc<Gate>,
    answers: Slot<()>,
    overviews: [Slot<Arc<Overview>>; 3],
    agents: Slot<Arc<Vec<AgentRow>>>,
    alerts: Slot<AlertCounts>,
    details: Mutex<LruCache<(String, Period), Arc<DetailSlot>>>,
}

type DetailSlot = Slot<Option<Arc<Detail>>>;

/// The number of monitors at length that are kept.
const DETAILS: NonZeroUsize = NonZeroUsize::new(64).expect("is not zero");

/// The age of values that show the present.
const SHORT: Age = Age { fresh: Duration::from_secs(10), usable: Duration::from_secs(60), rest: 20 };

/// The age of the answer whether there is a database.
const MOMENT: Age = Age { fresh: Duration::from_secs(1), usable: Duration::ZERO, rest: 0 };

/// Returns the age of the overview of a period. A longer period costs more and changes less.
fn age(period: Period) -> Age {
    match period {
        Period::Day => SHORT,
        Period::Month => Age { fresh: Duration::from_secs(60), usable: Duration::from_secs(300), ..SHORT },
        Period::Quarter => Age { fresh: Duration::from_secs(180), usable: Duration::from_secs(900), ..SHORT },
    }
}

/// Returns the age of a monitor at length. Readers look at it more closely, but it also costs more the longer the
/// period is.
fn age_at_length(period: Period) -> Age {
    let age = age(period);
    Age { fresh: age.fresh.min(Duration::from_secs(60)), ..age }
}

/// Returns whether a monitor can have that id. Other ids are not worth a question to the database.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= wire::limits::MONITOR && !id.contains('\0')
}

impl Snapshots {
    /// The largest number of readings that a source gets at a time, each with a connection of its own.
    pub const READINGS: u32 = gate::READINGS + 1;

    /// Creates the snapshots of a source.
    pub fn new(source: Arc<dyn Source>) -> Snapshots {
        let gate = Arc::new(Gate::default());
        Snapshots {
            source,
            beside: Arc::new(gate.beside()),
            gate,
            answers: Slot::default(),
            overviews: std::array::from_fn(|_| Slot::default()),
            agents: Slot::default(),
            alerts: Slot::default(),
            details: Mutex::new(LruCache::new(DETAILS)),
        }
    }

    /// Returns all monitors in short.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn overview(&self, period: Period) -> Result<Arc<Overview>, Unreadable> {
        self.overview_of(period, age(period)).await
    }

    /// Returns all monitors over a day, for programs that ask continually whether people look or not.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn overview_for_programs(&self) -> Result<Arc<Overview>, Unreadable> {
        self.overview_of(Period::Day, Age { fresh: Duration::from_secs(30), ..SHORT }).await
    }

    async fn overview_of(&self, period: Period, age: Age) -> Result<Arc<Overview>, Unreadable> {
        let source = self.source.clone();
        let slot = &self.overviews[period as usize];
        slot.get(age, &self.gate, move || source.overview(period).map(Arc::new)).await
    }

    /// Returns one monitor at length; none when there is no monitor with that id.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn detail(&self, id: &str, period: Period) -> Result<Option<Arc<Detail>>, Unreadable> {
        if !is_id(id) {
            return Ok(None);
        }
        let (source, id) = (self.source.clone(), id.to_owned());
        let slot = {
            let mut details = self.details.lock();
            details.get_or_insert((id.clone(), period), Arc::default).clone()
        };
        slot.get(age_at_length(period), &self.gate, move || Ok(source.detail(&id, period)?.map(Arc::new))).await
    }

    /// Returns at most this number of results of a monitor from before a moment, newest first; none when there is no
    /// monitor with that id. The results are not kept, because no one asks for the same results twice.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn results(
        &self,
        id: &str,
        before: Timestamp,
        most: usize,
    ) -> Result<Option<Vec<ResultRow>>, Unreadable> {
        if !is_id(id) {
            return Ok(None);
        }
        let (source, id) = (self.source.clone(), id.to_owned());
        // Stored results are from 1970 at the earliest and from tomorrow at the latest. The database may not accept
        // times that are far outside of this range.
        let before = before.clamp(Timestamp::UNIX_EPOCH, Timestamp::now() + SignedDuration::from_hours(48));
        self.gate.read(move || source.results(&id, before, most)).await
    }

    /// Returns whether the database answers now, or did a moment ago.
    pub async fn is_readable(&self) -> bool {
        let source = self.source.clone();
        self.answers.get(MOMENT, &self.beside, move || source.answers()).await.is_ok()
    }

    /// Returns all agents, sorted by name.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn agents(&self) -> Result<Arc<Vec<AgentRow>>, Unreadable> {
        let source = self.source.clone();
        self.agents.get(SHORT, &self.gate, move || source.agents().map(Arc::new)).await
    }

    /// Returns how many alerts there are, and how many messages wait.
    ///
    /// # Errors
    /// Returns why there is nothing to show.
    pub async fn alerts(&self) -> Result<AlertCounts, Unreadable> {
        let source = self.source.clone();
        self.alerts.get(SHORT, &self.gate, move || source.alerts()).await
    }
}
