//! The whole path: several layers, one verdict for each source.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;

use crate::support::Scene;

/// Sources of both families.
const POLICY: &str = "\
schema: 1
provider: example
name: Example Pay
revision: 1
service: { protocol: tcp, ports: [443] }
pages:
  docs: { url: \"https://example.com/ips\", kind: text }
sources:
  - id: eight
    prefixes: [20.91.170.120/29, \"2a01:7e00:1::/64\"]
    lifecycle: { valid_from: 2021-01-01 }
    evidence: [{ page: docs, read: 2026-06-01 }]
  - id: one
    prefixes: [91.132.170.1]
    lifecycle: { valid_from: 2021-01-01 }
    evidence: [{ page: docs, read: 2026-06-01 }]
";

/// A chain of nft with these rules, which refuses all others.
fn chain(rules: &str) -> String {
    format!(
        "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n{rules}\t}}\n}}\n"
    )
}

/// Two hosts, one behind the other: the inner one listens at another port.
fn two_hosts(outer: &str, inner: &str) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", POLICY);
    scene.write(
        "callgate.yaml",
        "schema: 1\npath:\n  - { layer: host, nft: outer.txt }\n  - { layer: host, nft: inner.txt, port: 8443 }\n\
         targets:\n  edge: { kind: nftables, mode: exclusive }\n",
    );
    scene.write("outer.txt", chain(outer));
    scene.write("inner.txt", chain(inner));
    scene
}

fn diff(scene: &Scene, status: i32) -> Value {
    serde_json::from_str(&scene.run(&["diff", "--format", "json"]).expect(status).stdout).unwrap()
}

/// Each source with its family, verdict, and the file of the rule that decides.
fn verdicts(report: &Value) -> Vec<String> {
    let word = |one: &Value| one.as_str().unwrap_or("-").to_owned();
    let of_one = |one: &Value| {
        let places = ["source", "family", "verdict"].map(|key| word(&one[key])).join(" ");
        format!("{places} {}", word(&one["rule"]["listing"]))
    };
    report["path"]["sources"].as_array().unwrap().iter().map(of_one).collect()
}

const BOTH: &str = "\
\t\tip saddr { 20.91.170.120/29, 91.132.170.1 } tcp dport { 443, 8443 } accept
\t\tip6 saddr 2a01:7e00:1::/64 tcp dport { 443, 8443 } accept
";

#[test]
fn who_gets_through_all_layers_is_admitted() {
    let report = diff(&two_hosts(BOTH, BOTH), 0);
    assert_eq!(report["path"]["outcome"], "as wanted");
    assert_eq!(
        verdicts(&report),
        ["eight v4 admitted inner.txt", "eight v6 admitted inner.txt", "one v4 admitted inner.txt"]
    );
    assert_eq!(report["path"]["layers"][1]["port"], 8443);
}

#[test]
fn who_is_refused_anywhere_is_blocked_by_the_outermost_layer_that_refuses() {
    let outer = "\t\tip saddr 20.91.170.120/29 tcp dport 443 accept\n\t\tip saddr 91.132.170.1 tcp dport 443 limit rate 5/minute accept\n";
    let inner = "\t\tip saddr { 20.91.170.120-20.91.170.126, 91.132.170.1 } tcp dport 8443 accept\n";
    let report = diff(&two_hosts(outer, inner), 1);
    assert_eq!(
        verdicts(&report),
        [
            // One address of eight is refused, and that counts.
            "eight v4 blocked inner.txt",
            "eight v6 blocked outer.txt",
            "one v4 undetermined outer.txt"
        ]
    );
    let sources = &report["path"]["sources"];
    assert_eq!(sources[0]["ranges"][0]["first"], "20.91.170.127");
    assert_eq!(sources[2]["why"][0], "rate limit");
    assert_eq!(sources[0]["layer"], "host");
}

#[test]
fn a_stranger_is_foreign_only_where_all_layers_let_him_in() {
    let wide = format!("\t\tip saddr {{ 198.51.100.7, 198.51.100.8 }} tcp dport 443 accept\n{BOTH}");
    let narrow = format!("\t\tip saddr 198.51.100.8 tcp dport 8443 accept\n{BOTH}");
    let report = diff(&two_hosts(&wide, &narrow), 1);
    let foreign = report["path"]["differences"].as_array().unwrap();
    assert_eq!(foreign.len(), 1, "{foreign:#?}");
    assert_eq!(foreign[0]["part"], "foreign");
    assert_eq!(foreign[0]["ranges"][0]["first"], "198.51.100.8");
    assert_eq!(foreign[0]["ranges"].as_array().unwrap().len(), 1);
    // The outer layer is too wide all the same, and its own target says so.
    assert_eq!(report["targets"][0]["differences"][0]["ranges"][0]["first"], "198.51.100.7");
}

#[test]
fn the_text_tells_each_verdict_and_the_rule() {
    let text =
        two_hosts(BOTH, "\t\tip saddr 91.132.170.1 tcp dport 8443 accept\n").run(&["diff"]).expect(1).stdout;
    assert!(text.contains("whole path (host → host): drift"), "{text}");
    let blocked = "example/eight v4 tcp/443 blocked by the host layer: the policy of chain `input` (table inet filter), inner.txt:2, 20.91.170.120/29";
    assert!(text.contains(blocked), "{text}");
    assert!(text.contains("example/one   v4 tcp/443 admitted\n"), "{text}");
}

#[test]
fn explain_asks_the_layers_and_its_status_tells_whether_they_do_what_is_wanted() {
    let scene = two_hosts(
        BOTH,
        "\t\tip saddr { 91.132.170.1, 198.51.100.7 } tcp dport 8443 accept\n\t\tip saddr 20.91.170.120 tcp dport 8443 limit rate 1/second accept\n",
    );
    let status = |address: &str| scene.run(&["explain", address]).status;
    assert_eq!(status("91.132.170.1"), 0);
    assert_eq!(status("20.91.170.127"), 1);
    assert_eq!(status("20.91.170.120"), 5);
    assert_eq!(status("198.51.100.9"), 0);
    // A stranger whom the outer layer refuses gets nowhere.
    assert_eq!(status("198.51.100.7"), 0);
    let text = scene.run(&["explain", "20.91.170.127"]).expect(1).stdout;
    assert!(text.contains("tcp/443      blocked by the host layer"), "{text}");
    let report: Value =
        serde_json::from_str(&scene.run(&["explain", "20.91.170.127", "--format", "json"]).stdout).unwrap();
    let at = &report["path"]["ports"][0];
    assert_eq!(
        (at["port"].as_u64(), at["verdict"].as_str(), at["layer"].as_str()),
        (Some(443), Some("blocked"), Some("host"))
    );
    assert_eq!(at["layers"][0]["verdict"], "accept");
    assert_eq!(at["layers"][1]["verdict"], "drop");
    // At the port that the inner layer sees.
    let change = at["change"].as_str().unwrap();
    assert!(change.contains("ip saddr 20.91.170.127 tcp dport 8443 accept"), "{change}");
    assert!(at["lasting"].is_null());
}

#[test]
fn explain_says_what_the_policies_say_where_the_layers_cannot_be_read() {
    let scene = two_hosts(BOTH, BOTH);
    scene.write("inner.txt", "table inet filter {\n");
    let run = scene.run(&["explain", "91.132.170.1"]).expect(2);
    assert!(run.stdout.starts_with("91.132.170.1 is admitted"), "{}", run.stdout);
    assert!(run.stderr.contains("the rules on the way were not asked"), "{}", run.stderr);
    assert!(run.stderr.contains("inner.txt:"), "{}", run.stderr);
}

#[test]
fn options_name_the_only_layers_that_are_asked() {
    let scene = two_hosts(BOTH, "");
    let run = scene.run(&["diff", "--nft", "outer.txt", "--format", "json"]).expect(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["path"]["layers"].as_array().unwrap().len(), 1);
    assert_eq!(report["listings"], serde_json::json!(["outer.txt"]));
}

#[test]
fn behind_a_proxy_the_host_treats_all_callers_alike() {
    let scene = two_hosts(BOTH, "\t\tip saddr 10.0.0.5 tcp dport 8443 accept\n");
    let site = scene.read("callgate.yaml").replace("port: 8443", "port: 8443, proxy: 10.0.0.5");
    scene.write("callgate.yaml", site);
    let report = diff(&scene, 0);
    assert!(verdicts(&report).iter().all(|one| one.contains("admitted")), "{report:#}");
    let site = scene.read("callgate.yaml").replace("10.0.0.5", "10.0.0.6");
    scene.write("callgate.yaml", site);
    assert!(verdicts(&diff(&scene, 1)).iter().all(|one| one.contains("blocked inner.txt")));
}

#[test]
fn faults_of_a_path_are_told_with_their_place() {
    let scene = Scene::new();
    scene.write("policies/example.yaml", POLICY);
    let faults = [
        ("- host", "a mapping expected"),
        ("- { nft: a.txt }", "a layer without `layer:`"),
        ("- { layer: hosts }", "did you mean `host`?"),
        ("- { layer: host, nftt: a.txt }", "did you mean `nft`?"),
        ("- { layer: host, proxy: nowhere }", "`nowhere` is not an address"),
        ("- { layer: nginx }", "key `path` is missing"),
        ("- { layer: nginx, path: callback }", "begin it with `/`"),
        ("- { layer: nginx, path: /c, headers: [X-Env] }", "write `Name: value`"),
        ("- { layer: terraform }", "key `file` is missing"),
    ];
    for (layer, fault) in faults {
        scene.write(
            "callgate.yaml",
            format!("schema: 1\npath:\n  {layer}\ntargets:\n  web: {{ kind: nginx }}\n"),
        );
        let run = scene.run(&["check"]).expect(2);
        assert!(run.stdout.contains(fault), "{layer}: {}", run.stdout);
        assert!(run.stdout.contains("callgate.yaml:3:"), "{layer}: {}", run.stdout);
    }
    let nine = "  - { layer: host, nft: a.txt }\n".repeat(9);
    scene.write("callgate.yaml", format!("schema: 1\npath:\n{nine}targets:\n  web: {{ kind: nginx }}\n"));
    assert!(scene.run(&["check"]).expect(2).stdout.contains("more than 8 layers"));
}

/// A security group that admits these over TCP at one port.
fn group(port: u16, admitted: &[&str]) -> String {
    let ranges: Vec<Value> = admitted.iter().map(|one| serde_json::json!({ "CidrIp": one })).collect();
    serde_json::json!({ "SecurityGroups": [{
        "GroupId": "sg-0a1b2c3d4e5f60718", "GroupName": "callbacks", "VpcId": "vpc-1", "OwnerId": "1",
        "Description": "", "IpPermissionsEgress": [],
        "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": ranges,
            "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": [] }],
    }]})
    .to_string()
}

