//! Files: options that are known, with values that are good, bad, or of another kind; and text that is no YAML.

use agent::config::Config;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_yaml::Value;

use crate::try_cases;

const SECRET: &str = "s3cret";

fn word() -> impl Strategy<Value = String> {
    let words = [
        "https://shop.example/",
        "tcp://mail.example:25",
        "dns://ns.example/a.example?type=MX",
        "dns:///..",
        "GET",
        "POST",
        "cart|basket",
        "(((",
        r"\w{1,200}\W",
        "10s",
        "1m30s",
        "14d",
        "1MiB",
        "200-399",
        "399-200",
        "${UNSET_FOR_SURE}",
        "${UNSET_FOR_SURE:-x}",
        "${",
        "a\0b",
        "",
    ];
    prop_oneof![8 => select(words.to_vec()).prop_map(String::from), 1 => "\\PC{0,20}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => word().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

/// A value that must not be shown, whatever is wrong with it.
fn secret() -> impl Strategy<Value = Value> {
    let text = Value::from(SECRET);
    prop_oneof![
        4 => Just(text.clone()),
        1 => Just(Value::from(format!("{SECRET}\r\nX: y"))),
        1 => Just(Value::from(format!("{SECRET}\0"))),
        1 => Just(Value::from(format!("${{{SECRET}"))),
        1 => Just(Value::from(vec![text])),
    ]
}

fn mapping(
    keys: &'static [&'static str],
    value: impl Strategy<Value = Value>,
    most: usize,
) -> impl Strategy<Value = Value> {
    btree_map(select(keys), value, 0..most)
        .prop_map(|entries| Value::Mapping(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect()))
}

fn value() -> impl Strategy<Value = Value> {
    let lists = vec(scalar(), 0..4).prop_map(Value::from);
    prop_oneof![6 => scalar(), 1 => lists, 1 => mapping(&["a", "b", "team"], scalar(), 3)]
}

const OPTIONS: &[&str] = &[
    "id",
    "name",
    "pattern",
    "interval",
    "timeout",
    "method",
    "follow_redirects",
    "retries",
    "max_body",
    "tags",
    "expect",
    "send_file",
    "tls",
    "ip",
    "colour",
];
const URLS: &[&str] = &[
    "https://shop.example/",
    "https://u:s3cret@shop.example/",
    "http://u:s3cret%ff@h/",
    "ftp://u:s3cret@h/",
    "u:s3cret@h",
    "https://u:s3cret@",
    "tcp://mail.example:25",
    "tcp://u:s3cret@x:1",
    "dns://ns.example/a.example?type=MX",
];
const SECRETS: &[&str] = &["body", "bearer_token", "send"];
const HEADERS: &[&str] = &["Authorization", "X-Key", "x-key", "Content-Length", "a b", "Host", "ö"];

/// An entry of `monitors`, or `defaults`.
fn entry() -> impl Strategy<Value = Value> {
    let expect = mapping(&["status", "pattern_absent", "max_response_time", "certificate_valid_for", "x"], value(), 4);
    let login = mapping(&["username", "password", "x"], secret(), 3);
    let url = prop_oneof![4 => select(URLS).prop_map(Value::from), 1 => value()];
    let options = (mapping(OPTIONS, value(), 6), mapping(&["url"], url, 2), mapping(SECRETS, secret(), 2));
    let sections = (expect, mapping(HEADERS, secret(), 3), login, 0..8_u8);
    (options, sections).prop_map(|((mut entry, url, secrets), (expect, headers, login, which))| {
        let into = entry.as_mapping_mut().expect("a mapping");
        into.extend(url.as_mapping().expect("a mapping").clone());
        into.extend(secrets.as_mapping().expect("a mapping").clone());
        for (bit, name, section) in [(1, "expect", expect), (2, "headers", headers), (4, "basic_auth", login)] {
            if which & bit != 0 {
                into.insert(name.into(), section);
            }
        }
        entry
    })
}

fn file() -> impl Strategy<Value = String> {
    let rest = ["interval", "url_regex", "workers", "outbox", "log", "agent", "include"];
    let rest = mapping(Box::leak(Box::new(rest)), value(), 3);
    let whole = (vec(entry(), 0..4), proptest::option::of(entry()), rest).prop_map(|(monitors, defaults, mut file)| {
        let into = file.as_mapping_mut().expect("a mapping");
        into.entry("interval".into()).or_insert(Value::from(5));
        into.insert("monitors".into(), Value::from(monitors));
        if let Some(defaults) = defaults {
            into.insert("defaults".into(), defaults);
        }
        serde_yaml::to_string(&file).expect("YAML")
    });
    prop_oneof![8 => whole, 1 => "\\PC{0,200}", 1 => "[-a-z:{}\\[\\], \n&*!|>'\"]{0,100}"]
}

#[test]
fn every_file_is_read_or_refused_and_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.yaml");
    try_cases("configurations", &file(), |text| {
        std::fs::write(&path, &text).unwrap();
        let (shown, faults) = match Config::load(&path) {
            Ok(config) => (format!("{config:?}"), config.faults),
            Err(refused) => (refused.to_string(), refused.faults),
        };
        prop_assert!(!shown.contains(SECRET), "{}", shown);
        for fault in faults {
            let told = fault.to_string();
            prop_assert!(told.contains("agent.yaml") && !told.contains('\n'), "{}", told);
            prop_assert!(!fault.problem.is_empty() && !fault.mend.is_empty(), "{}", told);
            prop_assert!(!told.contains(SECRET), "{}", told);
        }
        Ok(())
    });
}
