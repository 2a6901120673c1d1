//! The contract of [`Destination`]. What it hands out has suites of its own: [`staging`](super::staging) and
//! [`snapshot_files`](super::snapshot_files).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backup_core::manifest::Manifest;
use backup_core::path::SitePath;
use backup_core::ports::destination::{Destination, DestinationError, Holder, StoredSnapshot};
use backup_core::ports::journal::UnendedRecovery;
use backup_core::snapshot::RunId;
use tokio::task::yield_now;

use super::{
    SITE, SiteBench, blocking, content_of, describe, hold, is_refused, moment, rel, run, run_checks, seal, some_files,
    store,
};

const _: fn(&dyn Destination) = |_| ();

/// A destination to try, with a site to take files from.
pub trait DestinationBench: SiteBench {
    /// The destination of site `P01`, as a new process would open it, always of the same place.
    fn destination(&self) -> Arc<dyn Destination>;
    /// Makes a folder of this name, with a file in it and without our marker.
    fn put_foreign(&self, name: &str);
    /// Whether that folder is as it was made.
    fn is_untouched(&self, name: &str) -> bool;
    /// The log beside the snapshots, or in the folder of one.
    fn log(&self, snapshot: Option<&StoredSnapshot>) -> Option<Vec<u8>>;
    /// Makes a symbolic link in the folder of a snapshot; `false` where there is no such thing.
    fn plant_link(&self, folder: &SitePath, name: &str, target: &str) -> bool;
    /// Gives the folder of a snapshot another name; `false` where nobody can.
    fn rename(&self, folder: &SitePath, name: &str) -> bool;
    /// Damages the snapshot of `run` in this folder, in a way that a listing sees; `false` where nobody can.
    fn damage(&self, folder: &SitePath, run: RunId) -> bool;
    /// Takes all room; `false` where nobody can.
    fn fill(&self) -> bool;
}

/// Checks a destination.
pub async fn suite<B: DestinationBench>(make: impl Fn() -> B) {
    run_checks!(make: an_empty_place_has_nothing, what_is_not_sealed_is_not_listed, what_is_sealed_is_listed_at_once,
        the_oldest_run_is_listed_first, publishing_gives_the_final_name, publishing_twice_changes_nothing,
        both_are_listed_at_every_instant, a_foreign_folder_is_never_replaced, a_foreign_folder_is_never_removed,
        removing_takes_one_and_leaves_the_others, what_is_being_removed_is_not_listed, a_sweep_takes_what_was_never_sealed,
        amending_replaces_the_manifest_alone, amending_is_atomic, the_log_is_kept, no_name_hides_a_snapshot,
        what_is_not_there_is_named, an_unfinished_run_harms_nothing,
        one_holder_at_a_time, a_hold_is_no_snapshot, a_half_recovered_site_is_noted, what_is_damaged_is_told_and_left_alone);
}

async fn runs(destination: &dyn Destination) -> Vec<RunId> {
    destination.list().await.expect("listed").into_iter().map(|snapshot| snapshot.run).collect()
}

async fn published(destination: &dyn Destination) -> Vec<RunId> {
    let list = destination.list().await.expect("listed");
    list.into_iter().filter(|snapshot| snapshot.published).map(|snapshot| snapshot.run).collect()
}

/// Every listed snapshot is one of these, and whole.
async fn assert_whole(destination: &dyn Destination, expected: &[RunId]) {
    assert_eq!(runs(destination).await, expected);
    for run in expected {
        let snapshot = destination.open(*run).await.expect("what is listed opens");
        for (path, content) in some_files(&run.to_string()) {
            assert_eq!(content_of(&snapshot, &path).await, Some(content), "{path} of {run}");
        }
    }
}

async fn store_some(destination: &dyn Destination, run: RunId) -> Manifest {
    store(destination, run, &some_files(&run.to_string())).await
}

fn final_name() -> String {
    format!("{SITE}Backup")
}

fn is_missing<T>(result: &Result<T, DestinationError>, run: RunId) -> bool {
    matches!(result, Err(DestinationError::NoSnapshot(named)) if *named == run)
}

async fn an_empty_place_has_nothing(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let facts = destination.inspect().await.expect("inspected");
    assert!(facts.writable && facts.free > 0 && facts.foreign.is_none(), "{facts:?}");
    assert_eq!(runs(destination.as_ref()).await, []);
    assert_eq!(destination.sweep().await.expect("nothing to sweep"), 0);
    assert_eq!(bench.log(None), None, "inspecting and listing write nothing");
}

