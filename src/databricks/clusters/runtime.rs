//! The version of a cluster's runtime, read from `spark_version`.

use std::fmt;

/// The version of a Databricks runtime; compared as numbers, so that 6.10 is later than 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeVersion {
    pub major: u32,
    pub minor: u32,
}

impl RuntimeVersion {
    /// Of texts such as `15.4.x-scala2.12`, `6.10.x-esr-scala2.11`, `14.3.x-photon-scala2.12`.
    ///
    /// `None` for what tells none: `custom:…`, `auto:latest-lts`, `apache-spark-…`.
    pub fn parse(spark_version: &str) -> Option<Self> {
        let text = spark_version.trim();
        let number = text.split('-').next()?;
        let mut parts = number.split('.');
        let major = digits(parts.next()?)?;
        let minor = parts.next()?;
        // `15.x-snapshot` is before every numbered minor of 15.
        let minor = if minor == "x" { 0 } else { digits(minor)? };
        let rest_is_known = parts.all(|part| part == "x" || digits(part).is_some());
        rest_is_known.then_some(Self { major, minor })
    }
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

impl fmt::Display for RuntimeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let of = |text: &str| RuntimeVersion::parse(text).map(|v| (v.major, v.minor));
        for (text, version) in [
            ("6.2.x-scala2.11", Some((6, 2))),
            ("6.3.x-scala2.11", Some((6, 3))),
            ("6.10.x-scala2.11", Some((6, 10))),
            ("10.4.x-scala2.12", Some((10, 4))),
            ("15.4.x-scala2.12", Some((15, 4))),
            ("15.4.x-photon-scala2.12", Some((15, 4))),
            ("5.5.x-cpu-ml-scala2.11", Some((5, 5))),
            ("14.x-snapshot-scala2.12", Some((14, 0))),
            ("13.3", Some((13, 3))),
            ("custom:release__15.4.x-snapshot", None),
            ("auto:latest-lts", None),
            ("apache-spark-3.5.x-scala2.12", None),
            ("6", None),
            ("6.", None),
            ("+6.3.x", None),
            ("6.3a.x", None),
            ("99999999999.1.x", None),
            ("", None),
        ] {
            assert_eq!(of(text), version, "{text}");
        }
        let least = RuntimeVersion { major: 6, minor: 3 };
        let enough = |text| RuntimeVersion::parse(text).is_some_and(|version| version >= least);
        assert!(
            enough("6.10.x-scala2.11") && enough("10.4.x-scala2.12") && enough("6.3.x-scala2.11")
        );
        assert!(!enough("6.2.x-scala2.11") && !enough("5.10.x-scala2.11"));
    }
}
