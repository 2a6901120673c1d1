use super::check_example;
use crate::{ControlFile, Encoding, default_control_file, redact};

fn formatted(text: &str) -> String {
    String::from_utf8(ControlFile::parse(text.as_bytes()).0.format().to_bytes()).unwrap()
}

#[test]
fn an_unchanged_file_prints_as_it_was() {
    for text in
        ["", "a", "\t# x \r\nfile  a\tb  \n\r\n\n[Tasks]", "A = \"b\" \r", "#stop\n  x\r\n#start", "cmd `a", "\r\n"]
    {
        assert_eq!(ControlFile::parse(text.as_bytes()).0.to_bytes(), text.as_bytes());
    }
}

#[test]
fn format_aligns_and_repairs() {
    let text = "\n\n  # note \n[ tasks ]\n\n\n\tFILE C:\\a   \"E:\\b c\"\nfile C:\\longer E:\\b\nsleep   1\n \tnonsense  here\n\
                #stop\n   as   it was  \n#start\nRMDIR /s E:\\x\n[tokens]\n\t A = \"b c\"\nB=";
    insta::assert_snapshot!(formatted(text), @r#"
    # note
    [Tasks]

    file C:\a      "E:\b c"
    file C:\longer E:\b
    sleep 1
     	nonsense  here
    #stop
    as   it was
    #start
    rmdir /s E:\x
    [Tokens]
    A="b c"
    B=
    "#);
    assert_eq!(formatted(text).matches('\n').count(), formatted(text).matches("\r\n").count());
}

#[test]
fn format_leaves_the_default_control_file_alone() {
    assert_eq!(formatted(&default_control_file()), default_control_file());
}

#[test]
fn format_keeps_the_encoding() {
    for (bytes, encoding) in [
        (&b"\xFF\xFE#\0\xE4\0"[..], Encoding::Utf16Le),
        (b"\xEF\xBB\xBF# \xC3\xA4", Encoding::Utf8Bom),
        (b"# \xE4", Encoding::Windows1252),
    ] {
        let file = ControlFile::parse(bytes).0.format();
        assert_eq!(file.encoding(), encoding);
        assert!(file.to_bytes().starts_with(bytes));
    }
}

#[test]
fn redaction() {
    let text = "# Backup of contoso\n[Tokens]\nMINE=\\\\nas01\\Backups$\\P01 site\nSITE_SERVER_DEST=MINE\\SiteServer\n[Stop]\n\
                service \\\\SRV01.contoso.com\\SMS_EXECUTIVE\nservice \\\\%SITE_SERVER%\\ContosoAgent\n[Tasks]\n\
                file \"D:\\Contoso Tools\\p01\" %MINE%\\Tools\nfile \\\\NAS01\\x\\*.txt SITE_CODEBackup\n\
                reg HKEY_LOCAL_MACHINE\\Software\\Contoso %SITE_SERVER_DEST%\\SMSbkSiteRegContoso.dat\nsitedbdump CM_P01 x\n\
                cmd `secret.exe /password:1234` C:\\out.txt\nclisvcl SRV01 D:\\x\nSRV01.contoso.com x\n#stop\n  file D:\\Contoso x\n#start\n\
                # Backup of contoso\n[Sart]\nsleep 60\n";
    let redacted = redact(&check_example(text).0);
    insta::assert_snapshot!(redacted, @r#"
    # comment1
    [Tokens]
    MINE=\\host2\name3\name4 name5
    SITE_SERVER_DEST=MINE\SiteServer
    [Stop]
    service \\host6\SMS_EXECUTIVE
    service \\%SITE_SERVER%\name7
    [Tasks]
    file "D:\name8 name9\name4" %MINE%\name9
    file \\host2\name10\*name11 SITE_CODEBackup
    reg HKEY_LOCAL_MACHINE\Software\name8 %SITE_SERVER_DEST%\SMSbkSiteRegname8.dat
    sitedbdump name12 name10
    cmd `command13` C:\name14
    clisvcl name15 D:\name10
    host6 name10
    #stop
      file D:\name8 name10
    #start
    # comment1
    [Sart]
    sleep 60
    "#);
    for secret in ["contoso", "nas01", "srv01", "p01", "secret", "1234", "tools"] {
        assert!(!redacted.to_lowercase().contains(secret), "{secret}");
    }
}

#[test]
fn redaction_hides_lines_that_are_not_understood() {
    let text = "SRV01\n[Tokens]\nSRV01\n[Srv01 x\n[Tasks]\nfile \"D:\\srv01\ncmd `srv01\nfile D:\\\"srv01 SRV01\nfile \"\\\\SMS\\data\" x\n";
    insta::assert_snapshot!(redact(&check_example(text).0), @r#"
    name1
    [Tokens]
    name1
    [?]
    [Tasks]
    file "D:\name1
    cmd `command2
    file D:\"name1 name1
    file "\\host3\data" name4
    "#);
    let overlong = format!("[Tasks]\nfile {}\n", "srv01 ".repeat(2000));
    assert!(!redact(&check_example(&overlong).0).contains("srv01"));
}

#[test]
fn what_looks_like_a_byte_order_mark_stays_text() {
    let (file, _) = ControlFile::parse(b"\xFF\xFE\xFF\xFE");
    assert_eq!(redact(&file), " \u{feff}");
    assert_eq!(ControlFile::parse(b"\n\t\xEF\xBB\xBFx").0.format().format().to_bytes(), b"\t\xEF\xBB\xBFx\r\n");
    assert_eq!(ControlFile::parse(b"\n\xEF\xBB\xBFx").0.format().format().to_bytes(), b"\r\n\xEF\xBB\xBFx\r\n");
    assert_eq!(ControlFile::parse(b"\n\xFF\xFEx").0.format().format().to_bytes(), b"\r\n\xFF\xFEx\r\n");
}
