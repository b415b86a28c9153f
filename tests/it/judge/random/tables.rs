//! Random tables of iptables, and the sets they ask.

use std::fmt::Write as _;

use super::{Maker, V4, V4_RANGES, V4_SINGLE, V6};

/// Sets that rules ask, with the directions that make sense for them.
pub(super) const SETS: [&str; 8] = [
    "addresses src",
    "networks src",
    "networks src",
    "addressports src,dst",
    "networkports src,dst",
    "all src",
    "ports dst",
    "addresses dst",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Tables with their chains.
const TABLES: [(&str, &[&str]); 5] = [
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ("security", &["INPUT", "FORWARD", "OUTPUT"]),
];

const CHAINS: [&str; 3] = ["zeta", "Alpha-1", "beta"];

/// Where a rule stands.
#[derive(Clone, Copy)]
struct Spot {
    family: Family,
    table: &'static str,
    chain: &'static str,
    sets: &'static [&'static str],
}

impl Spot {
    fn is_out(self) -> bool {
        matches!(self.chain, "OUTPUT" | "POSTROUTING")
    }
}

impl Maker {
    /// A file for `iptables-restore`, or for `ip6tables-restore`.
    pub(super) fn iptables(&mut self, family: Family, sets: &[&'static str]) -> String {
        let sets: &'static [&'static str] = if sets.is_empty() { &[] } else { &SETS };
        let mut text = String::new();
        for (table, chains) in TABLES {
            let wanted = match table {
                "filter" => 95,
                "nat" => 25,
                "mangle" => 30,
                _ => 15,
            };
            if self.chance(wanted) {
                self.table_of_iptables(&mut text, family, table, chains, sets);
            }
        }
        if text.is_empty() { "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n".into() } else { text }
    }

