//! An account at moto with a site, and the script that stands before the AWS command line.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::moto::{Moto, python};
use crate::support::{AT, Run, Scene, root};

/// Sources of a policy, by their prefixes.
pub(super) type Sources<'a> = &'a [(&'a str, &'a str)];

pub(super) const FIRST: Sources<'_> =
    &[("cloud", "[20.91.170.120/29, 13.50.187.51, \"2a10:a200::/32\"]"), ("old", "[51.21.32.255]")];
pub(super) const SECOND: Sources<'_> =
    &[("cloud", "[20.91.170.120/29, 13.50.187.51, \"2a10:a200::/32\"]"), ("new", "[91.132.170.1]")];

/// A policy of these sources.
pub(super) fn policy(revision: u32, sources: Sources<'_>) -> String {
    let mut text = format!(
        "schema: 1\nprovider: example\nname: Example Pay\nrevision: {revision}\nservice: {{ protocol: tcp, ports: [443] }}\n\
         pages:\n  docs: {{ url: \"https://example.com/ips\", kind: text }}\nsources:\n"
    );
    for (id, prefixes) in sources {
        text.push_str(&format!(
            "  - id: {id}\n    prefixes: {prefixes}\n    lifecycle: {{ valid_from: 2025-01-01 }}\n\
             \x20   evidence: [{{ page: docs, read: 2025-01-01 }}]\n"
        ));
    }
    text
}

pub(super) struct Stand {
    pub(super) moto: Moto,
    pub(super) scene: Scene,
    pub(super) group: String,
}

pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Stand {
    /// An account with one group, and a site that puts the first policy into it; `None` where moto is not here.
    pub(super) fn new(settings: &str) -> Option<Self> {
        let moto = Moto::start()?;
        let scene = Scene::new();
        let made = moto.aws(&["create-security-group", "--group-name", "web", "--description", "web"]);
        let stand = Self { group: word(&made["GroupId"]), moto, scene };
        let python = python();
        let script = root().join("tests/it/aws.py");
        let text = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
        let path = stand.scene.write("bin/aws", text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        stand.scene.write("stand/log", "");
        stand.site(settings);
        stand.policy(1, FIRST);
        Some(stand)
    }

    pub(super) fn site(&self, settings: &str) {
        let group = &self.group;
        self.scene.write(
            "callgate.yaml",
            format!(
                "schema: 1\ntargets:\n  cloud: {{ kind: aws-security-group, apply: {{ group: {group} }}{settings} }}\n"
            ),
        );
    }

    pub(super) fn policy(&self, revision: u32, sources: Sources<'_>) {
        self.scene.write("policies/example.yaml", policy(revision, sources));
    }

    /// What the script is to do, from now on.
    pub(super) fn want(&self, wanted: &Value) {
        self.scene.write("stand/wanted", wanted.to_string());
        self.scene.write("stand/count", "0");
        self.scene.write("stand/log", "");
    }

    /// callgate with settings of the environment, as it is typed.
    pub(super) fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
        let state = self.scene.path().join("state");
        let mut command = self.scene.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.scene.path().join("bin");
        command.arg("--state").arg(state).env("PATH", format!("{}:{path}", bin.display()));
        command.env("STAND_IN", self.scene.path().join("stand")).env("REAL_AWS", self.moto.warm_aws());
        command.envs(self.moto.environment()).envs(environment.iter().copied());
        Run::of(&command.output().unwrap())
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&[], arguments)
    }

    /// With the instant of the tests.
    pub(super) fn at(&self, arguments: &[&str]) -> Run {
        self.run(&[arguments, &["--at", AT]].concat())
    }

    /// The calls since the last [`Stand::want`] that change something, by their names.
    pub(super) fn changes(&self) -> Vec<String> {
        let calls = self.calls().into_iter().filter(|call| !call.contains(&"--dry-run".to_owned()));
        let names = calls.map(|call| call[1].clone());
        names.filter(|name| !name.starts_with("describe-") && !name.starts_with("get-")).collect()
    }

    /// All calls since the last [`Stand::want`].
    pub(super) fn calls(&self) -> Vec<Vec<String>> {
        let log = self.scene.read("stand/log");
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The group's rules, as AWS lists them.
    pub(super) fn rules(&self) -> Vec<Value> {
        self.rules_of(&self.group)
    }

    pub(super) fn rules_of(&self, group: &str) -> Vec<Value> {
        let filter = json!([{ "Name": "group-id", "Values": [group] }]).to_string();
        let told = self.moto.aws(&["describe-security-group-rules", "--filters", &filter]);
        let rules = told["SecurityGroupRules"].as_array().unwrap();
        rules.iter().filter(|rule| rule["IsEgress"] == false).cloned().collect()
    }

    /// The rules that carry our marker.
    pub(super) fn ours(&self) -> BTreeSet<String> {
        let is_ours =
            |rule: &&Value| rule["Description"].as_str().unwrap_or_default().starts_with("callgate ");
        self.rules().iter().filter(is_ours).map(named).collect()
    }

    /// Those that do not, whole.
    pub(super) fn others(&self) -> BTreeSet<String> {
        let is_ours =
            |rule: &Value| rule["Description"].as_str().unwrap_or_default().starts_with("callgate ");
        self.rules().iter().filter(|rule| !is_ours(rule)).map(Value::to_string).collect()
    }

    /// Whom the rules name at port 443, whoever wrote them.
    pub(super) fn admitted(&self) -> BTreeSet<String> {
        let at_port = |rule: &&Value| rule["FromPort"] == 443 && rule["IpProtocol"] == "tcp";
        self.rules().iter().filter(at_port).map(named).collect()
    }

    /// Adds rules of somebody else's.
    pub(super) fn authorize(&self, permissions: &Value) {
        let permissions = permissions.to_string();
        let command = "authorize-security-group-ingress";
        self.moto.aws(&[command, "--group-id", &self.group, "--ip-permissions", &permissions]);
    }

    /// Whether a change is unfinished or unconfirmed.
    pub(super) fn is_owed(&self) -> bool {
        self.scene.path().join("state/journal.json").exists()
    }
}

fn named(rule: &Value) -> String {
    let keys = ["CidrIpv4", "CidrIpv6", "PrefixListId"];
    keys.iter().find_map(|key| rule[key].as_str()).unwrap_or_default().to_owned()
}

/// Rules of one port, by family and description.
pub(super) fn permission(port: u16, prefixes: &[(&str, &str)]) -> Value {
    let of = |v6: bool, key: &str| -> Vec<Value> {
        let these = prefixes.iter().filter(|(prefix, _)| prefix.contains(':') == v6);
        these.map(|(prefix, text)| json!({ key: prefix, "Description": text })).collect()
    };
    json!([{ "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
        "IpRanges": of(false, "CidrIp"), "Ipv6Ranges": of(true, "CidrIpv6") }])
}

pub(super) fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
