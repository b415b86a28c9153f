//! Targets: the places where an allowlist is enforced, each with its own syntax and quoting.
//!
//! A target writes the whole allowlist or refuses; it never weakens it. What a target can't express is a
//! [`RenderError`]. Targets do not know each other.

mod aws_security_group;
mod comment;
mod iptables;
mod nftables;
mod nginx;
pub mod template;
mod terraform;

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator};

use crate::admission::{Decider, FindingKind, LayerKind, Listing};
use crate::allowlist::Allowlist;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::holding::lasting::Lasting;
use crate::holding::{self, Content, Holding, Want};
use crate::security_group::select::Selection;
use crate::site::{Site, TargetSettings};
use crate::yaml::Value;
use crate::yaml::decode::{Decode, Decoder, choices};
use template::{TemplateError, Templates};

choices! {
    /// The kinds of target; adding one makes the compiler list what is missing.
    pub enum TargetKind {
        /// Rules of AWS security groups, as JSON for the AWS command line.
        AwsSecurityGroup = "aws-security-group",
        /// `iptables-restore` input, optionally with ipset.
        Iptables = "iptables",
        /// An `nft -f` file.
        Nftables = "nftables",
        /// An nginx snippet.
        Nginx = "nginx",
        /// A Terraform module.
        Terraform = "terraform",
    }
}

impl TargetKind {
    /// The folder of its templates.
    pub fn folder(self) -> String {
        self.as_str().replace('-', "_")
    }
}

pub use crate::drift::Mode;
pub use nginx::location::{Level, Location};

/// What a target renders.
#[derive(Debug, Default)]
pub struct Artifact {
    /// Its files.
    pub files: Vec<ArtifactFile>,
    /// What somebody should know before it is put to work.
    pub findings: Vec<Diagnostic>,
    /// How much of each quota it takes.
    pub quotas: Vec<Quota>,
}

/// How much of a quota an artifact takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub what: String,
    /// How it is counted, such as `1 port x 7 prefixes`.
    pub sum: String,
    /// How many it takes.
    pub used: u64,
    /// How many there may be.
    pub most: u64,
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Its path below the output folder.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Why a target can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is nothing to admit.
    #[error("the allowlist is empty: rendered, it would refuse every callback")]
    Empty,
    /// The target has no way to say it.
    #[error("{what}")]
    Cannot {
        /// What it can't do.
        what: String,
        /// What to do instead.
        help: String,
    },
    /// A template is broken.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl RenderError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            RenderError::Empty => "check policies, roles, environments and `--at`".to_owned(),
            RenderError::Cannot { help, .. } => help.clone(),
            RenderError::Template(error) => error.help(),
        }
    }

    /// As a diagnostic about a target.
    pub fn diagnostic(&self, target: &str) -> Diagnostic {
        let code = match self {
            RenderError::Empty => Code::EmptyAllowlist,
            RenderError::Cannot { .. } => Code::TargetCannot,
            RenderError::Template(_) => Code::TemplateError,
        };
        Diagnostic::new(code, format!("target `{target}`: {self}")).help(self.help()).about(target)
    }
}

/// A configured place where an allowlist is enforced.
pub trait Target {
    /// The settings that every target has.
    fn common(&self) -> &Common;
    /// Writes the allowlist in the target's syntax. Pure: the same allowlist gives the same bytes. An empty one is
    /// refused.
    fn render(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        if allowlist.entries().is_empty() {
            return Err(RenderError::Empty);
        }
        self.write(&self.common().formed(allowlist), templates)
    }
    /// Writes an allowlist that has the form asked for; an empty one admits nobody.
    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError>;
    /// The places of its own in a system, in the order in which they are filled, and what should be in them; none for
    /// a target that is rendered only. An empty allowlist is no fault here: whether one may be put in force, the plan asks.
    fn holdings<'a>(
        &self,
        allowlist: &'a Allowlist,
        templates: &Templates,
    ) -> Result<Vec<(Holding, Want<'a>)>, RenderError> {
        let _ = (allowlist, templates);
        Ok(Vec::new())
    }
    /// The files from which the host loads these places when it starts; none where they don't outlive a reboot, or do by
    /// themselves.
    fn lasting(&self, held: &[(Holding, Want<'_>)]) -> Vec<Lasting> {
        let _ = held;
        Vec::new()
    }
    /// Where on a caller's way it stands.
    fn layer(&self) -> LayerKind;
    /// The location of nginx that it guards, for a target whose file is put into nginx's configuration.
    fn location(&self) -> Option<&Location> {
        None
    }
    /// The security group that its rules are put into, and the quota there.
    fn security_group(&self) -> Option<Selection> {
        None
    }
    /// Whether what a layer found is as it should be with this target.
    fn expects(&self, found: FindingKind) -> bool {
        let _ = found;
        false
    }
    /// Whether a rule is in a place of the target's own.
    fn owns(&self, rule: &Decider) -> bool {
        let _ = rule;
        false
    }
    /// The part of a listing that is in a place of the target's own.
    /// For showing only: equal text proves nothing, and different text does not either.
    fn deployed(&self, listing: &Listing) -> Option<String> {
        let _ = listing;
        None
    }
    /// The file that such a part is compared with.
    fn file_for<'a>(&self, listing: &Listing, artifact: &'a Artifact) -> Option<&'a ArtifactFile> {
        let _ = listing;
        artifact.files.first()
    }
}

