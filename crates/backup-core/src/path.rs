//! Paths that mean the same on every machine: bytes (WTF-8) in components, never `std::path`.
//!
//! Refuses to know the platform it runs on: a Windows path is read, compared and printed the same on Linux.

use std::cmp::Ordering;
use std::fmt;

/// A relative path: components without separators, `.` or `..`; empty means the folder that it is relative to.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct RelPath {
    joined: Vec<u8>,
}

/// Why a text is not a path that this crate accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A component is empty, `.` or `..`.
    #[error("`{0}` holds an empty, `.` or `..` component")]
    Component(String),
    /// A NUL byte stands in the path.
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
    /// The text starts neither with `/`, nor a drive, nor `\\server\share`.
    #[error("`{0}` is not an absolute path")]
    NotAbsolute(String),
}

impl RelPath {
    /// The folder itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads `a/b/c`; refuses what could lead anywhere else than below.
    ///
    /// # Errors
    /// [`PathError`] for an absolute path, an empty, `.` or `..` component, and a NUL byte.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        let mut path = Self::root();
        if bytes.is_empty() {
            return Ok(path);
        }
        for component in bytes.split(|byte| *byte == b'/') {
            path = path.try_join(component)?;
        }
        Ok(path)
    }

    /// This path with one more component.
    ///
    /// # Errors
    /// [`PathError`] when `component` is not exactly one plain component.
    pub fn try_join(&self, component: &[u8]) -> Result<Self, PathError> {
        let shown = || String::from_utf8_lossy(component).into_owned();
        if component.contains(&0) {
            return Err(PathError::Nul(shown()));
        }
        if matches!(component, b"" | b"." | b"..") || component.contains(&b'/') {
            return Err(PathError::Component(shown()));
        }
        let mut joined = Vec::with_capacity(self.joined.len() + 1 + component.len());
        joined.extend_from_slice(&self.joined);
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(component);
        Ok(Self { joined })
    }

    /// This path followed by another.
    pub fn join(&self, below: &RelPath) -> Self {
        if self.is_root() || below.is_root() {
            let joined = [self.joined.as_slice(), &below.joined].concat();
            return Self { joined };
        }
        let joined = [self.joined.as_slice(), b"/", &below.joined].concat();
        Self { joined }
    }

    /// What remains of this path below `ancestor`; `None` when it does not lie there.
    pub fn strip_prefix(&self, ancestor: &RelPath) -> Option<RelPath> {
        if ancestor.is_root() {
            return Some(self.clone());
        }
        match self.joined.strip_prefix(ancestor.joined.as_slice())? {
            [] => Some(Self::root()),
            [b'/', rest @ ..] => Some(Self { joined: rest.to_vec() }),
            _ => None,
        }
    }

    /// The folder that holds it; `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        let end = self.joined.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(Self { joined: self.joined[..end].to_vec() })
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back().filter(|name| !name.is_empty())
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.joined.split(|byte| *byte == b'/')
    }

    /// The components joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.joined
    }

    /// Whether this is the folder itself.
    pub fn is_root(&self) -> bool {
        self.joined.is_empty()
    }

    /// The path as text where it is Unicode.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.joined).ok()
    }
}

// Component by component, so that a folder's content follows it directly and no `a-b` stands between `a` and `a/b`.
impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |byte: &u8| if *byte == b'/' { 0u16 } else { u16::from(*byte) + 1 };
        self.joined.iter().map(rank).cmp(other.joined.iter().map(rank))
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.joined))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Where an absolute path starts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Anchor {
    Unix,
    Drive(u8),
    Share {
        server: String,
        share: String,
    },
    /// A device that has no drive letter: the volume of a shadow copy.
    Device(String),
}

/// What stands before the name of a device.
const DEVICES: &str = r"\\?\GLOBALROOT\Device\";

/// An absolute path: `/srv/site`, `C:\site`, `\\server\share\site`, or on a shadow copy
/// `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1\site`.
///
/// Windows paths compare without regard to case, as Windows does.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SitePath {
    anchor: Anchor,
    below: RelPath,
}

