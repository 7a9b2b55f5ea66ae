//! Options that several commands share.

use crate::{
    config::{Config, Environment, Flags},
    error::Result,
};
use std::{path::PathBuf, time::Duration};

/// Which configuration.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// The configuration file (TOML); without one, HTTP on 127.0.0.1:8080 into ./lake
    #[arg(long, short, value_name = "FILE", env = "ALLUVIUM_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Where the tables are: a folder, s3://, az://, abfss:// or file:; over `lake.url`
    #[arg(long, value_name = "URL|DIR")]
    pub(super) lake: Option<String>,
}

impl ConfigArgs {
    /// # Errors
    /// All that is wrong with the configuration.
    pub(super) fn load(&self, listen: Option<String>) -> Result<Config> {
        Ok(Config::load(
            self.config.as_deref(),
            &Environment::of_process(),
            &self.flags(listen),
        )?)
    }

    pub(super) fn flags(&self, listen: Option<String>) -> Flags {
        Flags {
            listen,
            lake: self.lake.clone(),
        }
    }
}

/// A whole number with its unit: `90s`, `30m`, `36h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("name a whole number and a unit, s, m, h or d, as in 36h, given=`{text}`");
    let (number, unit) = text
        .char_indices()
        .next_back()
        .map(|(at, unit)| (&text[..at], unit))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_plain);
    let all = number.and_then(|number| number.checked_mul(seconds));
    all.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("36h", 129_600),
            ("7d", 604_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "7",
            "d",
            "+7d",
            "-1d",
            "1.5h",
            "7 d",
            "7w",
            "9999999999999999999d",
            "7é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
