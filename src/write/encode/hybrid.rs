//! Parquet's hybrid of runs and bit-packed groups: levels and dictionary indices.
//!
//! Format: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>, "Run Length Encoding / Bit-Packing Hybrid".

/// A run of equal values is written as such from this length on; shorter ones are packed with their neighbours.
const SHORTEST_RUN: usize = 16;

/// Appends `values`, each of `bits` bits. Nothing is padded but the end of the last packed group.
pub(super) fn encode(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    if bits == 0 {
        return encode_run(0, values.len(), bits, out);
    }
    let (mut at, mut packed) = (0, 0);
    while let Some(eight) = values.get(at..at + 8) {
        let first = eight[0];
        if eight.iter().all(|value| *value == first) {
            let end = at + run_length(&values[at..], first);
            if end - at >= SHORTEST_RUN || end == values.len() {
                pack(&values[packed..at], bits, out);
                encode_run(first, end - at, bits, out);
                (at, packed) = (end, end);
                continue;
            }
        }
        at += 8;
    }
    pack(&values[packed..], bits, out);
}

/// As [`encode`], for levels, which fit a byte.
pub(super) fn encode_bytes(values: &[u8], bits: u32, out: &mut Vec<u8>) {
    let (mut at, mut packed) = (0, 0);
    while let Some(eight) = values.get(at..at + 8) {
        let first = eight[0];
        if eight == [first; 8] {
            let end = at + run_length(&values[at..], first);
            if end - at >= SHORTEST_RUN || end == values.len() {
                pack_bytes(&values[packed..at], bits, out);
                encode_run(first.into(), end - at, bits, out);
                (at, packed) = (end, end);
                continue;
            }
        }
        at += 8;
    }
    pack_bytes(&values[packed..], bits, out);
}

/// Appends `count` times `value`.
pub(super) fn encode_run(value: u32, count: usize, bits: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..bits.div_ceil(8) as usize]);
    }
}

/// The width of values of which `greatest` is the greatest.
pub(super) fn bits_for(greatest: u32) -> u32 {
    u32::BITS - greatest.leading_zeros()
}

/// An unsigned LEB128.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn run_length<T: PartialEq>(values: &[T], first: T) -> usize {
    let mut whole = 8;
    while let Some(eight) = values.get(whole..whole + 8) {
        if !eight
            .iter()
            .fold(true, |same, value| same & (*value == first))
        {
            break;
        }
        whole += 8;
    }
    let rest = values[whole..].iter().take_while(|v| **v == first).count();
    whole + rest
}

fn packed_header(values: usize, bits: u32, out: &mut Vec<u8>) -> std::ops::Range<usize> {
    let groups = values.div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let start = out.len();
    out.resize(start + groups * bits as usize, 0);
    start..out.len()
}

fn pack(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let place = packed_header(values.len(), bits, out);
    let groups = out[place].chunks_exact_mut(bits as usize);
    let (eights, rest) = values.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for (group, eight) in groups.zip(eights.iter().chain(std::iter::once(&last))) {
        pack_group(eight, bits, group);
    }
}

/// Eight values of `bits` bits are `bits` bytes, the first value in the lowest bits.
fn pack_group(eight: &[u32; 8], bits: u32, group: &mut [u8]) {
    let half = |values: &[u32]| {
        let join =
            |all: u128, (i, value): (usize, &u32)| all | u128::from(*value) << (i as u32 * bits);
        values.iter().enumerate().fold(0, join)
    };
    if bits <= 8 {
        let join =
            |all: u64, (i, value): (usize, &u32)| all | u64::from(*value) << (i as u32 * bits);
        let all = eight.iter().enumerate().fold(0, join);
        group.copy_from_slice(&all.to_le_bytes()[..bits as usize]);
    } else if bits <= 16 {
        group.copy_from_slice(&half(eight).to_le_bytes()[..bits as usize]);
    } else {
        // Two halves of up to 128 bits; the second may begin in the middle of a byte.
        let (low, high) = (half(&eight[..4]), half(&eight[4..]));
        let split = 4 * bits;
        for (i, byte) in group.iter_mut().enumerate() {
            let at = 8 * i as u32;
            let from_low = if at < split { (low >> at) as u8 } else { 0 };
            let from_high = match at.checked_sub(split) {
                Some(down) => (high >> down) as u8,
                None if at + 8 > split => (high << (split - at)) as u8,
                None => 0,
            };
            *byte = from_low | from_high;
        }
    }
}

fn pack_bytes(values: &[u8], bits: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let place = packed_header(values.len(), bits, out);
    let groups = out[place].chunks_exact_mut(bits as usize);
    let (eights, rest) = values.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for (group, eight) in groups.zip(eights.iter().chain(std::iter::once(&last))) {
        let word = u64::from_le_bytes(*eight);
        let all = if bits == 1 {
            // Gathers the lowest bit of each byte.
            word.wrapping_mul(0x0102_0408_1020_4080) >> 56
        } else {
            let join =
                |all: u64, (i, value): (usize, &u8)| all | u64::from(*value) << (i as u32 * bits);
            eight.iter().enumerate().fold(0, join)
        };
        group.copy_from_slice(&all.to_le_bytes()[..bits as usize]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads as the specification says.
    pub(in crate::write::encode) fn decode(mut input: &[u8], bits: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let byte = input[0];
                input = &input[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let bytes = bits.div_ceil(8) as usize;
                let mut value = [0; 4];
                value[..bytes].copy_from_slice(&input[..bytes]);
                input = &input[bytes..];
                values.extend(std::iter::repeat_n(
                    u32::from_le_bytes(value),
                    (header >> 1) as usize,
                ));
            } else {
                let groups = (header >> 1) as usize;
                for i in 0..groups * 8 {
                    let bit = |b: u32| {
                        let at = i * bits as usize + b as usize;
                        u32::from(input[at / 8] >> (at % 8) & 1)
                    };
                    values.push((0..bits).fold(0, |value, b| value | bit(b) << b));
                }
                input = &input[groups * bits as usize..];
            }
        }
        assert!(input.is_empty());
        assert!(values.len() - count < 8);
        assert!(values[count..].iter().all(|v| *v == 0));
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            bits in 0..=32_u32,
            runs in prop::collection::vec((any::<u32>(), 1..40_usize), 0..20),
        ) {
            let mask = ((1_u64 << bits) - 1) as u32;
            let values: Vec<u32> = runs.iter().flat_map(|(v, n)| std::iter::repeat_n(v & mask, *n)).collect();
            let mut out = Vec::new();
            encode(&values, bits, &mut out);
            prop_assert_eq!(&decode(&out, bits, values.len()), &values);
            if (1..=8).contains(&bits) {
                let bytes: Vec<u8> = values.iter().map(|v| *v as u8).collect();
                let mut same = Vec::new();
                encode_bytes(&bytes, bits, &mut same);
                prop_assert_eq!(same, out);
            }
        }
    }

    #[test]
    fn long_runs_take_a_few_bytes() {
        let mut out = Vec::new();
        encode(&[7; 100_000], 3, &mut out);
        assert_eq!(out.len(), 4);
        assert_eq!(
            (bits_for(0), bits_for(1), bits_for(255), bits_for(256)),
            (0, 1, 8, 9)
        );
    }
}
