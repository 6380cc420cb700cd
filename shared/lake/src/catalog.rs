//! Our `iceberg::Catalog` over Glue: what a table is stands in one metadata file, which file is current stands in Glue, and
//! every update swaps the one for the other by the `VersionId` it was judged at.

use crate::error::{Refusal, in_file};
use crate::glue::{Database, GlueApi, GlueError, GlueTable, TableInput};
use async_trait::async_trait;
use domain::plan::TableName;
use domain::ports::lake::LakeError;
use iceberg::io::FileIO;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, MetadataLocation, Namespace, NamespaceIdent, Result, Runtime, TableCommit,
    TableCreation, TableIdent,
};
use std::collections::HashMap;
use std::str::FromStr;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The parameter of an entry that says when it was moved without a change.
const TOUCHED: &str = "segment-export.touched";

/// The catalog. Bound to a [`Judged`] table it shows that table as it was judged, and updates it only from there.
#[derive(Clone, Debug)]
pub(crate) struct GlueCatalog<G> {
    glue: G,
    io: FileIO,
    bound: Option<Bound>,
}

/// What a catalog is bound to: the table that it shows, and the commit that its metadata files are named by.
#[derive(Clone, Debug)]
struct Bound {
    judged: Judged,
    commit_uuid: Uuid,
}

/// A table as it was at one version of its catalog entry.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    entry: GlueTable,
    table: Table,
    shown: Table,
}

impl Judged {
    /// The table.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Refuses another table than the one of that UUID.
    pub(crate) fn of(&self, name: &TableName, table_uuid: &str) -> std::result::Result<&Self, LakeError> {
        if self.table.metadata().uuid().to_string() == table_uuid {
            Ok(self)
        } else {
            Err(LakeError::OtherTable(name.clone()))
        }
    }

    /// The table as a bound catalog shows it.
    pub(crate) fn shown(&self) -> &Table {
        &self.shown
    }

    /// The metadata files that the table names: the current one, and those before as far as it still knows them.
    pub(crate) fn metadata_files(&self) -> impl Iterator<Item = &str> {
        let earlier = self.table.metadata().metadata_log().iter().map(|log| log.metadata_file.as_str());
        earlier.chain(self.entry.metadata_location()).chain(self.entry.previous_metadata_location())
    }

    /// The same, shown with another default partition spec: Iceberg's append writes for the default one only. What is
    /// swapped in is the update applied to the table itself, whose default stays.
    pub(crate) fn with_default_spec(mut self, spec_id: i32) -> Result<Self> {
        let metadata = self.table.metadata();
        if metadata.default_partition_spec_id() != spec_id {
            let changed = metadata.clone().into_builder(None).set_default_partition_spec(spec_id)?.build()?.metadata;
            self.shown =
                table(self.table.identifier(), self.table.file_io(), changed, self.table.metadata_location_result()?)?;
        }
        Ok(self)
    }
}

impl<G: GlueApi> GlueCatalog<G> {
    pub(crate) fn new(glue: G, io: FileIO) -> Self {
        Self { glue, io, bound: None }
    }

    /// This catalog, bound to what was judged. The metadata file that an update writes has the commit's UUID in its name.
    pub(crate) fn bound_to(&self, judged: Judged, commit_uuid: Uuid) -> Self {
        Self { bound: Some(Bound { judged, commit_uuid }), ..self.clone() }
    }

    /// The table as it stands now.
    pub(crate) async fn judge(&self, ident: &TableIdent) -> Result<Judged> {
        let name = table_name(ident)?;
        let entry = self.glue.table(&name).await.map_err(|e| failure(e, ErrorKind::TableNotFound))?;
        let Some(at) = entry.metadata_location() else {
            return Err(Refusal(format!("{name} is not an Iceberg table")).into());
        };
        let metadata = TableMetadata::read_from(&self.io, at).await.map_err(|e| in_file(at, e))?;
        let table = table(ident, &self.io, metadata, at)?;
        Ok(Judged { entry, shown: table.clone(), table })
    }

    /// Changes what was judged, and swaps by its version.
    pub(crate) async fn change(
        &self,
        judged: Judged,
        change: impl FnOnce(TableMetadataBuilder) -> Result<TableMetadataBuilder>,
    ) -> Result<Table> {
        let changed = self.changed(&judged, Uuid::new_v4(), change)?;
        self.swap(judged, changed).await
    }

