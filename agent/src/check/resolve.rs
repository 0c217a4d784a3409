//! Names to addresses, within a deadline.
//!
//! `getaddrinfo` honours everything that the machine's administrator has set up, but can't be given a deadline, so it
//! runs in threads of its own that are waited for only so long. They are shared and reused; at the bound, which only
//! a name server that hangs can reach, look-ups queue, and those whose deadline has passed are not begun any more.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use url::Host;
use wire::Outcome;

use super::deadline::Deadline;
use super::outcome::Fault;

const MOST_THREADS: usize = 256;
const STACK: usize = 256 * 1024;
const IDLE: Duration = Duration::from_secs(10);

type Lookup = Box<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Looks names up.
pub(super) struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    queued: Condvar,
    lookup: Lookup,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Question>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Question {
    name: String,
    port: u16,
    deadline: Deadline,
    answer: SyncSender<io::Result<Vec<SocketAddr>>>,
}

impl Resolver {
    /// By the system's rules.
    pub(super) fn new() -> Resolver {
        Resolver::with(Box::new(|name, port| Ok((name, port).to_socket_addrs()?.collect())))
    }

    fn with(lookup: Lookup) -> Resolver {
        Resolver { shared: Arc::new(Shared { state: Mutex::default(), queued: Condvar::new(), lookup }) }
    }

    /// The addresses of a host; never none.
    pub(super) fn resolve(&self, host: &Host<String>, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, Fault> {
        let name = match host {
            Host::Ipv4(ip) => return Ok(vec![SocketAddr::from((*ip, port))]),
            Host::Ipv6(ip) => return Ok(vec![SocketAddr::from((*ip, port))]),
            Host::Domain(name) => name,
        };
        let doing = format!("looking up {name}");
        let (answer, answered) = sync_channel(1);
        self.ask(Question { name: name.clone(), port, deadline, answer })
            .map_err(|error| Fault::new(Outcome::AgentError, format!("{doing}: no thread for it: {error}")))?;
        let Some(left) = deadline.left() else { return Err(deadline.passed(&doing)) };
        match answered.recv_timeout(left) {
            Ok(Ok(addresses)) if addresses.is_empty() => {
                Err(Fault::new(Outcome::DnsError, format!("{doing}: the name has no address")))
            }
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(Fault::io(Outcome::DnsError, &doing, &error)),
            Err(_) => Err(deadline.passed(&doing)),
        }
    }

    fn ask(&self, question: Question) -> io::Result<()> {
        let mut state = self.shared.locked();
        state.queue.push_back(question);
        if state.queue.len() > state.idle && state.threads < MOST_THREADS {
            let shared = self.shared.clone();
            let spawned = thread::Builder::new().name("lookup".into()).stack_size(STACK).spawn(move || shared.serve());
            match spawned {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.queued.notify_one();
        Ok(())
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.shared.locked().closed = true;
        self.shared.queued.notify_all();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: answers questions until there was none for a while.
    fn serve(&self) {
        while let Some(question) = self.next() {
            if question.deadline.left().is_some() {
                let found = (self.lookup)(&question.name, question.port);
                // Nobody waits any more when the deadline passed meanwhile.
                question.answer.send(found).ok();
            }
        }
    }

    fn next(&self) -> Option<Question> {
        let mut state = self.locked();
        state.idle += 1;
        let (mut state, _) = self
            .queued
            .wait_timeout_while(state, IDLE, |state| state.queue.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let question = state.queue.pop_front();
        if question.is_none() {
            state.threads -= 1;
        }
        question
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(50))
    }

    fn later() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(60))
    }

    fn name(name: &str) -> Host<String> {
        Host::Domain(name.into())
    }

    #[test]
    fn an_address_needs_no_look_up() {
        let resolver = Resolver::with(Box::new(|_, _| panic!("looked up")));
        let v4 = resolver.resolve(&Host::parse("127.0.0.1").unwrap(), 80, later()).unwrap();
        let v6 = resolver.resolve(&Host::parse("[::1]").unwrap(), 443, later()).unwrap();
        assert_eq!((v4[0].to_string(), v6[0].to_string()), ("127.0.0.1:80".into(), "[::1]:443".into()));
    }

    #[test]
    fn a_name_server_that_hangs_is_a_timeout_and_stops_no_other_name() {
        let (hang, hung) = channel::<()>();
        let hung = Mutex::new(hung);
        let resolver = Resolver::with(Box::new(move |name, port| {
            if name == "hangs" {
                hung.lock().unwrap().recv().ok();
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }));
        let fault = resolver.resolve(&name("hangs"), 80, soon()).unwrap_err();
        assert_eq!(fault.outcome(), Outcome::Timeout);
        assert_eq!(resolver.resolve(&name("answers"), 80, later()).unwrap()[0].port(), 80);
        drop(hang);
    }

    #[test]
    fn a_name_that_is_unknown_or_has_no_address_is_a_dns_error() {
        let resolver = Resolver::with(Box::new(|name, _| match name {
            "empty" => Ok(Vec::new()),
            _ => Err(io::Error::other("no such name")),
        }));
        for host in ["empty", "unknown"] {
            let fault = resolver.resolve(&name(host), 80, later()).unwrap_err();
            assert_eq!(fault.outcome(), Outcome::DnsError, "{fault}");
        }
    }
}