    fn table_of_iptables(
        &mut self,
        text: &mut String,
        family: Family,
        table: &'static str,
        chains: &'static [&'static str],
        sets: &'static [&'static str],
    ) {
        let mut rules = String::new();
        let mut heads = String::new();
        if table == "nat" {
            self.translators += 1;
        }
        for chain in chains {
            let likely = if *chain == "INPUT" { 60 } else { 8 };
            let refusing = table == "filter" && self.chance(likely) || table != "nat" && self.chance(4);
            let policy = if refusing { "DROP" } else { "ACCEPT" };
            let _ = writeln!(heads, ":{chain} {policy} [0:0]");
            if refusing && self.chance(85) {
                let state = self.one(&[
                    "-m conntrack --ctstate RELATED,ESTABLISHED",
                    "-m state --state ESTABLISHED",
                    "-m conntrack --ctstate ESTABLISHED",
                ]);
                let _ = writeln!(rules, "-A {chain} {state} -j ACCEPT");
            }
            let busy = match (table, *chain) {
                ("nat" | "mangle" | "raw", "PREROUTING") => 3,
                ("filter", "INPUT") => 6,
                ("nat", _) => 0,
                ("filter", "FORWARD") | (_, "INPUT") => 2,
                _ => 1,
            };
            for _ in 0..self.dice.below(busy + 1) {
                let rule = self.rule_of_iptables(Spot { family, table, chain, sets }, &CHAINS);
                let _ = writeln!(rules, "-A {chain} {rule}");
            }
        }
        if table == "filter" && self.chance(60) {
            let listed = if family == Family::V4 { "0.0.0.0/1" } else { "2000::/4" };
            let end =
                self.one(&["-p tcp --dport 443 -j ACCEPT", "-j ACCEPT", "-p tcp --dport 8443 -j ACCEPT"]);
            let _ = writeln!(rules, "-A INPUT -s {listed} {end}");
        }
        for (place, chain) in CHAINS.iter().enumerate() {
            let _ = writeln!(heads, ":{chain} - [0:0]");
            for _ in 0..self.dice.below(4) {
                let spot = Spot { family, table, chain: "-", sets };
                let rule = self.rule_of_iptables(spot, &CHAINS[place + 1..]);
                let _ = writeln!(rules, "-A {chain} {rule}");
            }
        }
        let _ = write!(text, "*{table}\n{heads}{rules}COMMIT\n");
    }

    fn rule_of_iptables(&mut self, spot: Spot, below: &[&'static str]) -> String {
        let mut text = String::new();
        let interface = match spot.chain {
            "PREROUTING" | "INPUT" => self.one(&["-i up0 ", "! -i up1 ", "-i up+ ", "-i lo "]),
            "OUTPUT" | "POSTROUTING" => self.one(&["-o up0 ", "! -o lo "]),
            "FORWARD" => self.one(&["-i up0 -o docker0 ", "! -i docker0 ", "-o docker0 "]),
            _ => "",
        };
        if self.chance(12) {
            text.push_str(interface);
        }
        if self.chance(55) {
            text.push_str(&self.address_of_iptables(spot));
        }
        if self.chance(60) {
            text.push_str(&self.port_of_iptables(spot));
        }
        if self.chance(35) {
            text.push_str(&self.other_of_iptables(spot));
        }
        if text.contains("-p tcp") && self.chance(8) {
            text.push_str("-m conntrack --ctorigdstport 443 ");
        }
        let target = self.target(spot, text.contains("-p tcp").then_some("tcp"), below);
        text.push_str(&target);
        text
    }

    fn address_of_iptables(&mut self, spot: Spot) -> String {
        let not = if self.chance(20) { "! " } else { "" };
        let field = if spot.is_out() { "-d" } else { "-s" };
        if spot.family == Family::V6 {
            return format!("{not}{field} {} ", self.one(&V6));
        }
        match self.dice.below(6) {
            0 => {
                let range = self.one(&V4_RANGES);
                format!("-m iprange {not}--{}-range {range} ", if spot.is_out() { "dst" } else { "src" })
            }
            1 => format!(
                "{not}{field} {} ",
                self.one(&["91.0.170.1/255.0.255.255", "20.91.170.120/255.255.255.249"])
            ),
            _ => format!("{not}{field} {} ", self.one(&V4)),
        }
    }

    fn port_of_iptables(&mut self, spot: Spot) -> String {
        if spot.is_out() {
            return self
                .one(&["-p tcp --sport 443 ", "-p tcp ", "-p tcp -m multiport --sports 80,443 "])
                .into();
        }
        if self.chance(5) {
            return self.unknown("-p tcp --sport 443 ");
        }
        self.one(&[
            "-p tcp --dport 443 ",
            "-p tcp -m tcp --dport 443 ",
            "-p tcp --dport 400:500 ",
            "-p tcp ! --dport 22 ",
            "-p tcp --dport 80 ",
            "-p tcp -m multiport --dports 80,443,8443 ",
            "-p tcp -m multiport ! --dports 22,25 ",
            "-p tcp -m multiport --dports 22,400:450 ",
            "-p tcp --dport 8443 ",
            "-p tcp ",
            "-p tcp --tcp-flags FIN,SYN,RST,ACK SYN ",
        ])
        .into()
    }

    fn other_of_iptables(&mut self, spot: Spot) -> String {
        let state = self.one(&[
            "-m conntrack --ctstate NEW ",
            "-m conntrack --ctstate ESTABLISHED ",
            "-m conntrack ! --ctstate NEW ",
            "-m conntrack --ctstate INVALID ",
            "-m state --state NEW,ESTABLISHED ",
            "-m conntrack --ctstate NEW,UNTRACKED ",
            "-m conntrack --ctdir ORIGINAL ",
            "-m time --datestart 2024-01-01T00:00:00 --datestop 2037-01-01T00:00:00 ",
            "-m time --datestop 2024-01-01T00:00:00 ",
        ]);
        match self.dice.below(10) {
            0..=2 => state.into(),
            3 => self
                .one(&[
                    "-m mark --mark 0x1 ",
                    "-m mark --mark 0x1/0x3 ",
                    "-m mark ! --mark 0x0 ",
                    "-m connmark --mark 0x1 ",
                ])
                .into(),
            4 => self.one(&["-m comment --comment \"a -j DROP\" ", "-m comment --comment plain "]).into(),
            5 if self.chance(30) => {
                let text = self.one(&[
                    "-m limit --limit 5/sec ",
                    "-m statistic --mode random --probability 0.5 ",
                    "-m length --length 40:60 ",
                ]);
                self.unknown(text)
            }
            6 if !spot.is_out() && spot.chain != "-" && spot.chain != "FORWARD" => {
                self.one(&["-m addrtype --dst-type LOCAL ", "-m addrtype ! --dst-type LOCAL "]).into()
            }
            _ if !spot.is_out() && !spot.sets.is_empty() => {
                let not = if self.chance(20) { "! " } else { "" };
                format!("-m set {not}--match-set {} ", self.one(spot.sets))
            }
            _ => state.into(),
        }
    }

    fn target(&mut self, spot: Spot, protocol: Option<&str>, below: &[&'static str]) -> String {
        let special: &[&'static str] = match (spot.table, spot.chain) {
            ("nat", "PREROUTING") if protocol.is_some() && spot.family == Family::V4 => &[
                "-j REDIRECT --to-ports 8443",
                "-j DNAT --to-destination 172.17.0.2:8443",
                "-j DNAT --to-destination 20.0.1.1:9443",
            ],
            ("nat", "PREROUTING") if protocol.is_some() => &["-j REDIRECT --to-ports 8443"],
            ("mangle", _) => &[
                "-j MARK --set-mark 0x1",
                "-j MARK --set-xmark 0x2/0x3",
                "-j MARK --or-mark 0x1",
                "-j CONNMARK --save-mark",
                "-j CONNMARK --restore-mark",
                "-j MARK --and-mark 0x2",
            ],
            ("raw", "PREROUTING" | "OUTPUT") => &["-j CT --notrack"],
            ("filter", "INPUT" | "FORWARD" | "OUTPUT") => &["-j REJECT", "-j LOG --log-prefix \"x: \"", ""],
            _ => &[""],
        };
        match self.dice.below(20) {
            0..=6 => "-j ACCEPT".into(),
            // A drop in nat is refused by the tools.
            7..=10 if spot.table != "nat" => "-j DROP".into(),
            // Called from both ways, a chain asks the caller's own port on one of them.
            11..=13 if !below.is_empty() && !spot.is_out() => format!("-j {}", self.one(below)),
            14 if !below.is_empty() && !spot.is_out() => format!("-g {}", self.one(below)),
            15 | 16 => "-j RETURN".into(),
            _ => {
                let target = self.one(special);
                // What comes back from a container passes chains that ask for the port called: the caller's own then.
                self.fuzzy |= target.contains("172.17");
                target.into()
            }
        }
    }

    /// A file for `ipset restore`, with a set of each kind.
    pub(super) fn sets(&mut self) -> String {
        let mut text = String::from("create addresses hash:ip family inet");
        text.push_str(self.one(&["\n", " netmask 24\n", " timeout 7200\n"]));
        for address in self.some(&V4_SINGLE, 4) {
            let _ = writeln!(text, "add addresses {address}");
        }
        text.push_str("create networks hash:net family inet\n");
        for network in self.some(&V4[..9], 6) {
            let hole = if self.chance(25) { " nomatch" } else { "" };
            let _ = writeln!(text, "add networks {network}{hole}");
        }
        text.push_str("create addressports hash:ip,port family inet\n");
        for address in self.some(&V4_SINGLE, 4) {
            let port = self.one(&["tcp:443", "tcp:400-450", "udp:443", "tcp:80"]);
            let _ = writeln!(text, "add addressports {address},{port}");
        }
        text.push_str("create networkports hash:net,port family inet\n");
        for network in self.some(&V4[..9], 4) {
            let port = self.one(&["tcp:443", "udp:443", "tcp:443", "tcp:8443"]);
            let hole = if self.chance(15) { " nomatch" } else { "" };
            let _ = writeln!(text, "add networkports {network},{port}{hole}");
        }
        text.push_str("create ports bitmap:port range 0-1024\nadd ports 443\nadd ports 80\n");
        text.push_str("create all list:set size 4\nadd all addresses\nadd all networks\n");
        text
    }
}
