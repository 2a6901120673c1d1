use super::{DATABASE, HEADER, NAME, PLACE, SET, Scripted, but, failure, message, nothing, rows, server, settings};
use crate::sqlserver::backup::{survey, take};
use crate::sqlserver::facts::compare;
use crate::sqlserver::order::{Algorithm, BackupOrder, Compression, Encryption, Replica};
use crate::sqlserver::talk::{Answer, End, Talk};
use crate::sqlserver::{Facts, facts};
use insta::assert_snapshot;

fn order() -> BackupOrder {
    BackupOrder::new("CM_P01", PLACE, NAME)
}

/// The error of a backup when one of the server's answers is another one.
fn error(part: &str, answer: Answer) -> String {
    let mut server = Scripted::sound().on(part, answer);
    take(&mut server, &order(), &mut |_| {}).expect_err("it is refused").to_string()
}

#[test]
fn a_backup_counts_when_everything_agrees() {
    let mut server = Scripted::sound();
    let taken = take(&mut server, &order(), &mut |_| {}).expect("it is taken");
    assert_eq!((taken.set.name.as_str(), taken.files.len(), taken.group), (NAME, 3, None));
    let backup = server.sent.iter().position(|sql| sql.starts_with("BACKUP")).expect("it was sent");
    let exists = server.sent.iter().position(|sql| sql.contains("xp_fileexist")).expect("it was asked");
    assert!(exists < backup, "the place is looked at before it is written to");
}

