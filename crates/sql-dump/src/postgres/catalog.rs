//! What a PostgreSQL database consists of. The server writes the statements itself, by its `pg_get_…` functions, wherever it has one.

use super::not_covered::{lost, not_covered};
use super::session::Asks;
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Column, Encoding, Kind, Statement, Table};

type Result<T> = std::result::Result<T, LogicalError>;

/// Schemas that belong to the user, in a condition on a `pg_namespace` named `n`.
pub(super) const OURS: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/// Not a part of an extension, in a condition on a catalog's row. `class` is the catalog, `oid` the column.
pub(super) fn own(class: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// Reads all of it as of the snapshot of `session`.
pub(super) fn read(session: &mut dyn Asks) -> Result<Catalog> {
    let mut catalog = Catalog { not_covered: not_covered(session)?, lost: lost(session)?, ..Catalog::default() };
    let mut pre =
        |kind, rows: Vec<Row>| catalog.pre.extend(rows.into_iter().map(|(name, sql)| Statement::new(kind, name, sql)));
    pre(Kind::Container, containers(session)?);
    pre(Kind::Type, collations(session)?);
    pre(Kind::Type, types(session)?);
    pre(Kind::Sequence, sequences(session)?);
    pre(Kind::Routine, routines(session)?);
    pre(Kind::Table, table_statements(session)?);
    pre(Kind::Sequence, owned_sequences(session)?);
    pre(Kind::Value, storage(session)?);
    let mut post =
        |kind, rows: Vec<Row>| catalog.post.extend(rows.into_iter().map(|(name, sql)| Statement::new(kind, name, sql)));
    post(Kind::Constraint, constraints(session, "p u x")?);
    post(Kind::Index, indexes(session)?);
    post(Kind::Constraint, constraints(session, "c")?);
    post(Kind::Constraint, constraints(session, "f")?);
    post(Kind::Value, replica_identities(session)?);
    post(Kind::Value, clusters(session)?);
    post(Kind::View, views(session)?);
    post(Kind::Trigger, triggers(session)?);
    post(Kind::Value, trigger_states(session)?);
    post(Kind::Value, sequence_values(session)?);
    post(Kind::Comment, comments(session)?);
    catalog.tables = tables(session)?;
    Ok(catalog)
}

/// A name for messages and a statement.
type Row = (String, String);

/// Rows of a query with two columns.
fn pairs(session: &mut dyn Asks, what: &str, sql: &str) -> Result<Vec<Row>> {
    let rows = session.rows(&format!("read {what}"), sql, 2)?;
    Ok(rows.into_iter().map(|row| (row.text(0), row.text(1))).collect())
}

fn containers(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_namespace", "n.oid");
    pairs(
        session,
        "schemas and extensions",
        &format!(
            "SELECT nspname, format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM pg_namespace n WHERE {OURS} AND {own}
             UNION ALL
             SELECT extname, format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', extname, n.nspname)
             FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE extname <> 'plpgsql'"
        ),
    )
}

/// Columns by which versions differ are asked for by name in the row as JSON.
fn collations(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_collation", "c.oid");
    pairs(
        session,
        "collations",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.collname), format('CREATE COLLATION %I.%I (%s%s%s)', n.nspname, c.collname,
               CASE c.collprovider WHEN 'c' THEN format('PROVIDER = libc, LC_COLLATE = %L, LC_CTYPE = %L', c.collcollate, c.collctype)
                 ELSE format('PROVIDER = %s, LOCALE = %L', CASE c.collprovider WHEN 'i' THEN 'icu' ELSE 'builtin' END,
                   coalesce(j ->> 'colllocale', j ->> 'colliculocale', c.collcollate)) END,
               CASE j ->> 'collisdeterministic' WHEN 'false' THEN ', DETERMINISTIC = false' ELSE '' END,
               coalesce(', RULES = ' || quote_literal(j ->> 'collicurules'), ''))
             FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace CROSS JOIN LATERAL to_jsonb(c) AS j
             WHERE {OURS} AND {own} AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))
             AND c.collprovider IN ('b', 'c', 'i') ORDER BY c.oid"
        ),
    )
}

