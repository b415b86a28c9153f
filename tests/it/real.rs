//! The real tools judge what is rendered: nft, iptables and ipset in namespaces with real packets, nginx,
//! Terraform, and an EC2 endpoint on loopback through the AWS command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use callgate::prefix::{Prefix, PrefixSet};

use crate::golden::{FAMILIES, FORMS, Form, MODES, PREROUTING, SHAPES, files, prefixes, rendered};
use crate::moto::Moto;
use crate::support::{Scene, root};
use crate::world::{done, have, lying_about, tool};

fn form(name: &str) -> &'static Form {
    FORMS.iter().find(|form| form.name == name).unwrap()
}

/// The first and last address of each prefix, and the addresses just outside.
fn probes(prefixes: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in prefixes {
        let prefix: Prefix = prefix.parse().unwrap();
        let (first, last) = (prefix.first(), prefix.last());
        found.extend([first, last, neighbour(first, -1), neighbour(last, 1)]);
    }
    let usable = |address: &std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && v4.octets()[0] != 0,
        std::net::IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    };
    found.into_iter().filter(usable).map(|address| address.to_string()).collect()
}

fn neighbour(address: std::net::IpAddr, step: i8) -> std::net::IpAddr {
    match address {
        std::net::IpAddr::V4(v4) => u32::from(v4).wrapping_add_signed(step.into()).to_be_bytes().into(),
        std::net::IpAddr::V6(v6) => u128::from(v6).wrapping_add_signed(step.into()).to_be_bytes().into(),
    }
}

/// What of `sources` the allowlist holds.
fn wanted(prefixes: &[&str], sources: &BTreeSet<String>) -> BTreeSet<String> {
    let set: PrefixSet = prefixes.iter().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect();
    sources.iter().filter(|source| set.contains(source.parse().unwrap())).cloned().collect()
}

/// Everything that any case admits, and strangers.
fn all_probes() -> BTreeSet<String> {
    let mut all = probes(&prefixes("both", "many"));
    all.extend(probes(&prefixes("both", "one")));
    all.extend(["8.8.8.8".to_owned(), "2001:4860::8888".to_owned()]);
    all
}

#[cfg(feature = "netns-tests")]
mod namespaces {
    use super::*;
    use crate::world::{Place, World, can_make_namespaces};

    /// A host of the user's that refuses everybody, in nft: what mode `permit` has to get through.
    const NFT_REFUSES: &str = "nft 'table inet filter { chain input { type filter hook input priority filter; policy drop; \
         ct state established,related accept; meta l4proto ipv6-icmp accept\n } \n }'";
    /// The same in iptables, for both families and both directions of a published container port.
    const IPTABLES_REFUSES: &str = "for t in iptables ip6tables; do $t -P INPUT DROP; $t -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; done\n\
         ip6tables -A INPUT -p ipv6-icmp -j ACCEPT";
    /// What Docker sets up for a container that publishes 443 on its port 8443, refusing all else.
    const DOCKER: &str = "iptables -N DOCKER-USER; iptables -P FORWARD DROP; iptables -A FORWARD -j DOCKER-USER\n\
         iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 443 -j DNAT --to-destination 172.17.0.2:8443\n\
         ip6tables -N DOCKER-USER; ip6tables -A FORWARD -j DOCKER-USER";
    const DOCKER_PUBLISHES: &str =
        "iptables -A FORWARD -d 172.17.0.2 -o docker0 -p tcp --dport 8443 -j ACCEPT";

    fn load(world: &World, scene: &Scene, form: &Form, restore: &str) {
        let out = scene.path().join("out");
        for file in files(&out).iter().filter(|file| !file.ends_with("callgate.manifest.json")) {
            let known = ["nft", "ipset", "rules"];
            let extension = file.extension().unwrap().to_str().unwrap();
            assert!(known.contains(&extension), "{} renders {}", form.name, file.display());
            load_file(world, &out.join(file), restore);
        }
    }

