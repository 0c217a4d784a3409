//! Who is told, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml::Value;
use settings::{Section, Wrong};

use super::{Template, environment, name};

/// Who is told.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// How.
    pub way: Way,
}

/// How it is told.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a request.
    Webhook(Webhook),
    /// By mail.
    Email(Email),
    /// By a program.
    Command(Command),
}

/// JSON is posted to a url.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where to. It mostly is a secret.
    pub url: SecretString,
    /// Sent beside ours; secrets, too.
    pub headers: HeaderMap,
    /// In place of our own JSON.
    pub template: Option<Template>,
    /// For how long at most.
    pub timeout: Duration,
    /// The authorities that sign its certificate; the system's when absent.
    pub ca_file: Option<PathBuf>,
}

/// A mail is handed to a server.
#[derive(Clone, Debug)]
pub struct Email {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and when the connection is encrypted.
    pub encryption: Encryption,
    /// Who logs in, and how.
    pub login: Option<(String, SecretString)>,
    /// The sender.
    pub from: Mailbox,
    /// Whom to.
    pub to: Vec<Mailbox>,
    /// The authorities that sign its certificate; the system's when absent.
    pub ca_file: Option<PathBuf>,
}

/// Whether and when a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    None,
    /// By STARTTLS, which the server must know.
    Starttls,
    /// From the begin.
    Tls,
}

/// A program is run with JSON on its standard input.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments, without a shell.
    pub argv: Vec<String>,
    /// Its variables, beside those that each command is given; mostly secrets.
    pub environment: BTreeMap<String, SecretString>,
    /// For how long at most.
    pub timeout: Duration,
}

const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

impl Receiver {
    pub(super) fn of(section: &mut Section<'_>) -> Receiver {
        let name = name(section);
        let ways = ["webhook", "email", "command"].map(|way| section.has(way));
        if ways.iter().filter(|has| **has).count() != 1 {
            section.fault("name", "has not one way to be told", "give one of webhook, email, command");
        }
        let way = match ways {
            [true, ..] => Way::Webhook(section.section("webhook", Webhook::of)),
            [_, true, _] => Way::Email(section.section("email", Email::of)),
            _ => Way::Command(section.section("command", |command| Command::of(command, ways[2]))),
        };
        Receiver { name, way }
    }

    /// Its addresses, each of which is told on its own; empty where it is told as a whole.
    pub fn addresses(&self) -> Vec<String> {
        let Way::Email(email) = &self.way else { return Vec::new() };
        let all: BTreeSet<String> = email.to.iter().map(|to| to.email.to_string()).collect();
        all.into_iter().collect()
    }
}

impl Way {
    /// Its word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Way::Webhook(_) => "webhook",
            Way::Email(_) => "email",
            Way::Command(_) => "command",
        }
    }
}

impl Webhook {
    fn of(section: &mut Section<'_>) -> Webhook {
        if !section.has("url_file") {
            section.require("url", "write where JSON is to be posted to, or give url_file");
        }
        let url = section.secret("url").unwrap_or_default();
        // What is wrong with it is not shown: it mostly holds a secret.
        let is_url = |text: &str| {
            let uri = text.parse::<Uri>().ok();
            uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        };
        if !url.expose_secret().is_empty() && !is_url(url.expose_secret()) {
            section.fault("url", "is no url of the web", "write one that begins with https:// or http://");
        }
        if section.has("most_characters") && !section.has("template") {
            section.fault("most_characters", "stands without template", "write a template, or leave it out");
        }
        let template = section.convert("template", Template::new);
        let most_characters = section.integer("most_characters", 100..=1_000_000);
        Webhook {
            url,
            headers: section.headers("headers"),
            template: template.map(|template| template.within(most_characters)),
            timeout: section.duration("timeout", TIMEOUTS).unwrap_or(TIMEOUT),
            ca_file: section.readable("ca_file"),
        }
    }
}

impl Email {
    fn of(section: &mut Section<'_>) -> Email {
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
}

/// Whether a host is the one on which this runs.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn mailbox(value: &Value) -> Result<Mailbox, Wrong> {
    let mend = "write name@example.org, or Name <name@example.org>";
    let wrong = || Wrong::new(format!("{} is no mail address", settings::shown(value)), mend);
    let text = value.as_str().ok_or_else(wrong)?;
    text.parse().map_err(|_| wrong())
}

/// Stands where an address is at fault.
fn nobody() -> Mailbox {
    Mailbox::new(None, lettre::Address::new_dangerous("nobody", "localhost"))
}

impl Command {
    fn of(section: &mut Section<'_>, is_given: bool) -> Command {
        if is_given {
            section.require("argv", "write the program and its arguments as a list");
        }
        let argv = section.text_items("argv");
        if argv.as_ref().is_some_and(Vec::is_empty) {
            section.fault("argv", "is empty", "write the program and its arguments as a list");
        }
        let argv = argv.unwrap_or_default();
        if let Some(program) = argv.first()
            && !program.starts_with('/')
        {
            section.fault("argv", format!("{program:?} is no absolute path"), "begin it with the program's whole path");
        }
        Command {
            argv,
            environment: section.section("environment", environment::read),
            timeout: section.duration("timeout", TIMEOUTS).unwrap_or(TIMEOUT),
        }
    }
}
