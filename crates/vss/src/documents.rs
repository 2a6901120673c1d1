//! The documents that belong beside a snapshot, in the dialects of VSS: what was backed up, and what each writer said of itself.
//!
//! Microsoft publishes no schema and calls the format its own; what is written here looks like the documents that Windows writes,
//! and nothing claims that Windows reads it. Nothing recovers from them: the manifest says where files go.
//!
//! Readers take elements in any order and pass over what they do not know, ids with or without braces and in either case, and text
//! in UTF-8 or, behind a byte order mark, UTF-16. They refuse a document that is larger than any that a writer has reason for.

mod backup_components;
mod words;
mod writer_metadata;
mod xml;

use std::collections::HashMap;

use backup_core::ports::shadow_copies::{BACKUP_DOCUMENT, ShadowCopySetId, writer_document};

pub use backup_components::{BackupDocument, DocumentComponent, DocumentWriter};
pub use writer_metadata::WriterDocument;
pub use xml::DocumentError;
#[cfg(test)]
pub(crate) use xml::Limits;

/// All documents of a session, by file name.
pub(crate) fn of_session(set: ShadowCopySetId, writers: &[WriterDocument]) -> Vec<(String, Vec<u8>)> {
    let mut documents = vec![(BACKUP_DOCUMENT.to_owned(), backup_components::write(set, writers))];
    let mut of_class = HashMap::new();
    for writer in writers {
        let earlier = of_class.entry(writer.metadata.id).or_insert(0);
        documents.push((writer_document(writer.metadata.id, *earlier), writer.to_xml()));
        *earlier += 1;
    }
    documents
}
