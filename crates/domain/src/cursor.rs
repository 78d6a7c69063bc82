//! Cursors of lists.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::invalid::Invalid;

/// A position in a list: the id of the last item of the previous page. Only the exact text that was returned is
/// accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(Uuid);

impl Cursor {
    /// After the item with this id.
    pub const fn after(id: Uuid) -> Self {
        Self(id)
    }

    /// After this item of this generation: chunks have no id of their own.
    pub fn after_place(generation: i32, ordinal: i32) -> Self {
        Self(Uuid::from_u64_pair(number(generation), number(ordinal)))
    }

    /// The id.
    pub const fn id(self) -> Uuid {
        self.0
    }

    /// The ordinal within this generation; none if the cursor belongs to another one.
    pub fn place(self, generation: i32) -> Option<i32> {
        let (of, ordinal) = self.0.as_u64_pair();
        let ordinal = i32::try_from(ordinal).ok()?;
        (of == number(generation)).then_some(ordinal)
    }
}

fn number(n: i32) -> u64 {
    n.unsigned_abs().into()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("invalid_value", "not a cursor of this service");
        let cursor = Self(Uuid::try_parse(text).map_err(|_| wrong())?);
        // Other spellings of the same id were never returned.
        let same = cursor.to_string() == text;
        #[cfg(fuzz_planted)]
        let same = same || cursor.to_string() == text.replace('A', "a");
        if same { Ok(cursor) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_taken_back_and_nothing_else() {
        let given = "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10";
        let cursor: Cursor = given.parse().unwrap();
        assert_eq!(cursor.to_string(), given);
        for wrong in [
            "",
            "x",
            "0199a2f07c117a549d4e3b1f8f0f2f10",
            "{0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10}",
            "urn:uuid:0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
            "0199A2F0-7C11-7A54-9D4E-3B1F8F0F2F10",
            "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10 ",
        ] {
            assert_eq!(
                wrong.parse::<Cursor>().unwrap_err().code,
                "invalid_value",
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_place_is_one_of_its_generation() {
        let cursor = Cursor::after_place(3, 41);
        assert_eq!(cursor.place(3), Some(41));
        assert_eq!(cursor.place(4), None);
        assert_eq!(Cursor::after(Uuid::max()).place(3), None);
    }
}
