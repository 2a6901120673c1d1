//! The small languages inside values: durations, times, days, exit codes, paths, registry keys.

use std::ops::RangeInclusive;
use std::time::Duration;

use backup_core::path::{PathError, RelPath, SitePath};
use backup_core::ports::registry::RegistryKey;
use jiff::civil::{Time, Weekday};

pub(super) const DAYS: [(&str, Weekday); 7] = [
    ("sun", Weekday::Sunday),
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
];

const ROOTS: [&str; 5] =
    ["HKEY_LOCAL_MACHINE", "HKEY_CURRENT_USER", "HKEY_USERS", "HKEY_CLASSES_ROOT", "HKEY_CURRENT_CONFIG"];

/// `90m`, `1h30m`, `5d`: whole numbers with their units, one after the other. None at all is refused: nothing may take no time.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a duration; write a number and a unit (s, m, h, d), as in 60s, 90m or 1h30m");
    let mut seconds = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(end);
        let unit_seconds = match unit.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        seconds = number.checked_mul(unit_seconds).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = &unit[1..];
    }
    // A century is more than anybody means, and keeps sums of times from running over.
    if (1..=100 * 366 * 86_400).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(wrong()) }
}

/// `02:00`, on a 24-hour clock.
pub(super) fn time(text: &str) -> Result<Time, String> {
    let two = |part: &str| -> Option<i8> {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    let parsed = text.split_once(':').and_then(|(hour, minute)| Time::new(two(hour)?, two(minute)?, 0, 0).ok());
    parsed.ok_or_else(|| format!("`{text}` is not a time; write hours and minutes, as in 02:00 or 23:30"))
}

/// `0` or `0-7`.
pub(super) fn exit_codes(text: &str) -> Result<RangeInclusive<i32>, String> {
    let number = |part: &str| part.trim().parse::<u16>().ok().map(i32::from);
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        _ => Err(format!("`{text}` does not name exit codes; write one or a range, as in 0 or 0-7")),
    }
}

/// Whether a Wine prefix has a file for the key: `system.reg`, `user.reg` or `userdef.reg`.
pub(super) fn is_in_wine_prefix(key: &RegistryKey) -> bool {
    ["HKLM", "HKCU", r"HKU\.Default"].iter().any(|root| key.starts_with(&RegistryKey::new(root)))
}

/// A registry root, with the long or the short name of its hive.
pub(super) fn registry_key(text: &str) -> Result<RegistryKey, String> {
    let key = RegistryKey::new(text);
    let root = key.as_str().split('\\').next().unwrap_or_default();
    if ROOTS.contains(&root) {
        return Ok(key);
    }
    Err(format!(
        "`{text}` is not a registry key; it begins with HKLM or another root, as in HKLM\\SOFTWARE\\Microsoft\\SMS"
    ))
}

/// A path on this machine, absolute or relative to `base`, which tells the machine's kind of path.
pub(super) fn local_path(text: &str, base: &SitePath) -> Result<SitePath, String> {
    if text.is_empty() {
        return Err("the path is empty; `.` is the folder itself".to_owned());
    }
    if !is_absolute(text) {
        return below(text, base)
            .map_err(|_| format!("`{text}` leads out of `{base}` or is no path; write an absolute path"));
    }
    let path = SitePath::parse(text).map_err(|error| format!("{error}; write the path without it"))?;
    match (path.is_windows(), base.is_windows()) {
        (true, false) => Err(format!("`{text}` is a Windows path; name the place on this machine")),
        (false, true) => Err(format!("`{text}` has no drive; write a path such as D:\\folder")),
        _ => Ok(path),
    }
}

/// A path of any machine.
pub(super) fn any_path(text: &str) -> Result<SitePath, String> {
    SitePath::parse(text).map_err(|error| format!("{error}; write an absolute path of the machine that it is on"))
}

fn is_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':');
    text.starts_with('/') || text.starts_with(r"\\") || has_drive
}

fn below(text: &str, base: &SitePath) -> Result<SitePath, PathError> {
    let separates = |letter: char| letter == '/' || (letter == '\\' && base.is_windows());
    let plain = text.split(separates).filter(|part| !matches!(*part, "" | "."));
    let below = plain.into_iter().try_fold(RelPath::root(), |path, part| path.try_join(part.as_bytes()))?;
    Ok(base.join(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SitePath {
        SitePath::parse(text).expect("the test's path is absolute")
    }

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [("60s", 60), ("90m", 5400), ("1h30m", 5400), ("5d", 432_000), ("1d1h1m1s", 90_061)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "s", "5 d", "-5d", "1.5h", "5w", "0s", "99999999999999999999s", "9999999d", "5ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_two_digits_each() {
        assert_eq!(time("02:05"), Ok(Time::new(2, 5, 0, 0).expect("a time")));
        for text in ["2:00", "24:00", "02:60", "02", "02:00:00", "+2:00", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exit_codes_are_one_or_a_range() {
        assert_eq!((exit_codes("0"), exit_codes("0-7")), (Ok(0..=0), Ok(0..=7)));
        for text in ["", "-", "7-0", "a", "-1", "0-7-9"] {
            assert!(exit_codes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn registry_keys_begin_with_a_root() {
        let key = registry_key(r"HKLM\SOFTWARE\Microsoft\SMS").expect("a key");
        assert_eq!(key.as_str(), r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS");
        assert!(registry_key(r"SOFTWARE\Microsoft").is_err());
    }

    #[test]
    fn paths_are_relative_to_their_base_and_stay_below_it() {
        let base = path("/etc/site");
        assert_eq!(local_path("./a//b/", &base), Ok(path("/etc/site/a/b")));
        assert_eq!(local_path(".", &base), Ok(base.clone()));
        assert_eq!(local_path(r"a\b", &base).expect("a name with a backslash").to_string(), r"/etc/site/a\b");
        assert_eq!(local_path("/x/", &base), Ok(path("/x")));
        assert_eq!(local_path(r"a\b/c", &path(r"D:\cfg")), Ok(path(r"D:\cfg\a\b\c")));
        for text in ["", "../x", "a/../b", "/a/../b", r"C:\x", r"\\srv\share\x", "a\0b"] {
            assert!(local_path(text, &base).is_err(), "{text:?}");
        }
        assert!(local_path("/x", &path(r"D:\cfg")).is_err());
    }
}
