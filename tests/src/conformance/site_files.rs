//! The contract of [`SiteFiles`].

use std::sync::Arc;

use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{
    CloneOf, FileKind, FileSource, FileStat, OpenFile, SiteFiles, SiteFilesError, Walk, WalkEntry,
};

use super::{SiteBench, blocking, hard_names, read_all, rel, run_checks, site_content, site_paths, site_stat};

const _: fn(&dyn SiteFiles) = |_| ();
const _: fn(&dyn OpenFile) = |_| ();

/// Checks an adapter that reads a site's files.
pub async fn suite<B: SiteBench>(make: impl Fn() -> B) {
    run_checks!(make: a_walk_is_sorted_and_begins_with_its_root, a_file_may_be_the_root, a_missing_root_is_named,
        names_are_kept_byte_for_byte, patterns_leave_out, a_pattern_that_is_none_is_named, what_is_skipped_is_not_walked,
        files_are_skipped_under_whatever_name, links_are_not_followed, names_of_one_file_are_told, special_entries_are_told,
        only_regular_files_open, a_file_is_read_at_any_place, data_is_found_from_any_place, holes_are_no_data,
        an_open_file_stays_the_file_that_was_opened, a_change_shows_in_the_metadata, attributes_are_those_of_the_entry,
        clones_share_nothing_that_changes_later, a_sync_returns);
}

/// A source with nothing left out.
pub(crate) fn source(root: SitePath) -> FileSource {
    FileSource { root, exclude: Vec::new(), skip: Vec::new() }
}

async fn walk(bench: &dyn SiteBench, source: &FileSource) -> Walk {
    let walk = bench.files().walk(source).await.expect("the root is there");
    assert_eq!(walk.problems, [], "all can be examined");
    walk
}

fn paths(walk: &Walk) -> Vec<RelPath> {
    walk.entries.iter().map(|entry| entry.path.clone()).collect()
}

async fn open(bench: &dyn SiteBench, path: &RelPath) -> Result<Box<dyn OpenFile>, SiteFilesError> {
    let (files, path) = (bench.files(), bench.root().join(path));
    blocking(move || files.open(&path)).await
}

async fn a_walk_is_sorted_and_begins_with_its_root(bench: impl SiteBench) {
    for name in ["b", "a/x", "a.b", "a-b/z", "a/c/d"] {
        bench.put_file(&rel(name), name.as_bytes());
    }
    bench.put_folder(&rel("empty"));
    let walk = walk(&bench, &source(bench.root())).await;
    let expected = ["", "a", "a/c", "a/c/d", "a/x", "a-b", "a-b/z", "a.b", "b", "empty"].map(rel);
    assert_eq!(paths(&walk), expected, "each folder before its content, and its content directly after it");
    for WalkEntry { path, stat } in &walk.entries {
        let folder = ["", "a", "a/c", "a-b", "empty"].map(rel).contains(path);
        assert_eq!(stat.kind, if folder { FileKind::Directory } else { FileKind::File }, "{path}");
        assert!(folder || stat.size == path.as_bytes().len() as u64, "{path}");
    }
}

async fn a_file_may_be_the_root(bench: impl SiteBench) {
    bench.put_file(&rel("f/g"), b"12345");
    let walk = walk(&bench, &source(bench.root().join(&rel("f/g")))).await;
    let [WalkEntry { path, stat }] = &walk.entries[..] else { panic!("one entry: {walk:?}") };
    assert_eq!((path, &stat.kind, stat.size), (&RelPath::root(), &FileKind::File, 5));
}

async fn a_missing_root_is_named(bench: impl SiteBench) {
    let missing = bench.root().join(&rel("no/such"));
    let error = bench.files().walk(&source(missing.clone())).await.expect_err("it is not there");
    assert!(matches!(&error, SiteFilesError::Missing(path) if *path == missing), "{error}");
}

async fn names_are_kept_byte_for_byte(bench: impl SiteBench) {
    let names = hard_names();
    names.iter().for_each(|name| bench.put_file(name, name.as_bytes()));
    assert_eq!(site_paths(&bench).await, names);
    for name in &names {
        assert_eq!(site_content(&bench, name).await.as_deref(), Some(name.as_bytes()));
    }
}

