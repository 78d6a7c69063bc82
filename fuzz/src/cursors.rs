//! Cursors of lists.

use patchbay_domain::Cursor;
use uuid::Uuid;

/// A text that may be a cursor; its first 16 bytes as an id, with other spellings; its first 8 bytes as a
/// generation and ordinal.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    read(&text);
    if let Some((id, around)) = data.split_first_chunk::<16>() {
        let given = Cursor::after(Uuid::from_bytes(*id));
        assert_eq!(given.to_string().parse(), Ok(given));
        assert_eq!(given.id().as_bytes(), id);
        let around = String::from_utf8_lossy(around);
        let half = around.floor_char_boundary(around.len() / 2);
        read(&format!("{}{given}{}", &around[..half], &around[half..]));
    }
    if let Some((place, _)) = data.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *place;
        let number = |bytes| i32::from_le_bytes(bytes).saturating_abs();
        let (generation, ordinal) = (number([a, b, c, d]), number([e, f, g, h]));
        let cursor = Cursor::after_place(generation, ordinal);
        assert_eq!(cursor.place(generation), Some(ordinal));
        assert_eq!(
            cursor.place(generation ^ 1),
            None,
            "a place of another generation"
        );
    }
}

/// Only the exact text that was returned is accepted.
fn read(text: &str) {
    match text.parse::<Cursor>() {
        Ok(cursor) => assert_eq!(cursor.to_string(), text),
        Err(invalid) => assert_eq!(invalid.code, "invalid_value"),
    }
}
