"""Who may what in Unity Catalog: grants, inheritance, ownership, and the words with which a right is missed.

Rights are inherited from catalog to schema to table. Ownership gives all rights on the object itself, ALL_PRIVILEGES
all that the object has; neither gives MANAGE to others nor any EXTERNAL_USE right.
"""

from collections.abc import Iterable

from ..errors import ApiError, denied
from ..principals import Principal
from ..store import Record, Store
from .securables import SHOWN, Securables, error_details

DATA = ["SELECT", "MODIFY", "APPLY_TAG", "MANAGE", "ALL_PRIVILEGES"]
IN_SCHEMA = [
    *DATA, "USE_SCHEMA", "CREATE_TABLE", "CREATE_VIEW", "CREATE_MATERIALIZED_VIEW", "CREATE_FUNCTION", "CREATE_VOLUME", "CREATE_MODEL", "EXECUTE", "READ_VOLUME",
    "WRITE_VOLUME", "REFRESH", "EXTERNAL_USE_SCHEMA",
]
FILES = ["CREATE_EXTERNAL_TABLE", "READ_FILES", "WRITE_FILES", "MANAGE", "ALL_PRIVILEGES"]
APPLICABLE = {
    "metastore": ["CREATE_CATALOG", "CREATE_CONNECTION", "CREATE_EXTERNAL_LOCATION", "CREATE_STORAGE_CREDENTIAL", "CREATE_SHARE", "CREATE_RECIPIENT"],
    "catalog": [*IN_SCHEMA, "USE_CATALOG", "CREATE_SCHEMA", "BROWSE"],
    "schema": IN_SCHEMA,
    "table": DATA,
    "external_location": [*FILES, "CREATE_EXTERNAL_VOLUME", "CREATE_MANAGED_STORAGE", "CREATE_FOREIGN_CATALOG", "EXTERNAL_USE_LOCATION", "BROWSE"],
    "storage_credential": [*FILES, "CREATE_EXTERNAL_LOCATION"],
}
NEVER_IMPLIED = {"EXTERNAL_USE_SCHEMA", "EXTERNAL_USE_LOCATION"}
NOT_IN_ALL = {*NEVER_IMPLIED, "MANAGE"}
Need = tuple[str, str, str]  # privilege, type, name


class Denied(ApiError):
    """The right that is missing; `words` is the plain sentence, which SQL dresses otherwise than REST."""

    def __init__(self, privileges: list[str], type: str, name: str):
        spoken = " and ".join(privilege.replace("_", " ") for privilege in sorted(privileges))
        self.words = f"User does not have {spoken} on {SHOWN[type]} '{name}'."
        details = error_details("PERMISSION_DENIED", principalName="User", msg=spoken, resourceType=SHOWN[type], resourceName=name)
        refusal = denied(self.words, details)
        super().__init__(refusal.status, refusal.code, refusal.message, refusal.details)


class Rights:
    def __init__(self, store: Store, securables: Securables):
        self._grants, self._securables = store.collection("grants"), securables

    def granted(self, type: str, name: str) -> dict[str, list[str]]:
        """Principal → privileges, as granted on the securable itself."""
        return self._grants.get(f"{type}/{name.lower()}", {"on": {}})["on"]

    def change(self, type: str, name: str, principal: str, add: Iterable[str], remove: Iterable[str]) -> None:
        key = f"{type}/{name.lower()}"
        held = {principal: list(privileges) for principal, privileges in self.granted(type, name).items()}
        mine = [each for each in held.get(principal, []) if each not in remove]
        held[principal] = mine + [each for each in add if each not in mine]
        self._grants[key] = {"on": {name: privileges for name, privileges in held.items() if privileges}}

    def forget(self, type: str, name: str) -> None:
        self._grants.pop(f"{type}/{name.lower()}", None)

    def owns(self, principal: Principal, type: str, name: str) -> bool:
        record = self._securables.get(type, name)
        return record is not None and record["owner"] in principal.names()

    def metastore_admin(self, principal: Principal) -> bool:
        return self._securables.metastore["owner"] in principal.names()

    def manages(self, principal: Principal, type: str, name: str) -> bool:
        """May grant on it, change and drop it: its owner, an owner above it, who has MANAGE, the metastore's administrator."""
        if self.metastore_admin(principal) or self.has(principal, "MANAGE", type, name):
            return True
        parent = self._securables.parent(type, name)
        return self.owns(principal, type, name) or (parent is not None and self.manages(principal, *parent))

    def has(self, principal: Principal, privilege: str, type: str, name: str) -> bool:
        if privilege not in NEVER_IMPLIED and self.owns(principal, type, name):
            return True
        place: tuple[str, str] | None = (type, name)
        while place is not None:
            granted = self.granted(*place)
            held = {each for who in principal.names() for each in granted.get(who, [])}
            if privilege in held or ("ALL_PRIVILEGES" in held and privilege not in NOT_IN_ALL):
                return True
            place = self._securables.parent(*place)
        return False

    def need(self, principal: Principal, *needs: Need) -> None:
        """Raises for the first securable on which something is missing, and names all that is missing there."""
        missing: dict[tuple[str, str], list[str]] = {}
        for privilege, type, name in needs:
            if not self.has(principal, privilege, type, name):
                missing.setdefault((type, name.lower()), []).append(privilege)
        for (type, name), privileges in missing.items():
            raise Denied(privileges, type, name)

    def need_manage(self, principal: Principal, type: str, name: str) -> None:
        if not self.manages(principal, type, name):
            raise Denied(["MANAGE"], type, name.lower())

    def into(self, catalog: str, schema: str | None = None) -> list[Need]:
        """What it takes to get at anything in a schema."""
        needs = [("USE_CATALOG", "catalog", catalog)]
        return needs if schema is None else [*needs, ("USE_SCHEMA", "schema", f"{catalog}.{schema}")]

    def visible(self, principal: Principal, type: str, name: str) -> bool:
        """Whether a list shows it: any right on it, or inherited, ownership, or BROWSE above."""
        if self.manages(principal, type, name) or self.has(principal, "BROWSE", type, name):
            return True
        return any(self.has(principal, privilege, type, name) for privilege in APPLICABLE[type])

    def effective(self, type: str, name: str) -> dict[str, list[Record]]:
        """Principal → privileges with where they come from."""
        found: dict[str, list[Record]] = {}
        place: tuple[str, str] | None = (type, name)
        while place is not None:
            for principal, privileges in self.granted(*place).items():
                for privilege in privileges:
                    entry: Record = {"privilege": privilege}
                    if place != (type, name):
                        entry |= {"inherited_from_type": place[0].upper(), "inherited_from_name": place[1]}
                    found.setdefault(principal, []).append(entry)
            place = self._securables.parent(*place)
        return found
