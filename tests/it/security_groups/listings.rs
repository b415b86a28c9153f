//! Listings in files: such as AWS documents, such as moto prints, and such as are none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use callgate::admission::{Admission, Layer as _, Listing, Ruling};
use callgate::prefix::PrefixSet;
use callgate::security_group::admit::Asked;
use callgate::security_group::aws::{Input, Role, read};
use callgate::security_group::select::Selection;
use serde_json::json;

use super::question;
use crate::laws::random::Dice;
use crate::support::{AT, Run, Scene, root};

/// No run may take longer.
const TIME_MAX: Duration = Duration::from_mins(1);
/// No run of this file may need more address space, in bytes.
const MEMORY_MAX: u64 = 1 << 30;

fn fixtures() -> Vec<(String, String)> {
    let folder = root().join("tests/fixtures/aws");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() >= 14, "{}", found.len());
    found
}

fn one(name: &str, text: &str) -> Vec<Input> {
    vec![Input { listing: Listing { name: name.to_owned(), text: text.into() }, role: Role::AsSaid }]
}

#[test]
fn a_listing_is_read_whole_or_not_at_all() {
    for (name, text) in fixtures() {
        read(one(&name, &text)).unwrap_or_else(|error| panic!("{error}"));
        let whole = text.trim_end().len();
        let step = 1 + whole / 2_000;
        for end in (0..whole).step_by(step).filter(|end| text.is_char_boundary(*end)) {
            let error = read(one(&name, &text[..end])).expect_err("a cut listing");
            assert!(error.line >= 1 && !error.help.is_empty(), "{error}");
        }
    }
}

/// Any value of any listing, replaced by one of another type: refused, or read without a panic.
#[test]
fn a_value_of_another_type_is_refused_with_its_line() {
    for (name, text) in fixtures() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((key, value)) = line.split_once("\": ") else { continue };
            let comma = if value.ends_with(',') { "," } else { "" };
            if value.ends_with(['[', '{']) {
                continue;
            }
            for other in ["5", "-7", "1e99", "\"\"", "\"other\"", "true", "null", "[]", "{}", "[[]]"] {
                let changed = format!("{key}\": {other}{comma}");
                let mut all = lines.clone();
                all[at] = &changed;
                if let Err(error) = read(one(&name, &all.join("\n"))) {
                    let line = usize::try_from(error.line).unwrap();
                    // Its own line, or that of an object around it, which now lacks something.
                    assert!((1..=at + 1).contains(&line), "{name}:{}: {changed}: {error}", at + 1);
                }
            }
        }
    }
}

/// What AWS documents is read in every view, and together.
#[test]
fn what_aws_documents_is_understood() {
    let scene = Scene::new();
    for (name, text) in fixtures() {
        scene.write(&name, text);
    }
    let file = |option: &str, name: &str| [option.to_owned(), format!("documented-{name}.json")];
    let all = [
        file("--security-groups", "security-groups"),
        file("--security-groups", "security-group-rules"),
        file("--security-groups", "network-interfaces"),
        file("--security-groups", "instances"),
        file("--network-acl", "network-acls"),
        file("--prefix-lists", "managed-prefix-lists"),
        file("--prefix-lists", "prefix-lists"),
        file("--prefix-lists", "pl-0123456789abcdef0"),
    ]
    .concat();
    let mut words: Vec<&str> = all.iter().map(String::as_str).collect();
    words.extend(["--instance", "i-0123456789abcdef0"]);
    let run = admitted(&scene, &words).expect(5);
    for words in [
        "20.91.170.120/29, 51.21.0.5",
        "by rule `sgr-00000000000000005` of security group `sg-0a1b2c3d4e5f60718` (callbacks), documented-security-group-rules.json:",
        "tcp 443 from prefix list pl-0123456789abcdef0 (azure) (azure)",
        "tcp 443 from 91.132.170.1/32 (legacy \"91\")",
        "2a10:a200::/29",
        "inward entry 90 of network ACL `acl-0123456789abcdef0`",
        "entries of prefix list `pl-75b1541c` were not read",
        "only interfaces that have group `sg-0f9e8d7c6b5a43210`",
        "no rule of security group `sg-0a1b2c3d4e5f60718`",
    ] {
        assert!(run.stdout.contains(words), "{words}\n{}", run.stdout);
    }
    let run = admitted(&scene, &[&words[..words.len() - 1], &["i-0fedcba9876543210"]].concat()).expect(2);
    assert!(run.stderr.contains("has no network interface"), "{}", run.stderr);
}

