//! What is no drift, and what is: deployed rules are changed by the real tools, and the difference told is
//! exactly the one made.

use std::net::IpAddr;

use super::deployed::{Deployment, FORMS};
use super::lab::{Backend, Lab, Ranges, covered, diff};
use super::random::Dice;
use crate::support::Scene;

/// The allowlist, by source.
const WANTED: &[(&str, &[&str])] = &[
    ("first", &["20.91.170.120/29", "51.21.32.255", "2a10:a200::/32"]),
    ("second", &["13.50.187.50/31", "91.132.170.1", "2a10:a201::1", "2a10:a201::2/127"]),
];

fn listed(sources: &[(&str, &[&str])]) -> Vec<String> {
    sources.iter().flat_map(|(_, prefixes)| prefixes.iter().map(|prefix| (*prefix).to_owned())).collect()
}

/// A policy of several sources.
fn policy(sources: &[(&str, &[&str])]) -> String {
    let mut text = String::from(
        "schema: 1\nprovider: example\nname: Example Pay\nrevision: 3\nservice: { protocol: tcp, ports: [443] }\n\
         pages:\n  docs: { url: \"https://example.com/ips\", kind: text }\nsources:\n",
    );
    for (id, prefixes) in sources {
        let listed: Vec<String> = prefixes.iter().map(|prefix| format!("\"{prefix}\"")).collect();
        text.push_str(&format!(
            "  - id: {id}\n    prefixes: [{}]\n    lifecycle: {{ valid_from: 2025-01-01 }}\n\
             \x20   evidence: [{{ page: docs, read: 2025-01-01 }}]\n",
            listed.join(", ")
        ));
    }
    text
}

