//! Sends a message to a receiver, once: a file for each kind of channel.

use crate::alerts::Message;
use crate::config::alerts::{Receiver, Way};

mod command;
mod email;
mod webhook;

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

/// Sends a message once.
///
/// # Errors
/// Why it was not taken.
pub fn send(receiver: &Receiver, message: &Message) -> Result<(), Failure> {
    match &receiver.way {
        Way::Webhook(webhook) => webhook::send(webhook, message),
        Way::Email(email) => email::send(email, message),
        Way::Command(command) => command::send(command, message),
    }
}