/// Words that a listing may have in a place that is not theirs.
const WORDS: [&str; 12] = [
    "\"\"",
    "{",
    "}",
    "[]",
    ",",
    "null",
    "-1",
    "443",
    "\"0.0.0.0/0\"",
    "\"sg-1\"",
    "\"NextToken\": \"t\",",
    "true",
];

/// The text with a few lines gone, doubled, moved or changed.
fn spoilt(dice: &mut Dice, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=dice.below(3) {
        let at = usize::try_from(dice.below(lines.len() as u64)).unwrap();
        let other = usize::try_from(dice.below(lines.len() as u64)).unwrap();
        match dice.below(5) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => {
                let word = *dice.pick(&WORDS);
                let changed = lines[at].split_once(": ").map(|(key, _)| format!("{key}: {word},"));
                lines[at] = changed.unwrap_or_else(|| word.to_owned());
            }
            _ => {
                // The value of another line of this key, or any.
                let value = lines[other].split_once(": ").map_or("0,", |(_, value)| value).to_owned();
                let changed = lines[at].split_once(": ").map(|(key, _)| format!("{key}: {value}"));
                lines[at] = changed.unwrap_or(value);
            }
        }
    }
    lines.join("\n")
}

/// Noise is refused with its line, or answered so that every source is in exactly one part.
#[test]
fn a_spoilt_listing_is_refused_or_answered_whole() {
    let mut answered = 0;
    let fixtures = fixtures();
    let text = |name: &str| fixtures.iter().find(|(own, _)| own == name).unwrap().1.clone();
    for seed in 0..1_500 {
        let mut dice = Dice::new(seed);
        let kinds =
            ["security-groups", "security-group-rules", "network-acls", "network-interfaces", "instances"];
        let names = kinds.map(|kind| format!("documented-{kind}.json"));
        let spoil = usize::try_from(dice.below(names.len() as u64)).unwrap();
        let inputs = names.iter().enumerate().flat_map(|(number, name)| {
            let text = if number == spoil { spoilt(&mut dice, &text(name)) } else { text(name) };
            one(name, &text)
        });
        let groups = match read(inputs.collect()) {
            Ok(groups) => groups,
            Err(error) => {
                assert!(error.line >= 1 && !error.help.is_empty() && error.message.len() < 500, "{error}");
                continue;
            }
        };
        let instance = Some("i-0123456789abcdef0".to_owned());
        match Asked::new(&groups, &Selection { instance, ..Selection::default() }) {
            Err(error) => assert!(!error.help.is_empty(), "{error}"),
            Ok(asked) => {
                answered += 1;
                check_parts(&asked.admit(&question(443)));
            }
        }
    }
    assert!(answered > 60, "{answered}");
}

fn check_parts(answer: &Admission) {
    let told = |ruling: Ruling| {
        let of = answer.decided.iter().filter(|one| one.ruling == ruling);
        of.fold(PrefixSet::empty(), |all, one| all.union(&PrefixSet::between(one.first, one.last)))
    };
    assert!(answer.possibly.covers(&answer.surely));
    assert_eq!(told(Ruling::Accept), answer.surely);
    assert_eq!(told(Ruling::Drop), answer.possibly.complement());
    let open = answer.undecided.iter().fold(PrefixSet::empty(), |all, one| all.union(&one.sources));
    assert_eq!(open, answer.possibly.difference(&answer.surely));
}

