use super::*;
use fastrand::Rng;
use parquet::{column::page::Page, file::statistics::Statistics};
use proptest::prelude::*;

fn compression(choice: u8) -> Compression {
    match choice % 4 {
        0 => Compression::Zstd { level: 1 },
        1 => Compression::Snappy,
        2 => Compression::Lz4,
        _ => Compression::None,
    }
}

fn encoding() -> impl Strategy<Value = ValueEncoding> {
    prop::sample::select(vec![
        ValueEncoding::Auto,
        ValueEncoding::Plain,
        ValueEncoding::Delta,
    ])
}

fn baseline(batch: &RecordBatch, row_group: usize) -> Bytes {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(row_group))
        .set_coerce_types(true)
        .build();
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties)
        .with_schema_root("schema".into())
        .with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// Bounds of strings may be cut elsewhere; they must hold and be marked.
fn assert_same_statistics(ours: &ColumnChunkMetaData, theirs: &ColumnChunkMetaData) {
    let (Some(ours), Some(theirs)) = (ours.statistics(), theirs.statistics()) else {
        panic!("{ours:?} {theirs:?}");
    };
    if let (Statistics::ByteArray(ours), Statistics::ByteArray(theirs)) = (ours, theirs) {
        assert_eq!(ours.null_count_opt(), theirs.null_count_opt());
        if ours.min_is_exact() && ours.max_is_exact() {
            assert_eq!(ours, theirs);
        }
        assert!(ours.min_opt().is_none_or(|min| min.len() <= 64));
        assert!(ours.max_opt().is_none_or(|max| max.len() <= 64));
        return;
    }
    let is_float = matches!(ours, Statistics::Float(_) | Statistics::Double(_));
    if is_float && ours.min_bytes_opt().is_none() {
        // There may be a NaN, beside which the crate's writer states bounds.
        assert_eq!(ours.null_count_opt(), theirs.null_count_opt());
        return;
    }
    assert_eq!(ours, theirs);
}