fn types(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_type", "t.oid");
    pairs(
        session,
        "types",
        &format!(
            "SELECT format('%I.%I', n.nspname, t.typname), CASE t.typtype
               WHEN 'e' THEN format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
                 (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
               WHEN 'd' THEN format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod))
                 || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, c.collname) FROM pg_collation c
                      JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type b ON b.oid = t.typbasetype
                      WHERE c.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
                 || coalesce(' DEFAULT ' || t.typdefault, '')
                 || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
                 || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), '' ORDER BY conname)
                      FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'), '')
               WHEN 'c' THEN format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname,
                 (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod))
                    || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, c.collname) FROM pg_collation c
                         JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type y ON y.oid = a.atttypid
                         WHERE c.oid = a.attcollation AND a.attcollation <> y.typcollation), ''), ', ' ORDER BY attnum)
                  FROM pg_attribute a WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped))
               ELSE (SELECT format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s', n.nspname, t.typname, format_type(rngsubtype, NULL))
                   || coalesce((SELECT format(', SUBTYPE_OPCLASS = %I.%I', pn.nspname, p.opcname) FROM pg_opclass p
                        JOIN pg_namespace pn ON pn.oid = p.opcnamespace WHERE p.oid = r.rngsubopc AND NOT p.opcdefault), '')
                   || coalesce((SELECT format(', COLLATION = %I.%I', cn.nspname, c.collname) FROM pg_collation c
                        JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type y ON y.oid = r.rngsubtype
                        WHERE c.oid = r.rngcollation AND r.rngcollation <> y.typcollation), '')
                   || CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc ELSE '' END
                   || coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', mn.nspname, m.typname) FROM pg_type m
                        JOIN pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid), '') || ')'
                 FROM pg_range r WHERE rngtypid = t.oid)
             END
             FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class r ON r.oid = t.typrelid
             WHERE {OURS} AND {own} AND (t.typtype IN ('e', 'd', 'r') OR r.relkind = 'c') ORDER BY t.oid"
        ),
    )
}

fn sequences(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "sequences",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('CREATE SEQUENCE %I.%I AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s',
               n.nspname, c.relname, format_type(seqtypid, NULL), seqincrement, seqmin, seqmax, seqstart, seqcache,
               CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END)
             FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {OURS} AND {own} AND c.relpersistence <> 't'
             AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
             ORDER BY c.oid"
        ),
    )
}

/// Sequences that go with a column (`serial`): after the tables.
fn owned_sequences(session: &mut dyn Asks) -> Result<Vec<Row>> {
    pairs(
        session,
        "owners of sequences",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname),
               format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, c.relname, tn.nspname, t.relname, a.attname)
             FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
             WHERE {OURS} AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a' ORDER BY c.oid"
        ),
    )
}

fn sequence_values(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND {OURS} AND {own} AND c.relpersistence <> 't' ORDER BY c.oid"
    );
    let names = session.rows("read sequences", &sql, 1)?;
    let mut values = Vec::new();
    for name in names.into_iter().map(|row| row.text(0)) {
        let sql = format!(
            "SELECT format('SELECT setval(%L::regclass, %s, %L)', {}, last_value, is_called) FROM {name}",
            literal(&name)
        );
        let found = session.rows("read the value of a sequence", &sql, 1)?;
        values.extend(found.into_iter().map(|row| (name.clone(), row.text(0))));
    }
    Ok(values)
}

/// Tables that have rows or parts with rows, in a condition on a `pg_class` named `c` with its namespace `n`.
pub(super) fn is_table() -> String {
    format!("c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {OURS} AND {}", own("pg_class", "c.oid"))
}

/// Names of columns and their types with all that belongs to one, for the table with oid `c.oid`.
const COLUMNS: &str = "(SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
      || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, o.collname) FROM pg_collation o JOIN pg_namespace cn ON cn.oid = o.collnamespace
           JOIN pg_type y ON y.oid = a.atttypid WHERE o.oid = a.attcollation AND a.attcollation <> y.typcollation), '')
      || CASE WHEN a.attidentity <> '' THEN (SELECT format(
             ' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s)',
             CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, sn.nspname, s.relname,
             seqincrement, seqmin, seqmax, seqstart, seqcache, CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END)
           FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
           JOIN pg_sequence q ON q.seqrelid = s.oid
           WHERE d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i' AND d.classid = 'pg_class'::regclass)
         WHEN a.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(f.adbin, f.adrelid))
         WHEN f.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(f.adbin, f.adrelid) ELSE '' END
      || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";

