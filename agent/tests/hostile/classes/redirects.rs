//! Redirects that lead nowhere, or where they should not.

use std::time::Duration;

use wire::Outcome::{ConnectionRefused, RedirectError};

use super::Class;
use crate::target::Plays::{Hangs, Repeats, Says, SaysMade};
use crate::target::{Plays, read_head};

pub(super) fn classes() -> Vec<Class> {
    let bad = |name, answer, says| Class::new(name, Says(answer), RedirectError, says).status(302);
    vec![
        bad("redirect to itself", b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "loop"),
        bad("redirect without a Location", b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n", "without a Location"),
        bad("redirect to no host", b"HTTP/1.1 302 Go\r\nLocation: http://\r\n\r\n", "bad Location"),
        bad("redirect to no port", b"HTTP/1.1 302 Go\r\nLocation: http://a.example:99999/\r\n\r\n", "bad Location"),
        bad(
            "redirect to another scheme",
            b"HTTP/1.1 302 Go\r\nLocation: ftp://a.example/\r\n\r\n",
            "neither http nor https",
        ),
        bad(
            "redirect to a script",
            b"HTTP/1.1 302 Go\r\nLocation: javascript:alert(1)\r\n\r\n",
            "neither http nor https",
        ),
        bad("redirect in no charset", b"HTTP/1.1 302 Go\r\nLocation: /\xff\xfe\r\n\r\n", "%FF%FE again"),
        Class::new("redirect to a very long place", SaysMade(long_location), RedirectError, "longer than").status(302),
        Class::new("redirects without end", Plays::Raw(further), RedirectError, "more than 10 redirects").status(302),
        Class::new(
            "redirect to no one",
            Says(b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
            ConnectionRefused,
            "refused",
        )
        .status(302),
        Class::new(
            "redirect that takes the body along",
            Says(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
            RedirectError,
            "another site",
        )
        .status(307)
        .options("method: POST, body: secret"),
        Class::fine(
            "redirect that is not to be followed",
            Hangs(b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
            302,
        )
        .options("follow_redirects: 0"),
        Class::fine("redirect in UTF-8", Plays::Raw(to_utf8), 200),
        Class::fine(
            "redirect with an endless body",
            Repeats(b"HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n", &[b'x'; 9999], Duration::ZERO),
            302,
        )
        .options("follow_redirects: 0"),
    ]
}

fn long_location() -> Vec<u8> {
    format!("HTTP/1.1 302 Go\r\nLocation: /{}\r\n\r\n", "x".repeat(30_000)).into_bytes()
}

/// Leads further with each request.
fn further(mut stream: std::net::TcpStream) {
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};
    static STEPS: AtomicU32 = AtomicU32::new(0);
    read_head(&mut stream);
    let step = STEPS.fetch_add(1, Ordering::Relaxed);
    write!(stream, "HTTP/1.1 302 Go\r\nLocation: /{step}\r\nContent-Length: 0\r\n\r\n").ok();
}

/// Leads to a place whose name is not ASCII, and answers there.
fn to_utf8(mut stream: std::net::TcpStream) {
    use std::io::{Read, Write};
    let mut begin = [0; 7];
    stream.read_exact(&mut begin).ok();
    read_head(&mut stream);
    let answer = match &begin {
        b"GET /sc" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        _ => "HTTP/1.1 302 Go\r\nLocation: /schön\r\nContent-Length: 0\r\n\r\n",
    };
    stream.write_all(answer.as_bytes()).ok();
}
