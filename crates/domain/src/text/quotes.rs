//! Error messages of third parties in logs.

/// An error message without what it quotes (in `"` or `` ` ``), for logs: quoted values may be personal data.
pub fn without_quotes(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(start);
        let mark = &quoted[..1];
        kept.push_str(before);
        kept.push('…');
        // From the first mark to the last one of its kind, as the quoted value may contain marks itself.
        let end = quoted[1..].rfind(mark).map_or(quoted.len(), |end| end + 2);
        rest = &quoted[end..];
    }
    kept.push_str(rest);
    kept
}
