//! What may happen where TLS is spoken, or should be. Certificates have tests of their own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use wire::Outcome::{ConnectionClosed, ProtocolError, Success, Timeout, TlsError};

use super::Class;
use crate::target::Plays::{Raw, Says, Tls};
use crate::target::{drain, read_head, reset};

/// A record that announces the server's part of the handshake, as long as a record can be.
const BEGIN: &[u8] = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03";

pub(super) fn classes() -> Vec<Class> {
    let class = |name, plays, outcome, says| Class::new(name, plays, outcome, says).url("https", "/");
    vec![
        class("TLS", Tls(good), Success, "").status(200),
        class("TLS: silent in the handshake", Raw(|mut stream| drain(&mut stream)), Timeout, "the TLS handshake"),
        class("TLS: slow in the handshake", Raw(slow), Timeout, "the TLS handshake"),
        class("TLS: closes at once", Raw(|_| ()), TlsError, ""),
        class("TLS: closes in the handshake", Raw(close_after_hello), TlsError, ""),
        class("TLS: resets in the handshake", Raw(reset_after_hello), TlsError, "reset"),
        class("TLS: noise in the handshake", Raw(noise), TlsError, ""),
        class("TLS: refuses by an alert", Raw(alert), TlsError, "alert"),
        class("TLS: plain text", Raw(plain), TlsError, ""),
        class("TLS: closes after the handshake", Tls(|mut stream| drop(stream.shutdown())), ConnectionClosed, ""),
        class("TLS: resets after the request", Tls(reset_after_request), ConnectionClosed, "reset"),
        class(
            "TLS: silent after the handshake",
            Tls(|mut stream| drain(&mut stream)),
            Timeout,
            "waiting for the answer",
        ),
        class("TLS: noise after the handshake", Tls(noise_after_handshake), TlsError, "after the handshake"),
        class("TLS: HTTP/2 and nothing else", Tls(http2), ProtocolError, ""),
        class("TLS: no word of its end within the body", Tls(cut_off), ConnectionClosed, "before the body was whole")
            .status(200),
        Class::new("TLS where none is spoken", Says(b"\x15\x03\x03\0\x02\x02\x46"), ProtocolError, ""),
    ]
}

type Stream = openssl::ssl::SslStream<TcpStream>;

fn good(mut stream: Stream) {
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").ok();
    drain(&mut stream);
}

fn read_hello(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 64]).ok();
}

fn slow(mut stream: TcpStream) {
    read_hello(&mut stream);
    let mut alive = stream.write_all(BEGIN).is_ok();
    while alive {
        thread::sleep(Duration::from_millis(20));
        alive = stream.write_all(b"x").is_ok();
    }
}

fn close_after_hello(mut stream: TcpStream) {
    let mut hello = [0; 4096];
    let _some = stream.read(&mut hello);
    stream.write_all(BEGIN).ok();
}

fn reset_after_hello(mut stream: TcpStream) {
    let mut hello = [0; 4096];
    let _some = stream.read(&mut hello);
    reset(&stream);
}

fn noise(mut stream: TcpStream) {
    read_hello(&mut stream);
    stream.write_all(&[b"\x16\x03\x03\0\x40".to_vec(), vec![0xa5; 0x40]].concat()).ok();
    drain(&mut stream);
}

/// Fatal: no application protocol.
fn alert(mut stream: TcpStream) {
    read_hello(&mut stream);
    stream.write_all(b"\x15\x03\x03\0\x02\x02\x78").ok();
    drain(&mut stream);
}

fn plain(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
    drain(&mut stream);
}

fn reset_after_request(mut stream: Stream) {
    read_head(&mut stream);
    reset(stream.get_ref());
}

fn noise_after_handshake(mut stream: Stream) {
    read_head(&mut stream);
    stream.get_mut().write_all(&[b"\x17\x03\x03\0\x40".to_vec(), vec![0xa5; 0x40]].concat()).ok();
    drain(stream.get_mut());
}

fn http2(mut stream: Stream) {
    stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64").ok();
    drain(&mut stream);
}

fn cut_off(mut stream: Stream) {
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").ok();
    let raw = stream.get_mut();
    raw.shutdown(std::net::Shutdown::Write).ok();
    drain(raw);
}
