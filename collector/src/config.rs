//! The configuration: reads `collector.yaml` into what the collector needs to run. An empty file is a whole
//! configuration: a broker and a database on this machine.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use settings::{Fault, Kafka, Log, Schema, Section};

pub mod alerts;
mod database;
mod http;
mod public;
pub use alerts::Alerts;
pub use database::{Address, Database, Ssl};
pub use http::Http;
pub use public::Public;
pub(crate) use public::has_url;

/// A configuration without faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where messages come from.
    pub kafka: Kafka,
    /// Where messages are stored.
    pub database: Database,
    /// The bounds of a batch.
    pub batch: BatchBounds,
    /// How long rows are kept.
    pub retention: Retention,
    /// Where the collector shows what was found, and who may see it.
    pub http: Http,
    /// Which alerts are told to which receivers.
    pub alerts: Alerts,
    /// What the log says.
    pub log: Log,
}

/// The bounds at which a batch is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// The largest number of messages of a batch.
    pub max_messages: usize,
    /// The longest time that the first message of a batch waits for others.
    pub max_wait: Duration,
}

/// How long rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long results are kept, in days.
    pub results_days: i64,
    /// How long summaries of an hour are kept.
    pub hourly: Duration,
    /// How long messages that were set aside are kept.
    pub rejected: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);
const CENTURY: Duration = Duration::from_secs(100 * 31_557_600);

impl Config {
    /// Reads the configuration from a file.
    ///
    /// # Errors
    /// Returns all faults of the file.
    pub fn read(path: &Path) -> Result<Config, Vec<Fault>> {
        let value = settings::read(path).map_err(|fault| vec![*fault])?;
        let (config, faults) = Section::read(path, None, value, Config::of);
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    fn of(root: &mut Section<'_>) -> Config {
        Config {
            kafka: root.section("kafka", Kafka::of_collector),
            database: root.section("database", Database::of),
            batch: root.section("batch", BatchBounds::of),
            retention: root.section("retention", Retention::of),
            http: root.section("http", Http::of),
            alerts: root.section("alerts", Alerts::of),
            log: root.section("log", Log::of),
        }
    }

    /// Returns the JSON Schema of the configuration, for editors.
    pub fn schema() -> Value {
        let mut schema = Schema::default();
        schema.learn("http: {public: {title: Status}}", Config::of);
        for channel in ["webhook", "email", "command"] {
            schema.learn(&format!("alerts: {{receivers: [{{{channel}: {{}}}}]}}"), Config::of);
        }
        for what in alerts::words() {
            schema.learn(&format!("alerts: {{rules: [{{what: {what}}}]}}"), Config::of);
        }
        schema.learn("alerts: {maintenance: [{}, {days: [mon]}]}", Config::of);
        schema.to_json("The configuration of website-monitor-collector")
    }

    /// Returns warnings about settings that are valid, but that may not be intended.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.http.is_open() {
            let warning =
                "every client that reaches `http.listen` can see all monitors: set `http.basic_auth` or `http.token`";
            warnings.push(warning.into());
        }
        if let Some(count @ 1..) = self.http.public.as_ref().map(|public| public.named_by_url()) {
            warnings.push(format!(
                "`http.public.monitors` names {count} by its url: in public it has another id, so that its url is not \
                 shown; give it a `name` or an `id` in the agent's configuration, and name that here"
            ));
        }
        warnings
    }
}

impl BatchBounds {
    fn of(section: &mut Section<'_>) -> BatchBounds {
        let wait = Duration::from_millis(1)..=Duration::from_secs(10);
        BatchBounds {
            max_messages: section.integer("max_messages", 1..=100_000).unwrap_or(10_000),
            max_wait: section.duration("max_wait", wait).unwrap_or(Duration::from_millis(200)),
        }
    }
}

