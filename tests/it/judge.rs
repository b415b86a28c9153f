//! The kernel is the judge: rules are loaded in a namespace, real connections are tried from every address that
//! could make a difference, and what the program says of the dumps has to agree.
//!
//! `JUDGE_ONLY=word` runs the cases whose name has the word. `JUDGE_RECORD=folder` asks the kernel only and writes
//! its answers, with the dumps, into the folder. `JUDGE_SEED=n JUDGE_SECONDS=s` choose the random hosts.

pub(crate) mod answer;
mod arena;
pub(crate) mod case;
mod random;
pub(crate) mod sources;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;

use crate::support::Scene;
use crate::world::{can_make_namespaces, have};

use answer::{View, ask, views};
use arena::{Arena, Call, Dumps, Verdict};
use case::Case;

/// A round is over when nothing has happened for so long; packets between namespaces take far less.
const QUIET_SECONDS: f64 = 0.1;
/// A contradiction is tried again with these.
const PATIENCE_SECONDS: [f64; 2] = [0.5, 1.2];
/// Cases at the same time: most of a case is waiting.
const ARENAS: usize = 3;

/// Gives cases until there are no more.
type Queue<'a> = Mutex<Box<dyn FnMut() -> Option<Case> + Send + 'a>>;

/// What the kernel did: with each source, at any of the addresses dialled.
type Verdicts = BTreeMap<(IpAddr, IpAddr), Verdict>;

fn calls(case: &Case, sources: &[IpAddr]) -> Vec<Call> {
    let mut calls = Vec::new();
    for target in &case.targets {
        for source in sources.iter().filter(|source| source.is_ipv4() == target.is_ipv4()) {
            calls.push(Call {
                source: *source,
                source_port: case.source_port,
                target: *target,
                port: case.port,
            });
        }
    }
    calls
}

fn verdicts(arena: &mut Arena, calls: &[Call], quiet: f64) -> Verdicts {
    let stood = arena.call(calls, quiet);
    calls.iter().zip(stood).map(|(call, verdict)| ((call.source, call.target), verdict)).collect()
}

/// What contradicts an answer, after patience.
fn contradictions(
    arena: &mut Arena,
    case: &Case,
    found: &Verdicts,
    wrong: impl Fn(IpAddr, Verdict) -> bool,
) -> Verdicts {
    let mut left: Verdicts =
        found.iter().filter(|((source, _), stood)| wrong(*source, **stood)).map(|(k, v)| (*k, *v)).collect();
    for quiet in PATIENCE_SECONDS {
        let again: Vec<Call> = calls(case, &left.keys().map(|(source, _)| *source).collect::<Vec<_>>())
            .into_iter()
            .filter(|call| left.contains_key(&(call.source, call.target)))
            .collect();
        if again.is_empty() {
            break;
        }
        left = verdicts(arena, &again, quiet);
        left.retain(|(source, _), stood| wrong(*source, *stood));
    }
    left
}

/// Judges one view of a case.
fn judge(arena: &mut Arena, case: &Case, view: &View, dumps: &Dumps, found: &Verdicts) -> String {
    let answer = match ask(case, view, dumps) {
        Ok(answer) => answer,
        Err(fault) => return format!("{}, {}:\n  {fault}\n", case.name, view.name),
    };
    let mut faults = answer.faults(case, view);
    let wrong = contradictions(arena, case, found, |source, stood| answer.contradicts(view, source, stood));
    for ((source, target), stood) in wrong.iter().take(4) {
        let _ = writeln!(faults, "  {source} {stood} at {target}; {}", answer.of(*source));
    }
    if wrong.len() > 4 {
        let _ = writeln!(faults, "  and {} more", wrong.len() - 4);
    }
    if faults.is_empty() { faults } else { format!("{}, {}:\n{faults}", case.name, view.name) }
}

/// Whether a list of a case's head names a source.
pub(crate) fn names(listed: &[String], source: IpAddr) -> bool {
    listed.iter().any(|word| match word.as_str() {
        "all" => true,
        "none" => false,
        "v4" => source.is_ipv4(),
        "v6" => source.is_ipv6(),
        _ => {
            let prefix: callgate::prefix::Prefix = word.parse().unwrap();
            let within = prefix.first() <= source && source <= prefix.last();
            within && prefix.first().is_ipv4() == source.is_ipv4()
        }
    })
}

/// Whether the kernel does what the case itself says.
fn as_stated(arena: &mut Arena, case: &Case, found: &Verdicts) -> String {
    let (listed, of_listed, of_others) = match (&case.lets_in, &case.keeps_out) {
        (Some(listed), _) => (listed, Verdict::In, Verdict::Out),
        (None, Some(listed)) => (listed, Verdict::Out, Verdict::In),
        (None, None) => return String::new(),
    };
    let stated = |source: IpAddr| if names(listed, source) { of_listed } else { of_others };
    let wrong = contradictions(arena, case, found, |source, stood| stated(source) != stood);
    let mut faults = String::new();
    for ((source, target), stood) in wrong {
        let _ = writeln!(faults, "  {source} {stood} at {target}: not what the case says");
    }
    if faults.is_empty() { faults } else { format!("{}:\n{faults}", case.name) }
}

