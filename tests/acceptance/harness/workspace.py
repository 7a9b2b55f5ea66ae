"""The stand-in Databricks workspace of tests/support as a process of the run: started, killed, steered and read."""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .procs import CheckFailed, Process, wait_until

SUPPORT = Path(__file__).resolve().parent.parent.parent / "support"


class Workspace:
    """`sql`: "none", or the URL of an engine (see `SparkEngine`). A start over the same folder goes on where it was."""

    def __init__(self, folder, sql="none", admin_token=None, **options):
        self.folder, self.log = Path(folder), Path(f"{folder}.log")
        self._args = ["--state-dir", self.folder, "--sql", sql, *(["--admin-token", admin_token] if admin_token else [])]
        self._options = options
        self.process = None
        self.start()

    def start(self):
        endpoints = self.folder / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = Process([sys.executable, "-m", "workspace", *self._args], self.log, env=environment, **self._options)
        self.endpoints = wait_until(lambda: self._endpoints(endpoints), 60, "the stand-in workspace")
        self.host, self.account, self.login = (self.endpoints[name] for name in ("workspace", "account", "login"))
        self.admin_token = self.endpoints["admin_token"]
        return self

    def _endpoints(self, path):
        if not self.process.alive():
            raise CheckFailed(f"the stand-in workspace ended:\n{self.process.tail()}")
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def kill9(self):
        self.process.kill9()

    def stop(self):
        return self.process.stop()

    def control(self, method, path, body=None):
        """A request to `/_standin/PATH`; its answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.host}/_standin/{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise CheckFailed(f"the stand-in refuses {method} {path}: {error.read().decode()}") from None

    # Time.

    def advance(self, seconds):
        return self.control("POST", "clock", {"advance_seconds": seconds})["now"]

    # Who may what.

    def service_principal(self, name, application_id=None, **fields):
        """A service principal with an OAuth secret: {client_id, client_secret, …}."""
        body = {"display_name": name, **({"application_id": application_id} if application_id else {}), **fields}
        record = self.control("POST", "principals", body)
        return {**self.control("POST", "secrets", {"principal": record["id"]}), "scim_id": record["id"]}

    def token(self, principal, **fields):
        """A personal access token of a principal; `lifetime_seconds`, `value`."""
        return self.control("POST", "tokens", {"principal": principal, **fields})["token_value"]

    def grant(self, principal, type, name, *privileges):
        """Unity Catalog: `grant("loader", "schema", "main.bronze", "USE_SCHEMA", "CREATE_TABLE")`."""
        self.control("POST", "grants", {"principal": principal, "add": list(privileges), "on": [type, name]})

    def ungrant(self, principal, type, name, *privileges):
        self.control("POST", "grants", {"principal": principal, "remove": list(privileges), "on": [type, name]})

    def permit(self, principal, type, id, level):
        """Object permissions: `permit("loader", "warehouses", id, "CAN_USE")`; None takes them away."""
        self.control("POST", "permissions", {"principal": principal, "object": [type, id], "level": level})

    def revoke(self, principal):
        """Ends every token that the principal has."""
        self.control("POST", "revoke", {"principal": principal})

    # What there is.

    def warehouse(self, name, **fields):
        """The id of a new warehouse at rest."""
        return self.control("POST", "warehouses", {"name": name, **fields})["id"]

    def used_seconds(self, id):
        """How long a warehouse has run in all, of virtual time."""
        return self.control("GET", "warehouses")[id]["used_seconds"]

    def settings(self, **values):
        return self.control("PATCH", "settings", values)

    def script(self, pattern, **rule):
        self.control("POST", "script", {"pattern": pattern, **rule})

    def fault(self, **rule):
        """See tests/support/workspace/faults.py; its number."""
        return self.control("POST", "faults", rule)["number"]

    def clear_faults(self):
        self.control("DELETE", "faults")

    def journal(self, since=0, **query):
        """Entries after number `since`; `method`, `path` (a regular expression), `host`."""
        return self.control("GET", f"journal?{urllib.parse.urlencode({'since': since, **query})}")["entries"]

    def journal_text(self):
        """As it lies in its file."""
        return (self.folder / "journal.jsonl").read_text()

    def statements(self, since=0):
        """The texts of all statements that were submitted."""
        return [entry["body"]["statement"] for entry in self.journal(since, method="POST", path="/api/2.0/sql/statements$") if isinstance(entry["body"], dict)]

    def admin(self, method, path, body=None):
        """A request to the API as administrator: (status, answer)."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.admin_token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.host}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


class SparkEngine:
    """The run's Spark session as the engine of stand-in workspaces, at `url`. It lives on when a workspace is killed."""

    def __init__(self, spark, places=None):
        sys.path.insert(0, str(SUPPORT))
        from workspace.sql.remote import EngineServer
        from workspace.sql.spark import SparkEngine as Engine

        self._server = EngineServer(Engine(spark.session, places))
        self.url = self._server.url

    def stop(self):
        self._server.stop()


def unparsed(statements):
    """Those that sqlglot's databricks dialect does not parse. Of OPTIMIZE, VACUUM, MSCK and DESCRIBE DETAIL it knows nothing."""
    import sqlglot

    found = []
    for statement in statements:
        if statement.upper().startswith(("OPTIMIZE ", "VACUUM ", "MSCK ", "DESCRIBE DETAIL ")):
            continue
        try:
            tree = sqlglot.parse_one(statement, dialect="databricks", error_level=sqlglot.ErrorLevel.RAISE)
            if isinstance(tree, sqlglot.exp.Command):
                found.append((statement, "not understood"))
        except sqlglot.errors.ParseError as error:
            found.append((statement, str(error).splitlines()[0]))
    return found
