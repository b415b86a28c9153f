//! A match that nobody can decide, added to any rule of any case of the judge: it never shrinks what is
//! possibly admitted, nor grows what is surely admitted.

use std::fmt::Write as _;

use callgate::admission::{Layer as _, Question};
use callgate::netfilter::evaluate::Asked;
use callgate::netfilter::host::{Host, View};
use callgate::netfilter::{Listing, TableFamily, ipset, iptables_save, nft};
use callgate::prefix::{Family, PrefixSet};

use crate::judge::case::{Case, Loader, all};
use crate::support::{AT, Scene, root};

use super::lab::{Backend, Lab};

/// Rules of a listing that are given the match, one at a time.
const RULES_MAX: usize = 60;

/// Listings of one host.
type Listings = Vec<(View, String)>;

/// Surely and possibly admitted.
fn answer(case: &Case, listings: &Listings) -> Result<(PrefixSet, PrefixSet), String> {
    let (mut named, mut readings) = (Vec::new(), Vec::new());
    for (number, (view, text)) in listings.iter().enumerate() {
        let number = u16::try_from(number).unwrap();
        let reading = match view {
            View::NftText => nft::text::read_text(text, number),
            View::NftJson => nft::json::read_json(text, number),
            View::Iptables(Family::V4) => iptables_save::read(text, number, TableFamily::Ip),
            View::Iptables(Family::V6) => iptables_save::read(text, number, TableFamily::Ip6),
            View::Ipset => ipset::read(text, number),
        };
        let reading = reading.map_err(|fault| format!("{view:?}: {}", fault.message))?;
        readings.push((*view, reading));
        named.push(Listing { name: format!("{view:?}"), text: text.as_str().into() });
    }
    let host = Host::new(named, readings);
    let question = Question {
        port: case.port,
        interface: case.interface.clone(),
        addresses: if case.names_addresses { one_of_each(case) } else { Vec::new() },
        at: AT.parse().unwrap(),
    };
    let admission = Asked::new(&host).admit(&question);
    Ok((admission.surely, admission.possibly))
}

fn one_of_each(case: &Case) -> Vec<std::net::IpAddr> {
    let first = |v4: bool| case.targets.iter().find(|address| address.is_ipv4() == v4);
    [first(true), first(false)].into_iter().flatten().copied().collect()
}

/// The text with the match in one rule; one text for each rule.
fn with_unknown(view: View, text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let rules: Vec<usize> = match view {
        View::NftText => nft_rules(&lines),
        View::Iptables(_) => {
            (0..lines.len()).filter(|at| lines[*at].trim_start().starts_with("-A ")).collect()
        }
        View::NftJson | View::Ipset => Vec::new(),
    };
    let step = rules.len().div_ceil(RULES_MAX).max(1);
    let changed = |at: &usize| {
        let line = lines[*at];
        let line = if view == View::NftText {
            line.replacen(line.trim_start(), &format!("limit rate 1/second {}", line.trim_start()), 1)
        } else {
            let (chain, rest) = line.trim_start()["-A ".len()..].split_once(' ').unwrap_or_default();
            format!("-A {chain} -m string --string \"x\" --algo bm {rest}")
        };
        let mut all = lines.clone();
        all[*at] = &line;
        (line.clone(), all.join("\n") + "\n")
    };
    rules.iter().step_by(step).map(changed).collect()
}

/// The lines of a listing of nft at which rules start.
fn nft_rules(lines: &[&str]) -> Vec<usize> {
    let mut found = Vec::new();
    // Whether a chain is open, and how many braces inside it.
    let (mut chain, mut depth) = (false, 0_i32);
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim();
        let braces = |mark| i32::try_from(words.matches(mark).count()).unwrap();
        let change = braces('{') - braces('}');
        if !chain {
            (chain, depth) = (words.starts_with("chain "), 0);
            continue;
        }
        let told = ["type ", "policy ", "comment ", "}", "#"].iter().any(|start| words.starts_with(start));
        if depth == 0 && !words.is_empty() && !told {
            found.push(at);
        }
        depth += change;
        chain = depth >= 0;
    }
    found
}

