//! What opens the archive: whether it can be used, whether it is kept from others, and whether it outlives this server.
//!
//! An archive whose passphrase was on the lost server only is lost with it. That a copy is elsewhere cannot be seen from here: the
//! configuration has to say where, and who writes it down has thought of it.

use crate::config::{ArchiveConfig, ArchiveKey};
use crate::copy::chain;
use crate::ports::archive::{ArchiveFacts, SnapshotArchiveError};
use crate::report::{Cause, Finding, Gravity};

/// What a look at the key's file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFile {
    /// Whether there is nothing in its first line.
    pub is_empty: bool,
    /// Whether others than its owner may read it, where the system tells.
    pub is_open: Option<bool>,
}

/// Judges an archive and its key: by the key's file, or the reason why that cannot be read, and by what the archive says to it, where it was asked.
pub fn judge(
    archive: &ArchiveConfig,
    file: Result<KeyFile, String>,
    facts: Option<Result<ArchiveFacts, SnapshotArchiveError>>,
) -> Vec<Finding> {
    let path = archive.key.path();
    let finding = |gravity, message: String, hint: &str| Finding::new(gravity, Cause::Key, message).hint(hint);
    let mut findings = Vec::new();
    match file {
        Err(reason) => findings.push(finding(
            Gravity::Error,
            format!("`{path}`, the archive's key, cannot be read: {reason}"),
            "correct its path under `[archive]` in site.toml, or give the account that runs this program read permission",
        )),
        Ok(file) => {
            let hint = "the key is its first line: write it, or name another file";
            let empty = format!("`{path}`, the archive's key, has nothing in its first line");
            findings.extend(file.is_empty.then(|| finding(Gravity::Error, empty, hint)));
            let hint = "let its owner alone read it (chmod 600), and change the key if somebody has";
            let open = format!("`{path}`, the archive's key, can be read by others than its owner");
            findings.extend((file.is_open == Some(true)).then(|| finding(Gravity::Warning, open, hint)));
        }
    }
    if path.starts_with(&archive.repository) {
        let message = format!("`{path}`, the archive's key, lies in the repository that it locks");
        findings.push(finding(Gravity::Error, message, "move it away: whoever gets the repository gets the key"));
    }
    // An identity may have been given a key that only stores, and then nothing is lost with it.
    let mut reads = matches!(archive.key, ArchiveKey::PassphraseFile(_));
    let only_stores = matches!(facts, Some(Ok(ArchiveFacts { reads: false })));
    match facts {
        Some(Ok(facts)) => reads = facts.reads,
        Some(Err(error)) => {
            let message = format!("`{}`, the archive's repository: {}", archive.repository, chain(&error));
            let hint = "`sitebackup archive init` makes a repository; until this one can be used, runs end as incomplete: their snapshots are made, and not archived";
            findings.push(Finding::error(error.cause(), message).hint(hint));
        }
        None => {}
    }
    if only_stores && !archive.keep.is_empty() {
        let message = format!("`keep` is not applied by this server: `{path}` opens a key that only stores");
        let hint = "have somebody with a key that reads run `sitebackup archive expire`";
        findings.push(finding(Gravity::Warning, message, hint));
    }
    if reads && archive.recovery_sheet.is_none() {
        let message = format!(
            "the archive opens with `{path}`, which is on the server that is backed up: if nobody has it elsewhere, both are lost at once"
        );
        let hint = "keep a copy where this server is not, and say where, as in recovery-sheet = \"printed, in the safe\" under `[archive]`";
        findings.push(finding(Gravity::Warning, message, hint));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SiteConfig;
    use crate::destination::DestinationOption;
    use crate::path::{RelPath, SitePath};
    use crate::plan::{BackupPlan, PlanError, Tasks};
    use crate::retention::RetentionPolicy;

    const GOOD: KeyFile = KeyFile { is_empty: false, is_open: Some(false) };

    fn path(text: &str) -> SitePath {
        SitePath::parse(text).expect("an absolute path")
    }

    fn archive(key: ArchiveKey) -> ArchiveConfig {
        let recovery_sheet = Some("printed, in the safe".to_owned());
        ArchiveConfig { repository: path("/archive"), key, keep: RetentionPolicy::default(), recovery_sheet }
    }

    fn told(archive: &ArchiveConfig, file: Result<KeyFile, String>) -> Vec<String> {
        told_of(archive, file, None)
    }

    fn told_of(
        archive: &ArchiveConfig,
        file: Result<KeyFile, String>,
        facts: Option<Result<ArchiveFacts, SnapshotArchiveError>>,
    ) -> Vec<String> {
        judge(archive, file, facts)
            .iter()
            .map(|finding| format!("{:?}: {}", finding.gravity, finding.message))
            .collect()
    }

    #[test]
    fn a_key_is_there_and_closed_and_not_in_what_it_locks() {
        let passphrase = archive(ArchiveKey::PassphraseFile(path("/etc/passphrase")));
        assert_eq!(told(&passphrase, Ok(GOOD)), [""; 0]);
        assert_eq!(told(&passphrase, Ok(KeyFile { is_open: None, ..GOOD })), [""; 0]);
        assert_eq!(
            told(&passphrase, Err("permission denied".to_owned())),
            ["Error: `/etc/passphrase`, the archive's key, cannot be read: permission denied"]
        );
        assert_eq!(
            told(&passphrase, Ok(KeyFile { is_empty: true, is_open: Some(true) })),
            [
                "Error: `/etc/passphrase`, the archive's key, has nothing in its first line",
                "Warning: `/etc/passphrase`, the archive's key, can be read by others than its owner"
            ]
        );
        let inside = archive(ArchiveKey::IdentityFile(path("/archive/keys/mine")));
        assert_eq!(
            told(&inside, Ok(GOOD)),
            ["Error: `/archive/keys/mine`, the archive's key, lies in the repository that it locks"]
        );
    }

    #[test]
    fn neither_key_nor_repository_is_part_of_a_snapshot() {
        let destination = DestinationOption::Local(path("/backup"));
        let mut config = SiteConfig::new("P01".parse().expect("a site code"), destination, path("/state"));
        let key = ArchiveKey::PassphraseFile(path("/srv/app/passphrase"));
        config.archive = Some(ArchiveConfig { repository: path("/srv/app/archive"), ..archive(key) });
        let place = RelPath::parse("SiteServer/app").expect("a plain path");
        let tasks = Tasks { files: vec![(path("/srv/app"), place)], ..Tasks::default() };
        let plan = BackupPlan::new(&config, tasks, Vec::new()).expect("nothing is wrong with it");
        assert_eq!(plan.files[0].source.skip, [path("/srv/app/archive"), path("/srv/app/passphrase")]);
    }

    #[test]
    fn an_archive_and_what_it_archives_lie_apart() {
        let plan_with = |repository: &str| {
            let destination = DestinationOption::Local(path("/backup"));
            let mut config = SiteConfig::new("P01".parse().expect("a site code"), destination, path("/state"));
            let key = ArchiveKey::PassphraseFile(path("/etc/passphrase"));
            config.archive = Some(ArchiveConfig { repository: path(repository), ..archive(key) });
            let place = RelPath::parse("SiteServer/app").expect("a plain path");
            BackupPlan::new(&config, Tasks { files: vec![(path("/srv/app"), place)], ..Tasks::default() }, Vec::new())
        };
        for nested in ["/backup", "/", "/backup/P01Backup", "/backup/P01Backup/archive"] {
            let errors = plan_with(nested).expect_err(nested);
            assert!(matches!(errors[..], [PlanError::ArchiveInSnapshot { .. }]), "{errors:?}");
        }
        for apart in ["/archive", "/backup/archive"] {
            plan_with(apart).expect(apart);
        }
    }

    #[test]
    fn a_passphrase_is_known_to_be_elsewhere_too() {
        let without = |key| ArchiveConfig { recovery_sheet: None, ..archive(key) };
        let key = path("/etc/key");
        assert_eq!(
            told(&without(ArchiveKey::PassphraseFile(key.clone())), Ok(GOOD)),
            [
                "Warning: the archive opens with `/etc/key`, which is on the server that is backed up: if nobody has it elsewhere, both are lost at once"
            ]
        );
        let identity = without(ArchiveKey::IdentityFile(key));
        assert_eq!(told(&identity, Ok(GOOD)), [""; 0], "it may only store");
        let reads = |reads| Some(Ok(ArchiveFacts { reads }));
        assert_eq!(told_of(&identity, Ok(GOOD), reads(false)), [""; 0]);
        assert_eq!(told_of(&identity, Ok(GOOD), reads(true)).len(), 1);
    }

    #[test]
    fn what_the_archive_says_is_told() {
        let identity = archive(ArchiveKey::IdentityFile(path("/etc/identity")));
        let failed = SnapshotArchiveError::Failed("it is not there".into());
        assert_eq!(
            told_of(&identity, Ok(GOOD), Some(Err(failed))),
            ["Error: `/archive`, the archive's repository: the archive cannot be used: it is not there"]
        );
        let keeping = ArchiveConfig { keep: RetentionPolicy { last: 1, ..RetentionPolicy::default() }, ..identity };
        assert_eq!(
            told_of(&keeping, Ok(GOOD), Some(Ok(ArchiveFacts { reads: false }))),
            ["Warning: `keep` is not applied by this server: `/etc/identity` opens a key that only stores"]
        );
        assert_eq!(told_of(&keeping, Ok(GOOD), Some(Ok(ArchiveFacts { reads: true }))), [""; 0]);
    }
}
