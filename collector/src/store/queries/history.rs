//! What happened in a stretch of time: counts by hour or day, outages, incidents and response times.

pub(super) mod bars;
pub(super) mod incidents;
mod outages;
pub(super) mod response_times;
pub(super) mod summaries;
mod windows;
