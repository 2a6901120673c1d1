SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';
CREATE SEQUENCE s START WITH 5 INCREMENT BY 3 MINVALUE 1 MAXVALUE 999 NOCACHE CYCLE;
SELECT NEXTVAL(s), NEXTVAL(s);
CREATE TABLE plain (
  id bigint unsigned NOT NULL AUTO_INCREMENT,
  ti tinyint, tu tinyint unsigned, si smallint, mi mediumint, i int, bi bigint, bo boolean, bt bit(64),
  de decimal(65,30), fl float, db double, d date, dt datetime(6), ts timestamp(6) NULL, t time(6), y year,
  c char(5), v varchar(200) CHARACTER SET latin1, tx text, mt mediumtext, lt longtext, bin binary(4), vb varbinary(100), bl blob, lb longblob,
  e enum('a','it''s, "b"','ä€'), st set('x','y','z'), j json, g geometry, u uuid, ip inet6,
  gv int GENERATED ALWAYS AS (i % 7) VIRTUAL, gs varchar(20) GENERATED ALWAYS AS (concat('#', si)) STORED,
  df int DEFAULT (1 + 2) CHECK (df < 100), inv int INVISIBLE DEFAULT 9,
  PRIMARY KEY (id), KEY by_i (i), UNIQUE KEY u_v (v), FULLTEXT KEY ft (tx), CONSTRAINT `odd check; --` CHECK (si <> 77)
) ENGINE=InnoDB AUTO_INCREMENT=1000 COMMENT='it''s\nplain';
INSERT INTO plain (id, ti, tu, si, mi, i, bi, bo, bt, de, fl, db, d, dt, ts, t, y, c, v, tx, bin, vb, bl, e, st, j, g, u, ip) VALUES
 (18446744073709551615, -128, 255, -32768, 8388607, -2147483648, 9223372036854775807, 1, b'1111111111111111111111111111111111111111111111111111111111111111',
  99999999999999999999999999999999999.999999999999999999999999999999, 3.40282e38, 1.7976931348623157e308, '9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', '838:59:59.999999', 2155,
  'ab', 'ä€ÿ', 'tab\tnl\ncr\rbs\\ \\N quote\' dq" ?{}\b\f\0 nul 😀', X'00FF0A5C', X'', X'00', 'ä€', 'x,z', '{"a": "ä😀"}', ST_GeomFromText('POINT(1.5 -2)', 4326), 'ffffffff-ffff-ffff-ffff-ffffffffffff', '2001:db8::1'),
 (1, 127, 0, 32767, -8388608, 2147483647, -9223372036854775808, 0, b'0', -0.000000000000000000000000000001, 0.1, 0.14285714285714285, '0000-00-00', '0000-00-00 00:00:00', '1970-01-01 00:00:01', '-838:59:59.999999', 1901,
  '', '', '', X'00000000', NULL, '', 'a', '', 'null', ST_GeomFromText('LINESTRING(0 0, 1 1)'), NULL, '::'),
 (0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1.17549e-38, 4.9406564584124654e-324, '2024-02-31', NULL, NULL, NULL, 0, NULL, NULL, '\\N', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO plain (id, lt, lb) VALUES (7, REPEAT('longtext 😀\t\n', 1500000), REPEAT(X'00FF5C0A27', 4000000)), (8, REPEAT('x', 200000), REPEAT('y', 65536));
CREATE TABLE `odd ``table`` "[x]"` (`select` int, `a b` varchar(50), `c``d` text, `ünï?` varbinary(20), PRIMARY KEY (`a b`, `select`));
INSERT INTO `odd ``table`` "[x]"` SELECT seq % 3, CONCAT('k''\\', seq), 'c', UNHEX(HEX(seq)) FROM seq_1_to_5000;
CREATE TABLE counted (id int DEFAULT (NEXTVAL(s) + 1) PRIMARY KEY, n int DEFAULT NEXTVAL(`from`.s), `two
lines` int, KEY `KEY
k` (`two
lines`));
INSERT INTO counted (id, n, `two
lines`) VALUES (1, 2, 3);
CREATE TABLE no_key (a int, b longtext);
INSERT INTO no_key SELECT seq % 10, IF(seq = 3, REPEAT('z', 3000000), 'dup') FROM seq_1_to_10000;
CREATE TABLE enum_key (e enum('z','a','m') PRIMARY KEY, n int);
INSERT INTO enum_key VALUES ('a', 1), ('z', 2), ('m', 3);
CREATE TABLE bin_key (b binary(2) PRIMARY KEY, n int); INSERT INTO bin_key VALUES (X'0000', 1), (X'FFFF', 2), (X'5C27', 3);
CREATE TABLE parent (k varchar(20), n int, PRIMARY KEY (k), KEY (n)) ENGINE=InnoDB;
CREATE TABLE child (id int PRIMARY KEY, pk varchar(20), CONSTRAINT `fk one` FOREIGN KEY (pk) REFERENCES parent (k) ON DELETE CASCADE);
INSERT INTO parent VALUES ('x', 1), ('Y', 2); INSERT INTO child VALUES (1, 'x'), (2, NULL);
CREATE TABLE parted (k int PRIMARY KEY, v text) PARTITION BY RANGE (k) (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE);
INSERT INTO parted SELECT seq, seq FROM seq_1_to_30;
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
CREATE VIEW second AS SELECT 1 AS one;
CREATE VIEW first AS SELECT *, twice(21) AS x FROM second;
CREATE PROCEDURE p() SELECT 1;
CREATE TRIGGER tr BEFORE INSERT ON parent FOR EACH ROW SET NEW.n = 5;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM child;
CREATE SEQUENCE down START 9 INCREMENT -2 MINVALUE 1 MAXVALUE 9;
SELECT NEXTVAL(down), NEXTVAL(down), NEXTVAL(down), NEXTVAL(down), NEXTVAL(down);
SET sql_mode = 'ORACLE';
DELIMITER //
CREATE PACKAGE pack AS FUNCTION one RETURN INT; END//
CREATE PACKAGE BODY pack AS FUNCTION one RETURN INT AS BEGIN RETURN 1; END; END//
DELIMITER ;
