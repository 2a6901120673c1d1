//! What the values of a script look like.

use crate::path::SitePath;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Any text that a line can hold.
    Text,
    /// A folder of Windows, local or on a share.
    Folder,
    /// A folder on a drive.
    LocalFolder,
    /// A host by its full name.
    FullHost,
    /// A host.
    Host,
    /// A database, with its instance before a `\`.
    Database,
    /// A product key or `Eval`.
    ProductKey,
}

/// What is wrong with a value, and what to do about it.
type Wrong = (&'static str, &'static str);

pub(super) fn check(value: &str, form: Form) -> Result<(), Wrong> {
    line(value)?;
    match form {
        Form::Text => Ok(()),
        Form::Folder => folder(value).map(|_| ()),
        Form::LocalFolder if folder(value)? => Ok(()),
        Form::LocalFolder => Err(("is not on a drive of this machine", r"name a local folder, such as `C:\ConfigMgr`")),
        Form::FullHost if !host(value)? => {
            Err(("is not a fully qualified name", "add the domain, such as `CM01.corp.example`"))
        }
        Form::FullHost | Form::Host => host(value).map(|_| ()),
        Form::Database => database(value),
        Form::ProductKey => product_key(value),
    }
}

/// Windows' own reading of such files drops spaces and one pair of quotes around a value. Which encodings Setup reads is not known.
fn line(value: &str) -> Result<(), Wrong> {
    let quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if value.trim().is_empty() {
        return Err(("is empty", "give a value, or leave it out"));
    }
    if value.contains(|c: char| c.is_control()) {
        return Err(("holds a line break or another control character", "a value is one line"));
    }
    if !value.is_ascii() {
        let reason = "holds characters other than ASCII, and in which encoding Setup reads its script is not known";
        return Err((reason, "use a name in ASCII, or add the key to the file yourself"));
    }
    if value.trim() != value {
        return Err(("begins or ends with a space, which whoever reads the file drops", "leave it out"));
    }
    if quoted('"') || quoted('\'') {
        return Err(("stands in quotes, which whoever reads the file drops", "write it without"));
    }
    Ok(())
}

/// Whether a folder lies on a drive.
fn folder(value: &str) -> Result<bool, Wrong> {
    let wrong = ("is not a full path of Windows", r"write it with its drive or share, such as `E:\P01Backup`");
    let is_local = value.as_bytes().get(1) == Some(&b':');
    if value
        .get(if is_local { 2.. } else { 0.. })
        .is_some_and(|rest| rest.contains(['<', '>', '"', '|', '?', '*', ':']))
    {
        return Err(("holds a character that no path of Windows can hold", "write the path as Windows shows it"));
    }
    // `C:x` begins in whatever folder is the current one there.
    let is_rooted = !is_local || matches!(value.as_bytes().get(2), Some(b'\\' | b'/'));
    match SitePath::parse(value) {
        Ok(path) if path.is_windows() && is_rooted => Ok(is_local),
        _ => Err(wrong),
    }
}

/// Whether a host has a domain.
fn host(value: &str) -> Result<bool, Wrong> {
    if value.contains('\\') {
        let remedy = r"name the server alone: an instance stands before the database's name, `INSTANCE\CM_P01`";
        return Err(("names an instance", remedy));
    }
    if value.contains([',', ':']) {
        return Err(("names a port", "name the server alone: its port has a key of its own"));
    }
    let is_plain = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if !value.split('.').all(is_plain) {
        return Err(("is not the name of a host", "write it as `CM01.corp.example`"));
    }
    if value.eq_ignore_ascii_case("localhost") {
        return Err(("is another machine everywhere", "write the server's own name, such as `CM01.corp.example`"));
    }
    Ok(value.contains('.'))
}

fn database(value: &str) -> Result<(), Wrong> {
    let remedy = r"write `CM_P01`, or `INSTANCE\CM_P01` on a named instance";
    match value.split('\\').collect::<Vec<_>>().as_slice() {
        [name] | [_, name] if name.is_empty() => Err(("names no database", remedy)),
        ["", _] => Err(("names no instance before the `\\`", remedy)),
        [_] | [_, _] => Ok(()),
        _ => Err(("is no database", remedy)),
    }
}

/// Whether it asks for the evaluation version.
pub(super) fn is_evaluation(product_id: &str) -> bool {
    product_id.eq_ignore_ascii_case("Eval")
}

fn product_key(value: &str) -> Result<(), Wrong> {
    let groups: Vec<&str> = value.split('-').collect();
    let is_group = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_evaluation(value) || (groups.len() == 5 && groups.iter().all(is_group)) {
        return Ok(());
    }
    Err(("is not five groups of five letters or digits with dashes", "write it as it was delivered, or `Eval`"))
}
