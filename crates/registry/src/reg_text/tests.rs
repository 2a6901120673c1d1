use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::tree;
use crate::diff::diff;
use crate::name::MAX_DEPTH;
use crate::value::ValueType;

const HEADER: &str = "Windows Registry Editor Version 5.00\r\n";

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

fn read_5(body: &str) -> Result<RegText, SyntaxError> {
    read(format!("{HEADER}{body}").as_bytes())
}

/// What a text makes out of nothing, one line for each key and value.
fn listing(text: RegText) -> String {
    let changes = diff(&Key::EMPTY, &text.into_tree());
    changes.iter().map(|change| format!("{change}\n")).collect()
}

fn fault(bytes: &[u8]) -> String {
    read(bytes).expect_err("the text is faulty").to_string()
}

fn fault_5(body: &str) -> String {
    fault(format!("{HEADER}{body}").as_bytes())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn sample() -> Key {
    let mut root = Key::default();
    let key = root.create(&path(r"HKEY_LOCAL_MACHINE\SOFTWARE\SMS"));
    let mut set = |name: &str, kind, data: Vec<u8>| key.set_value(name, Value::new(ValueType(kind), data));
    set("", 1, utf16("default\0"));
    set("Text", 1, utf16("C:\\SMS \"é\" 😀\0"));
    set("Two lines", 1, utf16("a\r\nb\0"));
    set("Unterminated", 1, utf16("ab"));
    set("Odd", 1, b"a\0b".into());
    set("Path", 2, utf16("%SystemRoot%\0"));
    set("List", 7, utf16("a\0b\0\0"));
    set("Number", 4, vec![0x2a, 0, 0, 0]);
    set("Short number", 4, vec![0x2a]);
    set("Big", 11, vec![1, 0, 0, 0, 0, 0, 0, 0]);
    set("None", 0, vec![]);
    set("Made up", 0xdead_beef, vec![1]);
    set("Blob", 3, (0..60).collect());
    set("a\"b\\c\n", 3, vec![0, 1, 0]);
    root.create(&path(r"HKEY_LOCAL_MACHINE\SOFTWARE\SMS\[odd] name;"));
    root
}

#[test]
fn text_looks_as_windows_writes_it() {
    let sms = path(r"HKEY_LOCAL_MACHINE\SOFTWARE\SMS");
    let text = write(sample().get(&sms).unwrap(), &sms, Encoding::Utf8).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap().replace('\r', ""), @r#"
    Windows Registry Editor Version 5.00

    [HKEY_LOCAL_MACHINE\SOFTWARE\SMS]
    @="default"
    "a\"b\\c\n"=hex:00,01,00
    "Big"=hex(b):01,00,00,00,00,00,00,00
    "Blob"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,15,\
      16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29,2a,2b,2c,2d,2e,\
      2f,30,31,32,33,34,35,36,37,38,39,3a,3b
    "List"=hex(7):61,00,00,00,62,00,00,00,00,00
    "Made up"=hex(deadbeef):01
    "None"=hex(0):
    "Number"=dword:0000002a
    "Odd"=hex(1):61,00,62
    "Path"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,00,6f,00,74,\
      00,25,00,00,00
    "Short number"=hex(4):2a
    "Text"="C:\\SMS \"é\" 😀"
    "Two lines"=hex(1):61,00,0d,00,0a,00,62,00,00,00
    "Unterminated"=hex(1):61,00,62,00

    [HKEY_LOCAL_MACHINE\SOFTWARE\SMS\[odd] name;]
    "#);
}

#[test]
fn marks_and_bytes_of_each_encoding() {
    let write = |encoding| write(&sample(), &KeyPath::default(), encoding).unwrap();
    assert!(write(Encoding::Utf16Le).starts_with(b"\xff\xfeW\0i\0"));
    assert!(write(Encoding::Utf8).starts_with(b"Win"));
    assert!(write(Encoding::Utf8Bom).starts_with(b"\xef\xbb\xbfWin"));
    for encoding in [Encoding::Utf16Le, Encoding::Utf8, Encoding::Utf8Bom] {
        let text = read(&write(encoding)).unwrap();
        assert_eq!(text.encoding, encoding);
        assert_eq!(text.into_tree(), sample());
    }
}

#[test]
fn reads_what_people_and_programs_write() {
    let text = read_5(concat!(
        "; comment\n\n",
        "  [HKLM\\A]b]  ; ends at the last bracket\n",
        "\"Spaces\" = \"x\" ; comment\n",
        "@=\"a\\\\b \\\"q\\\"\\n\"\n",
        "\"Break\"=\"a\r\nb\"\n",
        "\"Short\"=dword:2A\n",
        "\"Bytes\"=hex:0,1,ff,\\  ; more\r\n  aa , \\\n\tbb\n",
        "\"Empty\"=hex(0):\n",
        "\"spaces\"=hex(7):61,00,00,00,00,00",
    ));
    insta::assert_snapshot!(listing(text.unwrap()), @r#"
    + [HKLM]
    + [HKLM\A]b]
    + [HKLM\A]b] @ = REG_SZ "a\\b \"q\"\n"
    + [HKLM\A]b] "Break" = REG_SZ "a\r\nb"
    + [HKLM\A]b] "Bytes" = REG_BINARY 5 bytes 00 01 ff aa bb
    + [HKLM\A]b] "Empty" = REG_NONE 0 bytes
    + [HKLM\A]b] "Short" = REG_DWORD 0x0000002a (42)
    + [HKLM\A]b] "Spaces" = REG_MULTI_SZ ["a"]
    "#);
}

