//! What a selector reads of a page, for people.

use super::extract_v1::{EMPTY, MOVED, kind};
use crate::plain::{counted, line, shortened};
use crate::upstream::{Published, Reading};

/// Quoted words are cut after so many characters.
const QUOTED_MAX: usize = 120;

/// The report of a reading; `name` is the page's.
pub fn extract(name: &str, reading: &Reading) -> String {
    let name = line(name);
    match reading {
        Reading::List(entries) => {
            let mut text: String = entries.iter().map(|one| entry(&name, one)).collect();
            text.push_str(&format!("{}\n", counted(entries.len(), "entry")));
            text
        }
        Reading::Empty => format!("empty: {EMPTY}\n"),
        Reading::Unreadable(why) => {
            let place = why.line.map_or(name.clone(), |number| format!("{name}:{number}"));
            format!("unreadable: {place}: {}\n", line(&why.reason))
        }
        Reading::Moved(url) => {
            let to = url.as_deref().map_or(String::new(), |url| format!(": {}", line(url)));
            format!("moved: {MOVED}{to}\n")
        }
    }
}

fn entry(name: &str, entry: &Published) -> String {
    let mut notes = vec![entry.role.as_str().to_owned()];
    notes.extend(entry.environments.iter().map(|one| one.as_str().to_owned()));
    notes.extend(entry.label.as_deref().map(line));
    notes.extend(entry.dates.iter().map(|date| {
        let at = date.moment.as_ref().map_or_else(|| "day not given whole".to_owned(), ToString::to_string);
        format!("{} {} ({at})", kind(date.kind), line(&date.text))
    }));
    let quoted = shortened(line(&entry.text), QUOTED_MAX);
    format!("{}  {}\n    {name}:{}: {quoted}\n", entry.prefix.short(), notes.join(", "), entry.line)
}
