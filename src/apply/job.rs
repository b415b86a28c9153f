//! What is to be put in force, and how things stand: read, planned, asked beforehand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ahead::{self, Overruled};
use super::aws;
use super::configuration::{self, Gap, Guarded};
use super::lasting::{self, Looked};
use super::tools::{self, Seen, ToolError};
use crate::admission::{Admission, Layer, LayerKind, Question};
use crate::allowlist::Allowlist;
use crate::holding::aws::Adopt;
use crate::holding::lasting::{Lasting, Part};
use crate::holding::{Holding, Listed, Want};
use crate::netfilter::{self, Host};
use crate::plan::{self, Asked, Change, Names, Wish};
use crate::policy::Digest;
use crate::prefix::PrefixSet;
use crate::target::template::Templates;
use crate::target::{RenderError, Target};

/// What is to be put in force.
pub struct Job<'a> {
    /// The targets that have places of their own on this host.
    pub targets: Vec<&'a dyn Target>,
    /// What is wanted.
    pub allowlist: &'a Allowlist,
    /// Each place, whose it is, and what should be in it.
    wanted: Vec<(String, Holding, Want<'a>)>,
    /// The files from which the host loads them when it starts.
    lasting: Vec<Lasting>,
    /// Whether rules of others that name exactly what is wanted become ours.
    adopt: Adopt,
}

/// How things stand, and what would be done.
#[derive(Debug)]
pub struct Survey {
    /// What is there.
    pub seen: Seen,
    /// What will be there.
    pub after: Seen,
    /// The places with what is in them and what should be: every one where something changes, or else those that had to be
    /// compared as text.
    pub wishes: Vec<Wish>,
    /// The changes, in their order; none where all is as it should be.
    pub changes: Vec<Change>,
    /// The rules of others that no longer decide about some, since a jump of ours moves before them.
    pub overruled: Vec<Overruled>,
    /// What is missing for a place to be in force, whatever it holds.
    pub gaps: Vec<Gap>,
    /// What keeps the changes from being made at all.
    pub blocked: Vec<Gap>,
    /// What somebody should know that is no fault.
    pub notes: Vec<String>,
    /// The files from which the host loads our places when it starts, and how they stand.
    pub lasting: Vec<Looked>,
    /// How the rules that are there differ from what is wanted.
    pub drifts: Vec<TargetDrift>,
    /// Names what was read: the places of ours, and who gets in.
    pub observed: Digest,
    /// Names all of it: what was read, what is wanted, and every step.
    pub digest: Digest,
}

/// What is done, and what comes of it.
#[derive(Debug)]
pub(super) struct Reached {
    /// The changes, in their order.
    pub(super) changes: Vec<Change>,
    /// The host as it will be.
    pub(super) host: Option<Arc<Host>>,
    /// The rules of others that no longer decide about some, since a jump of ours moves before them.
    pub(super) overruled: Vec<Overruled>,
}

/// How a target's rules differ from what is wanted.
#[derive(Debug)]
pub struct TargetDrift {
    /// The target.
    pub target: String,
    /// The answer at each port of the service.
    pub asked: Vec<Asked>,
}

impl TargetDrift {
    /// Whether something is certainly wrong.
    pub fn is_certain(&self) -> bool {
        self.asked.iter().any(|asked| asked.drift.is_certain())
    }
}

impl<'a> Job<'a> {
    /// Takes the targets that have places of their own.
    pub fn new(
        targets: impl IntoIterator<Item = &'a dyn Target>,
        allowlist: &'a Allowlist,
        templates: &Templates,
    ) -> Result<Self, RenderError> {
        let mut job = Self {
            targets: Vec::new(),
            allowlist,
            wanted: Vec::new(),
            lasting: Vec::new(),
            adopt: Adopt::Nothing,
        };
        for target in targets {
            let held = target.holdings(allowlist, templates)?;
            if !held.is_empty() {
                job.targets.push(target);
            }
            job.lasting.extend(target.lasting(&held));
            let name = &target.common().name;
            let taken = held.iter().find_map(|(holding, _)| {
                let other = job.wanted.iter().find(|(_, taken, _)| is_same_place(taken, holding))?;
                Some((&other.0, holding))
            });
            if let Some((other, holding)) = taken {
                let what = format!("targets `{other}` and `{name}` have the same place, {holding}");
                let advice = "give each a place of its own, or apply one of them: `--target NAME`";
                return Err(RenderError::Cannot { what, help: advice.to_owned() });
            }
            job.wanted.extend(held.into_iter().map(|(holding, want)| (name.clone(), holding, want)));
        }
        Ok(job)
    }

    /// The same, and rules of others are adopted or not.
    #[must_use]
    pub fn adopting(self, adopt: Adopt) -> Self {
        Self { adopt, ..self }
    }

    /// Whether rules of others are adopted.
    pub fn adopts(&self) -> bool {
        self.adopt != Adopt::Nothing
    }

    /// Whether a part of it is in AWS.
    pub fn is_in_aws(&self) -> bool {
        aws::is_among(self.places().map(|(_, holding)| holding))
    }