    /// Checks a file with its own tool, then loads it.
    fn load_file(world: &World, file: &Path, restore: &str) {
        let text = std::fs::read_to_string(file).unwrap();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("nft") => {
                world.feed(&["nft", "-c", "-f", "-"], &text);
                world.feed(&["nft", "-f", "-"], &text);
            }
            Some("ipset") => world.feed(&["ipset", "-exist", "restore"], &text),
            _ => {
                let six = file.to_string_lossy().contains(".v6.");
                let command = if six { restore.replacen("ip", "ip6", 1) } else { restore.to_owned() };
                world.feed(&[&command, "--noflush", "--test"], &text);
                world.feed(&[&command, "--noflush"], &text);
            }
        }
    }

    /// Loads a form as an operator would, and compares who gets in with the allowlist.
    fn check(
        world: &World,
        sources: &BTreeSet<String>,
        form: &Form,
        mode: &str,
        families: &str,
        shape: &str,
        restore: &str,
    ) {
        let listed = prefixes(families, shape);
        let scene = rendered(form, mode, &listed, shape, "");
        world.clear();
        if mode == "permit" {
            world.on_host(if form.name.starts_with("nftables") { NFT_REFUSES } else { IPTABLES_REFUSES });
        }
        load(world, &scene, form, restore);
        let case = format!("{} {mode} {families} {shape} {restore}", form.name);
        assert_eq!(world.admitted("443", sources), wanted(&listed, sources), "{case}");
        // Loading again changes nothing, whatever stands there.
        load(world, &scene, form, restore);
        assert_eq!(world.admitted("443", sources), wanted(&listed, sources), "{case}, loaded twice");
        if mode == "exclusive" {
            assert_eq!(
                &world.admitted("8443", sources),
                sources,
                "{case}: another port is no business of ours"
            );
        }
    }

    #[test]
    fn exactly_the_allowlist_gets_in_at_the_host() {
        if !can_make_namespaces() || !have(&["iptables", "ipset"]) {
            return;
        }
        let sources = all_probes();
        let world = World::new(&sources);
        let _https = world.serve(Place::Host, "443");
        let _other = world.serve(Place::Host, "8443");
        for families in FAMILIES {
            for mode in MODES {
                check(&world, &sources, form("nftables"), mode, families, "many", "");
                check(&world, &sources, form("nftables"), mode, families, "aggregated", "");
                check(&world, &sources, form("iptables"), mode, families, "many", "iptables-restore");
                check(&world, &sources, form("iptables-ipset"), mode, families, "many", "iptables-restore");
            }
            check(&world, &sources, &PREROUTING, "exclusive", families, "many", "");
            check(
                &world,
                &sources,
                form("iptables"),
                "exclusive",
                families,
                "aggregated",
                "iptables-restore",
            );
        }
        world.clear();
    }

    /// Every recorded file, as it stands in the repository, through the tool's own check and then loaded.
    #[test]
    fn every_golden_artifact_loads() {
        if !can_make_namespaces() || !have(&["iptables", "ipset"]) {
            return;
        }
        let world = World::new(&BTreeSet::new());
        let golden = root().join("tests/golden");
        let mut loaded = 0;
        for form in FORMS.iter().chain([&PREROUTING]) {
            let folder = golden.join(form.name);
            let cases: BTreeSet<PathBuf> =
                files(&folder).iter().filter_map(|file| Some(folder.join(file.iter().next()?))).collect();
            for case in cases {
                world.clear();
                if form.name == "nftables" {
                    world.on_host(NFT_REFUSES);
                }
                if form.name == "iptables-docker" {
                    world.on_host(DOCKER);
                }
                // Sets come before the rules that name them.
                for extension in ["ipset", "nft", "rules"] {
                    for file in files(&case)
                        .iter()
                        .filter(|file| file.extension().is_some_and(|found| found == extension))
                    {
                        load_file(&world, &case.join(file), "iptables-restore");
                        loaded += 1;
                    }
                }
            }
        }
        // nftables: 18 + 9 files; iptables: 36, with Docker 36, with ipset 54.
        assert_eq!(loaded, 153);
    }

    #[test]
    fn both_back_ends_of_iptables_agree() {
        if !can_make_namespaces() || !have(&["iptables-legacy-restore"]) {
            return;
        }
        let sources = all_probes();
        let world = World::new(&sources);
        let _https = world.serve(Place::Host, "443");
        let listed = prefixes("both", "many");
        let scene = rendered(form("iptables"), "exclusive", &listed, "many", "");
        load(&world, &scene, form("iptables"), "iptables-legacy-restore");
        assert_eq!(world.admitted("443", &sources), wanted(&listed, &sources));
    }

    #[test]
    fn a_published_container_port_is_guarded_by_the_port_that_was_called() {
        if !can_make_namespaces() || !have(&["iptables"]) {
            return;
        }
        let sources: BTreeSet<String> =
            all_probes().into_iter().filter(|source| !source.contains(':')).collect();
        let world = World::new(&sources);
        let _container = world.serve(Place::Container, "8443");
        let listed = prefixes("v4", "many");
        for (mode, setting) in [("exclusive", DOCKER_PUBLISHES), ("permit", "true")] {
            world.clear();
            world.on_host(&format!("{DOCKER}\n{setting}"));
            let before = world.admitted("443", &sources);
            assert_eq!(
                before == sources,
                mode == "exclusive",
                "the container is as open as Docker leaves it"
            );
            let scene = rendered(form("iptables-docker"), mode, &listed, "many", "");
            load(&world, &scene, form("iptables-docker"), "iptables-restore");
            assert_eq!(world.admitted("443", &sources), wanted(&listed, &sources), "DOCKER-USER, {mode}");
        }
        world.clear();
        world.on_host(&format!("{DOCKER}\n{DOCKER_PUBLISHES}"));
        let scene = rendered(&PREROUTING, "exclusive", &listed, "many", "");
        load(&world, &scene, &PREROUTING, "");
        assert_eq!(world.admitted("443", &sources), wanted(&listed, &sources), "nft prerouting");
    }

    #[test]
    fn interface_and_address_narrow_what_is_guarded() {
        if !can_make_namespaces() || !have(&["iptables"]) {
            return;
        }
        let sources = all_probes();
        let world = World::new(&sources);
        let _https = world.serve(Place::Host, "443");
        let listed = prefixes("both", "many");
        let here = format!(
            "service: {{ interface: up0, addresses: [{}, \"{}\"] }}\n",
            crate::world::HOST4,
            crate::world::HOST6
        );
        let elsewhere = "service: { interface: docker0 }\n";
        for name in ["nftables", "iptables"] {
            for (service, expected) in
                [(here.as_str(), wanted(&listed, &sources)), (elsewhere, sources.clone())]
            {
                world.clear();
                let scene = rendered(form(name), "exclusive", &listed, "many", service);
                load(&world, &scene, form(name), "iptables-restore");
                assert_eq!(world.admitted("443", &sources), expected, "{name} {service}");
            }
            // A service address of one family leaves the other family guarded at every address.
            world.clear();
            let one = format!("service: {{ addresses: [{}] }}\n", crate::world::HOST4);
            let scene = rendered(form(name), "exclusive", &listed, "many", &one);
            load(&world, &scene, form(name), "iptables-restore");
            assert_eq!(world.admitted("443", &sources), wanted(&listed, &sources), "{name}, one address");
        }
    }

    #[test]
    fn nginx_answers_exactly_the_allowlist() {
        if !can_make_namespaces() || !have(&["nginx"]) {
            return;
        }
        let sources = all_probes();
        let world = World::new(&sources);
        let listed = prefixes("both", "many");
        for name in ["nginx", "nginx-geo"] {
            let scene = rendered(form(name), "exclusive", &listed, "many", "");
            let conf = scene.write(
                "nginx.conf",
                nginx_conf(
                    &scene.path().join("out").join(format!(
                        "callbacks.{}.conf",
                        if name == "nginx-geo" { "geo" } else { "access" }
                    )),
                    name,
                ),
            );
            scene.write("www/cb", "ok");
            let _nginx = world.start(&[
                "nginx",
                "-p",
                &scene.path().display().to_string(),
                "-c",
                &conf.display().to_string(),
            ]);
            wait_for(&scene.path().join("nginx.pid"));
            assert_eq!(world.answered("80", "/cb", &sources), wanted(&listed, &sources), "{name}");
        }
    }

    /// Waits, bounded, for a file that a daemon writes when it is ready.
    fn wait_for(path: &Path) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !std::fs::read_to_string(path).is_ok_and(|text| !text.trim().is_empty()) {
            assert!(std::time::Instant::now() < until, "{} does not appear", path.display());
            std::thread::yield_now();
        }
    }
}

