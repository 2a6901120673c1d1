use insta::assert_snapshot;

use crate::sqlserver::order::{Algorithm, BackupOrder, Compression, Encryption, Placement, RestoreOrder, set_name};
use crate::sqlserver::placement::MovedFile;
use crate::sqlserver::tsql::{self, Fitted};

fn order() -> BackupOrder {
    BackupOrder::new("CM_P01", r"B:\bk\CM_P01 01a2.bak", "sitebackup 01a2")
}

#[test]
fn a_dry_run_is_what_a_run_sends() {
    assert_snapshot!(order().dry_run()[..5].join("\n"), @r#"
    EXEC master.dbo.xp_fileexist N'B:\bk\CM_P01 01a2.bak'
    BACKUP DATABASE [CM_P01] TO DISK = N'B:\bk\CM_P01 01a2.bak' WITH COPY_ONLY, CHECKSUM, STOP_ON_ERROR, FORMAT, INIT, COMPRESSION, NAME = N'sitebackup 01a2', STATS = 5
    RESTORE VERIFYONLY FROM DISK = N'B:\bk\CM_P01 01a2.bak' WITH FILE = 1, CHECKSUM
    RESTORE HEADERONLY FROM DISK = N'B:\bk\CM_P01 01a2.bak'
    RESTORE FILELISTONLY FROM DISK = N'B:\bk\CM_P01 01a2.bak' WITH FILE = 1
    "#);
    assert_snapshot!(RestoreOrder::new(r"B:\bk\1.bak", "CM_P01").dry_run().join("\n"), @r#"
    SELECT CONVERT(int, DB_ID(N'CM_P01')) AS id
    RESTORE HEADERONLY FROM DISK = N'B:\bk\1.bak'
    RESTORE FILELISTONLY FROM DISK = N'B:\bk\1.bak' WITH FILE = 1
    RESTORE DATABASE [CM_P01] FROM DISK = N'B:\bk\1.bak' WITH FILE = 1, CHECKSUM, RECOVERY, STATS = 5
    DBCC CHECKDB (N'CM_P01') WITH NO_INFOMSGS, ALL_ERRORMSGS
    "#);
    let replacing = RestoreOrder { replace: true, ..RestoreOrder::new("1.bak", "CM_P01") }.dry_run();
    assert_eq!(replacing[3], "RESTORE VERIFYONLY FROM DISK = N'1.bak' WITH FILE = 1, CHECKSUM");
}

#[test]
fn quotes_and_brackets_are_doubled() {
    let fitted = Fitted { copy_only: true, compress: true };
    let mut order = BackupOrder::new("it's [odd]] \"name\"", r"\\srv\it's\x].bak", "'; DROP DATABASE [x]--");
    order.devices.push("/var/opt/ü/2.bak".to_owned());
    order.description = Some("line 1\nit's line 2 🦀".to_owned());
    order.encryption = Some(Encryption { algorithm: Algorithm::Aes256, certificate: "c]'".to_owned() });
    assert_snapshot!(tsql::backup(&order, fitted), @r#"
    BACKUP DATABASE [it's [odd]]]] "name"] TO DISK = N'\\srv\it''s\x].bak', DISK = N'/var/opt/ü/2.bak' WITH COPY_ONLY, CHECKSUM, STOP_ON_ERROR, FORMAT, INIT, COMPRESSION, ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [c]]']), NAME = N'''; DROP DATABASE [x]--', DESCRIPTION = N'line 1
    it''s line 2 🦀', STATS = 5
    "#);
    let to = r"D:\it's [1].mdf".to_owned();
    let moves = [MovedFile { logical: "it's".to_owned(), from: String::new(), to }];
    let restore = RestoreOrder { replace: true, stats: 0, ..RestoreOrder::new("a'b", "x]y") };
    assert_snapshot!(tsql::restore(&restore, &moves), @r#"RESTORE DATABASE [x]]y] FROM DISK = N'a''b' WITH FILE = 1, MOVE N'it''s' TO N'D:\it''s [1].mdf', CHECKSUM, RECOVERY, REPLACE, STATS = 1"#);
    assert_snapshot!(tsql::check_database("x]'y"), @"DBCC CHECKDB (N'x]''y') WITH NO_INFOMSGS, ALL_ERRORMSGS");
    assert_snapshot!(tsql::drop_database("x]'y"), @"IF DB_ID(N'x]''y') IS NOT NULL BEGIN IF CONVERT(nvarchar(60), DATABASEPROPERTYEX(N'x]''y', 'Status')) = N'ONLINE' ALTER DATABASE [x]]'y] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [x]]'y] END");
}

/// SQL Server keeps 128 letters of a set's name.
#[test]
fn a_sets_name_fits_and_is_of_its_run() {
    assert_eq!(set_name("CM_P01", "01a2"), "sitebackup CM_P01 01a2");
    for long in ["x".repeat(128), "🦀".repeat(64)] {
        let name = set_name(&long, "0192f3c4-5d6e-7f80-9a0b-1c2d3e4f5061");
        let units = name.encode_utf16().count();
        assert!((127..=128).contains(&units) && name.ends_with(" 0192f3c4-5d6e-7f80-9a0b-1c2d3e4f5061"), "{name}");
    }
}

#[test]
fn what_the_administrator_wants_goes_first() {
    let fitted = Fitted { copy_only: false, compress: false };
    let order = BackupOrder { copy_only: false, compression: Compression::Off, stats: 200, ..order() };
    assert_snapshot!(tsql::backup(&order, fitted), @r#"BACKUP DATABASE [CM_P01] TO DISK = N'B:\bk\CM_P01 01a2.bak' WITH CHECKSUM, STOP_ON_ERROR, FORMAT, INIT, NO_COMPRESSION, NAME = N'sitebackup 01a2', STATS = 100"#);
}

/// Nothing replaces a database, or moves on from COPY_ONLY, unless it is told to.
#[test]
fn the_defaults_are_the_safe_ones() {
    assert!(order().copy_only);
    let restore = RestoreOrder::new("1.bak", "CM_P01");
    assert!(!restore.replace && restore.placement == Placement::Defaults);
    assert!(!restore.dry_run().join("\n").contains("REPLACE"));
}
