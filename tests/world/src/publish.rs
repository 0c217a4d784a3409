//! An agent sends what waits. The product's own window decides which positions are under way, and how far the cursor may
//! move.

#[allow(dead_code, reason = "the product asks for more of it")]
#[path = "../../../agent/src/publish/window.rs"]
mod window;

use crate::common::Common;
use crate::cover::Rare;
use crate::disk::{Disk, Entry};
use crate::log::Kafka;
use window::Window;

/// One record of those that are sent is not acknowledged.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// The record has this place among them.
    pub(crate) at: usize,
    /// Kafka has the record all the same.
    pub(crate) arrives: bool,
}

/// This is the publisher of a running agent.
pub(crate) struct Publisher(Window);

impl Publisher {
    /// Begins where the disk's cursor is.
    pub(crate) fn new(disk: &Disk) -> Publisher {
        Publisher(Window::new(disk.cursor()))
    }

    /// Passes what is before the disk's cursor.
    pub(crate) fn skip(&mut self, disk: &Disk) {
        self.0.skip_to(disk.cursor());
    }

    /// Sends records up to a number under an agent's name, and answers whether there were any.
    pub(crate) fn publish(
        &mut self,
        name: &str,
        disk: &mut Disk,
        most: usize,
        failure: Option<Failure>,
        kafka: &mut Kafka,
        common: &mut Common,
    ) -> bool {
        let entries: Vec<Entry> = disk.after(self.0.sent()).take(most).cloned().collect();
        for (index, entry) in entries.iter().enumerate() {
            self.0.gap_before(entry.position);
            if self.0.was_delivered(entry.position) {
                self.0.pass(entry.position);
                continue;
            }
            self.0.send(entry.position, entry.payload.len());
            let failed = failure.filter(|failure| failure.at == index);
            if failed.is_none_or(|failure| failure.arrives) {
                kafka.append(name, entry.number, &entry.payload);
                common.say(|| format!("  {name} sends {}", entry.number));
            }
            match failed {
                None => self.0.deliver(entry.position),
                Some(failure) => {
                    self.0.fail(entry.position);
                    common.meets(if failure.arrives { Rare::LostAcknowledgement } else { Rare::LostRecord });
                }
            }
        }
        if failure.is_some() {
            self.0.rewind();
        }
        disk.acknowledge(self.0.cursor());
        self.skip(disk);
        !entries.is_empty()
    }
}
