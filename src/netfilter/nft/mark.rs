//! Marks: what an expression makes of the old mark and of the other one.

use super::values::{Kind, constant};
use super::{Bits, Expr, Select};
use crate::netfilter::{Field, MarkChange};

/// `(old & keep) ^ (other & take) ^ flip`
#[derive(Debug, Clone, Copy)]
struct Change {
    keep: u32,
    take: u32,
    flip: u32,
}

/// What setting the mark of `target` to this does; [`MarkChange::Unknown`] where that is not known.
pub(super) fn change(target: Field, value: &Expr<'_>) -> MarkChange {
    match bits(target, value, 0) {
        Some(Change { keep, take, flip }) => MarkChange::Bits { keep, take, flip },
        None => MarkChange::Unknown,
    }
}

fn bits(target: Field, value: &Expr<'_>, depth: u32) -> Option<Change> {
    if depth > super::DEPTH_MAX {
        return None;
    }
    if let Some(flip) = constant(Kind::Mark, value) {
        return Some(Change { keep: 0, take: 0, flip });
    }
    match value {
        Expr::Select(select) => {
            let own = mark_of(select)? == target;
            Some(if own {
                Change { keep: u32::MAX, take: 0, flip: 0 }
            } else {
                Change { keep: 0, take: u32::MAX, flip: 0 }
            })
        }
        Expr::Binary(how, sides) => {
            joined(*how, bits(target, &sides.0, depth + 1)?, bits(target, &sides.1, depth + 1)?)
        }
        Expr::Word(_)
        | Expr::Wildcard
        | Expr::Concat(_)
        | Expr::List(_)
        | Expr::Set(_)
        | Expr::Named(_)
        | Expr::Range(_)
        | Expr::Prefix(..)
        | Expr::Map(_)
        | Expr::Unknown(_) => None,
    }
}

fn joined(how: Bits, left: Change, right: Change) -> Option<Change> {
    let xor =
        Change { keep: left.keep ^ right.keep, take: left.take ^ right.take, flip: left.flip ^ right.flip };
    let (other, mask) = match (fixed(left), fixed(right)) {
        (_, Some(mask)) => (left, mask),
        (Some(mask), None) => (right, mask),
        (None, None) => {
            let touched = |change: Change| change.keep | change.take | change.flip;
            // Without a bit in common, `or` is `xor`.
            let apart = touched(left) & touched(right) == 0;
            return (how == Bits::Xor || how == Bits::Or && apart).then_some(xor);
        }
    };
    match how {
        Bits::Xor => Some(xor),
        Bits::And => {
            Some(Change { keep: other.keep & mask, take: other.take & mask, flip: other.flip & mask })
        }
        Bits::Or => {
            Some(Change { keep: other.keep & !mask, take: other.take & !mask, flip: other.flip | mask })
        }
        Bits::ShiftLeft | Bits::ShiftRight => None,
    }
}

fn fixed(change: Change) -> Option<u32> {
    (change.keep == 0 && change.take == 0).then_some(change.flip)
}

/// Which mark a selector names.
pub(super) fn mark_of(select: &Select<'_>) -> Option<Field> {
    match (select.base.as_ref(), select.key.as_ref(), select.direction) {
        ("meta", "mark", None) => Some(Field::Mark),
        ("ct", "mark", None) => Some(Field::ConnMark),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::netfilter::nft::text::read_text;
    use crate::netfilter::{Action, Item, MarkChange};

    #[test]
    fn marks_are_followed_through_their_bits() {
        let bits = |keep, take, flip| MarkChange::Bits { keep, take, flip };
        for (value, expected) in [
            ("0x10", bits(0, 0, 0x10)),
            ("meta mark", bits(u32::MAX, 0, 0)),
            ("ct mark", bits(0, u32::MAX, 0)),
            ("meta mark & 0xffffff10 | 0x00000010", bits(0xffff_ff00, 0, 0x10)),
            ("meta mark and 0xff xor 0x1", bits(0xff, 0, 1)),
            ("ct mark & 0xff00 | 0x1", bits(0, 0xff00, 1)),
            ("meta mark & 0xff | ct mark & 0xff00", bits(0xff, 0xff00, 0)),
            ("meta mark ^ ct mark", bits(u32::MAX, u32::MAX, 0)),
            ("meta mark | ct mark", MarkChange::Unknown),
            ("meta mark << 8", MarkChange::Unknown),
            ("numgen inc mod 2", MarkChange::Unknown),
        ] {
            let text = format!("table ip t {{\n chain c {{\n meta mark set {value}\n }}\n}}\n");
            let reading = read_text(&text, 0).unwrap();
            let items = &reading.tables[0].chains[0].rules[0].items;
            assert_eq!(items.as_ref(), [Item::Act(Action::Mark(expected))], "{value}");
        }
    }
}
