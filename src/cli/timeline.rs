//! `callgate timeline`

use jiff::Timestamp;

use super::inputs;
use super::{Exit, Format, Global, Outcome, parse_at, print, show};
use crate::diagnostic::Diagnostics;
use crate::prefix::listed;
use crate::report::{json_v1, markdown};
use crate::timeline::{self, Entry, Event};

#[derive(Debug, clap::Args)]
pub(super) struct Timeline {
    /// Leave out what happened before this instant
    #[arg(long, value_name = "INSTANT", value_parser = parse_at)]
    from: Option<Timestamp>,
    /// Leave out what happens from this instant on
    #[arg(long, value_name = "INSTANT", value_parser = parse_at)]
    to: Option<Timestamp>,
    /// The form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Timeline {
    pub(super) fn run(self, global: &Global) -> Outcome {
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        show(&sink);
        let Some(site) = inputs.site.as_ref().filter(|_| !sink.has_errors()) else {
            return Ok(Exit::Failure);
        };
        let all = timeline::timeline(&inputs.policies, site);
        let wanted = |entry: &&Entry| {
            self.from.is_none_or(|from| entry.at >= from) && self.to.is_none_or(|to| entry.at < to)
        };
        let entries: Vec<&Entry> = all.iter().filter(wanted).collect();
        match self.format {
            Format::Json => print(&json_v1::to_text(&json_v1::TimelineReport::new(inputs.at, &entries))),
            Format::Markdown => {
                let table = markdown::timeline(&entries, inputs.at);
                print(&format!("{table}\n{}", markdown::gantt(&inputs.policies, site, inputs.at)))
            }
            Format::Text => print(&as_text(&entries, inputs.at)),
        }
    }
}

fn as_text(entries: &[&Entry], at: Timestamp) -> String {
    let mut text = String::new();
    let mut told = false;
    for entry in entries {
        if !told && entry.at > at {
            told = true;
            text.push_str(&format!("---- {at} ----\n"));
        }
        let environments = match entry.environments.as_slice() {
            [one] => format!(", {one} only"),
            _ => String::new(),
        };
        let role = if entry.role == crate::policy::Role::Callback {
            String::new()
        } else {
            format!(", {}", entry.role)
        };
        let source = format!("{}/{}", entry.provider, entry.source);
        text.push_str(&format!(
            "{:25} {:34} {:35} {}{role}{environments}\n",
            entry.moment.to_string(),
            words(entry.event),
            source,
            listed(&entry.prefixes, 4)
        ));
    }
    if !told {
        text.push_str(&format!("---- {at} ----\n"));
    }
    text
}

fn words(event: Event) -> &'static str {
    match event {
        Event::Announced => "announced, admitted from here on",
        Event::Active => "callbacks come from it",
        Event::Legacy => "called legacy, still admitted",
        Event::Deadline => "merchants' deadline",
        Event::Review => "review due",
        Event::Retired => "retired by this site",
        Event::Held => "held by this site until then",
        Event::Expired => "expired, no longer admitted",
        Event::Withdrawn => "withdrawn from the pages",
    }
}
