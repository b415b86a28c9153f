//! The `callgate` program: arguments in, exit status out. See the library for everything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    callgate::cli::run(std::env::args_os()).into()
}
