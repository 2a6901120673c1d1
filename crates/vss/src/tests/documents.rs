use backup_core::ports::shadow_copies::{Component, ShadowCopySetId, WriterMetadata, writer_document};
use proptest::prelude::any;
use uuid::Uuid;

use crate::documents::{BackupDocument, DocumentError, Limits, WriterDocument, of_session};

fn writer(name: &str, components: &[(&str, &str, bool)]) -> WriterDocument {
    let component = |(logical_path, name, database): &(&str, &str, bool)| Component {
        logical_path: (*logical_path).to_owned(),
        name: (*name).to_owned(),
        database: *database,
        ..Component::default()
    };
    let components = components.iter().map(component).collect();
    let metadata =
        WriterMetadata { id: Uuid::from_u128(7), name: name.to_owned(), components, ..WriterMetadata::default() };
    WriterDocument { instance: Uuid::from_u128(2), metadata }
}

fn written(writer: &WriterDocument) -> String {
    let documents = of_session(ShadowCopySetId(Uuid::from_u128(1)), std::slice::from_ref(writer));
    String::from_utf8(documents[0].1.clone()).expect("UTF-8")
}

/// The text as other programs may have stored it.
pub(super) fn encodings(text: &str) -> [Vec<u8>; 4] {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect();
    let marked = format!("\u{feff}{text}").into_bytes();
    [text.as_bytes().to_vec(), marked, utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)]
}

pub(super) const NASTY: &str = "a & b <c> \"d\" 'e' &amp; \t\n\r é 😀 ]]> --> ?>";

