//! Tables, by what their headers say: which column lists, and which ones say the same again.
//!
//! A column that says the same again is held against the one that lists: where they disagree, one of them is damaged.

mod column;
mod row;

use std::collections::{BTreeMap, BTreeSet};

use super::collect::{Collector, Entry, Others, Weight, special};
use super::page::{Cell, Line, Row, Table};
use super::token::{self, Form, Found, Span, What, is_mask};
use super::words::{Direction, Standing, Wording, heading};
use crate::policy::{Environment, Role};
use column::Column;
use row::{agree, ends, is_hollow, masks};

/// What marks a row as belonging to a column.
const YES: &[&str] = &["yes", "y", "x", "✓", "✔", "✔️", "✅", "●", "•", "true", "ja", "kyllä"];

/// A cell with what is in it.
struct Read<'t> {
    cell: &'t Cell,
    found: Vec<(&'t Line, Found)>,
}

/// A table made ready.
struct Ready<'t> {
    /// What stands above all columns.
    titles: Vec<Wording>,
    headers: Vec<String>,
    wordings: Vec<Wording>,
    /// Whether a column is for what was.
    columns_past: Vec<bool>,
    columns: Vec<Column>,
    /// The same by the headers alone.
    columns_as_told: Vec<Column>,
    rows: Vec<(&'t Row, Vec<Read<'t>>)>,
}

/// Reads a table.
pub(super) fn collect(collector: &mut Collector<'_>, table: &Table) {
    let mut ready = ready(table);
    if ready.rows.iter().all(|(_, cells)| cells.iter().all(|cell| cell.found.is_empty())) {
        return;
    }
    if !choose(collector, &mut ready) {
        return;
    }
    let titles = ready.titles.iter().map(Wording::text).collect::<Vec<_>>().join(" | ");
    let caption = Wording::new(&format!("{} | {titles}", table.caption));
    let headers = Wording::new(&ready.headers.join(" "));
    let near = Some(&caption).filter(|caption| !caption.text().is_empty());
    let standing = collector.context.standing(near).or_else(|| headers.standing());
    match standing {
        Some(Standing::Other) => return,
        Some(Standing::Source) => {}
        None if collector.rules.chosen => {}
        Some(Standing::Former) | None => {
            let weight =
                if standing.is_some() || collector.rules.chosen { Weight::Full } else { Weight::Light };
            return doubt_all(collector, &ready, weight, |_| true);
        }
    }
    if is_untold(collector, &ready) {
        let lists = |index: usize| ready.columns.get(index) == Some(&Column::Source);
        return doubt_all(collector, &ready, Weight::Full, lists);
    }
    let near = near.filter(|caption| caption.says_calls() || caption.says_owned());
    let said = collector.context.role(near);
    let described = column::describes_networks(&ready.headers);
    let mut group =
        ready.titles.iter().map(Wording::labels).find(|named| !named.is_empty()).unwrap_or_default();
    let words: Vec<Wording> = ready.rows.iter().map(|(_, cells)| words_beside(cells)).collect();
    let others = Others::of(words.iter());
    for ((row, cells), beside) in ready.rows.iter().zip(&words) {
        if let Some(label) = label(cells) {
            group = Wording::new(&label).labels();
            continue;
        }
        let listed = entries(collector, &ready, row, cells);
        let listed = standing_of_row(collector, &ready, listed, (beside, others));
        // What all entries of a row share is found once: a cell may hold thousands.
        let text = cells.iter().map(|cell| cell.cell.text()).collect::<Vec<_>>().join(" | ");
        let dates = super::dates::find(&text, &collector.rules.zone);
        let dates = if dates.is_empty() { collector.context.dates() } else { dates };
        let mut of_column: BTreeMap<usize, (BTreeSet<Environment>, Option<Direction>)> = BTreeMap::new();
        for (index, line, at, span) in listed {
            let (environments, direction) = of_column
                .entry(index)
                .or_insert_with(|| {
                    let environments = environments(collector, &ready, (cells, index), &group);
                    (environments, collector.context.direction(directed(&ready, index, beside)))
                })
                .clone();
            let wide = span.first != span.last;
            let role = said.unwrap_or(if described && wide { Role::OwnerNetwork } else { Role::Callback });
            let dates = dates.clone();
            let entry = Entry {
                line,
                at,
                text: Some(&text),
                role,
                environments,
                label: None,
                dates,
                explained: true,
                direction,
            };
            collector.publish(&span, &entry);
        }
    }
}

