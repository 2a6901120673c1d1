use std::fs;

use proptest::prelude::*;

use super::*;
use crate::ImportMode;
use crate::arbitrary::full_tree;
use crate::diff::diff;
use crate::regf;
use crate::value::Value;

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

/// Each kind of line that wineserver writes.
const SAMPLE: &str = r##"WINE REGISTRY Version 2
;; All keys relative to \\Machine

#arch=win64

[Software\\A \[b\]\\\x436] 1699998249
#time=1da1743b2c25cc0
#class="odd \"class\""
#unknown="kept"
@="default"
"a\"b\\c\x436"="C:\\windows \x20acd\t\e!"
"big"=hex(b):01,00,00,00,00,00,00,00
"bytes"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,15,\
  16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29
"empty"=""
"expand"=str(2):"%x%"
"list"=str(7):"a\0b\0"
"none"=hex(0):
"number"=dword:0000002a
"odd"=hex(1):61,00,62

[Software\\Link] 0
#link
"SymbolicLinkValue"=hex(6):5c,00,52,00
"##;

fn read(text: &str) -> Result<(Key, WineRest), String> {
    reader::read(text.as_bytes()).map_err(|fault| fault.to_string())
}

#[test]
fn every_line_is_understood_and_written_as_it_was() {
    let (root, rest) = read(SAMPLE).unwrap();
    let lines: Vec<_> = diff(&Key::EMPTY, &root).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    + [Software]
    + [Software\A [b]]
    + [Software\A [b]\ж]
    + [Software\A [b]\ж] @ = REG_SZ "default"
    + [Software\A [b]\ж] "a"b\cж" = REG_SZ "C:\\windows €d\t\u{1b}!"
    + [Software\A [b]\ж] "big" = REG_QWORD 0x0000000000000001 (1)
    + [Software\A [b]\ж] "bytes" = REG_BINARY 42 bytes 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f …
    + [Software\A [b]\ж] "empty" = REG_SZ ""
    + [Software\A [b]\ж] "expand" = REG_EXPAND_SZ "%x%"
    + [Software\A [b]\ж] "list" = REG_MULTI_SZ ["a", "b"]
    + [Software\A [b]\ж] "none" = REG_NONE 0 bytes
    + [Software\A [b]\ж] "number" = REG_DWORD 0x0000002a (42)
    + [Software\A [b]\ж] "odd" = REG_SZ 3 bytes 61 00 62
    + [Software\Link]
    + [Software\Link] "SymbolicLinkValue" = REG_LINK 4 bytes 5c 00 52 00
    "#);
    let key = root.get(&path("Software\\A [b]\\\u{436}")).unwrap();
    assert_eq!(key.class().unwrap().to_string(), "odd \"class\"");
    assert_eq!(key.last_write(), Some(0x01da_1743_b2c2_5cc0));
    assert!(root.get(&path(r"software\link")).unwrap().is_link());
    let written = String::from_utf8(writer::write(&root, &rest).unwrap()).unwrap();
    assert_eq!(written, SAMPLE);
}

