//! The site-server trace format of `smsbkup.log`: one line an entry, the component and the time behind `$$<`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::snapshot::RunId;
use crate::status::COMPONENT;

/// How a log of this program begins: the product's has the same name and the same component.
const OWN: &str = "This is sitebackup";

/// A line of the log.
///
/// Line breaks in `text` become `~`, as the product writes them; the bias is in minutes west of UTC.
pub fn line(text: &str, at: Timestamp, zone: &TimeZone, thread: u32) -> String {
    let time = at.to_zoned_datetime(zone.clone());
    let bias = -zone.to_offset(at).seconds() / 60;
    let text = text.trim_end().replace("\r\n", "~").replace('\n', "~");
    let date = time.strftime("%m-%d-%Y %H:%M:%S");
    let millis = at.subsec_millisecond().rem_euclid(1000);
    format!("{text}  $$<{COMPONENT}><{date}.{millis:03}{bias:+}><thread={thread} (0x{thread:04X})>")
}

/// The line that says whose log it is.
pub(crate) fn introduction(run: RunId) -> String {
    format!("{OWN} {}, run {run}.", env!("CARGO_PKG_VERSION"))
}

/// Whether what a `smsbkup.log` begins with was written by another program in the role of the Backup Site Server task: the product's own.
pub fn is_of_another_task(log: &[u8]) -> bool {
    let log = String::from_utf8_lossy(log);
    log.contains(&format!("$$<{COMPONENT}>")) && !log.contains(OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_shape_of_the_product() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a POSIX zone");
        let at = "2001-12-23T06:53:55.007Z".parse().expect("a timestamp");
        assert_eq!(
            line("SMS site backup service is stopping.\nReally.\n", at, &zone, 1180),
            "SMS site backup service is stopping.~Really.  $$<SMS_SITE_BACKUP><12-23-2001 01:53:55.007+300><thread=1180 (0x049C)>"
        );
    }

    #[test]
    fn a_log_tells_whose_it_is() {
        let written = |text: &str| line(text, Timestamp::UNIX_EPOCH, &TimeZone::UTC, 1).into_bytes();
        assert!(is_of_another_task(&written("SMS site backup service started.")));
        assert!(!is_of_another_task(&written(&introduction(RunId(uuid::Uuid::nil())))));
        assert!(!is_of_another_task(b"notes of the administrator"));
    }
}
