//! The laws for nginx, whose listing is the file itself: what is rendered and included admits the allowlist and
//! nobody else, a line that is missing is exactly that drift, and what nobody can say makes no answer surer.

use std::net::IpAddr;

use serde_json::Value;

use crate::support::Scene;

use super::deployed::Deployment;
use super::lab::covered;
use super::{Case, allowlists};

/// Where a rendered file is included, and how.
struct Form {
    deployment: Deployment,
    mode: &'static str,
    /// Directives of `http`, of the server, and of the location.
    levels: [&'static str; 3],
    question: &'static [&'static str],
}

const fn target(name: &'static str, settings: &'static str) -> Deployment {
    Deployment::file(name, settings)
}

const ACCESS: &str = "include out/callbacks.access.conf;";
const PROXY: &str = "set_real_ip_from 10.0.0.5; real_ip_header X-Forwarded-For; real_ip_recursive on;";

const FORMS: &[Form] = &[
    Form {
        deployment: target("access", "kind: nginx"),
        mode: "exclusive",
        levels: ["", "", ACCESS],
        question: &[],
    },
    Form {
        deployment: target("access in the server", "kind: nginx"),
        mode: "exclusive",
        levels: ["", ACCESS, ""],
        question: &[],
    },
    Form {
        deployment: target("access, permit", "kind: nginx"),
        mode: "permit",
        levels: ["", "", "include out/callbacks.access.conf; deny all;"],
        question: &[],
    },
    Form {
        deployment: target("geo", "kind: nginx, variant: geo"),
        mode: "exclusive",
        levels: ["include out/callbacks.geo.conf;", "", "if ($callgate = \"\") { return 403; }"],
        question: &[],
    },
    Form {
        deployment: target(
            "behind a proxy",
            "kind: nginx, behind_proxy: { header: X-Forwarded-For, trusted: [10.0.0.5] }",
        ),
        mode: "exclusive",
        levels: ["", PROXY, ACCESS],
        question: &["--proxy", "10.0.0.5"],
    },
    Form {
        deployment: target("geo behind a proxy", "kind: nginx, variant: geo"),
        mode: "exclusive",
        levels: ["include out/callbacks.geo.conf;", PROXY, "if ($callgate = \"\") { return 403; }"],
        question: &["--proxy", "10.0.0.5"],
    },
];

impl Form {
    /// A folder with the rendered file and a configuration that includes it.
    fn scene(&self, (_, listed, shape): &Case) -> Scene {
        let scene = self.deployment.rendered(self.mode, listed, shape);
        scene.write("nginx.conf", self.configuration(""));
        scene
    }

    /// The configuration, with one directive before the list.
    fn configuration(&self, before: &str) -> String {
        let [http, server, location] = self.levels;
        format!(
            "events {{}}\nhttp {{\n{http}\nserver {{\nlisten 443;\nlisten [::]:443;\nserver_name shop.example;\n{server}\n\
             location /callback {{\n{before}\n{location}\nroot /srv;\n}}\n}}\n}}\n"
        )
    }

    fn ask<'a>(&self, command: &[&'a str]) -> Vec<&'a str>
    where
        Self: 'a,
    {
        let common = ["--nginx", "nginx.conf", "--server-name", "shop.example", "--path", "/callback"];
        [command, &common, self.question, &["--format", "json"]].concat()
    }
}

/// Surely and possibly admitted.
fn sets(scene: &Scene, form: &Form) -> [Vec<(IpAddr, IpAddr)>; 2] {
    let run = scene.run(&form.ask(&["admitted", "--port", "443"]));
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr));
    let address = |value: &Value| value.as_str().unwrap().parse::<IpAddr>().unwrap();
    ["surely", "possibly"].map(|part| {
        let ranges = ["v4", "v6"].iter().flat_map(|family| report[*family][part].as_array().unwrap());
        ranges.map(|one| (address(&one["first"]), address(&one["last"]))).collect()
    })
}