async fn patterns_leave_out(bench: impl SiteBench) {
    if !bench.models().patterns {
        return;
    }
    for name in ["a.tmp", "keep", "d/a.tmp", "d/keep", "cache/x", "d/cache/y", "a.tmp.kept"] {
        bench.put_file(&rel(name), b"");
    }
    let exclude = vec!["**/*.tmp".to_owned(), "cache".to_owned()];
    let walk = walk(&bench, &FileSource { exclude, ..source(bench.root()) }).await;
    assert_eq!(paths(&walk), ["", "a.tmp.kept", "d", "d/cache", "d/cache/y", "d/keep", "keep"].map(rel));
}

async fn a_pattern_that_is_none_is_named(bench: impl SiteBench) {
    if !bench.models().patterns {
        return;
    }
    let exclude = vec!["fine".to_owned(), "[".to_owned()];
    let error = bench.files().walk(&FileSource { exclude, ..source(bench.root()) }).await.expect_err("not a pattern");
    assert!(matches!(&error, SiteFilesError::Pattern { pattern, .. } if pattern == "["), "{error}");
}

async fn what_is_skipped_is_not_walked(bench: impl SiteBench) {
    for name in ["d/x", "d/inner/y", "dx", "e"] {
        bench.put_file(&rel(name), b"");
    }
    let at = |path: &str| bench.root().join(&rel(path));
    let skip = vec![at("d"), at("e"), at("not there")];
    let some = walk(&bench, &FileSource { skip, ..source(bench.root()) }).await;
    assert_eq!(paths(&some), ["", "dx"].map(rel));
    let skip = vec![bench.root()];
    let none = walk(&bench, &FileSource { skip, ..source(bench.root().join(&rel("d"))) }).await;
    assert_eq!(none, Walk::default(), "a skipped folder hides a root below it");
}

async fn files_are_skipped_under_whatever_name(bench: impl SiteBench) {
    bench.put_file(&rel("database"), b"mine");
    bench.put_file(&rel("other"), b"yours");
    bench.put_hard_link(&rel("d/second name"), &rel("database"));
    let skip = vec![bench.root().join(&rel("database"))];
    let whole = walk(&bench, &FileSource { skip: skip.clone(), ..source(bench.root()) }).await;
    assert_eq!(paths(&whole), ["", "d", "other"].map(rel));
    let folder = bench.root().join(&rel("d"));
    let beside = walk(&bench, &FileSource { skip, ..source(folder.clone()) }).await;
    assert_eq!(paths(&beside), [""].map(rel), "its other name lies below another root");
    let skip = vec![folder.join(&rel("gone"))];
    let none = walk(&bench, &FileSource { skip, ..source(folder) }).await;
    assert_eq!(paths(&none), ["", "second name"].map(rel), "nothing is there that could have another name");
}

async fn links_are_not_followed(bench: impl SiteBench) {
    bench.put_file(&rel("d/x"), b"x");
    if !bench.put_symlink(&rel("to folder"), b"d")
        || !bench.put_symlink(&rel("d/up"), b"..")
        || !bench.put_symlink(&rel("dangling"), b"no/such \xff")
    {
        return;
    }
    assert_eq!(site_paths(&bench).await, ["d", "d/up", "d/x", "dangling", "to folder"].map(rel));
    let kind = async |path: &str| site_stat(&bench, &rel(path)).await.kind;
    assert_eq!(kind("to folder").await, FileKind::Symlink(b"d".to_vec()));
    assert_eq!(kind("dangling").await, FileKind::Symlink(b"no/such \xff".to_vec()));
}

async fn names_of_one_file_are_told(bench: impl SiteBench) {
    bench.put_file(&rel("a"), b"same");
    bench.put_hard_link(&rel("z"), &rel("a"));
    bench.put_file(&rel("b"), b"same");
    let (a, b, z) =
        (site_stat(&bench, &rel("a")).await, site_stat(&bench, &rel("b")).await, site_stat(&bench, &rel("z")).await);
    assert!(a.looks_like(&z), "{a:?} {z:?}");
    assert_eq!((a.links, b.links), (2, 1));
    assert_ne!(a.id, b.id);
}

