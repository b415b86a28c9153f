//! nftables: an own table that refuses everyone else, or rules in a chain of the user's that let through.
//!
//! In nft an `accept` ends its base chain only, and a later base chain may still drop. So an own table can
//! close a port but never open one: `permit` renders for the user's own chain.

use super::comment::{Comments, header, plain};
use super::template::Templates;
use super::{
    Artifact, ArtifactFile, Common, Jump, Mode, RenderError, Target, TargetKind, contents, kind_word,
};
use crate::admission::{Decider, FindingKind, LayerKind, Listing};
use crate::allowlist::Allowlist;
use crate::diagnostic::Code;
use crate::holding::lasting::{self, Lasting, Means};
use crate::holding::{Holding, Listed, Want};
use crate::prefix::Family;
use crate::site::Service;
use crate::yaml::decode::{At, Decoder, choices, record};

kind_word!(Kind, "nftables");

choices! {
    /// Where the own table looks at packets.
    pub(crate) enum Hook {
        /// Packets to the host itself.
        Input = "input",
        /// Packets to the host's addresses before translation: also those that go on to containers.
        Prerouting = "prerouting",
    }
}

choices! {
    /// What keeps the rules that were applied over a reboot.
    pub(crate) enum Persist {
        /// Nothing does.
        None = "none",
        /// A file in `/etc/nftables.d`, which `/etc/nftables.conf` has to include.
        NftablesD = "nftables.d",
        /// A systemd unit of their own.
        Unit = "unit",
    }
}

record! {
    /// An nftables file.
    pub(crate) struct RawSettings {
        /// `nftables`
        #[schemars(required)]
        kind: required Kind,
        /// `exclusive` where it is left out.
        mode: optional Mode,
        /// Whether neighbouring prefixes are joined; `false` where it is left out.
        aggregate: optional bool,
        /// `exclusive`: the own table of family inet; `callgate` where it is left out.
        table: optional At<String>,
        /// `exclusive`: where the table looks; `input` where it is left out.
        hook: optional At<Hook>,
        /// `permit`: the base chain of yours that refuses others, as `family table chain`, such as
        /// `inet filter input`.
        chain: optional At<String>,
        /// `permit`: whether the file inserts the jump into that chain; `insert` where it is left out.
        jump: optional At<Jump>,
        /// What keeps the rules that `callgate apply` put in force over a reboot; `none` where it is left out.
        persist: optional Persist,
    }
}

/// The nftables target.
#[derive(Debug)]
pub(super) struct Nftables {
    common: Common,
    own_table: String,
    hook: Hook,
    chain: Option<Chain>,
    jump: Jump,
    persist: Persist,
}

/// A base chain of the user's.
#[derive(Debug, Clone)]
struct Chain {
    family: ChainFamily,
    table: String,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChainFamily {
    Inet,
    Ip,
    Ip6,
}

impl ChainFamily {
    fn as_str(self) -> &'static str {
        match self {
            ChainFamily::Inet => "inet",
            ChainFamily::Ip => "ip",
            ChainFamily::Ip6 => "ip6",
        }
    }

    fn holds(self, family: Family) -> bool {
        match self {
            ChainFamily::Inet => true,
            ChainFamily::Ip => family == Family::V4,
            ChainFamily::Ip6 => family == Family::V6,
        }
    }
}

