//! On which line a part of a long text stands.

/// How many bytes lie between two places whose line is kept.
const STRIDE: usize = 4096;

/// Lines of a text, most of them counted when they are asked for.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// How many lines end before each multiple of [`STRIDE`].
    before: Vec<u32>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut count = 0_u32;
        let before = text.as_bytes().chunks(STRIDE).map(|chunk| {
            let until = count;
            count = count.saturating_add(ends(chunk));
            until
        });
        Self { text, before: before.collect() }
    }

    /// The line that a part of the text starts on, from 1; 1 where it is no part of it.
    pub(super) fn of(&self, part: &str) -> u32 {
        let offset = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        let Some(offset) = offset.filter(|offset| *offset <= self.text.len()) else { return 1 };
        let block = offset / STRIDE;
        let start = block.saturating_mul(STRIDE);
        let within = self.text.as_bytes().get(start..offset).unwrap_or_default();
        let whole = self.before.get(block).copied().unwrap_or_default();
        whole.saturating_add(ends(within)).saturating_add(1)
    }
}

/// How many lines end here.
fn ends(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_knows_its_line() {
        let text = "ab\n".repeat(5_000);
        let lines = Lines::new(&text);
        for at in [0, 1, 2, 3, 4_095, 4_096, 4_097, 8_192, 14_999, 15_000] {
            let wanted = text[..at].matches('\n').count() + 1;
            assert_eq!(lines.of(&text[at..]) as usize, wanted, "{at}");
        }
        assert_eq!(lines.of("elsewhere"), 1);
        assert_eq!(Lines::new("").of(""), 1);
    }
}
