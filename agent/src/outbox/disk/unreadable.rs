//! When a chunk can't be read. An error of the disk is not damage, and mostly it passes. A sector that is gone does
//! not, and whatever waits behind it would wait for ever.
//!
//! So the time is taken for which reads have failed with EIO. After ten minutes a chunk that can't be read is given up:
//! it counts as damaged, and of its files what can't be read counts as zeros. Like those of any damaged chunk they are
//! kept aside. As long as the disk can't be written either, nothing is given up, since first a declaration is due.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::root::is_eio;

const PATIENCE: Duration = Duration::from_secs(600);
/// Failures further apart than this have nothing to do with one another: anyone who wants to read tries more often.
const APART: Duration = Duration::from_secs(60);
/// What is read at once, and what is lost at once.
const BLOCK: usize = 4096;

/// How reading goes. Clones are the same one, which outlives attempts to open an outbox.
#[derive(Clone, Debug)]
pub struct Reads {
    patience: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    failing: Option<Failing>,
    /// A chunk is to be repaired that could not be read, however well others read meanwhile.
    given_up: bool,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
}

impl Default for Reads {
    fn default() -> Reads {
        Reads::with_patience(PATIENCE)
    }
}

impl Reads {
    pub(in crate::outbox) fn with_patience(patience: Duration) -> Reads {
        Reads { patience, state: Arc::default() }
    }

    pub(in crate::outbox) fn succeeded(&self) {
        self.state().failing = None;
    }

    /// No chunk waits for its repair any more.
    pub(in crate::outbox) fn repaired(&self) {
        *self.state() = State::default();
    }

    /// Notes why a chunk could not be read; whether it is to be given up.
    pub(in crate::outbox) fn failed(&self, error: &io::Error) -> bool {
        if !is_eio(error) {
            return false;
        }
        let now = Instant::now();
        let mut state = self.state();
        let recent = state.failing.as_ref().filter(|failing| now - failing.last < APART);
        let since = recent.map_or(now, |failing| failing.since);
        state.failing = Some(Failing { since, last: now });
        let give_up = now - since >= self.patience;
        state.given_up |= give_up;
        give_up
    }

    /// What reads the files of a damaged chunk.
    pub(in crate::outbox) fn reader(&self) -> fn(&Path) -> io::Result<Vec<u8>> {
        if self.state().given_up { what_reads } else { |path| std::fs::read(path) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// A file's bytes, with zeros where it can't be read.
fn what_reads(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    read_around(length, |block, at| file.read_exact_at(block, at))
}

fn read_around(length: usize, read: impl Fn(&mut [u8], u64) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    for (block, at) in bytes.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
        match read(block, at) {
            Err(error) if is_eio(&error) => block.fill(0),
            other => other?,
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_zero_and_the_rest_is_there() {
        let bytes = read_around(2 * BLOCK + 10, |block, at| match at as usize {
            BLOCK => {
                block[0] = 7;
                Err(Errno::IO.into())
            }
            _ => {
                block.fill(1);
                Ok(())
            }
        });
        assert_eq!(bytes.unwrap(), [vec![1; BLOCK], vec![0; BLOCK], vec![1; 10]].concat());
        assert!(read_around(1, |_, _| Err(Errno::PERM.into())).is_err());
    }

    #[test]
    fn only_reads_that_fail_for_long_with_an_error_of_the_disk_are_given_up() {
        let (eio, full) = (io::Error::from(Errno::IO), io::Error::from(Errno::NOSPC));
        let patient = Reads::default();
        assert!(!patient.failed(&eio) && !patient.failed(&eio));
        let reads = Reads::with_patience(Duration::ZERO);
        assert!(!reads.failed(&full) && reads.failed(&eio));
        // A file of the system whose first byte can't be read.
        assert!(reads.reader()(Path::new("/proc/self/mem")).is_ok());
        reads.succeeded();
        assert!(reads.reader()(Path::new("/proc/self/mem")).is_ok(), "it still waits for its repair");
        reads.repaired();
        assert!(reads.reader()(Path::new("/proc/self/mem")).is_err());
    }
}
