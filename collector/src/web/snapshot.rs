//! What was read of the tables a moment ago, so that any number of people who look cost the database no more than one.
//!
//! ```text
//! asked ──▶ fresh? ── yes ─────────────────────▶ that
//!             └─ no: read, once for all who ask ─▶ the new one; and while that takes: what is not too old yet
//! ```
//! Readings go through a gate: a few at a time, some more in line, the rest is told to come again. One that was begun is
//! finished though no one waits for it any more: the next who asks has it. That a reading failed is remembered only for
//! as long as keeps a database that is away from being asked by everybody at once. Whether it answers at all is asked beside the
//! gate: those who look, however many, are no sign that it does not.

mod gate;
mod slot;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
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

/// Why there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The database could not be read just now. The log says why: that is nothing for anyone who asks.
    #[error("the database can't be read")]
    Database,
    /// More is asked for than can be read.
    #[error("too many ask at once")]
    Busy,
}

impl Unreadable {
    /// After this many seconds it is worth asking again.
    pub const RETRY_AFTER: u64 = 5;
}

/// What is shown, as it was a moment ago.
pub struct Snapshots {
    source: Arc<dyn Source>,
    gate: Arc<Gate>,
    /// For the one question that waits behind no reading.
    beside: Arc<Gate>,
    answers: Slot<()>,
    overviews: [Slot<Arc<Overview>>; 3],
    agents: Slot<Arc<Vec<AgentRow>>>,
    alerts: Slot<AlertCounts>,
    details: Mutex<LruCache<(String, Period), Arc<DetailSlot>>>,
}

type DetailSlot = Slot<Option<Arc<Detail>>>;

/// This many monitors at length are kept.
const DETAILS: NonZeroUsize = NonZeroUsize::new(64).expect("is not zero");

/// What is of now.
const SHORT: Age = Age { fresh: Duration::from_secs(10), usable: Duration::from_secs(60), rest: 20 };

/// Whether there is a database.
const MOMENT: Age = Age { fresh: Duration::from_secs(1), usable: Duration::ZERO, rest: 0 };

/// What costs more changes less.
fn age(period: Period) -> Age {
    match period {
        Period::Day => SHORT,
        Period::Month => Age { fresh: Duration::from_secs(60), usable: Duration::from_secs(300), ..SHORT },
        Period::Quarter => Age { fresh: Duration::from_secs(180), usable: Duration::from_secs(900), ..SHORT },
    }
}

/// One monitor at length is looked at more closely, and yet costs the more the longer the period is.
fn age_at_length(period: Period) -> Age {
    let age = age(period);
    Age { fresh: age.fresh.min(Duration::from_secs(60)), ..age }
}

/// Whether a monitor can have that id. Others aren't worth a question.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= wire::limits::MONITOR && !id.contains('\0')
}

impl Snapshots {
    /// This many readings at a time are the most that a source has to stand, each with a connection of its own.
    pub const READINGS: u32 = gate::READINGS + 1;

    /// Of a source.
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

    /// All monitors in short.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn overview(&self, period: Period) -> Result<Arc<Overview>, Unreadable> {
        self.overview_of(period, age(period)).await
    }

    /// The same of a day, for programs that ask all the time whether people look or not.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn overview_for_programs(&self) -> Result<Arc<Overview>, Unreadable> {
        self.overview_of(Period::Day, Age { fresh: Duration::from_secs(30), ..SHORT }).await
    }

    async fn overview_of(&self, period: Period, age: Age) -> Result<Arc<Overview>, Unreadable> {
        let source = self.source.clone();
        let slot = &self.overviews[period as usize];
        slot.get(age, &self.gate, move || source.overview(period).map(Arc::new)).await
    }

    /// One monitor at length; none when there is none with that id.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn detail(&self, id: &str, period: Period) -> Result<Option<Arc<Detail>>, Unreadable> {
        if !is_id(id) {
            return Ok(None);
        }
        let (source, id) = (self.source.clone(), id.to_owned());
        let slot = {
            let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
            details.get_or_insert((id.clone(), period), Arc::default).clone()
        };
        slot.get(age_at_length(period), &self.gate, move || Ok(source.detail(&id, period)?.map(Arc::new))).await
    }

    /// This many results of a monitor from before a moment, newest first; none when there is none with that id. They are
    /// not kept: no one asks for the same ones twice.
    ///
    /// # Errors
    /// Why there is nothing to show.
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
        // What is stored is of 1970 at the earliest and of tomorrow at the latest; times far off may be none of the
        // database's.
        let before = before.clamp(Timestamp::UNIX_EPOCH, Timestamp::now() + SignedDuration::from_hours(48));
        self.gate.read(move || source.results(&id, before, most)).await
    }

    /// Whether the database answers now, or did a moment ago.
    pub async fn is_readable(&self) -> bool {
        let source = self.source.clone();
        self.answers.get(MOMENT, &self.beside, move || source.answers()).await.is_ok()
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn agents(&self) -> Result<Arc<Vec<AgentRow>>, Unreadable> {
        let source = self.source.clone();
        self.agents.get(SHORT, &self.gate, move || source.agents().map(Arc::new)).await
    }

    /// How many alerts there are, and messages that wait.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn alerts(&self) -> Result<AlertCounts, Unreadable> {
        let source = self.source.clone();
        self.alerts.get(SHORT, &self.gate, move || source.alerts()).await
    }
}
