//! Random tables of nft.

use std::fmt::Write as _;

use super::{Maker, V4, V4_RANGES, V4_SINGLE, V6};

/// Names that hooks have for a chain's interfaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Through,
    Out,
    /// A chain that other chains call.
    Called,
}

/// Which family a rule is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    V4,
    V6,
    Both,
}

/// Where a rule stands, and what it may name.
#[derive(Clone, Copy)]
struct Spot {
    /// The table's family.
    family: &'static str,
    way: Way,
    about: About,
    /// Whether TCP's own fields are named.
    tcp: bool,
}

/// Base chains: hook, type, way, and a priority that no other chain has.
const BASES: [(&str, &str, Way, &str); 13] = [
    ("prerouting", "filter", Way::In, "raw - 7"),
    ("prerouting", "filter", Way::In, "-190"),
    ("prerouting", "filter", Way::In, "mangle - 3"),
    ("prerouting", "filter", Way::In, "dstnat + 5"),
    ("input", "filter", Way::In, "mangle + 5"),
    ("input", "filter", Way::In, "filter - 5"),
    ("input", "filter", Way::In, "filter + 3"),
    ("input", "filter", Way::In, "security + 7"),
    ("forward", "filter", Way::Through, "filter - 3"),
    ("output", "filter", Way::Out, "raw - 7"),
    ("output", "filter", Way::Out, "filter + 5"),
    ("output", "route", Way::Out, "mangle + 3"),
    ("postrouting", "filter", Way::Out, "srcnat + 7"),
];

const CHAINS: [&str; 4] = ["c1", "c2", "c3", "c4"];

/// What rules ask of a connection.
const STATES: [&str; 10] = [
    "ct state new",
    "ct state new,established",
    "ct state established",
    "ct state established,related",
    "ct state != new",
    "ct state invalid",
    "ct state { new, established }",
    "ct state untracked",
    "ct direction original",
    "ct state != invalid",
];

impl Maker {
    /// One or two tables.
    pub(super) fn nft(&mut self) -> String {
        let mut text = String::new();
        let mut bases: Vec<usize> = (0..BASES.len()).collect();
        let count = 1 + self.dice.below(2);
        for number in 0..count {
            let family = if self.chance(75) { "inet" } else { self.one(&["ip", "ip6"]) };
            self.table(&mut text, &format!("t{number}"), family, &mut bases);
        }
        if self.chance(6) {
            let rule = self.rule("netdev", Way::In, &[]);
            let _ = write!(
                text,
                "table netdev early {{\n\tchain i {{\n\t\ttype filter hook ingress device \"up0\" priority 0; policy accept;\n\t\t{rule}\n\t}}\n}}\n"
            );
        }
        text
    }

    fn table(&mut self, text: &mut String, name: &str, family: &'static str, bases: &mut Vec<usize>) {
        let mut chains: Vec<String> = Vec::new();
        for (place, chain) in CHAINS.iter().enumerate() {
            let count = self.dice.below(4);
            let rules = self.rules(family, Way::Called, count, &CHAINS[place + 1..]);
            chains.push(format!("\tchain {chain} {{\n{rules}\t}}\n"));
        }
        let count = 1 + self.dice.below(3);
        for number in 0..count {
            let base = bases.swap_remove(self.dice.below(bases.len()));
            // Most hosts guard at input.
            let base = if number == 0 && bases.contains(&5) && self.chance(70) {
                bases.retain(|other| *other != 5);
                bases.push(base);
                5
            } else {
                base
            };
            chains.push(self.base(family, number, base));
        }
        if self.chance(20) && self.translators == 0 {
            chains.push(self.nat(family));
        }
        for place in (1..chains.len()).rev() {
            let other = self.dice.below(place + 1);
            chains.swap(place, other);
        }
        let dormant = if self.chance(5) { "\tflags dormant\n" } else { "" };
        let _ = write!(
            text,
            "table {family} {name} {{\n{dormant}{}{}}}\n",
            self.named_sets(family),
            chains.concat()
        );
    }

