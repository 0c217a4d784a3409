//! Finds out from facts what a kill of a collector meets. The facts are the sessions of the stopped collector in
//! PostgreSQL, the state of its group, and what is committed in PostgreSQL and in Kafka.

use std::fmt;
use std::ops::Add;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use diesel::sql_types::{Bool, Integer, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use e2e::collector::Collector;
use e2e::kafka::Group;
use e2e::sockets::local_ports;
use e2e::{Stack, within};
use rand::RngExt;

use crate::feed::Feed;

/// The longest time until a kill. When it has passed, the kill is made even if it does not meet its aim.
const LONGEST: Duration = Duration::from_secs(20);
/// The longest wait for a sign. After it the test looks at the collector, and causes a rebalance again if that is the
/// aim.
const SIGN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);

/// What a kill should meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Any moment.
    Any,
    /// A batch that is partly or wholly written and is not committed.
    Batch,
    /// A batch that is committed while its offsets are not committed.
    Offsets,
    /// A summary that is written and is not committed.
    Rollup,
    /// A group that is assigning its partitions.
    Rebalance,
}

impl Aim {
    pub(super) const ALL: [Aim; 6] = [Aim::Any, Aim::Batch, Aim::Offsets, Aim::Rollup, Aim::Any, Aim::Rebalance];
}

/// What a kill met.
#[derive(Debug, Default)]
pub(super) struct Met {
    batch: bool,
    offsets: bool,
    rollup: bool,
    rebalance: bool,
}

impl Met {
    fn is(&self, aim: Aim) -> bool {
        match aim {
            Aim::Any => true,
            Aim::Batch => self.batch,
            Aim::Offsets => self.offsets,
            Aim::Rollup => self.rollup,
            Aim::Rebalance => self.rebalance,
        }
    }
}

/// A session of a collector that has written something in an open transaction.
#[derive(Debug, QueryableByName)]
struct Session {
    #[diesel(sql_type = Integer)]
    client_port: i32,
    #[diesel(sql_type = Text)]
    query: String,
    /// Whether the session has done all of its statements and waits for the next one.
    #[diesel(sql_type = Bool)]
    is_waiting: bool,
}

impl Session {
    /// Tells by its last statement whether the session writes a summary: the statement begins with `with gone as` or
    /// with `insert into hourly`.
    fn is_rollup(&self) -> bool {
        self.query.starts_with("with gone as") || self.query.starts_with("insert into hourly")
    }

    fn is_batch(&self) -> bool {
        let words = ["update epochs", "copy ", "insert into rollup_due", "update agents", "select from epochs"];
        let query = self.query.to_lowercase();
        words.iter().any(|word| query.starts_with(word))
    }
}