#[test]
fn no_error_is_no_proof() {
    assert_snapshot!(error("BACKUP DATABASE", nothing()), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: it never said that the backup is processed (message 3014)");
    assert_snapshot!(error("VERIFYONLY", nothing()), @r#"SQL Server reported no error, but the backup at `B:\bk\CM_P01 01a2.bak` is not proven: it never said that the set is valid (message 3262)"#);
    assert_snapshot!(error("msdb.dbo.backupset", nothing()), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: msdb has no set named `sitebackup 01a2`");
    assert_snapshot!(error("msdb.dbo.backupset", but(&SET, &[("is_damaged", "1")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the set is marked as damaged");
    assert_snapshot!(error("msdb.dbo.backupset", but(&SET, &[("has_backup_checksums", "0")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the set has no checksums");
    assert_snapshot!(error("msdb.dbo.backupset", but(&SET, &[("backup_set", "another")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the header is of set {0A1B2C3D-0000-4000-8000-00000000000F}, the row in msdb of another");
    assert_snapshot!(error("msdb.dbo.backupset", but(&SET, &[("is_copy_only", "0")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: COPY_ONLY is not as ordered");
    // What says nothing of damage is not taken for whole, and two sets without an identity are not the same.
    let without = |row: &[(&'static str, &'static str)], gone: &str| {
        rows(&[row.iter().copied().filter(|(name, _)| *name != gone).collect()])
    };
    assert!(error("msdb.dbo.backupset", without(&SET, "is_damaged")).ends_with("the set is marked as damaged"));
    let mut server = Scripted::sound().on("msdb.dbo.backupset", without(&SET, "backup_set"));
    server = server.on("HEADERONLY", without(&HEADER, "BackupSetGUID"));
    let nameless = take(&mut server, &order(), &mut |_| {}).expect_err("neither is named").to_string();
    assert!(nameless.ends_with("the row in msdb has no identity"), "{nameless}");
    assert_snapshot!(error("HEADERONLY", nothing()), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: there is no header in its file");
    assert_snapshot!(error("HEADERONLY", but(&HEADER, &[("IsDamaged", "1")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the set is marked as damaged");
    assert_snapshot!(error("HEADERONLY", but(&HEADER, &[("HasBackupChecksums", "0")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the set has no checksums");
    assert_snapshot!(error("HEADERONLY", but(&HEADER, &[("DatabaseName", "CM_P02")])), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the header names another database");
}

#[test]
fn both_errors_of_a_pair_are_kept() {
    let pair = [(3201, "Cannot open backup device."), (3013, "BACKUP DATABASE is terminating abnormally.")];
    assert_snapshot!(error("BACKUP DATABASE", failure(&pair)), @"SQL Server refused to back up `CM_P01`: 3201 Cannot open backup device.; 3013 BACKUP DATABASE is terminating abnormally.");
    let lost = Answer { end: End::Lost, messages: vec![message(3211, "10 percent processed.")], ..nothing() };
    assert_snapshot!(error("BACKUP DATABASE", lost), @"the connection to SQL Server was lost while it was to back up `CM_P01`: it did not say why");
}

#[test]
fn a_file_that_is_there_is_not_overwritten() {
    for is in ["File Exists", "File is a Directory"] {
        let mut server = Scripted::sound().on("xp_fileexist", rows(&[vec![(is, "1")]]));
        let error = take(&mut server, &order(), &mut |_| {}).expect_err("it is refused");
        assert_eq!(error.to_string(), r"`B:\bk\CM_P01 01a2.bak` exists already on the server");
        assert!(!server.was_sent("BACKUP DATABASE"));
    }
}

/// What a run would fail on after the services were stopped is told before.
#[test]
fn an_order_that_cannot_be_carried_out_is_told_before() {
    let refused = |mut scripted: Scripted, order: &BackupOrder| {
        let error = survey(&mut scripted, order).expect_err("it is refused");
        assert!(!scripted.was_sent("BACKUP DATABASE ["));
        error
    };
    let denied = Scripted::sound().on("HAS_PERMS_BY_NAME", rows(&[vec![("may_back_up", "0")]]));
    assert_snapshot!(refused(denied, &order()), @"the login has no right to back up database `CM_P01`: db_backupoperator has");
    let half = rows(&[vec![("may_back_up", "1"), ("may_read_back", "0")]]);
    assert_snapshot!(refused(Scripted::sound().on("HAS_PERMS_BY_NAME(N'master'", half), &order()), @"the login has no right to have a backup read and proven: it needs CREATE ANY DATABASE, which dbcreator has");
    let encryption = Some(Encryption { algorithm: Algorithm::Aes256, certificate: "c".to_owned() });
    let encrypted = BackupOrder { encryption, ..order() };
    let express = Scripted::sound().on("SERVERPROPERTY", rows(&[server("Express Edition (64-bit)", "0")]));
    assert_snapshot!(refused(express, &encrypted), @"Express Edition (64-bit) does not encrypt backups");
    let group = |preferred: &'static str, synchronization: &'static str| {
        let role = vec![
            ("group_name", "AG1"),
            ("replica", "SQL2"),
            ("role", "SECONDARY"),
            ("synchronization", synchronization),
            ("preference", "secondary"),
            ("is_preferred", preferred),
        ];
        Scripted::sound()
            .on("SERVERPROPERTY", rows(&[server("Enterprise Edition", "1")]))
            .on("fn_hadr_backup_is_preferred_replica", rows(&[role]))
    };
    assert_snapshot!(refused(group("0", "SYNCHRONIZED"), &order()), @"`SQL2` is not the replica that availability group `AG1` prefers for backups (secondary)");
    assert_snapshot!(refused(group("1", "NOT SYNCHRONIZING"), &order()), @"replica `SQL2` of availability group `AG1` is NOT SYNCHRONIZING: no backup of it would be current");
    for state in ["RESTORING", "OFFLINE"] {
        let error =
            refused(Scripted::sound().on("FROM sys.databases", but(&DATABASE, &[("state_desc", state)])), &order());
        assert_eq!(error.to_string(), format!("database `CM_P01` is {state}: only one that is ONLINE is backed up"));
    }
    let none = Scripted::sound().on("FROM master.sys.certificates", nothing());
    assert_snapshot!(refused(none, &encrypted), @"SQL Server has no certificate `c` in master that the login may use: CREATE CERTIFICATE makes one, GRANT VIEW DEFINITION ON CERTIFICATE shows it");
    let surveyed = survey(&mut Scripted::sound(), &encrypted).expect("nothing is in its way");
    assert_eq!(surveyed.remarks, [""; 0]);
}

/// Told and not refused: who is no sysadmin may be told less than is there.
#[test]
fn a_folder_for_backups_that_is_not_there_is_told_before() {
    let is = |folder: &str, is: &'static str| {
        (format!("xp_fileexist N'{folder}'"), rows(&[vec![("File is a Directory", is)]]))
    };
    let remarks = |answers: [(String, Answer); 2]| {
        let server = answers.into_iter().fold(Scripted::sound(), |server, (part, answer)| server.on(&part, answer));
        survey(&mut { server }, &order()).expect("nothing is in its way").remarks.concat()
    };
    assert_snapshot!(remarks([is(r"B:\bk", "0"), is(r"D:\data", "1")]), @r"the server says that it has no folder `B:\bk`, where the backup is to go: make it there, or name another one");
    assert_eq!(remarks([is(r"B:\bk", "1"), is(r"D:\data", "1")]), "");
    assert_eq!(remarks([is(r"B:\bk", "0"), is(r"D:\data", "0")]), "", "it is told of no folder");
}

/// The server is lost, and with it the only certificate that opens its backups.
#[test]
fn a_certificate_that_nobody_saved_is_told() {
    let encryption = Some(Encryption { algorithm: Algorithm::Aes256, certificate: "it's".to_owned() });
    let mut server = Scripted::sound().on("c.name = N'it''s'", rows(&[vec![("name", "it's")]]));
    let surveyed = survey(&mut server, &BackupOrder { encryption, ..order() }).expect("nothing is in its way");
    assert_snapshot!(surveyed.remarks.concat(), @"certificate `it's` encrypts the backup and was never saved: without it no other server restores the backup; save it with BACKUP CERTIFICATE … WITH PRIVATE KEY");
    let plain = survey(&mut Scripted::sound(), &order()).expect("nothing is in its way");
    assert_eq!(plain.remarks, [""; 0]);
}

/// Whoever may not ask still gets a backup: its name is made for one run.
#[test]
fn a_forbidden_question_does_not_stop_a_backup() {
    let mut server = Scripted::sound().on("xp_fileexist", failure(&[(229, "The EXECUTE permission was denied")]));
    assert!(take(&mut server, &order(), &mut |_| {}).is_ok());
}

#[test]
fn an_edition_that_cannot_is_not_asked_to() {
    let express = |order: &BackupOrder| {
        let mut server = Scripted::sound().on("SERVERPROPERTY", rows(&[server("Express Edition (64-bit)", "0")]));
        let taken = take(&mut server, order, &mut |_| {});
        (taken.map(|taken| taken.statements[0].contains("NO_COMPRESSION")), server.was_sent("BACKUP"))
    };
    assert!(matches!(express(&order()), (Ok(true), true)));
    let (refused, was_sent) = express(&BackupOrder { compression: Compression::On, ..order() });
    assert_snapshot!(refused.expect_err("it cannot"), @"Express Edition (64-bit) does not compress backups");
    assert!(!was_sent);
    let encryption = Some(Encryption { algorithm: Algorithm::Aes256, certificate: "c".to_owned() });
    assert_snapshot!(express(&BackupOrder { encryption, ..order() }).0.expect_err("it cannot"), @"Express Edition (64-bit) does not encrypt backups");
}

#[test]
fn a_set_that_was_to_be_encrypted_is() {
    let encryption = Some(Encryption { algorithm: Algorithm::Aes256, certificate: "c".to_owned() });
    let refused = take(&mut Scripted::sound(), &BackupOrder { encryption, ..order() }, &mut |_| {});
    assert_snapshot!(refused.expect_err("it is not encrypted"), @"SQL Server reported no error, but the backup of `CM_P01` is not proven: the set is not encrypted");
}

fn replica(role: &str, state: &str, preferred: &str) -> Answer {
    rows(&[vec![
        ("group_name", "AG1"),
        ("replica", "SQL02"),
        ("role", role),
        ("synchronization", state),
        ("preference", "secondary"),
        ("is_preferred", preferred),
    ]])
}

#[test]
fn the_replica_that_the_group_prefers_takes_it() {
    let on = |answer: Answer, order: BackupOrder| {
        let mut server = Scripted::sound().on("SERVERPROPERTY", rows(&[server("Enterprise Edition", "1")]));
        server = server.on("fn_hadr_backup_is_preferred_replica", answer);
        let taken = take(&mut server, &order, &mut |_| {});
        (taken, server.sent.into_iter().find(|sql| sql.starts_with("BACKUP")))
    };
    let chain = || BackupOrder { copy_only: false, ..order() };
    // A secondary takes COPY_ONLY whatever was ordered, and the result says which one it was.
    let (taken, sent) = on(replica("SECONDARY", "SYNCHRONIZED", "1"), chain());
    assert_eq!(taken.expect("it is taken").group.expect("a group").replica, "SQL02");
    assert!(sent.expect("it was sent").contains("COPY_ONLY"));
    assert!(on(replica("PRIMARY", "SYNCHRONIZED", "1"), order()).0.is_ok());
    assert!(on(replica("SECONDARY", "SYNCHRONIZING", "1"), order()).0.is_ok());
    // Those that do not are not even asked.
    let (refused, sent) = on(replica("PRIMARY", "SYNCHRONIZED", "0"), order());
    assert_snapshot!(refused.expect_err("another one takes it"), @"`SQL02` is not the replica that availability group `AG1` prefers for backups (secondary)");
    assert_eq!(sent, None);
    assert!(on(replica("PRIMARY", "SYNCHRONIZED", "0"), BackupOrder { replica: Replica::This, ..order() }).0.is_ok());
    let (refused, sent) = on(replica("SECONDARY", "NOT SYNCHRONIZING", "1"), order());
    assert_snapshot!(refused.expect_err("it is behind"), @"replica `SQL02` of availability group `AG1` is NOT SYNCHRONIZING: no backup of it would be current");
    assert_eq!(sent, None);
}

/// Standard and above, from the version that brought it.
#[test]
fn what_an_edition_can_is_known_by_its_version_and_name() {
    let can = |version: &'static str, edition: &'static str| {
        let row = rows(&[vec![("version", version), ("edition", edition)]]);
        let server = facts::server(&mut Scripted::sound().on("SERVERPROPERTY", row)).expect("it answers");
        (server.can_compress(), server.can_encrypt())
    };
    assert_eq!(can("9.0.1", "Standard Edition"), (false, false));
    assert_eq!(can("10.50.1", "Standard Edition"), (true, false));
    assert_eq!(can("11.0.1", "Enterprise Edition"), (true, false));
    assert_eq!(can("12.0.1", "Standard Edition"), (true, true));
    assert_eq!(can("16.0.1", "Web Edition (64-bit)"), (false, false));
    assert_eq!(can("16.0.1", "Express Edition with Advanced Services"), (false, false));
}

#[test]
fn days_of_change_tracking_are_whole_ones() {
    for (period, units, days) in [("5", "DAYS", 5), ("49", "HOURS", 2), ("600", "MINUTES", 0)] {
        let row = but(&DATABASE, &[("retention_period", period), ("retention_period_units_desc", units)]);
        let facts = facts::facts(&mut Scripted::sound().on("FROM sys.databases", row), "CM_P01").expect("facts");
        assert_eq!(facts.change_tracking_days, Some(days), "{period} {units}");
    }
}

/// What a snapshot says is anybody's: no remedy holds more than a word of it.
#[test]
fn a_remedy_sets_what_was_and_nothing_else() {
    let remedy = |facts: &[(&str, &str)]| {
        let before: Vec<_> = facts.iter().map(|(fact, was)| ((*fact).to_owned(), (*was).to_owned())).collect();
        compare("CM_P01", &before, &[]).remove(0).remedy.unwrap_or_default()
    };
    let options = |period, units, cleanup| {
        remedy(&[
            ("change-tracking-retention", period),
            ("change-tracking-units", units),
            ("change-tracking-auto-cleanup", cleanup),
        ])
    };
    assert_eq!(remedy(&[("recovery-model", "FULL")]), "ALTER DATABASE [CM_P01] SET RECOVERY FULL");
    assert_eq!(remedy(&[("recovery-model", "FULL; DROP DATABASE x")]), "");
    assert_eq!(remedy(&[("compatibility-level", "150")]), "ALTER DATABASE [CM_P01] SET COMPATIBILITY_LEVEL = 150");
    assert_eq!(remedy(&[("compatibility-level", "150; SHUTDOWN")]), "");
    assert_eq!(remedy(&[("broker", "0")]), "ALTER DATABASE [CM_P01] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE");
    assert_eq!(remedy(&[("trustworthy", "0")]), "ALTER DATABASE [CM_P01] SET TRUSTWORTHY OFF");
    assert_eq!(
        remedy(&[("owner", "x]; SHUTDOWN--")]),
        "ALTER AUTHORIZATION ON DATABASE::[CM_P01] TO [x]]; SHUTDOWN--]"
    );
    let off = "ALTER DATABASE [CM_P01] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 5 HOURS, AUTO_CLEANUP = OFF)";
    assert_eq!(options("5", "HOURS", "0"), off);
    assert_eq!(options("5", "DAYS); SHUTDOWN--", "1"), "");
    // What was not there before is told, and nobody knows what to do about it.
    let new = compare("CM_P01", &[], &[("broker".to_owned(), "1".to_owned())]).remove(0);
    assert_eq!((new.fact.as_str(), new.before, new.remedy), ("broker", None, None));
}

fn recorded(database: &[(&str, &str)], clr: &str) -> Facts {
    let mut server =
        Scripted::sound().on("FROM sys.databases", but(database, &[])).on("sys.configurations", settings(clr));
    facts::facts(&mut server as &mut dyn Talk, "CM_P01").expect("facts")
}

#[test]
fn a_recovery_is_told_what_it_changed() {
    let before = recorded(&DATABASE, "1");
    assert_eq!((before.size, before.change_tracking_days), (1_048_576, Some(5)));
    let after: Vec<_> = DATABASE
        .iter()
        .filter(|(column, _)| !column.contains("retention") && !column.contains("cleanup"))
        .map(|(column, value)| match *column {
            "owner" => (*column, r"CONTOSO\admin"),
            "is_trustworthy_on" | "is_broker_enabled" => (*column, "0"),
            _ => (*column, *value),
        })
        .collect();
    let changed = compare("CM_P]1", &before.values, &recorded(&after, "0").values);
    let line = |c: &backup_core::ports::database::ChangedFact| {
        let [before, after, remedy] = [&c.before, &c.after, &c.remedy].map(|text| text.as_deref().unwrap_or("-"));
        format!("{}: {before} -> {after}; {remedy}", c.fact)
    };
    assert_snapshot!(changed.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    owner: sa -> CONTOSO\admin; ALTER AUTHORIZATION ON DATABASE::[CM_P]]1] TO [sa]
    trustworthy: 1 -> 0; ALTER DATABASE [CM_P]]1] SET TRUSTWORTHY ON
    broker: 1 -> 0; ALTER DATABASE [CM_P]]1] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE
    change-tracking-retention: 5 -> -; ALTER DATABASE [CM_P]]1] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 5 DAYS, AUTO_CLEANUP = ON)
    change-tracking-units: DAYS -> -; ALTER DATABASE [CM_P]]1] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 5 DAYS, AUTO_CLEANUP = ON)
    change-tracking-auto-cleanup: 1 -> -; ALTER DATABASE [CM_P]]1] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 5 DAYS, AUTO_CLEANUP = ON)
    clr-enabled: 1 -> 0; EXEC sp_configure N'clr enabled', 1; RECONFIGURE
    "#);
    assert_eq!(compare("CM_P01", &before.values, &before.values), Vec::new());
    let setting = |value: &str| vec![("max-text-repl-size".to_owned(), value.to_owned())];
    let remedy = |was: &str| compare("CM_P01", &setting(was), &setting("65536")).remove(0).remedy;
    // Without a limit, and what nobody could have read from a server.
    assert_eq!(remedy("-1").as_deref(), Some("EXEC sp_configure N'max text repl size (B)', -1; RECONFIGURE"));
    assert_eq!(remedy("1; SHUTDOWN"), None);
}
