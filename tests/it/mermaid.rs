//! The charts of the Markdown reports, read and drawn by Mermaid itself in a real browser.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::browser;
use crate::check::Repository;
use crate::support::{AT, Scene};

/// What Mermaid makes of the charts of these texts, in their order; `None` where there is no browser.
fn drawn(texts: &[String]) -> Option<Vec<Value>> {
    let scene = Scene::new();
    let blank = scene.write("blank.html", "<!doctype html><title>charts</title><p>charts");
    let mut files = vec![blank.display().to_string()];
    for (index, text) in texts.iter().enumerate() {
        files.push(scene.write(&format!("{index}.md"), text).display().to_string());
    }
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let said = browser::run("mermaid", &arguments)?;
    let charts: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap()).collect();
    assert_eq!(charts.len(), texts.len(), "a chart is missing: {said}");
    for (chart, text) in charts.iter().zip(texts) {
        assert_eq!(chart["error"], Value::Null, "{chart}\n{text}");
        assert_eq!(chart["heard"], serde_json::json!([]), "{text}");
        assert_eq!((&chart["type"], &chart["title"]), (&"gantt".into(), &"".into()), "{text}");
        let tasks = chart["tasks"].as_array().unwrap();
        assert_eq!(chart["drawn"], tasks.len(), "{text}");
        for task in tasks.iter().filter(|task| task["task"] != "judged at ") {
            assert!(task["from"].as_str().unwrap() < task["to"].as_str().unwrap(), "{task} has no width");
        }
    }
    Some(charts)
}

/// The names of the bars of one section, in their order.
fn bars(chart: &Value, section: &str) -> Vec<String> {
    let tasks = chart["tasks"].as_array().unwrap().iter().filter(|task| task["section"] == section);
    tasks.map(|task| task["task"].as_str().unwrap().trim_end().to_owned()).collect()
}

#[test]
fn the_charts_of_the_shipped_policies_are_drawn_at_any_instant() {
    let scene = Scene::new();
    let instants = ["2018-01-01", "2021-04-01", "2025-02-20T12:00:00Z", AT, "2027-02-15", "2100-01-01"];
    let timeline =
        |at: &str| scene.run_now(&["timeline", "--format", "markdown", "--at", at]).expect(0).stdout;
    let Some(charts) = drawn(&instants.map(timeline)) else { return };
    for chart in &charts {
        assert_eq!(chart["sections"], serde_json::json!(["now", "resurs", "swedbank-pay"]));
        let swedbank = bars(chart, "swedbank-pay");
        for bar in
            ["announced azure", "grace legacy-51", "active legacy-91 test", "active legacy-91 production"]
        {
            assert!(swedbank.iter().any(|found| found == bar), "{bar} is not in {swedbank:?}");
        }
    }
    let now = |chart: &Value| chart["tasks"][0]["from"].as_str().unwrap().to_owned();
    assert_eq!(now(&charts[3]), "2026-11-20T12:00:00.000Z");
}

/// Ids that are words of Mermaid, or look like something else to it.
const WORDS: [&str; 24] = [
    "2025-01-01",
    "5d",
    "acctitle",
    "accdescr",
    "active",
    "axisformat",
    "call",
    "click",
    "crit",
    "dateformat",
    "done",
    "end",
    "excludes",
    "gantt",
    "href",
    "inclusiveenddates",
    "includes",
    "milestone",
    "section",
    "tickinterval",
    "title",
    "todaymarker",
    "topaxis",
    "weekday",
];

/// Whatever may stand in a text of a policy.
const EVIL: &str = "a: b; c %% d # e \\\" f ' g ``` h \\n    click x href \\\"javascript:alert(1)\\\" \\r\\n%%{init: {}}%% <script> \\u2028 :::";

