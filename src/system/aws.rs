//! AWS by its command line: security groups as it tells them now, and what it is told to change.
//!
//! Credentials, regions, endpoints, profiles, SSO and roles are its business. Listings are asked for in as few
//! requests as there can be: what names something comes first, then only what is named.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bounded::{Bounds, Ended, run};
use super::fault::tool_time;
use crate::admission::Listing;
use crate::plain::line;
use crate::security_group::aws::{Input, Role, read};
use crate::security_group::select::Selection;
use crate::security_group::{Groups, ReadError, Source};

/// Largest answer that is read, in bytes.
const BYTES_MAX: u64 = 256 << 20;
/// Most values that AWS takes in one filter.
const VALUES_MAX: usize = 200;
/// Most rules that AWS tells at once.
const RULES_A_PAGE: &str = "1000";

/// What is asked of AWS.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which groups.
    pub selection: Selection,
    /// The profile of the AWS command line, if not the one of the environment.
    pub profile: Option<String>,
    /// The region, if not the one of the environment.
    pub region: Option<String>,
    /// Whether the network ACL of the interface's subnet is asked for.
    pub network_acl: NetworkAcl,
    /// How long one command may take.
    pub timeout: Duration,
}

/// Whether a network ACL is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkAcl {
    /// That of the subnet of the interface or instance, where one is named.
    #[default]
    OfSubnet,
    /// None.
    Skip,
}

/// What was taken.
#[derive(Debug)]
pub struct Capture {
    /// The listings, for [`read`].
    pub inputs: Vec<Input>,
    /// What could not be asked, and leaves things open.
    pub warnings: Vec<String>,
}

/// Why AWS can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no AWS command line.
    #[error("there is no `aws` here")]
    NoTool,
    /// It can't be started.
    #[error("`aws` can't be started: {0}")]
    NotStarted(std::io::Error),
    /// What was named has another form than ids have.
    #[error("`{given}` is no id of {what}")]
    NoId {
        /// The text.
        given: String,
        /// What it should name.
        what: &'static str,
    },
    /// The caller may not ask this.
    #[error("AWS does not allow `{permission}`: {said}")]
    Denied {
        /// The permission that is missing.
        permission: String,
        /// Its words.
        said: String,
    },
    /// It ended with another status than 0.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The command.
        command: String,
        /// Its words.
        said: String,
    },
    /// It took too long.
    #[error("`{command}` gave no answer within {seconds} s")]
    TookTooLong {
        /// The command.
        command: String,
        /// The bound.
        seconds: u64,
    },
    /// It printed more than is read.
    #[error("`{command}` printed more than {BYTES_MAX} bytes")]
    PrintedTooMuch {
        /// The command.
        command: String,
    },
    /// It printed something else.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl CaptureError {
    /// What to do next.
    pub fn help(&self) -> String {
        let files = "or give listings in files with `--security-groups`";
        match self {
            CaptureError::NoTool | CaptureError::NotStarted(_) => {
                format!("install the AWS command line, {files}")
            }
            CaptureError::NoId { .. } => {
                "ids are a word, a dash and hexadecimal digits, as in `sg-0123456789abcdef0`".to_owned()
            }
            CaptureError::Denied { permission, .. } => {
                format!("let this identity do `{permission}`, choose another one with `--profile`, {files}")
            }
            CaptureError::Failed { said, .. } => failed_help(said).to_owned(),
            CaptureError::TookTooLong { .. } => {
                format!("see whether `aws sts get-caller-identity` answers, {files}")
            }
            CaptureError::PrintedTooMuch { .. } => "name the groups that are meant".to_owned(),
            CaptureError::Unreadable(error) => error.help.clone(),
        }
    }
}

