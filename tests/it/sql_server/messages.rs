//! Messages are read to the end, however the server sends them, and tell how far it has come.

use backup_core::secret::Secret;
use sql_dump::sqlserver::SqlServer;
use std::sync::Mutex;

use odbc_api::{ConnectionOptions, environment};
use tds_server::{Gate, Step, done, info, more};

use super::sample::{percent, processed, script};
use super::{DRIVERS, Driver, Lab};

/// Each message ends a statement of its own and goes out at once.
fn live(steps: &[Step]) -> Vec<Step> {
    let mut live: Vec<Step> = steps.iter().flat_map(|step| [step.clone(), more()]).collect();
    live.push(done());
    live
}

#[test]
fn messages_that_are_held_to_the_end_are_all_read() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script());
        let (taken, percents) = lab.back_up();
        let taken = taken.unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        let numbers: Vec<i32> = taken.messages.iter().map(|message| message.number).collect();
        assert_eq!(
            numbers.iter().filter(|number| [3211, 3014, 3262].contains(*number)).count(),
            4,
            "{driver:?}: {numbers:?}"
        );
        assert_eq!(percents.last(), Some(&100), "{driver:?}");
        assert_eq!((taken.set.size, taken.files[2].logical.as_str()), (8 << 30, "Größe 🦀"), "{driver:?}");
        assert_eq!(taken.facts.size, 1 << 40, "{driver:?}");
        assert_eq!(lab.server.attentions(), 0, "{driver:?}");
    }
}

/// The server goes on only when the message before was heard, so this ends only if each is heard when it comes.
#[test]
fn messages_that_come_live_are_heard_live() {
    for driver in DRIVERS {
        let mut steps = Vec::new();
        for gate in 1..=4 {
            steps.extend([percent(u8::try_from(gate).expect("small") * 25), more(), Step::Wait(Gate(gate))]);
        }
        steps.extend([processed(), more(), done()]);
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
        let taken = lab.back_up_watched(&|progress| lab.server.open(Gate(u32::from(progress.percent) / 25)));
        taken.unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        assert_eq!(lab.server.attentions(), 0, "{driver:?}");
    }
}

/// The trap: a statement that is dropped after its first message takes the backup with it.
#[test]
fn the_naive_way_stops_a_backup_and_ours_does_not() {
    for driver in DRIVERS {
        let steps = live(&[percent(50), percent(100), processed()]);
        let stoppable: Vec<Step> = [&steps[..2], &[Step::Wait(Gate(1))], &steps[2..]].concat();
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", stoppable));
        let connection = lab.driver.by_library(&lab.server);
        let environment = environment().expect("an environment");
        let naive = environment.connect_with_connection_string(&connection, ConnectionOptions::default());
        let naive = naive.expect("a connection");
        let result = naive.execute("BACKUP DATABASE [CM_P01] TO DISK = N'x'", (), None);
        assert!(result.expect("it reports no error").is_none(), "{driver:?}");
        drop(naive);
        assert_eq!(lab.server.attentions(), 1, "{driver:?}: the naive way stopped the backup");

        let lab = Lab::new(driver, script().on("BACKUP DATABASE", steps));
        let (taken, _) = lab.back_up();
        assert!(taken.is_ok(), "{driver:?}: {taken:?}");
        assert_eq!(lab.server.attentions(), 0, "{driver:?}");
    }
}

#[test]
fn percents_out_of_order_never_go_back() {
    for driver in DRIVERS {
        let steps = [percent(75), percent(100), percent(25), percent(50), processed()];
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", live(&steps)));
        let (taken, percents) = lab.back_up();
        taken.unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        assert_eq!(percents, [75, 100], "{driver:?}");
    }
}

/// Where the server holds its messages back, another connection tells how far it has come.
#[test]
fn another_connection_tells_how_far_it_has_come() {
    for driver in DRIVERS {
        let held = vec![percent(30), Step::Flush, Step::Wait(Gate(1)), processed(), done()];
        let asked = super::sample::one_row(&[
            ("percent_complete", tds_server::Value::Int(40)),
            ("left_ms", tds_server::Value::Int(90_000)),
            ("wait_type", "BACKUPIO".into()),
        ]);
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", held).on_part("sys.dm_exec_requests", asked));
        let seen = Mutex::new(Vec::new());
        let taken = lab.back_up_watched(&|progress| {
            if progress.left.is_some() {
                lab.server.open(Gate(1));
            }
            seen.lock().expect("no one panicked").push(progress);
        });
        taken.unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        let seen = seen.into_inner().expect("no one panicked");
        let told = seen.iter().find(|progress| progress.left.is_some()).expect("it was told");
        assert_eq!((told.percent, told.waits_for.as_deref()), (40, Some("BACKUPIO")), "{driver:?}");
    }
}

