//! What is flipped, cut, missing, swapped or brought back is named, and what it does not touch comes back.

use std::collections::HashSet;
use std::sync::Arc;

use backup_core::cancel::Cancel;

use super::tree::Tree;
use super::{HOLDER, a_tree, noise, put_pack, read_all, read_back, repository, restored, store, store_entries};
use crate::content::Part;
use crate::crypto::ReadKey;
use crate::index::Index;
use crate::pack::{Digests, EXTENT, Frame, Kind, PAGE, name_of};
use crate::read::Chunks;
use crate::storage::Storage;
use crate::storage::memory::MemoryStorage;
use crate::{ArchiveError, Key, ReadData, Repository};

/// Two snapshots of two sites' worth of files that share nothing, each in packs of its own.
struct Two {
    storage: Arc<MemoryStorage>,
    key: ReadKey,
    trees: [Tree; 2],
    ids: [String; 2],
    /// Packs of the first snapshot and of the second one.
    packs: [Vec<String>; 2],
}

impl Two {
    fn new() -> Self {
        let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
        let repository = repository(storage.clone(), &key);
        let tree = |seed: u64| {
            let mut tree = Tree::default();
            for file in 0..4 {
                tree.put(&format!("{seed}/{file}"), noise(seed * 100 + file, 200_000), 5);
            }
            tree
        };
        let trees = [tree(1), tree(2)];
        let packs = || storage.list("packs").expect("listed").into_iter().map(|stored| stored.name).collect::<Vec<_>>();
        let first = store(&repository, &trees[0], 10).expect("stored").id;
        let of_first = packs();
        let second = store(&repository, &trees[1], 20).expect("stored").id;
        let of_second = packs().into_iter().filter(|name| !of_first.contains(name)).collect();
        Self { storage, key, trees, ids: [first, second], packs: [of_first, of_second] }
    }

    fn repository(&self) -> Repository {
        repository(self.storage.clone(), &self.key)
    }

