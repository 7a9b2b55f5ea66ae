"""Every request and what it was answered, in a file of JSON lines that outlives the process. Secrets stand there as digests."""

import base64
import binascii
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

from .secrets import SECRET_FIELDS, hidden, shown
from .wire import Reply, Request

BODY_SHOWN = 64 << 10
ANSWER_SHOWN = 4 << 10


class Journal:
    def __init__(self, folder: Path):
        self._path = folder / "journal.jsonl"
        self.entries: list[dict[str, Any]] = []
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    self.entries.append(json.loads(line))
                except ValueError:  # cut short by a kill
                    continue
        self._file = self._path.open("a")
        self._next = 1 + max((entry["number"] for entry in self.entries), default=0)

    def write(self, request: Request, reply: Reply, time: float, principal: str | None, fault: str | None) -> None:
        entry = {
            "number": self._next, "time": round(time, 3), "host": request.host, "method": request.method, "path": request.path,
            "query": [[k, shown(v) if k in SECRET_FIELDS or k.lower().endswith("signature") else v] for k, v in request.query_pairs],
            "headers": {k: _header(k, v) for k, v in request.headers.items()}, "body": _body(request), "principal": principal,
            "request_id": request.id, "status": None if reply.reset else reply.status, "answer": _answer(reply), "fault": fault,
        }
        self._next += 1
        self.entries.append(entry)
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def find(self, since: int = 0, method: str | None = None, path: str | None = None, host: str | None = None) -> list[dict[str, Any]]:
        """Entries after number `since`; `path` is a regular expression that the path is to match from its start."""
        pattern = re.compile(path) if path else None
        return [
            entry for entry in self.entries
            if entry["number"] > since and (method is None or entry["method"] == method) and (host is None or entry["host"] == host)
            and (pattern is None or pattern.match(entry["path"]))
        ]

    def close(self) -> None:
        self._file.close()

    def clear(self) -> None:
        self.entries.clear()
        self._file.close()
        self._file = self._path.open("w")


def _header(name: str, value: str) -> str:
    if name == "authorization":
        scheme, _, credential = value.partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credential).decode().partition(":")
                return f"Basic {user}:{shown(password)}"
            except (binascii.Error, UnicodeDecodeError):
                return f"Basic {shown(credential)}"
        return f"{scheme} {shown(credential)}"
    return shown(value) if "token" in name or name in ("cookie", "x-api-key") else value


def _body(request: Request) -> Any:
    if not request.body:
        return None
    if len(request.body) > BODY_SHOWN:
        return f"{len(request.body)} bytes"
    if "x-www-form-urlencoded" in request.headers.get("content-type", "") and b"{" not in request.body[:1]:
        return hidden(dict(urllib.parse.parse_qsl(request.body.decode(errors="replace"))))
    try:
        return hidden(json.loads(request.body))
    except ValueError:
        return f"{len(request.body)} bytes"


def _answer(reply: Reply) -> Any:
    """The error of a refusal; answers that hold are long and their clients know them."""
    if reply.status < 400 or len(reply.body) > ANSWER_SHOWN:
        return None
    try:
        return hidden(json.loads(reply.body))
    except ValueError:
        return reply.body.decode(errors="replace")
