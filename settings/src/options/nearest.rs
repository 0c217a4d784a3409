//! Finds the known name that a user may have meant by an unknown name.

/// Returns the known name whose spelling is nearest, without regard to capitals. It returns none when the nearest name
/// is too different.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = unknown.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &wanted);
    let (distance, nearest) = known.into_iter().map(|name| (distance(name), name)).min()?;
    (distance <= 1 + unknown.chars().count() / 3).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_written_most_alike_is_meant_unless_it_is_another_word() {
        let known = ["edge-1", "edge-10", "berlin"];
        assert_eq!(nearest("egde-1", known), Some("edge-1"));
        assert_eq!(nearest("BERLIM", known), Some("berlin"));
        assert_eq!(nearest("warsaw", known), None);
        assert_eq!(nearest("edge-1", []), None);
    }
}
