//! Converts sets of numbers to PostgreSQL's multiranges and back.

use std::ops::Bound;

use crate::ranges::Ranges;

pub(crate) type SqlRanges = Vec<(Bound<i64>, Bound<i64>)>;

pub(crate) fn to_sql(ranges: &Ranges) -> SqlRanges {
    ranges.parts().iter().map(|&(start, end)| (Bound::Included(start), Bound::Excluded(end))).collect()
}

/// Returns a multirange of the database as a set.
pub(crate) fn from_sql(multirange: Vec<(Bound<i64>, Bound<i64>)>) -> Ranges {
    let start = |bound| match bound {
        Bound::Included(number) => number,
        Bound::Excluded(number) => number + 1,
        Bound::Unbounded => i64::MIN,
    };
    let end = |bound| match bound {
        Bound::Included(number) => number + 1,
        Bound::Excluded(number) => number,
        Bound::Unbounded => i64::MAX,
    };
    Ranges::from_parts(multirange.into_iter().map(|(from, to)| (start(from), end(to))).collect())
}
