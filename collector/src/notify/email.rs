//! Tells a receiver by mail: sends plain text to one address.
//!
//! The header of the mail names all addresses of the receiver, but the server gets the mail for one address only. So
//! each address has an answer of its own, and no address gets a mail again because of another address.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml::Value;
use settings::{Section, Wrong};

use super::Failure;
use super::message::{Message, Size};

/// The timeout of each step until the mail is offered: to connect, the greeting, encryption, login. RFC 5321 gives five
/// minutes for the greeting. A try that ends too early has done nothing yet, and a server that is away should be
/// reported soon.
const CONNECTING: Duration = Duration::from_secs(60);

/// The timeout of each later step. A client that gives up too early in these steps sends a mail again that the server
/// has already accepted. Therefore it is the longest time of RFC 5321, 4.5.3.2: the time for the answer to the end of
/// the mail.
const TAKING: Duration = Duration::from_secs(600);

/// The timeout of the end of the session, which no longer changes anything.
const PARTING: Duration = Duration::from_secs(5);

/// A mail server to which mails are handed, with the sender and the addresses.
#[derive(Clone, Debug)]
pub struct Email {
    /// The name of the server.
    pub host: String,
    /// The port of the server.
    pub port: u16,
    /// Whether and when the connection is encrypted.
    pub encryption: Encryption,
    /// The user and the password of the login, if there is one.
    pub login: Option<(String, SecretString)>,
    /// The sender.
    pub from: Mailbox,
    /// The addresses.
    pub to: Vec<Mailbox>,
    /// The file of the authorities that sign the server's certificate; the system's authorities when absent.
    pub ca_file: Option<PathBuf>,
}

/// Whether and when a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The connection is never encrypted.
    None,
    /// The connection is encrypted by STARTTLS, which the server must support.
    Starttls,
    /// The connection is encrypted from its beginning.
    Tls,
}

impl Email {
    pub(super) fn of(section: &mut Section<'_>) -> Email {
        section.require("host", "name the mail server");
        section.require("from", "write the sender's address");
        section.require("to", "write at least one address");
        let choices = [("none", Encryption::None), ("starttls", Encryption::Starttls), ("tls", Encryption::Tls)];
        let encryption = section.choice("tls", &choices).unwrap_or(Encryption::Starttls);
        let has_user = section.has("user");
        if has_user && !section.has("password_file") {
            section.require("password", "give password_file (or password)");
        }
        let (user, password) = (section.text("user"), section.secret("password"));
        if password.is_some() && !has_user {
            section.fault("password", "stands without user", "name the user");
        }
        let port = match encryption {
            Encryption::None => 25,
            Encryption::Starttls => 587,
            Encryption::Tls => 465,
        };
        let host = section.text_within("host", 255).unwrap_or_default();
        if encryption == Encryption::None && user.is_some() && password.is_some() && !is_here(&host) {
            let problem = "sends the password in clear over the network";
            section.fault("tls", problem, "write starttls or tls, or leave out user and password");
        }
        let to = section.items("to", mailbox);
        if to.as_ref().is_some_and(Vec::is_empty) {
            section.fault("to", "is empty", "write at least one address");
        }
        Email {
            host,
            port: section.integer("port", 1..=65_535).unwrap_or(port),
            encryption,
            login: user.zip(password),
            from: section.convert("from", mailbox).unwrap_or_else(nobody),
            to: to.unwrap_or_default(),
            ca_file: section.readable("ca_file"),
        }
    }

    /// Returns the addresses of the receiver, each of them once.
    pub(super) fn addresses(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.to.iter().map(|to| to.email.to_string()).collect();
        all.into_iter().collect()
    }
}

/// Returns whether a host is the one on which this program runs.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn mailbox(value: &Value) -> Result<Mailbox, Wrong> {
    let mend = "write name@example.org, or Name <name@example.org>";
    let wrong = || Wrong::new(format!("{} is no mail address", settings::shown(value)), mend);
    let text = value.as_str().ok_or_else(wrong)?;
    text.parse().map_err(|_| wrong())
}

/// Returns the mailbox that is used in place of an address that is at fault.
fn nobody() -> Mailbox {
    Mailbox::new(None, lettre::Address::new_dangerous("nobody", "localhost"))
}

