//! The HTML report: what it says, that it holds whatever others write, and that a real browser shows it to everybody.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use callgate::report::html::BYTES_MAX;

use crate::browser;
use crate::server::{Server, respond};
use crate::support::Scene;

/// A policy with a source in every state.
const POLICY: &str = "\
schema: 1
provider: example
name: Example Pay
revision: 3
zone: Europe/Stockholm
service: { protocol: tcp, ports: [443] }
pages:
  docs: { url: \"https://docs.example.com/callbacks?lang=en#addresses\", kind: text, section: Callback addresses }
sources:
  - id: cloud
    prefixes: [20.91.170.120/29, \"2a01:7e00:1::/64\"]
    label: Cloud
    lifecycle: { announced: 2025-02-01, valid_from: 2025-03-01 }
    evidence:
      - { page: docs, section: Callback addresses, says: \"We call from 20.91.170.120 to 127.\", read: 2026-06-01, version: \"2.1\" }
      - { page: docs, read: 2025-02-01, note: The first reading. }
  - id: next
    prefixes: [20.91.171.8/29]
    lifecycle: { announced: 2026-10-01, valid_from: 2027-02-01 }
    evidence: [{ page: docs, read: 2026-10-02 }]
  - id: legacy
    prefixes: [91.132.170.1]
    lifecycle:
      valid_from: { at: 2021-01-01, inferred: the page gives no start }
      legacy_since: 2025-03-01
      deadline: { at: 2027-01-15, inferred: the page gives no year }
      valid_until: unknown
      review_by: 2027-01-31
    replaced_by: cloud
    evidence: [{ page: docs, says: \"They will stop at some time.\", read: 2026-06-01 }]
  - id: ended
    prefixes: [13.50.187.51]
    lifecycle: { valid_from: 2019-01-01, valid_until: 2026-01-01 }
    evidence: [{ page: docs, read: 2026-06-01 }]
  - id: gone
    prefixes: [82.115.146.1]
    role: tombstone
    lifecycle: { valid_from: 2019-01-01, withdrawn: 2021-05-31 }
    evidence: [{ page: docs, read: 2026-06-01 }]
";

/// Three layers; the host has a drift of every kind.
const SITE: &str = "\
schema: 1
path:
  - { layer: security-group, security_groups: [groups.json] }
  - { layer: host, nft: nft.txt }
  - { layer: nginx, nginx: nginx.conf, server_name: shop.example, path: /callback, method: POST }
targets:
  edge: { kind: nftables, mode: exclusive }
  web: { kind: nginx }
  cloud: { kind: aws-security-group }
";

const RULES: &str = "\
table inet filter { # handle 1
	chain input { # handle 2
		type filter hook input priority filter; policy drop;
		ct state established,related accept # handle 3
		ip saddr { 20.91.170.120-20.91.170.126, 20.91.171.8/29, 82.115.146.1, 13.50.187.51 } tcp dport 443 accept # handle 4
		ip saddr 91.132.170.1 tcp dport 443 limit rate 5/minute accept # handle 5
		ip saddr 198.51.100.7 accept # handle 6
		ip saddr 198.51.100.8 tcp dport 443 limit rate 5/minute accept # handle 7
	}
}
";

/// Rules of which nothing is sure.
const OPEN_RULES: &str = "\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ip saddr { 20.91.170.120/29, 20.91.171.8/29, 91.132.170.1 } tcp dport 443 limit rate 5/minute accept
		ip6 saddr 2a01:7e00:1::/64 tcp dport 443 limit rate 5/minute accept
	}
}
";

const NGINX: &str = "events {}\nhttp {\n  server {\n    listen 443;\n    listen [::]:443;\n    server_name shop.example;\n    \
    location /callback {\n      allow 20.91.170.120/29;\n      allow 91.132.170.1;\n      allow 198.51.100.0/24;\n      \
    deny all;\n      root /srv;\n    }\n  }\n}\n";

/// What others may write where a policy has free text.
const HOSTILE: &[&str] = &[
    "</style></title></script><script>alert(1)</script>",
    "\\\" onmouseover=\\\"alert(2)\\\" x=\\\"",
    "<img src=x onerror=alert(3)>",
    "'><svg/onload=alert(4)>&lt;b&gt;&#60;i&#62;",
    "{{ style | safe }}{% raw %}{{ 7 * 7 }}",
    "--><!-- ]]> \u{202e}desrever\u{202c} a\u{200b}b \u{2028}line",
    "javascript:alert(5) `a` ``b` c",
];

fn group() -> String {
    let range = |one: &str| serde_json::json!({ "CidrIp": one });
    let six = serde_json::json!([{ "CidrIpv6": "2a01:7e00:1::/64" }]);
    serde_json::json!({ "SecurityGroups": [{
        "GroupId": "sg-0a1b2c3d4e5f60718", "GroupName": "callbacks", "VpcId": "vpc-1", "OwnerId": "1",
        "Description": "", "IpPermissionsEgress": [],
        "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
            "IpRanges": [range("20.91.170.120/29"), range("91.132.170.1/32")],
            "Ipv6Ranges": six, "PrefixListIds": [], "UserIdGroupPairs": [] }],
    }]})
    .to_string()
}

