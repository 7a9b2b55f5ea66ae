use super::*;
use arrow::buffer::OffsetBuffer;
use parquet::basic::PageType;

fn column(file: &Bytes) -> ColumnChunkMetaData {
    metadata(file).row_group(0).column(0).clone()
}

fn encodings(file: &Bytes) -> Vec<Encoding> {
    column(file).encodings().collect()
}

/// Levels aside.
fn of_values(file: &Bytes) -> Vec<Encoding> {
    let encodings = column(file).encodings().collect::<Vec<_>>();
    let of_values = encodings.into_iter().filter(|of| *of != Encoding::RLE);
    of_values.collect()
}

/// Pages of the first column: what they are and how their values are encoded.
fn pages(file: &Bytes) -> Vec<(PageType, Encoding)> {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let mut pages = group.get_column_page_reader(0).unwrap();
    std::iter::from_fn(|| {
        pages
            .get_next_page()
            .unwrap()
            .map(|page| (page.page_type(), page.encoding()))
    })
    .collect()
}

fn written(array: impl Array + 'static, options: &WriteOptions) -> Bytes {
    let batch = one_column(Arc::new(array));
    let batches: Vec<_> = (0..batch.num_rows())
        .step_by(30_000)
        .map(|start| batch.slice(start, 30_000.min(batch.num_rows() - start)))
        .collect();
    let file = encode(plan(&batch.schema(), options), &batches);
    assert_same(&file, &batch);
    file
}

fn plain() -> WriteOptions {
    WriteOptions {
        encoding: ValueEncoding::Plain,
        ..WriteOptions::default()
    }
}

fn auto() -> WriteOptions {
    WriteOptions::default()
}

fn delta() -> WriteOptions {
    WriteOptions {
        encoding: ValueEncoding::Delta,
        ..WriteOptions::default()
    }
}

/// Three rows a value, in no order: a dictionary pays until it is full.
fn thrice(row: i64) -> i64 {
    row / 600 * 200 + row * 251 % 600 / 3
}

#[test]
fn a_full_dictionary_is_followed_by_plain_pages() {
    for options in [plain(), auto(), delta()] {
        let texts =
            StringArray::from_iter_values((0..200_000).map(|i| format!("{:040}", thrice(i))));
        let numbers = Int64Array::from_iter_values((0..700_000).map(thrice));
        let nulls = (0..700_000)
            .map(|i| (i % 7 > 0).then_some(thrice(i)))
            .collect::<Int64Array>();
        for file in [
            written(texts, &options),
            written(numbers, &options),
            written(nulls, &options),
        ] {
            let encodings = encodings(&file);
            assert!(
                encodings.contains(&Encoding::RLE_DICTIONARY),
                "{encodings:?}"
            );
            let mut pages = pages(&file);
            assert_eq!(pages[0].0, PageType::DICTIONARY_PAGE);
            assert!(
                pages
                    .iter()
                    .skip(1)
                    .any(|page| page.1 == Encoding::RLE_DICTIONARY)
            );
            assert!(
                pages
                    .iter()
                    .skip(1)
                    .any(|page| page.1 != Encoding::RLE_DICTIONARY)
            );
            pages.dedup();
            assert_eq!(pages.len(), 3, "{pages:?}");
        }
    }
}

/// A compressor shrinks them better than indices that rise.
#[test]
fn values_that_ascend_get_no_dictionary() {
    for repeats in [2, 5, 12] {
        let texts =
            StringArray::from_iter_values((0..100_000).map(|i| format!("o{:08}", i / repeats)));
        let numbers = Int64Array::from_iter_values((0..100_000).map(|i| i / repeats * 1_000));
        for file in [written(texts, &plain()), written(numbers, &plain())] {
            assert!(!encodings(&file).contains(&Encoding::RLE_DICTIONARY));
        }
    }
    let constant_for_long = Int64Array::from_iter_values((0..100_000).map(|i| i / 100));
    let file = written(constant_for_long, &plain());
    assert!(encodings(&file).contains(&Encoding::RLE_DICTIONARY));
}

#[test]
fn long_values_that_repeat_do_not_become_one_huge_page() {
    let long = ["a".repeat(20_000), "b".repeat(20_000)];
    let short = (0..2_600).map(|i| format!("{i}"));
    let texts = (0..700).map(|i| long[i % 2].clone()).chain(short);
    let file = written(StringArray::from_iter_values(texts), &plain());
    let bytes = column(&file).uncompressed_size();
    assert!(bytes < 200_000, "{bytes}");
}

#[test]
fn a_footer_states_no_bounds_beside_a_nan() {
    let bounds = |values: Vec<f64>| {
        let file = encode(
            plan(
                &one_column(Arc::new(Float64Array::from(values.clone()))).schema(),
                &plain(),
            ),
            &[one_column(Arc::new(Float64Array::from(values)))],
        );
        let statistics = column(&file).statistics().cloned().unwrap();
        statistics.min_bytes_opt().is_some()
    };
    assert!(bounds(vec![1.0, 5.0]));
    assert!(!bounds(vec![1.0, f64::NAN, 5.0]));
}