/// Settings that every target has.
#[derive(Debug, Clone)]
pub struct Common {
    /// Its name, which its files are named after.
    pub name: String,
    /// Its kind.
    pub kind: TargetKind,
    /// What becomes of everyone else.
    pub mode: Mode,
    /// Whether neighbouring prefixes are joined.
    pub aggregate: bool,
}

impl Common {
    /// Settings as written, with what they are where they are left out.
    fn new(name: String, kind: TargetKind, mode: Option<Mode>, aggregate: Option<bool>) -> Self {
        Self { name, kind, mode: mode.unwrap_or(Mode::Exclusive), aggregate: aggregate.unwrap_or(false) }
    }

    /// The allowlist in the form asked for.
    fn formed<'a>(&self, allowlist: &'a Allowlist) -> Cow<'a, Allowlist> {
        if self.aggregate { Cow::Owned(allowlist.aggregated()) } else { Cow::Borrowed(allowlist) }
    }
}

choices! {
    /// Whether an artifact also puts in the jump to its own chain.
    pub(crate) enum Jump {
        /// It does.
        Insert = "insert",
        /// The user has put it in.
        None = "none",
    }
}

impl Jump {
    /// Whose the jump is on the host.
    fn owner(self) -> holding::Jump {
        match self {
            Jump::Insert => holding::Jump::Ours,
            Jump::None => holding::Jump::Theirs,
        }
    }
}

/// What should be in places, as text.
fn contents(held: &[(Holding, Want<'_>)]) -> Vec<(Holding, Content)> {
    held.iter().map(|(holding, want)| (holding.clone(), want.content())).collect()
}

/// Makes a target out of its settings; `None` where they have a fault, which goes to `sink`.
pub fn build(settings: &TargetSettings, site: &Site, sink: &mut Diagnostics) -> Option<Box<dyn Target>> {
    let mut found = Diagnostics::new();
    let mut decoder = Decoder::new(&site.text, &mut found);
    let target = kind_of(settings, &mut decoder).and_then(|kind| -> Option<Box<dyn Target>> {
        let name = settings.name.clone();
        Some(match kind {
            TargetKind::AwsSecurityGroup => Box::new(aws_security_group::AwsSecurityGroup::new(
                name,
                Decode::decode(&settings.node, &mut decoder)?,
                &mut decoder,
            )),
            TargetKind::Iptables => Box::new(iptables::Iptables::new(
                name,
                Decode::decode(&settings.node, &mut decoder)?,
                &mut decoder,
            )),
            TargetKind::Nftables => Box::new(nftables::Nftables::new(
                name,
                Decode::decode(&settings.node, &mut decoder)?,
                &mut decoder,
            )),
            TargetKind::Nginx => {
                let raw = Decode::decode(&settings.node, &mut decoder)?;
                Box::new(nginx::Nginx::new(name, raw, &site.path, &mut decoder))
            }
            TargetKind::Terraform => Box::new(terraform::Terraform::new(
                name,
                Decode::decode(&settings.node, &mut decoder)?,
                &mut decoder,
            )),
        })
    });
    let refused = found.has_errors();
    sink.append(found);
    target.filter(|_| !refused)
}

fn kind_of(settings: &TargetSettings, decoder: &mut Decoder<'_>) -> Option<TargetKind> {
    // Text that starts so is an alias, which has been refused.
    if matches!(&settings.node.value, Value::Scalar(text, _) if text.starts_with('*')) {
        return None;
    }
    let Value::Mapping(entries, _) = &settings.node.value else {
        let message = format!("target `{}` has no settings", settings.name);
        decoder.fault(Code::WrongType, &settings.node.span, message, "write `{ kind: nginx }`");
        return None;
    };
    let kind = entries.iter().find(|(key, _)| matches!(&key.value, Value::Scalar(text, _) if text == "kind"));
    let Some((_, kind)) = kind else {
        let start = settings.node.span.start;
        let message = format!("target `{}` has no kind", settings.name);
        decoder.fault(
            Code::MissingKey,
            &(start..start),
            message,
            "add `kind:` with one of nginx, iptables, nftables, aws-security-group, terraform",
        );
        return None;
    };
    TargetKind::decode(kind, decoder)
}

/// The schema of a target's settings: one shape a kind.
pub(crate) fn settings_schema(generator: &mut SchemaGenerator) -> Schema {
    let shapes = [
        generator.subschema_for::<aws_security_group::RawSettings>(),
        generator.subschema_for::<iptables::RawSettings>(),
        generator.subschema_for::<nftables::RawSettings>(),
        generator.subschema_for::<nginx::RawSettings>(),
        generator.subschema_for::<terraform::RawSettings>(),
    ];
    schemars::json_schema!({ "anyOf": shapes })
}

/// A word of `kind:` for the schema: each target's settings know their own kind only.
macro_rules! kind_word {
    ($name:ident, $word:literal) => {
        /// The kind of target.
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;

        impl $crate::yaml::decode::Decode for $name {
            fn decode(
                _: &$crate::yaml::Node<'_>,
                _: &mut $crate::yaml::decode::Decoder<'_>,
            ) -> Option<Self> {
                Some(Self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "const": $word })
            }
        }
    };
}
use kind_word;
