//! A world has agents, the topic, collectors and databases. It lives through a list of actions, comes to rest, and is
//! judged.

use crate::action::Action;
use crate::agent::Agent;
use crate::chance::mix;
use crate::collector::{Collector, Turn};
use crate::common::Common;
use crate::cover::Cover;
use crate::fault::{Fault, FaultKind};
use crate::judge;
use crate::log::Kafka;
use crate::monitor::Monitor;
use crate::rules::Rules;
use crate::store::database::Database;

/// The first database has these many collectors. The second one has another one.
const COLLECTORS: usize = 2;
/// It takes fewer rounds to come to rest.
const ROUNDS: usize = 300;
/// These many rounds in which nothing happens are rest.
const QUIET: usize = 3;
/// A collector needs fewer turns for a batch.
const TURNS: usize = 9;

pub(crate) struct World {
    pub(crate) common: Common,
    pub(crate) agents: Vec<Agent>,
    pub(crate) kafka: Kafka,
    pub(crate) collectors: Vec<Collector>,
    pub(crate) databases: Vec<Database>,
}

/// The outcome says what became of a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// These faults are there at its end.
    pub faults: Vec<Fault>,
    /// The cover says what was met in it.
    pub cover: Cover,
    /// Agents sent these many messages.
    pub messages: u64,
    /// The digest of two runs is the same when all their tables are.
    pub digest: u64,
    /// The story says what happened, where it was to be told.
    pub story: Vec<String>,
}

/// Runs the world of a seed, in which these actions happen.
pub fn run(seed: u64, actions: &[Action], rules: Rules) -> Outcome {
    World::new(seed, rules, false).live(actions)
}

/// Runs it, too, and says in words what happens.
pub fn tell(seed: u64, actions: &[Action], rules: Rules) -> Outcome {
    World::new(seed, rules, true).live(actions)
}

impl World {
    /// Begins with two agents and a collector that run.
    fn new(seed: u64, rules: Rules, is_told: bool) -> World {
        let agent = |n: usize| Agent::new(format!("agent-{n}"), vec![Monitor(2 * n), Monitor(2 * n + 1)]);
        let mut world = World {
            common: Common::new(seed, rules, is_told),
            agents: (0..2).map(agent).collect(),
            kafka: Kafka::new(2),
            collectors: (0..COLLECTORS).map(|number| Collector::new(number, 0)).collect(),
            databases: vec![Database::default()],
        };
        for agent in &mut world.agents {
            agent.start(&mut world.common);
        }
        world.collectors[0].start(&mut world.kafka, &world.common);
        world
    }

    fn live(mut self, actions: &[Action]) -> Outcome {
        actions.iter().for_each(|action| self.step(*action));
        let mut faults = self.end();
        for database in &self.databases {
            faults.extend(judge::at_the_end(&self, database));
        }
        Outcome {
            faults,
            cover: self.common.cover.clone(),
            messages: self.kafka.appended(),
            digest: self.digest(),
            story: self.common.story(),
        }
    }

    /// Adds the second database, with a collector of its own.
    pub(crate) fn add_database(&mut self) -> bool {
        let is_new = self.databases.len() == 1;
        if is_new {
            self.databases.push(Database::default());
            let mut collector = Collector::new(COLLECTORS, 1);
            collector.start(&mut self.kafka, &self.common);
            self.collectors.push(collector);
        }
        is_new
    }

    /// Lets all that can arrive arrive, without faults. Then agents report once more.
    fn end(&mut self) -> Vec<Fault> {
        self.common.say(|| "faults end".into());
        for database in &mut self.databases {
            (database.is_read_only, database.loses_answer) = (false, false);
        }
        let mut served = None;
        for collector in &mut self.collectors {
            // Each database needs one at least.
            if served.replace(collector.database()) != Some(collector.database()) || !collector.is_off() {
                collector.start(&mut self.kafka, &self.common);
            }
        }
        for agent in &mut self.agents {
            agent.start(&mut self.common);
        }
        let mut is_at_rest = self.settle();
        let mut faults: Vec<Fault> = Vec::new();
        for database in &self.databases {
            faults.extend(judge::at_first_rest(self, database));
        }
        for agent in &mut self.agents {
            agent.report(&mut self.common);
        }
        is_at_rest &= self.settle();
        if !is_at_rest {
            faults.push(Fault { kind: FaultKind::NoRest, text: format!("after {ROUNDS} rounds") });
        }
        faults
    }

    /// Goes on until nothing happens, and answers whether it came to that.
    fn settle(&mut self) -> bool {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            self.common.now += 1_000;
            let mut happens = false;
            for agent in &mut self.agents {
                happens |= agent.publish(usize::MAX, None, &mut self.kafka, &mut self.common);
            }
            for collector in &mut self.collectors {
                for _ in 0..TURNS {
                    happens |= collector.turn(Turn::CALM, &mut self.kafka, &mut self.databases, &mut self.common);
                }
            }
            quiet = if happens { 0 } else { quiet + 1 };
            if quiet == QUIET {
                return true;
            }
        }
        false
    }

    fn digest(&self) -> u64 {
        let tables = || self.databases.iter().map(|database| &database.tables);
        let results = tables().flat_map(|tables| &tables.results);
        let results = results.flat_map(|row| [row.epoch_id as u64, row.seq as u64, row.monitor_id as u64]);
        let epochs = tables().flat_map(|tables| &tables.epochs);
        let epochs =
            epochs.flat_map(|row| [row.epoch.as_u64_pair().0, row.claimed as u64, row.accounted.count() as u64]);
        results.chain(epochs).chain([self.kafka.appended()]).fold(0, |digest, number| mix(digest ^ number))
    }
}
