//! Two files of a configuration compared by their directives, and the sources that a file names.

use super::Words;
use super::address::{Network, Range};
use super::kept::Kept;
use super::lexer::{End, Fault, Lexer, Token};
use super::read::is_lua;
use crate::prefix::PrefixSet;

/// Whether two texts have the same directives in the same order: comments, blanks and quotes aside. Of a text that
/// nginx would refuse nothing is known.
pub fn are_alike(have: &str, want: &str) -> bool {
    have == want || alike(have, want).unwrap_or(false)
}

fn alike(have: &str, want: &str) -> Result<bool, Fault> {
    let kept = Kept::default();
    let (mut left, mut right) = (Lexer::new(have, &kept), Lexer::new(want, &kept));
    loop {
        match (left.next()?, right.next()?) {
            (Token::Done, Token::Done) => return Ok(true),
            (Token::Close, Token::Close) => {}
            (
                Token::Statement { words: one, end: first, .. },
                Token::Statement { words: other, end: second, .. },
            ) => {
                if one != other || first != second {
                    return Ok(false);
                }
                let is_program = first == End::Brace && one.first().is_some_and(|name| is_lua(name));
                if is_program && left.lua()? != right.lua()? {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
    }
}

/// The sources that a file names: whom its `allow` lines let in, and the addresses for which its `geo` blocks have a
/// value. Of a text that nginx would refuse, those before the fault.
pub fn sources(text: &str) -> PrefixSet {
    let kept = Kept::default();
    let mut lexer = Lexer::new(text, &kept);
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let mut within = Block::Other;
    while let Ok(token) = lexer.next() {
        match token {
            Token::Done => break,
            Token::Close => within = Block::Other,
            Token::Statement { words, end: End::Brace, .. } => {
                let is_geo = words.first().is_some_and(|name| *name == "geo");
                within = if is_geo { Block::Geo } else { Block::Other };
                if words.first().is_some_and(|name| is_lua(name)) && lexer.lua().is_err() {
                    break;
                }
            }
            Token::Statement { words, end: End::Semicolon, .. } => match named(&words, within) {
                Some(Range::V4(span)) => v4.push(span),
                Some(Range::V6(span)) => v6.push(span),
                None => {}
            },
        }
    }
    PrefixSet::from_spans(v4, v6)
}

/// Which block lines are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Geo,
    Other,
}

/// Whom a line names.
fn named(words: &Words<'_>, within: Block) -> Option<Range> {
    match &**words {
        [source, value] if within == Block::Geo => {
            Network::read(source).filter(|_| !matches!(&**value, "" | "0"))
        }
        [name, source] if *name == "allow" => Network::read(source),
        _ => None,
    }
    .map(|network| network.range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_quotes_do_not_count() {
        let text = "# revision 1\nallow 192.0.2.1; # active\ndeny all;\n";
        for same in ["allow 192.0.2.1;deny all;", "allow  \"192.0.2.1\" ;\n#\ndeny 'all'; # grace", text] {
            assert!(are_alike(text, same) && are_alike(same, text), "{same}");
        }
        for other in ["", "allow 192.0.2.1;", "deny all; allow 192.0.2.1;", "allow 192.0.2.2; deny all;"] {
            assert!(!are_alike(text, other) && !are_alike(other, text), "{other}");
        }
        assert!(are_alike("geo $a { 1.2.3.4 b/c; # x\n }", "geo $a {\n1.2.3.4 b/c;}"));
        assert!(!are_alike("geo $a { 1.2.3.4 b; }", "geo $a { 1.2.3.4 b; } }"));
        assert!(!are_alike("a_by_lua_block { x() }", "a_by_lua_block { y() }"));
        // Nothing is known of what nginx would refuse, but that it is the same text.
        assert!(!are_alike("allow 1.2.3.4", "allow 1.2.3.4 # x"));
        assert!(are_alike("allow 1.2.3.4", "allow 1.2.3.4"));
    }

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let wanted: PrefixSet =
            wanted.iter().map(|prefix| prefix.parse::<crate::prefix::Prefix>().unwrap()).collect();
        assert_eq!(sources(text), wanted, "{text}");
    }

    #[test]
    fn sources_are_those_that_are_let_in() {
        check(
            "allow 192.0.2.0/24; # x\nallow 2001:db8::1;\ndeny 10.0.0.1;\ndeny all;",
            &["192.0.2.0/24", "2001:db8::1"],
        );
        check(
            "geo $callgate {\n default \"\";\n 192.0.2.1 a/b;\n 192.0.2.2 \"\";\n}\n allow all;",
            &["192.0.2.1"],
        );
        check("allow 192.0.2.1; allow 192.0.2.2", &["192.0.2.1"]);
        check("", &[]);
    }
}
