//! Rules, from the attributes of the resources that make them.

use super::json::{Entry, Fate};
use super::marks::Marks;
use super::references::Configured;
use super::values::{IngressRuleValues, RuleValues, Written, read, told};
use crate::prefix::{Family, Prefix};
use crate::security_group::{GroupRef, Known, Place, Protocol, Rule, Source, cidr};

/// All ports.
const PORTS: (u16, u16) = (0, u16::MAX);

/// What a rule lets in, as AWS tells rules apart.
pub(super) type Atom = (Protocol, (u16, u16), Source);

/// Rules that one resource makes.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// The resource's address.
    pub(super) address: String,
    /// Which kind of resource.
    pub(super) style: Style,
    /// What the plan does to it.
    pub(super) fate: Fate,
    /// The group's id, or what the reader was told instead.
    pub(super) group: Belongs,
    /// The rule's own id, where it is known.
    pub(super) rule_id: Option<String>,
    /// The rules.
    pub(super) rules: Vec<Part>,
}

/// A rule, and what it lets in even where that is sensitive: to recognise it, not to tell it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) rule: Rule,
    pub(super) atom: Option<Atom>,
}

/// Which kind of resource makes a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Style {
    /// `aws_security_group_rule`
    Older,
    /// `aws_vpc_security_group_ingress_rule`
    Newer,
}

/// Whose a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The group's id.
    Id(String),
    /// The address of the resource whose id it will be.
    Address(String),
    /// Nobody can say.
    Unknown,
}

/// Where rules stand.
pub(super) struct Around<'c, 'a> {
    /// The configuration, where the file has one.
    pub(super) configured: Option<&'c Configured<'a>>,
    /// The place that is told.
    pub(super) place: Place,
}

/// Whether a resource of this type may make inward rules.
pub(super) fn style(kind: &str) -> Option<Style> {
    match kind {
        "aws_security_group_rule" => Some(Style::Older),
        "aws_vpc_security_group_ingress_rule" => Some(Style::Newer),
        _ => None,
    }
}

/// The inward rules that a resource makes; `None` where it makes none.
pub(super) fn made(entry: &Entry<'_>, style: Style, around: &Around<'_, '_>) -> Option<Made> {
    let read = match style {
        Style::Older => older(entry, around),
        Style::Newer => newer(entry, around).map(Some),
    };
    read.unwrap_or_else(|why| {
        Some(Made {
            address: entry.address.to_string(),
            style,
            fate: entry.fate,
            group: Belongs::Unknown,
            rule_id: None,
            rules: vec![unknown(&entry.address, &why, around.place)],
        })
    })
}

/// A rule of which nothing is known.
pub(super) fn unknown(address: &str, why: &str, place: Place) -> Part {
    let rule = Rule {
        id: address.to_owned(),
        protocol: Known::Unknown(why.to_owned()),
        ports: Known::Unknown(why.to_owned()),
        source: Known::Unknown(why.to_owned()),
        description: String::new(),
        doubt: Some(why.to_owned()),
        place,
    };
    Part { rule, atom: None }
}

fn newer(entry: &Entry<'_>, around: &Around<'_, '_>) -> Result<Made, String> {
    let values: IngressRuleValues = read(entry)?;
    let marks = Marks::of(entry);
    let terms = Terms::new([&values.ip_protocol, &values.from_port, &values.to_port], &marks, "ip_protocol");
    let mut sources = Sources { marks: &marks, named: Vec::new() };
    sources.prefix("cidr_ipv4", told(&values.cidr_ipv4), Family::V4);
    sources.prefix("cidr_ipv6", told(&values.cidr_ipv6), Family::V6);
    let id_of = |argument: &str| around.configured.and_then(|all| all.id_of(&entry.address, argument));
    sources.list("prefix_list_id", told(&values.prefix_list_id), || id_of("prefix_list_id"));
    let argument = "referenced_security_group_id";
    sources.group(argument, told(&values.referenced_security_group_id), || id_of(argument));
    if sources.named.is_empty() {
        sources.add(Known::Unknown("it names no source".to_owned()), None, None);
    }
    let (group, doubt) = belongs(entry, told(&values.security_group_id), &marks, around);
    let own = Own { id: &entry.address, description: told(&values.description), doubt, place: around.place };
    Ok(Made {
        address: entry.address.to_string(),
        style: Style::Newer,
        fate: entry.fate,
        group,
        rule_id: told(&values.security_group_rule_id).map(ToOwned::to_owned),
        rules: terms.rules(sources.named, &own),
    })
}

