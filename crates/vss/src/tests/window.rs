//! The proof of the rules of `pre-copy`: random edits at random calls, against a file system whose times have all the holes of real ones.

use std::time::Duration;

use backup_core::ports::shadow_copies::Consistency;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::Config;

use super::actor::{Acts, Made, Site};
use super::tree::Edit;

const PATHS: [&str; 8] =
    ["/site/a", "/site/b", "/site/c", "/site/d", "/site/d/a", "/site/d/b", "/site/d/e", "/site/d/e/a"];

fn any_edit() -> impl Strategy<Value = Edit> {
    let path = || select(PATHS.as_slice());
    // Few different contents and mostly of one size, so that times have to tell.
    let content = || vec(any::<bool>().prop_map(u8::from), 2..4);
    prop_oneof![
        4 => (path(), content()).prop_map(|(path, content)| Edit::Write(path, content)),
        3 => (path(), any::<u8>()).prop_map(|(path, byte)| Edit::Store(path, byte)),
        2 => (path(), content()).prop_map(|(path, content)| Edit::Replace(path, content)),
        2 => (path(), path()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Edit::Link(from, to)),
        1 => (path(), path()).prop_map(|(target, path)| Edit::Symlink(target, path)),
        1 => path().prop_map(Edit::Directory),
        1 => path().prop_map(Edit::Remove),
        1 => (path(), select(&[0o600, 0o700][..])).prop_map(|(path, mode)| Edit::Mode(path, mode)),
        1 => (0u64..6).prop_map(|seconds| Edit::Wait(Duration::from_secs(seconds))),
    ]
}

/// Edits that only their moments tell from each other: same files, same sizes, within a tick or through a mapping.
fn any_quiet_edit() -> impl Strategy<Value = Edit> {
    let path = || select(&PATHS[..2]);
    prop_oneof![
        (path(), vec(any::<u8>(), 2)).prop_map(|(path, content)| Edit::Write(path, content)),
        (path(), any::<u8>()).prop_map(|(path, byte)| Edit::Store(path, byte)),
    ]
}

fn start() -> impl Strategy<Value = Vec<Edit>> {
    vec(any_edit(), 0..12).prop_map(|mut edits| {
        edits.insert(0, Edit::Directory("/site/d"));
        edits
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

fn assert_of_one_moment(site: &Site, made: &Made) {
    if made.set.consistency != Consistency::Application || !made.problems.is_empty() {
        return;
    }
    let views = site.tree.views();
    let is_one = views.iter().any(|view| site.staging.shows(&made.records, view));
    assert!(is_one, "{:#?}\n{views:#?}", made.records);
}

/// Two files are stored to before the window's walk, which sees that, and again, which leaves no time unless a sync lies between.
#[tokio::test(start_paused = true)]
async fn stores_through_a_mapping_inside_the_window_do_not_tear_the_image() {
    for call in 5..50 {
        let site = Site::settled(PATHS[..2].iter().map(|path| Edit::Write(path, vec![0; 2])));
        let store = |call, number: usize, byte| (call, Edit::Store(PATHS[number], byte));
        let inside = vec![store(3, 0, 1), store(3, 1, 1), store(call, 0, 2), store(call, 1, 2)];
        let made = site.backup(Acts { inside, ..Acts::default() }).await;
        assert_of_one_moment(&site, &made);
    }
}

proptest::proptest! {
    #![proptest_config(Config::with_cases(600))]

    /// Whatever the site does before it is frozen, the image is the site at the freeze.
    #[test]
    fn the_image_is_the_frozen_site(
        start in start(),
        passes in vec((0usize..80, any_edit()), 0..8),
        rest in vec(any_edit(), 0..3),
        freeze in vec(any_edit(), 0..3),
    ) {
        run(async {
            let site = Site::settled(start);
            for (call, edit) in passes {
                site.tree.plan(call, edit);
            }
            let made = site.backup(Acts { rest, freeze, inside: Vec::new() }).await;
            site.assert_holds(&made);
        });
    }

    /// An image that is said to be of one moment is, whoever wrote inside the window.
    #[test]
    fn an_image_without_a_warning_is_of_one_moment(
        start in start(),
        freeze in vec(any_edit(), 0..3),
        inside in vec((0usize..60, any_edit()), 1..4),
    ) {
        run(async {
            let site = Site::settled(start);
            let made = site.backup(Acts { rest: Vec::new(), freeze, inside }).await;
            assert_of_one_moment(&site, &made);
        });
    }

    /// The same where edits leave as little trace as they can.
    #[test]
    fn an_image_without_a_warning_is_of_one_moment_within_ticks(inside in vec((0usize..40, any_quiet_edit()), 1..6)) {
        run(async {
            let site = Site::settled(PATHS[..2].iter().map(|path| Edit::Write(path, vec![0; 2])));
            let made = site.backup(Acts { inside, ..Acts::default() }).await;
            assert_of_one_moment(&site, &made);
        });
    }
}
