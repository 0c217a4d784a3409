//! The classes of bad behaviour, and what a check says of each.

mod bodies;
mod connections;
mod heads;
mod redirects;
mod tls;

use wire::Outcome;

use crate::target::Plays;

/// The name of the class that is not bad at all.
pub(crate) const GOOD: &str = "good";

/// A class of behaviour.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) plays: Plays,
    pub(crate) scheme: &'static str,
    /// Behind the address; PORT stands for the target's.
    pub(crate) path: &'static str,
    /// Further options of the monitor.
    pub(crate) options: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    /// What the error says, among other things.
    pub(crate) says: &'static str,
}

impl Class {
    /// A class that is checked over HTTP without further options.
    fn new(name: &'static str, plays: Plays, outcome: Outcome, says: &'static str) -> Class {
        Class { name, plays, scheme: "http", path: "/", options: "", outcome, status: None, says }
    }

    /// A class that is a success.
    fn fine(name: &'static str, plays: Plays, status: u16) -> Class {
        Class::new(name, plays, Outcome::Success, "").status(status)
    }

    fn status(self, status: u16) -> Class {
        Class { status: Some(status), ..self }
    }

    fn options(self, options: &'static str) -> Class {
        Class { options, ..self }
    }

    fn url(self, scheme: &'static str, path: &'static str) -> Class {
        Class { scheme, path, ..self }
    }
}

/// All classes.
pub(crate) fn all() -> Vec<Class> {
    let mut all = vec![Class::fine(GOOD, Plays::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 200)];
    all.extend(connections::classes());
    all.extend(heads::classes());
    all.extend(bodies::classes());
    all.extend(redirects::classes());
    all.extend(tls::classes());
    all
}
