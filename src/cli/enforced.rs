//! What `plan` and `apply` share: their options, the policies and the site, and the targets that are put in force.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use jiff::Timestamp;

use super::inputs::{self, Inputs};
use super::render::{chosen, resolved};
use super::{Global, complain, show};
use crate::allowlist::{self, Allowlist};
use crate::apply::job::Job;
use crate::apply::session::default_folder;
use crate::apply::state::StateFolder;
use crate::diagnostic::Diagnostics;
use crate::holding::aws::Adopt;
use crate::plan::guardrail::{Kind, Lifted};
use crate::report::drift_v1::Skipped;
use crate::report::plan_v1::PlanStamp;
use crate::target::{Target, TargetKind};

/// Options that both have.
#[derive(Debug, clap::Args)]
pub(super) struct Enforced {
    /// Put these targets in force only; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) target: Vec<String>,
    /// In AWS, take over rules of others that name exactly what is wanted, by giving them our description
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    pub(super) state: State,
    #[command(flatten)]
    pub(super) lifts: Lifts,
}

/// Where the state is kept.
#[derive(Debug, clap::Args)]
pub(super) struct State {
    /// The folder in which callgate remembers what it changed
    #[arg(long, value_name = "DIR", default_value_os_t = default_folder().to_path_buf())]
    state: PathBuf,
}

/// One flag for each guardrail; its value is the plan's digest, so that it lifts the guardrail for that plan only.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Guardrails")]
pub(super) struct Lifts {
    /// Admit nobody
    #[arg(long = "allow-empty", value_name = "PLAN")]
    empty: Option<String>,
    /// Admit nobody of a family that is deployed
    #[arg(long = "allow-family-loss", value_name = "PLAN")]
    family_loss: Option<String>,
    /// Take away more prefixes than the site allows at once
    #[arg(long = "allow-removals", value_name = "PLAN")]
    removals: Option<String>,
    /// Refuse somebody who is connected by SSH now
    #[arg(long = "allow-cut-peer", value_name = "PLAN")]
    cut_peer: Option<String>,
    /// Refuse a flow that the site says must stay open
    #[arg(long = "allow-cut-flow", value_name = "PLAN")]
    cut_flow: Option<String>,
}

impl Lifts {
    pub(super) fn lifted(&self) -> Lifted {
        let given = [
            (Kind::EmptyAllowlist, &self.empty),
            (Kind::FamilyVanishes, &self.family_loss),
            (Kind::TooManyRemovals, &self.removals),
            (Kind::CutsPeer, &self.cut_peer),
            (Kind::CutsFlow, &self.cut_flow),
        ];
        Lifted::new(given.into_iter().filter_map(|(kind, given)| Some((kind, given.clone()?))))
    }
}

impl State {
    /// The folder, to write there.
    pub(super) fn open(&self) -> anyhow::Result<StateFolder> {
        StateFolder::open(&self.state).map_err(|error| anyhow!("{error}\n  help: {}", error.help()))
    }

    /// The folder, to look; `None` where there is none.
    pub(super) fn find(&self) -> anyhow::Result<Option<StateFolder>> {
        StateFolder::find(&self.state).map_err(|error| anyhow!("{error}\n  help: {}", error.help()))
    }
}

/// Policies and site, read and sound.
pub(super) struct Prepared {
    pub(super) inputs: Inputs,
    pub(super) allowlist: Allowlist,
}

impl Prepared {
    /// Reads them; `None` where they have faults, which are shown.
    pub(super) fn read(global: &Global) -> anyhow::Result<Option<Self>> {
        let mut sink = Diagnostics::new();
        let inputs = inputs::read(global, &mut sink);
        let allowlist = resolved(&inputs, &mut sink);
        show(&sink);
        let Some(allowlist) = allowlist.filter(|_| !sink.has_errors()) else { return Ok(None) };
        if inputs.site.as_ref().is_some_and(crate::site::Site::is_built_in) {
            bail!(
                "there is no site file, and the built-in one is for looking only\n  \
                 help: write one that says what is wanted here, with `callgate init`"
            );
        }
        Ok(Some(Self { inputs, allowlist }))
    }

    /// The allowlist at another instant.
    pub(super) fn allowlist_at(&self, at: Timestamp) -> Option<Allowlist> {
        let site = self.inputs.site.as_ref()?;
        Some(allowlist::resolve(&self.inputs.policies, site, at, &mut Diagnostics::new()))
    }
}

impl Enforced {
    /// With the targets of a plan; none may be named besides.
    pub(super) fn of_plan(self, plan: Option<&PlanStamp>) -> anyhow::Result<Self> {
        match plan {
            None => Ok(self),
            Some(_) if !self.target.is_empty() => {
                bail!("a plan has its own targets\n  help: leave out `--target`")
            }
            Some(_) if self.adopt => {
                bail!("a plan says by itself what it adopts\n  help: leave out `--adopt`")
            }
            Some(stamp) => Ok(Self { target: stamp.targets.clone(), adopt: stamp.adopt, ..self }),
        }
    }

    /// What is to be put in force on this host.
    pub(super) fn job<'p>(&self, prepared: &'p Prepared) -> anyhow::Result<Job<'p>> {
        let all = &prepared.inputs.targets;
        if let Some(name) =
            self.target.iter().find(|name| !all.iter().any(|target| target.common().name == **name))
        {
            let known: Vec<&str> = all.iter().map(|target| target.common().name.as_str()).collect();
            bail!("the site has no target `{}`\n  help: it has: {}", name.escape_debug(), known.join(", "));
        }
        let job =
            Job::new(chosen(&prepared.inputs, &self.target), &prepared.allowlist, &prepared.inputs.templates)
                .map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
        if job.targets.is_empty() {
            bail!(
                "no target of the site is put in force by callgate\n  \
                 help: name one of kind nftables or iptables, an nginx target with `install:`, or one of AWS with `apply:`"
            );
        }
        Ok(job.adopting(if self.adopt { Adopt::Exact } else { Adopt::Nothing }))
    }

    /// Targets that are not put in force here, with why.
    pub(super) fn skipped(&self, prepared: &Prepared, job: &Job<'_>) -> Vec<Skipped> {
        let here =
            |target: &dyn Target| job.targets.iter().any(|one| one.common().name == target.common().name);
        let why = |kind: TargetKind| match kind {
            TargetKind::Nginx => "it has no `install:`, so it is rendered only",
            TargetKind::AwsSecurityGroup => "it has no `apply:`, so it is rendered only",
            TargetKind::Terraform => "it is rendered only",
            TargetKind::Iptables | TargetKind::Nftables => "it has no place here",
        };
        chosen(&prepared.inputs, &self.target)
            .filter(|target| !here(*target))
            .map(|target| Skipped {
                target: target.common().name.clone(),
                why: why(target.common().kind).to_owned(),
            })
            .collect()
    }
}

/// Says what an earlier run had left.
pub(super) fn tell_settled(settled: Option<&crate::apply::session::Settled>) {
    if let Some(settled) = settled {
        complain(&format!("{} was undone first: {}\n", settled.id, settled.why));
    }
}
