//! Errors in pairs, connections that are lost, wishes to stop, passwords that are wrong.

use backup_core::cancel::Cancel;
use backup_core::secret::Secret;
use sql_dump::sqlserver::{Placement, Reading, RestoreOrder, SqlServer, SqlServerError, Verdict};
use tds_server::{Column, Event, Gate, Script, Step, Type, done, error, info, more, table};

use super::sample::{PLACE, history, percent, processed, script};
use super::{DRIVERS, Driver, Lab, connection, numbers};

const ABNORMAL: &str = "BACKUP DATABASE is terminating abnormally.";

fn refused(lab: &Lab) -> SqlServerError {
    lab.back_up().0.map(|taken| panic!("{:?}: {taken:?}", lab.driver)).expect_err("it is refused")
}

#[test]
fn both_errors_of_a_pair_are_kept() {
    for driver in DRIVERS {
        for (number, text) in
            [(3271, "A nonrecoverable I/O error"), (3201, "Cannot open backup device"), (18204, "failed to create")]
        {
            let steps = vec![percent(10), percent(20), error(number, text), error(3013, ABNORMAL), done()];
            let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
            let error = refused(&lab);
            assert_eq!(numbers(&error), [number, 3013], "{driver:?}: {error}");
            assert!(error.to_string().contains(text) && error.to_string().contains(ABNORMAL), "{driver:?}: {error}");
        }
    }
}

/// The second error of a pair may come in a statement of its own.
#[test]
fn the_second_error_is_not_missed() {
    for driver in DRIVERS {
        let steps = vec![percent(10), more(), error(3271, "I/O error"), more(), error(3013, ABNORMAL), done()];
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
        let error = refused(&lab);
        assert_eq!(numbers(&error).first(), Some(&3271), "{driver:?}: {error}");
        assert_eq!(numbers(&error), SECOND, "{driver:?}: {error}");
    }
}

/// What is listed before an error is not all that there is.
#[test]
fn an_error_behind_rows_is_an_error() {
    for driver in DRIVERS {
        let listed = vec![
            table(
                vec![Column::new("LogicalName", Type::NVarChar(128))],
                vec![vec!["CM_P01".into()], vec!["more".into()]],
            ),
            error(3203, "Read on the backup device failed"),
            done(),
        ];
        let lab = Lab::new(driver, script().on("RESTORE FILELISTONLY", listed));
        let error = lab.sql_server().files(&[PLACE.to_owned()]).expect_err("it is refused");
        assert_eq!(numbers(&error), [3203], "{driver:?}: {error}");
    }
}

const SECOND: [i32; 2] = [3271, 3013];

#[test]
fn a_connection_that_is_lost_is_a_failed_backup() {
    for driver in DRIVERS {
        for live in [false, true] {
            let mut steps = vec![percent(10)];
            steps.extend(live.then(more));
            steps.extend([Step::Flush, Step::Drop]);
            let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
            let error = refused(&lab);
            assert!(matches!(error, SqlServerError::Lost { .. }), "{driver:?}, live {live}: {error:?}");
        }
    }
}

/// A wish to stop reaches the server, whether the driver waits for the first message or for the next.
#[test]
fn a_wish_to_stop_reaches_the_server() {
    for driver in DRIVERS {
        for steps in [
            vec![Step::WaitForAttention, done()],
            vec![percent(10), more(), Step::WaitForAttention, processed(), done()],
        ] {
            let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
            std::thread::scope(|scope| {
                let backup = scope.spawn(|| lab.back_up().0);
                let began = |event: &Event| matches!(event, Event::Batch { sql, .. } if sql.starts_with("BACKUP"));
                assert!(lab.server.wait_for(began), "{driver:?}");
                lab.cancel.cancel();
                let error = backup.join().expect("it did not panic").expect_err("it was stopped");
                assert!(matches!(error, SqlServerError::Cancelled { .. }), "{driver:?}: {error:?}");
            });
            assert_eq!(lab.server.attentions(), 1, "{driver:?}");
        }
    }
}

#[test]
fn no_error_is_no_proof() {
    for driver in DRIVERS {
        let silent = Lab::new(driver, script().on("BACKUP DATABASE", vec![percent(100), done()]));
        assert!(matches!(refused(&silent), SqlServerError::Unproven { .. }), "{driver:?}");
        let other =
            Lab::new(driver, script().on_part("msdb.dbo.backupset", history("00000000-0000-0000-0000-000000000000")));
        assert!(matches!(refused(&other), SqlServerError::Unproven { .. }), "{driver:?}");
    }
}

#[test]
fn a_wrong_password_is_said_without_saying_it() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script().password("the right one"));
        let string = driver.connection_string(&lab.server, "the.wrong.one");
        let server = SqlServer::new(connection(&string), lab.cancel.clone());
        let error = server.check("CM_P01").expect_err("it is refused");
        let text = format!("{error} {error:?} {server:?}");
        assert!(text.contains("18456") || text.contains("Login failed"), "{driver:?}: {text}");
        assert!(!text.contains("the.wrong.one"), "{driver:?}: {text}");
    }
}

/// What a server says may hold anything, such as the connection string of a linked server.
#[test]
fn a_server_that_says_the_password_is_not_repeated() {
    for driver in DRIVERS {
        let said = format!("cannot log in with {}", Script::PASSWORD);
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", vec![error(18456, &said), done()]));
        let error = refused(&lab);
        assert!(error.to_string().contains("cannot log in with"), "{driver:?}: {error}");
        assert!(!format!("{error} {error:?}").contains(Script::PASSWORD), "{driver:?}: {error:?}");
    }
}

