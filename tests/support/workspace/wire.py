"""HTTP/1.1 on asyncio: what comes in as `Request`, what goes out as `Reply`. Bodies are held whole."""

import asyncio
import contextlib
import gzip
import http
import json
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

HEAD_LIMIT = 1 << 20
BODY_LIMIT = 64 << 20

Headers = list[tuple[str, str]]


class BadBody(Exception):
    """The body is not what its API takes."""


@dataclass
class Request:
    """One request; header names are lower case, the path is percent-decoded by segment."""

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    id: str = ""

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def segments(self) -> list[str]:
        return [urllib.parse.unquote(part) for part in self.raw_path.split("/")]

    @property
    def path(self) -> str:
        return "/".join(self.segments)

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        return urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.query_pairs)

    @property
    def origin(self) -> str:
        """The URL under which the client knows this host."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"

    def json(self) -> dict[str, Any]:
        """The body as an object; an empty body is an empty object, whatever Content-Type says."""
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise BadBody(str(error)) from None
        if not isinstance(value, dict):
            raise BadBody("not an object")
        return value

    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


@dataclass
class Reply:
    """An answer. `reset` closes the connection with an RST instead, `partial` after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    reset: bool = False
    partial: int | None = None

    @staticmethod
    def json(value: Any, status: int = 200, headers: Headers | None = None) -> "Reply":
        return Reply(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *(headers or [])])


Handler = Callable[[Request], Awaitable[Reply]]


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    """The first line and the headers, or None where the peer has closed."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        length = int(headers.get("content-length", "0"))
        if length > BODY_LIMIT:
            raise ConnectionError("body too large")
        return await reader.readexactly(length)
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():  # trailers
        pass
    return b"".join(parts)


class Listener:
    """One listening port of 127.0.0.1, whose requests carry `host` as the name of the part they address."""

    def __init__(self, host: str, handler: Handler):
        self.host, self.handler = host, handler
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=HEAD_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            # Cancelled: the stand-in stops.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; False ends the connection."""
        head = await read_head(reader)
        if head is None:
            return False
        line, headers = head
        method, target, _ = line.split(" ", 2)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = Request(self.host, method, target, headers, await read_body(reader, headers))
        reply = await self.handler(request)
        if reply.reset and reply.partial is None:
            writer.transport.abort()
            return False
        data = _encode(request, reply)
        if reply.partial is not None:
            end = data.index(b"\r\n\r\n") + 4 + reply.partial
            writer.write(data[:end])
            await writer.drain()
            if reply.reset:
                writer.transport.abort()
            return False
        writer.write(data)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"


def _encode(request: Request, reply: Reply) -> bytes:
    body, headers = reply.body, list(reply.headers)
    if len(body) > 256 and "gzip" in request.headers.get("accept-encoding", "") and not any(k.lower() == "content-encoding" for k, _ in headers):
        body = gzip.compress(body, 1)
        headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    if reply.status != 204:
        headers.append(("Content-Length", str(len(body))))
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    head = f"HTTP/1.1 {reply.status} {phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    return head.encode("latin-1") + (b"" if request.method == "HEAD" else body)
