//! Availability groups: which replica takes a backup, and what is refused there.

use super::error::SqlServerError;
use super::facts::Server;
use super::order::Replica;
use super::talk::Talk;
use super::tsql;

/// What a database of an availability group is on the replica at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    /// The group's name.
    pub group: String,
    /// The replica's server.
    pub replica: String,
    /// Whether it is the primary one.
    pub is_primary: bool,
    /// Such as `SYNCHRONIZED`.
    pub synchronization: String,
    /// Whether the group wants backups to be taken here.
    pub is_preferred: bool,
    /// Where the group wants them, such as `secondary`.
    pub preference: String,
}

impl GroupRole {
    /// Why the database's files are not to be copied: they could not be put back.
    pub fn file_copy_refusal(&self) -> String {
        format!(
            "the database belongs to availability group `{}`: copies of its files cannot be put back into a group, so only native backups are taken",
            self.group
        )
    }
}

fn query(database: &str) -> String {
    let database = tsql::text(database);
    format!(
        "SELECT g.name AS group_name, a.replica_server_name AS replica, r.role_desc AS role, \
         d.synchronization_state_desc AS synchronization, g.automated_backup_preference_desc AS preference, \
         CONVERT(int, sys.fn_hadr_backup_is_preferred_replica({database})) AS is_preferred \
         FROM sys.dm_hadr_database_replica_states AS d \
         JOIN sys.availability_groups AS g ON g.group_id = d.group_id \
         JOIN sys.availability_replicas AS a ON a.replica_id = d.replica_id \
         JOIN sys.dm_hadr_availability_replica_states AS r ON r.replica_id = d.replica_id AND r.is_local = 1 \
         WHERE d.is_local = 1 AND d.database_id = DB_ID({database})"
    )
}

/// The role of the replica at hand; `None` for a database of no group.
pub(super) fn role(talk: &mut dyn Talk, server: &Server, database: &str) -> Result<Option<GroupRole>, SqlServerError> {
    if !server.has_groups {
        return Ok(None);
    }
    let answer = talk.ask(&query(database), "say which replica of an availability group it is")?;
    Ok(answer.first().map(|row| GroupRole {
        group: row.text("group_name"),
        replica: row.text("replica"),
        is_primary: row.get("role") == Some("PRIMARY"),
        synchronization: row.text("synchronization"),
        is_preferred: row.is_set("is_preferred"),
        preference: row.text("preference"),
    }))
}

/// Whether the replica takes a backup, and whether it must be COPY_ONLY: a secondary can take no other.
pub(super) fn judge(role: Option<&GroupRole>, wanted: Replica, copy_only: bool) -> Result<bool, SqlServerError> {
    let Some(role) = role else { return Ok(copy_only) };
    if wanted == Replica::Preferred && !role.is_preferred {
        return Err(SqlServerError::NotThisReplica(format!(
            "`{}` is not the replica that availability group `{}` prefers for backups ({})",
            role.replica, role.group, role.preference
        )));
    }
    if role.is_primary {
        return Ok(copy_only);
    }
    if !["SYNCHRONIZED", "SYNCHRONIZING"].contains(&role.synchronization.as_str()) {
        return Err(SqlServerError::NotThisReplica(format!(
            "replica `{}` of availability group `{}` is {}: no backup of it would be current",
            role.replica, role.group, role.synchronization
        )));
    }
    Ok(true)
}