impl Nftables {
    pub(super) fn new(name: String, raw: RawSettings, decoder: &mut Decoder<'_>) -> Self {
        let common = Common::new(name, TargetKind::Nftables, raw.mode, raw.aggregate);
        let (misplaced, other): (Vec<_>, _) = match common.mode {
            Mode::Exclusive => (
                vec![
                    raw.chain.as_ref().map(|at| (&at.span, "chain")),
                    raw.jump.as_ref().map(|at| (&at.span, "jump")),
                ],
                "permit",
            ),
            Mode::Permit => (
                vec![
                    raw.table.as_ref().map(|at| (&at.span, "table")),
                    raw.hook.as_ref().map(|at| (&at.span, "hook")),
                ],
                "exclusive",
            ),
        };
        for (span, key) in misplaced.into_iter().flatten() {
            let message = format!("`{key}` has no meaning in mode {}", common.mode);
            decoder.fault(Code::InvalidValue, span, message, format!("remove it, or set `mode: {other}`"));
        }
        if let Some(table) = raw.table.as_ref().filter(|table| !is_identifier(&table.value)) {
            let message = format!("`{}` is no nftables name", table.value.escape_debug());
            decoder.fault(
                Code::InvalidValue,
                &table.span,
                message,
                "start with a letter; letters, digits, `_`, at most 31",
            );
        }
        Self {
            common,
            own_table: raw.table.map_or_else(|| "callgate".to_owned(), |table| table.value),
            hook: raw.hook.map_or(Hook::Input, |hook| hook.value),
            chain: raw.chain.as_ref().and_then(|chain| parse_chain(chain, decoder)),
            jump: raw.jump.map_or(Jump::Insert, |jump| jump.value),
            persist: raw.persist.unwrap_or(Persist::None),
        }
    }

    fn exclusive(&self, allowlist: &Allowlist, templates: &Templates) -> Result<String, RenderError> {
        let consequence =
            format!("everyone else is dropped at {}, shoppers too", allowlist.service.ports_words());
        let header = header(allowlist, TargetKind::Nftables, Mode::Exclusive, &consequence);
        let priority = match self.hook {
            Hook::Input => "filter - 10",
            // Before destination translation at -100, so the port is the one that was called.
            Hook::Prerouting => "mangle - 10",
        };
        let values = vec![
            ("header", header.into()),
            ("table", self.own_table.as_str().into()),
            ("hook", self.hook.as_str().into()),
            ("priority", priority.into()),
            ("elements_v4", elements(allowlist, Family::V4).into()),
            ("elements_v6", elements(allowlist, Family::V6).into()),
            ("dispatch", self.dispatch(&allowlist.service).into()),
        ];
        Ok(templates.render(TargetKind::Nftables, "exclusive", values)?)
    }

    /// Rules that send packets to the service on to the list, for each family by itself.
    fn dispatch(&self, service: &Service) -> String {
        let local = match self.hook {
            Hook::Input => "",
            Hook::Prerouting => "fib daddr type local ",
        };
        let (interface, ports) = (interface(service), ports(service));
        if service.addresses.is_empty() {
            return format!("\t\t{interface}{local}tcp dport {ports} jump callbacks\n");
        }
        let rule = |family: Family| {
            let place = destination(service, family).unwrap_or(match family {
                Family::V4 => "meta nfproto ipv4 ".to_owned(),
                Family::V6 => "meta nfproto ipv6 ".to_owned(),
            });
            format!("\t\t{interface}{place}{local}tcp dport {ports} jump callbacks\n")
        };
        rule(Family::V4) + &rule(Family::V6)
    }

    fn permit(&self, allowlist: &Allowlist, templates: &Templates) -> Result<String, RenderError> {
        let Some(chain) = &self.chain else {
            return Err(RenderError::Cannot {
                what: "nftables can't let anything through from a table of its own: a later chain may still drop".to_owned(),
                help: "name your chain that refuses others, such as `chain: inet filter input`".to_owned(),
            });
        };
        let foreign = Family::ALL
            .into_iter()
            .find(|family| !chain.family.holds(*family) && !allowlist.family(*family).is_empty());
        if let Some(family) = foreign {
            return Err(RenderError::Cannot {
                what: format!("a table of family {} can't hold {family} prefixes", chain.family.as_str()),
                help: "name a chain of family inet, or a second target for the other family".to_owned(),
            });
        }
        let header =
            header(allowlist, TargetKind::Nftables, Mode::Permit, "everyone else is left to your own rules");
        let table = format!("{} {}", chain.family.as_str(), chain.table);
        let (mut sets, mut rules) = (String::new(), String::new());
        for family in Family::ALL.into_iter().filter(|family| chain.family.holds(*family)) {
            sets.push_str(&set_commands(allowlist, family, &table));
            rules.push_str(&format!(
                "add rule {table} callgate {}\n",
                permit_rule(&allowlist.service, family)
            ));
        }
        let jump = match self.jump {
            Jump::None => String::new(),
            Jump::Insert => format!(
                "# The first load only: leave this line out of later ones, or the jump is there twice, which is harmless.\n\
                 insert rule {table} {} jump callgate\n",
                chain.name
            ),
        };
        let values = vec![
            ("header", header.into()),
            ("chain", table.into()),
            ("sets", sets.into()),
            ("rules", rules.into()),
            ("jump", jump.into()),
        ];
        Ok(templates.render(TargetKind::Nftables, "permit", values)?)
    }
}

