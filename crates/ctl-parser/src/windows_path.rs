//! Windows paths as text, judged the same on every platform and without touching a disk.

/// An absolute path: a drive or a share, and the components below it, `.` and `..` resolved.
///
/// Kept in lower case and without the trailing dots and spaces that Windows drops, since it is only ever compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WindowsPath {
    /// `d:`, or `\\server\share`.
    root: String,
    components: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathProblem {
    NotAbsolute,
    BadCharacter(char),
}

impl WindowsPath {
    /// Reads `text`. An administrative share of `site_server` is read as the drive it stands for, so that
    /// `\\SITE\D$\SMS` and `D:\SMS` compare as one folder.
    pub(crate) fn parse(text: &str, site_server: Option<&str>) -> Result<WindowsPath, PathProblem> {
        let text = text.replace('/', "\\").to_lowercase();
        let (root, rest) = split_root(&text, site_server).ok_or(PathProblem::NotAbsolute)?;
        let mut components = Vec::new();
        for component in rest.split('\\') {
            match component {
                ".." => _ = components.pop(),
                _ => components.push(component.trim_end_matches(['.', ' '])),
            }
            components.pop_if(|last| last.is_empty());
        }
        match components.iter().flat_map(|component| component.chars()).find(|character| is_forbidden(*character)) {
            Some(character) => Err(PathProblem::BadCharacter(character)),
            None => Ok(WindowsPath { root, components: components.into_iter().map(str::to_owned).collect() }),
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.components.is_empty()
    }

    pub(crate) fn is_drive_root(&self) -> bool {
        self.is_root() && (self.root.ends_with(':') || self.root.ends_with('$'))
    }

    /// Whether `other` is this folder or lies in it.
    pub(crate) fn holds(&self, other: &WindowsPath) -> bool {
        self.root == other.root && other.components.starts_with(&self.components)
    }

    pub(crate) fn file_name(&self) -> Option<&str> {
        self.components.last().map(String::as_str)
    }

    pub(crate) fn join(mut self, component: &str) -> WindowsPath {
        self.components.push(component.to_lowercase());
        self
    }
}

fn is_forbidden(character: char) -> bool {
    matches!(character, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '`') || character.is_control()
}

fn split_root<'a>(text: &'a str, site_server: Option<&str>) -> Option<(String, &'a str)> {
    let text = match text.strip_prefix(r"\\?\") {
        Some(verbatim) => match verbatim.strip_prefix(r"unc\") {
            Some(share) => return split_share(share, site_server),
            None => verbatim,
        },
        None => text,
    };
    if let Some(share) = text.strip_prefix(r"\\") {
        return split_share(share, site_server);
    }
    let (drive, rest) = text.split_at_checked(2)?;
    let is_drive = drive.starts_with(|letter: char| letter.is_ascii_lowercase()) && drive.ends_with(':');
    let is_absolute = rest.is_empty() || rest.starts_with('\\');
    (is_drive && is_absolute).then(|| (drive.to_owned(), rest))
}

fn split_share<'a>(text: &'a str, site_server: Option<&str>) -> Option<(String, &'a str)> {
    let (server, rest) = text.split_once('\\')?;
    let (share, rest) = rest.split_once('\\').unwrap_or((rest, ""));
    let is_name = |name: &str| !name.is_empty() && !name.chars().any(is_forbidden) && name != "." && name != "..";
    if !is_name(server) || !is_name(share) {
        return None;
    }
    let is_drive_share = share.len() == 2 && share.ends_with('$') && share.as_bytes()[0].is_ascii_lowercase();
    if is_drive_share && is_site_server(server, site_server) {
        return Some((format!("{}:", &share[..1]), rest));
    }
    Some((format!(r"\\{server}\{share}"), rest))
}

fn is_site_server(server: &str, site_server: Option<&str>) -> bool {
    let short_name = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
    matches!(server, "localhost" | "127.0.0.1")
        || site_server.is_some_and(|site_server| short_name(server) == short_name(site_server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> WindowsPath {
        WindowsPath::parse(text, Some("SRV.contoso.com")).unwrap()
    }

    #[test]
    fn spellings_of_one_folder() {
        let folder = path(r"D:\SMS\Backup");
        for text in [
            r"d:\sms\backup\",
            "D:/SMS/Backup",
            r"D:\\SMS\.\Backup.",
            r"D:\x\..\SMS\Backup ",
            r"D:\..\SMS\Backup",
            r"\\?\D:\SMS\Backup",
            r"\\srv\D$\SMS\Backup",
            r"\\localhost\d$\SMS\Backup",
            r"\\?\UNC\SRV.contoso.com\D$\SMS\Backup",
        ] {
            assert_eq!(path(text), folder, "{text}");
        }
        assert_ne!(path(r"\\other\D$\SMS\Backup"), folder);
    }

    #[test]
    fn holding_goes_by_whole_components() {
        assert!(path(r"D:\SMS").holds(&path(r"d:\sms\inboxes")));
        assert!(path(r"D:\SMS").holds(&path(r"D:\SMS")));
        assert!(!path(r"D:\SMS").holds(&path(r"D:\SMS Backup")));
        assert!(!path(r"D:\SMS").holds(&path(r"E:\SMS\inboxes")));
        assert!(path(r"\\nas\backup").holds(&path(r"\\NAS\backup\P01")));
    }

    #[test]
    fn roots() {
        assert!(path(r"D:\").is_drive_root() && path("D:").is_drive_root() && path(r"D:\x\..").is_drive_root());
        assert!(path(r"\\other\d$").is_drive_root());
        assert!(path(r"\\nas\backup").is_root() && !path(r"\\nas\backup").is_drive_root());
    }

    #[test]
    fn what_is_not_an_absolute_path() {
        for text in ["", "x", r"x\y", r"\x", "D:x", r"\\server", r"\\server\", r"\\.\C:", r"\\?\Volume{1}", "é"] {
            assert_eq!(WindowsPath::parse(text, None), Err(PathProblem::NotAbsolute), "{text}");
        }
        assert_eq!(WindowsPath::parse(r"D:\a*b", None), Err(PathProblem::BadCharacter('*')));
        assert_eq!(WindowsPath::parse(r"D:\a:b", None), Err(PathProblem::BadCharacter(':')));
    }
}
