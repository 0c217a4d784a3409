//! Ports for servers that are stopped and come back to the same port.
//!
//! They lie below the range from which the system takes the ports of outgoing connections: one from that range
//! could be taken while its server is away, even by a client that calls the absent server and so meets itself.
//! Each process has blocks of them to itself, so that test runs side by side don't take each other's.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use rand::seq::SliceRandom;

const FIRST: u16 = 15_000;
const BLOCKS: u16 = 170;
const SIZE: u16 = 100;

static BLOCK: Mutex<Block> = Mutex::new(Block { ports: 0..0, locks: Vec::new() });

/// Ports that were not given yet, and what keeps other processes from them.
struct Block {
    ports: Range<u16>,
    locks: Vec<File>,
}

/// A port of 127.0.0.1 that is free now, and is given neither twice by this process nor by the tests of another one of this
/// user. A program that is no test may still be faster, so who starts a server on it tries again with another one.
///
/// # Errors
/// When none is found.
pub fn free_port() -> Result<u16> {
    let mut block = BLOCK.lock();
    loop {
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        match block.ports.find(is_free) {
            Some(port) => return Ok(port),
            None => block.go_on_in_another()?,
        }
    }
}

impl Block {
    fn go_on_in_another(&mut self) -> Result<()> {
        let directory =
            std::env::temp_dir().join(format!("website-monitor-ports-{}", rustix::process::getuid().as_raw()));
        fs::create_dir_all(&directory)?;
        let mut blocks: Vec<u16> = (0..BLOCKS).collect();
        blocks.shuffle(&mut rand::rng());
        for block in blocks {
            let file = File::create(directory.join(block.to_string()))?;
            match file.try_lock() {
                Ok(()) => {
                    let first = FIRST + block * SIZE;
                    self.ports = first..first + SIZE;
                    self.locks.push(file);
                    return Ok(());
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        bail!("no free port between 15000 and 32000 on 127.0.0.1")
    }
}
