//! The tables of what is stopped and of what is frozen, and by whom.

use std::time::Duration;

use backup_core::config::{CommandWriterConfig, RestoreCommands, ServiceCommands, ServiceConfig};
use backup_core::ports::shadow_copies::WriterLevel;

use super::read::limit;
use super::table::{Section, Value};

const SERVICE_LIMIT: Duration = Duration::from_secs(60);
const WRITER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manager {
    Commands,
    Windows,
}

const OF_THIS_MACHINE: Manager = if cfg!(windows) { Manager::Windows } else { Manager::Commands };
const MANAGER: &str = if cfg!(windows) { "windows" } else { "commands" };

/// In the order of the text.
pub(super) fn services(section: &Section<'_>) -> Vec<ServiceConfig> {
    let values: Vec<_> = section.values().into_iter().filter(|value| value.key != "manager").collect();
    let manager = match section.get("manager") {
        Some(value) => manager(&value),
        None if values.is_empty() => None,
        None => {
            section.report("`manager` is missing in [services]", Some(format!("write manager = \"{MANAGER}\"")));
            None
        }
    };
    values.iter().filter_map(|value| service(value, manager.unwrap_or(OF_THIS_MACHINE))).collect()
}

fn manager(value: &Value<'_>) -> Option<Manager> {
    let text = value.text(&format!("\"{MANAGER}\""))?;
    let missing = match text.text {
        "systemd" => Some("in this version"),
        "windows" if !cfg!(windows) => Some("on this machine"),
        _ => None,
    };
    if let Some(missing) = missing {
        let remedy = "write \"commands\" and the commands of each service".to_owned();
        text.report(format!("the manager \"{}\" is not {missing}", text.text), Some(remedy));
        return None;
    }
    text.choose("manager of services", &[("commands", Manager::Commands), ("windows", Manager::Windows)])
}

fn service(value: &Value<'_>, manager: Manager) -> Option<ServiceConfig> {
    let example = match manager {
        Manager::Commands => "a service, as in { stop = […], start = […], state = […], timeout = \"60s\" }",
        Manager::Windows => "a service, as in { timeout = \"60s\" }",
    };
    let section = value.section(format!("service `{}`", value.key), example)?;
    let has_commands = ["stop", "start", "state"].iter().any(|key| section.get(key).is_some());
    let commands = match manager {
        Manager::Windows if !has_commands => None,
        Manager::Commands | Manager::Windows => Some(service_commands(&section)),
    };
    let timeout = section.get("timeout").map_or(Some(SERVICE_LIMIT), |value| limit(&value));
    section.finish(|_| None);
    let commands = match commands {
        Some(commands) => Some(commands?),
        None => None,
    };
    Some(ServiceConfig { name: value.key.to_owned(), commands, timeout: timeout? })
}

fn service_commands(section: &Section<'_>) -> Option<ServiceCommands> {
    let command = |key: &'static str| {
        let value = section.require(key, &format!("{key} = [\"program\", \"argument\"]"))?;
        argv(&value)
    };
    let (stop, start, state) = (command("stop"), command("start"), command("state"));
    Some(ServiceCommands { stop: stop?, start: start?, state: state? })
}

pub(super) fn writers(section: &Section<'_>, services: &[ServiceConfig]) -> Vec<CommandWriterConfig> {
    let writer = |value: &Value<'_>| {
        let writer = writer(value)?;
        if services.iter().any(|service| service.name == writer.name) {
            let remedy = Some("give one of them another name".to_owned());
            value.report_key(format!("`{}` is a service as well as a writer", writer.name), remedy);
        }
        Some(writer)
    };
    section.values().iter().filter_map(writer).collect()
}

fn writer(value: &Value<'_>) -> Option<CommandWriterConfig> {
    let example = "a writer, as in { freeze = […], thaw = […], timeout = \"10s\" }";
    let section = value.section(format!("writer `{}`", value.key), example)?;
    let command = |key: &'static str| argv(&section.require(key, &format!("{key} = [\"program\", \"argument\"]"))?);
    let (freeze, thaw) = (command("freeze"), command("thaw"));
    let level = section.get("level").map_or(Some(WriterLevel::default()), |value| {
        let levels =
            [("front-end", WriterLevel::FrontEnd), ("back-end", WriterLevel::BackEnd), ("system", WriterLevel::System)];
        value.text("\"front-end\", \"back-end\" or \"system\"")?.choose("level of a writer", &levels)
    });
    let timeout = section.get("timeout").map_or(Some(WRITER_LIMIT), |value| limit(&value));
    let restore = restore_commands(&section);
    section.finish(|_| None);
    let name = value.key.to_owned();
    Some(CommandWriterConfig {
        name,
        level: level?,
        freeze: freeze?,
        thaw: thaw?,
        timeout: timeout?,
        restore: restore?,
    })
}

/// Both commands or none: who is told to get out of the way must be told when that is over.
fn restore_commands(section: &Section<'_>) -> Option<Option<RestoreCommands>> {
    const KEYS: [&str; 2] = ["pre-restore", "post-restore"];
    if KEYS.iter().all(|key| section.get(key).is_none()) {
        return Some(None);
    }
    let command = |key: &'static str| argv(&section.require(key, &format!("{key} = [\"program\", \"argument\"]"))?);
    let [before, after] = KEYS.map(command);
    Some(Some(RestoreCommands { before: before?, after: after? }))
}

pub(super) fn argv(value: &Value<'_>) -> Option<Vec<String>> {
    let texts = value.texts("program and arguments, as in [\"program\", \"argument\"]")?;
    if texts.first().is_none_or(|program| program.text.is_empty()) {
        value.report(format!("`{}` names no program", value.key), Some("write [\"program\", \"argument\"]".to_owned()));
        return None;
    }
    Some(texts.iter().map(|text| text.text.to_owned()).collect())
}
