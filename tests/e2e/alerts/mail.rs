//! Collectors send mail to several addresses, and the mail server refuses some of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::mail::Mail;
use e2e::{Stack, eventually};
use serde_json::json;

use super::{alerts, fail};

const TO: [&str; 3] = ["boss@example.org", "ops@example.org", "third@example.org"];

/// Starts two collectors that send mail to three addresses through a mail server.
fn collectors(stack: &Stack, mail: &Mail) -> Result<[Collector; 2]> {
    collectors_for(stack, mail, &TO)
}

fn collectors_for(stack: &Stack, mail: &Mail, to: &[&str]) -> Result<[Collector; 2]> {
    let email = json!({"host": "127.0.0.1", "port": mail.port(), "tls": "none", "from": "m@example.org", "to": to});
    let alerts = alerts(&stack.web, json!({"receivers": [{"name": "mail", "email": email}]}));
    let start = || stack.collector().set("alerts", alerts.clone()).with_pages()?.start();
    Ok([start()?, start()?])
}

/// Returns the sum of this metric over both collectors.
fn counted(collectors: &[Collector; 2], metric: &str) -> Result<f64> {
    let told = |collector: &Collector| -> Result<f64> {
        let metrics = collector.get("/metrics")?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("website_monitor_{metric} ")));
        Ok(line.with_context(|| metrics.clone())?.parse()?)
    };
    collectors.iter().map(told).sum()
}

/// Waits until this number of messages meets the condition.
fn await_messages(stack: &Stack, collectors: &[Collector; 2], count: u64, condition: &str) {
    eventually(condition, || {
        let messages = stack.database.count(&format!("website_monitor.notifications where {condition}"))?;
        ensure!(messages == count, "{messages}\n{}\n{}", collectors[0].log(), collectors[1].log());
        Ok(())
    });
}

fn down(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("FIRING: site down: {name}")).collect()
}

#[test]
fn an_address_that_is_refused_for_good_is_told_of_and_the_others_have_each_mail_once() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    let gone = TO[0];
    mail.refuse(gone, Some("550 5.1.1 no such user"));
    let collectors = collectors(&stack, &mail)?;
    for (told, name) in (1..).zip(["shop", "news"]) {
        fail(&stack, name)?;
        let is_refused = format!("given_up_at is not null and address = '{gone}' and last_error like '%no such user'");
        await_messages(&stack, &collectors, told, &is_refused);
        await_messages(&stack, &collectors, 2 * told, "sent_at is not null and last_error is null");
    }
    assert_eq!(stack.database.count("website_monitor.notifications")?, 6);
    for address in &TO[1..] {
        assert_eq!(mail.subjects(address), down(&["shop", "news"]), "{address}");
    }
    assert_eq!(mail.letters().len(), 4);
    let logs = collectors.iter().map(|collector| collector.log()).collect::<String>();
    let said = logs.lines().filter(|line| line.contains("gave up telling a receiver") && line.contains(gone));
    assert_eq!(said.count(), 2, "{logs}");

    assert_eq!(counted(&collectors, "notifications_given_up_total")?, 2.0);
    let [tried, failed] = ["notifications_total", "notifications_failed_total"]
        .map(|metric| counted(&collectors, &format!("{metric}{{integration=\"email\"}}")));
    assert_eq!(tried? - failed?, 4.0, "{logs}");
    assert!(counted(&collectors, "rule_group_last_evaluation_timestamp_seconds")? > 0.0);
    eventually("each tells how alerts stand", || {
        let [firing, waiting] =
            ["alerts{state=\"firing\"}", "notifications_waiting"].map(|metric| counted(&collectors, metric));
        let told = (firing?, waiting?);
        ensure!(told == (4.0, 0.0), "{told:?}");
        Ok(())
    });
    Ok(())
}

#[test]
fn an_address_that_is_put_off_is_told_later_in_order_and_holds_up_no_one_else() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    let busy = TO[2];
    mail.refuse(busy, Some("451 4.3.0 come again"));
    let collectors = collectors(&stack, &mail)?;
    fail(&stack, "shop")?;
    await_messages(&stack, &collectors, 1, "sent_at is null and last_error like '%come again'");
    // The message is changed as if it had been tried for a long time.
    stack.database.execute(
        "update website_monitor.notifications set not_before = now() + interval '1 hour' where last_error is not null",
    )?;
    fail(&stack, "news")?;
    await_messages(&stack, &collectors, 4, "sent_at is not null");
    await_messages(&stack, &collectors, 1, &format!("address = '{busy}' and attempts = 0"));

    mail.refuse(busy, None);
    stack.database.execute("update website_monitor.notifications set not_before = now() where sent_at is null")?;
    await_messages(&stack, &collectors, 6, "sent_at is not null");
    for address in TO {
        assert_eq!(mail.subjects(address), down(&["shop", "news"]), "{address}");
    }
    Ok(())
}

#[test]
fn a_refusal_for_good_that_no_one_escapes_is_not_the_addresses_and_is_tried_again() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    TO.iter().for_each(|address| mail.refuse(address, Some("550 5.7.1 relaying denied")));
    let collectors = collectors(&stack, &mail)?;
    fail(&stack, "shop")?;
    await_messages(&stack, &collectors, 3, "sent_at is null and given_up_at is null and last_error is not null");
    TO.iter().for_each(|address| mail.refuse(address, None));
    await_messages(&stack, &collectors, 3, "sent_at is not null");
    for address in TO {
        assert_eq!(mail.subjects(address), down(&["shop"]), "{address}");
    }
    Ok(())
}

#[test]
fn a_server_that_takes_its_time_over_a_mail_is_handed_it_once_and_then_the_next_one() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    // The server takes longer than a claim lasts that is not renewed.
    mail.take_slowly(Duration::from_secs(40));
    let collectors = collectors_for(&stack, &mail, &TO[..1])?;
    fail(&stack, "shop")?;
    eventually("the server has the mail", || {
        ensure!(mail.letters().len() == 1, "{}", collectors[0].log());
        Ok(())
    });
    mail.take_slowly(Duration::ZERO);
    fail(&stack, "news")?;
    await_messages(&stack, &collectors, 2, "sent_at is not null and attempts = 1");
    assert_eq!(mail.subjects(TO[0]), down(&["shop", "news"]));
    Ok(())
}
