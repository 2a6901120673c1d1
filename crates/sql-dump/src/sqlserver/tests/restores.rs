use insta::assert_snapshot;

use super::{DATABASE, HEADER, PLACE, Scripted, but, failure, nothing, rows, server};
use crate::scratch::scratch_name;
use crate::sqlserver::SqlServerError;
use crate::sqlserver::order::{ExpectedSet, Placement, RestoreOrder};
use crate::sqlserver::restore::{Restored, check, drop_scratch, restore, survey};
use crate::sqlserver::talk::{Answer, End};

fn run(server: &mut Scripted, order: &RestoreOrder) -> Result<Restored, SqlServerError> {
    restore(server, order, &mut |_| {})
}

fn sent(server: &Scripted) -> &str {
    server.sent.iter().find(|sql| sql.starts_with("RESTORE DATABASE")).map_or("nothing", String::as_str)
}

fn there() -> Answer {
    rows(&[vec![("id", "7")]])
}

#[test]
fn files_move_to_names_made_of_the_targets() {
    let mut windows = Scripted::sound();
    let order = RestoreOrder::new(PLACE, &scratch_name("01a2"));
    assert_eq!(run(&mut windows, &order).expect("it is restored").faults, Vec::<String>::new());
    assert_snapshot!(sent(&windows), @r#"RESTORE DATABASE [sitebackup_rehearsal_01a2] FROM DISK = N'B:\bk\CM_P01 01a2.bak' WITH FILE = 1, MOVE N'CM_P01' TO N'D:\data\sitebackup_rehearsal_01a2.mdf', MOVE N'CM_P01_log' TO N'L:\log\sitebackup_rehearsal_01a2_1.ldf', MOVE N'it''s more' TO N'D:\data\sitebackup_rehearsal_01a2_2.ndf', CHECKSUM, RECOVERY, STATS = 5"#);
    let mut linux = Scripted::sound();
    let folders = Placement::Folders { data: "/var/opt/mssql/data/".to_owned(), log: "/log".to_owned() };
    run(&mut linux, &RestoreOrder { placement: folders, ..RestoreOrder::new(PLACE, "a/b:c") }).expect("it is restored");
    assert_snapshot!(sent(&linux), @r#"RESTORE DATABASE [a/b:c] FROM DISK = N'B:\bk\CM_P01 01a2.bak' WITH FILE = 1, MOVE N'CM_P01' TO N'/var/opt/mssql/data/a_b_c.mdf', MOVE N'CM_P01_log' TO N'/log/a_b_c_1.ldf', MOVE N'it''s more' TO N'/var/opt/mssql/data/a_b_c_2.ndf', CHECKSUM, RECOVERY, STATS = 5"#);
    let mut same = Scripted::sound();
    run(&mut same, &RestoreOrder { placement: Placement::AsBackedUp, ..RestoreOrder::new(PLACE, "CM_P01") })
        .expect("it is");
    assert_snapshot!(sent(&same), @r#"RESTORE DATABASE [CM_P01] FROM DISK = N'B:\bk\CM_P01 01a2.bak' WITH FILE = 1, CHECKSUM, RECOVERY, STATS = 5"#);
}

/// A server that has these folders, and no others.
fn with_folders(folders: &[&str]) -> Scripted {
    let is = |folder: &&str| format!("xp_fileexist N'{folder}'");
    let there = || rows(&[vec![("File Exists", "0"), ("File is a Directory", "1")]]);
    folders.iter().fold(Scripted::sound(), |server, folder| server.on(&is(folder), there()))
}

fn files(paths: &[(&'static str, &'static str)]) -> Answer {
    let file = |(number, (path, kind)): (usize, &(&'static str, &'static str))| {
        vec![("LogicalName", ["a", "b", "c", "d"][number]), ("PhysicalName", *path), ("Type", *kind)]
    };
    rows(&paths.iter().enumerate().map(file).collect::<Vec<_>>())
}

fn as_backed_up(replace: bool) -> RestoreOrder {
    RestoreOrder { placement: Placement::AsBackedUp, replace, ..RestoreOrder::new(PLACE, "CM_P01") }
}

/// What moves in a restore that puts the files where they were; a survey tells the same.
fn moves(server: &mut Scripted, order: &RestoreOrder) -> String {
    let restored = run(server, order).expect("it is restored");
    assert_eq!(survey(server, order).expect("nothing is in its way"), restored.moved);
    let sent = sent(server);
    let moves = sent.split(", ").filter(|option| option.starts_with("MOVE"));
    assert_eq!(moves.clone().count(), restored.moved.len(), "{sent}");
    moves.collect::<Vec<_>>().join("\n")
}

#[test]
fn files_go_to_the_default_folders_where_theirs_are_gone() {
    assert_snapshot!(moves(&mut with_folders(&[r"D:\data", r"L:\log"]), &as_backed_up(false)), @r"
    MOVE N'CM_P01' TO N'D:\data\CM_P01.mdf'
    MOVE N'CM_P01_log' TO N'L:\log\CM_P01.ldf'
    MOVE N'it''s more' TO N'D:\data\more.ndf'
    ");
    // Each where it can be: a folder that is there, also the root of a disk, gets its file back.
    assert_eq!(moves(&mut with_folders(&[r"E:\", r"D:\data", r"L:\log"]), &as_backed_up(false)), "");
    let list = || files(&[(r"E:\x\a.mdf", "D"), (r"F:\b.ldf", "L"), ("/srv/c:1.ndf", "D"), (r"G:\streams", "S")]);
    let mut server = with_folders(&[r"E:\x", r"D:\data", r"L:\log"]).on("FILELISTONLY", list());
    assert_snapshot!(moves(&mut server, &as_backed_up(false)), @r"
    MOVE N'b' TO N'L:\log\b.ldf'
    MOVE N'c' TO N'D:\data\c_1.ndf'
    MOVE N'd' TO N'D:\data\streams'
    ");
    let linux = rows(&[vec![("version", "16.0.1.1"), ("data_folder", "/var/data/"), ("log_folder", "/log")]]);
    let mut server = with_folders(&["/var/data", "/log"]).on("SERVERPROPERTY", linux).on("FILELISTONLY", list());
    assert_snapshot!(moves(&mut server, &as_backed_up(false)), @r"
    MOVE N'a' TO N'/var/data/a.mdf'
    MOVE N'b' TO N'/log/b.ldf'
    MOVE N'c' TO N'/var/data/c_1.ndf'
    MOVE N'd' TO N'/var/data/streams'
    ");
    let root = rows(&[vec![("version", "16.0.1.1"), ("data_folder", "/"), ("log_folder", "/")]]);
    let list = files(&[(r"E:\x\a.mdf", "D"), ("/b.ldf", "L")]);
    let mut server = with_folders(&["/"]).on("SERVERPROPERTY", root).on("FILELISTONLY", list);
    assert_eq!(moves(&mut server, &as_backed_up(false)), "MOVE N'a' TO N'/a.mdf'");
}

#[test]
fn two_files_of_one_name_go_to_two() {
    let list = files(&[(r"D:\data\x.mdf", "D"), (r"E:\X.MDF", "D"), (r"F:\x.mdf", "D"), (r"F:\x_1.mdf", "D")]);
    let mut server = with_folders(&[r"D:\data", r"L:\log"]).on("FILELISTONLY", list);
    assert_snapshot!(moves(&mut server, &as_backed_up(false)), @r"
    MOVE N'b' TO N'D:\data\X_1.MDF'
    MOVE N'c' TO N'D:\data\x_2.mdf'
    MOVE N'd' TO N'D:\data\x_1_1.mdf'
    ");
}

/// A server that does not say is not taken at a word.
#[test]
fn files_stay_where_they_were_unless_the_server_says_that_it_cannot_be() {
    let forbidden = || failure(&[(229, "The EXECUTE permission was denied")]);
    assert_eq!(moves(&mut Scripted::sound().on("xp_fileexist", forbidden()), &as_backed_up(false)), "");
    let list = || files(&[("x.mdf", "D"), (r"\x.ldf", "L")]);
    let mut server = with_folders(&[r"D:\data", r"L:\log"]).on("FILELISTONLY", list());
    assert_eq!(moves(&mut server, &as_backed_up(false)), "");
    // Nobody sees anything: also not the folder that is surely there.
    assert_eq!(moves(&mut Scripted::sound(), &as_backed_up(false)), "");
    let nameless = rows(&[vec![("version", "10.50.1.1"), ("edition", "Standard Edition")]]);
    assert_eq!(moves(&mut with_folders(&["\\"]).on("SERVERPROPERTY", nameless), &as_backed_up(false)), "");
    let remote =
        [(r"\\evil\s\x.mdf", "D"), (r"\??\UNC\evil\s\x.mdf", "D"), ("//evil/s/x", "D"), (r"/\evil/x.mdf", "D")];
    let mut server = with_folders(&[r"D:\data", r"L:\log"]).on("FILELISTONLY", files(&remote));
    assert_eq!(moves(&mut server, &as_backed_up(false)), "");
    assert!(!server.was_sent("xp_fileexist"), "{:?}", server.sent);
}

/// SQL Server puts the files of a database that it replaces where that has them.
#[test]
fn only_what_a_replaced_database_has_not_is_moved() {
    let mut server = with_folders(&[r"D:\data", r"L:\log"])
        .on("DB_ID(N'CM_P01')) AS id", there())
        .on("SELECT name FROM sys.master_files", rows(&[vec![("name", "CM_P01")], vec![("name", "CM_P01_log")]]));
    assert_snapshot!(moves(&mut server, &as_backed_up(true)), @r"MOVE N'it''s more' TO N'D:\data\more.ndf'");
    assert!(sent(&server).contains("REPLACE"));
}

/// A database that is there may be all that is left of the site.
#[test]
fn a_backup_is_read_before_it_replaces_anything() {
    let rotten = || failure(&[(3189, "Damage to the backup set was detected."), (3013, "terminating abnormally")]);
    let mut server = Scripted::sound().on("VERIFYONLY", rotten()).on("DB_ID(N'CM_P01')) AS id", there());
    server = server.on("SELECT name FROM sys.master_files", nothing());
    let error = run(&mut server, &as_backed_up(true)).expect_err("it is damaged");
    assert_snapshot!(error, @r"SQL Server refused to verify the backup at `B:\bk\CM_P01 01a2.bak`: 3189 Damage to the backup set was detected.; 3013 terminating abnormally");
    assert_eq!(sent(&server), "nothing");
    // Where nothing is lost by trying, it is read once.
    let mut server = Scripted::sound();
    run(&mut server, &as_backed_up(true)).expect("it is restored");
    assert!(!server.was_sent("VERIFYONLY"));
}

/// REPLACE is said of the database: nobody has said it of a file that the backup does not even name.
#[test]
fn a_file_where_another_is_moved_to_is_not_overwritten() {
    for replace in [false, true] {
        let mut server = with_folders(&[r"D:\data", r"L:\log"])
            .on(r"xp_fileexist N'L:\log\CM_P01.ldf'", rows(&[vec![("File Exists", "1")]]));
        let order = as_backed_up(replace);
        for error in [run(&mut server, &order).map(drop), survey(&mut server, &order).map(drop)] {
            let text = r"`L:\log\CM_P01.ldf` exists already on the server, and file `CM_P01_log` has to go there: move it away, or make the folder `E:\` that it came from";
            assert_eq!(error.expect_err("it is there").to_string(), text);
        }
        assert_eq!(sent(&server), "nothing");
    }
}

/// What is no file of rows or of a log is a folder, and has no extension.
#[test]
fn folders_are_moved_as_folders() {
    let list = files(&[(r"E:\a.mdf", "D"), (r"E:\s", "S"), (r"E:\f", "F")]);
    let mut server = Scripted::sound().on("FILELISTONLY", list);
    run(&mut server, &RestoreOrder::new(PLACE, "new")).expect("it is restored");
    assert!(
        sent(&server).contains(r"TO N'D:\data\new_1', MOVE N'c' TO N'D:\data\new_2', CHECKSUM"),
        "{}",
        sent(&server)
    );
}

/// Nothing is moved where nothing is going to be restored.
#[test]
fn a_look_at_a_database_that_stays_asks_for_no_file() {
    let mut server = with_folders(&[r"D:\data", r"L:\log"]).on("DB_ID(N'CM_P01')) AS id", there());
    assert_eq!(survey(&mut server, &as_backed_up(false)).expect("it answers"), Vec::new());
    assert!(!server.was_sent("xp_fileexist") && !server.was_sent("sys.master_files WHERE"));
}

/// A version of before 2012 has no such property.
#[test]
fn a_server_without_default_folders_is_not_given_half_a_path() {
    for missing in ["data_folder", "log_folder"] {
        let without: Vec<_> =
            server("Standard Edition", "0").into_iter().filter(|(name, _)| *name != missing).collect();
        let mut server = Scripted::sound().on("SERVERPROPERTY", rows(&[without]));
        let error = run(&mut server, &RestoreOrder::new(PLACE, "new")).expect_err("it is not known where");
        assert_eq!(error.to_string(), "SQL01 does not say where files of databases go by default");
        assert_eq!(sent(&server), "nothing");
    }
}

/// SQL Server itself would overwrite a database of the same family whose log needs no backup.
#[test]
fn a_database_that_is_there_is_refused_unless_told() {
    let mut server = Scripted::sound().on("DB_ID(N'CM_P01')) AS id", there());
    let refused = run(&mut server, &RestoreOrder::new(PLACE, "CM_P01")).expect_err("it is there");
    assert_snapshot!(refused, @"database `CM_P01` exists already on the server");
    assert_eq!(sent(&server), "nothing");
    run(&mut server, &RestoreOrder { replace: true, ..RestoreOrder::new(PLACE, "CM_P01") }).expect("it is told to");
    assert!(sent(&server).contains("REPLACE"));
}

#[test]
fn a_file_in_the_way_is_refused() {
    let mut server = Scripted::sound().on(r"xp_fileexist N'L:\log\new_1.ldf'", rows(&[vec![("File Exists", "1")]]));
    assert_snapshot!(run(&mut server, &RestoreOrder::new(PLACE, "new")).expect_err("it is there"), @r#"`L:\log\new_1.ldf` exists already on the server"#);
    assert_eq!(sent(&server), "nothing");
}

#[test]
fn a_database_of_a_group_is_refused() {
    let mut server = Scripted::sound()
        .on("SERVERPROPERTY", rows(&[server("Enterprise Edition", "1")]))
        .on("fn_hadr_backup_is_preferred_replica", rows(&[vec![("group_name", "AG1"), ("role", "PRIMARY")]]))
        .on("AS id", there());
    let order = RestoreOrder { replace: true, ..RestoreOrder::new(PLACE, "CM_P01") };
    assert_snapshot!(run(&mut server, &order).expect_err("a group has it"), @"database `CM_P01` belongs to availability group `AG1`: take it out of the group, restore it, and join it again");
    assert_snapshot!(survey(&mut server, &order).expect_err("a group has it"), @"database `CM_P01` belongs to availability group `AG1`: take it out of the group, restore it, and join it again");
    assert_eq!(sent(&server), "nothing");
}

#[test]
fn only_the_backup_that_is_expected_is_restored() {
    let order = |id: &str, database: &str| RestoreOrder {
        expected: Some(ExpectedSet { id: id.to_owned(), database: database.to_owned() }),
        ..RestoreOrder::new(PLACE, "new")
    };
    let id = "0a1b2c3d-0000-4000-8000-00000000000f";
    let refused = |order: &RestoreOrder| {
        let mut server = Scripted::sound();
        let error = run(&mut server, order).expect_err("it is another one");
        assert_eq!(survey(&mut server, order).expect_err("it is told before").to_string(), error.to_string());
        assert_eq!(sent(&server), "nothing");
        error
    };
    assert_snapshot!(refused(&order("0a1b2c3d-0000-4000-8000-00000000000e", "CM_P01")), @r#"the backup at `B:\bk\CM_P01 01a2.bak` is set {0A1B2C3D-0000-4000-8000-00000000000F}, not 0a1b2c3d-0000-4000-8000-00000000000e"#);
    assert_snapshot!(refused(&order("", "CM_P01")), @r#"the backup at `B:\bk\CM_P01 01a2.bak` is set {0A1B2C3D-0000-4000-8000-00000000000F}, not one that is named"#);
    assert_snapshot!(refused(&order(id, "CM_P02")), @r#"the backup at `B:\bk\CM_P01 01a2.bak` is of database `CM_P01`, not `CM_P02`"#);
    // Two that say nothing are not the same.
    let nameless = || but(&HEADER, &[("BackupSetGUID", "")]);
    run(&mut Scripted::sound().on("HEADERONLY", nameless()), &order("", "CM_P01")).expect_err("neither is named");
    survey(&mut Scripted::sound(), &order(id, "CM_P01")).expect("it is the one");
    run(&mut Scripted::sound(), &order(id, "CM_P01")).expect("it is the one");
}

#[test]
fn an_unfit_backup_is_put_nowhere() {
    for (changes, expect) in
        [(("BackupType", "5"), "is no full backup of a database"), (("IsDamaged", "1"), "is marked as damaged")]
    {
        let mut server = Scripted::sound().on("HEADERONLY", but(&HEADER, &[changes]));
        let refused = run(&mut server, &RestoreOrder::new(PLACE, "new")).expect_err("it is unfit").to_string();
        assert!(refused.ends_with(expect), "{refused}");
        assert_eq!(sent(&server), "nothing");
    }
}

/// A maintenance plan appends by default: the first set of a file is its oldest.
#[test]
fn one_of_many_backups_in_a_file_is_not_restored_untold() {
    let mut server = Scripted::sound().on("HEADERONLY", rows(&[HEADER.to_vec(), HEADER.to_vec()]));
    assert_snapshot!(run(&mut server, &RestoreOrder::new(PLACE, "new")).expect_err("which one?"), @r"the backup at `B:\bk\CM_P01 01a2.bak` is one of 2 in that file, and nothing says which: restore it with RESTORE … WITH FILE = n");
    assert_eq!(sent(&server), "nothing");
}

#[test]
fn a_restored_database_is_checked() {
    let damaged = failure(&[(8928, "Page (1:153) could not be processed."), (8990, "CHECKDB found 2 errors")]);
    let mut server = Scripted::sound().on("DBCC CHECKDB", damaged);
    let restored = run(&mut server, &RestoreOrder::new(PLACE, "new")).expect("it is restored");
    assert_snapshot!(restored.faults.join("\n"), @"
    8928 Page (1:153) could not be processed.
    8990 CHECKDB found 2 errors
    ");
    let mut server = Scripted::sound().on("FROM sys.databases", but(&DATABASE, &[("state_desc", "SUSPECT")]));
    let restored = run(&mut server, &RestoreOrder::new(PLACE, "new")).expect("it is restored");
    assert_snapshot!(restored.faults.join("\n"), @"the database is SUSPECT");
    let mut server = Scripted::sound().on("RESTORE DATABASE", nothing());
    assert_snapshot!(run(&mut server, &RestoreOrder::new(PLACE, "new")).expect_err("no proof"), @"SQL Server reported no error, but the restore of `new` is not proven: it never said that the restore is processed (message 3014)");
}

/// A driver may report no more than that it failed: nothing was found, for nothing was looked at.
#[test]
fn a_check_that_fails_without_a_word_finds_nothing_sound() {
    for (end, told) in [
        (End::Failed, "SQL Server refused to check `CM_P01`: it did not say why"),
        (End::Lost, "the connection to SQL Server was lost while it was to check `CM_P01`: it did not say why"),
    ] {
        let mut server = Scripted::sound().on("DBCC CHECKDB", Answer { end, ..nothing() });
        assert_eq!(check(&mut server, "CM_P01").expect_err("it was not checked").to_string(), told);
    }
    // What was found until the connection was lost is not all that there is.
    let lost = Answer { end: End::Lost, ..failure(&[(8928, "Page (1:153)")]) };
    let error = check(&mut Scripted::sound().on("DBCC CHECKDB", lost), "CM_P01").expect_err("it was not checked");
    assert!(matches!(error, SqlServerError::Lost { .. }), "{error}");
}

#[test]
fn only_what_a_rehearsal_made_is_dropped() {
    let mut server = Scripted::sound();
    for name in ["CM_P01", "sitebackup_rehearsal_", "my sitebackup_rehearsal_1"] {
        assert!(drop_scratch(&mut server, name).is_err(), "{name}");
    }
    assert_eq!(server.sent, Vec::<String>::new());
    drop_scratch(&mut server, &scratch_name("01a2")).expect("it is dropped");
    assert_eq!(server.sent.len(), 1);
}
