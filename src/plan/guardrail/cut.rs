//! Who would be cut off by a change: asked of the rules before it, and of those that are predicted after it.
//!
//! The question is whether a *new* connection would be admitted. One that stands already mostly outlives a change, by
//! rules that let known connections through; it is the next one that fails, when nobody is there any more to mend it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use super::Guardrail;
use crate::admission::{Admission, Decider, Layer, LayerKind, Question, disposed};
use crate::plain::line;
use crate::prefix::{Family, PrefixSet, listed};
use crate::site::guardrails::{Flow, LOOPBACK};

/// Prefixes and reasons named in one message.
const NAMED_MAX: usize = 3;

/// One layer of rules, before a change and as it is predicted to be after it.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The rules that are there.
    pub before: &'a dyn Layer,
    /// The rules that would be there.
    pub after: &'a dyn Layer,
}

/// Somebody who is connected by SSH now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: IpAddr,
    /// The address of this host that it reached, after any translation.
    pub local: IpAddr,
    /// The port of this host that it reached.
    pub local_port: u16,
    /// How that is known.
    pub how: How,
}

/// How it is known that somebody is connected by SSH, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// The environment tells of the session that callgate runs in.
    SshConnection,
    /// callgate was started, over however many programs, by the SSH server that holds the connection.
    SshdAncestor,
    /// A connection to the port of the SSH server stands.
    Established,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SshConnection, Self::SshdAncestor, Self::Established];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            How::SshConnection => "ssh-connection",
            How::SshdAncestor => "sshd-ancestor",
            How::Established => "established",
        }
    }

    /// In words.
    fn words(self) -> &'static str {
        match self {
            How::SshConnection => "`SSH_CONNECTION` tells of it",
            How::SshdAncestor => "callgate runs in that session",
            How::Established => "the connection stands",
        }
    }
}

/// What would become of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It would be refused, by this rule where one is known.
    Refused(Option<Decider>),
    /// It would be admitted in some cases only, for these reasons.
    Doubtful(Vec<String>),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Refused(None) => f.write_str("would be refused"),
            Fate::Refused(Some(rule)) => write!(f, "would be refused by {}", rule.located()),
            Fate::Doubtful(why) => {
                let shown: Vec<String> = why.iter().take(NAMED_MAX).map(|why| line(why)).collect();
                write!(f, "would be admitted in some cases only: {}", shown.join("; "))
            }
        }
    }
}

/// Somebody connected by SSH who could not come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCut {
    /// Who.
    pub peer: Peer,
    /// What would become of the next connection.
    pub fate: Fate,
}

impl PeerCut {
    pub(super) fn message(&self) -> String {
        let Peer { address, local_port, how, .. } = &self.peer;
        format!("{address} is connected by SSH at port {local_port} now ({}), and {}", how.words(), self.fate)
    }
}

/// A declared flow that would not stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCut {
    /// Which.
    pub flow: Flow,
    /// Which of its callers.
    pub addresses: PrefixSet,
    /// What would become of them.
    pub fate: Fate,
    /// Whether it is this change that cuts them off.
    pub since: Since,
}

/// From when on callers are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// By this change.
    Change,
    /// They are refused already, and would stay so.
    Before,
}

impl FlowCut {
    pub(super) fn message(&self) -> String {
        let why = self.flow.why.as_deref().map(|why| format!(" ({})", line(why))).unwrap_or_default();
        let callers = listed(&self.addresses.to_prefixes(), NAMED_MAX);
        let already = match self.since {
            Since::Change => "",
            Since::Before => ", as they are now",
        };
        format!("tcp/{}{why} must stay open: {callers} {}{already}", self.flow.port, self.fate)
    }
}

/// How sure it is that a caller gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Refused,
    Doubtful,
    Admitted,
}

fn standing(answer: &Admission, caller: IpAddr) -> Standing {
    if answer.surely.contains(caller) {
        Standing::Admitted
    } else if answer.possibly.contains(caller) {
        Standing::Doubtful
    } else {
        Standing::Refused
    }
}

/// Peers who get in now and would not, or not surely, after the change.
pub fn cut_peers(sides: Sides<'_>, peers: &[Peer], at: Timestamp) -> Vec<Guardrail> {
    // A location of nginx has no say in SSH.
    if sides.after.kind() == LayerKind::Nginx {
        return Vec::new();
    }
    let mut answers = Answers { sides, at, known: HashMap::new() };
    peers.iter().filter_map(|peer| cut_peer(&mut answers, peer)).map(Guardrail::CutsPeer).collect()
}