/// What it says of the percents never takes back what a message said; the time that is left is news all the same. One that was lost is opened anew.
#[test]
fn another_connection_adds_to_what_messages_say() {
    for driver in DRIVERS {
        let live = vec![percent(30), more(), Step::Wait(Gate(1)), processed(), done()];
        let behind = super::sample::one_row(&[
            ("percent_complete", tds_server::Value::Int(20)),
            ("left_ms", tds_server::Value::Int(90_000)),
            ("wait_type", tds_server::Value::Null),
        ]);
        let mut was_lost = false;
        let asked = script().on("BACKUP DATABASE", live).when(move |sql| {
            let answer = || match std::mem::replace(&mut was_lost, true) {
                false => vec![Step::Flush, Step::Drop],
                true => behind.clone(),
            };
            sql.contains("sys.dm_exec_requests").then(answer)
        });
        let (lab, seen) = (Lab::new(driver, asked), Mutex::new(Vec::new()));
        let taken = lab.back_up_watched(&|progress| {
            if progress.left.is_some() {
                lab.server.open(Gate(1));
            }
            seen.lock().expect("no one panicked").push((progress.percent, progress.left.is_some()));
        });
        taken.unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        let seen = seen.into_inner().expect("no one panicked");
        assert_eq!((seen.first(), seen.get(1)), (Some(&(30, false)), Some(&(30, true))), "{driver:?}: {seen:?}");
    }
}

/// The watching connection may be forbidden to look; the backup is taken all the same.
#[test]
fn who_may_not_watch_still_gets_a_backup() {
    let forbidden = vec![tds_server::error(300, "VIEW SERVER STATE permission was denied"), done()];
    let held = vec![Step::Wait(Gate(1)), processed(), done()];
    let lab =
        Lab::new(Driver::FreeTds, script().on("BACKUP DATABASE", held).on_part("sys.dm_exec_requests", forbidden));
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.back_up().0);
        let asks = |event: &tds_server::Event| matches!(event, tds_server::Event::Batch { sql, .. } if sql.contains("dm_exec"));
        assert!(lab.server.wait_for(asks), "it is asked");
        lab.server.open(Gate(1));
        assert!(backup.join().expect("it did not panic").is_ok());
    });
}

/// A second connection that gets no answer holds up no backup that is done.
#[test]
fn a_watch_without_an_answer_is_given_up_at_the_end() {
    for driver in DRIVERS {
        let held = vec![Step::Wait(Gate(1)), processed(), done()];
        let silent = vec![Step::Wait(Gate(2)), done()];
        let lab = Lab::new(driver, script().on("BACKUP DATABASE", held).on_part("sys.dm_exec_requests", silent));
        std::thread::scope(|scope| {
            let backup = scope.spawn(|| lab.back_up().0);
            let asks = |event: &tds_server::Event| matches!(event, tds_server::Event::Batch { sql, .. } if sql.contains("dm_exec"));
            assert!(lab.server.wait_for(asks), "{driver:?}: it is asked");
            lab.server.open(Gate(1));
            backup.join().expect("it did not panic").unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        });
        assert_eq!(lab.server.attentions(), 1, "{driver:?}: the watch was given up, and nothing else");
    }
}

/// Texts of any script go both ways, whatever the locale is.
#[test]
fn names_of_any_script_arrive() {
    for driver in DRIVERS {
        let lab = Lab::new(
            driver,
            script().on("BACKUP DATABASE", vec![info(3211, "50 Prozent – größer 🦀"), processed(), done()]),
        );
        let order = sql_dump::sqlserver::BackupOrder::new("CM_P01", "/bk/Größe 漢字 🦀 ]'.bak", super::sample::NAME);
        let taken = lab.sql_server().backup(&order, &|_| {}).unwrap_or_else(|error| panic!("{driver:?}: {error}"));
        let sent = lab.server.batches().into_iter().find(|sql| sql.starts_with("BACKUP")).expect("it was sent");
        assert!(sent.contains("N'/bk/Größe 漢字 🦀 ]''.bak'"), "{driver:?}: {sent}");
        assert!(
            taken.messages.iter().any(|message| message.text == "50 Prozent – größer 🦀"),
            "{driver:?}: {taken:#?}"
        );
    }
}

#[test]
fn passwords_of_any_script_arrive() {
    for driver in DRIVERS {
        let lab = Lab::new(driver, script().password("Größe 漢字 🦀"));
        let string = super::connection(&driver.connection_string(&lab.server, "x"));
        let string = string.with_password(&Secret::new("Größe 漢字 🦀"));
        let checked = SqlServer::new(string, lab.cancel.clone()).check("CM_P01");
        assert_eq!(checked.unwrap_or_else(|error| panic!("{driver:?}: {error}")), Vec::<String>::new(), "{driver:?}");
    }
}
