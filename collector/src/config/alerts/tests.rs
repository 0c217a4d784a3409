use std::path::Path;

use jiff::Timestamp;
use settings::Fault;

use super::*;
use crate::notify::{Channel, Template};

fn read(text: &str) -> Result<Alerts, Vec<String>> {
    let value = serde_yaml::from_str(text).unwrap();
    let (alerts, faults) =
        Section::read(Path::new("collector.yaml"), None, value, |root| root.section("alerts", Alerts::of));
    if faults.is_empty() { Ok(alerts) } else { Err(faults.iter().map(Fault::to_string).collect()) }
}

const WHOLE: &str = r#"
alerts:
  rules:
    - {name: down, what: down}
    - {name: long, what: down, for: 5m, seen_by: 2, monitors: {tags: {team: web}}, receivers: [hook]}
    - {name: slow, what: slow, over: 2s}
    - {name: certificates, what: certificate_expiring, within: 7d, monitors: {ids: shop}}
    - {name: silent, what: agent_silent, agents: [edge-1]}
    - {name: backlog, what: backlog, over: 10000}
    - {name: dropped, what: dropped}
    - {name: blind, what: blind}
    - {name: doubled, what: doubled, agents: [edge-1]}
  receivers:
    - name: hook
      webhook:
        url: https://hooks.example/s3cret
        headers: {Authorization: Bearer s3cret}
        template: {text: "{{summary}}", key: s3cret}
    - name: mail
      email: {host: mail.example, user: u, password: s3cret, from: Monitor <m@example.org>, to: [a@example.org]}
    - {name: pager, command: {argv: [/usr/bin/page, --now], environment: {PAGER_KEY: s3cret}}}
  repeat: none
  maintenance:
    - {from: 2026-11-24T22:00:00Z, until: 2026-11-25T02:00:00Z, monitors: {ids: [shop]}, reason: move}
    - {days: [sat, sun], from: "22:00", until: "02:00"}
"#;

#[test]
fn a_whole_configuration_is_read_and_shows_no_secret() {
    let alerts = read(WHOLE).unwrap();
    assert_eq!((alerts.rules.len(), alerts.rules[8].what), (9, What::Doubled));
    assert_eq!(alerts.rules[7].what, What::Blind { lasting: Duration::from_secs(180) });
    let default = What::Down { checks: 2, lasting: Duration::ZERO, seen_by: None };
    assert_eq!((alerts.rules[0].what, alerts.rules[0].monitors.is_all()), (default, true));
    let long = What::Down { checks: 1, lasting: Duration::from_secs(300), seen_by: Some(2) };
    assert_eq!(alerts.rules[1].what, long);
    assert_eq!(alerts.rules[3].monitors.ids, ["shop"]);
    assert_eq!(alerts.receivers_of(&alerts.rules[0]).collect::<Vec<_>>(), ["hook", "mail", "pager"]);
    assert_eq!(alerts.receivers_of(&alerts.rules[1]).collect::<Vec<_>>(), ["hook"]);
    assert_eq!((alerts.repeat, alerts.group_wait), (None, Duration::from_secs(30)));
    assert!(!format!("{alerts:?}").contains("s3cret"), "{alerts:?}");
}

#[test]
fn the_example_of_the_document_has_no_faults_but_its_files() {
    let document = include_str!("../../../../docs/alerts.md");
    let example = document.split("```yaml collector\n").nth(1).unwrap().split("```").next().unwrap();
    let faults = read(example).unwrap_err();
    assert_eq!(faults.iter().filter(|fault| !fault.contains("can't be read: No such file")).count(), 0, "{faults:?}");
}

#[test]
fn nothing_said_means_that_nothing_is_told() {
    let alerts = read("{}").unwrap();
    assert!(alerts.rules.is_empty() && alerts.receivers.is_empty() && alerts.maintenance.is_empty());
}

