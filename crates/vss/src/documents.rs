//! `BackupDocument.xml`: what was backed up of which writer, in the dialect of VSS's backup components document.
//!
//! Microsoft publishes no schema and calls the format its own; what is written here looks like the documents that Windows writes,
//! and nothing claims that Windows reads it. Nothing recovers from it: the manifest says where files go.

use std::collections::HashMap;

use backup_core::ports::shadow_copies::{Component, ShadowCopySetId, WriterMetadata};
use quick_xml::escape::escape;
use quick_xml::events::attributes::Attr;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use uuid::Uuid;

/// The document's file name in the snapshot folder.
pub const NAME: &str = "BackupDocument.xml";

const NAMESPACE: &str = "x-schema:#VssComponentMetadata";

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
    /// Its name, where the document holds it.
    pub name: Option<String>,
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

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not UTF-8.
    #[error("the document is not UTF-8")]
    Encoding(#[source] std::str::Utf8Error),
    /// It is not well-formed XML.
    #[error("the document is not well-formed near byte {position}")]
    Xml {
        /// Where.
        position: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is another document.
    #[error("the document is not a backup components document")]
    Other,
}

/// Writes the document of a set whose writers own what they say; each with the id that names it in the session.
///
/// Characters that XML cannot hold become U+FFFD.
pub(crate) fn write<'a>(set: ShadowCopySetId, writers: impl Iterator<Item = (&'a WriterMetadata, Uuid)>) -> Vec<u8> {
    let mut root = BytesStart::new("BACKUP_COMPONENTS");
    push(&mut root, "xmlns", NAMESPACE);
    push(&mut root, "version", "1.2");
    push(&mut root, "bootableSystemStateBackup", "no");
    push(&mut root, "selectComponents", "yes");
    push(&mut root, "backupType", "full");
    push(&mut root, "partialFileSupport", "no");
    push(&mut root, "snapshotSetId", &set.0.to_string());
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.extend(["<", &root, ">\n"]);
    for (metadata, instance) in writers {
        write_writer(&mut text, metadata, instance);
    }
    text.push_str("</BACKUP_COMPONENTS>\n");
    text.into_bytes()
}

fn write_writer(text: &mut String, metadata: &WriterMetadata, instance: Uuid) {
    let mut writer = BytesStart::new("WRITER_COMPONENTS");
    push(&mut writer, "instanceId", &instance.to_string());
    push(&mut writer, "writerId", &metadata.id.to_string());
    push(&mut writer, "instanceName", &metadata.name);
    push(&mut writer, "backupSchema", "0");
    text.extend(["  <", &writer, ">\n"]);
    for Component { logical_path, name, database, .. } in &metadata.components {
        let mut component = BytesStart::new("COMPONENT");
        if !logical_path.is_empty() {
            push(&mut component, "logicalPath", logical_path);
        }
        push(&mut component, "componentName", name);
        push(&mut component, "componentType", if *database { "database" } else { "filegroup" });
        text.extend(["    <", &component, "/>\n"]);
    }
    text.push_str("  </WRITER_COMPONENTS>\n");
}

fn push(element: &mut BytesStart<'_>, name: &str, value: &str) {
    let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let value: String = value.chars().map(|c| if legal(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    // A reader makes spaces of tabs and line ends in attributes unless they are written as references.
    let value = escape(value).replace('\t', "&#9;").replace('\n', "&#10;");
    element.push_attribute(Attr::DoubleQ(name, value.as_str()));
}

impl BackupDocument {
    /// Reads a document of this dialect. Unknown elements and attributes are passed over, ids may have braces and either case.
    ///
    /// # Errors
    /// [`DocumentError`] for what is not a backup components document in UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(DocumentError::Encoding)?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut document = Self::default();
        let mut found = false;
        loop {
            let event = reader.read_event();
            let position = reader.buffer_position();
            let broken = |source| DocumentError::Xml { position, source };
            match event.map_err(|error| broken(error.into()))? {
                Event::Start(element) | Event::Empty(element) => {
                    let attributes = attributes(&element).map_err(broken)?;
                    found |= element.name().local_name().as_ref() == "BACKUP_COMPONENTS";
                    if !found {
                        return Err(DocumentError::Other);
                    }
                    document.take(element.name().local_name().as_ref(), attributes);
                }
                Event::Eof if found => return Ok(document),
                Event::Eof => return Err(DocumentError::Other),
                // All that the document says stands in attributes.
                _ => {}
            }
        }
    }

    fn take(&mut self, element: &str, mut attributes: HashMap<String, String>) {
        match element {
            "BACKUP_COMPONENTS" => self.set = attributes.get("snapshotSetId").and_then(|id| guid(id)),
            "WRITER_COMPONENTS" => {
                let id = attributes.get("writerId").and_then(|id| guid(id)).unwrap_or_default();
                let name = attributes.remove("instanceName");
                self.writers.push(DocumentWriter { id, name, components: Vec::new() });
            }
            "COMPONENT" => {
                let Some(writer) = self.writers.last_mut() else { return };
                let logical_path = attributes.remove("logicalPath").unwrap_or_default();
                let name = attributes.remove("componentName").unwrap_or_default();
                let database = attributes.get("componentType").is_some_and(|kind| kind == "database");
                writer.components.push(DocumentComponent { logical_path, name, database });
            }
            _ => {}
        }
    }
}

fn attributes(element: &BytesStart<'_>) -> Result<HashMap<String, String>, Box<dyn std::error::Error + Send + Sync>> {
    let mut found = HashMap::new();
    for attribute in element.attributes() {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        found.insert(attribute.key.local_name().as_ref().to_owned(), value.into_owned());
    }
    Ok(found)
}

fn guid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text.trim().trim_start_matches('{').trim_end_matches('}')).ok()
}
