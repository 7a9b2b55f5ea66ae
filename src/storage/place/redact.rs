//! URLs without what people put into them by mistake.

/// A place as it may be shown: without user, password, query and fragment.
///
/// The container of an `abfss:` URL stands where others have a user, and stays.
pub(crate) fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return cut(text).to_owned();
    };
    let hadoop = scheme.to_ascii_lowercase().starts_with("abfs");
    // A key may hold slashes, so all before the last `@` goes.
    let shown = match rest.rsplit_once('@') {
        Some((before, _)) if hadoop && !before.contains([':', '@', '?', '/']) => rest,
        Some((_, after)) => after,
        None => rest,
    };
    format!("{scheme}://{}", cut(shown))
}

fn cut(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}