fn failed_help(said: &str) -> &'static str {
    let said = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["sso"]) {
        return "sign in again: `aws sso login`, with the same profile";
    }
    if has(&["expired", "unable to locate credentials", "authfailure", "security token", "credentials"]) {
        return "see `aws sts get-caller-identity`, and choose an identity with `--profile` or the environment";
    }
    if has(&["region"]) {
        return "name the region with `--region`, or `AWS_DEFAULT_REGION` in the environment";
    }
    if has(&["notfound", "malformed"]) {
        return "see whether the id is of this account and region: `--profile`, `--region`";
    }
    if has(&["connect to", "endpoint"]) {
        return "see whether AWS is reachable from here, or give listings in files with `--security-groups`";
    }
    "see what the same command says by hand"
}

/// Asks AWS.
///
/// For a group: the group, its rules, and what they name: prefix lists with their entries, interfaces of groups. For
/// an interface or instance that comes first, and its subnet's network ACL last. What may be missing without making
/// an answer wrong, and is not allowed, becomes a warning.
pub fn capture(request: &Request) -> Result<Capture, CaptureError> {
    let mut asking = Asking { request, inputs: Vec::new(), warnings: Vec::new() };
    let ids = asking.interface()?;
    let ids = asking.groups(ids)?;
    // Several are listed, and nobody said which is meant: whoever asks is told their ids.
    if ids.is_empty() {
        return Ok(asking.finish());
    }
    let filter = |values: &[String]| filters("group-id", values);
    for some in ids.chunks(VALUES_MAX) {
        let rules =
            ["describe-security-group-rules", "--filters", &filter(some), "--page-size", RULES_A_PAGE];
        asking.ask(&rules, Role::AsSaid)?;
    }
    let groups = asking.read()?;
    asking.prefix_lists(&groups)?;
    asking.members(&groups)?;
    asking.network_acl(&groups)?;
    Ok(asking.finish())
}

struct Asking<'a> {
    request: &'a Request,
    inputs: Vec<Input>,
    warnings: Vec<String>,
}