    fn base(&mut self, family: &'static str, number: usize, base: usize) -> String {
        let (hook, kind, way, priority) = BASES[base];
        // The order of equal priorities is nowhere to be seen.
        let equal = hook == "input" && self.chance(5);
        self.fuzzy |= equal;
        let priority = if equal { "filter" } else { priority };
        // What refuses by policy takes established packets first, or else nobody ever gets in.
        let refusing = hook == "input" && self.chance(60) || self.chance(4);
        let policy = if refusing { "drop" } else { "accept" };
        let established = if refusing && self.chance(85) {
            self.one(&[
                "\t\tct state established,related accept\n",
                "\t\tct state vmap { established : accept, related : accept, invalid : drop }\n",
                "\t\tct state established accept\n",
            ])
        } else {
            ""
        };
        let count = 1 + self.dice.below(6);
        let mut rules = self.rules(family, way, count, &CHAINS);
        if priority.starts_with("raw") && self.chance(30) {
            let ports = if way == Way::Out { "tcp sport 443" } else { "tcp dport 443" };
            let from = if family == "ip6" { "" } else { self.one(&["", "ip saddr 91.132.170.0/24 "]) };
            let _ = writeln!(rules, "\t\t{from}{ports} notrack");
        }
        if way == Way::In && self.chance(60) {
            let last = match (family, refusing) {
                ("ip6", true) => {
                    self.one(&["ip6 saddr @s6 accept", "ip6 saddr 2000::/3 tcp dport 443 accept"])
                }
                ("ip6", false) => "ip6 saddr != @s6 drop",
                (_, true) => {
                    self.one(&["ip saddr @s4 accept", "ip saddr 0.0.0.0/1 tcp dport { 443, 8443 } accept"])
                }
                (_, false) => self.one(&["ip saddr != @s4 drop", "ip saddr @h4 tcp dport 443 drop", ""]),
            };
            let _ = writeln!(rules, "\t\t{last}");
        }
        format!(
            "\tchain b{number} {{\n\t\ttype {kind} hook {hook} priority {priority}; policy {policy};\n{established}{rules}\t}}\n"
        )
    }

    fn nat(&mut self, family: &'static str) -> String {
        self.translators += 1;
        let mut rules = String::new();
        for _ in 0..=self.dice.below(3) {
            let six = family == "ip6" || family == "inet" && self.chance(30);
            let about = if six { About::V6 } else { About::V4 };
            let matches = self.conditions(Spot { family, way: Way::In, about, tcp: true }, 2);
            let to = match (family, six) {
                ("inet", false) => "tcp dport 443 dnat ip to 172.17.0.2:8443",
                ("inet", true) => "tcp dport 443 dnat ip6 to [fd00:17::2]:8443",
                (_, false) => "tcp dport 443 dnat to 172.17.0.2:8443",
                (_, true) => "tcp dport 443 dnat to [fd00:17::2]:8443",
            };
            // What comes back from a container passes chains that ask for the port called: the caller's own then.
            self.fuzzy = true;
            let to = match self.dice.below(6) {
                0 | 1 => "tcp dport 443 redirect to :8443",
                2 => "accept",
                3 => "return",
                _ => to,
            };
            let _ = writeln!(rules, "\t\t{matches}{to}");
        }
        // Something that translates, so that the chain is run at all.
        rules.push_str("\t\ttcp dport 9443 redirect to :443\n");
        format!(
            "\tchain n {{\n\t\ttype nat hook prerouting priority dstnat - 5; policy accept;\n{rules}\t}}\n"
        )
    }

    fn named_sets(&mut self, family: &str) -> String {
        let mut text = String::new();
        if family != "ip6" {
            let mut listed = self.some(&V4, 4);
            listed.extend(self.some(&V4_RANGES, 2));
            let elements = listed.join(", ");
            let _ = write!(
                text,
                "\tset s4 {{\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n\t\telements = {{ {elements} }}\n\t}}\n"
            );
            let single = self.some(&V4_SINGLE, 4).join(", ");
            let _ = write!(text, "\tset h4 {{\n\t\ttype ipv4_addr\n\t\telements = {{ {single} }}\n\t}}\n");
            let mut pairs = Vec::new();
            for address in self.some(&V4_SINGLE, 4) {
                pairs.push(format!("{address} . {}", self.one(&["443", "80", "8443", "400-500"])));
            }
            let pairs = pairs.join(", ");
            let _ = write!(
                text,
                "\tset p4 {{\n\t\ttype ipv4_addr . inet_service\n\t\tflags interval\n\t\telements = {{ {pairs} }}\n\t}}\n"
            );
            text.push_str("\tset none4 {\n\t\ttype ipv4_addr\n\t}\n");
            let mut marks = Vec::new();
            for address in self.some(&V4_SINGLE, 4) {
                marks.push(format!("{address} : {}", self.one(&["0x1", "0x2", "0x3"])));
            }
            let marks = marks.join(", ");
            let _ =
                write!(text, "\tmap m4 {{\n\t\ttype ipv4_addr : mark\n\t\telements = {{ {marks} }}\n\t}}\n");
        }
        if family != "ip" {
            let elements = self.some(&V6, 3).join(", ");
            let _ = write!(
                text,
                "\tset s6 {{\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\tauto-merge\n\t\telements = {{ {elements} }}\n\t}}\n"
            );
        }
        text
    }