async fn what_is_not_sealed_is_not_listed(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let staging = destination.begin(run(1), None).await.expect("begun");
    for (path, content) in some_files("x") {
        staging.write(&path, &content, moment(0)).await.expect("written");
    }
    assert_eq!(runs(destination.as_ref()).await, []);
    assert!(is_missing(&destination.open(run(1)).await, run(1)), "there is no snapshot to open");
    let (manifest, list) = describe(run(1), &[]);
    let unlike = staging.seal(&manifest, &[&list[..], b"{}\n"].concat()).await;
    assert_eq!(runs(destination.as_ref()).await, [], "a manifest that names another list: {unlike:?}");
    let publishing = bench.destination();
    assert!(is_refused(async move { publishing.publish(run(1)).await }).await, "only what is sealed is published");
}

async fn what_is_sealed_is_listed_at_once(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let manifest = store_some(destination.as_ref(), run(1)).await;
    for process in [destination, bench.destination()] {
        let list = process.list().await.expect("listed");
        let [snapshot] = &list[..] else { panic!("one: {list:?}") };
        assert_eq!((snapshot.run, &snapshot.manifest, snapshot.published), (run(1), &manifest, false));
        assert_whole(process.as_ref(), &[run(1)]).await;
    }
}

async fn the_oldest_run_is_listed_first(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    for number in [3, 1, 4, 2] {
        store_some(destination.as_ref(), run(number)).await;
        if number == 3 || number == 1 {
            destination.publish(run(number)).await.expect("published");
        }
    }
    assert_whole(destination.as_ref(), &[1, 2, 3, 4].map(run)).await;
    assert_eq!(published(destination.as_ref()).await, [run(1)]);
}

async fn publishing_gives_the_final_name(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let manifest = store_some(destination.as_ref(), run(1)).await;
    let snapshot = destination.publish(run(1)).await.expect("published");
    assert_eq!((snapshot.run, &snapshot.manifest, snapshot.published), (run(1), &manifest, true));
    assert_eq!(snapshot.folder.name(), Some(final_name().as_bytes()));
    assert_eq!(destination.list().await.expect("listed"), [snapshot]);

    store_some(destination.as_ref(), run(2)).await;
    assert_eq!(published(destination.as_ref()).await, [run(1)], "sealing alone takes no name");
    let second = destination.publish(run(2)).await.expect("published");
    assert_eq!(second.folder.name(), Some(final_name().as_bytes()));
    let list = destination.list().await.expect("listed");
    assert_ne!(list[0].folder, list[1].folder);
    assert_eq!(list[1], second);
    assert_whole(destination.as_ref(), &[run(1), run(2)]).await;
    assert_eq!(published(destination.as_ref()).await, [run(2)]);
}

async fn publishing_twice_changes_nothing(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    store_some(destination.as_ref(), run(2)).await;
    for number in [1, 2, 1] {
        let first = destination.publish(run(number)).await.expect("published");
        let list = destination.list().await.expect("listed");
        assert_eq!(bench.destination().publish(run(number)).await.expect("published already"), first);
        assert_eq!(destination.list().await.expect("listed"), list);
    }
    assert_whole(destination.as_ref(), &[run(1), run(2)]).await;
}

