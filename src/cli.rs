//! The command line: arguments in, library calls, report and exit status out.
//!
//! This is the only module that knows exit codes, reads the clock, and prints.

mod admitted;
mod apply;
mod base;
mod check;
mod ci;
mod comparison;
mod diff;
mod enforced;
mod explain;
mod fmt;
mod init;
mod inputs;
mod lasting;
mod late;
mod layers;
mod listings;
mod mender;
mod plan;
mod planned;
mod prefixes;
mod render;
mod report;
mod review;
mod schema;
mod state;
mod survey;
mod timeline;
mod upstream;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::diagnostic::Diagnostics;
use crate::instant::parse_moment;
use crate::report::text;
use crate::system;
use late::Late;

/// How a run ended; the numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As wanted.
    Ok = 0,
    /// Drift or findings.
    Findings = 1,
    /// Wrong usage, bad input or failure.
    Failure = 2,
    /// A guardrail refused.
    Refused = 3,
    /// What was done has been undone.
    RolledBack = 4,
    /// Something could not be decided.
    Undetermined = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Findings => 1,
            Exit::Failure => 2,
            Exit::Refused => 3,
            Exit::RolledBack => 4,
            Exit::Undetermined => 5,
        })
    }
}

const AFTER_HELP: &str = "\
Exit status: 0 as wanted, 1 drift or findings, 2 wrong usage, bad input or failure,
3 refused by a guardrail, 4 rolled back, 5 undetermined.

An address list is not authentication: verify each callback as well.";

/// Payment callback allowlists as a versioned policy: checked, rendered, explained.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Subcommands,
}

/// Options that every command has, before its name or after it.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// The folder of policies; `policies` beside the site file where it holds any, else the embedded ones
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The site file; `callgate.yaml` in this folder where there is one, else the built-in site
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
    /// The instant to judge at: RFC 3339, `2025-03-12T12:00[Europe/Stockholm]`, or a date (its start in UTC)
    #[arg(long, value_name = "INSTANT", value_parser = parse_at)]
    at: Option<Timestamp>,
}

impl Global {
    /// With the other's options, where there are none of these.
    fn or(self, other: Self) -> Self {
        Self {
            policies: self.policies.or(other.policies),
            site: self.site.or(other.site),
            at: self.at.or(other.at),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Check policies, site and templates: all faults in one run
    Check(Late<check::Check>),
    /// Review a change: what opens and closes, and what two people should look at
    Review(Late<review::Review>),
    /// Do all that a scheduled run has to do, with one summary and one exit status
    Ci(Late<Box<ci::Ci>>),
    /// Write all that is known as one page of HTML, for browsers and for paper
    Report(Late<Box<report::Report>>),
    /// Render the allowlist for every target
    Render(Late<render::Render>),
    /// Say for one address whether it is admitted, since when, and how we know
    Explain(Late<explain::Explain>),
    /// Say what the rules of a host let in, whoever wrote them
    Admitted(Late<admitted::Admitted>),
    /// Compare what a host's rules let in with the policy, by meaning
    Diff(Late<diff::Diff>),
    /// Say what it takes to put the policy in force on this host; nothing is changed
    Plan(Late<plan::Plan>),
    /// Put the policy in force on this host: atomically, verified, and rolled back by itself
    Apply(Late<apply::Apply>),
    /// Keep the change that waits to be confirmed
    Confirm(Late<apply::Confirm>),
    /// Bring back what was there before a change that is not kept yet
    Rollback(Late<apply::Rollback>),
    /// Say what is pending, how the last change ended, and what it put in force
    Status(Late<apply::Status>),
    #[command(hide = true)]
    Timer(Late<apply::Timer>),
    /// Read the providers' pages, and say whether they still publish what the policies hold
    Upstream(Late<upstream::Upstream>),
    /// List what opened, became legacy, will close or fall due
    Timeline(Late<timeline::Timeline>),
    /// Write a commented callgate.yaml
    Init(Late<init::Init>),
    /// Bring policy files into their canonical form, comments kept
    Fmt(Late<fmt::Fmt>),
    /// Print the JSON Schema of policy or site files
    Schema(Late<schema::Schema>),
    /// Aggregate and compare lists of prefixes: text in, text out
    Prefixes(Late<prefixes::Prefixes>),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one a command into a folder
    Man {
        /// The folder to write to
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Forms of an answer to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For machines, versioned
    Json,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines, versioned
    Json,
    /// For pull requests and tickets
    Markdown,
}

/// What a command answers.
type Outcome = anyhow::Result<Exit>;

/// Runs with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    keep_memory();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do where even this can't be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Failure } else { Exit::Ok };
        }
    };
    match dispatch(arguments) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format!("error: {error:#}\n"));
            Exit::Failure
        }
    }
}

/// Has pieces of memory up to this size kept for the next use. glibc gives every piece of 128 KiB back to the system at once, which
/// then has to clear each page of the next one; where it has seen a larger one go, it takes up to that size for usual.
fn keep_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
}

