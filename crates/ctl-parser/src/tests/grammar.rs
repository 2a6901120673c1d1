use super::{check_example, listed, rendered};
use crate::{Code, ControlFile};

/// Findings about the grammar alone.
fn check(text: &str) -> String {
    listed(&ControlFile::parse(text.as_bytes()).1)
}

#[test]
fn findings_show_line_place_and_remedy() {
    let (_, _, found) = check_example("[Tasks]\n\tfiel C:\\a E:\\b\nsitedbdump X\n");
    insta::assert_snapshot!(rendered(&found), @r"
    critical error[unknown-verb]: unknown verb `fiel`
     --> smsbkup.ctl:2:2
      |
    2 |  fiel C:\a E:\b
      |  ^^^^
      = help: did you mean `file`? Put `#` before the line to leave it out; the verbs are file, reg, sitedbdump, meteringdbdump, cmd, rmdir, service, sleep. If the product wrote it, please share the output of `sitebackup control-file check --redact`, so that the verb can be added
    critical error[argument-count]: `sitedbdump` takes 2 arguments, not 1
     --> smsbkup.ctl:3:1
      |
    3 | sitedbdump X
      | ^^^^^^^^^^
      = help: write sitedbdump DATABASE OUTPUT
    ");
}

#[test]
fn long_lines_are_shown_in_part() {
    let text = format!("[Tasks]\nfile {0} {0} \"{0}\n", r"C:\a_long_folder_name".repeat(10));
    let (_, _, found) = check_example(&text);
    insta::assert_snapshot!(rendered(&found), @r#"
    critical error[unclosed-quote]: quote is not closed
     --> smsbkup.ctl:2:428
      |
    2 | …_long_folder_nameC:\a_long_folder_nameC:\a_long_folder_name "C:\a_long_folder_nameC:\a_long_folder_nameC:\a_long_folder_…
      |                                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: close it before the end of the line
    "#);
}

#[test]
fn verbs_and_sections_in_any_case() {
    insta::assert_snapshot!(check("[tokens]\n[ STOP ]\nSERVICE a\n[TaSkS]\nFile C:\\a E:\\b\nSitedbDump a E:\\b\n"), @"");
}

#[test]
fn unknown_verbs_name_the_nearest_one() {
    let found = ControlFile::parse(b"[Tasks]\nservise x\nrmdr x\nexec x\n\"file\" x y\n").1;
    let hints: Vec<_> = found.iter().map(|found| found.hint.as_deref().unwrap().split('?').next().unwrap()).collect();
    assert!(hints[0] == "did you mean `service`" && hints[1] == "did you mean `rmdir`", "{hints:?}");
    assert!(hints[2..].iter().all(|hint| hint.contains("sitebackup control-file check --redact")), "{hints:?}");
}

#[test]
fn lines_in_the_wrong_place() {
    let text = "file C:\\a E:\\b\nA=1\n[Tokens]\nfile C:\\a E:\\b\nservice x\n[Stop]\nB=2\ncmd `x`\nfile a b\n[Tasks]\nservice x\n\
                [Sart]\nanything\nB=1\n[Start] now\n[Start]\nsleep 1\n[Stop]\nsleep 1\n";
    insta::assert_snapshot!(check(text), @"
    1:1: critical error[outside-section]: line before the first section
    2:1: critical error[outside-section]: line before the first section
    4:1: critical error[wrong-section]: `file` in section [Tokens]
    5:1: critical error[wrong-section]: `service` in section [Tokens]
    7:1: critical error[wrong-section]: definition of `B` in section [Stop]
    8:1: critical error[wrong-section]: `cmd` in section [Stop]
    9:1: critical error[wrong-section]: `file` in section [Stop]
    11:1: critical error[wrong-section]: `service` in section [Tasks]
    12:1: critical error[unknown-section]: unknown section `[Sart]`
    15:1: critical error[unknown-section]: unknown section `[Start] now`
    18:1: warning[section-order]: section [Stop] after [Start]
    ");
}

#[test]
fn arguments() {
    let text = "[Tasks]\nfile\nfile C:\\a\nfile C:\\a E:\\b E:\\c\nfile \"C:\\a b E:\\c\nfile \"C:\\a\"\\b E:\\c\n\
                file C:\\\"a b\" E:\\c\ncmd dir E:\\b\ncmd `dir C:\\`\ncmd `dir` E:\\x E:\\y\nrmdir /s /Q E:\\x\nrmdir /s\nsleep `\n";
    insta::assert_snapshot!(check(text), @"
    2:1: critical error[argument-count]: `file` takes 2 arguments, not 0
    3:1: critical error[argument-count]: `file` takes 2 arguments, not 1
    4:16: critical error[argument-count]: `file` takes 2 arguments, not 3
    5:6: critical error[unclosed-quote]: quote is not closed
    6:12: critical error[stray-quote]: quote inside or against a word
    7:6: critical error[stray-quote]: quote inside or against a word
    8:5: critical error[command-not-quoted]: command line without back quotes
    10:16: critical error[argument-count]: `cmd` takes 1 or 2 arguments, not 3
    12:1: critical error[argument-count]: `rmdir` takes 1 argument, not 0
    13:7: critical error[unclosed-quote]: quote is not closed
    ");
}

#[test]
fn blocks() {
    insta::assert_snapshot!(check("#stop\nnonsense\n[Tasks]\n  #START\n[Tasks]\n##stop\n# #stop\n#stopped\nsleep 1\n"), @"3:1: warning[skipped-section]: section header `[Tasks]` is skipped with its block");
    insta::assert_snapshot!(check("[Tasks]\n#start\n#stop\n#stop\n#start\n#start services again\n#stop\nx\n"), @"
    2:1: critical error[unpaired-block]: `#start` without a `#stop` before it
    4:1: critical error[unpaired-block]: `#stop` inside the block that begins in line 3
    6:1: warning[directive-with-text]: `#start` with text after it is read as a comment
    7:1: critical error[unpaired-block]: `#stop` without a `#start` after it
    ");
}

#[test]
fn characters_that_cannot_be_seen() {
    insta::assert_snapshot!(check("[Tasks]\nfile C:\\a\0 E:\\b\nsleep\r1\n# \x07\nsleep 1\x1a\n\u{feff}sleep 1\n"), @"
    2:10: critical error[control-character]: control character U+0000
    3:6: critical error[control-character]: control character U+000D
    5:8: critical error[control-character]: control character U+001A
    6:1: critical error[control-character]: control character U+FEFF
    ");
    let utf16_without_mark: Vec<u8> = "[Tasks]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(ControlFile::parse(&utf16_without_mark).1[0].code, Code::ControlCharacter);
}

#[test]
fn bytes_that_are_no_text() {
    let found = ControlFile::parse(b"\xEF\xBB\xBF[Tasks]\nsleep 1\xFF\xFF\nsleep 1\n# \xFF\n").1;
    insta::assert_snapshot!(listed(&found), @"
    2:8: critical error[malformed-text]: bytes that are not text in the encoding of the file
    4:3: critical error[malformed-text]: bytes that are not text in the encoding of the file
    ");
}

#[test]
fn overlong_lines() {
    insta::assert_snapshot!(check(&format!("[Tasks]\nfile {}\nsleep 1\n", "a".repeat(9000))), @"2:1: critical error[line-too-long]: line longer than 8191 characters");
}

#[test]
fn nothing_at_all_is_a_control_file() {
    for text in ["", "\n", "\r\n\r\n", " ", "# note", "\u{feff}"] {
        assert_eq!(check(text), "", "{text:?}");
    }
}

#[test]
fn every_code_is_documented() {
    let page = include_str!("../../../../docs/control-file.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} | {} |", code.as_str(), code.severity(), code.summary());
        assert!(page.contains(&row), "docs/control-file.md lacks the line\n{row}");
    }
}
