//! Makes the name by which a group recognises a collector (`group.instance.id`). Kafka calls such a member static.
//!
//! A group keeps the partitions of a named member until its session ends. A client that comes under that name before
//! then gets them at once, without a new assignment. So after a kill results flow again in 0.4 s. A new name waits for
//! the end of the dead member's session: 6.0 s, and up to twice that when two died one after the other.
//!
//! For that, the name must be the same after a restart, and no other member may have it at the same time. It is made of
//! three parts: the host, the topic, and the first place that no other running collector of topic and group on this
//! host holds. The topic is a part because Kafka would give a member that now reads another topic the partitions of the
//! old one. A place is an abstract socket, which the kernel frees with its process, however the process ends. Hosts
//! that have the same name and machine id do no harm: Kafka fences off one of the two collectors, and it goes on under
//! a random name.

use std::fs;
use std::hash::Hasher;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use fnv::FnvHasher;
use settings::Kafka;
use uuid::Uuid;

/// The property that holds the name.
pub(super) const PROPERTY: &str = "group.instance.id";

/// The number of collectors of one group on one host that have a lasting name. Further ones have random names.
const PLACES: u32 = 100;

/// The number of characters of the host's name that a member's name contains, for people who read it. A group limits
/// the length of a name.
const HOST_CHARACTERS: usize = 64;

/// A collector's name in its group.
pub(super) struct Name {
    pub(super) text: String,
    /// The socket, which is held as long as the name is used.
    _place: Option<UnixListener>,
}

impl Name {
    /// Returns the name that was given in the configuration, or a lasting name, or a random one.
    pub(super) fn of(kafka: &Kafka, given: Option<&str>) -> Name {
        if let Some(given) = given {
            return Name { text: given.into(), _place: None };
        }
        let host = settings::host_name();
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let group = hash(&[&kafka.topic, &kafka.group]);
        let taken = (0..PLACES).find_map(|place| {
            let address = SocketAddr::from_abstract_name(format!("website-monitor-collector-{group:016x}-{place}"));
            Some((place, UnixListener::bind_addr(&address.ok()?).ok()?))
        });
        taken.map_or_else(Name::random, |(place, socket)| {
            // The id of the machine must not be shown to others.
            let rest = hash(&[&host, &machine, &kafka.topic]);
            let text = format!("collector-{}-{rest:016x}-{place}", legal(&host));
            Name { text, _place: Some(socket) }
        })
    }

    /// Returns a random name that no other member has.
    pub(super) fn random() -> Name {
        Name { text: format!("collector-{}", Uuid::new_v4()), _place: None }
    }
}

fn legal(host: &str) -> String {
    let legal = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    host.chars().map(|character| if legal(character) { character } else { '_' }).take(HOST_CHARACTERS).collect()
}

/// Returns a hash that is the same in each run. It only has to tell names apart.
fn hash(parts: &[&str]) -> u64 {
    let mut hasher = FnvHasher::default();
    parts.iter().flat_map(|part| [part.as_bytes(), &[0]]).for_each(|part| hasher.write(part));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lasts_over_restarts_and_two_at_a_time_have_different_ones() {
        let kafka = Kafka { topic: format!("of this test only {}", Uuid::new_v4()), ..Kafka::default() };
        let (one, other) = (Name::of(&kafka, None), Name::of(&kafka, None));
        assert_ne!(one.text, other.text);
        let elsewhere = Kafka { topic: "another".into(), ..kafka.clone() };
        assert_ne!(Name::of(&elsewhere, None).text, one.text);
        let before = one.text.clone();
        drop(one);
        assert_eq!(Name::of(&kafka, None).text, before);
        assert_ne!(Name::random().text, Name::random().text);
        assert_eq!(Name::of(&kafka, Some("mine")).text, "mine");
    }

    #[test]
    fn a_name_has_only_what_kafka_allows() {
        assert_eq!(legal("höst/1.example"), "h_st_1.example");
        assert!(legal(&"x".repeat(300)).len() <= HOST_CHARACTERS);
    }
}
