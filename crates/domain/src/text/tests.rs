use super::*;

#[test]
fn words_lose_what_they_quote() {
    for (words, kept) in [
        (
            "syntax error in tsquery: \"Ada\"",
            "syntax error in tsquery: …",
        ),
        (
            "invalid type: string \"a \\\" Ada\", expected u32",
            "invalid type: string …, expected u32",
        ),
        (
            "unknown variant `Ada`, expected one of `a`, `b`",
            "unknown variant …",
        ),
        ("inside 'a' of `Ada", "inside 'a' of …"),
        (
            "connection refused (os error 111)",
            "connection refused (os error 111)",
        ),
    ] {
        assert_eq!(without_quotes(words), kept);
    }
}

#[test]
fn limits_count_characters_not_bytes() {
    assert!(Name::new("é".repeat(200)).is_ok());
    assert_eq!(Name::new("é".repeat(201)).unwrap_err().code, "too_long");
    assert_eq!(Name::new("   ").unwrap_err().code, "too_short");
    assert_eq!(Name::new("a\u{7}").unwrap_err().code, "control_character");
    assert!(Description::new("").is_ok());
}

#[test]
fn one_line_is_one_line() {
    assert!(OneLine::<1, 20>::new("Zoë & Søn, 日本").is_ok());
    for c in [
        '\0', '\t', '\n', '\r', '\u{1B}', '\u{7F}', '\u{80}', '\u{85}', '\u{9F}', '\u{2028}',
        '\u{2029}', '\u{202E}', '\u{2066}', '\u{200F}', '\u{FEFF}',
    ] {
        let refused = OneLine::<1, 20>::new(format!("a{c}b"));
        assert_eq!(refused.unwrap_err().code, "control_character", "{c:?}");
    }
}

#[test]
fn slugs_are_plain() {
    assert!(Slug::new("acme-2").is_ok());
    for wrong in ["a", "-a", "a-", "Acme", "a_b", "ä-b", ""] {
        assert!(Slug::new(wrong).is_err(), "{wrong}");
    }
}
