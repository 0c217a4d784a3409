//! Registers a failure as a metric with one gauge for each kind, so that an alerting rule can ask for any kind or for
//! one.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Failure, FailureKind};

/// Registers a gauge with a label `reason` for each kind of failure. It is 1 for the kind that is shown, and 0 for the
/// others.
pub fn register_failure(registry: &mut Registry, name: &str, help: &str, failure: Option<&Failure>) {
    let by_reason = Family::<[(&str, &str); 1], Gauge>::default();
    for kind in FailureKind::ALL {
        let is_shown = failure.is_some_and(|failure| failure.kind == kind);
        by_reason.get_or_create(&[("reason", kind.as_str())]).set(is_shown.into());
    }
    registry.register(name, help, by_reason);
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn one_reason_is_one_and_all_others_are_zero() {
        let text = |failure: Option<&Failure>| {
            let (mut registry, mut text) = (Registry::default(), String::new());
            register_failure(&mut registry, "kafka_failing", "Why", failure);
            encode(&mut text, &registry).unwrap();
            text
        };
        let refused = text(Some(&Failure::new(FailureKind::Authentication, "refused")));
        assert!(refused.contains("kafka_failing{reason=\"authentication\"} 1\n"), "{refused}");
        assert_eq!(refused.matches("} 0\n").count(), FailureKind::ALL.len() - 1);
        assert_eq!(text(None).matches("} 0\n").count(), FailureKind::ALL.len());
    }
}
