"""External links: results on another host, where a signature in the URL is the only credential, for a while.

A request that brings an Authorization header is refused, as the object stores refuse it: a client that sends its
token along is found out here.
"""

import hashlib
import hmac
import secrets
import urllib.parse
from collections.abc import Callable, Iterator

from .clock import Clock
from .routes import Call, Route
from .settings import Settings
from .store import Store
from .wire import Reply

PATH = "/api/2.0/fs/files"
CONTENT_TYPES = {"JSON_ARRAY": "application/json", "CSV": "text/csv", "ARROW_STREAM": "application/vnd.apache.arrow.stream"}


class Links:
    """`origin` is the URL of the storage host; `fetch(statement, chunk)` gives (bytes, format) or None."""

    def __init__(self, store: Store, clock: Clock, settings: Settings):
        self._clock, self._settings = clock, settings
        keys = store.collection("signing")
        if "links" not in keys:
            keys["links"] = {"hex": secrets.token_hex(32)}
        self._key = bytes.fromhex(keys["links"]["hex"])
        self.origin = ""
        self.fetch: Callable[[str, int], tuple[bytes, str] | None] = lambda statement, chunk: None

    def routes(self) -> Iterator[Route]:
        yield Route("GET", f"{PATH}/{{statement}}/{{chunk}}", self.get, "storage", auth=False)

    def make(self, statement: str, chunk: int) -> tuple[str, float, dict[str, str]]:
        """(URL, when it ends, headers that it demands)."""
        issued, lifetime = int(self._clock.now()), int(self._settings["link_seconds"])
        path = f"{PATH}/{statement}/{chunk}"
        query = {"X-Databricks-TTL": lifetime, "X-Databricks-Issued": issued, "X-Databricks-Signature": self._signature(path, lifetime, issued)}
        return f"{self.origin}{path}?{urllib.parse.urlencode(query)}", issued + lifetime, self._settings["link_headers"]

    def _signature(self, path: str, lifetime: int, issued: int) -> str:
        return hmac.new(self._key, f"{path}\n{lifetime}\n{issued}".encode(), hashlib.sha256).hexdigest()

    async def get(self, call: Call) -> Reply:
        request, query = call.request, call.query
        if "authorization" in request.headers:
            return _refused(400, "InvalidArgument", "Only one auth mechanism allowed; only the X-Databricks-Signature query parameter or the Authorization header")
        try:
            lifetime, issued = int(query["X-Databricks-TTL"]), int(query["X-Databricks-Issued"])
        except (KeyError, ValueError):
            return _refused(403, "AccessDenied", "Access Denied")
        if not hmac.compare_digest(query.get("X-Databricks-Signature", ""), self._signature(request.path, lifetime, issued)):
            return _refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        if issued + lifetime <= self._clock.now():
            return _refused(403, "AccessDenied", "Request has expired")
        for name, value in self._settings["link_headers"].items():
            if request.headers.get(name.lower()) != value:
                return _refused(403, "AccessDenied", f"The header {name} is part of the signature.")
        found = self.fetch(call.at["statement"], int(call.at["chunk"]))
        if found is None:
            return _refused(404, "NoSuchKey", "The specified key does not exist.")
        data, format = found
        return Reply(200, data, [("Content-Type", CONTENT_TYPES[format])])


def _refused(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, body.encode(), [("Content-Type", "application/xml")])
