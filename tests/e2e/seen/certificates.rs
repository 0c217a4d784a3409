//! A site's certificate relies on a certificate that ends earlier. The test asks which ends are stored and shown.

use super::*;

#[test]
fn both_ends_of_a_chain_are_stored_and_the_earlier_one_is_what_people_and_programs_are_warned_of() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let now = Timestamp::now().duration_since(begin()).as_mins();
    let days = |days: i64| begin() + SignedDuration::from_hours(24 * days);
    let (own, first) = (days(90), days(5));
    let mut run = Run::start("a", now - 2);
    run.checks(now - 2..now, |_| "success");
    let certificate = json!({"not_after": own, "subject": "CN=shop", "issuer": "CN=Middle", "first_end": first});
    if let Some(latest) = run.records.last_mut() {
        latest["certificate"] = certificate;
    }
    run.send(&stack, ..)?;
    await_consumed(&stack, &collector);

    let rows: Vec<Value> = stack.database.rows(
        "select extract(epoch from certificate_not_after)::bigint as own, \
         extract(epoch from certificate_first_end)::bigint as first \
         from website_monitor.results where certificate_not_after is not null",
    )?;
    assert_eq!(rows, [json!({"own": own.as_second(), "first": first.as_second()})]);
    let shop = eventually("the latest result is told", || {
        let shop = api(&collector, "monitors/shop")?["monitor"].clone();
        ensure!(!shop["certificate_first_end"].is_null(), "{shop}");
        Ok(shop)
    });
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    assert_eq!(time(&shop["certificate_not_after"]), Some(own), "{shop}");
    assert_eq!(time(&shop["certificate_first_end"]), Some(first), "{shop}");
    assert_eq!(time(&shop["latest"][0]["certificate_first_end"]), Some(first), "{shop}");
    let results = api(&collector, "monitors/shop/results")?;
    assert_eq!(time(&results["results"][0]["certificate_first_end"]), Some(first), "{results}");

    let told = format!("probe_ssl_earliest_cert_expiry{{monitor=\"shop\"}} {}", first.as_second());
    let metrics = collector.get("/metrics")?;
    assert!(metrics.contains(&told), "{metrics}");
    let page = collector.get("/monitors/shop")?;
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let note = format!("to {}; its own to {}, but it rests on another", day(first), day(own));
    assert!(page.contains(&note), "{page}");
    Ok(())
}
