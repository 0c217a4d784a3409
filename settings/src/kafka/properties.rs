//! Reads the librdkafka properties that are passed through, and refuses others, each with its reason.

use std::collections::BTreeMap;
use std::fmt;

use serde_yaml::Value;

use crate::Section;
use crate::options::fault::Wrong;
use crate::options::quantity::shown;

/// The librdkafka properties that are passed through.
#[derive(Clone, Default)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The properties that this software sets itself because its guarantees depend on them, each with the reason.
pub(super) const REFUSED: [(&[&str], &str, &str); 7] = [
    (
        &["acks", "request.required.acks"],
        "is always `all`: an acknowledgement of fewer replicas can be lost",
        "remove it",
    ),
    (
        &["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"],
        "is always off: offsets follow the database's transaction",
        "remove it",
    ),
    (&["auto.offset.reset"], "is always `earliest`: otherwise records would be skipped", "remove it"),
    (&["delivery.report.only.error"], "is always off: only a delivery report frees a record", "remove it"),
    (&["bootstrap.servers", "metadata.broker.list"], "is an option of its own", "use kafka.bootstrap_servers"),
    (&["group.id"], "is an option of its own", "use kafka.group in the collector's file"),
    (
        &[
            "security.protocol",
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.key.password",
            "sasl.username",
            "sasl.password",
        ],
        "is an option of its own",
        "use kafka.security_protocol, kafka.ssl and kafka.sasl",
    ),
];

pub(super) fn read_properties(section: &mut Section<'_>) -> Properties {
    let mut properties = BTreeMap::new();
    for name in section.names() {
        let refused = REFUSED.iter().find(|(names, ..)| names.contains(&name.as_str()));
        if let Some((_, problem, mend)) = refused {
            section.convert(&name, |_| Err::<(), _>(Wrong::new(*problem, *mend)));
            continue;
        }
        let value = section.convert(&name, |value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(shown(value)),
            other => Err(Wrong::new(format!("{} stands where one value is expected", shown(other)), "write one value")),
        });
        properties.extend(value.map(|value| (name, value)));
    }
    Properties(properties)
}
