//! What is refused before anything is written or any service is stopped.

use backup_core::manifest::ContentHash;
use backup_core::ports::database::{DatabaseError, DatabaseSource, DatabaseTarget, SiteDatabase};
use backup_core::ports::destination::Destination;
use sql_dump::{NativeFolder, SqlServerDatabase};
use tds_server::{Script, Step, Value, done, error};

use super::super::sample::{SET, one_row, script, server};
use super::super::{DRIVERS, Driver};
use super::{Bench, run, take};

const OWN: DatabaseTarget = DatabaseTarget::Own { replace: true };

fn note(device: &str, set: &str) -> Vec<u8> {
    let note = serde_json::json!({
        "note": "", "server": "SQL01", "devices": [device], "backup_set": set, "finished": "2026-11-25T21:05:06",
    });
    serde_json::to_vec(&note).expect("plain data")
}

/// Both calls refuse with this text in the error, and the server restores nothing.
async fn refused(bench: &Bench, database: &SqlServerDatabase, source: &DatabaseSource, text: &str) {
    let survey = database.survey(source, &OWN).await.expect_err("it is told before");
    let restore = database.restore(source, &OWN).await.expect_err("it is refused");
    for error in [survey, restore] {
        assert!(matches!(error, DatabaseError::Unsupported(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!((bench.restores(), bench.left()), (vec![], vec![]));
}

/// A snapshot is read from a disk that others may write to.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_does_not_choose_what_the_server_opens() {
    for device in [r"\\evil\x.bak", r"C:\x.bak", r"B:\bk\..\x.bak", r"B:\bkx\x.bak"] {
        let bench = Bench::new(Driver::Microsoft, script());
        let source = bench.stored("CM_P01.bak.json", &note(device, SET)).await;
        refused(&bench, &bench.database(None), &source, "is not below").await;
        assert!(bench.lab.server.batches().iter().all(|sql| !sql.starts_with("RESTORE")), "no path of it was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_names_no_place_is_refused() {
    let bench = Bench::new(Driver::FreeTds, script());
    let note = String::from_utf8(note("x", SET)).expect("JSON").replace(r#"["x"]"#, "[]");
    let source = bench.stored("CM_P01.bak.json", note.as_bytes()).await;
    refused(&bench, &bench.database(None), &source, "does not say where its backup lies").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_backup_than_that_of_the_note_is_refused() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script());
        let source = bench.stored("CM_P01.bak.json", &note(r"b:\BK\x.bak", "0")).await;
        refused(&bench, &bench.database(None), &source, "is set").await;

        let bench = Bench::new(driver, script());
        let database = bench.database(None);
        let mut source = bench.stored("CM_P01.bak.json", &note(r"b:\BK\x.bak", SET)).await;
        database.survey(&source, &OWN).await.expect("it is the one");
        source.part.name = "CM_P02".to_owned();
        refused(&bench, &database, &source, "is of database `CM_P01`, not `CM_P02`").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_backup_than_that_of_the_facts_is_refused() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script());
        let database = bench.database(Some(bench.shared()));
        let mut source = bench.stored("CM_P01.bak", b"a backup").await;
        refused(&bench, &database, &source, "does not say which backup set").await;
        source.part.facts.push(("backup-set".to_owned(), "0".to_owned()));
        let error = database.restore(&source, &OWN).await.expect_err("it is another one");
        assert!(error.to_string().contains("is set"), "{driver:?}: {error}");
        assert_eq!((bench.restores(), bench.left()), (vec![], vec![]));
        source.part.facts[1].1 = SET.to_owned();
        database.restore(&source, &OWN).await.expect("it is the one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_is_too_long_is_not_read() {
    let bench = Bench::new(Driver::Microsoft, script());
    let mut source = bench.stored("CM_P01.bak.json", &note(r"B:\bk\x.bak", SET)).await;
    source.records[0].size = (1 << 20) + 1;
    let database = bench.database(None);
    for error in [
        database.survey(&source, &OWN).await.expect_err("it is told before"),
        database.restore(&source, &OWN).await.expect_err("it is refused"),
    ] {
        let DatabaseError::Failed { action: "read the note of", source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("1048577 bytes"), "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_the_server_cannot_be_given_is_refused() {
    let bench = Bench::new(Driver::Microsoft, script());
    let mut source = bench.stored("CM_P01.bak", b"a backup").await;
    source.part.facts.push(("backup-set".to_owned(), SET.to_owned()));
    refused(&bench, &bench.database(None), &source, "SQL Server cannot reach it").await;
    let gone = bench.database(Some(bench.shared().join("gone")));
    refused(&bench, &gone, &source, "backup-folder-here is no folder").await;
    let database = bench.database(Some(bench.shared()));
    database.survey(&source, &OWN).await.expect("nothing is in its way");
    source.records.push(source.records[0].clone());
    refused(&bench, &database, &source, "no single backup").await;
}

fn in_group(is_preferred: i128, synchronization: &str) -> Script {
    script()
        .on_part("SERVERPROPERTY('ProductVersion')", server(true))
        .on_part(
            "fn_hadr_backup_is_preferred_replica",
            one_row(&[
                ("group_name", "AG1".into()),
                ("replica", "SQL01".into()),
                ("role", "SECONDARY".into()),
                ("synchronization", synchronization.into()),
                ("preference", "primary".into()),
                ("is_preferred", Value::Int(is_preferred)),
            ]),
        )
        .on("SELECT CONVERT(int, DB_ID(", one_row(&[("id", Value::Int(5))]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_that_took_a_backup_is_told_and_another_one_takes_none() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, in_group(1, "SYNCHRONIZED"));
        let (dump, _) = bench.back_up(&bench.database(None)).await;
        let told = "replica `SQL01` of availability group `AG1` took the backup".to_owned();
        assert!(dump.remarks.contains(&told), "{driver:?}: {:?}", dump.remarks);
        for (fact, value) in [("backup-replica", "SQL01"), ("backup-group", "AG1")] {
            assert!(dump.facts.contains(&(fact.to_owned(), value.to_owned())), "{driver:?}: {:?}", dump.facts);
        }
        // The group's wish may change while the services are stopped. Nothing was begun, so nothing is left.
        let bench = Bench::new(driver, in_group(0, "SYNCHRONIZED"));
        let staging = bench.destination().begin(run(), None).await.expect("begun");
        let error = take(&bench.database(None), &staging).await.expect_err("another one takes it");
        assert!(matches!(error, DatabaseError::Unsupported(_)), "{driver:?}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_group_is_not_restored_over() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, in_group(1, "SYNCHRONIZED"));
        let mut source = bench.stored("CM_P01.bak", b"a backup").await;
        source.part.facts.push(("backup-set".to_owned(), SET.to_owned()));
        refused(&bench, &bench.database(Some(bench.shared())), &source, "take it out of the group").await;
    }
}

/// Each of these ended a run only after the services had been stopped.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_backup_would_come_of_is_told_beforehand() {
    let told = async |driver, script: Script, certificate: Option<&str>, text: &str| {
        let bench = Bench::new(driver, script);
        let certificate = certificate.map(str::to_owned);
        let folder = NativeFolder { server: r"B:\bk".to_owned(), here: Some(bench.shared()), certificate };
        let database = SqlServerDatabase::new(bench.lab.sql_server(), "CM_P01", folder);
        let error = database.inspect().await.expect_err("it is told");
        assert!(matches!(error, DatabaseError::Unsupported(_)), "{driver:?}: {error:?}");
        assert!(error.to_string().contains(text), "{driver:?}: {error}");
    };
    for driver in DRIVERS {
        told(driver, in_group(0, "SYNCHRONIZED"), None, "prefers for backups").await;
        told(driver, in_group(1, "NOT SYNCHRONIZING"), None, "NOT SYNCHRONIZING").await;
        let denied = script().on_part("HAS_PERMS_BY_NAME", one_row(&[("may_back_up", Value::Int(0))]));
        told(driver, denied, None, "no right to back up").await;
        let express = one_row(&[("version", "16.0.1.1".into()), ("edition", "Express Edition".into())]);
        let express = script().on_part("SERVERPROPERTY('ProductVersion')", express);
        told(driver, express, Some("cert"), "does not encrypt").await;
        let bench = Bench::new(driver, script());
        let gone = bench.database(Some(bench.shared().join("gone"))).inspect().await.expect_err("it is gone");
        assert!(gone.to_string().contains("backup-folder-here is no folder"), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_what_it_was_is_not_restored() {
    let bench = Bench::new(Driver::Microsoft, script());
    let database = bench.database(Some(bench.shared()));
    let mut source = bench.stored("CM_P01.bak", b"a backup").await;
    source.part.facts.push(("backup-set".to_owned(), SET.to_owned()));
    source.records[0].hash = Some(ContentHash::of(b"another"));
    let error = database.restore(&source, &OWN).await.expect_err("it is another one");
    assert!(matches!(error, DatabaseError::Hash(_)), "{error:?}");
    assert_eq!((bench.restores(), bench.left()), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restored_damaged_is_an_error() {
    for driver in DRIVERS {
        let faults: Vec<Step> = vec![error(8928, "Page (1:153)"), error(8990, "2 errors"), done()];
        let bench = Bench::new(driver, script().on("DBCC CHECKDB", faults));
        let source = bench.stored("CM_P01.bak.json", &note(r"B:\bk\x.bak", SET)).await;
        let error = bench.database(None).restore(&source, &OWN).await.expect_err("it is damaged");
        let DatabaseError::Failed { action: "restore a sound", source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("2 faults, such as: 8928 Page (1:153)"), "{driver:?}: {source}");
    }
}

/// A file is no database: nothing that is asked for would make it give way.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_way_is_told_as_a_file() {
    for driver in DRIVERS {
        let there = script().on("EXEC master.dbo.xp_fileexist", one_row(&[("File Exists", Value::Int(1))]));
        let bench = Bench::new(driver, there);
        let source = bench.stored("CM_P01.bak.json", &note(r"B:\bk\x.bak", SET)).await;
        let target = DatabaseTarget::Scratch("7".to_owned());
        let error = bench.database(None).restore(&source, &target).await.expect_err("a file is there");
        let DatabaseError::Failed { source, .. } = error else { panic!("{error:?}") };
        let text = r"`D:\data\sitebackup_rehearsal_7.mdf` exists already on the server";
        assert_eq!(source.to_string(), text, "{driver:?}");
    }
}
