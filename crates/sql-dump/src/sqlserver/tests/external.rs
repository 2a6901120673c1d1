use super::{HEADER, PLACE, SET, Scripted, failure, nothing, rows};
use crate::sqlserver::backup::verify_all;
use crate::sqlserver::external::{ExternalBackup, Reading, Verdict, newest};
use crate::sqlserver::tsql::{self, Sets};

fn found(server: &mut Scripted, reading: Reading) -> Option<ExternalBackup> {
    newest(server, "CM_P01", Sets::Full, reading).expect("the server answers")
}

#[test]
fn the_newest_backup_is_found_and_aged() {
    let mut server = Scripted::sound();
    let backup = found(&mut server, Reading::Verify).expect("there is one");
    assert_eq!(
        (backup.server.as_str(), backup.set.age_seconds, backup.places.as_slice()),
        ("SQL01", Some(7200), &[PLACE.to_owned()][..])
    );
    assert_eq!(backup.verdict, Verdict::Valid);
    assert!(!server.was_sent("BACKUP DATABASE"));
    assert!(found(&mut Scripted::sound().on("msdb.dbo.backupset", nothing()), Reading::Verify).is_none());
}

/// A restore adds a row to msdb, of a backup that may be older than others: the newest is what ended last.
#[test]
fn the_newest_is_what_ended_last_and_ours_is_known_by_its_name() {
    let part = |sets| tsql::history("it's", sets).split_once("WHERE ").map(|(_, part)| part.to_owned());
    let of = |more: &str| {
        Some(format!("s.database_name = N'it''s' AND {more} ORDER BY s.backup_finish_date DESC, s.backup_set_id DESC"))
    };
    assert_eq!(part(Sets::Full), of("s.type = 'D'"));
    assert_eq!(part(Sets::Ours), of("s.type = 'D' AND s.name LIKE N'sitebackup %'"));
    assert_eq!(part(Sets::Named("x'y")), of("s.name = N'x''y'"));
}

/// A maintenance plan appends by default: that another set in the file is valid says nothing of the newest.
#[test]
fn the_set_is_read_that_is_meant_and_else_all_of_a_file() {
    let third = rows(&[[&SET[..], &[("position", "3")]].concat()]);
    let mut server = Scripted::sound().on("msdb.dbo.backupset", third);
    assert_eq!(found(&mut server, Reading::Verify).expect("one").verdict, Verdict::Valid);
    let read = |server: &Scripted| {
        let read = server.sent.iter().filter_map(|sql| sql.split_once("VERIFYONLY").map(|(_, of)| of));
        read.filter_map(|of| of.split_once("WITH ")).map(|(_, with)| with.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(read(&server), ["FILE = 3, CHECKSUM"]);
    let mut server = Scripted::sound().on("HEADERONLY", rows(&[HEADER.to_vec(), HEADER.to_vec()]));
    verify_all(&mut server, &[PLACE.to_owned()]).expect("all are valid");
    assert_eq!(read(&server), ["FILE = 1, CHECKSUM", "FILE = 2, CHECKSUM"]);
    // Where no header is shown there is still something to read.
    let mut server = Scripted::sound().on("HEADERONLY", nothing());
    verify_all(&mut server, &[PLACE.to_owned()]).expect("it is valid");
    assert_eq!(read(&server), ["FILE = 1, CHECKSUM"]);
}

#[test]
fn what_was_not_read_is_not_called_valid() {
    assert!(matches!(found(&mut Scripted::sound(), Reading::Skip).expect("one").verdict, Verdict::NotRead(_)));
    let mut tape =
        Scripted::sound().on("msdb.dbo.backupmediafamily", rows(&[vec![("place", "{0F-VDI}"), ("device_type", "7")]]));
    assert!(matches!(found(&mut tape, Reading::Verify).expect("one").verdict, Verdict::NotRead(_)));
    let mut nowhere = Scripted::sound().on("msdb.dbo.backupmediafamily", nothing());
    assert!(matches!(found(&mut nowhere, Reading::Verify).expect("one").verdict, Verdict::NotRead(_)));
    let mut gone = Scripted::sound().on("VERIFYONLY", failure(&[(3201, "Cannot open"), (3013, "terminating")]));
    let Verdict::Faulty(messages) = found(&mut gone, Reading::Verify).expect("one").verdict else {
        panic!("it is gone")
    };
    assert_eq!(messages.len(), 2);
}
