//! The text of a new site.toml: host's, with what only the command line says put in its lines.

use std::fmt::Write as _;

use backup_core::path::SitePath;
use host::site_toml::{NewSite, NotUnicode, to_toml};
use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use serde_json::json;

use crate::args::InitArgs;
use crate::site::site_path;

/// How long after its begin a window closes: the product's own length.
const WINDOW: SignedDuration = SignedDuration::from_hours(3);

pub(super) fn write(site: &NewSite, args: &InitArgs) -> Result<String, NotUnicode> {
    let mut text = to_toml(site)?;
    if !args.exclude.is_empty() {
        set(&mut text, "# exclude =", &format!("exclude = {}", json!(args.exclude)));
    }
    if let Some(install_dir) = args.install_dir.as_ref().filter(|_| !args.include.is_empty()) {
        let install_dir = site_path(install_dir).map(|path| path.to_string()).unwrap_or_default();
        set(&mut text, "# parent =", &format!("install-dir = {}", json!(install_dir)));
    }
    if !args.days.is_empty() {
        let days: Vec<&str> = args.days.iter().map(|day| day_name(*day)).collect();
        set(&mut text, "days =", &format!("days = {}", json!(days)));
    }
    set(&mut text, "begin =", &format!("begin = \"{}\"", hour_and_minute(args.begin)));
    let latest = args.begin.wrapping_add(WINDOW);
    set(&mut text, "latest-begin =", &format!("latest-begin = \"{}\"", hour_and_minute(latest)));
    if !args.path.is_empty() {
        set(&mut text, "# [paths]", "[paths]");
        set(&mut text, r"# 'C:\Program", &path_lines(&args.path));
    }
    Ok(text)
}

/// Replaces the line that begins so. That the line was there is judged by reading the whole text back.
fn set(text: &mut String, begins: &str, line: &str) {
    let lines: Vec<&str> = text.lines().map(|old| if old.starts_with(begins) { line } else { old }).collect();
    *text = lines.join("\n") + "\n";
}

fn path_lines(paths: &[(SitePath, SitePath)]) -> String {
    let mut lines = String::new();
    for (original, here) in paths {
        // A JSON string is a TOML string: the same characters are escaped the same way.
        _ = writeln!(lines, "{} = {}", json!(original.to_string()), json!(here.to_string()));
    }
    lines.trim_end().to_owned()
}

fn hour_and_minute(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Sunday => "sun",
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
    }
}

#[cfg(test)]
mod tests {
    use backup_core::destination::DestinationOption;
    use clap::Parser;
    use host::site_toml::NewFiles;

    use super::*;
    use crate::args::{Cli, Command};

    fn path(text: &str) -> SitePath {
        SitePath::parse(text).expect("absolute")
    }

    fn args(line: &str) -> InitArgs {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        match cli.command {
            Command::Init(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_flags_say_stands_in_the_file() {
        let args = args(
            "sitebackup init --code p01 --include /srv/app --exclude **/*.tmp --install-dir /srv/app --destination /b --days sun,wed --begin 22:30",
        );
        let site = NewSite {
            code: "P01".parse().expect("a code"),
            files: NewFiles::Include(vec![path("/srv/app")]),
            database: None,
            registry: Vec::new(),
            destination: path("/b"),
        };
        let text = write(&site, &args).expect("Unicode");
        let config = host::site_toml::parse(&text, &path("/etc")).expect("what is written can be read");
        assert_eq!(config.files.exclude, ["**/*.tmp"]);
        assert_eq!(config.install_dir, Some(path("/srv/app")));
        assert_eq!(config.control_file, None);
        assert_eq!(config.task.destination, DestinationOption::Local(path("/b")));
        assert_eq!(config.task.schedule.days, [Weekday::Sunday, Weekday::Wednesday]);
        assert_eq!(config.task.schedule.begin, Time::constant(22, 30, 0, 0));
        assert_eq!(config.task.schedule.latest_begin, Time::constant(1, 30, 0, 0));
    }

    #[test]
    fn roots_of_a_control_file_are_mapped() {
        let args = args(r"sitebackup init --code p01 --install-dir /srv/cm --path C:\SMS=/srv/cm --destination /b");
        let site = NewSite {
            code: "P01".parse().expect("a code"),
            files: NewFiles::Installation { install_dir: path("/srv/cm"), control_file: None },
            database: None,
            registry: Vec::new(),
            destination: path("/b"),
        };
        let text = write(&site, &args).expect("Unicode");
        let config = host::site_toml::parse(&text, &path("/etc")).expect("what is written can be read");
        assert_eq!(config.paths, [(path(r"C:\SMS"), path("/srv/cm"))]);
    }
}
