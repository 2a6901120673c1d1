use super::*;
use crate::ImportMode;
use crate::regf::Version;
use crate::store::StoreError;
use crate::value::Value;

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

const SMS: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS";

fn tree() -> Key {
    let mut root = Key::default();
    root.set_value("version", Value::dword(1));
    root.create(&path(r"Setup\Old")).set_class(Some("class".into()));
    root.create(&path("Setup")).set_security(Some([1; 40][..].into()));
    root.create(&path("Setup")).set_last_write(Some(1234));
    root
}

/// A hive file that stands for the key [`SMS`].
fn store() -> (tempfile::TempDir, HiveFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = HiveFile::new(folder.path().join("SMS"), path(SMS));
    let header = Header { version: Version::V1_3, root_name: "root of all".into(), sequence: 41, timestamp: 5 };
    fs::write(file.path(), regf::write(&tree(), &header).unwrap()).unwrap();
    (folder, file)
}

#[test]
fn the_root_of_the_hive_is_the_key() {
    let (_folder, file) = store();
    assert_eq!(file.read(&path(SMS)).unwrap(), tree());
    assert_eq!(file.read(&path(&format!(r"{SMS}\SETUP"))).unwrap().subkeys().len(), 1);
    insta::assert_snapshot!(file.read(&path(r"HKEY_LOCAL_MACHINE\SOFTWARE")).unwrap_err().to_string().replace(file.path().to_str().unwrap(), "SMS"), @r"key `HKEY_LOCAL_MACHINE\SOFTWARE` does not lie in `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS`, which `SMS` stands for");
    assert!(matches!(file.read(&path(&format!(r"{SMS}\X"))), Err(StoreError::KeyNotFound(_))));
}

