//! The proof of the rules of `pre-copy`: random edits at random calls, against a file system whose times have all the holes of real ones.

use std::time::Duration;

use backup_core::ports::shadow_copies::Consistency;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::Config;

use super::actor::{Acts, Site};
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
            if made.set.consistency == Consistency::Application && made.problems.is_empty() {
                let views = site.tree.views();
                assert!(
                    views.iter().any(|view| site.staging.shows(&made.records, view)),
                    "{:#?}\n{views:#?}", made.records
                );
            }
        });
    }
}
