//! Places at which a test can end the program, or make a step fail.
//!
//! With the cargo feature `fault-points`, `CALLGATE_FAULT=name` ends the program with SIGKILL where the point of that
//! name is reached, as a lost machine would: no destructor runs, nothing is flushed. `name:error` makes the step fail
//! there instead, and `name:stop` holds the program until it is sent SIGCONT. `name@2` means the second time that the
//! point is reached. Without the feature nothing of this is
//! compiled in.

#[cfg(feature = "fault-points")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// All points, in the order in which an apply with `--confirm` reaches them; those of files more than once.
pub const POINTS: [&str; 20] = [
    "apply-checked",
    "apply-armed",
    "durable-written",
    "durable-renamed",
    "apply-journalled",
    "apply-step",
    "installed-written",
    "installed-renamed",
    "nginx-written",
    "nginx-tested",
    "nginx-reloaded",
    "aws-call",
    "aws-called",
    "apply-stepped",
    "apply-verified",
    "apply-waiting",
    "keep-removed",
    "restore-noted",
    "restore-step",
    "restore-done",
];

/// How long a tool may take: so long, or less where a test asks for it by `CALLGATE_TOOL_SECONDS`.
#[cfg(feature = "fault-points")]
pub fn tool_time(most: Duration) -> Duration {
    let asked = std::env::var("CALLGATE_TOOL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    asked.map_or(most, |seconds| most.min(Duration::from_secs(seconds)))
}

/// How long a tool may take.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn tool_time(most: Duration) -> Duration {
    most
}

/// A step that failed because a test wanted it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fault point `{0}` was asked to fail")]
pub struct Fault(pub String);

/// Does nothing: there are no fault points in this program.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn point(_name: &str) -> Result<(), Fault> {
    Ok(())
}

/// How often the point that is asked for was reached, and this once more.
#[cfg(feature = "fault-points")]
static REACHED: AtomicUsize = AtomicUsize::new(1);

/// Ends the program here, or fails, where `CALLGATE_FAULT` asks for it.
#[cfg(feature = "fault-points")]
pub fn point(name: &str) -> Result<(), Fault> {
    use rustix::process::{Signal, getpid, kill_process};

    let Ok(wanted) = std::env::var("CALLGATE_FAULT") else { return Ok(()) };
    let (wanted, what) = wanted.split_once(':').unwrap_or((wanted.as_str(), "kill"));
    let (wanted, time) = wanted.split_once('@').unwrap_or((wanted, "1"));
    if wanted != name || REACHED.fetch_add(1, Ordering::Relaxed).to_string() != time {
        return Ok(());
    }
    let signal = match what {
        "kill" => Signal::KILL,
        "stop" => Signal::STOP,
        _ => return Err(Fault(name.to_owned())),
    };
    // A signal to oneself is delivered before the call returns.
    kill_process(getpid(), signal).map_err(|errno| Fault(format!("{name}: {errno}")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every name that the code gives to `point`, directly or by a constant.
    fn sources(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, texts);
            } else if path.extension().is_some_and(|found| found == "rs")
                && !path.ends_with("system/fault.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                texts.push(text.split("\n#[cfg(test)]\nmod tests").next().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn points_are_those_that_the_code_has() {
        let mut texts = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
        for name in POINTS {
            let quoted = format!("\"{name}\"");
            assert!(texts.iter().any(|text| text.contains(&quoted)), "{name} is nowhere");
        }
        let given = texts.iter().flat_map(|text| text.split("fault::point(\"").skip(1));
        for name in given.map(|rest| rest.split('"').next().unwrap()) {
            assert!(POINTS.contains(&name), "{name} is not in the list");
        }
    }

    #[cfg(feature = "fault-points")]
    mod asked {
        use std::os::unix::process::ExitStatusExt as _;

        use super::super::*;
        use crate::system::command;

        /// Runs `reaches_a_point` in a process of its own.
        fn reach(fault: &str) -> std::process::Output {
            command(std::env::current_exe().unwrap().to_str().unwrap())
                .args(["--exact", "system::fault::tests::asked::reaches_a_point", "--nocapture"])
                .env("CALLGATE_FAULT", fault)
                .output()
                .unwrap()
        }

        #[test]
        fn reaches_a_point() {
            if std::env::var_os("CALLGATE_FAULT").is_some() {
                println!("before");
                println!("{:?}", point("durable-written"));
            }
        }

        #[test]
        fn a_point_kills_fails_or_is_passed() {
            let killed = reach("durable-written");
            assert_eq!(killed.status.signal(), Some(9));
            let text = String::from_utf8(killed.stdout).unwrap();
            assert!(text.contains("before") && !text.contains("Ok(())"), "{text}");

            let failed = String::from_utf8(reach("durable-written:error").stdout).unwrap();
            assert!(failed.contains("Err(Fault(\"durable-written\"))"), "{failed}");
            let passed = String::from_utf8(reach("another").stdout).unwrap();
            assert!(passed.contains("Ok(())"), "{passed}");
        }
    }
}
