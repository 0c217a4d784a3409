//! A mail server that keeps what it is handed: as much of RFC 5321 as a client needs, without encryption or login.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use anyhow::{Context, Result};

/// A mail server.
pub struct Mail {
    port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
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
        let mail = Mail { port: listener.local_addr()?.port(), letters: Arc::default() };
        let letters = mail.letters.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let letters = letters.clone();
                thread::spawn(move || serve(&letters, stream));
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
        lock(&self.letters).clone()
    }
}

fn lock(letters: &Mutex<Vec<Letter>>) -> MutexGuard<'_, Vec<Letter>> {
    letters.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn serve(letters: &Mutex<Vec<Letter>>, stream: TcpStream) -> io::Result<()> {
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
                letter.to.push(path(&line));
                answer(&mut reader, "250 ok")?;
            }
            "DATA" => {
                answer(&mut reader, "354 go on")?;
                while let Some(line) = read_line(&mut reader)?.filter(|line| line != ".") {
                    letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.text.push('\n');
                }
                lock(letters).push(std::mem::take(&mut letter));
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
