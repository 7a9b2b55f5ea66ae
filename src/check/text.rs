//! Text for people: columns, times, numbers.

/// Rows in columns as wide as their widest cell, each line indented by `indent`. The last column is
/// not padded. The first row is the head.
pub(crate) fn columns(indent: usize, rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|i| {
            let cells = rows.iter().filter_map(|row| row.get(i));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(cell);
            if i + 1 < row.len() {
                line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A row of texts.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Milliseconds since the epoch, in UTC to the second.
pub(crate) fn time(millis: Option<i64>) -> String {
    millis
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(
            || "unknown".to_owned(),
            |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Bytes in the largest binary unit below them.
pub(crate) fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (n as f64, "bytes");
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match unit {
        "bytes" => format!("{n} bytes"),
        unit => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_leave_no_trailing_blanks() {
        let text = columns(2, &[row(["A", "LONG"]), row(["é", ""]), row(["abc", "x"])]);
        assert_eq!(text, "  A    LONG\n  é\n  abc  x\n");
        assert_eq!(time(Some(1_795_259_463_969)), "2026-11-21T11:11:03Z");
        assert_eq!(bytes(1), "1 bytes");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
    }
}
