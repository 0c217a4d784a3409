//! What every kind of check needs of the network, from the name to the encrypted connection, within one deadline.
//!
//! A name is looked up (`resolve`), its addresses are raced for a connection (`socket`), and the connection is encrypted and
//! its certificate examined (`tls`). Each step leaves its time and what it found in the `trace`.

pub(super) mod deadline;
pub(super) mod resolve;
pub(super) mod socket;
pub(super) mod tls;
pub(super) mod trace;
