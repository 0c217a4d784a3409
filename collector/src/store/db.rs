//! Has what every module that uses PostgreSQL needs: sessions and their settings, errors sorted by what is to be done
//! about them, and values in the form that the database uses.

pub(super) mod buckets;
pub(super) mod connections;
pub(super) mod error;
pub(super) mod migrate;
pub(super) mod multirange;
pub(super) mod outcomes;
mod pooler;
mod rights;
pub(super) mod time;
