//! What may be logged of words of others.

/// The words of an error without what they quote (in `"` or `` ` ``): that is often a value, and values
/// may be somebody's personal data. What may be logged of an error that somebody else worded.
pub fn without_quotes(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        let mark = &quoted[..1];
        kept.push_str(before);
        kept.push('…');
        // From the first mark to the last one of its kind: what is quoted may hold marks itself.
        let end = quoted[1..].rfind(mark).map_or(quoted.len(), |end| end + 2);
        rest = &quoted[end..];
    }
    kept.push_str(rest);
    kept
}
