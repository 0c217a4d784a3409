//! Text of strangers before people: control characters are shown, not obeyed, also those that turn the direction of
//! what follows.

/// The text without control characters.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            control if control.is_control() || is_format(control) => shown.extend(control.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

/// Whether it changes direction, breaks lines, or is not to be seen at all.
fn is_format(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Rows of cells below their heads, each column as wide as its widest cell; the first `left` columns stand at the left.
pub fn columns(heads: &[&str], left: usize, rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let mut widths = vec![0; heads.len()];
    for row in [&heads].into_iter().chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| match index < left {
            true => format!("{cell:width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&heads].into_iter().chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(shown("a\u{1b}[2Jb\nc ä"), "a\\u{1b}[2Jb\\nc ä");
        assert_eq!(shown("gnp\u{202e}exe.a"), "gnp\\u{202e}exe.a");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()], vec!["x".to_owned(), "1000".to_owned()]];
        assert_eq!(columns(&["name", "n"], 1, &rows), ["name          n", "long name     1", "x          1000"]);
    }
}
