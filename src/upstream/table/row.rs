//! A row whose cells say something together: the ends of a range, an address and its netmask, and what says it again.

use std::net::IpAddr;

use super::column::Column;
use super::{Collector, Form, Listed, Read, Ready, Span, What, is_mask, special, token};

/// A range whose ends have columns of their own.
pub(super) fn ends<'t>(ready: &Ready<'t>, cells: &[Read<'t>]) -> Option<Listed<'t>> {
    let end = |wanted: Column| {
        let index = ready.columns.iter().position(|column| *column == wanted)?;
        let (line, found) = cells.get(index)?.found.first()?;
        match &found.what {
            What::Span(span) if span.form == Form::Single => Some((index, *line, found.start, *span)),
            _ => None,
        }
    };
    let ((index, line, at, first), (_, _, _, last)) = (end(Column::First)?, end(Column::Last)?);
    let ordered = first.first <= last.last && first.first.is_ipv4() == last.last.is_ipv4();
    let form = if first.first == last.last { Form::Single } else { Form::Range };
    (ordered && special(&first).is_none()).then_some((
        index,
        line,
        at,
        Span { first: first.first, last: last.last, form },
    ))
}

/// An address and a column of netmasks are a prefix.
pub(super) fn masks(ready: &Ready<'_>, cells: &[Read<'_>], listed: &mut [Listed<'_>]) {
    let [(_, _, _, span)] = listed else { return };
    let column = ready.columns.iter().position(|column| *column == Column::Netmask);
    let found = column.and_then(|index| cells.get(index)).and_then(|cell| cell.found.first());
    let Some(What::Span(mask)) = found.map(|(_, found)| &found.what) else { return };
    let (IpAddr::V4(address), IpAddr::V4(bits)) = (span.first, mask.first) else { return };
    if span.form != Form::Single || !is_mask(mask.first) {
        return;
    }
    let host = !u32::from(bits);
    if u32::from(address) & host == 0 {
        let last = IpAddr::V4((u32::from(address) | host).into());
        *span = Span { first: span.first, last, form: if host == 0 { Form::Single } else { Form::Prefix } };
    }
}

/// Holds what the row says again against what it lists.
pub(super) fn agree(
    collector: &mut Collector<'_>,
    ready: &Ready<'_>,
    cells: &[Read<'_>],
    listed: &[Listed<'_>],
) {
    for (index, cell) in cells.iter().enumerate() {
        let column = ready.columns.get(index).copied().unwrap_or(Column::Unknown);
        if matches!(column, Column::Source | Column::Foreign | Column::First | Column::Last) {
            continue;
        }
        for (line, found) in &cell.found {
            let agrees = match &found.what {
                What::Span(span) => says_again(column, span, listed),
                What::Damaged(_) => false,
                What::Near(_) | What::Endpoint => column == Column::Unknown,
            };
            if !agrees {
                let text = token::shown(line.text.get(found.start..found.end).unwrap_or_default());
                let header = ready.headers.get(index).map_or("", String::as_str);
                let reason =
                    format!("`{text}` in column `{}` does not fit what the row lists", token::shown(header));
                collector.fault(line.number_at(found.start), reason);
            }
        }
    }
}

fn says_again(column: Column, span: &Span, listed: &[Listed<'_>]) -> bool {
    let mut nets = listed.iter().map(|(_, _, _, net)| net);
    match column {
        Column::Broadcast => nets.any(|net| net.last == span.last),
        Column::Netmask => match span.first {
            IpAddr::V4(mask) => nets.any(|net| match (net.first, net.last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    u32::from(first) ^ u32::from(last) == !u32::from(mask)
                }
                _ => false,
            }),
            IpAddr::V6(_) => false,
        },
        _ if span.form == Form::Single => nets.any(|net| net.covers(span)),
        _ => nets.any(|net| net.restates(span)),
    }
}

/// Whether a row has words and numbers, and nothing where its address should be.
pub(super) fn is_hollow(ready: &Ready<'_>, cells: &[Read<'_>]) -> bool {
    let filled = cells.iter().any(|cell| !cell.cell.lines.is_empty());
    let sources =
        cells.iter().enumerate().filter(|(index, _)| ready.columns.get(*index) == Some(&Column::Source));
    let empty = |(_, cell): (usize, &Read<'_>)| cell.cell.lines.is_empty();
    let mut sources = sources.peekable();
    filled && (sources.peek().is_none() || sources.all(empty)) && ready.columns.contains(&Column::Source)
}