/// Whether headers name other things than addresses or environments, as those of a table of fields do, and what stands
/// above does not say that the table lists.
fn is_untold(collector: &Collector<'_>, ready: &Ready<'_>) -> bool {
    let told = |(column, header): (&Column, &Wording)| {
        !matches!(column, Column::Unknown | Column::Foreign)
            || !header.labels().is_empty()
            || header.standing().is_some()
    };
    let titled = ready.titles.iter().any(|title| title.standing() == Some(Standing::Source));
    let headed = ready.wordings.iter().any(|header| !header.text().is_empty());
    // A table of fields has a column of their names.
    let named = (0..ready.headers.len()).any(|index| {
        let mut cells = ready.rows.iter().filter_map(|(_, cells)| cells.get(index)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.found.is_empty())
    });
    headed
        && named
        && !titled
        && collector.rules.column.is_none()
        && !collector.context.introduces_sources()
        && !ready.columns_as_told.iter().zip(&ready.wordings).any(told)
}

/// Doubts every address in columns that may list.
fn doubt_all(
    collector: &mut Collector<'_>,
    ready: &Ready<'_>,
    weight: Weight,
    lists: impl Fn(usize) -> bool,
) {
    let cells = ready.rows.iter().flat_map(|(_, cells)| cells.iter().enumerate());
    for (line, found) in cells.filter(|(index, _)| lists(*index)).flat_map(|(_, cell)| &cell.found) {
        if let What::Span(span) = &found.what {
            let why = "stands in a table that does not say what it is";
            collector.doubt_as(span, (line, found.start), why, weight);
        }
    }
}

/// The words of a row beside its addresses.
fn words_beside(cells: &[Read<'_>]) -> Wording {
    let mut text = String::new();
    for cell in cells.iter().filter(|cell| cell.found.is_empty()) {
        text.push_str(&cell.cell.text());
        text.push_str(" | ");
    }
    Wording::new(&text)
}

/// Of the entries of a row, those that its own words and its headers leave as sources.
fn standing_of_row<'t>(
    collector: &mut Collector<'_>,
    ready: &Ready<'t>,
    listed: Vec<Listed<'t>>,
    (beside, others): (&Wording, Others),
) -> Vec<Listed<'t>> {
    let near = collector.context.beside(&[beside], others);
    let mut kept = Vec::new();
    for one in listed {
        let (index, line, at, span) = one;
        let past = ready.columns_past.get(index).copied().unwrap_or(false);
        match near {
            Some(Standing::Other) => {}
            Some(Standing::Source) | None if !past => kept.push(one),
            Some(Standing::Former | Standing::Source) | None => {
                let why = "stands in a row or a column for what is used no more or for something else, or so it seems";
                collector.doubt_as(&span, (line, at), why, Weight::Full);
            }
        }
    }
    kept
}

/// The words that tell the direction of an entry of a table: its row's, or its column's.
fn directed<'r>(ready: &'r Ready<'_>, index: usize, beside: &'r Wording) -> Option<&'r Wording> {
    let header = ready.wordings.get(index).filter(|header| header.direction().is_some());
    Some(beside).filter(|beside| beside.direction().is_some()).or(header)
}

