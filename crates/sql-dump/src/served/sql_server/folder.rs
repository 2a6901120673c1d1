//! The server's folder, by its path there.

use crate::sqlserver::path_in;

/// Whether a path of the server leads to something below the folder, whatever either system makes of it: no other folder, no other machine, no
/// stream of a file.
pub(super) fn is_below(folder: &str, path: &str) -> bool {
    let is_windows = !folder.starts_with('/');
    let plain = |text: &str| if is_windows { text.replace('/', "\\").to_ascii_lowercase() } else { text.to_owned() };
    let start = plain(&path_in(folder, ""));
    let Some(rest) = plain(path).strip_prefix(&start).map(str::to_owned) else { return false };
    rest.split(['/', '\\']).all(is_plain_name)
}

/// Windows drops dots and spaces at the end of a name, so that `.. ` is `..`.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.ends_with(['.', ' '])
        && !name.contains([':', '*', '?'])
        && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_is_below() {
        for (folder, path) in [
            (r"B:\bk", r"B:\bk\a.bak"),
            (r"B:\bk\", r"b:/BK/x/a b.bak"),
            ("B:/bk", r"B:\bk\a.bak"),
            (r"\\srv\bk", r"\\SRV\bk\a.bak"),
            ("/bk", "/bk/a.bak"),
            ("/", "/a.bak"),
        ] {
            assert!(is_below(folder, path), "{folder}: {path}");
        }
        for (folder, path) in [
            (r"B:\bk", r"\\evil\x.bak"),
            (r"B:\bk", r"//evil/x.bak"),
            (r"B:\bk", r"B:\bk"),
            (r"B:\bk", r"B:\bk\"),
            (r"B:\bk", r"B:\bkx\a.bak"),
            (r"B:\bk", r"B:\bk\..\a.bak"),
            (r"B:\bk", r"B:\bk\x\.. \..\a.bak"),
            (r"B:\bk", r"B:\bk/../a.bak"),
            (r"B:\bk", r"B:\bk\\evil\x.bak"),
            (r"B:\bk", r"B:\bk\a.bak:stream"),
            (r"B:\bk", r"\\?\B:\bk\a.bak"),
            (r"B:\bk", "a.bak"),
            (r"B:\bk", "B:\\bk\\a\0.bak"),
            (r"\\srv\bk", r"\\srv\bk2\a.bak"),
            ("/bk", "/BK/a.bak"),
            ("/bk", r"/bk/..\a.bak"),
            ("/bk", "/bk/../a.bak"),
            ("/bk", "https://evil/a.bak"),
        ] {
            assert!(!is_below(folder, path), "{folder}: {path}");
        }
    }
}
