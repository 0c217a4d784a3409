//! The truth: a web server that knows every request that it saw.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use parking_lot::{Mutex, MutexGuard};

use crate::certificates::Authority;
use crate::eventually;

/// A web server with sites, one per path.
pub struct Web {
    scheme: &'static str,
    port: u16,
    shared: Arc<Mutex<State>>,
}

/// What a path answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines beside the length and `Connection: close`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it takes to come.
    pub after: Duration,
    /// Whether no answer comes at all: the connection stays open until the client gives up.
    pub hangs: bool,
    /// Whether its phrase is the request's place in [`Web::requests`].
    pub numbered: bool,
    /// How many bytes a request's body may have: 400 is the answer to a longer one.
    pub most: usize,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            after: Duration::ZERO,
            hangs: false,
            numbered: false,
            most: usize::MAX,
        }
    }

    /// A status code without a body.
    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::ok("") }
    }

    /// No answer.
    pub fn hang() -> Answer {
        Answer { hangs: true, ..Answer::ok("") }
    }

    /// The same, later.
    pub fn after(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }

    /// The same with the request's place in [`Web::requests`] as its phrase, so that a result tells its request.
    pub fn numbered(self) -> Answer {
        Answer { numbered: true, ..self }
    }

    /// The same, but for bodies of more bytes, which are answered with 400.
    pub fn at_most(self, most: usize) -> Answer {
        Answer { most, ..self }
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, where its length is told.
    pub body: Vec<u8>,
    /// When its head had been read.
    pub seen_at: Timestamp,
    /// When the answer had been written, or the client had gone away; absent while it is being served.
    pub served_at: Option<Timestamp>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    requests: Vec<Request>,
    /// Connections that were accepted and have not ended.
    connections: u64,
}

impl Web {
    /// Starts a server on a free port of 127.0.0.1. Paths without a script answer 404.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Web> {
        Web::start_with(None)
    }

    /// The same over TLS, with a certificate of this authority for 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start_secured(authority: &Authority) -> Result<Web> {
        let signed = authority.sign("127.0.0.1")?;
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        acceptor.set_certificate_chain_file(signed.certificate_file)?;
        acceptor.set_private_key_file(signed.key_file, SslFiletype::PEM)?;
        Web::start_with(Some(acceptor.build()))
    }

    fn start_with(acceptor: Option<SslAcceptor>) -> Result<Web> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the web server has no port")?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let web = Web { scheme, port: listener.local_addr()?.port(), shared: Arc::default() };
        let shared = web.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, acceptor) = (shared.clone(), acceptor.clone());
                lock(&shared).connections += 1;
                thread::spawn(move || {
                    let served = match acceptor {
                        None => serve(&shared, stream),
                        Some(acceptor) => {
                            acceptor.accept(stream).map_err(io::Error::other).and_then(|stream| serve(&shared, stream))
                        }
                    };
                    lock(&shared).connections -= 1;
                    served
                });
            }
        });
        Ok(web)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The url of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Says what a path answers from now on, and returns its url.
    pub fn site(&self, path: &str, answer: Answer) -> String {
        lock(&self.shared).answers.insert(path.into(), answer);
        self.url(path)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared).requests.clone()
    }

    /// How many requests a path has seen.
    pub fn count(&self, path: &str) -> u64 {
        lock(&self.shared).requests.iter().filter(|request| request.path == path).count() as u64
    }

    /// How many requests came in at all.
    pub fn total(&self) -> u64 {
        lock(&self.shared).requests.len() as u64
    }

    /// How many requests are being served now, or are on their way.
    fn in_flight(&self) -> Result<u64> {
        // Connections are accepted in their order. When the server has ended this one, it has counted all before it.
        let mut knock = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        knock.shutdown(Shutdown::Write)?;
        let _ended_either_way = knock.read_to_end(&mut Vec::new());
        Ok(lock(&self.shared).connections)
    }

    /// Waits until no request is being served or is on its way.
    pub fn await_idle(&self) {
        eventually("no request is being served", || {
            let in_flight = self.in_flight()?;
            ensure!(in_flight == 0, "{in_flight}");
            Ok(())
        });
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock()
}

fn serve(shared: &Mutex<State>, stream: impl Read + Write) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader)? else { return Ok(()) };
    let (number, answer) = {
        let mut state = lock(shared);
        let path = request.path.split('?').next().unwrap_or_default();
        let answer = state.answers.get(path).cloned().unwrap_or_else(|| Answer::status(404));
        let answer = if request.body.len() > answer.most { Answer::status(400) } else { answer };
        state.requests.push(request);
        (state.requests.len() - 1, answer)
    };
    let written = write_answer(&mut reader, &answer, number);
    lock(shared).requests[number].served_at = Some(Timestamp::now());
    written
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let seen_at = Timestamp::now();
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Some(Request { method, path, headers, body, seen_at, served_at: None }))
}

fn write_answer(stream: &mut BufReader<impl Read + Write>, answer: &Answer, number: usize) -> io::Result<()> {
    if answer.hangs {
        // Until the client closes its end.
        return io::copy(stream, &mut io::sink()).map(drop);
    }
    thread::sleep(answer.after);
    let reason = match answer.status {
        200 => "OK",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    };
    let reason = if answer.numbered { number.to_string() } else { reason.to_owned() };
    let mut head = format!("HTTP/1.1 {} {reason}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
    // In one write: a client that has read enough may be gone before a second one.
    stream.get_mut().write_all(&[head.as_bytes(), &answer.body].concat())
}
