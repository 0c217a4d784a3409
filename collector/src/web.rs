//! What people and programs are shown over HTTP.
//!
//! ```text
//! PostgreSQL ──▶ Source ──▶ pages · API · badges · metrics ──▶ anyone who asks, if access lets them
//! ```

pub mod access;
mod api;
mod badge;
mod called;
pub mod failure;
mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod guard;
mod metrics;
pub mod pages;
mod paging;
mod parameters;
pub mod routes;
pub mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;

use crate::config::Public;
use snapshot::Snapshots;

/// What all handlers share.
#[derive(Clone)]
pub struct Site {
    /// What there is to show.
    pub snapshots: Arc<Snapshots>,
    /// What of it anybody may see, under `/public`; none: nothing.
    pub public: Option<Arc<Public>>,
}

/// The pages.
pub struct Pages {
    /// Those that anyone who may see all of it gets.
    pub closed: Router<Site>,
    /// Those that anybody gets: what is public, styles.
    pub open: Router<Site>,
}
