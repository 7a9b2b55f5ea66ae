"""Tables: what the catalog knows of them. Their columns are the catalog's copy, which an outside writer's commits do not change."""

from collections.abc import Iterator
from typing import Any

from ..errors import ApiError, invalid
from ..pages import page
from ..principals import Principal
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .columns import BadType, column
from .rights import Rights
from .securables import Securables, check_name, clean, new_id

BASE = "/api/2.1/unity-catalog"
MANAGED_ROOT = "__unitystorage"


class Tables:
    def __init__(self, securables: Securables, rights: Rights, settings: Settings):
        self._securables, self._rights, self._settings = securables, rights, settings

    def routes(self) -> Iterator[Route]:
        yield Route("POST", f"{BASE}/tables", self.create)
        yield Route("GET", f"{BASE}/tables", self.list)
        yield Route("GET", f"{BASE}/tables/{{name}}/exists", self.exists)
        yield Route("GET", f"{BASE}/tables/{{name}}", self.get)
        yield Route("PATCH", f"{BASE}/tables/{{name}}", self.patch)
        yield Route("DELETE", f"{BASE}/tables/{{name}}", self.delete)

    # Also what SQL does.

    def check_place(self, principal: Principal, full_name: str, url: str, external_use: bool = False) -> str:
        """The location of a new external table: covered by a location one may use, and no other table's. Its spelling in the catalog."""
        url = clean(url)
        location = self._securables.location_of(url)
        if location is None:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"No parent external location was found for path '{url}'. Please create an external location "
                           "on one of the parent paths and then retry the query or command again.")
        needs = [("CREATE_EXTERNAL_TABLE", "external_location", location["full_name"])]
        if external_use:
            needs.append(("EXTERNAL_USE_LOCATION", "external_location", location["full_name"]))
        self._rights.need(principal, *needs)
        if location["read_only"]:
            raise ApiError(403, "PERMISSION_DENIED", f"User cannot write to a read-only external location {location['full_name']}")
        if f"/{MANAGED_ROOT}/" in f"{url}/":
            raise invalid(f"Input path url '{url}' overlaps with managed storage within 'CreateTable' call")
        if others := self._securables.overlapping(url, full_name):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Input path url '{url}' overlaps with other external tables or volumes within 'CreateTable' call. "
                           f"Conflicting tables/volumes: {', '.join(others)}.")
        return url

    def register(self, principal: Principal, full_name: str, location: str, columns: list[Record], managed: bool = False, **fields: Any) -> Record:
        catalog, schema, _ = full_name.split(".")
        return self._securables.add(
            "table", full_name, principal.name, catalog_name=catalog, schema_name=schema, table_id=new_id(), table_type="MANAGED" if managed else "EXTERNAL",
            data_source_format="DELTA", storage_location=location, columns=columns, properties=fields.pop("properties", {}), **fields)

    def managed_location(self, full_name: str) -> str:
        """Where a managed table lies: below the storage root of its schema, catalog or metastore."""
        catalog, schema, _ = full_name.split(".")
        owners = (self._securables.find("schema", f"{catalog}.{schema}"), self._securables.find("catalog", catalog), self._securables.metastore)
        root = next((each["storage_root"] for each in owners if each.get("storage_root")), None)
        if root is None:
            raise ApiError(400, "INVALID_STATE", "Metastore storage root URL does not exist. Please provide a storage location for the catalog.")
        return f"{root.rstrip('/')}/{MANAGED_ROOT}/catalogs/{catalog}/tables/{new_id()}"

    def forget(self, full_name: str) -> None:
        self._securables.remove("table", full_name)
        self._rights.forget("table", full_name)

    # The API.

    async def create(self, call: Call) -> Record:
        body = call.json()
        if body.get("table_type") != "EXTERNAL" or body.get("data_source_format") != "DELTA" or not body.get("storage_location"):
            raise invalid("Only external Delta tables with a storage_location can be created through this API.")
        catalog = self._securables.find("catalog", str(body.get("catalog_name", "")))["full_name"]
        schema = self._securables.find("schema", f"{catalog}.{body.get('schema_name', '')}")["full_name"]
        full_name = f"{schema}.{check_name(body.get('name'), 'CreateTable')}"
        self._rights.need(
            call.principal, *self._rights.into(catalog, schema.partition(".")[2]), ("CREATE_TABLE", "schema", schema), ("EXTERNAL_USE_SCHEMA", "schema", schema))
        if full_name in self._securables.tables:
            raise ApiError(400, "TABLE_ALREADY_EXISTS", f"Table '{full_name}' already exists")
        location = self.check_place(call.principal, full_name, body["storage_location"], external_use=True)
        try:
            columns = [
                column(str(each.get("name")), str(each.get("type_text")), position, each.get("nullable", True), each.get("comment"))
                for position, each in enumerate(body.get("columns") or [])
            ]
        except BadType as error:
            raise invalid(f"Invalid type_text of a column: {error}.") from None
        return self.register(call.principal, full_name, location, columns, properties=body.get("properties") or {})

    def _find(self, call: Call) -> Record:
        parts = call.at["name"].split(".")
        if len(parts) != 3:
            raise invalid(f"'{call.at['name']}' is not a valid name for a table: it has three parts.")
        self._securables.find("catalog", parts[0])
        self._securables.find("schema", f"{parts[0]}.{parts[1]}")
        self._need_use(call.principal, parts[0].lower(), parts[1].lower())
        return self._securables.find("table", call.at["name"])

    def _need_use(self, principal: Principal, catalog: str, schema: str) -> None:
        if not (self._rights.manages(principal, "schema", f"{catalog}.{schema}") or self._rights.has(principal, "BROWSE", "catalog", catalog)):
            self._rights.need(principal, *self._rights.into(catalog, schema))

    async def get(self, call: Call) -> Record:
        record = self._find(call)
        if not self._rights.visible(call.principal, "table", record["full_name"]):
            self._rights.need(call.principal, ("SELECT", "table", record["full_name"]))
        return record

    async def exists(self, call: Call) -> Record:
        try:
            self._find(call)
        except ApiError as error:
            if error.code == "TABLE_DOES_NOT_EXIST":
                return {"table_exists": False}
            raise
        return {"table_exists": True}

    async def list(self, call: Call) -> Record:
        catalog = self._securables.find("catalog", call.query.get("catalog_name", ""))["full_name"]
        schema = self._securables.find("schema", f"{catalog}.{call.query.get('schema_name', '')}")["full_name"]
        self._need_use(call.principal, catalog, schema.partition(".")[2])
        found = [self._securables.tables[name] for name in self._securables.below("schema", schema) if self._rights.visible(call.principal, "table", name)]
        items, token = page(found, call.query, min(self._settings["page_size_max"], 50), "max_results")
        hidden = {name for name, option in (("columns", "omit_columns"), ("properties", "omit_properties")) if call.query.get(option, "").lower() == "true"}
        shown: Record = {"tables": [{key: value for key, value in each.items() if key not in hidden} for each in items]} if items else {}
        return shown | ({"next_page_token": token} if token else {})

    async def patch(self, call: Call) -> Record:
        """The owner alone."""
        record = self._find(call)
        self._rights.need_manage(call.principal, "table", record["full_name"])
        record["owner"] = call.json().get("owner", record["owner"])
        self._securables.touch("table", record, call.principal.name)
        return {}

    async def delete(self, call: Call) -> Record:
        """The files of an external table stay."""
        record = self._find(call)
        self._rights.need_manage(call.principal, "table", record["full_name"])
        self.forget(record["full_name"])
        return {}
