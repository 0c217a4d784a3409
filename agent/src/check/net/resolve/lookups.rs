//! Look-ups under way: in few threads, and each name only once at a time.
//!
//! Anyone who asks for a name that is being looked up joins that look-up. So a name that hangs holds one thread, however
//! often it is asked for, and stops no other name. The threads are reused, bounded, and go away when there is nothing
//! to do. At the bound, which takes as many names that hang, look-ups queue; one that was not even begun by its
//! deadline says so, since that is no site's fault.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Failure;
use super::health::Health;
use crate::check::net::deadline::Deadline;
use crate::config::IpFamily;

const MOST_THREADS: usize = 256;
const STACK: usize = 256 * 1024;
const IDLE: Duration = Duration::from_secs(10);

/// What a look-up found.
pub(super) type Answer = Result<Arc<[SocketAddr]>, Failure>;

type LookUp = Box<dyn Fn(&str, IpFamily) -> Answer + Send + Sync>;

/// Why there are no addresses. `dead` tells that names of other domains had no answer either.
#[derive(Debug)]
pub(super) enum Unresolved {
    /// The look-up ended without any.
    Failed { failure: Failure, dead: bool },
    /// It goes on, but the deadline has passed.
    Hanging { dead: bool },
    /// It was never begun.
    NotBegun(String),
}

/// All look-ups of an agent.
pub(super) struct Lookups {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    queued: Condvar,
    look_up: LookUp,
}

#[derive(Default)]
struct State {
    lookups: HashMap<Question, Lookup>,
    queue: VecDeque<Question>,
    threads: usize,
    idle: usize,
    health: Health,
    closed: bool,
}

type Question = (String, IpFamily);

/// A look-up that was asked for, until it is answered.
struct Lookup {
    ticket: Arc<Ticket>,
    /// The latest deadline of those who wait: after it there is no one to begin it for.
    until: Deadline,
}

/// What those who wait for a look-up share.
#[derive(Default)]
struct Ticket {
    begun: AtomicBool,
    answer: OnceLock<Answer>,
    answered: Condvar,
}

impl Lookups {
    pub(super) fn new(look_up: LookUp) -> Lookups {
        Lookups { shared: Arc::new(Shared { state: Mutex::default(), queued: Condvar::new(), look_up }) }
    }

    /// Looks a name up, or joins anyone who does.
    pub(super) fn ask(
        &self,
        name: &str,
        family: IpFamily,
        deadline: Deadline,
    ) -> Result<Arc<[SocketAddr]>, Unresolved> {
        let mut state = self.shared.locked();
        let ticket = match state.lookups.get_mut(&(name.to_owned(), family)) {
            Some(lookup) => {
                lookup.until = lookup.until.later(deadline);
                lookup.ticket.clone()
            }
            None => {
                let ticket = self.begin(&mut state, (name.to_owned(), family), deadline)?;
                self.shared.queued.notify_one();
                ticket
            }
        };
        let left = deadline.left().unwrap_or_default();
        ticket.answered.wait_while_for(&mut state, |_| ticket.answer.get().is_none(), left);
        match ticket.answer.get() {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            Some(Err(failure)) => Err(Unresolved::Failed { failure: failure.clone(), dead: state.health.is_dead() }),
            None if !ticket.begun.load(Ordering::Relaxed) => {
                let why = format!("not begun in time: all {} threads for it are taken by other names", state.threads);
                Err(Unresolved::NotBegun(why))
            }
            None => {
                state.health.unanswered(name);
                Err(Unresolved::Hanging { dead: state.health.is_dead() })
            }
        }
    }

    fn begin(&self, state: &mut State, question: Question, until: Deadline) -> Result<Arc<Ticket>, Unresolved> {
        if state.queue.len() >= state.idle && state.threads < MOST_THREADS {
            let shared = self.shared.clone();
            let spawned = thread::Builder::new().name("lookup".into()).stack_size(STACK).spawn(move || shared.serve());
            match spawned {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    return Err(Unresolved::NotBegun(format!("no thread for it: {error}")));
                }
                Err(_) => {}
            }
        }
        let ticket = Arc::<Ticket>::default();
        state.queue.push_back(question.clone());
        state.lookups.insert(question, Lookup { ticket: ticket.clone(), until });
        Ok(ticket)
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.shared.locked().closed = true;
        self.shared.queued.notify_all();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A thread's life: looks names up until there was none for a while.
    fn serve(&self) {
        while let Some(question) = self.next() {
            let answer = (self.look_up)(&question.0, question.1);
            let mut state = self.locked();
            match &answer {
                Ok(_) | Err(Failure::NoAddress(_)) => state.health.answered(&question.0),
                Err(Failure::NoAnswer(_)) => state.health.unanswered(&question.0),
                Err(Failure::Own(_)) => {}
            }
            if let Some(lookup) = state.lookups.remove(&question) {
                lookup.ticket.answer.get_or_init(|| answer);
                lookup.ticket.answered.notify_all();
            }
        }
    }

