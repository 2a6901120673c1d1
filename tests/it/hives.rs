//! Stock programs judge hives: hivexml, hivexregedit and reglookup read what we write, we read what hivexregedit writes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use registry::{
    Change, Detail, Encoding, HiveFile, ImportMode, Key, KeyPath, RegFile, Value, ValueType, WineFile, diff,
    read_export, reg_text, regf,
};
use tempfile::TempDir;
use tests::{SampleSite, SampleSiteOptions};

use crate::judges::judge;

/// Where the trees lie in the text that hivexregedit writes and reads.
const ROOT: &str = r"HKEY_LOCAL_MACHINE\Judged";

fn path(text: &str) -> KeyPath {
    text.parse().expect("a path of a key")
}

fn scratch() -> TempDir {
    TempDir::new().expect("a scratch folder")
}

/// Every kind of value, and names that are not simple.
fn varied() -> Key {
    let mut root = Key::default();
    root.set_value("", Value::string("the default value"));
    let key = root.create(&path("Values"));
    for kind in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x1234, u32::MAX] {
        for length in [0, 1, 2, 3, 4, 5, 8, 17, 64] {
            let data: Vec<u8> = (0..length).map(|byte| 0x41 + byte).collect();
            key.set_value(format!("type {kind:x} length {length}"), Value::new(ValueType(kind), data));
        }
    }
    key.set_value("Größe", Value::string(r#"a "quoted" \ text"#));
    // Without the NUL at its end it is written byte by byte: hivexregedit takes quoted text for Latin-1.
    let text: Vec<u8> = "é ж 😀".encode_utf16().flat_map(u16::to_le_bytes).collect();
    key.set_value("ж", Value::new(ValueType::SZ, text));
    key.set_value("жук 😀", Value::dword(7));
    key.set_value(r#"a "quoted" \ name"#, Value::dword(8));
    root.create(&path(r"Größe\ÿ\ж\😀 non-BMP\ a b ")).set_value("", Value::dword(1));
    let key = root.create(&path("About"));
    key.set_class(Some("the class".into()));
    key.set_last_write(Some(0x01da_1743_b2c2_5cc0));
    root
}

fn wide(keys: usize) -> Key {
    let mut root = Key::default();
    for number in 0..keys {
        root.create(&path(&format!("key {number:05}"))).set_value("n", Value::dword(number as u32));
    }
    root
}

fn long() -> Key {
    let mut root = Key::default();
    for length in [16_343, 16_344, 16_345, 32_688, 32_689, 200_000] {
        let data: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
        root.set_value(length.to_string(), Value::new(ValueType::BINARY, data));
    }
    root
}

fn deep() -> Key {
    let mut root = Key::default();
    root.create(&path(&["k"; 500].join("\\"))).set_value("deep", Value::dword(1));
    root
}

fn cases() -> [Key; 5] {
    [Key::default(), varied(), wide(1_600), long(), deep()]
}

/// What differs of that which `.reg` text holds.
fn text_changes(before: &Key, after: &Key) -> Vec<Change> {
    let [before, after] = [before, after].map(|key| {
        let mut key = key.clone();
        key.reduce(Detail::Values);
        key
    });
    diff(&before, &after)
}

/// What hivexregedit finds in a hive.
fn exported(hive: &Path) -> Key {
    let hive = hive.to_str().expect("Unicode");
    // Perl prints Latin-1 where that is enough, unless it is told otherwise.
    let args = ["PERL_UNICODE=S", "hivexregedit", "--export", "--prefix", ROOT, hive, "\\"];
    let text = judge("env", &args, Path::new("/"));
    // It ends the root's path, and no other, with a backslash.
    let text = text.replacen(&format!("[{ROOT}\\]"), &format!("[{ROOT}]"), 1);
    reg_text::read(text.as_bytes()).expect("we read its text").into_tree().remove(&path(ROOT)).expect("the root")
}

#[test]
fn others_read_what_we_write() {
    let folder = scratch();
    let file = folder.path().join("hive");
    let name = file.to_str().expect("Unicode");
    for tree in cases() {
        for version in [regf::Version::V1_5, regf::Version::V1_3] {
            let header = regf::Header { version, ..regf::Header::default() };
            fs::write(&file, regf::write(&tree, &header).expect("written")).expect("on disk");
            assert_eq!(text_changes(&tree, &exported(&file)), []);
            let nodes = judge("hivexml", &[name], folder.path()).matches("<node ").count();
            assert_eq!(nodes, tree.count());
            let rows = judge("reglookup", &[name], folder.path());
            assert_eq!(rows.matches(",KEY,").count(), tree.count());
        }
    }
}

#[test]
fn reglookup_sees_class_time_and_security() {
    let folder = scratch();
    let file = folder.path().join("hive");
    fs::write(&file, regf::write(&varied(), &regf::Header::default()).expect("written")).expect("on disk");
    let rows = judge("reglookup", &["-s", "-p", "/About", file.to_str().expect("Unicode")], folder.path());
    let row = rows.lines().find(|row| row.starts_with("/About,KEY")).expect("the key");
    let full_control = |sid: &str| {
        let rights = "QRY_VAL SET_VAL CREATE_KEY ENUM_KEYS NOTIFY CREATE_LNK DELETE R_CONT W_DAC W_OWNER";
        format!("{sid}:ALLOW:{rights}:CI")
    };
    let (administrators, system) = ("S-1-5-32-544", "S-1-5-18");
    let access = format!("{}|{}", full_control(administrators), full_control(system));
    let expect = format!("/About,KEY,,2023-11-14 21:44:09,{administrators},{system},,{access},the class");
    assert_eq!(row, expect);
}

#[test]
fn we_read_what_hivexregedit_writes() {
    let folder = scratch();
    let (hive, text) = (folder.path().join("hive"), folder.path().join("text.reg"));
    for tree in cases() {
        for version in [regf::Version::V1_5, regf::Version::V1_3] {
            let header = regf::Header { version, ..regf::Header::default() };
            fs::write(&hive, regf::write(&Key::EMPTY, &header).expect("written")).expect("on disk");
            let written = reg_text::write(&tree, &path(ROOT), Encoding::Utf8).expect("written");
            fs::write(&text, written).expect("on disk");
            let args = ["--merge", "--prefix", ROOT, hive.to_str().expect("Unicode"), text.to_str().expect("Unicode")];
            judge("hivexregedit", &args, folder.path());
            let read = regf::read(&fs::read(&hive).expect("it is there")).expect("a hive as it must be");
            assert_eq!(text_changes(&tree, &read.root), []);
        }
    }
}

#[test]
fn keys_made_by_hivexregedit_share_one_descriptor() {
    let folder = scratch();
    let (hive, text) = (folder.path().join("hive"), folder.path().join("text.reg"));
    let mut root = Key::default();
    root.set_security(Some(regf::default_security().iter().copied().chain([0; 4]).collect()));
    fs::write(&hive, regf::write(&root, &regf::Header::default()).expect("written")).expect("on disk");
    fs::write(&text, reg_text::write(&wide(3_000), &path(ROOT), Encoding::Utf8).expect("written")).expect("on disk");
    let args = ["--merge", "--prefix", ROOT, hive.to_str().expect("Unicode"), text.to_str().expect("Unicode")];
    judge("hivexregedit", &args, folder.path());
    let read = regf::read(&fs::read(&hive).expect("it is there")).expect("a hive as it must be").root;
    let shared = read.security().expect("not the default one");
    assert!(read.subkeys().all(|(_, key)| key.security().is_some_and(|security| Arc::ptr_eq(security, shared))));
    // And ours, in which they share it as well, is read by them.
    fs::write(&hive, regf::write(&read, &regf::Header::default()).expect("written")).expect("on disk");
    assert_eq!(text_changes(&read, &exported(&hive)), []);
}

#[test]
fn the_sample_sites_export_comes_back_through_each_adapter() {
    let folder = scratch();
    let site = SampleSite::build(&folder.path().join("site"), &SampleSiteOptions::default()).expect("a site");
    let sms = path(r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS");
    let export = RegFile::new(site.registry_file()).export(&sms).expect("exported");
    let wanted = read_export(&sms, &export).expect("a hive");
    let file = folder.path().join("SMSbkSiteRegSMS.dat");
    fs::write(&file, &export).expect("on disk");
    assert_eq!(text_changes(&wanted, &exported(&file)), []);

    let reg = RegFile::new(folder.path().join("new.reg"));
    let hive = HiveFile::new(folder.path().join("SOFTWARE"), path(r"HKEY_LOCAL_MACHINE\SOFTWARE"));
    let [wine, ..] = WineFile::of_prefix(folder.path());
    reg.import(&sms, &export, ImportMode::Exact).expect("imported");
    hive.import(&sms, &export, ImportMode::Exact).expect("imported");
    wine.import(&sms, &export, ImportMode::Exact).expect("imported");
    let back = [reg.export(&sms), hive.export(&sms), wine.export(&sms)];
    for back in back {
        assert_eq!(back.expect("exported"), export);
    }
}