pub(super) fn send(email: &Email, message: &Message) -> Result<(), Failure> {
    let to = email.to.iter().map(|to| &to.email).find(|to| message.address.as_deref() == Some(AsRef::as_ref(*to)));
    let to = to.ok_or_else(|| Failure::new("it has no such address"))?;
    let envelope = Envelope::new(Some(email.from.email.clone()), vec![to.clone()])
        .map_err(|error| Failure::new(error.to_string()))?;
    let mail = mail(email, message)?.formatted();
    let mut connection = connect(email)?;
    let broken = |error: io::Error| Failure::new(error.to_string());
    connection.set_timeout(Some(TAKING)).map_err(broken)?;
    let outcome = connection.send(&envelope, &mail).map(drop).map_err(|error| refusal(&error));
    if connection.set_timeout(Some(PARTING)).is_ok() {
        connection.abort();
    }
    outcome
}

/// Returns why a server did not accept a mail. A refusal of the mailbox that the server calls permanent is for good. A
/// refused login is not for good, because a person can correct it.
fn refusal(error: &smtp::Error) -> Failure {
    let is_for_good = error.status().is_some_and(|code| (550..560).contains(&u16::from(code)));
    Failure { is_for_good, ..Failure::new(with_sources(error)) }
}

fn mail(email: &Email, message: &Message) -> Result<lettre::Message, Failure> {
    let mut builder = lettre::Message::builder()
        .from(email.from.clone())
        .subject(message.summary())
        .message_id(Some(format!("<{}@{}>", message.id, email.from.email.domain())))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        // This header keeps absence notices from answering the mail.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()));
    for to in &email.to {
        builder = builder.to(to.clone());
    }
    builder.body(message.text(Size::WHOLE)).map_err(|error| Failure::new(error.to_string()))
}

/// Opens a connection that is encrypted and logged in as configured.
fn connect(email: &Email) -> Result<SmtpConnection, Failure> {
    let parameters = if email.encryption == Encryption::None { None } else { Some(parameters(email)?) };
    let from_the_begin = parameters.as_ref().filter(|_| email.encryption == Encryption::Tls);
    let hello = ClientId::Domain(settings::host_name());
    let begin = || -> Result<SmtpConnection, smtp::Error> {
        let server = (email.host.as_str(), email.port);
        let mut connection = SmtpConnection::connect(server, Some(CONNECTING), &hello, from_the_begin, None)?;
        if let Some(parameters) = parameters.as_ref().filter(|_| email.encryption == Encryption::Starttls) {
            connection.starttls(parameters, &hello)?;
        }
        if let Some((user, password)) = &email.login {
            let login = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &login)?;
        }
        Ok(connection)
    };
    begin().map_err(|error| refusal(&error))
}

fn parameters(email: &Email) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(email.host.clone());
    if let Some(file) = &email.ca_file {
        let wrong = |problem: String| Failure::new(format!("ca_file {}: {problem}", file.display()));
        let pem = fs::read(file).map_err(|error| wrong(error.to_string()))?;
        builder =
            builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| wrong(with_sources(&error)))?);
    }
    builder.build().map_err(|error| Failure::new(with_sources(&error)))
}

/// Returns the text of an error with the texts of its sources, because the text of lettre's error alone says little.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text += &format!(": {more}");
        }
        source = error.source();
    }
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::notify::Item;

    #[test]
    fn a_hostile_name_adds_no_header_and_no_line() {
        let email = Email {
            host: "localhost".into(),
            port: 25,
            encryption: Encryption::None,
            login: None,
            from: "Monitor <m@example.org>".parse().unwrap(),
            to: vec!["a@example.org".parse().unwrap()],
            ca_file: None,
        };
        let mut item = Item::test("2026-11-24T10:00:00Z".parse().unwrap(), None);
        item.details.name = "a\r\nBcc: b@example.org\r\n\r\n<script>ä\u{202e}\u{0}".into();
        item.details.reason = format!("\r\n.\r\nQUIT\r\n{}", "x".repeat(10_240));
        let message = Message { id: Uuid::nil(), receiver: "mail".into(), address: None, items: vec![item] };
        let mail = String::from_utf8(mail(&email, &message).unwrap().formatted()).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let unfolded = head.replace("\r\n ", " ");
        assert!(!unfolded.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Message-ID: <00000000-0000-0000-0000-000000000000@example.org>"), "{head}");
        assert!(!body.contains("\r\n.\r\n"), "{body}");
        assert!(mail.is_ascii() && mail.len() < 4_000, "{mail}");
    }
}
