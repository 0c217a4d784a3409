//! The test asks whether functions and views are installed with each migration, and at no other time.

use anyhow::Result;
use e2e::Stack;

#[test]
fn functions_are_installed_again_with_a_migration_and_only_then() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().build()?;
    let migrate = || -> Result<u64> {
        assert_eq!(collector.command(&["migrate"])?.code(), Some(0));
        stack.database.count(
            "pg_proc where pronamespace = 'website_monitor'::regnamespace and proname in ('outages', 'schedule_spans')",
        )
    };
    assert_eq!(migrate()?, 2);
    stack.database.execute("drop function website_monitor.outages")?;
    assert_eq!(migrate()?, 1, "a collector of an earlier version would install its own");
    stack.database.execute(
        "delete from website_monitor.__diesel_schema_migrations
         where version = (select max(version) from website_monitor.__diesel_schema_migrations)",
    )?;
    assert_eq!(migrate()?, 2);
    Ok(())
}
