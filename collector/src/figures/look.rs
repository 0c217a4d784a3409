//! The latest look of an agent at a monitor.

use jiff::Timestamp;
use serde::Serialize;

/// How an agent stands to a monitor now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Its latest check succeeded.
    Success,
    /// So did it here, but that was before the failures began that others see: it says nothing of the present.
    Earlier,
    /// Its latest check failed.
    Failure,
    /// Its latest check was spoiled by its own trouble.
    AgentError,
    /// Its latest result is older than it should be.
    Silent,
}

impl Look {
    /// Of a check with that outcome.
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
    /// Who looked.
    pub agent: String,
    /// How that stands now.
    pub look: Look,
    /// When its check began; none when no result of it is known in the time that was looked through.
    pub checked_at: Option<Timestamp>,
    /// Its outcome, one word.
    pub outcome: Option<String>,
    /// HTTP's.
    pub status_code: Option<i16>,
    /// The whole check, in microseconds.
    pub response_time_us: Option<i64>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// The end of the certificate that was shown.
    pub certificate_not_after: Option<Timestamp>,
    /// The earliest end among the certificates that the check relied on, where that is another.
    pub certificate_first_end: Option<Timestamp>,
}

impl Latest {
    /// Returns the look of an agent without any result.
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
