//! Tests of who sees what.

use super::*;

const TOKEN: &str = "{token: hunter2-token, public: {monitors: [open], title: Status}}";

#[tokio::test]
async fn without_the_token_nothing_is_seen_but_health_and_what_is_public() {
    let server = Server::new(Tables::with("open", "open"), TOKEN).await;
    for path in [
        "/",
        "/metrics",
        "/agents",
        "/monitors/open",
        "/api/v1/monitors",
        "/api/v1/monitors/open",
        "/api/v1/agents",
        "/api/v1/openapi.yaml",
        "/badge/open.svg",
        "/nothing",
        "/public/../metrics",
        "/public/%2e%2e/metrics",
        "//metrics",
    ] {
        for lines in [&[][..], &["Authorization: Bearer wrong"], &["Authorization: Basic eDp5"], &["Authorization: "]] {
            let refused = server.get(path, lines).await;
            assert_eq!(refused.status, 401, "{path} {lines:?} {refused:?}");
            assert!(refused.head.contains("www-authenticate: Bearer realm=\"website-monitor\""), "{refused:?}");
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }
    let right = ["Authorization: Bearer hunter2-token"];
    for path in ["/", "/agents", "/monitors/open", "/metrics", "/api/v1/monitors", "/badge/open.svg"] {
        assert_eq!(server.get(path, &right).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/nothing", &right).await.status, 404);
    assert_eq!(server.get("/healthz", &[]).await.body, "alive\n");
    assert_eq!(server.get("/readyz", &[]).await.status, 503);
}

#[tokio::test]
async fn of_what_is_public_only_the_chosen_monitors_are_seen() {
    let server = Server::new(Tables::with("open", "open"), TOKEN).await;
    assert_eq!(server.get("/public/badge/open.svg", &[]).await.status, 200);
    let hidden = fixture::overview(FLEET, Period::Day).monitors.remove(0).id;
    assert_eq!(server.get(&format!("/badge/{hidden}.svg"), &["Authorization: Bearer hunter2-token"]).await.status, 200);
    let refused = server.get(&format!("/public/badge/{hidden}.svg"), &[]).await;
    let absent = server.get("/public/badge/absent.svg", &[]).await;
    assert_eq!((refused.status, refused.body), (404, absent.body));
    for (path, status) in
        [("/public", 200), ("/public/monitors/open", 200), (&format!("/public/monitors/{hidden}"), 404)]
    {
        let page = server.get(path, &[]).await;
        assert!(page.status == status && !page.body.contains(&hidden), "{path}: {page:?}");
    }
    let without = Server::new(Tables::with("open", "open"), "{}").await;
    assert_eq!(without.get("/public", &[]).await.status, 404);
    assert_eq!(without.get("/public/badge/open.svg", &[]).await.status, 404);
}

#[tokio::test]
async fn a_public_monitor_without_a_name_is_found_without_its_url_and_by_no_url() {
    let url = "https://shop.example/?key=hunter2";
    let configured = format!("{{public: {{monitors: ['{url}']}}}}");
    let server = Server::new(Tables::with(url, url), &configured).await;
    let page = server.get("/public", &[]).await.body;
    let link = page.split("href=\"/public/monitors/").nth(1).unwrap().split(['"', '?']).next().unwrap().to_owned();
    let one = server.get(&format!("/public/monitors/{link}"), &[]).await;
    let badge = server.get(&format!("/public/badge/{link}.svg"), &[]).await;
    assert_eq!((one.status, badge.status), (200, 200));
    for shown in [&page, &one.body, &badge.body] {
        assert!(!shown.contains("shop.example") && !shown.contains("hunter2"), "{shown}");
    }
    for path in [format!("/public/monitors/{}", encoded(url)), format!("/public/badge/{}.svg", encoded(url))] {
        assert_eq!(server.get(&path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(server.get(&format!("/monitors/{}", encoded(url)), &[]).await.status, 200);
}

#[tokio::test]
async fn a_failure_under_the_api_is_json_and_elsewhere_a_line() {
    let server = Server::new(Tables::default(), "{token: abc}").await;
    assert_eq!(server.get("/api/v1/agents", &[]).await.json()["error"], "unauthorized");
    assert_eq!(server.get("/badge/a.svg", &[]).await.body, "unauthorized\n");
}

#[tokio::test]
async fn all_answers_tell_browsers_to_be_strict_and_private_ones_not_to_be_kept() {
    let server = Server::new(Tables::with("open", "open"), "{public: {monitors: [open]}}").await;
    for path in ["/healthz", "/nothing", "/api/v1/agents", "/public/badge/open.svg", "/metrics"] {
        let head = server.get(path, &[]).await.head;
        for line in
            ["content-security-policy: default-src 'none';", "x-content-type-options: nosniff", "referrer-policy: "]
        {
            assert!(head.contains(line), "{path}: {head}");
        }
        let is_kept = head.contains("cache-control: public, max-age=60");
        assert_eq!(
            (is_kept, head.contains("cache-control: no-store")),
            (path.contains("public"), !path.contains("public"))
        );
    }
}

#[tokio::test]
async fn readiness_is_the_databases_and_kafkas() {
    let server = Server::new(Tables::default(), "{}").await;
    assert_eq!(server.get("/readyz", &[]).await.body, "waits for the database and Kafka\n");
    server.health.is_prepared(0);
    server.health.hears_of_kafka(true);
    let ready = server.get("/readyz", &[]).await;
    assert_eq!((ready.status, &*ready.body), (200, "ready\n"));

    let away = Tables { is_away: true.into(), ..Tables::default() };
    let server = Server::new(away, "{}").await;
    server.health.is_prepared(0);
    server.health.hears_of_kafka(true);
    assert_eq!(server.get("/readyz", &[]).await.body, "waits for the database\n");
}

#[tokio::test]
async fn a_database_that_is_away_is_told_with_a_time_to_come_again_and_without_its_reason() {
    let server = Server::new(Tables { is_away: true.into(), ..Tables::default() }, "{}").await;
    for path in ["/api/v1/monitors", "/api/v1/monitors/a", "/api/v1/monitors/a/results", "/api/v1/agents"] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.head.contains("retry-after: 5"), "{answer:?}");
        assert_eq!(answer.json()["error"], "the database can't be read");
    }
    let badge = server.get("/badge/a.svg", &[]).await;
    assert_eq!((badge.status, &*badge.body), (503, "the database can't be read\n"));
    assert!(server.get("/metrics", &[]).await.body.contains("\nwebsite_monitor_collector_reads_database 0\n"));
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

/// Returns the answer to a client that asks by a host name.
async fn by_name(server: &Server, name: &str, path: &str) -> Answer {
    server.send(&format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn a_foreign_name_that_leads_to_loopback_is_told_what_to_configure_and_nothing_else() {
    let tables = || Tables::with("open", "open");
    let server = Server::new(tables(), "{url: 'https://status.example/', public: {monitors: [open]}}").await;
    for path in ["/", "/agents", "/monitors/open", "/api/v1/monitors", "/badge/open.svg", "/public", "/metrics"] {
        let refused = by_name(&server, "rebound.example:8080", path).await;
        assert_eq!(refused.status, 421, "{path}: {refused:?}");
        assert!(refused.body.contains("set `http.url` to where people find it, or set `http.basic_auth`"));
        for name in ["status.example", "localhost:8080", "127.0.0.1:8080", "[::1]"] {
            assert_eq!(by_name(&server, name, path).await.status, 200, "{name} {path}");
        }
    }
    let refused = by_name(&server, "rebound.example", "/api/v1/monitors").await;
    assert!(refused.json()["error"].as_str().unwrap().contains("`http.url`"), "{refused:?}");
    for path in ["/healthz", "/metrics"] {
        assert_eq!(by_name(&server, "192.0.2.1:8080", path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn with_a_login_or_beyond_this_machine_any_name_is_answered() {
    for configured in ["{token: hunter2-token}", "{listen: '0.0.0.0:8080'}"] {
        let server = Server::new(Tables::default(), configured).await;
        let path = "/agents";
        let lines = "Connection: close\r\nAuthorization: Bearer hunter2-token";
        let answer = server.send(&format!("GET {path} HTTP/1.1\r\nHost: any.example\r\n{lines}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{configured}");
    }
}
