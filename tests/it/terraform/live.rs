//! The real Terraform: what is rendered, planned and read again; and what it applies at an EC2 endpoint on
//! loopback, compared with what that endpoint itself lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use callgate::admission::{Admission, Layer as _};
use callgate::security_group::aws::{self, Input, Role};
use callgate::security_group::select::Selection;
use callgate::security_group::{Groups, admit};
use serde_json::Value;

use super::{ALL, When, admission, listing, question, read, set, shown};
use crate::golden::{FAMILIES, SHAPES, files, prefixes};
use crate::moto::Moto;
use crate::real::provider_mirror;
use crate::support::{Scene, root};
use crate::world::{done, tool};

/// A folder with a configuration, and Terraform in it.
struct Workspace {
    scene: Scene,
    url: String,
}

impl Workspace {
    /// Nothing is asked of the network: the provider comes from the mirror.
    fn new(mirror: &Path, url: &str, scene: Scene) -> Self {
        let providers = root().join("tests/fixtures/terraform/providers.tf");
        scene.write("providers.tf", std::fs::read_to_string(providers).unwrap());
        let workspace = Self { scene, url: url.to_owned() };
        done(workspace.terraform(&["init", "-input=false"]).arg(format!("-plugin-dir={}", mirror.display())));
        workspace
    }

    fn terraform(&self, arguments: &[&str]) -> Command {
        let mut command = tool("terraform");
        command.current_dir(self.scene.path()).args(arguments);
        command
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_CLI_CONFIG_FILE", "/dev/null");
        command.env("TF_VAR_endpoint", &self.url);
        command
    }

    /// Plans, and gives the plan as JSON.
    fn plan(&self, arguments: &[&str]) -> String {
        let plan = ["plan", "-no-color", "-input=false", "-out=plan"];
        done(&mut self.terraform(&[&plan[..], arguments].concat()));
        done(&mut self.terraform(&["show", "-json", "plan"]))
    }

    /// Applies the plan, and gives the state as JSON.
    fn apply(&self) -> String {
        done(&mut self.terraform(&["apply", "-no-color", "-input=false", "plan"]));
        done(&mut self.terraform(&["show", "-json"]))
    }
}

#[test]
fn what_is_rendered_for_terraform_admits_the_allowlist() {
    let Some(mirror) = provider_mirror() else { return };
    let scene = Scene::new();
    let mut main = String::new();
    let mut cases = Vec::new();
    for form in ["terraform", "terraform-lists"] {
        for (families, shape) in
            FAMILIES.iter().flat_map(|families| SHAPES.iter().map(move |shape| (families, shape)))
        {
            let golden =
                root().join(format!("tests/golden/{form}/exclusive-{families}-{shape}/callbacks/main.tf"));
            let name = format!("{form}-{families}-{shape}");
            let group = format!("sg-{:017}", cases.len());
            scene.write(&format!("{name}/main.tf"), std::fs::read_to_string(golden).unwrap());
            main.push_str(&format!(
                "module \"{name}\" {{\n  source            = \"./{name}\"\n  security_group_id = \"{group}\"\n}}\n"
            ));
            cases.push((group, prefixes(families, shape)));
        }
    }
    scene.write("main.tf", main);
    // A plan that only makes things asks nobody anything.
    let workspace = Workspace::new(&mirror, "http://127.0.0.1:1", scene);
    let plan = listing(workspace.plan(&[]));
    for (group, wanted) in &cases {
        let answer = super::check(
            &plan,
            &[group],
            When::After,
            443,
            &wanted.iter().fold(String::new(), |all, one| {
                let length = if one.contains('/') {
                    ""
                } else if one.contains(':') {
                    "/128"
                } else {
                    "/32"
                };
                format!("{all} {one}{length}")
            }),
            "",
        );
        assert!(!answer.is_undetermined());
        super::check(&plan, &[group], When::After, 8443, "", "");
        super::check(&plan, &[group], When::Before, 443, "", "");
    }
}

/// What the endpoint itself lists.
fn live(moto: &Moto) -> Groups {
    let input = |role, value: Value| Input {
        listing: callgate::admission::Listing { name: "live".to_owned(), text: value.to_string().into() },
        role,
    };
    let lists = moto.aws(&["describe-managed-prefix-lists"]);
    let mut inputs = vec![input(Role::AsSaid, moto.aws(&["describe-security-groups"]))];
    for list in lists["PrefixLists"].as_array().unwrap() {
        let id = list["PrefixListId"].as_str().unwrap();
        // Lists of the cloud's own have no entries that are told.
        if list["OwnerId"] != "AWS" {
            let entries = moto.aws(&["get-managed-prefix-list-entries", "--prefix-list-id", id]);
            inputs.push(input(Role::PrefixList(id.to_owned()), entries));
        }
    }
    inputs.push(input(Role::AsSaid, lists));
    aws::read(inputs).unwrap_or_else(|error| panic!("{error}: {}", error.help))
}

fn live_admission(groups: &Groups, id: &str, port: u16) -> Admission {
    let selection = Selection { groups: vec![id.to_owned()], ..Selection::default() };
    admit::Asked::new(groups, &selection).unwrap().admit(&question(port))
}

