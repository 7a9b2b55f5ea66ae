"""What goes wrong between a daemon and its warehouse, each time with data that goes on: part of the check `warehouse`.

One workspace for all, which is not killed; every daemon has a principal of its own.
"""

import itertools
import json
import threading

from harness import readers
from harness.daemon import Client, free_port
from harness.procs import require, wait_until
from harness.storm import metric
from harness.workspace import Workspace, unparsed


class Side:
    """A daemon with HTTP events, its connection, and its lake."""

    def __init__(self, troubles, name, auth, lake=None, evolution="auto"):
        world, port = troubles.world, free_port()
        self.lake, self.duck = troubles.lake / (lake or name), readers.duck()
        self.client = Client(f"http://127.0.0.1:{port}")
        self.daemon = world.daemon(f"""
pipeline = "{name}"
[lake]
url = "{self.lake}"
[spool]
path = "{world.folder}/spool-{name}"
[connections.prod]
host = "{troubles.server.host}"
warehouse = "small"
auth = {{ {auth} }}
[table_defaults]
connection = "prod"
catalog = "main"
schema = "web"
authority = "warehouse"
evolution = "{evolution}"
flush_interval_seconds = 0.3
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
""", name).start().ready()

    def send(self, table, *rows):
        """Returns when they are in a version of the table."""
        self.client.send(table, rows, query="?ack=commit")

    def columns(self, table):
        described = self.duck.execute(f"describe select * from {readers.scan(self.lake / table)}").fetchall()
        return {name.lower(): kind for name, kind, *_ in described if not name.startswith("_")}

    def rows(self, table, *columns):
        found = self.duck.execute(f"select {', '.join(columns)}, _rescued_data from {readers.scan(self.lake / table)} order by id").fetchall()
        return [(*row[:-1], json.loads(row[-1] or "{}")) for row in found]

    def follows(self, table, first, column, value):
        """Sends rows until one has the value in its column: a daemon writes for the new schema soon after it is there."""
        numbers = itertools.count(first)

        def followed():
            side_row = {"id": next(numbers), column: value}
            self.send(table, side_row)
            last = self.rows(table, "id", f"\"{column}\"")[-1]
            require(last[1] == value or last[2] == {column: value}, f"sent {side_row}, read {last}")
            return last[1] == value

        wait_until(followed, 15, f"a value in `{column}` of {table}", 0.3)

    def told(self, text):
        """Lines of its log that hold a text."""
        lines = (json.loads(line) for line in self.daemon.log.read_text().splitlines() if line.startswith("{"))
        return [json.dumps(line) for line in lines if text in json.dumps(line)]


