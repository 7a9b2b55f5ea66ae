//! Blocks of 32 bytes on x86-64 with AVX2.

#![allow(unsafe_code)]

use super::simd::{BLOCK, Pattern, Simd, Task};
use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8,
};

/// Proof that the machine has AVX2, BMI1 and BMI2: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The standard library asks the processor once.
    #[inline]
    pub(crate) fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Avx2(()))
    }
}

#[inline(always)]
fn load(_: Avx2, block: &[u8; BLOCK]) -> __m256i {
    // SAFETY: AVX2 is there (the proof), and the reference is to 32 readable bytes; the load needs no
    // alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

/// The index of the lowest bit.
#[inline(always)]
fn lowest(mask: u32) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

impl Simd for Avx2 {
    #[inline(always)]
    fn special(self, block: &[u8; BLOCK]) -> Option<usize> {
        let bytes = load(self, block);
        // SAFETY: AVX2 is there (the proof); these work on registers alone.
        let mask = unsafe {
            let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
            let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
            let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
            _mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, backslash), control))
        };
        lowest(mask as u32)
    }

    #[inline(always)]
    fn unplain(self, block: &[u8; BLOCK]) -> Option<usize> {
        let bytes = load(self, block);
        // SAFETY: as in `special`. Signed, bytes beyond ASCII are below the space too.
        let mask = unsafe {
            let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
            let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
            let below = _mm256_cmpgt_epi8(_mm256_set1_epi8(b' ' as i8), bytes);
            _mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quote, backslash), below))
        };
        lowest(mask as u32)
    }

    #[inline(always)]
    fn quote(self, block: &[u8; BLOCK]) -> usize {
        let bytes = load(self, block);
        // SAFETY: as in `special`.
        let mask =
            unsafe { _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8))) };
        (mask as u32).trailing_zeros() as usize
    }

    #[inline(always)]
    fn solid(self, block: &[u8; BLOCK]) -> Option<usize> {
        let bytes = load(self, block);
        // SAFETY: as in `special`. No closures here: they would not be compiled for AVX2.
        let mask = unsafe {
            let space = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b' ' as i8));
            let line = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\n' as i8));
            let tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\t' as i8));
            let carriage = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\r' as i8));
            let blank = _mm256_or_si256(space, line);
            _mm256_movemask_epi8(_mm256_or_si256(blank, _mm256_or_si256(tab, carriage)))
        };
        lowest(!(mask as u32))
    }

    #[inline(always)]
    fn begins(self, block: &[u8; BLOCK], pattern: &Pattern, any_first: u32) -> bool {
        // SAFETY: as in `special`.
        let same = unsafe {
            let same = _mm256_cmpeq_epi8(load(self, block), load(self, &pattern.bytes));
            _mm256_movemask_epi8(same) as u32
        };
        pattern.mask & !(same | any_first) == 0
    }

    #[inline(always)]
    fn enter<T: Task>(self, task: T) -> T::Out {
        #[target_feature(enable = "avx2,bmi1,bmi2")]
        #[inline(never)]
        fn run<T: Task>(task: T, simd: Avx2) -> T::Out {
            task.run(simd)
        }
        // SAFETY: the machine has all three (the proof).
        unsafe { run(task, self) }
    }
}
