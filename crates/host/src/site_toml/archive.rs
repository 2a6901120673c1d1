//! `[archive]`: where the repository is, what opens it, what of it stays.

#[cfg(test)]
mod tests;

use backup_core::config::{ArchiveConfig, ArchiveKey};
use backup_core::path::SitePath;
use backup_core::retention::RetentionPolicy;

use super::read::{elsewhere, limit, path};
use super::table::{Section, Value};
use super::values::local_path;

/// Keys of this table, for those that stand in another one.
pub(super) const KEYS: &[&str] = &["repository", "passphrase-file", "identity-file", "keep", "recovery-sheet"];

const KEY_EXAMPLE: &str = "passphrase-file = \"/etc/sitebackup/passphrase\"";
const KEEP_EXAMPLE: &str = "keep = { last = 3, daily = 7, weekly = 5, monthly = 12 }";

/// One kind of key, of its file.
type KeyOf = fn(SitePath) -> ArchiveKey;

pub(super) fn archive(section: &Section<'_>, folder: &SitePath) -> Option<ArchiveConfig> {
    let repository = section.require("repository", "repository = \"/archive\"").and_then(|value| {
        value.text("a path between quotes")?.parse(|text| match text.split_once("://") {
            Some((kind, _)) => Err(format!("a repository of the kind `{kind}` is not in this version; name a folder")),
            None => local_path(text, folder),
        })
    });
    let key = key(section, folder);
    let keep = section.get("keep").map_or_else(|| Some(RetentionPolicy::default()), |value| keep(&value));
    let recovery_sheet = section.get("recovery-sheet").map(|value| {
        let said = |text: &str| match text.trim() {
            "" => Err("`recovery-sheet` says nothing; write where the passphrase is kept, or remove it".to_owned()),
            place => Ok(place.to_owned()),
        };
        value.text("\"printed, in the safe\"")?.parse(said)
    });
    section.finish(elsewhere);
    let recovery_sheet = match recovery_sheet {
        Some(said) => Some(said?),
        None => None,
    };
    Some(ArchiveConfig { repository: repository?, key: key?, keep: keep?, recovery_sheet })
}

fn key(section: &Section<'_>, folder: &SitePath) -> Option<ArchiveKey> {
    if let Some(value) = section.get("passphrase") {
        let remedy =
            "put it alone into a file that only this program's account reads, and name that with passphrase-file";
        value.report_key("a passphrase does not belong in this file, which snapshots keep", Some(remedy.to_owned()));
        return None;
    }
    let kinds: [(_, KeyOf); 2] =
        [("passphrase-file", ArchiveKey::PassphraseFile), ("identity-file", ArchiveKey::IdentityFile)];
    let mut given = kinds.into_iter().filter_map(|(name, kind)| Some((section.get(name)?, kind))).collect::<Vec<_>>();
    if let Some((second, _)) = given.get(1) {
        let message = format!("`{}` is a second key of the archive", second.key);
        second.report_key(message, Some("keep one of them".to_owned()));
        return None;
    }
    let Some((value, kind)) = given.pop() else {
        section.report("[archive] names no key", Some(format!("write {KEY_EXAMPLE}")));
        return None;
    };
    path(&value, folder).map(kind)
}

fn keep(value: &Value<'_>) -> Option<RetentionPolicy> {
    let section = value.section("keep", KEEP_EXAMPLE)?;
    let count = |key: &'static str| {
        section.get(key).map_or(Some(0), |value| {
            let count = value.integer();
            if count.is_none() {
                value.report(format!("`{key}` is no number of snapshots"), Some(format!("write {key} = 3")));
            }
            count
        })
    };
    let counts = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "at-least"].map(count);
    let within = section.get("within").map(|value| limit(&value));
    section.finish(|_| None);
    let [last, hourly, daily, weekly, monthly, yearly, at_least] = counts;
    let policy = RetentionPolicy {
        last: last?,
        hourly: hourly?,
        daily: daily?,
        weekly: weekly?,
        monthly: monthly?,
        yearly: yearly?,
        within: match within {
            Some(time) => Some(time?),
            None => None,
        },
        at_least: at_least?,
    };
    if policy.is_empty() {
        let remedy = format!("write {KEEP_EXAMPLE}, or remove it: then everything stays");
        value.report("`keep` has no rule: `at-least` alone forgets nothing", Some(remedy));
        return None;
    }
    Some(policy)
}
