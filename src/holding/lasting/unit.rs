//! A systemd unit of our own: at each start of the host it loads files of ours, before there is a network. Started once
//! more, it changes nothing.

use std::path::{Path, PathBuf};

use super::super::{Content, Holding, Jump, Place, ipset, iptables, nft};
use super::{BUILT_IN, Lasting, Part};
use crate::prefix::Family;

const FILES: &str = "/etc/callgate/persist";
const UNITS: &str = "/etc/systemd/system";
/// What may stand before a rule that nft lists.
const COUNTED: &str = "[[:space:]]*(counter packets [0-9]+ bytes [0-9]+ )?";

/// Files of a unit, and the commands that load them.
#[derive(Debug, Default)]
struct Loads {
    files: Vec<(String, String)>,
    commands: Vec<String>,
}

impl Loads {
    fn file(&mut self, name: String, text: String, command: &str) {
        self.commands.push(format!("{command} {FILES}/{name}"));
        self.files.push((name, text));
    }

    /// Does something unless a question says that it is done. The words are names that were checked: nothing in them means
    /// anything to a shell or to systemd.
    fn unless(&mut self, question: &str, command: &str) {
        self.commands.push(format!("/bin/sh -c '{question} || {command}'"));
    }

    fn nft(&mut self, target: &str, place: nft::Place<'_>, text: &str) {
        self.file(format!("{target}.nft"), place.anew(text), "nft -f");
        if let Some((parent, Jump::Ours)) = place.parent {
            let chain = format!("{} {} {parent}", place.family, place.table);
            self.unless(
                &format!("nft list chain {chain} | grep -qxE \"{COUNTED}jump {}\"", nft::CHAIN),
                &format!("nft insert rule {chain} jump {}", nft::CHAIN),
            );
        }
    }

    fn iptables(&mut self, target: &str, place: iptables::Place<'_>, text: &str) {
        let tool = match place.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let (chain, parent) = (place.chain, place.parent);
        let name = format!("{target}.{}.rules", place.family.as_str());
        let parts = place.parts(text);
        let text = format!("*filter\n{}{}COMMIT\n", parts.declared, parts.rules);
        self.file(name, text, &format!("{tool}-restore -w 10 --noflush"));
        if place.jump == Jump::Theirs {
            return;
        }
        if !BUILT_IN.contains(&parent) {
            self.unless(
                &format!("{tool} -w 10 -n -L {parent} >/dev/null 2>&1"),
                &format!("{tool} -w 10 -N {parent}"),
            );
        }
        self.unless(
            &format!("{tool} -w 10 -C {parent} -j {chain} 2>/dev/null"),
            &format!("{tool} -w 10 -I {parent} 1 -j {chain}"),
        );
    }

    fn text(&self, target: &str) -> String {
        let commands: String =
            self.commands.iter().flat_map(|command| ["ExecStart=", command, "\n"]).collect();
        format!(
            "# Written by callgate for target {target}. At each start of the host it loads what was last applied and kept.\n\
             [Unit]\n\
             Description=callgate: the rules of target {target}\n\
             DefaultDependencies=no\n\
             Conflicts=shutdown.target\n\
             Wants=network-pre.target\n\
             # What others load comes first: some of them flush all rules.\n\
             After=local-fs.target nftables.service netfilter-persistent.service iptables.service ip6tables.service\n\
             After=ipset.service ufw.service firewalld.service\n\
             Before=network-pre.target callgate-pending.service shutdown.target\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             {commands}\n\
             [Install]\n\
             WantedBy=multi-user.target\n"
        )
    }
}

/// The files, the unit, and the link that has it started; in this order, so that it never starts without its files.
pub(super) fn files(target: &str, held: &[(Holding, Content)]) -> Vec<Lasting> {
    let mut loads = Loads::default();
    for (holding, content) in held {
        let Some(text) = content else { continue };
        match holding.place() {
            Place::Nft(place) => loads.nft(target, place, text),
            Place::Iptables(place) => loads.iptables(target, place, text),
            Place::Ipset(name) => {
                let (input, _) = ipset::commands(name, &None, content);
                loads.file(format!("{target}.{name}.ipset"), input, "ipset -exist restore -file");
            }
            Place::File | Place::Aws(_) => {}
        }
    }
    let whole = |path: PathBuf, text: String| Lasting {
        target: target.to_owned(),
        path,
        part: Part::Whole { text, included_by: None },
    };
    let name = format!("callgate-rules-{target}.service");
    let unit = Path::new(UNITS).join(&name);
    let text = loads.text(target);
    let header = format!("# Written by callgate for target {target}; {name} loads it.\n");
    let files = loads.files.into_iter();
    let mut all: Vec<Lasting> =
        files.map(|(name, text)| whole(Path::new(FILES).join(name), header.clone() + &text)).collect();
    all.push(whole(unit.clone(), text));
    all.push(Lasting {
        target: target.to_owned(),
        path: Path::new(UNITS).join("multi-user.target.wants").join(&name),
        part: Part::Link { to: unit },
    });
    all
}
