//! JSON: lists of texts, objects with a key for the address, and objects of lists.

use std::collections::BTreeSet;

use super::{Place, entries, named, places, unreadable};
use crate::json::{Entries, Json};
use crate::policy::Environment;
use crate::upstream::collect::ENTRIES_MAX;
use crate::upstream::extract::Selector;
use crate::upstream::token;
use crate::upstream::words::{Wording, heading};
use crate::upstream::{Published, Unreadable};

/// Reads a document.
pub(in crate::upstream) fn read(text: &str, selector: &Selector) -> Result<Vec<Published>, Unreadable> {
    let json: Json<'_> = serde_json::from_str(text).map_err(|error| {
        let words = error.to_string();
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned();
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
        unreadable(line, format!("this is not JSON: {}", token::shown(&words)))
    })?;
    let breaks = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut reader = Reader { text, breaks, selector, line: 1, listed: Vec::new() };
    let found = match &selector.pointer {
        Some(pointer) => follow(&json, pointer)?,
        None => guess(&json)?,
    };
    reader.value(found, &BTreeSet::new())?;
    if reader.listed.is_empty() && !selector.filter.is_empty() && !is_empty(found) {
        return Err(unreadable(1, "nothing in the list has what the filter asks for".to_owned()));
    }
    Ok(reader.listed)
}

fn is_empty(json: &Json<'_>) -> bool {
    matches!(json, Json::List(items) if items.is_empty())
}

/// The value at an RFC 6901 pointer.
fn follow<'j, 'a>(json: &'j Json<'a>, pointer: &str) -> Result<&'j Json<'a>, Unreadable> {
    let missing = || unreadable(1, format!("there is nothing at `{}`", token::shown(pointer)));
    let mut at = json;
    if pointer.is_empty() {
        return Ok(at);
    }
    for part in pointer.strip_prefix('/').ok_or_else(missing)?.split('/') {
        let key = part.replace("~1", "/").replace("~0", "~");
        at = match at {
            Json::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(&key),
        }
        .ok_or_else(missing)?;
    }
    Ok(at)
}

