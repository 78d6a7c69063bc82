//! Positions of matched words in a passage.

use patchbay_persistence::search::{MARK, UNMARK};

/// Returns start and end of each marked word, in characters of the text without the marks; the end is exclusive.
pub fn highlights(marked: &str) -> Vec<(usize, usize)> {
    let (mut found, mut at, mut starts_at) = (Vec::new(), 0, 0);
    for c in marked.chars() {
        match c {
            MARK => starts_at = at,
            UNMARK => found.push((starts_at, at)),
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_are_positions_in_the_text_without_marks() {
        let found = highlights("ä \u{2}bc\u{3} d \u{2}e\u{3}");
        assert_eq!(found, [(2, 4), (7, 8)]);
    }
}
