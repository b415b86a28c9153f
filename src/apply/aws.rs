//! Security groups and prefix lists of AWS: what of them is ours, what would become of them, and who else is concerned.
//!
//! AWS is asked by its command line, and told by it ([`run`]). Credentials, regions and endpoints are that one's business,
//! so whoever goes back later needs the same environment.

pub mod error;
pub mod read;
pub mod run;

use std::collections::BTreeSet;
use std::time::Duration;

use super::configuration::Gap;
use crate::admission::Layer;
use crate::holding::aws::{Account, Order, Place, list, orders};
use crate::holding::{Holding, HoldingError};
use crate::plan::{Change, Wish};
use crate::prefix::Family;
use crate::security_group::select::Selection;
use crate::security_group::{Group, Groups, admit, quota};
use crate::target::Target;
use error::AwsError;

/// How often AWS is asked again what came of a change.
const LOOKS_MAX: u32 = 5;
/// How long to wait before that.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// What one account and region tells.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Which.
    pub account: Account,
    /// Its groups and lists, as far as they were asked for.
    pub groups: Groups,
    /// What the listings of groups don't keep of lists.
    pub(super) lists: Vec<read::List>,
}

/// A place in AWS, and where that is; `None` where a holding is elsewhere.
pub fn place(holding: &Holding) -> Option<(Place<'_>, &Account)> {
    match holding {
        Holding::AwsGroup { group, account } => Some((Place::Group(group), account)),
        Holding::AwsPrefixList { list, account } => Some((Place::List(list), account)),
        Holding::NftTable { .. }
        | Holding::NftChain { .. }
        | Holding::Iptables { .. }
        | Holding::Ipset { .. }
        | Holding::NginxFile { .. } => None,
    }
}

/// Whether any place is in AWS.
pub fn is_among<'h>(mut holdings: impl Iterator<Item = &'h Holding>) -> bool {
    holdings.any(|holding| place(holding).is_some())
}

impl Cloud {
    /// The groups that a target's rules are in, ready to be asked; `None` where they are elsewhere.
    fn layer(&self, selection: &Selection) -> Option<Box<dyn Layer + '_>> {
        selection.groups.iter().all(|id| self.groups.group(id).is_some()).then_some(())?;
        Some(Box::new(admit::Asked::new(&self.groups, selection).ok()?))
    }
}

/// The groups that a target's rules are in, ready to be asked.
pub fn layer_of<'c>(clouds: &'c [Cloud], target: &dyn Target) -> Option<Box<dyn Layer + 'c>> {
    let selection = target.security_group()?;
    clouds.iter().find_map(|cloud| cloud.layer(&selection))
}

/// What there will be once the changes are made.
pub fn predicted(clouds: &[Cloud], changes: &[Change]) -> Result<Vec<Cloud>, HoldingError> {
    with_orders(clouds, changes, |_| true)
}

/// What came of a change, read again while something is open: AWS tells of a change everywhere only after a moment.
pub(super) fn once_settled<T, E>(
    read: impl Fn() -> Result<T, E>,
    is_open: impl Fn(&T) -> bool,
) -> Result<T, E> {
    let mut now = read()?;
    for _ in 0..LOOKS_MAX {
        if !is_open(&now) {
            break;
        }
        std::thread::sleep(LOOK_PAUSE);
        now = read()?;
    }
    Ok(now)
}

/// What AWS would refuse for want of room. What is added comes before what is taken away, so both have to fit.
pub fn lacking(
    clouds: &[Cloud],
    changes: &[Change],
    targets: &[&dyn Target],
) -> Result<Vec<Gap>, HoldingError> {
    let is_addition = |order: &Order| !matches!(order, Order::Revoke { .. } | Order::Remove { .. });
    let fuller = with_orders(clouds, changes, is_addition)?;
    let mut gaps = Vec::new();
    for change in changes {
        match place(&change.step.holding) {
            Some((Place::List(list), _)) => gaps.extend(list_gap(change, list)?),
            Some((Place::Group(_), _)) => {
                let target = targets.iter().find(|target| target.common().name == change.wish.target);
                let selection = target.and_then(|target| target.security_group());
                let Some(selection) = selection else { continue };
                gaps.extend(group_gaps(&fuller, &selection, &change.wish.target));
            }
            None => {}
        }
    }
    Ok(gaps)
}

