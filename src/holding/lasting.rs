//! What outlives a reboot: files from which the host loads our places anew when it starts.
//!
//! A file is ours whole, or it is somebody else's in which some lines are ours. The first is replaced; of the second, our
//! lines alone are, out of what the file holds when it is written. What the kernel holds is never saved: in it are other
//! people's rules, which they make anew by themselves.

mod saved;
mod unit;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Content, Holding, Place};
use crate::nginx::Glob;
use crate::prefix::Family;

/// What stands in every file that is ours whole.
const MARK: &str = "callgate";
/// Chains of iptables that are there whether a file declares them or not.
const BUILT_IN: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];
/// The file that the service of nftables loads.
const NFTABLES_CONF: &str = "/etc/nftables.conf";

/// By what means rules outlive a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A file that the one of the nftables service includes.
    NftablesD,
    /// Lines in the files of iptables-persistent.
    IptablesPersistent,
    /// A systemd unit of our own, and the files that it loads.
    Unit,
}

/// A file, and what of it is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lasting {
    /// The target whose rules it loads.
    pub target: String,
    /// Where it is.
    pub path: PathBuf,
    /// What of it is ours.
    pub part: Part,
}

/// What of a file is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum Part {
    /// All of it.
    Whole {
        /// Its text.
        text: String,
        /// The file that has to include it, where it is of no use otherwise.
        included_by: Option<PathBuf>,
    },
    /// Our chains and the jump to them, in a file of the form of `iptables-save`.
    Rules {
        /// Our place.
        place: Holding,
        /// What it holds.
        text: String,
    },
    /// An ipset, in a file of the form of `ipset save`.
    Set {
        /// Its name.
        name: String,
        /// What it holds.
        text: String,
    },
    /// It is a link.
    Link {
        /// Where it leads.
        to: PathBuf,
    },
}

/// Why a file can't do what it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// What is there is somebody else's.
    #[error("`{0}` holds what callgate has not written")]
    Foreign(String),
    /// It is not there.
    #[error("`{0}` is not there, so nothing loads rules from it when the host starts")]
    Missing(String),
    /// It has no end.
    #[error("table filter has no end in `{0}`")]
    CutShort(String),
    /// The chain that jumps to ours is not in it.
    #[error("`{path}` has no chain {chain}, into which the jump belongs")]
    NoParent {
        /// The file.
        path: String,
        /// The chain.
        chain: String,
    },
    /// Nothing includes it.
    #[error("no `include` of `{main}` names `{path}`, so nothing loads it when the host starts")]
    NotIncluded {
        /// The file.
        path: String,
        /// The file that should include it.
        main: String,
    },
    /// It is included, and flushed.
    #[error("`{main}` includes `{path}` before its `flush ruleset`, which takes it away again")]
    Flushed {
        /// The file.
        path: String,
        /// The file that includes it.
        main: String,
    },
}

impl Unfit {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            Unfit::Foreign(path) => format!("move it away (`mv {path} {path}.old`), then apply again"),
            Unfit::Missing(_) => {
                "install what loads it (`apt-get install iptables-persistent`, for sets `ipset-persistent` too), or set `persist: unit`"
                    .to_owned()
            }
            Unfit::CutShort(_) => "mend it: each table ends with a line `COMMIT`".to_owned(),
            Unfit::NoParent { .. } => {
                "set `persist: unit`: its unit makes the chain where nobody else has".to_owned()
            }
            Unfit::NotIncluded { path, main } => format!(
                "add this line at the end of `{main}`, after `flush ruleset` and after the table that it adds to: include \"{path}\""
            ),
            Unfit::Flushed { main, .. } => format!("move the `include` to the end of `{main}`"),
        }
    }
}

/// The files from which a target's places are loaded when the host starts, in the order in which they are written.
pub fn files(target: &str, means: Means, held: &[(Holding, Content)]) -> Vec<Lasting> {
    if means == Means::Unit {
        return unit::files(target, held);
    }
    let parts = held.iter().filter_map(|(holding, content)| {
        let text = content.as_deref()?;
        match means {
            Means::NftablesD => included(target, holding, text),
            Means::IptablesPersistent => saved(holding, text),
            Means::Unit => None,
        }
    });
    parts.map(|(path, part)| Lasting { target: target.to_owned(), path, part }).collect()
}

/// Whether a line of an nft file, its comment gone, includes a path.
fn includes(line: &str, folder: &Path, path: &str) -> bool {
    let Some(named) = line.strip_prefix("include") else { return false };
    let pattern = folder.join(named.trim().trim_matches(['"', '\''])).display().to_string();
    pattern == path || Glob::new(&pattern).is_some_and(|glob| glob.matches(path))
}

