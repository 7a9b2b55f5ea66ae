//! A place in a text that can be read ahead of without asking for the text's end.

#![allow(unsafe_code)]

use super::simd::{BLOCK, Pattern};
use std::{marker::PhantomData, ops::Range, ptr::NonNull};

/// How many bytes behind a text are readable.
pub(crate) const PAD: usize = 64;

/// The text ends, or is not JSON here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop;

/// A place in a text. Bytes behind the text's end may be looked at (they are whatever stands there)
/// but not passed: [`Cursor::advance`] stops at the end.
///
/// Invariant: `at <= end`, and `[at, end + PAD)` lies in one slice borrowed for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    /// Never null, so that a result with a cursor is as small as one and comes back in registers.
    at: NonNull<u8>,
    end: *const u8,
    text: PhantomData<&'a [u8]>,
}

impl<'a> Cursor<'a> {
    /// The start of `slab[span]`; `None` where less than [`PAD`] bytes of the slab lie behind it.
    #[inline]
    pub(crate) fn new(slab: &'a [u8], span: Range<usize>) -> Option<Self> {
        if span.start > span.end || span.end > slab.len().checked_sub(PAD)? {
            return None;
        }
        let base = NonNull::from(slab).cast::<u8>();
        // SAFETY: start <= end <= slab.len() - PAD, so both are within the slab, and so are the PAD
        // bytes behind `end`.
        let (at, end) = unsafe { (base.add(span.start), base.add(span.end)) };
        Some(Self {
            at,
            end: end.as_ptr(),
            text: PhantomData,
        })
    }

    /// How many bytes of the text are left.
    #[inline(always)]
    pub(crate) fn left(self) -> usize {
        self.end as usize - self.at.as_ptr() as usize
    }

    /// The next byte; behind the text's end, whatever stands there.
    #[inline(always)]
    pub(crate) fn byte(self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// The next `N` bytes, some perhaps behind the text's end.
    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(self) -> &'a [u8; N] {
        const { assert!(N <= PAD) };
        // SAFETY: at + N <= end + PAD, which is readable for 'a (invariant); bytes need no alignment.
        unsafe { self.at.cast::<[u8; N]>().as_ref() }
    }

    /// `N` bytes from `AHEAD` bytes ahead on, some perhaps behind the text's end.
    #[inline(always)]
    pub(crate) fn ahead<const AHEAD: usize, const N: usize>(self) -> &'a [u8; N] {
        const { assert!(AHEAD + N <= PAD) };
        // SAFETY: at + AHEAD + N <= end + PAD, as in `bytes`.
        unsafe { self.at.add(AHEAD).cast::<[u8; N]>().as_ref() }
    }

    /// The next eight bytes as a number, the first the least.
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        u64::from_le_bytes(*self.bytes())
    }

    /// Goes on by `n` bytes, unless the text ends before.
    #[inline(always)]
    pub(crate) fn advance(&mut self, n: usize) -> Result<(), Stop> {
        if n > self.left() {
            return Err(Stop);
        }
        // SAFETY: at + n <= end, within the slice (invariant).
        self.at = unsafe { self.at.add(n) };
        Ok(())
    }

    /// Goes on by `n` bytes, unless the text ends before: one comparison.
    ///
    /// # Safety
    /// `n` must be at most [`PAD`].
    #[inline(always)]
    pub(super) unsafe fn step(&mut self, n: usize) -> Result<(), Stop> {
        // SAFETY: at + n <= end + PAD, within the slice (invariant; the caller's word on `n`).
        let to = unsafe { self.at.add(n) };
        if to.as_ptr().cast_const() > self.end {
            return Err(Stop);
        }
        self.at = to;
        Ok(())
    }

    /// Passes a pattern that the text goes on with, unless the text ends before.
    #[inline(always)]
    pub(crate) fn pass(&mut self, pattern: &Pattern) -> Result<(), Stop> {
        const { assert!(BLOCK <= PAD) };
        // SAFETY: a pattern is no longer than a block.
        unsafe { self.step(pattern.length as usize) }
    }

    /// How far this is behind `from`, a place in the same text.
    #[inline(always)]
    pub(crate) fn distance(self, from: Cursor<'a>) -> usize {
        (self.at.as_ptr() as usize).wrapping_sub(from.at.as_ptr() as usize)
    }

    /// The bytes from `from`, an earlier place in the same text, to here; nothing where it is neither.
    #[inline]
    pub(crate) fn since(self, from: Cursor<'a>) -> &'a [u8] {
        if from.end != self.end || from.at > self.at {
            return &[];
        }
        // SAFETY: the ends are the same, so both lie in one slice (a slice holds PAD bytes behind its
        // end, so two slices share none), and from.at <= self.at <= end.
        unsafe { std::slice::from_raw_parts(from.at.as_ptr(), self.distance(from)) }
    }

    /// What is left of the text.
    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        // SAFETY: [at, end) is readable (invariant).
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.left()) }
    }
}

/// Memory for a text that has too little behind it.
#[derive(Default)]
pub(crate) struct Padded {
    bytes: Vec<u8>,
}

impl Padded {
    /// A cursor at the start of `slab[span]`: in place where it can be, else in a copy. `None` where
    /// the slab has no such bytes.
    #[inline]
    pub(crate) fn cursor<'a>(
        &'a mut self,
        slab: &'a [u8],
        span: Range<usize>,
    ) -> Option<Cursor<'a>> {
        match Cursor::new(slab, span.clone()) {
            Some(cursor) => Some(cursor),
            None => self.copy(slab.get(span)?),
        }
    }

    #[cold]
    fn copy(&mut self, text: &[u8]) -> Option<Cursor<'_>> {
        self.bytes.clear();
        self.bytes.extend_from_slice(text);
        self.bytes.resize(text.len() + PAD, 0);
        Cursor::new(&self.bytes, 0..text.len())
    }
}
