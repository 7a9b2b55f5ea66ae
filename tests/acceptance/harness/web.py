"""Small HTTP/1.1 servers and proxies inside this process, on one event loop in a thread of its own.

A handler is an async function from `Request` to `Reply`, or to None, which closes the connection without an answer.
Bodies are held whole: what the checks move is small.
"""

import asyncio
import dataclasses
import http
import threading
import urllib.parse

_loop = None


def loop():
    """The event loop of every server here; its thread ends with the process."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, daemon=True).start()
    return _loop


def wait(coroutine, seconds=30):
    """Runs a coroutine on the loop from another thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(seconds)


class Headers(list):
    """(name, value) pairs in the order and spelling in which they came."""

    def get(self, name, default=None):
        return next((value for key, value in self if key.lower() == name), default)

    def without(self, *names):
        return Headers((key, value) for key, value in self if key.lower() not in names)


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def form(self):
        """The fields of an urlencoded body."""
        return dict(urllib.parse.parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


@dataclasses.dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: Headers = dataclasses.field(default_factory=Headers)


async def read_head(reader):
    """(first line, headers), or None where the peer has closed."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    pairs = (line.partition(":") for line in lines[1:] if line)
    return lines[0], Headers((name, value.strip()) for name, _, value in pairs)


async def read_body(reader, headers, to_the_end=False):
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        while (await reader.readline()).strip():  # trailers
            pass
        return b"".join(parts)
    length = headers.get("content-length")
    if length is not None:
        return await reader.readexactly(int(length))
    return await reader.read() if to_the_end else b""


async def forward(port, request, seconds=30):
    """Sends a request on to 127.0.0.1 with its headers as they are, `Host` too, which signatures cover."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, limit=1 << 20), seconds)
    try:
        headers = request.headers.without("connection", "transfer-encoding", "content-length", "expect")
        if request.body or request.method in ("PUT", "POST"):
            headers.append(("Content-Length", str(len(request.body))))
        headers.append(("Connection", "close"))
        head = f"{request.method} {request.target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        writer.write(head.encode("latin-1") + request.body)
        await writer.drain()
        answer = await asyncio.wait_for(read_head(reader), seconds)
        if answer is None:
            raise ConnectionError("the server closed without an answer")
        line, headers = answer
        status = int(line.split(" ")[1])
        bodiless = request.method == "HEAD" or status in (204, 304)
        body = b"" if bodiless else await asyncio.wait_for(read_body(reader, headers, to_the_end=True), seconds)
        if not bodiless:
            headers = headers.without("content-length")
        return Reply(status, body, headers.without("connection", "transfer-encoding", "keep-alive"))
    finally:
        writer.close()


class Server:
    """Listens on 127.0.0.1:`port` and answers by `handler`."""

    def __init__(self, port, handler):
        self.port, self.handler, self.url = port, handler, f"http://127.0.0.1:{port}"
        self.failures, self._writers = [], set()
        self._server = wait(asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20))

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while head := await read_head(reader):
                line, headers = head
                if headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                method, target, _ = line.split(" ", 2)
                request = Request(method, target, headers, await read_body(reader, headers))
                reply = await self.handler(request)
                if reply is None:
                    return
                self._write(writer, request, reply)
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer has gone: a killed daemon does
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a fault of the harness, which the check is to hear of
            self.failures.append(error)
        finally:
            self._writers.discard(writer)
            writer.close()

    @staticmethod
    def _write(writer, request, reply):
        headers = Headers(reply.headers)
        if headers.get("content-length") is None and reply.status not in (204, 304):
            headers.append(("Content-Length", str(len(reply.body))))
        try:
            phrase = http.HTTPStatus(reply.status).phrase
        except ValueError:
            phrase = ""
        head = f"HTTP/1.1 {reply.status} {phrase}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        writer.write(head.encode("latin-1") + (b"" if request.method == "HEAD" else reply.body))

    def stop(self):
        """Ends listening and every connection."""

        async def close():
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

        wait(close())
        if self.failures:
            raise self.failures[0]