    /// The table as it comes to be by a change. Its metadata file, which is not written yet, has the UUID in its name.
    pub(crate) fn changed(
        &self,
        judged: &Judged,
        uuid: Uuid,
        change: impl FnOnce(TableMetadataBuilder) -> Result<TableMetadataBuilder>,
    ) -> Result<Table> {
        let at = judged.table.metadata_location_result()?;
        let builder = judged.table.metadata().clone().into_builder(Some(at.into()));
        let metadata = change(builder)?.build()?.metadata;
        let next = MetadataLocation::from_str(at)?.with_next_version().with_new_metadata(&metadata).to_string();
        table(judged.table.identifier(), &self.io, metadata, &named_by(&next, uuid)?)
    }

    /// Moves the version of what was judged, and nothing else: whoever judged it before finds it moved.
    pub(crate) async fn touch(&self, judged: Judged) -> Result<()> {
        let Judged { mut entry, table, .. } = judged;
        let name = table_name(table.identifier())?;
        // Nobody says that an update with nothing new moves the version.
        entry.input.parameters.insert(TOUCHED.into(), Uuid::new_v4().to_string());
        self.update(&name, &entry.input, &version_of(&name, &entry)?).await
    }

    /// Writes the metadata file of an update, then points the entry at it, if the entry still is as it was judged.
    pub(crate) async fn swap(&self, base: Judged, updated: Table) -> Result<Table> {
        let name = table_name(updated.identifier())?;
        let version = version_of(&name, &base.entry)?;
        let at = updated.metadata_location_result()?;
        updated.metadata().write_to(&self.io, &MetadataLocation::from_str(at)?).await?;
        let input = base.entry.input.pointing_at(updated.metadata(), at);
        self.update(&name, &input, &version).await?;
        Ok(updated)
    }

    async fn update(&self, name: &TableName, input: &TableInput, version: &str) -> Result<()> {
        let updated = self.glue.update_table(&name.database, input, version).await;
        updated.map_err(|e| failure(e, ErrorKind::TableNotFound))
    }
}

/// Iceberg's name of a table.
pub(crate) fn ident(name: &TableName) -> TableIdent {
    TableIdent::new(NamespaceIdent::new(name.database.clone()), name.table.clone())
}

fn table_name(ident: &TableIdent) -> Result<TableName> {
    Ok(TableName { database: database(ident.namespace())?.into(), table: ident.name().into() })
}

fn database(namespace: &NamespaceIdent) -> Result<&str> {
    match namespace.as_ref().as_slice() {
        [name] => Ok(name),
        _ => Err(Error::new(ErrorKind::DataInvalid, "Glue's namespaces have one level")),
    }
}

fn table(ident: &TableIdent, io: &FileIO, metadata: TableMetadata, at: &str) -> Result<Table> {
    let builder = Table::builder().identifier(ident.clone()).file_io(io.clone()).metadata(metadata);
    // Nothing here reads a manifest twice.
    builder.metadata_location(at).runtime(Runtime::try_current()?).disable_cache().build()
}

/// The version that an entry was judged at.
fn version_of(name: &TableName, entry: &GlueTable) -> Result<String> {
    entry.version_id.clone().ok_or_else(|| {
        Refusal(format!("the catalog gives {name} no VersionId, and without it no update is safe")).into()
    })
}

/// A metadata file's location, `…/<version>-<uuid>….metadata.json`, with this UUID in the place of its own.
fn named_by(at: &str, uuid: Uuid) -> Result<String> {
    let of = |at: &str| {
        let (folder, name) = at.rsplit_once('/')?;
        let (version, rest) = name.split_once('-')?;
        let suffix = rest.get(Hyphenated::LENGTH..)?;
        Some(format!("{folder}/{version}-{uuid}{suffix}"))
    };
    of(at).ok_or_else(|| Error::new(ErrorKind::DataInvalid, "a metadata file has no UUID in its name"))
}

/// A catalog's failure in Iceberg's terms. Never retryable: Iceberg would retry from a fresh load that nobody judged.
fn failure(error: GlueError, missing: ErrorKind) -> Error {
    let kind = match error {
        GlueError::NotFound => missing,
        GlueError::AlreadyExists if missing == ErrorKind::NamespaceNotFound => ErrorKind::NamespaceAlreadyExists,
        GlueError::AlreadyExists => ErrorKind::TableAlreadyExists,
        GlueError::VersionMismatch => ErrorKind::CatalogCommitConflicts,
        GlueError::Denied(_) | GlueError::Unavailable(_) | GlueError::Invalid(_) => ErrorKind::Unexpected,
    };
    Error::new(kind, "a catalog call failed").with_source(error)
}

