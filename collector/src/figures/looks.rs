//! What agents see of a monitor now, and what that says about the monitor.
//!
//! A `look` is the latest result of one agent. An `observation` compares it with those of the other agents, and the `state`
//! is the verdict over all of them. `runs` and `clock` say which looks count: those of an agent's last run, by its own clock.

pub mod clock;
pub mod look;
pub mod observation;
pub mod runs;
pub mod state;
