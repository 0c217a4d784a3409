//! What all that speaks to PostgreSQL needs: sessions and what each is set to, errors by what is to be done about them, and
//! values as the database has them.

pub(super) mod buckets;
pub(super) mod connections;
pub(super) mod error;
pub(super) mod migrate;
pub(super) mod multirange;
pub(super) mod outcomes;
mod pooler;
mod rights;
pub(super) mod time;
