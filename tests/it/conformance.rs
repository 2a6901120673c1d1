//! The conformance suites on the in-memory doubles and on every adapter.

mod archived;
mod database;
mod local;
mod memory;
mod registries;
mod served;
#[cfg(unix)]
mod shell;
mod small;
#[cfg(windows)]
mod windows_services;

use tests::JournalMode;
use tests::conformance;

use archived::Archived;
use database::Sqlite;
use local::Local;
use memory::Memory;
use registries::FileRegistry;
use served::LogicalSqlite;
#[cfg(unix)]
use shell::Services;
use small::Host;

macro_rules! conforms {
    ($($name:ident: $suite:ident on $make:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            conformance::$suite::suite($make).await;
        }
    )*};
}

// Their benches are written for a Unix shell.
#[cfg(unix)]
conforms! {
    host_commands: commands on Host::new;
    command_services: services on Services::plain;
    watched_services: services on Services::watched;
}

#[cfg(windows)]
conforms! {
    deep_destination: destination on Local::deep;
    deep_recovery_target: recovery_target on Local::deep;
    deep_site_files: site_files on Local::deep;
    deep_snapshot_files: snapshot_files on Local::deep;
    deep_staging: staging on Local::deep;
    share_destination: destination on Local::on_share;
    share_recovery_target: recovery_target on Local::on_share;
    share_site_files: site_files on Local::on_share;
    share_snapshot_files: snapshot_files on Local::on_share;
    share_staging: staging on Local::on_share;
    watched_windows_services: services on windows_services::Services::watched;
    windows_services: services on windows_services::Services::plain;
    vss_restores: restores on Local::with_vss_restores;
    vss_shadow_copies: shadow_copies on Local::with_vss;
}

#[cfg(all(target_os = "linux", feature = "servers"))]
conforms! {
    reflink_shadow_copies: shadow_copies on Local::cloned;
    xfs_site_files: site_files on Local::cloned;
}

conforms! {
    memory_archive: archive on Memory::new;
    memory_clock: clock on Memory::new;
    memory_commands: commands on Memory::new;
    memory_database: database on Memory::new;
    memory_destination: destination on Memory::new;
    memory_journal: journal on Memory::new;
    memory_recovery_target: recovery_target on Memory::new;
    memory_registry: registry on Memory::new;
    memory_restores: restores on Memory::new;
    memory_served_database: served_database on Memory::served;
    memory_services: services on Memory::new;
    memory_shadow_copies: shadow_copies on Memory::new;
    memory_site_files: site_files on Memory::new;
    memory_snapshot_files: snapshot_files on Memory::new;
    memory_staging: staging on Memory::new;
    memory_status_log: status_log on Memory::new;

    archived_snapshot_files: snapshot_files on Archived::new;
    logical_sqlite: served_database on LogicalSqlite::new;
    local_destination: destination on Local::new;
    repository_archive: archive on Local::new;
    local_recovery_target: recovery_target on Local::new;
    local_site_files: site_files on Local::new;
    local_snapshot_files: snapshot_files on Local::new;
    local_staging: staging on Local::new;
    in_process_restores: restores on Local::new;
    in_process_shadow_copies: shadow_copies on Local::new;

    system_clock: clock on Host::new;
    file_journal: journal on Host::new;
    file_status_log: status_log on Host::new;
    reg_file_registry: registry on FileRegistry::reg;
    hive_file_registry: registry on FileRegistry::hive;
    wine_prefix_registry: registry on FileRegistry::wine;
    sqlite_wal_database: database on || Sqlite::new(JournalMode::Wal);
    sqlite_rollback_database: database on || Sqlite::new(JournalMode::Delete);
}

#[cfg(all(unix, feature = "servers"))]
mod on_servers {
    use std::sync::Arc;

    use tests::conformance::served_database::suite;
    use tests::servers::{MariaDb, Postgres};

    use super::served::servers::{Served, Server};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn logical_postgres() {
        let server = Arc::new(Server::Postgres(Postgres::start()));
        suite(|| Served::new(&server)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn logical_mariadb() {
        let server = Arc::new(Server::MariaDb(MariaDb::start()));
        suite(|| Served::new(&server)).await;
    }
}