/// The groups of a state: their addresses, and their ids.
fn ids(state: &str) -> BTreeMap<String, String> {
    fn gather(module: &Value, found: &mut BTreeMap<String, String>) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            if ["aws_security_group", "aws_default_security_group"]
                .iter()
                .any(|kind| resource["type"] == *kind)
                && resource["mode"] == "managed"
            {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                found.insert(text(&resource["address"]), text(&resource["values"]["id"]));
            }
        }
        module["child_modules"].as_array().into_iter().flatten().for_each(|child| gather(child, found));
    }
    let state: Value = serde_json::from_str(state).unwrap();
    let mut found = BTreeMap::new();
    gather(&state["values"]["root_module"], &mut found);
    found
}

/// Ports that tell rules apart.
const PORTS: [u16; 5] = [0, 22, 443, 8080, 8443];

/// What Terraform's file says lies around what the endpoint says: nobody is surely in who isn't, and nobody is out
/// who is in. Where nothing is in doubt, both are the same.
fn check_truth(
    text: &str,
    ids: &BTreeMap<String, String>,
    truth: &Groups,
    case: &str,
    exact: &dyn Fn(&str) -> bool,
) {
    let file = listing(text);
    for (address, id) in ids {
        let reading = read(&file, &[address], When::After);
        for port in PORTS {
            let (ours, theirs) = (admission(&reading, port), live_admission(truth, id, port));
            let shown = format!(
                "{case}: {address} at {port}: {}…{}, and the endpoint {}…{}: {:#?}",
                shown(&ours.surely),
                shown(&ours.possibly),
                shown(&theirs.surely),
                shown(&theirs.possibly),
                ours.undecided,
            );
            assert!(theirs.surely.covers(&ours.surely), "too much, {shown}");
            assert!(ours.possibly.covers(&theirs.possibly), "too little, {shown}");
            if exact(address) {
                assert_eq!(ours.surely, theirs.surely, "{shown}");
                assert_eq!(ours.possibly, theirs.possibly, "{shown}");
            }
        }
    }
}

#[test]
fn plan_and_state_say_what_the_endpoint_says() {
    let Some(mirror) = provider_mirror() else { return };
    let Some(moto) = Moto::start() else { return };
    let scene = Scene::new();
    let fixtures = root().join("tests/fixtures/terraform");
    for case in ["shapes", "changes"] {
        for file in files(&fixtures.join(case)) {
            let keep = file.extension().is_some_and(|found| found == "tf") && !file.ends_with("holders.tf");
            if keep {
                let path = format!("{case}/{}", file.display());
                scene.write(&path, std::fs::read_to_string(fixtures.join(&path)).unwrap());
            }
        }
    }
    scene.write(
        "main.tf",
        "variable \"step\" { type = number }\n\
         module \"shapes\" { source = \"./shapes\" }\n\
         module \"changes\" {\n  source = \"./changes\"\n  step   = var.step\n}\n",
    );
    let workspace = Workspace::new(&mirror, &moto.url, scene);
    let sensitive = |address: &str| address.contains("sensitive") || address.ends_with(".rules");
    let mixed = |address: &str| address.ends_with("_group.mixed");

    // Everything is made.
    let plan = workspace.plan(&["-var=step=1"]);
    let state = workspace.apply();
    let (first, truth) = (ids(&state), live(&moto));
    assert_eq!(first.len(), 19, "{first:?}");
    // Before a list has an id, nobody can say which one `each.value` is.
    let known = |address: &str| !sensitive(address) && !mixed(address) && !address.ends_with("up.lists");
    check_truth(&plan, &first, &truth, "first plan", &known);
    let certain = |address: &str| !sensitive(address) && !mixed(address);
    check_truth(&state, &first, &truth, "first state", &certain);

    // Somebody adds a rule; then rules come, go and change.
    let rules = &first["module.changes.aws_security_group.rules"];
    let stranger = ["--protocol", "tcp", "--port", "443", "--cidr", "198.18.0.1/32"];
    moto.aws(&[&["authorize-security-group-ingress", "--group-id", rules][..], &stranger[..]].concat());
    let plan = workspace.plan(&["-var=step=2"]);
    let before = read(&listing(plan.as_str()), &["module.changes.aws_security_group.rules"], When::Before);
    let answer = admission(&before, 443);
    assert_eq!(shown(&answer.surely), shown(&set("192.0.2.1/32 192.0.2.2/32 192.0.2.10/32")));
    assert!(answer.possibly.covers(&set("198.18.0.1/32")) && !answer.possibly.covers(&set(ALL)));
    let state = workspace.apply();
    let (second, truth) = (ids(&state), live(&moto));
    check_truth(&plan, &second, &truth, "second plan", &certain);
    // A state that was not refreshed is stale where rule resources changed.
    let outdated = ["rules", "legacy", "exclusive", "mixed", "lists"]
        .map(|name| format!("module.changes.aws_security_group.{name}"));
    let fresh = |address: &str| certain(address) && !outdated.iter().any(|one| one == address);
    check_truth(&state, &second, &truth, "second state", &fresh);
}
