//! Pages: where they are, and what of them is read.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::raw::{RawEntries, RawPage};
use super::Checker;
use super::prefixes::Bounds;
use crate::diagnostic::Code;
use crate::policy::{ENTRIES_MAX, Page, PageKind, parse_filter};
use crate::prefix::{Prefix, PrefixError};
use crate::yaml::decode::At;

/// Most host names of a page.
const NAMES_MAX: usize = 100;

impl Checker<'_> {
    pub(super) fn pages(
        &mut self,
        raw: Vec<(At<String>, RawPage)>,
        bounds: Bounds,
    ) -> BTreeMap<String, Page> {
        let mut pages = BTreeMap::new();
        for (name, page) in raw {
            let verified = page.verified.as_ref().and_then(|verified| self.day(verified));
            let entries = self.entries(page.entries.as_ref());
            let filter: Vec<(String, String)> =
                page.filter.iter().filter_map(|condition| self.condition(condition)).collect();
            let Some((url, kind)) = page.url.zip(page.kind) else { continue };
            self.check_url(&url);
            self.check_selector(kind, page.pointer.as_ref(), page.filter.first());
            let names = self.page_names(&name, kind, page.names);
            let page = Page {
                url: url.value,
                kind,
                section: page.section,
                pointer: page.pointer.map(|pointer| pointer.value),
                filter,
                column: page.column.map(|column| column.value),
                entries,
                widest: (bounds.v4, bounds.v6),
                names,
                primary: page.primary.unwrap_or(false),
                watched: page.watched.unwrap_or(true),
                verified,
            };
            pages.insert(name.value, page);
        }
        pages
    }

    /// The host names of a page of kind `dns`: at least one there, and none anywhere else.
    fn page_names(&mut self, page: &At<String>, kind: PageKind, names: Vec<At<String>>) -> Vec<String> {
        if kind == PageKind::Dns && names.is_empty() {
            let help = "list the names under `names`; `url` is the page that states them";
            self.fault(Code::InvalidValue, &page.span, "a page of kind `dns` needs host names", help);
        }
        if let Some(first) = names.first().filter(|_| kind != PageKind::Dns) {
            let help = "remove them, or make the kind `dns`";
            self.fault(Code::InvalidValue, &first.span, "only a page of kind `dns` has host names", help);
        }
        if let Some(further) = names.get(NAMES_MAX) {
            let message = format!("a page has more than {NAMES_MAX} host names");
            self.fault(Code::InvalidValue, &further.span, message, "make several pages of them");
        }
        for name in &names {
            if !matches!(name.value.parse::<Prefix>(), Err(PrefixError::HostName(_))) {
                let message = format!("`{}` is no host name", name.value.escape_debug());
                let help = "write the name alone, such as `callback-1.example.com`";
                self.fault(Code::InvalidValue, &name.span, message, help);
            }
        }
        names.into_iter().map(|name| name.value).collect()
    }

    fn check_url(&mut self, url: &At<String>) {
        let shown = url.value.escape_debug();
        let Some(rest) = url.value.strip_prefix("https://") else {
            let help = "pages are only fetched over https: anybody could change the answer";
            return self.fault(Code::InvalidValue, &url.span, format!("page `{shown}` is not https"), help);
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_plain = url.value.chars().all(|c| c.is_ascii_graphic() && c != '\\');
        if host.is_empty() || host.starts_with(':') || host.contains('@') || !is_plain {
            let help =
                "write `https://`, the host, and the path; other characters as `%20`, and no user name";
            self.fault(Code::InvalidValue, &url.span, format!("page `{shown}` is no address"), help);
        }
    }

    /// Holds against the page's kind what only some kinds have.
    fn check_selector(&mut self, kind: PageKind, pointer: Option<&At<String>>, filter: Option<&At<String>>) {
        let mut useless = |name: &str, place: &Range<usize>, kinds: &str| {
            let message = format!("`{name}` has no meaning for a page of kind {}", kind.as_str());
            self.fault(Code::InvalidValue, place, message, format!("leave it out: it is for {kinds}"));
        };
        if let Some(pointer) = pointer.filter(|_| kind != PageKind::Json) {
            useless("pointer", &pointer.span, "json");
        }
        if let Some(filter) = filter.filter(|_| !matches!(kind, PageKind::Json | PageKind::Csv)) {
            useless("filter", &filter.span, "json and csv");
        }
        let written = |pointer: &&At<String>| !pointer.value.is_empty() && !pointer.value.starts_with('/');
        if let Some(pointer) = pointer.filter(written) {
            let message = format!("`{}` is not a JSON pointer", pointer.value.escape_debug());
            let help = "write the keys with a slash before each, such as `/hooks`, or nothing for the whole";
            self.fault(Code::InvalidValue, &pointer.span, message, help);
        }
    }

    fn condition(&mut self, condition: &At<String>) -> Option<(String, String)> {
        let read = parse_filter(&condition.value);
        if read.is_none() {
            let message = format!("`{}` is not a condition", condition.value.escape_debug());
            let help = "write `key=value`, such as `direction=egress`";
            self.fault(Code::InvalidValue, &condition.span, message, help);
        }
        read
    }

    /// How many entries a page may list; a page that lists none is empty, which is told as such.
    fn entries(&mut self, raw: Option<&RawEntries>) -> (usize, usize) {
        let mut bounds = (1, ENTRIES_MAX);
        let Some(raw) = raw else { return (0, ENTRIES_MAX) };
        for (given, bound) in [(&raw.min, &mut bounds.0), (&raw.max, &mut bounds.1)] {
            let Some(given) = given else { continue };
            match usize::try_from(given.value) {
                Ok(count) if (1..=ENTRIES_MAX).contains(&count) => *bound = count,
                _ => {
                    let message = format!("{} is not between 1 and {ENTRIES_MAX}", given.value);
                    let help = "say how many callback entries the page may list";
                    self.fault(Code::InvalidValue, &given.span, message, help);
                }
            }
        }
        if bounds.0 > bounds.1 {
            let message = format!("at least {} and at most {} entries", bounds.0, bounds.1);
            self.fault(Code::InvalidValue, &raw.span, message, "`min` is not above `max`");
        }
        bounds
    }
}
