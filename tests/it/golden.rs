//! Golden artifacts: every target in both modes, every family, every shape, as plain files that the real
//! tools read in `real.rs`. `UPDATE_GOLDEN=1` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::support::{Scene, root};

/// A site's target, by the name of its golden folder.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    /// Settings without the mode.
    pub(crate) settings: &'static str,
    /// Settings that only mode `permit` takes.
    pub(crate) permit: &'static str,
}

/// Every form in which a target renders.
pub(crate) const FORMS: &[Form] = &[
    Form { name: "nginx", settings: "kind: nginx", permit: "" },
    Form { name: "nginx-geo", settings: "kind: nginx, variant: geo", permit: "" },
    Form { name: "iptables", settings: "kind: iptables", permit: "" },
    Form { name: "iptables-ipset", settings: "kind: iptables, matching: ipset", permit: "" },
    Form { name: "iptables-docker", settings: "kind: iptables, parent: DOCKER-USER", permit: "" },
    Form { name: "nftables", settings: "kind: nftables", permit: ", chain: inet filter input" },
    Form { name: "aws", settings: "kind: aws-security-group", permit: "" },
    Form {
        name: "aws-lists",
        settings: "kind: aws-security-group, prefix_lists: { v4_max_entries: 20, v6_max_entries: 10, v4_id: pl-0a1, v6_id: pl-0b2 }",
        permit: "",
    },
    Form { name: "terraform", settings: "kind: terraform", permit: "" },
    Form {
        name: "terraform-lists",
        settings: "kind: terraform, resource: prefix-lists, max_entries: 40",
        permit: "",
    },
];

/// A form of its own for the prerouting hook, which only mode `exclusive` has.
pub(crate) const PREROUTING: Form =
    Form { name: "nftables-prerouting", settings: "kind: nftables, hook: prerouting", permit: "-" };

pub(crate) const MODES: &[&str] = &["exclusive", "permit"];

/// What is admitted: families times shapes.
pub(crate) const FAMILIES: &[&str] = &["v4", "v6", "both"];
pub(crate) const SHAPES: &[&str] = &["one", "many", "aggregated"];

/// The prefixes of a case, some of them neighbours that aggregation joins.
pub(crate) fn prefixes(families: &str, shape: &str) -> Vec<&'static str> {
    let v4: &[&str] = match shape {
        "one" => &["20.91.170.120/29"],
        _ => &[
            "13.50.187.51",
            "20.91.170.120/30",
            "20.91.170.124/30",
            "51.21.32.255",
            "91.132.170.0",
            "91.132.170.1",
            "223.255.255.255",
        ],
    };
    let v6: &[&str] = match shape {
        "one" => &["2a10:a200::/32"],
        _ => &[
            "2a10:a200::/33",
            "2a10:a200:8000::/33",
            "2a10:a201::1",
            "2a10:a201::2/127",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
    };
    let mut all = Vec::new();
    if families != "v6" {
        all.extend(v4);
    }
    if families != "v4" {
        all.extend(v6);
    }
    all
}

/// A policy of one source with these prefixes.
pub(crate) fn policy(prefixes: &[&str]) -> String {
    let listed: Vec<String> = prefixes.iter().map(|prefix| format!("\"{prefix}\"")).collect();
    format!(
        "schema: 1\nprovider: example\nname: Example Pay\nrevision: 3\nservice: {{ protocol: tcp, ports: [443] }}\n\
         pages:\n  docs: {{ url: \"https://example.com/ips\", kind: text }}\n\
         sources:\n  - id: all\n    label: Cloud\n    prefixes: [{}]\n    lifecycle: {{ valid_from: 2025-01-01 }}\n\
         \x20   evidence: [{{ page: docs, read: 2025-01-01 }}]\n",
        listed.join(", ")
    )
}

/// A site with one target.
pub(crate) fn site(form: &Form, mode: &str, shape: &str, service: &str) -> String {
    let aggregate = if shape == "aggregated" { ", aggregate: true" } else { "" };
    let permit = if mode == "permit" { form.permit } else { "" };
    format!(
        "schema: 1\n{service}targets:\n  callbacks: {{ {}, mode: {mode}{permit}{aggregate} }}\n",
        form.settings
    )
}

