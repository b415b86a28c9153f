//! What pages publish against policies, and the changes that are proposed: with the shipped policies and their history, with
//! policies of other shapes, and through git, patch and the program itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::sync::Arc;

use assert_cmd::Command;
use callgate::diagnostic::{Diagnostics, SourceText};
use callgate::instant::parse_moment;
use callgate::policy::validate::{Lists, parse_raw, validate};
use callgate::policy::{Environment, Hosting, Policy, Role};
use callgate::report::{json_v1, upstream_markdown, upstream_text, upstream_v1};
use callgate::upstream::compare::{Comparison, FindingCode, Observed, Outcome, Seen, compare};
use callgate::upstream::propose::{Proposal, propose};
use callgate::upstream::{Published, Reading, Stated, StatedKind};

use crate::support::{Scene, root};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A policy with what a page says of it, at an instant.
struct Case {
    /// The provider, and so the name of the file.
    provider: &'static str,
    text: String,
    at: &'static str,
    pages: Vec<Observed>,
}

fn policy(provider: &str, text: &str, at: &str) -> Policy {
    let text: Arc<SourceText> = SourceText::new(format!("policies/{provider}.yaml"), text.to_owned());
    let mut sink = Diagnostics::new();
    let raw = parse_raw(&text, &mut sink).unwrap();
    let policy = validate(raw, &text, &Lists::new(), at.parse().unwrap(), &mut sink);
    policy.unwrap_or_else(|| panic!("{:#?}", sink.iter().map(|found| &found.message).collect::<Vec<_>>()))
}

/// An entry: `PREFIX`, `owned PREFIX`, with ` (LABEL)` and ` for ENVIRONMENT`; the text is what stands there.
fn entry(line: u32, text: &str) -> Published {
    let (rest, environment) = text.split_once(" for ").unwrap_or((text, ""));
    let (rest, label) = rest.split_once(" (").unwrap_or((rest, ""));
    let environments = Environment::ALL.iter().copied().filter(|one| environment == one.as_str());
    Published {
        prefix: rest.trim_start_matches("owned ").parse().unwrap(),
        role: if rest.starts_with("owned ") { Role::OwnerNetwork } else { Role::Callback },
        environments: environments.collect(),
        label: (!label.is_empty()).then(|| label.trim_end_matches(')').to_owned()),
        dates: Vec::new(),
        line,
        text: text.trim_start_matches("owned ").to_owned(),
    }
}

fn list(entries: &[&str]) -> Seen {
    Seen::Read(Reading::List((1u32..).zip(entries).map(|(line, text)| entry(line, text)).collect()))
}

fn observed(page: &str, at: &str, seen: Seen) -> Observed {
    let url = format!("https://example.com/{page}");
    let digest = matches!(seen, Seen::Read(_)).then(|| DIGEST.to_owned());
    Observed { page: page.to_owned(), url, at: at.parse().unwrap(), digest, seen, help: None }
}

impl Case {
    fn new(provider: &'static str, text: String, at: &'static str, pages: &[(&str, Seen)]) -> Self {
        let pages = pages.iter().map(|(page, seen)| observed(page, at, seen.clone())).collect();
        Self { provider, text, at, pages }
    }

    fn compared(&self, text: &str) -> Comparison {
        compare(&policy(self.provider, text, self.at), &self.pages, self.at.parse().unwrap())
    }

    fn path(&self) -> String {
        format!("policies/{}.yaml", self.provider)
    }

    fn proposed(&self, text: &str) -> Option<Proposal> {
        let policy = policy(self.provider, text, self.at);
        propose(&policy, &self.compared(text), &self.path()).unwrap()
    }