impl Retention {
    fn of(section: &mut Section<'_>) -> Retention {
        let results = section.duration("results", DAY..=CENTURY).unwrap_or(DAY * 90);
        Retention {
            results_days: i64::try_from(results.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX),
            hourly: section.duration("hourly", DAY..=CENTURY).unwrap_or(DAY * 730),
            rejected: section.duration("rejected", DAY..=CENTURY).unwrap_or(DAY * 30),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(super) fn read(text: &str) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.yaml");
        std::fs::write(&path, text).unwrap();
        let shown = |fault: &Fault| fault.to_string().replace(&format!("{}/", directory.path().display()), "");
        Config::read(&path).map_err(|faults| faults.iter().map(shown).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = read("").unwrap();
        assert_eq!(config.kafka.group, "website-monitor-collector");
        assert_eq!(config.database.schema, "website_monitor");
        assert_eq!(config.database.address.to_string(), "postgresql:///website_monitor");
        assert_eq!(config.batch, BatchBounds { max_messages: 10_000, max_wait: Duration::from_millis(200) });
        assert_eq!(config.retention, Retention { results_days: 90, hourly: DAY * 730, rejected: DAY * 30 });
    }

    #[test]
    fn a_public_monitor_that_is_named_by_its_url_is_warned_of_without_the_url() {
        let warnings = |text: &str| read(text).unwrap().warnings();
        let told = warnings("http: {public: {monitors: [shop, 'https://a.example/?key=hunter2']}}");
        assert!(told.len() == 1 && told[0].starts_with("`http.public.monitors` names 1 by its url"), "{told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
        assert_eq!(warnings("http: {public: {monitors: [shop]}}"), [""; 0]);
        assert_eq!(warnings("http: {listen: '0.0.0.0:80'}").len(), 1);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = "databse: {}\nbatch: {max_messages: 0}\nretention: {results: 1h}\ndatabase: {port: 99999}\n";
        let faults = read(text).unwrap_err();
        assert_eq!(
            faults,
            "collector.yaml: database.port: 99999 is no whole number from 1 to 65535; write one\n\
             collector.yaml: batch.max_messages: 0 is no whole number from 1 to 100000; write one\n\
             collector.yaml: retention.results: \"1h\" is out of bounds; choose from 1 day to 100 years\n\
             collector.yaml: databse: is no option; did you mean `database`?"
        );
    }

    #[test]
    fn a_url_and_its_parts_exclude_each_other() {
        let faults = read("database: {url: 'postgresql://db/x', host: db2, user: u}").unwrap_err();
        assert_eq!(
            faults,
            "collector.yaml: database.host: stands beside url; keep one of the two\n\
             collector.yaml: database.user: stands beside url; keep one of the two"
        );
    }

    #[test]
    fn a_url_whose_password_could_be_taken_for_something_else_is_refused_and_not_shown() {
        for login in ["u:hun?ter2", "u:hun/ter2", "u:hun#ter2", "u:hun@ter2"] {
            let faults = read(&format!("database: {{url: 'postgresql://{login}@db/x'}}")).unwrap_err();
            assert!(faults.contains("database.url: has a / ? # or @") && !faults.contains("hun"), "{faults}");
        }
        assert!(read("database: {url: 'postgresql://u:hun%3Fter2@db/x?application_name=x'}").is_ok());
        assert!(read("database: {url: 'postgresql:///x?host=/run/postgresql'}").is_ok());
    }

    #[test]
    fn files_of_the_databases_encryption_are_looked_for_and_make_it_verify() {
        let sslmode = |text: &str| match read(text).unwrap().database.address {
            Address::Parts { sslmode, .. } => sslmode,
            Address::Url(_) => None,
        };
        let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(sslmode(&format!("database: {{ssl: {{ca_file: {pem}}}}}")), Some("verify-full"));
        assert_eq!(sslmode(&format!("database: {{sslmode: verify-ca, ssl: {{ca_file: {pem}}}}}")), Some("verify-ca"));
        assert_eq!(sslmode("{}"), None);
        let faults =
            read("database: {sslmode: disable, ssl: {ca_file: /no/ca.pem, key_file: /no/key.pem}}").unwrap_err();
        for told in [
            "database.ssl.ca_file: /no/ca.pem can't be read",
            "database.ssl.key_file: /no/key.pem can't be read",
            "database.ssl.certificate_file: stands without key_file",
            "database.ssl: has no effect with sslmode disable",
        ] {
            assert!(faults.contains(told), "{told}: {faults}");
        }
        let faults = read("database: {url: 'postgresql://db/x', ssl: {}}").unwrap_err();
        assert!(faults.contains("database.ssl: stands beside url"), "{faults}");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let parts = "database: {host: db, user: u, password: hunter2, name: x}";
        let url = "database: {url: 'postgresql://u:hunter2@db:5433/x?sslmode=require'}";
        for text in [parts, url] {
            let config = read(text).unwrap();
            let shown = format!("{config:?} {}", config.database.address);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(read(url).unwrap().database.address.to_string(), "postgresql://db:5433/x");
        let faults = read("database: {url: 'mysql://u:hunter2@db/x', schema: pg_x}").unwrap_err();
        assert!(!faults.contains("hunter2"), "{faults}");
        assert_eq!(faults.lines().count(), 2, "{faults}");
    }
}
