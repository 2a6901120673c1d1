//! The live registry, and Wine's own `reg` as its judge.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::reg_text::{self, Encoding};
use crate::tree::Detail;

/// A key that no test before had, removed at the end.
struct Bench(KeyPath);

impl Bench {
    fn new(name: &str) -> Self {
        let bench =
            Self(format!(r"HKEY_CURRENT_USER\Software\sitebackup-{name}-{}", std::process::id()).parse().unwrap());
        delete(&bench.0).unwrap();
        bench
    }

    fn below(&self, name: &str) -> KeyPath {
        child(&self.0, &name.into()).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(delete(&self.0));
    }
}

fn sample() -> Key {
    let mut key = Key::default();
    key.set_value("", Value::string("default"));
    key.set_value("Number", Value::dword(7));
    key.set_value("none", Value::new(ValueType(0), Vec::new()));
    key.set_value("made up", Value::new(ValueType(0x4711), &b"\x01\x02\x03"[..]));
    key.set_value("unended", Value::new(ValueType::SZ, &b"a\0b\0"[..]));
    key.set_value("odd text", Value::new(ValueType::SZ, &b"a\0b"[..]));
    key.set_value("long", Value::new(ValueType(3), vec![0xA5; 100_000]));
    key.set_value("Gr\u{f6}\u{df}e \u{1f4be}", Value::string("\u{1f4be}"));
    for number in 0..600 {
        key.create(&format!("many\\{number}").parse().unwrap()).set_value("n", Value::dword(number));
    }
    key.create(&r"a\b\c".parse().unwrap()).set_class(Some("Class".into()));
    key
}

/// What Wine's `reg` keeps too: strings without an end it ends as it likes.
fn ended_sample() -> Key {
    let mut key = sample();
    key.remove_value("odd text");
    key.remove_value("unended");
    key
}

/// Without access rules, which a live key has and the sample has not.
fn same(stands: &Key, wanted: &Key) -> Vec<Change> {
    same_to(Detail::Classes, stands, wanted)
}

/// Without class names too.
fn same_as_text(stands: &Key, wanted: &Key) -> Vec<Change> {
    same_to(Detail::Values, stands, wanted)
}

fn same_to(detail: Detail, stands: &Key, wanted: &Key) -> Vec<Change> {
    let [stands, wanted] = [stands, wanted].map(|key| {
        let mut key = key.clone();
        key.reduce(detail);
        key
    });
    diff(&wanted, &stands)
}

#[test]
fn class_and_access_rules_become_what_a_hive_says() {
    let (bench, keys) = (Bench::new("about"), LiveKeys::new());
    let default = regf::default_security();
    // The system may only read.
    let mut custom = default.to_vec();
    custom[84] = 0x19;
    let plain = Key::default();
    let mut known = plain.clone();
    known.create(&"sub".parse().unwrap()).set_class(Some("Class".into()));
    known.create(&"sub".parse().unwrap()).set_security(Some(custom.clone().into()));
    let mut plain_sub = plain;
    plain_sub.create(&"sub".parse().unwrap());
    let [known, plain] = [known, plain_sub].map(|key| write_export(&bench.0, &key).unwrap());
    let sub = || keys.read(&bench.below("sub")).unwrap();

    keys.import(&bench.0, &known, ImportMode::Exact).unwrap();
    assert_eq!((sub().class(), parts(sub().security().unwrap())), (Some(&"Class".into()), parts(&custom)));
    keys.import(&bench.0, &plain, ImportMode::Merge).unwrap();
    let text = format!("Windows Registry Editor Version 5.00\n\n[{}\\sub]\n\"new\"=\"x\"\n", bench.0);
    keys.import(&bench.below("sub"), text.as_bytes(), ImportMode::Exact).unwrap();
    assert_eq!((sub().class(), parts(sub().security().unwrap())), (Some(&"Class".into()), parts(&custom)));

    let told = keys.preview(&bench.0, &plain, ImportMode::Exact).unwrap();
    assert_eq!(told.len(), 3, "class, access rules and value: {told:?}");
    assert_eq!(keys.import(&bench.0, &plain, ImportMode::Exact).unwrap().0, told);
    assert_eq!((sub().class(), parts(sub().security().unwrap())), (None, parts(&default)));
    assert_eq!(keys.import(&bench.0, &plain, ImportMode::Exact).unwrap(), (Vec::new(), Means::Nothing));
}

#[test]
fn what_is_imported_is_read_back_exactly() {
    let (bench, keys) = (Bench::new("exact"), LiveKeys::new());
    let hive = write_export(&bench.0, &sample()).unwrap();
    let (_, means) = keys.import(&bench.0, &hive, ImportMode::Exact).unwrap();
    assert_ne!(means, Means::Nothing);
    let stands = keys.read(&bench.0).unwrap();
    assert_eq!(same(&stands, &sample()), []);
    assert!(stands.last_write().is_some());
    assert_eq!(keys.import(&bench.0, &hive, ImportMode::Exact).unwrap(), (Vec::new(), Means::Nothing));
    assert_eq!(keys.export(&bench.0).unwrap(), keys.export(&bench.0).unwrap());
}

#[test]
fn an_export_goes_and_comes_back() {
    let (bench, keys) = (Bench::new("back"), LiveKeys::new());
    keys.import(&bench.0, &write_export(&bench.0, &sample()).unwrap(), ImportMode::Exact).unwrap();
    let export = keys.export(&bench.0).unwrap();
    let before = keys.read(&bench.0).unwrap();
    delete(&bench.0).unwrap();
    assert!(matches!(keys.read(&bench.0), Err(StoreError::KeyNotFound(_))));
    keys.import(&bench.0, &export, ImportMode::Exact).unwrap();
    assert_eq!(changes(&bench.0, Some(&before), Some(&keys.read(&bench.0).unwrap())), []);
}

