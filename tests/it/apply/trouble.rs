//! What goes wrong around an apply: two at once, a full or read-only disk, tools that are missing, hang, or fail half way.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::bench::{Bench, FIRST, policy, shape};
use crate::support::{AT, Run};
use crate::world::find;

/// A host with the first policy in force and a second one to be applied.
fn applied(name: &str) -> Option<Bench> {
    let bench = Bench::new(shape(name))?;
    bench.at(&["apply"]).expect(0);
    bench.policy(&policy(2, &[FIRST[0], ("new", "[91.132.170.1, \"2a10:a201::1\"]")]));
    Some(bench)
}

/// Nothing was changed, and this is said of it, with what to do.
#[track_caller]
fn check_refused(bench: &Bench, run: &Run, before: &str, words: &str) {
    assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    assert!(run.stderr.contains("help: "), "{}", run.stderr);
    assert_eq!(bench.rules(), before);
    assert!(!bench.state().contains("journal.json"), "{:?}", bench.state());
}

#[test]
fn several_at_once_take_turns_or_say_who_is_at_work() {
    let Some(bench) = applied("iptables-exclusive") else { return };
    let start = || {
        let mut command = bench.command(&[], &["apply", "--at", AT]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = (0..6).map(|_| start()).collect();
    let ended: Vec<Run> = all.into_iter().map(|one| Run::of(&one.wait_with_output().unwrap())).collect();
    assert!(ended.iter().any(|run| run.status == 0));
    for run in ended.iter().filter(|run| run.status != 0) {
        assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("another callgate is at work"), "{}", run.stderr);
        assert!(run.stderr.contains("help: wait until it is done"), "{}", run.stderr);
    }
    bench.at(&["plan"]).expect(0);
}

#[cfg(feature = "fault-points")]
#[test]
fn who_is_at_work_is_named() {
    let Some(bench) = applied("nft-exclusive") else { return };
    let mut command = bench.command(&["CALLGATE_FAULT=apply-step:stop"], &["apply", "--at", AT]);
    let first = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = first.id();
    bench.until(|| bench.state().contains("journal.json") && stopped(pid));
    let second = bench.at(&["apply"]).expect(2);
    assert!(second.stderr.contains(&format!(": callgate apply (pid {pid}), since ")), "{}", second.stderr);
    // Looking is always possible.
    bench.at(&["plan"]).expect(1);
    let status = bench.run(&["status"]).expect(1);
    assert!(status.stdout.contains("half done"), "{}", status.stdout);
    bench.on(&format!("kill -CONT {pid}"));
    Run::of(&first.wait_with_output().unwrap()).expect(0);
    bench.at(&["plan"]).expect(0);
}

#[cfg(feature = "fault-points")]
pub(super) fn stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

/// An apply whose state folder is prepared by a script; mounts are seen by nobody else.
fn apply_with_folder(bench: &Bench, script: &str) -> Run {
    let script = format!(
        "mkdir -p -m 700 state; {script}\n status=0; {} apply --at {AT} --state state 2>&1 || status=$?\n echo exit $status",
        env!("CARGO_BIN_EXE_callgate")
    );
    let out = bench.on(&script);
    let status = out.trim_end().rsplit("exit ").next().unwrap().parse().unwrap();
    Run { status, stdout: String::new(), stderr: out }
}

#[test]
fn a_disk_that_is_full_or_read_only_changes_nothing() {
    let cases = [
        (
            "mount -t tmpfs -o size=64k,mode=700 full state; head -c 1m /dev/zero > state/fill 2>/dev/null || true",
            "the disk is full",
        ),
        (
            "mount -t tmpfs -o nr_inodes=3,mode=700 full state; touch state/a state/b 2>/dev/null || true",
            "the disk is full",
        ),
        ("mount --bind state state; mount -o remount,ro,bind state", "read-only"),
        ("chmod 777 state", "others may write"),
    ];
    for (script, words) in cases {
        let Some(bench) = applied("nft-exclusive") else { return };
        let before = bench.rules();
        let run = apply_with_folder(&bench, script);
        check_refused(&bench, &run, &before, words);
    }
}

/// A folder with links to all tools but one; that one is a script, or missing.
fn tools(bench: &Bench, name: &str, script: Option<&str>) -> String {
    let folder = bench.scene.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let all = [
        "nft",
        "iptables-save",
        "ip6tables-save",
        "iptables-restore",
        "ip6tables-restore",
        "iptables-nft-save",
        "ip6tables-nft-save",
        "ipset",
        "ip",
        "sleep",
        "sh",
        "touch",
        "rm",
        "test",
        "grep",
        "cat",
        "env",
    ];
    for tool in all {
        let link = folder.join(tool);
        if let Err(error) = std::os::unix::fs::symlink(find(tool).unwrap_or_default(), &link) {
            assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        }
    }
    std::fs::remove_file(folder.join(name)).unwrap();
    if let Some(script) = script {
        let real = find(name).unwrap();
        let text =
            format!("#!/bin/sh\nreal={}\nhere={}\n{script}\n", real.display(), bench.scene.path().display());
        let path = bench.scene.write(&format!("bin/{name}"), text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("PATH={}", folder.display())
}

#[test]
fn a_tool_that_is_missing_is_named() {
    for (name, missing, words) in [
        ("nft-exclusive", "nft", "`nft`"),
        ("ipset-exclusive", "ipset", "`ipset`"),
        ("iptables-exclusive", "ip6tables-restore", "`ip6tables-restore`"),
        ("iptables-exclusive", "iptables-save", "`iptables-save`"),
    ] {
        let Some(bench) = applied(name) else { return };
        let before = bench.rules();
        let path = tools(&bench, missing, None);
        let run = bench.run_with(&[&path], &["apply", "--at", AT]);
        check_refused(&bench, &run, &before, words);
    }
    let Some(bench) = applied("nft-exclusive") else { return };
    let before = bench.rules();
    let run = bench.run_with(&["PATH=/nowhere"], &["apply", "--at", AT]);
    check_refused(&bench, &run, &before, "neither `nft` nor `iptables-save`");
}

/// Whether the arguments are those of a change, not of a listing or a dry run.
const IF_CHANGE: &str =
    "change=yes; for a in \"$@\"; do case $a in -c|--test|list|save|-t) change=no;; esac; done";

/// What was there is there again, because of this.
#[track_caller]
fn check_rolled_back(name: &str, tool: &str, script: &str, words: &str) {
    let Some(bench) = applied(name) else { return };
    let before = bench.rules();
    let path = tools(&bench, tool, Some(&format!("{IF_CHANGE}\n{script}")));
    let run = bench.run_with(&[&path, "CALLGATE_TOOL_SECONDS=2"], &["apply", "--at", AT]);
    assert_eq!(run.status, 4, "{name} {script}: {}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(words), "{name} {script}: {}", run.stderr);
    assert!(run.stderr.contains("what was there before is there again"), "{}", run.stderr);
    let strip = |text: &str| -> Vec<String> {
        let bare = text.lines().map(|line| line.split(" # handle").next().unwrap().to_owned());
        let mut lines: Vec<String> = bare.filter(|line| !line.starts_with("create ")).collect();
        lines.sort();
        lines
    };
    assert_eq!(strip(&bench.rules()), strip(&before), "{name} {script}");
    assert!(!bench.state().contains("journal.json"));
    // With the tool as it should be, all goes on.
    bench.at(&["apply"]).expect(0);
}

#[cfg(feature = "fault-points")]
#[test]
fn a_tool_that_hangs_is_ended() {
    let hang = "test $change = no || exec sleep 600\nexec $real \"$@\"";
    check_rolled_back("nft-exclusive", "nft", hang, "took longer than 2 seconds");
    check_rolled_back("iptables-exclusive", "ip6tables-restore", hang, "took longer than 2 seconds");
    let Some(bench) = applied("nft-exclusive") else { return };
    let before = bench.rules();
    let path = tools(&bench, "nft", Some("exec sleep 600"));
    let run = bench.run_with(&[&path, "CALLGATE_TOOL_SECONDS=1"], &["apply", "--at", AT]);
    check_refused(&bench, &run, &before, "took longer than 1 seconds");
}

#[test]
fn a_tool_that_fails_is_undone() {
    // Once it fails after it has changed something, and then it works.
    let after = "if test $change = yes && ! test -e $here/failed; then touch $here/failed; $real \"$@\"; echo no luck >&2; exit 1; fi\nexec $real \"$@\"";
    check_rolled_back("nft-exclusive", "nft", after, "no luck");
    check_rolled_back("nft-permit", "nft", after, "no luck");
    check_rolled_back("ipset-permit", "ipset", after, "no luck");
    check_rolled_back("iptables-exclusive", "ip6tables-restore", after, "no luck");
    // It does nothing at all, and says that all is well.
    let lazy = "if test $change = yes; then cat >/dev/null; exit 0; fi\nexec $real \"$@\"";
    check_rolled_back("nft-exclusive", "nft", lazy, "does not hold what it was given");
    check_rolled_back("iptables-permit", "ip6tables-restore", lazy, "does not hold what it was given");
    let refuses = "test $change = no || { echo no luck >&2; exit 1; }\nexec $real \"$@\"";
    check_rolled_back("ipset-exclusive", "ipset", refuses, "no luck");
}

/// Where even the way back fails, what is owed stays written down.
#[test]
fn what_could_not_be_undone_is_owed() {
    let Some(bench) = applied("nft-exclusive") else { return };
    let before = bench.on("nft -s list ruleset");
    let fails = format!(
        "{IF_CHANGE}\nif test $change = yes; then $real \"$@\"; echo no luck >&2; exit 1; fi\nexec $real \"$@\""
    );
    let path = tools(&bench, "nft", Some(&fails));
    let run = bench.run_with(&[&path], &["apply", "--at", AT]).expect(2);
    assert!(run.stderr.contains("could not be brought back: "), "{}", run.stderr);
    assert!(run.stderr.contains("callgate rollback"), "{}", run.stderr);
    let status = bench.run(&["status"]).expect(1);
    assert!(status.stdout.contains("half done"), "{}", status.stdout);
    bench.run(&["rollback", "--pending"]).expect(0);
    assert_eq!(bench.on("nft -s list ruleset"), before);
}

/// A journal that was damaged is not believed, and nothing is done.
#[test]
fn a_damaged_journal_is_refused() {
    let Some(bench) = applied("nft-exclusive") else { return };
    let before = bench.rules();
    for text in ["", "{", "null", "{\"version\": 2}"] {
        bench.scene.write("state/journal.json", text);
        for command in [&["apply", "--at", AT][..], &["confirm"], &["rollback"], &["rollback", "--pending"]] {
            let run = bench.run(command).expect(2);
            assert!(run.stderr.contains("is damaged: "), "{command:?}: {}", run.stderr);
            assert!(run.stderr.contains("help: nothing was changed"), "{command:?}: {}", run.stderr);
            assert_eq!(bench.rules(), before);
        }
    }
}

/// Where nothing differs, nothing is started but what lists, and no listing is taken twice.
#[test]
fn where_nothing_differs_each_listing_is_taken_once() {
    let host = ["nft -a list ruleset"];
    let filter = ["iptables-save -t filter", "ip6tables-save -t filter"];
    let saved = ["iptables-nft-save", "ip6tables-nft-save", "ipset save"];
    for (name, more) in
        [("nft-exclusive", &[][..]), ("iptables-exclusive", &filter), ("ipset-exclusive", &saved)]
    {
        let Some(mut bench) = Bench::new(shape(name)) else { return };
        bench.at(&["apply"]).expect(0);
        let folder = bench.scene.path().join("names");
        std::fs::create_dir(&folder).unwrap();
        let path = std::env::var("PATH").unwrap();
        let here = bench.scene.path().display();
        let text = format!(
            "#!/bin/sh\necho ${{0##*/}} \"$@\" >> {here}/started\nPATH={path}:/usr/sbin:/sbin exec ${{0##*/}} \"$@\"\n"
        );
        let script = bench.scene.write("names/script", text);
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        for tool in ["nft", "ip", "ipset", "iptables", "ip6tables"] {
            for end in ["", "-save", "-nft-save", "-restore"] {
                std::os::unix::fs::symlink(&script, folder.join(format!("{tool}{end}"))).unwrap();
            }
        }
        bench.tools_of(&folder);
        let run = bench.at(&["apply"]).expect(0);
        assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
        let text = bench.scene.read("started");
        let mut started: Vec<&str> = text.lines().collect();
        let mut wanted = [&host, more].concat();
        started.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(started, wanted, "{name}");
    }
}