fn cut_peer(answers: &mut Answers<'_>, peer: &Peer) -> Option<PeerCut> {
    let layer = answers.sides.after;
    let own = peer.address.is_loopback() || peer.address == peer.local;
    let mut asked = (peer.local_port, own.then(|| LOOPBACK.to_owned()), Some(peer.local));
    if standing(&answers.of(asked.clone()).0, peer.address) == Standing::Refused {
        // The peer is there all the same, so perhaps it called another address, which was translated.
        asked.2 = None;
    }
    let (before, after) = answers.of(asked);
    let caller = PrefixSet::between(peer.address, peer.address);
    (standing(after, peer.address) < standing(before, peer.address))
        .then(|| PeerCut { peer: peer.clone(), fate: fate(layer, after, &caller) })
}

/// What becomes of callers, as an answer tells that does not surely admit them.
fn fate(layer: &dyn Layer, answer: &Admission, callers: &PrefixSet) -> Fate {
    if callers.intersection(&answer.possibly).is_empty() {
        let first = callers.ranges().next().and_then(|(first, _)| answer.decided.within(first, first).next());
        return Fate::Refused(first.and_then(|one| one.rule).map(|rule| layer.describe(rule)));
    }
    let open = answer.undecided.iter().filter(|one| !one.sources.intersection(callers).is_empty());
    Fate::Doubtful(open.map(|one| one.why.clone()).collect())
}

/// Declared flows that would not be open after the change. Those that are refused already are told as well: a guard
/// over what is shut guards nothing.
pub fn cut_flows(sides: Sides<'_>, flows: &[Flow], at: Timestamp) -> Vec<Guardrail> {
    // A flow is a connection; which requests are served is another matter.
    if sides.after.kind() == LayerKind::Nginx {
        return Vec::new();
    }
    let mut answers = Answers { sides, at, known: HashMap::new() };
    flows.iter().flat_map(|flow| cut_flow(&mut answers, flow)).map(Guardrail::CutsFlow).collect()
}

fn cut_flow(answers: &mut Answers<'_>, flow: &Flow) -> Vec<FlowCut> {
    let layer = answers.sides.after;
    let (before, after) = answers.of((flow.port, flow.interface.clone(), flow.address));
    let callers = callers(flow);
    let refused = callers.difference(&after.possibly);
    let cut = refused.intersection(&before.possibly);
    let shut = refused.difference(&before.possibly);
    let doubtful =
        callers.intersection(&before.surely).intersection(&after.possibly).difference(&after.surely);
    let parts = [(cut, Since::Change), (doubtful, Since::Change), (shut, Since::Before)];
    let told = parts.into_iter().filter(|(addresses, _)| !addresses.is_empty());
    told.map(|(addresses, since)| {
        let fate = fate(layer, after, &addresses);
        FlowCut { flow: flow.clone(), addresses, fate, since }
    })
    .collect()
}

/// Who calls: not from addresses that the kernel disposes of, unless they are the host's own.
fn callers(flow: &Flow) -> PrefixSet {
    let family = flow.address.map(|address| if address.is_ipv4() { Family::V4 } else { Family::V6 });
    let from = family.map_or_else(|| flow.from.clone(), |family| flow.from.only(family));
    if flow.interface.as_deref() == Some(LOOPBACK) {
        return from;
    }
    from.difference(&disposed())
}

/// Port, interface and address: callers who have them in common ask the same.
type Asked = (u16, Option<String>, Option<IpAddr>);

/// Answers before and after a change, each question asked once.
struct Answers<'a> {
    sides: Sides<'a>,
    at: Timestamp,
    known: HashMap<Asked, (Admission, Admission)>,
}

impl Answers<'_> {
    fn of(&mut self, asked: Asked) -> &(Admission, Admission) {
        let (sides, at) = (self.sides, self.at);
        let (port, interface, address) = asked.clone();
        self.known.entry(asked).or_insert_with(|| {
            let question = Question { port, interface, addresses: address.into_iter().collect(), at };
            (sides.before.admit(&question), sides.after.admit(&question))
        })
    }
}

