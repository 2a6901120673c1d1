//! The contract of [`Registry`].

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::ports::registry::{ImportMode, Registry, RegistryError, RegistryKey};
use tokio::task::yield_now;

use super::run_checks;

const _: fn(&dyn Registry) = |_| ();

/// A registry to try. It holds a key with something in it, and another one beside it.
pub trait RegistryBench: Debug + Send + Sync + 'static {
    /// The registry.
    fn registry(&self) -> Arc<dyn Registry>;
    /// Another one of the same kind, without the key; each time a new one.
    fn empty(&self) -> Arc<dyn Registry>;
    /// The key.
    fn key(&self) -> RegistryKey;
    /// How many keys an export of it holds.
    fn count(&self) -> usize;
    /// The key beside it.
    fn neighbour(&self) -> RegistryKey;
    /// Changes a value below the key, and adds a key that its export does not hold.
    fn change(&self);
    /// A key that nobody serves, where there can be one.
    fn unserved(&self) -> Option<RegistryKey>;
}

/// Checks a registry.
pub async fn suite<B: RegistryBench>(make: impl Fn() -> B) {
    run_checks!(make: an_export_writes_nothing, what_was_exported_comes_back_exactly, importing_twice_changes_nothing,
        an_import_makes_the_key, a_neighbour_is_left_alone, keys_have_no_case, a_missing_key_is_named, an_unserved_key_is_named,
        what_is_no_export_is_refused, an_export_is_judged_without_importing, an_import_is_atomic, what_an_import_would_change_is_told,
        a_merge_keeps_what_the_export_does_not_hold);
}

async fn export(registry: &Arc<dyn Registry>, key: &RegistryKey) -> Vec<u8> {
    registry.export(key).await.expect("exported")
}

async fn an_export_writes_nothing(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let first = export(&registry, &key).await;
    assert_eq!(export(&registry, &key).await, first);
    assert!(!first.is_empty());
}

async fn what_was_exported_comes_back_exactly(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let before = export(&registry, &key).await;
    bench.change();
    let changed = export(&registry, &key).await;
    assert_ne!(changed, before);
    registry.import(&key, &before, ImportMode::Exact).await.expect("imported");
    assert_eq!(export(&registry, &key).await, before, "what the export does not hold has gone");
    registry.import(&key, &changed, ImportMode::Exact).await.expect("imported");
    assert_eq!(export(&registry, &key).await, changed);
}

async fn importing_twice_changes_nothing(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let before = export(&registry, &key).await;
    for _ in 0..3 {
        registry.import(&key, &before, ImportMode::Exact).await.expect("imported");
        assert_eq!(export(&registry, &key).await, before);
    }
}

async fn an_import_makes_the_key(bench: impl RegistryBench) {
    let (key, exported) = (bench.key(), export(&bench.registry(), &bench.key()).await);
    let empty = bench.empty();
    empty.import(&key, &exported, ImportMode::Exact).await.expect("imported");
    assert_eq!(export(&empty, &key).await, exported);
    assert!(empty.export(&bench.neighbour()).await.is_err(), "and no other");
}

async fn a_neighbour_is_left_alone(bench: impl RegistryBench) {
    let (registry, key, neighbour) = (bench.registry(), bench.key(), bench.neighbour());
    let (exported, beside) = (export(&registry, &key).await, export(&registry, &neighbour).await);
    bench.change();
    registry.import(&key, &exported, ImportMode::Exact).await.expect("imported");
    assert_eq!(export(&registry, &neighbour).await, beside);
}

async fn keys_have_no_case(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let shouted = RegistryKey::new(&key.as_str().to_uppercase());
    let exported = export(&registry, &shouted).await;
    assert_eq!(registry.verify(&key, &exported).await.expect("judged"), bench.count());
    registry.import(&shouted, &export(&registry, &key).await, ImportMode::Exact).await.expect("imported");
    registry.import(&key, &exported, ImportMode::Exact).await.expect("imported");
}

async fn a_missing_key_is_named(bench: impl RegistryBench) {
    let registry = bench.registry();
    let below = format!("{}\\No Such Key", bench.key());
    for key in [RegistryKey::new(&below), RegistryKey::new(&format!("{}X", bench.key()))] {
        let error = registry.export(&key).await.expect_err("it does not exist");
        assert!(matches!(&error, RegistryError::NoKey(named) if *named == key), "{error}");
    }
}

