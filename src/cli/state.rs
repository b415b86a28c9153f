//! A state of policies, site and templates, with all that is to say of it alone: what `check` says, and what it renders.

use jiff::SignedDuration;

use super::check::due_exceptions;
use super::inputs::Inputs;
use super::render::{self, render_all};
use crate::allowlist::Allowlist;
use crate::diagnostic::Diagnostics;
use crate::policy::due;
use crate::review::{Rendered, Side};

/// A state with all that is to say of it alone.
pub(super) struct State {
    pub(super) inputs: Inputs,
    pub(super) allowlist: Option<Allowlist>,
    pub(super) rendered: Vec<render::Rendered>,
    pub(super) found: Diagnostics,
}

impl State {
    /// Judges what was read; `found` is what is wrong with it so far.
    pub(super) fn new(inputs: Inputs, mut found: Diagnostics, within: SignedDuration) -> Self {
        // Rendering finds what only a target knows: quotas, templates, an empty allowlist.
        let rendered = render_all(&inputs, &[], &mut found);
        if let Some(site) = &inputs.site {
            due_exceptions(site, inputs.at, within, &mut found);
        }
        for policy in inputs.policies.by_provider.values() {
            found.append(due::findings(policy, inputs.at, within));
        }
        let (allowlist, rendered) = rendered.map_or((None, Vec::new()), |(list, all)| (Some(list), all));
        Self { inputs, allowlist, rendered, found }
    }

    /// Its targets, with what was rendered for each.
    pub(super) fn targets(&self) -> Vec<Rendered<'_>> {
        let commons = self.inputs.targets.iter().map(|target| target.common());
        let targets = commons.map(|common| Rendered {
            name: &common.name,
            kind: common.kind,
            mode: common.mode,
            artifact: self
                .rendered
                .iter()
                .find(|rendered| rendered.name == common.name)
                .map(|rendered| &rendered.artifact),
        });
        targets.collect()
    }

    /// The state as one side of a review.
    pub(super) fn side<'a>(
        &'a self,
        targets: &'a [Rendered<'a>],
        template_folder: &'a str,
    ) -> Option<Side<'a>> {
        Some(Side {
            policies: &self.inputs.policies,
            site: self.inputs.site.as_ref()?,
            templates: &self.inputs.templates,
            template_folder,
            allowlist: self.allowlist.as_ref(),
            targets,
        })
    }
}
