//! The `alerts.receivers` section: who is told, and how.

use settings::Section;

use super::name;
use crate::notify::Channel;

/// A receiver, which alerts are told to.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The name of the receiver.
    pub name: String,
    /// The way in which it is told.
    pub channel: Channel,
}

impl Receiver {
    pub(super) fn of(section: &mut Section<'_>) -> Receiver {
        Receiver { name: name(section), channel: Channel::of(section) }
    }
}
