//! Receivers refuse messages, and collectors are killed while they send messages.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::web::Answer;
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{HOOK, alerts, await_told, check, fail, firing, hooked, send, start};

#[test]
fn a_receiver_that_refuses_is_told_again_until_it_takes_the_message_once() -> Result<()> {
    let stack = Stack::start()?;
    let hostile = "\"}<script>\r\nX: y\u{202e}{{text}}";
    fail(&stack, hostile)?;
    let template = json!({"text": "{{summary}}", "blocks": [{"of": "{{subject}}", "key": 7}]});
    let webhook = json!({
        "url": stack.web.site(HOOK, Answer::status(500)), "template": template, "headers": {"X-Key": "s3cret"},
    });
    let alerts = alerts(&stack.web, json!({"receivers": [{"name": "hook", "webhook": webhook}]}));
    stack.web.site(HOOK, Answer::status(500));
    let collector = stack.collector().set("alerts", alerts).start()?;
    eventually("it is refused twice", || {
        let count = stack.web.count(HOOK);
        ensure!(count >= 2, "{count}\n{}", collector.log());
        Ok(())
    });
    let failed = "sent_at is null and last_error = 'it answered 500 Internal Server Error'";
    assert_eq!(stack.database.count(&format!("website_monitor.notifications where {failed}"))?, 1);
    stack.web.site(HOOK, Answer::status(204));
    #[derive(Deserialize)]
    struct Sent {
        attempts: usize,
    }
    let sent = eventually("it is told", || {
        let sent: Vec<Sent> =
            stack.database.rows("select attempts from website_monitor.notifications where sent_at is not null")?;
        ensure!(sent.len() == 1, "{}", collector.log());
        Ok(sent)
    });
    let requests = hooked(&stack.web);
    assert_eq!(requests.len(), sent[0].attempts, "each attempt is one request, and none came after the last");
    let keys: BTreeSet<_> = requests.iter().map(|request| &request.headers["idempotency-key"]).collect();
    assert_eq!((keys.len(), requests[0].headers["x-key"].as_str()), (1, "s3cret"));
    let body: Value = serde_json::from_slice(&requests[0].body)?;
    assert_eq!(body["text"], "FIRING: site down: \"}<script>\\r\\nX: y\\u{202e}{{text}}");
    assert_eq!(body["blocks"][0], json!({"of": "\"}<script>\\r\\nX: y\\u{202e}{{text}}", "key": 7}));
    assert!(!collector.log().contains("s3cret"), "{}", collector.log());
    Ok(())
}

#[test]
fn a_message_whose_sender_was_killed_is_told_by_another_collector_under_the_same_key() -> Result<()> {
    let stack = Stack::start()?;
    let alerts = alerts(&stack.web, json!({}));
    stack.web.site(HOOK, Answer::status(204).after(Duration::from_secs(9)));
    let setup = || stack.collector().set("alerts", alerts.clone());
    let collectors = [setup().start()?, setup().start()?];
    fail(&stack, "shop")?;
    #[derive(Deserialize)]
    struct Claim {
        claimed_by: String,
    }
    let claim = eventually("one of them sends it", || {
        let claims: Vec<Claim> =
            stack.database.rows("select claimed_by from website_monitor.notifications where claimed_by is not null")?;
        ensure!(stack.web.count(HOOK) == 1, "{}", collectors[0].log());
        claims.into_iter().next().context("no one claimed it")
    });
    let id: u32 = claim.claimed_by.split(':').nth(1).context("its process id")?.parse()?;
    let sender = collectors.iter().find(|collector| collector.id() == Some(id)).context("the sender")?;
    sender.kill();
    stack.web.site(HOOK, Answer::status(204));
    // The claim is changed as if its time were over.
    stack.database.execute("update website_monitor.notifications set claimed_until = now()")?;
    eventually("the other one has sent it", || {
        let sent = stack.database.count("website_monitor.notifications where sent_at is not null and attempts = 2")?;
        ensure!(sent == 1, "{} {}", collectors[0].log(), collectors[1].log());
        Ok(())
    });
    let requests = hooked(&stack.web);
    let keys: BTreeSet<_> = requests.iter().map(|request| &request.headers["idempotency-key"]).collect();
    assert_eq!((requests.len(), keys.len()), (2, 1), "{requests:?}");
    Ok(())
}

