//! The JSON Schema of the configuration, for editors.

use serde_json::Value;
use settings::Schema;

use super::load::read_root;
use super::monitor::Own;

/// The schema of the main file. An included file is its list `monitors`, or a mapping with it.
pub fn schema() -> Value {
    let mut schema = Schema::default();
    schema.learn("{}", read_root);
    schema.items("monitors").learn("{}", |entry| Own::read(entry, None));
    schema.to_json("The configuration of website-monitor-agent")
}
