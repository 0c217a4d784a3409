use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn prove(facts: &[EpochFacts]) -> Proof {
    super::prove(facts, 0)
}

fn epoch(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Returns an epoch whose results have these numbers, and whose reports said nothing.
fn seen(number: u128, arrived: &[(i64, i64)]) -> EpochFacts {
    let arrived = arrived.iter().map(|(first, last)| (*first, last + 1)).collect();
    let arrived = Ranges::from_parts(arrived);
    EpochFacts {
        epoch: epoch(number),
        agent: "a".into(),
        rows: arrived.clone(),
        accounted: arrived,
        ..EpochFacts::default()
    }
}

fn said(fact: EpochFacts, claimed: i64, oldest_pending: Option<(u128, i64)>) -> EpochFacts {
    let oldest_pending = oldest_pending.map(|(number, seq)| (epoch(number), seq));
    EpochFacts { report_seq: Some(claimed + 1), claimed, oldest_pending, ..fact }
}

fn after(previous: u128, fact: EpochFacts) -> EpochFacts {
    EpochFacts { previous: Some((epoch(previous), i64::MAX)), ..fact }
}

/// Returns the facts with the times at which the database heard of the epoch first and last.
fn heard(first: i64, last: i64, fact: EpochFacts) -> EpochFacts {
    EpochFacts { heard: (first, last), ..fact }
}

/// Returns the counts: issued, stored, dropped, rejected, pending, missing.
fn counts(account: &Account) -> [i64; 6] {
    let Counts { issued, stored, dropped, rejected, pending, missing } = account.counts;
    assert_eq!(issued, stored + dropped + rejected + pending + missing, "every number is exactly one thing");
    [issued, stored, dropped, rejected, pending, missing]
}

#[test]
fn a_dense_epoch_is_stored_to_its_end() {
    let proof = prove(&[said(seen(1, &[(1, 10)]), 9, None)]);
    assert_eq!(counts(&proof.accounts[0]), [10, 10, 0, 0, 0, 0]);
    assert!(proof.holds());
}

#[test]
fn a_hole_is_missing_when_the_agent_has_nothing_pending() {
    let proof = prove(&[said(seen(1, &[(1, 3), (6, 10)]), 9, None)]);
    assert_eq!(counts(&proof.accounts[0]), [10, 8, 0, 0, 0, 2]);
    assert_eq!(proof.accounts[0].missing_ranges, [[4, 5]]);
    assert!(!proof.holds());
}

#[test]
fn a_hole_is_pending_from_the_oldest_record_that_waits_and_missing_before_it() {
    let proof = prove(&[said(seen(1, &[(1, 3), (5, 5), (8, 10)]), 12, Some((1, 6)))]);
    assert_eq!(counts(&proof.accounts[0]), [12, 7, 0, 0, 4, 1]);
    assert_eq!(proof.accounts[0].missing_ranges, [[4, 4]]);
}

#[test]
fn what_was_issued_after_the_latest_report_may_still_come() {
    let proof = prove(&[said(seen(1, &[(1, 10), (15, 15)]), 10, None)]);
    assert_eq!(counts(&proof.accounts[0]), [15, 11, 0, 0, 4, 0]);
}

#[test]
fn the_next_epochs_word_shows_a_lost_tail() {
    let lost = said(seen(1, &[(1, 10)]), 20, None);
    let proof = prove(&[lost, after(1, said(seen(2, &[(1, 5)]), 4, None))]);
    assert_eq!(counts(&proof.accounts[0]), [20, 10, 0, 0, 0, 10]);
    assert!(proof.accounts[0].closed && !proof.accounts[1].closed);
}

#[test]
fn a_tail_that_waits_in_the_outbox_of_the_next_epoch_is_pending() {
    let waiting = said(seen(1, &[(1, 10)]), 20, None);
    let proof = prove(&[waiting, after(1, said(seen(2, &[]), 3, Some((1, 15))))]);
    assert_eq!(counts(&proof.accounts[0]), [20, 10, 0, 0, 6, 4]);
    assert_eq!(counts(&proof.accounts[1]), [3, 0, 0, 0, 3, 0]);
}

#[test]
fn an_epoch_of_which_nothing_arrived_is_missing_as_a_whole() {
    let lost = EpochFacts { claimed: 7, ..seen(1, &[]) };
    let proof = prove(&[lost, after(1, said(seen(2, &[(1, 1)]), 0, None))]);
    assert_eq!(counts(&proof.accounts[0]), [7, 0, 0, 0, 0, 7]);
}

#[test]
fn what_arrived_although_it_was_declared_dropped_counts_as_stored() {
    let fact = EpochFacts { dropped: Ranges::span(3, 6), ..said(seen(1, &[(1, 4), (7, 8)]), 7, None) };
    assert_eq!(counts(&prove(&[fact]).accounts[0]), [8, 6, 2, 0, 0, 0]);
}

#[test]
fn what_was_set_aside_has_no_row_and_is_not_missing() {
    let mut fact = said(seen(1, &[(1, 4)]), 6, None);
    fact.accounted = Ranges::span(1, 7);
    fact.rejected = Ranges::span(5, 6);
    fact.notices = Ranges::span(7, 7);
    assert_eq!(counts(&prove(&[fact]).accounts[0]), [7, 5, 0, 2, 0, 0]);
}

#[test]
fn a_row_that_is_gone_is_missing_even_when_the_agent_has_all_pending() {
    let mut fact = said(seen(1, &[(1, 10)]), 10, Some((1, 1)));
    fact.rows = Ranges::span(1, 6);
    let proof = prove(std::slice::from_ref(&fact));
    assert_eq!(counts(&proof.accounts[0]), [10, 6, 0, 0, 0, 4]);
    fact.expired = Ranges::span(7, 9);
    assert_eq!(counts(&prove(&[fact]).accounts[0]), [10, 9, 0, 0, 0, 1]);
}

#[test]
fn a_number_beyond_a_clean_stop_speaks_for_itself_alone() {
    const FORGED: i64 = 1 << 60;
    let fact = EpochFacts { stopped_at: Some(11), ..said(seen(1, &[(1, 11), (FORGED, FORGED)]), 10, None) };
    let proof = prove(std::slice::from_ref(&fact));
    assert_eq!(counts(&proof.accounts[0]), [12, 12, 0, 0, 0, 0]);
    assert!(proof.holds() && proof.accounts[0].closed);
    let more_was_issued = EpochFacts { claimed: 14, ..fact };
    let proof = prove(&[more_was_issued, after(1, said(seen(2, &[(1, 1)]), 0, None))]);
    assert_eq!(counts(&proof.accounts[0]), [15, 12, 0, 0, 0, 3]);
}

#[test]
fn two_epochs_after_one_are_a_fork_and_either_outbox_may_still_send() {
    let root = said(seen(1, &[(1, 5)]), 10, None);
    let left = after(1, said(seen(2, &[(1, 1)]), 0, None));
    let right = after(1, said(seen(3, &[(1, 1)]), 0, Some((1, 8))));
    let proof = prove(&[root, left, right]);
    assert!(proof.accounts[0].forked && !proof.accounts[1].forked);
    assert_eq!(counts(&proof.accounts[0]), [10, 5, 0, 0, 3, 2]);
}

/// Returns the facts of twenty numbers: five arrived, and five more were acknowledged and lost. The rest waited at the
/// time of number 2.
fn held() -> EpochFacts {
    heard(1, 2, said(seen(1, &[(1, 5)]), 20, Some((1, 11))))
}

fn pending_and_given_up(facts: &[EpochFacts]) -> (i64, i64) {
    let proof = prove(facts);
    let account = &proof.accounts[0];
    counts(account);
    assert_eq!((account.counts.stored, account.given_up), (5, proof.given_up));
    (account.counts.pending, account.given_up)
}

#[test]
fn what_an_outbox_held_that_is_gone_is_given_up_once_its_agent_runs_without_it() {
    assert_eq!(pending_and_given_up(&[held()]), (10, 0));
    let without = heard(3, 4, said(seen(2, &[(1, 3)]), 2, None));
    let proof = prove(&[held(), without.clone()]);
    assert_eq!(counts(&proof.accounts[0]), [20, 5, 0, 0, 0, 15]);
    assert_eq!(
        (&proof.accounts[0].missing_ranges[..], &proof.accounts[0].given_up_ranges[..]),
        (&[[6, 20]][..], &[[11, 20]][..])
    );
    assert!(!proof.holds());
    assert!(proof.to_string().contains("  given up of these: 11-20 ("), "{proof}");
    let of_another = EpochFacts { agent: "b".into(), ..without.clone() };
    assert_eq!(pending_and_given_up(&[held(), of_another]), (10, 0));
    let after_one_unknown = EpochFacts { previous: Some((epoch(9), 7)), ..without.clone() };
    assert_eq!(pending_and_given_up(&[held(), after_one_unknown, seen(9, &[])]), (0, 10));
    let unheard = EpochFacts { report_seq: None, ..without.clone() };
    assert_eq!(pending_and_given_up(&[held(), unheard]), (10, 0), "only a report says what came before");
    // The outbox was wiped, and its whole chain is gone.
    let next = heard(2, 2, after(1, said(seen(3, &[(1, 1)]), 1, Some((1, 11)))));
    assert_eq!(pending_and_given_up(&[held(), next.clone(), without.clone()]), (0, 10));
    let chain = [held(), heard(2, 5, next), without];
    assert_eq!(pending_and_given_up(&chain), (10, 0), "the chain goes on on another host");
}

#[test]
fn an_end_that_is_heard_of_again_may_still_send_what_it_holds() {
    let clone = |first, last| heard(first, last, said(seen(2, &[(1, 3)]), 2, None));
    assert_eq!(pending_and_given_up(&[held(), clone(3, 9)]), (0, 10));
    assert_eq!(pending_and_given_up(&[heard(1, 4, held()), clone(3, 9)]), (10, 0));
    assert_eq!(pending_and_given_up(&[heard(1, 4, held()), clone(3, 9), heard(5, 5, clone(0, 0))]), (0, 10));
    // The run that begins a chain is now known to have come after another one, so it has that outbox.
    let begins = EpochFacts { previous: Some((epoch(1), 21)), ..clone(3, 9) };
    assert_eq!(pending_and_given_up(&[held(), begins]), (0, 0), "it says that nothing waits");
}

#[test]
fn what_an_outbox_held_is_given_up_where_an_older_copy_of_it_came_back() {
    let back = |first, last| {
        let back = said(seen(2, &[(1, 3)]), 2, None);
        heard(first, last, EpochFacts { previous: Some((epoch(1), 12)), ..back })
    };
    assert_eq!(pending_and_given_up(&[held(), back(3, 9)]), (0, 10));
    assert_eq!(
        pending_and_given_up(&[heard(1, 4, held()), back(3, 9)]),
        (10, 0),
        "it was a copy of a host that goes on"
    );
    let renamed = EpochFacts { agent: "b".into(), ..back(3, 9) };
    assert_eq!(pending_and_given_up(&[held(), renamed]), (10, 0));
}

#[test]
fn what_a_retired_agent_held_is_given_up() {
    let retired = EpochFacts { is_retired: true, ..held() };
    assert_eq!(pending_and_given_up(std::slice::from_ref(&retired)), (0, 10));
    let goes_on_as_another = heard(3, 4, after(1, said(seen(2, &[(1, 3)]), 2, Some((1, 11)))));
    let goes_on_as_another = EpochFacts { agent: "b".into(), ..goes_on_as_another };
    assert_eq!(pending_and_given_up(&[retired, goes_on_as_another]), (10, 0), "its outbox is another agent's");
}

#[test]
fn a_chain_that_bites_its_tail_ends_the_walk() {
    let proof = prove(&[after(2, said(seen(1, &[(1, 1)]), 0, Some((9, 1)))), after(1, seen(2, &[(1, 1)]))]);
    assert!(proof.holds());
    let proof = prove(&[after(1, said(seen(1, &[(2, 2)]), 0, None))]);
    assert_eq!(counts(&proof.accounts[0]), [2, 1, 0, 0, 0, 1]);
}

#[test]
fn each_epoch_is_a_json_object_and_the_sums_are_the_last() {
    let proof = prove(&[said(seen(1, &[(1, 3), (5, 5)]), 5, None)]);
    let json = proof.to_json();
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["missing_ranges"], serde_json::json!([[4, 4]]));
    assert_eq!((&lines[0]["closed"], &lines[0]["previous"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(
        lines[1],
        serde_json::json!({"total": true, "issued": 5, "stored": 4, "dropped": 0, "rejected": 0, "pending": 0, "missing": 1,
            "given_up": 0, "duplicates": 0, "strays": 0})
    );
    assert!(proof.to_string().contains("  missing: 4\n"), "{proof}");
}

#[test]
fn a_row_that_is_there_twice_is_told() {
    let fact = EpochFacts { duplicates: 2, ..seen(1, &[(1, 3)]) };
    let proof = prove(&[fact]);
    assert!(!proof.holds());
    assert!(proof.to_string().ends_with("2 rows are there more than once\n"));
}

#[test]
fn rows_that_the_ledger_does_not_know_are_told() {
    let fact = EpochFacts { accounted: Ranges::span(1, 2), ..seen(1, &[(1, 3)]) };
    let proof = super::prove(&[fact], 4);
    assert!(!proof.holds());
    assert!(proof.to_string().ends_with("5 rows are there of which the ledger does not know\n"));
}

#[test]
fn every_number_is_exactly_one_thing_whatever_the_tables_say() {
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..5_000 {
        let facts: Vec<EpochFacts> = (0..3)
            .map(|number| {
                let mut set = || {
                    let bits: u8 = random.random();
                    Ranges::from_parts((0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| (bit, bit + 1)).collect())
                };
                let (accounted, rejected, notices) = (set(), set(), set());
                let (dropped, expired, rows) = (set(), set(), set());
                EpochFacts {
                    epoch: epoch(number),
                    previous: random
                        .random::<bool>()
                        .then(|| (epoch(random.random_range(0..4)), random.random_range(0..10))),
                    claimed: random.random_range(0..10),
                    report_seq: random.random::<bool>().then(|| random.random_range(0..10)),
                    heard: (random.random_range(0..4), random.random_range(0..4)),
                    is_retired: random.random_range(0..4) == 0,
                    oldest_pending: random.random::<bool>().then(|| (epoch(random.random_range(0..4)), 3)),
                    accounted,
                    rejected,
                    notices,
                    dropped,
                    expired,
                    rows,
                    ..EpochFacts::default()
                }
            })
            .collect();
        for account in &prove(&facts).accounts {
            counts(account);
        }
    }
}

#[test]
fn sums_stay_within_their_bounds_whatever_agents_claim() {
    let absurd = |number| said(seen(number, &[(1, 1)]), i64::MAX - 1, None);
    assert_eq!(prove(&[absurd(1), absurd(2)]).total.issued, i64::MAX);
}

#[test]
fn an_epoch_that_was_not_asked_for_still_tells_of_the_one_before() {
    let asked = said(seen(1, &[(1, 10)]), 20, None);
    let aside = EpochFacts { is_aside: true, ..after(1, said(seen(2, &[(1, 9)]), 3, Some((1, 15)))) };
    let proof = prove(&[asked, EpochFacts { rows: Ranges::new(), ..aside }]);
    assert_eq!(proof.accounts.len(), 1);
    assert_eq!(counts(&proof.accounts[0]), [20, 10, 0, 0, 6, 4]);
    assert_eq!(proof.total.missing, 4);
}

#[test]
fn a_forged_total_in_an_agents_name_is_part_of_one_line() {
    let forged = format!("edge\r\n{:36}  {:30}  {:3}  10  10  0  0  0  0\u{1b}[8m\u{202e}", "total", "", "");
    let honest = said(seen(1, &[(1, 3), (6, 10)]), 10, None);
    let proof = prove(&[honest, EpochFacts { agent: forged.clone(), ..seen(2, &[(1, 10)]) }]);
    let table = proof.to_string();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "heads, two epochs, what is missing of the first, the total: {table}");
    assert_eq!(lines[2], "  missing: 4-5");
    assert!(lines[3].contains(r"edge\r\ntotal") && lines[3].contains(r"0\u{1b}[8m\u{202e}  open"), "{table}");
    let totals: Vec<&&str> = lines.iter().filter(|line| line.starts_with("total")).collect();
    assert_eq!(totals[0].split_whitespace().collect::<Vec<_>>(), ["total", "20", "18", "0", "0", "0", "2"], "{table}");
    assert_eq!(totals.len(), 1, "{table}");
    assert!(!table.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{table:?}");
    let json = proof.to_json();
    let object: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!((json.lines().count(), &object["agent"]), (3, &serde_json::json!(forged)), "JSON keeps the exact text");
}
