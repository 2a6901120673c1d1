//! `WriterMetadata-….xml`: what a writer said of itself, in the dialect of VSS's writer metadata document.

use backup_core::ports::shadow_copies::{Component, FileSpec, RestoreMethod, WriterMetadata};
use uuid::Uuid;

use super::words::Word;
use super::xml::{Attributes, DocumentError, Element, Elements, Limits, Tag, XmlWriter, decode};

const ROOT: &str = "WRITER_METADATA";

/// Files are backed up in every kind of backup, and are to be on a shadow copy in each: all bits of `VSS_FSBT_…`.
const EVERY_BACKUP: &str = "3855";

/// A writer in a session, and the document of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterDocument {
    /// Names the writer in its session.
    pub instance: Uuid,
    /// What it said of itself. A document does not hold its level.
    pub metadata: WriterMetadata,
}

impl WriterDocument {
    /// Writes the document. Characters that XML cannot hold become U+FFFD.
    pub fn to_xml(&self) -> Vec<u8> {
        let root = Tag::new(ROOT).with("xmlns", "x-schema:#VssWriterMetadataInfo").with("version", "1.2");
        let mut xml = XmlWriter::new(root);
        xml.empty(self.identification());
        if let Some(restore) = &self.metadata.restore {
            xml.empty(restore_tag(restore));
        }
        xml.open(Tag::new("BACKUP_LOCATIONS"));
        self.metadata.components.iter().for_each(|component| write_component(&mut xml, component));
        for files in &self.metadata.exclude {
            xml.empty(files_tag("EXCLUDE_FILES", files));
        }
        xml.finish()
    }

    fn identification(&self) -> Tag {
        Tag::new("IDENTIFICATION")
            .with("writerId", &self.metadata.id.to_string())
            .with("instanceId", &self.instance.to_string())
            .with("friendlyName", &self.metadata.name)
            .with("usage", self.metadata.usage.word())
            .with("dataSource", self.metadata.source.word())
            .with("majorVersion", "0")
            .with("minorVersion", "0")
    }

    /// Reads a document of this dialect.
    ///
    /// # Errors
    /// [`DocumentError`] for what is not a writer metadata document, is damaged, or exceeds a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::parse_within(bytes, Limits::default())
    }

    pub(crate) fn parse_within(bytes: &[u8], limits: Limits) -> Result<Self, DocumentError> {
        let text = decode(bytes, limits)?;
        let (_, mut elements) = Elements::of(&text, ROOT, "writer metadata", limits)?;
        let mut document = Self::default();
        while let Some(element) = elements.child(1)? {
            match element.name() {
                "IDENTIFICATION" => document.identify(&element.attributes()?),
                "RESTORE_METHOD" => document.metadata.restore = Some(restore_method(&element.attributes()?)),
                "BACKUP_LOCATIONS" => read_locations(&mut elements, &mut document.metadata)?,
                _ => {}
            }
        }
        Ok(document)
    }

    fn identify(&mut self, attributes: &Attributes<'_>) {
        self.instance = attributes.id("instanceId").unwrap_or_default();
        self.metadata.id = attributes.id("writerId").unwrap_or_default();
        self.metadata.name = attributes.text("friendlyName");
        self.metadata.usage = word(attributes, "usage");
        self.metadata.source = word(attributes, "dataSource");
    }
}

fn restore_tag(restore: &RestoreMethod) -> Tag {
    Tag::new("RESTORE_METHOD")
        .with("method", restore.way.word())
        .with("writerRestore", restore.writer.word())
        .with_flag("rebootRequired", restore.reboot)
}

fn write_component(xml: &mut XmlWriter, component: &Component) {
    let (group, files) = if component.database { ("DATABASE", "DATABASE_FILES") } else { ("FILE_GROUP", "FILE_LIST") };
    let tag = component_tag(group, component);
    if component.files.is_empty() {
        return xml.empty(tag);
    }
    xml.open(tag);
    for spec in &component.files {
        xml.empty(files_tag(files, spec).with("filespecBackupType", EVERY_BACKUP));
    }
    xml.close();
}

fn component_tag(group: &'static str, component: &Component) -> Tag {
    Tag::new(group)
        .with_some("logicalPath", filled(&component.logical_path))
        .with("componentName", &component.name)
        .with_some("caption", filled(&component.caption))
        .with_flag("restoreMetadata", false)
        .with_flag("notifyOnBackupComplete", component.notify_on_backup_complete)
        .with_flag("selectable", component.selectable)
        .with_flag("selectableForRestore", false)
        .with("componentFlags", &component.flags.to_string())
}

fn files_tag(name: &'static str, files: &FileSpec) -> Tag {
    Tag::new(name)
        .with("path", &files.path)
        .with("filespec", &files.spec)
        .with_some("recursive", files.recursive.then_some("yes"))
        .with_some("alternatePath", files.alternate.as_deref())
}

/// The text, unless it is empty.
pub(super) fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn word<T: Word + Default>(attributes: &Attributes<'_>, name: &str) -> T {
    attributes.get(name).map(T::of).unwrap_or_default()
}

fn restore_method(attributes: &Attributes<'_>) -> RestoreMethod {
    RestoreMethod {
        way: word(attributes, "method"),
        writer: word(attributes, "writerRestore"),
        reboot: attributes.yes("rebootRequired"),
    }
}

fn read_locations(elements: &mut Elements<'_>, metadata: &mut WriterMetadata) -> Result<(), DocumentError> {
    while let Some(element) = elements.child(2)? {
        match element.name() {
            "FILE_GROUP" | "DATABASE" => metadata.components.push(read_component(elements, &element)?),
            "EXCLUDE_FILES" => metadata.exclude.push(file_spec(elements, &element)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_component(elements: &mut Elements<'_>, element: &Element<'_>) -> Result<Component, DocumentError> {
    elements.component()?;
    let attributes = element.attributes()?;
    let mut component = Component {
        logical_path: attributes.text("logicalPath"),
        name: attributes.text("componentName"),
        caption: attributes.text("caption"),
        database: element.name() == "DATABASE",
        selectable: attributes.yes("selectable"),
        notify_on_backup_complete: attributes.yes("notifyOnBackupComplete"),
        flags: attributes.number("componentFlags"),
        files: Vec::new(),
    };
    while let Some(files) = elements.child(3)? {
        if matches!(files.name(), "FILE_LIST" | "DATABASE_FILES" | "DATABASE_LOGFILES") {
            component.files.push(file_spec(elements, &files)?);
        }
    }
    Ok(component)
}

fn file_spec(elements: &mut Elements<'_>, element: &Element<'_>) -> Result<FileSpec, DocumentError> {
    elements.files()?;
    let attributes = element.attributes()?;
    Ok(FileSpec {
        path: attributes.text("path"),
        spec: attributes.text("filespec"),
        recursive: attributes.yes("recursive"),
        alternate: attributes.get("alternatePath").map(str::to_owned),
    })
}
