"""Command execution 1.2 on clusters: contexts, commands, and what became of them.

Errors of this API are `{"error": …}`. A command whose code fails is Finished, with a result of the type error. What a
command gives, a test writes down (see `Answers`); otherwise `print` of a literal is understood in python, and `SELECT`
of literals in SQL.
"""

import ast
import re
import secrets
from collections.abc import Iterator
from typing import Any

from .clock import Clock
from .clusters import Clusters, not_running
from .errors import ApiError
from .routes import Call, Route
from .rules import Rules
from .settings import Settings
from .sql.engine import SqlError
from .sql.simple import select
from .store import Record, Store

BASE = "/api/1.2"
LANGUAGES = ("python", "scala", "sql", "r")
RESULTS = ("text", "table", "image", "images", "error")


class Answers(Rules):
    """Rules for commands: `pattern` (regular expression), `language`, `times`, `seconds`, and `results`
    {resultType, data, schema, truncated, summary, cause, fileName, …}; `status` Error instead of Finished."""

    def __init__(self, store: Store):
        super().__init__(store, "command_script", {"language", "seconds", "results", "status"})

    def take(self, language: str, command: str) -> Record | None:
        return self.hit(self.find(command, language=language))


class Commands:
    def __init__(self, store: Store, clock: Clock, settings: Settings, clusters: Clusters):
        self._contexts, self._commands = store.collection("contexts"), store.collection("commands")
        self._clock, self._settings, self._clusters, self.answers = clock, settings, clusters, Answers(store)

    def routes(self) -> Iterator[Route]:
        yield Route("POST", f"{BASE}/contexts/create", self.create_context)
        yield Route("GET", f"{BASE}/contexts/status", self.context_status)
        yield Route("POST", f"{BASE}/contexts/destroy", self.destroy_context)
        yield Route("POST", f"{BASE}/commands/execute", self.execute)
        yield Route("GET", f"{BASE}/commands/status", self.status)
        yield Route("POST", f"{BASE}/commands/cancel", self.cancel)

    def _cluster(self, call: Call, id: Any) -> Record:
        record = self._clusters.find(call, id)
        if record["state"] != "RUNNING":
            raise not_running(record)
        return record

    def _context(self, call: Call, values: dict[str, Any]) -> Record:
        """Lost when its cluster was restarted or terminated since."""
        cluster = self._cluster(call, values.get("clusterId"))
        context = self._contexts.get(str(values.get("contextId")))
        if context is None or context["cluster_id"] != cluster["cluster_id"] or context["generation"] != cluster["generation"]:
            raise ApiError(400, "BAD_REQUEST", f"ContextNotFound: context {values.get('contextId')} does not exist")
        return context

    async def create_context(self, call: Call) -> Record:
        body = call.json()
        cluster = self._cluster(call, body.get("clusterId"))
        if body.get("language") not in LANGUAGES:
            raise ApiError(400, "BAD_REQUEST", f"Unknown language: {body.get('language')}")
        id = str(secrets.randbelow(9 * 10**17) + 10**17)
        ready = self._clock.now() + self._settings["context_pending_seconds"]
        self._contexts[id] = {"id": id, "cluster_id": cluster["cluster_id"], "generation": cluster["generation"], "language": body["language"], "ready_at": ready}
        self._clusters.touch(cluster)
        return {"id": id}

    def _context_state(self, context: Record) -> str:
        return "Running" if context["ready_at"] <= self._clock.now() else "Pending"

    async def context_status(self, call: Call) -> Record:
        context = self._context(call, call.query)
        return {"id": context["id"], "status": self._context_state(context)}

    async def destroy_context(self, call: Call) -> Record:
        context = self._context(call, call.json())
        del self._contexts[context["id"]]
        return {"id": context["id"]}

    async def execute(self, call: Call) -> Record:
        body = self._body(call)
        context = self._context(call, body)
        if self._context_state(context) != "Running":
            raise ApiError(400, "BAD_REQUEST", f"ContextStatusException: context {context['id']} is not ready")
        language, command = body.get("language") or context["language"], str(body.get("command", ""))
        if language not in LANGUAGES:
            raise ApiError(400, "BAD_REQUEST", f"Unknown language: {language}")
        rule = self.answers.take(language, command) or {}
        now, id = self._clock.now(), secrets.token_hex(16)
        seconds = rule.get("seconds", self._settings["command_seconds"])
        self._commands[id] = {
            "id": id, "context_id": context["id"], "cluster_id": context["cluster_id"], "generation": context["generation"], "queued_until": now + min(seconds, 0.05),
            "runs_until": now + seconds, "cancelled_at": None, "status": rule.get("status", "Finished"), "results": rule.get("results") or outcome(language, command),
        }
        self._clusters.touch(self._clusters.records[context["cluster_id"]])
        return {"id": id}

    @staticmethod
    def _body(call: Call) -> dict[str, Any]:
        """JSON, or a form (curl calls JSON a form too): this API is old."""
        if "x-www-form-urlencoded" in call.request.headers.get("content-type", "") and not call.request.body.lstrip().startswith(b"{"):
            return dict(call.request.form())
        return call.json()

    def _command(self, call: Call, values: dict[str, Any]) -> Record:
        self._context(call, values)
        command = self._commands.get(str(values.get("commandId")))
        if command is None or command["context_id"] != values.get("contextId"):
            raise ApiError(404, "NOT_FOUND", f"CommandNotFound: command {values.get('commandId')} does not exist")
        return command

    async def status(self, call: Call) -> Record:
        command, now = self._command(call, call.query), self._clock.now()
        if command["cancelled_at"] is not None:
            done = command["cancelled_at"] <= now
            return {"id": command["id"], "status": "Cancelled" if done else "Cancelling", "results": None}
        if now < command["runs_until"]:
            return {"id": command["id"], "status": "Queued" if now < command["queued_until"] else "Running", "results": None}
        return {"id": command["id"], "status": command["status"], "results": command["results"]}

    async def cancel(self, call: Call) -> Record:
        """Too late for a command that is finished."""
        command, now = self._command(call, call.json()), self._clock.now()
        if now < command["runs_until"] and command["cancelled_at"] is None:
            command["cancelled_at"] = min(now + 0.2, command["runs_until"])
            self._commands.save(command["id"])
        return {"id": command["id"]}


def outcome(language: str, command: str) -> Record:
    """What the few commands give that are understood without a test's help."""
    if language == "sql":
        try:
            result = select(command, {})
        except SqlError as error:
            return {"resultType": "error", "summary": error.message, "cause": error.message}
        schema = [{"name": name, "type": f'"{type.lower()}"', "metadata": "{}"} for name, type in result.columns]
        return {"resultType": "table", "schema": schema, "data": result.rows, "truncated": False, "isJsonSchema": True, "pos": None}
    printed = re.fullmatch(r"\s*print(?:ln)?\((.*)\)\s*", command, re.DOTALL)
    if printed:
        try:
            return {"resultType": "text", "data": str(ast.literal_eval(printed.group(1)))}
        except (SyntaxError, ValueError):
            pass
    if language == "python" and (raised := re.search(r"raise (\w+)\((.*)\)", command)):
        text = f"{raised.group(1)}: {raised.group(2).strip(chr(34) + chr(39))}"
        return {"resultType": "error", "summary": f"<span class=\"ansi-red-fg\">{raised.group(1)}</span>: {text.partition(': ')[2]}", "cause": f"Traceback (most recent call last):\n{text}"}
    return {"resultType": "text", "data": ""}