    /// The second snapshot is damaged and named, the first one is whole and comes back.
    fn second_is_broken(&self, what: &str) {
        let repository = self.repository();
        let verified = read_all(&repository);
        assert!(!verified.problems.is_empty(), "{what}: nothing was found");
        let whole: Vec<&String> = verified.whole.iter().map(|listed| &listed.id).collect();
        assert_eq!(whole, [&self.ids[0]], "{what}");
        assert!(read_back(&repository, &self.ids[0]) == self.trees[0], "{what}");
        let second = repository.find(&self.ids[1]);
        let read = second.and_then(|listed| repository.open_snapshot(&listed));
        let read = read.map_err(|error| error.to_string()).and_then(|snapshot| restored(&snapshot));
        assert!(read.is_err(), "{what}: came back all the same");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_pack_is_found() {
    let two = Two::new();
    for pack in &two.packs[1] {
        let len = two.storage.len(pack).expect("it is there");
        let places = [0, 5, 6, 7, 8, 40, 87, 88, 89, 1000, len / 2, len - 500, len - 5, len - 4, len - 1];
        for at in places.into_iter().filter(|at| *at < len) {
            let flip = |bytes: &mut Vec<u8>| bytes[usize::try_from(at).expect("small")] ^= 0x10;
            two.storage.damage(pack, flip);
            two.second_is_broken(&format!("byte {at} of {len} in {pack}"));
            two.storage.damage(pack, flip);
        }
    }
    assert!(read_back(&two.repository(), &two.ids[1]) == two.trees[1]);
}

#[test]
fn a_pack_that_is_cut_missing_or_another_is_found() {
    let two = Two::new();
    for pack in &two.packs[1] {
        let whole = two.storage.get(pack, usize::MAX).expect("read");
        let first = two.storage.get(&two.packs[0][0], usize::MAX).expect("read");
        for len in [0, 3, 4, 87, 88, 100, whole.len() / 2, whole.len() - 1] {
            two.storage.damage(pack, |bytes| bytes.truncate(len));
            two.second_is_broken(&format!("{pack} cut to {len}"));
            two.storage.damage(pack, |bytes| bytes.clone_from(&whole));
        }
        two.storage.damage(pack, |bytes| bytes.clone_from(&first));
        two.second_is_broken("another pack under its name");
        two.storage.delete(pack).expect("deleted");
        two.second_is_broken("missing");
        two.storage.put_new(pack, &whole).expect("put back");
    }
    assert!(read_back(&two.repository(), &two.ids[1]) == two.trees[1]);
}

#[test]
fn a_pack_under_a_name_that_is_not_its_hash_is_found() {
    let two = Two::new();
    let name = name_of(&"5".repeat(64));
    two.storage.put_new(&name, &two.storage.get(&two.packs[1][0], usize::MAX).expect("read")).expect("put");
    let verified = read_all(&two.repository());
    assert_eq!((verified.problems.len(), verified.whole.len()), (1, 2), "{:?}", verified.problems);
    assert!(verified.problems[0].to_string().contains(&name), "{}", verified.problems[0]);
}

#[test]
fn the_parts_of_a_rolling_verification_are_all_of_it() {
    let two = Two::new();
    let all: Vec<&String> = two.packs.iter().flatten().collect();
    for of in [1, 2, 3, 7, 30] {
        let verify = || {
            let verify = |part| two.repository().verify(ReadData::Part { part, of }, &Cancel::default());
            Vec::from_iter((1..=of).map(|part| verify(part).expect("looked through")))
        };
        assert_eq!(verify().iter().map(|verified| verified.packs).sum::<u64>(), all.len() as u64, "{of}");
        for pack in &all {
            let flip = |bytes: &mut Vec<u8>| bytes[100] ^= 1;
            two.storage.damage(pack, flip);
            let found = verify();
            let problems: Vec<String> = found.iter().flat_map(|part| &part.problems).map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.starts_with(&format!("`{pack}`"))), "{of}: {problems:?}");
            two.storage.damage(pack, flip);
        }
    }
}

/// Without reading data: a pack that is not there is missed, one whose end is damaged is named.
#[test]
fn the_structure_alone_tells_what_is_not_there() {
    let two = Two::new();
    let structure = || two.repository().verify(ReadData::Structure, &Cancel::default()).expect("looked through");
    assert_eq!((structure().whole.len(), structure().packs), (2, 0));
    for pack in &two.packs[1] {
        let whole = two.storage.get(pack, usize::MAX).expect("read");
        two.storage.damage(pack, |bytes| *bytes.last_mut().expect("some") ^= 1);
        let damaged = structure();
        assert!(damaged.problems.iter().any(|problem| problem.to_string().contains(pack)), "{:?}", damaged.problems);
        two.storage.delete(pack).expect("deleted");
        for verified in [damaged, structure()] {
            let of = |listed: &[crate::Listed]| Vec::from_iter(listed.iter().map(|listed| listed.id.clone()));
            assert_eq!(
                (of(&verified.whole), of(&verified.broken)),
                (vec![two.ids[0].clone()], vec![two.ids[1].clone()])
            );
        }
        two.storage.put_new(pack, &whole).expect("put back");
    }
    assert_eq!(structure().problems.len(), 0);
}

