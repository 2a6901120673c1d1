//! Tables of PostgreSQL: what makes them, their keys and indexes, and their columns.

use super::catalog::{Row, is_one_of, is_table, pairs};
use super::session::Asks;
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};

type Result<T> = std::result::Result<T, LogicalError>;

/// The collation of a column that is `a`, where it is not that of its type.
pub(super) const COLLATION: &str =
    "coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, o.collname) FROM pg_collation o JOIN pg_namespace cn ON cn.oid = o.collnamespace
       JOIN pg_type y ON y.oid = a.atttypid WHERE o.oid = a.attcollation AND a.attcollation <> y.typcollation), '')";

/// Names of columns and their types with all that rows need of one, for the table with oid `c.oid`.
fn columns() -> String {
    format!(
        "(SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
      || {COLLATION}
      || CASE WHEN a.attidentity <> '' THEN coalesce((SELECT format(
             ' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s)',
             CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, sn.nspname, s.relname,
             seqincrement, seqmin, seqmax, seqstart, seqcache, CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END)
           FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
           JOIN pg_sequence q ON q.seqrelid = s.oid
           WHERE d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i' AND d.classid = 'pg_class'::regclass), '')
         WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(f.adbin, f.adrelid),
             CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
         ELSE '' END
      || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
    )
}

/// What is set of a relation that is `c`.
pub(super) const OPTIONS: &str =
    "coalesce(' WITH (' || array_to_string(c.reloptions || (SELECT array_agg('toast.' || o) FROM pg_class t, unnest(t.reloptions) AS o
       WHERE t.oid = c.reltoastrelid), ', ') || ')', '')";

/// Tables, then what ties them to their types and parts to their wholes.
pub(super) fn table_statements(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let (is_table, columns) = (is_table(), columns());
    let mut all = pairs(
        session,
        "tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('CREATE %sTABLE %I.%I (%s)%s%s',
               CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, coalesce({columns}, ''),
               coalesce(' PARTITION BY ' || pg_get_partkeydef(c.oid), ''), {OPTIONS})
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {is_table} ORDER BY c.oid"
        ),
    )?;
    all.extend(pairs(
        session,
        "types of tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE %I.%I OF %s', n.nspname, c.relname, format_type(c.reloftype, NULL))
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {is_table} AND c.reloftype <> 0 ORDER BY c.oid"
        ),
    )?);
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

/// What columns hold that are given no value. The function that tells it may need the table.
pub(super) fn defaults(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let has_columns = is_one_of("'r', 'p', 'v'");
    pairs(
        session,
        "defaults",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET DEFAULT %s',
               n.nspname, c.relname, a.attname, pg_get_expr(f.adbin, f.adrelid))
             FROM pg_attrdef f JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
             WHERE {has_columns} AND a.attgenerated = '' ORDER BY c.oid, a.attnum"
        ),
    )
}

/// How values of columns are stored and counted, where it is not as their type has it: before the rows come.
pub(super) fn storage(session: &mut dyn Asks, kinds: &str) -> Result<Vec<Row>> {
    let has_rows = is_one_of(kinds);
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
             WHERE {has_rows} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum"
        ),
    )
}

/// The indexes by which tables are put in order when somebody orders it.
pub(super) fn clusters(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let has_rows = is_one_of("'r', 'p', 'm'");
    pairs(
        session,
        "the order of tables",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE %I.%I CLUSTER ON %I', n.nspname, c.relname, x.relname)
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {has_rows} AND i.indisclustered ORDER BY c.oid"
        ),
    )
}

/// What replication tells changed rows by.
pub(super) fn replica_identities(session: &mut dyn Asks) -> Result<Vec<Row>> {
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

/// Constraints of some kinds. Keys of a part are its own, and tied to its whole's with their indexes; other constraints come to it from its whole.
pub(super) fn constraints(session: &mut dyn Asks, kinds: &str) -> Result<Vec<Row>> {
    let is_table = is_table();
    pairs(
        session,
        "constraints",
        &format!(
            "SELECT format('%I on %I.%I', k.conname, n.nspname, c.relname), format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s',
               CASE WHEN k.contype = 'c' OR k.contype = 'f' AND c.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {is_table} AND k.contype = ANY (string_to_array('{kinds}', ' ')) AND (k.conparentid = 0 OR k.contype IN ('p', 'u', 'x'))
             AND (k.conislocal OR k.contype <> 'c') ORDER BY k.oid"
        ),
    )
}

/// Indexes that are no constraint's, then what ties those of parts to their whole's.
pub(super) fn indexes(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_table = is_table();
    let index = "pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND (i.indisvalid OR x.relkind = 'I')
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace";
    let mut all = pairs(
        session,
        "indexes",
        &format!(
            "SELECT format('%I.%I', n.nspname, x.relname), pg_get_indexdef(x.oid) FROM {index} WHERE {is_table}
             AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x')) ORDER BY x.oid"
        ),
    )?;
    all.extend(pairs(
        session,
        "parts of indexes",
        &format!(
            "SELECT format('%I.%I', n.nspname, x.relname),
               format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I', pn.nspname, p.relname, n.nspname, x.relname)
             FROM {index} JOIN pg_inherits h ON h.inhrelid = x.oid JOIN pg_class p ON p.oid = h.inhparent
             JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE {is_table} ORDER BY x.oid"
        ),
    )?);
    Ok(all)
}

/// What a constraint's definition does not tell of its index, and what is known of an index's expressions.
pub(super) fn index_settings(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let has_rows = is_one_of("'r', 'p', 'm'");
    pairs(
        session,
        "settings of indexes",
        &format!(
            "SELECT format('%I.%I', n.nspname, x.relname), format('ALTER INDEX %I.%I %s', n.nspname, x.relname, said.what)
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             CROSS JOIN LATERAL (SELECT format('SET (%s)', array_to_string(x.reloptions, ', ')) WHERE x.reloptions IS NOT NULL
               AND EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
               UNION ALL SELECT format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget) FROM pg_attribute a
               WHERE a.attrelid = x.oid AND a.attstattarget >= 0) AS said (what)
             WHERE {has_rows} AND x.relkind = 'i' ORDER BY x.oid"
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
