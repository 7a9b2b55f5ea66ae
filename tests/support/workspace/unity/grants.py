"""Privileges over REST: `permissions` and `effective-permissions`, in no order that could be relied on."""

import random
from collections.abc import Iterator
from typing import Any

from ..errors import ApiError, invalid
from ..pages import page
from ..principals import Principals
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .rights import APPLICABLE, Rights
from .securables import Securables

BASE = "/api/2.1/unity-catalog"
WITHOUT_OTHERS = 150  # a page without max_results holds this many at most


class Grants:
    def __init__(self, securables: Securables, rights: Rights, principals: Principals, settings: Settings):
        self._securables, self._rights, self._principals, self._settings = securables, rights, principals, settings
        self._random = random.Random(7)

    def routes(self) -> Iterator[Route]:
        yield Route("GET", f"{BASE}/permissions/{{type}}/{{name...}}", self.get)
        yield Route("PATCH", f"{BASE}/permissions/{{type}}/{{name...}}", self.patch)
        yield Route("GET", f"{BASE}/effective-permissions/{{type}}/{{name...}}", self.effective)

    def change(self, type: str, name: str, principal: str, add: list[str], remove: list[str]) -> None:
        """Past all rights, for tests; the securable must be there and the privileges fit it."""
        self._securables.find(type, name)
        for privilege in [*add, *remove]:
            self._applicable(type, privilege)
        self._rights.change(type, name, principal, add, remove)

    @staticmethod
    def _applicable(type: str, privilege: str) -> None:
        if privilege not in APPLICABLE[type]:
            raise invalid(f"Privilege {privilege} is not applicable to this entity [{type.upper()}]. If this seems unexpected, please check the "
                          "privilege version of the metastore in use [1.0].")

    def _find(self, call: Call) -> tuple[str, str]:
        type, name = call.at["type"].lower(), call.at["name"].lower()
        if type != call.at["type"] or type not in APPLICABLE:
            raise invalid(f"Invalid securable type: {call.at['type']}")
        self._securables.find(type, name)
        return type, name

    async def get(self, call: Call) -> Record:
        type, name = self._find(call)
        seen_all = self._rights.manages(call.principal, type, name)
        assignments = [
            {"principal": principal, "privileges": self._shuffled(privileges)}
            for principal, privileges in self._rights.granted(type, name).items() if seen_all or principal in call.principal.names()
        ]
        return self._answer(call, assignments)

    async def effective(self, call: Call) -> Record:
        type, name = self._find(call)
        seen_all = self._rights.manages(call.principal, type, name)
        assignments = [
            {"principal": principal, "privileges": self._shuffled(entries)}
            for principal, entries in self._rights.effective(type, name).items() if seen_all or principal in call.principal.names()
        ]
        return self._answer(call, assignments)

    async def patch(self, call: Call) -> Record:
        type, name = self._find(call)
        changes = call.json().get("changes") or []
        for change in changes:
            principal, add, remove = change.get("principal", ""), change.get("add") or [], change.get("remove") or []
            if not self._principals.known(principal):
                raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {principal}.")
            if set(add) & set(remove):
                raise invalid(f"Duplicate privileges to add and delete for principal {principal}.")
            for privilege in [*add, *remove]:
                self._applicable(type, privilege)
        self._rights.need_manage(call.principal, type, name)
        for change in changes:
            self._rights.change(type, name, change["principal"], change.get("add") or [], change.get("remove") or [])
        return await self.get(call)

    def _answer(self, call: Call, assignments: list[Record]) -> Record:
        only = call.query.get("principal")
        found = [each for each in assignments if only in (None, each["principal"])]
        if "max_results" not in call.query:
            self._random.shuffle(found)
            return {"privilege_assignments": found} if found else {}
        items, token = page(found, call.query, min(self._settings["page_size_max"], WITHOUT_OTHERS), "max_results")
        return {"privilege_assignments": items} | ({"next_page_token": token} if token else {})

    def _shuffled(self, items: list[Any]) -> list[Any]:
        return self._random.sample(items, len(items))
