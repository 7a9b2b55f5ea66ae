"""The stand-in whole, but for its sockets: requests go to where its listeners would hand them."""

import asyncio
import json
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from typing import Any

from ..app import App
from ..wire import Request

STATEMENTS, WAREHOUSES = "/api/2.0/sql/statements", "/api/2.0/sql/warehouses"


class Whole(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.app = App(self.folder, admin_token="dapi-admin")

    async def asyncTearDown(self):
        await self.app.stop()

    async def ask(self, method: str, path: str, body: Any = None, token: str = "dapi-admin", host: str = "workspace") -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else b""
        reply = await self.app._answer(Request(host, method, path, {"authorization": f"Bearer {token}", "host": "h"}, data))
        return reply.status, json.loads(reply.body or b"{}")

    async def warehouse(self, **fields: Any) -> str:
        return (await self.ask("POST", "/_standin/warehouses", {"name": "w", "auto_stop_mins": 10, **fields}))[1]["id"]

    async def submit(self, warehouse: str, statement: str = "SELECT 1", wait: str = "0s") -> str:
        status, answer = await self.ask("POST", STATEMENTS, {"warehouse_id": warehouse, "statement": statement, "wait_timeout": wait})
        self.assertEqual(status, 200, answer)
        return answer["statement_id"]

    async def state(self, id: str) -> str:
        await asyncio.sleep(0.01)  # what time has woken does its part
        return (await self.ask("GET", f"{STATEMENTS}/{id}"))[1]["status"]["state"]

    async def test_a_statement_starts_a_warehouse_and_waits_for_it(self):
        self.app.settings.change({"warehouse_starting_seconds": 100})
        warehouse = await self.warehouse()
        id = await self.submit(warehouse)
        self.assertEqual(await self.state(id), "PENDING")
        self.assertEqual((await self.ask("GET", f"{WAREHOUSES}/{warehouse}"))[1]["state"], "STARTING")
        self.app.clock.advance(101)
        self.assertEqual(await self.state(id), "SUCCEEDED")

    async def test_what_a_warehouse_costs(self):
        self.app.settings.change({"warehouse_starting_seconds": 30})
        record = self.app.warehouses.records[await self.warehouse()]
        self.app.clock.advance(86400)
        self.assertEqual(self.app.warehouses.used_seconds(record), 0)
        id = await self.submit(record["id"])
        self.app.clock.advance(30.5)
        self.assertEqual(await self.state(id), "SUCCEEDED")
        self.app.clock.advance(86400)
        # From its start to ten minutes after its last work.
        self.assertAlmostEqual(self.app.warehouses.used_seconds(record), 630.5, delta=0.2)
        self.assertEqual(record["state"], "STOPPED")
        used = self.app.warehouses.used_seconds(record)
        self.app.clock.advance(86400)
        self.assertEqual(self.app.warehouses.used_seconds(record), used)

    async def test_no_warehouse_stops_under_a_statement(self):
        self.app.settings.change({"warehouse_starting_seconds": 0, "statement_running_seconds": 3600})
        warehouse = await self.warehouse()
        id = await self.submit(warehouse)
        self.assertEqual(await self.state(id), "RUNNING")
        self.app.clock.advance(3000)
        self.assertEqual((await self.ask("GET", f"{WAREHOUSES}/{warehouse}"))[1]["state"], "RUNNING")

    async def test_a_stopped_warehouse_fails_what_waits_for_it(self):
        self.app.settings.change({"warehouse_starting_seconds": 100})
        warehouse = await self.warehouse()
        id = await self.submit(warehouse)
        await self.ask("POST", f"{WAREHOUSES}/{warehouse}/stop")
        self.app.clock.advance(101)
        self.assertEqual(await self.state(id), "FAILED")

    async def test_cancel_in_time_and_too_late(self):
        self.app.settings.change({"warehouse_starting_seconds": 0, "statement_running_seconds": 10})
        warehouse = await self.warehouse()
        first, second = await self.submit(warehouse), await self.submit(warehouse)
        self.assertEqual((await self.ask("POST", f"{STATEMENTS}/{first}/cancel")), (200, {}))
        self.assertEqual(await self.state(first), "CANCELED")
        self.app.clock.advance(11)
        self.assertEqual(await self.state(second), "SUCCEEDED")
        await self.ask("POST", f"{STATEMENTS}/{second}/cancel")
        self.assertEqual(await self.state(second), "SUCCEEDED")
        self.assertEqual(self.app.warehouses.records[warehouse]["statements"], 0)

    async def test_after_a_restart(self):
        self.app.settings.change({"warehouse_starting_seconds": 50, "statement_running_seconds": 5})
        warehouse = await self.warehouse()
        waits = await self.submit(warehouse)
        self.app.clock.advance(51)
        self.assertEqual(await self.state(waits), "RUNNING")
        later = await self.submit(await self.warehouse(name="other"))
        self.app.store.commit()
        self.app.journal.close()  # else as killed: nothing is told
        again = App(self.folder)
        again.statements.resume()
        self.app = again
        self.assertEqual(await self.state(waits), "FAILED")
        self.assertEqual(await self.state(later), "PENDING")
        again.clock.advance(51)
        self.assertEqual(await self.state(later), "RUNNING")
        again.clock.advance(5)
        self.assertEqual(await self.state(later), "SUCCEEDED")

    async def test_who_is_refused_and_how(self):
        self.assertEqual((await self.ask("GET", WAREHOUSES, token=""))[0], 401)
        self.assertEqual((await self.ask("GET", WAREHOUSES, token="dapi-wrong")), (403, {"error_code": 403, "message": unittest.mock.ANY}))
        user = self.app.principals.add_service_principal("sp")
        token = self.app.auth.mint(user, "workspace", 60)
        self.assertEqual((await self.ask("GET", WAREHOUSES, token=token))[0], 200)
        self.assertEqual((await self.ask("GET", "/api/2.0/accounts/x/scim/v2/Users", token=token, host="account"))[0], 403)
        self.app.clock.advance(61)
        self.assertEqual((await self.ask("GET", WAREHOUSES, token=token))[0], 401)
        short = self.app.auth.mint(user, "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", 60)
        self.assertEqual((await self.ask("GET", WAREHOUSES, token=short))[0], 200)
        self.app.clock.advance(31)  # Azure wants more than thirty seconds
        self.assertEqual((await self.ask("GET", WAREHOUSES, token=short))[0], 401)

    async def test_envelopes(self):
        shapes = {
            "/api/2.0/sql/warehouses/x": {"error_code", "message", "details"}, "/api/1.2/contexts/status?clusterId=x": {"error"},
            "/api/2.0/preview/scim/v2/Users/1": {"schemas", "detail", "status"},
        }
        for path, keys in shapes.items():
            status, answer = await self.ask("GET", path)
            self.assertGreaterEqual(status, 400)
            self.assertEqual(set(answer), keys, path)
        reply = await self.app._answer(Request("workspace", "POST", STATEMENTS, {"authorization": "Bearer dapi-admin"}, b"{"))
        self.assertEqual(json.loads(reply.body)["error_code"], "MALFORMED_REQUEST")

    async def test_tables_on_files_are_registered_with_the_columns_of_their_log(self):
        log = self.folder / "lake/t/_delta_log"
        log.mkdir(parents=True)
        field = {"name": "a", "type": {"type": "array", "elementType": "long", "containsNull": True}, "nullable": True, "metadata": {"comment": "c"}}
        action = {"metaData": {"schemaString": json.dumps({"type": "struct", "fields": [field]})}}
        (log / f"{0:020}.json").write_text(json.dumps(action) + "\n")
        url = f"file://{self.folder}/lake"
        await self.ask("POST", "/api/2.1/unity-catalog/storage-credentials", {"name": "c", "aws_iam_role": {"role_arn": "arn:aws:iam::1:role/r"}})
        await self.ask("POST", "/api/2.1/unity-catalog/external-locations", {"name": "l", "url": url, "credential_name": "c"})
        self.app.settings.change({"warehouse_starting_seconds": 0})
        warehouse = await self.warehouse()
        for text in ("CREATE SCHEMA main.s", f"CREATE TABLE IF NOT EXISTS `main`.`s`.`t` USING DELTA LOCATION '{url}/t'"):
            self.assertEqual(await self.state(await self.submit(warehouse, text, "5s")), "SUCCEEDED", text)
        _, table = await self.ask("GET", "/api/2.1/unity-catalog/tables/main.s.t")
        self.assertEqual([(c["name"], c["type_text"], c["comment"]) for c in table["columns"]], [("a", "array<bigint>", "c")])
        # Another writer's column comes into the catalog when it is asked to look.
        (log / f"{1:020}.json").write_text(json.dumps({"metaData": {"schemaString": json.dumps({"type": "struct", "fields": [field, {**field, "name": "b"}]})}}) + "\n")
        self.assertEqual(len((await self.ask("GET", "/api/2.1/unity-catalog/tables/main.s.t"))[1]["columns"]), 1)
        await self.submit(warehouse, "MSCK REPAIR TABLE main.s.t SYNC METADATA", "5s")
        self.assertEqual(len((await self.ask("GET", "/api/2.1/unity-catalog/tables/main.s.t"))[1]["columns"]), 2)


if __name__ == "__main__":
    unittest.main()
