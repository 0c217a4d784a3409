//! Text of strangers before people: control characters are shown, not obeyed, also those that turn the direction of
//! what follows.

/// The text without characters that act: they are shown as escapes.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            acting if acts(acting) => shown.extend(acting.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

/// Controls, what turns direction or ends a line, and what XML can't hold. What joins letters or emoji stays.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}')
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
        assert_eq!(shown("a\u{200d}b"), "a\u{200d}b");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()], vec!["x".to_owned(), "1000".to_owned()]];
        assert_eq!(columns(&["name", "n"], 1, &rows), ["name          n", "long name     1", "x          1000"]);
    }
}
