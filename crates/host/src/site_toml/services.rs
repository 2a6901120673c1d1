//! `[services]`: what is brought to rest, and by whom.

use std::time::Duration;

use backup_core::config::{ServiceCommands, ServiceConfig};

use super::read::{argv, limit};
use super::table::{Section, Value};

const SERVICE_LIMIT: Duration = Duration::from_secs(60);

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
