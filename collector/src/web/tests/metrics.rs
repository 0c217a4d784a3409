//! Tests of what Prometheus is told about monitors and agents.

use super::*;

#[tokio::test]
async fn each_monitor_and_agent_is_told_of_up_to_a_bound_and_the_rest_is_counted() {
    let all = fixture::overview(FLEET, Period::Day).monitors;
    let there = all.iter().filter(|monitor| !monitor.is_retired).count();
    let server = Server::new(Tables::default(), "{monitor_metrics: 3}").await;
    let metrics = server.get("/metrics", &[]).await;
    assert!(metrics.head.contains("content-type: application/openmetrics-text"), "{metrics:?}");
    let text = metrics.body;
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(text.matches("\nwebsite_monitor_verdict{").count(), 3, "{text}");
    assert_eq!(text.matches("\nwebsite_monitor_agent_pending{").count(), 3, "{text}");
    for line in [
        format!("website_monitor_monitors {there}"),
        format!("website_monitor_monitors_left_out {}", there - 3),
        "website_monitor_agents_left_out 1".into(),
        "website_monitor_collector_reads_database 1".into(),
        "website_monitor_agent_presence{agent=\"edge-singapore\",presence=\"silent\"} 1".into(),
        "website_monitor_agent_clock_behind_seconds{agent=\"edge-oregon\"} 300.0".into(),
        "website_monitor_agent_clock_behind_seconds{agent=\"edge-singapore\"} 0.0".into(),
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    let all = Server::new(Tables::default(), "{}").await.get("/metrics", &[]).await.body;
    assert!(
        all.contains("\"edge-warsaw\"") && !all.contains("\"edge-berlin\""),
        "one that is gone is not told of: {all}"
    );
}

#[tokio::test]
async fn a_monitor_is_up_unless_all_see_it_fail_and_nothing_is_said_when_no_one_looks() {
    let all = fixture::overview(FLEET, Period::Day).monitors;
    let text = Server::new(Tables::default(), "{}").await.get("/metrics", &[]).await.body;
    for monitor in all.iter().filter(|monitor| !monitor.is_retired) {
        use crate::figures::looks::state::Verdict;
        let probe = format!("\nprobe_success{{monitor=\"{}\"}} ", monitor.id);
        let told = text.split_once(&probe).map(|(_, rest)| &rest[..1]);
        let expected = match monitor.state.verdict {
            Verdict::Up | Verdict::Partial => Some("1"),
            Verdict::Down => Some("0"),
            Verdict::Unknown => None,
        };
        assert_eq!(told, expected, "{}", monitor.id);
        let uptime = format!("\nwebsite_monitor_uptime_ratio{{monitor=\"{}\"}} ", monitor.id);
        let told: f64 = text.split_once(&uptime).and_then(|(_, rest)| rest.lines().next()?.parse().ok()).unwrap();
        assert!((told - monitor.counts.uptime().unwrap()).abs() < 1e-9, "{}: {told}", monitor.id);
    }
}

#[tokio::test]
async fn alerts_are_told_of_by_their_state_and_messages_that_wait_by_their_age() {
    let text = Server::new(Tables::default(), "{}").await.get("/metrics", &[]).await.body;
    for line in [
        "alerts{state=\"pending\"} 1",
        "alerts{state=\"firing\"} 2",
        "alerts{state=\"suppressed\"} 3",
        "notifications_waiting 4",
        "notifications_oldest_seconds 90",
        "rule_group_last_evaluation_timestamp_seconds 0.0",
    ] {
        assert!(text.contains(&format!("\nwebsite_monitor_{line}\n")), "{line}: {text}");
    }
}

#[tokio::test]
async fn dashboard_and_alerts_know_only_metrics_that_there_are() {
    let server = Server::new(Tables::default(), "{}").await;
    server.health.lags([(0, 1)].into());
    server.health.tally().rejected("not_json");
    server.health.alerting().knows("email");
    let told = server.get("/metrics", &[]).await.body;
    let alerts = include_str!("../../../../packaging/prometheus-alerts.yml");
    let dashboard = include_str!("../../../../packaging/grafana-dashboard.json");
    serde_yaml::from_str::<serde_yaml::Value>(alerts).unwrap();
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    let mut names = 0;
    let words = [alerts, dashboard].into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_'));
    for word in words {
        if word.starts_with("website_monitor_") || word.starts_with("probe_") {
            let is_told = [' ', '{'].iter().any(|end| told.contains(&format!("\n{word}{end}")));
            assert!(is_told, "{word}: {told}");
            names += 1;
        }
    }
    assert!(names > 20, "{names}");
}