/// What the law forbids, in every listing of a case.
fn faults(case: &Case, listings: &Listings, count: &mut usize) -> String {
    let mut text = String::new();
    let (surely, possibly) = match answer(case, listings) {
        Ok(answer) => answer,
        Err(fault) => return format!("{}: {fault}\n", case.name),
    };
    if !possibly.covers(&surely) {
        let _ = writeln!(text, "{}: surely and not possibly", case.name);
    }
    for (at, (view, listing)) in listings.iter().enumerate() {
        for (line, changed) in with_unknown(*view, listing) {
            let mut others = listings.clone();
            others[at].1 = changed;
            let (fewer, more) = match answer(case, &others) {
                Ok(answer) => answer,
                Err(fault) => {
                    let _ = writeln!(text, "{}: {line}: {fault}", case.name);
                    continue;
                }
            };
            *count += 1;
            let (gained, lost) = (fewer.difference(&surely), possibly.difference(&more));
            if !gained.is_empty() || !lost.is_empty() || !more.covers(&fewer) {
                let _ = writeln!(
                    text,
                    "{} ({view:?}): {}\n  surely gains {:?}\n  possibly loses {:?}",
                    case.name,
                    line.trim(),
                    gained.ranges().take(3).collect::<Vec<_>>(),
                    lost.ranges().take(3).collect::<Vec<_>>(),
                );
            }
        }
    }
    text
}

/// Loads all cases, one after the other, and gives their dumps.
fn dumped(lab: &Lab, scene: &Scene, cases: &[Case]) -> Vec<Listings> {
    let mut script = String::new();
    for (number, case) in cases.iter().enumerate() {
        let _ = writeln!(script, "cd {}; mkdir {number}; cd {number}", scene.path().display());
        for (part, (loader, text)) in case.parts.iter().enumerate() {
            let file = scene.write(&format!("{number}.{part}"), text);
            let command = match loader {
                Loader::Ipset => "ipset -exist restore",
                Loader::Iptables => "iptables-nft-restore",
                Loader::Ip6tables => "ip6tables-nft-restore",
                Loader::Nft => "nft -f -",
                Loader::Script => "sh -e",
                Loader::IptablesLegacy | Loader::Ip6tablesLegacy => continue,
            };
            let _ =
                writeln!(script, "{command} <{} || {{ echo {} >&2; exit 1; }}", file.display(), case.name);
        }
        script.push_str("nft list ruleset >nft\n");
        if case.parts.iter().any(|(loader, _)| *loader != Loader::Nft) {
            script.push_str("iptables-nft-save >v4 2>err; ip6tables-nft-save >v6 2>err; ipset save >sets\n");
        }
        let clear = root().join("tests/it/judge/clear.sh");
        let _ = writeln!(script, "if [ -s sets ]; then sh {}; else nft flush ruleset; fi", clear.display());
    }
    lab.shell(&script);
    let read = |number: usize| {
        let views = [
            (View::NftText, "nft"),
            (View::Iptables(Family::V4), "v4"),
            (View::Iptables(Family::V6), "v6"),
            (View::Ipset, "sets"),
        ];
        let text = |name| std::fs::read_to_string(scene.path().join(number.to_string()).join(name)).ok();
        let found = views.iter().filter_map(|(view, name)| Some((*view, text(*name)?)));
        found.filter(|(_, text)| !text.trim().is_empty()).collect()
    };
    (0..cases.len()).map(read).collect()
}

#[cfg(feature = "netns-tests")]
#[test]
fn an_unknown_match_never_makes_an_answer_surer() {
    let Some(lab) = Lab::new(Backend::Nft) else { return };
    let (legacy, modern): (Vec<Case>, Vec<Case>) = all().into_iter().partition(Case::is_legacy);
    let scene = Scene::new();
    let mut cases: Vec<(Case, Listings)> = Vec::new();
    for (case, listings) in modern.iter().zip(dumped(&lab, &scene, &modern)) {
        // Each tool's listing of the same rules by itself, and all together.
        for (view, text) in &listings {
            let sets = listings.iter().filter(|(other, _)| *other == View::Ipset).cloned();
            let alone = std::iter::once((*view, text.clone())).chain(sets);
            cases.push((case.clone(), alone.collect()));
        }
        cases.push((case.clone(), listings));
    }
    for case in legacy.into_iter().filter(|case| case.parts.iter().all(|(part, _)| *part != Loader::Script)) {
        let view = |loader: Loader| match loader {
            Loader::Ipset => View::Ipset,
            Loader::Iptables | Loader::IptablesLegacy => View::Iptables(Family::V4),
            Loader::Ip6tables | Loader::Ip6tablesLegacy => View::Iptables(Family::V6),
            Loader::Nft | Loader::Script => View::NftText,
        };
        let listings = case.parts.iter().map(|(loader, text)| (view(*loader), text.clone())).collect();
        cases.push((case, listings));
    }
    let (mut count, mut text) = (0, String::new());
    for (case, listings) in &cases {
        text.push_str(&faults(case, listings, &mut count));
    }
    assert!(text.is_empty(), "{text}");
    assert!(count > 2000, "only {count} rules were tried");
}
