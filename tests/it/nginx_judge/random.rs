//! Random configurations: levels, lists, conditions, tables and jumps of every kind that can be decided, composed by a
//! seed. The same seed makes the same configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::judge::sources::Dice;

use super::case::Case;

/// Prefixes that overlap, touch and contain each other; some with host bits.
const PREFIXES: [&str; 13] = [
    "203.0.113.7",
    "203.0.113.0/25",
    "203.0.113.130/25",
    "203.0.113.0/24",
    "198.51.100.0/24",
    "198.51.100.8/29",
    "198.51.0.0/16",
    "20.91.170.120/29",
    "0.0.0.0/0",
    "2001:db8:7::1",
    "2001:db8:7:1::/64",
    "2001:db8:7::/48",
    "::/0",
];
const RANGES: [&str; 4] = [
    "203.0.113.0-203.0.113.99",
    "203.0.113.100-203.0.113.100",
    "198.51.100.10-198.51.101.5",
    "20.91.170.120-20.91.170.127",
];
/// Proxies that realip trusts.
const TRUSTED: &str = "192.0.2.0/24";
const PROXIES: [&str; 2] = ["192.0.2.7", "203.0.113.7"];
/// What locations match, and a shorter one that may stand around.
const LOCATIONS: [&str; 12] = [
    "= /callback",
    "/callback",
    "/callback/",
    "^~ /callback/a",
    "~ ^/callback/[ab]",
    "~* CALLBACK/A",
    "~ b$",
    "/call",
    "= /open",
    "/open",
    "/guarded",
    "~ ^/(?<first>[a-z]+)/a",
];
const NESTED: [&str; 5] = ["/callback/a/", "= /callback/b", "~ /b$", "^~ /callback/a/x", "~* ^/CALLBACK/A/X"];
const PATHS: [&str; 8] = [
    "/callback",
    "/callback/a",
    "/callback/b",
    "/callback/a/x",
    "/open",
    "/callback/b?x=1",
    "//call/../callback//a",
    "/other",
];
const CONDITIONS: [&str; 17] = [
    "$known",
    "$known = 1",
    "$known != 1",
    "$ok = yes",
    "$ok != yes",
    "$table = \"\"",
    "$remote_addr = 203.0.113.7",
    "$remote_addr != 2001:db8:7::1",
    "$request_method = POST",
    "$request_method !~ ^(GET|HEAD)$",
    "$http_x_kind = a",
    "$http_x_kind ~* ^[B-Z]",
    "$arg_x = 1",
    "$uri ~ ^/callback/(.*)$",
    "$state = 2",
    "$state != 1",
    "$kind = deep",
];
const VALUES: [&str; 5] = ["0", "1", "\"\"", "yes", "x"];
const STATE: [&str; 5] = ["1", "2", "\"\"", "$known", "$ok"];
const TARGETS: [&str; 5] = ["/open", "/guarded", "/callback/b", "/callback/a/x", "/elsewhere"];

struct Maker {
    dice: Dice,
    text: String,
    depth: usize,
    /// Whether locations may ask others; what a server says itself would answer such questions.
    asks: bool,
}

/// The configuration of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut maker = Maker { dice: Dice(seed), text: String::new(), depth: 0, asks: false };
    maker.asks = maker.chance(35);
    maker.configuration();
    let text = head(&mut maker.dice, seed) + &maker.text;
    let files = BTreeMap::from([(PathBuf::from("nginx.conf"), text.into_bytes())]);
    Case::new(&format!("random-{seed}"), files).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The questions.
fn head(dice: &mut Dice, seed: u64) -> String {
    let mut text = format!("# tries: the configuration of seed {seed}\n");
    for path in PATHS {
        let method = ["GET", "POST", "HEAD"][dice.below(3)];
        let kind = ["a", "b", "C"][dice.below(3)];
        let _ = writeln!(text, "# asks: {method} {path}\n# with: X-Kind: {kind}");
        if dice.chance(20) {
            text.push_str("# server-name: other.test\n");
        }
        if dice.chance(30) {
            let proxy = PROXIES[dice.below(2)];
            let _ = writeln!(text, "# proxy: {proxy}\n# sends: X-Forwarded-For: {{source}}");
        }
        // What such callers say of themselves is believed.
        let _ = writeln!(text, "# undetermined: {TRUSTED}");
    }
    text
}

