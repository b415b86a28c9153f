//! Brings places of ours back to what they held. It needs a journal's snapshots and nothing else: no policy, no site.

use super::aws;
use super::journal::Snapshot;
use super::tools::{self, ToolError};
use crate::holding::Holding;
use crate::plan::{self, Change, Wish};
use crate::system::fault;

/// Why what was there could not be brought back. The journal is still there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A tool failed.
    #[error("what was there before could not be brought back: {0}")]
    Tool(#[from] ToolError),
    /// It did what it was told, and the result is another one.
    #[error("{place} does not hold what it held before, although `{does}` was done")]
    NotThere {
        /// The place.
        place: String,
        /// What was done.
        does: String,
    },
}

impl RestoreError {
    /// What to do.
    pub fn help(&self) -> String {
        if let RestoreError::Tool(ToolError::Aws(error)) = self {
            return format!(
                "{}; meanwhile all are admitted there whom both the old and the new rules admit, and perhaps more: then \
                 `callgate rollback` tries again",
                error.help()
            );
        }
        "look what is in force: `callgate diff`; then `callgate rollback` tries again, and docs/apply-and-rollback.md tells \
         how to go back by hand"
            .to_owned()
    }
}

/// Goes back to what each place held before: from whatever is there now, in one step a place, and only where it differs.
pub fn restore(snapshots: &[Snapshot]) -> Result<(), RestoreError> {
    let mut steps = changes(snapshots)?;
    for change in &steps {
        // A tool that is killed meanwhile has changed all of it or nothing.
        fault::point("restore-step").ok();
        tools::run(&change.step)?;
    }
    let is_open = |left: &Vec<Change>| aws::is_among(left.iter().map(|change| &change.step.holding));
    let left = aws::once_settled(|| changes(snapshots), is_open)?;
    match left.first() {
        None => Ok(()),
        Some(change) => Err(RestoreError::NotThere {
            place: change.wish.holding.to_string(),
            does: steps.pop().map(|change| change.step.does).unwrap_or_default(),
        }),
    }
}

/// The same once more, after a rollback that was interrupted: it may have put back what nobody has loaded since.
pub fn restore_again(snapshots: &[Snapshot]) -> Result<(), RestoreError> {
    restore(snapshots)?;
    Ok(snapshots.iter().rev().try_for_each(|snapshot| tools::load(&snapshot.holding))?)
}

/// From what is there now to what was.
fn changes(snapshots: &[Snapshot]) -> Result<Vec<Change>, ToolError> {
    let holdings: Vec<Holding> = snapshots.iter().map(|snapshot| snapshot.holding.clone()).collect();
    let seen = tools::read(&holdings)?;
    let wish = |Snapshot { target, holding, before, .. }: &Snapshot| {
        // Where the jump was moved, it goes back to where it stood.
        let have = if holding.is_in_place(before) {
            holding.own_in_place(&seen.listed)
        } else {
            tools::content(&seen, holding)?
        };
        Ok(Wish { target: target.clone(), holding: holding.clone(), have, want: before.clone() })
    };
    let wishes: Vec<Wish> = snapshots.iter().map(wish).collect::<Result<_, ToolError>>()?;
    Ok(plan::changes(&wishes)?)
}
