"""An engine in another process, over HTTP on loopback: so that the stand-in may be killed while its engine lives on.

What ran when the stand-in died runs to its end, as statements of a real warehouse do.
"""

import http.server
import json
import threading
import urllib.error
import urllib.request
from typing import Any

from .engine import Engine, Result, SqlError, Work


class RemoteEngine:
    def __init__(self, url: str):
        self._url = url.rstrip("/")

    def _ask(self, verb: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self._url}/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                found = json.load(answer)
        except OSError as error:
            raise SqlError(f"The SQL engine cannot be reached: {error}", None, "TEMPORARILY_UNAVAILABLE") from None
        if "error" in found:
            raise SqlError(**found["error"])
        return found["result"]

    def run(self, work: Work) -> Result:
        return Result.of(self._ask("run", {"sql": work.sql, "names": work.names}))

    def columns(self, location: str) -> list[dict[str, Any]] | None:
        return self._ask("columns", {"location": location})

    def create(self, sql: str, location: str) -> None:
        self._ask("create", {"sql": sql, "location": location})

    def stop(self) -> None:
        """The engine is its owner's to end."""


class EngineServer:
    """Offers an engine of this process at `url`."""

    def __init__(self, engine: Engine, port: int = 0):
        self._engine = engine
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data = json.dumps(owner.answer(self.path.strip("/"), body)).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # who asked is dead
                    pass

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            if verb == "run":
                return {"result": self._engine.run(Work(body["sql"], body["names"])).as_json()}
            if verb == "columns":
                return {"result": self._engine.columns(body["location"])}
            self._engine.create(body["sql"], body["location"])
            return {"result": None}
        except SqlError as error:
            return {"error": error.as_json()}
        except Exception as error:
            return {"error": SqlError(f"{type(error).__name__}: {error}", None, "INTERNAL_ERROR").as_json()}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