impl Asking<'_> {
    fn finish(self) -> Capture {
        Capture { inputs: self.inputs, warnings: self.warnings }
    }

    fn read(&self) -> Result<Groups, CaptureError> {
        Ok(read(self.inputs.clone())?)
    }

    /// The interface or instance that is named, and its groups.
    fn interface(&mut self) -> Result<BTreeSet<String>, CaptureError> {
        let selection = &self.request.selection;
        let asked = [
            (
                &selection.interface,
                "eni-",
                "a network interface",
                ["describe-network-interfaces", "--network-interface-ids"],
            ),
            (&selection.instance, "i-", "an instance", ["describe-instances", "--instance-ids"]),
        ];
        for (given, start, what, [command, option]) in asked {
            if let Some(id) = given {
                is_id(id, start).then_some(()).ok_or_else(|| CaptureError::NoId { given: line(id), what })?;
                self.ask(&[command, option, id], Role::AsSaid)?;
            }
        }
        if self.inputs.is_empty() {
            return Ok(BTreeSet::new());
        }
        let groups = self.read()?;
        Ok(groups.interfaces.into_iter().flat_map(|interface| interface.groups).collect())
    }

    /// The groups, by id, by name, or all of them; then the ids of those that are meant.
    fn groups(&mut self, of_interface: BTreeSet<String>) -> Result<Vec<String>, CaptureError> {
        let wanted = &self.request.selection.groups;
        let (mut ids, names): (Vec<String>, Vec<String>) =
            wanted.iter().cloned().chain(of_interface).partition(|one| is_id(one, "sg-"));
        ids.sort();
        ids.dedup();
        if ids.is_empty() && names.is_empty() {
            // An interface without groups, which whoever asks is told.
            if !self.inputs.is_empty() {
                return Ok(Vec::new());
            }
            self.ask(&["describe-security-groups"], Role::AsSaid)?;
            let all = self.read()?.groups;
            let only = if all.len() == 1 { all } else { Vec::new() };
            return Ok(only.into_iter().map(|group| group.id).collect());
        }
        for some in ids.chunks(VALUES_MAX) {
            let mut arguments = vec!["describe-security-groups", "--group-ids"];
            arguments.extend(some.iter().map(String::as_str));
            self.ask(&arguments, Role::AsSaid)?;
        }
        if !names.is_empty() {
            self.ask(
                &["describe-security-groups", "--filters", &filters("group-name", &names)],
                Role::AsSaid,
            )?;
            let found = self.read()?.groups;
            ids.extend(found.into_iter().filter(|group| names.contains(&group.name)).map(|group| group.id));
            ids.sort();
            ids.dedup();
        }
        Ok(ids)
    }

    /// Lists that rules name: what they are, then the entries of each.
    fn prefix_lists(&mut self, groups: &Groups) -> Result<(), CaptureError> {
        let named: BTreeSet<&String> = sources(groups)
            .filter_map(|source| match source {
                Source::PrefixList(id) => Some(id),
                Source::Prefix(_) | Source::Group(_) => None,
            })
            .filter(|id| is_id(id, "pl-"))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let mut arguments = vec!["describe-managed-prefix-lists", "--prefix-list-ids"];
        arguments.extend(named.iter().map(|id| id.as_str()));
        self.ask_if_allowed(&arguments, Role::AsSaid)?;
        for id in named {
            let arguments = ["get-managed-prefix-list-entries", "--prefix-list-id", id];
            self.ask_if_allowed(&arguments, Role::PrefixList(id.clone()))?;
        }
        Ok(())
    }

    /// Interfaces of groups that rules name.
    fn members(&mut self, groups: &Groups) -> Result<(), CaptureError> {
        let named: BTreeSet<String> = sources(groups)
            .filter_map(|source| match source {
                Source::Group(other) if other.elsewhere.is_none() => Some(other.id.clone()),
                Source::Prefix(_) | Source::PrefixList(_) | Source::Group(_) => None,
            })
            .collect();
        let named: Vec<String> = named.into_iter().collect();
        // One listing has to have all members: beyond what one filter takes it is left open.
        if named.is_empty() || named.len() > VALUES_MAX {
            return Ok(());
        }
        let filter = filters("group-id", &named);
        self.ask_if_allowed(&["describe-network-interfaces", "--filters", &filter], Role::Members)
    }

    fn network_acl(&mut self, groups: &Groups) -> Result<(), CaptureError> {
        let subnets: BTreeSet<String> = groups
            .interfaces
            .iter()
            .map(|interface| interface.subnet.clone())
            .filter(|subnet| !subnet.is_empty())
            .collect();
        if self.request.network_acl == NetworkAcl::Skip || subnets.is_empty() {
            return Ok(());
        }
        let subnets: Vec<String> = subnets.into_iter().collect();
        let filter = filters("association.subnet-id", &subnets);
        self.ask(&["describe-network-acls", "--filters", &filter], Role::AsSaid)
    }

    /// Asks for what may be missing: then it stays open.
    fn ask_if_allowed(&mut self, arguments: &[&str], role: Role) -> Result<(), CaptureError> {
        match self.ask(arguments, role) {
            Err(error @ CaptureError::Denied { .. }) => {
                self.warnings.push(error.to_string());
                Ok(())
            }
            answer => answer,
        }
    }

    fn ask(&mut self, arguments: &[&str], role: Role) -> Result<(), CaptureError> {
        let Request { profile, region, timeout, .. } = self.request;
        let client = Client { profile: profile.as_deref(), region: region.as_deref(), timeout: *timeout };
        let shown = client.shown(arguments);
        let text = client.ask(arguments)?;
        self.inputs.push(Input { listing: Listing { name: shown, text: text.into() }, role });
        Ok(())
    }
}

/// The AWS command line for one account and region.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The profile, if not the one of the environment.
    pub profile: Option<&'a str>,
    /// The region, if not the one of the environment.
    pub region: Option<&'a str>,
    /// How long one command may take.
    pub timeout: Duration,
}

