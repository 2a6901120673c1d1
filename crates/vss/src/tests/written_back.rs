use backup_core::ports::shadow_copies::{
    Component, DataSource, FileSpec, RestoreMethod, RestoreWay, WriterLevel, WriterMetadata, WriterRestore, WriterUsage,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use uuid::Uuid;

use super::writer_metadata::document;
use crate::documents::WriterDocument;

fn any_text() -> impl Strategy<Value = String> {
    let legal = |c: char| if c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') { c } else { '\n' };
    let special = proptest::sample::select(vec!['<', '>', '&', '"', '\'', ';', '#', '\t', '\n', '\r', ' ', '\\', ']']);
    vec(prop_oneof![proptest::char::any().prop_map(legal), special], 0..8).prop_map(String::from_iter)
}

fn any_files() -> impl Strategy<Value = Vec<FileSpec>> {
    let spec = (any_text(), any_text(), any::<bool>(), proptest::option::of(any_text()));
    vec(spec.prop_map(|(path, spec, recursive, alternate)| FileSpec { path, spec, recursive, alternate }), 0..4)
}

fn any_component() -> impl Strategy<Value = Component> {
    let texts = (any_text(), any_text(), any_text());
    (texts, any::<(bool, bool, bool, u32)>(), any_files()).prop_map(
        |((logical_path, name, caption), (database, selectable, notify_on_backup_complete, flags), files)| Component {
            logical_path,
            name,
            caption,
            database,
            selectable,
            notify_on_backup_complete,
            flags,
            files,
        },
    )
}

fn any_restore() -> impl Strategy<Value = RestoreMethod> {
    let way = prop_oneof![
        Just(RestoreWay::IfReplaceable),
        Just(RestoreWay::AtReboot),
        Just(RestoreWay::AtRebootIfNotReplaceable),
        any_text().prop_map(RestoreWay::Unknown)
    ];
    let writer = prop_oneof![
        Just(WriterRestore::Never),
        Just(WriterRestore::Always),
        any_text().prop_map(WriterRestore::Unknown)
    ];
    (way, writer, any::<bool>()).prop_map(|(way, writer, reboot)| RestoreMethod { way, writer, reboot })
}

fn any_document() -> impl Strategy<Value = WriterDocument> {
    let usage = prop_oneof![
        Just(WriterUsage::BootableSystemState),
        Just(WriterUsage::SystemService),
        Just(WriterUsage::UserData),
        any_text().prop_map(WriterUsage::Unknown)
    ];
    let source = prop_oneof![
        Just(DataSource::TransactionDatabase),
        Just(DataSource::Other),
        any_text().prop_map(DataSource::Unknown)
    ];
    let ids = any::<(u128, u128)>();
    let restore = proptest::option::of(any_restore());
    (ids, any_text(), usage, source, restore, vec(any_component(), 0..4), any_files()).prop_map(
        |((id, instance), name, usage, source, restore, components, exclude)| {
            let (id, level) = (Uuid::from_u128(id), WriterLevel::default());
            let metadata = WriterMetadata { id, name, level, usage, source, restore, components, exclude };
            WriterDocument { instance: Uuid::from_u128(instance), metadata }
        },
    )
}

proptest::proptest! {
    #[test]
    fn any_document_comes_back_equal(document in any_document()) {
        assert_eq!(WriterDocument::parse(&document.to_xml()).expect("our own document"), document);
    }

    #[test]
    fn no_damage_makes_the_reader_panic_and_what_it_reads_survives(
        place in any::<proptest::sample::Index>(),
        bytes in prop_oneof![vec(any::<u8>(), 0..20), any_text().prop_map(String::into_bytes)],
        cut in 0..20usize,
    ) {
        let mut text = document().to_xml();
        let start = place.index(text.len());
        text.splice(start..(start + cut).min(text.len()), bytes);
        if let Ok(document) = WriterDocument::parse(&text) {
            // Characters that XML cannot hold are read all the same, and replaced when they are written for the first time.
            let written = document.to_xml();
            assert_eq!(WriterDocument::parse(&written).expect("our own document").to_xml(), written);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let text = [b"<WRITER_METADATA><BACKUP_LOCATIONS><FILE_GROUP ".as_slice(), &bytes].concat();
        drop((WriterDocument::parse(&text), WriterDocument::parse(&bytes)));
    }
}
