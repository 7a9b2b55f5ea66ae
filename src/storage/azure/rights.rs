//! What our requests need of a shared access signature's `sp`.
//!
//! `w` includes `c` (creating a blob) in every request of ours, and the batches that blobs are deleted by are posted with
//! `w` too (<https://learn.microsoft.com/rest/api/storageservices/blob-batch#authorization>). `a` (append blobs), `m`
//! (move), `x`, `y`, `t`, `e`, `i`, `o`, `p` are never needed.

use object_store::azure::AzureCredential;
use std::fmt;

/// A letter of `sp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
    List,
    Delete,
}

impl Right {
    /// All that a table's writer needs before its first write: it reads and lists the log it appends to.
    pub const TO_WRITE: &'static [Right] = &[Right::Read, Right::Write, Right::List];
    pub const TO_DELETE: &'static [Right] = &[Right::Delete, Right::Write];
    pub const ALL: &'static [Right] = &[Right::Read, Right::Write, Right::List, Right::Delete];

    pub fn letter(self) -> char {
        match self {
            Right::Read => 'r',
            Right::Write => 'w',
            Right::List => 'l',
            Right::Delete => 'd',
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Right::Read => "to read tables' logs and files",
            Right::Write => "to upload files and commit",
            Right::List => "to list tables' logs",
            Right::Delete => "to remove files that no commit names",
        }
    }
}

/// The letters a signature lacks, and what each is for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) struct Lacking(pub(super) Vec<Right>);

impl Lacking {
    /// As `check` names them: `sp wl`.
    pub(super) fn sp(&self) -> String {
        format!(
            "sp {}",
            self.0
                .iter()
                .map(|right| right.letter())
                .collect::<String>()
        )
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared access signature lacks rights, have one signed with")?;
        for (n, right) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma} sp `{}` ({})", right.letter(), right.purpose())?;
        }
        Ok(())
    }
}

/// Errors if a credential is a signature that lacks a right of `needed` by its own word.
pub(super) fn check(credential: &AzureCredential, needed: &[Right]) -> Result<(), Lacking> {
    let AzureCredential::SASToken(pairs) = credential else {
        return Ok(());
    };
    let sp = pairs.iter().find(|(name, _)| name == "sp");
    match lacking(sp.map(|(_, value)| value.as_str()), needed) {
        lacks if lacks.is_empty() => Ok(()),
        lacks => Err(Lacking(lacks)),
    }
}

/// The rights of `needed` that `sp` does not grant; without `sp` they are in a stored access policy, which only the
/// service knows.
fn lacking(sp: Option<&str>, needed: &[Right]) -> Vec<Right> {
    let Some(sp) = sp else { return Vec::new() };
    needed
        .iter()
        .copied()
        .filter(|right| !sp.contains(right.letter()))
        .collect()
}
