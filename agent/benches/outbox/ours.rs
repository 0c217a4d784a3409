//! Our outbox as a store.

use std::path::Path;

use agent::config::OutboxConfig;
use agent::outbox::{Committer, Outbox, Pending};

use crate::load::Store;

pub(crate) struct Ours {
    outbox: Outbox,
    _committer: Committer,
}

impl Ours {
    pub(crate) fn open(path: &Path) -> Ours {
        let outbox = open(path);
        let committer = outbox.start("edge-1", |_| b"{}".to_vec()).expect("an epoch can begin");
        Ours { outbox, _committer: committer }
    }
}

/// Opens an outbox whose bound is of no concern here.
pub(crate) fn open(path: &Path) -> Outbox {
    let path = path.join("outbox");
    let config = OutboxConfig { max_size: 8 * 1024 * 1024 * 1024, ..OutboxConfig::at(path) };
    Outbox::open(&config).expect("an outbox can be opened")
}

impl Store for Ours {
    type Ticket = Pending;

    fn submit(&self, record: Vec<u8>) -> Pending {
        self.outbox.append_soon(record).expect("the outbox takes it")
    }

    fn wait(&self, ticket: Pending) {
        ticket.wait().expect("the disk takes it");
    }
}
