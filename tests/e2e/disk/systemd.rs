//! What systemd hears of an agent.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

pub(super) struct Systemd {
    path: PathBuf,
    socket: UnixDatagram,
    heard: RefCell<Vec<String>>,
}

impl Systemd {
    /// Listens as systemd does.
    pub(super) fn listen(directory: &Path) -> Result<Systemd> {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Systemd { path, socket, heard: RefCell::default() })
    }

    /// The agent will tell it.
    pub(super) fn told_by(&self, mut agent: Command) -> Command {
        agent.env("NOTIFY_SOCKET", &self.path);
        agent
    }

    /// The status that it shows now; empty when it was told none.
    pub(super) fn status(&self) -> Result<String> {
        self.listen_to_all()?;
        let heard = self.heard.borrow();
        let mut statuses = heard.iter().filter_map(|line| line.strip_prefix("STATUS="));
        Ok(statuses.next_back().unwrap_or_default().to_owned())
    }

    /// Whether it heard that the agent is ready.
    pub(super) fn is_ready(&self) -> bool {
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
