//! Tables: every row becomes a line with the names of its columns, so that a chunk is understandable without the
//! header row.

use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader as _, Xlsx, XlsxError};

use crate::{Failure, Part, Progress, plain};

/// Maximum cells of a workbook.
const MOST_CELLS: usize = 2_000_000;

/// A table in progress: the first row with several cells names the columns.
#[derive(Default)]
struct Table {
    names: Option<Vec<String>>,
    has_body: bool,
    text: String,
}

impl Table {
    fn add(&mut self, row: Vec<String>) {
        if row.iter().all(|cell| cell.trim().is_empty()) {
            return;
        }
        let Some(names) = &self.names else {
            match row.iter().filter(|cell| !cell.trim().is_empty()).count() {
                // A title, or a list.
                1 => self.text.push_str(&format!("{}\n", row.concat().trim())),
                _ => self.names = Some(row),
            }
            return;
        };
        self.has_body = true;
        let cells = row.iter().enumerate().filter_map(|(index, cell)| {
            let (cell, name) = (cell.trim(), names.get(index).map_or("", |name| name.trim()));
            match (cell, name) {
                ("", _) => None,
                (cell, "") => Some(cell.to_owned()),
                (cell, name) => Some(format!("{name}: {cell}")),
            }
        });
        let cells: Vec<String> = cells.collect();
        self.text.push_str(&cells.join("; "));
        self.text.push('\n');
    }

    fn into_text(self) -> String {
        match self.names {
            // A header row without any other row.
            Some(names) if !self.has_body => self.text + &names.join("; "),
            _ => self.text,
        }
    }
}

/// A workbook, sheet by sheet.
pub fn workbook(bytes: &[u8], progress: Progress<'_>) -> Result<Vec<Part>, Failure> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(failure)?;
    let sheets = book.sheet_names();
    let count = u32::try_from(sheets.len()).unwrap_or(u32::MAX);
    let (mut parts, mut cells) = (Vec::new(), 0);
    for (number, name) in (1..).zip(&sheets) {
        let table = match sheet(&mut book, name, &mut cells) {
            // A chart sheet.
            Err(Failure {
                code: "no_sheet", ..
            }) => continue,
            table => table?,
        };
        let text = table.into_text();
        if !text.is_empty() {
            parts.push(Part {
                page: Some(number),
                text: format!("# {name}\n\n{text}"),
                is_markdown: true,
            });
        }
        progress(number, count);
    }
    Ok(parts)
}

fn sheet(book: &mut Xlsx<Cursor<&[u8]>>, name: &str, cells: &mut usize) -> Result<Table, Failure> {
    // Cell by cell: the range of a sheet may span millions of columns.
    let mut reader = match book.worksheet_cells_reader(name) {
        Err(XlsxError::NotAWorksheet(_)) => return Err(Failure::new("no_sheet", "")),
        reader => reader.map_err(failure)?,
    };
    let (mut table, mut row, mut at) = (Table::default(), Vec::new(), 0);
    while let Some(cell) = reader.next_cell().map_err(failure)? {
        *cells += 1;
        if *cells > MOST_CELLS {
            let detail = format!("More than {MOST_CELLS} cells are not read.");
            return Err(Failure::new("too_large", detail));
        }
        let (line, column) = cell.get_position();
        if line != at {
            table.add(std::mem::take(&mut row));
            at = line;
        }
        let text = match cell.get_value() {
            DataRef::Empty => continue,
            DataRef::SharedString(text) => (*text).to_owned(),
            DataRef::DateTime(at) => time(at),
            value => Data::from(value.clone()).to_string(),
        };
        // Cells that far out belong to no table.
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(1000);
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    table.add(row);
    Ok(table)
}

/// A date, a time of day, both, or a duration in its usual form; the cell contains a number of days.
fn time(at: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    let of_day = match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    if at.is_duration() {
        let minutes = (at.as_f64() * 24.0 * 60.0).round() as i64;
        return format!("{}:{:02}", minutes / 60, minutes % 60);
    }
    match at.as_f64() {
        days if days < 1.0 => of_day,
        days if days.fract() == 0.0 => format!("{year}-{month:02}-{day:02}"),
        _ => format!("{year}-{month:02}-{day:02} {of_day}"),
    }
}

fn failure(error: XlsxError) -> Failure {
    match error {
        XlsxError::Password => {
            let detail = "The workbook is protected with a password: save it without one.";
            Failure::new("encrypted", detail)
        }
        _ => Failure::damaged(),
    }
}

/// A file of delimiter-separated values.
pub fn csv(text: &str) -> Result<Vec<Part>, Failure> {
    let (delimiter, text) = match text
        .strip_prefix("sep=")
        .and_then(|rest| rest.split_once('\n'))
    {
        Some((said, rest)) if said.trim().len() == 1 => (said.trim().as_bytes()[0], rest),
        _ => (delimiter(text), text),
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut table = Table::default();
    for record in reader.records() {
        let record = record.map_err(|_| Failure::damaged())?;
        table.add(record.iter().map(str::to_owned).collect());
    }
    Ok(vec![plain::part(table.into_text(), false)])
}

/// The delimiter that splits most of the first lines into the same number of fields, and into the most.
fn delimiter(text: &str) -> u8 {
    let fields = |delimiter: u8| {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let counts = reader.records().take(20).filter_map(Result::ok);
        let counts: Vec<usize> = counts.map(|record| record.len()).collect();
        let even = |count: &usize| counts.iter().filter(|other| *other == count).count();
        let weights = counts.iter().filter(|count| **count > 1);
        weights
            .map(|count| count * even(count))
            .max()
            .unwrap_or_default()
    };
    let best = [b',', b';', b'\t', b'|']
        .into_iter()
        .rev()
        .max_by_key(|d| fields(*d));
    best.filter(|best| fields(*best) > 0).unwrap_or(b',')
}
