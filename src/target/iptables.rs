//! iptables and ip6tables: input for `iptables-restore --noflush`, with a chain of its own for each family,
//! and optionally sets for `ipset restore`.
//!
//! Both families are always rendered: a family without prefixes gets a chain that admits nobody.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::comment::{Comments, ascii_word, header};
use super::template::Templates;
use super::{
    Artifact, ArtifactFile, Common, Jump, Mode, RenderError, Target, TargetKind, contents, kind_word,
};
use crate::admission::{Decider, FindingKind, LayerKind, Listing};
use crate::allowlist::Allowlist;
use crate::diagnostic::Code;
use crate::holding::ipset::Wanted;
use crate::holding::lasting::{self, Lasting, Means};
use crate::holding::{Holding, Listed, Want};
use crate::prefix::Family;
use crate::site::Service;
use crate::yaml::decode::{At, Decoder, choices, record};

/// The kernel's default for `maxelem` of a hash set.
const SET_ENTRIES_DEFAULT: usize = 65_536;

kind_word!(Kind, "iptables");

choices! {
    /// The built-in or foreign chain that packets come from.
    pub(crate) enum Parent {
        /// Packets to the host itself.
        Input = "INPUT",
        /// Packets to published container ports.
        DockerUser = "DOCKER-USER",
    }
}

choices! {
    /// How addresses are matched.
    pub(crate) enum Matching {
        /// A rule a prefix.
        Rules = "rules",
        /// One rule and an ipset a family.
        Ipset = "ipset",
    }
}

choices! {
    /// What keeps the rules that were applied over a reboot.
    pub(crate) enum Persist {
        /// Nothing does.
        None = "none",
        /// The files of iptables-persistent.
        IptablesPersistent = "iptables-persistent",
        /// A systemd unit of their own.
        Unit = "unit",
    }
}

record! {
    /// iptables-restore input.
    pub(crate) struct RawSettings {
        /// `iptables`
        #[schemars(required)]
        kind: required Kind,
        /// `exclusive` where it is left out.
        mode: optional Mode,
        /// Whether neighbouring prefixes are joined; `false` where it is left out.
        aggregate: optional bool,
        /// The chain that jumps to ours; `INPUT` where it is left out.
        parent: optional Parent,
        /// Our chain; `CALLGATE` where it is left out.
        chain: optional At<String>,
        /// Whether the files insert the jump; `insert` where it is left out.
        jump: optional Jump,
        /// How addresses are matched; `rules` where it is left out.
        matching: optional Matching,
        /// What keeps the rules that `callgate apply` put in force over a reboot; `none` where it is left out.
        persist: optional Persist,
    }
}

/// The iptables target.
#[derive(Debug)]
pub(super) struct Iptables {
    common: Common,
    parent: Parent,
    chain: String,
    jump: Jump,
    matching: Matching,
    persist: Persist,
}

impl Iptables {
    pub(super) fn new(name: String, raw: RawSettings, decoder: &mut Decoder<'_>) -> Self {
        let common = Common::new(name, TargetKind::Iptables, raw.mode, raw.aggregate);
        let chain = raw.chain.map_or_else(|| "CALLGATE".to_owned(), |chain| checked_chain(&chain, decoder));
        Self {
            common,
            parent: raw.parent.unwrap_or(Parent::Input),
            chain,
            jump: raw.jump.unwrap_or(Jump::Insert),
            matching: raw.matching.unwrap_or(Matching::Rules),
            persist: raw.persist.unwrap_or(Persist::None),
        }
    }

    fn set_name(&self, family: Family) -> String {
        format!("{}-{}", self.chain.to_lowercase(), family.as_str())
    }

    fn rules(
        &self,
        allowlist: &Allowlist,
        family: Family,
        templates: &Templates,
    ) -> Result<String, RenderError> {
        let consequence = match self.common.mode {
            Mode::Exclusive => {
                format!("everyone else is dropped at {}, shoppers too", allowlist.service.ports_words())
            }
            Mode::Permit => "everyone else is left to your own rules".to_owned(),
        };
        let mut header = header(allowlist, TargetKind::Iptables, self.common.mode, &consequence);
        let tool = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        // Writing into a String can't fail.
        let _ = writeln!(header, "# Load with: {tool} --noflush FILE");
        let closing = match self.common.mode {
            Mode::Exclusive => format!("-A {}-ALLOW -j DROP\n", self.chain),
            Mode::Permit => String::new(),
        };
        let jump = match self.jump {
            Jump::None => String::new(),
            Jump::Insert => format!(
                "# The first load only: leave this line out of later ones, or the jump is there twice, which is harmless.\n\
                 -I {} -j {}\n",
                self.parent, self.chain
            ),
        };
        let values = vec![
            ("header", header.into()),
            ("chain", self.chain.as_str().into()),
            ("dispatch", self.dispatch(&allowlist.service, family).into()),
            ("entries", self.entries(allowlist, family).into()),
            ("closing", closing.into()),
            ("jump", jump.into()),
        ];
        Ok(templates.render(TargetKind::Iptables, "rules", values)?)
    }

