//! The shipped policies hold the published facts, and `explain` and `timeline` tell them.

use std::collections::BTreeSet;

use callgate::diagnostic::Diagnostics;
use callgate::policy::load::{Embedded, Policies, load};
use callgate::policy::{Environment, Role, State};

use crate::support::{AT, Scene};

fn shipped() -> Policies {
    let mut sink = Diagnostics::new();
    let policies = load(&Embedded, AT.parse().unwrap(), &mut sink);
    assert!(sink.is_empty());
    policies
}

/// Prefixes of a provider's sources of a role, with their state in production.
fn states(provider: &str, role: Role, at: &str) -> BTreeSet<(String, State)> {
    let policies = shipped();
    let sources =
        policies.by_provider[provider].sources.clone().into_iter().filter(move |source| source.role == role);
    let at = at.parse().unwrap();
    sources
        .filter_map(|source| Some((source.clone(), source.state(Environment::Production, at)?)))
        .flat_map(|(source, state)| {
            source.prefixes.iter().map(move |prefix| (prefix.short().to_string(), state)).collect::<Vec<_>>()
        })
        .collect()
}

fn listed(all: &[(&str, State)]) -> BTreeSet<(String, State)> {
    all.iter().map(|(prefix, state)| ((*prefix).to_owned(), *state)).collect()
}

#[test]
fn resurs_is_as_published() {
    use State::{Active, Withdrawn};
    let callbacks = [
        ("192.121.110.100", Active),
        ("13.50.187.51", Active),
        ("51.21.32.255", Active),
        ("51.21.206.32", Active),
        ("51.21.39.192", Active),
    ];
    assert_eq!(states("resurs", Role::Callback, AT), listed(&callbacks));
    let networks = [("192.121.110.0/24", Active), ("194.68.237.0/24", Active), ("91.198.202.0/24", Active)];
    assert_eq!(states("resurs", Role::OwnerNetwork, AT), listed(&networks));
    assert_eq!(states("resurs", Role::Tombstone, AT), listed(&[("91.198.202.100", Withdrawn)]));
}

#[test]
fn swedbank_pay_is_as_published_before_during_and_after_the_move() {
    use State::{Active, Announced, Grace, Unknown, Withdrawn};
    let at = |at: &str| states("swedbank-pay", Role::Callback, at);
    assert_eq!(
        at("2021-05-31T08:00:28Z"),
        listed(&[("20.91.170.120/29", Unknown), ("51.107.183.58", Unknown), ("91.132.170.1", Unknown)])
    );
    assert_eq!(
        at("2021-05-31T08:00:29Z"),
        listed(&[("20.91.170.120/29", Unknown), ("51.107.183.58", Unknown), ("91.132.170.1", Active)])
    );
    assert_eq!(
        at("2025-02-06T23:15:13Z"),
        listed(&[("20.91.170.120/29", Unknown), ("51.107.183.58", Active), ("91.132.170.1", Active)])
    );
    assert_eq!(
        at("2025-02-06T23:15:14Z"),
        listed(&[("20.91.170.120/29", Announced), ("51.107.183.58", Active), ("91.132.170.1", Active)])
    );
    assert_eq!(
        at("2025-03-12T11:00:00Z"),
        listed(&[("20.91.170.120/29", Active), ("51.107.183.58", Grace), ("91.132.170.1", Grace)])
    );
    // The deadline of September 15th was the merchants': nothing expires by it.
    assert_eq!(at(AT), at("2025-03-12T11:00:00Z"));
    assert_eq!(states("swedbank-pay", Role::Tombstone, AT), listed(&[("82.115.146.1", Withdrawn)]));
}

#[test]
fn test_callbacks_came_from_the_new_address_two_months_earlier() {
    let policies = shipped();
    let sources = &policies.by_provider["swedbank-pay"].sources;
    let legacy = sources.iter().find(|source| source.id.as_str() == "legacy-91").unwrap();
    let at = "2021-04-01T00:00:00Z".parse().unwrap();
    assert_eq!(legacy.state(Environment::Test, at), Some(State::Active));
    assert_eq!(legacy.state(Environment::Production, at), Some(State::Unknown));
}

