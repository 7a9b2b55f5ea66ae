//! Many bytes at a time, by what the machine has.

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 32;

/// Work that runs on a set of instructions. `run` must be `#[inline(always)]`, and so must be all that
/// it calls down to the instructions, closures left out, or the compiler makes calls of these.
pub(crate) trait Task {
    type Out;

    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

/// A set of instructions that the machine has.
pub(crate) trait Simd: Copy {
    /// The first quote, backslash or control character.
    fn special(self, block: &[u8; BLOCK]) -> Option<usize>;

    /// The first byte that is not plain text: a quote, a backslash, a control character, or one of a
    /// character beyond ASCII.
    fn unplain(self, block: &[u8; BLOCK]) -> Option<usize>;

    /// Whether the first `length` bytes of the block, behind the block `before`, go on as UTF-8 does; below
    /// [`BLOCK`] bytes they must end with a character too.
    fn utf8(self, block: &[u8; BLOCK], length: usize, before: &[u8; BLOCK]) -> bool;

    /// The first quote; [`BLOCK`] where there is none.
    fn quote(self, block: &[u8; BLOCK]) -> usize;

    /// The first byte that is no white space.
    fn solid(self, block: &[u8; BLOCK]) -> Option<usize>;

    /// Whether the block begins with the pattern, as far as the block goes; whatever its first byte is
    /// where `any_first` is 1 and not 0.
    fn begins(self, block: &[u8; BLOCK], pattern: &Pattern, any_first: u32) -> bool;

    /// Asks for memory that is written soon, from `ahead` bytes behind `place` on; it may be nobody's.
    fn fetch(self, place: *const u8, ahead: usize);

    /// Runs a task compiled for these instructions, as a call: tasks may recurse.
    fn enter<T: Task>(self, task: T) -> T::Out;
}

/// The set of instructions to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    #[cfg(target_arch = "x86_64")]
    Avx2(super::avx2::Avx2),
    Portable,
}

impl Engine {
    /// The best that this machine has.
    #[inline]
    pub(crate) fn best() -> Engine {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = super::avx2::Avx2::detect() {
            return Engine::Avx2(avx2);
        }
        Engine::Portable
    }

    #[inline]
    pub(crate) fn run<T: Task>(self, task: T) -> T::Out {
        match self {
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2(simd) => simd.enter(task),
            Engine::Portable => Portable.enter(task),
        }
    }
}

/// Up to a block of bytes to compare with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    pub(super) bytes: [u8; BLOCK],
    /// One bit a byte; a bit beyond [`BLOCK`] is of a byte that no block has.
    pub(super) mask: u64,
    /// At most [`BLOCK`].
    pub(super) length: u32,
}

impl Pattern {
    /// What no block begins with.
    pub(crate) fn never() -> Self {
        Self {
            bytes: [0; BLOCK],
            mask: 1 << BLOCK,
            length: 0,
        }
    }

    /// Of longer texts only the first block is compared.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; BLOCK];
        let (mut mask, mut length) = (0, 0);
        for (i, (to, from)) in bytes.iter_mut().zip(text).enumerate() {
            *to = *from;
            mask |= 1 << i;
            length += 1;
        }
        Self {
            bytes,
            mask,
            length,
        }
    }
}

/// Words of eight bytes, for every machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The highest bit of the first byte that is zero; bytes behind it may be marked wrongly.
#[inline(always)]
fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The index of the first byte that `mark` marks by its highest bit; a wrong mark behind a right one
/// does no harm.
#[inline(always)]
fn first(block: &[u8; BLOCK], mark: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().find_map(|(i, word)| {
        let marks = mark(u64::from_le_bytes(*word));
        (marks != 0).then(|| i * 8 + marks.trailing_zeros() as usize / 8)
    })
}

fn scalar_utf8(block: &[u8; BLOCK], length: usize, before: &[u8; BLOCK]) -> bool {
    let length = length.min(BLOCK);
    // With the last bytes before, of which some may begin a character; what ends one has been judged.
    let mut text = [0; 3 + BLOCK];
    let (head, tail) = text.split_at_mut(3);
    head.copy_from_slice(&before[BLOCK - 3..]);
    tail.copy_from_slice(block);
    let ended = head.iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
    match str::from_utf8(&text[ended..3 + length]) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && length == BLOCK,
    }
}

impl Simd for Portable {
    #[inline(always)]
    fn special(self, block: &[u8; BLOCK]) -> Option<usize> {
        first(block, |word| {
            let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
            zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control
        })
    }

    #[inline(always)]
    fn unplain(self, block: &[u8; BLOCK]) -> Option<usize> {
        first(block, |word| {
            let control = word.wrapping_sub(ONES * 0x20) & HIGH;
            let ends =
                zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
            ends | control | word & HIGH
        })
    }

    #[inline(always)]
    fn utf8(self, block: &[u8; BLOCK], length: usize, before: &[u8; BLOCK]) -> bool {
        scalar_utf8(block, length, before)
    }

    #[inline(always)]
    fn quote(self, block: &[u8; BLOCK]) -> usize {
        first(block, |word| zero(word ^ (ONES * u64::from(b'"')))).unwrap_or(BLOCK)
    }

    #[inline(always)]
    fn solid(self, block: &[u8; BLOCK]) -> Option<usize> {
        block
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    #[inline(always)]
    fn begins(self, block: &[u8; BLOCK], pattern: &Pattern, any_first: u32) -> bool {
        let length = pattern.length as usize;
        let from = any_first as usize;
        pattern.mask >> BLOCK == 0 && block.get(from..length) == pattern.bytes.get(from..length)
    }

    #[inline(always)]
    fn fetch(self, _: *const u8, _: usize) {}

    #[inline(never)]
    fn enter<T: Task>(self, task: T) -> T::Out {
        task.run(self)
    }
}
