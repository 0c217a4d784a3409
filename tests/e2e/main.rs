//! The real daemons on real servers, seen from outside. One module per question.

mod brokers;
mod changes;
mod crash;
mod delivery;
mod disk;
mod faults;
mod feed;
mod fleet;
mod forge;
mod hostile;
mod kills;
mod late;
mod offline_site;
mod outage;
mod proof;
mod rebalance;
mod refusal;
mod reload;
mod replay;
mod secrets;
mod security;
mod seen;
mod stack;
mod store;
mod torture;
mod truth;
