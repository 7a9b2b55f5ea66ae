"""Catalogs and schemas. A new catalog has the schemas `default` and `information_schema`."""

from collections.abc import Iterator
from typing import Any

from ..errors import ApiError, invalid
from ..pages import page
from ..principals import Principal
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .rights import Rights
from .securables import SYSTEM, Securables, check_name, new_id

BASE = "/api/2.1/unity-catalog"
CHANGEABLE = ("comment", "owner", "properties", "isolation_mode")


class Catalogs:
    def __init__(self, securables: Securables, rights: Rights, settings: Settings):
        self._securables, self._rights, self._settings = securables, rights, settings

    def routes(self) -> Iterator[Route]:
        for type, name in (("catalog", "name"), ("schema", "full_name")):
            plural = f"{BASE}/{type}s"
            yield Route("POST", plural, self.create_catalog if type == "catalog" else self.create_schema)
            yield Route("GET", plural, self.list_catalogs if type == "catalog" else self.list_schemas)
            yield Route("GET", f"{plural}/{{{name}}}", self.get)
            yield Route("PATCH", f"{plural}/{{{name}}}", self.patch)
            yield Route("DELETE", f"{plural}/{{{name}}}", self.delete)

    # Also what SQL does.

    def make_catalog(self, principal: Principal, name: Any, **fields: Any) -> Record:
        name = check_name(name, "CreateCatalog")
        self._rights.need(principal, ("CREATE_CATALOG", "metastore", "metastore"))
        if name == "hive_metastore":
            raise invalid("Catalog name hive_metastore is reserved.")
        if root := fields.get("storage_root"):
            self._managed_storage(principal, root)
            fields["storage_location"] = f"{root.rstrip('/')}/__unitystorage/catalogs/{new_id()}"
        record = self._securables.add("catalog", name, principal.name, catalog_type="MANAGED_CATALOG", isolation_mode="OPEN", **fields)
        for schema, owner in (("default", principal.name), ("information_schema", SYSTEM)):
            self._securables.add("schema", f"{name}.{schema}", owner, catalog_name=name, schema_id=new_id(), catalog_type="MANAGED_CATALOG")
        return record

    def make_schema(self, principal: Principal, catalog: str, name: Any, **fields: Any) -> Record:
        name = check_name(name, "CreateSchema")
        catalog = self._securables.find("catalog", catalog)["full_name"]
        self._rights.need(principal, *self._rights.into(catalog), ("CREATE_SCHEMA", "catalog", catalog))
        if root := fields.get("storage_root"):
            self._managed_storage(principal, root)
        return self._securables.add(
            "schema", f"{catalog}.{name}", principal.name, catalog_name=catalog, schema_id=new_id(), catalog_type="MANAGED_CATALOG", **fields)

    def _managed_storage(self, principal: Principal, root: str) -> None:
        location = self._securables.location_of(root)
        if location is None:
            raise invalid(f"No parent external location was found for path '{root}'. Please create an external location on one of the parent paths and then retry.")
        self._rights.need(principal, ("CREATE_MANAGED_STORAGE", "external_location", location["full_name"]))

    def drop(self, principal: Principal, type: str, name: str, force: bool) -> None:
        record = self._securables.find(type, name)
        full = record["full_name"]
        self._rights.need_manage(principal, type, full)
        below = self._securables.below(type, full)
        own = {f"{full}.default", f"{full}.information_schema"} if type == "catalog" else set()
        if set(below) - own and not force:
            kind = "schemas" if type == "catalog" else "tables"
            raise ApiError(400, "INVALID_STATE", f"Cannot delete {type} '{full}' because it is not empty. Delete its {kind} first, or use force.")
        child = "schema" if type == "catalog" else "table"
        for each in below:
            if child == "schema":
                for table in self._securables.below("schema", each):
                    self._remove("table", table)
            self._remove(child, each)
        self._remove(type, full)

    def _remove(self, type: str, name: str) -> None:
        self._securables.remove(type, name)
        self._rights.forget(type, name)

    # The API.

    async def create_catalog(self, call: Call) -> Record:
        body = call.json()
        fields = {key: body[key] for key in ("comment", "properties", "storage_root") if body.get(key)}
        return self.make_catalog(call.principal, body.get("name"), **fields)

    async def create_schema(self, call: Call) -> Record:
        body = call.json()
        fields = {key: body[key] for key in ("comment", "properties", "storage_root") if body.get(key)}
        return self.make_schema(call.principal, str(body.get("catalog_name", "")), body.get("name"), **fields)

    async def list_catalogs(self, call: Call) -> Record:
        found = [each for name, each in self._securables.catalogs.items() if self._rights.visible(call.principal, "catalog", name)]
        return self._page(call, "catalogs", found)

    async def list_schemas(self, call: Call) -> Record:
        catalog = self._securables.find("catalog", call.query.get("catalog_name", ""))["full_name"]
        self._need_use(call.principal, catalog)
        names = self._securables.below("catalog", catalog)
        return self._page(call, "schemas", [self._securables.schemas[name] for name in names if self._rights.visible(call.principal, "schema", name)])

    def _page(self, call: Call, field: str, found: list[Record]) -> Record:
        items, token = page(found, call.query, self._settings["page_size_max"], "max_results")
        answer: Record = {field: items} if items else {}
        return answer | ({"next_page_token": token} if token else {})

    def _need_use(self, principal: Principal, catalog: str) -> None:
        if not (self._rights.manages(principal, "catalog", catalog) or self._rights.has(principal, "BROWSE", "catalog", catalog)):
            self._rights.need(principal, *self._rights.into(catalog))

    def _find(self, call: Call) -> tuple[str, Record]:
        type = "catalog" if "name" in call.at else "schema"
        name = call.at.get("name") or call.at["full_name"]
        if type == "schema":
            self._securables.find("catalog", name.partition(".")[0])
        return type, self._securables.find(type, name)

    async def get(self, call: Call) -> Record:
        type, record = self._find(call)
        name = record["full_name"]
        self._need_use(call.principal, name.partition(".")[0])
        if type == "schema" and not self._rights.visible(call.principal, "schema", name):
            self._rights.need(call.principal, ("USE_SCHEMA", "schema", name))
        return record

    async def patch(self, call: Call) -> Record:
        type, record = self._find(call)
        self._rights.need_manage(call.principal, type, record["full_name"])
        record.update({key: value for key, value in call.json().items() if key in CHANGEABLE})
        self._securables.touch(type, record, call.principal.name)
        return record

    async def delete(self, call: Call) -> Record:
        type, record = self._find(call)
        self.drop(call.principal, type, record["full_name"], call.query.get("force", "").lower() == "true")
        return {}
