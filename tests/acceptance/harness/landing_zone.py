"""A service that hands out the credentials of a container, as Adobe's landing zone does, over a real blob server.

Each signature names a stored access policy of its own: to revoke it is to delete the policy, and the blob server
itself refuses it from then on.
"""

import asyncio
import datetime
import json
import random
import time

from .azurite import ACCOUNT, now
from .daemon import free_port
from .web import Headers, Reply, Server

PATH = "/data/foundation/connectors/landingzone/credentials"
HEADERS = {"x-api-key": "planted-api-key-71f0", "x-gw-ims-org-id": "planted-org-88aa@AdobeOrg", "x-sandbox-name": "prod"}
CLIENT_ID, CLIENT_SECRET = "landing-client", "planted-client-secret-0b6e"


class LandingZone:
    """Signatures live `life` seconds. Two of three say so in `se`; the third ends unannounced, long before its `expiryDate`.

    `loses`: the chance that a call is done and its answer lost. `token_life`: seconds a bearer token lives.
    """

    def __init__(self, azurite, container, life, seed, loses=0.0, token_life=15, unannounced=True):
        self.azurite, self.container, self.life, self.loses, self.token_life = azurite, container, life, loses, token_life
        self.unannounced, self.random = unannounced, random.Random(seed)
        self.generation, self.signature, self.ends = 0, None, 0.0
        self.gets = self.refreshes = self.renewals = self.lost = self.tokens = self.refused = 0
        self.refreshed_at, self.secrets, self.bearer = [], set(), {}
        self.lock = asyncio.Lock()
        self.server = Server(free_port(), self._handle)
        self.endpoint = f"{self.server.url}{PATH}?type=dlz_databricks_source"
        self.token_url = f"{self.server.url}/ims/token/v3"

    async def _handle(self, request):
        if request.path == "/ims/token/v3":
            return self._token(request)
        refusal = self._refusal(request)
        if refusal:
            self.refused += 1
            status, message = refusal
            return Reply(status, json.dumps({"error_code": str(status), "message": message}).encode(), self._json())
        async with self.lock:
            ended = time.monotonic() >= self.ends
            if request.query.get("action") == "refresh":
                if request.method != "POST":
                    return Reply(405, b"", Headers([("Allow", "POST")]))
                self.refreshes += 1
                self.refreshed_at.append((time.monotonic(), self.ends - time.monotonic()))
                await asyncio.to_thread(self._renew)
            else:
                self.gets += 1
                if ended:
                    self.renewals += 1
                    await asyncio.to_thread(self._renew)
        if self.random.random() < self.loses:
            self.lost += 1
            return None
        return Reply(200, json.dumps(self._answer()).encode(), self._json())

    @staticmethod
    def _json():
        return Headers([("Content-Type", "application/json")])

    def _token(self, request):
        form = request.form()
        if (form.get("grant_type"), form.get("client_id"), form.get("client_secret")) != ("client_credentials", CLIENT_ID, CLIENT_SECRET):
            return Reply(401, b'{"error":"invalid_client"}', self._json())
        self.tokens += 1
        token = f"planted-bearer-{self.random.getrandbits(64):016x}"
        self.bearer[token] = time.monotonic() + self.token_life
        self.secrets.add(token)
        body = {"access_token": token, "token_type": "bearer", "expires_in": self.token_life}
        return Reply(200, json.dumps(body).encode(), self._json())

    def _refusal(self, request):
        """What the gateway has against a request: (status, message)."""
        token = (request.headers.get("authorization") or "").removeprefix("Bearer ")
        if self.bearer.get(token, 0) < time.monotonic():
            return 401, "Oauth token is not valid"
        for name, wanted in HEADERS.items():
            if request.headers.get(name) != wanted:
                return 403 if name == "x-api-key" else 400, f"{name} is missing or wrong"
        if request.query.get("type") != "dlz_databricks_source" or request.path != PATH:
            return 404, "no such credentials"
        return None

    def _renew(self):
        """The old signature's policy goes, a new one comes."""
        self.generation += 1
        name, end = f"dlz-{self.generation}", now() + datetime.timedelta(seconds=self.life)
        announced = not (self.unannounced and self.generation % 3 == 0)
        end = end.replace(microsecond=0) if announced else end  # `se` has whole seconds
        self.azurite.policies(self.container, {name: end})
        self.signature = self.azurite.sas(self.container, end if announced else None, policy=name)
        self.ends = time.monotonic() + (end - now()).total_seconds()
        self.secrets.add(dict(part.split("=", 1) for part in self.signature.split("&"))["sig"])

    def _answer(self):
        return {
            "containerName": self.container,
            "SASToken": f"?{self.signature}" if self.generation % 2 else self.signature,
            "storageAccountName": ACCOUNT,
            "SASUri": f"https://{ACCOUNT}.blob.core.windows.net/{self.container}?{self.signature}",
            "expiryDate": (now() + datetime.timedelta(days=2)).date().isoformat(),
        }

    def stop(self):
        self.server.stop()
