//! Where the jump into a chain of ours stands among the rules of others.
//!
//! Mostly that does not matter: a content holds the jump alone, wherever it stands. Where it does, comments in the content
//! tell it: that the jump comes before all others, or which rules of others stand around it. A number would not do: others
//! put in rules and take them out at any time, and the way back leads to the same neighbours.

use std::collections::HashMap;

/// The comment in a content whose jump comes before all rules of others.
const AHEAD: &str = "# before all others";
/// What stands before a rule of others in a content.
const OTHERS: &str = "# ";

/// The rules of others in the chain that jumps to ours, in their order, and how many of them stand before the jump.
#[derive(Debug, Default)]
pub(super) struct Row<'t> {
    others: Vec<&'t str>,
    jump: Option<usize>,
}

/// Where a content wants the jump.
#[derive(Debug)]
pub(super) enum Spot<'t> {
    /// Where it stands; at the head where it has to be put in.
    Anywhere,
    /// Before all rules of others.
    Ahead,
    /// Among these.
    Among(Row<'t>),
}

/// A rule by what names it: the same rule may be there several times.
type Name<'t> = (&'t str, usize);

/// What names a rule: its handle where it has one, since its counters change; otherwise its text.
fn name(rule: &str) -> &str {
    rule.rsplit_once(" # handle ").map_or(rule, |(_, handle)| handle)
}

fn names<'t>(rules: &[&'t str]) -> Vec<Name<'t>> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    let numbered = |rule: &&'t str| {
        let name = name(rule);
        let time = times.entry(name).or_default();
        *time = time.saturating_add(1);
        (name, *time)
    };
    rules.iter().map(numbered).collect()
}

impl<'t> Row<'t> {
    /// The row that a content tells of.
    pub(super) fn of(text: &'t str, is_jump: impl Fn(&str) -> bool) -> Self {
        let mut row = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some(rule) = line.strip_prefix(OTHERS).filter(|_| line != AHEAD) {
                row.others.push(rule);
            } else if is_jump(line) {
                row.jump = row.jump.or(Some(row.others.len()));
            }
        }
        row
    }

    /// Whether the jump stands behind rules of others.
    pub(super) fn is_behind(&self) -> bool {
        self.jump.is_some_and(|before| before > 0)
    }

    /// The last of so many rules.
    pub(super) fn last_of(&self, count: usize) -> Option<&'t str> {
        self.others.get(count.checked_sub(1)?).copied()
    }

    /// How many rules of another row are before the place that is meant here: it is behind the nearest rule before the
    /// jump that is still there, or else before the nearest one after it.
    fn place_in(&self, there: &Row<'_>) -> usize {
        let here = names(&self.others);
        let known: HashMap<Name<'_>, usize> =
            names(&there.others).into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        let (before, after) = here.split_at(self.jump.unwrap_or_default().min(here.len()));
        let behind = before.iter().rev().find_map(|name| known.get(name)).map(|at| at.saturating_add(1));
        let ahead = || after.iter().find_map(|name| known.get(name)).copied();
        behind.or_else(ahead).unwrap_or_else(|| before.len().min(there.others.len()))
    }
}

impl<'t> Spot<'t> {
    /// The spot that a content wants.
    pub(super) fn of(text: &'t str, is_jump: impl Fn(&str) -> bool) -> Self {
        if text.lines().any(|line| line.trim() == AHEAD) {
            return Spot::Ahead;
        }
        let row = Row::of(text, is_jump);
        if row.others.is_empty() { Spot::Anywhere } else { Spot::Among(row) }
    }

    /// How many rules of others should be before the jump.
    pub(super) fn place_in(&self, there: &Row<'_>) -> usize {
        match self {
            Spot::Anywhere | Spot::Ahead => 0,
            Spot::Among(row) => row.place_in(there),
        }
    }

    /// Whether a jump that is there stands where it should.
    pub(super) fn is_met(&self, there: &Row<'_>) -> bool {
        match self {
            Spot::Anywhere => true,
            Spot::Ahead | Spot::Among(_) => there.jump == Some(self.place_in(there)),
        }
    }
}

/// A rule of others as a line of a content.
pub(super) fn told(rule: &str) -> String {
    format!("{OTHERS}{}\n", rule.trim())
}

/// Whether a line of a content only tells where the jump stands.
pub(super) fn is_told(line: &str) -> bool {
    line.trim_start().starts_with(OTHERS)
}

/// A content as it is, but for the jump, which comes before all rules of others.
pub(super) fn ahead(text: &str) -> String {
    text.replacen('\n', &format!("\n{AHEAD}\n"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row<'_> {
        Row::of(text, |line| line == "JUMP")
    }

    #[test]
    fn the_way_back_leads_to_the_same_neighbours_whatever_came_and_went() {
        let cases = [
            ("# a\n# b\nJUMP\n# c\n", "JUMP\n# a\n# b\n# c\n", 2),
            ("# a\n# b\nJUMP\n# c\n", "# ban\nJUMP\n# a\n# b\n# c\n", 3),
            ("# a\n# b\nJUMP\n# c\n", "JUMP\n# a\n# c\n", 1),
            ("# a\n# b\nJUMP\n# c\n", "# x\n# y\nJUMP\n# c\n", 2),
            ("# a\n# b\nJUMP\n", "# x\nJUMP\n", 1),
            ("# a\nJUMP\n", "JUMP\n", 0),
            // The same rule twice: the second of them is meant.
            ("# a\n# a\nJUMP\n# a\n", "JUMP\n# a\n# a\n# a\n", 2),
            // Counters do not name a rule.
            ("# counter packets 1 drop # handle 4\nJUMP\n", "JUMP\n# counter packets 2 drop # handle 4\n", 1),
        ];
        for (want, have, place) in cases {
            let spot = Spot::of(want, |line| line == "JUMP");
            assert_eq!(spot.place_in(&row(have)), place, "{want}{have}");
        }
    }

    #[test]
    fn a_spot_is_met_where_the_jump_stands_there() {
        let met = |want: &str, have: &str| Spot::of(want, |line| line == "JUMP").is_met(&row(have));
        assert!(met("JUMP\n", "# a\nJUMP\n"), "anywhere");
        let first = ahead("head\nJUMP\n");
        assert!(met(&first, "JUMP\n# a\n") && met(&first, "JUMP\nJUMP\n# a\n"));
        assert!(!met(&first, "# a\nJUMP\n") && !met(&first, "# a\n"));
        assert!(met("# a\nJUMP\n", "# a\nJUMP\n# b\n"));
        assert!(!met("# a\nJUMP\n", "JUMP\n# a\n"));
        assert!(
            row("# a\nJUMP\n").is_behind() && !row("JUMP\n# a\n").is_behind() && !row("# a\n").is_behind()
        );
    }
}