#[test]
fn a_damaged_snapshot_is_named_and_nothing_is_pruned_on_its_account() {
    let two = Two::new();
    let name = format!("snapshots/{}", two.ids[1]);
    let whole = two.storage.get(&name, usize::MAX).expect("read");
    for at in [0, 6, 8, 87, 88, whole.len() - 1] {
        // Of the version, which is 1, that makes a later one.
        two.storage.damage(&name, |bytes| bytes[at] ^= 3);
        let listing = two.repository().snapshots().expect("listed");
        assert_eq!((listing.snapshots.len(), listing.damaged.len()), (1, 1), "byte {at}");
        assert!(listing.damaged[0].to_string().contains(&two.ids[1]), "{}", listing.damaged[0]);
        two.repository().prune(HOLDER, false, &Cancel::default()).expect_err("nobody knows what it needs");
        let damaged = two.repository().find(&two.ids[1][..12]).expect_err("it cannot be read");
        assert!(matches!(damaged, ArchiveError::Damaged { .. }), "{damaged}");
        assert_eq!(two.repository().whole_id(&two.ids[1][..12]).expect("it is there"), two.ids[1]);
        two.storage.damage(&name, |bytes| bytes.clone_from(&whole));
    }
    assert!(two.repository().leases().expect("listed").is_empty(), "a prune that gave up holds nothing");
    assert!(read_back(&two.repository(), &two.ids[1]) == two.trees[1]);
}

#[test]
fn a_proof_reads_all_that_a_snapshot_needs_and_names_the_pack_that_is_not_as_it_was() {
    let two = Two::new();
    let proven = |n: usize| {
        let repository = two.repository();
        let listed = repository.find(&two.ids[n]).expect("it can be read");
        repository.open_snapshot(&listed).and_then(|snapshot| snapshot.prove(&Cancel::default()))
    };
    for pack in &two.packs[1] {
        let len = two.storage.len(pack).expect("it is there");
        for at in [100, len - 10] {
            let flip = |bytes: &mut Vec<u8>| bytes[usize::try_from(at).expect("small")] ^= 1;
            two.storage.damage(pack, flip);
            let error = proven(1).expect_err("it is not as it was").to_string();
            assert!(error.contains(pack), "byte {at} of {pack}: {error}");
            proven(0).expect("it needs nothing of that pack");
            two.storage.damage(pack, flip);
        }
    }
    proven(1).expect("it is as it was");
    let listed = two.repository().find(&two.ids[1]).expect("listed");
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = two.repository().open_snapshot(&listed).expect("opened").prove(&cancel).expect_err("it was to stop");
    assert!(matches!(stopped, ArchiveError::Cancelled), "{stopped}");
}

/// Whoever has the key that writes can store false bytes under the id of a chunk.
#[test]
fn records_out_of_their_order_are_damage() {
    let repository = repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    let mut entries = a_tree().entries();
    entries.reverse();
    let id = store_entries(&repository, &a_tree(), &entries, 10).expect("stored").id;
    let opened = repository.open_snapshot(&repository.find(&id).expect("listed"));
    assert!(opened.expect_err("they are refused").to_string().contains("not in their order"));
    let verified = repository.verify(ReadData::Structure, &Cancel::default()).expect("looked through");
    assert!(verified.whole.is_empty(), "{verified:?}");
}

#[test]
fn a_proof_compares_each_chunk_with_its_id() {
    let two = Two::new();
    let write = two.key.write_key();
    let repository = two.repository();
    let listed = repository.find(&two.ids[1]).expect("listed");
    let mut needed = Vec::new();
    let chunks = repository.chunks().expect("read");
    let snapshot = repository.open_snapshot(&listed).expect("opened");
    for content in snapshot.contents() {
        let see = |part| {
            needed.extend(if let Part::Chunk(id, len) = part { Some((id, len)) } else { None });
            Ok(())
        };
        chunks.walk(content, "a file", see).expect("it adds up");
    }
    let name = chunks.pack_of(&needed[0].0).to_owned();
    let mut frame = Frame::default();
    let false_bytes = |len: u64| vec![b'x'; usize::try_from(len).expect("small")];
    needed.iter().for_each(|(id, len)| frame.push(Kind::Data, *id, &[&false_bytes(*len)]));
    two.storage.delete(&name).expect("deleted");
    let forgery = put_pack(&*two.storage, &write, frame);
    let forged = two.repository().open_snapshot(&listed).expect("opened").prove(&Cancel::default());
    let forged = forged.expect_err("it is not what was stored").to_string();
    assert!(forged.contains(&forgery) && forged.contains("is not what was stored"), "{forged}");
}

