//! Tests the bytes of version 1, one file per kind. Collectors must for ever read what agents once wrote.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use wire::{
    AgentEvent, AgentReport, Certificate, CheckResult, Clock, Configuration, Content, DropReason, Dropped, List,
    MonitorDue, Outcome, Pending, Phases, Previous, Range, Record,
};

const EPOCH: &str = "7b0c4f52-9a0e-4a7e-8f5e-0d2c3b1a9e77";
const BEFORE: &str = "1f6d7c1e-52a4-4c0b-9a39-6a1f0e4b2d10";

fn record(seq: u64, content: Content<Cow<'static, str>>) -> Record<Cow<'static, str>> {
    Record { epoch: EPOCH.parse().unwrap(), seq, agent: "edge-1".into(), content }
}

fn result() -> Record<Cow<'static, str>> {
    record(
        42,
        Content::Result(Box::new(CheckResult {
            monitor: "shop".into(),
            name: "The shop".into(),
            url: "https://shop.example/".into(),
            pattern: Some("cart".into()),
            scheduled_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            checked_at: "2026-11-22T10:00:00.001234Z".parse().unwrap(),
            outcome: Outcome::CertificateError,
            status_code: Some(200),
            reason: Some("OK".into()),
            response_time_us: Some(12_345),
            phases: Phases {
                dns: Some(100),
                connect: Some(200),
                tls: Some(300),
                first_byte: Some(400),
                body: Some(500),
            },
            peer: Some("127.0.0.1:443".into()),
            redirects: Some(1),
            pattern_matched: Some(true),
            certificate: Some(Certificate {
                not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
                subject: "CN=shop.example".into(),
                issuer: "CN=Test CA".into(),
                first_end: None,
                fault: Some("expired".into()),
                faults: vec![],
            }),
            body_bytes: Some(1024),
            truncated: Some(false),
            attempts: 2,
            tags: BTreeMap::from([("team".into(), "web".into())]),
            error: Some("certificate has expired".into()),
        })),
    )
}

fn dropped() -> Record<Cow<'static, str>> {
    record(
        7,
        Content::Dropped(Dropped {
            ranges: vec![Range { epoch: BEFORE.parse().unwrap(), first: 1, last: 500 }],
            reason: DropReason::OutboxFull,
            dropped_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        }),
    )
}

fn agent() -> Record<Cow<'static, str>> {
    let before = BEFORE.parse().unwrap();
    record(
        1,
        Content::Agent(Box::new(AgentReport {
            event: AgentEvent::Start,
            at: "2026-11-22T10:00:00Z".parse().unwrap(),
            version: "0.1.0".into(),
            previous: Some(Previous { epoch: before, highest_seq: 500 }),
            highest_seq: 0,
            pending: 20,
            oldest_pending: Some(Pending { epoch: before, seq: 481 }),
            outbox_bytes: 1_048_576,
            missed: BTreeMap::from([("overlap".into(), 3)]),
            clock: Clock { jumps: 1, last_jump_us: -60_000_000 },
            configuration: Configuration { revision: "5f3a".into(), faults: 1 },
            labels: BTreeMap::from([("site".into(), "north".into())]),
            monitors: vec![MonitorDue { id: "shop".into(), interval_ms: 30_000, tags: BTreeMap::new() }],
            due_since: None,
            list: None,
        })),
    )
}

#[test]
fn a_result_is_written_and_read_as_in_its_golden_file() {
    agrees(&result(), include_str!("../golden/v1-result.json"));
}

#[test]
fn a_chain_that_ends_before_its_certificate_is_written_and_read_as_in_its_golden_file() {
    let mut record = result();
    let Content::Result(result) = &mut record.content else { panic!("no result") };
    let certificate = result.certificate.as_mut().unwrap();
    certificate.first_end = Some("2026-11-27T10:00:00Z".parse().unwrap());
    agrees(&record, include_str!("../golden/v1-result-chain.json"));
}

#[test]
fn a_certificate_with_several_faults_is_written_and_read_as_in_its_golden_file() {
    let mut record = result();
    let Content::Result(result) = &mut record.content else { panic!("no result") };
    let certificate = result.certificate.as_mut().unwrap();
    certificate.fault = Some("wrong_host".into());
    certificate.faults = vec!["wrong_host".into(), "expired".into()];
    agrees(&record, include_str!("../golden/v1-result-faults.json"));
}

#[test]
fn a_dropped_record_is_written_and_read_as_in_its_golden_file() {
    agrees(&dropped(), include_str!("../golden/v1-dropped.json"));
}

#[test]
fn an_agent_report_is_written_and_read_as_in_its_golden_file() {
    agrees(&agent(), include_str!("../golden/v1-agent.json"));
}

#[test]
fn an_agent_report_with_tags_is_written_and_read_as_in_its_golden_file() {
    let mut record = agent();
    let Content::Agent(report) = &mut record.content else { panic!("no report") };
    report.monitors[0].tags = BTreeMap::from([("team".into(), "web".into())]);
    agrees(&record, include_str!("../golden/v1-agent-tags.json"));
}

#[test]
fn an_agent_report_that_says_again_what_is_due_is_written_and_read_as_in_its_golden_file() {
    let mut record = Record { seq: 9_001, ..agent() };
    let Content::Agent(report) = &mut record.content else { panic!("no report") };
    report.highest_seq = 9_000;
    report.due_since = Some("2026-11-21T22:00:00Z".parse().unwrap());
    agrees(&record, include_str!("../golden/v1-agent-again.json"));
}

#[test]
fn an_agent_report_that_says_which_list_is_in_force_is_written_and_read_as_in_its_golden_file() {
    let mut record = Record { seq: 9_002, ..agent() };
    let Content::Agent(report) = &mut record.content else { panic!("no report") };
    report.event = AgentEvent::Periodic;
    report.highest_seq = 9_001;
    report.monitors.clear();
    report.list = Some(List { revision: "5f3a".into(), monitors: 1 });
    agrees(&record, include_str!("../golden/v1-agent-list.json"));
}

#[test]
fn what_an_older_agent_left_out_has_its_default() {
    let oldest = include_str!("../golden/v1-result-least.json");
    let Content::Result(result) = Record::decode(Some(oldest.as_bytes())).unwrap().content else {
        panic!("not a result")
    };
    assert_eq!((result.attempts, result.phases, result.pattern), (1, Phases::default(), None));
}

fn agrees(record: &Record<Cow<'_, str>>, golden: &str) {
    let golden = golden.trim_end();
    assert_eq!(String::from_utf8(record.encode()).unwrap(), golden);
    assert_eq!(Record::decode(Some(golden.as_bytes())).as_ref(), Ok(record));
}
