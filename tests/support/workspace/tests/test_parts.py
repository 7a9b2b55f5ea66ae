"""The parts without a network: tokens of all kinds, filters, pages, faults, the store, rights."""

import tempfile
import unittest
from pathlib import Path

from .. import jwt, scim_filter
from ..clock import Clock
from ..commands import Answers
from ..errors import ApiError
from ..faults import Faults, refusal
from ..pages import page
from ..principals import Principal
from ..secrets import hidden
from ..sql.script import Script
from ..store import Store
from ..unity.rights import Denied, Rights
from ..unity.securables import Securables, covers
from ..wire import Request

# RFC 7515, appendix A.3.
RFC_KEY = {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
RFC_TOKEN = ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
             "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.store = Store(self.folder)


class Jwt(unittest.TestCase):
    def test_the_example_of_the_rfc(self):
        self.assertEqual(jwt.verify_public(RFC_TOKEN, [RFC_KEY])["iss"], "joe")

    def test_what_is_changed_is_refused(self):
        head, body, signature = RFC_TOKEN.split(".")
        for token in (f"{head}.{jwt.encode(b'{}')}.{signature}", f"{head}.{body}.{jwt.encode(bytes(64))}", f"{jwt.encode(b'[1]')}.{body}.{signature}", "a.b", ""):
            with self.subTest(token), self.assertRaises(jwt.BadToken):
                jwt.verify_public(token, [RFC_KEY])

    def test_own_tokens(self):
        token = jwt.sign({"sub": "x"}, b"key")
        self.assertEqual(jwt.verify(token, b"key"), {"sub": "x"})
        with self.assertRaises(jwt.BadToken):
            jwt.verify(token, b"other")
        made = jwt.sign_es256({"sub": "y"}, 7, "k")
        self.assertEqual(jwt.verify_public(made, [jwt.public_es256(7, "k")])["sub"], "y")
        with self.assertRaises(jwt.BadToken):
            jwt.verify_public(made, [jwt.public_es256(8, "k")])


class Filters(unittest.TestCase):
    def setUp(self):
        self.resource = {"displayName": "Loader One", "applicationId": "a-1", "active": True, "entitlements": [{"value": "workspace-access"}, {"value": "databricks-sql-access"}]}

    def test_what_matches(self):
        matching = [
            'displayName eq "loader one"', 'displayName co "ER O"', 'displayName sw "Load" and active eq true', '(applicationId eq "x" or active eq true) and displayName ew "one"',
            'entitlements.value eq "databricks-sql-access"', 'entitlements pr', 'displayName ne "x"',
        ]
        for text in matching:
            self.assertTrue(scim_filter.parse(text)(self.resource), text)
        for text in ('displayName eq "loader"', 'groups pr', 'entitlements.value ne "workspace-access"', 'displayName eq "loader one" and active eq false'):
            self.assertFalse(scim_filter.parse(text)(self.resource), text)

    def test_what_is_no_filter(self):
        for text in ("displayName", "displayName like x", "(a eq b", "a eq b c"):
            with self.subTest(text), self.assertRaises(ApiError):
                scim_filter.parse(text)


class Pages(unittest.TestCase):
    def test_all_comes_once(self):
        for size in ("1", "3", "0", "100"):
            found, token = [], ""
            while token is not None:
                items, token = page(list(range(7)), {"page_size": size, "page_token": token}, 4)
                found += items
                self.assertLessEqual(len(items), 4)
            self.assertEqual(found, list(range(7)))

    def test_a_strange_token(self):
        with self.assertRaises(ApiError):
            page([1], {"page_token": "%%%"}, 4)


class FaultRules(Folder):
    def request(self, path="/api/2.0/x", method="GET"):
        return Request("workspace", method, path, {})

    def test_skip_and_times(self):
        faults = Faults(self.store)
        faults.add({"path": "/api/2.0/x", "status": 503, "skip": 1, "times": 2})
        hits = [faults.match(self.request()) is not None for _ in range(5)]
        self.assertEqual(hits, [False, True, True, False, False])
        self.assertIsNone(faults.match(self.request("/api/2.0/y")))

    def test_they_outlive_a_restart(self):
        Faults(self.store).add({"method": "POST", "times": None, "reset": True})
        self.store.commit()
        again = Faults(Store(self.folder))
        self.assertIsNone(again.match(self.request()))
        rule = again.match(self.request(method="POST"))
        self.assertTrue(refusal(rule).reset)

    def test_answers(self):
        reply = refusal({"status": 429, "retry_after": 2})
        self.assertIn(("Retry-After", "2"), reply.headers)
        self.assertIn(b"RESOURCE_EXHAUSTED", reply.body)
        self.assertIsNone(refusal({"lose": True}))
        with self.assertRaises(ValueError):
            Faults(self.store).add({"pth": "x"})


class WrittenAnswers(Folder):
    def test_the_first_rule_that_is_not_used_up_counts(self):
        answers = Answers(self.store)
        answers.add({"pattern": "a.b", "times": 1, "results": {"data": "once"}})
        answers.add({"pattern": "A", "language": "sql", "results": {"data": "of sql"}})
        answers.add({"pattern": "a", "results": {"data": "of all"}})
        taken = [answers.take(language, command) for language, command in (("r", "xa\nb"), ("r", "a\nb"), ("sql", "A"), ("r", "A"), ("sql", "a"))]
        self.assertEqual([rule and rule["results"]["data"] for rule in taken], ["once", "of all", "of sql", None, "of all"])
        self.store.commit()
        self.assertEqual([rule["hits"] for rule in Answers(Store(self.folder)).all().values()], [1, 1, 2])

    def test_statements_are_found_in_any_case_and_a_delay_uses_nothing_up(self):
        script = Script(self.store)
        script.add({"pattern": "FROM big", "seconds": 3, "times": 1})
        self.assertEqual([script.delay("select * from BIG"), script.delay("from big")], [3, 3])
        self.assertIsNone(script.answer("from big"))
        self.assertEqual(script.delay("from big"), 0)
        for rule in ({"pattern": "x", "ro": []}, {"pattern": "x", "language": "sql"}):
            with self.subTest(rule), self.assertRaises(ValueError):
                script.add(rule)
        script.clear()
        self.assertEqual(script.all(), {})


class Remembering(Folder):
    def test_what_is_committed_is_there_again(self):
        records = self.store.collection("things")
        records["a"] = {"n": 1}
        records["b"] = {"n": 2}
        self.store.commit()
        records["a"]["n"] = 3
        records.save("a")
        del records["b"]
        self.store.commit()
        records["c"] = {"n": 4}  # not committed
        self.assertEqual(dict(Store(self.folder).collection("things")), {"a": {"n": 3}})

    def test_secrets_are_hidden(self):
        shown = hidden({"token_value": "dapi1", "deep": [{"client_secret": "dose1"}], "statement": "COPY INTO t FROM 'x' WITH (CREDENTIAL (AWS_SECRET_KEY='s'))"})
        self.assertNotIn("dapi1", str(shown))
        self.assertNotIn("dose1", str(shown))
        self.assertNotIn("'s'", str(shown))


class Inheritance(Folder):
    def setUp(self):
        super().setUp()
        self.securables = Securables(self.store, Clock(self.store), {"metastore_id": "m"})
        self.securables.metastores["metastore"] = {"owner": "admin", "full_name": "metastore"}
        self.rights = Rights(self.store, self.securables)
        self.securables.add("catalog", "c", "owner")
        self.securables.add("schema", "c.s", "owner")
        self.securables.add("table", "c.s.t", "maker", storage_location="s3://b/t")
        self.user = Principal({"user_name": "user", "groups": ["users"]})

    def test_from_catalog_to_table(self):
        self.assertFalse(self.rights.has(self.user, "SELECT", "table", "c.s.t"))
        self.rights.change("catalog", "c", "users", ["SELECT"], [])
        self.assertTrue(self.rights.has(self.user, "SELECT", "table", "c.s.t"))
        self.assertEqual(self.rights.effective("table", "c.s.t")["users"], [{"privilege": "SELECT", "inherited_from_type": "CATALOG", "inherited_from_name": "c"}])

    def test_what_nothing_implies(self):
        self.rights.change("catalog", "c", "user", ["ALL_PRIVILEGES"], [])
        self.assertTrue(self.rights.has(self.user, "MODIFY", "table", "c.s.t"))
        for privilege in ("EXTERNAL_USE_SCHEMA", "MANAGE"):
            self.assertFalse(self.rights.has(self.user, privilege, "schema", "c.s"))
        owner = Principal({"user_name": "owner"})
        self.assertTrue(self.rights.has(owner, "CREATE_TABLE", "schema", "c.s"))
        self.assertFalse(self.rights.has(owner, "EXTERNAL_USE_SCHEMA", "schema", "c.s"))
        self.assertFalse(self.rights.has(owner, "SELECT", "table", "c.s.t"), "who owns the schema owns not its tables")
        self.assertTrue(self.rights.manages(owner, "table", "c.s.t"), "but may drop them")

    def test_the_words(self):
        with self.assertRaises(Denied) as caught:
            self.rights.need(self.user, ("USE_SCHEMA", "schema", "c.s"), ("CREATE_TABLE", "schema", "c.s"))
        self.assertEqual(caught.exception.words, "User does not have CREATE TABLE and USE SCHEMA on Schema 'c.s'.")

    def test_paths(self):
        for outer, inner, wanted in (("s3://b/t", "s3://b/t/x", True), ("s3://b/t/", "s3a://b/t", True), ("s3://b/t", "s3://b/tt", False), ("/a", "file:///a/b", True)):
            self.assertEqual(covers(outer, inner), wanted, f"{outer} {inner}")
        self.assertEqual(self.securables.overlapping("s3://b/t/below"), ["c.s.t"])
        self.assertEqual(self.securables.overlapping("s3://b/u"), [])


if __name__ == "__main__":
    unittest.main()
