//! The monitors of a schedule. Each monitor has an index in the plan for as long as the schedule knows it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Monitor;

/// Monitors by index and by id.
#[derive(Default)]
pub(super) struct MonitorTable {
    seats: Vec<Seat>,
    by_id: HashMap<String, usize>,
    free: Vec<usize>,
}

enum Seat {
    Free,
    Taken(Arc<Monitor>),
    /// It was removed, and its check has not ended.
    Leaving(String),
}

impl MonitorTable {
    /// The index of a monitor that is here, or that has not quite left.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Gives a new monitor an index.
    pub(super) fn seat(&mut self, monitor: Arc<Monitor>) -> usize {
        let index = self.free.pop().unwrap_or(self.seats.len());
        if index == self.seats.len() {
            self.seats.push(Seat::Free);
        }
        self.by_id.insert(monitor.id.clone(), index);
        self.seats[index] = Seat::Taken(monitor);
        index
    }

    /// Puts a monitor in the place of one with the same id.
    pub(super) fn replace(&mut self, index: usize, monitor: Arc<Monitor>) {
        self.seats[index] = Seat::Taken(monitor);
    }

    /// The monitor goes, but its index is needed until it is set [`free`](Roster::free).
    pub(super) fn leave(&mut self, index: usize) {
        if let Some(monitor) = self.get(index) {
            self.seats[index] = Seat::Leaving(monitor.id.clone());
        }
    }

    /// From now on the index may be another's.
    pub(super) fn free(&mut self, index: usize) {
        match std::mem::replace(&mut self.seats[index], Seat::Free) {
            Seat::Free => return,
            Seat::Taken(monitor) => self.by_id.remove(&monitor.id),
            Seat::Leaving(id) => self.by_id.remove(&id),
        };
        self.free.push(index);
    }

    /// The monitor at an index.
    pub(super) fn get(&self, index: usize) -> Option<&Arc<Monitor>> {
        match self.seats.get(index)? {
            Seat::Taken(monitor) => Some(monitor),
            Seat::Free | Seat::Leaving(_) => None,
        }
    }

    /// All monitors that are here.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Monitor>> {
        (0..self.seats.len()).filter_map(|index| self.get(index))
    }
}
