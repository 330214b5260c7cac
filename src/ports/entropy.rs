//! Randomness, as the rest of the program sees it.

/// A source of unpredictable bytes.
///
/// An implementation is a cryptographic generator seeded by the operating system. It must not
/// fail: a process that cannot get randomness ends rather than answering with something weaker.
pub trait Entropy: Send + Sync {
    /// Fills `into` with unpredictable bytes.
    fn fill(&self, into: &mut [u8]);
}

/// Draws a fixed number of bytes.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut drawn = [0; N];
    entropy.fill(&mut drawn);
    drawn
}
