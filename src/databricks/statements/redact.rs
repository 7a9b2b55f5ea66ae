//! Statements without the credentials that they may hold.

/// Words after which a list in parentheses holds secrets (`COPY INTO … WITH (CREDENTIAL (…) ENCRYPTION (…))`).
const LISTS: [&str; 3] = ["CREDENTIAL", "CREDENTIALS", "ENCRYPTION"];
/// Words whose quoted value is a secret wherever they stand.
const VALUES: [&str; 8] = [
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_SAS_TOKEN",
    "MASTER_KEY",
    "PASSWORD",
    "CLIENT_SECRET",
    "ACCESS_TOKEN",
];
const STRUCK: &str = "[redacted]";

/// A statement, or what the service says of one, fit to be printed: without the credentials of COPY INTO and the like.
///
/// A text that was cut off within a credential loses its rest. Text in quotes is looked at as well: the service quotes SQL in
/// its errors.
pub fn redacted(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push_str(word);
            rest = after;
            let word = word.to_ascii_uppercase();
            if LISTS.contains(&word.as_str()) {
                rest = strike_list(rest, &mut out);
            } else if VALUES.contains(&word.as_str()) {
                rest = strike_value(rest, &mut out);
            }
        } else if first.is_alphanumeric() {
            // Digits begin no word, and what follows them is not one either.
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The length of a quoted text at the beginning of `text`, its quotes included. A doubled quote or one after a backslash
/// does not end it.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            characters.next();
        } else if c == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    characters.next();
                }
                _ => return at + 1,
            }
        }
    }
    text.len()
}

/// A list in parentheses, if one follows.
fn strike_list<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let inside = rest.trim_start();
    if !inside.starts_with('(') {
        return rest;
    }
    out.push_str(&rest[..rest.len() - inside.len()]);
    out.push_str(&format!("({STRUCK})"));
    let (mut depth, mut at) = (0, 0);
    while let Some(c) = inside[at..].chars().next() {
        match c {
            '\'' | '"' | '`' => {
                at += quoted(&inside[at..], c);
                continue;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            return &inside[at..];
        }
    }
    ""
}

/// A quoted value, if one follows, perhaps after the word's own closing quote and `=`.
fn strike_value<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let value = rest.strip_prefix(['\'', '"', '`']).unwrap_or(rest);
    let mut value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    if !value.starts_with(['\'', '"']) {
        value = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    }
    match value.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            out.push_str(&rest[..rest.len() - value.len()]);
            out.push_str(&format!("{quote}{STRUCK}{quote}"));
            &value[quoted(value, quote)..]
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_struck_out_and_all_else_is_kept() {
        for (sql, shown) in [
            (
                "COPY INTO t FROM 's3://b' WITH ( CREDENTIAL (AWS_ACCESS_KEY='planted', AWS_SECRET_KEY = 'pla)nted') ) FILEFORMAT = PARQUET",
                "COPY INTO t FROM 's3://b' WITH ( CREDENTIAL ([redacted]) ) FILEFORMAT = PARQUET",
            ),
            (
                "with(credential\n(AZURE_SAS_TOKEN='sig=planted''more'))",
                "with(credential\n([redacted]))",
            ),
            (
                "CREDENTIAL (A='planted\\'planted') x",
                "CREDENTIAL ([redacted]) x",
            ),
            (
                "ENCRYPTION (TYPE='AWS_SSE_C', MASTER_KEY='planted')",
                "ENCRYPTION ([redacted])",
            ),
            (
                "near \"CREDENTIAL (AWS_SECRET_KEY='planted",
                "near \"CREDENTIAL ([redacted])",
            ),
            (
                "AWS_SECRET_KEY='planted' x",
                "AWS_SECRET_KEY='[redacted]' x",
            ),
            ("password'planted'", "password'[redacted]'"),
            ("'password''planted'", "'password''[redacted]'"),
            (
                "CREDENTIAL (AWS_SECRET_KEY='planted",
                "CREDENTIAL ([redacted])",
            ),
            ("CREDENTIAL my_credential)", "CREDENTIAL my_credential)"),
            (
                "options (host 'h', password 'planted', \"password\" = \"planted\")",
                "options (host 'h', password '[redacted]', \"password\" = \"[redacted]\")",
            ),
            (
                "SELECT my_credential(1), 1credential (2)",
                "SELECT my_credential(1), 1credential (2)",
            ),
            ("SELECT 'it''s' || \"ü\"", "SELECT 'it''s' || \"ü\""),
            ("", ""),
        ] {
            assert_eq!(redacted(sql), shown);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_listed_secret_never_shows(
            before in "[^'\"`\\\\]{0,20}[ ;]",
            secret in "[a-z]{12}",
            after in ".{0,30}",
        ) {
            let sql = format!("{before}CREDENTIAL (AWS_SECRET_KEY='{secret}'){after}");
            prop_assume!(!after.contains(&secret) && !before.contains(&secret));
            prop_assert!(!redacted(&sql).contains(&secret));
            redacted(&after);
        }
    }
}
