//! Tests of the pages over their addresses.

use std::sync::atomic::Ordering;

use super::page::Read;
use super::*;
use crate::web::tests::{Server, Tables};

const PUBLIC: &str = "{public: {tags: {team: shop}, title: Shop}}";

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let server = Server::new(Tables::default(), PUBLIC).await;
    let mut seen = BTreeSet::new();
    let mut next: Vec<String> = ["/", "/public"].map(Into::into).into();
    while let Some(path) = next.pop() {
        let place = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        // One address of each kind of query is enough.
        let kind = path.split(['=', '#']).next().unwrap_or_default().to_owned();
        if place.matches('/').count() > 1 && seen.iter().any(|it: &String| it == &kind) || !seen.insert(kind) {
            continue;
        }
        let answer = server.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        if !place.starts_with("/assets/") {
            let read = Read::new(&answer.body);
            let links = read.all("*").filter_map(|it| it.attribute("href").or_else(|| it.attribute("src")));
            let links = links.filter(|link| !link.starts_with('#'));
            next.extend(links.map(|link| if link.starts_with('?') { format!("{place}{link}") } else { link.into() }));
        }
    }
    for place in ["/agents", "/assets/style.css?", "/assets/live.js?", "/monitors/", "/public/monitors/"] {
        assert!(seen.iter().any(|it| it.starts_with(place)), "{place}: {seen:?}");
    }
}

#[tokio::test]
async fn a_monitor_is_found_whatever_its_id() {
    let id = "https://shop.example/?q=a&b=\"<ä>#%2F";
    let server = Server::new(Tables::with(id, "url"), "{}").await;
    let page = server.get("/?q=url", &[]).await;
    let link = Read::new(&page.body).links("/monitors/https")[0];
    let answer = server.get(link, &[]).await;
    assert_eq!(answer.status, 200, "{link}");
    let text = Read::new(&answer.body).one("main").text();
    assert!(text.contains(&format!("Id {id}.")), "{text}");
    let older = Read::new(&answer.body).links("/monitors/https").into_iter().find(|it| it.contains("before=")).unwrap();
    let answer = server.get(older.trim_end_matches("#results"), &[]).await;
    assert!(answer.status == 200 && Read::new(&answer.body).one("main").text().contains("Results before 2026-11-27"));
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_read_are_pages_too() {
    let server = Server::new(Tables::default(), PUBLIC).await;
    for path in ["/monitors/none", "/monitors/%ff", "/nowhere", "/public/monitors/web-api-000"] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(Read::new(&answer.body).one("h1").text().contains("no such page"), "{path}");
    }
    let away = Server::new(Tables::default(), PUBLIC).await;
    away.tables.is_away.store(true, Ordering::Relaxed);
    for path in ["/", "/monitors/a", "/agents", "/public", "/public/monitors/a"] {
        let answer = away.get(path, &[]).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.head.contains("retry-after:"), "{path}: {}", answer.head);
        let text = Read::new(&answer.body).one("main").text();
        assert!(text.contains("can't be read") && !answer.body.contains("hunter2"), "{path}: {text}");
    }
}

#[tokio::test]
async fn pages_are_strict_and_assets_are_kept() {
    let server = Server::new(Tables::default(), "{}").await;
    let page = server.get("/", &[]).await;
    for header in ["content-type: text/html; charset=utf-8", "content-security-policy: default-src 'none'", "no-store"]
    {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("unsafe-inline"), "{}", page.head);
    let style = server.get("/assets/style.css", &[]).await;
    assert!(style.head.contains("immutable") && style.head.contains("text/css"), "{}", style.head);
    assert_eq!(server.get("/public", &[]).await.status, 404);
}

#[tokio::test]
async fn who_has_no_login_sees_what_is_public_and_its_style() {
    let server = Server::new(Tables::default(), "{token: abc, public: {tags: {team: shop}, title: Shop}}").await;
    for (path, status) in [
        ("/", 401),
        ("/agents", 401),
        ("/monitors/a", 401),
        ("/nowhere", 401),
        ("/public", 200),
        ("/assets/style.css", 200),
    ] {
        assert_eq!(server.get(path, &[]).await.status, status, "{path}");
    }
}
