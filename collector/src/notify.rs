//! Sends messages to receivers, each message once, by the channel of the receiver.
//!
//! A channel is one file, which has its configuration and its way of sending, and one line in each function of [`Channel`].
//! Nothing here knows why something is told.

use std::time::Duration;

use settings::Section;

mod command;
mod email;
mod environment;
mod message;
mod template;
mod webhook;

pub use command::Command;
pub use email::Email;
pub(crate) use message::whom;
pub use message::{Details, Item, Kind, Message, Size};
pub use template::Template;
pub use webhook::Webhook;

/// How a receiver is told.
#[derive(Clone, Debug)]
pub enum Channel {
    /// By a request.
    Webhook(Webhook),
    /// By mail.
    Email(Email),
    /// By a program.
    Command(Command),
}

/// How long sending may take.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

impl Channel {
    /// Reads the one channel that a receiver has.
    pub(crate) fn of(section: &mut Section<'_>) -> Channel {
        let given = ["webhook", "email", "command"].map(|channel| section.has(channel));
        if given.iter().filter(|is_given| **is_given).count() != 1 {
            section.fault("name", "has not one way to be told", "give one of webhook, email, command");
        }
        match given {
            [true, ..] => Channel::Webhook(section.section("webhook", Webhook::of)),
            [_, true, _] => Channel::Email(section.section("email", Email::of)),
            _ => Channel::Command(section.section("command", |command| Command::of(command, given[2]))),
        }
    }

    /// Its word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Channel::Webhook(_) => "webhook",
            Channel::Email(_) => "email",
            Channel::Command(_) => "command",
        }
    }

    /// The addresses, each of which is told on its own. The list is empty where the receiver is told as a whole.
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Channel::Email(email) => email.addresses(),
            Channel::Webhook(_) | Channel::Command(_) => Vec::new(),
        }
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send(&self, message: &Message) -> Result<(), Failure> {
        match self {
            Channel::Webhook(webhook) => webhook::send(webhook, message),
            Channel::Email(email) => email::send(email, message),
            Channel::Command(command) => command::send(command, message),
        }
    }
}

/// Why a receiver was not told; holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    text: String,
    is_for_good: bool,
}

impl Failure {
    fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), is_for_good: false }
    }

    /// Whether it was said that this won't be taken later, either.
    pub fn is_for_good(&self) -> bool {
        self.is_for_good
    }
}