fn ready(table: &Table) -> Ready<'_> {
    let read = |row: &'_ Row| -> bool {
        row.cells.iter().any(|cell| cell.lines.iter().any(|line| !token::find(&line.text).is_empty()))
    };
    // A row of one cell above all columns is a title.
    let is_title = |row: &&Row| {
        row.cells.len() > 1 && !read(row) && row.cells.iter().filter(|cell| !cell.spanned).count() == 1
    };
    let titles: Vec<&Row> = table.rows.iter().take_while(is_title).collect();
    let rows = table.rows.get(titles.len()..).unwrap_or_default();
    let titles = titles.iter().rev().filter_map(|row| row.cells.first());
    let titles = titles.map(|cell| Wording::new(&cell.text())).collect();
    // Rows of headers come first; without any mark, a first row of words is one.
    let marked = rows.iter().take_while(|row| row.cells.iter().all(|cell| cell.header) && !read(row)).count();
    let count = match rows.first() {
        Some(first) if marked == 0 => {
            usize::from(!read(first) && first.cells.iter().filter(|cell| !cell.lines.is_empty()).count() > 1)
        }
        _ => marked,
    };
    let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let headers: Vec<String> = (0..width)
        .map(|index| {
            let cells = rows.iter().take(count).filter_map(|row| row.cells.get(index));
            cells.map(Cell::text).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let columns: Vec<Column> = headers.iter().map(|header| column::column(header)).collect();
    let wordings: Vec<Wording> = headers.iter().map(|header| Wording::new(header)).collect();
    let columns_past = wordings.iter().map(Wording::labels_past).collect();
    let rows = rows.iter().skip(count).map(|row| {
        let cells = row.cells.iter().map(|cell| {
            let found = cell
                .lines
                .iter()
                .flat_map(|line| token::find(&line.text).into_iter().map(move |one| (line, one)));
            Read { cell, found: found.collect() }
        });
        (row, cells.collect())
    });
    Ready {
        titles,
        headers,
        wordings,
        columns_past,
        columns_as_told: columns.clone(),
        columns,
        rows: rows.collect(),
    }
}

/// Decides which columns list; `false` where nothing is to be read.
fn choose(collector: &mut Collector<'_>, ready: &mut Ready<'_>) -> bool {
    let holds = |ready: &Ready<'_>, index: usize| {
        ready.rows.iter().any(|(_, cells)| cells.get(index).is_some_and(|cell| !cell.found.is_empty()))
    };
    if let Some(wanted) = collector.rules.column.clone() {
        let is_wanted = |header: &String| heading(header) == heading(&wanted);
        if !ready.headers.iter().any(is_wanted) {
            let line = ready.rows.first().map_or(1, |(row, _)| row.line);
            collector
                .fault(line, format!("a table with addresses has no column `{}`", token::shown(&wanted)));
            return false;
        }
        for (column, header) in ready.columns.iter_mut().zip(&ready.headers) {
            *column = match *column {
                _ if is_wanted(header) => Column::Source,
                Column::Source | Column::Prefix | Column::Unknown | Column::First | Column::Last => {
                    Column::Foreign
                }
                other => other,
            };
        }
        return true;
    }
    let is_used = |ready: &Ready<'_>, wanted: Column| {
        (0..ready.columns.len()).any(|index| ready.columns.get(index) == Some(&wanted) && holds(ready, index))
    };
    if is_used(ready, Column::Prefix) {
        // Prefixes say all: a column of addresses or ranges beside them says it again.
        for column in &mut ready.columns {
            *column = match *column {
                Column::Prefix => Column::Source,
                Column::Source | Column::First | Column::Last => Column::Restated,
                other => other,
            };
        }
    } else if is_used(ready, Column::Source) {
        for column in &mut ready.columns {
            if matches!(column, Column::First | Column::Last) {
                *column = Column::Restated;
            }
        }
    } else if !(is_used(ready, Column::First) && is_used(ready, Column::Last)) {
        for index in 0..ready.columns.len() {
            let used = holds(ready, index);
            if let Some(column) = ready
                .columns
                .get_mut(index)
                .filter(|column| used && matches!(column, Column::Unknown | Column::First | Column::Last))
            {
                *column = Column::Source;
            }
        }
    }
    true
}

