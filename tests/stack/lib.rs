//! The stack that tests and the demo run on: real servers, real daemons, and hands to break them.

pub mod directory;
pub mod eventually;
pub mod kafka;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod shared;
pub mod web;

pub use eventually::{eventually, within};
