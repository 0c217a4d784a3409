//! The child as its parent sees it, and the moment at which its end comes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::child::{TASK, is_stalled};

/// Longer than anything takes here, so only what hangs meets it.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

/// When the end comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// Right after this many records were answered for.
    Kept(u64),
    /// Right after the cursor was moved this many times.
    Moved(u64),
    /// This long after the start: most of these meet the opening.
    After(Duration),
}

impl Moment {
    /// Any, in an incarnation.
    pub(crate) fn any(incarnation: u64) -> Moment {
        let mut rng = rand::rng();
        match rng.random_range(0..10) {
            0..2 => Moment::After(Duration::from_micros(rng.random_range(0..40_000))),
            2..4 if !is_stalled(incarnation) => Moment::Moved(rng.random_range(1..40)),
            _ => Moment::Kept(rng.random_range(1..2_000)),
        }
    }
}

/// This program.
pub(crate) static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::current_exe().expect("this program has a path"));

impl Running {
    pub(crate) fn start(task: &str, incarnation: u64, outbox: &Path) -> Running {
        let mut child = Command::new(&*PROGRAM)
            .args(["the_child_of_the_others", "--exact", "--ignored", "--nocapture"])
            .env(TASK, format!("{task} {incarnation} {}", outbox.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let mut pipe = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok() {
                // The last one may have been cut off.
                let Some(whole) = line.strip_suffix('\n') else { break };
                if sender.send(whole.to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Running { child, lines }
    }

    /// Lets it run until the moment has come, then strikes; what was heard of it before the blow, and what later.
    pub(crate) fn until(mut self, moment: Moment, strike: impl FnOnce()) -> (Vec<String>, Vec<String>) {
        let mut told = Vec::new();
        let (mut kept, mut moved) = (0, 0);
        let deadline = Instant::now() + if let Moment::After(time) = moment { time } else { PATIENCE };
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    kept += u64::from(line.starts_with("kept "));
                    moved += u64::from(line.starts_with("moved "));
                    told.push(line);
                }
                Err(RecvTimeoutError::Timeout) if matches!(moment, Moment::After(_)) => break,
                Err(error) => panic!("the child fell silent before {moment:?}: {error}; last: {:?}", told.last()),
            }
            match moment {
                Moment::Kept(count) if kept >= count => break,
                Moment::Moved(count) if moved >= count => break,
                _ => {}
            }
        }
        told.extend(self.lines.try_iter());
        strike();
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child has ended");
        (told, self.lines.iter().collect())
    }

    /// Lets it come to its own end; every line that it has told.
    pub(crate) fn join(mut self) -> Vec<String> {
        let told = self.lines.iter().collect();
        let status = self.child.wait().expect("the child has ended");
        assert!(status.success(), "the child ended with {status}: {told:?}");
        told
    }
}
