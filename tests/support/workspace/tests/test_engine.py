"""What an engine is handed: names become places, markers values, and the catalog takes its columns from what it finds."""

import asyncio
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from ..app import App
from ..sql.engine import Result, SqlError, Work
from ..sql.remote import EngineServer, RemoteEngine
from ..wire import Request


class Engine:
    """Remembers what it is told; its tables are dicts of columns."""

    def __init__(self):
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.told: list[str] = []

    def run(self, work: Work) -> Result:
        self.told.append(work.sql)
        for location in work.names:
            if " ADD COLUMNS " in work.sql:
                self.tables[location].append({"name": "added", "type": "string", "nullable": True, "comment": None})
        if "fails" in work.sql:
            raise SqlError("[DIVIDE_BY_ZERO] no. SQLSTATE: 22012", "22012")
        return Result([("n", "BIGINT")], [["1"]]) if work.sql.startswith("SELECT") else Result()

    def columns(self, location: str) -> list[dict[str, Any]] | None:
        return self.tables.get(location)

    def create(self, sql: str, location: str) -> None:
        self.told.append(sql)
        self.tables.setdefault(location, [{"name": "made", "type": "bigint", "nullable": True, "comment": None}])

    def stop(self) -> None:
        pass


class Handed(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.engine = Engine()
        self.server = EngineServer(self.engine)
        self.addCleanup(self.server.stop)
        self.app = App(Path(temporary.name), RemoteEngine(self.server.url), "dapi-admin")
        self.app.settings.change({"warehouse_starting_seconds": 0})
        self.app.securables.add("storage_credential", "c", "admin@example.com", id="1", read_only=False)
        self.app.securables.add("external_location", "l", "admin@example.com", url="s3://lake", credential_name="c", read_only=False)
        self.warehouse = self.app.warehouses.add({"name": "w"})["id"]

    async def asyncSetUp(self):
        asyncio.get_running_loop().slow_callback_duration = 60

    async def asyncTearDown(self):
        await self.app.stop()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else b""
        reply = await self.app._answer(Request("workspace", method, path, {"authorization": "Bearer dapi-admin", "host": "h"}, data))
        return json.loads(reply.body)

    async def execute(self, statement: str, **fields: Any) -> dict[str, Any]:
        body = {"warehouse_id": self.warehouse, "statement": statement, "wait_timeout": "30s", **fields}
        return await self.ask("POST", "/api/2.0/sql/statements", body)

    async def test_the_life_of_a_table(self):
        create = "CREATE TABLE IF NOT EXISTS main.`default`.T (made BIGINT COMMENT 'at s3://lake') USING DELTA LOCATION 's3://lake/t/' COMMENT 'x'"
        self.assertEqual((await self.execute(create))["status"], {"state": "SUCCEEDED"})
        self.assertEqual(self.engine.told, [
            "CREATE TABLE IF NOT EXISTS {name} (made BIGINT COMMENT 'at s3://lake') USING DELTA LOCATION 's3://lake/t' COMMENT 'x'"])
        await self.execute(create)
        self.assertEqual(len(self.engine.told), 1, "what is there is not made again")
        await self.execute("ALTER TABLE `main`.`default`.`t` ADD COLUMNS (added STRING)")
        self.assertEqual(self.engine.told[-1], "ALTER TABLE delta.`s3://lake/t` ADD COLUMNS (added STRING)")
        table = await self.ask("GET", "/api/2.1/unity-catalog/tables/main.default.t")
        self.assertEqual([each["name"] for each in table["columns"]], ["made", "added"])

    async def test_queries(self):
        await self.execute("CREATE TABLE main.default.t (made BIGINT) USING DELTA LOCATION 's3://lake/t'")
        found = await self.execute("SELECT count(*) FROM t a JOIN main.default.T b ON a.x = b.x WHERE n = :n", parameters=[{"name": "n", "type": "INT", "value": "5"}])
        self.assertEqual(found["result"]["data_array"], [["1"]])
        self.assertEqual(self.engine.told[-1], "SELECT count(*) FROM delta.`s3://lake/t` a JOIN delta.`s3://lake/t` b ON a.x = b.x WHERE n = CAST('5' AS INT)")
        with_names = "WITH c AS (SELECT * FROM t) SELECT 'from t', c.n FROM c"
        await self.execute(with_names)
        self.assertEqual(self.engine.told[-1], "WITH c AS (SELECT * FROM delta.`s3://lake/t`) SELECT 'from t', c.n FROM c")
        failed = await self.execute("SELECT 1/0 AS fails FROM t")
        self.assertEqual((failed["status"]["state"], failed["status"]["sql_state"]), ("FAILED", "22012"))

    async def test_an_engine_that_is_not_there(self):
        self.server.stop()
        failed = await self.execute("SELECT rand()")
        self.assertEqual(failed["status"]["error"]["error_code"], "TEMPORARILY_UNAVAILABLE")


if __name__ == "__main__":
    unittest.main()