/// Who stopped before it began has the server do nothing.
#[test]
fn nothing_is_sent_after_a_wish_to_stop() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script());
        lab.cancel.cancel();
        let error = refused(&lab);
        assert!(matches!(error, SqlServerError::Cancelled { .. }), "{driver:?}: {error:?}");
        assert_eq!(lab.server.batches(), [""; 0], "{driver:?}");
    }
}

/// With stars for each of its letters the text would still say which letter it is.
#[test]
fn a_password_of_one_letter_is_not_said_either() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script().password("the right one"));
        let server = SqlServer::new(connection(&driver.connection_string(&lab.server, "")), lab.cancel.clone());
        assert!(!server.has_password());
        let server = server.with_password(&Secret::new("a"));
        assert!(server.has_password());
        let error = server.check("CM_P01").expect_err("it is refused");
        assert!(error.to_string().contains(" what was said is withheld"), "{driver:?}: {error}");
        assert!(!format!("{error} {error:?}").contains("'sa'"), "{driver:?}: {error:?}");
    }
}

#[test]
fn a_driver_that_is_not_there_is_said_with_those_that_are() {
    let string = connection("Driver={No Such Driver};Server=127.0.0.1;UID=sa;PWD=x");
    match SqlServer::new(string, Cancel::default()).check("CM_P01").expect_err("it is not there") {
        SqlServerError::NoDriver { name, installed } => {
            assert_eq!(name, "No Such Driver");
            assert!(installed.contains(&"FreeTDS".to_owned()), "{installed:?}");
        }
        error => panic!("{error:?}"),
    }
}

/// A server without encryption is not talked to in the clear unless the connection string allows it.
#[test]
fn encryption_that_is_not_there_is_not_done_without() {
    let lab = Lab::new(Driver::Microsoft, script());
    let string =
        Driver::Microsoft.connection_string(&lab.server, Script::PASSWORD).replace("Encrypt=no", "Encrypt=yes");
    let error = SqlServer::new(connection(&string), lab.cancel.clone()).check("CM_P01").expect_err("it is refused");
    assert!(matches!(error, SqlServerError::Connect(_)), "{error}");
    assert!(!lab.server.heard().iter().any(|event| matches!(event, Event::Login { .. })), "no password was sent");
}

/// The connection string of a site names its database. Nobody logs in to one that is not there yet, and nobody replaces one that it is in (3102).
#[test]
fn no_connection_is_to_the_database_itself() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script());
        let strings = ["Database=CM_P01", "APP=x"].map(|named| {
            let string = driver.connection_string(&lab.server, Script::PASSWORD);
            connection(&string.replace("Database=master", named))
        });
        for string in strings {
            let server = SqlServer::new(string, lab.cancel.clone());
            server.inspect("CM_P01").unwrap_or_else(|error| panic!("{driver:?}: {error}"));
            server.restore(&RestoreOrder::new(PLACE, "CM_P01"), &|_| {}).unwrap_or_else(|error| panic!("{error}"));
        }
        let heard = lab.server.heard();
        let logins: Vec<_> = heard.iter().filter(|event| matches!(event, Event::Login { .. })).collect();
        let is_master = |event: &&&Event| matches!(event, Event::Login { database, .. } if database == "master");
        assert_eq!(logins.iter().filter(is_master).count(), logins.len(), "{driver:?}: {logins:?}");
    }
}

#[test]
fn a_restore_is_read_to_its_end_and_checked() {
    for driver in DRIVERS {
        let fault = vec![info(2593, "There are 3 rows"), error(8928, "Page (1:153)"), error(8990, "2 errors"), done()];
        let restored =
            vec![percent(50), more(), percent(100), more(), info(3014, "RESTORE DATABASE successfully"), done()];
        let lab = Lab::new(driver, script().on("RESTORE DATABASE", restored).on("DBCC CHECKDB", fault));
        let placement = Placement::Folders { data: "/data".to_owned(), log: "/log".to_owned() };
        let order = RestoreOrder { placement, ..RestoreOrder::new(PLACE, "sitebackup_rehearsal_1") };
        let restored = lab.sql_server().restore(&order, &|_| {}).unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        assert_eq!(restored.faults, ["8928 Page (1:153)", "8990 2 errors"], "{driver:?}");
        let sent =
            lab.server.batches().into_iter().find(|sql| sql.starts_with("RESTORE DATABASE")).expect("it was sent");
        assert!(sent.contains("MOVE N'Größe 🦀' TO N'/data/sitebackup_rehearsal_1_2.ndf'"), "{driver:?}: {sent}");
        assert_eq!(lab.server.attentions(), 0, "{driver:?}");
    }
}

#[test]
fn a_backup_of_others_is_found_and_read() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script());
        let found =
            lab.sql_server().newest_backup("CM_P01", Reading::Verify).expect("the server answers").expect("one");
        assert_eq!(
            (found.set.age_seconds, found.places, found.verdict),
            (Some(7200), vec![PLACE.to_owned()], Verdict::Valid)
        );
    }
}

/// A gate that nobody opens is passed when the client goes away, so that no test hangs.
#[test]
fn a_client_that_goes_away_ends_its_session() {
    let lab = Lab::new(Driver::FreeTds, script().on("DBCC CHECKDB", vec![Step::Flush, Step::Drop]));
    assert!(matches!(lab.sql_server().check("CM_P01"), Err(SqlServerError::Lost { .. })));
    lab.server.open(Gate(1));
    assert!(lab.server.wait_for(|event| matches!(event, Event::Gone { .. })));
}
