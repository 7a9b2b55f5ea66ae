"""Whose request it is: personal access tokens, OAuth tokens and Entra tokens, and why they are refused.

A missing credential is 401 and a wrong one 403, both with a number as error_code; an expired OAuth token is 401.
A token of one level (workspace, account) is refused at the other.
"""

import base64
import binascii
import secrets
from typing import Any

from . import jwt
from .clock import Clock
from .errors import ApiError
from .principals import Principal, Principals
from .secrets import digest
from .settings import Settings
from .store import Store
from .wire import Request

AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
AZURE_MANAGEMENT = ("https://management.core.windows.net/", "https://management.azure.com/")
UNSENT = "Credential was not sent or was of an unsupported type for this API."
INVALID = "Invalid access token."
EXPIRED = "Token is expired."


class Auth:
    def __init__(self, store: Store, clock: Clock, settings: Settings, principals: Principals):
        self._clock, self._settings, self._principals = clock, settings, principals
        self.pats = store.collection("tokens")
        self._revocations = store.collection("revocations")
        keys = store.collection("signing")
        if "key" not in keys:
            keys["key"] = {"hex": secrets.token_hex(32)}
        self._key = bytes.fromhex(keys["key"]["hex"])

    def mint(self, principal: Principal, audience: str, lifetime: float, scope: str = "all-apis") -> str:
        """An OAuth access token. `audience`: "workspace", "account" or an Entra resource."""
        now = self._clock.now()
        claims = {
            "client_id": principal.name, "sub": principal.name, "scope": scope, "aud": audience, "iat": int(now), "exp": now + lifetime,
            "jti": secrets.token_hex(8), "principal": principal.id,
        }
        return jwt.sign(claims, self._key)

    def revoke(self, principal: Principal) -> int:
        """Ends every OAuth token and personal access token that the principal has; how many of the latter."""
        self._revocations[principal.id] = {"before": self._clock.now()}
        mine = [key for key, token in self.pats.items() if token["owner_id"] == principal.id]
        for key in mine:
            del self.pats[key]
        return len(mine)

    def principal(self, request: Request) -> Principal:
        credential = self._credential(request)
        if credential.count(".") == 2:
            principal = self._oauth(request, credential)
        else:
            principal = self._pat(request, credential)
        if not principal.record["active"]:
            raise self._refused(request, 403, "User is deactivated.")
        if request.host == "workspace" and not principal.record["assigned"]:
            raise self._refused(request, 403, "User is not a member of this workspace.")
        return principal

    def _credential(self, request: Request) -> str:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            return value.strip()
        if scheme.lower() == "basic":  # the user name "token", as from a .netrc
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            if user == "token":
                return password
        raise self._refused(request, 401, UNSENT)

    def _pat(self, request: Request, credential: str) -> Principal:
        wanted = digest(credential)
        token = next((each for each in self.pats.values() if each["digest"] == wanted), None)
        if token is None or 0 <= token["expiry_time"] <= self._clock.now_ms() or request.host != "workspace":
            raise self._refused(request, 403, INVALID)
        principal = self._principals.by_id(token["owner_id"])
        if principal is None:
            raise self._refused(request, 403, INVALID)
        token["last_used_day"] = self._clock.now_ms() // 86_400_000 * 86_400_000
        self.pats.save(token["token_id"])
        return principal

    def _oauth(self, request: Request, credential: str) -> Principal:
        claims = self._claims(request, credential)
        if claims["aud"] == AZURE_DATABRICKS:
            return self._entra(request, claims)
        if claims["aud"] != request.host:
            raise self._refused(request, 403, f"Invalid token: it is of the {claims['aud']}, not of the {request.host}.")
        principal = self._principals.by_id(claims["principal"])
        if principal is None:
            raise self._refused(request, 403, INVALID)
        return principal

    def _claims(self, request: Request, credential: str) -> dict[str, Any]:
        try:
            claims = jwt.verify(credential, self._key)
        except jwt.BadToken:
            raise self._refused(request, 403, INVALID) from None
        # Azure refuses what has no more than 30 seconds to live.
        margin = 30 if claims["aud"] == AZURE_DATABRICKS else 0
        if claims["exp"] - margin <= self._clock.now():
            raise self._refused(request, 401, EXPIRED)
        revoked = self._revocations.get(claims["principal"])
        if revoked and claims["iat"] <= revoked["before"]:
            raise self._refused(request, 401, INVALID)
        return claims

    def _entra(self, request: Request, claims: dict[str, Any]) -> Principal:
        """A service principal of Entra: known to the workspace, or let in by a management token and the resource's id."""
        principal = self._principals.by_name(claims["client_id"])
        if principal is not None and principal.record["assigned"]:
            return principal
        management = request.headers.get("x-databricks-azure-sp-management-token")
        resource = request.headers.get("x-databricks-azure-workspace-resource-id")
        if principal is None or not management or not resource:
            raise self._refused(request, 403, "The service principal is not a member of this workspace.")
        proof = self._claims(request, management)
        if proof["aud"] not in AZURE_MANAGEMENT or proof["client_id"] != claims["client_id"]:
            raise self._refused(request, 403, "The management token is not of the service principal.")
        self._principals.change(principal, assigned=True, groups=[*principal.groups, "admins"])
        return principal

    @staticmethod
    def _refused(request: Request, status: int, message: str) -> ApiError:
        headers = [("WWW-Authenticate", 'Bearer realm="DatabricksRealm"')] if status == 401 else []
        return ApiError(status, status, f"{message} [ReqId: {request.id}]", headers=headers)