/// The groups and lists after those orders of the changes that are meant.
fn with_orders(
    clouds: &[Cloud],
    changes: &[Change],
    is_meant: impl Fn(&Order) -> bool,
) -> Result<Vec<Cloud>, HoldingError> {
    let mut after = clouds.to_vec();
    for change in changes {
        let Some((place, account)) = place(&change.step.holding) else { continue };
        let mut orders = orders(change.step.input.as_deref().unwrap_or_default())?;
        orders.retain(&is_meant);
        for cloud in after.iter_mut().filter(|cloud| cloud.account == *account) {
            place.put_into(&mut cloud.groups, &orders);
        }
    }
    Ok(after)
}

fn list_gap(change: &Change, id: &str) -> Result<Option<Gap>, HoldingError> {
    let Some((most, size)) = list::lacking(&change.wish.have, &change.wish.want)? else { return Ok(None) };
    Ok(Some(Gap {
        target: change.wish.target.clone(),
        code: "quota",
        message: format!("prefix list {id} would hold {most} entries at once, and its size is {size}"),
        help: "raise `v4_max_entries` or `v6_max_entries` in the site file, which counts in full against the quota of every \
               group that names the list, or set `aggregate: true`"
            .to_owned(),
    }))
}

fn group_gaps(fuller: &[Cloud], selection: &Selection, target: &str) -> Vec<Gap> {
    let most = selection.rules_max.unwrap_or(quota::RULES_MAX);
    let all = fuller.iter().flat_map(|cloud| cloud.groups.groups.iter().map(move |group| (cloud, group)));
    let meant = all.filter(|(_, group)| selection.groups.contains(&group.id));
    let counts = meant.flat_map(|(cloud, group)| {
        let count = quota::count(&cloud.groups, group);
        [(group, Family::V4, count.v4), (group, Family::V6, count.v6)]
    });
    let gap = |(group, family, rules): (&Group, Family, u32)| {
        Gap {
        target: target.to_owned(),
        code: "quota",
        message: format!(
            "security group {} would have {rules} {family} rules while the new ones stand beside the old, and the quota is \
             {most}",
            group.id
        ),
        help: "nothing is revoked first to make room: take rules of others away, set `aggregate: true`, use `prefix_lists:`, \
               or ask AWS for more and set `rules_max:`"
            .to_owned(),
    }
    };
    counts.filter(|(_, _, rules)| *rules > most).map(gap).collect()
}

/// What somebody should know: what others have for the same, and who else names a list that is changed.
pub fn notes(wishes: &[Wish], changes: &[Change]) -> Result<Vec<String>, AwsError> {
    let mut notes = Vec::new();
    for wish in wishes {
        let Some((place, _)) = place(&wish.holding) else { continue };
        for line in place.kept(wish.want.as_deref().unwrap_or_default())? {
            let (what, help) = match place {
                Place::Group(_) => ("a rule of somebody else", "; `--adopt` takes it over"),
                Place::List(_) => ("an entry of somebody else", ""),
            };
            let id = line.rule.map(|id| format!(" ({id})")).unwrap_or_default();
            let port = line.port.map(|port| format!(" at port {port}")).unwrap_or_default();
            notes.push(format!(
                "{}: {} is admitted{port} by {what}{id}, which is kept as it is{help}",
                wish.holding, line.source
            ));
        }
    }
    let own: BTreeSet<&str> = wishes.iter().filter_map(|wish| group_of(&wish.holding)).collect();
    for change in changes {
        if let Some((Place::List(list), account)) = place(&change.step.holding) {
            notes.extend(read::shared(list, account, &own));
        }
    }
    Ok(notes)
}

fn group_of(holding: &Holding) -> Option<&str> {
    match place(holding)? {
        (Place::Group(group), _) => Some(group),
        (Place::List(_), _) => None,
    }
}