/// The report of a scene with these options, at the tests' instant.
fn page(scene: &Scene, status: i32, options: &[&str]) -> String {
    scene.run(&[&["ci", "--format", "html"], options].concat()).expect(status).stdout
}

fn scene(policy: &str, site: &str, rules: &str) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", policy);
    scene.write("callgate.yaml", site);
    scene.write("nft.txt", rules);
    scene
}

/// The whole way, and a folder of files that were rendered before the last source came.
fn drift() -> String {
    let scene = scene(POLICY, SITE, RULES);
    scene.write("groups.json", group());
    scene.write("nginx.conf", NGINX);
    // Without the source that the provider has announced since.
    let (head, rest) = POLICY.split_once("  - id: next\n").unwrap();
    let before = [head, &rest[rest.find("  - id: legacy\n").unwrap()..]].concat();
    scene.write("before/policies/example.yaml", before.replace("revision: 3", "revision: 2"));
    scene.write("before/callgate.yaml", SITE);
    let run = ["render", "--policies", "before/policies", "--out", "rendered"];
    scene.run(&run).expect(0);
    page(&scene, 1, &["--skip", "upstream", "--base", "before", "--rendered", "rendered"])
}

fn undetermined() -> String {
    let site = "schema: 1\ntargets:\n  edge: { kind: nftables, mode: exclusive }\n";
    page(&scene(POLICY, site, OPEN_RULES), 5, &["--skip", "upstream", "--nft", "nft.txt"])
}

fn hostile() -> String {
    let text = |index: usize| HOSTILE[index % HOSTILE.len()];
    let mut policy = format!(
        "schema: 1\nprovider: example\nname: \"{}\"\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\npages:\n  docs: \
         {{ url: \"https://example.com/ips\", kind: text, section: \"{}\" }}\nwaivers:\n  - {{ code: deadline-passed, reason: \
         \"{}\", until: 2027-01-01 }}\nsources:\n",
        text(0),
        text(1),
        text(2)
    );
    for index in 0..HOSTILE.len() {
        let (label, says) = (text(index), text(index + 1));
        let (section, note) = (text(index + 2), text(index + 3));
        let _ = write!(
            policy,
            "  - id: s{index}\n    prefixes: [20.91.170.{index}]\n    label: \"{label}\"\n    lifecycle: {{ valid_from: {{ at: \
             2021-01-01, inferred: \"{note}\" }}, deadline: 2026-01-01 }}\n    evidence: [{{ page: docs, section: \
             \"{section}\", says: \"{says}\", version: \"{label}\", note: \"{note}\", read: 2026-06-01 }}]\n"
        );
    }
    let site = "schema: 1\ntargets:\n  edge: { kind: nftables, mode: exclusive }\n";
    let rules = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tip saddr \
                 20.91.170.1 tcp dport 443 accept comment \"</code></pre><script>alert(6)</script>\"\n\t\tip saddr 198.51.100.9 \
                 accept comment \"<img src=x onerror=alert(7)>\"\n\t}\n}\n";
    page(&scene(&policy, site, rules), 1, &["--skip", "upstream", "--nft", "nft.txt"])
}