/// Records say themselves which hash a file has, so that no hash of a file would tell.
#[test]
fn false_records_and_lists_are_never_taken_for_what_was_stored() {
    let (storage, key) = (Arc::new(MemoryStorage::default()), ReadKey::generate());
    let repository = repository(storage.clone(), &key);
    let mut tree = Tree::default();
    tree.put("large", noise(1, 3_000_000), 5);
    (0..1_000).for_each(|file| tree.put(&format!("{file}"), vec![b'x'; 10], 5));
    let id = store(&repository, &tree, 10).expect("stored").id;
    let listed = repository.find(&id).expect("listed");
    let chunks = repository.chunks().expect("read");
    let snapshot = repository.open_snapshot(&listed).expect("opened");
    let mut meta = Vec::new();
    for (content, of_records) in
        snapshot.contents().map(|content| (content, false)).chain([(&listed.snapshot.records, true)])
    {
        let see = |part| {
            meta.extend(match part {
                Part::List(id) => Some((Kind::List, id)),
                Part::Chunk(id, _) if of_records => Some((Kind::Records, id)),
                _ => None,
            });
            Ok(())
        };
        chunks.walk(content, "a content", see).expect("it adds up");
    }
    let of = |kind| meta.iter().filter(|(of, _)| *of == kind).count();
    assert!(of(Kind::List) > 0 && of(Kind::Records) > 0, "{meta:?}");
    let is_refused = |what: &str, result: Result<(), ArchiveError>| {
        let refused = result.expect_err(what);
        assert!(matches!(&refused, ArchiveError::Damaged { .. }), "{what}: {refused}");
        assert!(refused.to_string().contains("is not what was stored"), "{what}: {refused}");
    };
    let mut n_false = 0;
    for (kind, id) in &meta {
        let bytes = chunks.get(id, "a test").expect("read").to_vec();
        let mut false_bytes = bytes.clone();
        match kind {
            // The other order of two chunks: all adds up.
            Kind::List => false_bytes.rotate_left(40),
            _ => false_bytes = String::from_utf8(bytes.clone()).expect("text").replace(":384,", ":511,").into_bytes(),
        }
        // The last chunk may have no mode.
        if false_bytes == bytes {
            continue;
        }
        n_false += 1;
        let mut frame = Frame::default();
        frame.push(*kind, *id, &[&false_bytes]);
        let forged = Arc::new(storage.copy());
        // The last pack that has it counts, so the others go.
        forged.delete(chunks.pack_of(id)).expect("deleted");
        let mut others = Frame::default();
        for (kind, other) in meta.iter().filter(|(_, other)| other != id) {
            others.push(*kind, *other, &[&chunks.get(other, "a test").expect("read")]);
        }
        [frame, others].into_iter().for_each(|frame| drop(put_pack(&*forged, &key.write_key(), frame)));
        let forged = super::repository(forged, &key);
        let proven = forged.open_snapshot(&listed).and_then(|snapshot| snapshot.prove(&Cancel::default()));
        is_refused("prove", proven);
        let verified = forged.verify(ReadData::Structure, &Cancel::default()).expect("looked through");
        assert_eq!((verified.whole.len(), verified.broken.len()), (0, 1), "{kind:?}");
        is_refused("prune", forged.prune(HOLDER, false, &Cancel::default()).map(drop));
    }
    assert!(n_false + 1 >= meta.len(), "{n_false} of {}", meta.len());
}

