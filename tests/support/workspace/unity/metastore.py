"""The metastore that the workspace is assigned to, or its absence."""

from collections.abc import Iterator
from typing import Any

from ..errors import ApiError
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .securables import Securables

BASE = "/api/2.1/unity-catalog"


class Metastore:
    def __init__(self, securables: Securables, settings: Settings, admin: str):
        self._securables, self._settings = securables, settings
        if "metastore" not in securables.metastores:
            now = securables.clock.now_ms()
            securables.metastores["metastore"] = {
                "metastore_id": securables.ids["metastore_id"], "name": "metastore", "full_name": "metastore", "owner": admin, "region": "us-east-1",
                "external_access_enabled": False, "delta_sharing_scope": "INTERNAL", "privilege_model_version": "1.0", "created_at": now,
                "created_by": admin, "updated_at": now, "updated_by": admin, "assigned": True, "default_catalog_name": "main",
            }

    def routes(self) -> Iterator[Route]:
        yield Route("GET", f"{BASE}/metastore_summary", self.summary)
        yield Route("GET", f"{BASE}/current-metastore-assignment", self.assignment)
        yield Route("GET", f"{BASE}/metastores/{{id}}", self.get)

    def change(self, fields: dict[str, Any]) -> Record:
        self._securables.metastore.update(fields)
        self._securables.metastores.save("metastore")
        return self._securables.metastore

    def assigned(self) -> Record:
        record = self._securables.metastore
        if not record["assigned"]:
            raise ApiError(404, "METASTORE_DOES_NOT_EXIST", "No metastore assigned for the current workspace.")
        return record

    def _shown(self) -> Record:
        record, cloud = self.assigned(), self._settings["cloud"].lower()
        hidden = ("assigned", "default_catalog_name", "full_name")
        return {
            **{key: value for key, value in record.items() if key not in hidden}, "cloud": cloud,
            "global_metastore_id": f"{cloud}:{record['region']}:{record['metastore_id']}",
        }

    async def summary(self, call: Call) -> Record:
        return self._shown()

    async def get(self, call: Call) -> Record:
        if call.at["id"] != self.assigned()["metastore_id"]:
            raise ApiError(404, "METASTORE_DOES_NOT_EXIST", f"Metastore '{call.at['id']}' does not exist.")
        return self._shown()

    async def assignment(self, call: Call) -> Record:
        record = self.assigned()
        return {
            "metastore_id": record["metastore_id"], "workspace_id": int(self._securables.ids["workspace_id"]), "default_catalog_name": record["default_catalog_name"],
        }
