"""Microsoft Entra as far as a service principal needs it: the redirect that names the tenant, and the token endpoint."""

import urllib.parse
from collections.abc import Iterator

from .auth import AZURE_DATABRICKS, AZURE_MANAGEMENT, Auth
from .clock import Clock
from .errors import OauthError, oauth_envelope
from .principals import Principals
from .routes import Call, Route
from .settings import Settings
from .wire import Reply


class Entra:
    """`login_origin` is the URL of the login host, once it listens."""

    def __init__(self, auth: Auth, clock: Clock, settings: Settings, principals: Principals, tenant: str):
        self._auth, self._clock, self._settings, self._principals, self._tenant = auth, clock, settings, principals, tenant
        self.login_origin = ""

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/aad/auth", self.redirect, "workspace", auth=False)
        yield Route("POST", "/{tenant}/oauth2/token", self.token, "login", auth=False)
        yield Route("POST", "/{tenant}/oauth2/v2.0/token", self.token, "login", auth=False)

    async def redirect(self, call: Call) -> Reply:
        query = urllib.parse.urlencode({"client_id": AZURE_DATABRICKS, "response_type": "code", "redirect_uri": call.request.origin})
        return Reply(302, b"", [("Location", f"{self.login_origin}/{self._tenant}/oauth2/authorize?{query}")])

    async def token(self, call: Call) -> Reply:
        try:
            return self._token(call)
        except OauthError as error:
            return oauth_envelope(error, "rfc6749")

    def _token(self, call: Call) -> Reply:
        form = call.request.form()
        if call.at["tenant"] != self._tenant:
            raise OauthError(400, "invalid_request", f"AADSTS90002: Tenant '{call.at['tenant']}' not found.")
        if form.get("grant_type") != "client_credentials":
            raise OauthError(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        resource = form.get("resource") or form.get("scope", "").removesuffix("/.default")
        if resource not in (AZURE_DATABRICKS, *AZURE_MANAGEMENT):
            raise OauthError(400, "invalid_resource", f"AADSTS500011: The resource principal named {resource} was not found in the tenant.")
        principal = self._principals.by_secret(form.get("client_id", ""), form.get("client_secret", ""), self._clock.now())
        if principal is None:
            raise OauthError(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        lifetime, now = self._settings["token_lifetime_seconds"], int(self._clock.now())
        token = self._auth.mint(principal, resource, lifetime)
        # Entra's first version has every number as a string.
        return Reply.json({
            "token_type": "Bearer", "expires_in": str(lifetime), "ext_expires_in": str(lifetime), "expires_on": str(now + int(lifetime)),
            "not_before": str(now), "resource": resource, "access_token": token,
        })
