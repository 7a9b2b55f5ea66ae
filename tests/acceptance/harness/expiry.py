"""A proxy before an S3 server and its STS, behind which sessions end after seconds, as S3 says it."""

import asyncio
import datetime
import re
import time

from .daemon import free_port
from .web import Headers, Reply, Server, forward

YOUNG = 2.2
EXPIRED, UNKNOWN = "ExpiredToken", "InvalidAccessKeyId"
_SAYS = {
    # S3 does say the token again, which must not reach a log.
    EXPIRED: (400, "The provided token has expired.", "<Token-0>{token}</Token-0>"),
    UNKNOWN: (403, "The AWS Access Key Id you provided does not exist in our records.", "<AWSAccessKeyId>{key}</AWSAccessKeyId>"),
}


class ExpiryProxy:
    """Sessions live `life` seconds, every other one only `early` of that, whatever its `Expiration` says.

    A session that has ended gets ExpiredToken or InvalidAccessKeyId, by turns. `sts_fails` makes STS answer 500.
    `ends_at` holds functions of a request: the session of the first request one is true of ends with it, once it is
    `YOUNG` seconds old, and the function is taken out.
    """

    def __init__(self, port, life, early=0.25):
        self.upstream, self.life, self.early = port, life, early
        self.born, self.ends = {}, {}
        self.sessions, self.refused, self.requests = 0, {EXPIRED: 0, UNKNOWN: 0}, 0
        self.tokens, self.used, self.log_puts = set(), set(), []
        self.sts_fails, self.sts_failed, self.ends_at = False, 0, []
        self.server = Server(free_port(), self._handle)
        self.url, self.port = self.server.url, self.server.port

    async def _handle(self, request):
        try:
            if request.method == "POST" and request.path == "/" and request.form().get("Action", "").startswith("AssumeRole"):
                return await self._assume(request)
            return await self._pass(request)
        except (TimeoutError, OSError) as error:
            return Reply(502, str(error).encode())

    async def _assume(self, request):
        if self.sts_fails:
            self.sts_failed += 1
            return Reply(500, b"<ErrorResponse><Error><Type>Receiver</Type><Code>InternalFailure</Code></Error></ErrorResponse>")
        reply = await forward(self.upstream, request)
        # moto wraps an error in one element more than STS does.
        reply.body = re.sub(rb"</?Errors>", b"", reply.body)
        key = re.search(rb"<AccessKeyId>([^<]+)</AccessKeyId>", reply.body)
        if reply.status == 200 and key:
            self.sessions += 1
            end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.life)
            reply.body = re.sub(rb"(<Expiration>)[^<]*", rb"\g<1>" + end.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), reply.body)
            lasts = self.life * (self.early if self.sessions % 2 else 1)
            self.born[key[1].decode()] = time.monotonic()
            self.ends[key[1].decode()] = time.monotonic() + lasts
            self.tokens |= {token.decode() for token in re.findall(rb"<(?:SessionToken|SecretAccessKey)>([^<]+)", reply.body)}
        return reply

    async def _pass(self, request):
        self.requests += 1
        credential = re.search(r"Credential=([^/,]+)/", request.headers.get("authorization", ""))
        key = credential[1] if credential else None
        for wanted in self.ends_at:
            if key in self.ends and time.monotonic() < self.ends[key] and wanted(request):
                self.ends_at.remove(wanted)
                await asyncio.sleep(self.born[key] + YOUNG - time.monotonic())
                self.ends[key] = 0.0
                break
        if key in self.ends and time.monotonic() > self.ends[key]:
            return self._refuse(request, key)
        if key in self.ends:
            self.used.add(key)
        reply = await forward(self.upstream, request)
        if request.method == "PUT" and "/_delta_log/" in request.path:
            self.log_puts.append((request.path, reply.status))
        return reply

    def _refuse(self, request, key):
        code = EXPIRED if sum(self.refused.values()) % 2 == 0 else UNKNOWN
        self.refused[code] += 1
        status, message, more = _SAYS[code]
        token = request.headers.get("x-amz-security-token", "")
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>' + \
            more.format(token=token, key=key) + "<RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"
        return Reply(status, body.encode(), Headers([("Content-Type", "application/xml")]))

    @classmethod
    def lasting(cls, port):
        """Sessions that live an hour, in STS's own words."""
        return cls(port, 3600, early=1.0)

    def stop(self):
        self.server.stop()
