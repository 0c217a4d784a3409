//! The compose file: what it says, as Compose reads it. Its images of Kafka and PostgreSQL come from a registry, so that
//! it is not started here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::process::Process;
use serde_yaml::Value;

const BOUND: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs Compose: ./dev test-image"]
fn compose_reads_the_file_and_finds_no_password_in_it() -> Result<()> {
    let mut command = Command::new("docker-compose");
    command.arg("-f").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/compose.yaml")).arg("config");
    let ended = Process::run("docker-compose", command, BOUND)?;
    ensure!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    let read: Value = serde_yaml::from_str(&ended.stdout)?;
    for name in ["agent", "collector"] {
        let service = &read["services"][name];
        ensure!(service["read_only"] == true && service["cap_drop"][0] == "ALL", "{name}: {service:?}");
    }
    for name in ["agent", "collector", "kafka", "postgres"] {
        for (variable, value) in read["services"][name]["environment"].as_mapping().into_iter().flatten() {
            let variable = variable.as_str().unwrap_or_default();
            ensure!(!variable.contains("PASSWORD") || variable.ends_with("_FILE"), "{name}: {variable}: {value:?}");
        }
    }
    ensure!(read["secrets"]["database-password"]["file"].is_string(), "{:?}", read["secrets"]);
    Ok(())
}
