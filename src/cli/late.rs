//! Options that are put together only where their command is asked for: a run names one of two dozen, and putting together
//! those of all costs more than many a command. Options that every command has come with its own; they may also stand before
//! its name.

use std::cell::Cell;

use clap::builder::{Resettable, StyledStr};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};

use super::{Global, Outcome};

thread_local! {
    /// Whether the options of all commands are put together.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// A command's options, put together late.
#[derive(Debug)]
pub(super) struct Late<T> {
    command: T,
    global: Global,
}

impl<T> Late<T> {
    /// Runs the command. What was given after its name counts before what was given ahead of it.
    pub(super) fn run(self, ahead: Global, run: impl FnOnce(T, &Global) -> Outcome) -> Outcome {
        run(self.command, &self.global.or(ahead))
    }
}

/// The command line with the options of all commands, for who writes all of them down: each stands where it was declared, before
/// those that every command has.
pub(super) fn whole<C: CommandFactory>() -> Command {
    AT_ONCE.set(true);
    let command = C::command();
    AT_ONCE.set(false);
    command
}

impl<T: Args> Args for Late<T> {
    fn augment_args(command: Command) -> Command {
        if AT_ONCE.get() { options::<T>(command) } else { command.defer(late::<T>) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Global::augment_args_for_update(T::augment_args_for_update(command).next_help_heading(None))
    }
}

/// A command's own, then those that every command has.
fn options<T: Args>(command: Command) -> Command {
    Global::augment_args(T::augment_args(command).next_help_heading(None))
}

/// Puts the options in. What the command is about was said before, and does not change with them.
fn late<T: Args>(command: Command) -> Command {
    let (about, more) = (command.get_about().cloned(), command.get_long_about().cloned());
    let mut command = options::<T>(command);
    if about.is_some() {
        let said = |text: Option<StyledStr>| text.map_or(Resettable::Reset, Resettable::Value);
        command = command.about(said(about)).long_about(said(more));
    }
    command
}

impl<T: FromArgMatches> FromArgMatches for Late<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let global = Global::from_arg_matches_mut(matches)?;
        Ok(Self { command: T::from_arg_matches_mut(matches)?, global })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.global.update_from_arg_matches(matches)?;
        self.command.update_from_arg_matches(matches)
    }
}
