//! Tests the API against its description, from made-up tables.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::DESCRIPTION;
use crate::figures::overview::Summary;
use crate::figures::period::Period;
use crate::web::fixture;
use crate::web::tests::{FLEET, Server, Tables, encoded};

/// Returns the content of `openapi.yaml`.
fn description() -> Value {
    serde_yaml::from_str(DESCRIPTION).unwrap()
}

/// Returns the validator of an answer of 200 to a path of the description.
fn schema_of(path: &str) -> Validator {
    let description = description();
    let answer = &description["paths"][path]["get"]["responses"]["200"];
    let schema = &answer["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{path} is not described");
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": schema["$ref"],
        "components": description["components"],
    });
    jsonschema::options().should_validate_formats(true).build(&root).unwrap()
}

fn is_as_described(path: &str, answer: &Value) {
    let schema = schema_of(path);
    let faults: Vec<String> =
        schema.iter_errors(answer).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{path}: {}", faults.join("\n"));
}

fn all() -> Vec<Summary> {
    fixture::overview(FLEET, Period::Day).monitors
}

#[tokio::test]
async fn answers_are_as_described() {
    let server = Server::new(Tables::default(), "{}").await;
    for period in ["24h", "30d", "90d"] {
        let monitors = server.get(&format!("/api/v1/monitors?retired=true&period={period}"), &[]).await.json();
        assert_eq!((&monitors["period"], monitors["monitors"].as_array().unwrap().len()), (&json!(period), FLEET));
        is_as_described("/api/v1/monitors", &monitors);
        for monitor in all().iter().step_by(5) {
            for part in ["", "/uptime", "/outages"] {
                let path = format!("/api/v1/monitors/{}{part}?period={period}", encoded(&monitor.id));
                is_as_described(&format!("/api/v1/monitors/{{id}}{part}"), &server.get(&path, &[]).await.json());
            }
        }
    }
    let results = server.get(&format!("/api/v1/monitors/{}/results", all()[0].id), &[]).await.json();
    is_as_described("/api/v1/monitors/{id}/results", &results);
    is_as_described("/api/v1/agents", &server.get("/api/v1/agents", &[]).await.json());
}

#[test]
fn what_is_not_described_is_noticed() {
    let schema = schema_of("/api/v1/agents");
    assert!(schema.is_valid(&json!({"agents": []})));
    assert!(!schema.is_valid(&json!({"agents": [], "more": 1})) && !schema.is_valid(&json!({})));
}

