//! Sites go down and come back while collectors are killed and started again. The test asks whether each change is
//! told.

use anyhow::{Context, Result, ensure};
use e2e::mail::Mail;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{HOOK, alerts, await_told, firing, hooked, resolved};

#[test]
fn a_site_that_goes_down_and_comes_back_is_told_twice_anyone_who_is_killed_or_started_again() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    let [shop, news] = ["/shop", "/news"];
    let agent = stack.agent().monitor("shop", stack.web.site(shop, Answer::ok("")));
    let agent = agent.monitor("news", stack.web.site(news, Answer::ok(""))).start()?;
    let email = json!({
        "host": "127.0.0.1", "port": mail.port(), "tls": "none", "from": "Monitor <monitor@example.org>",
        "to": ["ops@example.org", "boss@example.org"],
    });
    let receivers = json!([
        {"name": "hook", "webhook": {"url": stack.web.site(HOOK, Answer::status(204))}},
        {"name": "mail", "email": email},
    ]);
    let alerts = alerts(&stack.web, json!({"receivers": receivers}));
    let setup = || stack.collector().set("alerts", alerts.clone()).set("http.url", "https://status.example/");
    let (one, other) = (setup().start()?, setup().start()?);
    let both = [&one, &other];
    eventually("both sites are seen", || {
        let seen = stack.database.count("(select distinct monitor_id from website_monitor.results) monitors")?;
        ensure!(seen == 2, "{seen}");
        Ok(())
    });

    stack.web.site(shop, Answer::status(503));
    assert_eq!(await_told(&stack.web, 1, &both), [firing(&["shop"])]);
    // The test waits for the mark, because a collector that is killed between sending and marking may send twice.
    // Another test covers that.
    eventually("all that was sent is marked as such", || {
        let waiting = stack.database.count("website_monitor.notifications where sent_at is null")?;
        ensure!(waiting == 0, "{waiting}");
        Ok(())
    });
    one.kill();
    stack.web.site(shop, Answer::ok(""));
    assert_eq!(await_told(&stack.web, 2, &both), [firing(&["shop"]), resolved("shop")]);
    one.start()?;
    other.stop()?;
    other.start()?;
    stack.web.site(news, Answer::status(404));
    let all = [firing(&["shop"]), resolved("shop"), firing(&["news"])];
    assert_eq!(await_told(&stack.web, 3, &both), all);

    let request = &hooked(&stack.web)[0];
    let body: serde_json::Value = serde_json::from_slice(&request.body)?;
    assert_eq!((request.method.as_str(), &body["id"]), ("POST", &json!(request.headers["idempotency-key"])));
    let alert = &body["alerts"][0];
    assert_eq!(
        (&alert["rule"], &alert["verdict"], &alert["blame"]),
        (&"site down".into(), &"down".into(), &"target".into())
    );
    assert_eq!(alert["page"], "https://status.example/monitors/shop");
    let reason = alert["reason"].as_str().context("reason")?;
    assert!(reason.starts_with("status_mismatch: 503"), "{reason}");
    let letters = eventually("three mails to each", || {
        let letters = mail.letters();
        ensure!(letters.len() >= 6, "{letters:?}");
        Ok(letters)
    });
    for address in ["ops@example.org", "boss@example.org"] {
        assert_eq!(
            mail.subjects(address),
            ["FIRING: site down: shop", "RESOLVED: site down: shop", "FIRING: site down: news"],
            "{letters:?}"
        );
    }
    assert_eq!(letters[0].to.len(), 1);
    let named = letters[0].header("To").unwrap_or_default();
    assert!(named.contains("ops@example.org") && named.contains("boss@example.org"), "{named}");
    assert!(letters[0].text.contains("status_mismatch: 503"), "{letters:?}");
    agent.stop()?;
    Ok(())
}

#[test]
fn maintenance_is_told_nothing_of_until_it_ends() -> Result<()> {
    let stack = Stack::start()?;
    let agent = stack.agent().monitor("kept", stack.web.site("/kept", Answer::status(500)));
    let agent = agent.option("tags", json!({"team": "web", "tier": "1"}));
    let agent = agent.monitor("told", stack.web.site("/told", Answer::status(500))).start()?;
    let window = |until: Timestamp| {
        let from = Timestamp::now() - SignedDuration::from_hours(1);
        json!([{"from": from, "until": until, "monitors": {"tags": {"team": "web"}}, "reason": "a move"}])
    };
    let with = |until| alerts(&stack.web, json!({"maintenance": window(until)}));
    let setup = |until| stack.collector().set("alerts", with(until));
    let collector = setup(Timestamp::now() + SignedDuration::from_hours(1)).start()?;
    assert_eq!(await_told(&stack.web, 1, &[&collector]), [firing(&["told"])]);
    eventually("the other one is known, too", || {
        let rows = "website_monitor.alerts where subject = 'kept' and state = 'firing' and silenced = 'a move'";
        let count = stack.database.count(&format!("{rows} and told_at is null"))?;
        ensure!(count == 1, "{count}");
        Ok(())
    });
    collector.stop()?;

    let after = setup(Timestamp::now()).start()?;
    assert_eq!(await_told(&stack.web, 2, &[&after]), [firing(&["told"]), firing(&["kept"])]);
    agent.stop()?;
    Ok(())
}
