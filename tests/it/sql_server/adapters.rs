//! SQL Server's own backups, and others', as the database part of a site.

mod ends;
mod imaged;
mod refusals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::event::{Event, EventSink};
use backup_core::manifest::{ContentHash, DatabasePart, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{
    DatabaseDump, DatabaseError, DatabaseFolder, DatabaseForm, DatabaseMoment, DatabaseSource, DatabaseStanding,
    DatabaseTarget, DumpedFile, SetupOption, SiteDatabase,
};
use backup_core::ports::destination::{Destination, SnapshotFiles, Staging};
use backup_core::snapshot::RunId;
use host::destination::LocalDestination;
use sql_dump::{ExternalDatabase, NativeFolder, SqlServerDatabase};
use tds_server::{Script, Value, done, info};
use tests::conformance::seal;

use super::sample::{PLACE, SET, aged_history, one_row, percent, script};
use super::{DRIVERS, Driver, Lab};

const RUN: u128 = 0x01a2;

/// A destination with the folder that this machine and the server both see.
struct Bench {
    lab: Lab,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn new(driver: Driver, script: Script) -> Self {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        ["backup", "shared"].iter().for_each(|name| std::fs::create_dir(scratch.path().join(name)).expect("made"));
        Self { lab: Lab::new(driver, script), scratch }
    }

    fn shared(&self) -> PathBuf {
        self.scratch.path().join("shared")
    }

    fn database(&self, here: Option<PathBuf>) -> SqlServerDatabase {
        let folder = NativeFolder { server: r"B:\bk".to_owned(), here, certificate: None };
        SqlServerDatabase::new(self.lab.sql_server(), "CM_P01", folder)
    }

    fn destination(&self) -> LocalDestination {
        let root = SitePath::parse(self.scratch.path().join("backup").to_str().expect("Unicode")).expect("absolute");
        LocalDestination::new(root, "P01".parse().expect("a site code"))
    }

    /// Backs up, seals, and opens what was sealed.
    async fn back_up(&self, database: &dyn SiteDatabase) -> (DatabaseDump, DatabaseSource) {
        let destination = self.destination();
        let staging = destination.begin(run(), None).await.expect("begun");
        let dump = take(database, &staging).await.expect("a backup");
        seal(staging.as_ref(), run(), &[]).await;
        let files = destination.open(run()).await.expect("sealed");
        let source = source(files, &dump);
        (dump, source)
    }

    /// A snapshot that somebody made, with this file as its database part.
    async fn stored(&self, file: &str, content: &[u8]) -> DatabaseSource {
        let destination = self.destination();
        let staging = destination.begin(run(), None).await.expect("begun");
        let path = rel("SiteDBServer").join(&rel(file));
        staging.create(&path).and_then(|staged| staged.write_at(0, content)).expect("written");
        seal(staging.as_ref(), run(), &[]).await;
        let files = destination.open(run()).await.expect("sealed");
        let file = DumpedFile { path: rel(file), size: content.len() as u64, hash: ContentHash::of(content) };
        source_of(files, &file, Vec::new())
    }

    /// The files in the folder that both see.
    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.shared()).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().into_string().expect("Unicode")).collect()
    }

    fn restores(&self) -> Vec<String> {
        self.lab.server.batches().into_iter().filter(|sql| sql.starts_with("RESTORE DATABASE")).collect()
    }
}

fn run() -> RunId {
    RunId(uuid::Uuid::from_u128(RUN))
}

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).expect("a plain path")
}

async fn take(database: &dyn SiteDatabase, staging: &Arc<dyn Staging>) -> Result<DatabaseDump, DatabaseError> {
    let folder = DatabaseFolder::new(run(), "CM_P01".to_owned(), Arc::clone(staging), rel("SiteDBServer"));
    let mut copy = database.prepare(folder).await?;
    copy.pin().await?;
    copy.finish().await
}

