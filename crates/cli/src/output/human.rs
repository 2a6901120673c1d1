//! Sizes, times and tables as a person reads them.

use std::time::Duration;

use backup_core::path::RelPath;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `1.3 GiB`: three digits that matter, in powers of 1024.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Only shown, never counted with: the digits that a float loses are not printed.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1,204 entries`, `1 entry`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if n == 1 { one } else { many })
}

/// `entries` with their number.
pub(crate) fn entries(n: u64) -> String {
    count(n, "entry", "entries")
}

/// A path in a list, one a line: what would break the line or command the terminal is escaped, and the root has a name.
pub(crate) fn path(path: &RelPath) -> String {
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    let text: String = path.to_string().chars().map(escaped).collect();
    if text.is_empty() { ".".to_owned() } else { text }
}

/// `0.212 s`, `24.1 s`, `4 min 12 s`, `3 h 5 min`, `2 days 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    let days = |n: u64| if n == 1 { "day" } else { "days" };
    match seconds {
        0..10 => format!("{:.3} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, days(seconds / 86_400), seconds % 86_400 / 3600, "h"),
    }
}

/// How old something is: no fractions of a second.
pub(crate) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        _ => duration(age),
    }
}

/// A moment in a zone, to the second.
pub(crate) fn time(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A FILETIME, in units of 100 ns since 1601, to the second and in UTC.
pub(crate) fn file_time(time: u64) -> String {
    const EPOCH: i64 = 11_644_473_600;
    let seconds = i64::try_from(time / 10_000_000).unwrap_or(i64::MAX) - EPOCH;
    let moment = Timestamp::from_second(seconds).map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    moment.unwrap_or_else(|_| format!("at a time that is none ({time})"))
}

/// A duration as it is written on a command line: `90s`, `30m`, `36h`, `5d`, `2w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write 36h, 5d or 2w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].trim_end().parse().map_err(|_| wrong())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong)
}

/// Rows as lines of aligned columns; `right` says which columns are aligned to the right.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize], indent: &str) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cell = |(column, cell): (usize, &String)| {
            let width = widths[column];
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        text.push_str(format!("{indent}{}", cells.join("  ")).trim_end());
        text.push('\n');
    }
    text
}

/// Names with their values, one a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    table(&rows, &[], "  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let shown: Vec<String> =
            [0, 1023, 1024, 1536, 99 << 10, 102_349, 1_048_523, 1 << 20, 1_395_864_371, u64::MAX].map(bytes).into();
        let expect = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "99.0 KiB",
            "100 KiB",
            "1.0 MiB",
            "1.0 MiB",
            "1.3 GiB",
            "16384 PiB",
        ];
        assert_eq!(shown, expect);
        assert_eq!(entries(1), "1 entry");
        assert_eq!(entries(1_234_567), "1,234,567 entries");
    }

    #[test]
    fn a_path_keeps_to_its_line() {
        let shown = |text: &str| path(&RelPath::parse(text).expect("a path"));
        assert_eq!(shown("SMS/Größe 1.txt"), "SMS/Größe 1.txt");
        assert_eq!(shown("a\nb/\u{1b}[2Jc\u{9b}"), "a\\nb/\\u{1b}[2Jc\\u{9b}");
        assert_eq!(path(&RelPath::root()), ".");
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0.2124, 24.06, 252.0, 3600.0, 11_100.0, 86_400.0, 187_300.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(shown, ["0.212 s", "24.1 s", "4 min 12 s", "1 h", "3 h 5 min", "1 day", "2 days 4 h"]);
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("5d"), Ok(Duration::from_secs(432_000)));
        assert_eq!(parse_duration("36h"), Ok(Duration::from_secs(129_600)));
        for text in ["", "5", "d", "-1d", "5x", "99999999999999999999d", "9999999999999999999w", "5é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