#[test]
fn values_that_hardly_repeat_get_no_dictionary() {
    let texts =
        || StringArray::from_iter_values((0..100_000).map(|i| format!("{:032x}", i * 7_919)));
    let numbers = || Int64Array::from_iter_values((0..100_000).map(|i| i * 7_919));
    for file in [written(texts(), &plain()), written(numbers(), &plain())] {
        assert!(encodings(&file).contains(&Encoding::PLAIN));
        assert!(!encodings(&file).contains(&Encoding::RLE_DICTIONARY));
        assert_eq!(column(&file).dictionary_page_offset(), None);
    }
    let file = written(numbers(), &delta());
    assert!(encodings(&file).contains(&Encoding::DELTA_BINARY_PACKED));
    assert!(file.len() < 2_000, "{}", file.len());
    let file = written(texts(), &delta());
    assert!(encodings(&file).contains(&Encoding::DELTA_LENGTH_BYTE_ARRAY));
}

#[test]
fn differences_may_span_the_whole_range_of_a_type() {
    let longs = |n: i64| match n % 4 {
        0 => i64::MIN,
        1 => i64::MAX,
        _ => n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64),
    };
    for count in [0, 1, 2, 31, 32, 33, 128, 129, 130, 5_000] {
        written(
            Int64Array::from_iter_values((0..count).map(longs)),
            &delta(),
        );
        written(
            Int32Array::from_iter_values((0..count).map(|n| longs(n) as i32)),
            &delta(),
        );
        written(
            Date32Array::from_iter_values((0..count).map(|n| n as i32 - 16)),
            &delta(),
        );
    }
}

#[test]
fn differences_are_taken_where_they_are_smaller() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise = Int64Array::from_iter_values((0..50_000).map(|_| random.i64(..)));
    assert_eq!(of_values(&written(noise, &auto())), [Encoding::PLAIN]);
    let times = (0..50_000).map(|i| i * 1_000_000 + random.i64(0..5_000_000));
    let times = TimestampMicrosecondArray::from_iter_values(times);
    let (file, other) = (written(times.clone(), &auto()), written(times, &plain()));
    assert_eq!(of_values(&file), [Encoding::DELTA_BINARY_PACKED]);
    assert!(file.len() < other.len(), "{} {}", file.len(), other.len());
    // What repeats keeps its dictionary, and a few values are not worth a trial.
    let few = Int64Array::from_iter_values((0..50_000).map(|_| random.i64(0..50) * 1_000));
    assert!(encodings(&written(few, &auto())).contains(&Encoding::RLE_DICTIONARY));
    let short = Int64Array::from_iter_values(0..100);
    assert_eq!(of_values(&written(short, &auto())), [Encoding::PLAIN]);
    let texts = StringArray::from_iter_values((0..50_000).map(|i| format!("{:032x}", i * 7_919)));
    assert_eq!(of_values(&written(texts, &auto())), [Encoding::PLAIN]);
}

/// The choice holds for a chunk, not for the column.
#[test]
fn each_chunk_chooses_its_form_anew() {
    let mut random = fastrand::Rng::with_seed(2);
    let values = (0..30_000).map(|i| match i / 10_000 {
        1 => random.i64(..),
        _ => i * 1_000,
    });
    let options = WriteOptions {
        max_row_group_rows: 10_000,
        ..auto()
    };
    let file = written(Int64Array::from_iter_values(values), &options);
    let metadata = metadata(&file);
    let first = |group: usize| {
        let mut encodings = metadata.row_group(group).column(0).encodings();
        encodings.find(|of| *of != Encoding::RLE).unwrap()
    };
    assert_eq!(
        [first(0), first(1), first(2)],
        [
            Encoding::DELTA_BINARY_PACKED,
            Encoding::PLAIN,
            Encoding::DELTA_BINARY_PACKED
        ]
    );
}

/// Whatever compresses them best, strings that hardly repeat come back: ids, ids among long equal texts, and texts after a
/// dictionary that is full.
#[test]
fn plain_strings_are_searched_near_or_far() {
    let mut random = fastrand::Rng::with_seed(3);
    let ids = StringArray::from_iter_values((0..40_000).map(|_| {
        let id = random.u128(..);
        format!("{:08x}-{:027x}", id >> 96, id & ((1 << 108) - 1))
    }));
    let near = written(ids, &auto());
    assert!(near.len() * 100 < 40_000 * 40 * 54, "{}", near.len());
    // Repetitions lie farther apart than the few places that are remembered.
    let texts: Vec<String> = (0..400)
        .map(|_| (0..400).map(|_| random.alphanumeric()).collect())
        .collect();
    let far =
        StringArray::from_iter_values((0..4_000).map(|i| format!("{i:05}{}", texts[i % 400])));
    let far = written(far, &auto());
    assert!(far.len() < 900_000, "{}", far.len());
    let thrice = StringArray::from_iter_values((0..200_000).map(|i| format!("{:040}", thrice(i))));
    for level in [1, 3, 1] {
        written(
            thrice.clone(),
            &WriteOptions {
                compression: Compression::Zstd { level },
                ..auto()
            },
        );
    }
}