impl Nftables {
    /// What is ours in the user's table, as nft lists it.
    fn block(&self, chain: &Chain, allowlist: &Allowlist) -> String {
        let (mut sets, mut rules) = (String::new(), String::new());
        for family in Family::ALL.into_iter().filter(|family| chain.family.holds(*family)) {
            sets.push_str(&format!(
                "\tset callgate_{} {{\n\t\ttype {}\n\t\tflags interval\n{}\t}}\n",
                family.as_str(),
                set_type(family),
                elements(allowlist, family)
            ));
            rules.push_str(&format!("\t\t{}\n", permit_rule(&allowlist.service, family)));
        }
        let jump = match self.jump {
            Jump::None => String::new(),
            Jump::Insert => format!("\tchain {} {{\n\t\tjump callgate\n\t}}\n", chain.name),
        };
        let (family, table) = (chain.family.as_str(), &chain.table);
        format!("table {family} {table} {{\n{sets}\tchain callgate {{\n{rules}\t}}\n{jump}}}\n")
    }
}

fn set_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= 31 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(word)
}

fn parse_chain(text: &At<String>, decoder: &mut Decoder<'_>) -> Option<Chain> {
    // nft's own chain names may also hold `-` and `.`, unlike the names that callgate gives.
    let name = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        word.len() <= 31
            && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.bytes().all(plain)
    };
    let words: Vec<&str> = text.value.split_whitespace().collect();
    if let [family, table, chain] = words.as_slice()
        && name(table)
        && name(chain)
        && *chain != "callgate"
    {
        let family = match *family {
            "inet" => Some(ChainFamily::Inet),
            "ip" => Some(ChainFamily::Ip),
            "ip6" => Some(ChainFamily::Ip6),
            _ => None,
        };
        if let Some(family) = family {
            return Some(Chain { family, table: (*table).to_owned(), name: (*chain).to_owned() });
        }
    }
    let message = format!("`{}` names no chain", text.value.escape_debug());
    decoder.fault(
        Code::InvalidValue,
        &text.span,
        message,
        "write family (inet, ip or ip6), table and chain: `inet filter input`",
    );
    None
}

fn ports(service: &Service) -> String {
    let ports: Vec<String> = service.ports.iter().map(u16::to_string).collect();
    match ports.as_slice() {
        [one] => one.clone(),
        _ => format!("{{ {} }}", ports.join(", ")),
    }
}

fn interface(service: &Service) -> String {
    service.interface.as_ref().map_or_else(String::new, |interface| format!("iifname \"{interface}\" "))
}

fn destination(service: &Service, family: Family) -> Option<String> {
    let address = service.addresses.iter().find(|address| address.is_ipv4() == (family == Family::V4))?;
    Some(match family {
        Family::V4 => format!("ip daddr {address} "),
        Family::V6 => format!("ip6 daddr {address} "),
    })
}

/// The `elements` statement of a set; nothing for an empty one, which nft would not read.
fn elements(allowlist: &Allowlist, family: Family) -> String {
    use std::fmt::Write as _;
    let entries = allowlist.family(family);
    if entries.is_empty() {
        return String::new();
    }
    let comments = Comments::new(allowlist, plain);
    let mut text = String::with_capacity(entries.len() * 64);
    text.push_str("\t\telements = {\n");
    for entry in entries {
        // Writing into a String can't fail.
        let _ = writeln!(text, "\t\t\t{}, # {}", entry.prefix.short(), comments.of(entry));
    }
    text.push_str("\t\t}\n");
    text
}