/// What a person reads of the kernel's answers.
fn summary(found: &Verdicts) -> String {
    let mut text = String::new();
    let targets: BTreeSet<IpAddr> = found.keys().map(|(_, target)| *target).collect();
    for target in targets {
        let of: Vec<(IpAddr, Verdict)> =
            found.iter().filter(|((_, to), _)| *to == target).map(|((source, _), v)| (*source, *v)).collect();
        let inside: Vec<String> =
            of.iter().filter(|(_, v)| *v == Verdict::In).map(|(s, _)| s.to_string()).collect();
        let outside: Vec<String> =
            of.iter().filter(|(_, v)| *v == Verdict::Out).map(|(s, _)| s.to_string()).collect();
        let shown = if inside.is_empty() {
            "none".to_owned()
        } else if outside.is_empty() {
            "all".to_owned()
        } else if inside.len() <= outside.len() {
            inside.join(" ")
        } else {
            format!("all but {}", outside.join(" "))
        };
        let _ = writeln!(text, "{target} ({} of {}): {shown}", inside.len(), of.len());
    }
    text
}

/// Loads a case, asks the kernel, and lets it judge every view; gives what is wrong.
fn run(arena: &mut Arena, case: &Case, record: Option<&Path>) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    if let Err(fault) = arena.load(case) {
        arena.clear();
        return format!("{fault}\n");
    }
    let dumps = arena.dump(folder.path());
    let found = verdicts(arena, &calls(case, &sources::of(&case.text())), QUIET_SECONDS);
    let mut faults = as_stated(arena, case, &found);
    if let Some(record) = record {
        let folder = record.join(&case.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, path) in &dumps {
            std::fs::copy(path, folder.join(name)).unwrap();
        }
        #[expect(clippy::disallowed_methods, reason = "recording on demand")]
        std::fs::write(folder.join("kernel"), summary(&found)).unwrap();
    } else {
        for view in views(case, &dumps) {
            faults.push_str(&judge(arena, case, &view, &dumps, &found));
        }
    }
    arena.clear();
    faults
}

/// Runs cases in a few arenas at the same time; the legacy back end has its own, since its tables stay.
fn run_all(queues: [&Queue; 2]) -> Vec<(Case, String)> {
    let record = std::env::var_os("JUDGE_RECORD").map(std::path::PathBuf::from);
    let record = record.or_else(|| (!answers()).then(|| std::env::temp_dir().join("callgate-judge")));
    let faults = Mutex::new(Vec::new());
    let work = |queue: &Queue| {
        let mut arena = None;
        loop {
            let next = (queue.lock().unwrap())();
            let Some(case) = next else { break };
            let found = run(arena.get_or_insert_with(Arena::new), &case, record.as_deref());
            if !found.is_empty() {
                faults.lock().unwrap().push((case, found));
            }
        }
    };
    let [legacy, modern] = queues;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            work(legacy);
            work(modern);
        });
        for _ in 1..ARENAS {
            scope.spawn(|| work(modern));
        }
    });
    faults.into_inner().unwrap()
}

/// Whether the program can be asked yet.
fn answers() -> bool {
    Scene::new().run_now(&["admitted", "--help"]).status == 0
}

fn can_judge() -> bool {
    can_make_namespaces()
        && have(&["iptables-nft-restore", "iptables-legacy-restore", "ipset", "conntrack", "sysctl"])
}

#[cfg(feature = "netns-tests")]
#[test]
fn the_kernel_agrees_on_every_case() {
    if !can_judge() {
        return;
    }
    let only = std::env::var("JUDGE_ONLY").unwrap_or_default();
    let cases: Vec<Case> = case::all().into_iter().filter(|case| case.name.contains(&only)).collect();
    let count = cases.len();
    let (legacy, modern): (VecDeque<Case>, VecDeque<Case>) = cases.into_iter().partition(Case::is_legacy);
    let queue = |mut cases: VecDeque<Case>| -> Queue { Mutex::new(Box::new(move || cases.pop_front())) };
    let faults = run_all([&queue(legacy), &queue(modern)]);
    let texts: Vec<&str> = faults.iter().map(|(_, text)| text.as_str()).collect();
    assert!(faults.is_empty(), "{} of {count} cases:\n{}", faults.len(), texts.join("\n"));
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Seeds from `JUDGE_SEED` (0) on, for `JUDGE_SECONDS` (20).
#[cfg(feature = "netns-tests")]
#[test]
fn the_kernel_agrees_on_random_hosts() {
    if !can_judge() {
        return;
    }
    let started = std::time::Instant::now();
    let bound = std::time::Duration::from_secs(setting("JUDGE_SECONDS").unwrap_or(20));
    let first = setting("JUDGE_SEED").unwrap_or(0);
    let queue = |legacy: bool| -> Queue {
        let mut seeds = (first..).filter(move |seed| random::is_legacy(*seed) == legacy);
        let mut made = false;
        Mutex::new(Box::new(move || {
            let more = !made || started.elapsed() < bound;
            made = true;
            more.then(|| random::case(seeds.next().unwrap()))
        }))
    };
    let faults = run_all([&queue(true), &queue(false)]);
    let mut said = String::new();
    for (case, text) in &faults {
        let kept = std::env::temp_dir().join("callgate-judge");
        for (loader, text) in &case.parts {
            let path = kept.join(&case.name).with_extension(loader.extension());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "kept for a person to look at")]
            std::fs::write(&path, text).unwrap();
            let _ = writeln!(said, "{} is to be kept in tests/fixtures/judge/seeds", path.display());
        }
        said.push_str(text);
    }
    assert!(faults.is_empty(), "{} hosts:\n{said}", faults.len());
}

#[test]
fn every_case_says_what_it_tries() {
    for case in case::all() {
        let tries = case.parts.iter().any(|(_, text)| text.lines().any(|line| line.starts_with("# tries: ")));
        assert!(tries, "{}", case.name);
    }
}