#[test]
fn deletions_act_in_the_order_of_the_text() {
    let text = read_5(
        r#"[A\B]
"gone"="x"
"kept"="y"
"GONE"=-
@=-
[A\C\D]
[-a\c]
[A\C]
[-Missing\Key]"#,
    );
    insta::assert_snapshot!(listing(text.unwrap()), @r#"
    + [A]
    + [A\B]
    + [A\B] "kept" = REG_SZ "y"
    + [A\C]
    "#);
}

#[test]
fn version_4_is_in_the_code_page() {
    let text =
        read(b"REGEDIT4\r\n\r\n[A\\\xe9]\r\n\"s\"=\"\x80\"\r\n\"e\"=hex(2):e9,00\r\n\"b\"=hex:e9,00\r\n").unwrap();
    assert_eq!(text.encoding, Encoding::Utf16Le);
    insta::assert_snapshot!(listing(text), @r#"
    + [A]
    + [A\é]
    + [A\é] "b" = REG_BINARY 2 bytes e9 00
    + [A\é] "e" = REG_EXPAND_SZ "é"
    + [A\é] "s" = REG_SZ "€"
    "#);
}

#[test]
fn faults_say_where_and_why() {
    let faults = [
        fault(b""),
        fault(b"\xff\xfeR\0E\0G\0E\0D\0I\0T\x004\0"),
        fault(b"\xfe\xff\0W"),
        fault(b"\xff\xfeW"),
        fault(b"Windows Registry Editor Version 5.00\n\n[\xc3\xa9\xe9]"),
        fault(b"Windows Registry Editor Version 5.001"),
        fault_5("\"a\"=\"x\""),
        fault_5("[-A]\n\"a\"=\"x\""),
        fault_5("[A"),
        fault_5("[]"),
        fault_5("[A\\\\B]"),
        fault_5("[A] B"),
        fault_5("[A\0]"),
        fault_5("[A]\nvalue"),
        fault_5("[A]\n😀"),
        fault_5("[A]\n\"é😀\" \"x\""),
        fault_5("[A]\n\"a\n\"=\"x\""),
        fault_5("[A]\n\"a\"=\"x\n\n"),
        fault_5("[A]\n\"a\"=\"C:\\temp\""),
        fault_5("[A]\n\"a\"=DWORD:1"),
        fault_5("[A]\n\"a\"=dword:123456789"),
        fault_5("[A]\n\"a\"=dword:"),
        fault_5("[A]\n\"a\"=hex(123456789):"),
        fault_5("[A]\n\"a\"=hex(1:"),
        fault_5("[A]\n\"a\"=hex:1,,2"),
        fault_5("[A]\n\"a\"=hex:123"),
        fault_5("[A]\n\"a\"=hex:12,\n"),
        fault_5("[A]\n\"a\"=hex:12,\\"),
        fault_5("[A]\n\"a\"=hex:12,\\\n[B]"),
        fault_5(&format!("[{}A]", "A\\".repeat(MAX_DEPTH))),
    ];
    insta::assert_snapshot!(faults.join("\n"), @r#"
    line 1, column 1: expected `Windows Registry Editor Version 5.00` or `REGEDIT4`
    line 1, column 1: expected `Windows Registry Editor Version 5.00` or `REGEDIT4`
    line 1, column 1: big-endian UTF-16 is not supported
    line 1, column 1: half a UTF-16 unit at the end
    line 3, column 3: not UTF-8
    line 1, column 37: unexpected text at the end of the line
    line 2, column 1: value before the first key
    line 3, column 1: value of a key that is deleted
    line 2, column 1: `[` is not closed on its line
    line 2, column 1: no key between the brackets
    line 2, column 1: empty name in the path of a key
    line 2, column 5: unexpected text at the end of the line
    line 2, column 1: NUL in the name of a key
    line 3, column 1: expected `[key]`, `"name"=`, `@=` or a `;` comment
    line 3, column 1: expected `[key]`, `"name"=`, `@=` or a `;` comment
    line 3, column 6: expected `=` behind the name of a value
    line 3, column 1: string is not closed
    line 3, column 5: string is not closed
    line 3, column 8: unknown escape; there are `\\`, `\"`, `\n`, `\r` and `\0`
    line 3, column 5: expected `"`, `dword:`, `hex:`, `hex(type):` or `-`
    line 3, column 11: expected 1 to 8 hexadecimal digits
    line 3, column 11: expected 1 to 8 hexadecimal digits
    line 3, column 9: expected 1 to 8 hexadecimal digits
    line 3, column 10: expected `):` behind the type
    line 3, column 11: expected 1 to 2 hexadecimal digits
    line 3, column 9: expected 1 to 2 hexadecimal digits
    line 3, column 12: expected 1 to 2 hexadecimal digits
    line 3, column 13: nothing follows the line that is continued
    line 4, column 1: expected 1 to 2 hexadecimal digits
    line 2, column 1: key is nested deeper than 512 levels
    "#);
}

#[test]
fn refuses_to_write_what_would_read_differently() {
    let lone = Name::from_iter([0xd800]);
    let refusal = |name: Name, encoding| {
        let mut root = Key::default();
        root.create(&KeyPath::default().child(name).unwrap());
        write(&root, &KeyPath::default(), encoding).map_err(|error| error.to_string())
    };
    let mut with_value = Key::default();
    with_value.set_value("a", Value::dword(1));
    let refusals = [
        refusal("a\nb".into(), Encoding::Utf8),
        refusal("a\0b".into(), Encoding::Utf16Le),
        refusal("-a".into(), Encoding::Utf8),
        refusal(lone.clone(), Encoding::Utf8),
        write(&with_value, &KeyPath::default(), Encoding::Utf8).map_err(|error| error.to_string()),
    ];
    insta::assert_snapshot!(refusals.map(Result::unwrap_err).join("\n"), @r"
    key `a\nb` cannot be written as .reg text: line break or NUL in its name
    key `a\u{0}b` cannot be written as .reg text: line break or NUL in its name
    key `-a` cannot be written as .reg text: `-` at the start would delete the key
    key `\u{d800}` cannot be written as .reg text: half a surrogate pair in a name needs UTF-16
    key `` cannot be written as .reg text: the root cannot have values
    ");
    refusal(lone, Encoding::Utf16Le).expect("UTF-16 can hold any name");
}

#[test]
fn the_deepest_key_goes_all_the_way() {
    let deepest = path(&["k"; MAX_DEPTH].join("\\"));
    let mut tree = Key::default();
    tree.create(&deepest).set_value("", Value::dword(1));
    let text = write(&tree, &KeyPath::default(), Encoding::Utf16Le).unwrap();
    assert_eq!(read(&text).unwrap().into_tree(), tree);
    assert_eq!((tree.count(), diff(&Key::EMPTY, &tree).len()), (1 + MAX_DEPTH, MAX_DEPTH + 1));
}

/// Text made of the pieces that the reader knows, so that it gets past the first line.
fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 20] = [
        "[", "]", "-", "A", "\\", "\r\n", "\n", "\"", "@", "=", "dword:", "hex", "(", "7", "):", ":", ",", ";", " ",
        "\0",
    ];
    let header = prop::sample::select(vec!["Windows Registry Editor Version 5.00\n", "REGEDIT4\n", "\u{feff}"]);
    let piece = prop_oneof![9 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..3)];
    (header, vec(piece, 0..60)).prop_map(|(header, pieces)| [header.as_bytes().to_vec(), pieces.concat()].concat())
}

/// A text that can be read can be written so that it reads the same, or is refused; neither panics.
fn check_any_bytes(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(text) = read(bytes) else { return Ok(()) };
    let tree = text.into_tree();
    if let Ok(written) = write(&tree, &KeyPath::default(), Encoding::Utf16Le) {
        prop_assert_eq!(read(&written).unwrap().into_tree(), tree);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_exactly(tree in tree()) {
        for encoding in [Encoding::Utf16Le, Encoding::Utf8, Encoding::Utf8Bom] {
            let text = read(&write(&tree, &KeyPath::default(), encoding).unwrap()).unwrap();
            prop_assert_eq!(text.encoding, encoding);
            // Equality is blind to the case of names, their debug form is not.
            prop_assert_eq!(format!("{:?}", text.into_tree()), format!("{tree:?}"));
        }
    }

    #[test]
    fn lone_surrogates_survive_in_utf16(name in vec(0xd700u16..0xe100, 1..6), data in vec(any::<u8>(), 0..9)) {
        let mut tree = Key::default();
        let path = path("k").child(Name::from_iter(name.clone())).unwrap();
        tree.create(&path).set_value(Name::from_iter(name), Value::new(ValueType::SZ, data));
        let text = read(&write(&tree, &KeyPath::default(), Encoding::Utf16Le).unwrap()).unwrap();
        prop_assert_eq!(format!("{:?}", text.into_tree()), format!("{tree:?}"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        check_any_bytes(&bytes)?;
        check_any_bytes(&[b"\xff\xfe".to_vec(), bytes].concat())?;
    }

    #[test]
    fn nearly_valid_text_is_read_or_refused(bytes in nearly_text()) {
        check_any_bytes(&bytes)?;
    }

    #[test]
    fn cut_or_bent_text_is_read_or_refused(tree in tree(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = write(&tree, &KeyPath::default(), Encoding::Utf8).unwrap();
        check_any_bytes(&bytes[..at.index(bytes.len())])?;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_any_bytes(&bytes)?;
    }
}
