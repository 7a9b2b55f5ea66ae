"""A network between the daemon and a server: slow, resetting, half-open or down. By toxiproxy where it is installed."""

import asyncio
import json
import os
import urllib.request

from .daemon import free_port
from .procs import Process, require, wait_until
from .web import loop, wait


def ways(components):
    """What can be between, the best first: functions of a port and a folder."""
    binary = components / "toxiproxy/server"
    found = [lambda port, folder: Toxiproxy(binary, port, folder)] if os.access(binary, os.X_OK) else []
    return [*found, lambda port, _: TcpProxy(port)]


def between(components, port, folder):
    """A way to 127.0.0.1:`port` with `url`, `latency`, `resets`, `half_open`, `down` and `heal`."""
    return ways(components)[0](port, folder)


class Toxiproxy:
    kind = "toxiproxy"

    def __init__(self, binary, upstream, folder):
        self.api, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process([binary, "-host", "127.0.0.1", "-port", self.api], f"{folder}.log", env=dict(os.environ))
        wait_until(self._answers, 20, "toxiproxy")
        self._call("POST", "/proxies", {"name": "way", "listen": f"127.0.0.1:{self.port}", "upstream": f"127.0.0.1:{upstream}", "enabled": True})

    def _answers(self):
        require(self.process.alive(), f"toxiproxy ended:\n{self.process.tail()}")
        try:
            return self._call("GET", "/version") is not None
        except OSError:
            return False

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.api}{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def _toxic(self, kind, **attributes):
        for stream in ("upstream", "downstream"):
            self._call("POST", "/proxies/way/toxics", {"name": f"{kind}-{stream}", "type": kind, "stream": stream, "attributes": attributes})

    def latency(self, milliseconds):
        self._toxic("latency", latency=milliseconds, jitter=milliseconds // 2)

    def resets(self, milliseconds):
        """Every connection is reset that many milliseconds after it began to carry data."""
        self._toxic("reset_peer", timeout=milliseconds)

    def half_open(self):
        """Connections stay open, new ones are accepted, and nothing comes through any more."""
        self._toxic("timeout", timeout=0)

    def down(self):
        self._call("POST", "/proxies/way", {"enabled": False})

    def heal(self):
        self._call("POST", "/reset")

    def stop(self):
        self.process.stop()


class TcpProxy:
    kind = "the harness's proxy"

    def __init__(self, upstream):
        self.upstream, self.port, self.pairs = upstream, free_port(), set()
        self.url = f"http://127.0.0.1:{self.port}"
        self.heal_flags()
        self._listen()

    def heal_flags(self):
        self.delay = self.reset_after = None
        self.held = False

    def _listen(self):
        self._server = wait(asyncio.start_server(self._connection, "127.0.0.1", self.port))

    async def _connection(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self.pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, up_writer, pair), self._pump(up_reader, writer, pair))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._abort(pair)

    async def _pump(self, reader, writer, pair):
        while data := await reader.read(65536):
            if self.delay is not None:
                await asyncio.sleep(self.delay)
            if self.reset_after is not None:
                await asyncio.sleep(self.reset_after)
                self._abort(pair)
                return
            while self.held:  # until the healing, which aborts it
                await asyncio.sleep(0.05)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _abort(self, pair):
        self.pairs.discard(pair)
        for writer in pair:
            writer.transport.abort()

    def latency(self, milliseconds):
        self.delay = milliseconds / 1000

    def resets(self, milliseconds):
        self.reset_after = milliseconds / 1000

    def half_open(self):
        self.held = True

    def down(self):
        async def close():
            self._server.close()
            for pair in list(self.pairs):
                self._abort(pair)

        wait(close())

    def heal(self):
        was_held = self.held
        self.heal_flags()
        if was_held:  # connections that lost data cannot go on
            loop().call_soon_threadsafe(lambda: [self._abort(pair) for pair in list(self.pairs)])
        if not self._server.is_serving():
            self._listen()

    def stop(self):
        self.down()
