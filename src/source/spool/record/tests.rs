//! The format of a record, and what is not one.

use super::*;
use proptest::prelude::*;

fn bytes_of(encoded: &mut Encoded, mut sequence: u64, synced: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in &mut encoded.chunks {
        sequence = chunk.seal(sequence, synced);
        out.extend_from_slice(&chunk.head);
        out.extend_from_slice(&chunk.payload);
    }
    out
}

#[test]
fn what_is_encoded_is_read_back_chunk_by_chunk() {
    let event = "x".repeat(100 << 10);
    let body = Bytes::from([event.as_str(); 7].join("\n"));
    let events: Vec<_> = (0..7u32)
        .map(|i| i * (102_401)..i * 102_401 + 102_400)
        .collect();
    let reason = RejectReason {
        code: "malformed",
        detail: "expected value".into(),
    };
    let key = KeyPart {
        key: KeyHash([7; 16]),
        body: BodyHash([8; 16]),
        accepted: 6,
        rejected: 1,
    };
    let mut encoded = encode(
        "clicks",
        &body,
        &events,
        &[(5, reason.clone())],
        42,
        Some(key),
    );
    assert_eq!(encoded.chunks.len(), 4, "two events of 100 KiB a chunk");
    let bytes = bytes_of(&mut encoded, 1_000, 77);
    assert_eq!(encoded.len, bytes.len() as u64);
    let (mut at, mut next, mut seen) = (0, 1_000, 0);
    while at < bytes.len() {
        let record = decode(&bytes[at..]).unwrap();
        assert_eq!(
            (record.sequence, record.synced, record.received),
            (next, 77, 42)
        );
        assert_eq!(record.table, "clicks");
        assert_eq!(record.first_chunk, at == 0);
        assert_eq!(record.key, (at == 0).then_some(key));
        assert_eq!(record.last_chunk, at + record.len == bytes.len());
        for span in record.spans() {
            assert_eq!(&bytes[at..][span], event.as_bytes());
            seen += 1;
        }
        for (event, why) in &record.rejected {
            assert_eq!((record.sequence + u64::from(*event), why), (1_005, &reason));
        }
        next = record.end();
        at += record.len;
    }
    assert_eq!((seen, next), (7, 1_007));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_seen(text in "[a-z]{0,200}", bit in 0usize..4_000) {
        let body = Bytes::from(text);
        let span = 0..body.len() as u32;
        let mut bytes = bytes_of(&mut encode("t", &body, std::slice::from_ref(&span), &[], 1, None), 5, 0);
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn random_bytes_are_no_record(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic: bool) {
        if magic && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&MAGIC);
        }
        prop_assert!(decode(&bytes).is_err());
        // The same with a checksum that holds: lengths inside a header are not believed either.
        if bytes.len() > PREFIX {
            let header = (bytes.len() - PREFIX) as u32;
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..8].copy_from_slice(&header.to_le_bytes());
            bytes[8..16].fill(0);
            let crc = head_crc(&bytes);
            bytes[16..20].copy_from_slice(&crc.to_le_bytes());
            let _ = decode(&bytes);
        }
    }
}
