//! `registry`: files with keys, shown, compared and converted, without a site.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use backup_core::manifest::to_hex;
use backup_core::report::{Cause, Finding, Gravity};
use registry::{Change, Encoding, FileKind, Key, KeyFile, KeyPath, Name, Value as KeyValue, reg_text, regf};
use serde_json::{Value, json};

use crate::args::{RegistryConvertArgs, RegistryDiffArgs, RegistryReadingArgs, RegistryShowArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};

/// Losses that are told one by one.
const NAMED: usize = 20;

/// The keys that the product keeps in files of these names.
const PRODUCT: [(&str, &str); 2] = [
    ("SMSbkSiteRegSMS.dat", r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS"),
    ("SMSbkSiteRegNAL.dat", r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\NAL"),
];

pub(super) fn show(args: &RegistryShowArgs) -> Result<Answer, CommandError> {
    let read = read(&args.file, &args.reading)?;
    let top = args.key.as_ref().unwrap_or(&read.top);
    let key = read.root.get(top).ok_or_else(|| no_key(top, &args.file, &read))?;
    let root_name = read.root_name.as_ref();
    let mut shown = Shown { root_name, details: args.details, text: String::new(), keys: Vec::new() };
    shown.key(top.clone(), key);
    let result = json!({ "kind": kind_name(read.kind), "keys": shown.keys, "losses": losses(&read) });
    Ok(Answer::new(shown.text, result).with(findings(&args.file, &read)).exit(exit(&[&read])))
}

fn no_key(key: &KeyPath, file: &Path, read: &KeyFile) -> CommandError {
    let error = CommandError::new(Exit::REGISTRY, format!("`{}` holds no key `{key}`", file.display()));
    match (read.kind, read.top.names()) {
        (FileKind::Hive, []) => error.hint("say with --at KEY which key its root is, or name a key below the root"),
        _ => error.hint(format!("its keys lie below `{}`", read.top)),
    }
}

struct Shown<'r> {
    root_name: Option<&'r Name>,
    details: bool,
    text: String,
    keys: Vec<Value>,
}

impl Shown<'_> {
    fn key(&mut self, path: KeyPath, key: &Key) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        _ = match path.names() {
            [] => match self.root_name {
                Some(name) => writeln!(self.text, "[\\] ; the hive calls its root \"{name}\""),
                None => writeln!(self.text, r"[\]"),
            },
            _ => writeln!(self.text, "[{path}]"),
        };
        if self.details {
            self.text.push_str(&details(key));
        }
        for (name, value) in key.values() {
            _ = match name.is_empty() {
                true => writeln!(self.text, "  @ = {value}"),
                false => writeln!(self.text, "  \"{name}\" = {value}"),
            };
        }
        self.keys.push(json!({
            "path": path.to_string(),
            "class": key.class().map(ToString::to_string),
            "last_write": key.last_write(),
            "security": key.security().map(|security| to_hex(security)),
            "values": key.values().map(|(name, value)| value_json(&name.to_string(), value)).collect::<Vec<_>>(),
        }));
        for (name, subkey) in key.subkeys() {
            self.key(path.clone().child(name.clone()).expect("a key that was read is not too deep"), subkey);
        }
    }
}

fn details(key: &Key) -> String {
    let mut lines = String::new();
    if let Some(time) = key.last_write() {
        _ = writeln!(lines, "  ; written {}", human::file_time(time));
    }
    if let Some(class) = key.class() {
        _ = writeln!(lines, "  ; class \"{class}\"");
    }
    if let Some(security) = key.security() {
        _ = writeln!(lines, "  ; security descriptor of {} bytes", security.len());
    }
    lines
}

fn value_json(name: &str, value: &KeyValue) -> Value {
    json!({
        "name": name,
        "type": value.kind().to_string(),
        "type_number": value.kind().0,
        "data": to_hex(value.data()),
        "text": value.as_string(),
    })
}

pub(super) fn diff(args: &RegistryDiffArgs) -> Result<Answer, CommandError> {
    let (before, after) = (read(&args.before, &args.reading)?, read(&args.after, &args.reading)?);
    let unnamed = |read: &KeyFile| read.kind == FileKind::Hive && read.top.names().is_empty();
    if unnamed(&before) != unnamed(&after) {
        let (hive, other) = if unnamed(&before) { (&args.before, &after) } else { (&args.after, &before) };
        let message = format!("`{}` is a hive, and does not say which key its root is", hive.display());
        return Err(CommandError::usage(message).hint(format!("say it with --at KEY, such as --at '{}'", other.top)));
    }
    let changes = before.changes(&after);
    let text = match changes.as_slice() {
        [] => "The keys are the same.\n".to_owned(),
        changes => lines(changes),
    };
    let shown: Vec<String> = changes.iter().map(Change::to_string).collect();
    let found = findings(&args.before, &before).into_iter().chain(findings(&args.after, &after));
    let exit = if changes.is_empty() { exit(&[&before, &after]) } else { Exit::INCOMPLETE };
    Ok(Answer::new(text, json!({ "changes": shown })).with(found.collect::<Vec<_>>()).exit(exit))
}

