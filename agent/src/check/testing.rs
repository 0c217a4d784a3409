//! What tests of checks need: a monitor to begin with, and servers that play a script, fault by fault.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use url::Url;

use crate::config::{Expect, Monitor, Request, Target};

/// A monitor of this url with the defaults of the configuration, but a long timeout: machines that run tests are busy.
pub(crate) fn monitor(url: &str) -> Monitor {
    Monitor {
        id: "m".into(),
        name: "a monitor".into(),
        url: Url::parse(url).unwrap(),
        target: Target::Http(Request::default()),
        pattern: None,
        expect: Expect {
            status: vec![(200, 399)],
            pattern_absent: None,
            max_response_time: None,
            certificate_valid_for: None,
        },
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(60),
        follow_redirects: 10,
        retries: 0,
        max_body: 1024 * 1024,
        tls: Default::default(),
        ip: Default::default(),
        tags: Default::default(),
    }
}

/// A server that gives every request the same answer; its url.
pub(crate) fn serve(answer: &'static [u8]) -> String {
    Server::start(move |_, mut stream| {
        stream.write_all(answer).ok();
    })
    .url("/")
}

/// A server on a free port of the loopback. Its thread lives as long as the test's process.
pub(crate) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Each connection's request is read up to the end of its head and handed to the script.
    pub(crate) fn start(script: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> Server {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = requests.clone();
        let port = listen(move |mut stream| {
            let request = read_head(&mut stream);
            log.lock().push(request.clone());
            script(&request, stream);
        });
        Server { port, requests }
    }

    /// Each connection's request is read with its body, as long as its head says, and handed to the script.
    pub(crate) fn with_bodies(script: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = requests.clone();
        let port = listen(move |mut stream| {
            let mut request = read_head(&mut stream);
            let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).unwrap();
            request.push_str(std::str::from_utf8(&body).unwrap());
            log.lock().push(request.clone());
            script(&request, &mut stream);
        });
        Server { port, requests }
    }

    /// The url of a path on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// Accepts connections, each in a thread of its own; the port.
pub(crate) fn listen(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    listen_on("127.0.0.1", handle)
}

/// The same on another address.
pub(crate) fn listen_on(address: &str, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, handle) = (stream.unwrap(), handle.clone());
            thread::spawn(move || handle(stream));
        }
    });
    port
}

/// Reads until an empty line.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Keeps a connection open, silently, until the peer closes it.
pub(crate) fn hang(mut stream: impl Read) {
    let mut rest = [0; 256];
    while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
}