fn set_commands(allowlist: &Allowlist, family: Family, table: &str) -> String {
    let set = format!("{table} callgate_{}", family.as_str());
    let kind = set_type(family);
    let mut text = format!("add set {set} {{ type {kind}; flags interval; }}\nflush set {set}\n");
    let list = elements(allowlist, family);
    if let Some(list) = list.trim_start().strip_prefix("elements = ") {
        text.push_str(&format!("add element {set} {}", list.replace("\n\t\t", "\n")));
    }
    text
}

fn permit_rule(service: &Service, family: Family) -> String {
    let word = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let (interface, place) = (interface(service), destination(service, family).unwrap_or_default());
    let (ports, set) = (ports(service), family.as_str());
    format!("{interface}{place}{word} saddr @callgate_{set} tcp dport {ports} accept")
}

/// A template of the user's may have turned the table into something else.
fn no_table(table: &str) -> RenderError {
    RenderError::Cannot {
        what: format!("what the template gives has no block `table inet {table} {{`"),
        help: "keep the table as a block of that form in templates/nftables/exclusive.tera".to_owned(),
    }
}

impl Target for Nftables {
    fn common(&self) -> &Common {
        &self.common
    }

    fn layer(&self) -> LayerKind {
        LayerKind::Host
    }

    fn expects(&self, found: FindingKind) -> bool {
        // There connections are refused before they are forwarded.
        self.hook == Hook::Prerouting && found == FindingKind::ForwardedPort
    }

    fn owns(&self, rule: &Decider) -> bool {
        let is = |key, wanted: &str| rule.facts.get(key).is_some_and(|found| found == wanted);
        match &self.chain {
            None => is("family", "inet") && is("table", &self.own_table),
            Some(chain) => {
                is("family", chain.family.as_str()) && is("table", &chain.table) && is("chain", "callgate")
            }
        }
    }

    fn deployed(&self, listing: &Listing) -> Option<String> {
        if self.chain.is_some() {
            return None;
        }
        let head = format!("table inet {} {{", self.own_table);
        let lines = listing.text.lines().skip_while(|line| !line.starts_with(&head));
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
            if line == "}" {
                break;
            }
        }
        (!text.is_empty()).then_some(text)
    }

    fn holdings<'a>(
        &self,
        allowlist: &'a Allowlist,
        templates: &Templates,
    ) -> Result<Vec<(Holding, Want<'a>)>, RenderError> {
        let allowlist = self.common.formed(allowlist);
        let artifact = self.write(&allowlist, templates)?;
        let text = artifact.files.first().map(|file| file.text.clone()).unwrap_or_default();
        Ok(match &self.chain {
            None => {
                let listed = Listed { nft: Some(text.into()), ..Listed::default() };
                let holding = Holding::NftTable { table: self.own_table.clone() };
                let content = holding.own(&listed).ok_or_else(|| no_table(&self.own_table))?;
                vec![(holding, Some(content).into())]
            }
            Some(chain) => {
                let jump = self.jump.owner();
                let holding = Holding::NftChain {
                    family: chain.family.as_str().to_owned(),
                    table: chain.table.clone(),
                    parent: chain.name.clone(),
                    jump,
                };
                vec![(holding, Want::Text(Some(self.block(chain, &allowlist).into())))]
            }
        })
    }

    fn lasting(&self, held: &[(Holding, Want<'_>)]) -> Vec<Lasting> {
        let means = match self.persist {
            Persist::None => return Vec::new(),
            Persist::NftablesD => Means::NftablesD,
            Persist::Unit => Means::Unit,
        };
        lasting::files(&self.common.name, means, &contents(held))
    }

    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        let text = match self.common.mode {
            Mode::Exclusive => self.exclusive(allowlist, templates)?,
            Mode::Permit => self.permit(allowlist, templates)?,
        };
        let files = vec![ArtifactFile { path: format!("{}.nft", self.common.name), text }];
        Ok(Artifact { files, findings: Vec::new(), quotas: Vec::new() })
    }
}
