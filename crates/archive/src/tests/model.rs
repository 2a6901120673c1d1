//! Any order of days, forgetting, pruning and crashes: every snapshot that is kept comes back bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_core::cancel::Cancel;
use proptest::prelude::*;

use super::tree::Tree;
use super::{HOLDER, noise, pages, read_all, read_back, repository, store};
use crate::crypto::ReadKey;
use crate::storage::Storage;
use crate::storage::faults::{Fault, FaultKind, FaultyStorage};
use crate::storage::memory::MemoryStorage;
use crate::{ArchiveError, Key, Repository};

/// One thing that happens to the tree or the repository.
#[derive(Debug, Clone)]
enum Step {
    Write(u8, u64, usize),
    Append(u8, usize),
    ChangePages(Vec<u32>),
    Remove(u8),
    Store,
    Forget(usize),
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6_u8, 0..4_u64, 0..300_000_usize).prop_map(|(file, seed, len)| Step::Write(file, seed, len)),
        2 => (0..6_u8, 0..50_000_usize).prop_map(|(file, len)| Step::Append(file, len)),
        2 => prop::collection::vec(0..64_u32, 0..6).prop_map(Step::ChangePages),
        1 => (0..6_u8).prop_map(Step::Remove),
        4 => Just(Step::Store),
        2 => any::<usize>().prop_map(Step::Forget),
        2 => Just(Step::Prune),
    ]
}

/// Where the process dies in a step that uses storage, if it does.
fn crash() -> impl Strategy<Value = Option<Fault>> {
    let kinds = prop_oneof![
        Just(FaultKind::ErrorBefore),
        Just(FaultKind::ErrorAfter),
        Just(FaultKind::KillBefore),
        Just(FaultKind::KillAfter),
        Just(FaultKind::Full),
    ];
    prop::option::weighted(0.4, (0..40_usize, kinds).prop_map(|(at, kind)| Fault { at, kind }))
}

struct World {
    storage: Arc<MemoryStorage>,
    key: ReadKey,
    tree: Tree,
    kept: BTreeMap<String, Tree>,
    second: i64,
}

impl World {
    fn new() -> Self {
        let world = Self {
            storage: Arc::default(),
            key: ReadKey::generate(),
            tree: Tree::default(),
            kept: BTreeMap::new(),
            second: 0,
        };
        repository(world.storage.clone(), &world.key);
        world
    }

    fn opened(&self, fault: Option<Fault>) -> Result<Repository, ArchiveError> {
        let storage: Arc<dyn Storage> = Arc::new(FaultyStorage::new(Arc::clone(&self.storage), fault));
        Repository::open(storage, Key::Read(self.key.clone()))
    }

    fn take(&mut self, step: &Step, fault: Option<Fault>) {
        self.second += 10;
        let name = |file: &u8| format!("folder {}/file {file}", file % 2);
        match step {
            Step::Write(file, seed, len) => self.tree.put(&name(file), noise(*seed, *len), self.second),
            Step::Append(file, len) => {
                let path = backup_core::path::RelPath::parse(name(file)).expect("a plain path");
                let mut content = self.tree.0.get(&path).map(|(content, _)| content.clone()).unwrap_or_default();
                content.extend(noise(u64::from(*file), *len));
                self.tree.put(&name(file), content, self.second);
            }
            Step::ChangePages(changed) => self.tree.put("CM_P01.mdf", pages(64, changed), self.second),
            Step::Remove(file) => {
                self.tree.0.remove(&backup_core::path::RelPath::parse(name(file)).expect("a plain path"));
            }
            Step::Store => {
                let stored = self.opened(fault).and_then(|repository| store(&repository, &self.tree, self.second));
                match stored {
                    Ok(stored) => drop(self.kept.insert(stored.id, self.tree.clone())),
                    Err(error) => {
                        assert!(fault.is_some(), "{error}");
                        self.note_committed();
                    }
                }
            }
            Step::Forget(which) => {
                let Some(id) = self.kept.keys().nth(which % self.kept.len().max(1)).cloned() else { return };
                match self.opened(fault).and_then(|repository| repository.forget(&id)) {
                    Ok(()) => drop(self.kept.remove(&id)),
                    Err(_) if self.is_listed(&id) => {}
                    Err(_) => drop(self.kept.remove(&id)),
                }
            }
            Step::Prune => {
                let pruned =
                    self.opened(fault).and_then(|repository| repository.prune(HOLDER, false, &Cancel::default()));
                assert!(pruned.is_ok() || fault.is_some(), "{pruned:?}");
            }
        }
        self.break_leases();
    }

    /// A store that failed after its commit has made a snapshot all the same.
    fn note_committed(&mut self) {
        for listed in repository(self.storage.clone(), &self.key).snapshots().expect("listed").snapshots {
            self.kept.entry(listed.id).or_insert_with(|| self.tree.clone());
        }
    }

    fn is_listed(&self, id: &str) -> bool {
        let listing = repository(self.storage.clone(), &self.key).snapshots().expect("listed");
        listing.snapshots.iter().any(|listed| listed.id == id)
    }

    /// Whoever held a lease is dead by now.
    fn break_leases(&self) {
        let repository = repository(self.storage.clone(), &self.key);
        for (id, _) in repository.leases().expect("listed") {
            repository.break_lease(&id).expect("broken");
        }
    }

    fn judge(&self) {
        let repository = repository(self.storage.clone(), &self.key);
        let verified = read_all(&repository);
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        assert_eq!(verified.whole.len(), self.kept.len());
        for (id, tree) in &self.kept {
            assert!(&read_back(&repository, id) == tree);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_kept_snapshot_comes_back(steps in prop::collection::vec((step(), crash()), 1..24)) {
        let mut world = World::new();
        for (step, fault) in &steps {
            world.take(step, *fault);
            if matches!(step, Step::Store | Step::Prune) {
                world.judge();
            }
        }
        // And when all is forgotten, nothing is left.
        world.kept.clear();
        for listed in repository(world.storage.clone(), &world.key).snapshots().expect("listed").snapshots {
            repository(world.storage.clone(), &world.key).forget(&listed.id).expect("forgotten");
        }
        world.take(&Step::Prune, None);
        world.take(&Step::Prune, None);
        prop_assert_eq!(world.storage.list("packs").expect("listed"), vec![]);
        prop_assert_eq!(world.storage.list("marks").expect("listed"), vec![]);
        prop_assert_eq!(world.storage.list("confirmed").expect("listed"), vec![]);
    }
}