fn included(target: &str, holding: &Holding, text: &str) -> Option<(PathBuf, Part)> {
    let Place::Nft(place) = holding.place() else { return None };
    let text = format!(
        "# Written by callgate for target {target}; {NFTABLES_CONF} has to include it, after `flush ruleset`.\n{}",
        place.anew_after_flush(text)
    );
    let path = PathBuf::from(format!("/etc/nftables.d/callgate-{target}.nft"));
    Some((path, Part::Whole { text, included_by: Some(NFTABLES_CONF.into()) }))
}

fn saved(holding: &Holding, text: &str) -> Option<(PathBuf, Part)> {
    let text = text.to_owned();
    match holding {
        Holding::Iptables { family, .. } => {
            let path = match family {
                Family::V4 => "/etc/iptables/rules.v4",
                Family::V6 => "/etc/iptables/rules.v6",
            };
            Some((path.into(), Part::Rules { place: holding.clone(), text }))
        }
        Holding::Ipset { name } => {
            Some(("/etc/iptables/ipsets".into(), Part::Set { name: name.clone(), text }))
        }
        Holding::NftTable { .. }
        | Holding::NftChain { .. }
        | Holding::NginxFile { .. }
        | Holding::AwsGroup { .. }
        | Holding::AwsPrefixList { .. } => None,
    }
}

impl Lasting {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The file's text as it should be, out of what it is; `None` where it is as it should be. A link has no text.
    pub fn edited(&self, have: Option<&str>) -> Result<Option<String>, Unfit> {
        match &self.part {
            Part::Whole { text, .. } => match have {
                Some(have) if have == text => Ok(None),
                Some(have) if !have.contains(MARK) && !have.trim().is_empty() => {
                    Err(Unfit::Foreign(self.shown()))
                }
                _ => Ok(Some(text.clone())),
            },
            Part::Rules { place, text } => {
                let have = have.ok_or_else(|| Unfit::Missing(self.shown()))?;
                let Place::Iptables(place) = place.place() else { return Ok(None) };
                saved::rules(have, place, text).map_err(|fault| match fault {
                    saved::Fault::NoEnd => Unfit::CutShort(self.shown()),
                    saved::Fault::NoParent => {
                        Unfit::NoParent { path: self.shown(), chain: place.parent.to_owned() }
                    }
                })
            }
            Part::Set { name, text } => {
                Ok(saved::set(have.ok_or_else(|| Unfit::Missing(self.shown()))?, name, text))
            }
            Part::Link { .. } => Ok(None),
        }
    }

    /// The file that has to include this one.
    pub fn included_by(&self) -> Option<&Path> {
        match &self.part {
            Part::Whole { included_by, .. } => included_by.as_deref(),
            Part::Rules { .. } | Part::Set { .. } | Part::Link { .. } => None,
        }
    }

    /// Whether that file, with this text, includes this one where it stays loaded.
    pub fn is_reached(&self, main: &Path, text: &str) -> Result<(), Unfit> {
        let (path, shown) = (self.shown(), main.display().to_string());
        let folder = main.parent().unwrap_or(Path::new("/"));
        let (mut included, mut flushed) = (None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim().trim_end_matches(';').trim_end();
            if line.split_whitespace().eq(["flush", "ruleset"]) {
                flushed = Some(number);
            } else if includes(line, folder, &path) {
                included = Some(number);
            }
        }
        match included {
            None => Err(Unfit::NotIncluded { path, main: shown }),
            Some(at) if flushed.is_some_and(|flushed| at < flushed) => {
                Err(Unfit::Flushed { path, main: shown })
            }
            Some(_) => Ok(()),
        }
    }