impl Client<'_> {
    fn words(&self, arguments: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = vec!["ec2".to_owned()];
        all.extend(arguments.iter().map(|&one| one.to_owned()));
        for (option, value) in [("--profile", self.profile), ("--region", self.region)] {
            all.extend(value.map(|value| format!("{option}={value}")));
        }
        all
    }

    /// A command of `aws ec2` as people would type it.
    pub fn shown(&self, arguments: &[&str]) -> String {
        format!("aws {}", self.words(arguments).join(" "))
    }

    /// What a command of `aws ec2` prints, as JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, CaptureError> {
        let mut all = self.words(arguments);
        all.extend(["--output", "json"].map(str::to_owned));
        self.run(&all, self.shown(arguments))
    }

    /// Has a command of `aws ec2` change something, and gives what it prints. Complaints name its first words only: what it
    /// is given may be long.
    pub fn tell(&self, arguments: &[&str]) -> Result<String, CaptureError> {
        let mut all = self.words(arguments);
        all.extend(["--output", "json"].map(str::to_owned));
        let first: Vec<&str> = arguments.iter().take(3).copied().collect();
        self.run(&all, format!("aws ec2 {}", first.join(" ")))
    }

    /// Whether AWS would take a command, which changes nothing.
    pub fn rehearse(&self, arguments: &[&str]) -> Result<(), CaptureError> {
        match self.tell(&[arguments, &["--dry-run"]].concat()) {
            // AWS says so by an error.
            Err(CaptureError::Failed { said, .. }) if said.contains("(DryRunOperation)") => Ok(()),
            answer => answer.map(drop),
        }
    }

    fn run(&self, arguments: &[String], command: String) -> Result<String, CaptureError> {
        let timeout = tool_time(self.timeout);
        let bounds = Bounds {
            time: timeout,
            bytes: BYTES_MAX,
            // No pager and no questions, whatever the user's settings are; names in any alphabet.
            environment: &[("AWS_PAGER", ""), ("AWS_CLI_AUTO_PROMPT", "off"), ("PYTHONIOENCODING", "utf-8")],
            input: &[],
        };
        let ended = run("aws", arguments, bounds).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => CaptureError::NoTool,
            _ => CaptureError::NotStarted(cause),
        })?;
        match ended {
            Ended::TookTooLong => Err(CaptureError::TookTooLong { command, seconds: timeout.as_secs() }),
            Ended::PrintedTooMuch => Err(CaptureError::PrintedTooMuch { command }),
            Ended::Done { stdout, status, .. } if status.success() => {
                Ok(String::from_utf8_lossy(&stdout).into_owned())
            }
            Ended::Done { stderr, .. } => Err(refused(command, &stderr)),
        }
    }
}

/// What AWS said, which names the operation where it is not allowed.
fn refused(command: String, stderr: &str) -> CaptureError {
    let said = line(stderr);
    let denied = ["(UnauthorizedOperation)", "(AccessDenied)", "(AccessDeniedException)"];
    let operation = said.split("when calling the ").nth(1).and_then(|rest| rest.split_whitespace().next());
    match operation {
        Some(operation) if denied.iter().any(|code| said.contains(code)) => {
            CaptureError::Denied { permission: format!("ec2:{operation}"), said }
        }
        _ => CaptureError::Failed { command, said },
    }
}

/// Whom rules name.
fn sources(groups: &Groups) -> impl Iterator<Item = &Source> {
    groups.groups.iter().flat_map(|group| &group.rules).filter_map(|rule| rule.source.value())
}

/// A filter, as JSON: its short form would take commas in a name for its own.
fn filters(name: &str, values: &[String]) -> String {
    serde_json::json!([{ "Name": name, "Values": values }]).to_string()
}

/// Whether a text has the form of an id, so that it is no option of a command.
fn is_id(text: &str, start: &str) -> bool {
    let digits = text.strip_prefix(start).unwrap_or_default();
    !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
