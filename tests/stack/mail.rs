//! A mail server that keeps what it is handed: as much of RFC 5321 as a client needs, without encryption or login.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::{Mutex, MutexGuard};

/// A mail server.
pub struct Mail {
    port: u16,
    desk: Arc<Mutex<Desk>>,
}

/// What it was handed, and what it refuses.
#[derive(Default)]
struct Desk {
    letters: Vec<Letter>,
    /// What is answered to who asks for an address, in place of 250.
    refusals: BTreeMap<String, String>,
    /// How long it takes over a mail that it has.
    slowness: Duration,
}

/// A mail that was handed over.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Head and body, lines ended by a line feed alone.
    pub text: String,
}

impl Letter {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\n\n").next()?.replace("\n ", " ");
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        head.lines().find_map(value)
    }
}

impl Mail {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Mail> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the mail server has no port")?;
        let mail = Mail { port: listener.local_addr()?.port(), desk: Arc::default() };
        let desk = mail.desk.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = desk.clone();
                thread::spawn(move || serve(&desk, stream));
            }
        });
        Ok(mail)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All mails so far.
    pub fn letters(&self) -> Vec<Letter> {
        lock(&self.desk).letters.clone()
    }

    /// The subjects of all mails to an address so far.
    pub fn subjects(&self, address: &str) -> Vec<String> {
        let to = |letter: &Letter| letter.to.iter().any(|to| to == address);
        self.letters().iter().filter(|it| to(it)).filter_map(|letter| letter.header("Subject")).collect()
    }

    /// Takes mails, and says so only after that time.
    pub fn take_slowly(&self, slowness: Duration) {
        lock(&self.desk).slowness = slowness;
    }

    /// Refuses an address by that line, such as `550 no such user`, or takes it again.
    pub fn refuse(&self, address: &str, by: Option<&str>) {
        let refusals = &mut lock(&self.desk).refusals;
        match by {
            Some(line) => refusals.insert(address.into(), line.into()),
            None => refusals.remove(address),
        };
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock()
}

fn serve(desk: &Mutex<Desk>, stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut letter = Letter::default();
    answer(&mut reader, "220 mail.test")?;
    while let Some(line) = read_line(&mut reader)? {
        let path = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => answer(&mut reader, "250 mail.test")?,
            "MAIL" => {
                letter = Letter { from: path(&line), ..Letter::default() };
                answer(&mut reader, "250 ok")?;
            }
            "RCPT" => {
                let refusal = lock(desk).refusals.get(&path(&line)).cloned();
                if refusal.is_none() {
                    letter.to.push(path(&line));
                }
                answer(&mut reader, refusal.as_deref().unwrap_or("250 ok"))?;
            }
            "DATA" if letter.to.is_empty() => answer(&mut reader, "554 no one to take it")?,
            "DATA" => {
                answer(&mut reader, "354 go on")?;
                while let Some(line) = read_line(&mut reader)?.filter(|line| line != ".") {
                    letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.text.push('\n');
                }
                let slowness = {
                    let mut desk = lock(desk);
                    desk.letters.push(std::mem::take(&mut letter));
                    desk.slowness
                };
                thread::sleep(slowness);
                answer(&mut reader, "250 taken")?;
            }
            "RSET" | "NOOP" => answer(&mut reader, "250 ok")?,
            "QUIT" => return answer(&mut reader, "221 bye"),
            _ => answer(&mut reader, "502 not known here")?,
        }
    }
    Ok(())
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = reader.read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn answer(reader: &mut BufReader<TcpStream>, line: &str) -> io::Result<()> {
    reader.get_mut().write_all(format!("{line}\r\n").as_bytes())
}
