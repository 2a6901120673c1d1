use std::sync::Arc;
use std::time::Duration;

use backup_core::copy::Previous;
use backup_core::manifest::FileRecord;
use backup_core::path::RelPath;
use backup_core::ports::clock::Clock;
use backup_core::ports::shadow_copies::{Consistency, ShadowCopyError};
use backup_core::ports::site_files::FileTime;

use super::actor::{Acts, Ear, Site, source};
use super::staging::StrictStaging;
use super::tree::Edit::{Directory, Link, Mode, Remove, Rename, Replace, Store, Symlink, Wait, Write};
use super::tree::{Edit, at};

fn file(path: &'static str, content: &str) -> Edit {
    Write(path, content.as_bytes().to_vec())
}

fn small_site() -> Site {
    Site::settled([
        file("/site/a", "aaaa"),
        file("/site/b", "bb"),
        Directory("/site/d"),
        file("/site/d/c", "c"),
        Symlink("d/c", "/site/l"),
        Link("/site/a", "/site/z"),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_quiet_site_is_read_before_the_window_and_not_in_it() {
    let site = small_site();
    site.tree.special("/site/pipe");
    let made = site.backup(Acts::default()).await;
    site.assert_holds(&made);
    assert_eq!(site.tree.take_opened(), [""; 0]);
    assert_eq!(made.set.provider, "pre-copy");
}

#[tokio::test(start_paused = true)]
async fn the_window_reads_what_changed_and_nothing_else() {
    let changes: [(Edit, &[&str]); 8] = [
        (file("/site/b", "BB"), &["/site/b"]),
        (file("/site/new", "n"), &["/site/new"]),
        (Mode("/site/b", 0o600), &["/site/b"]),
        (Remove("/site/b"), &[]),
        (Rename("/site/b", "/site/c"), &["/site/c"]),
        (Rename("/site/d", "/site/e"), &[]),
        (Replace("/site/b", b"BB".to_vec()), &["/site/b"]),
        (Symlink("b", "/site/link"), &[]),
    ];
    for (edit, read) in changes {
        let site = small_site();
        let made = site.backup(Acts { freeze: vec![edit.clone()], ..Acts::default() }).await;
        site.assert_holds(&made);
        let expected: Vec<String> = read.iter().map(|path| (*path).to_owned()).collect();
        // A renamed folder keeps its files, which were never seen at their new place.
        let expected = if edit == Rename("/site/d", "/site/e") { vec!["/site/e/c".to_owned()] } else { expected };
        assert_eq!(site.tree.take_opened(), expected, "{edit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_may_turn_into_anything() {
    let turns: [&[Edit]; 7] = [
        &[Remove("/site/b"), Directory("/site/b"), file("/site/b/x", "x")],
        &[Remove("/site/d"), file("/site/d", "now a file")],
        &[Remove("/site/d"), Symlink("b", "/site/d")],
        &[Remove("/site/l"), file("/site/l", "now a file")],
        &[Remove("/site/b"), Symlink("a", "/site/b")],
        &[Remove("/site/l"), Directory("/site/l")],
        &[Rename("/site/d", "/site/o"), Directory("/site/d"), Rename("/site/o", "/site/d/o")],
    ];
    for turn in turns {
        let site = small_site();
        let made = site.backup(Acts { freeze: turn.to_vec(), ..Acts::default() }).await;
        site.assert_holds(&made);
    }
}

#[tokio::test(start_paused = true)]
async fn names_of_one_file_stay_names_of_one_file() {
    let changes: [&[Edit]; 7] = [
        &[file("/site/a", "changed")],
        &[file("/site/z", "changed")],
        &[Remove("/site/a")],
        &[Remove("/site/z")],
        &[Link("/site/a", "/site/d/y")],
        &[Replace("/site/z", b"other".to_vec())],
        &[Replace("/site/a", b"other".to_vec()), Link("/site/b", "/site/0")],
    ];
    for change in changes {
        let site = small_site();
        let made = site.backup(Acts { freeze: change.to_vec(), ..Acts::default() }).await;
        site.assert_holds(&made);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rewrite_of_the_same_size_within_a_tick_is_found() {
    let site = Site::settled([]);
    site.tree.edit(file("/site/a", "1"));
    let before = site.tree.stat("/site/a");
    // Right after the pass has read the file.
    site.tree.plan(11, file("/site/a", "2"));
    let made = site.backup(Acts::default()).await;
    assert_eq!(site.tree.stat("/site/a"), before, "nothing tells the two from each other");
    assert_eq!(made.frozen[&at("/site/a")].1, b"2");
    site.assert_holds(&made);
}

#[tokio::test(start_paused = true)]
async fn a_second_store_through_a_mapping_is_found() {
    // The page is dirty since long ago, so that only the sync of the pass makes a further store leave a time.
    let site = Site::settled([file("/site/a", "1"), Store("/site/a", b'2')]);
    let made = site.backup(Acts { freeze: vec![Store("/site/a", b'3')], ..Acts::default() }).await;
    assert_eq!(made.frozen[&at("/site/a")].1, b"3");
    site.assert_holds(&made);
    // The page becomes dirty between the sync and the walk of the pass, so that a further store leaves no time at all.
    let site = Site::settled([file("/site/a", "1")]);
    site.tree.plan(3, Store("/site/a", b'2'));
    let made = site.backup(Acts { freeze: vec![Store("/site/a", b'3')], ..Acts::default() }).await;
    assert_eq!(made.frozen[&at("/site/a")].1, b"3");
    site.assert_holds(&made);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_looks_the_same_is_another_file() {
    let site = small_site();
    let made = site.backup(Acts { freeze: vec![Replace("/site/b", b"BB".to_vec())], ..Acts::default() }).await;
    assert_eq!(made.frozen[&at("/site/b")].1, b"BB");
    site.assert_holds(&made);
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_inside_the_window_is_told_loudly() {
    let edits = [
        file("/site/b", "BB"),
        file("/site/b", "longer than before"),
        file("/site/new", "n"),
        Remove("/site/b"),
        Rename("/site/b", "/site/c"),
        Mode("/site/d", 0o700),
        Store("/site/b", b'x'),
        Symlink("b", "/site/link"),
    ];
    for edit in edits {
        let site = small_site();
        // Two calls of the sync, eight of the first walk; the second walk begins with the next one.
        let made = site.backup(Acts { inside: vec![(11, edit.clone())], ..Acts::default() }).await;
        assert_eq!(made.set.consistency, Consistency::None, "{edit:?}");
        assert!(made.set.weaker[0].contains("changed inside the freeze window: `/site/"), "{:?}", made.set.weaker);
        assert!(!made.problems.is_empty(), "{edit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_while_the_window_reads_it_is_told() {
    let site = small_site();
    let acts = Acts {
        freeze: vec![file("/site/b", "0123456789")],
        inside: vec![(20, file("/site/b", "9876543210"))],
        ..Acts::default()
    };
    let made = site.backup(acts).await;
    assert_eq!(made.set.consistency, Consistency::None);
    assert_eq!(made.problems[0].path, at("/site/b"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_backed_up_may_change_inside_the_window() {
    let mut site = Site::settled([Directory("/site/d"), file("/site/d/log", "1"), file("/site/a", "a")]);
    site.sources[0].0.skip = vec![at("/site/d/log")];
    let acts = Acts { inside: vec![(8, Replace("/site/d/log", b"2".to_vec()))], ..Acts::default() };
    let made = site.backup(acts).await;
    assert_eq!((made.set.consistency, &made.set.weaker[..]), (Consistency::Application, &[][..]));
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_told_in_part() {
    let site = small_site();
    let names: Vec<&'static str> = (0..150).map(|n| &*Box::leak(format!("/site/n{n}").into_boxed_str())).collect();
    let inside = names.into_iter().map(|name| (11, file(name, ""))).collect();
    let made = site.backup(Acts { inside, ..Acts::default() }).await;
    // The folder's own times moved too, which is no change of its own.
    assert!(made.set.weaker[0].starts_with("the files are of different moments: 150 changed"), "{:?}", made.set.weaker);
    assert_eq!(made.problems.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_problem_and_no_record() {
    let mut site = small_site();
    site.tree.special("/site/socket");
    site.tree.set_unreadable("/site/a");
    site.tree.set_unreadable("/site/b");
    site.sources.push((source("/gone"), "G"));
    site.sources[0].0.exclude.push("/unlistable".to_owned());
    let made = site.backup(Acts::default()).await;
    let problems: Vec<String> =
        made.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
    let refused = |path| format!("{path}: failed to open `{path}`: permission denied");
    let expected = ["/gone: `/gone` does not exist".to_owned(), "/site: cannot be listed".to_owned()];
    assert_eq!(problems[..4], [&expected[..], &[refused("/site/a"), refused("/site/b")]].concat());
    assert!(problems[4].starts_with("/site/z: "), "the other name of a file that cannot be read");
    let places: Vec<String> = made.records.iter().map(|record| record.path.to_string()).collect();
    assert_eq!(places, ["S", "S/d", "S/d/c", "S/l"]);
    assert_eq!(made.set.consistency, Consistency::Application);
}

/// Found by a pass already, and told all the same: the window looks again.
#[tokio::test(start_paused = true)]
async fn a_folder_whose_attributes_cannot_be_read_is_told() {
    let site = small_site();
    site.tree.set_unreadable("/site/d");
    let made = site.backup(Acts::default()).await;
    let told: Vec<String> = made.problems.iter().map(|problem| problem.path.to_string()).collect();
    assert_eq!(told, ["/site/d"]);
    assert!(made.records.iter().any(|record| record.path.to_string() == "S/d"), "it is backed up all the same");
}

/// The small site with a first backup, whose files `store` puts into the previous snapshot.
async fn after_a_backup(store: impl Fn(&FileRecord, Vec<u8>) -> (Vec<u8>, FileTime)) -> Site {
    let mut site = small_site();
    let first = site.backup(Acts::default()).await;
    site.tree.edit(Wait(Duration::from_secs(60)));
    let contents = first.records.iter().filter(|record| record.hash.is_some()).map(|record| {
        let below = record.path.strip_prefix(&RelPath::parse("S").expect("a name")).expect("below it");
        (record.path.clone(), store(record, first.frozen[&at("/site").join(&below)].1.clone()))
    });
    site.staging = StrictStaging::after(contents);
    site.previous = Arc::new(Previous::new(first.records.clone(), site.tree.now()));
    site
}

#[tokio::test(start_paused = true)]
async fn the_previous_snapshot_is_taken_over_and_never_written_to() {
    let site = after_a_backup(|record, content| (content, record.modified)).await;
    site.tree.edit(file("/site/d/c", "C"));
    site.tree.edit(Wait(Duration::from_secs(60)));
    let made = site.backup(Acts { freeze: vec![file("/site/b", "changed")], ..Acts::default() }).await;
    site.assert_holds(&made);
    // `a` with its other name; `b` was taken over too until it changed.
    assert_eq!(site.staging.reused(), 2);
    assert_eq!(site.previous.altered(), []);
}

#[tokio::test(start_paused = true)]
async fn what_was_altered_in_the_previous_snapshot_is_copied_anew() {
    let later = |time: FileTime| FileTime(time.0 + 60, time.1);
    let site = after_a_backup(|record, content| (vec![b'#'; content.len()], later(record.modified))).await;
    let made = site.backup(Acts::default()).await;
    site.assert_holds(&made);
    assert_eq!(site.staging.reused(), 0);
    let altered: Vec<String> = site.previous.altered().iter().map(ToString::to_string).collect();
    assert_eq!(altered, ["S/a", "S/b", "S/d/c"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_rest_is_copied_before_the_window() {
    let site = small_site();
    let rest = vec![file("/site/b", "written while stopping"), Wait(Duration::from_secs(10))];
    let made = site.backup(Acts { rest, ..Acts::default() }).await;
    site.assert_holds(&made);
    assert_eq!(site.tree.take_opened(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_never_rests_gets_a_bounded_number_of_passes() {
    let site = small_site();
    let names: Vec<&'static str> = (0..100).map(|n| &*Box::leak(format!("/site/n{n}").into_boxed_str())).collect();
    for (number, name) in names.iter().cycle().take(100_000).enumerate() {
        site.tree.plan(number / 2, Write(name, vec![0; number % 10]));
    }
    let made = site.backup(Acts::default()).await;
    site.assert_holds(&made);
    assert!(site.tree.walks() <= 7, "five passes and the window");
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_stop_is_heard_between_passes() {
    let mut site = Site::settled((0..100).map(|n| file(Box::leak(format!("/site/n{n}").into_boxed_str()), "n")));
    site.ear = Arc::new(Ear { stop_at: Some("pass 1"), ..Ear::default() });
    let error = site.try_backup(Acts::default()).await.expect_err("somebody wished it");
    assert!(matches!(error, ShadowCopyError::Cancelled));
    assert_eq!(site.tree.walks(), 1);
    assert_eq!(site.ear.lines.lock().unwrap()[0], "pre-copy pass 1: 101 files, 100 bytes");
}

#[tokio::test(start_paused = true)]
async fn a_full_destination_ends_the_session() {
    let site = small_site();
    site.staging.fill_up();
    let error = site.try_backup(Acts::default()).await.expect_err("it is full");
    assert!(matches!(error, ShadowCopyError::Write(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn sources_do_not_share_a_place() {
    let mut site = small_site();
    site.sources.push((source("/site/d"), "S/x"));
    let error = site.try_backup(Acts::default()).await.expect_err("`S` holds all of `/site`");
    assert_eq!(
        backup_core::copy::chain(&error),
        "provider `pre-copy` failed to place the sources: `S/x` would lie in `S`"
    );
    site.sources[1].1 = "S x";
    site.try_backup(Acts::default()).await.expect("another place");
}
