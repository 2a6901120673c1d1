//! What writers say of themselves, those that core brings along and others.

use uuid::Uuid;

use crate::plan::BackupPlan;
use crate::ports::Ports;
use crate::ports::database::{DatabaseError, DatabaseFacts};
use crate::ports::shadow_copies::{
    Component, DataSource, FileSpec, RestoreMethod, SMS_WRITER, WriterError, WriterLevel, WriterMetadata,
};
use crate::ports::site_files::FileSource;

/// The id of the writer that pins the database; our own.
const DATABASE_WRITER: Uuid = Uuid::from_u128(0x6f0c6a5e_52c4_4b53_9d11_2c8f1d1a77b2);

/// What the writers of the next run will say of themselves, in the order in which they are frozen. Nothing is touched.
///
/// # Errors
/// [`WriterMetadataError`] when the database cannot be looked at, or a writer does not say what it owns.
pub async fn writer_metadata(ports: &Ports, plan: &BackupPlan) -> Result<Vec<WriterMetadata>, WriterMetadataError> {
    let mut writers = vec![site_metadata(ports, plan).await?];
    if plan.database.is_some() && ports.database.is_some() {
        writers.push(of_database());
    }
    for writer in &ports.writers {
        writers.push(writer.identify().await?);
    }
    writers.sort_by_key(|writer| writer.level);
    Ok(writers)
}

/// What the site's own writer will say, without asking the others.
///
/// # Errors
/// [`WriterMetadataError::Database`] when the database cannot be looked at.
pub async fn site_metadata(ports: &Ports, plan: &BackupPlan) -> Result<WriterMetadata, WriterMetadataError> {
    let facts = match ports.database.as_ref().filter(|_| plan.database.is_some()) {
        Some(database) => Some(database.inspect().await?),
        None => None,
    };
    Ok(of_site(plan, facts.as_ref()))
}

/// Why it is not known what the writers own.
#[derive(Debug, thiserror::Error)]
pub enum WriterMetadataError {
    /// The database cannot be looked at.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A writer says no.
    #[error(transparent)]
    Writer(#[from] WriterError),
}

/// The site: its files, and its database as a member that other programs may choose for itself.
pub(crate) fn of_site(plan: &BackupPlan, database: Option<&DatabaseFacts>) -> WriterMetadata {
    let site = plan.site.to_string();
    let files = Component {
        logical_path: site.clone(),
        name: "SiteServer".to_owned(),
        caption: format!("Files of site {site}"),
        selectable: true,
        files: plan.files.iter().map(|file| FileSpec::tree(&file.source.root)).collect(),
        ..Component::default()
    };
    let database = database.map(|facts| Component {
        logical_path: site,
        name: facts.name.clone(),
        caption: format!("{} ({})", facts.name, facts.engine),
        database: true,
        selectable: true,
        files: facts.paths.iter().map(FileSpec::file).collect(),
        ..Component::default()
    });
    WriterMetadata {
        id: SMS_WRITER,
        name: "SMS Writer".to_owned(),
        level: WriterLevel::FrontEnd,
        restore: Some(RestoreMethod::default()),
        components: [files].into_iter().chain(database).collect(),
        exclude: plan.files.iter().flat_map(|file| left_out(&file.source)).collect(),
        ..WriterMetadata::default()
    }
}

/// Who pins the database, which stands among what the site owns.
pub(crate) fn of_database() -> WriterMetadata {
    WriterMetadata {
        id: DATABASE_WRITER,
        name: "Site Database Writer".to_owned(),
        level: WriterLevel::BackEnd,
        source: DataSource::TransactionDatabase,
        ..WriterMetadata::default()
    }
}

/// What a source leaves out. A pattern that says more than VSS's can stands as it is.
fn left_out(source: &FileSource) -> impl Iterator<Item = FileSpec> {
    let pattern = |pattern: &String| {
        let below = pattern.strip_prefix("**/");
        let spec = below.unwrap_or(pattern).to_owned();
        FileSpec { spec, recursive: below.is_some(), ..FileSpec::tree(&source.root) }
    };
    source.exclude.iter().map(pattern).chain(source.skip.iter().map(FileSpec::tree))
}
