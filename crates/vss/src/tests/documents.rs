use backup_core::ports::shadow_copies::{Component, ShadowCopySetId, WriterLevel, WriterMetadata};
use proptest::prelude::any;
use uuid::Uuid;

use crate::documents::{BackupDocument, DocumentError, write};

fn metadata(name: &str, components: &[(&str, &str, bool)]) -> WriterMetadata {
    let component = |(logical_path, name, database): &(&str, &str, bool)| Component {
        logical_path: (*logical_path).to_owned(),
        name: (*name).to_owned(),
        database: *database,
        ..Component::default()
    };
    WriterMetadata {
        id: Uuid::from_u128(7),
        name: name.to_owned(),
        level: WriterLevel::FrontEnd,
        components: components.iter().map(component).collect(),
        ..WriterMetadata::default()
    }
}

fn written(metadata: &WriterMetadata) -> String {
    let set = ShadowCopySetId(Uuid::from_u128(1));
    String::from_utf8(write(set, [(metadata, Uuid::from_u128(2))].into_iter())).expect("UTF-8")
}

#[test]
fn a_document_has_the_shape_of_the_dialect() {
    let text = written(&metadata("SMS Writer", &[("", "files", false), ("SRV\\SQL", "CM_P01", true)]));
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" bootableSystemStateBackup="no" selectComponents="yes" backupType="full" partialFileSupport="no" snapshotSetId="00000000-0000-0000-0000-000000000001">
  <WRITER_COMPONENTS instanceId="00000000-0000-0000-0000-000000000002" writerId="00000000-0000-0000-0000-000000000007" instanceName="SMS Writer" backupSchema="0">
    <COMPONENT componentName="files" componentType="filegroup"/>
    <COMPONENT logicalPath="SRV\SQL" componentName="CM_P01" componentType="database"/>
  </WRITER_COMPONENTS>
</BACKUP_COMPONENTS>
"#;
    assert_eq!(text, expected);
}

#[test]
fn names_come_back_whatever_is_in_them() {
    let name = "a & b <c> \"d\" 'e' &amp; \t\n\r é";
    let text = written(&metadata(name, &[(name, name, true)]));
    let document = BackupDocument::parse(format!("\u{feff}{text}").as_bytes()).expect("our own document");
    assert_eq!(document.writers[0].name.as_deref(), Some(name));
    assert_eq!(document.writers[0].components[0].logical_path, name);
    assert_eq!(document.writers[0].components[0].name, name);
}

#[test]
fn what_xml_cannot_hold_is_replaced() {
    let text = written(&metadata("a\u{1}b\u{ffff}", &[]));
    let document = BackupDocument::parse(text.as_bytes()).expect("our own document");
    assert_eq!(document.writers[0].name.as_deref(), Some("a\u{fffd}b\u{fffd}"));
}

#[test]
fn reading_is_lenient() {
    let text = r#"<?xml version="1.0"?><x:BACKUP_COMPONENTS xmlns:x="x-schema:#VssComponentMetadata"
        snapshotSetId="{0000000A-0000-0000-0000-00000000000B}" more="1"><!-- c --><OTHER/>
        <x:WRITER_COMPONENTS writerId="not a guid"><COMPONENT componentName="n"><BACKUP_METADATA xmlns="" metadata="AA=="/>
        </COMPONENT></x:WRITER_COMPONENTS></x:BACKUP_COMPONENTS>"#;
    let document = BackupDocument::parse(text.as_bytes()).expect("near enough");
    assert_eq!(document.set, Some(Uuid::from_u128(0xa << 96 | 0xb)));
    assert_eq!(document.writers[0].id, Uuid::nil());
    assert_eq!(document.writers[0].components[0].name, "n");
}

#[test]
fn what_is_no_document_is_refused() {
    let parse = |bytes: &[u8]| BackupDocument::parse(bytes).expect_err("no document");
    assert!(matches!(parse(b""), DocumentError::Other));
    assert!(matches!(parse(b"<WRITER_METADATA/>"), DocumentError::Other));
    assert!(matches!(parse(b"\xff\xfe<\0"), DocumentError::Encoding(_)));
    assert!(matches!(parse(b"<BACKUP_COMPONENTS a=\"&undefined;\"/>"), DocumentError::Xml { .. }));
    assert!(matches!(parse(b"<BACKUP_COMPONENTS></OTHER>"), DocumentError::Xml { .. }));
}

proptest::proptest! {
    #[test]
    fn any_name_of_printable_characters_comes_back(name in "\\PC*") {
        let document = BackupDocument::parse(written(&metadata(&name, &[])).as_bytes()).expect("our own document");
        assert_eq!(document.writers[0].name.as_deref().map(str::len), Some(name.len()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = [b"<BACKUP_COMPONENTS ".as_slice(), &bytes].concat();
        drop(BackupDocument::parse(&text));
    }
}
