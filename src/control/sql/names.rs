//! Names of catalogs, schemas, tables and columns, and their backticks.

use super::super::error::{ControlError, Result};
use std::fmt;

/// The most characters a name may have.
const MAX_NAME_CHARS: usize = 255;

/// `catalog.schema`.
#[derive(Clone, Debug)]
pub struct SchemaName {
    catalog: String,
    schema: String,
}

/// `catalog.schema.table`.
#[derive(Clone, Debug)]
pub struct TableName {
    schema: SchemaName,
    table: String,
}

impl SchemaName {
    /// Errors: a name that Unity Catalog does not take (Databricks, "Names"), or `hive_metastore`, which it does not govern.
    pub fn new(catalog: &str, schema: &str) -> Result<Self> {
        check_object("catalog", catalog)?;
        if catalog.eq_ignore_ascii_case("hive_metastore") {
            return Err(ControlError::Name {
                what: "catalog",
                problem: "the metastore of a workspace is not governed by Unity Catalog; name a catalog of Unity Catalog",
                name: catalog.to_owned(),
            });
        }
        check_object("schema", schema)?;
        Ok(Self {
            catalog: catalog.to_owned(),
            schema: schema.to_owned(),
        })
    }

    pub fn catalog(&self) -> &str {
        &self.catalog
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Quoted, as statements hold it.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote(&self.catalog), quote(&self.schema))
    }
}

impl TableName {
    /// Errors as [`SchemaName::new`].
    pub fn new(catalog: &str, schema: &str, table: &str) -> Result<Self> {
        let schema = SchemaName::new(catalog, schema)?;
        check_object("table", table)?;
        Ok(Self {
            schema,
            table: table.to_owned(),
        })
    }

    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// Quoted, as statements hold it.
    pub fn sql(&self) -> String {
        format!("{}.{}", self.schema.sql(), quote(&self.table))
    }

    /// As the catalog keeps it: lower case, joined by dots.
    pub fn full_name(&self) -> String {
        self.to_string().to_lowercase()
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.catalog, self.schema)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A catalog keeps names in lower case.
impl PartialEq for TableName {
    fn eq(&self, other: &Self) -> bool {
        self.full_name() == other.full_name()
    }
}

impl Eq for TableName {}

impl PartialEq for SchemaName {
    fn eq(&self, other: &Self) -> bool {
        self.to_string().to_lowercase() == other.to_string().to_lowercase()
    }
}

impl Eq for SchemaName {}

/// In backticks, inner ones doubled.
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A column or a field of it: each part in backticks.
///
/// Errors: a part that is empty, too long, or that a warehouse would read as a variable.
pub(super) fn column(path: &[String], name: &str) -> Result<String> {
    let mut text = String::new();
    for part in path.iter().map(String::as_str).chain([name]) {
        check("column", part)?;
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&quote(part));
    }
    Ok(text)
}

/// What not even backticks make a name. Column names may hold dots, spaces and more where columns are mapped.
pub(super) fn check(what: &'static str, name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > MAX_NAME_CHARS {
        "it is longer than 255 characters"
    } else if name.contains("${") {
        // Replaced before a statement is parsed, in backticks too, and nothing escapes it there.
        "it holds `${`, which a warehouse takes for a variable"
    } else {
        return Ok(());
    };
    Err(ControlError::Name {
        what,
        problem,
        name: name.chars().take(300).collect(),
    })
}

fn check_object(what: &'static str, name: &str) -> Result<()> {
    check(what, name)?;
    if name
        .chars()
        .any(|c| matches!(c, '.' | ' ' | '/') || c.is_control())
    {
        return Err(ControlError::Name {
            what,
            problem: "it holds a dot, a space, a slash or a control character",
            name: name.to_owned(),
        });
    }
    Ok(())
}
