//! The grammar of declared column types.

/// Deeper types are refused; so deep a table no reader shows.
const MAX_DEPTH: usize = 32;

/// Whether a type is spelled as [`crate::schema::ColumnType`] wants it.
///
/// # Errors
/// What is wrong, with the types there are.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut rest = text.trim();
    match parse(&mut rest, 0) {
        Ok(()) if rest.trim().is_empty() => Ok(()),
        Ok(()) => Err(format!("has something after the type; type=`{text}`")),
        Err(message) => Err(format!("{message}; type=`{text}`")),
    }
}

fn parse(rest: &mut &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("is nested deeper than {MAX_DEPTH}"));
    }
    let word = take_word(rest).to_ascii_lowercase();
    match word.as_str() {
        "boolean" | "bool" | "byte" | "tinyint" | "short" | "smallint" | "integer" | "int"
        | "long" | "bigint" | "float" | "real" | "double" | "string" | "binary" | "date"
        | "timestamp" | "timestamp_ntz" => Ok(()),
        // Any value as its text: a column as a whole, not a part of one.
        "json" if depth == 0 => Ok(()),
        "decimal" => decimal(rest),
        "array" => {
            expect(rest, '<')?;
            parse(rest, depth + 1)?;
            expect(rest, '>')
        }
        "map" => {
            expect(rest, '<')?;
            if !take_word(rest).eq_ignore_ascii_case("string") {
                return Err("has keys that are not string; JSON has no others".into());
            }
            expect(rest, ',')?;
            parse(rest, depth + 1)?;
            expect(rest, '>')
        }
        "struct" => {
            expect(rest, '<')?;
            loop {
                if take_name(rest)?.is_empty() {
                    return Err("has a field without a name; write struct<name: type, …>".into());
                }
                // As in Spark's own spelling, the colon may be left out.
                let _ = expect(rest, ':');
                parse(rest, depth + 1)?;
                if expect(rest, ',').is_err() {
                    return expect(rest, '>');
                }
            }
        }
        _ => Err(
            "is not a type; there are boolean, integer, long, float, double, decimal(p,s), string, binary, date, timestamp, timestamp_ntz, struct<…>, array<…>, map<…> and json".into(),
        ),
    }
}

fn decimal(rest: &mut &str) -> Result<(), String> {
    if expect(rest, '(').is_err() {
        return Ok(());
    }
    let precision: u8 = number(rest)?;
    let scale = match expect(rest, ',') {
        Ok(()) => number(rest)?,
        Err(_) => 0,
    };
    expect(rest, ')')?;
    if (1..=38).contains(&precision) && scale <= precision {
        Ok(())
    } else {
        Err("is a decimal(p,s) with p from 1 to 38 and s from 0 to p".into())
    }
}

fn number(rest: &mut &str) -> Result<u8, String> {
    take_word(rest)
        .parse()
        .map_err(|_| "wants numbers, as in decimal(10,2)".into())
}

fn take_word<'a>(rest: &mut &'a str) -> &'a str {
    *rest = rest.trim_start();
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

/// A field's name: up to a space or the colon, or anything between backquotes.
fn take_name<'a>(rest: &mut &'a str) -> Result<&'a str, String> {
    *rest = rest.trim_start();
    if let Some(quoted) = rest.strip_prefix('`') {
        let (name, after) = quoted
            .split_once('`')
            .ok_or("has a backquote that is not closed")?;
        *rest = after;
        return Ok(name);
    }
    let end = rest
        .find(|c: char| c.is_whitespace() || ":<>,".contains(c))
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    Ok(name)
}

fn expect(rest: &mut &str, wanted: char) -> Result<(), String> {
    match rest.trim_start().strip_prefix(wanted) {
        Some(after) => {
            *rest = after;
            Ok(())
        }
        None => Err(format!("wants a `{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        for good in [
            "long",
            " decimal( 10 , 2 ) ",
            "array<map<string, struct<a: long, `b c`: date, d double>>>",
            "decimal",
            "json",
            "TIMESTAMP_NTZ",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "text",
            "array<json>",
            "map<long, long>",
            "decimal(39,2)",
            "decimal(3,4)",
            "array<>",
            "array<long",
            "struct<>",
            "struct<a>",
            "long long",
            &"array<".repeat(100),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z<>(),:`0-9é ]{0,40}") {
            let _ = check(&text);
        }
    }
}
