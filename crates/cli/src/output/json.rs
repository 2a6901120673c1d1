//! The JSON form: one object on standard output, the same for every command. Version 1.

mod archive;

use backup_core::path::SitePath;
use backup_core::report::Finding;
use serde_json::{Map, Value, json};

use crate::exit::Exit;

/// The version of the envelope and of all results. A field that is added does not change it, one that goes or changes its meaning does.
pub(crate) const VERSION: u32 = 1;

/// A command, and the fields of its result with their meaning.
pub(crate) type Fields = (&'static str, &'static [(&'static str, &'static str)]);

/// The fields of each command's `result`; a dot stands before the fields of what is inside, `[]` marks a list.
///
/// Fields of the reports themselves, which are core's, are named as core names them.
const FIELDS: &[Fields] = &[
    (
        "init",
        &[
            ("file", "the site.toml that was written"),
            ("site", "the site code"),
            ("destination", "where snapshots will go"),
            ("possible", "whether a backup can be planned with it; else the findings say what is in the way"),
        ],
    ),
    (
        "check",
        &[
            ("site", "the site code"),
            ("destination", "where the snapshot would go"),
            ("covered[].what", "a path, a registry key or a database"),
            ("covered[].entries", "its entries"),
            ("covered[].bytes", "its bytes"),
            ("not_covered[]", "what no part of the plan covers"),
            ("needed", "bytes that the new snapshot takes"),
            ("peak", "bytes of the old snapshot and the new one together"),
            ("free", "bytes free at the destination"),
        ],
    ),
    (
        "writers",
        &[
            ("writers[].id", "the writer's class"),
            ("writers[].name", "its name"),
            ("writers[].level", "when it is frozen: `front-end` before `back-end` before `system`"),
            (
                "writers[].components[].name",
                "what it owns and is backed up whole; with `logical_path`, `caption`, `database`, `selectable`",
            ),
            ("writers[].components[].files[]", "its files"),
            ("writers[].exclude[]", "what is left out"),
        ],
    ),
    (
        "shadow-copy run",
        &[
            ("run", "the run"),
            ("moment", "the moment that was read, else null"),
            ("provider", "who made the image, else null"),
            ("consistency", "`application`, `crash` or `none`"),
            ("freeze_window", "seconds from the first Freeze to the last Thaw"),
            ("outage", "seconds from the first service stopped to the last one started"),
            ("exit_code", "the program's, 128 and more for a signal; null when it was not run"),
        ],
    ),
    (
        "shadow-copy create",
        &[
            ("run", "the run, which is the id of what is kept"),
            ("freeze_window", "seconds from the first Freeze to the last Thaw"),
            ("outage", "seconds from the first service stopped to the last one started"),
            ("kept", "as in `shadow-copy list`, else null"),
        ],
    ),
    (
        "shadow-copy list",
        &[
            ("kept[].id, kept[].short", "the id, and the shortest text that names it"),
            ("kept[].moment", "the moment; when it was begun where that cannot be known"),
            ("kept[].folder", "the folder with database, registry exports and documents"),
            ("kept[].broken", "why it cannot be read, else null; only the fields above are there then"),
            ("kept[].provider", "who made the image"),
            ("kept[].consistency", "`application`, `crash` or `none`"),
            ("kept[].weaker[]", "why it is weaker than asked for"),
            ("kept[].entries, kept[].bytes", "what the folder holds"),
            ("kept[].on_image", "whether sources lie on an image, which is not counted"),
            ("kept[].sources[]", "`source` of the site, and the `place` where it is read"),
        ],
    ),
    ("shadow-copy path", &[("path", "where it is read")]),
    ("shadow-copy delete", &[("deleted[]", "the ids of those that are gone")]),
    (
        "vss-selftest",
        &[
            ("verdict", "`passed`, `weaker` (a writer failed), `not-available` or `failed`"),
            ("program", "this program's version"),
            ("system", "Windows' version in its own words"),
            ("volumes[]", "the volumes, or folders on them"),
            ("calls[].name", "the method, as Microsoft's pages name it"),
            ("calls[].subject", "what it was called for, such as a volume; often empty"),
            ("calls[].ended", "whether this is the end of the operation that the call of this name began"),
            ("calls[].result", "the HRESULT: `number`, `name` (null where it is none of VSS'), `meaning`"),
            ("calls[].took", "seconds"),
            ("writers[].id", "the class of a writer of the system"),
            ("writers[].instance", "which one of the class"),
            ("writers[].name", "its name"),
            ("writers[].components", "how many components it owns"),
            (
                "writers[].states[]",
                "its states as they were asked for: VSS' `number`, `name`, and `failure`, an HRESULT",
            ),
            ("files[].path", "the file that was read of a volume, on the shadow copy"),
            ("files[].bytes", "how many bytes of its beginning"),
        ],
    ),
    (
        "vss-writer",
        &[
            ("id", "the writer's class"),
            ("name", "the name that VSS has it under"),
            ("components[]", "what could be selected of it when it was registered, as `logical path\\name`"),
        ],
    ),
    (
        "backup",
        &[
            ("run", "the run, which is the snapshot's id"),
            ("site", "the site code"),
            ("started", "when the run began"),
            ("ended", "when it ended"),
            ("outcome", "`done`, `incomplete` or `failed`"),
            ("cause", "why it failed, else null"),
            ("snapshot", "the published snapshot, as in `snapshots`, else null"),
            ("consistency", "`application`, `crash` or `none`"),
            ("freeze_window", "seconds from the first Freeze to the last Thaw"),
            ("outage", "seconds from the first service stopped to the last one started"),
            ("entries", "entries in the snapshot"),
            ("bytes", "bytes of content in the snapshot"),
            (
                "after_backup.end",
                "`absent`, `success`, `failure`, `timed-out` or `not-started`; null when it was not reached",
            ),
            ("after_backup.code", "its exit code, else null"),
            ("archived.id", "the snapshot's id in the archive; null where there is no archive, or nothing was stored"),
            ("archived.added", "bytes that the archive grew by"),
            ("archived.forgotten[]", "the ids of archived snapshots that retention let go of"),
        ],
    ),
    (
        "snapshots",
        &[
            ("snapshots[].id", "the snapshot's id"),
            ("snapshots[].short", "the shortest prefix that names it"),
            ("snapshots[].folder", "where it lies"),
            ("snapshots[].published", "whether the folder has its final name"),
            ("snapshots[].site", "the site code"),
            ("snapshots[].started", "when its run began"),
            ("snapshots[].moment", "the moment to which all parts belong"),
            ("snapshots[].consistency", "`application`, `crash` or `none`"),
            ("snapshots[].provider", "who made the shadow copy"),
            ("snapshots[].weaker[]", "why it is weaker than asked for"),
            ("snapshots[].freeze_window", "seconds"),
            ("snapshots[].outage", "seconds"),
            ("snapshots[].entries", "entries"),
            ("snapshots[].bytes", "bytes of content"),
            ("damaged[].run", "the id of a snapshot that is not whole any more"),
            ("damaged[].folder", "where it lies"),
            ("damaged[].reason", "what is wrong with it"),
            ("snapshots[].database", "name, engine, and which option of Setup takes it back, else null"),
        ],
    ),
    (
        "files",
        &[
            ("files[].kind", "`file`, `hard-link`, `directory`, `symlink`, `database`, `registry` or `made`"),
            ("files[].path", "its place in the snapshot"),
            ("files[].bytes", "bytes of content"),
            ("files[].hash", "BLAKE3, else null"),
        ],
    ),
    (
        "verify",
        &[
            ("run", "the snapshot's id"),
            ("entries", "entries looked at"),
            ("bytes", "bytes read and hashed; 0 without --read-data"),
            ("whole", "whether nothing is wrong with it"),
        ],
    ),
    (
        "recover",
        &[
            ("run", "the snapshot's id; null where --abandon found nothing to abandon"),
            ("end", "`whole`, `partial`, `refused`, `abandoned`, or with --dry-run `preview`"),
            ("written", "entries written; with --dry-run those that would be, or are right already"),
            ("already", "entries that were right already"),
            ("bytes", "bytes written"),
            ("places[]", "where each part went"),
            ("registry_changes[]", "with --dry-run what would change in the registry, one line a change"),
        ],
    ),
    (
        "recover --unattended",
        &[
            ("file", "the script that was written"),
            ("run", "the snapshot's id"),
            ("site", "the site code"),
            ("kind", "`primary` or `central-administration`"),
            ("parent", "the site above a child primary site, else null"),
            ("moment", "the moment that the snapshot holds"),
            ("sections", "the script's sections by name, each with its keys by name; a product key is `***`"),
            ("retention", "seconds for which change tracking data is kept, the product's default where nobody says"),
            ("inside_retention", "whether it still reaches back to the snapshot; null where that changes nothing"),
            ("cd_latest.present", "whether the snapshot holds CD.Latest"),
            ("cd_latest.whole", "whether Setup can be run from it"),
            ("cd_latest.redist", "whether it brings Setup's prerequisites"),
            ("cd_latest.version", "the version recorded in it, else null"),
            ("cd_latest.faults[]", "what is wrong with it"),
            ("consequences[]", "what becomes of the site's data"),
            ("before[]", "what is done by hand before Setup runs"),
            ("afterwards[]", "what is done by hand when it has ended"),
        ],
    ),
    (
        "registry show",
        &[
            ("kind", "`hive`, `reg` or `wine`"),
            ("keys[].path", "the key's path"),
            ("keys[].class", "its class name, else null"),
            ("keys[].last_write", "when it was last written, in units of 100 ns since 1601, else null"),
            ("keys[].security", "its security descriptor in hexadecimal, else null"),
            ("keys[].values[].name", "the value's name; empty for the default value"),
            ("keys[].values[].type", "the type's name"),
            ("keys[].values[].type_number", "its number"),
            ("keys[].values[].data", "the data in hexadecimal"),
            ("keys[].values[].text", "the text of a REG_SZ or REG_EXPAND_SZ, else null"),
            ("losses[]", "what --salvage could not read"),
        ],
    ),
    ("registry diff", &[("changes[]", "what turns the first file into the second, one line a change")]),
    (
        "registry convert",
        &[
            ("file", "the file that was written"),
            ("key", "the key that it holds"),
            ("keys", "how many keys that is with all below it"),
        ],
    ),
    (
        "database inspect",
        &[
            ("name", "the database's name"),
            ("engine", "the engine with its version"),
            ("address", "where it is, without a password"),
            ("size", "its bytes"),
            ("facts", "what is worth comparing after a recovery, by name"),
        ],
    ),
    (
        "database dump",
        &[
            ("folder", "the dump; `file` with --native"),
            ("tables", "how many tables"),
            ("rows", "how many rows"),
            ("moment", "the server's name for the moment"),
            ("server", "with --native: the server that took it"),
            ("set", "with --native: the identity of the backup set"),
            ("finished", "with --native: when it ended, in the server's time, which is the moment that it holds"),
            ("statements[]", "with --dry-run alone: what would be sent"),
        ],
    ),
    (
        "database restore",
        &[
            ("address", "where the database is, without a password"),
            ("rows", "how many rows it holds now, every one compared with the dump"),
            ("files_before", "files with rows that an earlier attempt had loaded"),
            ("database", "with --native: the database"),
            ("faults[]", "with --native: what DBCC CHECKDB found"),
            ("statements[]", "with --dry-run alone: what would be sent"),
        ],
    ),
    (
        "database verify",
        &[
            ("folder", "the dump; `file` with --native"),
            ("tables", "how many tables"),
            ("rows", "how many rows"),
            ("address", "which database it was made of, without a password"),
        ],
    ),
    (
        "rehearse",
        &[
            ("run", "the snapshot's id"),
            ("recovered", "whether recovery, database, registry and probes were all found good"),
            ("took", "seconds that the recovery took, which is about how long the real one would"),
            ("recovery", "the recovery, as in `recover`"),
        ],
    ),
    (
        "status",
        &[
            ("site", "the site code"),
            ("now", "the moment of the answer"),
            ("good", "the last good snapshot, as in `snapshots`, else null"),
            ("newest", "the newest snapshot, as in `snapshots`, else null"),
            ("age", "seconds since the good snapshot's moment, else null"),
            ("max_age", "seconds that it may be old, else null"),
            ("usable_until", "in a hierarchy: when change tracking no longer reaches back to it, else null"),
            (
                "last_run",
                "run, when it began, `result` (`done`, `incomplete`, `failed`, `unfinished`) and its last message, else null",
            ),
            ("next_window", "begin and latest begin of the open or next window, else null"),
            ("missed[]", "windows that passed without a run"),
            ("leftovers[]", "runs that did not end"),
            ("damaged[]", "snapshots that are not whole any more, as in `snapshots`"),
            ("half_recovered", "whether a recovery of the site began and did not end"),
        ],
    ),
    (
        "log",
        &[
            ("messages[].id", "the message's number"),
            ("messages[].severity", "`information`, `warning` or `error`"),
            ("messages[].at", "when"),
            ("messages[].site", "the site code"),
            ("messages[].run", "the run"),
            ("messages[].details[]", "insertion strings"),
            ("messages[].text", "the message in a line"),
        ],
    ),
    (
        "repair",
        &[
            ("unfinished[]", "runs that had not ended"),
            ("started[]", "services that were started"),
            ("swept", "folders removed at the destination"),
            ("published", "the snapshot whose publishing was finished, else null"),
        ],
    ),
    (
        "control-file check",
        &[
            ("file", "the control file"),
            ("example_site", "whether the tokens are those of an example site, because none is configured"),
            ("diagnostics[].code", "the rule, as in docs/control-file.md"),
            ("diagnostics[].severity", "`warning`, `error` or `critical error`"),
            ("diagnostics[].line", "the line, counted from 1"),
            ("diagnostics[].column", "the character in the line, counted from 1"),
            ("diagnostics[].message", "what is wrong"),
            ("diagnostics[].hint", "what to do about it, else null"),
            ("redacted", "a copy that names neither hosts nor paths, with --redact, else null"),
        ],
    ),
    (
        "control-file format",
        &[
            ("file", "the control file"),
            ("changed", "whether its layout was another"),
            ("text", "the file as it is laid out"),
        ],
    ),
    ("control-file new", &[("file", "the file that was written, else null"), ("text", "a control file to begin with")]),
];

