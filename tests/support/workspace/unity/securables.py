"""The things that can be granted on, kept by lower-case full name, and how their names and paths are judged."""

import re
import uuid
from typing import Any

from ..clock import Clock
from ..errors import ApiError, invalid
from ..store import Collection, Record, Store

SHOWN = {
    "metastore": "Metastore", "catalog": "Catalog", "schema": "Schema", "table": "Table", "external_location": "External Location",
    "storage_credential": "Storage Credential",
}
SYSTEM = "System user"
NAME_LIMIT = 255
BAD_NAME = re.compile(r"[. /\x00-\x1f\x7f]")


def error_details(reason: str, **metadata: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "unity-catalog.databricks.com", "metadata": metadata}]


class Securables:
    """`find` raises what the API answers where there is none."""

    def __init__(self, store: Store, clock: Clock, ids: dict[str, str]):
        self.clock, self.ids = clock, ids
        self._of: dict[str, Collection] = {type: store.collection(f"uc_{type}") for type in SHOWN}
        self.metastores, self.catalogs, self.schemas, self.tables = (self._of[type] for type in ("metastore", "catalog", "schema", "table"))
        self.locations, self.credentials = self._of["external_location"], self._of["storage_credential"]

    @property
    def metastore(self) -> Record:
        return self.metastores["metastore"]

    def collection(self, type: str) -> Collection:
        if type not in self._of:
            raise invalid(f"SECURABLETYPE.{type.upper()} is not a valid securable type")
        return self._of[type]

    def get(self, type: str, name: str) -> Record | None:
        return self.metastore if type == "metastore" else self.collection(type).get(name.lower())

    def find(self, type: str, name: str) -> Record:
        record = self.get(type, name)
        if record is None:
            code = f"{type.upper()}_DOES_NOT_EXIST"
            raise ApiError(404, code, f"{SHOWN[type]} '{name.lower()}' does not exist.", error_details(code, resourceName=name.lower()))
        return record

    def add(self, type: str, name: str, owner: str, **fields: Any) -> Record:
        name = name.lower()
        if name in self.collection(type):
            code = f"{type.upper()}_ALREADY_EXISTS"
            raise ApiError(400, code, f"{SHOWN[type]} '{name}' already exists", error_details(code, resourceName=name))
        now = self.clock.now_ms()
        record = {
            "name": name.rpartition(".")[2], "full_name": name, "owner": owner, "metastore_id": self.ids["metastore_id"], "created_at": now,
            "created_by": owner, "updated_at": now, "updated_by": owner, "securable_type": type.upper(), **fields,
        }
        self.collection(type)[name] = record
        return record

    def touch(self, type: str, record: Record, by: str) -> None:
        record.update(updated_at=self.clock.now_ms(), updated_by=by)
        self.collection(type).save(record["full_name"])

    def remove(self, type: str, name: str) -> None:
        del self.collection(type)[name.lower()]

    def parent(self, type: str, name: str) -> tuple[str, str] | None:
        """From which securable rights are inherited. The metastore's rights are its own."""
        if type == "table":
            return "schema", name.rpartition(".")[0]
        return ("catalog", name.partition(".")[0]) if type == "schema" else None

    def below(self, type: str, name: str) -> list[str]:
        """Full names of the schemas of a catalog, or the tables of a schema."""
        children = self.schemas if type == "catalog" else self.tables
        return [full for full in children if full.rpartition(".")[0] == name.lower()]

    def location_of(self, url: str) -> Record | None:
        """The external location that covers a path."""
        return next((record for record in self.locations.values() if covers(record["url"], url)), None)

    def overlapping(self, url: str, but: str | None = None) -> list[str]:
        """The tables that lie at, above or below a path."""
        return [full for full, table in self.tables.items() if full != but and (covers(table["storage_location"], url) or covers(url, table["storage_location"]))]


def new_id() -> str:
    return str(uuid.uuid4())


def check_name(name: Any, what: str) -> str:
    """A name that a catalog, schema or table may have, in lower case."""
    if not isinstance(name, str) or not name:
        raise invalid(f"{what} name is required.")
    if len(name) > NAME_LIMIT or BAD_NAME.search(name):
        raise invalid(f"Invalid input: RPC {what} field name: name \"{name}\" is not a valid name. Valid names have at most 255 characters, none of them "
                      "a period, space, forward slash, control character or DEL.")
    return name.lower()


def clean(url: str) -> str:
    """A URL in one spelling: no slash at its end, s3a as s3, a bare path as file."""
    url = f"file://{url}" if url.startswith("/") else re.sub(r"^s3a://", "s3://", url)
    return re.sub(r"^file:/+", "file:///", url).rstrip("/")


def covers(outer: str, inner: str) -> bool:
    outer, inner = clean(outer), clean(inner)
    return inner == outer or inner.startswith(f"{outer}/")