    /// Rules that send packets to the service on to the list; everything else returns.
    fn dispatch(&self, service: &Service, family: Family) -> String {
        let chain = &self.chain;
        let mut text = String::new();
        let interface =
            service.interface.as_ref().map_or_else(String::new, |interface| format!(" -i {interface}"));
        let address = service.addresses.iter().find(|address| address.is_ipv4() == (family == Family::V4));
        for port in &service.ports {
            // Writing into a String can't fail.
            let _ = match self.parent {
                Parent::Input => {
                    let address = address.map_or_else(String::new, |address| format!(" -d {address}"));
                    writeln!(
                        text,
                        "-A {chain}{address}{interface} -p tcp -m tcp --dport {port} -j {chain}-ALLOW"
                    )
                }
                // After translation the port is the container's: the one that was called is in the connection,
                // and only packets in its original direction come from the caller.
                Parent::DockerUser => {
                    let address =
                        address.map_or_else(String::new, |address| format!(" --ctorigdst {address}"));
                    writeln!(
                        text,
                        "-A {chain}{interface} -p tcp -m conntrack{address} --ctorigdstport {port} --ctdir ORIGINAL -j {chain}-ALLOW"
                    )
                }
            };
        }
        text
    }

    fn entries(&self, allowlist: &Allowlist, family: Family) -> String {
        let chain = &self.chain;
        if self.matching == Matching::Ipset {
            return format!("-A {chain}-ALLOW -m set --match-set {} src -j ACCEPT\n", self.set_name(family));
        }
        let comments = Comments::new(allowlist, ascii_word);
        let entries = allowlist.family(family);
        let mut text = String::with_capacity(entries.len() * 110);
        for entry in entries {
            let comment = comments.of(entry);
            let _ = writeln!(
                text,
                "-A {chain}-ALLOW -s {} -m comment --comment \"{}\" -j ACCEPT",
                entry.prefix,
                cut(&comment)
            );
        }
        text
    }

    /// Both sets, each filled beside the one in use and then swapped in.
    fn sets(&self, allowlist: &Allowlist, templates: &Templates) -> Result<String, RenderError> {
        let mut header =
            header(allowlist, TargetKind::Iptables, self.common.mode, "the sets that the rules name");
        header.push_str("# Load before the rules with: ipset -exist restore -file FILE\n");
        let comments = Comments::new(allowlist, ascii_word);
        let text: String =
            Family::ALL.into_iter().map(|family| self.set(allowlist, family, &comments)).collect();
        let values = vec![("header", header.into()), ("entries", text.into())];
        Ok(templates.render(TargetKind::Iptables, "ipset", values)?)
    }

    fn set(&self, allowlist: &Allowlist, family: Family, comments: &Comments) -> String {
        let (set, entries) = (self.set_name(family), allowlist.family(family));
        let kind = set_kind(entries.len(), family);
        let mut text = String::with_capacity(200 + entries.len() * 48);
        // Writing into a String can't fail.
        let _ = write!(text, "create {set} {kind}\ncreate {set}-new {kind}\nflush {set}-new\n");
        let mut said = String::new();
        for entry in entries {
            let comment = comments.of(entry);
            if comment != said {
                let _ = writeln!(text, "# {comment}");
                said = comment.into_owned();
            }
            let _ = writeln!(text, "add {set}-new {}", entry.prefix.short());
        }
        let _ = writeln!(text, "swap {set} {set}-new\ndestroy {set}-new");
        text
    }
}

/// A set's type, with room for so many entries.
fn set_kind(entries: usize, family: Family) -> String {
    let word = match family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let room = entries.next_power_of_two().max(SET_ENTRIES_DEFAULT);
    format!("hash:net family {word} maxelem {room}")
}

/// The kernel keeps 255 bytes of a comment.
fn cut(comment: &str) -> &str {
    comment.get(..250).unwrap_or(comment)
}