fn older(entry: &Entry<'_>, around: &Around<'_, '_>) -> Result<Option<Made>, String> {
    let values: RuleValues = read(entry)?;
    let marks = Marks::of(entry);
    let way = marks.why("type");
    if way.is_none() && told(&values.way) == Some("egress") {
        return Ok(None);
    }
    let (group, doubt) = belongs(entry, told(&values.security_group_id), &marks, around);
    let own_id = match &group {
        Belongs::Id(id) | Belongs::Address(id) => id.clone(),
        Belongs::Unknown => String::new(),
    };
    let ids_of = |argument: &str| around.configured.and_then(|all| all.ids_of(&entry.address, argument));
    let mut sources = Sources { marks: &marks, named: Vec::new() };
    sources.block(&values, &own_id, || Some(Later { ids: ids_of("prefix_list_ids")?, shared: false }));
    let argument = "source_security_group_id";
    // The provider fills it in for every rule: until then it is unknown, whether or not somebody wrote it.
    let written =
        around.configured.filter(|all| all.has(&entry.address)).map(|all| all.sets(&entry.address, argument));
    let named = told(&values.source_security_group_id);
    if named.is_some() || written.unwrap_or(sources.named.is_empty()) {
        sources.group(argument, named, || ids_of(argument).and_then(|ids| ids.into_iter().next()));
    }
    let own = Own {
        id: &entry.address,
        description: told(&values.description),
        doubt: way.or(doubt),
        place: around.place,
    };
    let terms = Terms::new([&values.protocol, &values.from_port, &values.to_port], &marks, "protocol");
    Ok(Some(Made {
        address: entry.address.to_string(),
        style: Style::Older,
        fate: entry.fate,
        group,
        rule_id: told(&values.security_group_rule_id).map(ToOwned::to_owned),
        rules: terms.rules(sources.named, &own),
    }))
}

/// The rules of one block `ingress`.
pub(super) fn block(
    group: &str,
    entry: &Entry<'_>,
    values: &RuleValues<'_>,
    marks: &Marks,
    around: &Around<'_, '_>,
) -> Vec<Part> {
    let terms = Terms::new([&values.protocol, &values.from_port, &values.to_port], marks, "protocol");
    let mut sources = Sources { marks, named: Vec::new() };
    // All blocks are one argument: its references are those of all of them.
    let lists = || {
        let mut ids = around.configured?.ids_of(&entry.address, "ingress")?;
        ids.retain(|id| id.contains("aws_ec2_managed_prefix_list."));
        Some(Later { shared: ids.len() > 1, ids })
    };
    sources.block(values, group, lists);
    let own =
        Own { id: &entry.address, description: told(&values.description), doubt: None, place: around.place };
    terms.rules(sources.named, &own)
}

/// Whose a rule is, and why that is not for sure.
fn belongs(
    entry: &Entry<'_>,
    id: Option<&str>,
    marks: &Marks,
    around: &Around<'_, '_>,
) -> (Belongs, Option<String>) {
    let why = marks.why("security_group_id");
    if let Some(id) = id {
        return (Belongs::Id(id.to_owned()), why);
    }
    let named = around.configured.and_then(|all| all.id_of(&entry.address, "security_group_id"));
    match named {
        Some(address) => (Belongs::Address(address), None),
        None => (Belongs::Unknown, why.or_else(|| Some("`security_group_id` is not told".to_owned()))),
    }
}

/// What all rules of a resource share.
struct Own<'t> {
    id: &'t str,
    description: Option<&'t str>,
    doubt: Option<String>,
    place: Place,
}

/// Protocol and ports.
struct Terms {
    protocol: Known<Protocol>,
    ports: Known<(u16, u16)>,
    doubt: Option<String>,
    /// Both, sensitive or not.
    clear: Option<(Protocol, (u16, u16))>,
}