#[allow(clippy::arithmetic_side_effects, reason = "the model's numbers are small")]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::admission::{Listing, RuleId, Step, Wanted};
    use crate::netfilter::evaluate::Asked as AskedHost;
    use crate::netfilter::host::{Host, View};
    use crate::netfilter::nft;
    use crate::plan::guardrail::Kind;
    use crate::prefix::Prefix;

    fn host(text: &str) -> Host {
        let reading = nft::text::read_text(text, 0).unwrap();
        let listing = Listing { name: "nft.txt".to_owned(), text: text.into() };
        Host::new(vec![listing], vec![(View::NftText, reading)])
    }

    /// A table of one chain at the hook input.
    fn table(name: &str, policy: &str, rules: &str) -> String {
        format!(
            "table inet {name} {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy {policy};\n\
             {rules}\t}}\n}}\n"
        )
    }

    fn at() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn peer(address: &str, local: &str) -> Peer {
        let local = local.parse().unwrap();
        Peer { address: address.parse().unwrap(), local, local_port: 22, how: How::SshConnection }
    }

    fn flow(from: &[&str]) -> Flow {
        let from = from.iter().map(|prefix| prefix.parse::<Prefix>().unwrap()).collect();
        let why = Some("ssh of the office".to_owned());
        Flow { from, port: 22, interface: None, address: None, why, place: 0..0 }
    }

    fn peers_cut(before: &str, after: &str, peers: &[Peer]) -> Vec<Guardrail> {
        let (before, after) = (host(before), host(after));
        let (before, after) = (AskedHost::new(&before), AskedHost::new(&after));
        cut_peers(Sides { before: &before, after: &after }, peers, at())
    }

    fn flows_cut(before: &str, after: &str, flows: &[Flow]) -> Vec<Guardrail> {
        let (before, after) = (host(before), host(after));
        let (before, after) = (AskedHost::new(&before), AskedHost::new(&after));
        cut_flows(Sides { before: &before, after: &after }, flows, at())
    }

    fn messages(found: &[Guardrail]) -> Vec<String> {
        found.iter().map(Guardrail::message).collect()
    }

    const OURS: &str =
        "\t\ttcp dport 22 ip saddr 198.51.100.7 accept # handle 5\n\t\ttcp dport 22 drop # handle 6\n";

    #[test]
    fn a_peer_whom_the_new_rules_refuse_is_told_with_the_rule() {
        let before = table("filter", "accept", "");
        let after = before.clone() + &table("callgate", "accept", OURS);
        let peers = [peer("203.0.113.5", "192.0.2.1"), peer("198.51.100.7", "192.0.2.1")];
        let found = peers_cut(&before, &after, &peers);
        assert_eq!(
            messages(&found),
            [
                "203.0.113.5 is connected by SSH at port 22 now (`SSH_CONNECTION` tells of it), and would be refused by \
              rule 2 of chain `input` (table inet callgate), handle 6, nft.txt:10"
            ]
        );
        assert_eq!(found[0].kind(), Kind::CutsPeer);
        // Nothing changes for whom nothing changes.
        assert_eq!(peers_cut(&after, &after, &peers), []);
        assert_eq!(peers_cut(&after, &before, &peers), []);
    }

    #[test]
    fn a_peer_at_another_port_or_address_is_not_cut() {
        let before = table("filter", "accept", "");
        let after = table("filter", "accept", "\t\ttcp dport 443 drop\n\t\tip daddr 192.0.2.2 drop\n");
        assert_eq!(peers_cut(&before, &after, &[peer("203.0.113.5", "192.0.2.1")]), []);
        assert_eq!(peers_cut(&before, &after, &[peer("203.0.113.5", "192.0.2.2")]).len(), 1);
    }

    #[test]
    fn a_peer_who_would_be_let_in_by_luck_is_told_with_the_reason() {
        let before = table("filter", "accept", "");
        let after = table("filter", "drop", "\t\ttcp dport 22 limit rate 2/minute accept\n");
        let found = peers_cut(&before, &after, &[peer("2001:db8::5", "2001:db8::1")]);
        let [Guardrail::CutsPeer(cut)] = found.as_slice() else { panic!("{found:?}") };
        assert!(matches!(&cut.fate, Fate::Doubtful(why) if why.len() == 1), "{cut:?}");
        assert!(cut.message().contains("would be admitted in some cases only: "), "{}", cut.message());
        // It was so before, or worse.
        assert_eq!(peers_cut(&after, &after, &[peer("2001:db8::5", "2001:db8::1")]), []);
        assert_eq!(
            peers_cut(&table("filter", "drop", ""), &after, &[peer("2001:db8::5", "2001:db8::1")]),
            []
        );
    }

    #[test]
    fn a_peer_that_was_refused_already_is_not_cut_by_the_change() {
        let shut = table("filter", "drop", "");
        let after = table("filter", "drop", "\t\ttcp dport 22 drop\n");
        assert_eq!(peers_cut(&shut, &after, &[peer("203.0.113.5", "192.0.2.1")]), []);
    }

    #[test]
    fn a_peer_that_called_a_translated_address_is_asked_about_without_it() {
        // The socket knows 192.0.2.1; rules that refuse this address before the translation don't refuse the peer.
        let before = table("filter", "accept", "\t\tip daddr 192.0.2.1 tcp dport 22 drop\n");
        let after = table("filter", "drop", "");
        assert_eq!(peers_cut(&before, &after, &[peer("203.0.113.5", "192.0.2.1")]).len(), 1);
    }

    #[test]
    fn a_peer_of_the_host_itself_comes_by_the_loopback() {
        let before = table("filter", "accept", "");
        let after = table("filter", "drop", "\t\tiif \"lo\" accept\n");
        for (address, local, cut) in [
            ("127.0.0.1", "127.0.0.1", 0),
            ("::1", "::1", 0),
            ("192.0.2.1", "192.0.2.1", 0),
            ("203.0.113.5", "192.0.2.1", 1),
        ] {
            assert_eq!(peers_cut(&before, &after, &[peer(address, local)]).len(), cut, "{address}");
        }
        let shut = table("filter", "drop", "");
        assert_eq!(peers_cut(&before, &shut, &[peer("127.0.0.1", "127.0.0.1")]).len(), 1);
    }

    #[test]
    fn the_part_of_a_flow_that_is_cut_is_told() {
        let before = table("filter", "accept", "");
        let after = before.clone()
            + &table("callgate", "accept", "\t\tip saddr 10.1.0.0/16 tcp dport 22 drop # handle 7\n");
        let found = flows_cut(&before, &after, &[flow(&["10.0.0.0/8", "2001:db8::/32"])]);
        assert_eq!(
            messages(&found),
            ["tcp/22 (ssh of the office) must stay open: 10.1.0.0/16 would be refused by rule 1 of chain \
              `input` (table inet callgate), handle 7, nft.txt:9"]
        );
        let elsewhere = Flow { port: 9100, ..flow(&["10.0.0.0/8"]) };
        assert_eq!(flows_cut(&before, &after, &[elsewhere]), []);
    }

    #[test]
    fn a_flow_that_is_shut_already_is_told_all_the_same() {
        let shut = table("filter", "drop", "");
        let found = flows_cut(&shut, &shut, &[flow(&["10.0.0.0/8"])]);
        let [Guardrail::CutsFlow(cut)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(cut.since, Since::Before);
        assert!(cut.message().ends_with("nft.txt:2, as they are now"), "{}", cut.message());
    }

    #[test]
    fn everybody_does_not_mean_addresses_that_never_call() {
        let open = table("filter", "accept", "\t\tip saddr 127.0.0.0/8 iif != \"lo\" drop\n");
        assert_eq!(flows_cut(&open, &open, &[flow(&["0.0.0.0/0", "::/0"])]), []);
        let own = Flow { interface: Some("lo".to_owned()), ..flow(&["127.0.0.0/8"]) };
        assert_eq!(flows_cut(&open, &open, std::slice::from_ref(&own)), []);
        let shut = table("filter", "drop", "\t\tip saddr != 127.0.0.0/8 accept\n");
        assert_eq!(flows_cut(&open, &shut, &[own]).len(), 1);
    }

    #[test]
    fn a_flow_to_an_address_is_asked_of_its_family_only() {
        let before = table("filter", "accept", "");
        let after = table("filter", "accept", "\t\tmeta nfproto ipv6 drop\n");
        let address = "192.0.2.1".parse().ok();
        let narrow = Flow { address, ..flow(&["10.0.0.0/8", "2001:db8::/32"]) };
        assert_eq!(flows_cut(&before, &after, &[narrow]), []);
        assert_eq!(flows_cut(&before, &after, &[flow(&["10.0.0.0/8", "2001:db8::/32"])]).len(), 1);
    }

    /// A layer that says that it is nginx, and that admits nobody.
    struct Web;

    impl Layer for Web {
        fn kind(&self) -> LayerKind {
            LayerKind::Nginx
        }
        fn listings(&self) -> &[Listing] {
            &[]
        }
        fn admit(&self, _: &Question) -> Admission {
            Admission::default()
        }
        fn trace(&self, _: &Question, _: IpAddr) -> (Admission, Vec<Step>) {
            (Admission::default(), Vec::new())
        }
        fn describe(&self, _: RuleId) -> Decider {
            Decider::default()
        }
        fn mend(&self, _: RuleId, _: &PrefixSet, _: u16, _: Wanted) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_location_of_nginx_is_not_asked() {
        let sides = Sides { before: &Web, after: &Web };
        assert_eq!(cut_peers(sides, &[peer("203.0.113.5", "192.0.2.1")], at()), []);
        assert_eq!(cut_flows(sides, &[flow(&["10.0.0.0/8"])], at()), []);
    }

    /// What a rule of a made-up chain does with which of 16 addresses.
    type MadeUp = (u8, u8, u8);

    /// Rules over 10.0.0.0/28: accept, drop, or accept now and then.
    fn chain(rules: &[MadeUp]) -> String {
        let rule = |(first, bits, does): &MadeUp| {
            let length = 28 + bits;
            let first = first & (0xf0_u8 >> bits);
            let does = ["accept", "drop", "limit rate 2/minute accept"][usize::from(*does)];
            format!("\t\tip saddr 10.0.0.{first}/{length} tcp dport 22 {does}\n")
        };
        table("filter", "drop", &rules.iter().map(rule).collect::<String>())
    }

    /// The first rule that decides, as a person would say it.
    fn naive(rules: &[MadeUp], caller: u8) -> Standing {
        let mut sure = true;
        for (first, bits, does) in rules {
            let mask = 0xf0_u8 >> bits;
            if (first & mask) != (caller & mask) {
                continue;
            }
            match (does, sure) {
                (0, _) => return Standing::Admitted,
                (1, true) => return Standing::Refused,
                (1, false) => return Standing::Doubtful,
                _ => sure = false,
            }
        }
        if sure { Standing::Refused } else { Standing::Doubtful }
    }

    fn rules() -> impl Strategy<Value = Vec<MadeUp>> {
        prop::collection::vec((0_u8..16, 0_u8..=4, 0_u8..3), 0..6)
    }

    proptest! {
        #[test]
        fn who_is_cut_is_who_stands_worse_than_before(before in rules(), after in rules()) {
            let (old, new) = (chain(&before), chain(&after));
            let (old, new) = (host(&old), host(&new));
            let (old, new) = (AskedHost::new(&old), AskedHost::new(&new));
            let sides = Sides { before: &old, after: &new };
            let address = |caller: u8| IpAddr::from([10, 0, 0, caller]);
            let peers: Vec<Peer> = (0..16).map(|caller| peer(&address(caller).to_string(), "192.0.2.1")).collect();
            let told = cut_peers(sides, &peers, at());
            let flows = cut_flows(sides, &[flow(&["10.0.0.0/28"])], at());
            for caller in 0..16 {
                let (was, is) = (naive(&before, caller), naive(&after, caller));
                let told = told.iter().any(|one|
                    matches!(one, Guardrail::CutsPeer(cut) if cut.peer.address == address(caller)));
                prop_assert_eq!(told, is < was, "{} {:?} {:?}", caller, was, is);
                let mut of_flow = flows.iter().filter_map(|one| match one {
                    Guardrail::CutsFlow(cut) if cut.addresses.contains(address(caller)) => Some(cut),
                    _ => None,
                });
                let cut = of_flow.next();
                prop_assert!(of_flow.next().is_none(), "told twice");
                // Who is refused is told in any case; who is in doubt only where he was not before.
                prop_assert_eq!(cut.is_some(), is == Standing::Refused || is < was);
                if let Some(cut) = cut {
                    prop_assert_eq!(matches!(cut.fate, Fate::Refused(_)), is == Standing::Refused);
                    prop_assert_eq!(cut.since == Since::Before, was == Standing::Refused);
                    prop_assert!(!matches!(&cut.fate, Fate::Doubtful(why) if why.is_empty()));
                }
            }
        }
    }
}
