//! A name server for the machine: some names are at 127.0.0.1, others are not known.

use std::net::UdpSocket;
use std::thread;

use anyhow::{Context, Result};

/// Where it answers. Port 53, since `resolv.conf` knows no other.
pub(crate) const ADDRESS: &str = "127.0.0.153";

/// Answers for these names for as long as this process runs.
pub(crate) fn serve(names: &'static [&'static str]) -> Result<()> {
    let socket = UdpSocket::bind((ADDRESS, 53)).context("no port for the name server: are we root?")?;
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length], names) {
                socket.send_to(&answer, from).ok();
            }
        }
    });
    Ok(())
}

fn answer(query: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(std::str::from_utf8(query.get(at..at + length)?).ok()?.to_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let is_known = names.contains(&name.join(".").as_str());
    // A, the one type that they have.
    let has_address = is_known && question.ends_with(&[0, 1, 0, 1]);
    let code = if is_known { 0 } else { 3 };
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x84, code, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(question);
    if has_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