fn lines(changes: &[Change]) -> String {
    changes.iter().fold(String::new(), |mut text, change| {
        _ = writeln!(text, "{change}");
        text
    })
}

pub(super) fn convert(args: &RegistryConvertArgs) -> Result<Answer, CommandError> {
    let read = read(&args.from, &args.reading)?;
    let is_text = args.to.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("reg"));
    let top = args.reading.at.as_ref().unwrap_or(&read.top);
    if top.names().is_empty() {
        return Err(unnamed_top(args, &read));
    }
    let key = read.root.get(top).ok_or_else(|| no_key(top, &args.from, &read))?;
    let bytes = if is_text { text(key, top, args) } else { hive(key, top, args) };
    let bytes = bytes.map_err(|error| error.hint("write a file of the other kind"))?;
    write(&args.to, &bytes)?;
    let said = format!("`{}` is written: {} below `{top}`.\n", args.to.display(), keys(key.count()));
    let result = json!({ "file": args.to.display().to_string(), "key": top.to_string(), "keys": key.count() });
    let lost = (is_text && knows_more(key)).then(|| {
        let message = "class names, last-write times and security descriptors have no place in .reg text";
        Finding::new(Gravity::Note, Cause::Registry, message)
    });
    Ok(Answer::new(said, result).with(findings(&args.from, &read)).with(lost).exit(exit(&[&read])))
}

fn unnamed_top(args: &RegistryConvertArgs, read: &KeyFile) -> CommandError {
    let message = match read.kind {
        FileKind::Hive => format!("`{}` is a hive, and does not say which key its root is", args.from.display()),
        _ => format!("the keys of `{}` do not lie below one key that could be a hive's root", args.from.display()),
    };
    CommandError::usage(message).hint(r"name it with --at KEY, such as --at HKLM\SOFTWARE\Microsoft\SMS")
}

fn keys(n: usize) -> String {
    human::count(n as u64, "key", "keys")
}

fn knows_more(key: &Key) -> bool {
    key.class().is_some()
        || key.security().is_some()
        || key.last_write().is_some()
        || key.subkeys().any(|(_, subkey)| knows_more(subkey))
}

fn text(key: &Key, top: &KeyPath, args: &RegistryConvertArgs) -> Result<Vec<u8>, CommandError> {
    let encoding = if args.utf8 { Encoding::Utf8 } else { Encoding::Utf16Le };
    reg_text::write(key, top, encoding).map_err(|error| CommandError::new(Exit::REGISTRY, error))
}

fn hive(key: &Key, top: &KeyPath, args: &RegistryConvertArgs) -> Result<Vec<u8>, CommandError> {
    let version = if args.old_hive { regf::Version::V1_3 } else { regf::Version::V1_5 };
    let header = regf::Header { version, ..regf::Header::of_export(top, key) };
    regf::write(key, &header).map_err(|error| CommandError::new(Exit::REGISTRY, error))
}

/// A file that is there is never replaced: the live hive may be only one slip of the finger away.
fn write(file: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let failed = |error| CommandError::io(Exit::USAGE, "write", file, error);
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    let mut open = made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => failed(error).hint("name another file: one that is there is never replaced"),
        _ => failed(error),
    })?;
    open.write_all(bytes).map_err(|error| {
        // Half a file must not be taken for a whole one.
        let _removed = fs::remove_file(file);
        failed(error)
    })
}

fn read(file: &Path, reading: &RegistryReadingArgs) -> Result<KeyFile, CommandError> {
    let product = || {
        let name = file.file_name()?.to_str()?;
        PRODUCT.iter().find(|(product, _)| product.eq_ignore_ascii_case(name)).and_then(|(_, key)| key.parse().ok())
    };
    let mount = reading.at.clone().or_else(product).unwrap_or_default();
    registry::read_key_file(file, &mount, reading.salvage).map_err(|error| {
        let is_hive = matches!(error, registry::StoreError::Damaged { .. });
        let error = CommandError::new(Exit::REGISTRY, error);
        if is_hive && !reading.salvage {
            error.hint("of a damaged hive, --salvage reads what can be read")
        } else {
            error
        }
    })
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Hive => "hive",
        FileKind::RegText => "reg",
        FileKind::Wine => "wine",
    }
}

fn losses(read: &KeyFile) -> Vec<String> {
    read.losses.faults.iter().map(ToString::to_string).collect()
}

fn findings(file: &Path, read: &KeyFile) -> Vec<Finding> {
    let file = file.display();
    let mut findings = Vec::new();
    if read.logs_applied {
        let message = format!("`{file}` was not closed: it is shown as the logs beside it make it");
        findings.push(Finding::new(Gravity::Note, Cause::Registry, message));
    }
    for loss in read.losses.faults.iter().take(NAMED) {
        findings.push(Finding::error(Cause::Registry, format!("lost in `{file}`: {loss}")));
    }
    let more = read.losses.faults.len().saturating_sub(NAMED) + read.losses.unlisted;
    if more > 0 {
        findings.push(Finding::error(Cause::Registry, format!("and {more} more places in `{file}`")));
    }
    findings
}

fn exit(read: &[&KeyFile]) -> Exit {
    if read.iter().all(|read| read.losses.is_empty()) { Exit::DONE } else { Exit::INCOMPLETE }
}
