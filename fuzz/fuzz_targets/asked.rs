//! What every reading must stand: the question, whose answer keeps its law.

use callgate::admission::Question;
use callgate::netfilter::evaluate::Asked;
use callgate::netfilter::host::{Host, View};
use callgate::netfilter::{Listing, Reading};

pub fn ask(text: &str, view: View, reading: Reading) {
    let listing = Listing { name: "fuzz".to_owned(), text: text.into() };
    let host = Host::new(vec![listing], vec![(view, reading)]);
    let asked = Asked::new(&host);
    let question =
        Question { port: 443, interface: None, addresses: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH, links: None };
    let answer = asked.admit(&question);
    assert!(answer.possibly.covers(&answer.surely));
    for one in answer.decided.iter().filter_map(|one| one.rule) {
        assert!(!asked.describe(&host, one).title.is_empty());
    }
}

