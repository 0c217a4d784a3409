//! Recognises whether the topic is still the one that was read.
//!
//! A topic that was deleted and created again has its old name and begins at offset 0. librdkafka goes on at the offset
//! where it was. If the new topic is shorter, the broker says that there is no such offset. If it has grown longer by
//! then, all messages before that offset would never be read. librdkafka does notice the id of the new topic, but tells
//! it only in its log, at level debug. The collector takes it from this log.
//!
//! The leaders of the new topic begin to count at 0, too. A client of librdkafka that has read the old topic goes on to
//! name the number of its last leader, and the broker refuses it for ever. So another topic is read by a new client.

use parking_lot::{Mutex, MutexGuard};

/// The debug context of librdkafka that logs the id.
pub(super) const DEBUG_CONTEXT: &str = "metadata";

/// The topic that the name stands for.
#[derive(Default)]
pub(super) struct Identity(Mutex<State>);

#[derive(Default)]
struct State {
    id: Option<String>,
    is_another: bool,
}

impl Identity {
    /// Takes a message that librdkafka logs.
    pub(super) fn hear(&self, topic: &str, message: &str) {
        let Some((_, ids)) = message.split_once(&format!("Topic {topic} changed id from ")) else { return };
        let Some((_, id)) = ids.split_once(" to ") else { return };
        let mut state = self.lock();
        state.is_another |= state.id.replace(id.to_owned()).is_some_and(|before| before != id);
    }

    /// Returns Kafka's id of the topic, once librdkafka has logged it.
    pub(super) fn id(&self) -> Option<String> {
        self.lock().id.clone()
    }

    /// Returns whether it is another topic than the one that this client read first.
    pub(super) fn is_another(&self) -> bool {
        self.lock().is_another
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_another_one_when_its_id_is() {
        let identity = Identity::default();
        let hear = |topic: &str, from: &str, to: &str| {
            identity.hear("t", &format!("[thrd:main]: Topic {topic} changed id from {from} to {to}"));
            identity.is_another()
        };
        assert_eq!(identity.id(), None);
        assert!(!hear("t", "AAAA", "one"), "the first one is the one that is read");
        assert_eq!(identity.id().as_deref(), Some("one"));
        assert!(!hear("other", "AAAA", "two"));
        assert!(!hear("t", "AAAA", "one"), "it was forgotten meanwhile");
        assert!(hear("t", "one", "two"));
    }
}
