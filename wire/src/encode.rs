//! Encodes a record as the bytes of a message, in two steps. The payload is made when something happens, and is kept in
//! the outbox. The number is put in front of it when it is sent.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AgentEvent, Content, Dropped, Record, VERSION};

#[derive(Serialize)]
struct Head<'a> {
    v: u32,
    kind: &'static str,
    agent: &'a str,
}

/// Returns everything of a record but its number, as a JSON object.
pub fn payload(agent: &str, content: &Content) -> Vec<u8> {
    payload_of(agent, content)
}

fn payload_of(agent: &str, content: &Content<impl Serialize>) -> Vec<u8> {
    match content {
        Content::Result(result) => join("result", agent, result),
        Content::Dropped(dropped) => join("dropped", agent, dropped),
        Content::Agent(report) => join("agent", agent, report),
    }
}

/// Returns what a payload declares dropped. It is none when the payload is of another kind.
pub fn declared(payload: &[u8]) -> Option<Dropped> {
    if !payload.starts_with(b"{\"v\":1,\"kind\":\"dropped\",") {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// Returns whether a payload has a list of the monitors that are due. The list may be empty.
pub fn lists_monitors(payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Occasion {
        event: AgentEvent,
    }
    payload.starts_with(b"{\"v\":1,\"kind\":\"agent\",")
        && serde_json::from_slice(payload).is_ok_and(|of: Occasion| of.event.lists_monitors())
}

/// Returns the message of a payload under its number: the payload with `epoch` and `seq` in front.
///
/// # Panics
/// Panics when `payload` was not made by [`payload`].
pub fn stamp(epoch: Uuid, seq: u64, payload: &[u8]) -> Vec<u8> {
    assert_eq!(payload.first(), Some(&b'{'), "a payload is a JSON object");
    let mut message = format!("{{\"epoch\":\"{epoch}\",\"seq\":{seq},").into_bytes();
    message.extend_from_slice(&payload[1..]);
    message
}

impl<T: AsRef<str> + Serialize> Record<T> {
    /// Returns the bytes of the record's message.
    pub fn encode(&self) -> Vec<u8> {
        stamp(self.epoch, self.seq, &payload_of(self.agent.as_ref(), &self.content))
    }
}

/// Makes one flat object of the fields of the head and the body. They are joined as text, because serde's `flatten`
/// builds every value twice.
fn join(kind: &'static str, agent: &str, body: &impl Serialize) -> Vec<u8> {
    let head = Head { v: VERSION, kind, agent };
    let mut bytes = serde_json::to_vec(&head).expect("the head holds only text and numbers");
    bytes.pop();
    bytes.push(b',');
    let start = bytes.len();
    serde_json::to_writer(&mut bytes, body).expect("records hold only text, numbers and maps with text keys");
    bytes.remove(start);
    bytes
}
