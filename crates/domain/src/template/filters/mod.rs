//! The filters of the template language.

mod applied;
mod lists;
mod numbers;
mod texts;

use applied::Apply;
use lists::{default, first, join, last, length};
use numbers::{abs, int, round};
use texts::{capitalize, lower, replace, title, trim, upper};

/// A filter: `{{ value | name(arguments) }}`.
#[derive(Debug)]
pub struct Filter {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub meaning: &'static str,
    /// Minimum and maximum number of its arguments.
    pub arguments: (usize, usize),
    pub(super) apply: Apply,
}

/// All filters, by name.
pub const FILTERS: &[Filter] = &[
    filter("abs", "The number without its sign", (0, 0), abs),
    filter(
        "capitalize",
        "The first letter large, the others small",
        (0, 0),
        capitalize,
    ),
    filter(
        "default",
        "The value in brackets where this one is missing or null",
        (1, 1),
        default,
    ),
    filter(
        "first",
        "The first item of a list or character of a text",
        (0, 0),
        first,
    ),
    filter(
        "int",
        "The number without its fraction, or the text as a whole number",
        (0, 0),
        int,
    ),
    filter(
        "join",
        "The items of a list as one text, with the text in brackets between them",
        (0, 1),
        join,
    ),
    filter(
        "last",
        "The last item of a list or character of a text",
        (0, 0),
        last,
    ),
    filter(
        "length",
        "How many items, fields or characters there are",
        (0, 0),
        length,
    ),
    filter("lower", "All letters small", (0, 0), lower),
    filter(
        "replace",
        "The text with its first text in brackets replaced by the second",
        (2, 2),
        replace,
    ),
    filter(
        "round",
        "The number rounded to so many digits, 0 by default",
        (0, 1),
        round,
    ),
    filter(
        "title",
        "The first letter of each word large, the others small",
        (0, 0),
        title,
    ),
    filter("trim", "The text without blanks around it", (0, 0), trim),
    filter("upper", "All letters large", (0, 0), upper),
];

const fn filter(
    name: &'static str,
    meaning: &'static str,
    arguments: (usize, usize),
    apply: Apply,
) -> Filter {
    Filter {
        name,
        meaning,
        arguments,
        apply,
    }
}

/// The filter with this name, or a message that lists all filters.
pub(super) fn find(name: &str) -> Result<&'static Filter, String> {
    FILTERS
        .iter()
        .find(|filter| filter.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = FILTERS.iter().map(|filter| filter.name).collect();
            format!(
                "there is no filter `{name}`; there are {}",
                names.join(", ")
            )
        })
}
