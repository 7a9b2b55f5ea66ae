"""OAuth of the workspace and of the account: discovery, client credentials, and the exchange of foreign tokens."""

import base64
import binascii
import urllib.parse
from collections.abc import Iterator

from . import jwt
from .auth import Auth
from .clock import Clock
from .errors import ApiError, OauthError, oauth_envelope
from .federation import Federation
from .principals import Principal, Principals
from .routes import Call, Route
from .settings import Settings
from .wire import Reply, Request

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
SCOPES = {"all-apis", "sql", "offline_access"}


class Oidc:
    def __init__(self, auth: Auth, clock: Clock, settings: Settings, principals: Principals, federation: Federation, ids: dict[str, str]):
        self._auth, self._clock, self._settings, self._principals, self._federation, self._ids = auth, clock, settings, principals, federation, ids

    def routes(self) -> Iterator[Route]:
        for host in ("workspace", "account"):
            yield Route("GET", "/.well-known/databricks-config", self.config, host, auth=False)
            yield Route("GET", "/oidc/accounts/{account}/.well-known/oauth-authorization-server", self.metadata, host, auth=False)
            yield Route("POST", "/oidc/accounts/{account}/v1/token", self.token, host, auth=False)
        yield Route("GET", "/oidc/.well-known/oauth-authorization-server", self.metadata, "workspace", auth=False)
        yield Route("POST", "/oidc/v1/token", self.token, "workspace", auth=False)

    async def config(self, call: Call) -> Reply:
        if not self._settings["discovery"]:
            raise ApiError(404, "ENDPOINT_NOT_FOUND", "No API found for 'GET /.well-known/databricks-config'")
        origin, account = call.request.origin, self._ids["account_id"]
        body = {"account_id": account, "cloud": self._settings["cloud"]}
        if call.request.host == "workspace":
            body |= {"workspace_id": self._ids["workspace_id"], "oidc_endpoint": f"{origin}/oidc"}
        else:
            shown = "{account_id}" if self._settings["account_id_in_discovery"] == "placeholder" else account
            body["oidc_endpoint"] = f"{origin}/oidc/accounts/{shown}"
        return Reply.json(body)

    async def metadata(self, call: Call) -> Reply:
        if call.at.get("account", self._ids["account_id"]) != self._ids["account_id"]:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Account {call.at['account']} does not exist.")
        root = call.request.origin + call.request.raw_path.removesuffix("/.well-known/oauth-authorization-server")
        return Reply.json({
            "issuer": root, "authorization_endpoint": f"{root}/v1/authorize", "token_endpoint": f"{root}/v1/token", "jwks_uri": f"{root}/jwks.json",
            "scopes_supported": sorted(SCOPES), "response_types_supported": ["code"], "grant_types_supported": ["client_credentials", EXCHANGE],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        })

    async def token(self, call: Call) -> Reply:
        try:
            self._account(call)
            return self._grant(call.request, "account" if "account" in call.at else "workspace")
        except OauthError as error:
            return oauth_envelope(error, self._settings["oauth_error_style"])

    def _account(self, call: Call) -> None:
        if call.at.get("account", self._ids["account_id"]) != self._ids["account_id"]:
            raise OauthError(404, "invalid_request", "account not found")

    def _grant(self, request: Request, audience: str) -> Reply:
        form = request.form()
        grant = form.get("grant_type")
        if grant == "client_credentials":
            principal = self._by_secret(request, form)
        elif grant == EXCHANGE:
            principal = self._by_exchange(form, f"{request.origin}{request.raw_path}")
        else:
            raise OauthError(400, "unsupported_grant_type", f"grant_type {grant} is not supported")
        scope = form.get("scope", "all-apis")
        if not set(scope.split()) <= SCOPES:
            raise OauthError(400, "invalid_scope", f"scope {scope} is not known")
        if audience == "workspace" and not principal.record["assigned"]:
            raise OauthError(401, "invalid_client", "the service principal is not a member of this workspace")
        lifetime = self._settings["token_lifetime_seconds"]
        shown = str(lifetime) if self._settings["expires_in_as_string"] else lifetime
        body = {"access_token": self._auth.mint(principal, audience, lifetime, scope), "token_type": "Bearer", "expires_in": shown, "scope": scope}
        return Reply.json(body, headers=[("Cache-Control", "no-store")])

    def _by_secret(self, request: Request, form: dict[str, str]) -> Principal:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise OauthError(400, "invalid_request", "the Authorization header is not Basic") from None
            client_id, secret = urllib.parse.unquote(user), urllib.parse.unquote(password)
        principal = self._principals.by_secret(client_id, secret, self._clock.now())
        if principal is None or not principal.record["active"]:
            raise OauthError(401, "invalid_client", "Client authentication failed")
        return principal

    def _by_exchange(self, form: dict[str, str], token_url: str) -> Principal:
        if form.get("subject_token_type") != JWT_TYPE:
            raise OauthError(400, "invalid_request", "subject_token_type must be a JWT")
        try:
            name = self._federation.principal(form.get("subject_token", ""), form.get("client_id"), token_url, self._clock.now())
        except jwt.BadToken as error:
            raise OauthError(401, "invalid_grant", str(error)) from None
        principal = self._principals.by_name(name)
        if principal is None:
            raise OauthError(401, "invalid_client", "no such principal")
        return principal
