//! What files mean, and what is said about wrong ones.
//!
//! Each file in `testdata/` begins with what `check-config` must return and the faults it must tell, as comments.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::arguments::Format;
use crate::commands::check_config;

fn load(text: &str) -> Result<Config, Refused> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn ids(text: &str) -> Vec<String> {
    load(text).unwrap().monitors.into_iter().map(|monitor| monitor.id).collect()
}

fn fixture(name: &str) -> Config {
    Config::load(&Path::new("testdata").join(name)).unwrap()
}

fn request(monitor: &Monitor) -> &Request {
    let Target::Http(request) = &monitor.target else { panic!("{} is not of the web", monitor.url) };
    request
}

#[test]
fn every_fixture_tells_exactly_its_faults() {
    let mut fixtures: Vec<PathBuf> =
        std::fs::read_dir("testdata").unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    fixtures.sort();
    assert!(!fixtures.is_empty());
    let mut wrong = String::new();
    for path in fixtures {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let mut out = Vec::new();
        let exit = check_config::run(&path, Format::Table, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let mut told = vec![format!("exit {exit}")];
        told.extend(out.lines().filter_map(|line| line.strip_prefix("  testdata/")).map(without_line));
        if told != expected {
            writeln!(wrong, "{}:\n# {}", path.display(), told.join("\n# ")).unwrap();
        }
        assert!(!out.contains("s3cret"), "{} shows a secret:\n{out}", path.display());
        let word = ["valid-", "skipped-", "invalid-"][[0, 1, 78].iter().position(|code| *code == exit).unwrap()];
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with(word), "{}: exit {exit}", path.display());
    }
    assert!(wrong.is_empty(), "these fixtures tell something else:\n{wrong}");
}

/// A fault without the number of its line: fixtures begin with what they expect, and would move it.
fn without_line(fault: &str) -> String {
    let (file, rest) = fault.split_once(": ").unwrap_or((fault, ""));
    let plain = file.split_once(':').map_or(file, |(plain, _)| plain);
    format!("{plain}: {rest}")
}

#[test]
fn faults_have_the_line_of_the_option_or_of_its_entry() {
    let text = "interval: soon\nmonitors:\n  - url: 'http://a/'\n    timeout: x\n  - {name: b}\n  - url: 'http://a/'\n\
                workers:\n  9999\n";
    let refused = load(text).unwrap_err();
    let lines: Vec<Option<usize>> = refused.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [Some(1), Some(7), Some(4), Some(5)], "{refused}");
    let config = load("interval: 1\nmonitors:\n- url: 'http://a/'\n- url: 'http://a/'\n").unwrap();
    assert_eq!(config.faults[0].line, Some(4));
}

#[test]
fn the_simple_file_gets_every_default() {
    let config = fixture("valid-simple.yaml");
    assert!(!config.agent.name.is_empty());
    assert_eq!(config.workers, 64);
    assert_eq!(config.outbox.path, Path::new("/var/lib/website-monitor/outbox"));
    assert_eq!((config.outbox.max_size, config.outbox.when_full), (1 << 30, WhenFull::DropOldest));
    assert_eq!(config.kafka.bootstrap_servers, "localhost:9092");
    let [named, unnamed] = config.monitors.as_slice() else { panic!("two monitors") };
    assert_eq!((named.id.as_str(), named.name.as_str()), ("monitor 1", "monitor 1"));
    assert_eq!(named.pattern.as_ref().unwrap().as_str(), "cart|basket$");
    assert_eq!((unnamed.id.as_str(), unnamed.name.as_str()), ("http://localhost:8080/health", unnamed.url.as_str()));
    assert!(unnamed.pattern.is_none() && request(unnamed).authorization.is_none() && unnamed.tags.is_empty());
    for monitor in [named, unnamed] {
        assert_eq!((monitor.interval, monitor.timeout), (Duration::from_secs(5), Duration::from_secs(5)));
        assert_eq!(monitor.expect.status, [(200, 399)]);
        assert_eq!((monitor.follow_redirects, monitor.max_body), (10, 1 << 20));
    }
}

