//! What hosts are given: the packages in a booted Debian, from the first `apt install` to the last purge, and the
//! images in a Docker engine, from container to container.
//!
//! Each is the steps of one life, functions in `life` and in `image`, and each builds upon the one before. As root, by
//! `./dev test-hosts` and `./dev test-image`; an ordinary `cargo test` passes by.

mod compose;
mod container;
mod debian;
mod engine;
mod fleet;
mod host;
mod image;
mod life;
mod machine;
mod names;
mod packages;
mod site;

use anyhow::Result;
use host::Host;

#[test]
#[ignore = "boots a machine, as root: ./dev test-hosts"]
fn a_host_loses_nothing_from_installation_to_purge() -> Result<()> {
    let host = Host::boot()?;
    host.installs_with_what_it_depends_on()?;
    host.says_what_an_unfilled_configuration_lacks_and_does_not_try_again()?;
    host.runs_with_what_is_filled_in()?;
    host.works_in_its_sandbox()?;
    host.opens_its_sandbox_to_a_command_by_a_drop_in()?;
    host.takes_over_a_sound_file_and_refuses_a_faulty_one()?;
    host.comes_back_after_kill()?;
    host.is_started_again_by_the_watchdog_when_it_hangs()?;
    host.is_upgraded_with_a_backlog_and_without_kafka()?;
    host.sends_the_backlog_once()?;
    host.refuses_an_outbox_of_a_later_version()?;
    host.goes_back_to_the_earlier_package()?;
    host.keeps_the_outbox_when_removed_and_nothing_when_purged()?;
    host.is_installed_again()
}