#[test]
fn what_is_rendered_and_included_admits_exactly_the_allowlist() {
    for (number, form) in FORMS.iter().enumerate() {
        for case in allowlists(500 + number as u64) {
            let scene = form.scene(&case);
            let name = format!("{}, {}: {:?}", form.deployment.name, case.0, case.1);
            let wanted = covered(&case.1);
            // A proxy may tell any address, so of itself nobody can say who it is; `diff` knows it as one's own.
            let proxy = form.question.get(1).map(|proxy| covered(&[*proxy])).unwrap_or_default();
            let [surely, possibly] = sets(&scene, form);
            assert_eq!(surely, wanted.ranges().collect::<Vec<_>>(), "{name}");
            assert_eq!(possibly, wanted.union(&proxy).ranges().collect::<Vec<_>>(), "{name}");
            let run = scene.run(&form.ask(&["diff"]));
            assert_eq!(run.status, 0, "{name}: {}{}", run.stdout, run.stderr);
        }
    }
}

#[test]
fn a_line_that_is_missing_is_exactly_that_drift() {
    for (number, form) in FORMS.iter().enumerate() {
        for case in allowlists(600 + number as u64) {
            let scene = form.scene(&case);
            let file = if form.deployment.settings.contains("geo") { "geo" } else { "access" };
            let file = format!("out/callbacks.{file}.conf");
            let text = scene.read(&file);
            let is_entry = |line: &&str| {
                let line = line.trim_start();
                line.contains("; # ") && !line.starts_with('#')
            };
            let gone = text.lines().find(is_entry).unwrap();
            let words = gone.trim_start().trim_start_matches("allow ");
            let prefix = words.split([' ', ';']).next().unwrap();
            scene.write(&file, text.replacen(&format!("{gone}\n"), "", 1));
            let run = scene.run(&form.ask(&["diff"]));
            let name = format!("{}, {}: {}", form.deployment.name, case.0, run.stdout);
            assert_eq!(run.status, 1, "{name}");
            let report: Value = serde_json::from_str(&run.stdout).unwrap();
            let differences = report["targets"][0]["differences"].as_array().unwrap();
            assert_eq!(differences.len(), 1, "{name}");
            assert_eq!(differences[0]["part"], "blocked", "{name}");
            let range = &differences[0]["ranges"][0];
            let lost = covered(&[prefix.to_owned()]).ranges().next().unwrap();
            assert_eq!(range["first"], lost.0.to_string(), "{name}");
            assert_eq!(range["last"], lost.1.to_string(), "{name}");
        }
    }
}

#[test]
fn what_nobody_can_say_makes_no_answer_surer() {
    let unknown = [
        "if ($http_x_unknown) { return 403; }",
        "if ($http_x_unknown) { return 200; }",
        "auth_basic words; auth_basic_user_file words;",
        "satisfy any; auth_basic words; auth_basic_user_file words;",
        "limit_except GET { deny all; }",
        "auth_request /elsewhere;",
        "if ($invalid_referer) { return 404; }",
        "access_by_lua_block { ngx.exit(403) }",
    ];
    for (number, form) in FORMS.iter().enumerate() {
        let case = allowlists(700 + number as u64).pop().unwrap();
        let scene = form.scene(&case);
        let [surely, possibly] = sets(&scene, form);
        for condition in unknown {
            scene.write("nginx.conf", form.configuration(condition));
            let [sure, perhaps] = sets(&scene, form);
            let name = format!("{} with {condition}", form.deployment.name);
            let within = |small: &[(IpAddr, IpAddr)], large: &[(IpAddr, IpAddr)]| {
                let set =
                    |ranges: &[(IpAddr, IpAddr)]| callgate::prefix::PrefixSet::from_ranges(ranges.to_vec());
                set(large).covers(&set(small))
            };
            assert!(within(&sure, &surely), "{name}: surely grows");
            assert!(within(&possibly, &perhaps), "{name}: possibly shrinks");
        }
    }
}
