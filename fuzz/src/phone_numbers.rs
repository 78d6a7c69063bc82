//! Telephone numbers, as people write them and as carriers send them.

use patchbay_domain::PhoneNumber;

use crate::input::halves;

/// Two lines: a caller's number, and the called number.
pub fn target(data: &[u8]) {
    let (text, called) = halves(data);
    let (text, called) = (
        String::from_utf8_lossy(text),
        String::from_utf8_lossy(called),
    );
    if let Ok(number) = text.parse() {
        check(&number);
        is_written(&text, &number);
    }
    let called: PhoneNumber = match called.parse() {
        Ok(number) => number,
        Err(_) => return,
    };
    check(&called);
    if let Some(caller) = PhoneNumber::of_caller(&text, &called) {
        check(&caller);
        assert_eq!(PhoneNumber::of_caller(&caller, &called), Some(caller));
    }
}

/// Its last digits are those of the text.
fn is_written(text: &str, number: &PhoneNumber) {
    if text.is_ascii() && !text.contains(|c: char| c.is_ascii_alphabetic()) {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let last = &number[number.len() - 4..];
        assert!(digits.ends_with(last), "{number} for {text}");
    }
}

/// It is E.164, and every spelling of it is the same number.
fn check(number: &PhoneNumber) {
    let digits = number.strip_prefix('+').expect("begins with `+`");
    assert!(
        digits.bytes().all(|byte| byte.is_ascii_digit()),
        "{number} is not of digits"
    );
    assert!(
        (4..=15).contains(&digits.len()),
        "{number} has not 4 to 15 digits"
    );
    assert_eq!(number.parse().as_ref(), Ok(number), "read once more");
    let spaced: String = digits.chars().flat_map(|digit| [digit, ' ']).collect();
    assert_eq!(
        format!("+{spaced}").trim_end().parse().as_ref(),
        Ok(number),
        "with blanks"
    );
    let json = serde_json::to_string(number).expect("is a text");
    assert_eq!(
        serde_json::from_str::<PhoneNumber>(&json).ok().as_ref(),
        Some(number)
    );
}
