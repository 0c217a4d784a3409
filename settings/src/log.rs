//! Reads the `log` section, and writes the lines of the log on stderr.
//!
//! ```text
//! logfmt  time=2026-01-02T03:04:05.678Z level=info target=agent::publish msg="kafka is back" pending=3
//! json    {"time":"2026-01-02T03:04:05.678Z","level":"info","target":"agent::publish","msg":"kafka is back","pending":3}
//! ```
//!
//! When stderr is systemd's journal, which keeps the time itself, a line has no time. It begins with the priority
//! (`<3>`) under which the journal files it. `RUST_LOG` overrides the level, also per module. sled repeats an error
//! with each attempt to write, while the outbox logs it once, so sled's lines are written only when `RUST_LOG` names
//! sled.

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::{env, fs};

use jiff::Timestamp;
use log::kv::{Key, Value, VisitSource};
use log::{Level, LevelFilter, Record};

use crate::{Section, terminal};

/// The `log` section with its defaults applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// The format of a line.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object.
    Json,
}

impl Default for Log {
    fn default() -> Log {
        Log { level: LevelFilter::Info, format: LogFormat::Logfmt }
    }
}

impl Log {
    /// Reads the `log` section.
    pub fn of(section: &mut Section<'_>) -> Log {
        let levels = [LevelFilter::Error, LevelFilter::Warn, LevelFilter::Info, LevelFilter::Debug, LevelFilter::Trace];
        let words = ["error", "warn", "info", "debug", "trace"];
        let levels: Vec<_> = words.into_iter().zip(levels).collect();
        let default = Log::default();
        Log {
            level: section.choice("level", &levels).unwrap_or(default.level),
            format: section
                .choice("format", &[("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)])
                .unwrap_or(default.format),
        }
    }

    /// Sends what is logged from now on to stderr. Only the first call in a process has an effect.
    pub fn init(self) {
        let journal = is_journal(env::var("JOURNAL_STREAM").ok(), "/proc/self/fd/2");
        let again = self.builder(journal).parse_default_env().try_init();
        if again.is_err() {
            log::debug!("the log goes where it went before");
        }
    }

    fn builder(self, journal: bool) -> env_logger::Builder {
        let mut builder = env_logger::Builder::new();
        builder.filter_level(self.level).filter_module("sled", LevelFilter::Off).format(move |out, record| {
            match shows_requests(record.level(), record.target()) {
                true => Ok(()),
                false => out.write_all(self.line(record, journal).as_bytes()),
            }
        });
        builder
    }

    fn line(self, record: &Record<'_>, journal: bool) -> String {
        let mut fields = Fields { format: self.format, line: String::new() };
        if !journal {
            fields.add("time", &format!("{:.3}", Timestamp::now()));
        }
        fields.add("level", &record.level().as_str().to_lowercase());
        fields.add("target", record.target());
        fields.add("msg", &record.args().to_string());
        // This never fails, because `Fields` never fails.
        record.key_values().visit(&mut fields).unwrap_or_default();
        let prefix = if journal { priority(record.level()) } else { "" };
        match self.format {
            LogFormat::Logfmt => format!("{prefix}{}\n", fields.line),
            LogFormat::Json => format!("{prefix}{{{}}}\n", fields.line),
        }
    }
}

/// Returns whether a line may show requests, with urls and headers that hold secrets. No level and no variable makes
/// such a line appear.
fn shows_requests(level: Level, target: &str) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    level > Level::Info && matches!(library, "ureq" | "ureq_proto")
}

/// Returns whether stderr is the journal. The variable alone does not tell that, because child processes inherit it,
/// whatever their stderr is.
fn is_journal(stream: Option<String>, stderr: &str) -> bool {
    let id = |file: fs::Metadata| format!("{}:{}", file.dev(), file.ino());
    stream.is_some_and(|stream| fs::metadata(stderr).is_ok_and(|stderr| id(stderr) == stream))
}

fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

struct Fields {
    format: LogFormat,
    line: String,
}

impl Fields {
    fn add(&mut self, key: &str, value: &str) {
        let quoted = serde_json::Value::from(value).to_string();
        match self.format {
            LogFormat::Logfmt if is_bare(value) => self.add_raw(key, value),
            // Characters that JSON leaves as they are may still act on a terminal.
            LogFormat::Logfmt => self.add_raw(key, &terminal::shown(&quoted)),
            LogFormat::Json => self.add_raw(key, &quoted),
        }
    }

    fn add_raw(&mut self, key: &str, value: &str) {
        let separator = match (self.line.is_empty(), self.format) {
            (true, _) => "",
            (_, LogFormat::Logfmt) => " ",
            (_, LogFormat::Json) => ",",
        };
        match self.format {
            LogFormat::Logfmt => write!(self.line, "{separator}{key}={value}"),
            LogFormat::Json => write!(self.line, "{separator}{}:{value}", serde_json::Value::from(key)),
        }
        .expect("a String takes everything");
    }
}

/// Returns whether a value needs no quotes.
fn is_bare(value: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !"\"=\\".contains(c);
    !value.is_empty() && value.chars().all(is_plain) && terminal::shown(value) == value
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let is_number = value.to_u64().is_some() || value.to_i64().is_some() || value.to_bool().is_some();
        let is_number = is_number || value.to_f64().is_some_and(f64::is_finite);
        match self.format {
            LogFormat::Json if is_number => self.add_raw(key.as_str(), &value.to_string()),
            _ => self.add(key.as_str(), &value.to_string()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::sync::Arc;

    use super::*;

    fn line(format: LogFormat, journal: bool) -> String {
        let pairs = [
            ("pending", Value::from(3)),
            ("path", Value::from("/a b")),
            ("ok", Value::from(true)),
            ("rate", Value::from(0.5)),
        ];
        let args = format_args!("kafka is \"back\"\nagain");
        let record =
            Record::builder().level(Level::Warn).target("agent::publish").args(args).key_values(&pairs).build();
        Log { level: LevelFilter::Info, format }.line(&record, journal)
    }

    #[test]
    fn logfmt_quotes_what_needs_it_and_is_one_line() {
        let line = line(LogFormat::Logfmt, false);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("time=2") && time.ends_with('Z'), "{time}");
        assert_eq!(
            rest,
            "level=warn target=agent::publish msg=\"kafka is \\\"back\\\"\\nagain\" pending=3 path=\"/a b\" ok=true rate=0.5\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut fields = Fields { format: LogFormat::Logfmt, line: String::new() };
        fields.add("agent", "a\u{9b}2J\u{202e}b");
        assert_eq!(fields.line, "agent=\"a\\u{9b}2J\\u{202e}b\"");
        let mut fields = Fields { format: LogFormat::Json, line: String::new() };
        fields.add("agent", "a\u{9b}2J\u{202e}b");
        assert_eq!(fields.line, "\"agent\":\"a\u{9b}2J\u{202e}b\"", "it keeps the text");
    }

    #[test]
    fn json_keeps_numbers_and_is_one_object() {
        let line = line(LogFormat::Json, false);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["msg"], "kafka is \"back\"\nagain");
        assert_eq!((&object["pending"], &object["path"], &object["ok"]), (&3.into(), &"/a b".into(), &true.into()));
        assert_eq!(object["rate"], 0.5);
        assert!(object["time"].is_string());
    }

    #[test]
    fn the_journal_gets_a_priority_and_no_second_time() {
        assert!(line(LogFormat::Logfmt, true).starts_with("<4>level=warn target="));
        assert!(line(LogFormat::Json, true).starts_with("<4>{\"level\":\"warn\","));
    }

    /// Returns what is written when a library logs a line, while `RUST_LOG` asks for everything.
    fn written(level: Level, target: &str) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = Log { level: LevelFilter::Trace, format: LogFormat::Logfmt };
        let mut builder = log.builder(false);
        builder.parse_filters("trace,ureq=trace,ureq::run=trace,ureq_proto::util=trace");
        builder.target(env_logger::Target::Pipe(Box::new(Written(written.clone()))));
        let args = format_args!("POST https://hooks.example/s3cret");
        log::Log::log(&builder.build(), &Record::builder().level(level).target(target).args(args).build());
        String::from_utf8(written.lock().clone()).unwrap()
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn requests_with_their_urls_and_secrets_are_never_shown() {
        for target in ["ureq", "ureq::run", "ureq::tls::native_tls", "ureq_proto::util"] {
            assert_eq!([Level::Trace, Level::Debug].map(|level| written(level, target)), ["", ""], "{target}");
        }
        assert!(written(Level::Warn, "ureq::run").contains("level=warn target=ureq::run"));
        assert!(written(Level::Trace, "agent::check").contains("level=trace target=agent::check"));
    }

    #[test]
    fn only_the_very_stream_that_systemd_made_is_the_journal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (metadata, path) = (file.as_file().metadata().unwrap(), file.path().to_str().unwrap());
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_journal(Some(stream), path));
        assert!(!is_journal(Some("8:1".into()), path));
        assert!(!is_journal(None, path));
    }
}
