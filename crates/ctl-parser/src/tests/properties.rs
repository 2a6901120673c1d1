use proptest::prelude::*;

use super::{check_example, environment, example_site_with, meaning};
use crate::{ControlFile, LineKind, Resolved, check, default_control_file, lint, redact, resolve};

/// Lines that are nearly right: pieces of the grammar in any order.
fn line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[Tokens]",
        "[Stop]",
        "[Tasks]",
        "[Start]",
        "[x]",
        "#",
        "#stop",
        "#start",
        "# note",
        "\t",
        " ",
        "  ",
        "=",
        "A=",
        "B=A",
        "%A%",
        "%B",
        "%%",
        "SITE_CODE",
        "SITE_CODEBackup",
        "SITE_SERVER_X",
        "%SystemDrive%",
        "file",
        "FILE",
        "reg",
        "sitedbdump",
        "cmd",
        "rmdir",
        "service",
        "sleep",
        "fiel",
        "C:\\a",
        "\"C:\\a b\"",
        "`echo A`",
        "\"",
        "`",
        "\\\\h\\s",
        "HKLM\\x",
        "60",
        "é",
        "\r",
        "\u{feff}",
        "\0",
        "..",
        "*",
        "/s",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn spaced_line() -> impl Strategy<Value = String> {
    let verb =
        prop::sample::select(vec!["file", "File", "reg", "sitedbdump", "rmdir", "sleep", "cmd `echo SITE_CODE`"]);
    let path = prop::sample::select(vec![
        "D:\\a",
        "\"D:\\a b\"",
        "%MINE%\\x",
        "MINE\\SITE_CODEx",
        "60",
        "HKLM\\x\\y",
        "/s",
        "E:\\Backup\\ABCBackup",
    ]);
    (verb, prop::collection::vec(path, 0..3), "[ \t]{1,3}").prop_map(|(verb, paths, gap)| {
        let words: Vec<_> = std::iter::once(verb).chain(paths).collect();
        words.join(&gap)
    })
}

fn file_text() -> impl Strategy<Value = String> {
    let any_line =
        prop_oneof![line(), spaced_line(), Just("MINE=E:\\Backup\\ABCBackup".to_owned()), Just(String::new())];
    let ending = prop::sample::select(vec!["\n", "\r\n"]);
    let start = prop::sample::select(vec!["", "[Tasks]\n", "[Tokens]\nMINE=C:\\x\n[Tasks]\r\n"]);
    (start, prop::collection::vec((any_line, ending), 0..20)).prop_map(|(start, lines)| {
        lines.into_iter().fold(start.to_owned(), |text, (line, ending)| text + &line + ending)
    })
}

fn prints_the_same(bytes: &[u8]) {
    let (file, resolved, found) = check(bytes, &example_site_with(&[]), &environment);
    assert_eq!(file.to_bytes(), bytes);
    for diagnostic in &found {
        assert!(
            file.text().is_char_boundary(diagnostic.span.start) && file.text().is_char_boundary(diagnostic.span.end)
        );
        assert!(
            diagnostic.span.start <= diagnostic.span.end
                && (1..=file.lines().len().max(1)).contains(&diagnostic.span.line)
        );
        diagnostic.render("x");
    }
    let again = file.format();
    assert_eq!(again.format().to_bytes(), again.to_bytes());
    let (resolved_again, _) = resolve(&again, &example_site_with(&[]), &environment);
    assert_eq!(meaning(&resolved_again), meaning(&resolved));
    redact(&file);
}

fn kinds(file: &ControlFile) -> Vec<std::mem::Discriminant<LineKind>> {
    file.lines().iter().map(|line| std::mem::discriminant(line.kind())).collect()
}

proptest! {
    #[test]
    fn any_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prints_the_same(&bytes);
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,80}(\r?\n\\PC{0,80}){0,5}") {
        prints_the_same(text.as_bytes());
    }

    #[test]
    fn any_utf16_survives(units in prop::collection::vec(any::<u16>(), 0..150), odd in any::<bool>()) {
        let mut bytes = b"\xFF\xFE".to_vec();
        bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
        bytes.extend(odd.then_some(0x41));
        prop_assert_eq!(ControlFile::parse(&bytes).0.to_bytes(), bytes);
    }

    #[test]
    fn generated_files_survive(text in file_text()) {
        prints_the_same(text.as_bytes());
    }

    #[test]
    fn a_redacted_copy_has_the_same_lines(text in file_text()) {
        // A redacted copy has no characters that cannot be seen, so a line that has some is read anew.
        let text = text.replace(['\0', '\r', '\u{feff}'], "");
        let (file, _) = ControlFile::parse(text.as_bytes());
        let copy = ControlFile::parse(redact(&file).as_bytes()).0;
        prop_assert_eq!(kinds(&copy), kinds(&file), "{}", redact(&file));
    }

    #[test]
    fn what_is_removed_is_the_snapshot_folder(text in file_text()) {
        let (_, resolved, found) = check_example(&text);
        let is_refused = found.iter().any(|found| found.severity() == crate::Severity::Critical);
        for line in meaning(&resolved).lines().filter_map(|line| line.strip_prefix("tasks: remove ")) {
            prop_assert!(is_refused || line.eq_ignore_ascii_case(r"E:\Backup\ABCBackup"), "{line}");
        }
    }
}

#[test]
fn ten_thousand_lines() {
    let mut text = default_control_file();
    text += "[Tokens]\r\n";
    (0..2_500).for_each(|at| text += &format!("MINE_{at}_=%SITE_CODE%\\MINE_{}_\r\n", at + 1));
    text += "MINE_2500_=x\r\n[Tasks]\r\n";
    (0..7_500).for_each(|at| text += &format!("file D:\\Data\\{at} SITE_SERVER_DEST\\Data\\{at}\r\n"));
    let (file, _) = ControlFile::parse(text.as_bytes());
    assert!(file.lines().len() > 10_000);
    let (resolved, _): (Resolved, _) = resolve(&file, &example_site_with(&[]), &environment);
    assert!(resolved.tasks.len() > 7_500);
    lint(&file, &resolved, &crate::SiteFolders::from_predefined(&example_site_with(&[]), &environment));
    assert_eq!(file.to_bytes(), text.as_bytes());
    assert_eq!(file.format().lines().len(), file.lines().len());
    assert_eq!(redact(&file).lines().count(), file.lines().len());
}
