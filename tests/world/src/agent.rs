//! An agent is a machine with a disk. This file has how its runs begin and end and what befalls it, and
//! `agent/says.rs` has what it says.

mod says;

use wire::Previous;

use crate::common::Common;
use crate::disk::Disk;
use crate::log::Kafka;
use crate::monitor::Monitor;
use crate::publish::{Failure, Publisher};
use crate::truth::{Number, Run};

pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) monitors: Vec<Monitor>,
    disk: Disk,
    /// This copy of the disk may come back.
    saved: Option<Disk>,
    running: Option<Running>,
    /// Its wall clock is ahead by these many milliseconds.
    ahead: i64,
    /// Its configuration changed these many times.
    reloads: u32,
    pub(crate) last_report: Option<Number>,
    pub(crate) times: Vec<Time>,
}

/// This is there only while the agent runs.
struct Running {
    publisher: Publisher,
    previous: Option<Previous>,
    /// Its monitors are due since then, by its own clock.
    due_since: i64,
}

/// A run counts for what is due up to its clean stop, or else up to the next run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) begins: i64,
    pub(crate) stopped: Option<i64>,
}

impl Agent {
    pub(crate) fn new(name: String, monitors: Vec<Monitor>) -> Agent {
        Agent {
            name,
            monitors,
            disk: Disk::default(),
            saved: None,
            running: None,
            ahead: 0,
            reloads: 0,
            last_report: None,
            times: Vec::new(),
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Answers whether it checks what it checked from the first.
    pub(crate) const fn was_never_reloaded(&self) -> bool {
        self.reloads == 0
    }

    /// Begins a run, unless one is under way.
    pub(crate) fn start(&mut self, common: &mut Common) -> bool {
        if self.is_running() {
            return false;
        }
        let epoch = common.epoch();
        let previous = self.disk.begin(epoch);
        let due_since = self.clock(common);
        self.running = Some(Running { publisher: Publisher::new(&self.disk), previous, due_since });
        self.times.push(Time { begins: common.now, stopped: None });
        common.truth.begins(Run { epoch, name: self.name.clone(), previous: previous.map(|it| it.epoch) });
        self.say_start(common);
        true
    }

    /// Ends the run without a word.
    pub(crate) fn kill(&mut self) -> bool {
        self.running.take().is_some()
    }

    /// Ends the run with a last report.
    pub(crate) fn stop(&mut self, common: &mut Common) -> bool {
        if !self.is_running() {
            return false;
        }
        self.say_stop(common);
        if let Some(time) = self.times.last_mut() {
            time.stopped = Some(common.now);
        }
        self.kill()
    }

    pub(crate) fn lose_power(&mut self) {
        self.kill();
        self.disk.lose_power();
    }

    pub(crate) const fn keep_cursor(&mut self) {
        self.disk.keep_cursor();
    }

    pub(crate) fn save_disk(&mut self) {
        self.saved = Some(self.disk.clone());
    }

    /// Goes back to the copy of the disk, where there is one.
    pub(crate) fn restore_disk(&mut self, common: &mut Common) -> bool {
        let Some(saved) = self.saved.clone() else { return false };
        self.replace_disk(saved, common);
        true
    }

    pub(crate) fn wipe_disk(&mut self, common: &mut Common) {
        self.replace_disk(Disk::default(), common);
    }

    fn replace_disk(&mut self, disk: Disk, common: &mut Common) {
        self.kill();
        self.disk.waiting().for_each(|entry| common.truth.loses(entry.number));
        self.disk = disk;
    }

    /// Makes another machine with a copy of the disk, on which nothing runs yet.
    pub(crate) fn cloned(&self, name: String) -> Agent {
        Agent { disk: self.disk.clone(), ..Agent::new(name, self.monitors.clone()) }
    }

    /// Takes another name, and starts again under it.
    pub(crate) fn rename(&mut self, name: String, common: &mut Common) {
        self.kill();
        self.name = name;
        self.start(common);
    }

    /// Lets the wall clock jump, whereby a run ends and another one begins.
    pub(crate) fn jump(&mut self, by: i64, common: &mut Common) {
        self.ahead += by;
        if self.kill() {
            self.start(common);
        }
    }

    /// Takes in a configuration with other monitors.
    pub(crate) fn reload(&mut self, monitors: Vec<Monitor>, common: &mut Common) -> bool {
        let now = self.clock(common);
        let Some(running) = &mut self.running else { return false };
        running.due_since = now;
        self.monitors = monitors;
        self.reloads += 1;
        self.say_reload(common);
        true
    }

    /// Sends what waits, and answers whether there was anything.
    pub(crate) fn publish(
        &mut self,
        most: usize,
        failure: Option<Failure>,
        kafka: &mut Kafka,
        common: &mut Common,
    ) -> bool {
        let Agent { name, disk, running, .. } = self;
        running.as_mut().is_some_and(|running| running.publisher.publish(name, disk, most, failure, kafka, common))
    }

    /// Tells the time by its wall clock.
    const fn clock(&self, common: &Common) -> i64 {
        common.now + self.ahead
    }
}
