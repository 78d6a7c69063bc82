//! Matched words in a passage.

use patchbay_persistence::search::{MARK, UNMARK};

/// Splits a marked text into pieces, in order, each with whether it is marked. Joined, they are the text without the
/// marks; none is empty.
pub fn segments(marked: &str) -> impl Iterator<Item = (&str, bool)> {
    // What follows a mark is a hit, what follows an unmark or the beginning is not.
    let pieces = marked.split_inclusive([MARK, UNMARK]);
    let pieces = pieces.scan(false, |is_hit, piece| {
        let was_hit = std::mem::replace(is_hit, piece.ends_with(MARK));
        Some((piece.trim_end_matches([MARK, UNMARK]), was_hit))
    });
    pieces.filter(|(text, _)| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_the_text_without_marks() {
        let found = segments("🌹 \u{2}bc\u{3} d \u{2}e\u{3}").collect::<Vec<_>>();
        assert_eq!(
            found,
            [("🌹 ", false), ("bc", true), (" d ", false), ("e", true)]
        );
        assert_eq!(segments("").count(), 0);
    }
}