#[test]
fn faults_say_where_and_why() {
    let fault = |body: &str| read(&format!("WINE REGISTRY Version 2\n\n{body}")).expect_err("the text is faulty");
    let faults = [
        read("").unwrap_err(),
        read("REGEDIT4\n").unwrap_err(),
        fault("[A"),
        fault("[A\\\\]"),
        fault("[A] 1\nvalue"),
        fault("[A] 1\n#time=x"),
        fault("[A] 1\n#class=x"),
        fault("[A] 1\n\"a=1"),
        fault("[A] 1\n\"a\"1"),
        fault("[A] 1\n\"a\"=1"),
        fault("[A] 1\n\"a\"=\"x\" y"),
        fault("[A] 1\n\"a\"=dword:"),
        fault("[A] 1\n\"a\"=hex:00 01"),
        fault("[A] 1\n\"a\"=hex:00,\\"),
        fault("[A] 1\n\"a\"=str(7:\"\""),
    ];
    insta::assert_snapshot!(faults.join("\n"), @r#"
    line 1: expected `WINE REGISTRY Version 2`
    line 1: expected `WINE REGISTRY Version 2`
    line 3: text is not closed on its line
    line 3: the path of the key is not right
    line 4: expected `[key]`, `"name"=`, `@=` or an option that begins with `#`
    line 4: the time is no number
    line 4: expected `"`
    line 4: text is not closed on its line
    line 4: expected `=`
    line 4: expected `"`, `str(type):`, `dword:`, `hex:` or `hex(type):`
    line 4: unexpected text at the end of the line
    line 4: expected a number in hexadecimal
    line 4: expected `,` between bytes
    line 4: nothing follows the line that is continued
    line 4: expected `:` behind the type
    "#);
}

#[test]
fn a_prefix_keeps_what_is_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("system.reg"), SAMPLE).unwrap();
    let [system, user, _] = WineFile::of_prefix(folder.path());
    let text = b"Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\Software\\New]\n\"x\"=\"y\"\n";
    system.import(&path(r"HKEY_LOCAL_MACHINE\Software\New"), text, ImportMode::Exact).unwrap();
    let written = fs::read_to_string(system.path()).unwrap();
    assert_eq!(written, format!("{SAMPLE}\n[Software\\\\New] 0\n\"x\"=\"y\"\n"));

    let text = b"Windows Registry Editor Version 5.00\n\n[HKEY_CURRENT_USER\\Software\\New]\n\"x\"=\"y\"\n";
    user.import(&path(r"HKEY_CURRENT_USER"), text, ImportMode::Merge).unwrap();
    let written = fs::read_to_string(user.path()).unwrap();
    assert_eq!(written, "WINE REGISTRY Version 2\n\n[Software\\\\New] 0\n\"x\"=\"y\"\n");
}

#[test]
fn classes_become_what_a_hive_says_and_descriptors_are_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let [system, ..] = WineFile::of_prefix(folder.path());
    let key = path(r"HKEY_LOCAL_MACHINE\Key");
    let hive = |class: Option<&str>| {
        let mut root = Key::default();
        root.set_class(class.map(Into::into));
        root.set_security(Some([7; 40][..].into()));
        regf::write(&root, &regf::Header::default()).unwrap()
    };
    let (plain, known) = (hive(None), hive(Some("class")));
    assert_eq!(system.loses(&key, &known).unwrap().to_string(), "the security descriptors of 1 keys");
    system.import(&key, &known, ImportMode::Exact).unwrap();
    assert_eq!(system.import(&key, &known, ImportMode::Exact).unwrap(), [], "no descriptor is missed for ever");
    assert_eq!(system.read(&key).unwrap().class(), Some(&"class".into()));
    let changes = system.import(&key, &plain, ImportMode::Exact).unwrap();
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(changes.join("\n"), @r#"- [HKEY_LOCAL_MACHINE\Key] class "class""#);
    assert_eq!(system.read(&key).unwrap(), Key::EMPTY);
}

#[test]
fn control_characters_and_digits_behind_them_are_told_apart() {
    let text: String = (1..0x140).chain([0xfffd]).filter_map(char::from_u32).flat_map(|c| [c, '1', c, 'g']).collect();
    let mut root = Key::default();
    root.create(&path("a")).set_value(&*text, Value::string(&text));
    let written = writer::write(&root, &WineRest::default()).unwrap();
    assert!(written.is_ascii());
    assert_eq!(reader::read(&written).unwrap().0, root);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mut root in full_tree()) {
        forget_security(&mut root);
        let written = writer::write(&root, &WineRest::default()).unwrap();
        let (back, rest) = reader::read(&written).unwrap();
        prop_assert_eq!(writer::write(&back, &rest).unwrap(), written);
        prop_assert_eq!(back, root);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(reader::read(&bytes));
        drop(reader::read(&[SAMPLE.as_bytes(), b"\n\"", &bytes].concat()));
    }
}

fn forget_security(key: &mut Key) {
    key.set_security(None);
    let names: Vec<_> = key.subkeys().map(|(name, _)| name.clone()).collect();
    for name in names {
        forget_security(key.create(&KeyPath::default().child(name).unwrap()));
    }
}