/// A folder in which the case is rendered into `out`.
pub(crate) fn rendered(form: &Form, mode: &str, prefixes: &[&str], shape: &str, service: &str) -> Scene {
    let scene = Scene::new();
    scene.write("policies/example.yaml", policy(prefixes));
    scene.write("callgate.yaml", site(form, mode, shape, service));
    scene.run(&["render", "--out", "out"]).expect(0);
    scene
}

/// All files below a folder, relative, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(place) = open.pop() {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn artifacts_are_as_recorded() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let base = root().join("tests/golden");
    let (mut faults, mut known) = (String::new(), BTreeSet::new());
    let mut cases: Vec<(&Form, &str)> =
        FORMS.iter().flat_map(|form| MODES.iter().map(move |mode| (form, *mode))).collect();
    cases.push((&PREROUTING, "exclusive"));
    for (form, mode) in cases {
        for (families, shape) in
            FAMILIES.iter().flat_map(|families| SHAPES.iter().map(move |shape| (*families, *shape)))
        {
            let scene = rendered(form, mode, &prefixes(families, shape), shape, "");
            let case = format!("{}/{mode}-{families}-{shape}", form.name);
            for file in files(&scene.path().join("out")) {
                if file.ends_with("callgate.manifest.json") {
                    continue;
                }
                let golden = base.join(&case).join(&file);
                known.insert(golden.clone());
                let text = scene.read(&format!("out/{}", file.display()));
                if update {
                    std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
                    #[expect(clippy::disallowed_methods, reason = "recording on demand")]
                    std::fs::write(&golden, text).unwrap();
                } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&text) {
                    let _ = writeln!(faults, "{}", golden.display());
                }
            }
        }
    }
    for stale in files(&base).iter().map(|file| base.join(file)).filter(|file| !known.contains(file)) {
        let _ = writeln!(faults, "nothing renders {}", stale.display());
    }
    assert!(faults.is_empty(), "differ from what is recorded (UPDATE_GOLDEN=1 records):\n{faults}");
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_any_order() {
    let scene = rendered(&FORMS[0], "exclusive", &prefixes("both", "many"), "many", "");
    let mut turned = prefixes("both", "many");
    turned.reverse();
    let other = rendered(&FORMS[0], "exclusive", &turned, "many", "");
    assert_eq!(scene.read("out/callbacks.access.conf"), other.read("out/callbacks.access.conf"));
    assert_eq!(scene.read("out/callgate.manifest.json"), other.read("out/callgate.manifest.json"));
}

#[test]
fn the_order_of_sources_and_policies_does_not_matter() {
    let source = |id: &str, prefix: &str| {
        format!(
            "  - id: {id}\n    prefixes: [{prefix}]\n    evidence: [{{ page: docs, read: 2025-01-01 }}]\n"
        )
    };
    let head = |provider: &str| {
        format!(
            "schema: 1\nprovider: {provider}\nname: Example\nrevision: 1\nservice: {{ protocol: tcp, ports: [443] }}\n\
             pages: {{ docs: {{ url: \"https://example.com/\", kind: text }} }}\nsources:\n"
        )
    };
    let (a, b) = (source("a", "13.50.187.51"), source("b", "20.91.170.120/29"));
    let site = |order: &str| {
        format!(
            "schema: 1\npolicies: [{order}]\ntargets: {{ t: {{ kind: nftables }}, s: {{ kind: terraform }} }}\n"
        )
    };
    let render = |first: String, order: &str| {
        let scene = Scene::new();
        scene.write("policies/one.yaml", head("one") + &first);
        scene.write("policies/two.yaml", head("two") + &source("c", "91.132.170.1"));
        scene.write("callgate.yaml", site(order));
        scene.run(&["render"]).expect(0).stdout
    };
    assert_eq!(render(format!("{a}{b}"), "one, two"), render(format!("{b}{a}"), "two, one"));
}
