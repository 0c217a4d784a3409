//! Who is told, and how.

use settings::Section;

use super::name;
use crate::notify::Channel;

/// Who is told.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// How it is told.
    pub channel: Channel,
}

impl Receiver {
    pub(super) fn of(section: &mut Section<'_>) -> Receiver {
        Receiver { name: name(section), channel: Channel::of(section) }
    }
}
