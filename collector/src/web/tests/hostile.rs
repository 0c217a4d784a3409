//! Tests with hostile clients and names: what they ask, how they ask it, and how they named what is shown.

use std::time::Duration;

use super::badges::title;
use super::*;

/// Names that a stranger may have given to a monitor.
const NAMES: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"'><svg onload=alert(1)>",
    "a\\\"} 1\nwebsite_monitor_verdict{monitor=\"forged\"} 1\n# EOF",
    "\u{202e}moc.live\u{2066}\u{200f}",
    "a\0b\u{1}\u{1b}[31m\u{ffff}",
    "]]>&amp;&#0;<!--",
];

#[tokio::test]
async fn names_that_would_act_are_only_shown() {
    let long = "<b>&".repeat(2_560);
    for name in NAMES.into_iter().chain([&*long]) {
        let server = Server::new(Tables::with("odd", name), "{}").await;
        let json = server.get("/api/v1/monitors/odd", &[]).await.json();
        assert_eq!(json["monitor"]["name"], name);
        let title = title(&server.get("/badge/odd.svg", &[]).await.body);
        assert!(title.chars().count() < 60 && !title.contains(['\0', '\u{1b}', '\u{202e}', '\u{2066}']), "{title:?}");
    }
}

#[tokio::test]
async fn ids_of_any_kind_are_found_by_their_path_and_forge_no_metric() {
    let url = format!("https://user@a.example/b?c=/../{}#d", "x".repeat(10_240));
    for id in NAMES.into_iter().chain([&*url, "a/b", "..", "%2e%2e", "ü", "a.svg"]) {
        let server = Server::new(Tables::with(id, "odd"), "{}").await;
        let path = format!("/api/v1/monitors/{}", encoded(id));
        if id.contains('\0') {
            assert_eq!(server.get(&path, &[]).await.status, 404);
        } else {
            assert_eq!(server.get(&path, &[]).await.json()["monitor"]["id"], id);
            assert_eq!(server.get(&format!("/badge/{}.svg", encoded(id)), &[]).await.status, 200, "{id:?}");
        }
        let metrics = server.get("/metrics", &[]).await.body;
        assert!(!metrics.contains("{monitor=\"forged\"}") && metrics.matches("# EOF").count() == 1, "{metrics}");
        assert!(!metrics.contains(['\0', '\u{1b}']) && !metrics.contains(&"x".repeat(1_000)));
    }
}

#[tokio::test]
async fn quotes_and_backslashes_of_an_id_are_escaped_in_metrics() {
    let server = Server::new(Tables::with("a\\b\"c<d", "odd"), "{}").await;
    let metrics = server.get("/metrics", &[]).await.body;
    assert!(metrics.contains("\nprobe_success{monitor=\"a\\\\b\\\"c<d\"} "), "{metrics}");
}

