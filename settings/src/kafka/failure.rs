//! Finds the kind of failure of an error of librdkafka.
//!
//! The numbers are those of `rd_kafka_resp_err_t` in librdkafka's `rdkafka.h`, which are part of its interface and of
//! Kafka's protocol, and do not change.

use crate::outage::{Failure, FailureKind};

const TRANSPORT: i32 = -195;
const RESOLVE: i32 = -193;
const MESSAGE_TIMED_OUT: i32 = -192;
const UNKNOWN_PARTITION: i32 = -190;
const UNKNOWN_TOPIC: i32 = -188;
const ALL_BROKERS_DOWN: i32 = -187;
const TIMED_OUT: i32 = -185;
const SSL: i32 = -181;
const AUTHENTICATION: i32 = -169;
const TIMED_OUT_IN_QUEUE: i32 = -166;
const UNKNOWN_TOPIC_OR_PARTITION: i32 = 3;
const REQUEST_TIMED_OUT: i32 = 7;
const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i32 = 31;
const UNSUPPORTED_SASL_MECHANISM: i32 = 33;
const ILLEGAL_SASL_STATE: i32 = 34;
const SASL_AUTHENTICATION_FAILED: i32 = 58;

/// The text with which librdkafka reports a TLS handshake that the peer broke off. A broker that stops also breaks
/// handshakes off.
const BROKEN_OFF: &str = "SSL handshake failed: Disconnected";

impl Failure {
    /// Creates the failure of an error of librdkafka from its code and its text, without the time that it took to fail.
    pub fn of_kafka(code: i32, text: &str) -> Failure {
        let kind = match code {
            MESSAGE_TIMED_OUT | TIMED_OUT | TIMED_OUT_IN_QUEUE | REQUEST_TIMED_OUT => FailureKind::Timeout,
            // This error follows the error of the last broker, which tells the reason.
            ALL_BROKERS_DOWN => FailureKind::Timeout,
            SSL if text.contains(BROKEN_OFF) => FailureKind::Connection,
            TRANSPORT => FailureKind::Connection,
            RESOLVE => FailureKind::Dns,
            UNKNOWN_PARTITION | UNKNOWN_TOPIC | UNKNOWN_TOPIC_OR_PARTITION => FailureKind::Topic,
            TOPIC_AUTHORIZATION_FAILED..=CLUSTER_AUTHORIZATION_FAILED => FailureKind::Authorization,
            SSL => FailureKind::Tls,
            AUTHENTICATION | UNSUPPORTED_SASL_MECHANISM | ILLEGAL_SASL_STATE | SASL_AUTHENTICATION_FAILED => {
                FailureKind::Authentication
            }
            _ => FailureKind::Other,
        };
        let took = text.rfind(" (after ").filter(|_| text.ends_with(')')).unwrap_or(text.len());
        Failure::new(kind, &text[..took])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_without_the_time_that_it_took() {
        let text = "localhost:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)";
        let failure = Failure::of_kafka(TRANSPORT, text);
        assert_eq!(failure.kind, FailureKind::Connection);
        assert_eq!(failure.text, "localhost:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Connection refused");
    }

    #[test]
    fn a_refused_certificate_tells_more_than_a_handshake_that_was_broken_off() {
        let kind = |text: &str| Failure::of_kafka(SSL, text).kind;
        assert_eq!(
            kind("SSL handshake failed: certificate verify failed: broker certificate could not be verified"),
            FailureKind::Tls
        );
        assert_eq!(
            kind("SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?"),
            FailureKind::Connection
        );
    }

    #[test]
    fn kinds_are_ordered_by_how_much_they_tell() {
        let codes = [TIMED_OUT, TRANSPORT, RESOLVE, UNKNOWN_TOPIC, 30, SSL, AUTHENTICATION];
        let kinds = codes.map(|code| Failure::of_kafka(code, "").kind);
        assert!(kinds.is_sorted(), "{kinds:?}");
    }
}