/// Watches collectors and stops them at wanted moments.
pub(super) struct Watch<'a> {
    feed: &'a Feed<'a>,
    group: Group,
    connection: PgConnection,
    /// The count of numbers in the ledger at the last look, for each partition.
    before: Vec<u64>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(stack: &Stack, feed: &'a Feed<'a>, group: &str) -> Result<Watch<'a>> {
        let connection = PgConnection::establish(&stack.database.url())?;
        Ok(Watch { feed, group: stack.topic.group(group)?, connection, before: vec![0; 64] })
    }

    /// Stops a collector at a moment of the wanted kind. `stir` causes a rebalance.
    pub(super) fn strike(
        &mut self,
        collector: &Collector,
        name: &str,
        aim: Aim,
        stir: &dyn Fn() -> Result<()>,
    ) -> Result<Met> {
        let deadline = Instant::now() + LONGEST;
        if aim == Aim::Any {
            thread::sleep(Duration::from_millis(rand::rng().random_range(0..3_000)));
        }
        loop {
            if aim == Aim::Rebalance {
                stir()?;
            }
            self.await_sign(aim, deadline.min(Instant::now() + SIGN))?;
            collector.pause();
            let met = self.look(collector, name)?;
            if met.is(aim) || Instant::now() > deadline {
                return Ok(met);
            }
            collector.resume();
        }
    }

    /// Waits for a sign that the collector is at the wanted moment, or until the deadline.
    fn await_sign(&mut self, aim: Aim, deadline: Instant) -> Result<()> {
        let mut was_batch = false;
        while Instant::now() < deadline {
            let is_due = match aim {
                Aim::Any => true,
                Aim::Batch => self.sessions()?.iter().any(Session::is_batch),
                Aim::Rollup => self.sessions()?.iter().any(Session::is_rollup),
                Aim::Rebalance => self.group.describe()?.is_rebalancing(),
                // The sign is that a batch was open and is no longer open.
                Aim::Offsets => {
                    let is_batch = self.sessions()?.iter().any(Session::is_batch);
                    std::mem::replace(&mut was_batch, is_batch) && !is_batch
                }
            };
            if is_due {
                break;
            }
            thread::sleep(LOOK);
        }
        if aim == Aim::Rebalance {
            thread::sleep(Duration::from_millis(rand::rng().random_range(0..300)));
        }
        Ok(())
    }

    /// Returns what a stopped collector is in the middle of.
    fn look(&mut self, collector: &Collector, name: &str) -> Result<Met> {
        let described = self.group.describe()?;
        let ports = local_ports(collector.id().context("it does not run")?)?;
        let its = |session: &Session| u16::try_from(session.client_port).is_ok_and(|port| ports.contains(&port));
        let sessions = within(LONGEST, "the server has done what it was told", || {
            let sessions: Vec<Session> = self.sessions()?.into_iter().filter(its).collect();
            ensure!(sessions.iter().all(|session| session.is_waiting), "{sessions:?}");
            Ok(sessions)
        })?;
        // The offsets are read before the ledger, because another collector goes on and commits its offsets after its
        // ledger.
        let committed = self.group.committed()?;
        let accounted = self.feed.accounted()?;
        let leads = committed.iter().zip(&accounted).any(|(offset, count)| *offset as u64 > *count);
        ensure!(!leads, "offsets lead: {committed:?} are committed, {accounted:?} are in the ledger");
        let its_partitions = described.members.get(name).cloned().unwrap_or_default();
        let is_behind = |partition: &i32| {
            let partition = *partition as usize;
            let count = accounted[partition];
            count > self.before[partition] && (committed[partition] as u64) < count
        };
        let met = Met {
            batch: sessions.iter().any(Session::is_batch),
            rollup: sessions.iter().any(Session::is_rollup),
            offsets: its_partitions.iter().any(is_behind),
            rebalance: described.is_rebalancing(),
        };
        self.before = accounted;
        Ok(met)
    }

    fn sessions(&mut self) -> Result<Vec<Session>> {
        let sessions = sql_query(
            "select client_port, query,
                    coalesce(state = 'idle in transaction' or wait_event = 'ClientRead', false) as is_waiting
             from pg_stat_activity
             where datname = current_database() and application_name = 'website-monitor-collector'
               and backend_xid is not null and client_port is not null",
        );
        Ok(sessions.load(&mut self.connection)?)
    }
}

/// The counts of what all kills met. One kill may have met several things.
#[derive(Default)]
pub(super) struct Counts {
    kills: usize,
    batch: usize,
    offsets: usize,
    rollup: usize,
    rebalance: usize,
    none: usize,
    pub(super) results: u64,
    pub(super) recoveries: Vec<f64>,
}

impl Counts {
    pub(super) fn learn(&mut self, met: &Met) {
        self.kills += 1;
        self.batch += usize::from(met.batch);
        self.offsets += usize::from(met.offsets);
        self.rollup += usize::from(met.rollup);
        self.rebalance += usize::from(met.rebalance);
        self.none += usize::from(!(met.batch || met.offsets || met.rollup || met.rebalance));
    }

    /// Asserts that the kills met each wanted moment at least once, because the test proves little otherwise.
    #[track_caller]
    pub(super) fn assert_met_everything(&self) {
        let each = [self.batch, self.offsets, self.rollup, self.rebalance];
        assert!(each.iter().all(|count| *count > 0), "the kills did not meet everything: {self}");
    }
}

impl Add for Counts {
    type Output = Counts;

    fn add(mut self, other: Counts) -> Counts {
        self.kills += other.kills;
        self.batch += other.batch;
        self.offsets += other.offsets;
        self.rollup += other.rollup;
        self.rebalance += other.rebalance;
        self.none += other.none;
        self.results += other.results;
        self.recoveries.extend(other.recoveries);
        self
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { kills, batch, offsets, rollup, rebalance, none, results, .. } = self;
        write!(
            f,
            "{kills} kills, {results} results, each stored once; {batch} before the commit of a batch, {offsets} between \
             that and the commit of its offsets, {rollup} in a rollup's transaction, {rebalance} in a rebalance, {none} at \
             other moments"
        )
    }
}