    fn codes(&self) -> BTreeSet<&'static str> {
        self.compared(&self.text).findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    /// The proposal, after everything that has to hold of one: it is taken by git and by patch, passes `check` against what was
    /// there, is canonical where that was, and proposing again gives nothing.
    #[track_caller]
    fn check(&self) -> Proposal {
        let proposal = self.proposed(&self.text).unwrap();
        assert_eq!(self.proposed(&self.text).as_ref(), Some(&proposal));
        let again = self.proposed(&proposal.text).map(|again| again.patch);
        assert_eq!(again, None, "proposing again");
        for tool in ["git", "patch"] {
            let scene = Scene::new();
            let path = scene.write(&self.path(), &self.text);
            scene.write("change.patch", &proposal.patch);
            let folder = scene.path();
            run(folder, "git", &["init", "-q"]);
            run(folder, "git", &["add", "policies"]);
            let who = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
            run(folder, "git", &[&who[..], &["commit", "-qm", "before"]].concat());
            let was_canonical = scene.run_now(&["fmt", "--check", &self.path()]).status == 0;
            match tool {
                "git" => run(folder, "git", &["apply", "--check", "change.patch"]),
                _ => run(folder, "patch", &["-p1", "--fuzz=0", "--dry-run", "-i", "change.patch"]),
            }
            match tool {
                "git" => run(folder, "git", &["apply", "change.patch"]),
                _ => run(folder, "patch", &["-p1", "--fuzz=0", "-s", "-i", "change.patch"]),
            }
            assert_eq!(std::fs::read_to_string(path).unwrap(), proposal.text, "{tool}");
            let checked = scene.run_now(&["check", "--against", "HEAD", "--at", self.at]);
            assert!(checked.status <= 1 && !checked.stdout.contains("error["), "{}", checked.stdout);
            assert!(!was_canonical || scene.run_now(&["fmt", "--check", &self.path()]).status == 0);
        }
        proposal
    }
}

