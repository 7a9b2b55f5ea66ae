//! Blocks of 32 bytes on x86-64 with AVX2.

#![allow(unsafe_code)]

use super::simd::{BLOCK, Pattern, Simd, Task};
use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_alignr_epi8,
    _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_subs_epu8, _mm256_testz_si256, _mm256_xor_si256,
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

/// From index 32 - n on, n bytes that keep what is and 32 - n that clear it.
const KEEP: [u8; 2 * BLOCK] = {
    let mut keep = [0; 2 * BLOCK];
    let mut i = 0;
    while i < BLOCK {
        keep[i] = 0xff;
        i += 1;
    }
    keep
};

// What two bytes that follow each other may be wrong in, a bit each.
const TOO_SHORT: u8 = 1;
const TOO_LONG: u8 = 1 << 1;
const OVERLONG_3: u8 = 1 << 2;
const TOO_LARGE: u8 = 1 << 3;
const SURROGATE: u8 = 1 << 4;
const OVERLONG_2: u8 = 1 << 5;
/// Also an overlong sequence of four.
const TOO_LARGE_1000: u8 = 1 << 6;
const TWO_CONTINUATIONS: u8 = 1 << 7;
const ANY_LOW: u8 = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS;

/// What may be wrong by the first byte's higher half.
const FIRST_HIGH: [u8; 16] = {
    let mut wrong = [TOO_LONG; 16];
    let mut i = 8;
    while i < 12 {
        wrong[i] = TWO_CONTINUATIONS;
        i += 1;
    }
    wrong[12] = TOO_SHORT | OVERLONG_2;
    wrong[13] = TOO_SHORT;
    wrong[14] = TOO_SHORT | OVERLONG_3 | SURROGATE;
    wrong[15] = TOO_SHORT | TOO_LARGE | TOO_LARGE_1000;
    wrong
};

/// What may be wrong by the first byte's lower half.
const FIRST_LOW: [u8; 16] = {
    let mut wrong = [ANY_LOW | TOO_LARGE | TOO_LARGE_1000; 16];
    wrong[0] = ANY_LOW | OVERLONG_3 | OVERLONG_2 | TOO_LARGE_1000;
    wrong[1] = ANY_LOW | OVERLONG_2;
    wrong[2] = ANY_LOW;
    wrong[3] = ANY_LOW;
    wrong[4] = ANY_LOW | TOO_LARGE;
    wrong[13] |= SURROGATE;
    wrong
};

/// What may be wrong by the second byte's higher half.
const SECOND_HIGH: [u8; 16] = {
    let mut wrong = [TOO_SHORT; 16];
    let continued = TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS;
    wrong[8] = continued | OVERLONG_3 | TOO_LARGE_1000;
    wrong[9] = continued | OVERLONG_3 | TOO_LARGE;
    wrong[10] = continued | SURROGATE | TOO_LARGE;
    wrong[11] = wrong[10];
    wrong
};

#[inline(always)]
fn load(_: Avx2, block: &[u8; BLOCK]) -> __m256i {
    // SAFETY: AVX2 is there (the proof), and the reference is to 32 readable bytes; the load needs no
    // alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

/// A table for each half of a register.
#[inline(always)]
fn table(_: Avx2, table: &[u8; 16]) -> __m256i {
    // SAFETY: as in `load`, of 16 bytes.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast::<__m128i>())) }
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

    /// After John Keiser and Daniel Lemire, "Validating UTF-8 in less than one instruction per byte" (2021).
    #[inline(always)]
    fn utf8(self, block: &[u8; BLOCK], length: usize, before: &[u8; BLOCK]) -> bool {
        let keep = KEEP[BLOCK - length.min(BLOCK)..].first_chunk();
        let (keep, before) = (load(self, keep.unwrap_or(&[0; BLOCK])), load(self, before));
        // SAFETY: as in `special`.
        unsafe {
            let bytes = _mm256_and_si256(load(self, block), keep);
            if _mm256_movemask_epi8(_mm256_or_si256(bytes, before)) == 0 {
                return true;
            }
            let straddling = _mm256_permute2x128_si256::<0x21>(before, bytes);
            let one_back = _mm256_alignr_epi8::<15>(bytes, straddling);
            let two_back = _mm256_alignr_epi8::<14>(bytes, straddling);
            let three_back = _mm256_alignr_epi8::<13>(bytes, straddling);
            let nibble = _mm256_set1_epi8(0xf);
            let one_high = _mm256_and_si256(_mm256_srli_epi16::<4>(one_back), nibble);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
            let first = _mm256_shuffle_epi8(table(self, &FIRST_HIGH), one_high);
            let low = _mm256_and_si256(one_back, nibble);
            let first = _mm256_and_si256(first, _mm256_shuffle_epi8(table(self, &FIRST_LOW), low));
            let wrong = _mm256_shuffle_epi8(table(self, &SECOND_HIGH), high);
            let wrong = _mm256_and_si256(first, wrong);
            // Where a third or a fourth byte must be, behind one from 0xe0 or 0xf0 on, two continuations in a row
            // are right: what is above 0x60 or 0x70 below such a byte has the highest bit.
            let third = _mm256_subs_epu8(two_back, _mm256_set1_epi8(0x60));
            let fourth = _mm256_subs_epu8(three_back, _mm256_set1_epi8(0x70));
            let due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(-0x80));
            let wrong = _mm256_xor_si256(due, wrong);
            _mm256_testz_si256(wrong, wrong) == 1
        }
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
        pattern.mask & !u64::from(same | any_first) == 0
    }

    #[inline(always)]
    fn fetch(self, place: *const u8, ahead: usize) {
        // SAFETY: a hint to the processor, which reads nothing and fails at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(ahead).cast()) }
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
