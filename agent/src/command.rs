//! The commands beside `run`: each writes to the stream that it is given and returns the exit code.

pub mod check_config;
