//! A table made by our writer beside the wanted one, registered, read back through the warehouse, and taken away.

use super::{
    Section, Trying, Wanted,
    compute::Compute,
    place::{Held, above},
    refused,
};
use crate::{
    commit::{CommitOptions, TableLog, Upload, new_table_spec},
    control::sql::quote,
    databricks::Workspace,
    error::{Error, Kind, Result},
    event::{CommitRange, Counts, OffsetRange, Partition, SourcePartition},
    schema::TableSchema,
    storage::TableLocation,
    write::{self, TableWriter, UploadOptions, WriteOptions},
};
use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use futures::{StreamExt, TryStreamExt};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Beside tables, where nothing else of ours looks.
const FOLDER: &str = "_alluvium_probe";
/// How long the writing and the removal of files may take.
const FILES: Duration = Duration::from_secs(60);
const SAID: &str = "alluvium check, é";

/// Whether the table could be registered, so that no right for it is missing.
pub(super) async fn run(
    section: &mut Section,
    workspace: &Workspace,
    compute: &Compute,
    wanted: &Wanted,
    held: &Held,
    trying: &Trying<'_>,
) -> bool {
    let table = &wanted.table;
    if !held.beside {
        section.note(format!(
            "{table}: no table is made, for external location {} holds the table's own folder alone",
            held.location
        ));
        return false;
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    let url = format!("{}/{FOLDER}/table-{id}", above(&held.url));
    let location = match trying.stores.locate(&url) {
        Ok(location) => location,
        Err(error) => {
            section.error(&error.into());
            return false;
        }
    };
    let name = format!(
        "{}.{}.{}",
        quote(&wanted.catalog),
        quote(&wanted.schema),
        quote(&format!("{FOLDER}_{id}"))
    );
    let written = limited(written(&location, &trying.stop)).await;
    let could = match &written {
        Ok(()) => {
            section.fine(format!(
                "{table}: a table was written beside it, url=`{url}`"
            ));
            registered(
                section,
                workspace,
                compute,
                wanted,
                held,
                &name,
                &url,
                &trying.stop,
            )
            .await
        }
        Err(error) => {
            section.fault(
                error.kind(),
                format!("{table}: a table cannot be written beside it: {error}"),
                "see the findings of its store",
            );
            false
        }
    };
    if let Err(error) = limited(removed(&location)).await {
        section.note(format!(
            "files of this check stay: {error}; remove them yourself, url=`{url}`"
        ));
    }
    could
}

/// Registers, reads back, drops; what may have been registered is dropped whatever came before.
#[allow(clippy::too_many_arguments)]
async fn registered(
    section: &mut Section,
    workspace: &Workspace,
    compute: &Compute,
    wanted: &Wanted,
    held: &Held,
    name: &str,
    url: &str,
    stop: &CancellationToken,
) -> bool {
    let table = &wanted.table;
    let create = format!(
        "CREATE TABLE {name} USING DELTA LOCATION '{}'",
        url.replace('\\', "\\\\").replace('\'', "\\'")
    );
    tracing::info!("makes table {name}, url=`{url}`");
    let created = compute.run(workspace, &create, stop).await;
    let could = created.is_ok();
    match created {
        Err(error) => refused(
            section,
            &format!(
                "{table}: a table cannot be registered, location=`{}`",
                held.location
            ),
            error,
            "see the findings on catalog, schema and external location",
        ),
        Ok(_) => match compute
            .run(workspace, &format!("SELECT n, said FROM {name}"), stop)
            .await
        {
            Ok(rows) if rows == [vec![Some("1".to_owned()), Some(SAID.to_owned())]] => {
                section.fine(format!(
                    "{table}: what we write is read back through the workspace"
                ));
            }
            Ok(rows) => section.fault(
                Kind::Corrupt,
                format!("{table}: what we wrote reads back otherwise, rows=`{rows:?}`"),
                "check that the external location and the store reach the same bucket",
            ),
            Err(error) => refused(
                section,
                &format!("{table}: what we wrote cannot be read back"),
                error,
                format!(
                    "let the storage credential of external location {} read there, and the warehouse reach the bucket",
                    held.location
                ),
            ),
        },
    }
    // Also after Ctrl-C, and where nobody knows whether the first statement came through.
    let drop = format!("DROP TABLE IF EXISTS {name}");
    if let Err(error) = compute
        .run(workspace, &drop, &CancellationToken::new())
        .await
    {
        section.note(format!(
            "a table of this check may stay: {error}; run: {drop}"
        ));
    }
    could
}

async fn limited(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(FILES, work).await.unwrap_or_else(|_| {
        Err(Error::new(
            Kind::Unavailable,
            format!("no answer within {} seconds", FILES.as_secs()),
        ))
    })
}

/// One row in one file in version 0, as the pipeline writes them.
async fn written(location: &TableLocation, stop: &CancellationToken) -> Result<()> {
    let fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("said", DataType::Utf8, true),
    ];
    let schema = Arc::new(TableSchema::new(Arc::new(Schema::new(fields)), Vec::new()));
    let spec = Arc::new(new_table_spec(&schema));
    let columns = schema.columns.clone();
    let encoded = tokio::task::spawn_blocking(move || -> Result<_> {
        let rows = RecordBatch::try_new(
            columns,
            vec![
                Arc::new(Int64Array::from(vec![1])),
                Arc::new(StringArray::from(vec![SAID])),
            ],
        )
        .map_err(|error| Error::new(Kind::Bug, "the row of a check is none").with_source(error))?;
        let mut writer = TableWriter::new(spec, WriteOptions::default())?;
        writer.write(&rows)?;
        Ok(writer.finish()?)
    });
    let encoded = encoded
        .await
        .map_err(|error| Error::new(Kind::Bug, "encoding stopped").with_source(error))??;
    let options = UploadOptions {
        cancel: stop.clone(),
        ..UploadOptions::default()
    };
    let mut files = Vec::new();
    for file in encoded {
        files.push(write::upload(location, file, &options).await?);
    }
    let partition = Partition {
        id: SourcePartition::new("alluvium/check/probe"),
        source: "check".into(),
        label: "check".into(),
        topic: "".into(),
        number: 0,
    };
    let range = CommitRange {
        partition: Arc::new(partition),
        expected: None,
        range: OffsetRange { start: 0, end: 1 },
        counts: Counts {
            records: 1,
            rows: 1,
            ..Counts::default()
        },
    };
    let upload = Upload {
        files,
        schema,
        earlier: Vec::new(),
        ranges: vec![range],
        marks: Vec::new(),
    };
    let log = TableLog::new(location.clone(), FOLDER, CommitOptions::default());
    log.commit(upload, stop.clone()).await?;
    Ok(())
}

async fn removed(location: &TableLocation) -> Result<()> {
    let failed = |error: object_store::Error| {
        Error::new(crate::storage::kind_of(&error), "cannot remove").with_source(error)
    };
    let found = location
        .store
        .list(Some(&location.root))
        .map_ok(|object| object.location);
    let found: Vec<_> = found.try_collect().await.map_err(failed)?;
    let gone = location
        .store
        .delete_stream(futures::stream::iter(found.into_iter().map(Ok)).boxed());
    gone.try_for_each(|_| async { Ok(()) })
        .await
        .map_err(failed)
}
