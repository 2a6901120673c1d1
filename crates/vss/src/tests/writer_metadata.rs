use std::time::{Duration, Instant};

use backup_core::ports::shadow_copies::{
    Component, DataSource, FileSpec, RestoreMethod, WriterMetadata, WriterRestore, WriterUsage,
};
use uuid::Uuid;

use super::documents::{NASTY, assert_truncations_are_refused, encodings};
use crate::documents::{DocumentError, Limits, WriterDocument};

fn files(path: &str, spec: &str, recursive: bool) -> FileSpec {
    FileSpec { path: path.to_owned(), spec: spec.to_owned(), recursive, alternate: None }
}

pub(super) fn document() -> WriterDocument {
    let group = Component {
        logical_path: "P01".to_owned(),
        name: "SiteServer".to_owned(),
        caption: "Files of site P01".to_owned(),
        files: vec![files(r"C:\SMS\inboxes", "*", true), files(r"%WinDir%\", "Perfc???.dat", false)],
        ..Component::default()
    };
    let database = Component {
        name: "CM_P01".to_owned(),
        database: true,
        selectable: true,
        notify_on_backup_complete: true,
        flags: 2,
        files: vec![FileSpec { alternate: Some(r"E:\copy".to_owned()), ..files(r"D:\Data", "CM_P01.mdf", false) }],
        ..Component::default()
    };
    let metadata = WriterMetadata {
        id: Uuid::from_u128(7),
        name: "SMS Writer".to_owned(),
        source: DataSource::TransactionDatabase,
        restore: Some(RestoreMethod::default()),
        components: vec![group, database, Component { name: "nothing".to_owned(), ..Component::default() }],
        exclude: vec![files(r"C:\SMS\Logs", "*.lo_", true)],
        ..WriterMetadata::default()
    };
    WriterDocument { instance: Uuid::from_u128(2), metadata }
}

fn written(document: &WriterDocument) -> String {
    String::from_utf8(document.to_xml()).expect("UTF-8")
}

#[test]
fn a_document_has_the_shape_of_the_dialect() {
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2">
  <IDENTIFICATION writerId="00000000-0000-0000-0000-000000000007" instanceId="00000000-0000-0000-0000-000000000002" friendlyName="SMS Writer" usage="USER_DATA" dataSource="TRANSACTION_DB" majorVersion="0" minorVersion="0"/>
  <RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="never" rebootRequired="no"/>
  <BACKUP_LOCATIONS>
    <FILE_GROUP logicalPath="P01" componentName="SiteServer" caption="Files of site P01" restoreMetadata="no" notifyOnBackupComplete="no" selectable="no" selectableForRestore="no" componentFlags="0">
      <FILE_LIST path="C:\SMS\inboxes" filespec="*" recursive="yes" filespecBackupType="3855"/>
      <FILE_LIST path="%WinDir%\" filespec="Perfc???.dat" filespecBackupType="3855"/>
    </FILE_GROUP>
    <DATABASE componentName="CM_P01" restoreMetadata="no" notifyOnBackupComplete="yes" selectable="yes" selectableForRestore="no" componentFlags="2">
      <DATABASE_FILES path="D:\Data" filespec="CM_P01.mdf" alternatePath="E:\copy" filespecBackupType="3855"/>
    </DATABASE>
    <FILE_GROUP componentName="nothing" restoreMetadata="no" notifyOnBackupComplete="no" selectable="no" selectableForRestore="no" componentFlags="0"/>
    <EXCLUDE_FILES path="C:\SMS\Logs" filespec="*.lo_" recursive="yes"/>
  </BACKUP_LOCATIONS>
</WRITER_METADATA>
"#;
    assert_eq!(written(&document()), expected);
    assert_eq!(WriterDocument::parse(expected.as_bytes()).expect("our own document"), document());
}

/// As other writers may say it: elements in another order, ids and flags in another case, and much that nobody asked for.
#[test]
fn reading_is_lenient() {
    let text = r#"<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE w><x:WRITER_METADATA xmlns:x="x-schema:#VssWriterMetadataInfo" version="1.2"
        backupSchema="881"><!-- c --> a &amp; b <![CDATA[<FILE_GROUP]]>
        <BACKUP_LOCATIONS>
          <EXCLUDE_FILES_FROM_SNAPSHOT path="passed over" filespec="*"/><EXCLUDE_FILES path='%windir%\' filespec='a&apos;b' recursive="no"/>
          <FILE_GROUP componentFlags="many" selectable=" YES " componentName="&#65;SR" other="1">
            <DEPENDENCY><FILE_LIST path="passed over"/></DEPENDENCY><FILE_LIST recursive="Yes" filespec="*"/>
          </FILE_GROUP>
          <FILE_GROUP x:componentName="none" xmlns:caption="none"/>
        </BACKUP_LOCATIONS>
        <RESTORE_METHOD writerRestore="if_replace_fails" rebootRequired="yes" service="svc"/>
        <UNKNOWN><IDENTIFICATION friendlyName="passed over"/></UNKNOWN>
        <IDENTIFICATION friendlyName="A &lt;Writer&gt;" usage="BOOTABLE_SYSTEM_STATE" dataSource="NEW"
            writerId="{0000000A-0000-0000-0000-00000000000B}" instanceId="0000000a-0000-0000-0000-00000000000C"/>
        <BACKUP_LOCATIONS><DATABASE><DATABASE_LOGFILES path="L:" filespec="*.ldf"/><DATABASE_FILES/></DATABASE></BACKUP_LOCATIONS>
        </x:WRITER_METADATA>"#;
    let group = Component {
        name: "ASR".to_owned(),
        selectable: true,
        files: vec![files("", "*", true)],
        ..Component::default()
    };
    let database = Component {
        database: true,
        files: vec![files("L:", "*.ldf", false), FileSpec::default()],
        ..Component::default()
    };
    let restore = RestoreMethod {
        writer: WriterRestore::Unknown("if_replace_fails".to_owned()),
        reboot: true,
        ..RestoreMethod::default()
    };
    let metadata = WriterMetadata {
        id: Uuid::from_u128(0xa << 96 | 0xb),
        name: "A <Writer>".to_owned(),
        usage: WriterUsage::BootableSystemState,
        source: DataSource::Unknown("NEW".to_owned()),
        restore: Some(restore),
        components: vec![group, Component::default(), database],
        exclude: vec![files(r"%windir%\", "a'b", false)],
        ..WriterMetadata::default()
    };
    let expected = WriterDocument { instance: Uuid::from_u128(0xa << 96 | 0xc), metadata };
    for bytes in encodings(text) {
        assert_eq!(WriterDocument::parse(&bytes).expect("near enough"), expected);
    }
    let least = WriterDocument::parse(b"<WRITER_METADATA/>").expect("all of it may be missing");
    assert_eq!(least, WriterDocument::default());
}

#[test]
fn values_come_back_whatever_is_in_them_and_in_any_encoding() {
    let mut document = document();
    document.metadata.name = NASTY.to_owned();
    document.metadata.components[0].files[0].path = NASTY.to_owned();
    for bytes in encodings(&written(&document)) {
        assert_eq!(WriterDocument::parse(&bytes).expect("our own document"), document);
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let parse = |bytes: &[u8]| WriterDocument::parse(bytes).expect_err("no document");
    let error = parse(b"<BACKUP_COMPONENTS/>");
    assert_eq!(error.to_string(), "the document is not a writer metadata document");
    assert!(matches!(parse(b"<WRITER_METADATA a='\xff'/>"), DocumentError::Encoding("UTF-8")));
    assert!(matches!(parse(b"<WRITER_METADATA></OTHER>"), DocumentError::Xml { .. }));
    let unread = b"<WRITER_METADATA><IDENTIFICATION friendlyName='&nbsp;'/></WRITER_METADATA>";
    assert!(matches!(parse(unread), DocumentError::Xml { .. }));
}

#[test]
fn a_truncated_document_is_never_taken_for_a_whole_one() {
    for bytes in encodings(&written(&document())) {
        assert_truncations_are_refused(&bytes, |bytes| WriterDocument::parse(bytes).is_ok());
    }
}

#[test]
fn limits_are_named() {
    let text = written(&document());
    let parse = |limits: Limits| WriterDocument::parse_within(text.as_bytes(), limits);
    let exact = Limits { bytes: text.len(), levels: 4, attributes: 8, value: 36, components: 3, files: 4 };
    assert_eq!(parse(exact).expect("all limits are held"), document());
    let refused = |limits| parse(limits).expect_err("a limit is exceeded").to_string();
    let told = [
        refused(Limits { bytes: text.len() - 1, ..exact }),
        refused(Limits { levels: 3, ..exact }),
        refused(Limits { attributes: 7, ..exact }),
        refused(Limits { value: 35, ..exact }),
        refused(Limits { components: 2, ..exact }),
        refused(Limits { files: 3, ..exact }),
    ];
    let expected = [
        &format!("the document has more than {} bytes", text.len() - 1),
        "the document has more than 3 levels of elements",
        "the document has more than 7 attributes in an element",
        "the document has more than 35 bytes in an attribute",
        "the document has more than 2 writers and components",
        "the document has more than 3 lists of files",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_longest_path_of_windows_is_within_the_limits() {
    let mut document = document();
    document.metadata.components[0].files[0].path = "\u{ffe6}".repeat(32_767);
    assert_eq!(WriterDocument::parse(&document.to_xml()).expect("within all limits"), document);
    document.metadata.components[0].files[0].path = "\"".repeat(Limits::default().value);
    assert_eq!(WriterDocument::parse(&document.to_xml()).expect("what counts is the value"), document);
    document.metadata.components[0].files[0].path.push('"');
    let error = WriterDocument::parse(&document.to_xml()).expect_err("longer than any path");
    assert_eq!(error.to_string(), "the document has more than 131072 bytes in an attribute");
}

/// A document like a System Writer's, which lists each file of the system by itself.
fn system_writer(lists: usize) -> WriterDocument {
    let folder = r"%systemroot%\winsxs\amd64_microsoft-windows-component_31bf3856ad364e35_10.0.14393.0_none";
    let list = |number| files(&format!("{folder}_{number:08x}"), "module.dll", false);
    let component = Component { files: (0..lists).map(list).collect(), ..Component::default() };
    let metadata = WriterMetadata { components: vec![component], ..WriterMetadata::default() };
    WriterDocument { instance: Uuid::nil(), metadata }
}

/// The shortest time of some readings of each document, in turns so that both meet the same machine.
fn shortest<const N: usize>(documents: [&[u8]; N]) -> [Duration; N] {
    let mut shortest = [Duration::MAX; N];
    for _ in 0..7 {
        for (bytes, shortest) in documents.iter().zip(&mut shortest) {
            let start = Instant::now();
            WriterDocument::parse(bytes).expect("our own document");
            *shortest = start.elapsed().min(*shortest);
        }
    }
    shortest
}

/// Ten times the lists take ten times as long. A reader that looks at the earlier ones for each would take a hundred times as long;
/// thirty lies as far from the one as from the other.
#[test]
fn time_grows_with_the_lists_and_no_faster() {
    let whole = system_writer(19_000);
    let (bytes, tenth) = (whole.to_xml(), system_writer(1_900).to_xml());
    assert!(bytes.len() > 2_200_000, "as large as a real one: {}", bytes.len());
    assert_eq!(WriterDocument::parse(&bytes).expect("our own document"), whole);
    let [long, short] = shortest([&bytes, &tenth]);
    assert!(long < short * 30, "{long:?} against {short:?} for a tenth");
}
