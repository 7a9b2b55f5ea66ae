"""Personal access tokens: one's own (`/api/2.0/token/`), and everybody's for administrators (`/api/2.0/token-management/`).

A value is shown once, when it is made; what is kept is its digest.
"""

import secrets
from collections.abc import Iterator, Mapping

from .acl import Acl
from .auth import Auth
from .clock import Clock
from .errors import ApiError, bad_request, denied, invalid, missing
from .principals import Principal, Principals
from .routes import Call, Route
from .secrets import digest, token
from .settings import Settings
from .store import Record

OWN, ALL = "/api/2.0/token", "/api/2.0/token-management"
LONGEST_SECONDS = 730 * 86400
DISABLED = "Personal access tokens are disabled for this workspace."


class Tokens:
    def __init__(self, auth: Auth, clock: Clock, settings: Settings, principals: Principals, acl: Acl):
        self._records, self._clock, self._settings, self._principals, self._acl = auth.pats, clock, settings, principals, acl
        self.conf: Mapping[str, Record] = {}

    def routes(self) -> Iterator[Route]:
        yield Route("POST", f"{OWN}/create", self.create)
        yield Route("GET", f"{OWN}/list", self.list)
        yield Route("POST", f"{OWN}/delete", self.delete)
        yield Route("POST", f"{ALL}/on-behalf-of/tokens", self.create_for)
        yield Route("GET", f"{ALL}/tokens", self.list_all)
        yield Route("GET", f"{ALL}/tokens/{{id}}", self.get)
        yield Route("DELETE", f"{ALL}/tokens/{{id}}", self.delete_any)

    def make(self, owner: Principal, creator: Principal, comment: str, lifetime: float | None, value: str) -> tuple[Record, str]:
        """A token of `owner`; no lifetime is one that never ends."""
        now = self._clock.now_ms()
        record: Record = {
            "token_id": secrets.token_hex(32), "digest": digest(value), "comment": comment, "creation_time": now,
            "expiry_time": -1 if lifetime is None else now + int(lifetime * 1000), "owner_id": owner.id, "created_by_id": creator.id,
            "created_by_username": creator.name,
        }
        self._records[record["token_id"]] = record
        return record, value

    def forget(self, owner: Principal) -> None:
        for key in [key for key, record in self._records.items() if record["owner_id"] == owner.id]:
            del self._records[key]

    def _lifetime(self, body: Record) -> float | None:
        lifetime = body.get("lifetime_seconds")
        if lifetime is None or lifetime == -1:
            return None
        if not isinstance(lifetime, int | float) or lifetime <= 0:
            raise invalid("lifetime_seconds must be a positive number.")
        days = self.conf.get("maxTokenLifetimeDays", {}).get("value") or ""
        longest = int(days) * 86400 if days.isdecimal() and int(days) else LONGEST_SECONDS
        if lifetime > longest:
            raise invalid(f"The token lifetime must be at most {longest} seconds.")
        return lifetime

    def _check(self, owner: Principal) -> None:
        if self.conf.get("enableTokensConfig", {}).get("value", "true") == "false":
            raise ApiError(404, "FEATURE_DISABLED", DISABLED)
        if not self._acl.may(owner, "authorization", "tokens", "CAN_USE"):
            raise denied(f"{owner.name} does not have permission to use tokens.")
        if sum(record["owner_id"] == owner.id for record in self._records.values()) >= self._settings["token_quota"]:
            raise ApiError(400, "QUOTA_EXCEEDED", f"The quota for the number of tokens has been reached: {self._settings['token_quota']}")

    async def create(self, call: Call) -> Record:
        body = call.json()
        lifetime = self._lifetime(body)
        self._check(call.principal)
        record, value = self.make(call.principal, call.principal, body.get("comment", ""), lifetime, token("dapi"))
        return {"token_value": value, "token_info": _own(record)}

    async def list(self, call: Call) -> Record:
        return {"token_infos": [_own(record) for record in self._records.values() if record["owner_id"] == call.principal.id]}

    async def delete(self, call: Call) -> Record:
        record = self._records.get(call.json().get("token_id", ""))
        if record is None or record["owner_id"] != call.principal.id:
            raise missing(f"Token with ID {call.json().get('token_id')} not found.")
        del self._records[record["token_id"]]
        return {}

    @staticmethod
    def _admin(call: Call) -> None:
        if not call.principal.is_admin:
            raise denied("Only workspace administrators may manage the tokens of others.")

    async def create_for(self, call: Call) -> Record:
        self._admin(call)
        body = call.json()
        if not body.get("application_id"):
            raise bad_request("Could not parse request object: Missing required field: application_id")
        owner = self._principals.by_name(body["application_id"])
        if owner is None or not owner.is_service_principal or not owner.record["assigned"]:
            raise missing(f"Service principal with application ID {body['application_id']} does not exist.")
        lifetime = self._lifetime(body)
        self._check(owner)
        record, value = self.make(owner, call.principal, body.get("comment", ""), lifetime, token("dapi"))
        return {"token_value": value, "token_info": _any(record)}

    async def list_all(self, call: Call) -> Record:
        self._admin(call)
        query = call.query
        found = [
            record for record in self._records.values()
            if query.get("created_by_id", record["created_by_id"]) == record["created_by_id"]
            and query.get("created_by_username", record["created_by_username"]) == record["created_by_username"]
        ]
        return {"token_infos": [_any(record) for record in found]}

    def _find(self, call: Call) -> Record:
        self._admin(call)
        record = self._records.get(call.at["id"])
        if record is None:
            raise missing(f"Token with ID {call.at['id']} not found.")
        return record

    async def get(self, call: Call) -> Record:
        return {"token_info": _any(self._find(call))}

    async def delete_any(self, call: Call) -> Record:
        del self._records[self._find(call)["token_id"]]
        return {}


def _own(record: Record) -> Record:
    return {name: record[name] for name in ("token_id", "comment", "creation_time", "expiry_time")}


def _any(record: Record) -> Record:
    shown = {**_own(record), "owner_id": int(record["owner_id"]), "created_by_id": int(record["created_by_id"]), "created_by_username": record["created_by_username"]}
    return shown | ({"last_used_day": record["last_used_day"]} if "last_used_day" in record else {})
