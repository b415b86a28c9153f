//! The JSON of `terraform show -json`, as far as it matters: what is not asked for is passed over unread.
//!
//! The format is described at <https://developer.hashicorp.com/terraform/internals/json-format>.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::Fault;

/// How to get what is read here.
const HELP: &str = "give what `terraform show -json` prints, of a state or of a saved plan";

/// The outermost object: of a state, of a plan, or of something that is neither.
#[derive(Deserialize)]
pub(super) struct Top<'a> {
    #[serde(borrow)]
    format_version: Option<Cow<'a, str>>,
    /// A state's resources.
    #[serde(borrow)]
    values: Option<StateValues<'a>>,
    planned_values: Option<IgnoredAny>,
    #[serde(borrow, default)]
    resource_changes: Vec<Planned<'a>>,
    #[serde(borrow)]
    prior_state: Option<State<'a>>,
    #[serde(borrow)]
    configuration: Option<Configuration<'a>>,
    #[serde(default)]
    errored: bool,
    /// Only a state file has it, which is not for others to read.
    lineage: Option<IgnoredAny>,
    /// Only a line of the log that `-json` writes has it.
    #[serde(rename = "@level")]
    level: Option<IgnoredAny>,
}

/// A state within a plan.
#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    values: Option<StateValues<'a>>,
}

#[derive(Deserialize)]
struct StateValues<'a> {
    #[serde(borrow, default)]
    root_module: Module<'a>,
}

#[derive(Deserialize, Default)]
struct Module<'a> {
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
    #[serde(borrow, default)]
    child_modules: Vec<Module<'a>>,
}

/// A resource of a state.
#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    deposed_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    #[serde(borrow)]
    sensitive_values: Option<&'a RawValue>,
}

/// A resource of a plan.
#[derive(Deserialize)]
struct Planned<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    deposed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    change: Values<'a>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow, default)]
    actions: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    after_unknown: Option<&'a RawValue>,
    #[serde(borrow)]
    before_sensitive: Option<&'a RawValue>,
    #[serde(borrow)]
    after_sensitive: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow, default)]
    root_module: ConfiguredModule<'a>,
}

/// A module as it is written.
#[derive(Deserialize, Default)]
pub(super) struct ConfiguredModule<'a> {
    #[serde(borrow, default)]
    pub(super) resources: Vec<ConfiguredResource<'a>>,
    #[serde(borrow, default)]
    pub(super) module_calls: HashMap<Cow<'a, str>, Call<'a>>,
    #[serde(borrow, default)]
    pub(super) outputs: HashMap<Cow<'a, str>, Output<'a>>,
}

/// A resource as it is written.
#[derive(Deserialize)]
pub(super) struct ConfiguredResource<'a> {
    #[serde(borrow)]
    pub(super) address: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) expressions: Option<&'a RawValue>,
}

/// A module that is used by another.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) expressions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) module: ConfiguredModule<'a>,
}

/// A value that a module gives to its user.
#[derive(Deserialize)]
pub(super) struct Output<'a> {
    #[serde(borrow)]
    pub(super) expression: Option<&'a RawValue>,
}

/// A resource at one moment, its attributes unread.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    /// Its address, indices and modules included.
    pub(super) address: Cow<'a, str>,
    /// Its type.
    pub(super) kind: Cow<'a, str>,
    /// Whether it is only looked up.
    pub(super) is_data: bool,
    /// Its attributes.
    pub(super) values: &'a RawValue,
    /// Which of them are known only after apply.
    pub(super) unknown: Option<&'a RawValue>,
    /// Which of them are sensitive.
    pub(super) sensitive: Option<&'a RawValue>,
    /// What the plan does to it.
    pub(super) fate: Fate,
}

/// What a plan does to a resource that stays or comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Kept,
    /// It is changed where it stands.
    Changed,
    /// It is made, so that nobody else has touched it.
    Made,
}

/// What one file says.
pub(super) struct File<'a> {
    /// What there is before a plan is carried out; all there is, of a state.
    pub(super) before: Vec<Entry<'a>>,
    /// What there is after it; `None` of a state.
    pub(super) after: Option<Vec<Entry<'a>>>,
    /// What is written; `None` of a state.
    pub(super) configured: Option<ConfiguredModule<'a>>,
}

/// Reads the text; what is neither a state nor a plan is refused.
pub(super) fn read(text: &str) -> Result<File<'_>, Fault> {
    let top: Top = serde_json::from_str(text).map_err(|cause| refusal(text, &cause))?;
    if top.level.is_some() {
        return Err(log(1));
    }
    let Some(version) = &top.format_version else { return Err(neither(&top)) };
    if !matches!(version.split('.').next(), Some("0" | "1")) {
        let message = format!("format version `{}` is not known", shown(version));
        return Err(Fault::new(1, message, "versions 0 and 1 are read; look for a newer callgate"));
    }
    if top.errored {
        return Err(Fault::new(
            1,
            "the plan ended with an error: it does not have everything",
            "mend what `terraform plan` complains about, and plan again",
        ));
    }
    let is_plan =
        top.planned_values.is_some() || top.configuration.is_some() || !top.resource_changes.is_empty();
    Ok(if is_plan { plan(top) } else { state(top) })
}

