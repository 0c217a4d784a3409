//! A TCP proxy that can be cut: between a daemon and its server, it is the network that fails.
//!
//! Before Kafka it only works when Kafka advertises the proxy's address, otherwise clients go round it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ports::free_port;

/// A proxy from a port of its own to a server.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Mutex<Option<Listening>>,
}

/// The socket that takes connections, and the thread that sleeps in its accept.
struct Listening {
    socket: TcpStream,
    thread: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Open,
    Hanging,
    Refusing,
}

struct State {
    /// The port of the server.
    server: u16,
    mode: Mode,
    links: BTreeMap<u64, TcpStream>,
    count: u64,
}

struct Shared {
    host: String,
    state: Mutex<State>,
    changed: Condvar,
}

impl Proxy {
    /// Starts a proxy, open, from a free port of 127.0.0.1 to a server.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(host: &str, port: u16) -> Result<Proxy> {
        let state = Mutex::new(State { server: port, mode: Mode::Open, links: BTreeMap::new(), count: 0 });
        let shared = Arc::new(Shared { host: host.to_owned(), state, changed: Condvar::new() });
        let proxy = Proxy { port: free_port()?, shared, listener: Mutex::default() };
        proxy.listen()?;
        Ok(proxy)
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads to another server of the same host from now on, as an address does that moves: connections are cut.
    pub fn lead_to(&self, port: u16) {
        self.shared.lock().server = port;
        self.cut();
    }

    /// Lets all through (again).
    ///
    /// # Errors
    /// When the port can't be had back.
    pub fn open(&self) -> Result<()> {
        let before = std::mem::replace(&mut self.shared.lock().mode, Mode::Open);
        self.shared.changed.notify_all();
        if before == Mode::Refusing { self.listen() } else { Ok(()) }
    }

    /// Lets nothing through and says nothing: connections stay, new ones get no answer.
    ///
    /// # Errors
    /// When the port can't be had back.
    pub fn hang(&self) -> Result<()> {
        let before = std::mem::replace(&mut self.shared.lock().mode, Mode::Hanging);
        if before == Mode::Refusing { self.listen() } else { Ok(()) }
    }

    /// Cuts all connections and refuses new ones.
    pub fn refuse(&self) {
        self.shared.lock().mode = Mode::Refusing;
        self.cut();
        if let Some(listening) = self.listener.lock().take() {
            // Closing is not enough: a process that another test is about to start holds a copy of the socket from
            // its fork to its exec, and a socket takes connections until the last copy is closed. A shutdown ends
            // this for all copies, and wakes the thread.
            listening.socket.shutdown(Shutdown::Both).ok();
            listening.thread.join().ok();
        }
    }

    /// Cuts the connections that are there; new ones are as before.
    pub fn cut(&self) {
        for link in self.shared.lock().links.values() {
            link.shutdown(Shutdown::Both).ok();
        }
        self.shared.changed.notify_all();
    }

    fn listen(&self) -> Result<()> {
        let listener = TcpListener::bind(address(self.port))
            .with_context(|| format!("the proxy cannot listen on port {}", self.port))?;
        // The standard library has a shutdown for streams alone; the system has one for every socket.
        let socket = TcpStream::from(OwnedFd::from(listener.try_clone()?));
        let shared = self.shared.clone();
        let accept = move || {
            while let Ok((client, _)) = listener.accept() {
                let shared = shared.clone();
                thread::spawn(move || shared.link(client));
            }
        };
        *self.listener.lock() = Some(Listening { socket, thread: thread::spawn(accept) });
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// One connection from its beginning to its end.
    fn link(self: Arc<Shared>, client: TcpStream) -> io::Result<()> {
        let id = {
            let mut state = self.lock();
            if state.mode == Mode::Refusing {
                return Ok(());
            }
            state.count += 1;
            let id = state.count;
            state.links.insert(id, client.try_clone()?);
            id
        };
        self.wait_until_open();
        let ended = self.carry(client);
        self.lock().links.remove(&id);
        ended
    }

    fn carry(self: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
        let port = self.lock().server;
        let server = match TcpStream::connect((self.host.as_str(), port)) {
            Ok(server) => server,
            Err(_) => return client.shutdown(Shutdown::Both),
        };
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
        let shared = self.clone();
        let back = thread::spawn(move || shared.pump(server_too, client_too));
        self.pump(client, server);
        back.join().ok();
        Ok(())
    }

    /// Carries bytes one way until either end closes, then closes both.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            self.wait_until_open();
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    fn wait_until_open(&self) {
        let mut state = self.lock();
        while state.mode == Mode::Hanging {
            self.changed.wait(&mut state);
        }
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