#[test]
fn what_is_constant_costs_nothing_by_row() {
    let file = written(
        StringArray::from_iter_values((0..500_000).map(|_| "kafka/events")),
        &plain(),
    );
    assert!(
        column(&file).compressed_size() < 200,
        "{}",
        column(&file).compressed_size()
    );
    let file = written(StringArray::new_null(500_000), &plain());
    assert!(
        column(&file).compressed_size() < 100,
        "{}",
        column(&file).compressed_size()
    );
    assert_eq!(
        metadata(&file)
            .row_group(0)
            .column(0)
            .statistics()
            .unwrap()
            .null_count_opt(),
        Some(500_000)
    );
    let element = Arc::new(Field::new("element", DataType::Int64, true));
    let offsets = OffsetBuffer::new_zeroed(50_000);
    let lists = ListArray::new(element, offsets, new_empty_array(&DataType::Int64), None);
    let file = written(lists, &plain());
    assert!(
        column(&file).compressed_size() < 100,
        "{}",
        column(&file).compressed_size()
    );
}

#[test]
fn a_chunk_that_does_not_shrink_is_stored_as_it_is() {
    let noise = Int64Array::from_iter_values((0..50_000).map(|_| fastrand::i64(..)));
    let file = written(noise, &plain());
    assert_eq!(
        column(&file).compression(),
        parquet::basic::Compression::UNCOMPRESSED
    );
    let counting = Int64Array::from_iter_values(0..50_000);
    let file = written(counting, &plain());
    assert!(matches!(
        column(&file).compression(),
        parquet::basic::Compression::ZSTD(_)
    ));
}

#[test]
fn values_longer_than_a_page_are_pages_of_their_own() {
    let texts = StringArray::from_iter_values((0..6).map(|i| format!("{i}").repeat(1_500_000)));
    let file = written(texts, &plain());
    assert_eq!(pages(&file).len(), 6);
    let same = StringArray::from_iter_values((0..6).map(|_| "x".repeat(1_500_000)));
    written(same, &delta());
}

fn mixed(rows: std::ops::Range<i64>) -> RecordBatch {
    let columns = (0..15).map(|column| {
        let array: ArrayRef = match column % 3 {
            0 => Arc::new(Int64Array::from_iter_values(
                rows.clone().map(|i| i * 31 + column),
            )),
            1 => Arc::new(StringArray::from_iter_values(rows.clone().map(|i| {
                format!(
                    "https://shop.example/item/{:08x}",
                    i as u64 * 2_654_435_761 % 100_000
                )
            }))),
            _ => Arc::new(StringArray::from_iter_values(
                rows.clone().map(|i| format!("kind {}", i % 7)),
            )),
        };
        (format!("c{column}"), array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn a_file_with_few_rows_holds_little_memory() {
    let mut encoder = FileEncoder::new(Arc::new(plan(&mixed(0..1).schema(), &plain())));
    let mut lease = Lease::take();
    for start in 0..4 {
        encoder
            .write(&mixed(start * 15..start * 15 + 15), &mut lease)
            .unwrap();
    }
    assert!(encoder.memory() < 64 << 10, "{}", encoder.memory());
}

#[test]
fn the_size_is_known_before_the_file_is_closed() {
    for rows in [2_000, 20_000, 200_000] {
        for compression in [Compression::Zstd { level: 1 }, Compression::None] {
            let options = WriteOptions {
                compression,
                ..plain()
            };
            let mut encoder = FileEncoder::new(Arc::new(plan(&mixed(0..1).schema(), &options)));
            let mut lease = Lease::take();
            for start in (0..rows).step_by(2_000) {
                encoder
                    .write(&mixed(start..start + 2_000), &mut lease)
                    .unwrap();
            }
            let (guess, memory) = (encoder.size() as f64, encoder.memory());
            assert!(memory as f64 > guess / 2.0);
            let size = encoder.finish(&mut lease).unwrap().size as f64;
            // Until a page is compressed, nobody knows how well it will be.
            let close = match (rows, compression) {
                (200_000, _) => 0.8..1.25,
                (_, Compression::None) => 0.5..1.5,
                _ => 0.5..10.0,
            };
            assert!(
                close.contains(&(guess / size)),
                "{rows} rows, {compression:?}: {guess} {size}"
            );
        }
    }
}

#[test]
fn a_type_that_delta_lacks_is_refused_by_name() {
    let schema = Schema::new(vec![Field::new(
        "time",
        DataType::Time32(TimeUnit::Second),
        true,
    )]);
    let spec = WriteSpec {
        logical: Arc::new(schema.clone()),
        physical: Arc::new(schema),
        projection: vec![0],
        partition_columns: vec![],
        stats_columns: vec![],
        random_prefix_length: None,
        fingerprint: SchemaFingerprint(0),
    };
    let error = Plan::new(&spec, &plain()).err().unwrap();
    assert_eq!(error.kind(), crate::error::Kind::Unsupported);
    assert!(error.to_string().ends_with("column=`time`"), "{error}");
}