    /// Its places, each with its target's name.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Holding)> {
        self.wanted.iter().map(|(target, holding, _)| (target.as_str(), holding))
    }

    /// Reads what is there, and says what would be done. Nothing is changed.
    pub fn survey(&self) -> Result<Survey, ToolError> {
        let holdings: Vec<Holding> = self.places().map(|(_, holding)| holding.clone()).collect();
        let mut seen = tools::read(&holdings)?;
        seen.nginx = configuration::read(&self.targets, &BTreeMap::new())?;
        let drifts = self.drifts(&seen);
        let (wishes, Reached { changes, host, overruled }) = self.reached(&seen, &drifts)?;
        let planned = configuration::planned(&changes);
        let nginx = if planned.is_empty() {
            seen.nginx.clone()
        } else {
            configuration::read(&self.targets, &planned)?
        };
        let clouds = aws::predicted(&seen.clouds, &changes)?;
        let after = Seen { host, nginx, clouds, listed: Listed::default() };
        let gaps = self.gaps(&after.nginx);
        let blocked = aws::lacking(&seen.clouds, &changes, &self.targets)?;
        let mut notes = aws::notes(&wishes, &changes)?;
        for guarded in &after.nginx {
            notes.extend(guarded.notes()?);
        }
        let lasting = lasting::look(&self.lasting_ahead(&seen.listed, &changes));
        let observed = self.observed(&drifts, &wishes, &changes);
        let digest = self.digest(&observed, &changes, &lasting);
        Ok(Survey {
            seen,
            after,
            wishes,
            changes,
            overruled,
            gaps,
            blocked,
            notes,
            lasting,
            drifts,
            observed,
            digest,
        })
    }

    /// Each place with what is in it and what should be; `None` where the host's rules, which were read already, say that both
    /// mean the same: nobody needs the texts then.
    fn open(&self, seen: &Seen) -> Result<Vec<Option<Wish>>, ToolError> {
        let wish = |(target, holding, want): &(String, Holding, Want<'_>)| {
            if let Some(host) = &seen.host
                && holding.is_met(host, want)?
            {
                return Ok(None);
            }
            let have = tools::content(seen, holding)?;
            let (have, want) = holding.fitted(have, &want.content(), self.adopt)?;
            Ok(Some(Wish { target: target.clone(), holding: holding.clone(), have, want }))
        };
        self.wanted.iter().map(wish).collect()
    }

    /// The changes that wishes need, and what comes of them on the host. A jump of ours moves where that mends what the
    /// changes alone would not.
    fn reached(&self, seen: &Seen, drifts: &[TargetDrift]) -> Result<(Vec<Wish>, Reached), ToolError> {
        let open = self.open(seen)?;
        let changes = plan::changes(open.iter().flatten())?;
        let is_settled = changes.is_empty() && !drifts.iter().any(TargetDrift::is_certain);
        let host = match &seen.host {
            Some(host) if !changes.is_empty() => Some(Arc::new(plan::predicted(host, &changes)?)),
            host => host.clone(),
        };
        let plain = Reached { changes, host, overruled: Vec::new() };
        if is_settled {
            return Ok((open.into_iter().flatten().collect(), plain));
        }
        let met = |(target, holding, want): &(String, Holding, Want<'_>)| {
            let want = want.content();
            Wish { target: target.clone(), holding: holding.clone(), have: want.clone(), want }
        };
        let pairs = open.into_iter().zip(&self.wanted);
        let wishes: Vec<Wish> = pairs.map(|(open, place)| open.unwrap_or_else(|| met(place))).collect();
        let ask = |host: &Arc<Host>| self.drifts(&Seen { host: Some(Arc::clone(host)), ..Seen::default() });
        let reached = ahead::moved(seen, &wishes, plain, &ask)?;
        Ok((wishes, reached))
    }

    /// The files that a host loads when it starts: where our jump comes before all others in force, it does there too.
    fn lasting_ahead(&self, listed: &Listed, changes: &[Change]) -> Vec<Lasting> {
        let mut files = self.lasting.clone();
        for file in &mut files {
            let Part::Rules { place, text } = &mut file.part else { continue };
            let mut of_place = changes.iter().filter(|change| change.wish.holding == *place);
            let moves = of_place.any(|change| place.is_in_place(&change.wish.want));
            if moves || !place.is_behind(&place.own_in_place(listed)) {
                let ahead = place.ahead(&Some(std::mem::take(text).into()));
                text.push_str(ahead.as_deref().unwrap_or_default());
            }
        }
        files
    }

    /// Reads what came of changes. AWS is asked again where something is not as it should be.
    pub fn read_back(&self) -> Result<Survey, ToolError> {
        let is_in_aws = self.is_in_aws();
        let is_open =
            |now: &Survey| !now.changes.is_empty() || now.drifts.iter().any(TargetDrift::is_certain);
        aws::once_settled(|| self.survey(), |now| is_in_aws && is_open(now))
    }

    fn gaps(&self, guarded: &[Guarded]) -> Vec<Gap> {
        let service = &self.allowlist.service;
        let question = Question {
            port: service.ports.first().copied().unwrap_or_default(),
            interface: service.interface.clone(),
            addresses: service.addresses.clone(),
            at: self.allowlist.instant,
        };
        guarded.iter().filter_map(|guarded| guarded.gap(&question)).collect()
    }

    /// How each target's rules differ from what is wanted.
    fn drifts(&self, seen: &Seen) -> Vec<TargetDrift> {
        let ask = |target: &dyn Target| {
            let layer = seen.layer_of(target)?;
            Some(plan::ask(layer.as_ref(), self.allowlist, self.allowlist.instant))
        };
        // All places of a host are among the same rules, which are asked once.
        let first = self.targets.iter().find(|target| target.layer() == LayerKind::Host);
        let of_host = first.and_then(|target| ask(*target));
        let of_target = |target: &&dyn Target| {
            let answers = match target.layer() {
                LayerKind::Host => of_host.clone(),
                LayerKind::Nginx | LayerKind::SecurityGroup => ask(*target),
            };
            let common = target.common();
            let asked = answers?.compared(self.allowlist, common.mode);
            Some(TargetDrift { target: common.name.clone(), asked })
        };
        self.targets.iter().filter_map(of_target).collect()
    }

    /// What was read: the places of ours that are to change, without what changes by itself, and who gets in. What is as wanted
    /// is named as that: the digest of all of it names what is wanted. So is what nothing is undecided in.
    fn observed(&self, drifts: &[TargetDrift], wishes: &[Wish], changes: &[Change]) -> Digest {
        let mut names = Names::new();
        let changes = |wish: &&Wish| changes.iter().any(|change| change.wish.holding == wish.holding);
        for (_, holding) in self.places() {
            names.add(holding.to_string());
            match wishes.iter().find(|wish| wish.holding == *holding).filter(changes) {
                Some(wish) => names.add(wish.have.as_deref().map_or("-".into(), without_handles).as_ref()),
                None => names.add(KNOWN),
            }
        }
        for asked in drifts.iter().flat_map(|drift| &drift.asked) {
            names.add(asked.port.to_string());
            let Admission { surely, possibly, .. } = &*asked.admission;
            name_set(&mut names, (!asked.drift.is_exact).then_some(surely));
            name_set(&mut names, (possibly != surely).then_some(possibly));
        }
        names.digest()
    }

    /// The same for the same work: when it was asked for does not matter, so that a flag which is bound to a plan fits
    /// the same plan a minute later.
    fn digest(&self, observed: &Digest, changes: &[Change], lasting: &[Looked]) -> Digest {
        let mut names = Names::new();
        names.add(env!("CARGO_PKG_VERSION"));
        names.add(observed.to_string());
        for stamp in &self.allowlist.policies {
            names.add(format!("{} {} {}", stamp.provider, stamp.revision, stamp.digest));
        }
        // With the policies these say who is to get in.
        for origin in &self.allowlist.origins {
            names.add(format!("{} {}", origin.provider, origin.source));
        }
        for change in changes {
            names.add(change.step.holding.to_string());
            names.add(change.step.input.as_deref().unwrap_or_default());
        }
        for looked in lasting.iter().filter(|looked| looked.is_stale()) {
            names.add(looked.file.path.display().to_string());
            names.add(format!("{:?}", looked.standing));
        }
        names.digest()
    }
}

