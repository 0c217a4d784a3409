//! Ports for servers that are stopped and come back to the same port.
//!
//! They lie below the range from which the system takes the ports of outgoing connections: one from that range
//! could be taken while its server is away, even by a client that calls the absent server and so meets itself.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 that is free now and is not given twice by this process. Another process may still be
/// faster, so who starts a server on it tries again with another one.
///
/// # Errors
/// When none is found.
pub fn free_port() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for _ in 0..1_000 {
        let port = 15_000 + (uuid::Uuid::new_v4().as_u128() % 17_000) as u16;
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between 15000 and 32000 on 127.0.0.1")
}
