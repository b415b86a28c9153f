//! Walks along an address space, and tells what holds at each address: several lists are looked at in one pass.

use super::span::{Number, Span};

/// Walks along sorted, disjoint pieces of one family.
pub(crate) struct Cursor<N, T, I: Iterator<Item = (Span<N>, T)>> {
    coming: std::iter::Peekable<I>,
}

impl<N: Number, T: Copy, I: Iterator<Item = (Span<N>, T)>> Cursor<N, T, I> {
    pub(crate) fn new(pieces: impl IntoIterator<IntoIter = I>) -> Self {
        Self { coming: pieces.into_iter().peekable() }
    }

    /// What holds at an address, and how far it is the same. Addresses asked for only rise.
    pub(crate) fn at(&mut self, address: N) -> (Option<T>, N) {
        while self.coming.next_if(|((_, last), _)| *last < address).is_some() {}
        match self.coming.peek() {
            None => (None, N::MAX),
            Some(((first, _), _)) if *first > address => (None, first.before().unwrap_or(N::MIN)),
            Some(((_, last), tag)) => (Some(*tag), *last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_how_far_the_same_holds() {
        let mut cursor = Cursor::new([((1_u32, 4), 'a'), ((5, 5), 'b'), ((u32::MAX, u32::MAX), 'c')]);
        let told = [0, 1, 3, 5, 6, 6, u32::MAX].map(|address| cursor.at(address));
        let end = u32::MAX;
        let last = (None, end - 1);
        assert_eq!(
            told,
            [(None, 0), (Some('a'), 4), (Some('a'), 4), (Some('b'), 5), last, last, (Some('c'), end)]
        );
        assert_eq!(Cursor::new([((1_u32, 4), 'a')]).at(5), (None, end));
    }
}