fn run(folder: &std::path::Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn shipped(provider: &str) -> String {
    std::fs::read_to_string(root().join(format!("policies/{provider}.yaml"))).unwrap()
}

/// A policy as it was before a source came: its block taken out, and lines that name it.
fn before(text: &str, ids: &[&str]) -> String {
    let mut kept = String::new();
    let mut is_out = false;
    for line in text.split_inclusive('\n') {
        if let Some(id) = line.strip_prefix("  - id: ") {
            is_out = ids.contains(&id.trim_end());
        } else if !line.starts_with(' ') && !line.trim().is_empty() {
            is_out = false;
        }
        let names_it = ids.iter().any(|id| line.trim() == format!("replaced_by: {id}"));
        if !is_out && !names_it {
            kept.push_str(line);
        }
    }
    kept
}

const FAQ: [&str; 5] = [
    "192.121.110.100 (Resurs)",
    "13.50.187.51 (Cloud)",
    "51.21.32.255 (Cloud)",
    "51.21.206.32 (Cloud)",
    "51.21.39.192 (Cloud)",
];
const OWNED: [&str; 3] = ["owned 91.198.202.0/24", "owned 192.121.110.0/24", "owned 194.68.237.0/24"];
const FIREWALL: [&str; 5] =
    ["192.121.110.100", "13.50.187.51", "51.21.32.255", "51.21.206.32", "51.21.39.192"];
const CALLBACK: [&str; 3] = ["20.91.170.120/29", "51.107.183.58", "91.132.170.1"];

// The shipped policies, and how their pages changed.

#[test]
fn the_shipped_policies_agree_with_what_they_hold() {
    let resurs = Case::new(
        "resurs",
        shipped("resurs"),
        "2026-11-21T09:00:00Z",
        &[("faq", list(&FAQ)), ("faq-owned", list(&OWNED)), ("firewall", list(&FIREWALL))],
    );
    assert_eq!(resurs.compared(&resurs.text).outcome, Outcome::Agrees, "{:?}", resurs.codes());
    assert_eq!(resurs.proposed(&resurs.text), None);
    let swedbank = Case::new(
        "swedbank-pay",
        shipped("swedbank-pay"),
        "2026-11-21T09:00:00Z",
        &[("v3", list(&CALLBACK)), ("old-vipps", list(&CALLBACK))],
    );
    assert_eq!(swedbank.compared(&swedbank.text).outcome, Outcome::Agrees, "{:?}", swedbank.codes());
    assert_eq!(swedbank.proposed(&swedbank.text), None);
}

#[test]
fn two_new_addresses_of_resurs_are_proposed_under_the_names_that_they_got() {
    let text = before(&shipped("resurs"), &["cloud-51-21-206-32", "cloud-51-21-39-192"]);
    // 2025-11-18, 14:09: the FAQ has five addresses again, the firewall page has three. One of the networks is taken as gone.
    let case = Case::new(
        "resurs",
        text,
        "2025-11-18T13:09:00Z",
        &[("faq", list(&FAQ)), ("faq-owned", list(&OWNED[1..])), ("firewall", list(&FIREWALL[..3]))],
    );
    assert_eq!(case.codes(), BTreeSet::from(["added", "pages-disagree", "removed"]));
    let proposal = case.check();
    let ids: Vec<&str> = proposal.added.iter().map(|added| added.id.as_str()).collect();
    assert_eq!(ids, ["cloud-51-21-39-192", "cloud-51-21-206-32"]);
    assert!(proposal.added.iter().all(|added| added.hosting == Hosting::Shared));
    assert_eq!(proposal.revision, 2);
    let asked: Vec<&str> =
        proposal.questions.iter().map(|one| one.source.as_ref().unwrap().as_str()).collect();
    assert_eq!(asked, ["owner-networks"]);
    assert!(proposal.text.contains("\n    # upstream asks (removed, page faq-owned): 91.198.202.0/24\n"));
}

#[test]
fn an_hour_without_addresses_proposes_nothing() {
    let case = Case::new(
        "resurs",
        shipped("resurs"),
        "2026-11-18T12:30:00Z",
        &[("faq", Seen::Read(Reading::Empty)), ("firewall", list(&FIREWALL[..3]))],
    );
    let comparison = case.compared(&case.text);
    assert_eq!(comparison.outcome, Outcome::Drift, "the other page misses two of its own");
    assert_eq!(comparison.pages[0].outcome, Outcome::Empty);
    assert_eq!(case.proposed(&case.text), None);
}

#[test]
fn the_loan_addresses_of_resurs_do_not_come_back_in_silence() {
    let faq = [&FAQ[..], &["91.198.202.100", "91.198.202.76"]].concat();
    let pages = [("faq", list(&faq)), ("faq-owned", list(&OWNED)), ("firewall", list(&FIREWALL))];
    let case = Case::new("resurs", shipped("resurs"), "2026-11-21T09:00:00Z", &pages);
    assert_eq!(
        case.codes(),
        BTreeSet::from(["added-inside-owner-network", "pages-disagree", "withdrawn-listed"])
    );
    let proposal = case.check();
    assert_eq!(proposal.added.len(), 1);
    assert_eq!(
        (proposal.added[0].id.as_str(), proposal.added[0].hosting),
        ("callback-91-198-202-76", Hosting::Owner)
    );
    assert_eq!(proposal.questions[0].source.as_ref().unwrap().as_str(), "loan-production");
}

#[test]
fn the_new_range_of_swedbank_pay_is_announced_with_its_day() {
    let text = before(&shipped("swedbank-pay"), &["azure"]);
    let at = "2025-02-07T08:00:00Z";
    let singles: Vec<String> = (120..128).map(|last| format!("20.91.170.{last}")).collect();
    let mut entries: Vec<Published> = (3u32..).zip(&singles).map(|(line, text)| entry(line, text)).collect();
    let moment = parse_moment("2025-03-12", &policy("swedbank-pay", &text, at).zone).ok();
    for entry in &mut entries {
        let text = "Starting from March 12th 2025".to_owned();
        entry.dates.push(Stated { kind: StatedKind::ValidFrom, moment: moment.clone(), text });
    }
    entries.extend([entry(1, CALLBACK[1]), entry(2, CALLBACK[2])]);
    let v3 = Seen::Read(Reading::List(entries.clone()));
    let case = Case::new("swedbank-pay", text, at, &[("v3", v3), ("old-vipps", list(&CALLBACK[1..]))]);
    assert_eq!(case.codes(), BTreeSet::from(["added", "pages-disagree"]));
    let proposal = case.check();
    assert_eq!(proposal.added.len(), 1, "eight singles are one network");
    assert_eq!(proposal.added[0].hosting, Hosting::Unknown);
    assert!(proposal.text.contains("\n      valid_from: 2025-03-12\n"));
    assert!(proposal.text.contains("        at: 2025-02-07T08:00:00Z\n"));
    // Once it is merged, other notation of the same set is no drift.
    let again = Case::new(
        "swedbank-pay",
        proposal.text,
        "2025-02-20T08:00:00Z",
        &[("v3", list(&CALLBACK)), ("old-vipps", list(&CALLBACK))],
    );
    let left: BTreeSet<&str> = again.codes().into_iter().filter(|code| *code != "announced-listed").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_legacy_address_that_is_dropped_is_asked_about() {
    let pages = [("v3", list(&CALLBACK[..2])), ("old-vipps", list(&CALLBACK))];
    let case = Case::new("swedbank-pay", shipped("swedbank-pay"), "2026-11-21T09:00:00Z", &pages);
    assert_eq!(case.codes(), BTreeSet::from(["pages-disagree", "removed"]));
    let proposal = case.check();
    assert!(proposal.added.is_empty());
    assert_eq!((proposal.revision, proposal.questions.len()), (1, 1));
    assert!(!proposal.patch.lines().skip(2).any(|line| line.starts_with('-')), "nothing is taken away");
}

// Providers of other shapes; none of these is one.

fn shape(name: &str, pages: &str, sources: &str) -> String {
    format!(
        "schema: 1\nprovider: {name}\nname: {name}\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\npages:\n{pages}sources:\n{sources}"
    )
}

const SHAPED: &str = "2026-11-21T09:00:00Z";

#[test]
fn a_feed_in_two_forms_is_one_list() {
    // The same list as JSON and as text, like Stripe's.
    let text = shape(
        "two-forms",
        "  json: { url: \"https://example.com/ips.json\", kind: json, primary: true }\n  text: { url: \"https://example.com/ips.txt\", kind: text }\n",
        "  - id: webhooks\n    prefixes: [13.50.187.51, 13.50.187.77, 51.21.32.255]\n    hosting: shared\n    evidence:\n      - { page: json, read: 2026-07-01 }\n      - { page: text, read: 2026-07-01 }\n",
    );
    let old = ["13.50.187.51", "13.50.187.77", "51.21.32.255"];
    let new = [&old[..], &["51.21.39.192", "51.21.39.200", "51.21.40.1"]].concat();
    let both = Case::new("two-forms", text.clone(), SHAPED, &[("json", list(&new)), ("text", list(&new))]);
    assert_eq!(both.codes(), BTreeSet::from(["added"]));
    assert_eq!(both.check().added.len(), 3);
    let lag = Case::new("two-forms", text, SHAPED, &[("json", list(&new)), ("text", list(&old))]);
    assert_eq!(lag.codes(), BTreeSet::from(["added", "pages-disagree"]));
    assert_eq!(lag.check().added.len(), 3);
}

#[test]
fn an_announcement_elsewhere_is_not_missed_in_the_feed_before_its_time() {
    // A feed, and a changelog that announces what the feed does not have yet, like GitHub's.
    let text = shape(
        "feed",
        "  meta: { url: \"https://example.com/meta\", kind: json, primary: true }\n  changelog: { url: \"https://example.com/changelog\", kind: html, watched: false }\n",
        "  - id: hooks\n    prefixes: [20.91.168.0/22, \"2a10:a200::/29\"]\n    evidence: [{ page: meta, read: 2026-07-01 }]\n  - id: hooks-next\n    prefixes: [13.50.187.160/28]\n    lifecycle: { announced: 2026-10-29 }\n    evidence: [{ page: changelog, read: 2026-10-29 }]\n",
    )
    .replace("service:", "widest: { v6: 29 }\nservice:");
    let old = ["20.91.168.0/22", "2a10:a200::/29"];
    let early = Case::new("feed", text.clone(), SHAPED, &[("meta", list(&old))]);
    assert_eq!(early.compared(&text).outcome, Outcome::Agrees, "{:?}", early.codes());
    let listed = [&old[..], &["13.50.187.160/28"]].concat();
    let there = Case::new("feed", text.clone(), SHAPED, &[("meta", list(&listed))]);
    assert_eq!(there.compared(&text).outcome, Outcome::Agrees);
    assert!(there.codes().contains("announced-listed"));
    let more = [&listed[..], &["13.50.187.176/28", "2a10:b200::/32"]].concat();
    let more = Case::new("feed", text, SHAPED, &[("meta", list(&more))]).check();
    let ids: Vec<&str> = more.added.iter().map(|added| added.id.as_str()).collect();
    assert_eq!(ids, ["callback-13-50-187-176-28", "callback-2a10-b200-32"]);
}

#[test]
fn a_long_list_as_plain_text_with_prefixes_in_a_file() {
    // One address a line, like Mollie's; the policy keeps them in brackets over several lines.
    let own: Vec<String> = (0..100).map(|number| format!("51.21.{number}.7")).collect();
    let text = shape(
        "plain",
        "  ips: { url: \"https://example.com/ips.txt\", kind: text }\n",
        &format!(
            "  - id: all # of them\n    prefixes:\n{}    hosting: shared\n    evidence: [{{ page: ips, read: 2026-07-01 }}]\n",
            own.iter().fold(String::new(), |text, one| text + "      - " + one + "\n")
        ),
    );
    let mut published: Vec<&str> = own.iter().map(String::as_str).rev().collect();
    let same = Case::new("plain", text.clone(), SHAPED, &[("ips", list(&published))]);
    assert_eq!(same.compared(&text).outcome, Outcome::Agrees);
    published.retain(|one| *one != "51.21.50.7");
    published.push("51.21.200.7");
    let case = Case::new("plain", text, SHAPED, &[("ips", list(&published))]);
    assert_eq!(case.codes(), BTreeSet::from(["added", "removed"]));
    let proposal = case.check();
    assert_eq!((proposal.added.len(), proposal.questions.len()), (1, 1));
}

#[test]
fn a_table_by_environment_and_a_second_product() {
    // Addresses by environment, and another product's own on a page of its own, like Klarna's.
    let text = shape(
        "table",
        "  main: { url: \"https://example.com/ips\", kind: html, primary: true }\n  product: { url: \"https://example.com/product\", kind: html }\n",
        "  - id: production\n    prefixes: [13.50.187.51, 13.50.187.60]\n    hosting: shared\n    environments: [production]\n    evidence: [{ page: main, read: 2026-07-01 }]\n  - id: playground\n    prefixes: [51.21.32.255]\n    hosting: shared\n    environments: [test]\n    evidence: [{ page: main, read: 2026-07-01 }]\n  - id: product\n    prefixes: [51.21.206.32]\n    hosting: shared\n    evidence: [{ page: product, read: 2026-07-01 }]\n",
    );
    let main = ["13.50.187.51 for production", "13.50.187.60 for production", "51.21.32.255 for test"];
    let agrees = Case::new(
        "table",
        text.clone(),
        SHAPED,
        &[("main", list(&main)), ("product", list(&["51.21.206.32"]))],
    );
    assert_eq!(agrees.compared(&text).outcome, Outcome::Agrees, "{:?}", agrees.codes());
    let main = [
        "13.50.187.51 for production",
        "13.50.187.60 for test",
        "51.21.32.255 for test",
        "51.21.39.192 for test",
    ];
    let product = ["51.21.206.32", "51.21.206.33"];
    let case = Case::new("table", text, SHAPED, &[("main", list(&main)), ("product", list(&product))]);
    assert_eq!(case.codes(), BTreeSet::from(["added", "environment-changed"]));
    let proposal = case.check();
    let added: Vec<(&str, &str)> =
        proposal.added.iter().map(|added| (added.id.as_str(), added.page.as_str())).collect();
    assert_eq!(added, [("callback-51-21-39-192", "main"), ("callback-51-21-206-33", "product")]);
    assert_eq!(proposal.added[0].environments, [Environment::Test].into());
    assert_eq!(proposal.questions.len(), 2, "gone from one environment, come to another");
}

// Reports.

fn hostile() -> (Case, Proposal) {
    let words = "51.21.39.192 `x` | <img src=x> @all #1 [a](https://evil.example) \u{1b}[31m\u{202e}\nforged: line\r```\n# head";
    let mut entries: Vec<Published> = (1u32..).zip(FAQ).map(|(line, text)| entry(line, text)).collect();
    entries.retain(|entry| entry.text != FAQ[4]);
    let mut new = entry(9, "51.21.39.200");
    new.text = words.to_owned() + &"z".repeat(10_000);
    new.label = Some(words.to_owned());
    new.dates = vec![Stated { kind: StatedKind::Deadline, moment: None, text: words.to_owned() }];
    let mut back = entry(10, "91.198.202.100");
    words.clone_into(&mut back.text);
    let mut dated = entry(11, "13.50.187.51");
    dated.dates.clone_from(&new.dates);
    words.clone_into(&mut dated.text);
    entries.extend([new, back, dated]);
    let faq = Seen::Read(Reading::List(entries));
    let pages = [("faq", faq), ("firewall", Seen::Moved(Some(words.to_owned()), words.to_owned()))];
    let case = Case::new("resurs", shipped("resurs"), SHAPED, &pages);
    let proposal = case.check();
    (case, proposal)
}

#[test]
fn hostile_words_are_harmless_in_every_report() {
    let (case, proposal) = hostile();
    let comparison = case.compared(&case.text);
    let report = upstream_v1::UpstreamReport::new(SHAPED.parse().unwrap(), &[(&comparison, Some(&proposal))]);
    let policy = policy("resurs", &case.text, SHAPED);
    let pull = upstream_markdown::pull_request(&policy, &comparison, &proposal);
    let texts = [upstream_text::text(&report), upstream_markdown::markdown(&report), pull];
    for text in &texts {
        assert!(text.contains("51.21.39.192 `x`"), "the words are shown:\n{text}");
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text}");
        assert!(
            text.lines().all(|line| line.len() < 2_500 && !line.starts_with("forged") && line != "# head")
        );
    }
    for text in &texts[1..] {
        // Outside of code nothing of it is left that a forge would act on.
        let html = html_of(text);
        for word in ["<img", "@all", "<a href=\"https://evil", "<h1>head"] {
            assert!(!html.contains(word), "{word} in\n{html}");
        }
    }
    let json = json_v1::to_text(&report);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["providers"][0]["pages"][0]["outcome"], "drift");
    assert_eq!(read["outcome"], "drift");
}

