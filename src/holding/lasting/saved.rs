//! Files of iptables-persistent: our lines in them are replaced, and no other byte.

use super::super::iptables::Place;
use super::super::{Around, Jump, ipset};
use super::BUILT_IN;

/// Why a file of rules can't take ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its table has no end.
    NoEnd,
    /// It has no chain that could jump to ours.
    NoParent,
}

/// Table filter of a file, line by line.
struct Filter<'f> {
    /// What stands before it, its head included.
    before: &'f str,
    lines: Vec<&'f str>,
    /// Its `COMMIT` and what follows.
    after: &'f str,
}

impl<'f> Filter<'f> {
    /// `None` where the file has no such table.
    fn find(file: &'f str) -> Result<Option<Self>, Fault> {
        let (mut at, mut start) = (0_usize, None);
        let mut lines = Vec::new();
        for line in file.split_inclusive('\n') {
            let next = at.saturating_add(line.len());
            match (start, line.trim_end()) {
                (None, "*filter") => start = Some(next),
                (None, _) => {}
                (Some(start), "COMMIT") => {
                    let before = file.get(..start).unwrap_or_default();
                    let after = file.get(at..).unwrap_or_default();
                    return Ok(Some(Self { before, lines, after }));
                }
                (Some(_), line) if line.starts_with('*') => return Err(Fault::NoEnd),
                (Some(_), _) => lines.push(line),
            }
            at = next;
        }
        if start.is_some() { Err(Fault::NoEnd) } else { Ok(None) }
    }
}

/// A line without the counters that may stand before it.
fn uncounted(line: &str) -> &str {
    let line = line.trim_end();
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rule)) => rule,
        None => line,
    }
}

/// The text of a file of rules with ours as wanted; `None` where they are.
pub(super) fn rules(file: &str, place: Place<'_>, want: &str) -> Result<Option<String>, Fault> {
    let wanted = place.parts(want);
    let Some(filter) = Filter::find(file)? else {
        let gap = if file.is_empty() || file.ends_with('\n') { "" } else { "\n" };
        if wanted.jump.is_some() && !BUILT_IN.contains(&place.parent) {
            return Err(Fault::NoParent);
        }
        let jump = wanted.jump.unwrap_or_default();
        return Ok(Some(format!("{file}{gap}*filter\n{}{jump}{}COMMIT\n", wanted.declared, wanted.rules)));
    };
    let is_jump = |line: &str| place.jump == Jump::Ours && uncounted(line) == place.jump_line();
    let jumps = filter.lines.iter().filter(|line| is_jump(line)).count();
    let plain: String = filter.lines.iter().flat_map(|line| [uncounted(line), "\n"]).collect();
    let ours = place.own(&format!("*filter\n{plain}COMMIT\n"), Around::Told).unwrap_or_default();
    let is_as_wanted = place.same(&ours, want).unwrap_or(false);
    if is_as_wanted && jumps == usize::from(wanted.jump.is_some()) {
        return Ok(None);
    }
    let declared = format!(":{} ", place.parent);
    let has_parent =
        BUILT_IN.contains(&place.parent) || filter.lines.iter().any(|line| line.starts_with(&declared));
    if wanted.jump.is_some() && !has_parent {
        return Err(Fault::NoParent);
    }
    // A jump stays where it is, unless that is behind rules which it has to be before; a new one comes before all rules.
    let stays = jumps > 0 && wanted.jump.is_some() && place.is_jump_placed(&ours, want);
    let new_jump = if stays { "" } else { wanted.jump.as_deref().unwrap_or_default() };
    let ours = format!("{}{new_jump}{}", wanted.declared, wanted.rules);
    let (mut text, mut put, mut jumped) = (filter.before.to_owned(), false, !stays);
    for line in &filter.lines {
        let is_rule = uncounted(line).starts_with('-');
        if is_rule && !put {
            text.push_str(&ours);
            put = true;
        }
        let is_spare = is_jump(line) && std::mem::replace(&mut jumped, true);
        if !is_spare && !place.is_chain_line(uncounted(line)) {
            text.push_str(line);
        }
    }
    if !put {
        text.push_str(&ours);
    }
    Ok(Some(text + filter.after))
}