fn policy(provider: &str, revision: u32, lifecycles: &[&str]) -> String {
    let mut text = format!(
        "schema: 1\nprovider: {provider}\nname: \"{EVIL}\"\nrevision: {revision}\nservice: {{ protocol: tcp, ports: [443] }}\n\
         pages:\n  docs: {{ url: \"https://example.com/ips\", kind: text }}\nsources:\n"
    );
    for (index, id) in WORDS.iter().enumerate() {
        let lifecycle = lifecycles[index % lifecycles.len()];
        text.push_str(&format!(
            "  - id: \"{id}\"\n    prefixes: [13.50.{revision}.{index}]\n    lifecycle: {{ {lifecycle} }}\n    notes: [\"{EVIL}\"]\n    \
             evidence: [{{ page: docs, section: \"{EVIL}\", says: \"{EVIL}\", read: 2025-01-01 }}]\n"
        ));
    }
    text
}

const LIFECYCLES: [&str; 4] = [
    "valid_from: 2024-01-01",
    "announced: 2026-11-01, valid_from: 2027-06-01T12:00:00+02:00",
    "valid_from: 2000-01-01, legacy_since: 2026-01-01, valid_until: 2090-12-30",
    "announced: 2020-02-29, valid_from: 2021-01-01, legacy_since: 2025-01-01, valid_until: unknown, review_by: 2027-12-01",
];

#[test]
fn no_name_and_no_text_of_a_policy_is_a_word_of_the_chart() {
    let site = "schema: 1\nenvironments: [production]\ntargets:\n  web: { kind: nginx }\n";
    let title = policy("title", 1, &LIFECYCLES);
    let repository = Repository::new(&[("policies/title.yaml", &title), ("callgate.yaml", site)]);
    repository
        .scene
        .write("policies/click.yaml", policy("click", 1, &LIFECYCLES).replace("13.50.1.", "13.50.2."));
    let run = |arguments: &[&str]| repository.scene.run(arguments);
    let timeline = run(&["timeline", "--format", "markdown"]).expect(0).stdout;
    let review = run(&["review", "--base", "HEAD", "--format", "markdown"]).expect(1).stdout;
    let Some(charts) = drawn(&[timeline, review]) else { return };
    assert_eq!(charts[0]["sections"], serde_json::json!(["now", "click", "title"]));
    assert_eq!(charts[1]["sections"], serde_json::json!(["now", "click"]));
    assert_eq!(bars(&charts[1], "click"), bars(&charts[0], "click"));
    let names: BTreeSet<String> = bars(&charts[0], "click").into_iter().collect();
    for (index, id) in WORDS.iter().enumerate() {
        let states: &[&str] = match index % 4 {
            0 => &["active"],
            1 => &["announced", "active"],
            2 => &["active", "grace"],
            _ => &["announced", "active", "grace"],
        };
        for state in states {
            assert!(names.contains(&format!("{state} {id}")), "{state} {id} is not in {names:?}");
        }
    }
}

#[test]
fn a_chart_of_very_many_sources_is_still_drawn() {
    let mut text = policy("many", 1, &LIFECYCLES);
    for index in 0..2_000 {
        text.push_str(&format!(
            "  - id: a-source-with-a-name-that-is-nearly-as-long-as-it-may-be-{index}\n    prefixes: [20.{}.{}.1]\n    lifecycle: {{ {} }}\n    \
             evidence: [{{ page: docs, says: one, read: 2025-01-01 }}]\n",
            100 + index / 250,
            index % 250,
            LIFECYCLES[3]
        ));
    }
    let scene = Scene::new();
    scene.write("policies/many.yaml", text);
    let timeline = scene.run(&["timeline", "--format", "markdown"]).expect(0).stdout;
    assert!(
        timeline.ends_with("bars.\n") && timeline.contains("\nLeft out of the chart: "),
        "nothing is said of it"
    );
    let Some(charts) = drawn(&[timeline]) else { return };
    assert_eq!(charts[0]["tasks"].as_array().unwrap().len(), 301);
}