#[test]
fn an_import_keeps_what_the_hive_says_of_itself() {
    let (_folder, file) = store();
    let text = format!("Windows Registry Editor Version 5.00\n\n[{SMS}\\Setup]\n\"new\"=\"x\"\n");
    let changes = file.import(&path(&format!(r"{SMS}\Setup")), text.as_bytes(), ImportMode::Exact).unwrap();
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(changes.join("\n"), @r#"
    + [HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup] "new" = REG_SZ "x"
    - [HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup\Old]
    "#);
    let hive = regf::read(&fs::read(file.path()).unwrap()).unwrap();
    let header = Header { version: Version::V1_3, root_name: "root of all".into(), sequence: 42, timestamp: 1234 };
    assert_eq!(hive.header, header);
    let setup = hive.root.get(&path("Setup")).unwrap();
    assert_eq!((setup.security().map(|bytes| bytes.len()), setup.last_write()), (Some(40), Some(1234)));
    assert!(hive.root.value("version").is_some());
}

#[test]
fn an_export_goes_into_another_hive_whole() {
    let (folder, file) = store();
    let export = file.export(&path(SMS)).unwrap();
    assert_eq!(file.export(&path(SMS)).unwrap(), export);
    assert_eq!(
        regf::read(&export).unwrap().header,
        Header { timestamp: 1234, root_name: "SMS".into(), ..Header::default() }
    );
    for mode in [ImportMode::Merge, ImportMode::Exact] {
        let other = HiveFile::new(folder.path().join(format!("{mode:?}")), path(r"HKEY_LOCAL_MACHINE\SOFTWARE"));
        other.import(&path(SMS), &export, mode).unwrap();
        assert_eq!(other.export(&path(SMS)).unwrap(), export);
        assert_eq!(other.import(&path(SMS), &export, mode).unwrap(), []);
    }
}

/// The key [`SMS`] with this class and a descriptor of so many bytes; none, and the default one, without.
fn key(class: Option<&str>, descriptor: Option<usize>) -> Key {
    let mut key = Key::default();
    key.set_value("same", Value::dword(1));
    key.set_class(class.map(Into::into));
    key.set_security(descriptor.map(|length| vec![7; length].into()));
    key
}

/// Imports `wanted` over `stands`, and shows what that changed: once, as it was told before, and a second time nothing.
fn imported(stands: &Key, wanted: &Key, mode: ImportMode) -> (Key, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = HiveFile::new(folder.path().join("SMS"), path(SMS));
    fs::write(file.path(), regf::write(stands, &Header::default()).unwrap()).unwrap();
    let export = regf::write(wanted, &Header::default()).unwrap();
    let told = file.preview(&path(SMS), &export, mode).unwrap();
    assert_eq!(file.import(&path(SMS), &export, mode).unwrap(), told);
    let written = fs::read(file.path()).unwrap();
    assert_eq!(file.import(&path(SMS), &export, mode).unwrap(), []);
    assert_eq!(fs::read(file.path()).unwrap(), written, "the second import leaves the file alone");
    let told: Vec<_> = told.iter().map(|change| change.to_string().replace(SMS, "SMS")).collect();
    (file.read(&path(SMS)).unwrap(), told.join("\n"))
}

#[test]
fn an_exact_import_makes_class_and_descriptor_what_the_export_says() {
    let exact = |stands: &Key, wanted: &Key| {
        let (now, told) = imported(stands, wanted, ImportMode::Exact);
        assert_eq!(&now, wanted);
        told
    };
    let (plain, known, other) = (key(None, None), key(Some("old"), Some(40)), key(Some("new"), Some(44)));
    insta::assert_snapshot!(exact(&plain, &known), @r#"
    + [SMS] class "old"
    + [SMS] security descriptor, 40 bytes
    "#);
    insta::assert_snapshot!(exact(&known, &plain), @r#"
    - [SMS] class "old"
    - [SMS] security descriptor, 40 bytes
    "#);
    insta::assert_snapshot!(exact(&known, &other), @r#"
    ~ [SMS] class "old" → "new"
    ~ [SMS] security descriptor, 40 bytes → 44 bytes
    "#);
}

#[test]
fn a_merge_takes_the_class_and_descriptor_that_the_export_knows() {
    let (plain, known, other) = (key(None, None), key(Some("old"), Some(40)), key(Some("new"), Some(44)));
    assert_eq!(imported(&known, &other, ImportMode::Merge).0, other);
    assert_eq!(imported(&plain, &other, ImportMode::Merge).0, other);
    assert_eq!(imported(&known, &plain, ImportMode::Merge), (known, String::new()));
}

#[test]
fn text_keeps_class_and_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let file = HiveFile::new(folder.path().join("SMS"), path(SMS));
    let stands = regf::write(&key(Some("old"), Some(40)), &Header::default()).unwrap();
    for mode in [ImportMode::Merge, ImportMode::Exact] {
        fs::write(file.path(), &stands).unwrap();
        let text = format!("Windows Registry Editor Version 5.00\n\n[{SMS}]\n\"same\"=dword:1\n\"new\"=\"x\"\n");
        assert_eq!(file.import(&path(SMS), text.as_bytes(), mode).unwrap().len(), 1);
        let now = file.read(&path(SMS)).unwrap();
        assert_eq!((now.class(), now.security().map(|bytes| bytes.len())), (Some(&"old".into()), Some(40)));
    }
}

#[test]
fn a_hive_that_was_not_closed_needs_its_logs() {
    let (_folder, file) = store();
    let mut dirty = fs::read(file.path()).unwrap();
    // The secondary number, and the checksum with it.
    dirty[8] ^= 1;
    dirty[508] ^= 1;
    fs::write(file.path(), &dirty).unwrap();
    let error = file.read(&path(SMS)).unwrap_err();
    insta::assert_snapshot!(std::error::Error::source(&error).unwrap(), @"at offset 0x4: the hive was not closed, and none of its transaction logs applies");

    // An old log without a single dirty page: all had been written but for the base block. Two bits more are two less.
    let mut log = dirty[..512].to_vec();
    log[8] ^= 1;
    log[28] = 1;
    log.extend(b"DIRT");
    log.resize(1024, 0);
    let name = format!("{}.LOG1", file.path().display());
    fs::write(&name, log).unwrap();
    assert_eq!(file.read(&path(SMS)).unwrap(), tree());

    let text = format!("Windows Registry Editor Version 5.00\n\n[{SMS}\\New]\n");
    file.import(&path(SMS), text.as_bytes(), ImportMode::Merge).unwrap();
    fs::remove_file(name).unwrap();
    assert_eq!(file.read(&path(SMS)).unwrap().subkeys().len(), 2, "the hive is closed now");
}