/// The only list that can be meant: the only one, or the only one whose key speaks of callbacks.
fn guess<'j, 'a>(json: &'j Json<'a>) -> Result<&'j Json<'a>, Unreadable> {
    let Json::Object(keys) = json else { return Ok(json) };
    let lists: Vec<(&str, &Json<'a>)> = keys
        .iter()
        .filter(|(_, value)| matches!(value, Json::List(_) | Json::Object(_)))
        .map(|(key, value)| (key.as_ref(), value))
        .collect();
    let apart = |key: &str| {
        !named(key).is_empty() || matches!(Wording::new(key).text(), "ipv4" | "ipv6" | "v4" | "v6")
    };
    if lists.len() > 1 && lists.iter().all(|(key, _)| apart(key)) {
        return Ok(json);
    }
    let called = |key: &str| Wording::new(key).has(&[" webhook", " callback", " hooks", " notification"]);
    let meant: Vec<&(&str, &Json<'a>)> = lists.iter().filter(|(key, _)| called(key)).collect();
    match (lists.as_slice(), meant.as_slice()) {
        ([(_, only)], _) | (_, [(_, only)]) => Ok(only),
        ([], _) => Ok(json),
        _ => {
            let keys: Vec<String> =
                lists.iter().take(5).map(|(key, _)| format!("/{}", token::shown(key))).collect();
            Err(unreadable(
                1,
                format!("there are several lists: name one by its pointer, such as {}", keys.join(", ")),
            ))
        }
    }
}

struct Reader<'r, 'a> {
    text: &'a str,
    breaks: Vec<usize>,
    selector: &'r Selector,
    line: u32,
    listed: Vec<Published>,
}

impl Reader<'_, '_> {
    fn value(&mut self, json: &Json<'_>, environments: &BTreeSet<Environment>) -> Result<(), Unreadable> {
        match json {
            Json::List(items) => items.iter().try_for_each(|item| self.item(item, environments)),
            Json::Object(keys) => self.lists(json, keys, environments),
            Json::Text(text) => {
                let parts: Vec<&str> =
                    text.split([',', ' ', '\n', ';']).filter(|part| !part.is_empty()).collect();
                parts.into_iter().try_for_each(|part| self.address(part, environments))
            }
            other => Err(unreadable(self.line, format!("{} stands where a list is expected", other.kind()))),
        }
    }

    /// Every list of an object; what is no list says nothing of addresses.
    fn lists(
        &mut self,
        json: &Json<'_>,
        keys: &Entries<'_>,
        environments: &BTreeSet<Environment>,
    ) -> Result<(), Unreadable> {
        let mut any = false;
        for (key, value) in keys {
            if matches!(value, Json::List(_) | Json::Object(_)) {
                any = true;
                let own = named(key);
                self.value(value, if own.is_empty() { environments } else { &own })?;
            }
        }
        if any { Ok(()) } else { self.object(json, environments) }
    }

    fn item(&mut self, item: &Json<'_>, environments: &BTreeSet<Environment>) -> Result<(), Unreadable> {
        match item {
            Json::Text(text) => self.address(text, environments),
            Json::Object(_) => self.object(item, environments),
            other => {
                let reason = format!("{} stands where an address is expected", other.kind());
                Err(unreadable(self.line, reason))
            }
        }
    }

    fn object(&mut self, json: &Json<'_>, environments: &BTreeSet<Environment>) -> Result<(), Unreadable> {
        let Json::Object(keys) = json else { return Ok(()) };
        if let Some(key) = keys.first() {
            self.see(&key.0);
        }
        for (key, wanted) in &self.selector.filter {
            let Some(value) = json.get(key) else {
                return Err(unreadable(self.line, format!("an object has no `{}`", token::shown(key))));
            };
            let has = value.items().iter().any(|item| item.text().is_some_and(|text| text == wanted));
            if !has {
                return Ok(());
            }
        }
        let mut own = environments.clone();
        for (key, value) in keys {
            let is_apart = Wording::new(key).has(&[" env", " mode ", " stage "]);
            if let Some(text) = value.text().filter(|_| is_apart) {
                own.extend(named(text));
            }
        }
        let names: Vec<String> = keys.iter().map(|(key, _)| spaced(key)).collect();
        let at = match &self.selector.column {
            Some(column) => keys.iter().position(|(key, _)| key == column).into_iter().collect(),
            None => places(&names).map_err(|why| unreadable(self.line, why))?,
        };
        let mut found = 0;
        let values = at.iter().filter_map(|at| keys.get(*at)).filter(|(_, value)| *value != Json::Null);
        for item in values.flat_map(|(_, value)| value.items()) {
            let Some(text) = item.text() else {
                return Err(unreadable(
                    self.line,
                    format!("{} stands where an address is expected", item.kind()),
                ));
            };
            self.address(text, &own)?;
            found += 1;
        }
        if found == 0 {
            let what = self
                .selector
                .column
                .as_ref()
                .map_or("no address".to_owned(), |column| format!("no `{}`", token::shown(column)));
            return Err(unreadable(self.line, format!("an object has {what}")));
        }
        Ok(())
    }

    fn address(&mut self, text: &str, environments: &BTreeSet<Environment>) -> Result<(), Unreadable> {
        self.see(text);
        if self.listed.len() > ENTRIES_MAX {
            return Err(unreadable(self.line, format!("the list has more than {ENTRIES_MAX} entries")));
        }
        let place = Place {
            line: self.line,
            environments: environments.clone(),
            label: None,
            text: token::shown(text),
        };
        self.listed.extend(entries(text, &place, self.selector)?);
        Ok(())
    }

    /// Takes note of the line, where the text is a part of the document.
    fn see(&mut self, part: &str) {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        if let Some(start) = start.filter(|at| *at < self.text.len() && !part.is_empty()) {
            let before = self.breaks.partition_point(|at| *at < start);
            self.line = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        }
    }
}

/// `ipv4Prefix` and `ip_prefix` as words.
fn spaced(key: &str) -> String {
    let mut words = String::new();
    for letter in key.chars() {
        if letter.is_uppercase() && words.ends_with(|last: char| last.is_lowercase() || last.is_ascii_digit())
        {
            words.push(' ');
        }
        words.push(letter);
    }
    heading(&words)
}
