use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::reg_file::RegFile;
use crate::reg_text::Encoding;
use crate::value::Value;

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

fn text(body: &str) -> Vec<u8> {
    format!("Windows Registry Editor Version 5.00\n\n{body}").into_bytes()
}

const STORE: &str = "[HKLM\\SMS]\n\"Counter\"=dword:1\n[HKLM\\SMS\\Old]\n\"x\"=\"y\"\n[HKLM\\Other]\n\"kept\"=\"é\"\n";

/// A store that holds [`STORE`], in a folder that lasts as long as the first value.
fn store() -> (tempfile::TempDir, RegFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = RegFile::new(folder.path().join("site.reg"));
    fs::write(file.path(), text(STORE)).unwrap();
    (folder, file)
}

fn lines(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("{change}\n")).collect()
}

#[test]
fn an_export_imports_to_an_equal_key() {
    let (folder, file) = store();
    let sms = path(r"hklm\sms");
    let export = file.export(&sms).unwrap();
    assert!(regf::is_hive(&export));
    assert_eq!(read_export(&sms, &export).unwrap().count(), 2);

    let other = RegFile::new(folder.path().join("new.reg"));
    other.import(&sms, &export, ImportMode::Exact).unwrap();
    assert_eq!(other.export(&sms).unwrap(), export);
    assert!(matches!(other.export(&path(r"HKLM\Other")), Err(StoreError::KeyNotFound(_))));
}