async fn special_entries_are_told(bench: impl SiteBench) {
    if !bench.put_special(&rel("pipe")) {
        return;
    }
    assert_eq!(site_stat(&bench, &rel("pipe")).await.kind, FileKind::Special);
}

async fn only_regular_files_open(bench: impl SiteBench) {
    bench.put_file(&rel("d/file"), b"content");
    let mut others = vec!["d"];
    others.extend(bench.put_symlink(&rel("link"), b"d/file").then_some("link"));
    others.extend(bench.put_special(&rel("pipe")).then_some("pipe"));
    for name in others {
        let error = open(&bench, &rel(name)).await.map(drop).expect_err("not a regular file");
        assert!(matches!(error, SiteFilesError::Failed { .. }), "{name}: {error}");
    }
    let error = open(&bench, &rel("none")).await.map(drop).expect_err("not there");
    assert!(matches!(error, SiteFilesError::Missing(_)), "{error}");
    let file = open(&bench, &rel("d/file")).await.expect("a regular file");
    assert_eq!(read_all(file.as_ref()), b"content");
}

async fn a_file_is_read_at_any_place(bench: impl SiteBench) {
    let content: Vec<u8> = (0..150_000u32).flat_map(u32::to_le_bytes).collect();
    bench.put_file(&rel("f"), &content);
    bench.put_file(&rel("empty"), b"");
    let (file, empty) =
        (open(&bench, &rel("f")).await.expect("open"), open(&bench, &rel("empty")).await.expect("open"));
    blocking(move || {
        let size = content.len();
        let check = |offset: usize, want: usize| {
            let mut buffer = vec![0xee; want];
            let got = file.read_at(offset as u64, &mut buffer).expect("read");
            let expected = &content[offset.min(size)..(offset + want).min(size)];
            assert_eq!(got, expected.len(), "less only at the end: {offset} {want}");
            assert!(buffer[..got] == *expected && buffer[got..].iter().all(|byte| *byte == 0xee), "{offset} {want}");
        };
        for (offset, want) in [(0, size), (0, size + 10), (1, 70_000), (size - 3, 3), (size - 3, 10), (size, 10)] {
            check(offset, want);
        }
        check(size + 1, 10);
        check(size + (1 << 30), 1);
        check(5, 0);
        assert_eq!(empty.read_at(0, &mut [0; 4]).expect("read"), 0);
    })
    .await;
}

async fn data_is_found_from_any_place(bench: impl SiteBench) {
    bench.put_file(&rel("f"), &[b'x'; 10_000]);
    bench.put_file(&rel("empty"), b"");
    let (file, empty) =
        (open(&bench, &rel("f")).await.expect("open"), open(&bench, &rel("empty")).await.expect("open"));
    blocking(move || {
        for offset in [0, 1, 4096, 9_999] {
            let range = file.next_data(offset).expect("told").expect("all of it is data");
            assert_eq!(range.start, offset);
        }
        assert_eq!((file.next_data(10_000).expect("told"), file.next_data(1 << 40).expect("told")), (None, None));
        assert_eq!(empty.next_data(0).expect("told"), None);
    })
    .await;
}

async fn holes_are_no_data(bench: impl SiteBench) {
    let (size, data_at) = (8 << 20, 4 << 20);
    if !bench.put_sparse(&rel("sparse"), size, data_at) {
        return;
    }
    let file = open(&bench, &rel("sparse")).await.expect("open");
    blocking(move || {
        let (mut at, mut seen) = (0, false);
        while let Some(range) = file.next_data(at).expect("told") {
            assert!(range.start >= at && range.end > range.start && range.end <= size, "{range:?} from {at}");
            seen |= range.contains(&data_at);
            at = range.end;
        }
        assert!(seen, "what is not zero is data");
        let mut byte = [0];
        assert_eq!((file.read_at(data_at, &mut byte).expect("read"), byte), (1, *b"x"));
        assert_eq!((file.read_at(0, &mut byte).expect("a hole reads as zeros"), byte), (1, [0]));
    })
    .await;
}

