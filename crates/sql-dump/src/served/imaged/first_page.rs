//! What the beginning of a data file tells: whether it is one at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use backup_core::path::SitePath;

/// Bytes of a page.
const PAGE: u64 = 8192;
/// A page's version, and the type that the first page of every data file has: a file header.
const FILE_HEADER: [u8; 2] = [1, 15];

/// What is wrong with the file. One that is none of data by its name, such as a log, has to have something in it.
pub(super) fn faults(file: &SitePath) -> io::Result<Vec<String>> {
    let mut open = File::open(local(file))?;
    let size = open.metadata()?.len();
    if size == 0 {
        return Ok(vec!["it is empty".to_owned()]);
    }
    if !is_data(file) {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    if !size.is_multiple_of(PAGE) {
        faults.push(format!("its {size} bytes are no whole number of pages"));
    }
    let mut start = [0; 2];
    match open.read_exact(&mut start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        read => read?,
    }
    if start != FILE_HEADER {
        faults.push("its first page is not the file header of a SQL Server data file".to_owned());
    }
    Ok(faults)
}

fn is_data(file: &SitePath) -> bool {
    let name = String::from_utf8_lossy(file.name().unwrap_or_default()).to_lowercase();
    name.ends_with(".mdf") || name.ends_with(".ndf")
}

#[cfg(unix)]
fn local(file: &SitePath) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(file.to_bytes()).into()
}

#[cfg(windows)]
fn local(file: &SitePath) -> PathBuf {
    use std::os::windows::ffi::OsStringExt;
    let wide = backup_core::wtf8::to_wide(&file.to_verbatim_bytes()).unwrap_or_default();
    std::ffi::OsString::from_wide(&wide).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, content: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("written");
        faults(&SitePath::parse(file.to_str().expect("Unicode")).expect("absolute")).expect("it can be read")
    }

    #[test]
    fn a_data_file_begins_with_its_header_and_has_whole_pages() {
        let mut data = vec![0; 2 * 8192];
        data[..2].copy_from_slice(&FILE_HEADER);
        assert_eq!(said("CM_P01.mdf", &data), [""; 0]);
        assert_eq!(said("CM_P01.MDF", &data[..8193]), ["its 8193 bytes are no whole number of pages"]);
        data[1] = 1;
        assert_eq!(said("more.ndf", &data), ["its first page is not the file header of a SQL Server data file"]);
        assert_eq!(said("CM_P01.mdf", &[1]).len(), 2);
        for name in ["CM_P01.mdf", "CM_P01_log.ldf"] {
            assert_eq!(said(name, b""), ["it is empty"]);
        }
        assert_eq!(said("CM_P01_log.ldf", b"whatever a log begins with"), [""; 0]);
    }
}