async fn both_are_listed_at_every_instant(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    store_some(destination.as_ref(), run(2)).await;
    destination.publish(run(1)).await.expect("published");
    let done = Arc::new(AtomicBool::new(false));
    let (watcher, seen) = (bench.destination(), Arc::clone(&done));
    let watching = tokio::spawn(async move {
        loop {
            let last = seen.load(Ordering::SeqCst);
            assert_eq!(runs(watcher.as_ref()).await, [run(1), run(2)]);
            if last {
                return;
            }
            yield_now().await;
        }
    });
    for turn in 0..40 {
        destination.publish(run(turn % 2 + 1)).await.expect("published");
        yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    watching.await.expect("both were listed all the time");
}

async fn a_foreign_folder_is_never_replaced(bench: impl DestinationBench) {
    bench.put_foreign(&final_name());
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let foreign = destination.inspect().await.expect("inspected").foreign.expect("it stands in the way");
    assert_eq!(foreign.name(), Some(final_name().as_bytes()));
    assert_eq!(runs(destination.as_ref()).await, []);
    store_some(destination.as_ref(), run(1)).await;
    for _ in 0..2 {
        let error = destination.publish(run(1)).await.expect_err("never replaced");
        assert!(matches!(&error, DestinationError::Foreign(path) if *path == foreign), "{error}");
        assert!(bench.is_untouched(&final_name()));
    }
    assert_whole(destination.as_ref(), &[run(1)]).await;
    assert_eq!(published(destination.as_ref()).await, []);
}

async fn a_foreign_folder_is_never_removed(bench: impl DestinationBench) {
    // Names that ours could have, and one that the product has.
    let names = [format!(".sitebackup-{}", run(1)), format!("{}.old", final_name()), final_name()];
    names.iter().for_each(|name| bench.put_foreign(name));
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    destination.remove(run(1)).await.expect("nothing of this run is here");
    assert_eq!(destination.sweep().await.expect("swept"), 0);
    store_some(destination.as_ref(), run(2)).await;
    destination.remove(run(2)).await.expect("removed");
    destination.keep_log(None, b"log").await.expect("kept");
    // Whether a staging folder can be made beside it is the adapter's matter.
    drop(destination.begin(run(1), None).await);
    for name in &names {
        assert!(bench.is_untouched(name), "{name}");
    }
}

async fn removing_takes_one_and_leaves_the_others(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    for number in 1..=4 {
        store_some(destination.as_ref(), run(number)).await;
    }
    destination.publish(run(2)).await.expect("published");
    destination.publish(run(3)).await.expect("published");
    drop(destination.begin(run(5), None).await.expect("begun"));
    let mut left = vec![1, 2, 3, 4];
    for number in [5, 2, 3, 1] {
        destination.remove(run(number)).await.expect("removed");
        destination.remove(run(number)).await.expect("what is not there is no error");
        left.retain(|other| *other != number);
        let expected: Vec<RunId> = left.iter().copied().map(run).collect();
        assert_whole(destination.as_ref(), &expected).await;
        assert!(is_missing(&destination.open(run(number)).await, run(number)));
    }
    assert_eq!(destination.sweep().await.expect("swept"), 0, "nothing was left behind");
    store_some(destination.as_ref(), run(3)).await;
    assert_whole(destination.as_ref(), &[run(3), run(4)]).await;
}

async fn what_is_being_removed_is_not_listed(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let files: Vec<_> = (0..300).map(|number| (rel(format!("f{number}")), b"x".to_vec())).collect();
    store(destination.as_ref(), run(1), &files).await;
    destination.publish(run(1)).await.expect("published");
    let opened = destination.open(run(1)).await.expect("opened");
    let removing = bench.destination();
    let removal = tokio::spawn(async move { removing.remove(run(1)).await });
    loop {
        let last = removal.is_finished();
        let (snapshot, paths) = (Arc::clone(&opened), files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
        let whole = blocking(move || paths.iter().all(|path| snapshot.open(path).is_ok())).await;
        let list = runs(destination.as_ref()).await;
        assert!(whole || list.is_empty(), "listed, but no longer whole");
        if last {
            assert_eq!(list, []);
            break;
        }
    }
    removal.await.expect("no panic").expect("removed");
}

async fn a_sweep_takes_what_was_never_sealed(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    store_some(destination.as_ref(), run(2)).await;
    destination.publish(run(2)).await.expect("published");
    for number in [3, 4] {
        let staging = destination.begin(run(number), Some(run(2))).await.expect("begun");
        staging.write(&rel("d/x"), b"x", moment(0)).await.expect("written");
    }
    let process = bench.destination();
    assert_eq!(process.sweep().await.expect("swept"), 2);
    assert_eq!(process.sweep().await.expect("swept"), 0);
    assert_whole(process.as_ref(), &[run(1), run(2)]).await;
    store_some(process.as_ref(), run(3)).await;
    assert_whole(process.as_ref(), &[run(1), run(2), run(3)]).await;
}

async fn amending_replaces_the_manifest_alone(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    for number in [1, 2] {
        let manifest = store_some(destination.as_ref(), run(number)).await;
        let snapshot = destination.publish(run(number)).await.expect("published");
        let amended = Manifest { weaker: vec!["AfterBackup altered it".to_owned()], ..manifest };
        destination.amend(&amended).await.expect("amended");
        destination.amend(&amended).await.expect("and again");
        let list = destination.list().await.expect("listed");
        let expected = StoredSnapshot { manifest: amended.clone(), ..snapshot };
        assert!(list.contains(&expected), "{list:?}");
        let opened = destination.open(run(number)).await.expect("opened");
        assert_eq!(opened.manifest().await.expect("read"), amended.to_json());
        amended.parse_list(&opened.list().await.expect("read")).expect("the list is the one that was sealed");
    }
    assert_whole(destination.as_ref(), &[run(1), run(2)]).await;
    let (unknown, _) = describe(run(9), &[]);
    assert!(is_missing(&destination.amend(&unknown).await, run(9)));
}

async fn amending_is_atomic(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    let old = store_some(destination.as_ref(), run(1)).await;
    let new = Manifest { weaker: vec!["w".repeat(100_000)], ..old.clone() };
    let (amending, manifests) = (bench.destination(), [old.clone(), new.clone()]);
    let amends = tokio::spawn(async move {
        for manifest in manifests.iter().cycle().take(40) {
            amending.amend(manifest).await.expect("amended");
        }
    });
    while !amends.is_finished() {
        let list = destination.list().await.expect("listed");
        let [snapshot] = &list[..] else { panic!("listed all the time: {list:?}") };
        assert!(snapshot.manifest == old || snapshot.manifest == new, "the old one or the new one");
        yield_now().await;
    }
    amends.await.expect("no panic");
}

async fn the_log_is_kept(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    destination.keep_log(None, b"a failed run").await.expect("kept");
    assert_eq!(bench.log(None).as_deref(), Some(&b"a failed run"[..]));
    store_some(destination.as_ref(), run(1)).await;
    let snapshot = destination.publish(run(1)).await.expect("published");
    for log in [&b"a good run"[..], b"with a later line"] {
        destination.keep_log(Some(run(1)), log).await.expect("kept");
        assert_eq!(bench.log(None).as_deref(), Some(log));
        assert!(!bench.models().snapshot_logs || bench.log(Some(&snapshot)).as_deref() == Some(log));
    }
    destination.keep_log(None, b"the next run").await.expect("kept");
    let own = bench.log(Some(&snapshot));
    assert!(!bench.models().snapshot_logs || own.as_deref() == Some(b"with a later line"), "a snapshot keeps its own");
    assert_whole(destination.as_ref(), &[run(1)]).await;
    let walk = destination.open(run(1)).await.expect("opened").walk().await.expect("walked");
    assert!(!walk.iter().any(|entry| entry.path == rel("smsbkup.log")), "it is no part of the site");
}

async fn no_name_hides_a_snapshot(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    store_some(destination.as_ref(), run(2)).await;
    let first = destination.publish(run(1)).await.expect("published");
    if !bench.rename(&first.folder, "kept by the administrator") {
        return;
    }
    assert_whole(destination.as_ref(), &[run(1), run(2)]).await;
    assert_eq!(published(destination.as_ref()).await, []);
    destination.publish(run(2)).await.expect("published");
    destination.publish(run(1)).await.expect("published");
    assert_whole(destination.as_ref(), &[run(1), run(2)]).await;
    assert_eq!(published(destination.as_ref()).await, [run(1)]);
}

async fn what_is_not_there_is_named(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    let unknown = run(7);
    assert!(is_missing(&destination.open(unknown).await, unknown));
    assert!(is_missing(&destination.publish(unknown).await, unknown));
    assert!(is_missing(&destination.keep_log(Some(unknown), b"log").await, unknown));
    destination.remove(unknown).await.expect("what is not there is no error");
    assert_whole(destination.as_ref(), &[run(1)]).await;
}

async fn an_unfinished_run_harms_nothing(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    store_some(destination.as_ref(), run(1)).await;
    destination.publish(run(1)).await.expect("published");
    let staging = destination.begin(run(2), Some(run(1))).await.expect("begun");
    for (path, content) in some_files("other") {
        staging.write(&path, &content, moment(0)).await.expect("written");
    }
    assert_whole(destination.as_ref(), &[run(1)]).await;
    if bench.fill() {
        let error = staging.write(&rel("more"), b"more", moment(0)).await.expect_err("no room is left");
        assert!(matches!(error, DestinationError::Full(_)), "{error}");
        assert_whole(destination.as_ref(), &[run(1)]).await;
    }
    destination.remove(run(2)).await.expect("removed");
    drop(staging);
    let late = destination.begin(run(3), None).await.expect("begun");
    seal(late.as_ref(), run(3), &[]).await;
    assert_eq!(runs(destination.as_ref()).await, [run(1), run(3)]);
}

async fn one_holder_at_a_time(bench: impl DestinationBench) {
    let (first, second) = (bench.destination(), bench.destination());
    for holder in [Holder::Run(run(1)), Holder::Repair, Holder::Recovery] {
        let hold = first.hold(holder).await.expect("free");
        for destination in [&first, &second] {
            let error =
                destination.hold(Holder::Run(run(2))).await.map(drop).expect_err("it is held, and nobody waits");
            let DestinationError::Busy { holder: told, .. } = error else { panic!("{error}") };
            assert!(told.contains(&holder.to_string()), "{told}");
        }
        assert_eq!(runs(second.as_ref()).await, [], "reading needs no hold");
        drop(hold);
    }
    drop(second.hold(Holder::Run(run(2))).await.expect("given back"));
}

async fn a_hold_is_no_snapshot(bench: impl DestinationBench) {
    let destination = bench.destination();
    let hold = destination.hold(Holder::Run(run(1))).await.expect("free");
    store_some(destination.as_ref(), run(1)).await;
    destination.publish(run(1)).await.expect("published");
    assert_eq!(destination.sweep().await.expect("swept"), 0);
    assert!(destination.hold(Holder::Repair).await.is_err(), "no sweep gives it back");
    assert_whole(destination.as_ref(), &[run(1)]).await;
    drop(hold);
    assert_whole(destination.as_ref(), &[run(1)]).await;
}

async fn a_half_recovered_site_is_noted(bench: impl DestinationBench) {
    let (first, second) = (bench.destination(), bench.destination());
    let _hold = first.hold(Holder::Recovery).await.expect("free");
    store_some(first.as_ref(), run(1)).await;
    assert_eq!(second.half_recovered().await.expect("read"), None);
    first.note_half_recovered(None).await.expect("a note that is not there is removed");
    for places in [vec!["/a -> /b".to_owned()], vec!["/a -> /b".to_owned(), "K -> registry".to_owned()]] {
        let open = UnendedRecovery { snapshot: run(1), at: moment(3), places };
        first.note_half_recovered(Some(&open)).await.expect("noted");
        assert_eq!(second.half_recovered().await.expect("read"), Some(open));
    }
    assert_eq!(first.sweep().await.expect("swept"), 0);
    assert_whole(second.as_ref(), &[run(1)]).await;
    assert!(second.half_recovered().await.expect("read").is_some(), "no sweep removes it");
    first.note_half_recovered(None).await.expect("removed");
    assert_eq!(second.half_recovered().await.expect("read"), None);
}

async fn what_is_damaged_is_told_and_left_alone(bench: impl DestinationBench) {
    let destination = bench.destination();
    let _hold = hold(destination.as_ref()).await;
    for number in [1, 2] {
        store_some(destination.as_ref(), run(number)).await;
    }
    let staging = destination.begin(run(4), None).await.expect("begun");
    assert_eq!(destination.damaged().await.expect("looked at"), [], "what is whole or unfinished is not damaged");
    let folder = destination.publish(run(2)).await.expect("published").folder;
    if !bench.damage(&folder, run(2)) {
        return;
    }
    let damaged = destination.damaged().await.expect("looked at");
    let [one] = &damaged[..] else { panic!("one: {damaged:?}") };
    assert_eq!((one.run, &one.folder, one.reason.is_empty()), (run(2), &folder, false));
    assert_whole(destination.as_ref(), &[run(1)]).await;
    assert!(is_missing(&destination.open(run(2)).await, run(2)));
    drop(staging);
    destination.remove(run(4)).await.expect("removed");
    store_some(destination.as_ref(), run(3)).await;
    let published = destination.publish(run(3)).await.expect("a damaged one gives way");
    assert_eq!(published.folder, folder);
    destination.sweep().await.expect("swept");
    destination.remove(run(1)).await.expect("removed");
    assert_whole(destination.as_ref(), &[run(3)]).await;
    let damaged = destination.damaged().await.expect("looked at");
    assert_eq!(damaged.iter().map(|damaged| damaged.run).collect::<Vec<_>>(), [run(2)], "nothing removes it");
}
