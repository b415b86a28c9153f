//! What a plan says of reboots: which files are written, what keeps them from being of use, and what does not last.

use crate::apply::job::{Job, Survey};
use crate::apply::lasting::{Looked, Standing};
use crate::holding::lasting::Part;
use crate::report::admission_v1::FindingReport;
use crate::report::plan_v1::StepReport;
use crate::target::TargetKind;

/// The files that are written once the change is kept.
pub(super) fn steps(files: &[Looked]) -> impl Iterator<Item = StepReport> {
    files.iter().filter(|looked| looked.is_stale()).map(|looked| StepReport {
        target: looked.file.target.clone(),
        place: format!("file {}", looked.file.path.display()),
        does: format!("once it is kept, for the next reboot: {}", looked.file.does()),
        // Of somebody else's file, most is not ours to show.
        input: match (&looked.file.part, &looked.standing) {
            (Part::Whole { .. }, Standing::Stale(text)) => text.clone(),
            _ => None,
        },
    })
}

/// What keeps files from having the rules outlive a reboot.
pub(super) fn findings(files: &[Looked]) -> impl Iterator<Item = FindingReport> {
    let faults =
        files.iter().flat_map(|looked| looked.faults().map(move |fault| (&looked.file.target, fault)));
    faults.map(|(target, fault)| {
        let message = format!("a reboot loses the rules of target `{target}`: {}", fault.message);
        FindingReport::alone("lost-by-reboot", message, fault.help.clone())
    })
}

/// Targets whose rules nobody wanted to outlive a reboot.
pub(super) fn notes(job: &Job<'_>, survey: &Survey) -> Vec<String> {
    let mut notes = Vec::new();
    for target in &job.targets {
        let common = target.common();
        let means = match common.kind {
            TargetKind::Nftables => "`persist: unit` or `persist: nftables.d`",
            TargetKind::Iptables => "`persist: unit` or `persist: iptables-persistent`",
            TargetKind::Nginx | TargetKind::AwsSecurityGroup | TargetKind::Terraform => continue,
        };
        if !survey.lasting.iter().any(|looked| looked.file.target == common.name) {
            notes.push(format!(
                "a reboot loses the rules of target `{}`: set {means} there to keep them",
                common.name
            ));
        }
    }
    notes
}