#[test]
fn all_faults_are_told_with_their_place_and_mend() {
    let text = r#"
alerts:
  rules:
    - {name: a, what: dwon}
    - {what: down, over: 2s, receivers: [nobody]}
    - {name: a, what: slow, agents: [x]}
    - {name: b, what: blind, agents: [x]}
  receivers:
    - {name: hook, webhook: {url: "ftp://s3cret", template: {a: "{{sumary}}"}}}
    - {name: mail, email: {host: h, from: me, to: [you], user: u}}
    - {name: none}
    - {name: rel, command: {argv: [page]}}
    - {name: nil, command: {argv: [], environment: {1A: s3cret, B_file: /no/key, C: 5}}}
    - {name: clear, email: {host: mail.example, from: m@example.org, to: [], tls: none, user: u, password: s3cret}}
  repeat: 1s
  maintenance:
    - {from: "22:00", until: 2026-11-24T22:00:00Z}
    - {days: [someday], from: "22:61", until: "02:00", timezone: Europe/Berln}
    - {from: 2026-11-24T22:00:00Z, until: 2026-11-24T23:00:00Z, timezone: Europe/Berlin}
"#;
    let told = read(text).unwrap_err().join("\n");
    for fault in [
        "alerts.receivers[1].webhook.url: is no url of the web; write one that begins with https:// or http://",
        "alerts.receivers[1].webhook.template: {{sumary}} is not known; write one of: id, receiver, status",
        "alerts.receivers[2].email.from: \"me\" is no mail address; write name@example.org",
        "alerts.receivers[2].email.to[1]: \"you\" is no mail address",
        "alerts.receivers[2].email.password: is missing; give password_file (or password)",
        "alerts.receivers[3].name: has not one way to be told; give one of webhook, email, command",
        "alerts.receivers[4].command.argv: \"page\" is no absolute path",
        "alerts.receivers[5].command.argv: is empty; write the program and its arguments as a list",
        "alerts.receivers[5].command.environment.1A: is no name of a variable; write letters, digits and _",
        "alerts.receivers[5].command.environment.B_file: /no/key can't be read",
        "alerts.receivers[5].command.environment.C: is no text; put it in quotes",
        "alerts.receivers[6].email.to: is empty; write at least one address",
        "alerts.receivers[6].email.tls: sends the password in clear over the network; write starttls or tls",
        "alerts.rules[1].what: \"dwon\" is not known; write one of: down, slow, certificate_expiring",
        "alerts.rules[2].name: is missing; give it a name",
        "alerts.rules[2].over: is no option",
        "alerts.rules[2].receivers: \"nobody\" is no receiver; write one of: clear, hook, mail, nil, none, rel",
        "alerts.rules[3].over: is missing; write the longest time that is fast enough",
        "alerts.rules[3].agents: is no option",
        "alerts.rules[4].agents: is no option",
        "alerts.rules[3].name: stands there twice; give each its own",
        "alerts.repeat: \"1s\" is out of bounds; write none, or a duration",
        "alerts.maintenance[1].from: \"22:00\" is no time; write a time such as 2026-11-24T22:00:00Z, or give `days`",
        "alerts.maintenance[2].days: \"someday\" is no day; write some of: mon, tue",
        "alerts.maintenance[2].from: \"22:61\" is no time of a day",
        "alerts.maintenance[2].timezone: \"Europe/Berln\" is no time zone; did you mean Europe/Berlin?",
        "alerts.maintenance[3].timezone: has a meaning beside `days` alone; give `days`, or leave it out",
    ] {
        let (place, rest) = fault.split_once(": ").unwrap();
        // A fault may name the item of a list by its number.
        let is_told = told.lines().any(|line| line.contains(place) && line.contains(rest));
        let in_list = told.lines().any(|line| line.contains(&format!("{place}[1]")) && line.contains(rest));
        assert!(is_told || in_list, "{fault}\nis not in\n{told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn an_address_that_stands_there_twice_is_told_once() {
    let to = "[b@example.org, Boss <a@example.org>, B <b@example.org>]";
    let text = format!("alerts: {{receivers: [{{name: m, email: {{host: h, from: m@example.org, to: {to}}}}}]}}");
    assert_eq!(read(&text).unwrap().receivers[0].channel.addresses(), ["a@example.org", "b@example.org"]);
    assert_eq!(read(WHOLE).unwrap().receivers[0].channel.addresses(), [""; 0]);
}

#[test]
fn a_password_goes_in_clear_only_to_the_own_host() {
    let with = |host: &str, login: &str| {
        let email = format!("{{host: '{host}', tls: none, from: m@example.org, to: a@example.org{login}}}");
        read(&format!("alerts: {{receivers: [{{name: mail, email: {email}}}]}}"))
    };
    let login = ", user: u, password: s3cret";
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert!(with(host, login).is_ok(), "{host}");
    }
    assert!(with("192.0.2.1", login).is_err());
    assert!(with("192.0.2.1", "").is_ok());
}

#[test]
fn a_template_stays_well_formed_whatever_is_told() {
    let value = serde_yaml::from_str(r#"{text: "{{summary}} {{ url }} {{", more: [{n: 1, t: "{{text}}"}]}"#).unwrap();
    let template = Template::new(&value).unwrap();
    let hostile = "\"}, {\"x\": \"{{text}}\u{0}\r\n<script>\u{202e}";
    let filled = template.filled(|name| if name == "url" { "u".into() } else { hostile.to_owned() });
    let read: serde_json::Value = serde_json::from_str(&filled.to_string()).unwrap();
    assert_eq!(read["text"], format!("{hostile} u {{{{"));
    assert_eq!((&read["more"][0]["t"], &read["more"][0]["n"]), (&hostile.into(), &1.into()));
}

#[test]
fn a_filled_template_has_no_text_longer_than_its_receiver_takes() {
    let hook = "{url: https://a.example, template: {text: '{{summary}}: {{text}}', list: ['{{text}}', short]}";
    let read = |more: &str| read(&format!("alerts: {{receivers: [{{name: hook, webhook: {hook}{more}}}}}]}}"));
    let filled = |more: &str| {
        let Channel::Webhook(webhook) = read(more).unwrap().receivers.remove(0).channel else {
            panic!("it is a webhook")
        };
        webhook.template.unwrap().filled(|name| if name == "text" { "ä".repeat(500) } else { "s".into() })
    };
    let (bounded, free) = (filled(", most_characters: 100"), filled(""));
    assert_eq!(bounded["text"], format!("s: {}…", "ä".repeat(96)));
    assert_eq!((&bounded["list"][0], &bounded["list"][1]), (&format!("{}…", "ä".repeat(99)).into(), &"short".into()));
    assert_eq!(free["list"][0].as_str().unwrap().chars().count(), 500);
    assert!(read(", most_characters: 5").unwrap_err()[0].contains("most_characters: 5 is no whole number from 100"));
    let without = "alerts: {receivers: [{name: a, webhook: {url: https://a.example, most_characters: 100}}]}";
    assert!(self::read(without).unwrap_err()[0].contains("most_characters: stands without template"));
}

#[test]
fn maintenance_covers_its_time_and_what_it_names() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let windows = read(WHOLE).unwrap().maintenance;
    let none = Default::default();
    assert!(windows[0].when.covers(at("2026-11-24T22:00:00Z")) && !windows[0].when.covers(at("2026-11-25T02:00:00Z")));
    assert!(windows[0].covers_monitor("shop", &none));
    assert!(!windows[0].covers_monitor("mail", &none) && !windows[0].covers_agent("edge-1"));
    assert!(windows[1].covers_monitor("any", &none) && windows[1].covers_agent("edge-1"));
    // 2026-11-28 is a Saturday.
    for (time, is_covered) in [
        ("2026-11-28T01:00:00Z", false),
        ("2026-11-28T22:00:00Z", true),
        ("2026-11-29T01:59:59Z", true),
        ("2026-11-29T02:00:00Z", false),
        ("2026-11-30T01:00:00Z", true),
        ("2026-11-30T22:30:00Z", false),
    ] {
        assert_eq!(windows[1].when.covers(at(time)), is_covered, "{time}");
    }
}

#[test]
fn tags_select_a_monitor_that_has_all_of_them() {
    let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let selection = Selection { ids: vec!["shop".into()], tags: tags(&[("team", "web"), ("env", "live")]) };
    assert!(selection.has("shop", &tags(&[])));
    assert!(selection.has("x", &tags(&[("team", "web"), ("env", "live"), ("more", "1")])));
    assert!(!selection.has("x", &tags(&[("team", "web")])));
}
