//! Where the files of a restored database go.
//!
//! Paths are the server's, of whichever system it is: here they are text.

use super::backup::{BackupFile, FileKind, refuse_existing};
use super::error::SqlServerError;
use super::facts::{self, Server};
use super::order::{Placement, RestoreOrder};
use super::talk::Talk;
use super::tsql;

/// A file of a database that a restore puts elsewhere than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedFile {
    /// The name that it is moved by.
    pub logical: String,
    /// Where it was when the backup was taken.
    pub from: String,
    /// Where it goes.
    pub to: String,
}

/// The files that move, and to where. None of these places is taken, where that can be told.
pub(super) fn place(
    talk: &mut dyn Talk,
    order: &RestoreOrder,
    files: &[BackupFile],
    server: &Server,
    is_there: bool,
) -> Result<Vec<MovedFile>, SqlServerError> {
    let (data, log) = match &order.placement {
        Placement::AsBackedUp => return as_backed_up(talk, order, files, server, is_there),
        Placement::Defaults => (&server.data_folder, &server.log_folder),
        Placement::Folders { data, log } => (data, log),
    };
    if data.is_empty() || log.is_empty() {
        let message = format!("{} does not say where files of databases go by default", server.name);
        return Err(SqlServerError::Unsupported(message));
    }
    let moved = renamed(files, &order.target, data, log);
    if !order.replace {
        moved.iter().try_for_each(|file| refuse_existing(talk, &file.to))?;
    }
    Ok(moved)
}

/// Those files move whose folder is not there.
fn as_backed_up(
    talk: &mut dyn Talk,
    order: &RestoreOrder,
    files: &[BackupFile],
    server: &Server,
    is_there: bool,
) -> Result<Vec<MovedFile>, SqlServerError> {
    // Without MOVE, SQL Server puts these where the database that is replaced has them.
    let kept = if is_there { facts::file_names(talk, &order.target)? } else { Vec::new() };
    let (mut homeless, mut taken) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| !kept.contains(&file.logical)) {
        let instead = if file.kind == FileKind::Log { &server.log_folder } else { &server.data_folder };
        match is_lost(talk, &folder_of(&file.path), instead)? {
            true => homeless.push((file, instead)),
            false => taken.push(file.path.clone()),
        }
    }
    let mut moved = Vec::new();
    for (file, folder) in homeless {
        let to = free_in(folder, name_of(&file.path), &taken);
        // Also with REPLACE, which overwrites whatever lies there: it was said of the database, not of a file that the backup does not name.
        refuse_existing(talk, &to).map_err(|error| in_the_way(error, file))?;
        taken.push(to.clone());
        moved.push(MovedFile { logical: file.logical.clone(), from: file.path.clone(), to });
    }
    Ok(moved)
}

/// What can be done about a file that lies where another one has to move to.
fn in_the_way(error: SqlServerError, file: &BackupFile) -> SqlServerError {
    let SqlServerError::FileExists(there) = error else { return error };
    SqlServerError::Unsupported(format!(
        "`{there}` exists already on the server, and file `{}` has to go there: move it away, or make the folder `{}` that it came from",
        file.logical,
        folder_of(&file.path)
    ))
}

/// Whether the server has not got the folder, and has got the other one.
///
/// Both is asked, for whoever may not look is told of no folder at all. Only a path of the server's own disks is asked for: it may be a snapshot
/// that names it, and at another machine the server would log in.
pub(super) fn is_lost(talk: &mut dyn Talk, folder: &str, instead: &str) -> Result<bool, SqlServerError> {
    if !is_local(folder) || instead.is_empty() {
        return Ok(false);
    }
    Ok(has_folder(talk, folder)? == Some(false) && has_folder(talk, &folder_of(&path_in(instead, "")))? == Some(true))
}

fn is_local(path: &str) -> bool {
    match path.as_bytes() {
        [_, b':', b'/' | b'\\', ..] => true,
        [b'/', rest @ ..] => !rest.starts_with(b"/") && !rest.starts_with(b"\\"),
        _ => false,
    }
}

/// Whether the server has a folder; `None` where it does not say.
fn has_folder(talk: &mut dyn Talk, folder: &str) -> Result<Option<bool>, SqlServerError> {
    let answer = talk.run(&tsql::file_exists(folder), &mut |_| {})?;
    Ok(answer.first().and_then(|row| row.get("File is a Directory").map(|is| is != "0")))
}

/// A path in the folder for a file of that name, which no other one has, in whatever case.
fn free_in(folder: &str, name: &str, taken: &[String]) -> String {
    let name = file_name(name);
    let (stem, extension) = name.rfind('.').map_or((name.as_str(), ""), |dot| name.split_at(dot));
    let path = |number: usize| match number {
        0 => path_in(folder, &name),
        number => path_in(folder, &format!("{stem}_{number}{extension}")),
    };
    let is_free = |path: &String| taken.iter().all(|taken| taken.to_lowercase() != path.to_lowercase());
    (0..).map(path).find(is_free).expect("there are fewer files than numbers")
}

/// All files under names made of the target's, so that two targets never share one.
fn renamed(files: &[BackupFile], target: &str, data: &str, log: &str) -> Vec<MovedFile> {
    let place = |(number, file): (usize, &BackupFile)| {
        let (folder, extension) = match file.kind {
            FileKind::Log => (log, ".ldf"),
            FileKind::Data if number == 0 => (data, ".mdf"),
            FileKind::Data => (data, ".ndf"),
            FileKind::Stream | FileKind::FullText => (data, ""),
        };
        let part = if number == 0 { String::new() } else { format!("_{number}") };
        let to = path_in(folder, &format!("{}{part}{extension}", file_name(target)));
        MovedFile { logical: file.logical.clone(), from: file.path.clone(), to }
    };
    files.iter().enumerate().map(place).collect()
}

/// A name without what no file name may hold.
fn file_name(name: &str) -> String {
    name.chars().map(|character| if r#"<>:"/\|?*"#.contains(character) { '_' } else { character }).collect()
}

/// A path in a folder of the server, by whose separators its system is told.
pub(crate) fn path_in(folder: &str, file: &str) -> String {
    let separator = if folder.starts_with('/') { '/' } else { '\\' };
    format!("{}{separator}{file}", folder.trim_end_matches(['/', '\\']))
}

/// Where the name begins in a path of Windows or of Linux.
fn name_at(path: &str) -> usize {
    let separators = if path.starts_with('/') { &['/'][..] } else { &['/', '\\'] };
    path.rfind(separators).map_or(0, |at| at + 1)
}

fn name_of(path: &str) -> &str {
    &path[name_at(path)..]
}

/// The folder of a file. One that is a root keeps its separator.
pub(super) fn folder_of(path: &str) -> String {
    let folder = &path[..name_at(path)];
    let bare = folder.trim_end_matches(['/', '\\']);
    if bare.is_empty() || bare.ends_with(':') { folder.to_owned() } else { bare.to_owned() }
}