fn dispatch(arguments: Arguments) -> Outcome {
    let Arguments { global, command } = arguments;
    match command {
        Subcommands::Check(check) => check.run(global, check::Check::run),
        Subcommands::Review(review) => review.run(global, review::Review::run),
        Subcommands::Ci(ci) => ci.run(global, |ci, global| ci.run(global)),
        Subcommands::Report(report) => report.run(global, |report, global| report.run(global)),
        Subcommands::Render(render) => render.run(global, render::Render::run),
        Subcommands::Explain(explain) => explain.run(global, explain::Explain::run),
        Subcommands::Admitted(admitted) => admitted.run(global, admitted::Admitted::run),
        Subcommands::Diff(diff) => diff.run(global, diff::Diff::run),
        Subcommands::Plan(plan) => plan.run(global, plan::Plan::run),
        Subcommands::Apply(apply) => apply.run(global, apply::Apply::run),
        Subcommands::Confirm(confirm) => confirm.run(global, apply::Confirm::run),
        Subcommands::Rollback(rollback) => rollback.run(global, apply::Rollback::run),
        Subcommands::Status(status) => status.run(global, |status, _| status.run()),
        Subcommands::Timer(timer) => timer.run(global, apply::Timer::run),
        Subcommands::Upstream(upstream) => upstream.run(global, upstream::Upstream::run),
        Subcommands::Timeline(timeline) => timeline.run(global, timeline::Timeline::run),
        Subcommands::Init(init) => init.run(global, |init, _| init.run()),
        Subcommands::Fmt(fmt) => fmt.run(global, fmt::Fmt::run),
        Subcommands::Schema(schema) => schema.run(global, |schema, _| schema.run()),
        Subcommands::Prefixes(prefixes) => prefixes.run(global, |prefixes, _| prefixes.run()),
        Subcommands::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut offered(), "callgate", &mut text);
            print_bytes(&text)
        }
        Subcommands::Man { out } => man(out),
    }
}

/// The commands that people call: a shell offers no others.
fn offered() -> clap::Command {
    let all = late::whole::<Arguments>();
    let shown: Vec<_> = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let options: Vec<_> = all.get_arguments().cloned().collect();
    clap::Command::new("callgate").version(env!("CARGO_PKG_VERSION")).args(options).subcommands(shown)
}

fn man(out: Option<PathBuf>) -> Outcome {
    if let Some(folder) = out {
        std::fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(late::whole::<Arguments>(), &folder))
            .with_context(|| format!("`{}` can't be written", folder.display()))?;
        return Ok(Exit::Ok);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(late::whole::<Arguments>()).render(&mut text)?;
    print_bytes(&text)
}

/// The instant to judge at: read once a run, and only where no `--at` was given.
fn instant(global: &Global) -> Timestamp {
    global.at.unwrap_or_else(now)
}

/// The clock. Only what is fetched is dated by it as well, whatever `--at` says: evidence is of the day on which it was read.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
fn now() -> Timestamp {
    let now = Timestamp::now();
    // Nothing falls due within a second, and nobody reads nanoseconds.
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn parse_at(text: &str) -> Result<Timestamp, String> {
    parse_moment(text, &TimeZone::UTC)
        .map(|moment| moment.starts())
        .map_err(|error| format!("{error}: {}", error.help()))
}

/// Reads a form and the file that it is written to, such as `sarif=review.sarif`.
fn parse_out<F: ValueEnum>(text: &str) -> Result<(F, PathBuf), String> {
    let (form, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(|| {
        format!("`{text}` names no form and file: write a form, `=` and a file, such as `json=report.json`")
    })?;
    Ok((F::from_str(form, false)?, PathBuf::from(path)))
}

/// Reads `60s`, `5m` or `1h`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write `60s`, `5m` or `1h`");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let Ok(number) = number.parse::<u64>() else { return Err(wrong()) };
    let seconds = match unit {
        "s" => number,
        "m" => number.saturating_mul(60),
        "h" => number.saturating_mul(3600),
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(seconds))
}

/// Prints data. A reader that has gone away is no fault of ours, and leaves the status as it is.
fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Outcome {
    write_to(io::stdout().lock(), bytes)
}

/// Prints a report as JSON, piece by piece: one of many ranges is never held as text.
fn print_json(report: &impl Serialize) -> Outcome {
    let mut stdout = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let begun = serde_json::to_writer_pretty(&mut stdout, report).map_err(io::Error::from);
    written(begun.and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()))
}

/// Prints text with colour escapes as data, leaving them out where nobody wants them.
fn print_styled(text: &str) -> Outcome {
    write_to(anstream::stdout().lock(), text.as_bytes())
}

fn write_to(mut stdout: impl Write, bytes: &[u8]) -> Outcome {
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// What became of data on its way to standard output.
fn written(result: io::Result<()>) -> Outcome {
    match result {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(cause).context("standard output can't be written"))
        }
        Ok(()) | Err(_) => Ok(Exit::Ok),
    }
}

/// Replaces a file whole.
fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    system::replace_file(path, text.as_bytes())
        .with_context(|| format!("`{}` can't be written", path.display()))?;
    Ok(())
}

/// Prints to standard error; nothing is left to do where that fails.
fn complain(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// Shows diagnostics on standard error.
fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        complain(&text::diagnostics(diagnostics));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        late::whole::<Arguments>().debug_assert();
    }
}
