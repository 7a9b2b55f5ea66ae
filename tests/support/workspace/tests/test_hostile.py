"""Whatever comes in, the stand-in refuses it in an API's words; it does not stumble."""

import asyncio
import contextlib
import io
import json
import random
import re
import tempfile
import unittest
from pathlib import Path

from ..app import STUMBLED, App
from ..shapes import LISTS, NUMBERS, OBJECTS, STRINGS
from ..unity.columns import column
from ..wire import Request

VALUES = [None, "", 0, -1, 1.5, True, [], {}, ["x"], [{"a": 1}], {"a": None}, "x" * 300, "`'\"", "main", "admin@example.com", "10s", "users", [None], [[1]], "CAN_USE"]
OTHERS = {"parameters", "row_limit", "byte_limit", "principal", "permission_level", "add", "remove", "active", "filter", "roles", "max_results", "page_token", "startIndex", "count"}
FIELDS = sorted(STRINGS | NUMBERS | OBJECTS | LISTS | OTHERS)
WORDS = (
    "select insert into merge using create or replace table schema catalog if not exists drop alter add columns column type comment on is null grant revoke to from show "
    "tables schemas grants use describe detail msck repair sync metadata location tblproperties cluster by as values set where `a``b` `c` main default t users 'x' '" + "\" 1 2.5 ( ) , . ; = :p ? -- /* */ "
    "array<int> struct<a:int> bigint decimal(10,2) cast update delete optimize vacuum with unset owner rename"
).split(" ")
HEADS = (
    "", "create schema", "create catalog", "create table main.default.t (", "create table if not exists t", "alter table main.default.made", "alter table main.default.made add columns (",
    "comment on table main.default.made is", "grant", "grant select on", "revoke", "show grants on", "show tables in", "drop table", "drop schema", "describe", "msck repair table",
    "select", "select * from", "insert into main.default.made", "merge into main.default.made using",
)


class Hostile(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.app = App(Path(temporary.name), admin_token="dapi-admin")
        self.app.settings.change({"warehouse_starting_seconds": 0})
        self.random = random.Random(11)

    async def asyncSetUp(self):
        asyncio.get_running_loop().slow_callback_duration = 60

    async def asyncTearDown(self):
        await self.app.stop()

    def request(self, ids: list[str]) -> Request:
        pick = self.random.choice
        route = pick(self.app._router._routes)
        path = re.sub(r"\{[^}]+\}", lambda _: pick(ids), route.path)
        query = "&".join(f"{pick(FIELDS)}={pick(['', 'x', '-1', 'main', '%00', 'a+b', '9' * 20])}" for _ in range(self.random.randrange(3)))
        body = json.dumps({pick(FIELDS): pick(VALUES) for _ in range(self.random.randrange(8))}).encode()
        token = "dapi-admin"
        if route.host == "account":
            token = self.app.auth.mint(self.app.principals.find("admin@example.com"), "account", 60)
        headers = {"authorization": f"Bearer {token}", "host": "h"}
        return Request(route.host, route.method, f"{path}?{query}", headers, pick([body, body, body, b"", b"[]", b"\xff{"]))

    async def test_requests(self):
        ids = ["x", "1123456789abcdef", "main", "main.default", "metastore", "catalog", "table", "tokens", "authorization", "warehouses", "%00", "a.b.c", "1",
               self.app.principals.add_service_principal("victim").id, self.app.ids["account_id"], self.app.ids["workspace_id"]]
        for _ in range(3000):
            request = self.request(ids)
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                reply = await self.app._answer(request)
            self.assertNotIn(STUMBLED.encode(), reply.body, f"{request.method} {request.target} {request.body!r}\n{said.getvalue()}")

    async def test_statements(self):
        warehouse = self.app.warehouses.add({"name": "w", "auto_stop_mins": 0})["id"]
        admin = self.app.principals.find("admin@example.com")
        self.app.tables.register(admin, "main.default.made", "s3://b/made", [column("id", "bigint", 0)])
        headers = {"authorization": "Bearer dapi-admin", "host": "h"}
        for _ in range(1500):
            text = " ".join([self.random.choice(HEADS), *(self.random.choice(WORDS) for _ in range(self.random.randrange(10)))])
            body = {"warehouse_id": warehouse, "statement": text, "wait_timeout": "0s", "parameters": [{"name": "p", "value": "1"}]}
            reply = await self.app._answer(Request("workspace", "POST", "/api/2.0/sql/statements", headers, json.dumps(body).encode()))
            self.assertEqual(reply.status, 200, reply.body)
        while any(record["state"] in ("PENDING", "RUNNING") for record in self.app.statements.records.values()):
            await asyncio.sleep(0.01)
        broken = [(record["statement"], record["status"]["error"]) for record in self.app.statements.records.values()
                  if record["state"] == "FAILED" and record["status"]["error"]["error_code"] == "INTERNAL_ERROR"]
        self.assertEqual(broken, [])


if __name__ == "__main__":
    unittest.main()
