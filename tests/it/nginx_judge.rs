//! nginx is the judge: it runs with each configuration in a namespace, real requests are made from every address that
//! could make a difference, and what the program says of the configuration has to agree.
//!
//! `NGINX_JUDGE_ONLY=word` runs the cases whose name has the word. `NGINX_JUDGE_RECORD=folder` asks nginx only and
//! writes its answers, with what `nginx -T` prints, into the folder.

mod answer;
mod arena;
mod case;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::judge::{names, sources};
use crate::support::Scene;
use crate::world::{can_make_namespaces, have};

use answer::MustKnow;
use arena::{Arena, Served, Status, Verdict};
use case::{Case, Expected, Question};

/// Cases at the same time.
const ARENAS: usize = 2;

/// What nginx did with each source.
type Found = BTreeMap<IpAddr, Status>;

/// Whether the modules that a case loads are here.
fn has_modules(case: &Case) -> bool {
    let text = case.text();
    let loads = text.lines().filter_map(|line| line.trim().strip_prefix("load_module "));
    let files = loads.map(|line| line.trim_end_matches(';').to_owned());
    let missing: Vec<String> = files.filter(|file| !Path::new(file).is_file()).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "missing in CI: {missing:?}");
    for file in &missing {
        eprintln!("SKIPPED: {} needs {file}", case.name);
    }
    missing.is_empty()
}

/// Whether the program can be asked yet.
fn answers() -> bool {
    Scene::new().run_now(&["admitted", "--help"]).stdout.contains("--nginx")
}

/// The sources of a question.
fn callers(case: &Case, question: &Question) -> Vec<IpAddr> {
    let mut found = sources::of(&case.text());
    if question.loopback {
        found.extend(["127.0.0.1", "::1"].map(|address| address.parse::<IpAddr>().unwrap()));
    }
    if question.socket.is_some() {
        found.truncate(1);
    }
    found
}

/// Whether nginx does what the case itself says.
fn as_stated(question: &Question, found: &Found) -> String {
    let stated = |source: IpAddr| {
        if question.redirects.has(source) {
            return Some(Verdict::Redirected);
        }
        let (listed, of_listed, of_others) = match (&question.lets_in, &question.keeps_out) {
            (Some(listed), _) => (listed, Verdict::In, Verdict::Out),
            (None, Some(listed)) => (listed, Verdict::Out, Verdict::In),
            (None, None) => return None,
        };
        Some(if names(listed, source) { of_listed } else { of_others })
    };
    let mut faults = String::new();
    let mut wrong = 0;
    for (source, status) in found {
        let fault = match (status.verdict(), stated(*source)) {
            (Err(fault), _) => fault,
            (Ok(_), None) => continue,
            (Ok(is), Some(stated)) if is != stated => format!("the case says {stated:?}"),
            (Ok(Verdict::Out), _) if question.status.is_some_and(|wanted| i32::from(wanted) != status.0) => {
                "not the status that the case says".to_owned()
            }
            _ => continue,
        };
        wrong += 1;
        if wrong <= 6 {
            let _ = writeln!(faults, "  {source} {status}: {fault}");
        }
    }
    if wrong > 6 {
        let _ = writeln!(faults, "  and {} more", wrong - 6);
    }
    faults
}

/// Judges what the program says of a configuration.
fn judged(configuration: &Path, question: &Question, found: &Found) -> String {
    let answer = match answer::ask(configuration, question) {
        Ok(answer) => answer,
        Err(fault) => return fault,
    };
    // Random configurations may lead round and round.
    let gave_up = !question.is_stated() && answer.gave_up();
    let mut faults = answer.misses(question);
    let mut wrong = 0;
    for (source, status) in found {
        let is_open = gave_up || question.undetermined.has(*source);
        let must_know = if is_open { MustKnow::No } else { MustKnow::Yes };
        let Ok(verdict) = status.verdict() else { continue };
        if answer.contradicts(*source, verdict, must_know) {
            wrong += 1;
            if wrong <= 4 {
                let _ = writeln!(faults, "  {source} {status}; {}", answer.of(*source));
            }
        }
    }
    if wrong > 4 {
        let _ = writeln!(faults, "  and {} more", wrong - 4);
    }
    if wrong > 0 {
        faults.push_str(&answer.undecided());
    }
    faults
}

/// What a person reads of nginx's answers.
fn summary(found: &Found) -> String {
    let mut text = String::new();
    let statuses: BTreeSet<Status> = found.values().copied().collect();
    for status in statuses {
        let with: Vec<String> =
            found.iter().filter(|(_, is)| **is == status).map(|(source, _)| source.to_string()).collect();
        let shown = if with.len() == found.len() { "all".to_owned() } else { with.join(" ") };
        let _ = writeln!(text, "  {status} ({} of {}): {shown}", with.len(), found.len());
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "recording on demand, and a test's own folder")]
fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs a case; gives what is wrong.
fn run(arena: &mut Arena, case: &Case, asked: &Asked) -> String {
    match &case.expected {
        Expected::Refused { message, by_us } => refused(case, message, by_us.as_deref(), asked),
        Expected::Answers(questions) => {
            let served = match arena.serve(case) {
                Ok(served) => served,
                Err(fault) => return fault,
            };
            answered(arena, case, &served, questions, asked)
        }
    }
}