#[tokio::test]
async fn paths_that_climb_lead_nowhere() {
    let server = Server::new(Tables::default(), "{}").await;
    for path in [
        "/../../etc/passwd",
        "/badge/../../../etc/passwd",
        "/badge/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/api/v1/monitors/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/monitors/%00",
        "/api/v1/openapi.yaml/..",
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let server = Server::new(Tables::default(), "{}").await;
    let much = "x".repeat(5_000);
    for path in ["/healthz", "/api/v1/agents", "/badge/a.svg", "/nothing"] {
        assert_eq!(server.get(&format!("{path}?{much}"), &[]).await.status, 414, "{path}");
    }
    let more = "x".repeat(300_000);
    assert!([0, 414, 431].contains(&server.get(&format!("/{more}"), &[]).await.status));
    assert!([0, 431].contains(&server.get("/healthz", &[&format!("X-A: {more}")]).await.status));
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(server.get("/healthz", &many).await.status, 431);
    assert_eq!(server.get("/healthz", &["Content-Length: 1000000000000"]).await.status, 413);
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn what_is_no_request_for_reading_is_refused() {
    let server = Server::new(Tables::default(), "{}").await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let answer = server
            .send(&format!("{method} /api/v1/agents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            .await;
        assert_eq!((answer.status, &answer.json()["error"]), (405, &"method not allowed".into()), "{method}");
    }
    for nonsense in
        ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answer = server.send(nonsense).await;
        assert!([0, 400].contains(&answer.status), "{nonsense:?}: {answer:?}");
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

/// Short time limits, so that a test sees them end.
const SHORT: Limits = Limits {
    connections: 8,
    share: 8,
    reserve: 2,
    head: Duration::from_millis(200),
    head_bytes: 72 << 10,
    lifetime: Duration::from_millis(500),
    grace: Duration::from_millis(200),
};

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = Server::within(SHORT, Tables::default(), "{}").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ").await.unwrap();
    let (mut read, mut write) = socket.into_split();
    // Sending a byte now and then does not help the client.
    let dripping = tokio::spawn(async move {
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    drop(read.read_to_end(&mut answer).await);
    drop(read);
    dripping.await.unwrap();
    assert!(!String::from_utf8(answer).unwrap().contains("alive"));
}

#[tokio::test]
async fn a_connection_that_is_kept_open_ends_after_its_time() {
    let server = Server::within(SHORT, Tables::default(), "{}").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("alive"), "{answer}");
}

#[tokio::test]
async fn who_asks_and_never_reads_gives_up_its_place() {
    let server = Server::within(Limits { connections: 1, ..SHORT }, Tables::default(), "{}").await;
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    // These are more answers than all buffers between the two can hold.
    let ask = "GET /api/v1/monitors HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    let asked = tokio::spawn(async move {
        drop(greedy.write_all(ask.as_bytes()).await);
        std::future::pending::<()>().await;
    });
    while server.get("/agents", &[]).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!asked.is_finished(), "its connection was still open at its end");
    asked.abort();
}

/// Opens this number of connections that send nothing.
async fn idle(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..count {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    idle
}

#[tokio::test]
async fn a_client_that_holds_all_it_can_get_hides_health_from_no_one() {
    // Both ends of each connection belong to this process.
    if !ground::raise_descriptors(4_000) {
        return ground::not_run(ground::this_test!(), "this process may not have 4,000 open files (`ulimit -Hn`)");
    }
    let patient = Limits { head: Duration::from_secs(60), ..Limits::default() };
    let server = Server::within(patient, Tables::default(), "{}").await;
    server.health.is_prepared(0);
    server.health.hears_of_kafka(true);
    let held = idle(&server, 1_000).await;
    for _ in 0..50 {
        assert_eq!(server.get("/healthz", &[]).await.status, 200);
        assert_eq!(server.get("/readyz", &[]).await.status, 200);
    }
    let refused = server.get("/agents", &[]).await;
    assert_eq!((refused.status, &*refused.body), (503, "too many connections are open\n"));
    assert!(refused.head.contains("retry-after: 5"), "{refused:?}");
    drop(held);
}

#[tokio::test]
async fn one_address_that_takes_its_share_leaves_places_for_another() {
    let few = Limits { connections: 8, share: 4, ..Limits::default() };
    let server = Server::within(few, Tables::default(), "{}").await;
    let held = idle(&server, 8).await;
    assert_eq!(server.get("/agents", &[]).await.status, 503);
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(server.address).await.unwrap();
    other.write_all(b"GET /agents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(held);
}

#[tokio::test]
async fn a_thousand_that_say_nothing_leave_room_for_one_who_asks() {
    // Both ends of each connection belong to this process.
    if !ground::raise_descriptors(4_000) {
        return ground::not_run(ground::this_test!(), "this process may not have 4,000 open files (`ulimit -Hn`)");
    }
    let server = Server::within(SHORT, Tables::default(), "{}").await;
    // The connections that have a place lose it after the time for a head. All others made room.
    for mut socket in idle(&server, 1_000).await {
        let mut said = Vec::new();
        drop(socket.read_to_end(&mut said).await);
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408 "));
    }
    assert_eq!(server.get("/agents", &[]).await.status, 200);
}