class Troubles:
    def __init__(self, world, engine):
        from .warehouse import governed

        self.world, self.lake, self.doing = world, world.folder / "lakes", ""
        self.lake.mkdir()
        self.server = Workspace(world.folder / "troubled", engine.url)
        self.warehouse, self.principals = governed(self.server, self.lake, "limited", "guest", "first", "second", "rotating", "planner")
        self.server.settings(warehouse_starting_seconds=0.5, statement_running_seconds=1.0)
        status, answer = self.server.admin("POST", "/api/2.1/unity-catalog/schemas", {"name": "web", "catalog_name": "main"})
        require(status == 200, f"no schema: {answer}")
        self.server.ungrant("limited", "catalog", "main", "CREATE_SCHEMA")  # the schema is there
        for name in self.principals:
            self.server.grant(name, "schema", "main.web", "USE_SCHEMA", *(["CREATE_TABLE"] if name != "limited" else []))

    def stop(self):
        self.server.stop()

    def run(self):
        steps = [self.right_taken_away, self.table_lent, self.two_at_once, self.token_revoked, self.planned]
        for number, step in enumerate(steps):
            self.doing = step.__name__
            follow = step()
            steps[number] = follow
        for follow in filter(None, steps):
            follow()
        self.doing = "tokens_expired"
        self.tokens_expired()
        bad = unparsed(self.statements())
        require(not bad, f"sqlglot does not parse {bad}")

    def oauth(self, name):
        principal = self.principals[name]
        return f'type = "oauth_m2m", client_id = "{principal["client_id"]}", client_secret = "{principal["client_secret"]}"'

    def statements(self, *words):
        texts = [record["statement"] for record in self.server.control("GET", "state")["statements"].values()]
        return [text for text in texts if all(word in text for word in words)]

    def registered(self, table):
        return self.server.admin("GET", f"/api/2.1/unity-catalog/tables/main.web.{table}")[0] == 200

    def wait_registered(self, table, seconds=60):
        wait_until(lambda: self.registered(table), seconds, f"main.web.{table} in the catalog", 0.2)

    def right_taken_away(self):
        """No CREATE TABLE: told with the statement and the grant, data goes on, and once it is granted all is done."""
        side = Side(self, "limited", self.oauth("limited"))
        side.send("guarded", {"id": 1})
        wait_until(lambda: side.told("the catalog's table could not be changed"), 20, "the missing right to be told")
        return lambda: self._right_given(side)

    def _right_given(self, side):
        side.send("guarded", {"id": 2, "late": "x"})
        wait_until(lambda: len(self.statements("CREATE TABLE", "guarded")) >= 2, 30, "another try without the right")
        told = side.told("the catalog's table could not be changed")
        sql, grant = "CREATE TABLE IF NOT EXISTS `main`.`web`.`guarded`", "GRANT CREATE TABLE ON SCHEMA `main`.`web` TO"
        require(sql in told[0] and grant in told[0], f"told without the statement or the grant: {told}")
        require(metric(side.daemon, "alluvium_control_failing_tables") == 1, "no metric tells of the table that waits")
        require(side.rows("guarded", "id") == [(1, {}), (2, {"late": "x"})], f"rows meanwhile: {side.rows('guarded', 'id')}")
        self.server.grant("limited", "schema", "main.web", "CREATE_TABLE")
        wait_until(lambda: "late" in side.columns("guarded"), 60, "the column after the grant", 0.3)
        require(self.registered("guarded"), "not in the catalog after the grant")
        side.follows("guarded", 3, "late", "y")
        wait_until(lambda: metric(side.daemon, "alluvium_control_failing_tables") == 0, 10, "the metric to be 0 again")
        told = side.told("the catalog's table could not be changed")
        require(len(told) == 1, f"told more than once, each time with other ids: {told}")

    def table_lent(self):
        """A table that is somebody else's by now, with MODIFY on it, which is taken away in the middle and given back."""
        side = Side(self, "guest", self.oauth("guest"))
        side.send("lent", {"id": 1})
        self.wait_registered("lent")
        status, answer = self.server.admin("PATCH", "/api/2.1/unity-catalog/tables/main.web.lent", {"owner": "admin@example.com"})
        require(status == 200, f"no other owner: {answer}")
        self.server.grant("guest", "table", "main.web.lent", "SELECT", "MODIFY")
        side.send("lent", {"id": 2, "early": "x"})
        return lambda: self._modify_taken_away(side)

    def _modify_taken_away(self, side):
        wait_until(lambda: "early" in side.columns("lent"), 60, "a column by the right to modify", 0.3)
        self.server.ungrant("guest", "table", "main.web.lent", "MODIFY")
        side.send("lent", {"id": 3, "late": "y"})
        told = wait_until(lambda: side.told("the catalog's table could not be changed"), 30, "the right that was taken away to be told")
        sql, grant = "ALTER TABLE `main`.`web`.`lent` ADD COLUMNS (`late` STRING)", "GRANT MODIFY ON TABLE `main`.`web`.`lent` TO"
        require(sql in told[0] and grant in told[0], f"told without the statement or the grant: {told}")
        side.send("lent", {"id": 4, "late": "z"})
        require("late" not in side.columns("lent"), "a column without the right to modify")
        rows = [(row[0], row[1].get("late")) for row in side.rows("lent", "id")]
        require(rows == [(1, None), (2, None), (3, "y"), (4, "z")], f"rows meanwhile: {rows}")
        self.server.grant("guest", "table", "main.web.lent", "MODIFY")
        wait_until(lambda: "late" in side.columns("lent"), 60, "the column after the grant", 0.3)
        side.follows("lent", 5, "late", "back")
        told = side.told("the catalog's table could not be changed")
        require(len(told) == 1, f"told more than once: {told}")

    def two_at_once(self):
        """Two daemons want the same column of one table at once: it is there once, and both have it."""
        sides = [Side(self, name, self.oauth(name), "shared") for name in ("first", "second")]
        for number, side in enumerate(sides):
            side.send("pair", {"id": number})
        self.server.grant("second", "schema", "main.web", "MODIFY")
        self.server.grant("first", "schema", "main.web", "MODIFY")
        self.wait_registered("pair")
        threads = [threading.Thread(target=side.send, args=("pair", {"id": 10 + number, "both": f"b{number}"})) for number, side in enumerate(sides)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._lasting = sides[0]
        return lambda: self._both_have(sides)

    def _both_have(self, sides):
        wait_until(lambda: "both" in sides[0].columns("pair"), 30, "the column of both", 0.2)
        for side in sides:
            wait_until(lambda side=side: metric(side.daemon, "alluvium_control_pending_changes") == 0, 20, "nothing to be pending")
            require(metric(side.daemon, "alluvium_control_failing_tables") == 0, f"failed: {side.told('could not be changed')}")
        for number, side in enumerate(sides):
            side.follows("pair", 20 + 100 * number, "both", f"b{number}")
        require(sides[0].columns("pair") == {"id": "BIGINT", "both": "VARCHAR"}, f"columns: {sides[0].columns('pair')}")
        rows = sides[0].rows("pair", "id", "\"both\"")
        require([row[0] for row in rows[:5]] == [0, 1, 10, 11, 20] and [row[1] or row[2].get("both") for row in rows[:5]] == [None, None, "b0", "b1", "b0"], f"rows: {rows}")
        self.world.note(f"two daemons, one column: {len(self.statements('ALTER TABLE', 'pair', '`both`'))} statements")

    def token_revoked(self):
        """A personal access token revoked while events come: a metric tells, data goes on, and a new token in the file is enough."""
        path = self.world.folder / "token"
        path.write_text(self.server.token("rotating") + "\n")
        side = Side(self, "rotating", f'type = "pat", token = "file:{path}"')
        side.send("tokens", {"id": 1})
        self.wait_registered("tokens")
        require(metric(side.daemon, "alluvium_databricks_unauthorized") == 0, "unauthorized from the start")
        self.server.revoke("rotating")
        side.send("tokens", {"id": 2, "late": 1.5})
        return lambda: self._token_replaced(side, path)

    def _token_replaced(self, side, path):
        wait_until(lambda: metric(side.daemon, "alluvium_databricks_unauthorized", connection="prod") == 1, 20, "the metric to tell of the token")
        side.send("tokens", {"id": 3, "late": 2.5})
        require(side.rows("tokens", "id") == [(1, {}), (2, {"late": 1.5}), (3, {"late": 2.5})], f"rows without a token: {side.rows('tokens', 'id')}")
        require(len(side.told("the workspace refuses us")) == 1, f"told of the token: {side.told('the workspace refuses us')}")
        path.write_text(self.server.token("rotating") + "\n")
        wait_until(lambda: "late" in side.columns("tokens"), 50, "the column by the new token", 0.3)
        wait_until(lambda: metric(side.daemon, "alluvium_databricks_unauthorized") == 0, 10, "the metric to be 0 again")
        side.follows("tokens", 4, "late", 3.5)
        for text in ("the warehouse takes no statements", "the catalog's table could not be changed"):
            require(len(side.told(text)) <= 1, f"told more than once: {side.told(text)}")

    def tokens_expired(self):
        """An hour passes at the workspace: every OAuth token has ended, a daemon's first call is refused, and nobody hears of it."""
        side, since = self._lasting, len(self.server.journal())
        self.server.advance(3700)
        side.send("pair", {"id": 1000, "after": "the hour"})
        wait_until(lambda: "after" in side.columns("pair"), 60, "a column by a token that was renewed", 0.3)
        entries = self.server.journal()[since:]
        refused = [entry for entry in entries if entry["status"] == 401]
        require(refused and any(entry["path"].endswith("/v1/token") for entry in entries), f"no token had ended: {[entry['path'] for entry in entries]}")
        require(metric(side.daemon, "alluvium_databricks_unauthorized") == 0 and not side.told("the workspace refuses us"), "the end of a token was taken for its loss")
        self.world.note(f"an hour later {len(refused)} calls with ended tokens were renewed")

    def planned(self):
        """`evolution = "plan"`: a person reads the SQL and runs it, and the daemon follows."""
        side = Side(self, "planner", self.oauth("planner"), evolution="plan")
        side.send("plans", {"id": 1, "name": "a", "at": {"x": 1.5}})
        self.wait_registered("plans")
        return lambda: self._applied(side)

    def _applied(self, side):
        require(not self.statements("ALTER TABLE", "plans"), "altered without being asked")
        config = ["--config", side.daemon.config]
        code, plan, error = self.world.cli("schema", "plan", "plans", *config)
        statement = "ALTER TABLE `main`.`web`.`plans` ADD COLUMNS ("
        require(code == 0 and statement in plan and "`at` STRUCT<`x`: DOUBLE>" in plan, f"the plan, exit code {code}:\n{plan}{error}")
        require(not self.statements("ALTER TABLE", "plans"), "`schema plan` has run something")
        code, out, error = self.world.cli("schema", "apply", "plans", "--yes", *config)
        require(code == 0 and self.statements(statement), f"`schema apply` ended with exit code {code}:\n{out}{error}")
        require({"id", "name", "at"} <= set(side.columns("plans")), f"columns: {side.columns('plans')}")
        numbers = iter(range(2, 60))

        def followed():
            side.send("plans", {"id": next(numbers), "name": "b", "at": {"x": 2.5}})
            return [row for row in side.rows("plans", "id", "name", "\"at\".x") if row[:3] and row[1] == "b" and row[2] == 2.5 and not row[3]]

        wait_until(followed, 15, "values in the new columns")
        code, plan, error = self.world.cli("schema", "plan", "plans", *config)
        require(code == 0 and "-- nothing waits" in plan, f"the plan after it, exit code {code}:\n{plan}{error}")