async fn an_open_file_stays_the_file_that_was_opened(bench: impl SiteBench) {
    bench.put_file(&rel("a"), b"first");
    let file = open(&bench, &rel("a")).await.expect("open");
    let stat = file.stat().expect("examined");
    assert!(stat.looks_like(&site_stat(&bench, &rel("a")).await), "the same as in a walk");
    bench.put_file(&rel("b"), b"of another file");
    let other = open(&bench, &rel("b")).await.expect("open").stat().expect("examined");
    assert!(!stat.looks_like(&other));
    assert_eq!(read_all(file.as_ref()), b"first");
}

async fn a_change_shows_in_the_metadata(bench: impl SiteBench) {
    bench.put_file(&rel("a"), b"first");
    let before: FileStat = site_stat(&bench, &rel("a")).await;
    bench.put_file(&rel("a"), b"longer than before");
    assert!(!site_stat(&bench, &rel("a")).await.looks_like(&before));
}

async fn attributes_are_those_of_the_entry(bench: impl SiteBench) {
    bench.put_file(&rel("plain"), b"");
    bench.put_file(&rel("f"), b"");
    let is_linked = bench.put_symlink(&rel("link"), b"f");
    let attributes = async |name: &str| {
        let (files, path): (Arc<dyn SiteFiles>, _) = (bench.files(), bench.root().join(&rel(name)));
        let all = blocking(move || files.attributes(&path)).await.expect("told");
        all.into_iter().filter(|(name, _)| name.starts_with(b"user.")).collect::<Vec<_>>()
    };
    assert_eq!(attributes("plain").await, []);
    if !bench.put_attribute(&rel("f"), "user.b", b"\0\xff") || !bench.put_attribute(&rel("f"), "user.a", b"") {
        return;
    }
    let expected = [(b"user.a".to_vec(), Vec::new()), (b"user.b".to_vec(), b"\0\xff".to_vec())];
    assert_eq!(attributes("f").await, expected, "by name");
    assert!(!is_linked || attributes("link").await.is_empty(), "the link's own, not the file's");
}

async fn a_sync_returns(bench: impl SiteBench) {
    bench.put_file(&rel("f"), b"1");
    bench.files().sync(&[bench.root(), bench.root().join(&rel("f"))]).await.expect("synced");
    assert_eq!(site_content(&bench, &rel("f")).await.as_deref(), Some(&b"1"[..]));
}

async fn clones_share_nothing_that_changes_later(bench: impl SiteBench) {
    bench.put_file(&rel("f"), b"content");
    let attribute = bench.put_attribute(&rel("f"), "user.kept", b"beside it");
    let clone = |from: &str, to: &str| CloneOf { from: bench.root().join(&rel(from)), to: bench.root().join(&rel(to)) };
    let clones = vec![clone("f", "clones/deep/f"), clone("none", "clones/none")];
    let made = bench.files().clone_all(clones).await;
    let [Ok(()), Err(missing)] = &made[..] else {
        // A file system without clones says so, and leaves nothing.
        assert!(matches!(&made[0], Err(SiteFilesError::Apart { .. })), "{made:?}");
        assert!(open(&bench, &rel("clones/deep/f")).await.is_err());
        return;
    };
    assert!(matches!(missing, SiteFilesError::Missing(_)), "{missing}");
    assert!(open(&bench, &rel("clones/none")).await.is_err());
    let modified = site_stat(&bench, &rel("f")).await.modified;
    assert_eq!(site_stat(&bench, &rel("clones/deep/f")).await.modified, modified);
    bench.put_file(&rel("f"), b"changed");
    let content = async || read_all(open(&bench, &rel("clones/deep/f")).await.expect("a clone").as_ref());
    assert_eq!(content().await, b"content");
    if attribute {
        let (files, path) = (bench.files(), bench.root().join(&rel("clones/deep/f")));
        let kept = blocking(move || files.attributes(&path)).await.expect("told");
        assert_eq!(kept, [(b"user.kept".to_vec(), b"beside it".to_vec())]);
    }
    assert!(bench.files().clone_all(vec![clone("f", "clones/deep/f")]).await[0].is_ok(), "it is replaced");
    assert_eq!(content().await, b"changed");
}
