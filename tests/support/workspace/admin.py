"""Administration around principals: OAuth secrets, assignment to the workspace, the workspace's switches, instance profiles."""

import datetime
import re
from collections.abc import Iterator

from .clock import Clock
from .errors import ApiError, bad_request, denied, invalid, missing
from .pages import page
from .principals import Principal, Principals
from .routes import Call, Route
from .settings import Settings
from .store import Record, Store
from .tokens import Tokens

SECRETS = "servicePrincipals/{id}/credentials/secrets"
MOST_SECRETS, LONGEST_SECONDS = 5, 2 * 365 * 86400
CONF = {"enableTokensConfig": "true", "maxTokenLifetimeDays": "", "enableIpAccessLists": "false", "enableDbfsFileBrowser": "false"}


class Admin:
    def __init__(self, store: Store, principals: Principals, tokens: Tokens, clock: Clock, settings: Settings, ids: dict[str, str]):
        self._principals, self._clock, self._settings, self._ids = principals, clock, settings, ids
        self._conf, self._profiles = store.collection("workspace_conf"), store.collection("instance_profiles")
        tokens.conf = self._conf

    def routes(self) -> Iterator[Route]:
        for base, host in (("/api/2.0/accounts/{account}", "account"), ("/api/2.0/accounts", "workspace")):
            yield Route("POST", f"{base}/{SECRETS}", self.create_secret, host)
            yield Route("GET", f"{base}/{SECRETS}", self.list_secrets, host)
            yield Route("DELETE", f"{base}/{SECRETS}/{{secret}}", self.delete_secret, host)
        assignments = "/api/2.0/accounts/{account}/workspaces/{workspace}/permissionassignments"
        yield Route("GET", assignments, self.assignments, "account")
        yield Route("PUT", f"{assignments}/principals/{{id}}", self.assign, "account")
        yield Route("DELETE", f"{assignments}/principals/{{id}}", self.unassign, "account")
        yield Route("GET", "/api/2.0/workspace-conf", self.conf)
        yield Route("PATCH", "/api/2.0/workspace-conf", self.change_conf)
        yield Route("POST", "/api/2.0/instance-profiles/add", self.add_profile)
        yield Route("GET", "/api/2.0/instance-profiles/list", self.list_profiles)

    def _account_admin(self, call: Call) -> None:
        if call.at.get("account", self._ids["account_id"]) != self._ids["account_id"]:
            raise missing(f"Account {call.at['account']} does not exist.")
        if not (call.principal.is_account_admin or (call.request.host == "workspace" and call.principal.is_admin)):
            raise denied("Only account administrators may call this API.")

    def _principal(self, call: Call) -> Principal:
        principal = self._principals.by_id(call.at["id"])
        if principal is None:
            raise missing(f"Principal with ID {call.at['id']} does not exist.")
        return principal

    async def create_secret(self, call: Call) -> Record:
        self._account_admin(call)
        principal = self._principal(call)
        lifetime = call.json().get("lifetime", f"{LONGEST_SECONDS}s")
        if not isinstance(lifetime, str) or not re.fullmatch(r"\d+s", lifetime) or not 0 < int(lifetime[:-1]) <= LONGEST_SECONDS:
            raise invalid("lifetime must be a number of seconds such as 7776000s, at most two years.")
        if sum(each["principal"] == principal.id for each in self._principals.secrets.values()) >= MOST_SECRETS:
            raise ApiError(400, "QUOTA_EXCEEDED", f"A service principal may have at most {MOST_SECRETS} secrets.")
        record, value = self._principals.add_secret(principal, self._clock.now(), int(lifetime[:-1]))
        return {**_secret(record), "secret": value}

    async def list_secrets(self, call: Call) -> Record:
        self._account_admin(call)
        principal = self._principal(call)
        mine = [_secret(each) for each in self._principals.secrets.values() if each["principal"] == principal.id]
        items, token = page(mine, call.query, self._settings["page_size_max"])
        return {"secrets": items} | ({"next_page_token": token} if token else {})

    async def delete_secret(self, call: Call) -> Record:
        self._account_admin(call)
        record = self._principals.secrets.get(call.at["secret"])
        if record is None or record["principal"] != call.at["id"]:
            raise missing(f"Secret with ID {call.at['secret']} does not exist.")
        del self._principals.secrets[call.at["secret"]]
        return {}

    def _workspace(self, call: Call) -> None:
        self._account_admin(call)
        if call.at["workspace"] != self._ids["workspace_id"]:
            raise missing(f"Workspace {call.at['workspace']} does not exist.")

    async def assignments(self, call: Call) -> Record:
        self._workspace(call)
        return {"permission_assignments": [self._assignment(each) for each in self._principals if each.record["assigned"]]}

    @staticmethod
    def _assignment(principal: Principal) -> Record:
        field = "service_principal_name" if principal.is_service_principal else "user_name"
        shown = {"principal_id": int(principal.id), "display_name": principal.display_name, field: principal.name}
        return {"principal": shown, "permissions": ["ADMIN" if principal.is_admin else "USER"]}

    async def assign(self, call: Call) -> Record:
        self._workspace(call)
        principal, permissions = self._principal(call), call.json().get("permissions") or []
        if any(each not in ("USER", "ADMIN", "UNKNOWN") for each in permissions):
            raise invalid("permissions must be USER or ADMIN.")
        groups = [name for name in principal.groups if name != "admins"] + (["admins"] if "ADMIN" in permissions else [])
        self._principals.change(principal, assigned=bool(permissions), groups=groups)
        return self._assignment(principal)

    async def unassign(self, call: Call) -> Record:
        self._workspace(call)
        self._principals.change(self._principal(call), assigned=False)
        return {}

    def _admin(self, call: Call) -> None:
        if not call.principal.is_admin:
            raise denied("Only workspace administrators may call this API.")

    async def conf(self, call: Call) -> Record:
        self._admin(call)
        keys = [key for key in call.query.get("keys", "").split(",") if key]
        if unknown := [key for key in keys if key not in CONF]:
            raise bad_request(f"Invalid keys: {unknown}")
        return {key: self._conf.get(key, {"value": CONF[key]})["value"] for key in keys}

    async def change_conf(self, call: Call) -> Record:
        self._admin(call)
        for key, value in call.json().items():
            if key not in CONF or not isinstance(value, str):
                raise bad_request(f"Invalid keys: ['{key}']" if key not in CONF else f"The value of {key} must be a string.")
            self._conf[key] = {"value": value}
        return {}

    async def add_profile(self, call: Call) -> Record:
        self._admin(call)
        arn = str(call.json().get("instance_profile_arn", ""))
        if not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:instance-profile/.+", arn):
            raise invalid(f"Invalid instance profile ARN: {arn}")
        if arn in self._profiles:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"The instance profile {arn} has already been added.")
        self._profiles[arn] = {"instance_profile_arn": arn}
        return {}

    async def list_profiles(self, call: Call) -> Record:
        return {"instance_profiles": list(self._profiles.values())}


def _secret(record: Record) -> Record:
    def instant(seconds: float) -> str:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return {
        "id": record["id"], "secret_hash": record["digest"][:32], "status": record["status"], "create_time": instant(record["create_time"]),
        "update_time": instant(record["create_time"]), "expire_time": instant(record["expire_time"]),
    }