#[test]
fn exact_removes_what_merge_keeps() {
    let (bench, keys) = (Bench::new("modes"), LiveKeys::new());
    let text =
        |body: &str| format!("Windows Registry Editor Version 5.00\n\n{}", body.replace("KEY", &bench.0.to_string()));
    let first = text("[KEY]\n\"a\"=dword:1\n[KEY\\old]\n\"x\"=\"y\"\n");
    keys.import(&bench.0, first.as_bytes(), ImportMode::Exact).unwrap();
    let second = text("[KEY]\n\"b\"=dword:2\n[KEY\\new]\n");
    keys.import(&bench.0, second.as_bytes(), ImportMode::Merge).unwrap();
    let merged = keys.read(&bench.0).unwrap();
    assert_eq!((merged.values().len(), merged.subkeys().len()), (2, 2));
    let told: Vec<String> =
        keys.preview(&bench.0, second.as_bytes(), ImportMode::Exact).unwrap().iter().map(ToString::to_string).collect();
    keys.import(&bench.0, second.as_bytes(), ImportMode::Exact).unwrap();
    let exact = keys.read(&bench.0).unwrap();
    assert_eq!((exact.values().len(), exact.subkeys().len()), (1, 1));
    assert_eq!(told.len(), 3, "{told:?}");
    let gone = text("[-KEY\\new]\n");
    keys.import(&bench.0, gone.as_bytes(), ImportMode::Merge).unwrap();
    assert_eq!(keys.read(&bench.0).unwrap().subkeys().len(), 0);
}

/// Wine answers a restore with success and does nothing: only the comparison tells, and the other way does the work.
#[test]
fn a_restore_without_effect_is_noticed() {
    let (bench, keys) = (Bench::new("restore"), LiveKeys::new());
    let hive = write_export(&bench.0, &sample()).unwrap();
    let (root, path) = place(&bench.0).unwrap();
    let said = {
        let open = api::create(&root, &path, &[], false).unwrap();
        open.restore(&hive_file(&hive).unwrap())
    };
    let effective = keys.compare(&bench.0, Some(&sample())).is_ok();
    let (_, means) = {
        delete(&bench.0).unwrap();
        keys.import(&bench.0, &hive, ImportMode::Exact).unwrap()
    };
    assert_eq!(means, if effective { Means::Hive } else { Means::Tree });
    assert_eq!(same(&keys.read(&bench.0).unwrap(), &sample()), []);
    if is_wine() {
        assert!(said.is_ok() && !effective, "Wine restores by now: {said:?}");
    }
}

fn is_wine() -> bool {
    api::open(&api::root("HKCU").unwrap(), &r"Software\Wine".encode_utf16().collect::<Vec<_>>(), api::READ)
        .is_ok_and(|key| key.is_some())
}

#[test]
fn what_cannot_be_is_an_error() {
    let keys = LiveKeys::new();
    assert!(matches!(keys.read(&r"HKEY_NONE\X".parse().unwrap()), Err(StoreError::Live { action: "find", .. })));
    assert!(matches!(keys.read(&KeyPath::default()), Err(StoreError::Live { .. })));
}

fn reg(args: &[&str]) {
    let output = Command::new("reg.exe").args(args).output().expect("reg.exe is part of the system");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "reg {args:?}: {said:?}");
}

fn exported(key: &KeyPath, file: &Path) -> Key {
    reg(&["export", &key.to_string(), file.to_str().unwrap(), "/y"]);
    reg_text::read(&std::fs::read(file).unwrap()).unwrap().into_tree().remove(key).unwrap_or_default()
}

/// Our text, imported by `reg`, exported by `reg`, read by us; and what the live keys say of it.
#[test]
fn text_means_to_reg_what_it_means_to_us() {
    let (bench, keys) = (Bench::new("text"), LiveKeys::new());
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.reg"), folder.path().join("theirs.reg"));
    std::fs::write(&ours, reg_text::write(&ended_sample(), &bench.0, Encoding::Utf16Le).unwrap()).unwrap();
    reg(&["import", ours.to_str().unwrap()]);
    let live = keys.read(&bench.0).unwrap();
    assert_eq!(same_as_text(&live, &ended_sample()), [], "imported by reg, read by us");
    assert_eq!(same_as_text(&exported(&bench.0, &theirs), &ended_sample()), [], "exported by reg, read by us");
    assert_eq!(same_as_text(&live, &exported(&bench.0, &theirs)), []);
}

#[test]
fn reg_exports_what_we_set() {
    let (bench, keys) = (Bench::new("set"), LiveKeys::new());
    keys.import(&bench.0, &write_export(&bench.0, &ended_sample()).unwrap(), ImportMode::Exact).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(same_as_text(&exported(&bench.0, &folder.path().join("theirs.reg")), &ended_sample()), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_kept(tree in arbitrary::tree()) {
        let (bench, keys) = (Bench::new("any"), LiveKeys::new());
        let at = bench.below("tree");
        keys.import(&at, &write_export(&at, &tree).unwrap(), ImportMode::Exact).unwrap();
        prop_assert_eq!(same(&keys.read(&at).unwrap(), &tree), []);
    }
}