#[tokio::test]
async fn each_path_of_the_description_is_there() {
    let server = Server::new(Tables::default(), "{}").await;
    let description = description();
    let id = &all()[0].id;
    for path in description["paths"].as_object().unwrap().keys() {
        let answer = server.get(&path.replace("{id}", id), &[]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let served = server.get("/api/v1/openapi.yaml", &[]).await;
    assert_eq!((&*served.body, served.head.contains("content-type: application/yaml")), (DESCRIPTION, true));
}

#[tokio::test]
async fn pages_follow_one_another_and_hold_each_monitor_once() {
    let server = Server::new(Tables::default(), "{}").await;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/monitors?limit=5&retired=true&after={after}"), &[]).await.json();
        assert_eq!(page["total"], FLEET);
        let ids = page["monitors"].as_array().unwrap().iter().map(|monitor| monitor["id"].as_str().unwrap().to_owned());
        found.extend(ids);
        match page["next"].as_str() {
            Some(next) => after = encoded(next),
            None => break,
        }
    }
    let mut ids: Vec<String> = all().into_iter().map(|monitor| monitor.id).collect();
    ids.sort();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn monitors_are_chosen_by_name_tags_and_verdict() {
    let server = Server::new(Tables::default(), "{}").await;
    let count =
        async |query: &str| server.get(&format!("/api/v1/monitors?{query}"), &[]).await.json()["total"].as_u64();
    let expected = |is_wanted: fn(&Summary) -> bool| {
        Some(all().iter().filter(|monitor| !monitor.is_retired && is_wanted(monitor)).count() as u64)
    };
    assert_eq!(count("tag=team:web").await, expected(|it| it.tags["team"] == "web"));
    assert_eq!(
        count("tag=team:web&tag=zone:eu").await,
        expected(|it| it.tags["team"] == "web" && it.tags["zone"] == "eu")
    );
    assert_eq!(count("name=LOGIN").await, expected(|it| it.name.contains("login")));
    assert_eq!(
        count("verdict=down").await,
        expected(|it| it.state.verdict == crate::figures::looks::state::Verdict::Down)
    );
}

#[tokio::test]
async fn results_go_on_where_the_page_before_ended() {
    let server = Server::new(Tables::default(), "{}").await;
    let path = format!("/api/v1/monitors/{}/results?limit=7", all()[0].id);
    let first = server.get(&path, &[]).await.json();
    let next = first["next"].as_str().unwrap();
    assert_eq!((first["results"].as_array().unwrap().len(), &first["results"][6]["checked_at"]), (7, &json!(next)));
    let second = server.get(&format!("{path}&before={next}"), &[]).await.json();
    assert!(second["results"][0]["checked_at"].as_str().unwrap() < next);
    // No result has these times, and the database may not accept them.
    for before in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00Z"] {
        assert_eq!(server.get(&format!("{path}&before={before}"), &[]).await.status, 200, "{before}");
        let page = format!("/monitors/{}?before={before}", all()[0].id);
        assert_eq!(server.get(&page, &[]).await.status, 200, "{before}");
    }
}

#[test]
fn results_of_one_moment_stay_on_one_page() {
    let mut results = fixture::results(fixture::now());
    results[4].checked_at = results[5].checked_at;
    let page = |limit| serde_json::to_value(super::Results::page(&results[..=limit], limit)).unwrap();
    let length = |limit| page(limit)["results"].as_array().unwrap().len();
    assert_eq!((length(4), length(5), length(6)), (4, 4, 6));
    let all = serde_json::to_value(super::Results::page(&results, 500)).unwrap();
    assert_eq!((all["results"].as_array().unwrap().len(), &all["next"]), (results.len(), &Value::Null));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let server = Server::new(Tables::default(), "{}").await;
    let id = &all()[0].id;
    for (path, told) in [
        ("/api/v1/monitors?limit=0", "`limit` should be a whole number from 1 to 1000"),
        ("/api/v1/monitors?limit=a", "`limit` should be a whole number from 1 to 1000"),
        ("/api/v1/monitors?period=1y", "`period` should be 24h, 30d or 90d"),
        ("/api/v1/monitors?verdict=fine", "`verdict` should be one of down, partial, unknown, up"),
        ("/api/v1/monitors?retired=1", "`retired` should be true or false"),
        ("/api/v1/monitors?limit=5&limit=6", "`limit` stands there more than once"),
        ("/api/v1/monitors?lmiit=5", "there is no parameter `lmiit`"),
        ("/api/v1/agents?x", "there is no parameter `x`"),
        (&format!("/api/v1/monitors/{id}?limit=1"), "there is no parameter `limit`"),
        (
            &format!("/api/v1/monitors/{id}/results?before=soon"),
            "`before` should be a time such as 2026-11-27T10:00:00Z",
        ),
        ("/api/v1/monitors/%ff", "bad request"),
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(told)), "{path}");
    }
    for part in ["", "/uptime", "/outages", "/results"] {
        let answer = server.get(&format!("/api/v1/monitors/absent{part}"), &[]).await;
        assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("there is no monitor with that id")));
    }
    for path in ["/api/v1/nothing", "/api/v2/monitors", "/api/"] {
        assert_eq!(server.get(path, &[]).await.json()["error"], "there is nothing here");
    }
}