/// Pages of columns in lists begin with a row, wherever they end.
fn assert_pages_begin_with_rows(file: &Bytes) {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        for column in 0..group.num_columns() {
            let lists = group
                .metadata()
                .column(column)
                .column_descr()
                .max_rep_level();
            if lists == 0 {
                continue;
            }
            let mut pages = group.get_column_page_reader(column).unwrap();
            while let Some(page) = pages.get_next_page().unwrap() {
                let Page::DataPage {
                    buf, num_values, ..
                } = page
                else {
                    continue;
                };
                let length = u32::from_le_bytes(buf[..4].try_into().unwrap()) as usize;
                let bits = hybrid::bits_for(lists as u32);
                let levels = hybrid::tests::decode(&buf[4..4 + length], bits, num_values as usize);
                assert_eq!(levels[0], 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_rows_of_any_schema_are_read_as_they_were_written(
        seed in any::<u64>(),
        rows in 0..120_usize,
        skipped in 0..20_usize,
        cuts in prop::collection::vec(0..120_usize, 0..4),
        (page, step, row_group) in (prop::sample::select(vec![1, 200, 1 << 20]), prop::sample::select(vec![1, 100, 1 << 20]), prop::sample::select(vec![7, 50, 1 << 20])),
        (codec, encoding) in (any::<u8>(), encoding()),
    ) {
        let mut random = Rng::with_seed(seed);
        let schema = arbitrary::schema(&mut random);
        let whole = arbitrary::batch(&mut random, &schema, rows + skipped).slice(skipped, rows);
        let options = WriteOptions {
            compression: compression(codec),
            encoding,
            max_row_group_rows: row_group,
            ..WriteOptions::default()
        };
        let mut plan = plan(&schema, &options);
        (plan.page_bytes, plan.step_bytes) = (page, step);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows)).collect();
        cuts.extend([0, rows]);
        cuts.sort_unstable();
        let batches: Vec<_> = cuts.windows(2).map(|cut| whole.slice(cut[0], cut[1] - cut[0])).collect();
        let file = encode(plan, &batches);
        assert_same(&file, &whole);
        assert_pages_begin_with_rows(&file);

        let (ours, theirs) = (metadata(&file), metadata(&baseline(&whole, row_group)));
        let root = |m: &ParquetMetaData| m.file_metadata().schema_descr().root_schema().clone();
        prop_assert_eq!(root(&ours), root(&theirs));
        prop_assert_eq!(ours.num_row_groups(), theirs.num_row_groups());
        for (ours, theirs) in ours.row_groups().iter().zip(theirs.row_groups()) {
            prop_assert_eq!(ours.num_rows(), theirs.num_rows());
            for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
                prop_assert_eq!(ours.num_values(), theirs.num_values());
                assert_same_statistics(ours, theirs);
            }
        }
    }

    /// Enough of them for differences, whose blocks and pages end anywhere.
    #[test]
    fn any_integers_are_read_as_they_were_written(
        seed in any::<u64>(),
        rows in 0..3_000_usize,
        (steps, nulls) in (prop::sample::select(vec![0, 1, 1_000, u64::MAX]), prop::sample::select(vec![0, 1, 9, 10])),
        (page, step, row_group) in (prop::sample::select(vec![1_030, 9_000, 1 << 20]), prop::sample::select(vec![100, 1 << 20]), prop::sample::select(vec![129, 1_000, 1 << 20])),
        (codec, encoding) in (any::<u8>(), encoding()),
    ) {
        let mut random = Rng::with_seed(seed);
        let mut at = random.i64(..);
        // A walk, at times to an end of the range.
        let values: Vec<Option<i64>> = (0..rows).map(|_| {
            at = match random.u8(..) {
                0 => i64::MIN,
                1 => i64::MAX,
                2 => 0,
                _ => at.wrapping_add(random.u64(0..=steps) as i64),
            };
            (random.u8(..10) >= nulls).then_some(at)
        }).collect();
        let narrow = values.iter().map(|value| value.map(|value| value as i32));
        let days: Date32Array = narrow.clone().collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("long", Arc::new(values.iter().copied().collect::<Int64Array>()) as ArrayRef, true),
            ("moment", Arc::new(values.iter().copied().collect::<TimestampMicrosecondArray>()), true),
            ("int", Arc::new(narrow.collect::<Int32Array>()), true),
            ("day", Arc::new(days), true),
            ("small", Arc::new(values.iter().map(|value| value.map(|value| value as i8)).collect::<Int8Array>()), true),
        ]).unwrap();
        let options = WriteOptions {
            compression: compression(codec),
            encoding,
            max_row_group_rows: row_group,
            ..WriteOptions::default()
        };
        let mut plan = plan(&batch.schema(), &options);
        (plan.page_bytes, plan.step_bytes) = (page, step);
        let file = encode(plan, std::slice::from_ref(&batch));
        assert_same(&file, &batch);
        let (ours, theirs) = (metadata(&file), metadata(&baseline(&batch, row_group)));
        for (ours, theirs) in ours.row_groups().iter().zip(theirs.row_groups()) {
            for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
                prop_assert_eq!(ours.num_values(), theirs.num_values());
                assert_same_statistics(ours, theirs);
            }
        }
    }

    #[test]
    fn bounds_of_long_strings_hold(
        texts in prop::collection::vec(prop_oneof!["[ab]{60,70}", "[aé\u{10FFFF}]{0,40}", "\u{10FFFF}{15,20}", "[\u{D7FF}\u{E000}]{20,24}"], 1..20),
        binary in any::<bool>(),
    ) {
        let array: ArrayRef = if binary {
            Arc::new(BinaryArray::from_iter_values(texts.iter().map(|t| t.bytes().map(|b| b | 0xF0).collect::<Vec<_>>())))
        } else {
            Arc::new(StringArray::from(texts.clone()))
        };
        let batch = one_column(array.clone());
        let file = encode(plan(&batch.schema(), &WriteOptions::default()), &[batch]);
        let metadata = metadata(&file);
        let Some(Statistics::ByteArray(stats)) = metadata.row_group(0).column(0).statistics() else {
            panic!("no statistics");
        };
        for row in 0..array.len() {
            let value = if binary { array.as_binary::<i32>().value(row) } else { array.as_string::<i32>().value(row).as_bytes() };
            prop_assert!(stats.min_opt().unwrap().data() <= value);
            prop_assert!(stats.max_opt().is_none_or(|max| max.data() >= value));
        }
        if !binary {
            for bound in [stats.min_opt(), stats.max_opt()].into_iter().flatten() {
                prop_assert!(str::from_utf8(bound.data()).is_ok());
            }
        }
    }
}
