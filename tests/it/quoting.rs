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

/// A policy whose name and label are `text`, every character that YAML might take otherwise escaped.
fn hostile_policy(text: &str, listed: &[&str]) -> String {
    let escape = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => c.to_string(),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    let quoted = format!("\"{}\"", text.chars().map(escape).collect::<String>());
    let named = policy(listed).replace("name: Example Pay", &format!("name: {quoted}"));
    named.replace("label: Cloud", &format!("label: {quoted}"))
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
        check_terraform_strings(&text.parse().unwrap_or_else(|error| panic!("{error}: {text}")));
    }
    let lines = text.lines().map(|line| {
        let line = line.split_once("--comment \"").map_or(line.to_owned(), |(before, rest)| {
            let after = rest.split_once('"').unwrap().1;
            format!("{before}{after}")
        });
        let line = line.split_once("= \"callgate ").map_or(line.as_str(), |(before, _)| before);
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

/// Every value of a map is a plain string: nothing in it is a template that Terraform would evaluate.
fn check_terraform_strings(body: &hcl_edit::structure::Body) {
    use hcl_edit::expr::Expression;
    use hcl_edit::structure::Structure;
    for structure in body {
        match structure {
            Structure::Block(block) => check_terraform_strings(&block.body),
            Structure::Attribute(attribute) => {
                let Expression::Object(object) = &attribute.value else { continue };
                for (_, value) in object {
                    assert!(matches!(value.expr(), Expression::String(_)), "evaluated: {:?}", value.expr());
                }
            }
        }
    }
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
