//! `callgate prefixes`: lists in, the fewest prefixes or a difference out.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::Output;

use crate::support::{Run, Scene, root};

/// Two lists that people might keep, in everything that a list may have.
const OLD: &str = "# old\n192.0.2.0/25\n192.0.2.128/25 ; the other half\n\n  198.51.100.7\r\n2001:db8::/33\n";
const NEW: &str = "2001:db8:8000::/33\n2001:db8::/33\n192.0.2.0-192.0.2.255\n203.0.113.1 - 203.0.113.2";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("old.txt", OLD);
    scene.write("new.txt", NEW);
    scene
}

fn prefixes(scene: &Scene, arguments: &[&str]) -> Run {
    let mut all = vec!["prefixes"];
    all.extend(arguments);
    scene.run_now(&all)
}

/// Runs a line of a shell in the scene, `$CALLGATE` being the program.
fn shell(scene: &Scene, line: &str) -> Output {
    let mut command = assert_cmd::Command::new("bash");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("CALLGATE", env!("CARGO_BIN_EXE_callgate")).current_dir(scene.path());
    command.args(["-c", line]).output().unwrap()
}

#[test]
fn lists_are_aggregated_to_the_fewest_prefixes() {
    let run = prefixes(&scene(), &["aggregate", "old.txt", "new.txt"]).expect(0);
    assert_eq!(run.stdout, "192.0.2.0/24\n198.51.100.7\n203.0.113.1\n203.0.113.2\n2001:db8::/32\n");
    assert_eq!(run.stderr, "");
}

#[test]
fn a_difference_has_signs_and_status_1() {
    let scene = scene();
    let run = prefixes(&scene, &["diff", "old.txt", "new.txt"]).expect(1);
    assert_eq!(run.stdout, "-198.51.100.7\n+203.0.113.1\n+203.0.113.2\n+2001:db8:8000::/33\n");
    assert_eq!(run.stderr, "");
    let back = prefixes(&scene, &["diff", "new.txt", "old.txt"]).expect(1).stdout;
    assert_eq!(back, "+198.51.100.7\n-203.0.113.1\n-203.0.113.2\n-2001:db8:8000::/33\n");
}

