//! The rivals: a group commit as simple as can be, around a file or a sled database.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::load::Store;

/// Records that wait, and how many groups were kept; one thread keeps them.
pub(crate) struct Grouped {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
    kept: Condvar,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Vec<u8>>,
    group: u64,
    kept: u64,
    stopping: bool,
}

impl Grouped {
    /// A file, a record after the other, `fdatasync`ed.
    pub(crate) fn raw_file(path: &Path) -> Grouped {
        let mut file = File::create(path.join("records")).expect("a file can be made");
        let mut bytes = Vec::new();
        Grouped::start(move |records| {
            bytes.clear();
            for record in records {
                bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
                bytes.extend_from_slice(&record);
            }
            file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk takes it");
        })
    }

    /// One sled database for everything, with its own `flush()`.
    pub(crate) fn one_sled(path: &Path) -> Grouped {
        let config = sled::Config::new().path(path).cache_capacity(16 * 1024 * 1024).flush_every_ms(None);
        let db = config.open().expect("a database can be made");
        let mut next = 0_u64;
        Grouped::start(move |records| {
            for record in records {
                db.insert(next.to_be_bytes(), record).expect("the disk takes it");
                next += 1;
            }
            db.flush().expect("the disk takes it");
        })
    }

    fn start(mut keep: impl FnMut(Vec<Vec<u8>>) + Send + 'static) -> Grouped {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            loop {
                let mut waiting = of_thread.waiting.lock();
                while waiting.records.is_empty() && !waiting.stopping {
                    of_thread.more.wait(&mut waiting);
                }
                if waiting.records.is_empty() {
                    return;
                }
                let records = std::mem::take(&mut waiting.records);
                waiting.group += 1;
                let group = waiting.group;
                drop(waiting);
                keep(records);
                of_thread.waiting.lock().kept = group;
                of_thread.kept.notify_all();
            }
        });
        Grouped { shared, thread: Some(thread) }
    }
}

impl Store for Grouped {
    type Ticket = u64;

    fn submit(&self, record: Vec<u8>) -> u64 {
        let mut waiting = self.shared.waiting.lock();
        waiting.records.push(record);
        if waiting.records.len() == 1 {
            self.shared.more.notify_one();
        }
        waiting.group + 1
    }

    fn wait(&self, group: u64) {
        let mut waiting = self.shared.waiting.lock();
        self.shared.kept.wait_while(&mut waiting, |waiting| waiting.kept < group);
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        self.shared.waiting.lock().stopping = true;
        self.shared.more.notify_one();
        self.thread.take().into_iter().for_each(|thread| thread.join().expect("the committer ends"));
    }
}
