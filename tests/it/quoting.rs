//! Hostile text in policies never changes what an artifact means: the same prefixes, the same rules.

use proptest::prelude::*;

use crate::golden::{FORMS, MODES, PREROUTING, policy, prefixes, site};
use crate::support::Scene;

/// Text that tries to end comments, strings, blocks and templates.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\"",
        "'",
        "\\",
        "\n",
        "\r",
        "\t",
        "\0",
        "\u{1b}[2J",
        ";",
        "}",
        "{",
        "#",
        "$",
        "${file(\"x\")}",
        "%{ if true }",
        "{{ header }}",
        "{% raw %}",
        "{#",
        "*/",
        "//",
        "allow all;",
        "deny all;",
        "\nallow all;\n",
        "\n-A CALLGATE -j ACCEPT\n",
        "COMMIT\n",
        "\nflush ruleset\n",
        "\" }\n}\n",
        "-j ACCEPT",
        "\u{2028}",
        "\u{202e}",
        "\u{85}",
        "å",
        "\u{feff}",
        "EOT",
        "`id`",
        "$(id)",
        "a",
        " ",
        "\u{7f}",
        "|",
        "&",
        "<",
        ">",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat()),
        ".{0,320}",
        Just("x".repeat(300)),
    ]
}

/// A policy whose name, label and notes are `text`.
fn hostile_policy(text: &str, listed: &[&str]) -> String {
    let quoted =
        serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f").replace('\u{feff}', "\\ufeff");
    let quoted = quoted.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028");
    policy(listed)
        .replace("name: Example Pay", &format!("name: {quoted}"))
        .replace("label: Cloud", &format!("label: {quoted}"))
}

/// What is left of an artifact once comments are gone, as the tool sees it.
fn meaning(path: &str, text: &str) -> String {
    if path.ends_with(".json") {
        // JSON has no comments; descriptions are the only place for free text.
        let mut value: serde_json::Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        strip_descriptions(&mut value);
        return value.to_string();
    }
    if path.ends_with(".tf") {
        let body: hcl_edit::structure::Body = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        return terraform_meaning(&body);
    }
    let lines = text.lines().map(|line| {
        let line = line.split_once("--comment \"").map_or(line.to_owned(), |(before, rest)| {
            let after = rest.split_once('"').unwrap().1;
            format!("{before}{after}")
        });
        line.split('#').next().unwrap().trim_end().to_owned()
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn strip_descriptions(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(description) = map.remove("Description") {
                let text = description.as_str().unwrap();
                let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
                assert!(text.len() <= 255 && text.chars().all(allowed), "AWS refuses {text:?}");
            }
            map.values_mut().for_each(strip_descriptions);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip_descriptions),
        _ => {}
    }
}

/// The structure with every string literal in map values replaced, interpolation told apart.
fn terraform_meaning(body: &hcl_edit::structure::Body) -> String {
    use hcl_edit::expr::Expression;
    let mut shown = String::new();
    for structure in body {
        match structure {
            hcl_edit::structure::Structure::Block(block) => {
                shown.push_str(&format!(
                    "{} {:?} {{{}}}\n",
                    block.ident.as_str(),
                    block.labels.len(),
                    terraform_meaning(&block.body)
                ));
            }
            hcl_edit::structure::Structure::Attribute(attribute) => {
                let value = match &attribute.value {
                    Expression::Object(object) => object
                        .iter()
                        .map(|(key, value)| {
                            assert!(
                                matches!(value.expr(), Expression::String(_)),
                                "not a plain string: {:?}",
                                value.expr()
                            );
                            format!("{key:?}")
                        })
                        .collect::<Vec<_>>()
                        .join(","),
                    other => format!("{other:?}"),
                };
                shown.push_str(&format!("{} = {value}\n", attribute.key.as_str()));
            }
        }
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_names_and_labels_change_no_artifact(text in hostile()) {
        let listed = prefixes("both", "many");
        let mut cases: Vec<_> = FORMS.iter().flat_map(|form| MODES.iter().map(move |mode| (form, *mode))).collect();
        cases.push((&PREROUTING, "exclusive"));
        for (form, mode) in cases {
            let plain = Scene::new();
            let hostile = Scene::new();
            plain.write("policies/example.yaml", policy(&listed));
            hostile.write("policies/example.yaml", hostile_policy(&text, &listed));
            for scene in [&plain, &hostile] {
                scene.write("callgate.yaml", site(form, mode, "many", ""));
                scene.run(&["render", "--out", "out"]).expect(0);
            }
            for file in crate::golden::files(&plain.path().join("out")) {
                let name = file.display().to_string();
                if name.contains("manifest") {
                    continue;
                }
                let (left, right) = (plain.read(&format!("out/{name}")), hostile.read(&format!("out/{name}")));
                prop_assert_eq!(meaning(&name, &left), meaning(&name, &right), "{} {}", form.name, name);
                prop_assert!(right.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "control character in {}", right);
            }
        }
    }
}
