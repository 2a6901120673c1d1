//! `BackupDocument.xml`: what was backed up of which writer, in the dialect of VSS's backup components document.

use backup_core::ports::shadow_copies::{Component, ShadowCopySetId};
use uuid::Uuid;

use super::writer_metadata::{WriterDocument, filled};
use super::xml::{Attributes, DocumentError, Elements, Limits, Tag, XmlWriter, decode};

const ROOT: &str = "BACKUP_COMPONENTS";

/// What a backup components document says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupDocument {
    /// The shadow copy set.
    pub set: Option<Uuid>,
    /// The writers with their components.
    pub writers: Vec<DocumentWriter>,
}

/// A writer of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentWriter {
    /// The writer's class.
    pub id: Uuid,
    /// What names it in its session, as in its [`WriterDocument`].
    pub instance: Uuid,
    /// Its name, where the document holds it.
    pub name: Option<String>,
    /// The kinds of backup that it can take part in (`VSS_BS_…`).
    pub schema: u32,
    /// What was backed up of it.
    pub components: Vec<DocumentComponent>,
}

/// A component of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentComponent {
    /// Where it stands in the writer's tree; may be empty.
    pub logical_path: String,
    /// Its name.
    pub name: String,
    /// Whether it is a database rather than a group of files.
    pub database: bool,
}

/// Writes the document of a set. Characters that XML cannot hold become U+FFFD.
pub(super) fn write(set: ShadowCopySetId, writers: &[WriterDocument]) -> Vec<u8> {
    let root = Tag::new(ROOT)
        .with("xmlns", "x-schema:#VssComponentMetadata")
        .with("version", "1.2")
        .with_flag("bootableSystemStateBackup", false)
        .with_flag("selectComponents", true)
        .with("backupType", "full")
        .with_flag("partialFileSupport", false)
        .with("snapshotSetId", &set.0.to_string());
    let mut xml = XmlWriter::new(root);
    writers.iter().for_each(|writer| write_writer(&mut xml, writer));
    xml.finish()
}

fn write_writer(xml: &mut XmlWriter, WriterDocument { instance, metadata }: &WriterDocument) {
    let writer = Tag::new("WRITER_COMPONENTS")
        .with("instanceId", &instance.to_string())
        .with("writerId", &metadata.id.to_string())
        .with("instanceName", &metadata.name)
        .with("backupSchema", "0");
    xml.open(writer);
    for Component { logical_path, name, database, .. } in &metadata.components {
        let component = Tag::new("COMPONENT")
            .with_some("logicalPath", filled(logical_path))
            .with("componentName", name)
            .with("componentType", if *database { "database" } else { "filegroup" });
        xml.empty(component);
    }
    xml.close();
}

impl BackupDocument {
    /// Reads a document of this dialect.
    ///
    /// # Errors
    /// [`DocumentError`] for what is not a backup components document, is damaged, or exceeds a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::parse_within(bytes, Limits::default())
    }

    pub(crate) fn parse_within(bytes: &[u8], limits: Limits) -> Result<Self, DocumentError> {
        let text = decode(bytes, limits)?;
        let (root, mut elements) = Elements::of(&text, ROOT, "backup components", limits)?;
        let mut document = Self { set: root.attributes()?.id("snapshotSetId"), writers: Vec::new() };
        while let Some(element) = elements.child(1)? {
            if element.name() == "WRITER_COMPONENTS" {
                document.writers.push(read_writer(&mut elements, &element.attributes()?)?);
            }
        }
        Ok(document)
    }
}

fn read_writer(elements: &mut Elements<'_>, attributes: &Attributes<'_>) -> Result<DocumentWriter, DocumentError> {
    elements.component()?;
    let mut writer = DocumentWriter {
        id: attributes.id("writerId").unwrap_or_default(),
        instance: attributes.id("instanceId").unwrap_or_default(),
        name: attributes.get("instanceName").map(str::to_owned),
        schema: attributes.number("backupSchema"),
        components: Vec::new(),
    };
    while let Some(element) = elements.child(2)? {
        if element.name() == "COMPONENT" {
            elements.component()?;
            writer.components.push(component(&element.attributes()?));
        }
    }
    Ok(writer)
}

fn component(attributes: &Attributes<'_>) -> DocumentComponent {
    DocumentComponent {
        logical_path: attributes.text("logicalPath"),
        name: attributes.text("componentName"),
        database: attributes.get("componentType").is_some_and(|kind| kind.eq_ignore_ascii_case("database")),
    }
}