/// Where a form keeps its rules, as its tool names it.
struct Hands {
    /// Puts a rule in front of its list: `{}` is the rule.
    first: &'static str,
    /// Adds and takes single IPv4 addresses.
    add: &'static str,
    take: &'static str,
    /// A rate limit, as its tool writes it.
    limit: &'static str,
    /// The chain that decides about whom no rule names.
    closing: [&'static str; 2],
    /// The chain that lets in.
    letting: &'static str,
}

const NFT_EXCLUSIVE: Hands = Hands {
    first: "nft insert rule inet callgate callbacks ",
    add: "nft add element inet callgate callbacks_v4 '{ ADDRESS }'",
    take: "nft delete element inet callgate callbacks_v4 '{ ADDRESS }'",
    limit: "nft insert rule inet callgate callbacks limit rate over 10/second drop",
    closing: ["callbacks", "drop"],
    letting: "callbacks",
};
const NFT_PERMIT: Hands = Hands {
    first: "nft insert rule inet filter callgate ",
    add: "nft add element inet filter callgate_v4 '{ ADDRESS }'",
    take: "nft delete element inet filter callgate_v4 '{ ADDRESS }'",
    limit: "nft insert rule inet filter callgate limit rate over 10/second drop",
    closing: ["input", ""],
    letting: "callgate",
};
const RULES: Hands = Hands {
    first: "$I4 -I CALLGATE-ALLOW ",
    add: "$I4 -I CALLGATE-ALLOW -s ADDRESS -j ACCEPT",
    take: "$I4-save | grep -v -e '-s ADDRESS/32 ' | $I4-restore",
    limit: "for t in $I4 $I6; do $t -I CALLGATE-ALLOW -m hashlimit --hashlimit-above 10/sec --hashlimit-name x -j DROP; done",
    closing: ["CALLGATE-ALLOW", "-A CALLGATE-ALLOW -j DROP"],
    letting: "CALLGATE-ALLOW",
};
const IPSET: Hands =
    Hands { add: "ipset add callgate-v4 ADDRESS", take: "ipset del callgate-v4 ADDRESS", ..RULES };

fn hands(form: &Deployment, mode: &str) -> Hands {
    let mut found = match (form.name, mode) {
        ("nftables", "exclusive") => NFT_EXCLUSIVE,
        ("nftables", _) => NFT_PERMIT,
        ("iptables-ipset", _) => IPSET,
        _ => RULES,
    };
    if mode == "permit" && form.name != "nftables" {
        found.closing = ["INPUT", ""];
    }
    found
}

/// Renders and loads an allowlist; the scene then holds the policy that is wanted.
fn deploy(lab: &Lab, form: &Deployment, mode: &str, deployed: &[String], shape: &str) -> Scene {
    let scene = form.rendered(mode, deployed, shape);
    lab.reset(form.host(mode));
    lab.load(&scene.path().join("out"));
    scene.write("policies/example.yaml", policy(WANTED));
    scene
}

fn each_form(backend: Backend, check: impl Fn(&Lab, &Deployment, &str)) {
    let Some(lab) = Lab::new(backend) else { return };
    for form in FORMS.iter().filter(|form| form.runs_with(backend) && form.name != "nftables-prerouting") {
        for mode in ["exclusive", "permit"] {
            check(&lab, form, mode);
        }
    }
}

/// The host itself and every view of its dumps say the same; gives what they say.
#[track_caller]
fn all_views(lab: &Lab, scene: &Scene, case: &str) -> super::lab::Diff {
    let live = lab.diff(scene);
    for (view, dumps) in lab.views(scene) {
        let (found, _) = diff(scene, &dumps);
        assert_eq!(found.plain(), live.plain(), "{case}: by {view}");
    }
    live
}

#[track_caller]
fn as_wanted(lab: &Lab, scene: &Scene, case: &str) {
    let found = all_views(lab, scene, case);
    assert!(found.status == 0 && found.items.is_empty(), "{case}: {}", found.shown());
}

// What is no drift.

fn same_addresses_in_other_words(backend: Backend) {
    each_form(backend, |lab, form, mode| {
        let whole = listed(WANTED);
        let halves: Vec<String> = whole.iter().flat_map(|prefix| halves(prefix)).collect();
        let mut turned = halves.clone();
        turned.reverse();
        for (case, deployed, shape) in
            [("split", &halves, "many"), ("merged", &halves, "aggregated"), ("turned", &turned, "many")]
        {
            let scene = deploy(lab, form, mode, deployed, shape);
            as_wanted(lab, &scene, &format!("{} {mode}: {case}", form.name));
        }
        let scene = deploy(lab, form, mode, &whole, "many");
        let twice = if form.name == "nftables" {
            let hands = hands(form, mode);
            let rule = |rest: &str| format!("{}{rest} tcp dport 443 accept", hands.first);
            [rule("ip saddr 51.21.32.255"), rule("ip saddr 51.21.32.255"), rule("ip6 saddr 2a10:a200::/33")]
                .join("\n")
        } else {
            // Every rule of the list that accepts twice, and in the other order.
            "for t in $I4 $I6; do $t-save >saved; awk '/^-A CALLGATE-ALLOW .*ACCEPT/ { kept[n++] = $0; next }\n\
             /^-A/ && n && !done { done = 1; for (i = n - 1; i >= 0; i--) { print kept[i]; print kept[i] } }\n\
             /^COMMIT/ && n && !done { done = 1; for (i = n - 1; i >= 0; i--) { print kept[i]; print kept[i] } }\n\
             { print }' saved >turned; [ $(grep -c . turned) -gt $(grep -c . saved) ]; $t-restore <turned; done"
                .to_owned()
        };
        lab.shell(&format!("cd {}\n{twice}", scene.path().display()));
        as_wanted(lab, &scene, &format!("{} {mode}: rules twice and turned", form.name));
    });
}

/// Both halves of a prefix; one address is whole.
fn halves(prefix: &str) -> Vec<String> {
    let parsed: callgate::prefix::Prefix = prefix.parse().unwrap();
    let middle = |first: IpAddr, last: IpAddr| -> Option<(IpAddr, u32)> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first != last => {
                let size = u32::from(last) - u32::from(first);
                let half = u32::from(first) + size / 2 + 1;
                Some((IpAddr::from(half.to_be_bytes()), 32 - size.count_ones() + 1))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first != last => {
                let size = u128::from(last) - u128::from(first);
                let half = u128::from(first) + size / 2 + 1;
                Some((IpAddr::from(half.to_be_bytes()), 128 - size.count_ones() + 1))
            }
            _ => None,
        }
    };
    match middle(parsed.first(), parsed.last()) {
        Some((half, length)) => vec![format!("{}/{length}", parsed.first()), format!("{half}/{length}")],
        None => vec![prefix.to_owned()],
    }
}

// What is drift.

fn one(address: &str) -> Ranges {
    let address: IpAddr = address.parse().unwrap();
    vec![(address, address)]
}

#[track_caller]
fn is_blocked(lab: &Lab, scene: &Scene, address: &str, source: &str, closing: [&str; 2], case: &str) {
    let found = all_views(lab, scene, case);
    assert_eq!((found.status, found.items.len()), (1, 1), "{case}: {}", found.shown());
    let item = &found.items[0];
    assert_eq!((item.part.as_str(), &item.ranges), ("blocked", &one(address)), "{case}");
    assert_eq!(item.sources, [source], "{case}");
    assert_eq!(item.chain, closing[0], "{case}: {}", found.shown());
    let rule = item.rule.split(" # ").next().unwrap().replace("counter packets 0 bytes 0 ", "");
    let expected =
        [closing[1].trim_start_matches("-A CALLGATE-ALLOW -j ").to_lowercase(), closing[1].to_owned()];
    assert!(expected.contains(&rule), "{case}: decided by {rule:?}");
}

