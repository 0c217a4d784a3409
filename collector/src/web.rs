//! The web server: what people and programs are shown over HTTP.
//!
//! ```text
//! PostgreSQL ──▶ Source ──▶ pages · API · badges · metrics ──▶ every client that access lets in
//! ```

mod api;
mod badge;
mod called;
pub mod failure;
#[cfg(test)]
pub(crate) mod fixture;
mod metrics;
pub mod pages;
pub mod request;
pub mod routes;
pub mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;

use crate::config::Public;
use snapshot::Snapshots;

/// The state that all handlers share.
#[derive(Clone)]
pub struct Site {
    /// The snapshots that can be shown.
    pub snapshots: Arc<Snapshots>,
    /// What everyone may see, under `/public`; none when they may see nothing.
    pub public: Option<Arc<Public>>,
}

/// The pages.
pub struct Pages {
    /// The pages for clients that may see everything.
    pub closed: Router<Site>,
    /// The pages for everyone: what is public, and the styles.
    pub open: Router<Site>,
}