/// Tables, then what ties parts to their wholes.
fn table_statements(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_table = is_table();
    let mut all = pairs(
        session,
        "tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('CREATE %sTABLE %I.%I (%s)%s%s',
               CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, coalesce({COLUMNS}, ''),
               coalesce(' PARTITION BY ' || pg_get_partkeydef(c.oid), ''),
               coalesce(' WITH (' || array_to_string(c.reloptions || (SELECT array_agg('toast.' || o) FROM pg_class t, unnest(t.reloptions) AS o
                 WHERE t.oid = c.reltoastrelid), ', ') || ')', ''))
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {is_table} ORDER BY c.oid"
        ),
    )?;
    all.extend(pairs(
        session,
        "parts of tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), CASE WHEN c.relispartition
               THEN format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I %s', pn.nspname, p.relname, n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid))
               ELSE format('ALTER TABLE %I.%I INHERIT %I.%I', n.nspname, c.relname, pn.nspname, p.relname) END
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
             WHERE {is_table} ORDER BY i.inhrelid, i.inhseqno"
        ),
    )?);
    Ok(all)
}

/// How values of columns are stored and counted, where it is not as their type has it: before the rows come.
fn storage(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_table = is_table();
    // Compression came with version 14.
    let said = "SELECT 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
                  WHERE a.attstorage <> y.typstorage
                UNION ALL SELECT 'COMPRESSION ' || CASE p WHEN 'l' THEN 'lz4' ELSE 'pglz' END
                  FROM (SELECT to_jsonb(a) ->> 'attcompression') AS compression (p) WHERE p IN ('l', 'p')
                UNION ALL SELECT 'STATISTICS ' || a.attstattarget WHERE a.attstattarget >= 0
                UNION ALL SELECT format('(%s)', array_to_string(a.attoptions, ', ')) WHERE a.attoptions IS NOT NULL";
    pairs(
        session,
        "how columns are stored",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname),
               format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET %s', n.nspname, c.relname, a.attname, said.what)
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_type y ON y.oid = a.atttypid CROSS JOIN LATERAL ({said}) AS said (what)
             WHERE {is_table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum"
        ),
    )
}

/// The indexes by which tables are put in order when somebody orders it.
fn clusters(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_table = is_table();
    pairs(
        session,
        "the order of tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE %I.%I CLUSTER ON %I', n.nspname, c.relname, x.relname)
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {is_table} AND i.indisclustered ORDER BY c.oid"
        ),
    )
}

/// What replication tells changed rows by.
fn replica_identities(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_table = is_table();
    pairs(
        session,
        "replica identities",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE ONLY %I.%I REPLICA IDENTITY %s', n.nspname, c.relname,
               CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE format('USING INDEX %I', x.relname) END)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident LEFT JOIN pg_class x ON x.oid = i.indexrelid
             WHERE {is_table} AND (c.relreplident IN ('f', 'n') OR c.relreplident = 'i' AND x.oid IS NOT NULL) ORDER BY c.oid"
        ),
    )
}

/// Constraints of some kinds that a table has by itself, not from the whole that it is a part of.
fn constraints(session: &mut dyn Asks, kinds: &str) -> Result<Vec<Row>> {
    let is_table = is_table();
    pairs(
        session,
        "constraints",
        &format!(
            "SELECT format('%I on %I.%I', k.conname, n.nspname, c.relname), format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s',
               CASE WHEN c.relkind = 'p' OR k.contype = 'c' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {is_table} AND k.contype = ANY (string_to_array('{kinds}', ' ')) AND k.conparentid = 0
             AND (k.coninhcount = 0 OR k.contype <> 'c') ORDER BY k.oid"
        ),
    )
}

fn indexes(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let relation =
        format!("c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {OURS} AND {}", own("pg_class", "c.oid"));
    pairs(
        session,
        "indexes",
        &format!(
            "SELECT format('%I.%I', n.nspname, x.relname), regexp_replace(pg_get_indexdef(x.oid), ' ON ONLY ', ' ON ')
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {relation} AND (i.indisvalid OR x.relkind = 'I')
             AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
             AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhrelid = x.oid) ORDER BY x.oid"
        ),
    )
}

fn routines(session: &mut dyn Asks) -> Result<Vec<Row>> {
    // The constructors of a range type come with it.
    let own = own("pg_proc", "p.oid").replace("= 'e'", "IN ('e', 'i')");
    pairs(
        session,
        "functions",
        &format!(
            "SELECT format('%I.%I', n.nspname, p.proname), pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE {OURS} AND {own} AND p.prokind IN ('f', 'p', 'w') ORDER BY p.oid"
        ),
    )
}