/// Whoever has the key that writes can say what he likes of what he stores.
#[test]
fn what_is_false_behind_good_encryption_is_found_by_reading() {
    let key = ReadKey::generate();
    let write = key.write_key();
    let base = noise(1, EXTENT);
    let mut digests = Digests::default();
    digests.iter_mut().zip(base.chunks(PAGE)).for_each(|(digest, page)| *digest = write.page_digest(page));
    let mut changed = base.clone();
    changed[0] ^= 1;
    let mut false_digests = digests;
    false_digests[7] ^= 1;
    let patch = Kind::Patch { base: write.id(&base), pages: 1 };
    let cases: [(Kind, &[u8], &[u8], bool); 7] = [
        (Kind::Data, b"a", b"a", true),
        (Kind::Data, b"a", b"b", false),
        (Kind::Extent(digests), &base, &base, true),
        (Kind::Extent(digests), &changed, &base, false),
        (Kind::Extent(false_digests), &base, &base, false),
        (patch, &changed, &changed[..PAGE], true),
        (patch, &changed, &base[..PAGE], false),
    ];
    for (kind, of, bytes, is_right) in cases {
        let storage = Arc::new(MemoryStorage::default());
        let repository = repository(storage.clone(), &key);
        let (mut whole, mut frame) = (Frame::default(), Frame::default());
        whole.push(Kind::Extent(digests), write.id(&base), &[&base]);
        put_pack(&*storage, &write, whole);
        frame.push(kind, write.id(of), &[bytes]);
        let name = put_pack(&*storage, &write, frame);
        let problems: Vec<String> = read_all(&repository).problems.iter().map(ToString::to_string).collect();
        match is_right {
            true => assert_eq!(problems, [""; 0], "{kind:?}"),
            false => assert!(problems.len() == 1 && problems[0].contains(&name), "{kind:?}: {problems:?}"),
        }
    }
}

/// A prune deletes the base of a patch that has another patch, of another base, beside it.
#[test]
fn a_patch_without_its_base_gives_way_to_one_that_has_it() {
    let key = ReadKey::generate();
    let write = key.write_key();
    let extent = noise(1, EXTENT);
    let id = write.id(&extent);
    for gone in [0, 1] {
        let storage = Arc::new(MemoryStorage::default());
        let put = |frame: Frame| put_pack(&*storage, &write, frame);
        let bases: Vec<String> = (0..2)
            .map(|page| {
                let mut base = extent.clone();
                base[page * PAGE] ^= 1;
                let (mut whole, mut patch) = (Frame::default(), Frame::default());
                whole.push(Kind::Extent(Digests::default()), write.id(&base), &[&base]);
                let kind = Kind::Patch { base: write.id(&base), pages: 1 << page };
                patch.push(kind, id, &[&extent[page * PAGE..][..PAGE]]);
                put(patch);
                put(whole)
            })
            .collect();
        storage.delete(&bases[gone]).expect("deleted");
        let index = Index::load(&*storage, &write, &HashSet::new(), |_| ()).expect("loaded");
        let chunks = Chunks::new(storage, index, key.clone());
        assert!(*chunks.get(&id, "a file").expect("there is a whole patch") == *extent);
    }
}

/// Two who store at once may store an extent whole and as a patch, and others may be patches of it.
#[test]
fn what_is_whole_is_never_read_as_a_patch() {
    let key = ReadKey::generate();
    let write = key.write_key();
    let first = noise(1, EXTENT);
    let [mut second, mut third] = [first.clone(), first.clone()];
    [&mut second, &mut third].into_iter().for_each(|extent| extent[0] ^= 1);
    third[PAGE] ^= 1;
    // The order of packs is that of their names, which are new each time.
    for _ in 0..8 {
        let storage = Arc::new(MemoryStorage::default());
        let put = |kind, of: &[u8], bytes: &[u8]| {
            let mut frame = Frame::default();
            frame.push(kind, write.id(of), &[bytes]);
            put_pack(&*storage, &write, frame);
        };
        put(Kind::Extent(Digests::default()), &first, &first);
        put(Kind::Extent(Digests::default()), &second, &second);
        put(Kind::Patch { base: write.id(&first), pages: 1 }, &second, &second[..PAGE]);
        put(Kind::Patch { base: write.id(&second), pages: 2 }, &third, &third[PAGE..][..PAGE]);
        let index = Index::load(&*storage, &write, &HashSet::new(), |_| ()).expect("loaded");
        let chunks = Chunks::new(storage, index, key.clone());
        for extent in [&first, &second, &third] {
            assert!(*chunks.get(&write.id(extent), "a file").expect("it is there") == **extent);
        }
    }
}

