//! Exit codes.

use crate::error::Kind;

/// Shown under `alluvium --help`.
pub const AFTER_HELP: &str = "\
Examples:
  alluvium serve
      HTTP events on 127.0.0.1:8080, Delta tables in ./lake
  alluvium serve --config alluvium.toml --log-format json
  alluvium backfill --table clicks 'exports/*.ndjson.gz'
  alluvium check --config alluvium.toml
  alluvium audit --config alluvium.toml --source clicks

Exit codes:
  0  done
  1  anything else: a table that is corrupt or has a feature not supported, a mistake of ours
  2  usage, or the configuration
  3  unauthorised: a credential is missing, wrong or lacks a right
  4  unavailable: a store, a broker or a disk does not answer; trying again may succeed
  5  data rejected: a backfill with dead letters, an audit or a check with faults in the data
  6  fenced: another writer owns these offsets now
  130  a second SIGTERM or SIGINT ended the process at once; what was not committed is read again

Configuration: docs/configuration.md, `alluvium config schema`.";

/// The process's exit code for an error of a kind.
pub fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Config => 2,
        Kind::Unauthorized => 3,
        Kind::Unavailable => 4,
        Kind::InvalidData => 5,
        Kind::Fenced => 6,
        Kind::Conflict | Kind::Unsupported | Kind::Corrupt | Kind::Bug => 1,
    }
}