#[test]
fn every_option_arrives() {
    let config = fixture("valid-full.yaml");
    assert_eq!((config.agent.name.as_str(), config.agent.labels["site"].as_str()), ("edge-1", "north"));
    assert_eq!(config.workers, 8);
    assert_eq!(config.outbox.path, Path::new("testdata/outbox"));
    assert_eq!((config.outbox.max_size, config.outbox.when_full), (64 << 20, WhenFull::Pause));
    assert_eq!(config.kafka.client_properties()["security.protocol"], "sasl_ssl");
    assert_eq!(config.log.format, settings::LogFormat::Json);
    let [shop, by_id, included] = config.monitors.as_slice() else { panic!("three monitors") };
    assert_eq!(shop.url.as_str(), "https://shop.example/cart?full=1");
    assert_eq!(request(shop).authorization.as_ref().unwrap(), "Basic dXNAZXI6czNjcmV0");
    assert_eq!(shop.pattern.as_ref().unwrap().as_str(), r"^\d+ items$");
    assert_eq!((shop.interval, shop.timeout), (Duration::from_secs(10), Duration::from_millis(500)));
    assert_eq!(shop.expect.status, [(200, 299), (404, 404)]);
    assert_eq!((shop.follow_redirects, shop.max_body), (0, 64 << 10));
    assert_eq!((shop.tags["team"].as_str(), shop.tags["tier"].as_str()), ("web", "2"));
    assert_eq!((by_id.id.as_str(), by_id.timeout), ("by-id", Duration::from_secs(3)));
    assert_eq!((included.id.as_str(), included.interval), ("three", Duration::from_secs(90)));
}

#[test]
fn every_option_of_a_monitor_arrives_over_those_of_defaults() {
    let config = fixture("valid-options.yaml");
    let [api, login, own, mail, names] = config.monitors.as_slice() else { panic!("five monitors") };
    let sent = request(api);
    let header = |request: &Request, name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!((sent.method.as_str(), header(sent, "accept")), ("POST", "application/json".into()));
    assert_eq!((header(sent, "x-team"), header(sent, "x-key")), ("web".into(), "s3cret in a file".into()));
    assert_eq!(sent.body.as_ref().unwrap().expose_secret(), "s3cret in a file");
    assert_eq!(sent.authorization.as_ref().unwrap(), "Bearer s3cret-of-all");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((&api.expect.status, api.retries), (&vec![(201, 201)], 3));
    assert_eq!(api.expect.pattern_absent.as_ref().unwrap().as_str(), "Error");
    assert_eq!((api.expect.max_response_time, api.expect.certificate_valid_for), (seconds(1), seconds(14 * 86_400)));
    let sent = request(login);
    assert_eq!((sent.method.as_str(), header(sent, "accept")), ("GET", "text/html".into()));
    assert_eq!(sent.authorization.as_ref().unwrap(), "Basic dXNAZXI6czNjcmV0IGluIGEgZmlsZQ==");
    assert_eq!((login.expect.max_response_time, login.retries), (seconds(2), 1));
    assert_eq!(
        (request(own).authorization.as_ref(), header(request(own), "authorization")),
        (None, "s3cret-scheme x".into())
    );
    let Target::Tcp(port) = &mail.target else { panic!("a port") };
    assert_eq!((port.host.to_string(), port.port), ("mail.example".into(), 25));
    assert_eq!(port.send.as_ref().unwrap().expose_secret(), "s3cret");
    let Target::Dns(question) = &names.target else { panic!("a question") };
    assert_eq!(format!("{} {}", question.name, question.kind), "shop.example MX");
}

#[test]
fn no_secret_stands_in_debug() {
    for name in ["valid-full.yaml", "valid-options.yaml"] {
        let shown = format!("{:?}", fixture(name));
        assert!(!shown.contains("s3cret") && !shown.contains("us@er"), "{shown}");
        let encoded = ["czNjcmV0", "MzNjcmV0", "dXNAZXI"];
        assert!(!encoded.iter().any(|part| shown.contains(part)), "{shown}");
    }
}

#[test]
fn a_head_has_no_body_for_the_pattern_of_defaults() {
    let text = "interval: 1\ndefaults: {pattern: x, expect: {pattern_absent: y}}\n\
                monitors: [{url: 'http://a/', method: HEAD}, {url: 'tcp://a:1'}]";
    let config = load(text).unwrap();
    let [head, port] = config.monitors.as_slice() else { panic!("two monitors: {:?}", config.faults) };
    assert!(head.pattern.is_none() && head.expect.pattern_absent.is_none());
    assert!(port.pattern.is_some());
}

