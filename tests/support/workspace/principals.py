"""Who there is: users and service principals of the account, and which of them the workspace knows."""

import random
import secrets
import uuid
from collections.abc import Iterator
from typing import Any

from . import secrets as hidden
from .errors import ApiError
from .store import Record, Store

ADMINS = "admins"


class Principal:
    """A record of the collection `principals`, read only."""

    def __init__(self, record: Record):
        self.record = record

    @property
    def id(self) -> str:
        """The numeric SCIM id."""
        return self.record.get("id", "")

    @property
    def name(self) -> str:
        """By which grants name it: the e-mail address of a user, the applicationId of a service principal."""
        return self.record.get("application_id") or self.record.get("user_name", "anonymous")

    @property
    def display_name(self) -> str:
        return self.record.get("display_name", self.name)

    @property
    def groups(self) -> list[str]:
        return self.record.get("groups", [])

    @property
    def is_service_principal(self) -> bool:
        return "application_id" in self.record

    @property
    def is_admin(self) -> bool:
        return ADMINS in self.groups

    @property
    def is_account_admin(self) -> bool:
        return bool(self.record.get("account_admin"))

    @property
    def entitlements(self) -> list[str]:
        return self.record.get("entitlements", [])

    def may(self, entitlement: str) -> bool:
        return self.is_admin or entitlement in self.entitlements

    def names(self) -> set[str]:
        """All the names under which it may have been granted something."""
        return {self.name, *self.groups, "account users"}


class Principals:
    def __init__(self, store: Store):
        self.records = store.collection("principals")
        self.secrets = store.collection("oauth_secrets")
        self.groups = store.collection("groups")
        for name in (ADMINS, "users"):
            if name not in self.groups:
                self.groups[name] = {"id": _number(), "display_name": name}

    def __iter__(self) -> Iterator[Principal]:
        return (Principal(record) for record in self.records.values())

    def by_id(self, id: str) -> Principal | None:
        return Principal(self.records[id]) if id in self.records else None

    def by_name(self, name: str) -> Principal | None:
        """By applicationId or e-mail address."""
        return next((each for each in self if each.name.lower() == name.lower()), None)

    def find(self, reference: str) -> Principal:
        """By any of its names; a test's short cut."""
        for each in self:
            if reference in (each.id, each.name, each.display_name):
                return each
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"no principal {reference}")

    def known(self, name: str) -> bool:
        """Whether grants may name it."""
        return name in self.groups or name == "account users" or self.by_name(name) is not None

    def add_user(self, email: str, **fields: Any) -> Principal:
        return self._add({"user_name": email, "display_name": email, **fields})

    def add_service_principal(self, display_name: str, application_id: str | None = None, **fields: Any) -> Principal:
        application_id = application_id or str(uuid.uuid4())
        return self._add({"application_id": application_id, "display_name": display_name, **fields})

    def _add(self, fields: Record) -> Principal:
        id = str(fields.pop("id", None) or _number())
        defaults: Record = {"id": id, "active": True, "entitlements": [], "groups": ["users"], "roles": [], "assigned": True, "account_admin": False}
        self.records[id] = {**defaults, **fields}
        return Principal(self.records[id])

    def change(self, principal: Principal, **fields: Any) -> None:
        self.records[principal.id].update(fields)
        self.records.save(principal.id)

    def remove(self, principal: Principal) -> None:
        """Takes its OAuth secrets with it."""
        for key in [key for key, secret in self.secrets.items() if secret["principal"] == principal.id]:
            del self.secrets[key]
        del self.records[principal.id]

    def add_secret(self, principal: Principal, now: float, lifetime_seconds: float, value: str | None = None) -> tuple[Record, str]:
        """An OAuth secret: (its record, its value, which is kept only as a digest)."""
        value = value or hidden.token("dose", 32)
        record: Record = {
            "id": secrets.token_hex(16), "principal": principal.id, "digest": hidden.digest(value), "create_time": now,
            "expire_time": now + lifetime_seconds, "status": "ACTIVE",
        }
        self.secrets[record["id"]] = record
        return record, value

    def by_secret(self, client_id: str, secret: str, now: float) -> Principal | None:
        principal = self.by_name(client_id)
        if principal is None:
            return None
        digest = hidden.digest(secret)
        good = any(each["principal"] == principal.id and each["digest"] == digest and each["expire_time"] > now for each in self.secrets.values())
        return principal if good else None


def _number() -> str:
    return str(random.SystemRandom().randrange(10**14, 10**16))