fn source(files: Arc<dyn SnapshotFiles>, dump: &DatabaseDump) -> DatabaseSource {
    source_of(files, &dump.files[0], dump.facts.clone())
}

fn source_of(files: Arc<dyn SnapshotFiles>, file: &DumpedFile, facts: Vec<(String, String)>) -> DatabaseSource {
    let path = rel("SiteDBServer").join(&file.path);
    let record =
        FileRecord { size: file.size, hash: Some(file.hash), ..FileRecord::new(RecordKind::Database, path.clone()) };
    let part = DatabasePart {
        name: "CM_P01".to_owned(),
        form: DatabaseForm::Native,
        engine: String::new(),
        pinned_by: String::new(),
        setup_option: SetupOption::Manual,
        facts: [vec![("trustworthy".to_owned(), "0".to_owned())], facts].concat(),
    };
    DatabaseSource { files, place: path, records: vec![record], part }
}

/// What a path of the server's folder is on this machine.
fn here(shared: &Path, sql: &str) -> PathBuf {
    let (_, rest) = sql.split_once(r"N'B:\bk\").expect("a path of the server");
    shared.join(rest.split('\'').next().expect("the text ends"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_both_see_is_moved_into_the_snapshot_and_back() {
    for driver in DRIVERS {
        let shared = Arc::new(Mutex::new(PathBuf::new()));
        let (writes, reads) = (Arc::clone(&shared), Arc::clone(&shared));
        let script = script()
            .when(move |sql| {
                let shared = writes.lock().expect("no panic").clone();
                // What SQL Server would write is there before its first answer.
                if sql.starts_with("BACKUP DATABASE") {
                    std::fs::write(here(&shared, sql), "a backup").expect("written");
                }
                None
            })
            .when(move |sql| {
                let shared = reads.lock().expect("no panic").clone();
                if sql.starts_with("RESTORE DATABASE") {
                    let file = here(&shared, sql);
                    assert_eq!(std::fs::read(&file).expect("it is handed"), b"a backup");
                    #[cfg(unix)]
                    {
                        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("it is there"));
                        assert_eq!(mode & 0o777, 0o640, "nobody else reads a database");
                    }
                }
                None
            });
        let bench = Bench::new(driver, script);
        *shared.lock().expect("no panic") = bench.shared();
        let database = bench.database(Some(bench.shared()));
        let facts = database.inspect().await.expect("facts");
        assert_eq!((facts.form, facts.moment), (DatabaseForm::Native, DatabaseMoment::End));
        assert_eq!((facts.address.as_str(), facts.change_tracking_days), ("SQL01/CM_P01", Some(5)));

        let (dump, source) = bench.back_up(&database).await;
        assert_eq!(dump.place, Some(rel("CM_P01.bak")));
        assert_eq!((dump.setup_option, dump.files[0].size), (SetupOption::Manual, 8));
        assert_eq!(bench.left(), [""; 0], "the server's file is gone: it is in the snapshot");

        let target = DatabaseTarget::Own { replace: true };
        let changed = database.restore(&source, &target).await.expect("restored");
        assert_eq!(bench.left(), [""; 0], "what was handed to the server is gone");
        let changed: Vec<_> = changed.changed.into_iter().map(|fact| (fact.fact, fact.before, fact.after)).collect();
        let trustworthy = ("trustworthy".to_owned(), Some("0".to_owned()), Some("1".to_owned()));
        assert!(changed.contains(&trustworthy), "{changed:?}");
        assert!(changed.iter().all(|(fact, ..)| !fact.starts_with("backup-")), "{changed:?}");
        database.restore(&source, &target).await.expect("restored again");
        let restores = bench.restores();
        assert!(restores[0].contains("REPLACE"), "{restores:?}");
        assert_ne!(restores[0], restores[1], "each is handed over under a name of its own");
    }
}

/// The percents that were heard.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<u8>>);

impl EventSink for Heard {
    fn event(&self, event: &Event) {
        if let Event::Server(progress) = event {
            self.0.lock().expect("no panic").push(progress.percent);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_hears_how_far_the_server_is() {
    for driver in DRIVERS {
        let halfway = vec![percent(50), info(3014, "RESTORE DATABASE successfully processed 9 pages."), done()];
        let bench = Bench::new(driver, script().on("RESTORE DATABASE", halfway));
        let heard = Arc::new(Heard::default());
        let database = bench.database(None).with_events(Arc::clone(&heard) as _);
        let take_heard = || std::mem::take(&mut *heard.0.lock().expect("no panic"));
        let (_, source) = bench.back_up(&database).await;
        assert_eq!(take_heard().last(), Some(&100), "{driver:?}");
        database.restore(&source, &DatabaseTarget::Scratch("7".to_owned())).await.expect("restored");
        assert_eq!(take_heard(), [50], "{driver:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_only_the_server_sees_is_told_and_found_again() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script());
        let database = bench.database(None);
        let (dump, source) = bench.back_up(&database).await;
        assert_eq!(dump.place, Some(rel("CM_P01.bak.json")));
        let remarks = dump.remarks.join("\n");
        assert!(remarks.contains("it is remote, not hashed") && remarks.contains("SQL01"), "{remarks}");
        assert!(remarks.contains("nothing removes the backup before it"), "{remarks}");
        let place = ("backup-stays-at".to_owned(), format!(r"B:\bk\CM_P01-{}.bak", run()));
        assert!(dump.facts.contains(&place), "{:?}", dump.facts);
        database.restore(&source, &DatabaseTarget::Scratch("7".to_owned())).await.expect("restored");
        let device = format!(r"N'B:\bk\CM_P01-{}.bak'", run());
        let restores = bench.restores();
        assert!(restores[0].starts_with("RESTORE DATABASE [sitebackup_rehearsal_7]"), "{restores:?}");
        assert!(restores[0].contains(&device) && restores[0].contains("MOVE"), "{restores:?}");
        let facts = database.inspect().await.expect("facts");
        assert!(facts.size <= 4096 && dump.files[0].size <= facts.size, "only a note is stored: {}", facts.size);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_database_is_dropped_and_no_other() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script().on_part("DROP DATABASE", vec![done()]));
        let database = bench.database(None);
        database.discard(&DatabaseTarget::Scratch("7".to_owned())).await.expect("dropped");
        let own = database.discard(&DatabaseTarget::Own { replace: true }).await.expect_err("never the site's");
        assert!(matches!(own, DatabaseError::Unsupported(_)), "{own}");
        let dropped = bench.lab.server.batches().into_iter().filter(|sql| sql.contains("DROP DATABASE"));
        let of_ours = |sql: &String| sql.starts_with("IF DB_ID(N'sitebackup_rehearsal_7') IS NOT NULL");
        assert!(dropped.clone().all(|sql| of_ours(&sql)) && dropped.count() == 1, "one that is not there is no error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_is_recorded_as_one() {
    let set = one_row(&[
        ("backup_set", SET.into()),
        ("is_damaged", Value::Int(0)),
        ("has_backup_checksums", Value::Int(1)),
        ("is_copy_only", Value::Int(1)),
        ("encryptor_type", "CERTIFICATE".into()),
        ("media_set_id", Value::Int(17)),
    ]);
    let certificate = one_row(&[("name", "site".into()), ("saved", Value::Null)]);
    for driver in DRIVERS {
        let script = script().on_part("msdb.dbo.backupset", set.clone());
        let bench = Bench::new(driver, script.on_part("master.sys.certificates", certificate.clone()));
        let folder = NativeFolder { server: r"B:\bk".to_owned(), here: None, certificate: Some("site".to_owned()) };
        let database = SqlServerDatabase::new(bench.lab.sql_server(), "CM_P01", folder);
        let remarks = database.inspect().await.expect("facts").remarks.concat();
        assert!(remarks.contains("certificate `site`") && remarks.contains("never saved"), "{driver:?}: {remarks}");
        let (dump, _) = bench.back_up(&database).await;
        let encrypted = ("backup-encrypted".to_owned(), "yes".to_owned());
        assert!(dump.facts.contains(&encrypted), "{driver:?}: {:?}", dump.facts);
        let sent = bench.lab.server.batches().into_iter().find(|sql| sql.starts_with("BACKUP")).expect("it was sent");
        assert!(sent.contains("ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [site])"), "{driver:?}: {sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_its_moment_is_none() {
    let bench = Bench::new(Driver::FreeTds, script());
    let staging = bench.destination().begin(run(), None).await.expect("begun");
    let folder = DatabaseFolder::new(run(), "CM_P01".to_owned(), staging, rel("SiteDBServer"));
    let copy = bench.database(None).prepare(folder).await.expect("prepared");
    copy.finish().await.expect_err("nobody has pinned it");
    assert_eq!(bench.lab.server.batches(), [""; 0]);
}

/// The newest backup may be anybody's; the one before ours is what nobody removes.
#[tokio::test(flavor = "multi_thread")]
async fn the_backup_before_is_told_although_others_took_one_since() {
    let nightly =
        one_row(&[("name", "nightly".into()), ("is_damaged", Value::Int(0)), ("media_set_id", Value::Int(9))]);
    let with_others = script().when(move |sql| {
        let is_newest = sql.contains("msdb.dbo.backupset") && sql.contains("s.type = 'D'") && !sql.contains("LIKE");
        is_newest.then(|| nightly.clone())
    });
    let elsewhere = one_row(&[("place", r"N:\nightly.bak".into()), ("device_type", Value::Int(2))]);
    let bench = Bench::new(Driver::FreeTds, with_others.on_part("f.media_set_id = 9", elsewhere));
    let (dump, _) = bench.back_up(&bench.database(None)).await;
    let previous = format!("nothing removes the backup before it, `{PLACE}` on SQL01");
    assert!(dump.remarks.contains(&previous), "{:?}", dump.remarks);
}

/// A server that has no other folders than those of its own.
fn new_server() -> Script {
    script().when(|sql| {
        let path = sql.strip_prefix("EXEC master.dbo.xp_fileexist N'")?.strip_suffix('\'')?;
        let is_there = [r"D:\data", r"L:\log", r"B:\bk"].contains(&path);
        Some(one_row(&[("File Exists", Value::Int(0)), ("File is a Directory", Value::Int(is_there.into()))]))
    })
}

/// At three in the morning, on a server without the old drives: a look tells it before, the recovery does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_goes_on_where_the_old_drives_are_gone() {
    let moved = [
        r"file `CM_P01` goes to `D:\data\CM_P01.mdf`: the server has no folder for `E:\CM_P01.mdf`, where it was",
        r"file `CM_P01_log` goes to `L:\log\CM_P01.ldf`: the server has no folder for `E:\CM_P01.ldf`, where it was",
        r"file `Größe 🦀` goes to `D:\data\more.ndf`: the server has no folder for `E:\more.ndf`, where it was",
    ];
    let target = DatabaseTarget::Own { replace: true };
    for driver in DRIVERS {
        for is_shared in [false, true] {
            let shared = Arc::new(Mutex::new(PathBuf::new()));
            let place = Arc::clone(&shared);
            let bench = Bench::new(
                driver,
                new_server().when(move |sql| {
                    let shared = place.lock().expect("no panic").clone();
                    if sql.starts_with("BACKUP DATABASE") && shared != Path::new("") {
                        std::fs::write(here(&shared, sql), "a backup").expect("written");
                    }
                    None
                }),
            );
            if is_shared {
                *shared.lock().expect("no panic") = bench.shared();
            }
            let database = bench.database(is_shared.then(|| bench.shared()));
            let (dump, source) = bench.back_up(&database).await;
            let file = ("backup-file-log-CM_P01_log".to_owned(), r"E:\CM_P01.ldf".to_owned());
            assert!(dump.facts.contains(&file), "{:?}", dump.facts);
            let standing = database.survey(&source, &target).await.expect("a look");
            assert_eq!(standing, DatabaseStanding::Free(moved.map(str::to_owned).to_vec()), "{driver:?}");
            assert_eq!(bench.restores(), [""; 0]);
            let restored = database.restore(&source, &target).await.expect("restored");
            assert_eq!(restored.remarks, moved, "{driver:?}");
            assert!(restored.changed.iter().all(|fact| !fact.fact.starts_with("backup-")), "{:?}", restored.changed);
            let sent = bench.restores().concat();
            let moves = r"MOVE N'CM_P01' TO N'D:\data\CM_P01.mdf', MOVE N'CM_P01_log' TO N'L:\log\CM_P01.ldf', MOVE N'Größe 🦀' TO N'D:\data\more.ndf'";
            assert!(sent.contains(moves), "{driver:?}: {sent}");
            let scratch = DatabaseTarget::Scratch("7".to_owned());
            let rehearsed = database.restore(&source, &scratch).await.expect("restored");
            assert_eq!(rehearsed.remarks, [""; 0], "its files go with it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_there_is_not_replaced_untold() {
    let there = script().on("SELECT CONVERT(int, DB_ID(", one_row(&[("id", Value::Int(5))]));
    let bench = Bench::new(Driver::Microsoft, there);
    let database = bench.database(None);
    let (_, source) = bench.back_up(&database).await;
    let target = DatabaseTarget::Own { replace: false };
    let standing = database.survey(&source, &target).await.expect("a look");
    assert!(matches!(standing, DatabaseStanding::Holds(_)), "{standing:?}");
    let error = database.restore(&source, &target).await.expect_err("it is there");
    assert!(matches!(error, DatabaseError::Occupied { .. }), "{error}");
    assert!(bench.restores().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_others_are_judged_by_their_age() {
    for driver in DRIVERS {
        let bench = Bench::new(driver, script());
        let seen = async |hours: u64| {
            let max_age = Duration::from_secs(hours * 3600);
            let database = ExternalDatabase::new(bench.lab.sql_server(), "CM_P01", max_age);
            let facts = database.inspect().await.expect("facts");
            let destination = bench.destination();
            let staging = destination.begin(RunId(uuid::Uuid::from_u128(hours.into())), None).await.expect("begun");
            let dump = take(&database, &staging).await.expect("nothing is taken");
            assert_eq!((dump.files.len(), dump.place.clone()), (0, None));
            assert_eq!(facts.weaker, dump.weaker);
            dump
        };
        let fresh = seen(3).await;
        assert_eq!(fresh.weaker, Vec::<String>::new());
        assert!(fresh.facts.contains(&("backup-finished".to_owned(), "2026-11-25T21:05:06".to_owned())), "{fresh:?}");
        let old = seen(1).await;
        assert!(old.weaker[0].contains("is 2 hours old, more than 1 hour"), "{:?}", old.weaker);
        assert!(bench.lab.server.batches().iter().all(|sql| !sql.starts_with("BACKUP") && !sql.starts_with("RESTORE")));
    }
}

/// Clocks go wrong, and rows of msdb are anybody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_no_age_is_weaker() {
    for driver in DRIVERS {
        for age in [Value::Int(-5), Value::Null] {
            let bench = Bench::new(driver, script().on_part("msdb.dbo.backupset", aged_history(SET, age)));
            let database = ExternalDatabase::new(bench.lab.sql_server(), "CM_P01", Duration::from_secs(3600));
            let weaker = database.inspect().await.expect("facts").weaker;
            assert!(weaker.len() == 1 && weaker[0].contains("no age"), "{driver:?}: {weaker:?}");
        }
    }
}
