//! What systemd hears of a daemon.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// What listens in the place of systemd.
pub struct Systemd {
    path: PathBuf,
    socket: UnixDatagram,
    heard: RefCell<Vec<String>>,
}

impl Systemd {
    /// Listens as systemd does, at a socket in the directory.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub fn listen(directory: &Path) -> Result<Systemd> {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Systemd { path, socket, heard: RefCell::default() })
    }

    /// The daemon that this command starts will tell it.
    #[must_use]
    pub fn told_by(&self, mut daemon: Command) -> Command {
        daemon.env("NOTIFY_SOCKET", &self.path);
        daemon
    }

    /// The status that it shows now; empty when it was told none.
    ///
    /// # Errors
    /// When its socket can't be read.
    pub fn status(&self) -> Result<String> {
        self.listen_to_all()?;
        let heard = self.heard.borrow();
        let mut statuses = heard.iter().filter_map(|line| line.strip_prefix("STATUS="));
        Ok(statuses.next_back().unwrap_or_default().to_owned())
    }

    /// Whether it heard that the daemon is ready.
    pub fn is_ready(&self) -> bool {
        self.heard.borrow().iter().any(|line| line == "READY=1")
    }

    fn listen_to_all(&self) -> Result<()> {
        let mut message = [0; 4_096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&message[..length]);
                    self.heard.borrow_mut().extend(text.lines().map(str::to_owned));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
