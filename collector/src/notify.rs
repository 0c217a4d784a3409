//! Sends messages to receivers, each message once, by the channel of the receiver.
//!
//! A channel is one file with its configuration and its way of sending, and one line in each function of [`Channel`].
//! Nothing in this module knows why something is told.

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

/// The way in which a receiver is told.
#[derive(Clone, Debug)]
pub enum Channel {
    /// The receiver gets a request over HTTP.
    Webhook(Webhook),
    /// The receiver gets a mail.
    Email(Email),
    /// A program gets the message.
    Command(Command),
}

/// The bounds of the configured timeout of sending.
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

    /// Returns the word of the channel.
    pub fn as_str(&self) -> &'static str {
        match self {
            Channel::Webhook(_) => "webhook",
            Channel::Email(_) => "email",
            Channel::Command(_) => "command",
        }
    }

    /// Returns the addresses of the receiver, each of which gets a message of its own. The list is empty when the
    /// receiver gets one message as a whole.
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Channel::Email(email) => email.addresses(),
            Channel::Webhook(_) | Channel::Command(_) => Vec::new(),
        }
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// Returns why the receiver did not accept the message.
    pub fn send(&self, message: &Message) -> Result<(), Failure> {
        match self {
            Channel::Webhook(webhook) => webhook::send(webhook, message),
            Channel::Email(email) => email::send(email, message),
            Channel::Command(command) => command::send(command, message),
        }
    }
}

/// The reason why a receiver was not told. It holds no secret.
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

    /// Returns whether the receiver said that it will not accept the message later, either.
    pub fn is_for_good(&self) -> bool {
        self.is_for_good
    }
}
