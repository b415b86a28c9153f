//! Comma-separated values: a column of addresses, with or without a header.

use super::{Place, entries, named, places, unreadable};
use crate::upstream::collect::{ENTRIES_MAX, quoted};
use crate::upstream::extract::Selector;
use crate::upstream::token;
use crate::upstream::words::heading;
use crate::upstream::{Published, Unreadable};

/// Reads a file.
pub(in crate::upstream) fn read(text: &str, selector: &Selector) -> Result<Vec<Published>, Unreadable> {
    let first =
        text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let delimiter =
        [b',', b';', b'\t'].into_iter().find(|byte| first.as_bytes().contains(byte)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            unreadable(
                u32::try_from(line).unwrap_or(u32::MAX),
                "a row has more or fewer columns than the first".to_owned(),
            )
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        rows.push((u32::try_from(line).unwrap_or(u32::MAX), record));
        if rows.len() > ENTRIES_MAX {
            return Err(unreadable(1, format!("the list has more than {ENTRIES_MAX} rows")));
        }
    }
    let headed = rows.first().is_some_and(|(_, row)| row.iter().all(|cell| token::find(cell).is_empty()));
    let headers: Vec<String> = rows
        .first()
        .filter(|_| headed)
        .map(|(_, row)| row.iter().map(str::to_owned).collect())
        .unwrap_or_default();
    let columns = columns(&headers, &rows, selector)?;
    let mut listed = Vec::new();
    for (line, row) in rows.iter().skip(usize::from(headed)) {
        if !is_wanted(&headers, row, *line, selector)? {
            continue;
        }
        let environments = row.iter().filter(|cell| token::find(cell).is_empty()).flat_map(named).collect();
        let text = quoted(&row.iter().collect::<Vec<_>>().join(", ")).to_owned();
        let place = Place { line: *line, environments, label: None, text };
        for column in &columns {
            let cell = row.get(*column).unwrap_or_default();
            // One cell may list several.
            for part in cell.split([' ', ';', '|']).filter(|part| !part.is_empty()) {
                listed.extend(entries(part, &place, selector)?);
            }
            if cell.is_empty() && columns.len() == 1 {
                return Err(unreadable(*line, "a row has lost its address".to_owned()));
            }
        }
    }
    Ok(listed)
}

fn columns(
    headers: &[String],
    rows: &[(u32, csv::StringRecord)],
    selector: &Selector,
) -> Result<Vec<usize>, Unreadable> {
    if let Some(wanted) = &selector.column {
        let at = headers.iter().position(|header| heading(header) == heading(wanted));
        return at
            .map(|at| vec![at])
            .ok_or_else(|| unreadable(1, format!("the list has no column `{}`", token::shown(wanted))));
    }
    let by_name = places(headers).map_err(|why| unreadable(1, why))?;
    let Some((line, row)) = rows.get(usize::from(!headers.is_empty())) else { return Ok(Vec::new()) };
    if !by_name.is_empty() {
        return Ok(by_name);
    }
    let holding: Vec<usize> =
        row.iter().enumerate().filter(|(_, cell)| !token::find(cell).is_empty()).map(|(at, _)| at).collect();
    match holding.as_slice() {
        [_] => Ok(holding),
        [] => Err(unreadable(*line, "no column of the list has addresses".to_owned())),
        _ => Err(unreadable(*line, "several columns of the list have addresses: name one".to_owned())),
    }
}

/// Whether a row has what the filter asks for.
fn is_wanted(
    headers: &[String],
    row: &csv::StringRecord,
    line: u32,
    selector: &Selector,
) -> Result<bool, Unreadable> {
    for (key, value) in &selector.filter {
        let at = headers.iter().position(|header| heading(header) == heading(key));
        let at =
            at.ok_or_else(|| unreadable(line, format!("the list has no column `{}`", token::shown(key))))?;
        if !row.get(at).is_some_and(|cell| cell.eq_ignore_ascii_case(value)) {
            return Ok(false);
        }
    }
    Ok(true)
}
