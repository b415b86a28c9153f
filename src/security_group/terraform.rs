//! What `terraform show -json` prints, of a state and of a plan: groups, rules and prefix lists.
//!
//! A state is what Terraform saw last; a plan has two moments, before and after it is carried out. What a plan does
//! not know yet, and what is sensitive, may match: attribute by attribute, so that an unknown address of a rule for
//! port 22 says nothing about port 443. The deciding rule is the resource's address.

mod address;
mod group;
mod json;
mod lines;
mod lists;
mod marks;
mod moment;
mod references;
mod rules;
mod select;
mod values;

use lines::Lines;
use moment::Moment;
use references::Configured;

use super::{Groups, Members, ReadError, Rule};
use crate::admission::Listing;

/// Which moment of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Before it is carried out.
    Before,
    /// After.
    #[default]
    After,
}

/// Which groups are asked about: all of them together are one interface's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Addresses of resources: groups, or what has groups.
    pub resources: Vec<String>,
    /// Ids of groups.
    pub groups: Vec<String>,
}

/// Why a text can't be read, or a question can't be asked of it.
#[derive(Debug)]
struct Fault {
    line: u32,
    message: String,
    help: String,
}

impl Fault {
    fn new(line: u32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line, message: message.into(), help: help.into() }
    }

    fn of(self, name: &str) -> ReadError {
        let Self { line, message, help } = self;
        ReadError { listing: crate::plain::line(name), line, message, help }
    }
}

/// A state or a plan. It borrows from its text.
pub struct Document<'a> {
    before: Vec<json::Entry<'a>>,
    after: Option<Vec<json::Entry<'a>>>,
    configured: Option<Configured<'a>>,
    lines: Lines<'a>,
    name: String,
}

/// What is asked about, read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The groups that are asked about, and the prefix lists. The listing has its name and no text.
    pub groups: Groups,
    /// The ids of the groups that are asked about.
    pub asked: Vec<String>,
}

/// Reads what `terraform show -json` printed; the name is that of its file.
///
/// # Errors
///
/// The text is no JSON, or neither a state nor a whole plan.
pub fn read<'a>(name: &str, text: &'a str) -> Result<Document<'a>, ReadError> {
    let file = json::read(text).map_err(|fault| fault.of(name))?;
    Ok(Document {
        before: file.before,
        after: file.after,
        configured: file.configured.map(Configured::new),
        lines: Lines::new(text),
        name: name.to_owned(),
    })
}

impl<'a> Document<'a> {
    /// Whether it is a plan; a state has one moment only.
    pub fn is_plan(&self) -> bool {
        self.after.is_some()
    }

    /// The groups that are asked about, at one moment. Of a state the moment does not matter.
    ///
    /// # Errors
    ///
    /// What is asked about isn't there, or it is not said what is asked about and there are several groups.
    pub fn reading(&self, asked: &Asked, when: When) -> Result<Reading, ReadError> {
        let before = self.moment(&self.before, When::Before, None);
        let Some(after) = &self.after else { return self.at(asked, &before, None, None) };
        let after = self.moment(after, When::After, Some(&before));
        match when {
            When::Before => self.at(asked, &before, None, Some(&after)),
            When::After => self.at(asked, &after, Some(&before), Some(&before)),
        }
    }

    /// The groups that are asked about before a plan and after it; `None` of a state.
    ///
    /// # Errors
    ///
    /// As [`reading`](Self::reading).
    pub fn both(&self, asked: &Asked) -> Result<Option<(Reading, Reading)>, ReadError> {
        let Some(after) = &self.after else { return Ok(None) };
        let before = self.moment(&self.before, When::Before, None);
        let after = self.moment(after, When::After, Some(&before));
        let old = self.at(asked, &before, None, Some(&after))?;
        Ok(Some((old, self.at(asked, &after, Some(&before), Some(&before))?)))
    }

    fn at(
        &self,
        asked: &Asked,
        moment: &Moment<'_, '_>,
        earlier: Option<&Moment<'_, '_>>,
        other: Option<&Moment<'_, '_>>,
    ) -> Result<Reading, ReadError> {
        let mut reading = reading(asked, moment, earlier, other).map_err(|fault| fault.of(&self.name))?;
        // The text is not kept: nothing looks at it any more, and it may be large.
        reading.groups.listings = vec![Listing { name: self.name.clone(), text: "".into() }];
        Ok(reading)
    }

    fn moment<'d>(
        &'d self,
        entries: &'d [json::Entry<'a>],
        when: When,
        earlier: Option<&Moment<'_, '_>>,
    ) -> Moment<'d, 'a> {
        let source = moment::Source { entries, configured: self.configured.as_ref(), lines: &self.lines };
        Moment::new(when, &source, earlier)
    }
}

/// Reads what is asked about at a moment. `other` is the other moment of a plan.
fn reading(
    asked: &Asked,
    moment: &Moment<'_, '_>,
    earlier: Option<&Moment<'_, '_>>,
    other: Option<&Moment<'_, '_>>,
) -> Result<Reading, Fault> {
    let selection = select::keys(asked, moment, other)?;
    let members = Members::Cut("Terraform does not list all interfaces of a group".to_owned());
    let mut groups = Groups { remarks: selection.remarks, members, ..Groups::default() };
    for key in &selection.keys {
        let (mut group, remarks) = group::group(moment, earlier, key);
        for rule in &mut group.rules {
            moment.settle(rule);
        }
        let doubtful: Vec<Rule> = group.rules.iter().flat_map(|rule| moment.lists.doubtful(rule)).collect();
        group.rules.extend(doubtful);
        groups.groups.push(group);
        groups.remarks.extend(remarks.into_iter().filter(|_| !selection.absent.contains(key)));
    }
    groups.prefix_lists = moment.lists.all.iter().map(|one| one.list.clone()).collect();
    Ok(Reading { groups, asked: selection.keys })
}
