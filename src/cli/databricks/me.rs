//! `alluvium databricks me`.

use super::session::Session;
use crate::{databricks::scim::Scim, error::Result};

pub(super) async fn run(session: &Session) -> Result<()> {
    let me = Scim::new(&session.workspace).me().await?;
    let names = |entries: &[crate::databricks::scim::Entry]| {
        let names = entries
            .iter()
            .map(|entry| entry.display.clone().unwrap_or_else(|| entry.value.clone()));
        names.collect::<Vec<_>>().join(", ")
    };
    let kind = match me.application() {
        Some(_) => "service principal",
        None => "user",
    };
    session.show.one(
        &me,
        &[
            ("kind", kind.to_owned()),
            ("name", me.display_name.clone()),
            ("principal", me.principal().to_owned()),
            ("scim id", me.id.to_string()),
            (
                "active",
                me.active
                    .map(|active| active.to_string())
                    .unwrap_or_default(),
            ),
            ("groups", names(&me.groups)),
            ("entitlements", names(&me.entitlements)),
            ("workspace", session.workspace.host().to_string()),
        ],
    )
}