    /// The next look-up that somebody still waits for.
    fn next(&self) -> Option<Question> {
        let mut state = self.locked();
        loop {
            state.idle += 1;
            self.queued.wait_while_for(&mut state, |state| state.queue.is_empty() && !state.closed, IDLE);
            state.idle -= 1;
            let Some(question) = state.queue.pop_front() else {
                state.threads -= 1;
                return None;
            };
            match state.lookups.get(&question) {
                Some(lookup) if lookup.until.left().is_some() => {
                    lookup.ticket.begun.store(true, Ordering::Relaxed);
                    return Some(question);
                }
                _ => drop(state.lookups.remove(&question)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Instant;

    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(50))
    }

    fn later() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_secs(60))
    }

    fn here() -> Answer {
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))].into())
    }

    /// Names that begin with `hangs` are not answered until the sender is dropped; and how often one was looked up.
    fn hanging() -> (Lookups, Sender<()>, Arc<AtomicUsize>) {
        let (hang, hung) = channel::<()>();
        let hung = Arc::new(Mutex::new(hung));
        let counted = Arc::<AtomicUsize>::default();
        let count = counted.clone();
        let lookups = Lookups::new(Box::new(move |name, _| {
            if name.starts_with("hangs") {
                count.fetch_add(1, Ordering::SeqCst);
                hung.lock().recv().ok();
            }
            here()
        }));
        (lookups, hang, counted)
    }

    fn threads(lookups: &Lookups) -> usize {
        lookups.shared.locked().threads
    }

    #[test]
    fn a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for() {
        let (lookups, hang, counted) = hanging();
        for _ in 0..20 {
            assert!(matches!(lookups.ask("hangs", IpFamily::Any, soon()), Err(Unresolved::Hanging { dead: false })));
            assert!(lookups.ask("answers", IpFamily::Any, later()).is_ok());
        }
        assert_eq!((counted.load(Ordering::SeqCst), threads(&lookups)), (1, 2));
        let joined = thread::scope(|scope| {
            let joined = scope.spawn(|| lookups.ask("hangs", IpFamily::Any, later()));
            drop(hang);
            joined.join().unwrap()
        });
        assert_eq!(joined.unwrap(), here().unwrap());
        assert!(lookups.shared.locked().lookups.is_empty());
    }

    #[test]
    fn families_are_asked_for_apart() {
        let lookups = Lookups::new(Box::new(|_, family| match family {
            IpFamily::V6 => Err(Failure::NoAddress("none".into())),
            _ => here(),
        }));
        assert!(lookups.ask("a.example", IpFamily::V4, later()).is_ok());
        assert!(lookups.ask("a.example", IpFamily::V6, later()).is_err());
    }

    #[test]
    fn as_many_hanging_names_as_there_are_threads_are_the_agents_trouble_and_pass() {
        let (lookups, hang, counted) = hanging();
        thread::scope(|scope| {
            for number in 0..MOST_THREADS {
                let lookups = &lookups;
                let ask = move || lookups.ask(&format!("hangs-{number}"), IpFamily::Any, soon()).map(|_| ());
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, ask).unwrap();
            }
        });
        // Those whose thread came too late to begin in time were not begun: ask for them until all threads are taken.
        let mut number = MOST_THREADS;
        while counted.load(Ordering::SeqCst) < MOST_THREADS {
            lookups.ask(&format!("hangs-{number}"), IpFamily::Any, soon()).unwrap_err();
            number += 1;
        }
        for _ in 0..3 {
            let fault = lookups.ask("answers", IpFamily::Any, soon()).unwrap_err();
            assert!(matches!(fault, Unresolved::NotBegun(_)), "{fault:?}");
        }
        assert_eq!(threads(&lookups), MOST_THREADS);
        drop(hang);
        assert!(lookups.ask("answers", IpFamily::Any, later()).is_ok());
    }
}
