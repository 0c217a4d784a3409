//! Finds the ends of chains of runs, and from them the numbers that may still come and those that are given up.
//!
//! A run says with which number the run before it had ended, as its outbox knows it. So a chain of runs stands for an
//! outbox. The end of a chain is a run with a report that no later run knew of:
//!
//! ```text
//!    E1 ◀── E2 ◀── E3        E3 has the outbox
//!            ◀── B           B knows fewer numbers of E2 than E2 has reported: it began with an older copy, and E2 is an
//!                            end, too
//!    N                       N came after no epoch, or after an unknown one: it began without an outbox
//! ```
//! What waits at an end may still come, unless its agent is retired or runs without that outbox. An agent runs without
//! it when a run of the same agent began another chain, or began with an older copy of this one, and was first heard of
//! after the end was last heard of. When such an end is heard of again, two hosts have one name, and what waits at the
//! end may come again. The order of runs is the order in which the database heard of them. The ids of epochs and the
//! clocks of agents say nothing about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::ranges::Ranges;
use crate::store::EpochFacts;

static NOTHING: Ranges = Ranges::new();

/// The numbers of each epoch that may still come, and those that were given up. They may contain numbers that arrived.
#[derive(Debug, Default)]
pub(super) struct Ends {
    open: BTreeMap<Uuid, Ranges>,
    given_up: BTreeMap<Uuid, Ranges>,
}

impl Ends {
    pub(super) fn of(facts: &[EpochFacts]) -> Ends {
        let chains = Chains::of(facts);
        let mut ends = Ends::default();
        for end in facts.iter().filter(|fact| chains.is_end(fact)) {
            let of = if chains.is_given_up(end) { &mut ends.given_up } else { &mut ends.open };
            let mut leave = |epoch: Uuid, from: i64| {
                of.entry(epoch).or_default().extend(&Ranges::span(from, i64::MAX - 1));
            };
            leave(end.epoch, end.claimed + 1);
            let Some((oldest, seq)) = end.oldest_pending else { continue };
            for fact in chains.back_from(end) {
                if fact.epoch == oldest {
                    leave(fact.epoch, seq);
                    break;
                }
                leave(fact.epoch, 1);
            }
        }
        ends
    }

    /// Returns the numbers of an epoch that may still come.
    pub(super) fn open(&self, epoch: Uuid) -> &Ranges {
        self.open.get(&epoch).unwrap_or(&NOTHING)
    }

    /// Returns the numbers of an epoch that were in an outbox which is gone.
    pub(super) fn given_up(&self, epoch: Uuid) -> &Ranges {
        self.given_up.get(&epoch).unwrap_or(&NOTHING)
    }
}

struct Chains<'a> {
    by_epoch: HashMap<Uuid, &'a EpochFacts>,
    /// The runs that say that they came after an epoch.
    followers: HashMap<Uuid, Vec<&'a EpochFacts>>,
    /// The times when the database first heard of the runs with which the chains of an agent begin, latest first.
    begins: HashMap<&'a str, Vec<(i64, Uuid)>>,
}

impl<'a> Chains<'a> {
    fn of(facts: &'a [EpochFacts]) -> Chains<'a> {
        let by_epoch = facts.iter().map(|fact| (fact.epoch, fact)).collect();
        let mut chains = Chains { by_epoch, followers: HashMap::new(), begins: HashMap::new() };
        for fact in facts {
            if let Some((before, _)) = fact.previous {
                chains.followers.entry(before).or_default().push(fact);
            }
            if fact.report_seq.is_some() && chains.before(fact).is_none() {
                chains.begins.entry(&fact.agent).or_default().push((fact.heard.0, fact.epoch));
            }
        }
        chains.begins.values_mut().for_each(|begins| begins.sort_unstable_by(|one, other| other.cmp(one)));
        chains
    }

    /// Returns the run before, if something is known of it.
    fn before(&self, fact: &EpochFacts) -> Option<&'a EpochFacts> {
        let (epoch, _) = fact.previous?;
        self.by_epoch.get(&epoch).copied().filter(|before| before.report_seq.is_some())
    }

    /// Returns a run and those before it, as far as the tables have them.
    fn back_from(&self, end: &'a EpochFacts) -> impl Iterator<Item = &'a EpochFacts> {
        let mut walked = BTreeSet::new();
        let before = |fact: &&EpochFacts| fact.previous.and_then(|(epoch, _)| self.by_epoch.get(&epoch).copied());
        std::iter::successors(Some(end), before).take_while(move |fact| walked.insert(fact.epoch))
    }

    fn followers(&self, fact: &EpochFacts) -> impl Iterator<Item = (&'a EpochFacts, i64)> {
        let of = self.followers.get(&fact.epoch).into_iter().flatten();
        of.filter_map(|follower| Some((*follower, follower.previous?.1)))
    }

    /// Returns whether no later run knew of its latest report.
    fn is_end(&self, fact: &EpochFacts) -> bool {
        fact.report_seq.is_some_and(|seq| self.followers(fact).all(|(_, highest)| highest < seq))
    }

    /// Returns whether the agent of this end is retired, or runs without the outbox of this end.
    fn is_given_up(&self, end: &'a EpochFacts) -> bool {
        let last_heard = end.heard.1;
        let is_later = |first_heard: i64| first_heard > last_heard;
        let is_copied =
            || self.followers(end).any(|(follower, _)| follower.agent == end.agent && is_later(follower.heard.0));
        let begins = self.begins.get(end.agent.as_str());
        let mut later = begins.into_iter().flatten().take_while(|(first_heard, _)| is_later(*first_heard)).peekable();
        if later.peek().is_none() {
            return end.is_retired || is_copied();
        }
        let chain: BTreeSet<Uuid> = self.back_from(end).map(|fact| fact.epoch).collect();
        end.is_retired || is_copied() || later.any(|(_, epoch)| !chain.contains(epoch))
    }
}