async fn an_unserved_key_is_named(bench: impl RegistryBench) {
    let (registry, Some(key)) = (bench.registry(), bench.unserved()) else { return };
    let exported = export(&registry, &bench.key()).await;
    let errors = [registry.export(&key).await.map(drop), registry.import(&key, &exported, ImportMode::Exact).await];
    for error in errors {
        let error = error.expect_err("nobody serves it");
        assert!(matches!(&error, RegistryError::NoStore(named) if *named == key), "{error}");
    }
}

async fn what_is_no_export_is_refused(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let before = export(&registry, &key).await;
    for garbage in [&b"\xff\xff\xff\0garbage"[..], b"\x80"] {
        let errors =
            [registry.verify(&key, garbage).await.map(drop), registry.import(&key, garbage, ImportMode::Exact).await];
        for error in errors {
            let error = error.expect_err("no export wrote this");
            assert!(matches!(&error, RegistryError::Malformed { key: named, .. } if *named == key), "{error}");
        }
        assert_eq!(export(&registry, &key).await, before, "the store is as it was");
    }
}

async fn an_export_is_judged_without_importing(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let old = export(&registry, &key).await;
    assert_eq!(registry.verify(&key, &old).await.expect("judged"), bench.count());
    bench.change();
    let new = export(&registry, &key).await;
    assert!(registry.verify(&key, &old).await.is_ok());
    assert_eq!(export(&registry, &key).await, new, "judging changes nothing");
    let empty = bench.empty();
    assert_eq!(empty.verify(&key, &old).await.expect("the key need not be there"), bench.count());
    assert!(empty.export(&key).await.is_err(), "and it is not made");
}

async fn an_import_is_atomic(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let old = export(&registry, &key).await;
    bench.change();
    let new = export(&registry, &key).await;
    let (importing, to, versions) = (bench.registry(), key.clone(), [old.clone(), new.clone()]);
    let imports = tokio::spawn(async move {
        for version in versions.iter().cycle().take(30) {
            importing.import(&to, version, ImportMode::Exact).await.expect("imported");
        }
    });
    while !imports.is_finished() {
        let seen = export(&registry, &key).await;
        assert!(seen == old || seen == new, "the old tree or the new one");
        yield_now().await;
    }
    imports.await.expect("no panic");
}

async fn preview(registry: &Arc<dyn Registry>, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Vec<String> {
    registry.preview(key, export, mode).await.expect("judged")
}

async fn what_an_import_would_change_is_told(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let before = export(&registry, &key).await;
    assert_eq!(preview(&registry, &key, &before, ImportMode::Exact).await, [""; 0], "it is so already");
    bench.change();
    let changed = export(&registry, &key).await;
    let (exact, merge) = (
        preview(&registry, &key, &before, ImportMode::Exact).await,
        preview(&registry, &key, &before, ImportMode::Merge).await,
    );
    assert!(!merge.is_empty() && exact.len() > merge.len(), "{exact:?} {merge:?}");
    assert!(exact.iter().any(|line| line.starts_with('-') && line.contains("New Key")), "{exact:?}");
    assert_eq!(export(&registry, &key).await, changed, "telling changes nothing");
    let empty = bench.empty();
    assert!(!preview(&empty, &key, &before, ImportMode::Exact).await.is_empty());
    assert!(empty.export(&key).await.is_err(), "and makes nothing");
}

async fn a_merge_keeps_what_the_export_does_not_hold(bench: impl RegistryBench) {
    let (registry, key) = (bench.registry(), bench.key());
    let before = export(&registry, &key).await;
    bench.change();
    let changed = export(&registry, &key).await;
    registry.import(&key, &before, ImportMode::Merge).await.expect("imported");
    let merged = export(&registry, &key).await;
    assert!(merged != before && merged != changed, "neither all of it nor nothing");
    assert_eq!(preview(&registry, &key, &before, ImportMode::Merge).await, [""; 0], "what it holds is there");
    let left = preview(&registry, &key, &before, ImportMode::Exact).await;
    assert!(!left.is_empty() && left.iter().all(|line| line.starts_with('-')), "{left:?}");
    registry.import(&key, &before, ImportMode::Exact).await.expect("imported");
    assert_eq!(export(&registry, &key).await, before);
}