impl SitePath {
    /// Reads an absolute path of either platform; `/` and `\` both separate in a Windows path.
    ///
    /// # Errors
    /// [`PathError`] for a relative path and for `.` or `..` in it.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        match bytes {
            // A verbatim path is another spelling of a share's or a drive's.
            [b'\\', b'\\', b'?', b'\\', b'U' | b'u', b'N' | b'n', b'C' | b'c', b'\\', rest @ ..] => {
                Self::parse_share(bytes, rest)
            }
            [b'\\', b'\\', b'?', b'\\', drive, b':', ..] if drive.is_ascii_alphabetic() => Self::parse(&bytes[4..]),
            _ if has_prefix(bytes, DEVICES.as_bytes()) => Self::parse_device(bytes),
            [b'\\', b'\\', b'?' | b'.', b'\\', ..] => {
                Err(PathError::NotAbsolute(String::from_utf8_lossy(bytes).into_owned()))
            }
            [b'\\', b'\\', rest @ ..] => Self::parse_share(bytes, rest),
            [drive, b':', rest @ ..] if drive.is_ascii_alphabetic() => {
                let anchor = Anchor::Drive(drive.to_ascii_uppercase());
                Ok(Self { anchor, below: windows_rel(rest)? })
            }
            [b'/', rest @ ..] => {
                let rest = rest.strip_suffix(b"/").unwrap_or(rest);
                Ok(Self { anchor: Anchor::Unix, below: RelPath::parse(rest)? })
            }
            _ => Err(PathError::NotAbsolute(String::from_utf8_lossy(bytes).into_owned())),
        }
    }

    fn parse_share(whole: &[u8], rest: &[u8]) -> Result<Self, PathError> {
        let below = windows_rel(rest)?;
        let mut components = below.components().map(|part| String::from_utf8_lossy(part).into_owned());
        let (Some(server), Some(share)) = (components.next(), components.next()) else {
            return Err(PathError::NotAbsolute(String::from_utf8_lossy(whole).into_owned()));
        };
        let mut path = RelPath::root();
        for component in below.components().skip(2) {
            path = path.try_join(component)?;
        }
        Ok(Self { anchor: Anchor::Share { server, share }, below: path })
    }

    fn parse_device(whole: &[u8]) -> Result<Self, PathError> {
        let below = windows_rel(&whole[DEVICES.len()..])?;
        let mut components = below.components().filter(|part| !part.is_empty());
        let Some(device) = components.next() else {
            return Err(PathError::NotAbsolute(String::from_utf8_lossy(whole).into_owned()));
        };
        let anchor = Anchor::Device(String::from_utf8_lossy(device).into_owned());
        Ok(Self { anchor, below: RelPath { joined: components.collect::<Vec<_>>().join(&b'/') } })
    }

    /// This path with a relative one below it.
    pub fn join(&self, below: &RelPath) -> Self {
        Self { anchor: self.anchor.clone(), below: self.below.join(below) }
    }

    /// What remains below `ancestor`; `None` when this path does not lie there.
    pub fn strip_prefix(&self, ancestor: &SitePath) -> Option<RelPath> {
        if self.is_windows() != ancestor.is_windows() {
            return None;
        }
        if !self.is_windows() {
            return self.below.strip_prefix(&ancestor.below);
        }
        if !same_windows_anchor(&self.anchor, &ancestor.anchor) {
            return None;
        }
        let mut mine = self.below.components().filter(|part| !part.is_empty());
        for theirs in ancestor.below.components().filter(|part| !part.is_empty()) {
            if !same_windows_name(mine.next()?, theirs) {
                return None;
            }
        }
        let rest: Vec<&[u8]> = mine.collect();
        Some(RelPath { joined: rest.join(&b'/') })
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &SitePath) -> bool {
        self.strip_prefix(ancestor).is_some()
    }

    /// The folder that holds it; `None` for a root.
    pub fn parent(&self) -> Option<SitePath> {
        Some(Self { anchor: self.anchor.clone(), below: self.below.parent()? })
    }

    /// The last component; `None` for a root.
    pub fn name(&self) -> Option<&[u8]> {
        self.below.name()
    }

    /// The path below its root.
    pub fn below_root(&self) -> &RelPath {
        &self.below
    }

    /// Whether this is `/`, or the root of a drive, a share or a device.
    pub fn is_root(&self) -> bool {
        self.below.is_root()
    }

    /// Whether the path is a Windows path.
    pub fn is_windows(&self) -> bool {
        self.anchor != Anchor::Unix
    }

    /// The path's bytes as its platform writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = match &self.anchor {
            Anchor::Unix => return [b"/", self.below.as_bytes()].concat(),
            Anchor::Drive(drive) => format!("{}:\\", char::from(*drive)),
            Anchor::Share { server, share } => format!("\\\\{server}\\{share}\\"),
            // With the separator it is the root folder, without it the volume as one stream of bytes.
            Anchor::Device(device) => format!("{DEVICES}{device}\\"),
        };
        let below: Vec<u8> =
            self.below.as_bytes().iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte }).collect();
        [start.as_bytes(), &below].concat()
    }

    /// The path's bytes behind `\\?\`, so that Windows takes it as it is; a path of another platform as that writes it.
    pub fn to_verbatim_bytes(&self) -> Vec<u8> {
        let plain = self.to_bytes();
        match &self.anchor {
            Anchor::Unix | Anchor::Device(_) => plain,
            Anchor::Drive(_) => [br"\\?\".as_slice(), &plain].concat(),
            Anchor::Share { .. } => [br"\\?\UNC\".as_slice(), &plain[2..]].concat(),
        }
    }
}

fn windows_rel(bytes: &[u8]) -> Result<RelPath, PathError> {
    let mut path = RelPath::root();
    for component in bytes.split(|byte| matches!(byte, b'\\' | b'/')).filter(|part| !part.is_empty()) {
        path = path.try_join(component)?;
    }
    Ok(path)
}

fn same_windows_name(a: &[u8], b: &[u8]) -> bool {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) => a.to_lowercase() == b.to_lowercase(),
        _ => a == b,
    }
}

