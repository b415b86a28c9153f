//! What the program answers about a case, and whether the kernel agrees.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::support::Scene;

use super::arena::{Dumps, Verdict};
use super::case::{Case, Demand};

/// One way to show a host to the program.
pub(crate) struct View {
    pub(crate) name: &'static str,
    dumps: Vec<&'static str>,
    /// Whether interface and addresses are named as the case does.
    named: bool,
    demand: [Demand; 2],
}

/// The ways to show a case, by the dumps that there are.
pub(crate) fn views(case: &Case, dumps: &Dumps) -> Vec<View> {
    const TABLES: [&str; 6] =
        ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy", "ipset", "addresses"];
    let with = |first: &[&'static str]| [first, &TABLES].concat();
    let json = case.demand.map(|demand| if demand == Demand::Exact { case.json } else { demand });
    let mut views = vec![View { name: "text", dumps: with(&["nft"]), named: true, demand: case.demand }];
    if dumps.contains_key("nft-json") {
        let both = with(&["nft", "nft-json"]);
        views.push(View { name: "JSON", dumps: with(&["nft-json"]), named: true, demand: json });
        views.push(View { name: "text and JSON", dumps: both, named: true, demand: case.demand });
    }
    // A question that names nothing is about the host's own addresses.
    if case.dials_the_host() {
        let demand = [Demand::Sound; 2];
        views.push(View { name: "nothing named", dumps: with(&["nft"]), named: false, demand });
    }
    if case.is_all_iptables() {
        // What nft would show is not known then.
        let demand = [Demand::Sound; 2];
        views.push(View { name: "iptables alone", dumps: with(&[]), named: true, demand });
        if dumps.contains_key("nft") && !case.is_legacy() {
            let dumps = vec!["nft", "ipset", "addresses"];
            views.push(View { name: "nft alone", dumps, named: true, demand: [Demand::Sound; 2] });
        }
    }
    views
}

/// First and last addresses, as numbers.
pub(crate) type Ranges = Vec<(IpAddr, IpAddr)>;

/// The answer for a family.
#[derive(PartialEq, Eq)]
struct Admitted {
    surely: Ranges,
    possibly: Ranges,
}

/// What the program said.
pub(crate) struct Answer {
    families: [Admitted; 2],
    undecided: Value,
    whole: Value,
}

/// Asks the program.
pub(crate) fn ask(case: &Case, view: &View, dumps: &Dumps) -> Result<Answer, String> {
    let port = case.port.to_string();
    let mut arguments = vec!["admitted".to_owned(), "--format".into(), "json".into(), "--port".into(), port];
    for name in &view.dumps {
        let option = name.trim_end_matches("-legacy");
        if let Some(path) = dumps.get(*name) {
            arguments.extend([format!("--{option}"), path.display().to_string()]);
        }
    }
    if view.named {
        if let Some(interface) = &case.interface {
            arguments.extend(["--interface".into(), interface.clone()]);
        }
        if case.names_addresses && case.interface.is_some() {
            for target in &case.targets {
                arguments.extend(["--address".into(), target.to_string()]);
            }
        }
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = Scene::new().run_now(&words);
    if ![0, 1, 5].contains(&run.status) {
        return Err(format!("{words:?} ended with {}: {}", run.status, run.stderr));
    }
    let whole: Value =
        serde_json::from_str(&run.stdout).map_err(|fault| format!("{fault}: {}", run.stdout))?;
    let family = |name: &str| -> Option<Admitted> {
        let found = &whole[name];
        Some(Admitted { surely: ranges(&found["surely"])?, possibly: ranges(&found["possibly"])? })
    };
    let families = [family("v4"), family("v6")];
    let [Some(v4), Some(v6)] = families else { return Err(format!("not the documented form: {whole}")) };
    let undecided = whole["undecided"].clone();
    if !undecided.is_array() || whole["version"] != 1 {
        return Err(format!("not the documented form: {whole}"));
    }
    Ok(Answer { families: [v4, v6], undecided, whole })
}

pub(crate) fn ranges(value: &Value) -> Option<Ranges> {
    let end = |range: &Value, name: &str| range[name].as_str()?.parse::<IpAddr>().ok();
    value.as_array()?.iter().map(|range| Some((end(range, "first")?, end(range, "last")?))).collect()
}

pub(crate) fn holds(ranges: &Ranges, address: IpAddr) -> bool {
    ranges.iter().any(|(first, last)| *first <= address && address <= *last)
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

impl Answer {
    /// Whether what the kernel did with a source contradicts the answer.
    pub(crate) fn contradicts(&self, view: &View, source: IpAddr, found: Verdict) -> bool {
        let said = &self.families[family(source)];
        // An answer that is not exact is a fault of its own, said once.
        let exact = view.demand[family(source)] == Demand::Exact && said.surely == said.possibly;
        let (surely, possibly) = (holds(&said.surely, source), holds(&said.possibly, source));
        match found {
            Verdict::In => !possibly || exact && !surely,
            Verdict::Out => surely || exact && possibly,
        }
    }

    /// What the answer says of a source, in words.
    pub(crate) fn of(&self, source: IpAddr) -> String {
        let said = &self.families[family(source)];
        let word = match (holds(&said.surely, source), holds(&said.possibly, source)) {
            (true, true) => "surely admitted",
            (false, true) => "possibly admitted",
            (false, false) => "not admitted",
            (true, false) => "surely but not possibly admitted",
        };
        let key = if source.is_ipv4() { "v4" } else { "v6" };
        let decided = self.whole[key]["decided"].as_array().into_iter().flatten();
        let within = |range: &&Value| {
            ranges(&Value::Array(vec![(*range).clone()])).is_some_and(|it| holds(&it, source))
        };
        let rule = decided.into_iter().find(within).map(|found| found["rule"].to_string());
        format!("{word} by {}", rule.unwrap_or_else(|| "no rule".into()))
    }

    /// What is wrong with the answer whatever the kernel does.
    pub(crate) fn faults(&self, case: &Case, view: &View) -> String {
        let mut faults = String::new();
        for (name, said, demand) in
            [("v4", &self.families[0], view.demand[0]), ("v6", &self.families[1], view.demand[1])]
        {
            if demand == Demand::Exact && said.surely != said.possibly {
                let _ = writeln!(faults, "  {name}: what is sure and what is possible differ");
            }
            for range in &said.surely {
                if !holds(&said.possibly, range.0) || !holds(&said.possibly, range.1) {
                    let _ = writeln!(faults, "  {name}: surely admitted, and not possibly: {range:?}");
                }
            }
        }
        let exact = view.demand == [Demand::Exact; 2];
        for undecided in self.undecided.as_array().into_iter().flatten().filter(|_| exact).take(4) {
            let rule = &undecided["rule"];
            let _ = writeln!(faults, "  undecided: {} {} {}", rule["title"], rule["text"], undecided["why"]);
        }
        if view.named && view.dumps.contains(&"nft") && view.dumps.contains(&"iptables") {
            faults.push_str(&self.must_know(&case.surely, "surely", |said, end| holds(&said.surely, end)));
            faults.push_str(&self.must_know(&case.never, "never", |said, end| !holds(&said.possibly, end)));
        }
        faults
    }

    fn must_know(&self, listed: &[String], word: &str, known: impl Fn(&Admitted, IpAddr) -> bool) -> String {
        let mut faults = String::new();
        for name in listed {
            let ends = match name.as_str() {
                "v4" => vec!["1.0.0.0".parse().unwrap(), "223.255.255.255".parse().unwrap()],
                "v6" => vec!["2000::".parse().unwrap(), "3fff::".parse().unwrap()],
                _ => {
                    let prefix: callgate::prefix::Prefix = name.parse().unwrap();
                    vec![prefix.first(), prefix.last()]
                }
            };
            for end in ends.into_iter().filter(|end| !known(&self.families[family(*end)], *end)) {
                let _ = writeln!(faults, "  {end} is to be known as {word} admitted: {}", self.of(end));
            }
        }
        faults
    }
}