impl Terms {
    fn new(written: [&Option<Written<'_>>; 3], marks: &Marks, name: &str) -> Self {
        let [protocol, from, to] = written;
        let text = protocol.as_ref().map(Written::text);
        let clear = text.as_deref().and_then(Protocol::read);
        let known = match (marks.why(name), clear, text) {
            (Some(why), ..) => Known::Unknown(why),
            (None, Some(protocol), _) => Known::Is(protocol),
            (None, None, Some(text)) => {
                Known::Unknown(format!("`{name}` is `{}`", crate::plain::line(&text)))
            }
            (None, None, None) => Known::Unknown(format!("`{name}` is not told")),
        };
        let number = |port: &Option<Written<'_>>| {
            port.as_ref().and_then(Written::number).and_then(|port| u16::try_from(port).ok())
        };
        let ends = number(from).zip(number(to)).filter(|(from, to)| from <= to);
        let (ports, doubt) = match (known.value(), marks.why("from_port"), marks.why("to_port")) {
            (Some(Protocol::All | Protocol::Other), ..) => (Known::Is(ends.unwrap_or(PORTS)), None),
            (_, None, None) => {
                let why = || "its ports are no range of ports".to_owned();
                (ends.map_or_else(|| Known::Unknown(why()), Known::Is), None)
            }
            (_, Some(why), None) => (Known::Is((0, number(to).unwrap_or(u16::MAX))), Some(why)),
            (_, None, Some(why)) => (Known::Is((number(from).unwrap_or(0), u16::MAX)), Some(why)),
            (_, Some(why), Some(_)) => (Known::Unknown(why), None),
        };
        let clear = match clear {
            Some(Protocol::All) => Some((Protocol::All, PORTS)),
            Some(protocol) => ends.map(|ends| (protocol, ends)),
            None => None,
        };
        Self { protocol: known, ports, doubt, clear }
    }

    fn rules(&self, named: Vec<Named>, own: &Own<'_>) -> Vec<Part> {
        let part = |one: Named| Part {
            rule: Rule {
                id: own.id.to_owned(),
                protocol: self.protocol.clone(),
                ports: self.ports.clone(),
                source: one.source,
                description: own.description.unwrap_or_default().to_owned(),
                doubt: own.doubt.clone().or(one.doubt).or_else(|| self.doubt.clone()),
                place: own.place,
            },
            atom: self.clear.zip(one.clear).map(|((protocol, ports), source)| (protocol, ports, source)),
        };
        named.into_iter().map(part).collect()
    }
}

/// Whom a resource's rules name.
struct Sources<'m> {
    marks: &'m Marks,
    named: Vec<Named>,
}

/// Lists whose ids are not known yet.
struct Later {
    ids: Vec<String>,
    /// Whether others have some of them, and nobody can say which.
    shared: bool,
}

/// Whom one rule names.
struct Named {
    /// As far as it may be told.
    source: Known<Source>,
    /// Why that is not sure.
    doubt: Option<String>,
    /// Sensitive or not.
    clear: Option<Source>,
}