/// What Markdown amounts to, code left out: its text, and what is more than text.
fn html_of(text: &str) -> String {
    use pulldown_cmark::{Event, Options, Parser, Tag};
    let mut shown = String::new();
    for event in Parser::new_ext(text, Options::all()) {
        match event {
            Event::Text(text) => shown.push_str(&text.replace('<', "&lt;")),
            Event::Html(text) | Event::InlineHtml(text) => shown.push_str(&text),
            Event::Start(Tag::Link { dest_url, .. }) => shown.push_str(&format!("<a href=\"{dest_url}\">")),
            Event::Start(Tag::Image { .. }) => shown.push_str("<img"),
            Event::Start(Tag::Heading { level, .. }) => shown.push_str(&format!("<{level}>")),
            _ => shown.push('\n'),
        }
    }
    shown
}

#[test]
fn the_pull_request_says_what_to_decide_with_the_words_before_and_after() {
    let pages = [("v3", list(&CALLBACK[..2])), ("old-vipps", list(&CALLBACK))];
    let case = Case::new("swedbank-pay", shipped("swedbank-pay"), "2026-11-21T09:00:00Z", &pages);
    let (comparison, proposal) = (case.compared(&case.text), case.check());
    let policy = policy("swedbank-pay", &case.text, case.at);
    let text = upstream_markdown::pull_request(&policy, &comparison, &proposal);
    for line in [
        "# Swedbank Pay: what its pages publish now",
        "## To decide",
        "- [ ] removed: `v3` no longer lists 91.132.170.1 of `legacy-91`.",
        "- before, read 2026-07-01: `The callbacks are currently sent from either 51.107.183.58 or 91.132.170.1 in both the test and production environment.`",
        "- after, on [`developer.swedbankpay.com`](<https://developer.swedbankpay.com/checkout-v3/features/payment-operations/callback/>): not listed",
        "## Evidence",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
    assert!(text.contains(DIGEST));
}

#[test]
fn the_report_is_what_the_schema_says() {
    let schema = std::fs::read_to_string(root().join("docs/schema/upstream.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let (case, proposal) = hostile();
    let comparison = case.compared(&case.text);
    for proposal in [None, Some(&proposal)] {
        let report = upstream_v1::UpstreamReport::new(SHAPED.parse().unwrap(), &[(&comparison, proposal)]);
        let report = serde_json::to_value(&report).unwrap();
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let codes: Vec<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(schema["$defs"]["finding"]["properties"]["code"]["enum"], serde_json::json!(codes));
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    assert_eq!(schema["$defs"]["outcome"]["enum"], serde_json::json!(outcomes));
}

#[test]
fn the_document_has_a_heading_for_every_finding() {
    let text = std::fs::read_to_string(root().join("docs/upstream-findings.md")).unwrap();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let codes: Vec<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(headings, codes);
    let outcomes = std::fs::read_to_string(root().join("docs/upstream.md")).unwrap();
    for outcome in Outcome::ALL {
        assert!(outcomes.contains(&format!("| `{outcome}` |")), "{outcome}");
    }
}