fn unsupported<T>() -> Result<T> {
    Err(Error::new(ErrorKind::FeatureUnsupported, "this catalog only creates, loads and updates tables"))
}

#[async_trait]
impl<G: GlueApi> Catalog for GlueCatalog<G> {
    async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        unsupported()
    }

    async fn create_namespace(&self, name: &NamespaceIdent, properties: HashMap<String, String>) -> Result<Namespace> {
        let mut parameters: HashMap<_, _> = properties.clone();
        let location_uri = parameters.remove("location");
        let entry =
            Database { name: database(name)?.into(), location_uri, parameters: parameters.into_iter().collect() };
        let created = self.glue.create_database(&entry).await;
        created.map_err(|e| failure(e, ErrorKind::NamespaceNotFound))?;
        Ok(Namespace::with_properties(name.clone(), properties))
    }

    async fn get_namespace(&self, name: &NamespaceIdent) -> Result<Namespace> {
        let entry = self.glue.database(database(name)?).await;
        let entry = entry.map_err(|e| failure(e, ErrorKind::NamespaceNotFound))?;
        let location = entry.location_uri.map(|at| ("location".to_owned(), at));
        Ok(Namespace::with_properties(name.clone(), entry.parameters.into_iter().chain(location).collect()))
    }

    async fn namespace_exists(&self, name: &NamespaceIdent) -> Result<bool> {
        exists(self.get_namespace(name).await, ErrorKind::NamespaceNotFound)
    }

    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> Result<()> {
        unsupported()
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> Result<()> {
        unsupported()
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        let tables = self.glue.tables(database(namespace)?).await;
        let tables = tables.map_err(|e| failure(e, ErrorKind::NamespaceNotFound))?;
        let iceberg = tables.into_iter().filter(|t| t.metadata_location().is_some());
        Ok(iceberg.map(|t| TableIdent::new(namespace.clone(), t.input.name)).collect())
    }

    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        let ident = TableIdent::new(namespace.clone(), creation.name.clone());
        let metadata = TableMetadataBuilder::from_table_creation(creation)?.build()?.metadata;
        let location = MetadataLocation::new_with_metadata(metadata.location(), &metadata);
        metadata.write_to(&self.io, &location).await?;
        let at = location.to_string();
        let input = TableInput::new(ident.name(), &metadata, &at);
        let created = self.glue.create_table(database(namespace)?, &input).await;
        created.map_err(|e| failure(e, ErrorKind::NamespaceNotFound))?;
        table(&ident, &self.io, metadata, &at)
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        match &self.bound {
            Some(bound) => Ok(bound.judged.shown.clone()),
            None => Ok(self.judge(ident).await?.table),
        }
    }

    async fn drop_table(&self, _: &TableIdent) -> Result<()> {
        unsupported()
    }

    async fn purge_table(&self, _: &TableIdent) -> Result<()> {
        unsupported()
    }

    async fn table_exists(&self, ident: &TableIdent) -> Result<bool> {
        exists(
            self.glue.table(&table_name(ident)?).await.map_err(|e| failure(e, ErrorKind::TableNotFound)),
            ErrorKind::TableNotFound,
        )
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> Result<()> {
        unsupported()
    }

    async fn register_table(&self, _: &TableIdent, _: String) -> Result<Table> {
        unsupported()
    }

    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        let (base, commit_uuid) = match self.bound.clone() {
            Some(Bound { judged, commit_uuid }) => (judged, Some(commit_uuid)),
            None => (self.judge(commit.identifier()).await?, None),
        };
        let mut updated = commit.apply(base.table.clone())?;
        if let Some(uuid) = commit_uuid {
            let at = named_by(updated.metadata_location_result()?, uuid)?;
            updated = table(updated.identifier(), &self.io, updated.metadata().clone(), &at)?;
        }
        self.swap(base, updated).await
    }
}

fn exists<T>(found: Result<T>, missing: ErrorKind) -> Result<bool> {
    match found {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == missing => Ok(false),
        Err(error) => Err(error),
    }
}