#[test]
fn what_a_pack_lost_is_stored_anew() {
    let two = Two::new();
    let pack = &two.packs[1][0];
    two.storage.damage(pack, |bytes| {
        let last = bytes.len() - 1;
        bytes.truncate(last);
    });
    let again = store(&two.repository(), &two.trees[1], 30).expect("stored");
    assert_eq!(again.damaged.len(), 1);
    assert!(read_back(&two.repository(), &again.id) == two.trees[1]);
}

/// One that cannot be read counts: else what is left would be taken for the one that was meant.
#[test]
fn a_beginning_that_several_ids_have_names_none() {
    let two = Two::new();
    let same = format!("{}{}", &two.ids[0][..63], if two.ids[0].ends_with('0') { '1' } else { '0' });
    two.storage.put_new(&format!("snapshots/{same}"), b"no snapshot").expect("put");
    let repository = two.repository();
    for prefix in [&two.ids[0][..63], &two.ids[0][..5]] {
        let found = repository.find(prefix).expect_err("two have it");
        assert!(matches!(found, ArchiveError::Ambiguous { count: 2, .. }), "{found}");
    }
    assert_eq!(repository.find(&two.ids[0]).expect("the whole id").id, two.ids[0]);
    for none in ["", "none"] {
        let found = repository.find(none).expect_err("it is no beginning");
        assert!(matches!(found, ArchiveError::NoSnapshot(_)), "{found}");
    }
    let empty = super::repository(Arc::new(MemoryStorage::default()), &ReadKey::generate());
    assert!(matches!(empty.find("latest"), Err(ArchiveError::Empty)));
}

#[test]
fn what_was_forgotten_and_brought_back_does_no_harm() {
    let two = Two::new();
    let old: Vec<(String, Vec<u8>)> = ["packs", "snapshots"]
        .iter()
        .flat_map(|folder| two.storage.list(folder).expect("listed"))
        .map(|stored| (stored.name.clone(), two.storage.get(&stored.name, usize::MAX).expect("read")))
        .collect();
    two.repository().forget(&two.ids[0]).expect("forgotten");
    two.repository().prune(HOLDER, false, &Cancel::default()).expect("pruned");
    assert!(two.repository().find(&two.ids[0]).is_err());
    for (name, content) in &old {
        match two.storage.list(name.split('/').next().expect("a folder")).expect("listed") {
            there if there.iter().any(|stored| stored.name == *name) => {}
            _ => two.storage.put_new(name, content).expect("brought back"),
        }
    }
    assert!(read_back(&two.repository(), &two.ids[0]) == two.trees[0]);
    assert!(read_back(&two.repository(), &two.ids[1]) == two.trees[1]);
}

#[test]
fn a_repository_of_another_kind_or_of_tomorrow_is_refused() {
    let two = Two::new();
    let open = || Repository::open(two.storage.clone(), Key::Read(two.key.clone()));
    let config = two.storage.get("config", usize::MAX).expect("read");
    let newer = String::from_utf8(config.clone()).expect("text").replace("\"version\":1", "\"version\":2");
    two.storage.damage("config", |bytes| *bytes = newer.into_bytes());
    assert!(matches!(open(), Err(ArchiveError::Newer { version: 2, ours: 1, .. })));
    two.storage.damage("config", |bytes| *bytes = b"{}".to_vec());
    assert!(matches!(open(), Err(ArchiveError::Damaged { .. })));
    two.storage.delete("config").expect("deleted");
    assert!(matches!(open(), Err(ArchiveError::NoRepository)));
}

#[test]
fn another_key_opens_nothing() {
    let two = Two::new();
    let other = Repository::open(two.storage.clone(), Key::Read(ReadKey::generate()));
    assert!(matches!(other, Err(ArchiveError::OtherKey(_))));
}