fn exactly_the_address_that_is_gone_is_blocked(backend: Backend) {
    each_form(backend, |lab, form, mode| {
        let hands = hands(form, mode);
        let scene = deploy(lab, form, mode, &listed(WANTED), "many");
        for (address, source) in [("51.21.32.255", "first"), ("91.132.170.1", "second")] {
            let case = format!("{} {mode}, {address} taken away", form.name);
            lab.shell(&hands.take.replace("ADDRESS", address));
            is_blocked(lab, &scene, address, source, hands.closing, &case);
            lab.shell(&hands.add.replace("ADDRESS", address));
            as_wanted(lab, &scene, &format!("{case} and put back"));
        }
        if form.name == "iptables-ipset" {
            lab.shell("ipset add callgate-v4 20.91.170.121/32 nomatch");
            let case = format!("{} {mode}, a hole", form.name);
            is_blocked(lab, &scene, "20.91.170.121", "first", hands.closing, &case);
        }
        // Any address of any prefix, of either family.
        let mut dice = Dice::new(7);
        for _ in 0..3 {
            let (source, prefixes) = dice.pick(WANTED);
            let prefix: callgate::prefix::Prefix = dice.pick(prefixes).parse().unwrap();
            let address = match *dice.pick(&[prefix.first(), prefix.last()]) {
                IpAddr::V4(last) => last.to_string(),
                IpAddr::V6(last) => last.to_string(),
            };
            let rest = covered(&listed(WANTED)).difference(&covered(&[&address]));
            let rest: Vec<String> = rest.to_prefixes().iter().map(|one| one.short().to_string()).collect();
            let scene = deploy(lab, form, mode, &rest, "many");
            let case = format!("{} {mode}, all but {address}", form.name);
            is_blocked(lab, &scene, &address, source, hands.closing, &case);
        }
    });
}

fn exactly_the_stranger_is_foreign(backend: Backend) {
    each_form(backend, |lab, form, mode| {
        let hands = hands(form, mode);
        let scene = deploy(lab, form, mode, &listed(WANTED), "many");
        lab.shell(&hands.add.replace("ADDRESS", "8.8.8.8"));
        let case = format!("{} {mode}, a stranger", form.name);
        let found = all_views(lab, &scene, &case);
        if mode == "permit" {
            assert!(found.status == 0 && found.items.is_empty(), "{case}: {}", found.shown());
            return;
        }
        assert_eq!((found.status, found.items.len()), (1, 1), "{case}: {}", found.shown());
        let item = &found.items[0];
        assert_eq!((item.part.as_str(), &item.ranges), ("foreign", &one("8.8.8.8")), "{case}");
        assert!(item.sources.is_empty() && item.chain == hands.letting, "{case}: {}", found.shown());
    });
}

fn behind_a_rate_limit_the_allowlist_is_at_risk(backend: Backend) {
    each_form(backend, |lab, form, mode| {
        let scene = deploy(lab, form, mode, &listed(WANTED), "many");
        lab.shell(hands(form, mode).limit);
        let case = format!("{} {mode}, a rate limit", form.name);
        let found = all_views(lab, &scene, &case);
        assert_eq!((found.status, found.outcome.as_str()), (5, "undetermined"), "{case}: {}", found.shown());
        let wanted: Ranges = covered(&listed(WANTED)).ranges().collect();
        assert_eq!(found.part("at risk"), wanted, "{case}");
        assert!(found.items.iter().all(|item| item.part == "at risk"), "{case}: {}", found.shown());
    });
}

#[cfg(feature = "netns-tests")]
#[test]
fn the_same_addresses_in_other_words_are_no_drift() {
    same_addresses_in_other_words(Backend::Nft);
    same_addresses_in_other_words(Backend::Legacy);
}

#[cfg(feature = "netns-tests")]
#[test]
fn one_address_taken_away_is_exactly_that_drift() {
    exactly_the_address_that_is_gone_is_blocked(Backend::Nft);
    exactly_the_address_that_is_gone_is_blocked(Backend::Legacy);
}

#[cfg(feature = "netns-tests")]
#[test]
fn one_stranger_is_foreign_where_others_are_refused() {
    exactly_the_stranger_is_foreign(Backend::Nft);
    exactly_the_stranger_is_foreign(Backend::Legacy);
}

#[cfg(feature = "netns-tests")]
#[test]
fn a_rate_limit_puts_the_allowlist_at_risk() {
    behind_a_rate_limit_the_allowlist_is_at_risk(Backend::Nft);
    behind_a_rate_limit_the_allowlist_is_at_risk(Backend::Legacy);
}