fn admitted(scene: &Scene, arguments: &[&str]) -> Run {
    let mut command = assert_cmd::Command::new("prlimit");
    command.arg(format!("--as={MEMORY_MAX}")).arg("--").arg(env!("CARGO_BIN_EXE_callgate"));
    command.args(["admitted", "--port", "443", "--at", AT]).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let run = Run::of(&command.current_dir(scene.path()).timeout(TIME_MAX).output().unwrap());
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

#[track_caller]
fn check_refused(text: &str, place: &str, words: &str) {
    let scene = Scene::new();
    scene.write("listing", text);
    let run = admitted(&scene, &["--security-groups", "listing"]).expect(2);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    assert!(run.stderr.starts_with(&format!("error: listing:{place}: ")), "{}", run.stderr);
    assert!(run.stderr.contains(words) && run.stderr.contains("\n  help: "), "{}", run.stderr);
    assert!(run.stderr.len() < 1_000, "{} bytes of error", run.stderr.len());
}

fn group(permission: &str) -> String {
    format!("{{\"SecurityGroups\": [{{\n\"GroupId\": \"sg-1\",\n\"IpPermissions\": [\n{permission}\n]}}]}}")
}

#[test]
fn what_is_no_listing_is_refused_with_its_line() {
    for (text, place, words) in [
        ("", "1", "there is nothing in it"),
        ("   \n\n", "1", "there is nothing in it"),
        ("SecurityGroups:\n- GroupId: sg-1\n", "1", "not JSON"),
        ("[]", "1", "a list stands where"),
        ("{}", "1", "an empty object is no listing"),
        ("{\"Vpcs\": [], \"a\\u001b[2J\": 1}", "1", "`Vpcs`, `a [2J` is no listing"),
        ("{\"Entries\": []}", "1", "don't tell which list"),
        ("{\"SecurityGroups\": 5}", "1", "`SecurityGroups` is a number, and not a list"),
        ("{\"SecurityGroups\": [\n5]}", "1", "`SecurityGroups` has a number among its objects"),
        ("{\"SecurityGroups\": [\n{}]}", "1", "an object has no `GroupId`"),
        ("{\"SecurityGroups\": [\n{\"GroupId\": \"sg-1\"}]}", "2", "group `sg-1` has no `IpPermissions`"),
        ("{\"SecurityGroups\": [], \"SecurityGroups\": []}", "1", "`SecurityGroups` is given twice"),
        ("{\"SecurityGroups\": []}\n{\"SecurityGroups\": [", "2", "not JSON"),
        ("{\"SecurityGroups\": []}\nx", "2", "not JSON"),
        ("{\"SecurityGroupRules\": [{\n\"GroupId\": \"sg-1\"}]}", "1", "an object has no `IsEgress`"),
        (
            "{\"NetworkAcls\": [{\"NetworkAclId\": \"acl-1\", \"Entries\": [{\n\"RuleNumber\": -1}]}]}",
            "2",
            "no number",
        ),
    ] {
        check_refused(text, place, words);
    }
}

#[test]
fn a_rule_that_can_not_be_is_refused_with_its_line() {
    for (permission, place, words) in [
        ("{}", "3", "an object has no `IpProtocol`"),
        ("{\"IpProtocol\": \"256\"}", "4", "`256` is no protocol"),
        (
            "{\"IpProtocol\": \"tcp\",\n\"FromPort\": 443,\n\"ToPort\": 80}",
            "5",
            "ports 443 to 80 are no range",
        ),
        (
            "{\"IpProtocol\": \"tcp\",\n\"FromPort\": 0,\n\"ToPort\": 65536}",
            "5",
            "ports 0 to 65536 are no range",
        ),
        (
            "{\"IpProtocol\": \"tcp\",\n\"FromPort\": \"443\"}",
            "5",
            "`FromPort` is a text, and not a whole number",
        ),
        (
            "{\"IpProtocol\": \"tcp\", \"FromPort\": 4.5}",
            "4",
            "`FromPort` is a number, and not a whole number",
        ),
        (
            "{\"IpProtocol\": \"-1\",\n\"IpRanges\": [{\n\"CidrIp\": \"1.2.3.4\"}]}",
            "6",
            "`1.2.3.4` is no IPv4 prefix",
        ),
        ("{\"IpProtocol\": \"-1\", \"IpRanges\": [{\"CidrIp\": \"::/0\"}]}", "4", "`::/0` is no IPv4 prefix"),
        (
            "{\"IpProtocol\": \"-1\", \"IpRanges\": [{\"CidrIp\": \"01.2.3.4/8\"}]}",
            "4",
            "`01.2.3.4/8` is no IPv4",
        ),
        (
            "{\"IpProtocol\": \"-1\", \"IpRanges\": [{\"CidrIp\": \"1.2.3.4/33\"}]}",
            "4",
            "`1.2.3.4/33` is no IPv4",
        ),
        (
            "{\"IpProtocol\": \"-1\", \"Ipv6Ranges\": [{\"CidrIpv6\": \"1.2.3.0/24\"}]}",
            "4",
            "is no IPv6 prefix",
        ),
        ("{\"IpProtocol\": \"-1\", \"IpRanges\": {}}", "4", "`IpRanges` is an object, and not a list"),
    ] {
        check_refused(&group(permission), place, words);
    }
    // Long values are cut short, and what moves a cursor is taken out.
    let long = format!("{{\"IpProtocol\": \"\\u001b[2J{}\"}}", "x y".repeat(100_000));
    check_refused(&group(&long), "4", "x yx y…");
}

#[test]
fn what_is_deep_or_endless_is_refused_in_bounded_time_and_memory() {
    check_refused(&"[".repeat(1 << 20), "1", "not JSON");
    check_refused(&format!("{{\"a\": {}", "{\"a\": ".repeat(1 << 18)), "1", "not JSON");
    check_refused(
        &format!("{{\"SecurityGroups\": [\"{}\"]}}", "x".repeat(32 << 20)),
        "1",
        "has a text among",
    );
    // Many rules that nobody can decide, and many that name one long list.
    let scene = Scene::new();
    let pairs: Vec<_> = (0..20_000).map(|one| json!({ "GroupId": format!("sg-{one:x}") })).collect();
    let lists: Vec<_> = (0..20_000).map(|_| json!({ "PrefixListId": "pl-00000001" })).collect();
    let permissions = json!([
        { "IpProtocol": "-1", "UserIdGroupPairs": pairs },
        { "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": lists },
    ]);
    scene.write(
        "groups",
        json!({ "SecurityGroups": [{ "GroupId": "sg-1", "IpPermissions": permissions }] }).to_string(),
    );
    let entries: Vec<_> = (0..20_000_u32)
        .map(|one| json!({ "Cidr": format!("{}/32", std::net::Ipv4Addr::from(one * 2)) }))
        .collect();
    scene.write("pl-00000001.json", json!({ "Entries": entries }).to_string());
    let acl: Vec<_> = (1..20_000_u32)
        .map(|number| {
            json!({ "RuleNumber": number, "Egress": number % 2 == 0, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0",
                "PortRange": { "From": number, "To": number + 1 } })
        })
        .collect();
    scene.write("acl", json!({ "NetworkAcls": [{ "NetworkAclId": "acl-1", "Entries": acl }] }).to_string());
    let run = admitted(
        &scene,
        &["--security-groups", "groups", "--prefix-lists", "pl-00000001.json", "--network-acl", "acl"],
    );
    // A quota is exceeded by far, which is told before what is open.
    let run = run.expect(1);
    assert!(run.stdout.contains("more rules can't be decided"), "{}", run.stdout);
}

#[test]
fn a_missing_page_is_told_and_makes_nothing_sure() {
    let scene = Scene::new();
    let rule = |id: &str, cidr: &str| json!({ "SecurityGroupRuleId": id, "GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": cidr });
    let page = |rules: serde_json::Value, token: &str| {
        json!({ "SecurityGroupRules": rules, "NextToken": token }).to_string()
    };
    scene.write("1", page(json!([rule("sgr-a", "192.0.2.1/32")]), "t"));
    scene.write("2", page(json!([rule("sgr-b", "192.0.2.2/32")]), ""));
    let run = admitted(&scene, &["--security-groups", "1"]).expect(5);
    assert!(
        run.stdout.contains("rules are listed up to a page whose next one is missing, 1:1"),
        "{}",
        run.stdout
    );
    let run = admitted(&scene, &["--security-groups", "1", "--security-groups", "2"]).expect(0);
    assert!(run.stdout.contains("rule `sgr-b` of security group `sg-1`, 2:1"), "{}", run.stdout);
    scene.write("g", json!({ "SecurityGroups": [], "NextToken": "t" }).to_string());
    let run = admitted(&scene, &["--security-groups", "g", "--group", "sg-1"]).expect(2);
    assert!(run.stderr.contains("security group `sg-1` is in no listing"), "{}", run.stderr);
    assert!(run.stderr.contains("g:1 says that there is more"), "{}", run.stderr);
}

// The AWS command line, as it may be.

/// Runs callgate where `aws` is this script.
fn with_aws(script: Option<&str>, arguments: &[&str]) -> Run {
    let scene = Scene::new();
    let folder = scene.path().join("bin");
    match script {
        None => std::fs::create_dir(&folder).unwrap(),
        Some(script) => {
            let path = scene.write("bin/aws", format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let path = match script {
        None => folder.into_os_string(),
        Some(_) => {
            std::env::join_paths([folder.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap()
        }
    };
    let mut command = scene.command(&["admitted", "--port", "443", "--at", AT]);
    command.args(arguments).env("PATH", path).timeout(TIME_MAX);
    Run::of(&command.output().unwrap())
}

#[test]
fn why_aws_can_not_be_asked_is_told_with_what_to_do() {
    let failing = |said: &str| format!("echo \"{said}\" >&2; exit 254");
    let denied = "An error occurred (UnauthorizedOperation) when calling the DescribeSecurityGroups operation: You are not authorized to perform this operation.";
    let missing =
        "An error occurred (InvalidGroup.NotFound) when calling the DescribeSecurityGroups operation: no";
    for (script, words, help) in [
        (None, "there is no `aws` here", "install the AWS command line"),
        (
            Some(failing(denied)),
            "does not allow `ec2:DescribeSecurityGroups`",
            "let this identity do `ec2:DescribeSecurityGroups`",
        ),
        (
            Some(failing(
                "Unable to locate credentials. You can configure credentials by running aws configure.",
            )),
            "Unable to locate",
            "`--profile`",
        ),
        (
            Some(failing("Error loading SSO Token: Token for x does not exist")),
            "SSO Token",
            "`aws sso login`",
        ),
        (Some(failing("You must specify a region.")), "must specify a region", "`--region`"),
        (
            Some(failing("Could not connect to the endpoint URL")),
            "Could not connect",
            "see whether AWS is reachable",
        ),
        (Some(failing(missing)), "InvalidGroup.NotFound", "of this account and region"),
        (
            Some("echo '{'".to_owned()),
            "error: aws ec2 describe-security-groups --group-ids sg-1:2: ",
            "help: ",
        ),
        (Some("echo '{\"SecurityGroups\": []}'".to_owned()), "no listing", "describe-security-groups"),
    ] {
        let run = with_aws(script.as_deref(), &["--group", "sg-1"]).expect(2);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
        let told = run.stderr.split("\n  help: ").nth(1).unwrap_or_default();
        assert!(words.starts_with("error") || told.contains(help), "{help}: {}", run.stderr);
    }
}

#[test]
fn what_may_not_be_asked_stays_open_where_that_makes_no_answer_wrong() {
    let groups = "{\"SecurityGroups\": [{\"GroupId\": \"sg-1\", \"IpPermissions\": [{\"IpProtocol\": \"-1\", \"PrefixListIds\": [{\"PrefixListId\": \"pl-00000001\"}]}]}]}";
    let rules = "{\"SecurityGroupRules\": []}";
    let script = format!(
        "case \"$*\" in\n*describe-security-groups*) echo '{groups}';;\n*describe-security-group-rules*) echo '{rules}';;\n\
         *) echo 'An error occurred (UnauthorizedOperation) when calling the GetManagedPrefixListEntries operation: no' >&2; exit 254;;\nesac"
    );
    let run = with_aws(Some(&script), &["--group", "sg-1"]).expect(5);
    assert!(
        run.stderr.contains("warning: AWS does not allow `ec2:GetManagedPrefixListEntries`"),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains("entries of prefix list `pl-00000001` were not read"), "{}", run.stdout);
}

#[test]
fn options_of_the_aws_command_line_are_passed_on() {
    let groups = "{\"SecurityGroups\": [{\"GroupId\": \"sg-1\", \"IpPermissions\": []}]}";
    let script = format!(
        "echo \"$AWS_PAGER|$*\" >&2\ncase \"$*\" in *describe-security-groups*) echo '{groups}';; *) echo \"$*\" >&2; exit 1;; esac"
    );
    let run =
        with_aws(Some(&script), &["--group", "sg-1", "--profile", "a b", "--region", "eu-north-1"]).expect(2);
    let words = "--filters [{\"Name\":\"group-id\",\"Values\":[\"sg-1\"]}] --page-size 1000 --profile=a b --region=eu-north-1 --output json";
    assert!(run.stderr.contains(words), "{}", run.stderr);
}