fn same_windows_anchor(a: &Anchor, b: &Anchor) -> bool {
    match (a, b) {
        (Anchor::Share { server: s1, share: h1 }, Anchor::Share { server: s2, share: h2 }) => {
            same_windows_name(s1.as_bytes(), s2.as_bytes()) && same_windows_name(h1.as_bytes(), h2.as_bytes())
        }
        (Anchor::Device(a), Anchor::Device(b)) => same_windows_name(a.as_bytes(), b.as_bytes()),
        _ => a == b,
    }
}

fn has_prefix(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

impl fmt::Display for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl fmt::Debug for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::parse(text).expect("the test's path is plain")
    }

    #[test]
    fn relative_paths_refuse_what_leads_out() {
        for text in ["..", "a/../b", "/a", "a//b", ".", "a/.", "a\0b"] {
            assert!(RelPath::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(rel("a/b").parent(), Some(rel("a")));
        assert_eq!(rel("a").parent(), Some(RelPath::root()));
        assert_eq!(rel("a/b").strip_prefix(&rel("a")), Some(rel("b")));
        assert_eq!(rel("ab/c").strip_prefix(&rel("a")), None);
    }

    #[test]
    fn a_folder_is_followed_by_its_content() {
        let mut paths = vec![rel("a-b"), rel("a/b"), rel("a"), rel("a.b")];
        paths.sort();
        assert_eq!(paths, [rel("a"), rel("a/b"), rel("a-b"), rel("a.b")]);
    }

    #[test]
    fn windows_paths_are_understood_anywhere() {
        let install = SitePath::parse(r"C:\Program Files\Microsoft Configuration Manager").expect("absolute");
        let file = SitePath::parse(r"c:\program files\MICROSOFT configuration manager\Inboxes/x").expect("absolute");
        assert_eq!(file.strip_prefix(&install), Some(rel("Inboxes/x")));
        assert_eq!(file.to_string(), r"C:\program files\MICROSOFT configuration manager\Inboxes\x");
        let share = SitePath::parse(r"\\server\share\a b").expect("absolute");
        assert_eq!(share.to_string(), r"\\server\share\a b");
        assert!(SitePath::parse(r"\\SERVER\Share").expect("a share's root").is_root());
        assert!(SitePath::parse(r"C:").expect("a drive's root").is_root());
        assert!(SitePath::parse("x/y").is_err());
    }

    #[test]
    fn a_verbatim_path_is_the_same_path() {
        for (verbatim, plain) in
            [(r"\\?\C:\a", r"C:\a"), (r"\\?\UNC\server\share\a", r"\\server\share\a"), (r"\\?\C:\", r"C:\")]
        {
            let path = SitePath::parse(verbatim).expect("absolute");
            assert_eq!(path, SitePath::parse(plain).expect("absolute"));
            assert_eq!(path.to_verbatim_bytes(), verbatim.as_bytes());
        }
        assert!(SitePath::parse(r"\\?\Volume{1}\a").is_err());
        assert!(SitePath::parse(r"\\.\pipe\a").is_err());
        assert_eq!(SitePath::parse("/a").expect("absolute").to_verbatim_bytes(), b"/a");
    }

    #[test]
    fn a_shadow_copy_has_a_root() {
        let root = SitePath::parse(r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7").expect("absolute");
        assert!(root.is_root() && root.is_windows());
        assert_eq!(root.to_string(), r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7\");
        let file = root.join(&rel("SMS/inboxes"));
        assert_eq!(file.to_verbatim_bytes(), br"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7\SMS\inboxes");
        let other =
            SitePath::parse(r"\\?\globalroot\device\harddiskvolumeshadowcopy7\sms\inboxes\x").expect("absolute");
        assert_eq!(other.strip_prefix(&file), Some(rel("x")));
        assert!(
            !other.starts_with(&SitePath::parse(r"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy8").expect("absolute"))
        );
        for text in [r"\\?\GLOBALROOT\Device", r"\\?\GLOBALROOT\Device\", r"\\?\GLOBALROOT\Device\a\..\b"] {
            assert!(SitePath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unix_paths_keep_backslashes() {
        let path = SitePath::parse(r"/srv/a\b").expect("absolute");
        assert_eq!(path.to_string(), r"/srv/a\b");
        assert!(!path.is_windows());
        assert!(path.starts_with(&SitePath::parse("/srv/").expect("absolute")));
    }
}
