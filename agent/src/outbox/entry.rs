//! A record as the outbox gives it out.

use uuid::Uuid;

/// A record as it waits: everything but its place in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it stands in this outbox.
    pub position: u64,
    /// Its epoch.
    pub epoch: Uuid,
    /// Its number in the epoch.
    pub seq: u64,
    /// What [`wire::payload`] made of it.
    pub payload: Vec<u8>,
}