impl Maker {
    fn chance(&mut self, percent: usize) -> bool {
        self.dice.chance(percent)
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.dice.below(of.len())]
    }

    /// Some of many, each once.
    fn some(&mut self, of: &[&'static str], most: usize) -> Vec<&'static str> {
        let mut left = of.to_vec();
        let count = self.dice.below(most + 1);
        (0..count).map(|_| left.swap_remove(self.dice.below(left.len()))).collect()
    }

    fn line(&mut self, text: &str) {
        let indent = "  ".repeat(self.depth);
        let _ = writeln!(self.text, "{indent}{text}");
    }

    fn open(&mut self, text: &str) {
        self.line(&format!("{text} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    fn configuration(&mut self) {
        self.line("events {}");
        self.open("http");
        self.line("access_log off;");
        self.tables();
        if self.chance(30) {
            self.realip();
        }
        if self.chance(20) {
            self.list();
        }
        self.server("callbacks.test");
        if self.chance(50) {
            self.server("other.test");
        }
        self.close();
    }

    /// The tables that conditions look at.
    fn tables(&mut self) {
        self.open("geo $known");
        if self.chance(25) {
            self.line("ranges;");
            let ranges = self.some(&RANGES, 4);
            // A range within an earlier one cuts it; others that overlap are refused.
            let within = ranges.contains(&RANGES[0]).then_some("203.0.113.7-203.0.113.9");
            for range in ranges.into_iter().chain(within) {
                let value = self.one(&VALUES);
                self.line(&format!("{range} {value};"));
            }
        } else {
            for prefix in self.some(&PREFIXES, 6) {
                let value = self.one(&VALUES);
                self.line(&format!("{prefix} {value};"));
            }
        }
        if self.chance(60) {
            let value = self.one(&VALUES);
            self.line(&format!("default {value};"));
        }
        self.close();
        self.open("map $known$http_x_kind $ok");
        for key in self.some(&["1a", "0b", "a", "~^1", "~*C$", "yesA", "\"\"", "x"], 5) {
            let value = self.one(&["yes", "no", "$known", "\"\""]);
            self.line(&format!("{key} {value};"));
        }
        if self.chance(60) {
            let value = self.one(&["yes", "no"]);
            self.line(&format!("default {value};"));
        }
        self.close();
        self.open("map $remote_addr $table");
        for key in self.some(&["203.0.113.7", "2001:DB8:7::1", "198.51.100.8", "2001:db8:7:0::2"], 3) {
            self.line(&format!("{key} 1;"));
        }
        self.close();
        // A variable that is set nowhere is refused.
        self.open("map $host $state");
        self.line("default \"\";");
        self.close();
        self.open("map $uri $kind");
        self.line("volatile;");
        self.line("~/a/ deep;");
        self.line("default flat;");
        self.close();
    }

    fn realip(&mut self) {
        self.line(&format!("set_real_ip_from {TRUSTED};"));
        self.line("real_ip_header X-Forwarded-For;");
        if self.chance(30) {
            self.line("real_ip_recursive on;");
        }
    }

    fn list(&mut self) {
        for prefix in self.some(&PREFIXES, 5) {
            let word = self.one(&["allow", "allow", "deny"]);
            self.line(&format!("{word} {prefix};"));
        }
        if self.chance(70) {
            let word = self.one(&["deny all;", "deny all;", "deny all;", "allow all;"]);
            self.line(word);
        }
    }

    fn server(&mut self, name: &str) {
        self.open("server");
        let listeners = [
            "listen 80;\nlisten [::]:80;",
            "listen 80;\nlisten [::]:80;",
            "listen [::]:80 ipv6only=off;",
            "listen 80;",
            "listen *:80;\nlisten [::]:80;",
        ];
        // Both servers share a socket where one takes both families.
        let listeners = if self.text.contains("ipv6only") {
            "listen [::]:80;"
        } else if self.text.contains("listen") {
            "listen 80;"
        } else {
            self.one(&listeners)
        };
        for listener in listeners.lines() {
            self.line(listener);
        }
        self.line(&format!("server_name {name};"));
        if self.chance(15) && !self.text.contains("set_real_ip_from") {
            self.realip();
        }
        if self.chance(30) {
            self.list();
        }
        if self.chance(50) {
            self.line("set $state 1;");
        }
        if !self.asks && self.chance(25) {
            self.statements(2, 30);
        }
        self.level();
        self.locations();
        self.close();
    }

    /// What is inherited besides lists.
    fn level(&mut self) {
        if self.chance(20) {
            let word = self.one(&["any", "all"]);
            self.line(&format!("satisfy {word};"));
        }
        if self.asks && self.chance(30) {
            let word = self.one(&["/auth/yes", "/auth/no", "/auth/some", "off"]);
            self.line(&format!("auth_request {word};"));
        }
        if self.chance(25) {
            let page = self.one(&[
                "= /open",
                "=200 /guarded",
                "= @first",
                "=200 @second",
                "https://elsewhere.test/",
            ]);
            let codes = self.one(&["403", "403 404", "401 403 410"]);
            self.line(&format!("error_page {codes} {page};"));
        }
        if self.chance(10) {
            self.line("recursive_error_pages on;");
        }
    }

    fn locations(&mut self) {
        for matched in self.some(&LOCATIONS, 7) {
            self.location(matched);
        }
        // Whether there are files is nothing that a configuration tells.
        self.location("/");
        // An inherited error_page would answer in their stead.
        let none = "error_page 404 /none;";
        self.line(&format!("location = /auth/yes {{ {none} return 204; }}"));
        self.line(&format!("location = /auth/no {{ {none} return 403; }}"));
        self.line(&format!(
            "location = /auth/some {{ {none} if ($known = 1) {{ return 204; }} return 401; }}"
        ));
        for name in ["@first", "@second"] {
            self.open(&format!("location {name}"));
            self.body();
            self.close();
        }
    }

    fn location(&mut self, matched: &str) {
        self.open(&format!("location {matched}"));
        self.body();
        if ["/callback", "/"].contains(&matched) {
            for nested in self.some(&NESTED, 2) {
                self.open(&format!("location {nested}"));
                self.body();
                self.close();
            }
        }
        self.close();
    }

    fn body(&mut self) {
        if self.chance(8) {
            self.line("internal;");
        }
        if self.chance(55) {
            self.list();
        }
        if self.chance(40) {
            self.statements(3, 25);
        }
        self.level();
        if self.chance(15) {
            let methods = self.one(&["GET", "POST", "GET POST"]);
            self.open(&format!("limit_except {methods}"));
            self.list();
            self.close();
        }
        self.line("proxy_pass http://127.0.0.1:9000;");
    }

    /// Statements of the rewrite module, some of them within conditions.
    fn statements(&mut self, most: usize, ends: usize) {
        for _ in 0..=self.dice.below(most) {
            if self.chance(65) {
                let condition = self.one(&CONDITIONS);
                self.open(&format!("if ({condition})"));
                self.statement(60);
                self.close();
            } else {
                self.statement(ends);
            }
        }
    }

    /// A statement, one that ends the way in so many of a hundred.
    fn statement(&mut self, ends: usize) {
        let state = self.one(&STATE);
        let target = self.one(&TARGETS);
        let text = if self.chance(ends) {
            match self.dice.below(8) {
                0 => "return 403;".to_owned(),
                1 => "return 404;".to_owned(),
                2 => "return 200 in;".to_owned(),
                3 => "return 444;".to_owned(),
                4 => "return 302 /elsewhere;".to_owned(),
                5 => format!("rewrite ^ {target} last;"),
                6 => format!("rewrite ^/callback(.*)$ {target}$1 break;"),
                _ => "break;".to_owned(),
            }
        } else {
            match self.dice.below(4) {
                0 => format!("rewrite ^/callback/(.)$ {target}/$1;"),
                _ => format!("set $state {state};"),
            }
        };
        self.line(&text);
    }
}