fn checked_chain(chain: &At<String>, decoder: &mut Decoder<'_>) -> String {
    // 28 characters are what the kernel takes; `-ALLOW` is added to it, and `-v4-new` to the sets.
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    let name = &chain.value;
    let reserved = ["INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING", "DOCKER-USER", "DOCKER"];
    let sound =
        name.len() <= 20 && name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(plain);
    if !sound || reserved.contains(&name.as_str()) {
        let message = format!("`{}` is no name for a chain of our own", name.escape_debug());
        decoder.fault(
            Code::InvalidValue,
            &chain.span,
            message,
            "upper-case letters, digits, `-`, `_`, at most 20; not a built-in chain",
        );
    }
    name.clone()
}

/// A template of the user's may have turned the chain into something else.
fn no_chain(chain: &str) -> RenderError {
    RenderError::Cannot {
        what: format!("what the template gives has no chain {chain} in table filter"),
        help: "keep the lines of templates/iptables/rules.tera that declare the chains".to_owned(),
    }
}

impl Target for Iptables {
    fn common(&self) -> &Common {
        &self.common
    }

    fn layer(&self) -> LayerKind {
        LayerKind::Host
    }

    fn expects(&self, found: FindingKind) -> bool {
        // Connections that are forwarded are what it is for there.
        self.parent == Parent::DockerUser && found == FindingKind::ForwardedPort
    }

    fn owns(&self, rule: &Decider) -> bool {
        let chain = rule.facts.get("chain").and_then(|found| found.strip_prefix(self.chain.as_str()));
        rule.facts.get("table").is_some_and(|table| table == "filter")
            && chain.is_some_and(|rest| rest.is_empty() || rest == "-ALLOW")
    }

    fn deployed(&self, listing: &Listing) -> Option<String> {
        let ours = [format!("-A {} ", self.chain), format!("-A {}-ALLOW ", self.chain)];
        let lines = listing.text.lines().filter(|line| ours.iter().any(|start| line.starts_with(start)));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        (!text.is_empty()).then_some(text)
    }

    fn file_for<'a>(&self, listing: &Listing, artifact: &'a Artifact) -> Option<&'a ArtifactFile> {
        let family = if listing.text.contains("# Generated by ip6tables") { "v6" } else { "v4" };
        let file = artifact.files.iter().find(|file| file.path.contains(family));
        file.or(artifact.files.first())
    }

    fn holdings<'a>(
        &self,
        allowlist: &'a Allowlist,
        templates: &Templates,
    ) -> Result<Vec<(Holding, Want<'a>)>, RenderError> {
        let allowlist = self.common.formed(allowlist);
        let mut all = Vec::with_capacity(4);
        if self.matching == Matching::Ipset {
            for family in Family::ALL {
                let entries = match &allowlist {
                    Cow::Borrowed(allowlist) => Cow::Borrowed(allowlist.family(family)),
                    Cow::Owned(allowlist) => Cow::Owned(allowlist.family(family).to_vec()),
                };
                let (name, kind) = (self.set_name(family), set_kind(entries.len(), family));
                let holding = Holding::Ipset { name: name.clone() };
                all.push((holding, Want::Ipset(Wanted { name, kind, entries })));
            }
        }
        for family in Family::ALL {
            let (parent, chain) = (self.parent.as_str(), self.chain.as_str());
            let text = self.rules(&allowlist, family, templates)?;
            let text =
                text.replace(&format!("\n-I {parent} -j {chain}\n"), &format!("\n-A {parent} -j {chain}\n"));
            let jump = self.jump.owner();
            let holding =
                Holding::Iptables { family, chain: chain.to_owned(), parent: parent.to_owned(), jump };
            let text = Some(text.into());
            let content = holding.own(&match family {
                Family::V4 => Listed { iptables: text, ..Listed::default() },
                Family::V6 => Listed { ip6tables: text, ..Listed::default() },
            });
            all.push((holding, Some(content.ok_or_else(|| no_chain(chain))?).into()));
        }
        Ok(all)
    }

    fn lasting(&self, held: &[(Holding, Want<'_>)]) -> Vec<Lasting> {
        let means = match self.persist {
            Persist::None => return Vec::new(),
            Persist::IptablesPersistent => Means::IptablesPersistent,
            Persist::Unit => Means::Unit,
        };
        lasting::files(&self.common.name, means, &contents(held))
    }

    fn write(&self, allowlist: &Allowlist, templates: &Templates) -> Result<Artifact, RenderError> {
        let name = &self.common.name;
        let mut files = Vec::with_capacity(3);
        if self.matching == Matching::Ipset {
            files
                .push(ArtifactFile { path: format!("{name}.ipset"), text: self.sets(allowlist, templates)? });
        }
        for family in Family::ALL {
            let text = self.rules(allowlist, family, templates)?;
            files.push(ArtifactFile { path: format!("{name}.{}.rules", family.as_str()), text });
        }
        Ok(Artifact { files, findings: Vec::new(), quotas: Vec::new() })
    }
}
