//! Translations of nft's text: `dnat ip to 10.0.0.5-10.0.0.9:80`, `redirect to :tcp dport map { 80 : 8080 }`.

use std::borrow::Cow;

use super::expression::Parser;
use super::lexer::Token;
use super::{Expr, Form, NatKind, NatTree, ReadError, Statement, word};

impl<'a> Parser<'a> {
    /// What follows the word that names the translation, up to the end of the rule: it ends there.
    pub(super) fn nat(&mut self, first: &str) -> Result<Statement<'a>, ReadError> {
        let kind = match first {
            "dnat" => NatKind::Destination,
            "redirect" => NatKind::Redirect,
            _ => NatKind::Source,
        };
        let mut tree = NatTree { kind, family: None, addresses: None, ports: None, form: Form::Known };
        if let Token::Word(family @ ("ip" | "ip6")) = self.lexer.peek() {
            self.lexer.take();
            tree.family = Some(Cow::Borrowed(family));
        }
        let prefix = self.lexer.took_word("prefix");
        while ["interval", "addr", ".", "port"].into_iter().any(|word| self.lexer.took_word(word)) {}
        if self.lexer.took_word("to") {
            self.nat_target(&mut tree)?;
        }
        if prefix && !matches!(tree.addresses, Some(Expr::Word(_))) {
            tree.form = Form::Unknown;
        }
        self.nat_flags();
        if let Token::Word("comment") = self.lexer.peek() {
            self.lexer.take();
            self.lexer.take_text();
        }
        if !self.lexer.take_rest()?.is_empty() {
            tree.form = Form::Unknown;
        }
        Ok(Statement::Nat(tree))
    }

    fn nat_flags(&mut self) {
        loop {
            let known = ["flags", "random", "fully-random", "persistent", "netmap"];
            let found =
                known.into_iter().any(|flag| self.lexer.took_word(flag)) || self.lexer.took_mark(b',');
            if !found {
                return;
            }
        }
    }

    fn nat_target(&mut self, tree: &mut NatTree<'a>) -> Result<(), ReadError> {
        let text = match self.lexer.peek() {
            Token::Word(text) if text.starts_with(':') && !text.starts_with("::") => {
                return self.nat_port(tree);
            }
            Token::Word(text) => text,
            Token::Quoted(_) | Token::Compare(_) | Token::Mark(_) | Token::Newline | Token::End => {
                tree.form = Form::Unknown;
                return Ok(());
            }
        };
        if let Some(source) = self.left()? {
            tree.addresses = Some(if self.lexer.took_word("map") {
                Expr::Map(Box::new((source, self.value()?)))
            } else {
                source
            });
        } else {
            self.lexer.take();
            let (addresses, ports) = split(text);
            tree.addresses = Some(addresses);
            tree.ports = ports.map(word);
        }
        match self.lexer.peek() {
            Token::Word(next) if next.starts_with(':') => self.nat_port(tree),
            Token::Word(_)
            | Token::Quoted(_)
            | Token::Compare(_)
            | Token::Mark(_)
            | Token::Newline
            | Token::End => Ok(()),
        }
    }

    /// `:80-90`, `: 80`, or `:tcp dport map { … }`
    fn nat_port(&mut self, tree: &mut NatTree<'a>) -> Result<(), ReadError> {
        self.lexer.skip(1);
        tree.ports = Some(self.source()?);
        Ok(())
    }
}

/// Addresses and ports of one word: `1.2.3.4:80`, `[2001:db8::1]-[2001:db8::9]:80`.
fn split(text: &str) -> (Expr<'_>, Option<&str>) {
    if !text.starts_with('[') {
        // More than one colon without brackets is an IPv6 address, which has no port then.
        return match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => (word(address), Some(port)),
            _ => (word(text), None),
        };
    }
    let (inside, port) = match text.rsplit_once("]:") {
        Some((inside, port)) => (inside, Some(port)),
        None => (text.strip_suffix(']').unwrap_or(text), None),
    };
    let inside = inside.strip_prefix('[').unwrap_or(inside);
    match inside.split_once("]-[") {
        Some((first, last)) => (Expr::Range(Box::new((word(first), word(last)))), port),
        None => (word(inside), port),
    }
}