/// Views, then materialized views with their indexes and rows.
fn views(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    let mut all = pairs(
        session,
        "views",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('CREATE %s %I.%I%s AS %s%s',
               CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, c.relname,
               CASE WHEN c.relkind = 'v' THEN coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') ELSE '' END,
               rtrim(pg_get_viewdef(c.oid), ';'), CASE c.relkind WHEN 'm' THEN ' WITH NO DATA' ELSE '' END)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND {OURS} AND {own} ORDER BY c.oid"
        ),
    )?;
    all.extend(pairs(
        session,
        "materialized views",
        &format!(
            "SELECT a, b FROM (SELECT format('%I.%I', n.nspname, c.relname), format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname), c.oid, 0
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated AND {OURS} AND {own}
             UNION ALL SELECT format('%I.%I', n.nspname, x.relname), pg_get_indexdef(x.oid), c.oid, 1
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'm' AND {OURS} AND {own}) AS all_of_them (a, b, o, p) ORDER BY o, p"
        ),
    )?);
    Ok(all)
}

fn triggers(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "triggers",
        &format!(
            "SELECT format('%I on %I.%I', t.tgname, n.nspname, c.relname), pg_get_triggerdef(t.oid)
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {OURS} AND {own} ORDER BY t.oid"
        ),
    )
}

/// Triggers that are off, or on for replicated changes as well; of parts of tables those that differ from the whole's.
fn trigger_states(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "states of triggers",
        &format!(
            "SELECT format('%I on %I.%I', t.tgname, n.nspname, c.relname), format('ALTER TABLE %I.%I %s TRIGGER %I', n.nspname, c.relname,
               CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, t.tgname)
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_trigger w ON w.oid = t.tgparentid
             WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT w.tgisinternal) AND t.tgenabled <> coalesce(w.tgenabled, 'O')
             AND {OURS} AND {own} ORDER BY t.tgparentid <> 0, t.oid"
        ),
    )
}

fn comments(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "comments",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), CASE WHEN d.objsubid = 0
               THEN format('COMMENT ON %s %I.%I IS %L', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
                 n.nspname, c.relname, d.description)
               ELSE format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, c.relname, a.attname, d.description) END
             FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
             WHERE d.classoid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm') AND {OURS} AND {own} ORDER BY c.oid, d.objsubid"
        ),
    )
}

/// The tables that hold rows themselves.
pub(super) fn tables(session: &mut dyn Asks) -> Result<Vec<Table>> {
    let is_table = is_table();
    let sql = format!(
        "SELECT c.oid, n.nspname, c.relname, pg_table_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {is_table} AND c.relkind = 'r' ORDER BY c.oid"
    );
    let found = session.rows("read tables", &sql, 4)?;
    let mut tables = Vec::with_capacity(found.len());
    let mut places = std::collections::HashMap::new();
    for row in found {
        places.insert(row.text(0), tables.len());
        let size = row.text(3).parse().unwrap_or(0);
        tables.push(Table {
            schema: Some(row.text(1)),
            name: row.text(2),
            columns: Vec::new(),
            key: Vec::new(),
            size,
            taken: Vec::new(),
        });
    }
    let sql = format!(
        "SELECT c.oid, a.attname, format_type(a.atttypid, a.atttypmod), b.typname,
           coalesce((SELECT i.indkey::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), ''), a.attnum
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type b ON b.oid = a.atttypid
         WHERE {is_table} AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY c.oid, a.attnum"
    );
    for row in session.rows("read columns", &sql, 6)? {
        let Some(place) = places.get(&row.text(0)) else { continue };
        let table: &mut Table = &mut tables[*place];
        if row.text(4).split(' ').any(|number| number == row.text(5)) {
            table.key.push(table.columns.len());
        }
        let (encoding, limit) = shape(&row.text(3));
        let column = Column { name: row.text(1), declared: row.text(2), encoding, limit };
        table.columns.push(column);
    }
    Ok(tables)
}

/// How values of a type are written, and the most bytes of their text.
fn shape(kind: &str) -> (Encoding, Option<u64>) {
    match kind {
        "int2" | "int4" | "int8" | "oid" => (Encoding::Number, Some(24)),
        "float4" | "float8" => (Encoding::Number, Some(32)),
        "numeric" => (Encoding::Number, None),
        "bytea" => (Encoding::Binary, None),
        "bool" | "date" | "time" | "timetz" | "timestamp" | "timestamptz" | "uuid" => (Encoding::Text, Some(64)),
        _ => (Encoding::Text, None),
    }
}

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", escaped.replace('\\', "\\\\")) } else { format!("'{escaped}'") }
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