#[test]
fn merge_keeps_and_exact_removes_what_the_text_has_not() {
    let (_folder, file) = store();
    let wanted = text("[HKLM\\SMS]\n\"Counter\"=dword:2\n[HKLM\\SMS\\New]\n");
    let preview = |mode| lines(&file.preview(&path(r"HKLM\SMS"), &wanted, mode).unwrap());
    insta::assert_snapshot!(preview(ImportMode::Merge), @r#"
    ~ [HKLM\SMS] "Counter" = REG_DWORD 0x00000001 (1) → REG_DWORD 0x00000002 (2)
    + [HKLM\SMS\New]
    "#);
    let previewed = preview(ImportMode::Exact);
    insta::assert_snapshot!(previewed, @r#"
    ~ [HKLM\SMS] "Counter" = REG_DWORD 0x00000001 (1) → REG_DWORD 0x00000002 (2)
    + [HKLM\SMS\New]
    - [HKLM\SMS\Old]
    - [HKLM\SMS\Old] "x" = REG_SZ "y"
    "#);
    assert_eq!(fs::read(file.path()).unwrap(), text(STORE));

    let changes = file.import(&path(r"HKLM\SMS"), &wanted, ImportMode::Exact).unwrap();
    assert_eq!(lines(&changes), previewed);
    assert_eq!(file.import(&path(r"HKLM\SMS"), &wanted, ImportMode::Exact).unwrap(), []);
    let root = file.read(&KeyPath::default()).unwrap();
    assert_eq!(root.get(&path(r"HKLM\Other")).unwrap().value("kept"), Some(&Value::string("é")));
}

#[test]
fn what_text_has_no_place_for_is_told_and_no_difference() {
    let (_folder, file) = store();
    let sms = path(r"HKLM\SMS");
    let mut key = file.read(&sms).unwrap();
    key.set_class(Some("class".into()));
    key.create(&path("Old")).set_security(Some([1][..].into()));
    key.create(&path("Old")).set_class(Some("class".into()));
    let export = write_export(&sms, &key).unwrap();
    assert_eq!(file.import(&sms, &export, ImportMode::Exact).unwrap(), []);
    assert_eq!(fs::read(file.path()).unwrap(), text(STORE));
    assert_eq!(
        file.loses(&sms, &export).unwrap().to_string(),
        "the class names of 2 and the security descriptors of 1 keys"
    );
    assert!(file.loses(&sms, &file.export(&sms).unwrap()).unwrap().is_empty());
    assert!(file.loses(&sms, &text(STORE)).is_err(), "it reaches outside the key");
}

#[test]
fn merge_deletes_what_the_text_deletes() {
    let (_folder, file) = store();
    let script = text("[-HKLM\\SMS\\Old]\n[HKLM\\SMS]\n\"counter\"=-\n");
    let changes = file.import(&path(r"HKLM\SMS"), &script, ImportMode::Merge).unwrap();
    insta::assert_snapshot!(lines(&changes), @r#"
    - [HKLM\SMS] "Counter" = REG_DWORD 0x00000001 (1)
    - [HKLM\SMS\Old]
    - [HKLM\SMS\Old] "x" = REG_SZ "y"
    "#);
}

#[test]
fn refused_imports_leave_the_file_alone() {
    let (_folder, file) = store();
    let refusal = |data: &[u8], mode| {
        let error = file.import(&path(r"HKLM\SMS"), data, mode).unwrap_err();
        assert_eq!(fs::read(file.path()).unwrap(), text(STORE));
        error.to_string()
    };
    let refusals = [
        refusal(b"nonsense", ImportMode::Merge),
        refusal(&text("[HKLM\\SMS]\n[-HKLM\\Other]"), ImportMode::Merge),
        refusal(&text("[HKLM\\SMSX]"), ImportMode::Merge),
        refusal(&text(""), ImportMode::Exact),
        refusal(&text("[HKLM\\SMS]\n[-HKLM\\SMS]"), ImportMode::Exact),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    data to import are neither a valid hive nor valid .reg text
    data to import reach outside key `HKLM\SMS`, to `HKLM\Other`
    data to import reach outside key `HKLM\SMS`, to `HKLM\SMSX`
    data to import do not hold key `HKLM\SMS`
    data to import do not hold key `HKLM\SMS`
    ");
}

#[test]
fn a_store_that_cannot_be_read_is_not_replaced() {
    let (_folder, file) = store();
    fs::write(file.path(), "[HKLM]").unwrap();
    let wanted = text("[HKLM\\SMS]");
    let error = file.import(&path(r"HKLM\SMS"), &wanted, ImportMode::Merge).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(fs::read(file.path()).unwrap(), b"[HKLM]");
    fs::remove_file(file.path()).unwrap();
    assert!(matches!(file.export(&path("HKLM")), Err(StoreError::Read { .. })));
}

#[test]
fn the_encoding_is_kept() {
    for encoding in [Encoding::Utf16Le, Encoding::Utf8, Encoding::Utf8Bom] {
        let (_folder, file) = store();
        let root = file.read(&KeyPath::default()).unwrap();
        fs::write(file.path(), reg_text::write(&root, &KeyPath::default(), encoding).unwrap()).unwrap();
        file.import(&path(r"HKLM\SMS"), &text("[HKLM\\SMS\\New]"), ImportMode::Merge).unwrap();
        assert_eq!(file.read_all().unwrap().1, encoding);
    }
}

#[cfg(unix)]
#[test]
fn mode_owner_and_link_are_kept_and_nothing_is_left_behind() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    let (folder, file) = store();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o4640)).unwrap();
    // Only root may give a file away; anybody else proves the part that is left.
    let given_away = chown(file.path(), Some(12), Some(34)).is_ok();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o4640)).unwrap();
    let before = fs::metadata(file.path()).unwrap();
    let link = folder.path().join("link.reg");
    symlink("site.reg", &link).unwrap();

    let linked = RegFile::new(&link);
    linked.import(&path(r"HKLM\SMS"), &text("[HKLM\\SMS\\New]"), ImportMode::Merge).unwrap();

    let after = fs::metadata(file.path()).unwrap();
    assert_ne!(after.ino(), before.ino());
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert!(!given_away || after.uid() == 12);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = RegFile::new(folder.path().join("new.reg"));
    file.import(&path("HKLM"), &text("[HKLM]"), ImportMode::Merge).unwrap();
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn readers_see_one_version_while_a_writer_replaces_the_file() {
    let (_folder, file) = store();
    let sms = path(r"HKLM\SMS");
    let version = |n: u32| {
        text(&format!("[HKLM\\SMS]\n\"a\"=dword:{n:x}\n\"pad\"=hex:{}00\n\"z\"=dword:{n:x}\n", "00,".repeat(9000)))
    };
    file.import(&sms, &version(0), ImportMode::Exact).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            loop {
                let key = read_export(&sms, &file.export(&sms).unwrap()).unwrap();
                assert_eq!(key.value("a"), key.value("z"));
                let version = key.value("a").unwrap().as_dword().unwrap();
                assert!(version >= seen, "went back from {seen} to {version}");
                seen = version;
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for n in 1..50 {
            file.import(&sms, &version(n), ImportMode::Exact).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn imports_at_the_same_time_lose_nothing() {
    let (_folder, file) = store();
    thread::scope(|scope| {
        for n in 0..8 {
            let file = &file;
            scope.spawn(move || {
                let key = format!("HKLM\\SMS\\{n}");
                file.import(&path(&key), &text(&format!("[{key}]")), ImportMode::Exact).unwrap();
            });
        }
    });
    assert_eq!(file.read(&KeyPath::default()).unwrap().get(&path(r"HKLM\SMS")).unwrap().subkeys().len(), 9);
}