/// An nginx whose location of the callbacks has this list.
fn nginx(list: &str) -> String {
    format!(
        "events {{}}\nhttp {{\n  server {{\n    listen 443;\n    server_name shop.example;\n    location /callback {{\n      {list}\n      root /srv;\n    }}\n  }}\n}}\n"
    )
}

/// Security group, host, nginx.
fn whole_way() -> Scene {
    let scene = two_hosts(BOTH, BOTH);
    scene.write(
        "callgate.yaml",
        "schema: 1\npath:\n  - { layer: security-group, security_groups: [groups.json] }\n  - { layer: host, nft: outer.txt }\n\
        \x20 - { layer: nginx, nginx: nginx.conf, server_name: shop.example, path: /callback, method: POST }\n\
         targets:\n  edge: { kind: nftables, mode: exclusive }\n  web: { kind: nginx }\n  cloud: { kind: aws-security-group }\n",
    );
    scene.write("groups.json", group(443, &["20.91.170.120/29", "91.132.170.1/32", "198.51.100.0/24"]));
    scene.write(
        "nginx.conf",
        nginx("allow 20.91.170.120/29; allow 91.132.170.1; allow 198.51.100.0/24; deny all;"),
    );
    scene
}

#[test]
fn each_layer_is_named_that_blocks() {
    let scene = whole_way();
    scene.write("groups.json", group(443, &["20.91.170.120/29", "91.132.170.0/32"]));
    scene.write(
        "outer.txt",
        chain("\t\tip saddr { 20.91.170.120-20.91.170.126, 91.132.170.1 } tcp dport 443 accept\n"),
    );
    scene.write("nginx.conf", nginx("allow 20.91.170.121; deny all;"));
    let report = diff(&scene, 1);
    let layers = |report: &Value| -> Vec<String> {
        report["path"]["sources"].as_array().unwrap().iter().map(|one| one["layer"].to_string()).collect()
    };
    // Of the eight the first that is refused is refused by nginx.
    assert_eq!(layers(&report), [r#""nginx""#, r#""security-group""#, r#""security-group""#]);
    assert_eq!(
        report["path"]["sources"][0]["rule"]["title"],
        "deny all of location `/callback` of server `shop.example`"
    );
    // Each target is compared with its own layer.
    let compared: Vec<&str> =
        report["targets"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
    assert_eq!(compared, ["cloud", "edge", "web"]);
}

#[test]
fn what_one_layer_leaves_open_another_may_close() {
    let scene = whole_way();
    let report = diff(&scene, 1);
    // The security group and nginx let a network in that the host does not.
    assert!(
        report["path"]["differences"].as_array().unwrap().iter().all(|one| one["part"] != "foreign"),
        "{report:#}"
    );
    let wide = &report["targets"][0];
    assert_eq!((wide["target"].as_str(), wide["outcome"].as_str()), (Some("cloud"), Some("drift")));
    let of_cloud = wide["differences"].as_array().unwrap();
    let foreign = of_cloud.iter().find(|one| one["part"] == "foreign").unwrap();
    assert_eq!(foreign["ranges"][0]["first"], "198.51.100.0");
    assert_eq!(verdicts(&report)[0], "eight v4 admitted nginx.conf");
    // Nobody lets IPv6 in but the host.
    assert_eq!(verdicts(&report)[1], "eight v6 blocked groups.json");
}

#[test]
fn admitted_intersects_the_layers_that_options_name() {
    let scene = whole_way();
    let ask = |options: &[&str]| {
        let run = scene.run(&[&["admitted", "--port", "443", "--format", "json"], options].concat());
        serde_json::from_str::<Value>(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr))
    };
    let cloud = ["--security-groups", "groups.json"];
    let host = ["--nft", "outer.txt"];
    let web = ["--nginx", "nginx.conf", "--server-name", "shop.example", "--path", "/callback"];
    let surely = |report: &Value| report["v4"]["surely"].to_string();
    let all = ask(&[&cloud[..], &host, &web].concat());
    assert_eq!(surely(&all), surely(&ask(&host)));
    assert_eq!(all["question"]["layers"].as_array().unwrap().len(), 3);
    assert_eq!(surely(&ask(&[&cloud[..], &web].concat())), surely(&ask(&cloud)));
    let one = ask(&[&cloud[..], &host, &web, &["--source", "198.51.100.7"]].concat());
    let verdicts: Vec<&str> =
        one["layers"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["accept", "drop", "accept"]);
    assert_eq!(one["v4"]["decided"][0]["rule"]["layer"], "host");
}

#[test]
fn an_option_takes_what_it_leaves_open_from_the_site() {
    let scene = whole_way();
    scene.write("other.conf", nginx("deny all;"));
    let run = scene.run(&["diff", "--nginx", "other.conf", "--format", "json"]).expect(1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["path"]["layers"][0]["request"]["server_name"], "shop.example");
    assert!(verdicts(&report).iter().all(|one| one.ends_with("blocked other.conf") || one.contains(" v6 ")));
}