#[test]
fn a_document_has_the_shape_of_the_dialect() {
    let text = written(&writer("SMS Writer", &[("", "files", false), ("SRV\\SQL", "CM_P01", true)]));
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
fn each_writer_has_a_document_of_its_own_also_two_of_one_class() {
    let (class, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let of = |id, name: &str| {
        let mut writer = writer(name, &[]);
        writer.metadata.id = id;
        writer
    };
    let documents = of_session(ShadowCopySetId(Uuid::nil()), &[of(class, "a"), of(other, "b"), of(class, "c")]);
    let names: Vec<&str> = documents.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "BackupDocument.xml",
        "WriterMetadata-00000000-0000-0000-0000-000000000007.xml",
        "WriterMetadata-00000000-0000-0000-0000-000000000008.xml",
        "WriterMetadata-00000000-0000-0000-0000-000000000007-2.xml",
    ];
    assert_eq!(names, expected);
    assert_eq!(names[3], writer_document(class, 1));
    let own = |index: usize| WriterDocument::parse(&documents[index].1).expect("our own document").metadata.name;
    assert_eq!([own(1), own(2), own(3)], ["a", "b", "c"]);
}

#[test]
fn names_come_back_whatever_is_in_them_and_in_any_encoding() {
    for bytes in encodings(&written(&writer(NASTY, &[(NASTY, NASTY, true)]))) {
        let document = BackupDocument::parse(&bytes).expect("our own document");
        assert_eq!((document.writers[0].id, document.writers[0].instance), (Uuid::from_u128(7), Uuid::from_u128(2)));
        assert_eq!(document.writers[0].name.as_deref(), Some(NASTY));
        assert_eq!(document.writers[0].components[0].logical_path, NASTY);
        assert_eq!(document.writers[0].components[0].name, NASTY);
    }
}

#[test]
fn what_xml_cannot_hold_is_replaced() {
    let text = written(&writer("a\u{1}b\u{ffff}", &[]));
    let document = BackupDocument::parse(text.as_bytes()).expect("our own document");
    assert_eq!(document.writers[0].name.as_deref(), Some("a\u{fffd}b\u{fffd}"));
}

#[test]
fn reading_is_lenient() {
    let text = r#"<?xml version="1.0" encoding="UTF-16"?><x:BACKUP_COMPONENTS xmlns:x="x-schema:#VssComponentMetadata"
        snapshotSetId="{0000000A-0000-0000-0000-00000000000B}" more="1"><!-- c --><OTHER/> a &amp; b <![CDATA[<]]>
        <OTHER><WRITER_COMPONENTS writerId="passed over"/></OTHER>
        <x:WRITER_COMPONENTS writerId="not a guid" backupSchema="881"><COMPONENT componentName="n">
            <BACKUP_METADATA xmlns="" metadata="AA=="><COMPONENT componentName="none"/></BACKUP_METADATA>
        </COMPONENT></x:WRITER_COMPONENTS></x:BACKUP_COMPONENTS>"#;
    for bytes in encodings(text) {
        let document = BackupDocument::parse(&bytes).expect("near enough");
        assert_eq!(document.set, Some(Uuid::from_u128(0xa << 96 | 0xb)));
        let [writer] = &document.writers[..] else { panic!("one writer: {document:?}") };
        assert_eq!((writer.id, writer.schema), (Uuid::nil(), 881));
        let [component] = &writer.components[..] else { panic!("one component: {writer:?}") };
        assert_eq!(component.name, "n");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let parse = |bytes: &[u8]| BackupDocument::parse(bytes).expect_err("no document");
    for bytes in [b"".as_slice(), b"text", b"<WRITER_METADATA/>", b"<OTHER><BACKUP_COMPONENTS/></OTHER>"] {
        assert!(matches!(parse(bytes), DocumentError::Other("backup components")), "{bytes:?}");
    }
    for bytes in [b"\xff\xfe<".as_slice(), b"\xff\xfe\0\xd8<\0", b"\xfe\xff\xd8\0"] {
        assert!(matches!(parse(bytes), DocumentError::Encoding("UTF-16")), "{bytes:?}");
    }
    assert!(matches!(parse(b"<BACKUP_COMPONENTS a='\xff'/>"), DocumentError::Encoding("UTF-8")));
    assert!(matches!(parse(b"<BACKUP_COMPONENTS a=\"&undefined;\"/>"), DocumentError::Xml { .. }));
    assert!(matches!(parse(b"<BACKUP_COMPONENTS></OTHER>"), DocumentError::Xml { .. }));
    assert!(matches!(parse(b"<BACKUP_COMPONENTS>"), DocumentError::Truncated));
    let bomb = br#"<!DOCTYPE a [<!ENTITY b "cc">]><BACKUP_COMPONENTS snapshotSetId="&b;&b;"/>"#;
    assert!(matches!(parse(bomb), DocumentError::Xml { .. }), "entities of a document's own are not replaced");
}

#[test]
fn a_truncated_document_is_never_taken_for_a_whole_one() {
    for bytes in encodings(&written(&writer(NASTY, &[("a", "b", true), ("c", "d", false)]))) {
        assert_truncations_are_refused(&bytes, |bytes| BackupDocument::parse(bytes).is_ok());
    }
}

/// All but the line end behind the root is needed.
pub(super) fn assert_truncations_are_refused(bytes: &[u8], is_read: impl Fn(&[u8]) -> bool) {
    let needed = bytes.iter().rposition(|byte| *byte == b'>').expect("a root");
    assert!(is_read(bytes));
    for end in 0..=needed {
        assert!(!is_read(&bytes[..end]), "after {end} of {} bytes", bytes.len());
    }
}

#[test]
fn limits_are_named() {
    let text = written(&writer("w", &[("a", "b", true), ("c", "d", false)]));
    let parse = |limits: Limits| BackupDocument::parse_within(text.as_bytes(), limits);
    // The writer counts as well: a document of writers without components must end somewhere too.
    let exact = Limits { bytes: text.len(), levels: 3, attributes: 7, value: 36, components: 3, files: 0 };
    parse(exact).expect("all limits are held");
    let refused = |limits| parse(limits).expect_err("a limit is exceeded").to_string();
    let told = [
        refused(Limits { bytes: text.len() - 1, ..exact }),
        refused(Limits { levels: 2, ..exact }),
        refused(Limits { attributes: 6, ..exact }),
        refused(Limits { value: 35, ..exact }),
        refused(Limits { components: 2, ..exact }),
    ];
    let expected = [
        &format!("the document has more than {} bytes", text.len() - 1),
        "the document has more than 2 levels of elements",
        "the document has more than 6 attributes in an element",
        "the document has more than 35 bytes in an attribute",
        "the document has more than 2 writers and components",
    ];
    assert_eq!(told, expected);
}

proptest::proptest! {
    #[test]
    fn any_name_of_printable_characters_comes_back(name in "\\PC*") {
        let document = BackupDocument::parse(written(&writer(&name, &[])).as_bytes()).expect("our own document");
        assert_eq!(document.writers[0].name.as_deref().map(str::len), Some(name.len()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = [b"<BACKUP_COMPONENTS ".as_slice(), &bytes].concat();
        drop((BackupDocument::parse(&text), BackupDocument::parse(&bytes)));
    }
}