/// 2,000 sources with 10,000 prefixes of 20 providers, and rules that let 100,000 strangers in.
fn huge() -> String {
    let scene = Scene::new();
    for provider in 0..20 {
        let mut policy = format!(
            "schema: 1\nprovider: provider-{provider:02}\nname: Provider {provider}\nrevision: 1\nservice: {{ protocol: tcp, \
             ports: [443] }}\npages:\n  docs: {{ url: \"https://example.com/{provider}\", kind: text }}\nsources:\n"
        );
        for source in 0..100 {
            let prefixes: Vec<String> =
                (0..5).map(|index| format!("{}.{source}.{}.7", 20 + provider, index * 3)).collect();
            let _ = writeln!(
                policy,
                "  - id: s{source}\n    prefixes: [{}]\n    lifecycle: {{ valid_from: 2021-01-01, legacy_since: 2025-01-01, \
                 valid_until: unknown, review_by: 2028-01-01 }}\n    evidence: [{{ page: docs, says: \"{}\", read: 2026-06-01 }}]",
                prefixes.join(", "),
                "They said so, and they said it at length. ".repeat(10).trim()
            );
        }
        scene.write(&format!("policies/provider-{provider:02}.yaml"), policy);
    }
    scene.write("callgate.yaml", "schema: 1\ntargets:\n  edge: { kind: nftables, mode: exclusive }\n");
    let strangers: Vec<String> = (0..100_000_u32)
        .map(|index| format!("100.{}.{}.{}", index >> 15, (index >> 7) & 255, (index & 127) * 2))
        .collect();
    scene.write(
        "nft.txt",
        format!(
            "table inet filter {{\n\tset some {{\n\t\ttype ipv4_addr\n\t\telements = {{ {} }}\n\t}}\n\tchain input {{\n\t\ttype \
             filter hook input priority filter; policy drop;\n\t\tip saddr @some tcp dport 443 accept\n\t}}\n}}\n",
            strangers.join(", ")
        ),
    );
    page(&scene, 1, &["--skip", "upstream", "--nft", "nft.txt"])
}

const LISTED: &str = "<!doctype html><title>Callbacks</title><h2>Callback addresses</h2>\
<p>Callbacks come from:</p><ul><li>20.91.170.120/29</li><li>91.132.170.1</li></ul>";

/// A provider's page that lists this, read by the network.
fn upstream(listed: &str, status: i32) -> String {
    let answer = listed.to_owned();
    let server = Server::start(move |_, out| {
        respond(out, "200 OK", &[("Content-Type", "text/html")], answer.as_bytes())
    });
    let policy = format!(
        "schema: 1\nprovider: example\nname: Example Pay\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\npages:\n  \
         main: {{ url: \"{}\", kind: html, section: Callback addresses, primary: true }}\nsources:\n  - id: all\n    \
         prefixes: [20.91.170.120/29, 91.132.170.1]\n    evidence: [{{ page: main, says: \"Callbacks come from\", read: \
         2026-06-02 }}]\n",
        server.url("/callbacks")
    );
    let site = "schema: 1\ntargets:\n  edge: { kind: nftables, mode: exclusive }\n";
    let rules = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tip saddr { \
                 20.91.170.120/29, 91.132.170.1 } tcp dport 443 accept\n\t}\n}\n";
    let scene = scene(&policy, site, rules);
    scene.write("ca.pem", server.authority());
    page(&scene, status, &["--nft", "nft.txt", "--ca-file", "ca.pem", "--recheck", "0s"])
}

/// The shipped policies at another instant, with the built-in site.
fn shipped(at: &str) -> String {
    let scene = Scene::new();
    scene.run_now(&["ci", "--skip", "upstream", "--format", "html", "--at", at]).stdout
}

