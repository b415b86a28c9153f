//! Options that are put together only where their command is asked for: a run names one of two dozen, and putting together
//! those of all costs more than many a command.

use std::cell::Cell;

use clap::builder::{Resettable, StyledStr};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};

thread_local! {
    /// Whether the options of all commands are put together.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// A command's options, put together late.
#[derive(Debug)]
pub(super) struct Late<T>(pub(super) T);

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
        if AT_ONCE.get() { T::augment_args(command) } else { command.defer(late::<T>) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

/// Puts the options in. What the command is about was said before, and does not change with them.
fn late<T: Args>(command: Command) -> Command {
    let (about, more) = (command.get_about().cloned(), command.get_long_about().cloned());
    let mut command = T::augment_args(command);
    if about.is_some() {
        let said = |text: Option<StyledStr>| text.map_or(Resettable::Reset, Resettable::Value);
        command = command.about(said(about)).long_about(said(more));
    }
    command
}

impl<T: FromArgMatches> FromArgMatches for Late<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}