/// Who is asked besides nginx.
enum Asked {
    /// The program, and it has to agree.
    Program,
    /// Nobody: what nginx does is recorded.
    Nobody(Option<PathBuf>),
}

fn answered(
    arena: &mut Arena,
    case: &Case,
    served: &Served,
    questions: &[Question],
    asked: &Asked,
) -> String {
    let folder = served.folder.path();
    let printed = arena::tested(folder, "-T").stdout;
    let dump = folder.join("dump");
    write(&dump, &printed);
    let (mut faults, mut record) = (String::new(), format!("{}\n", case.tries));
    for question in questions {
        let sources = callers(case, question);
        let statuses = arena.ask(served, question, &sources);
        let found: Found = sources.into_iter().zip(statuses).collect();
        let _ = write!(record, "{}\n{}", question.said(), summary(&found));
        let mut fault = |view: &str, text: String| {
            if !text.is_empty() {
                let _ = write!(faults, "{}: {}, {view}:\n{text}", case.name, question.said());
            }
        };
        fault("nginx", as_stated(question, &found));
        if matches!(asked, Asked::Program) && question.socket.is_none() {
            fault("tree", judged(&folder.join("nginx.conf"), question, &found));
            fault("nginx -T", judged(&dump, question, &found));
        }
    }
    if let Asked::Nobody(Some(place)) = asked {
        write(&place.join(&case.name), record);
        write(&place.join("dumps").join(&case.name), printed);
    }
    faults
}

/// A configuration that nginx refuses: with the message that the case says, and so do we where it asks for it.
fn refused(case: &Case, message: &str, by_us: Option<&str>, asked: &Asked) -> String {
    let folder = arena::laid_out(case);
    let output = arena::tested(folder.path(), "-t");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !said.contains(message) {
        return format!("{}: nginx says: {said}", case.name);
    }
    let (Asked::Program, Some(by_us)) = (asked, by_us) else { return String::new() };
    let run = answer::run(&folder.path().join("nginx.conf"), &Question::default());
    if run.status == 2 && run.stderr.contains(by_us) {
        return String::new();
    }
    format!(
        "{}: not refused with `{by_us}`: status {}, {}{}\n",
        case.name, run.status, run.stdout, run.stderr
    )
}

/// Gives cases until there are no more.
type Queue<'a> = Mutex<Box<dyn FnMut() -> Option<Case> + Send + 'a>>;

/// Runs cases in a few arenas at the same time.
fn run_all(queue: &Queue) -> Vec<(Case, String)> {
    let record = std::env::var_os("NGINX_JUDGE_RECORD").map(PathBuf::from);
    let asked = if record.is_none() && answers() { Asked::Program } else { Asked::Nobody(record) };
    let faults = Mutex::new(Vec::new());
    let work = || {
        let mut arena = Arena::new();
        loop {
            let next = (queue.lock().unwrap())();
            let Some(case) = next else { break };
            let found = run(&mut arena, &case, &asked);
            if !found.is_empty() {
                faults.lock().unwrap().push((case, found));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..ARENAS {
            scope.spawn(work);
        }
    });
    faults.into_inner().unwrap()
}

#[cfg(feature = "netns-tests")]
#[test]
fn nginx_agrees_on_every_case() {
    if !can_make_namespaces() || !have(&["nginx", "openssl", "sysctl"]) {
        return;
    }
    let only = std::env::var("NGINX_JUDGE_ONLY").unwrap_or_default();
    let cases = case::all().into_iter().filter(|case| case.name.contains(&only));
    let cases: Vec<Case> = cases.filter(has_modules).collect();
    let count = cases.len();
    let mut cases = cases.into_iter();
    let faults = run_all(&Mutex::new(Box::new(|| cases.next())));
    let texts: Vec<&str> = faults.iter().map(|(_, text)| text.as_str()).collect();
    assert!(faults.is_empty(), "{} of {count} cases:\n{}", faults.len(), texts.join("\n"));
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Seeds from `NGINX_JUDGE_SEED` (0) on, for `NGINX_JUDGE_SECONDS` (10).
#[cfg(feature = "netns-tests")]
#[test]
fn nginx_agrees_on_random_configurations() {
    if !can_make_namespaces() || !have(&["nginx", "openssl", "sysctl"]) {
        return;
    }
    let started = std::time::Instant::now();
    let bound = std::time::Duration::from_secs(setting("NGINX_JUDGE_SECONDS").unwrap_or(10));
    let mut seeds = setting("NGINX_JUDGE_SEED").unwrap_or(0)..;
    let next = || (started.elapsed() < bound).then(|| seeds.next().map(random::case)).flatten();
    let faults = run_all(&Mutex::new(Box::new(next)));
    let mut said = String::new();
    for (case, text) in &faults {
        let kept = std::env::temp_dir().join("callgate-nginx-judge").join(&case.name).with_extension("conf");
        write(&kept, &case.files[Path::new("nginx.conf")]);
        let _ = writeln!(said, "{} is to be made a case of tests/fixtures/nginx\n{text}", kept.display());
    }
    assert!(faults.is_empty(), "{} configurations:\n{said}", faults.len());
}

#[test]
fn every_configuration_says_what_it_tries_and_what_nginx_does() {
    for case in case::all() {
        assert!(!case.tries.is_empty(), "{}", case.name);
        let Expected::Answers(questions) = &case.expected else { continue };
        for question in questions {
            assert!(question.is_stated(), "{}: {}", case.name, question.said());
        }
    }
}
