//! MariaDB and MySQL through ODBC: a global read lock held while every connection starts its snapshot, pages by primary key.

mod catalog;
mod origin;
mod privileges;
mod server;
mod target;
mod words;

pub(crate) use origin::{may_dump, origin};
pub(crate) use server::{inspect, server};
pub(crate) use target::target;

use crate::text::Refusal;

/// What an error of the server means.
pub(crate) fn refusal(state: &str, native: i32) -> Refusal {
    match (native, state) {
        // Gone away, lost, killed, shutting down.
        (2006 | 2013 | 2055 | 1927 | 1053 | 1317, _) | (_, "08S01" | "08003" | "08007") => Refusal::Gone,
        // Lock wait timeout, deadlock, statement limit.
        (1205 | 1213 | 1969, _) => Refusal::Busy,
        // No such table, unknown table, unknown column, table definition has changed.
        (1146 | 1051 | 1054 | 1412, _) => Refusal::Changed,
        // Data too long, out of range, wrong value, no default, null, duplicate, foreign key, check, packet too large, disk row size.
        (1406 | 1264 | 1366 | 1292 | 1364 | 1048 | 1062 | 1452 | 4025 | 1153 | 1118 | 1265 | 1301 | 1416, _) => {
            Refusal::DoesNotFit
        }
        (_, state) if state.starts_with("22") || state.starts_with("23") => Refusal::DoesNotFit,
        _ => Refusal::Other,
    }
}

/// Settings of every session. Exact text, no automatic values for 0, and no value that is bent to fit.
const SETTINGS: &[&str] = &[
    "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES'",
    "SET SESSION net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 86400",
    "SET SESSION sql_select_limit = DEFAULT, sql_quote_show_create = 1",
];

/// For definitions that tell none of their own: what a server once took with less strict settings it takes again.
const DEFINING: &str =
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES', time_zone = '+00:00',
    collation_connection = utf8mb4_general_ci, innodb_strict_mode = 0, foreign_key_checks = 0
    /*M!100304 , check_constraint_checks = 0, system_versioning_alter_history = KEEP */";

/// The mode in which the server writes views, whatever they were written in.
const VIEW_MODE: &str = "NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ALLOW_INVALID_DATES";