#[test]
fn what_a_receiver_refuses_holds_up_what_follows_until_it_is_given_up() -> Result<()> {
    let stack = Stack::start()?;
    let alerts = alerts(&stack.web, json!({}));
    stack.web.site(HOOK, Answer::status(500));
    let collector = stack.collector().set("alerts", alerts).start()?;
    let waits = |condition: &str| {
        eventually("messages wait", || {
            let waiting = format!("website_monitor.notifications where sent_at is null and {condition}");
            ensure!(stack.database.count(&waiting)? == 1, "{condition}: {}", collector.log());
            Ok(())
        });
    };
    fail(&stack, "old")?;
    waits("last_error is not null");
    let put_off = || {
        // The message is changed as if it had been tried for a long time.
        let later = "set attempts = 99, not_before = now() + interval '1 hour' where sent_at is null";
        stack.database.execute(&format!("update website_monitor.notifications {later}"))
    };
    put_off()?;
    fail(&stack, "held")?;
    waits("attempts = 0");
    stack.web.site(HOOK, Answer::status(204));
    let refused = hooked(&stack.web).len();
    stack.database.execute("update website_monitor.notifications set not_before = now() where sent_at is null")?;
    let told = await_told(&stack.web, refused + 2, &[&collector]);
    assert_eq!(told[refused..], [firing(&["old"]), firing(&["held"])]);

    stack.web.site(HOOK, Answer::status(500));
    fail(&stack, "lost")?;
    waits("last_error is not null");
    put_off()?;
    fail(&stack, "next")?;
    waits("attempts = 0");
    stack.web.site(HOOK, Answer::status(204));
    let refused = hooked(&stack.web).len();
    // The message is changed as if it had been tried for a day.
    stack.database.execute(
        "update website_monitor.notifications set created_at = now() - interval '25 hours'
         where last_error is not null and sent_at is null",
    )?;
    let told = await_told(&stack.web, refused + 1, &[&collector]);
    assert_eq!(told[refused..], [firing(&["next"])]);
    assert_eq!(stack.database.count("website_monitor.notifications where given_up_at is not null")?, 1);
    assert_eq!(collector.log().matches("gave up telling a receiver").count(), 1, "{}", collector.log());
    Ok(())
}

#[test]
fn what_begins_and_ends_while_a_message_waits_for_more_is_never_told() -> Result<()> {
    let stack = Stack::start()?;
    let alerts = alerts(&stack.web, json!({"group_wait": "1h"}));
    let collector = stack.collector().set("alerts", alerts).start()?;
    let (epoch, now) = (Uuid::new_v4(), Timestamp::now());
    let earlier = now - SignedDuration::from_secs(60);
    let both = ["shop", "news"].map(str::to_owned);
    let failing = |seq, name, at| check(epoch, seq, name, at, "timeout");
    send(&stack, &[start(epoch, &both), failing(2, "shop", earlier), failing(3, "shop", now)])?;
    let waits = |items: usize| {
        eventually("the message tells of this many", || {
            let told = format!("website_monitor.notifications where jsonb_array_length(payload -> 'items') = {items}");
            ensure!(stack.database.count(&told)? == 1, "{items}: {}", collector.log());
            Ok(())
        });
    };
    waits(1);
    send(&stack, &[failing(4, "news", earlier), failing(5, "news", now)])?;
    waits(2);
    send(&stack, &[check(epoch, 6, "shop", Timestamp::now(), "success")])?;
    waits(1);
    // `alerts list` says of an alert that no collector evaluates it any more.
    collector.stop()?;
    stack.database.execute("update website_monitor.alerts set judged_at = now() - interval '1 hour'")?;
    let ended = collector.command(&["alerts", "list"])?;
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("news") && ended.stdout.contains("[no collector has looked since "),
        "{}",
        ended.stdout
    );
    collector.start()?;
    send(&stack, &[check(epoch, 7, "news", Timestamp::now(), "success")])?;
    eventually("nothing is left to be told", || {
        ensure!(stack.database.count("website_monitor.notifications")? == 0, "{}", collector.log());
        Ok(())
    });
    Ok(())
}

#[test]
fn a_message_that_is_too_long_is_told_shorter_and_one_that_is_refused_for_good_holds_up_nothing() -> Result<()> {
    let stack = Stack::start()?;
    let alerts = alerts(&stack.web, json!({}));
    stack.web.site(HOOK, Answer::status(400));
    let collector = stack.collector().set("alerts", alerts).with_pages()?.start()?;
    let name = "shop ".repeat(50);
    fail(&stack, &name)?;
    eventually("it is given up at once", || {
        let refused =
            "given_up_at is not null and attempts = 1 and last_error like 'it answered 400 Bad Request, and %'";
        let given_up = stack.database.count(&format!("website_monitor.notifications where {refused}"))?;
        ensure!(given_up == 1, "{}", collector.log());
        Ok(())
    });
    let [whole, short] = &hooked(&stack.web)[..] else { panic!("it is told twice: {:?}", hooked(&stack.web)) };
    assert!(short.body.len() < whole.body.len());
    assert_eq!(short.headers["idempotency-key"], whole.headers["idempotency-key"]);
    assert!(collector.log().contains("gave up telling a receiver"), "{}", collector.log());
    let given_up = "\nwebsite_monitor_notifications_given_up_total 1\n";
    assert!(collector.get("/metrics")?.contains(given_up), "{}", collector.get("/metrics")?);

    stack.web.site(HOOK, Answer::status(204));
    fail(&stack, "next")?;
    let told = await_told(&stack.web, 3, &[&collector]);
    assert_eq!(told[2..], [firing(&["next"])]);

    // A message counts as sent when the receiver takes only its shorter form.
    let between = (short.body.len() + whole.body.len()) / 2;
    stack.web.site(HOOK, Answer::status(204).at_most(between));
    let name = "mail ".repeat(50);
    fail(&stack, &name)?;
    eventually("it is told in the second form", || {
        let sent = "sent_at is not null and last_error is null and payload::text like '%mail mail%'";
        let sent = stack.database.count(&format!("website_monitor.notifications where {sent}"))?;
        ensure!(sent == 1, "{}", collector.log());
        Ok(())
    });
    assert_eq!(hooked(&stack.web).len(), 5);
    assert!(collector.log().contains("only in a shorter form"), "{}", collector.log());
    assert!(collector.get("/metrics")?.contains(given_up), "{}", collector.get("/metrics")?);
    Ok(())
}