    /// What is done to it, in words.
    pub fn does(&self) -> String {
        let path = self.shown();
        match &self.part {
            Part::Whole { .. } => format!("write {path}"),
            Part::Rules { place, .. } => format!("replace the lines of {place} in {path}"),
            Part::Set { name, .. } => format!("replace the lines of ipset {name} in {path}"),
            Part::Link { to } => format!("make {path} a link to {}", to.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "table inet callgate {\n\tset callbacks_v4 {\n\t\ttype ipv4_addr\n\t}\n}\n";

    fn table() -> Vec<(Holding, Content)> {
        vec![(Holding::NftTable { table: "callgate".to_owned() }, Some(TABLE.into()))]
    }

    fn permit(jump: super::super::Jump) -> Vec<(Holding, Content)> {
        let holding = Holding::NftChain {
            family: "inet".to_owned(),
            table: "filter".to_owned(),
            parent: "input".to_owned(),
            jump,
        };
        let text = "table inet filter {\n\tset callgate_v4 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n\tchain callgate {\n\
            \t\tip saddr @callgate_v4 tcp dport 443 accept\n\t}\n\tchain input {\n\t\tjump callgate\n\t}\n}\n";
        vec![(holding, Some(text.into()))]
    }

    fn whole(file: &Lasting) -> &str {
        match &file.part {
            Part::Whole { text, .. } => text,
            Part::Rules { .. } | Part::Set { .. } | Part::Link { .. } => "",
        }
    }

    #[test]
    fn a_file_of_ours_is_written_over_nothing_and_over_itself_only() {
        let file = files("edge", Means::NftablesD, &table()).remove(0);
        assert_eq!(file.path, Path::new("/etc/nftables.d/callgate-edge.nft"));
        let text = file.edited(None).unwrap().unwrap();
        assert!(
            text.contains("add table inet callgate\ndelete table inet callgate\ntable inet callgate {"),
            "{text}"
        );
        assert_eq!(file.edited(Some(&text)).unwrap(), None);
        assert_eq!(file.edited(Some("# by callgate, long ago\n")).unwrap().as_ref(), Some(&text));
        assert_eq!(file.edited(Some("")).unwrap(), Some(text));
        let error = file.edited(Some("table ip mine { }\n")).unwrap_err();
        assert!(
            matches!(error, Unfit::Foreign(_)) && error.help().contains("mv /etc/nftables.d/"),
            "{error}"
        );
    }

    #[test]
    fn the_jump_of_a_chain_is_put_in_after_a_flush_and_asked_for_by_a_unit() {
        let ours = super::super::Jump::Ours;
        let included = files("host", Means::NftablesD, &permit(ours));
        let text = whole(&included[0]);
        assert!(text.contains("\nadd table inet filter\nadd chain inet filter input\n"), "{text}");
        assert!(text.ends_with("\ninsert rule inet filter input jump callgate\n"), "{text}");
        let unit = files("host", Means::Unit, &permit(ours));
        assert!(!whole(&unit[0]).contains("jump callgate") && !whole(&unit[0]).contains("add table"));
        let service = whole(&unit[1]);
        assert!(service.contains(
            "bytes [0-9]+ )?jump callgate\" || nft insert rule inet filter input jump callgate'\n"
        ));
        let theirs = files("host", Means::Unit, &permit(super::super::Jump::Theirs));
        assert!(!whole(&theirs[1]).contains("/bin/sh"), "{}", whole(&theirs[1]));
    }

    #[test]
    fn a_unit_comes_after_its_files_and_before_its_link() {
        let unit = files("edge", Means::Unit, &table());
        let paths: Vec<String> = unit.iter().map(Lasting::shown).collect();
        assert_eq!(
            paths,
            [
                "/etc/callgate/persist/edge.nft",
                "/etc/systemd/system/callgate-rules-edge.service",
                "/etc/systemd/system/multi-user.target.wants/callgate-rules-edge.service"
            ]
        );
        assert!(whole(&unit[1]).contains("\nExecStart=nft -f /etc/callgate/persist/edge.nft\n"));
        assert_eq!(unit[2].part, Part::Link { to: unit[1].path.clone() });
    }

    #[test]
    fn an_include_counts_where_it_is_not_flushed_afterwards() {
        let file = files("edge", Means::NftablesD, &table()).remove(0);
        let reached = |text: &str| file.is_reached(Path::new(NFTABLES_CONF), text);
        for sound in [
            "flush ruleset\ninclude \"/etc/nftables.d/callgate-edge.nft\"\n",
            "flush ruleset;\n\tinclude \"/etc/nftables.d/*.nft\"; # all\n",
            "include 'nftables.d/callgate-*.nft'\n",
        ] {
            assert_eq!(reached(sound), Ok(()), "{sound}");
        }
        for none in [
            "",
            "# include \"/etc/nftables.d/*.nft\"\n",
            "include \"/etc/nftables.d/*.conf\"\n",
            "include \"/etc/nftables/callgate-edge.nft\"",
        ] {
            let error = reached(none).unwrap_err();
            assert!(error.help().ends_with("include \"/etc/nftables.d/callgate-edge.nft\""), "{none}");
        }
        let early = "include \"/etc/nftables.d/*.nft\"\nflush ruleset\n";
        assert!(matches!(reached(early), Err(Unfit::Flushed { .. })));
    }
}