    fn rules(&mut self, family: &'static str, way: Way, count: usize, below: &[&'static str]) -> String {
        let mut text = String::new();
        for _ in 0..count {
            let rule = self.rule(family, way, below);
            let _ = writeln!(text, "\t\t{rule}");
        }
        text
    }

    /// One rule: matches, perhaps a statement, perhaps a verdict.
    fn rule(&mut self, family: &'static str, way: Way, below: &[&'static str]) -> String {
        let about = match family {
            "ip" => About::V4,
            "ip6" => About::V6,
            _ => [About::V4, About::V4, About::V4, About::V6, About::Both][self.dice.below(5)],
        };
        let spot = Spot { family, way, about, tcp: self.chance(85) };
        let matches = self.conditions(spot, 3);
        let statement = if family != "netdev" && self.chance(25) { self.statement(spot) } else { "" };
        // Without a condition a verdict would end the chain for everybody.
        let verdict = if matches.is_empty() && !self.chance(8) {
            self.call(spot, below)
        } else {
            self.verdict(spot, below)
        };
        let rule = format!("{matches}{statement}{verdict}");
        if rule.trim().is_empty() { "counter".into() } else { rule }
    }

    fn call(&mut self, spot: Spot, below: &[&'static str]) -> String {
        if below.is_empty() || spot.way == Way::Out {
            return String::new();
        }
        format!("jump {}", self.one(below))
    }

    fn statement(&mut self, spot: Spot) -> &'static str {
        let four = spot.about == About::V4 && spot.family != "ip6";
        let map = if four { "meta mark set ip saddr map @m4 " } else { "meta mark set 0x4 " };
        self.one(&[
            "counter ",
            "meta mark set 0x1 ",
            "meta mark set 0x2 ",
            "meta mark set meta mark or 0x2 ",
            "meta mark set meta mark and 0xfffffffe ",
            "meta mark set meta mark xor 0x3 ",
            "ct mark set meta mark ",
            "meta mark set ct mark ",
            "ct mark set 0x1 ",
            map,
        ])
    }

    fn verdict(&mut self, spot: Spot, below: &[&'static str]) -> String {
        let by_map = if spot.way == Way::Out {
            "meta mark vmap { 0x1 : accept, 0x2 : drop }"
        } else if spot.about != About::V4 || spot.family == "netdev" || !spot.tcp {
            "accept"
        } else {
            self.one(&[
                "ip saddr vmap { 91.132.170.0/24 : accept, 20.91.170.120/29 : drop }",
                "ip saddr vmap { 91.132.170.1 : drop, 51.21.39.192 : accept, 20.91.170.120 : return }",
                "ip saddr vmap { 91.132.170.0/24 : accept, * : continue }",
                "ip saddr . tcp dport vmap { 91.132.170.1 . 443 : accept, 20.91.170.127 . 443 : drop }",
                "tcp dport vmap { 80 : drop, 443 : accept }",
                "meta mark vmap { 0x1 : accept, 0x2 : drop }",
                "jump { ip saddr 91.132.170.0/25 accept; ip saddr 20.91.170.120 drop; }",
            ])
        };
        let rejects = matches!(spot.way, Way::In | Way::Through) && spot.family != "netdev";
        // Called from both ways, a chain asks the caller's own port on one of them.
        let calls = spot.way != Way::Out && !below.is_empty();
        match self.dice.below(20) {
            0..=7 => "accept".into(),
            8..=10 => "drop".into(),
            11 if rejects => "reject".into(),
            12..=14 if calls => format!("jump {}", self.one(below)),
            15 if calls => format!("goto {}", self.one(below)),
            16 => "return".into(),
            17 | 18 => by_map.into(),
            _ => String::new(),
        }
    }

    fn conditions(&mut self, spot: Spot, most: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.dice.below(most + 1) {
            let condition = match self.dice.below(10) {
                0..=4 => self.address(spot),
                5 | 6 => self.port(spot),
                _ => self.other(spot),
            };
            let _ = write!(text, "{condition} ");
        }
        text
    }

    /// The caller's address: the source on its way in, the destination on the way out.
    fn address(&mut self, spot: Spot) -> String {
        let field = if spot.way == Way::Out { "daddr" } else { "saddr" };
        let not = if self.chance(20) { "!= " } else { "" };
        let sets = spot.family != "netdev";
        match spot.about {
            About::Both => "meta l4proto tcp".into(),
            About::V6 => {
                let value = match self.dice.below(3) {
                    0 if sets => "@s6".to_owned(),
                    1 => {
                        let listed = self.some(&["2a10:a200::1", "2001:4860::8888", "fd12::/16"], 3);
                        format!("{{ {} }}", listed.join(", "))
                    }
                    _ => self.one(&V6).to_owned(),
                };
                format!("ip6 {field} {not}{value}")
            }
            About::V4 => {
                let value = match self.dice.below(8) {
                    0 | 1 if sets => self.one(&["@s4", "@h4", "@none4", "@s4"]).to_owned(),
                    2 if sets && spot.tcp && spot.way != Way::Out => {
                        return format!("ip {field} . tcp dport {not}@p4");
                    }
                    3 => format!("{{ {} }}", self.some(&V4_SINGLE, 5).join(", ")),
                    4 => self.one(&V4_RANGES).to_owned(),
                    5 => {
                        let mask = self
                            .one(&["& 255.255.255.248 == 20.91.170.120", "& 255.0.255.255 == 91.0.170.1"]);
                        return format!("ip {field} {mask}");
                    }
                    _ => self.one(&V4).to_owned(),
                };
                format!("ip {field} {not}{value}")
            }
        }
    }

    fn port(&mut self, spot: Spot) -> String {
        let value = self.one(&[
            "443",
            "443",
            "{ 80, 443 }",
            "400-500",
            "!= 443",
            "80",
            "!= { 22, 80 }",
            "> 442",
            "8443",
        ]);
        let side = if spot.way == Way::Out { "sport" } else { "dport" };
        if spot.tcp && spot.way != Way::Out && self.chance(6) {
            let from = self.one(&["443", "1024-65535", "0-1023"]);
            return self.unknown(&format!("tcp sport {from}"));
        }
        let protocol = if spot.tcp {
            "tcp"
        } else {
            self.one(&["meta l4proto tcp th", "meta l4proto { tcp, udp } th", "meta l4proto != udp th"])
        };
        format!("{protocol} {side} {value}")
    }

    fn other(&mut self, spot: Spot) -> String {
        if spot.family == "netdev" {
            return "meta l4proto tcp".into();
        }
        let interface = match spot.way {
            Way::In | Way::Through => {
                self.one(&["iifname \"up0\"", "iifname != \"up1\"", "iifname \"up*\"", "iif \"lo\""])
            }
            Way::Out => self.one(&["oifname \"up0\"", "oifname != \"lo\"", "oifname \"docker0\""]),
            Way::Called => "meta l4proto tcp",
        };
        match self.dice.below(12) {
            0..=3 => self.one(&STATES).into(),
            4 => self
                .one(&[
                    "meta mark 0x1",
                    "meta mark 0x2",
                    "meta mark != 0x0",
                    "meta mark & 0x1 == 0x1",
                    "ct mark 0x1",
                    "ct mark != 0x1",
                ])
                .into(),
            5 if spot.tcp && spot.way == Way::In && self.chance(50) => {
                "meta l4proto tcp ct original proto-dst 443".into()
            }
            6 if self.chance(25) => self
                .one(&[
                    "meta time > \"2024-01-01 00:00:00\"",
                    "meta time < \"2024-01-01 00:00:00\"",
                    "fib saddr type != local",
                ])
                .into(),
            6 if spot.family == "inet" => match spot.about {
                About::V4 => "meta nfproto ipv4".into(),
                About::V6 => "meta nfproto ipv6".into(),
                About::Both => self.one(&["meta nfproto ipv4", "meta nfproto ipv6"]).into(),
            },
            7 if spot.tcp => self
                .one(&[
                    "tcp flags & (fin|syn|rst|ack) == syn",
                    "tcp flags syn",
                    "tcp flags & ack == ack",
                    "tcp flags & (syn|ack) != 0",
                ])
                .into(),
            8 if spot.way == Way::In => "fib daddr type local".into(),
            9 if self.chance(30) => {
                let text = self.one(&[
                    "limit rate 5/second",
                    "meta length 40-60",
                    "numgen random mod 2 0",
                    "meta random > 5",
                ]);
                self.unknown(text)
            }
            10 if spot.about == About::V4 && matches!(spot.way, Way::In | Way::Through) => self
                .one(&["ip daddr 20.0.0.1", "ip daddr != 20.0.1.1", "ip daddr { 20.0.0.1, 172.17.0.2 }"])
                .into(),
            _ => interface.into(),
        }
    }
}
