//! Templates: fixed text around values that are finished; those of the user's folder over the embedded ones.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use tera::{Context, Tera};

use super::TargetKind;

include!(concat!(env!("OUT_DIR"), "/embedded_templates.rs"));

/// A template that can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template engine's report: template, line, column and what is wrong or missing.
    #[error("template `{name}`: {report}")]
    Broken {
        /// Its name, `<target>/<name>.tera`.
        name: String,
        /// What the engine says.
        report: String,
        /// The values that this template may use.
        values: Vec<String>,
    },
    /// A template that drops what its target needs: rules would be missing.
    #[error("template `{name}` leaves out `{value}`")]
    LeftOut {
        /// Its name.
        name: String,
        /// The value that is missing from the result.
        value: &'static str,
    },
    /// A file in the user's folder that no target renders.
    #[error("template `{name}` is not one that a target renders")]
    Unknown {
        /// Its name.
        name: String,
    },
}

impl TemplateError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            TemplateError::Broken { values, .. } => format!("values of this template: {}", values.join(", ")),
            TemplateError::LeftOut { value, .. } => {
                format!(
                    "write `{{{{ {value} }}}}` where it belongs, unchanged: an artifact without it would admit somebody else"
                )
            }
            TemplateError::Unknown { .. } => {
                let names: Vec<&str> = EMBEDDED_TEMPLATES.iter().map(|(name, _)| *name).collect();
                format!("templates that can be overridden: {}", names.join(", "))
            }
        }
    }
}

/// The templates in force.
#[derive(Debug, Default)]
pub struct Templates {
    overrides: BTreeMap<String, String>,
    /// One engine for all: making one costs more than a template.
    engine: RefCell<Option<Tera>>,
}

impl Templates {
    /// Takes the user's templates by name (`nginx/access.tera`); names that no target renders are refused.
    pub fn new(overrides: BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let known = |name: &String| EMBEDDED_TEMPLATES.iter().any(|(known, _)| known == name);
        match overrides.keys().find(|name| !known(name)) {
            Some(name) => Err(TemplateError::Unknown { name: name.clone() }),
            None => Ok(Self { overrides, engine: RefCell::new(None) }),
        }
    }

    /// The user's templates, by name.
    pub fn overrides(&self) -> &BTreeMap<String, String> {
        &self.overrides
    }

    /// Renders a template of a target with finished values; every value is text that the target has quoted.
    pub(crate) fn render(
        &self,
        kind: TargetKind,
        name: &str,
        values: Vec<(&'static str, Cow<'_, str>)>,
    ) -> Result<String, TemplateError> {
        let name = format!("{}/{name}.tera", kind.folder());
        let embedded = EMBEDDED_TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let text = self.overrides.get(&name).map(String::as_str).or(embedded).unwrap_or("");
        let broken = |error: &tera::Error| TemplateError::Broken {
            name: name.clone(),
            report: report(error),
            values: values.iter().map(|(key, _)| (*key).to_owned()).collect(),
        };
        let mut engine = self.engine.borrow_mut();
        let tera = engine.get_or_insert_with(|| {
            let mut tera = Tera::default();
            // Targets quote by themselves; HTML escapes would damage rules.
            tera.autoescape_on(Vec::<&str>::new());
            tera
        });
        if !tera.contains_template(&name) {
            tera.add_raw_template(&name, text).map_err(|error| broken(&error))?;
        }
        let mut context = Context::new();
        for (key, value) in &values {
            let marker = mark(key, value);
            context.insert(*key, marker.as_deref().unwrap_or(value));
        }
        let mut text = tera.render(&name, &context).map_err(|error| broken(&error))?;
        let missing = values.iter().find(|(key, value)| !is_whole(&text, key, value));
        if let Some((value, _)) = missing {
            return Err(TemplateError::LeftOut { name, value });
        }
        let mut long: Vec<_> =
            values.into_iter().filter_map(|(key, value)| Some((mark(key, &value)?, value))).collect();
        // The longest comes last: the others are looked for in a short text.
        long.sort_by_key(|(_, value)| value.len());
        for (mark, value) in long {
            if let Some((before, after)) = text.split_once(&mark) {
                text = around(value, before, after);
            }
        }
        Ok(text)
    }
}

/// A value between two texts. A long one stays where it is.
fn around(value: Cow<'_, str>, before: &str, after: &str) -> String {
    let mut text = value.into_owned();
    text.reserve_exact(before.len().saturating_add(after.len()));
    text.insert_str(0, before);
    text.push_str(after);
    text
}

/// Long values do not go through the engine, which copies them: a mark stands for them. No template and no
/// value holds the character that marks are made of.
fn mark(key: &str, value: &str) -> Option<String> {
    (value.len() > LONG).then(|| format!("\u{2}{key}\u{2}"))
}

/// Bytes from which a value is long.
const LONG: usize = 64;

/// Whether a rendered text has a value, unchanged; a long one once, and whole lines as lines of their own, so
/// that none stands behind a comment sign.
fn is_whole(text: &str, key: &str, value: &str) -> bool {
    // What a mark before it stands for is long, and long values are whole lines.
    let at_line_start = |(at, _): (usize, &str)| {
        at == 0 || text.get(..at).is_some_and(|before| before.ends_with(['\n', '\u{2}']))
    };
    let mark = mark(key, value);
    let found = mark.as_deref().unwrap_or(value);
    if mark.is_some() && text.matches(found).count() != 1 {
        return false;
    }
    if value.ends_with('\n') { text.match_indices(found).any(at_line_start) } else { text.contains(found) }
}

/// The engine's message with its causes, on one line where it has one.
fn report(error: &tera::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.trim().to_owned()
}