/// The label of a row that is one cell and no more: it names what follows.
fn label(cells: &[Read<'_>]) -> Option<String> {
    let filled: Vec<&Read<'_>> =
        cells.iter().filter(|cell| !cell.cell.lines.is_empty() && !cell.cell.spanned).collect();
    match filled.as_slice() {
        [only] if only.found.is_empty() && cells.len() > 1 => {
            // A cell that is merely empty has lost something.
            let whole =
                cells.iter().all(|cell| cell.cell.spanned || cell.cell.header || !cell.cell.lines.is_empty());
            whole.then(|| only.cell.text())
        }
        _ => None,
    }
}

/// The environments of an entry: its row's, its column's, its group's, those of the words above.
fn environments(
    collector: &Collector<'_>,
    ready: &Ready<'_>,
    (cells, index): (&[Read<'_>], usize),
    group: &BTreeSet<Environment>,
) -> BTreeSet<Environment> {
    let own = cells.get(index).map(|cell| Wording::new(&cell.cell.text()).labels()).unwrap_or_default();
    let header = ready.headers.get(index).map(|header| Wording::new(header).labels()).unwrap_or_default();
    let marked = marked(ready, cells);
    if !marked.is_empty() {
        return marked;
    }
    let row = cells.iter().filter(|cell| cell.found.is_empty()).flat_map(|cell| {
        let text = cell.cell.text();
        if text.split_whitespace().count() <= 6 { Wording::new(&text).labels() } else { BTreeSet::new() }
    });
    let named = [own, header, row.collect(), group.clone()].into_iter().find(|named| !named.is_empty());
    named.unwrap_or_else(|| collector.context.environments())
}

/// The environments whose columns a row marks with a yes.
fn marked(ready: &Ready<'_>, cells: &[Read<'_>]) -> BTreeSet<Environment> {
    let said = |(header, cell): (&Wording, &Read<'_>)| {
        let text = cell.cell.text();
        let yes = YES.contains(&text.trim().to_lowercase().as_str());
        Some(header.labels()).filter(|_| yes)
    };
    ready.wordings.iter().zip(cells).filter_map(said).flatten().collect()
}

type Listed<'t> = (usize, &'t Line, usize, Span);

/// The entries of a row, each with its column, where all of the row agrees.
fn entries<'t>(
    collector: &mut Collector<'_>,
    ready: &Ready<'t>,
    row: &'t Row,
    cells: &[Read<'t>],
) -> Vec<Listed<'t>> {
    let mut listed: Vec<Listed<'t>> = Vec::new();
    let before = collector.out.faults.len();
    for (index, cell) in
        cells.iter().enumerate().filter(|(index, _)| ready.columns.get(*index) == Some(&Column::Source))
    {
        for (line, found) in &cell.found {
            let at = line.number_at(found.start);
            match &found.what {
                What::Span(span) => match special(span) {
                    None => listed.push((index, line, found.start, *span)),
                    Some(_) => collector.fault(
                        at,
                        format!(
                            "`{}` stands in a column of sources, and nobody can call from there",
                            span.first
                        ),
                    ),
                },
                What::Damaged(why) => collector.fault(at, format!("damaged: {why}")),
                What::Near(text) => collector.fault(at, format!("damaged: `{text}` is no whole address")),
                What::Endpoint => collector
                    .fault(at, "an address with a port or a path stands in a column of sources".to_owned()),
            }
        }
        if cell.cell.lines.iter().any(|line| line.struck) {
            collector.fault(row.line, "an address is struck out".to_owned());
        }
    }
    if listed.is_empty() {
        listed.extend(ends(ready, cells));
    }
    masks(ready, cells, &mut listed);
    // Without headers, a prefix that has all of a row's addresses is what the others say again.
    let whole = listed.iter().find(|(_, _, _, net)| {
        let headless = ready.headers.iter().all(String::is_empty);
        headless
            && net.form == Form::Prefix
            && listed.len() > 1
            && listed.iter().all(|(_, _, _, other)| net.covers(other))
    });
    if let Some(whole) = whole.copied() {
        listed = vec![whole];
    }
    if collector.out.faults.len() == before {
        agree(collector, ready, cells, &listed);
    }
    let ended = |(index, cell): (usize, &Read<'_>)| {
        let column = ready.columns.get(index);
        matches!(column, Some(Column::First | Column::Last)) && !cell.found.is_empty()
    };
    let is_lost = is_hollow(ready, cells) || cells.iter().enumerate().any(ended);
    if listed.is_empty() && collector.out.faults.len() == before && is_lost {
        collector.fault(row.line, "a row of the table has lost its address".to_owned());
    }
    if collector.out.faults.len() > before { Vec::new() } else { listed }
}