/// What has neither resources nor plans.
fn neither(top: &Top<'_>) -> Fault {
    if top.lineage.is_some() {
        return Fault::new(
            1,
            "this is a state file as Terraform keeps it for itself",
            "run `terraform show -json > state.json` where the state is in use, and give that",
        );
    }
    Fault::new(1, "the JSON has no `format_version`", HELP)
}

/// What is wrong with a text that is no JSON, or not of this form.
fn refusal(text: &str, cause: &serde_json::Error) -> Fault {
    let line = u32::try_from(cause.line()).unwrap_or(u32::MAX).max(1);
    let start = text.trim_start();
    let first = start.lines().next().unwrap_or_default();
    if first.starts_with('{') && first.contains("\"@level\"") {
        return log(line);
    }
    if !start.starts_with('{') {
        let what = if start.is_empty() { "the text is empty" } else { "this is no JSON object" };
        return Fault::new(1, what, HELP);
    }
    Fault::new(line, format!("not the JSON of Terraform: {}", shown(&cause.to_string())), HELP)
}

fn log(line: u32) -> Fault {
    Fault::new(
        line,
        "this is the log of `terraform plan -json`, which does not have the rules",
        "run `terraform plan -out plan`, then `terraform show -json plan`",
    )
}

/// Text of others, short and harmless.
fn shown(text: &str) -> String {
    crate::plain::line(&text.chars().take(200).collect::<String>())
}

fn state(top: Top<'_>) -> File<'_> {
    let mut before = Vec::new();
    if let Some(values) = top.values {
        gather(values.root_module, &mut |entry, _| before.push(entry));
    }
    File { before, after: None, configured: None }
}

fn plan(top: Top<'_>) -> File<'_> {
    let key =
        |change: &Planned<'_>| (change.address.to_string(), change.deposed.as_ref().map(ToString::to_string));
    let mut touched: HashMap<_, bool> =
        top.resource_changes.iter().map(|change| (key(change), false)).collect();
    let (mut before, mut after) = (Vec::new(), Vec::with_capacity(top.resource_changes.len()));
    if let Some(values) = top.prior_state.and_then(|state| state.values) {
        gather(values.root_module, &mut |entry, deposed| {
            match touched.get_mut(&(entry.address.to_string(), deposed.map(Cow::into_owned))) {
                Some(seen) => *seen = true,
                // A plan that is narrowed by `-target` leaves the others as they are.
                None => after.push(entry.clone()),
            }
            before.push(entry);
        });
    }
    for change in top.resource_changes {
        let seen = touched.get(&key(&change)) == Some(&true);
        let (old, new) = sides(change);
        // What is imported by this very plan may be missing in what was there before.
        before.extend(old.filter(|_| !seen));
        after.extend(new);
    }
    let configured = top.configuration.map(|configuration| configuration.root_module);
    File { before, after: Some(after), configured }
}

/// A resource before and after.
fn sides(change: Planned<'_>) -> (Option<Entry<'_>>, Option<Entry<'_>>) {
    let Planned { address, mode, kind, deposed: _, change } = change;
    let does = |action: &str| change.actions.iter().any(|known| known == action);
    let is_data = mode.is_some_and(|mode| mode == "data");
    let entry = |values| Entry {
        address: address.clone(),
        kind: kind.clone(),
        is_data,
        values,
        unknown: None,
        sensitive: None,
        fate: Fate::Kept,
    };
    let old =
        present(change.before).map(|values| Entry { sensitive: change.before_sensitive, ..entry(values) });
    // What is forgotten stays where it is; only Terraform does not look after it any more.
    if does("forget") && !does("create") {
        return (old.clone(), old);
    }
    let new = present(change.after).map(|values| Entry {
        unknown: change.after_unknown,
        sensitive: change.after_sensitive,
        fate: match (does("create"), does("update")) {
            (true, _) => Fate::Made,
            (false, true) => Fate::Changed,
            (false, false) => Fate::Kept,
        },
        ..entry(values)
    });
    (old, new)
}

fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// Hands out all resources of a module and of those within, in order, each with the key of a deposed one.
fn gather<'a>(module: Module<'a>, take: &mut impl FnMut(Entry<'a>, Option<Cow<'a, str>>)) {
    for resource in module.resources {
        let Some(values) = present(resource.values) else { continue };
        let entry = Entry {
            address: resource.address,
            kind: resource.kind,
            is_data: resource.mode.is_some_and(|mode| mode == "data"),
            values,
            unknown: None,
            sensitive: resource.sensitive_values,
            fate: Fate::Kept,
        };
        take(entry, resource.deposed_key);
    }
    module.child_modules.into_iter().for_each(|child| gather(child, take));
}