impl Sources<'_> {
    fn add(&mut self, source: Known<Source>, doubt: Option<String>, clear: Option<Source>) {
        self.named.push(Named { source, doubt, clear });
    }

    /// One prefix, of a known family.
    fn prefix(&mut self, name: &str, text: Option<&str>, family: Family) {
        let why = self.marks.why(name);
        self.prefix_or(name, text, family, why);
    }

    fn prefix_or(&mut self, name: &str, text: Option<&str>, family: Family, why: Option<String>) {
        let clear = text.and_then(|text| cidr::read(text, family)).map(Source::Prefix);
        match (why, text, clear) {
            (Some(why), _, clear) => self.add(Known::Is(Source::Prefix(everybody(family))), Some(why), clear),
            (None, _, Some(source)) => self.add(Known::Is(source.clone()), None, Some(source)),
            (None, Some(text), None) => {
                let text = crate::plain::line(text);
                self.add(
                    Known::Unknown(format!("`{name}` has `{text}`, which is no {family} prefix")),
                    None,
                    None,
                );
            }
            (None, None, None) => {}
        }
    }

    /// One prefix list; `later` is what its id will be.
    fn list(&mut self, name: &str, id: Option<&str>, later: impl Fn() -> Option<String>) {
        let why = self.marks.why(name);
        let later = if id.is_none() && why.is_some() { later() } else { None };
        match later {
            Some(address) => self.add(Known::Is(Source::PrefixList(address)), None, None),
            None => self.list_or(id, why),
        }
    }

    fn list_or(&mut self, id: Option<&str>, why: Option<String>) {
        let clear = id.map(|id| Source::PrefixList(id.to_owned()));
        let source = why.map_or_else(|| clear.clone().map(Known::Is), |why| Some(Known::Unknown(why)));
        if let Some(source) = source {
            self.add(source, None, clear);
        }
    }

    /// One group; `later` is what its id will be.
    fn group(&mut self, name: &str, id: Option<&str>, later: impl Fn() -> Option<String>) {
        let why = self.marks.why(name);
        let later = if id.is_none() && why.is_some() { later() } else { None };
        match later {
            Some(id) => self.add(Known::Is(Source::Group(GroupRef { id, elsewhere: None })), None, None),
            None => self.group_or(id, why),
        }
    }

    fn group_or(&mut self, id: Option<&str>, why: Option<String>) {
        let group = id.map(group_ref);
        let clear =
            group.as_ref().map(|group| Source::Group(GroupRef { id: group.id.clone(), elsewhere: None }));
        match (why, group) {
            (Some(why), _) => {
                let hidden = GroupRef { id: String::new(), elsewhere: Some(why.clone()) };
                self.add(Known::Is(Source::Group(hidden)), Some(why), clear);
            }
            (None, Some(group)) => self.add(Known::Is(Source::Group(group)), None, clear),
            (None, None) => {}
        }
    }

    /// All that a block `ingress` names; `later` are the lists whose ids are not known yet.
    fn block(&mut self, values: &RuleValues<'_>, own: &str, later: impl Fn() -> Option<Later>) {
        let (v4, v6) = (("cidr_blocks", Family::V4), ("ipv6_cidr_blocks", Family::V6));
        for ((name, family), texts) in [(v4, &values.cidr_blocks), (v6, &values.ipv6_cidr_blocks)] {
            self.each(name, texts, |sources, text, why| sources.prefix_or(name, text, family, why));
        }
        let name = "prefix_list_ids";
        let later = if self.marks.unknown.field(name).is_all() { later() } else { None };
        match later.filter(|later| !later.ids.is_empty()) {
            Some(later) => {
                let doubt = self.marks.why(name).filter(|_| later.shared);
                for id in later.ids {
                    self.add(Known::Is(Source::PrefixList(id)), doubt.clone(), None);
                }
            }
            None => self.each(name, &values.prefix_list_ids, Self::list_or),
        }
        self.each("security_groups", &values.security_groups, Self::group_or);
        // Whether it is there is no secret: of a set with anything sensitive all is marked.
        if values.own == Some(true) || self.marks.unknown.field("self").is_any() {
            let group = Source::Group(GroupRef { id: own.to_owned(), elsewhere: None });
            self.add(
                Known::Is(group.clone()),
                self.marks.why("self"),
                (values.own == Some(true)).then_some(group),
            );
        }
    }

    /// Takes each element of a list, with why it can't be told; once where the whole list can't.
    fn each(
        &mut self,
        name: &str,
        texts: &[Option<String>],
        mut take: impl FnMut(&mut Self, Option<&str>, Option<String>),
    ) {
        let marks = self.marks.field(name);
        if marks.unknown.is_all() {
            return take(self, None, self.marks.why(name));
        }
        for (at, text) in texts.iter().enumerate() {
            let why = if marks.unknown.item(at).is_any() {
                Some(format!("an element of `{name}` is known only after apply"))
            } else if marks.sensitive.item(at).is_any() {
                Some(format!("`{name}` is sensitive"))
            } else if text.is_none() {
                Some(format!("an element of `{name}` is not told"))
            } else {
                None
            };
            take(self, text.as_deref(), why);
        }
    }
}

/// All addresses of a family.
pub(super) fn everybody(family: Family) -> Prefix {
    let first = match family {
        Family::V4 => std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Family::V6 => std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    Prefix::covering(first, 0).unwrap_or_else(|| Prefix::single(first))
}

/// A group as rules write it: its id, with its account where that is another.
fn group_ref(text: &str) -> GroupRef {
    match text.rsplit_once('/') {
        Some((account, id)) => GroupRef {
            id: id.to_owned(),
            elsewhere: Some(format!("it belongs to account {}", crate::plain::line(account))),
        },
        None => GroupRef { id: text.to_owned(), elsewhere: None },
    }
}
