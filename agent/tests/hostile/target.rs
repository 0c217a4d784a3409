//! The target: a port for each class, whose every connection plays the class's script.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslStream};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// What a target does.
#[derive(Clone, Copy)]
pub(crate) enum Plays {
    /// No one is there.
    NoOne,
    /// Reads a request, says this, and ends the connection well.
    Says(&'static [u8]),
    /// The same, over IPv6.
    SaysOverV6(&'static [u8]),
    /// Reads a request, says this, and says it again and again, this often.
    Repeats(&'static [u8], &'static [u8], Duration),
    /// The same with what has to be made first.
    SaysMade(fn() -> Vec<u8>),
    /// Reads a request, says this, and nothing more while the connection lasts.
    Hangs(&'static [u8]),
    /// Reads a request, says this, and resets the connection.
    Resets(&'static [u8]),
    /// Does this from the first moment on.
    Raw(fn(TcpStream)),
    /// Does this after a TLS handshake.
    Tls(fn(SslStream<TcpStream>)),
    /// Answers a datagram with this.
    Datagram(fn(&[u8]) -> Vec<u8>),
}

pub(crate) struct Target {
    address: SocketAddr,
}

impl Target {
    /// Plays for as long as the test's process lives.
    pub(crate) fn play(plays: Plays, acceptor: &SslAcceptor) -> Target {
        match plays {
            Plays::Datagram(answer) => return Target { address: play_datagrams(answer) },
            Plays::NoOne => return Target { address: nobody() },
            _ => {}
        }
        let host = if matches!(plays, Plays::SaysOverV6(_)) { "[::1]:0" } else { "127.0.0.1:0" };
        let listener = TcpListener::bind(host).expect("a port is free");
        let address = listener.local_addr().unwrap();
        let acceptor = Arc::new(acceptor.clone());
        // Before a check asks: to make it may take longer than a check waits.
        let made: Arc<[u8]> = match plays {
            Plays::SaysMade(make) => make().into(),
            _ => Arc::default(),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, acceptor, made) = (stream.unwrap(), acceptor.clone(), made.clone());
                thread::spawn(move || serve(plays, &made, stream, &acceptor));
            }
        });
        Target { address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port at which no one listens, and which no one else gets while the process lives: one that was merely free a moment
/// ago may be somebody's in the next.
fn nobody() -> SocketAddr {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    std::mem::forget(socket);
    address
}

fn play_datagrams(answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 512];
        loop {
            let (length, peer) = socket.recv_from(&mut datagram).unwrap();
            socket.send_to(&answer(&datagram[..length]), peer).unwrap();
        }
    });
    address
}

/// Errors are the end of a connection, which the script need not know about.
fn serve(plays: Plays, made: &[u8], mut stream: TcpStream, acceptor: &SslAcceptor) {
    match plays {
        Plays::NoOne | Plays::Datagram(_) => {}
        Plays::Says(answer) | Plays::SaysOverV6(answer) => say(&mut stream, answer),
        Plays::SaysMade(_) => say(&mut stream, made),
        Plays::Hangs(answer) => {
            read_head(&mut stream);
            stream.write_all(answer).ok();
            drain(&mut stream);
        }
        Plays::Repeats(begin, again, pause) => {
            read_head(&mut stream);
            let mut alive = stream.write_all(begin).is_ok();
            while alive {
                thread::sleep(pause);
                alive = stream.write_all(again).is_ok();
            }
        }
        Plays::Resets(answer) => {
            read_head(&mut stream);
            stream.write_all(answer).ok();
            // What was said must have arrived: a reset overtakes what still waits to be sent.
            thread::sleep(Duration::from_millis(50));
            reset(&stream);
        }
        Plays::Raw(script) => script(stream),
        Plays::Tls(script) => {
            if let Ok(stream) = acceptor.accept(stream) {
                script(stream);
            }
        }
    }
}

fn say(stream: &mut TcpStream, answer: &[u8]) {
    read_head(stream);
    stream.write_all(answer).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    drain(stream);
}

/// Makes the end of the connection a reset.
pub(crate) fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Reads until an empty line.
pub(crate) fn read_head(stream: &mut impl Read) {
    let mut last = [0; 4];
    let mut byte = [0];
    while &last != b"\r\n\r\n" && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        last.rotate_left(1);
        last[3] = byte[0];
    }
}

/// Reads, silently, until the peer ends the connection.
pub(crate) fn drain(stream: &mut impl Read) {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
}
