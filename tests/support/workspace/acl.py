"""Object permissions, `/api/2.0/permissions/{type}/{id}`: who may use, restart or manage a warehouse, a cluster, tokens."""

from collections.abc import Iterator
from typing import Any

from .errors import denied, invalid, missing
from .principals import Principal, Principals
from .routes import Call, Route
from .store import Record, Store

# From the least to the most; each holds those before it.
LEVELS = {
    "warehouses": ["CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER"],
    "clusters": ["CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"],
    "authorization": ["CAN_USE"],
}
# What the object is called in answers.
OBJECT_TYPES = {"warehouses": "warehouses", "clusters": "cluster", "authorization": "tokens"}
NAMES = ("user_name", "group_name", "service_principal_name")


class Acl:
    def __init__(self, store: Store, principals: Principals):
        self._records, self._principals = store.collection("acl"), principals
        self._exists = {"authorization": lambda id: id == "tokens"}

    def exists_if(self, type: str, test: Any) -> None:
        """`test(id)`: whether there is such an object."""
        self._exists[type] = test

    def routes(self) -> Iterator[Route]:
        path = "/api/2.0/permissions/{type}/{id}"
        yield Route("GET", path, self.get)
        yield Route("PUT", path, self.put)
        yield Route("PATCH", path, self.patch)
        yield Route("GET", f"{path}/permissionLevels", self.levels)

    def may(self, principal: Principal, type: str, id: str, level: str) -> bool:
        if principal.is_admin:
            return True
        levels, granted = LEVELS[type], self._entries(type, id)
        return any(levels.index(granted[name]) >= levels.index(level) for name in principal.names() if name in granted)

    def own(self, type: str, id: str, principal: Principal) -> None:
        self.grant(type, id, principal.name, LEVELS[type][-1])

    def grant(self, type: str, id: str, name: str, level: str | None) -> None:
        """Sets a principal's level; None takes it away."""
        entries = dict(self._entries(type, id))
        if level is None:
            entries.pop(name, None)
        else:
            entries[name] = level
        self._records[f"{type}/{id}"] = {"entries": entries}

    def _entries(self, type: str, id: str) -> dict[str, str]:
        return self._records.get(f"{type}/{id}", {"entries": {}})["entries"]

    def _object(self, call: Call, manage: bool) -> tuple[str, str]:
        type, id = call.at["type"], call.at["id"]
        if type not in LEVELS or not self._exists[type](id):
            raise missing(f"{type} with ID {id} does not exist.")
        top = "CAN_MANAGE" if "CAN_MANAGE" in LEVELS[type] else None
        if manage and not (call.principal.is_admin or (top and self.may(call.principal, type, id, top))):
            raise denied(f"{call.principal.name} does not have Manage permissions on {type}/{id}. Please contact the owner or an administrator for access.")
        return type, id

    def _list(self, call: Call, type: str) -> list[tuple[str, str]]:
        """(name, level) of the body's access_control_list."""
        found = []
        for entry in call.json().get("access_control_list") or []:
            name = next((entry[field] for field in NAMES if entry.get(field)), None)
            level = entry.get("permission_level")
            if level not in LEVELS[type]:
                raise invalid(f"{level} is not a valid permission level. Valid permission levels for {type} are: {', '.join(LEVELS[type])}")
            if not name or not self._principals.known(name):
                raise missing(f"Principal: {name} does not exist")
            found.append((name, level))
        return found

    async def get(self, call: Call) -> Record:
        return self._shown(*self._object(call, manage=True))

    async def put(self, call: Call) -> Record:
        """Replaces all entries; an object without an owner keeps the one it has."""
        type, id = self._object(call, manage=True)
        entries = dict(self._list(call, type))
        owners = {name: level for name, level in self._entries(type, id).items() if level == "IS_OWNER"}
        if "IS_OWNER" not in entries.values():
            entries |= owners
        self._records[f"{type}/{id}"] = {"entries": entries}
        return self._shown(type, id)

    async def patch(self, call: Call) -> Record:
        type, id = self._object(call, manage=True)
        for name, level in self._list(call, type):
            self.grant(type, id, name, level)
        return self._shown(type, id)

    async def levels(self, call: Call) -> Record:
        type, _ = self._object(call, manage=False)
        return {"permission_levels": [{"permission_level": level, "description": level} for level in LEVELS[type]]}

    def _shown(self, type: str, id: str) -> Record:
        entries = []
        for name, level in self._entries(type, id).items():
            principal = self._principals.by_name(name)
            field = "group_name" if principal is None else "service_principal_name" if principal.is_service_principal else "user_name"
            entries.append({field: name, "all_permissions": [{"permission_level": level, "inherited": False}]})
        top = [{"permission_level": "CAN_MANAGE", "inherited": True, "inherited_from_object": [f"/{type}/"]}]
        if "CAN_MANAGE" in LEVELS[type]:
            entries.append({"group_name": "admins", "all_permissions": top})
        return {"object_id": f"/{type}/{id}" if type != "authorization" else "/authorization/tokens", "object_type": OBJECT_TYPES[type], "access_control_list": entries}
