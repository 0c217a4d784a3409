//! Each kind of action does something to its subject. The chance of the action decides which one that is.

use crate::action::{Action, Kind, Subject};
use crate::chance::Chance;
use crate::collector::Turn;
use crate::cover::{Rare, Stage};
use crate::monitor::Monitor;
use crate::publish::Failure;
use crate::world::World;

/// There are at most these many agents.
const MOST_AGENTS: usize = 4;
/// The monitors from this one on may be given to any agent. There are as many of them as before it.
const SHARED: usize = 8;

impl World {
    /// Some time passes, and something happens where it can.
    pub(crate) fn step(&mut self, action: Action) {
        let mut chance = action.chance();
        self.common.now += 700 + chance.below(4_000) as i64;
        let stage = self.collectors.iter().map(|collector| collector.stage()).max().unwrap_or(Stage::Idle);
        let (kind, subject) = (action.kind, action.kind.subject());
        let which = chance.below(match subject {
            Subject::Agent => self.agents.len(),
            Subject::Partition => self.kafka.partitions.len(),
            Subject::Collector => self.collectors.len(),
            Subject::Database => self.databases.len(),
        });
        let before = self.common.said();
        self.common.say(|| format!("{subject:?} {which}: {kind:?}"));
        let happens = match subject {
            Subject::Agent => self.happens_to_agent(kind, which, &mut chance),
            Subject::Partition => self.happens_to_partition(kind, which, &mut chance),
            Subject::Collector => self.happens_to_collector(kind, which, &mut chance),
            Subject::Database => self.happens_to_database(kind, which),
        };
        if happens {
            self.common.cover.happens(kind, stage);
        } else {
            self.common.take_back(before);
        }
    }

    fn happens_to_agent(&mut self, kind: Kind, which: usize, chance: &mut Chance) -> bool {
        let World { common, agents, kafka, .. } = self;
        let count = agents.len();
        let agent = &mut agents[which];
        match kind {
            Kind::Start => return agent.start(common),
            Kind::Check => return agent.check(chance.below(2), common),
            Kind::Publish => {
                let most = 1 + chance.below(6);
                let failure = Failure { at: most / 2, arrives: chance.is_one_in(2) };
                return agent.publish(most, chance.is_one_in(8).then_some(failure), kafka, common);
            }
            Kind::Report => return agent.report(common),
            Kind::KeepCursor => agent.keep_cursor(),
            Kind::Kill => return agent.kill(),
            Kind::PowerCut => agent.lose_power(),
            Kind::SaveDisk => agent.save_disk(),
            Kind::RestoreDisk => return agent.restore_disk(common),
            Kind::WipeDisk => agent.wipe_disk(common),
            Kind::CloneAgent => {
                let name = if chance.is_one_in(2) { agent.name.clone() } else { format!("agent-{count}") };
                let clone = agent.cloned(name);
                if count == MOST_AGENTS {
                    return false;
                }
                agents.push(clone);
            }
            Kind::Rename => {
                let name = format!("agent-{}-{which}", common.number());
                agent.rename(name, common);
            }
            Kind::Stop => return agent.stop(common),
            Kind::ClockJump => agent.jump(chance.below(1_200_000) as i64 - 600_000, common),
            Kind::Reload => {
                let monitors = vec![Monitor(2 * which + chance.below(2)), Monitor(SHARED + chance.below(SHARED))];
                return agent.reload(monitors, common);
            }
            Kind::DropOldest => return agent.drop_oldest(common),
            _ => return false,
        }
        true
    }

    fn happens_to_partition(&mut self, kind: Kind, which: usize, chance: &mut Chance) -> bool {
        let World { common, kafka, collectors, .. } = self;
        match kind {
            Kind::LoseTail => {
                let had_any = kafka.partitions[which].lose_tail(1 + chance.below(4), common);
                let log = &kafka.partitions[which];
                collectors.iter_mut().for_each(|collector| collector.tail_lost(which as i32, log));
                return had_any;
            }
            Kind::RemakeTopic => kafka.remake(common),
            Kind::Retain => return kafka.partitions[which].retain(1 + chance.below(5), common),
            Kind::AddPartition => return kafka.add_partition(),
            Kind::ForgetOffsets => kafka.groups[0].forget(),
            _ => return false,
        }
        true
    }

    fn happens_to_collector(&mut self, kind: Kind, which: usize, chance: &mut Chance) -> bool {
        let World { common, kafka, collectors, databases, .. } = self;
        let collector = &mut collectors[which];
        match kind {
            Kind::Collect => collector.turn(Turn::by(chance), kafka, databases, common),
            Kind::StartCollector => collector.start(kafka, common),
            Kind::KillCollector => collector.kill(kafka, databases, common),
            Kind::PauseCollector => collector.pause(kafka, common),
            _ => false,
        }
    }

    fn happens_to_database(&mut self, kind: Kind, which: usize) -> bool {
        let database = &mut self.databases[which];
        match kind {
            Kind::BackUp => database.back_up(),
            Kind::RestoreDatabase => {
                let is_written_to = database.is_written_to();
                if !database.restore() {
                    return false;
                }
                if is_written_to {
                    self.common.meets(Rare::RestoredUnderTransaction);
                }
            }
            Kind::CrashDatabase => database.crash(),
            Kind::LoseAnswer => database.loses_answer = true,
            Kind::TurnReadOnly => database.is_read_only = !database.is_read_only,
            Kind::SecondDatabase => return self.add_database(),
            _ => return false,
        }
        true
    }
}
