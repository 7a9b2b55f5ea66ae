"""The statement execution API, `/api/2.0/sql/statements`: submit, poll, fetch, cancel.

A statement waits for its warehouse (which its submission starts), then runs. Its failure is an answer of HTTP 200;
only what is not accepted is refused. After a restart what waited goes on, and what ran is ABORTED: nobody knows
whether it took effect.
"""

import asyncio
import datetime
import re
import uuid
from collections.abc import Iterator
from typing import Any

from .clock import Clock
from .errors import ApiError, bad_request, invalid
from .links import Links
from .results import Chunks
from .routes import Call, Route
from .settings import Settings
from .sql.engine import Result, SqlError
from .sql.runner import Runner
from .store import Record, Store
from .warehouses import Warehouses

BASE = "/api/2.0/sql/statements"
DONE = ("SUCCEEDED", "FAILED", "CANCELED", "CLOSED")
TEXT_LIMIT = 16 << 20
INT_MAX = 2**31 - 1
INLINE_LIMIT = 26214400
RESOURCE_INFO = "type.googleapis.com/google.rpc.ResourceInfo"


class Statements:
    def __init__(self, store: Store, clock: Clock, settings: Settings, warehouses: Warehouses, links: Links, runner: Runner):
        self.records, self._results = store.collection("statements"), store.collection("results")
        self._store, self._clock, self._settings = store, clock, settings
        self._warehouses, self._links, self._runner = warehouses, links, runner
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._chunked: dict[str, Chunks] = {}
        self._stopped = False
        links.fetch = self._linked

    def routes(self) -> Iterator[Route]:
        yield Route("POST", BASE, self.submit)
        yield Route("GET", f"{BASE}/{{id}}", self.get)
        yield Route("GET", f"{BASE}/{{id}}/result/chunks/{{chunk}}", self.chunk)
        yield Route("POST", f"{BASE}/{{id}}/cancel", self.cancel)
        yield Route("DELETE", f"{BASE}/{{id}}", self.close)  # answers, and closes nothing

    def resume(self) -> None:
        """After a start: statements that waited wait on, those that ran have been lost."""
        self._warehouses.forget_statements()
        for id, record in self.records.items():
            if record["state"] == "PENDING":
                self._launch(id)
            elif record["state"] == "RUNNING":
                self._end(id, SqlError("The query was aborted because the warehouse went away.", None, "ABORTED"))

    def stop(self) -> None:
        """What waits is left as it is, for the next start."""
        self._stopped = True
        for task in self._tasks.values():
            task.cancel()

    # The life of a statement.

    def _launch(self, id: str) -> None:
        self._warehouses.enter(self.records[id]["warehouse_id"])
        self._tasks[id] = task = asyncio.create_task(self._live(id))
        task.add_done_callback(lambda _: self._left(id))  # also of one that is cancelled before it begins

    def _left(self, id: str) -> None:
        if self._stopped:
            return
        self._warehouses.leave(self.records[id]["warehouse_id"])
        self._tasks.pop(id, None)
        self._store.commit()

    async def _live(self, id: str) -> None:
        record = self.records[id]
        try:
            if not await self._warehouses.running(record["warehouse_id"]):
                raise SqlError("The SQL warehouse was stopped before the statement ran.", None, "TEMPORARILY_UNAVAILABLE")
            await self._clock.sleep(self._settings["statement_pending_seconds"])
            if record["state"] != "PENDING":
                return
            self._move(id, "RUNNING")
            await self._clock.sleep(self._settings["statement_running_seconds"] + self._runner.delay(record["statement"]))
            if record["state"] != "RUNNING":
                return
            self._end(id, await self._runner.run(record))
        except SqlError as error:
            self._end(id, error)
        except Exception as error:  # a fault of the stand-in, which its user is to hear of
            self._end(id, SqlError(f"{type(error).__name__}: {error}", None, "INTERNAL_ERROR"))

    def _move(self, id: str, state: str) -> None:
        self.records[id]["state"] = state
        self.records.save(id)
        self._store.commit()

    def _end(self, id: str, outcome: Result | SqlError) -> None:
        record = self.records[id]
        if record["state"] in DONE:  # canceled meanwhile
            return
        if isinstance(outcome, Result) and record["disposition"] == "INLINE":
            size = self._cut(record, outcome).size
            if size > self._settings["inline_limit_bytes"]:
                outcome = SqlError(f"Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result size of at most "
                                   f"{self._settings['inline_limit_bytes']} bytes. Please execute the statement with disposition=EXTERNAL_LINKS "
                                   "if you want to download the full result.", None)
        if isinstance(outcome, Result):
            record["state"] = "SUCCEEDED"
            self._results[id] = outcome.as_json()
        else:
            error = {"error_code": outcome.error_code, "message": outcome.message}
            record.update(state="FAILED", status={"error": error} | ({"sql_state": outcome.sql_state} if outcome.sql_state else {}))
        record["finished_at"] = self._clock.now()
        self.records.save(id)
        self._store.commit()

    def _cut(self, record: Record, result: Result) -> Chunks:
        return Chunks(result, record["format"], self._settings["chunk_rows"], record.get("row_limit"), record.get("byte_limit"))

    # The API.

    async def submit(self, call: Call) -> Record:
        body = call.json()
        record = self._accepted(body)
        warehouse = self._warehouses.usable(call.principal, record["warehouse_id"])
        id = "01f1" + str(uuid.uuid4())[4:]
        record.update(id=id, warehouse_id=warehouse["id"], owner=call.principal.id, state="PENDING", created_at=self._clock.now(), finished_at=None)
        wait = _seconds(body.get("wait_timeout", "10s"))
        self.records[id] = record
        self._launch(id)
        self._store.commit()
        if wait > 0:
            await self._wait(id, wait)
            if record["state"] not in DONE and body.get("on_wait_timeout") == "CANCEL":
                self._cancel(id)
        return self._shown(id)

    async def _wait(self, id: str, seconds: float) -> None:
        task = self._tasks.get(id)
        if task is not None:
            deadline = asyncio.create_task(self._clock.sleep(seconds))
            await asyncio.wait({task, deadline}, return_when=asyncio.FIRST_COMPLETED)
            deadline.cancel()

    def _accepted(self, body: Record) -> Record:
        """The record of a statement whose request is well formed."""
        for field in ("warehouse_id", "statement"):
            if not isinstance(body.get(field), str) or (field == "warehouse_id" and not body[field]):
                raise bad_request(f"Could not parse request object: Missing required field: {field}")
        if len(body["statement"].encode()) > TEXT_LIMIT:
            raise invalid("The statement text exceeds the limit of 16 MiB.")
        _seconds(body.get("wait_timeout", "10s"))
        disposition = body.get("disposition") if body.get("disposition") in ("INLINE", "EXTERNAL_LINKS") else "INLINE"
        format = body.get("format") if body.get("format") in ("JSON_ARRAY", "ARROW_STREAM", "CSV") else "JSON_ARRAY"
        if disposition == "INLINE" and format != "JSON_ARRAY":
            raise invalid("Incompatible parameters: The format field must be JSON_ARRAY when the disposition field is INLINE.")
        limits: Record = {}
        for field, least, most in (("row_limit", 0, INT_MAX), ("byte_limit", 1, INLINE_LIMIT if disposition == "INLINE" else 100 << 30)):
            if (value := body.get(field)) is not None:
                if not isinstance(value, int) or not least <= value <= most:
                    raise invalid(f"The {field} field must be between {least} and {most}.")
                limits[field] = value
        parameters = body.get("parameters") or []
        if not isinstance(parameters, list) or not all(isinstance(each, dict) for each in parameters):
            raise bad_request("Could not parse request object: parameters must be a list of objects")
        names = {field: body[field] for field in ("catalog", "schema", "query_tags") if body.get(field)}
        return {"warehouse_id": body["warehouse_id"], "statement": body["statement"], "parameters": parameters, "disposition": disposition, "format": format, **limits, **names}

    def _find(self, call: Call) -> Record:
        id = call.at["id"]
        if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id):
            raise invalid("Error while parsing type: statement_id.")
        record = self.records.get(id)
        if record is not None and record["finished_at"] is not None and self._age(record) >= self._settings["statement_retention_seconds"]:
            del self.records[id]
            self._forget_result(id)
            record = None
        if record is None or record["owner"] != call.principal.id:
            raise self._missing(id, f"The statement {id} was not found.", "it is unknown, or its retention has passed")
        return record

    @staticmethod
    def _missing(id: str, message: str, description: str) -> ApiError:
        info = {"@type": RESOURCE_INFO, "resource_type": "statement", "resource_name": id, "owner": "", "description": description}
        return ApiError(404, "NOT_FOUND", message, [info])

    def _age(self, record: Record) -> float:
        return self._clock.now() - record["finished_at"]

    def _forget_result(self, id: str) -> None:
        self._results.pop(id, None)
        self._chunked.pop(id, None)

    async def get(self, call: Call) -> Record:
        return self._shown(self._find(call)["id"])

    async def chunk(self, call: Call) -> Record:
        record = self._find(call)
        id, index = record["id"], call.at["chunk"]
        if self._state(record) != "SUCCEEDED":
            text = "the statement state should be SUCCEEDED before you can start fetching the result"
            raise self._missing(id, f"The result of the statement {id} was not found.", text)
        if not index.isdecimal() or int(index) >= max(1, len(self._of(id).chunks)):
            raise invalid(f"The chunk_index {index} is out of bounds.")
        return self._data(id, int(index))

    async def cancel(self, call: Call) -> Record:
        """Accepted for every id; whether it was in time, a poll tells."""
        record = self.records.get(call.at["id"])
        if record is not None and record["owner"] == call.principal.id:
            self._cancel(record["id"])
        return {}

    async def close(self, call: Call) -> Record:
        self._find(call)
        return {}

    def _cancel(self, id: str) -> None:
        """Ends what waits; what an engine already does is not to be stopped, and finishes."""
        record = self.records[id]
        if record["state"] in DONE or self._settings["cancel_loses"] or self._runner.busy(id):
            return
        record.update(state="CANCELED", finished_at=self._clock.now())
        self.records.save(id)
        if task := self._tasks.get(id):
            task.cancel()

    # What an answer shows.

    def _state(self, record: Record) -> str:
        """A result that is no longer kept makes its statement CLOSED."""
        if record["state"] == "SUCCEEDED" and self._age(record) >= self._settings["result_retention_seconds"]:
            record["state"] = "CLOSED"
            self.records.save(record["id"])
            self._forget_result(record["id"])
        return record["state"]

    def _of(self, id: str) -> Chunks:
        if id not in self._chunked:
            if len(self._chunked) > 50:
                self._chunked.clear()
            self._chunked[id] = self._cut(self.records[id], Result.of(self._results[id]))
        return self._chunked[id]

    def _shown(self, id: str) -> Record:
        record = self.records[id]
        state = self._state(record)
        shown: Record = {"statement_id": id, "status": {"state": state, **record.get("status", {})}}
        if state == "SUCCEEDED":
            shown["manifest"] = self._of(id).manifest(record["disposition"] == "EXTERNAL_LINKS")
            shown["result"] = self._data(id, 0)
        return shown

    def _data(self, id: str, index: int) -> Record:
        chunks, external = self._of(id), self.records[id]["disposition"] == "EXTERNAL_LINKS"
        if not chunks.chunks:
            return {}
        following: Record = {}
        if index + 1 < len(chunks.chunks):
            following = {"next_chunk_index": index + 1, "next_chunk_internal_link": f"{BASE}/{id}/result/chunks/{index + 1}"}
        if not external:
            return {**chunks.describe(index, False), **following, "data_array": chunks.chunks[index][1]}
        url, ends, headers = self._links.make(id, index)
        expiration = datetime.datetime.fromtimestamp(ends, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        link = {**chunks.describe(index, True), **following, "external_link": url, "expiration": expiration}
        return {"external_links": [link | ({"http_headers": headers} if headers else {})]}

    def _linked(self, id: str, index: int) -> tuple[bytes, str] | None:
        if id not in self._results or index >= len(self._of(id).bytes):
            return None
        return self._of(id).bytes[index], self.records[id]["format"]


def _seconds(text: Any) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", text) if isinstance(text, str) else None
    if match is None:
        raise invalid("Error while parsing type: duration.")
    seconds = float(match.group(1))
    if seconds != 0 and not 5 <= seconds <= 50:
        raise invalid("The wait_timeout field must be 0 seconds (disables wait), or between 5 seconds and 50 seconds.")
    return seconds