/// The text of a file of sets with ours as wanted; `None` where it is.
pub(super) fn set(file: &str, name: &str, want: &str) -> Option<String> {
    let ours = ipset::own(name, file);
    if ours.is_some_and(|ours| ipset::same(name, &ours, want).unwrap_or(false)) {
        return None;
    }
    let starts = [format!("create {name} "), format!("add {name} ")];
    let (mut text, mut put) = (String::with_capacity(file.len().saturating_add(want.len())), false);
    for line in file.split_inclusive('\n') {
        let is_ours = starts.iter().any(|start| line.starts_with(start));
        if !is_ours {
            text.push_str(line);
        } else if !put {
            text.push_str(want);
            put = true;
        }
    }
    if !put {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(want);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::Family;

    const WANT: &str = "*filter\n:CALLGATE - [0:0]\n:CALLGATE-ALLOW - [0:0]\n\
        -A CALLGATE -p tcp -m tcp --dport 443 -j CALLGATE-ALLOW\n-A CALLGATE-ALLOW -s 20.1.0.1/32 -j ACCEPT\n\
        -A CALLGATE-ALLOW -j DROP\n-A INPUT -j CALLGATE\nCOMMIT\n";

    fn place(jump: Jump) -> Place<'static> {
        Place { family: Family::V4, chain: "CALLGATE", parent: "INPUT", jump }
    }

    /// What somebody saved, with odd spaces, a comment, counters, another table and no rule of ours.
    const FOREIGN: &str = "# Generated by iptables-save v1.8.9\n*nat\n:PREROUTING ACCEPT [1:2]\n-A PREROUTING -j CALLGATE-NOT\nCOMMIT\n\
        *filter\n:INPUT DROP [5:300]\n:FORWARD DROP [0:0]\n:f2b-sshd - [0:0]\n# somebody's remark\n\
        [7:400] -A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd\n-A INPUT -j CALLGATE-2  \n-A f2b-sshd -s 9.9.9.9/32 -j REJECT\nCOMMIT\n# end\n";

    /// The lines that are not ours, in their order.
    fn others(text: &str, place: Place<'_>) -> String {
        let ours = |line: &&str| place.is_chain_line(uncounted(line)) || uncounted(line) == place.jump_line();
        text.split_inclusive('\n').filter(|line| !ours(line)).collect()
    }

    #[test]
    fn our_lines_come_and_every_other_byte_stays() {
        let place = place(Jump::Ours);
        let text = rules(FOREIGN, place, WANT).unwrap().unwrap();
        assert_eq!(others(&text, place), FOREIGN);
        assert_eq!(text.matches("-A INPUT -j CALLGATE\n").count(), 1);
        let at = |what: &str| text.find(what).unwrap();
        assert!(at(":f2b-sshd") < at(":CALLGATE ") && at(":CALLGATE ") < at("-A INPUT -j CALLGATE\n"));
        assert!(at("-A INPUT -j CALLGATE\n") < at("[7:400] -A INPUT"), "{text}");
        assert_eq!(rules(&text, place, WANT).unwrap(), None, "a second time changes nothing");
    }

    #[test]
    fn old_lines_of_ours_are_replaced_and_the_jump_stays_once_where_it_is() {
        let place = place(Jump::Ours);
        let old = FOREIGN.replace(
            "# somebody's remark\n",
            ":CALLGATE - [3:4]\n:CALLGATE-ALLOW - [0:0]\n# somebody's remark\n-A CALLGATE-ALLOW -s 20.2.0.2/32 -j ACCEPT\n",
        );
        let old =
            old.replace("-A f2b-sshd ", "[1:60] -A INPUT -j CALLGATE\n-A INPUT -j CALLGATE\n-A f2b-sshd ");
        let text = rules(&old, place, WANT).unwrap().unwrap();
        assert_eq!(others(&text, place), FOREIGN);
        assert!(!text.contains("20.2.0.2"), "{text}");
        assert!(
            text.contains("-A INPUT -j CALLGATE-2  \n[1:60] -A INPUT -j CALLGATE\n-A f2b-sshd"),
            "{text}"
        );
        assert_eq!(text.matches(":CALLGATE ").count(), 1);
        assert_eq!(rules(&text, place, WANT).unwrap(), None);
    }

    #[test]
    fn a_jump_of_somebody_elses_is_theirs() {
        let place = place(Jump::Theirs);
        let want = WANT.replace("-A INPUT -j CALLGATE\n", "");
        let file = FOREIGN.replace("# somebody's remark\n", "-A INPUT -j CALLGATE\n-A INPUT -j CALLGATE\n");
        let text = rules(&file, place, &want).unwrap().unwrap();
        assert_eq!(text.matches("-A INPUT -j CALLGATE\n").count(), 2);
        assert_eq!(rules(&text, place, &want).unwrap(), None);
    }

    #[test]
    fn a_file_without_the_table_gets_it_and_one_without_an_end_is_left_alone() {
        let place = place(Jump::Ours);
        let text = rules("*nat\nCOMMIT", place, WANT).unwrap().unwrap();
        assert!(text.starts_with("*nat\nCOMMIT\n*filter\n:CALLGATE - [0:0]\n"), "{text}");
        assert_eq!(rules(&text, place, WANT).unwrap(), None);
        assert!(rules("", place, WANT).unwrap().unwrap().starts_with("*filter\n"));
        for cut in ["*filter\n:INPUT DROP [0:0]\n", "*filter\n*nat\nCOMMIT\n"] {
            assert_eq!(rules(cut, place, WANT), Err(Fault::NoEnd), "{cut}");
        }
        let docker = Place { parent: "DOCKER-USER", ..place };
        let want = WANT.replace("INPUT", "DOCKER-USER");
        assert_eq!(rules(FOREIGN, docker, &want), Err(Fault::NoParent));
        let file = FOREIGN.replace(":f2b-sshd", ":DOCKER-USER - [0:0]\n:f2b-sshd");
        assert_eq!(others(&rules(&file, docker, &want).unwrap().unwrap(), docker), file);
    }

    #[test]
    fn a_set_is_replaced_among_others() {
        let file = "create others hash:ip family inet hashsize 1024 maxelem 65536\nadd others 9.9.9.9\n\
            create callgate-v4 hash:net family inet maxelem 65536\nadd callgate-v4 20.2.0.2\n\
            create callgate-v4-old hash:ip\nadd callgate-v4-old 1.1.1.1\n";
        let want = "create callgate-v4 hash:net family inet maxelem 65536\nadd callgate-v4 20.1.0.1\n";
        let text = set(file, "callgate-v4", want).unwrap();
        assert_eq!(text, file.replace("20.2.0.2", "20.1.0.1"));
        assert_eq!(set(&text, "callgate-v4", want), None);
        let empty = set("create others hash:ip", "callgate-v4", want).unwrap();
        assert_eq!(empty, format!("create others hash:ip\n{want}"));
    }
}