fn nginx_conf(snippet: &Path, form: &str) -> String {
    let snippet = snippet.display();
    let (http, location) = if form == "nginx-geo" {
        (format!("include {snippet};"), "if ($callgate = \"\") { return 403; }".to_owned())
    } else {
        (String::new(), format!("include {snippet};"))
    };
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid nginx.pid;\nerror_log stderr crit;\nevents {{}}\nhttp {{\n  access_log off;\n  {http}\n  server {{\n    \
         listen 80;\n    listen [::]:80 ipv6only=on;\n    root www;\n    location /cb {{ {location} }}\n  }}\n}}\n"
    )
}

#[test]
fn nginx_takes_every_golden_snippet() {
    if !have(&["nginx"]) {
        return;
    }
    let scene = Scene::new();
    for name in ["nginx", "nginx-geo"] {
        for file in files(&root().join("tests/golden").join(name)) {
            let snippet = root().join("tests/golden").join(name).join(&file);
            let conf = scene.write("nginx.conf", nginx_conf(&snippet, name));
            done(tool("nginx").args(["-t", "-q", "-p"]).arg(scene.path()).arg("-c").arg(&conf));
        }
    }
}

/// Where Terraform's AWS provider lies, as a mirror of providers.
pub(crate) fn provider_mirror() -> Option<PathBuf> {
    if crate::world::find("terraform").is_none() {
        eprintln!("SKIPPED: terraform is not installed");
        return None;
    }
    let provider = lying_about("terraform-provider-aws_*");
    // …/registry.terraform.io/hashicorp/aws/5.x/linux_amd64/terraform-provider-aws_…
    let mirror = provider.as_deref().and_then(|path| path.ancestors().nth(6)).map(Path::to_path_buf);
    if mirror.is_none() {
        eprintln!("SKIPPED: no mirror of the AWS provider here");
    }
    mirror
}