impl Seen {
    /// The rules that a target's place is among: of nginx, each target has a location of its own, and of AWS a group;
    /// `None` where they were not read.
    pub fn layer_of(&self, target: &dyn Target) -> Option<Box<dyn Layer + '_>> {
        match target.layer() {
            LayerKind::Host => {
                let host = self.host.as_ref()?;
                Some(Box::new(netfilter::evaluate::Asked::new(host)))
            }
            LayerKind::Nginx => {
                self.nginx.iter().find(|guarded| guarded.target == target.common().name)?.layer()
            }
            LayerKind::SecurityGroup => aws::layer_of(&self.clouds, target),
        }
    }
}

/// Names what is known by other names; no set and no text is as short.
const KNOWN: &str = "=";

fn name_set(names: &mut Names, set: Option<&PrefixSet>) {
    match set {
        Some(set) => names.add_set(set),
        None => names.add(KNOWN),
    }
}

/// Whether two places are one, so that each would undo what the other holds.
fn is_same_place(one: &Holding, other: &Holding) -> bool {
    one.to_string() == other.to_string()
}

/// Handles are new after each load.
fn without_handles(text: &str) -> Cow<'_, str> {
    const HANDLE: &str = " # handle ";
    if !text.contains(HANDLE) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(HANDLE);
    let mut left = parts.next().unwrap_or_default().to_owned();
    left.reserve(text.len().saturating_sub(left.len()));
    for part in parts {
        left.push_str(part.find('\n').and_then(|end| part.get(end..)).unwrap_or_default());
    }
    Cow::Owned(left)
}
