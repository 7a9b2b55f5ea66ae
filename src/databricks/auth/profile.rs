//! `~/.databrickscfg`: profiles as Databricks' tools write them.

use std::{collections::BTreeMap, path::Path};

pub(super) type Profiles = BTreeMap<String, BTreeMap<String, String>>;

pub(super) const SETTINGS: &str = "__settings__";
pub(super) const DEFAULT: &str = "DEFAULT";

/// Reads a file. Errors name the file and the line, never what stands there.
pub(super) fn read(file: &Path) -> Result<Profiles, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!(
            "the profiles cannot be read: {error}, file=`{}`",
            file.display()
        )
    })?;
    parse(&text).map_err(|error| format!("{error}, file=`{}`", file.display()))
}

/// Sections of `key = value` lines; `#` and `;` begin comments. No section takes over what `[DEFAULT]` says.
fn parse(text: &str) -> Result<Profiles, String> {
    let mut profiles = Profiles::new();
    let mut present: Option<String> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest
                .strip_suffix(']')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| format!("a profile's name is not closed, line=`{number}`"))?;
            profiles.entry(name.to_owned()).or_default();
            present = Some(name.to_owned());
            continue;
        }
        let (key, value) = match line.find(['=', ':']) {
            Some(at) => (line[..at].trim(), line[at + 1..].trim()),
            None => {
                return Err(format!(
                    "neither [PROFILE] nor key = value, line=`{number}`"
                ));
            }
        };
        let Some(values) = present.as_ref().and_then(|name| profiles.get_mut(name)) else {
            return Err(format!(
                "a key stands before the first [PROFILE], line=`{number}`"
            ));
        };
        if !value.is_empty() {
            values.insert(key.to_ascii_lowercase(), value.to_owned());
        }
    }
    Ok(profiles)
}

/// The profile to read: the one asked for, that of `default_profile` in `[__settings__]`, or `[DEFAULT]` where it says
/// something. `None`: the file offers none.
pub(super) fn choose(profiles: &Profiles, asked: Option<&str>) -> Result<Option<String>, String> {
    let named = asked.or_else(|| {
        let name = profiles.get(SETTINGS)?.get("default_profile")?;
        Some(name.as_str())
    });
    match named {
        Some(SETTINGS) => Err(format!("[{SETTINGS}] is no profile; name another")),
        Some(name) if profiles.contains_key(name) => Ok(Some(name.to_owned())),
        Some(name) => {
            let known = profiles
                .keys()
                .filter(|known| *known != SETTINGS)
                .cloned()
                .collect::<Vec<_>>();
            Err(format!(
                "there is no such profile, profile=`{name}` known=`{}`",
                known.join(", ")
            ))
        }
        None => {
            let has = profiles
                .get(DEFAULT)
                .is_some_and(|values| !values.is_empty());
            Ok(has.then(|| DEFAULT.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}# a comment\n[DEFAULT]\nhost = https://default.cloud.databricks.com\ntoken : dapi-default\n\n\
        [prod]\r\nHost=https://prod.cloud.databricks.com\r\nclient_id = id\r\nclient_secret = a=b:c # kept\n; another\n[empty]\nhost =\n";

    #[test]
    fn sections_are_read_as_the_tools_write_them() {
        let profiles = parse(FILE).unwrap();
        assert_eq!(
            profiles["prod"]["host"],
            "https://prod.cloud.databricks.com"
        );
        assert_eq!(profiles["prod"]["client_secret"], "a=b:c # kept");
        assert_eq!(profiles["DEFAULT"]["token"], "dapi-default");
        // What DEFAULT says holds for it alone, and an empty value is none.
        assert!(!profiles["prod"].contains_key("token"));
        assert!(profiles["empty"].is_empty());
    }

    #[test]
    fn corrupt_files_are_told_by_line_without_their_text() {
        for (text, line) in [
            ("[a]\nplanted", "line=`2`"),
            ("planted = x", "line=`1`"),
            ("[planted\n", "line=`1`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(line) && !error.contains("planted"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_order_is_asked_settings_default() {
        let with_settings = format!("{FILE}[__settings__]\ndefault_profile = prod\n");
        let (plain, set) = (parse(FILE).unwrap(), parse(&with_settings).unwrap());
        assert_eq!(choose(&plain, Some("empty")).unwrap().unwrap(), "empty");
        assert_eq!(choose(&plain, None).unwrap().unwrap(), "DEFAULT");
        assert_eq!(choose(&set, None).unwrap().unwrap(), "prod");
        assert_eq!(
            choose(&parse("[prod]\nhost=x").unwrap(), None).unwrap(),
            None
        );
        assert_eq!(choose(&parse("[DEFAULT]\n").unwrap(), None).unwrap(), None);
        let missing = choose(&set, Some("prd")).unwrap_err();
        assert!(
            missing.contains("known=`DEFAULT, empty, prod`"),
            "{missing}"
        );
        assert!(choose(&set, Some("__settings__")).is_err());
        assert!(
            choose(
                &parse("[__settings__]\ndefault_profile=gone").unwrap(),
                None
            )
            .is_err()
        );
    }
}
