//! What a PostgreSQL database has and a dump has not.

use super::catalog::{OURS, is_table, own};
use super::session::Asks;
use crate::logical::LogicalError;

type Result<T> = std::result::Result<T, LogicalError>;

/// Data that is there and not in the dump. Rows that policies hide make a dump fail: `row_security` is off.
pub(super) fn lost(session: &mut dyn Asks) -> Result<Vec<String>> {
    let sql = "SELECT count(*)::text FROM pg_largeobject_metadata";
    let number = session.value("count large objects", sql)?;
    let mut lost = rows_of_extensions(session)?;
    if number != "0" {
        lost.insert(0, format!("large objects (pg_largeobject): {number}"));
    }
    Ok(lost)
}

/// What users wrote into tables of extensions: those come again with their extension, and with what that itself puts there.
fn rows_of_extensions(session: &mut dyn Asks) -> Result<Vec<String>> {
    let sql = "SELECT format('%I.%I', n.nspname, c.relname), coalesce(x.extcondition[k.place], ''),
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
         FROM pg_extension x CROSS JOIN LATERAL unnest(x.extconfig) WITH ORDINALITY AS k (oid, place)
         JOIN pg_class c ON c.oid = k.oid AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid";
    let mut lost = Vec::new();
    for row in session.rows("look for tables of extensions", sql, 3)? {
        let (table, condition) = (row.text(0), row.text(1));
        if !row.text(2).starts_with(['t', '1']) {
            lost.push(format!("rows of {table}, a table of an extension: this user may not count them"));
            continue;
        }
        // The condition is the extension's own, by which pg_dump tells its users' rows from its own.
        let number =
            session.value("count rows of extensions", &format!("SELECT count(*)::text FROM {table} {condition}"))?;
        if number != "0" {
            lost.push(format!("rows of {table}, a table of an extension: {number}"));
        }
    }
    Ok(lost)
}

/// What is there and not in the dump, with its number.
pub(super) fn not_covered(session: &mut dyn Asks) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT what, n::text FROM (VALUES
           ('tables with row security', (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relrowsecurity AND {OURS})),
           ('row security policies', (SELECT count(*) FROM pg_policy)),
           ('rewrite rules', (SELECT count(*) FROM pg_rules n WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema')),
           ('event triggers', (SELECT count(*) FROM pg_event_trigger)),
           ('publications', (SELECT count(*) FROM pg_publication)),
           ('foreign tables', (SELECT count(*) FROM pg_foreign_table)),
           ('foreign servers', (SELECT count(*) FROM pg_foreign_server)),
           ('canonical functions of range types', (SELECT count(*) FROM pg_range r JOIN pg_type p ON p.oid = r.rngtypid
              JOIN pg_namespace n ON n.oid = p.typnamespace WHERE r.rngcanonical <> 0 AND {OURS} AND {})),
           ('extended statistics', (SELECT count(*) FROM pg_statistic_ext)),
           ('aggregates', (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind = 'a' AND {OURS} AND {})),
           ('operators', (SELECT count(*) FROM pg_operator p JOIN pg_namespace n ON n.oid = p.oprnamespace WHERE {OURS} AND {})),
           ('base types', (SELECT count(*) FROM pg_type p JOIN pg_namespace n ON n.oid = p.typnamespace
              WHERE p.typtype = 'b' AND p.typelem = 0 AND {OURS} AND {})),
           ('casts', (SELECT count(*) FROM pg_cast p WHERE p.oid >= 16384 AND {})),
           ('text search configurations', (SELECT count(*) FROM pg_ts_config p JOIN pg_namespace n ON n.oid = p.cfgnamespace WHERE {OURS} AND {})),
           ('text search dictionaries', (SELECT count(*) FROM pg_ts_dict p JOIN pg_namespace n ON n.oid = p.dictnamespace WHERE {OURS} AND {})),
           ('operator classes', (SELECT count(*) FROM pg_opclass p JOIN pg_namespace n ON n.oid = p.opcnamespace WHERE {OURS} AND {})),
           ('conversions', (SELECT count(*) FROM pg_conversion p JOIN pg_namespace n ON n.oid = p.connamespace WHERE {OURS} AND {})),
           ('inherited columns, which become columns of their own', (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
              JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} AND NOT c.relispartition AND a.attinhcount > 0 AND NOT a.attislocal AND NOT a.attisdropped)),
           ('comments on others than tables, columns and views', (SELECT count(*) FROM pg_description d LEFT JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
              WHERE d.objoid >= 16384 AND d.classoid <> 'pg_extension'::regclass AND coalesce(c.relkind, 'i') NOT IN ('r', 'p', 'v', 'm') AND NOT EXISTS
              (SELECT 1 FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')))
         ) AS t(what, n) WHERE n > 0",
        own("pg_type", "p.oid"),
        own("pg_proc", "p.oid"),
        own("pg_operator", "p.oid"),
        own("pg_type", "p.oid"),
        // The cast of a range type to its multirange comes with it.
        own("pg_cast", "p.oid").replace("= 'e'", "IN ('e', 'i')"),
        own("pg_ts_config", "p.oid"),
        own("pg_ts_dict", "p.oid"),
        own("pg_opclass", "p.oid"),
        own("pg_conversion", "p.oid"),
        is_table(),
    );
    let rows = session.rows("count what a dump does not hold", &sql, 2)?;
    let mut lines: Vec<String> = rows.into_iter().map(|row| format!("{}: {}", row.text(0), row.text(1))).collect();
    lines.push("owners and privileges".to_owned());
    Ok(lines)
}
