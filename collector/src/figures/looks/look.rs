//! The latest look of an agent at a monitor.

use jiff::Timestamp;
use serde::Serialize;

/// What an agent says about a monitor now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// The latest check of the agent succeeded.
    Success,
    /// The latest check of the agent succeeded, but before the failures began that others see. It says nothing about
    /// the present.
    Earlier,
    /// The latest check of the agent failed.
    Failure,
    /// The latest check of the agent was spoiled by its own trouble.
    AgentError,
    /// The latest result of the agent is older than it should be.
    Silent,
}

impl Look {
    /// Returns the look that follows from an outcome.
    pub fn of(outcome: &str) -> Look {
        match outcome {
            "success" => Look::Success,
            "agent_error" => Look::AgentError,
            _ => Look::Failure,
        }
    }
}

/// The latest result of a monitor by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Latest {
    /// The agent that looked.
    pub agent: String,
    /// What the agent says about the monitor now.
    pub look: Look,
    /// The moment when its check began; none when no result is known in the time that was searched.
    pub checked_at: Option<Timestamp>,
    /// The outcome, which is one word.
    pub outcome: Option<String>,
    /// The status code of HTTP.
    pub status_code: Option<i16>,
    /// The duration of the whole check, in microseconds.
    pub response_time_us: Option<i64>,
    /// The reason of the failure, for people.
    pub error: Option<String>,
    /// The end of the certificate that was shown.
    pub certificate_not_after: Option<Timestamp>,
    /// The earliest end among the certificates that the check relied on, when it differs from the end of the one shown.
    pub certificate_first_end: Option<Timestamp>,
}

impl Latest {
    /// Returns what is known about an agent without any result.
    pub fn silent(agent: String) -> Latest {
        Latest {
            agent,
            look: Look::Silent,
            checked_at: None,
            outcome: None,
            status_code: None,
            response_time_us: None,
            error: None,
            certificate_not_after: None,
            certificate_first_end: None,
        }
    }
}