/// The fields of all commands.
pub(crate) fn fields() -> impl Iterator<Item = &'static Fields> {
    FIELDS.iter().chain(archive::FIELDS)
}

/// The whole object, with a line end.
pub(crate) fn envelope(command: &str, result: &Value, findings: &[&Finding], exit: Exit) -> Vec<u8> {
    let findings = serde_json::to_string(findings).unwrap_or_else(|_| "[]".to_owned());
    // Written by hand so that the fields come in the order in which they are documented.
    format!(
        "{{\"version\":{VERSION},\"command\":{},\"result\":{result},\"findings\":{findings},\"exit\":{}}}\n",
        Value::from(command),
        exit.code()
    )
    .into_bytes()
}

/// A path as a field, with a second one in hex where it is not Unicode.
pub(crate) fn put_path(object: &mut Map<String, Value>, name: &str, path: &SitePath) {
    let bytes = path.to_bytes();
    object.insert(name.to_owned(), json!(String::from_utf8_lossy(&bytes)));
    if std::str::from_utf8(&bytes).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{name}_hex"), json!(hex));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Asserts that the result of a command holds the documented fields and no others, at its top.
    pub(crate) fn assert_documented(command: &str, result: &Value) {
        let (_, fields) = fields().find(|(name, _)| *name == command).expect("the command is documented");
        let top = |field: &str| field.split(['.', '[']).next().unwrap_or_default().to_owned();
        let mut documented: Vec<String> = fields.iter().map(|(field, _)| top(field)).collect();
        documented.sort();
        documented.dedup();
        let object = result.as_object().expect("a result is an object");
        let mut found: Vec<String> = object.keys().filter(|key| !key.ends_with("_hex")).cloned().collect();
        found.sort();
        assert_eq!(found, documented, "fields of `{command}`");
    }

    #[test]
    fn a_path_that_is_not_unicode_keeps_its_bytes() {
        let mut object = Map::new();
        put_path(&mut object, "folder", &SitePath::parse(b"/a/\xff").expect("absolute"));
        assert_eq!(Value::from(object), json!({ "folder": "/a/\u{fffd}", "folder_hex": "2f612fff" }));
    }

    #[test]
    fn the_envelope_keeps_its_order() {
        let text = envelope("log", &json!({ "messages": [] }), &[], Exit::DONE);
        let expect = r#"{"version":1,"command":"log","result":{"messages":[]},"findings":[],"exit":0}"#;
        assert_eq!(String::from_utf8_lossy(&text), format!("{expect}\n"));
    }
}
