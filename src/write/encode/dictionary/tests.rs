use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// Numbers of distinct values in the order of their first appearance.
fn numbered<T: std::hash::Hash + Eq + Clone>(values: &[T]) -> (Vec<u32>, Vec<T>) {
    let (mut known, mut distinct) = (HashMap::new(), Vec::new());
    let number = |value: &T| {
        *known.entry(value.clone()).or_insert_with(|| {
            distinct.push(value.clone());
            distinct.len() as u32 - 1
        })
    };
    (values.iter().map(number).collect(), distinct)
}

/// Strings that differ late, early, in length alone or not at all.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::collection::vec(0..2_u8, 0..4);
    let any = prop::collection::vec(any::<u8>(), 0..70);
    let long = (0..80_usize, end.clone(), 0..20_usize).prop_map(|(before, mut middle, after)| {
        let mut value = vec![7; before];
        value.append(&mut middle);
        value.resize(value.len() + after, 7);
        value
    });
    prop_oneof![end, any, long]
}

proptest! {
    #[test]
    fn strings_are_numbered_by_first_appearance(
        values in prop::collection::vec(string(), 0..400),
        parts in prop::collection::vec(0..100_usize, 0..5),
    ) {
        let mut data = b"before".to_vec();
        let mut offsets = vec![data.len() as i32];
        for value in &values {
            data.extend(value);
            offsets.push(data.len() as i32);
        }
        let (expected, distinct) = numbered(&values);
        let mut dictionary = BytesDictionary::default();
        for _ in 0..2 {
            let (mut numbers, mut rest) = (Vec::new(), &offsets[..]);
            for part in parts.iter().copied().chain([values.len()]) {
                let part = part.min(rest.len() - 1);
                dictionary.intern_all(&rest[..=part], &data, &mut numbers);
                rest = &rest[part..];
            }
            prop_assert_eq!(&numbers, &expected);
            prop_assert_eq!(dictionary.iter().collect::<Vec<_>>(), distinct.clone());
            for (value, number) in values.iter().zip(&expected) {
                prop_assert_eq!(dictionary.intern(Key::new(value, 0, value.len())), *number);
            }
            // Its memory is used again.
            dictionary.clear();
            prop_assert_eq!(dictionary.len(), 0);
        }
    }

    #[test]
    fn numbers_are_numbered_by_first_appearance(values in prop::collection::vec(prop_oneof![0..50_i64, any::<i64>()], 0..400)) {
        let (expected, distinct) = numbered(&values);
        let mut dictionary = FixedDictionary::default();
        for _ in 0..2 {
            let mut numbers = Vec::new();
            dictionary.intern_all(&values, &mut numbers);
            prop_assert_eq!(&numbers, &expected);
            prop_assert_eq!(dictionary.values(), &distinct[..]);
            for (value, number) in values.iter().zip(&expected) {
                prop_assert_eq!(dictionary.intern(*value), *number);
            }
            dictionary.clear();
        }
    }
}
