//! Whether the workspace has Unity Catalog.

use super::{Section, refused};
use crate::{
    databricks::{Kind as Told, Workspace, unity::Unity},
    error::Kind,
};

/// Whether catalogs are worth asking for.
pub(super) async fn probe(section: &mut Section, workspace: &Workspace) -> bool {
    const ENABLE: &str = "assign a metastore to the workspace (account console, Catalog), or use another workspace; tables of hive_metastore are not governed and not served";
    let unity = Unity::new(workspace);
    match unity.metastore().await {
        Ok(metastore) => {
            section.fine(format!(
                "Unity Catalog is enabled, metastore=`{}` id=`{}`",
                metastore.name, metastore.metastore_id
            ));
            if metastore.external_access_enabled == Some(false) {
                section.note("the metastore gives engines outside of Databricks no temporary credentials (external data access is off)");
            }
            return true;
        }
        Err(error)
            if matches!(
                error.kind(),
                Told::NotFound | Told::PermissionDenied | Told::InvalidParameter
            ) => {}
        Err(error) => {
            refused(section, "the metastore does not answer", error, "");
            return false;
        }
    }
    // The summary wants more of a principal than the assignment does.
    match unity.assignment().await {
        Ok(Some(assignment)) => {
            section.fine(format!(
                "Unity Catalog is enabled, metastore id=`{}`",
                assignment.metastore_id
            ));
            if assignment.default_catalog_name.as_deref() == Some("hive_metastore") {
                section.note("the workspace's default catalog is hive_metastore, which is not governed: name a catalog for each table");
            }
            true
        }
        Ok(None) => {
            section.fault(
                Kind::Unsupported,
                "the workspace has no Unity Catalog: no metastore is assigned to it",
                ENABLE,
            );
            false
        }
        Err(error) => {
            refused(
                section,
                "whether the workspace has Unity Catalog is not to be had",
                error,
                ENABLE,
            );
            false
        }
    }
}