#[track_caller]
fn check(address: &str, expected: &[&str]) {
    let text = Scene::new().run(&["explain", address]).expect(0).stdout;
    for part in expected {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn an_admitted_address_is_explained_with_its_evidence() {
    check(
        "51.21.39.192",
        &[
            "51.21.39.192 is admitted",
            "resurs/",
            "2025-11-18T14:08:37+01:00",
            "our inference",
            "https://developers.resurs.com/faq/",
            "Rendered into: ",
        ],
    );
    check(
        "20.91.170.127",
        &["is admitted", "20.91.170.120/29", "2025-03-12T12:00:00+01:00", "Starting from March 12th 2025"],
    );
    check(
        "91.132.170.1",
        &[
            "is admitted",
            "legacy",
            "deadline     2025-09-15",
            "valid until  unknown",
            "review by    2027-01-31",
            "replaced by  azure",
        ],
    );
    check("::ffff:51.21.39.192", &["51.21.39.192 is admitted"]);
}

#[test]
fn an_address_that_is_not_admitted_is_told_why() {
    check(
        "82.115.146.1",
        &["is not admitted", "withdrawn", "2021-05-31T10:00:29+02:00", "replaced by  legacy-91"],
    );
    check("192.121.110.7", &["is not admitted", "own network", "did not opt in"]);
    check(
        "91.198.202.100",
        &["is not admitted", "no longer list it since 2025-11-18T13:02:20+01:00", "resurs/owner-networks"],
    );
    check("8.8.8.8", &["8.8.8.8 is not admitted", "No source of any policy covers it"]);
    check("2001:4860::1", &["2001:4860::1 is not admitted"]);
}

#[test]
fn opting_in_to_an_owner_network_admits_it_and_says_what_comes_with_it() {
    let scene = Scene::new();
    scene.write("callgate.yaml", "schema: 1\npolicies: [{ provider: resurs, roles: [callback, owner-network] }]\ntargets: { t: { kind: nginx } }\n");
    let text = scene.run(&["explain", "192.121.110.7"]).expect(0).stdout;
    assert!(text.contains("192.121.110.7 is admitted"), "{text}");
    let found = scene.run(&["check"]).expect(1).stdout;
    assert!(found.contains("warning[tombstone-admitted]"), "{found}");
    // A site of one provider does not select the other.
    let other = scene.run(&["explain", "20.91.170.120"]).expect(0).stdout;
    assert!(other.contains("this site does not select its provider"), "{other}");
}

#[test]
fn a_site_may_retire_a_source_earlier_with_a_reason() {
    let scene = Scene::new();
    let exception = "exceptions: [{ provider: swedbank-pay, source: legacy-91, retire: 2026-11-01, reason: quiet since spring, review_by: 2027-06-01 }]\n";
    scene.write("callgate.yaml", format!("schema: 1\n{exception}targets: {{ t: {{ kind: nginx }} }}\n"));
    let text = scene.run(&["explain", "91.132.170.1"]).expect(0).stdout;
    assert!(
        text.contains("is not admitted")
            && text.contains("this site retired it on 2026-11-01: quiet since spring"),
        "{text}"
    );
    let before = scene.run_now(&["explain", "91.132.170.1", "--at", "2026-10-31T23:59:59Z"]).expect(0).stdout;
    assert!(before.contains("91.132.170.1 is admitted"), "{before}");
    let rendered = scene.run(&["render"]).expect(0).stdout;
    assert!(rendered.contains("# not admitted: swedbank-pay/legacy-91 retired here 2026-11-01: quiet since spring (91.132.170.1)"), "{rendered}");
    assert!(!rendered.contains("allow 91.132.170.1;"), "{rendered}");
}

#[test]
fn expired_sources_are_named_and_may_be_held() {
    let scene = Scene::new();
    let policy = crate::golden::policy(&["13.50.187.51"]);
    let second = "  - id: old\n    prefixes: [51.21.32.255]\n    lifecycle: { valid_from: 2024-01-01, valid_until: 2026-11-19 }\n    evidence: [{ page: docs, read: 2025-01-01 }]\n";
    scene.write("policies/example.yaml", format!("{policy}{second}"));
    let site = |exception: &str| format!("schema: 1\n{exception}targets: {{ t: {{ kind: nginx }} }}\n");
    scene.write("callgate.yaml", site(""));
    let rendered = scene.run(&["render"]).expect(0).stdout;
    assert!(rendered.contains("# not admitted: example/old expired 2026-11-19 (51.21.32.255)"), "{rendered}");
    // A day lasts until it is over.
    let day = scene.run_now(&["render", "--at", "2026-11-19T23:59:59Z"]).expect(0).stdout;
    assert!(day.contains("allow 51.21.32.255; # example/old active"), "{day}");
    scene.write("callgate.yaml", site("exceptions: [{ provider: example, source: old, hold_until: 2026-12-01, reason: still seen, review_by: 2026-12-01 }]\n"));
    let held = scene.run(&["render"]).expect(0).stdout;
    assert!(held.contains("allow 51.21.32.255; # example/old expired held"), "{held}");
    let over = scene.run_now(&["render", "--at", "2026-12-02"]).expect(0).stdout;
    assert!(!over.contains("allow 51.21.32.255"), "{over}");
}

#[test]
fn resolving_is_stable_between_two_lifecycle_instants() {
    let scene = Scene::new();
    let render = |at: &str| scene.run_now(&["render", "--at", at]).expect(0).stdout;
    let instants = [
        "2025-02-07T00:15:14+01:00",
        "2025-03-04T13:35:48+01:00",
        "2025-03-12T12:00:00+01:00",
        "2025-11-18T14:08:37+01:00",
        "2026-11-20T00:00:00Z",
    ];
    let mut before = String::new();
    for pair in instants.windows(2) {
        let start: jiff::Timestamp = pair[0].parse().unwrap();
        let end: jiff::Timestamp = pair[1].parse().unwrap();
        let at_start = render(&start.to_string());
        let last = end.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
        assert_eq!(at_start, render(&last.to_string()), "from {start} to {last}");
        assert_ne!(at_start, before, "{start} is a boundary");
        before = at_start;
    }
}

#[test]
fn the_timeline_tells_what_happened_and_what_falls_due() {
    let scene = Scene::new();
    let text = scene.run(&["timeline"]).expect(0).stdout;
    let line = |part: &str| {
        text.lines()
            .position(|line| line.contains(part))
            .unwrap_or_else(|| panic!("`{part}` not in:\n{text}"))
    };
    let now = line("---- 2026-11-20T12:00:00Z ----");
    assert!(line("2025-02-07T00:15:14+01:00") < line("2025-09-15"));
    assert!(line("2025-09-15") < now && now < line("2027-01-31"));
    let part = scene.run(&["timeline", "--from", "2026-01-01", "--format", "json"]).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_str(&part).unwrap();
    assert_eq!(report["version"], 1);
    let events = report["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["event"] == "review" && event["past"] == false), "{part}");
    let markdown = scene.run(&["timeline", "--format", "markdown"]).expect(0).stdout;
    assert!(
        markdown.contains("```mermaid\ngantt\n")
            && markdown.contains("grace legacy-91 production :crit, 2025-03-12T11:00:00, "),
        "{markdown}"
    );
}