#[test]
fn the_same_addresses_in_other_words_are_no_difference() {
    let scene = Scene::new();
    scene.write("a", "10.0.0.0/8\n::/0\n0.0.0.0-9.255.255.255\n");
    scene.write("b", "8000::/1\n10.128.0.0/9\n10.0.0.0/9\n::/1\n0.0.0.0/5\n8.0.0.0/7\n");
    let run = prefixes(&scene, &["diff", "a", "b"]).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn the_ends_of_the_address_space_are_as_good_as_any_address() {
    let scene = Scene::new();
    scene.write("all", "0.0.0.0/0\n::/0\n");
    scene.write("ends", "0.0.0.0\n255.255.255.255\n::\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n");
    let rest = prefixes(&scene, &["subtract", "all", "ends"]).expect(0).stdout;
    assert_eq!(rest.lines().count(), 62 / 2 * 2 + 254);
    assert!(rest.starts_with("0.0.0.1\n0.0.0.2/31\n") && rest.ends_with(":fffe\n"), "{rest}");
    scene.write("rest", rest);
    assert_eq!(prefixes(&scene, &["aggregate", "rest", "ends"]).expect(0).stdout, "0.0.0.0/0\n::/0\n");
    assert_eq!(prefixes(&scene, &["intersect", "rest", "ends"]).expect(0).stdout, "");
    assert_eq!(prefixes(&scene, &["intersect", "all", "ends"]).expect(0).stdout, scene.read("ends"));
}

#[test]
fn lists_are_intersected_and_subtracted() {
    let scene = scene();
    scene.write("third", "192.0.2.64/26\n203.0.113.1\n");
    let common = prefixes(&scene, &["intersect", "old.txt", "new.txt", "third"]).expect(0).stdout;
    assert_eq!(common, "192.0.2.64/26\n");
    let rest = prefixes(&scene, &["subtract", "new.txt", "old.txt", "third"]).expect(0).stdout;
    assert_eq!(rest, "203.0.113.2\n2001:db8:8000::/33\n");
    let only = prefixes(&scene, &["subtract", "old.txt"]).expect(0).stdout;
    assert_eq!(only, prefixes(&scene, &["intersect", "old.txt"]).expect(0).stdout);
    assert_eq!(only, prefixes(&scene, &["aggregate", "old.txt"]).expect(0).stdout);
}

#[test]
fn a_list_comes_from_standard_input_or_from_another_command() {
    let scene = scene();
    let output = shell(&scene, r#""$CALLGATE" prefixes diff - <(cat new.txt) < old.txt"#);
    assert_eq!(
        output.stdout,
        prefixes(&scene, &["diff", "old.txt", "new.txt"]).expect(1).stdout.into_bytes()
    );
    assert_eq!(output.status.code(), Some(1));
    let output = shell(&scene, r#""$CALLGATE" prefixes diff - - < old.txt"#);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stderr, b"error: standard input can be one list only\n");
    let output = shell(&scene, r#"printf 'nonsense.\n' | "$CALLGATE" prefixes aggregate -"#);
    assert!(String::from_utf8(output.stderr).unwrap().contains("<stdin>:1:1"));
}

#[test]
fn an_empty_list_has_no_address() {
    let scene = Scene::new();
    scene.write("none", "# nobody\n\n");
    scene.write("nothing", "");
    scene.write("one", "192.0.2.1");
    for list in ["none", "nothing"] {
        assert_eq!(prefixes(&scene, &["aggregate", list]).expect(0).stdout, "");
        assert_eq!(prefixes(&scene, &["diff", list, "one"]).expect(1).stdout, "+192.0.2.1\n");
    }
    prefixes(&scene, &["diff", "none", "nothing"]).expect(0);
}

// Faults.

#[test]
fn every_fault_is_told_with_its_line_its_text_and_what_was_meant() {
    let scene = Scene::new();
    let cases = [
        ("10.0.0.1/24", "host-bits", "write `10.0.0.0/24` for the network"),
        ("010.0.0.1", "leading-zeros", "write `10.0.0.1` if decimal was meant"),
        ("10.0.0.0/08", "leading-zeros", "write `10.0.0.0/8`"),
        ("::ffff:192.0.2.1", "v4-mapped", "write `192.0.2.1`"),
        ("callbacks.example.com", "host-name", "rules hold addresses"),
        ("10.0.0.0/33", "not-a-prefix", "a length is at most 32"),
        ("10.0.0.*", "not-a-prefix", "CIDR notation"),
        ("192.0.2.9-192.0.2.1", "not-a-prefix", "write the lower address first"),
        ("192.0.2.9-::1", "not-a-prefix", "a range for each family"),
        ("192.0.2.0/25-192.0.2.9", "not-a-prefix", "write an address on each side"),
        ("1.2.3.4 5.6.7.8", "not-a-prefix", "write `192.121.110.100`"),
        ("256.1.1.1", "not-a-prefix", "write `192.121.110.100`"),
    ];
    let lines: Vec<String> =
        cases.iter().map(|(line, _, _)| format!("192.0.2.1\n  {line} # here\n")).collect();
    scene.write("list.txt", lines.concat());
    let run = prefixes(&scene, &["aggregate", "list.txt"]).expect(2);
    assert_eq!(run.stdout, "");
    for (index, (line, code, mend)) in cases.iter().enumerate() {
        let place = format!("--> list.txt:{}:3\n", index * 2 + 2);
        let told = run.stderr.split("\n\n").find(|told| told.contains(&place)).unwrap_or_default();
        assert!(told.starts_with(&format!("error[{code}]: ")), "{place}{told}");
        assert!(told.contains(&format!("  {line} # here\n")) && told.contains(mend), "{told}");
    }
}

#[test]
fn faults_of_all_lists_are_told_and_nothing_is_printed() {
    let scene = scene();
    scene.write("bad", "192.0.2.1\n10.0.0.1/8\n");
    for operation in ["aggregate", "diff", "intersect", "subtract"] {
        let run = prefixes(&scene, &[operation, "bad", "new.txt"]).expect(2);
        assert_eq!(run.stdout, "", "{operation}");
        assert!(run.stderr.contains("bad:2:1"), "{}", run.stderr);
        let run = prefixes(&scene, &[operation, "bad", "bad"]).expect(2);
        assert_eq!(run.stderr.matches("error[host-bits]").count(), 2, "{}", run.stderr);
    }
}

#[test]
fn what_is_no_list_is_refused_at_once_and_soon() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path().join("folder")).unwrap();
    let noise: Vec<u8> = (0u32..1 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    scene.write("noise", noise);
    scene.write("long", vec![b'1'; 1 << 20]);
    for (path, wanted) in [
        ("missing", "error: `missing` does not exist\n"),
        ("folder", "error: `folder` is not a regular file\n"),
        ("long", "error: `long` is no list that callgate reads: line 1 is longer than 65535 bytes\n"),
    ] {
        let run = prefixes(&scene, &["aggregate", path]).expect(2);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", wanted));
    }
    let run = prefixes(&scene, &["aggregate", "noise"]).expect(2);
    assert!(run.stdout.is_empty() && run.stderr.matches("error[").count() == 50, "{}", run.stderr);
    assert!(run.stderr.contains("the rest of `noise` was not read"), "{}", run.stderr);
    let strange = run.stderr.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(strange, None, "{}", run.stderr);
    // Without an end, and without a line.
    let output = shell(&scene, r#""$CALLGATE" prefixes aggregate /dev/zero"#);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 1 is longer than"));
}

#[test]
fn wrong_usage_names_the_usage() {
    let scene = scene();
    let cases: [&[&str]; 4] = [&[], &["aggregate"], &["diff", "old.txt"], &["union", "old.txt"]];
    for arguments in cases {
        let run = prefixes(&scene, arguments).expect(2);
        assert!(run.stdout.is_empty() && run.stderr.contains("Usage: callgate prefixes"), "{}", run.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_fault_and_a_full_disk_is() {
    let scene = Scene::new();
    let address = |n: u32| format!("20.{}.{}.{}\n", n >> 14, n >> 7 & 127, (n & 127) * 2);
    scene.write("many", (0..60_000).map(address).collect::<Vec<_>>().concat());
    let output =
        shell(&scene, r#"{ "$CALLGATE" prefixes aggregate many; echo "status $?" >&2; } | head -n 1"#);
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"20.0.0.0\n"[..], &b"status 0\n"[..])
    );
    if std::path::Path::new("/dev/full").exists() {
        let output = shell(&scene, r#""$CALLGATE" prefixes aggregate many > /dev/full"#);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stderr.starts_with(b"error: standard output can't be written"));
    }
}

#[test]
fn the_document_shows_what_is_printed() {
    let text = std::fs::read_to_string(root().join("docs/prefixes.md")).unwrap();
    let blocks: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    let block = |index: usize| blocks[index].split_once('\n').unwrap().1.to_owned();
    let scene = Scene::new();
    scene.write("january.txt", block(0));
    scene.write("july.txt", block(1));
    scene.write("broken.txt", "192.0.2.1/24\n");
    let mut shown = blocks[2..].chunks(2);
    let (mut tried, mut status) = (0, vec![]);
    while let Some([command, answer]) = shown.next() {
        let arguments: Vec<&str> = command.trim().lines().last().unwrap().split(' ').skip(1).collect();
        let run = scene.run_now(&arguments);
        assert_eq!(
            run.stdout + &run.stderr.replace("\n\n", "\n"),
            answer.split_once('\n').unwrap().1,
            "{command}"
        );
        status.push(run.status);
        tried += 1;
    }
    assert_eq!((tried, status), (4, vec![0, 1, 0, 2]));
}
