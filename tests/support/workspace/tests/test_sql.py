"""SQL text: tokens, parameters, names, columns, and how values are spelled."""

import unittest

from ..results import Chunks, column_info
from ..sql import simple
from ..sql.engine import Result, SqlError
from ..sql.parameters import bind
from ..sql.queries import chains
from ..sql.spelling import real
from ..sql.tokens import name, quoted, significant, tokens, unquoted
from ..unity.columns import canonical, column, of_definitions
from ..unity.nested import FieldExists, NoField, added, widened


class Tokens(unittest.TestCase):
    def test_nothing_is_lost(self):
        for text in ("select 'it''s', `a``b`, r'\\n' -- :no\n, /* ? */ x::int, 1.5e3, :p, ?", "", "'open", "日本 `ü`"):
            self.assertEqual("".join(token.text for token in tokens(text)), text)

    def test_markers_stand_outside_of_strings_comments_and_casts(self):
        found = [token.text for token in tokens("select ':a', `:b`, x::int, :c, ? -- :d\n/* :e */") if token.kind == "marker"]
        self.assertEqual(found, [":c", "?"])
        self.assertEqual([token.text for token in tokens("STRUCT<a:INT, `b`:DATE>") if token.kind == "marker"], [])

    def test_strings(self):
        for value in ("plain", "it's", "a\\b", "line\nbreak\ttab", "日本", ""):
            self.assertEqual(unquoted(significant(quoted(value))[0]), value)
        self.assertEqual(unquoted(significant("'it''s'")[0]), "it's")
        self.assertEqual(unquoted(significant("r'a\\n'")[0]), "a\\n")
        self.assertEqual(name("a", "b`c"), "`a`.`b``c`")


class Parameters(unittest.TestCase):
    def test_literals(self):
        bound = bind("select :a, :b, :a, ?, ':a'", [{"name": "a", "value": "x' --"}, {"name": "b", "type": "INT", "value": "7"}, {"value": None, "type": "DATE"}])
        self.assertEqual(bound, "select 'x\\' --', CAST('7' AS INT), 'x\\' --', CAST(NULL AS DATE), ':a'")

    def test_a_decimal_has_the_precision_of_its_value(self):
        self.assertEqual(bind(":d", [{"name": "d", "type": "DECIMAL(10,2)", "value": "1.50"}]), "CAST('1.50' AS DECIMAL(3,2))")

    def test_refusals(self):
        cases = {
            "UNBOUND_SQL_PARAMETER": [{"name": "other", "value": "1"}],
            "DUPLICATE_NAME": [{"name": "p", "value": "1"}, {"name": "p", "value": "2"}],
            "INVALID_DATA_TYPE": [{"name": "p", "type": "ARRAY<INT>", "value": "1"}],
            "INVALID_VALUE_FOR_DATA_TYPE": [{"name": "p", "type": "TINYINT", "value": "128"}],
        }
        for condition, parameters in cases.items():
            with self.subTest(condition), self.assertRaisesRegex(SqlError, condition):
                bind("select :p", parameters)


class Names(unittest.TestCase):
    def test_chains_and_what_stands_before_them(self):
        found = [(".".join(parts), before.text if before else None) for _, parts, before in chains("select a.b, t.* from `c`.s.t as t join u")]
        self.assertIn(("c.s.t", "from"), found)
        self.assertIn(("u", "join"), found)
        self.assertIn(("a.b", "select"), found)


class Columns(unittest.TestCase):
    def test_types_in_one_spelling(self):
        cases = {
            "BIGINT": "bigint", "Integer": "int", "DECIMAL( 10 , 2 )": "decimal(10,2)", "decimal": "decimal(10,0)", "VARCHAR(10)": "string",
            "ARRAY<STRUCT<`a b`: INT NOT NULL COMMENT 'x', c MAP<STRING, DOUBLE>>>": "array<struct<a b:int,c:map<string,double>>>",
        }
        for given, wanted in cases.items():
            self.assertEqual(canonical(given), wanted)

    def test_definitions(self):
        found = of_definitions(significant("id BIGINT NOT NULL COMMENT 'the id', `x y` DECIMAL(5,1), s STRUCT<a: INT, b: STRING> COMMENT 's', CONSTRAINT k PRIMARY KEY (id)"))
        self.assertEqual([(c["name"], c["type_text"], c["nullable"], c.get("comment")) for c in found],
                         [("id", "bigint", False, "the id"), ("x y", "decimal(5,1)", True, None), ("s", "struct<a:int,b:string>", True, "s")])
        self.assertEqual((found[1]["type_precision"], found[1]["type_scale"]), (5, 1))

    def test_the_field_as_delta_has_it(self):
        self.assertEqual(column("n", "BIGINT", 0)["type_json"], '{"name":"n","type":"long","nullable":true,"metadata":{}}')
        self.assertIn('"elementType":{"type":"struct"', column("n", "array<struct<a:int>>", 0)["type_json"])


