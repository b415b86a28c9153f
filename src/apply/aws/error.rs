//! Why AWS can't be asked, or did not do what it was told.

use crate::holding::HoldingError;
use crate::security_group::ReadError;
use crate::system::aws::CaptureError;
use crate::system::fault::Fault;

/// Why AWS can't be asked, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The command line failed.
    #[error(transparent)]
    Asked(#[from] CaptureError),
    /// It printed something else.
    #[error(transparent)]
    Listing(#[from] ReadError),
    /// What is in a place of ours can't be told.
    #[error(transparent)]
    Holding(#[from] HoldingError),
    /// It tells nothing of a place.
    #[error("AWS tells of no {place}")]
    Gone {
        /// Which.
        place: String,
    },
    /// Its two listings of a group differ, again and again.
    #[error("listings of security group {group} disagree about its rules, also when asked again")]
    Disagree {
        /// Which.
        group: String,
    },
    /// A list is in another state than it should be.
    #[error("prefix list {list} is in state `{state}`{why}")]
    State {
        /// Which.
        list: String,
        /// As AWS names it.
        state: String,
        /// Its words, set off by a colon.
        why: String,
    },
    /// A list was changed by somebody else.
    #[error("prefix list {list} is at version {found}, and the change is of version {wanted}")]
    Moved {
        /// Which.
        list: String,
        /// The version that the change is about.
        wanted: u64,
        /// The version that is there.
        found: u64,
    },
    /// It answered that it did not do it.
    #[error("AWS answered that it did not do `{command}`")]
    NotDone {
        /// The command.
        command: String,
    },
    /// A test wanted it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AwsError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            AwsError::Asked(CaptureError::Denied { permission, .. }) => format!(
                "let this identity do `{permission}`; docs/targets/aws-security-group.md names all that apply needs"
            ),
            AwsError::Asked(CaptureError::NoTool | CaptureError::NotStarted(_)) => {
                "install the AWS command line where callgate runs".to_owned()
            }
            AwsError::Asked(CaptureError::TookTooLong { .. }) => {
                "what it was told may be done all the same: `callgate diff` tells what is in force".to_owned()
            }
            AwsError::Asked(CaptureError::Failed { said, .. }) => told(said),
            AwsError::Asked(error) => error.help(),
            AwsError::Listing(error) => error.help.clone(),
            AwsError::Holding(_) | AwsError::Fault(_) => "see `callgate diff`".to_owned(),
            AwsError::Gone { .. } => ELSEWHERE.to_owned(),
            AwsError::Disagree { .. } => "somebody changes it at this moment: try again".to_owned(),
            AwsError::State { .. } => {
                "see `aws ec2 describe-managed-prefix-lists`; every group that names the list has to have room for its size"
                    .to_owned()
            }
            AwsError::Moved { .. } => {
                "somebody else changed it meanwhile: plan anew, and read what they did".to_owned()
            }
            AwsError::NotDone { .. } => "see what the same command says by hand".to_owned(),
        }
    }
}

const ELSEWHERE: &str = "see whether the id is of this account and region, and still there: `region` and `profile` of the target's `apply:`";

/// What to do about what AWS said.
fn told(said: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let help = if has(&["ExpiredToken", "RequestExpired", "expired"]) {
        "sign in again: these credentials have expired"
    } else if has(&["Unable to locate credentials", "AuthFailure", "InvalidClientTokenId", "credentials"]) {
        "see `aws sts get-caller-identity`, and name a `profile` in the target's `apply:`"
    } else if has(&["RequestLimitExceeded", "Throttling", "TooManyRequests"]) {
        "the AWS command line tried several times by itself: wait, and try again"
    } else if has(&["NotFound", "Malformed", "InvalidPrefixListID"]) {
        ELSEWHERE
    } else if has(&["InvalidPermission.Duplicate"]) {
        "somebody else added the same rule meanwhile: plan anew"
    } else if has(&["RulesPerSecurityGroupLimitExceeded"]) {
        "the group is full: take rules away, or ask AWS for more and tell the quota with `rules_max:`"
    } else if has(&["PrefixListVersionMismatch", "IncorrectState"]) {
        "somebody else changed the list meanwhile: plan anew, and read what they did"
    } else if has(&["PrefixListMaxEntriesExceeded", "MaxEntriesQuota"]) {
        "the list's size has no room: raise `v4_max_entries` or `v6_max_entries` in the site file"
    } else if has(&["specify a region"]) {
        "name the `region` in the target's `apply:`, or `AWS_DEFAULT_REGION` in the environment"
    } else if has(&["connect to", "endpoint"]) {
        "see whether AWS is reachable from here"
    } else {
        "see what the same command says by hand"
    };
    help.to_owned()
}
