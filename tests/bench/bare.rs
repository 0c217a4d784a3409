//! The least that checks at a pace can take: one thread that sleeps until each is due, a bare socket, and OpenSSL.
//!
//! At a pace each check costs more than one of many in a row: the processor wakes up for it, its caches are cold, and
//! each of its waits ends with a wake.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use openssl::ssl::{SslConnector, SslMethod};
use rustix::time::{ClockId, clock_gettime};

/// CPU seconds per 1,000 checks of a site on 127.0.0.1, of which this many are made a second; over TLS where there is a
/// file of authorities.
pub(crate) fn bare(port: u16, authorities: Option<&Path>, per_second: u32, lasting: Duration) -> Result<f64> {
    let connector = match authorities {
        None => None,
        Some(file) => {
            let mut builder = SslConnector::builder(SslMethod::tls_client())?;
            builder.set_ca_file(file)?;
            builder.set_groups_list("X25519:P-256")?;
            Some(builder.build())
        }
    };
    let gap = Duration::from_secs(1) / per_second;
    let checks = lasting.div_duration_f64(gap) as u32;
    let work = move || {
        let (began, before) = (Instant::now(), cpu());
        for n in 0..checks {
            thread::sleep((gap * n).saturating_sub(began.elapsed()));
            let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            let answer = match &connector {
                None => ask(socket)?,
                Some(connector) => ask(connector.connect("127.0.0.1", socket)?)?,
            };
            ensure!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
        }
        Ok((cpu() - before).as_secs_f64() * 1_000.0 / f64::from(checks))
    };
    thread::spawn(work).join().map_err(|_| anyhow!("the bare socket panicked"))?
}

fn ask(mut stream: impl Read + Write) -> Result<Vec<u8>> {
    stream.write_all(b"GET /0 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// What this thread has taken of the processors.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
