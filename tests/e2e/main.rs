//! The end-to-end tests. They run the real daemons on real servers and look at them from outside only.
//! Each module answers one question.

mod alerts;
mod brokers;
mod browser;
mod changes;
mod crash;
mod delivery;
mod disk;
mod documents;
mod faults;
mod feed;
mod fleet;
mod forge;
mod hostile;
mod kills;
mod late;
mod offline_site;
mod outage;
mod printed;
mod proof;
mod reasons;
mod rebalance;
mod refusal;
mod reload;
mod replay;
mod said_again;
mod secrets;
mod security;
mod seen;
mod set_back;
mod shown;
mod stack;
mod store;
mod topics;
mod torture;
mod truth;
