//! Makes the repository that a version of the archive's format is known by, with whatever opens it:
//! `cargo run -p tests --example known_archive -- crates/archive/fixtures/vN`, once for each version, on a file system that keeps attributes and holes.

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fs::{self, File, Permissions};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use archive::crypto::ReadKey;
    use archive::keys::{self, Key, identity::Identity};
    use archive::storage::Storage;
    use archive::storage::local::LocalStorage;
    use archive::{About, Folder, Repository, StoreContext};
    use backup_core::cancel::Cancel;
    use backup_core::path::SitePath;
    use host::files::LocalSiteFiles;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, utimensat};

    const PAGE: usize = 8 << 10;

    pub(crate) fn main() {
        let target = PathBuf::from(std::env::args_os().nth(1).expect("a folder to make"));
        fs::create_dir_all(&target).expect("a folder");
        let storage = Arc::new(LocalStorage::create(target.join("repository")).expect("a new folder"));
        let key = ReadKey::generate();
        keys::add_passphrase_key(&*storage, &Key::Read(key.clone()), "a known passphrase", "known").expect("a key");
        for (name, key) in [("identity", Key::Read(key.clone())), ("writer", Key::Write(key.write_key()))] {
            let identity = Identity::generate();
            keys::add_recipient_key(&*storage, &key, &identity.recipient(), name).expect("a key");
            fs::write(target.join(name), identity.to_text().as_bytes()).expect("written");
        }
        let repository = Repository::create(Arc::clone(&storage) as Arc<dyn Storage>, &key).expect("made");
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let folder = scratch.path().join("folder");

        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("alone"), text(1, 2_000)).expect("written");
        let forgotten = store(&repository, &folder, 1);
        fs::remove_file(folder.join("alone")).expect("removed");
        build(&folder);
        let first = store(&repository, &folder, 2);
        repository.pin(&first).expect("pinned");
        // Somebody who was killed: what a prune marks waits for him.
        let lease = br#"{"purpose":"store","holder":"process 7 on a site server"}"#;
        storage.put_new("leases/000102030405060708090a0b0c0d0e0f", lease).expect("put");
        repository.forget(&forgotten).expect("forgotten");
        repository.prune("known", false, &Cancel::default()).expect("pruned");
        let database = File::options().write(true).open(folder.join("database.mdf")).expect("it opens");
        for number in [3, 64, 65] {
            database.write_all_at(&page(number, 2), u64::from(number) * PAGE as u64).expect("written");
        }
        set_modified(&folder.join("database.mdf"), 1_700_000_200);
        let second = store(&repository, &folder, 3);
        for id in [first, second] {
            let snapshot = repository.open_snapshot(&repository.find(&id).expect("listed")).expect("readable");
            let lines = snapshot.records().map(|record| serde_json::to_string(record).expect("JSON") + "\n");
            fs::write(target.join(id + ".jsonl"), lines.collect::<String>()).expect("written");
        }
        fs::remove_dir_all(target.join("repository/tmp")).expect("it is empty");
    }

    fn store(repository: &Repository, folder: &Path, day: i64) -> String {
        let root = SitePath::parse(folder.as_os_str().as_bytes()).expect("an absolute path");
        let folder = Folder { files: Arc::new(LocalSiteFiles::new()), root, sealed: Vec::new() };
        let moment = jiff::Timestamp::from_second(1_700_000_000 + day * 100).expect("a time");
        let about = About { site: "P01".to_owned(), run: None, folder: "P01Backup".to_owned(), moment, good: true };
        let context = StoreContext { now: moment, holder: "known".to_owned(), cancel: Cancel::default(), threads: 1 };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(repository.store(folder, about, context)).expect("stored").id
    }

    /// A page of a data file of SQL Server that compresses well.
    fn page(number: u32, day: u8) -> Vec<u8> {
        let mut page = vec![number as u8 ^ day; PAGE];
        page[..96].fill(0);
        page[0] = 1;
        page[32..36].copy_from_slice(&number.to_le_bytes());
        page[36..38].copy_from_slice(&1_u16.to_le_bytes());
        page
    }

    fn text(seed: u32, lines: u32) -> String {
        (0..lines).map(|line| format!("line {line} of {seed}\n")).collect()
    }

    fn set_modified(path: &Path, seconds: i64) {
        let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
    }

    fn build(folder: &Path) {
        let below = folder.join("below");
        fs::create_dir(&below).expect("a folder");
        fs::write(folder.join("empty"), "").expect("written");
        fs::write(folder.join("small"), "small").expect("written");
        fs::write(folder.join(OsStr::from_bytes(b"no-\xff-text")), "bytes").expect("written");
        fs::write(below.join("text"), text(2, 20_000)).expect("written");
        fs::hard_link(below.join("text"), below.join("text-again")).expect("a further name");
        symlink("below/text", folder.join("to-text")).expect("a link");
        let pages: Vec<u8> = (0..8 * 24).flat_map(|number| page(number, 1)).collect();
        fs::write(folder.join("database.mdf"), pages).expect("written");
        let sparse = File::create(folder.join("sparse")).expect("a file");
        sparse.set_len(1 << 20).expect("a length");
        sparse.write_all_at(text(3, 100).as_bytes(), 400_000).expect("written");
        rustix::fs::setxattr(folder.join("small"), "user.test", b"value\0\xff", XattrFlags::empty()).expect("kept");
        fs::set_permissions(folder.join("small"), Permissions::from_mode(0o640)).expect("a mode");
        for name in ["empty", "small", "database.mdf", "sparse", "to-text", "below/text", "below", ""] {
            set_modified(&folder.join(name), 1_700_000_000);
        }
        set_modified(&folder.join(OsStr::from_bytes(b"no-\xff-text")), -1);
    }
}