#[test]
fn equal_patterns_of_many_monitors_are_one_program() {
    let entry = |n: usize| format!("{{url: 'http://a/{n}', pattern: 'in the (cart|basket)'}}");
    let entries: Vec<String> = (0..100).map(entry).collect();
    let config = load(&format!("interval: 1\nmonitors: [{}]", entries.join(", "))).unwrap();
    let first = config.monitors[0].pattern.as_ref().unwrap();
    assert!(config.monitors.iter().all(|monitor| monitor.pattern.as_ref() == Some(first)));
}

#[test]
fn monitors_differ_also_in_what_is_never_shown() {
    let monitor = |entry: &str| load(&format!("interval: 1\nmonitors: [{{{entry}}}]")).unwrap().monitors.remove(0);
    for (one, other) in [
        (
            "url: 'http://a/', basic_auth: {username: u, password: p}",
            "url: 'http://a/', basic_auth: {username: u, password: q}",
        ),
        ("url: 'http://a/', bearer_token: p", "url: 'http://a/', bearer_token: q"),
        ("url: 'http://a/', headers: {X-Key: p}", "url: 'http://a/', headers: {X-Key: q}"),
        ("url: 'http://a/', method: POST, body: p", "url: 'http://a/', method: POST, body: q"),
        ("url: 'tcp://a:1', send: p", "url: 'tcp://a:1', send: q"),
        ("url: 'tcp://a:1', send: p, pattern: x", "url: 'tcp://a:1', send: p, pattern: x, send_first: true"),
    ] {
        assert_eq!(monitor(one), monitor(one));
        assert_ne!(monitor(one), monitor(other));
    }
}

#[test]
fn names_that_clash_take_url_and_pattern_whatever_their_order() {
    let (a, b) = ("- {name: shop, url: 'http://a/'}", "- {name: shop, url: 'http://b/', pattern: x}");
    let lone = "- {name: other, url: 'http://a/'}";
    let joined = ["shop http://a/", "shop http://b/ x", "other"];
    assert_eq!(ids(&format!("interval: 1\nmonitors:\n{a}\n{b}\n{lone}\n")), joined);
    assert_eq!(ids(&format!("interval: 1\nmonitors:\n{b}\n{a}\n{lone}\n")), [joined[1], joined[0], joined[2]]);
}

#[test]
fn one_url_with_two_patterns_is_two_monitors() {
    let text =
        "interval: 1\nmonitors: [{url: 'http://a/', pattern: x}, {url: 'http://a/', pattern: y}, {url: 'http://a/'}]";
    assert_eq!(ids(text), ["http://a/ x", "http://a/ y", "http://a/"]);
}

#[test]
fn an_id_of_its_own_is_kept_where_a_name_clashes_with_it() {
    let text = "interval: 1\nmonitors: [{name: shop, url: 'http://a/'}, {id: shop, name: x, url: 'http://a/'}]";
    assert_eq!(ids(text), ["shop http://a/", "shop"]);
}

#[test]
fn the_revision_changes_with_what_runs_and_not_with_secrets() {
    let revision = |interval: u32, password: &str| {
        let text = format!(
            "interval: {interval}\nagent: {{name: a}}\nmonitors: [{{url: 'http://u:{password}@a/'}}]\n\
             kafka: {{security_protocol: sasl_ssl, sasl: {{username: u, password: {password}}}}}"
        );
        load(&text).unwrap().revision
    };
    assert_eq!(revision(5, "one"), revision(5, "two"));
    assert_ne!(revision(5, "one"), revision(6, "one"));
    assert_eq!(revision(5, "one").len(), 12);
}

#[test]
fn a_file_that_can_not_be_read_is_refused() {
    let refused = Config::load(Path::new("testdata/absent.yaml")).unwrap_err();
    assert!(refused.to_string().starts_with("testdata/absent.yaml: can't be read: "), "{refused}");
}

#[test]
fn a_url_longer_than_a_name_may_be_still_has_a_name_within_the_bound() {
    let long = "x".repeat(2 * wire::limits::NAME);
    let config = load(&format!("interval: 1\nmonitors: [{{url: 'http://a/{long}'}}]")).unwrap();
    assert_eq!(config.monitors[0].name.len(), wire::limits::NAME);
    assert!(config.monitors[0].id.ends_with(&long));
}