#[test]
fn everybody_can_read_it_in_a_real_browser() {
    let scene = Scene::new();
    let pages = [
        ("drift", drift()),
        ("shipped", shipped("2026-11-20T12:00:00Z")),
        ("announced", shipped("2025-02-20T12:00:00Z")),
        ("overdue", shipped("2028-01-01T00:00:00Z")),
        ("undetermined", undetermined()),
        ("agrees", upstream(LISTED, 0)),
        ("published", upstream(&LISTED.replace("91.132.170.1<", "91.132.170.2<"), 1)),
        ("hostile", hostile()),
        ("huge", huge()),
    ];
    let paths: Vec<PathBuf> =
        pages.iter().map(|(name, text)| scene.write(&format!("{name}.html"), text)).collect();
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    // For whoever wants to look at them.
    if let Ok(folder) = std::env::var("CALLGATE_KEEP_PAGES") {
        for path in &paths {
            std::fs::copy(path, PathBuf::from(&folder).join(PathBuf::from(path).file_name().unwrap()))
                .unwrap();
        }
    }
    let started = Instant::now();
    let Some(said) = browser::run("report", &paths) else { return };
    assert_eq!(said.lines().count(), pages.len(), "{said}");
    eprintln!("{said}in all {} ms", started.elapsed().as_millis());
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    assert_eq!(drift(), drift());
}

/// The text of a page, without its tags; what was escaped stays so.
fn text(page: &str) -> String {
    let body = page.split("</style>").nth(1).unwrap();
    let text: String = body
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text))
        .collect::<Vec<_>>()
        .join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn it_tells_all_that_was_looked_at_and_what_was_not() {
    let text = text(&drift());
    for wanted in [
        "Payment callbacks: findings",
        "1 of 5 steps skipped",
        "upstream skipped Do the providers still publish what the policies hold? left out",
        // What differs, by which rule, since when and what to do.
        "blocked 20.91.170.127 at tcp/443",
        "at risk 91.132.170.1 at tcp/443",
        "foreign 13.50.187.51",
        "limit rate 5/minute",
        "valid from 2025-03-01",
        "example/cloud",
        "security-group",
        "edge drift nftables, exclusive",
        // Every source, whether admitted or not.
        "expired: its end was 2026-01-01",
        "withdrawn",
        "announced 2026-10-01",
        "inferred: the page gives no year",
        "replaced by cloud",
        // How we know.
        "We call from 20.91.170.120 to 127.",
        "docs · docs.example.com , “Callback addresses”, read 2026-06-01 , version 2.1",
        // The change, and files that are behind.
        "What opens and what closes here",
        "opens example/next",
        "are not as they would be rendered now",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
    assert!(!text.contains("{{") && !text.contains("{%"), "{text}");
}

#[test]
fn what_others_write_stays_text() {
    let page = hostile();
    for never in
        ["<script", "<img", "<svg/", " onmouseover=\"", "javascript:alert(5)\"", "\u{202e}", "\u{200b}"]
    {
        assert!(!page.contains(never), "{never}");
    }
    let text = text(&page);
    for wanted in [
        "&lt;/style&gt;&lt;/title&gt;&lt;/script&gt;&lt;script&gt;alert(1)",
        "&lt;img src=x onerror=alert(3)&gt;",
        "&amp;lt;b&amp;gt;",
        "{{ style | safe }}{% raw %}{{ 7 * 7 }}",
        "&lt;img src=x onerror=alert(7)",
        "desrever a b line",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

#[test]
fn a_page_has_its_bound_and_tells_what_it_leaves_out() {
    let page = huge();
    assert!(page.len() <= BYTES_MAX, "{} bytes", page.len());
    let text = text(&page);
    assert!(text.contains("There is more than a page can show"), "{}", &text[..2000]);
    assert!(text.contains("Admitted 10,000 prefixes of 2,000 sources"), "{}", &text[..2000]);
    assert!(text.contains("100,000 addresses"));
    // Of all three, what is shown and what is left out make the whole.
    for what in ["ranges", "sources", "prefixes"] {
        let left_out = format!("more {what} left out here");
        assert!(text.contains(&left_out), "{left_out}");
    }
}

#[test]
fn where_policies_have_errors_it_still_tells_them() {
    let scene = scene(&POLICY.replace("91.132.170.1", "10.0.0.1"), SITE, RULES);
    let text = text(&page(&scene, 2, &["--skip", "upstream"]));
    for wanted in [
        "Payment callbacks: failed",
        "private-address",
        "policies/example.yaml:",
        "policies or site have errors",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
    assert!(!text.contains("Admitted prefixes"), "{text}");
}
