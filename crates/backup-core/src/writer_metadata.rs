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
    let mut writers = vec![of_site(plan)];
    if let Some(database) = ports.database.as_ref().filter(|_| plan.database.is_some()) {
        writers.push(of_database(&database.inspect().await?));
    }
    for writer in &ports.writers {
        writers.push(writer.identify().await?);
    }
    writers.sort_by_key(|writer| writer.level);
    Ok(writers)
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

/// The site's services and files.
pub(crate) fn of_site(plan: &BackupPlan) -> WriterMetadata {
    let component = Component {
        logical_path: plan.site.to_string(),
        name: "SiteServer".to_owned(),
        caption: format!("Files of site {}", plan.site),
        files: plan.files.iter().map(|file| FileSpec::tree(&file.source.root)).collect(),
        ..Component::default()
    };
    WriterMetadata {
        id: SMS_WRITER,
        name: "SMS Writer".to_owned(),
        level: WriterLevel::FrontEnd,
        restore: Some(RestoreMethod::default()),
        components: vec![component],
        exclude: plan.files.iter().flat_map(|file| left_out(&file.source)).collect(),
        ..WriterMetadata::default()
    }
}

/// The site's database.
pub(crate) fn of_database(facts: &DatabaseFacts) -> WriterMetadata {
    let component = Component {
        name: facts.name.clone(),
        caption: format!("{} ({})", facts.name, facts.engine),
        database: true,
        selectable: true,
        files: facts.file.iter().map(FileSpec::file).collect(),
        ..Component::default()
    };
    WriterMetadata {
        id: DATABASE_WRITER,
        name: "Site Database Writer".to_owned(),
        level: WriterLevel::BackEnd,
        source: DataSource::TransactionDatabase,
        restore: Some(RestoreMethod::default()),
        components: vec![component],
        ..WriterMetadata::default()
    }
}

/// What a source leaves out. A pattern that says more than VSS's can stands as it is: nothing reads it but people.
fn left_out(source: &FileSource) -> impl Iterator<Item = FileSpec> {
    let pattern = |pattern: &String| {
        let below = pattern.strip_prefix("**/");
        let spec = below.unwrap_or(pattern).to_owned();
        FileSpec { spec, recursive: below.is_some(), ..FileSpec::tree(&source.root) }
    };
    source.exclude.iter().map(pattern).chain(source.skip.iter().map(FileSpec::tree))
}
