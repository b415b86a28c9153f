//! Texts that are made while a configuration is read, and live as long as its files.

use std::cell::OnceCell;

/// A chain of texts, which only ever grows: what words stand for that are not written so.
#[derive(Debug, Default)]
pub(super) struct Kept(OnceCell<Box<(String, Kept)>>);

impl Kept {
    /// Keeps a text; what comes after it is kept at the end that is given back.
    pub(super) fn keep(&self, text: String) -> (&str, &Self) {
        let mut end = self;
        // Whoever read the same files before has left texts of its own.
        while let Some(node) = end.0.get() {
            end = &node.1;
        }
        let (text, after) = &**end.0.get_or_init(|| Box::new((text, Self::default())));
        (text, after)
    }
}

/// What is kept is part of the words that name it.
impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Kept {}

/// Copies keep nothing: whoever has one of the texts has it of the original.
impl Clone for Kept {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A long chain is taken apart link by link.
impl Drop for Kept {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut node) = next {
            next = node.1.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_where_they_are() {
        let kept = Kept::default();
        let (one, after) = kept.keep("one".to_owned());
        let (two, _) = after.keep("two".to_owned());
        let (three, _) = kept.keep("three".to_owned());
        assert_eq!((one, two, three), ("one", "two", "three"));
    }

    #[test]
    fn long_chains_end_well() {
        let kept = Kept::default();
        (0..200_000).fold(&kept, |end, number: u32| end.keep(number.to_string()).1);
    }
}
