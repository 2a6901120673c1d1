CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA "odd ""schema"" [x]";
CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"', 'happy');
CREATE DOMAIN "percent, whole" AS int DEFAULT 50 NOT NULL CONSTRAINT "in range" CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (SUBTYPE = timestamptz);
CREATE FUNCTION apart(text, text) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT abs(ascii($1) - ascii($2))::float8';
CREATE TYPE "words, sorted" AS RANGE (SUBTYPE = text, SUBTYPE_OPCLASS = text_pattern_ops, COLLATION = "C", SUBTYPE_DIFF = apart, MULTIRANGE_TYPE_NAME = many_words);
CREATE COLLATION "alike, any case" (PROVIDER = icu, LOCALE = 'de-u-ks-level2', DETERMINISTIC = false);
CREATE COLLATION plain_c (PROVIDER = libc, LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
CREATE TABLE sorted (v text COLLATE "alike, any case" UNIQUE, w text COLLATE plain_c); INSERT INTO sorted VALUES ('ä', 'B'), ('B', 'ä');
CREATE TYPE collated AS (a text COLLATE "C", b text);
CREATE SEQUENCE "odd ""schema"" [x]"."a seq" INCREMENT 5 MINVALUE -100 MAXVALUE 1000 START 10 CACHE 2 CYCLE;
SELECT nextval('"odd ""schema"" [x]"."a seq"'), nextval('"odd ""schema"" [x]"."a seq"');
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE TABLE plain (
  id bigint GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY,
  other serial UNIQUE,
  b boolean, i2 smallint, i4 int, i8 bigint, n numeric, n2 numeric(38,10), f4 real, f8 double precision, m money,
  c char(5), v varchar(20) COLLATE "C", t text, by bytea, d date, ti time(6), tz timetz, ts timestamp(3), tstz timestamptz, iv interval,
  u uuid, j json, jb jsonb, x xml, inet inet, mac macaddr, bits bit varying(70), arr text[], arr2 int[][], p point, ts_v tsvector,
  mood mood, pc "percent, whole", pr pair, rg int4range, sp span, o oid,
  doubled int GENERATED ALWAYS AS (i4 / 2) STORED, twice_default int DEFAULT twice(21),
  CHECK (i2 IS NULL OR i2 <> 77), CONSTRAINT "odd check; --" CHECK (length(v) <> 19)
);
INSERT INTO plain (b, i2, i4, i8, n, n2, f4, f8, m, c, v, t, by, d, ti, tz, ts, tstz, iv, u, j, jb, x, inet, mac, bits, arr, arr2, p, ts_v, mood, pr, rg, sp, o) VALUES
 (true, 32767, 2147483647, 9223372036854775807, 'NaN', 9999999999999999999999999999.9999999999, '3.4028235e38', 1.0::float8/7, '92233720368547758.07', 'ab', 'ä€😀', E'tab\tnl\ncr\rbs\\ \\N \b\f\v', '\x00ff0a5c', 'infinity', '23:59:59.999999', '23:59:59.999999+15:59', '294276-12-31 23:59:59.999', 'infinity', '178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": "\u00e4"}', '{"b": [1, 2.50]}', '<a>&amp;</a>', '2001:db8::/32', '08:00:2b:01:02:03', B'1011', ARRAY['a', NULL, '', 'NULL', '\', '"'], '{{1,2},{3,4}}', '(1.5,-2)', 'fat:1A cat:2', 'it''s "fine"', (1, 'x,"y'), '[1,)', '[2020-01-01,2021-01-01)', 4294967295),
 (false, -32768, -2147483648, -9223372036854775808, '-Infinity', -0.0000000001, '1e-45', '-Infinity', '-92233720368547758.08', '', '', '', '', '4713-01-01 BC', '00:00', '00:00-15:59', '4713-01-01 00:00 BC', '-infinity', '-1 mon 3 days -04:05:06.789', '00000000-0000-0000-0000-000000000000', 'null', 'null', '', '0.0.0.0', '00:00:00:00:00:00', B'', '{}', '{}', '(NaN,Infinity)', '', 'sad', NULL, 'empty', NULL, 0),
 (NULL, NULL, 5, NULL, '123456789012345678901234567890123456789012345678901234567890.000000000000001', NULL, '0.1', 4.9406564584124654e-324, NULL, NULL, NULL, '\N', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'happy', NULL, NULL, NULL, NULL);
INSERT INTO plain (t, by) SELECT string_agg(md5(n::text) || '😀' || chr(10), ''), decode(string_agg(md5(n::text), ''), 'hex') FROM generate_series(1, 1300000) n;
UPDATE plain SET t = substr(t, 1, 20000000) WHERE length(t) > 1000;
CREATE TABLE "odd ""schema"" [x]"."select" ("from" int, "a b" text, "[c]" text, "d""e" text, "ünï\t" text, PRIMARY KEY ("from", "a b"));
INSERT INTO "odd ""schema"" [x]"."select" SELECT n, 'k', 'c', 'd', 'e' FROM generate_series(1, 50) n;
CREATE TABLE child (id int, parent_from int, parent_ab text DEFAULT 'k', n int REFERENCES plain (other) ON DELETE CASCADE,
  FOREIGN KEY (parent_from, parent_ab) REFERENCES "odd ""schema"" [x]"."select" DEFERRABLE INITIALLY DEFERRED);
INSERT INTO child VALUES (1, 5, DEFAULT, 2), (2, NULL, NULL, NULL);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE empty_table (id int);
CREATE UNLOGGED TABLE unlogged (id int) WITH (fillfactor=70);
INSERT INTO unlogged VALUES (1);
CREATE TABLE dropped_column (a int, gone text, b text);
ALTER TABLE dropped_column DROP COLUMN gone;
INSERT INTO dropped_column VALUES (1, 'b');
CREATE TABLE parted (k int NOT NULL, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE parted_high PARTITION OF parted DEFAULT;
CREATE INDEX parted_v ON parted (v);
INSERT INTO parted SELECT n, n::text FROM generate_series(1, 30) n;
CREATE TABLE base (a int, CONSTRAINT "of both" CHECK (a > 0)); CREATE TABLE heir (b int, CONSTRAINT "of both" CHECK (a > 0)) INHERITS (base);
INSERT INTO base VALUES (1); INSERT INTO heir VALUES (2, 3);
CREATE INDEX "an index" ON plain (lower(t)) WHERE i4 > 3 AND length(t) < 100;
CREATE UNIQUE INDEX ON child (id) INCLUDE (n);
CREATE INDEX trgm ON plain USING gin (v gin_trgm_ops);
CREATE VIEW second AS SELECT 1 AS one;
CREATE VIEW first AS SELECT * FROM second;
CREATE OR REPLACE VIEW second AS SELECT 1 AS one, 2 AS two;
CREATE VIEW "odd view" WITH (security_barrier=true) AS SELECT p.id, c.id AS "c""id" FROM plain p JOIN child c ON c.n = p.other;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM plain;
CREATE UNIQUE INDEX ON counted (n);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := coalesce(NEW.v, 'touched'); RETURN NEW; END$$;
CREATE TRIGGER "a trigger" BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION of_table(r child) RETURNS int LANGUAGE sql AS 'SELECT r.id';
COMMENT ON TABLE plain IS 'it''s plain; -- really';
COMMENT ON COLUMN plain.t IS 'text ä😀';
CREATE POLICY mine ON plain USING (true);
CREATE TRIGGER off BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE plain DISABLE TRIGGER off;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER always AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE parted ENABLE ALWAYS TRIGGER always;
ALTER TABLE parted_low DISABLE TRIGGER always;
ALTER TABLE child REPLICA IDENTITY FULL;
ALTER TABLE dropped_column REPLICA IDENTITY NOTHING;
ALTER TABLE plain REPLICA IDENTITY USING INDEX plain_other_key;
ALTER TABLE plain ALTER COLUMN t SET STORAGE EXTERNAL, ALTER COLUMN by SET COMPRESSION pglz, ALTER COLUMN i4 SET STATISTICS 500;
ALTER TABLE parted ALTER COLUMN v SET STORAGE MAIN;
ALTER TABLE plain ALTER COLUMN v SET (n_distinct = -0.5, n_distinct_inherited = 3);
ALTER TABLE child SET (fillfactor = 80, toast.autovacuum_enabled = false);
ALTER TABLE empty_table SET (toast.autovacuum_enabled = false);
CREATE INDEX by_t ON child (parent_ab); ALTER TABLE child CLUSTER ON by_t;
