//! Prints texts from outside for people. Names, urls, tags and errors come from records, and any client that can write
//! to the topic can make a record. A name with a line break, printed as it is, would make a line of its own, such as a
//! wrong total.
//!
//! Everything that is printed for people goes through [`shown`]: tables by [`columns`], lines by [`write_line`]. What
//! is printed for programs (JSON, CSV) keeps the exact text, escaped as its format requires.

use std::fmt::Display;
use std::io::{self, Write};

/// Returns the text with escapes in the place of characters that act on a terminal, so that it stays one line.
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

/// Returns whether a character is a control, changes the direction of text, ends a line, or cannot be in XML.
/// Characters that join letters or emoji are not among them, so this is not `escape_debug`.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{fff9}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}')
}

/// Writes one line for people, whatever texts are in it.
///
/// # Errors
/// Fails when `out` cannot be written to.
pub fn write_line(out: &mut impl Write, line: impl Display) -> io::Result<()> {
    writeln!(out, "{}", shown(&line.to_string()))
}

/// Returns rows of cells below their heads. Each column is as wide as its widest cell, and the first `left` columns are
/// aligned to the left. Each row is one line, whatever texts are in its cells.
pub fn columns(heads: &[&str], left: usize, rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let cells = |row: &Vec<String>| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = [&heads].into_iter().chain(rows).map(cells).collect();
    let mut widths = vec![0; heads.len()];
    for row in &rows {
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
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(shown("a\u{1b}[2Jb\nc ä"), "a\\u{1b}[2Jb\\nc ä");
        assert_eq!(shown("a\r\u{7f}\u{85}\u{9b}31m\u{2028}b"), "a\\r\\u{7f}\\u{85}\\u{9b}31m\\u{2028}b");
        assert_eq!(shown("gnp\u{202e}exe.a"), "gnp\\u{202e}exe.a");
        assert_eq!(shown("a\u{200d}b"), "a\u{200d}b");
    }

    #[test]
    fn a_line_is_one_line() {
        let mut out = Vec::new();
        write_line(&mut out, format_args!("agent {}", "a\r\n0 missing")).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "agent a\\r\\n0 missing\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()], vec!["x".to_owned(), "1000".to_owned()]];
        assert_eq!(columns(&["name", "n"], 1, &rows), ["name          n", "long name     1", "x          1000"]);
    }

    #[test]
    fn each_row_is_one_line_whatever_is_in_its_cells() {
        let rows = vec![vec!["x\r\ntotal  0".to_owned(), "1".to_owned()], vec!["total".to_owned(), "1".to_owned()]];
        assert_eq!(columns(&["name", "n"], 1, &rows), ["name           n", r"x\r\ntotal  0  1", "total          1"]);
    }
}
