//! A case: rules in plain files, and the question in the comments at their top.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::golden::files;
use crate::support::root;

/// The host's addresses by interface, the ones that callers dial.
pub(crate) const UP0: [&str; 2] = ["20.0.0.1", "2a00:1::1"];
pub(crate) const UP1: [&str; 2] = ["20.0.1.1", "2a00:2::1"];

/// What loads a file, by its extension; in the order of loading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Loader {
    Ipset,
    Iptables,
    Ip6tables,
    IptablesLegacy,
    Ip6tablesLegacy,
    Nft,
    Script,
}

impl Loader {
    /// The extension of its files.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Ipset => "ipset",
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
            Self::IptablesLegacy => "iptables-legacy",
            Self::Ip6tablesLegacy => "ip6tables-legacy",
            Self::Nft => "nft",
            Self::Script => "sh",
        }
    }

    fn of(extension: &str) -> Option<Self> {
        let all = [
            Self::Ipset,
            Self::Iptables,
            Self::Ip6tables,
            Self::IptablesLegacy,
            Self::Ip6tablesLegacy,
            Self::Nft,
            Self::Script,
        ];
        all.into_iter().find(|loader| loader.extension() == extension)
    }
}

/// How sure an answer has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Demand {
    /// What is surely and what is possibly admitted are the same, and the kernel's.
    Exact,
    /// Nothing wrong is said.
    Sound,
}

/// Rules and a question.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) parts: Vec<(Loader, String)>,
    pub(crate) port: u16,
    pub(crate) source_port: u16,
    /// The interface that is asked for, and called at; both where none is named.
    pub(crate) interface: Option<String>,
    /// The addresses that are dialled.
    pub(crate) targets: Vec<IpAddr>,
    /// Whether the question names the addresses.
    pub(crate) names_addresses: bool,
    /// What is demanded by family, of the views that show all.
    pub(crate) demand: [Demand; 2],
    /// What is demanded of nft's JSON.
    pub(crate) json: Demand,
    /// What gets in, where the case says it: a hand-made answer that the kernel has to confirm.
    pub(crate) lets_in: Option<Vec<String>>,
    /// The same by who stays out.
    pub(crate) keeps_out: Option<Vec<String>>,
    /// What every answer must know, whatever else it leaves open.
    pub(crate) surely: Vec<String>,
    pub(crate) never: Vec<String>,
}

impl Case {
    /// Reads the question from the comments of the files.
    pub(crate) fn new(name: &str, mut parts: Vec<(Loader, String)>) -> Result<Self, String> {
        parts.sort();
        let mut case = Self {
            name: name.to_owned(),
            port: 443,
            source_port: 0,
            interface: Some("up0".to_owned()),
            targets: Vec::new(),
            names_addresses: true,
            demand: [Demand::Exact; 2],
            json: Demand::Sound,
            lets_in: None,
            keeps_out: None,
            surely: Vec::new(),
            never: Vec::new(),
            parts,
        };
        let top = |text: &str| -> Vec<String> {
            text.lines().take_while(|line| line.starts_with('#')).map(str::to_owned).collect()
        };
        let lines: Vec<String> = case.parts.iter().flat_map(|(_, text)| top(text)).collect();
        for line in lines {
            let setting = line.strip_prefix("# ").and_then(|line| line.split_once(": "));
            if let Some((key, value)) = setting {
                case.set(key, value.trim()).map_err(|fault| format!("{name}: {line}: {fault}"))?;
            }
        }
        if case.targets.is_empty() {
            let dialled = match case.interface.as_deref() {
                Some("up1") => UP1.to_vec(),
                Some(_) => UP0.to_vec(),
                None => [UP0, UP1].concat(),
            };
            case.targets = dialled.iter().map(|address| address.parse().unwrap()).collect();
        }
        Ok(case)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let list = || value.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        match key {
            "tries" => {}
            "port" => self.port = value.parse().map_err(|fault| format!("{fault}"))?,
            "source-port" => self.source_port = value.parse().map_err(|fault| format!("{fault}"))?,
            "interface" => self.interface = Some(value.to_owned()).filter(|name| name != "any"),
            "address" if value == "any" => self.names_addresses = false,
            "address" => {
                for word in list() {
                    self.targets.push(word.parse().map_err(|fault| format!("{fault}"))?);
                }
            }
            "undecided" => {
                self.demand = match value {
                    "none" => [Demand::Exact; 2],
                    "v4" => [Demand::Sound, Demand::Exact],
                    "v6" => [Demand::Exact, Demand::Sound],
                    "may" => [Demand::Sound; 2],
                    _ => return Err("none, v4, v6 or may".into()),
                }
            }
            "json" if value == "exact" => self.json = Demand::Exact,
            "json" if value == "sound" => self.json = Demand::Sound,
            "lets in" => self.lets_in = Some(list()),
            "keeps out" => self.keeps_out = Some(list()),
            "surely" => self.surely = list(),
            "never" => self.never = list(),
            _ => return Err("not a setting of a case".into()),
        }
        Ok(())
    }

    /// Whether the rules need the legacy back end, whose tables stay until the namespace goes.
    pub(crate) fn is_legacy(&self) -> bool {
        self.parts.iter().any(|(loader, text)| {
            matches!(loader, Loader::IptablesLegacy | Loader::Ip6tablesLegacy)
                || *loader == Loader::Script && text.contains("-legacy")
        })
    }

    /// Whether iptables and ip6tables show all there is.
    pub(crate) fn is_all_iptables(&self) -> bool {
        !self.parts.iter().any(|(loader, text)| {
            *loader == Loader::Nft || *loader == Loader::Script && text.contains("nft ")
        })
    }

    /// Whether every address dialled is the host's.
    pub(crate) fn dials_the_host(&self) -> bool {
        self.targets.iter().all(|target| [UP0, UP1].concat().contains(&target.to_string().as_str()))
    }

    /// All files of the case.
    pub(crate) fn text(&self) -> String {
        let parts: Vec<String> =
            self.parts.iter().map(|(loader, text)| format!("# {loader:?}\n{text}\n")).collect();
        parts.concat()
    }
}

/// Every case below `tests/fixtures/judge`, by its name.
pub(crate) fn all() -> Vec<Case> {
    let folder = root().join("tests/fixtures/judge");
    let mut parts: BTreeMap<String, Vec<(Loader, String)>> = BTreeMap::new();
    for path in files(&folder) {
        let (name, loader) = split(&path).unwrap_or_else(|| panic!("no loader for {}", path.display()));
        let text = std::fs::read_to_string(folder.join(&path)).unwrap();
        parts.entry(name).or_default().push((loader, text));
    }
    let read = |(name, parts): (String, _)| Case::new(&name, parts).unwrap_or_else(|fault| panic!("{fault}"));
    parts.into_iter().map(read).collect()
}

fn split(path: &Path) -> Option<(String, Loader)> {
    let loader = Loader::of(path.extension()?.to_str()?)?;
    Some((path.with_extension("").to_str()?.to_owned(), loader))
}