class Nested(unittest.TestCase):
    def test_fields_within_columns(self):
        columns = of_definitions(significant("c STRUCT<a: INT>, items ARRAY<STRUCT<n: INT>>, labels MAP<STRING, STRUCT<x: DATE>>"))
        added(columns, ["c", "vip`s"], "BOOLEAN")
        added(columns, ["items", "element", "price"], "DECIMAL(38,18)")
        added(columns, ["LABELS", "value", "at"], "TIMESTAMP_NTZ")
        widened(columns, ["items", "element", "n"], "DOUBLE")
        self.assertEqual([each["type_text"] for each in columns], [
            "struct<a:int,vip`s:boolean>", "array<struct<n:double,price:decimal(38,18)>>", "map<string,struct<x:date,at:timestamp_ntz>>"])
        with self.assertRaises(FieldExists):
            added(columns, ["c", "A"], "INT")
        for path in (["none", "x"], ["c", "a", "x"], ["items", "x"]):
            with self.subTest(path), self.assertRaises(NoField):
                added(columns, path, "INT")


class Results(unittest.TestCase):
    def test_chunks_and_limits(self):
        result = Result([("n", "INT")], [[str(n)] for n in range(25)])
        whole = Chunks(result, "JSON_ARRAY", 10)
        self.assertEqual([len(rows) for _, rows in whole.chunks], [10, 10, 5])
        self.assertEqual(whole.manifest(False)["chunks"][2], {"chunk_index": 2, "row_offset": 20, "row_count": 5})
        self.assertFalse(whole.truncated)
        self.assertTrue(Chunks(result, "JSON_ARRAY", 10, row_limit=0).truncated)
        self.assertEqual(Chunks(result, "JSON_ARRAY", 10, byte_limit=3).chunks, [])
        nothing = Chunks(Result(), "JSON_ARRAY", 10).manifest(False)
        self.assertEqual((nothing["total_chunk_count"], "chunks" in nothing), (0, False))

    def test_columns_of_a_manifest(self):
        self.assertEqual(column_info("a", "BIGINT", 0)["type_name"], "LONG")
        self.assertEqual(column_info("a", "DECIMAL(5,1)", 0)["type_scale"], 1)
        self.assertEqual(column_info("a", "ARRAY<STRUCT<a: INT>>", 0)["type_name"], "ARRAY")

    def test_numbers_as_java_writes_them(self):
        for value, wanted in ((1.5, "1.5"), (0.1, "0.1"), (16777216.0, "1.6777216E7"), (1e10, "1.0E10"), (5e-324, "4.9E-324".replace("4.9", "5.0")), (-0.0, "0.0"), (0.001, "0.001")):
            self.assertEqual(real(value), wanted)
        self.assertEqual(real(0.10000000149011612, single=True), "0.1")
        self.assertEqual((real(float("nan")), real(float("-inf"))), ("NaN", "-Infinity"))


class Simple(unittest.TestCase):
    def test_literals_and_functions(self):
        found = simple.select("select 1 as a, 'x', CAST('1.50' AS DECIMAL(3,2)) as d, null as n, current_user(), true", {"current_user": "me"})
        self.assertEqual(found.rows, [["1", "x", "1.50", None, "me", "true"]])
        self.assertEqual(found.columns[2], ("d", "DECIMAL(3,2)"))

    def test_what_needs_tables_is_refused(self):
        with self.assertRaises(SqlError):
            simple.select("select * from t", {})


if __name__ == "__main__":
    unittest.main()