#[test]
fn terraform_finds_every_golden_module_formatted() {
    if crate::world::find("terraform").is_none() {
        eprintln!("SKIPPED: terraform is not installed");
        return;
    }
    for name in ["terraform", "terraform-lists"] {
        done(
            tool("terraform")
                .args(["fmt", "-check", "-diff", "-recursive"])
                .arg(root().join("tests/golden").join(name)),
        );
    }
}

#[test]
fn terraform_validates_the_modules() {
    let Some(mirror) = provider_mirror() else { return };
    let scene = Scene::new();
    let terraform = |arguments: &[&str]| {
        let mut command = tool("terraform");
        command
            .current_dir(scene.path())
            .args(arguments)
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1");
        done(&mut command)
    };
    let mut ready = false;
    for name in ["terraform", "terraform-lists"] {
        // The modes differ in a comment only.
        for case in
            FAMILIES.iter().flat_map(|families| SHAPES.iter().map(move |shape| format!("{families}-{shape}")))
        {
            let golden =
                root().join("tests/golden").join(name).join(format!("exclusive-{case}/callbacks/main.tf"));
            scene.write("main.tf", std::fs::read_to_string(golden).unwrap());
            if !ready {
                terraform(&[
                    "init",
                    "-input=false",
                    "-no-color",
                    &format!("-plugin-dir={}", mirror.display()),
                ]);
                ready = true;
            }
            terraform(&["validate", "-no-color"]);
        }
    }
}

#[test]
fn ec2_takes_the_permissions_and_gives_them_back() {
    let Some(moto) = Moto::start() else { return };
    let group_of = |name: &str| {
        let made = moto.aws(&["create-security-group", "--group-name", name, "--description", "callbacks"]);
        made["GroupId"].as_str().unwrap().to_owned()
    };
    for families in FAMILIES {
        for shape in SHAPES {
            let scene = rendered(form("aws"), "exclusive", &prefixes(families, shape), shape, "");
            let group = group_of(&format!("cb-{families}-{shape}"));
            let file = format!("file://{}", scene.path().join("out/callbacks.json").display());
            moto.aws(&["authorize-security-group-ingress", "--group-id", &group, "--ip-permissions", &file]);
            let found = moto.aws(&["describe-security-groups", "--group-ids", &group]);
            let permissions = found["SecurityGroups"][0]["IpPermissions"].as_array().unwrap();
            let mut admitted = Vec::new();
            for permission in permissions {
                assert_eq!(
                    (&permission["IpProtocol"], &permission["FromPort"], &permission["ToPort"]),
                    (&"tcp".into(), &443.into(), &443.into())
                );
                for (ranges, key) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
                    let listed = permission[ranges].as_array().unwrap();
                    admitted.extend(
                        listed.iter().map(|range| range[key].as_str().unwrap().parse::<Prefix>().unwrap()),
                    );
                    assert!(
                        listed
                            .iter()
                            .all(|range| range["Description"] == "callgate example/all active (Cloud)")
                    );
                }
            }
            let wanted: PrefixSet =
                prefixes(families, shape).iter().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect();
            assert_eq!(admitted.into_iter().collect::<PrefixSet>(), wanted, "{families} {shape}");
        }
    }
    for (shape, (family, address_family)) in
        SHAPES.iter().flat_map(|shape| [("v4", "IPv4"), ("v6", "IPv6")].map(|family| (shape, family)))
    {
        let scene = rendered(form("aws-lists"), "exclusive", &prefixes("both", shape), shape, "");
        let file =
            format!("file://{}", scene.path().join(format!("out/callbacks.{family}.entries.json")).display());
        let name = format!("{family}-{shape}");
        let (make, size) = ("create-managed-prefix-list", "20");
        let list = moto.aws(&[
            make,
            "--prefix-list-name",
            &name,
            "--max-entries",
            size,
            "--address-family",
            address_family,
            "--entries",
            &file,
        ]);
        let id = list["PrefixList"]["PrefixListId"].as_str().unwrap().to_owned();
        let found = moto.aws(&["get-managed-prefix-list-entries", "--prefix-list-id", &id]);
        let listed = found["Entries"].as_array().unwrap();
        let got: PrefixSet =
            listed.iter().map(|entry| entry["Cidr"].as_str().unwrap().parse::<Prefix>().unwrap()).collect();
        let wanted: PrefixSet =
            prefixes(family, shape).iter().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect();
        assert_eq!(got, wanted, "{name}");
    }
}
