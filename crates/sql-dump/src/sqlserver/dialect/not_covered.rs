//! What a database may have that no dump holds, counted.

use super::{Result, ask};
use crate::sqlserver::talk::Talk;

/// What it is called, and where it is counted.
const COUNTED: &[(&str, &str)] = &[
    ("procedures", "sys.objects WHERE is_ms_shipped = 0 AND type IN ('P', 'PC', 'RF', 'X')"),
    ("functions", "sys.objects WHERE is_ms_shipped = 0 AND type IN ('FN', 'IF', 'TF', 'FS', 'FT', 'AF')"),
    ("triggers", "sys.triggers WHERE is_ms_shipped = 0"),
    ("synonyms", "sys.synonyms WHERE is_ms_shipped = 0"),
    ("table types", "sys.table_types WHERE is_user_defined = 1"),
    ("CLR assemblies", "sys.assemblies WHERE is_user_defined = 1"),
    ("Service Broker services", "sys.services WHERE service_id > 65535"),
    ("Service Broker queues", "sys.service_queues WHERE is_ms_shipped = 0"),
    ("certificates", "sys.certificates WHERE name NOT LIKE '##%'"),
    ("symmetric keys", "sys.symmetric_keys WHERE name NOT LIKE '##%'"),
    ("asymmetric keys", "sys.asymmetric_keys WHERE name NOT LIKE '##%'"),
    ("tables with change tracking", "sys.change_tracking_tables"),
    ("tables with change data capture", "sys.tables WHERE is_tracked_by_cdc = 1"),
    ("full-text catalogs", "sys.fulltext_catalogs"),
    ("full-text indexes", "sys.fulltext_indexes"),
    (
        "XML, spatial and hash indexes",
        "sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id WHERE t.is_ms_shipped = 0 AND i.type IN (3, 4, 7)",
    ),
    ("XML schema collections", "sys.xml_schema_collections WHERE schema_id <> 4"),
    (
        "statistics made by hand",
        "sys.stats AS s JOIN sys.tables AS t ON t.object_id = s.object_id WHERE t.is_ms_shipped = 0 AND s.user_created = 1",
    ),
    ("partition functions", "sys.partition_functions"),
    ("file groups besides the first", "sys.filegroups WHERE is_default = 0"),
    (
        "tables that keep their history by themselves; they come back as plain tables",
        "sys.tables WHERE temporal_type = 2",
    ),
    ("memory-optimized tables; they come back as plain tables", "sys.tables WHERE is_memory_optimized = 1"),
    ("file tables, with their rows", "sys.tables WHERE is_filetable = 1"),
    ("external tables", "sys.tables WHERE is_external = 1"),
    (
        "columns whose values are files of the server; they come back as plain columns",
        "sys.columns WHERE is_filestream = 1",
    ),
    ("columns that are masked; they come back without a mask", "sys.columns WHERE is_masked = 1"),
    ("security policies", "sys.security_policies WHERE is_ms_shipped = 0"),
    ("bound defaults and rules", "sys.objects WHERE is_ms_shipped = 0 AND parent_object_id = 0 AND type IN ('D', 'R')"),
    ("extended properties", "sys.extended_properties WHERE class > 0"),
];

/// One line for each kind of which there is any.
pub(super) fn counted(talk: &mut dyn Talk) -> Result<Vec<String>> {
    let count = |(what, from): &(&str, &str)| format!("SELECT N'{what}' AS what, COUNT(*) AS n FROM {from}");
    let sql = COUNTED.iter().map(count).collect::<Vec<_>>().join(" UNION ALL ");
    let answer = ask(talk, "count what a dump does not hold", &sql)?;
    let found = answer.rows().filter(|row| row.is_set("n"));
    let mut lines: Vec<String> = found.map(|row| format!("{}: {}", row.text("what"), row.text("n"))).collect();
    lines.push("owners, users, roles and permissions; options of the database".to_owned());
    Ok(lines)
}
