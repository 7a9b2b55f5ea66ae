"""Temporary credentials for a table's storage or a path, handed to engines outside.

The metastore must allow external access (it does not by default; the refusal is then a 401 that no new token mends),
and one needs EXTERNAL_USE_SCHEMA or EXTERNAL_USE_LOCATION, which nothing implies.
"""

import secrets
from collections.abc import Iterator

from ..clock import Clock
from ..errors import ApiError, invalid, no_such_api
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .rights import Need, Rights
from .securables import Securables, clean, covers, error_details

TABLE_OPERATIONS = {"READ": ["SELECT"], "READ_WRITE": ["SELECT", "MODIFY"]}
PATH_OPERATIONS = {"PATH_READ": ["READ_FILES"], "PATH_READ_WRITE": ["READ_FILES", "WRITE_FILES"], "PATH_CREATE_TABLE": ["CREATE_EXTERNAL_TABLE"]}


class Vending:
    def __init__(self, securables: Securables, rights: Rights, settings: Settings, clock: Clock):
        self._securables, self._rights, self._settings, self._clock = securables, rights, settings, clock

    def routes(self) -> Iterator[Route]:
        for version in ("2.0", "2.1"):
            base = f"/api/{version}/unity-catalog"
            yield Route("POST", f"{base}/temporary-table-credentials", self.table)
            yield Route("POST", f"{base}/temporary-path-credentials", self.path)

    def _served(self, call: Call) -> None:
        if call.request.path.split("/")[2] not in self._settings["vending_versions"]:
            raise no_such_api(call.request.method, call.request.path)

    def _allowed(self, kind: str, subject: str, **metadata: str) -> None:
        if not self._securables.metastore["external_access_enabled"]:
            text = (f"Request to generate access credential for {kind} '{subject}' from outside of Databricks Unity Catalog enabled compute environment is denied "
                    "for security. Please contact Databricks support for integrations with Unity Catalog.")
            raise ApiError(401, "UNAUTHENTICATED", text, error_details(f"UNITY_CATALOG_EXTERNAL_GENERATE_{kind.upper()}_CREDENTIALS_DENIED", **metadata))

    async def table(self, call: Call) -> Record:
        self._served(call)
        body = call.json()
        operation = body.get("operation")
        if operation not in TABLE_OPERATIONS:
            raise invalid(f"operation must be one of {', '.join(TABLE_OPERATIONS)}.")
        table = next((each for each in self._securables.tables.values() if each["table_id"] == body.get("table_id")), None)
        if table is None:
            raise ApiError(404, "TABLE_DOES_NOT_EXIST", f"Table '{body.get('table_id')}' does not exist.", error_details("TABLE_DOES_NOT_EXIST"))
        name, schema = table["full_name"], table["full_name"].rpartition(".")[0]
        self._allowed("table", name, tableId=table["table_id"])
        needs: list[Need] = [*self._rights.into(table["catalog_name"], table["schema_name"]), ("EXTERNAL_USE_SCHEMA", "schema", schema)]
        self._rights.need(call.principal, *needs, *((privilege, "table", name) for privilege in TABLE_OPERATIONS[operation]))
        if table["table_type"] == "MANAGED" and operation == "READ_WRITE":
            raise ApiError(400, "BAD_REQUEST", f"Managed table '{name}' cannot be written to from outside of Databricks.")
        return self._credentials(table["storage_location"])

    async def path(self, call: Call) -> Record:
        self._served(call)
        body = call.json()
        operation, url = body.get("operation"), clean(str(body.get("url", "")))
        if operation not in PATH_OPERATIONS:
            raise invalid(f"operation must be one of {', '.join(PATH_OPERATIONS)}.")
        self._allowed("path", url, path=url)
        location = self._securables.location_of(url)
        if location is None:
            raise invalid(f"No parent external location was found for path '{url}'.")
        name = location["full_name"]
        self._rights.need(call.principal, ("EXTERNAL_USE_LOCATION", "external_location", name), *((each, "external_location", name) for each in PATH_OPERATIONS[operation]))
        inside = [each for each in self._securables.tables.values() if covers(each["storage_location"], url) or covers(url, each["storage_location"])]
        if any(each["table_type"] == "MANAGED" for each in inside) or "/__unitystorage/" in f"{url}/":
            raise ApiError(403, "PERMISSION_DENIED", f"Path '{url}' overlaps with managed storage, for which path credentials are not given.")
        if operation == "PATH_CREATE_TABLE" and inside:
            raise invalid(f"Input path url '{url}' overlaps with other external tables or volumes. Conflicting tables/volumes: {inside[0]['full_name']}.")
        return {} if body.get("dry_run") else self._credentials(url)

    def _credentials(self, url: str) -> Record:
        answer: Record = {"expiration_time": self._clock.now_ms() + int(self._settings["vended_seconds"] * 1000), "url": url}
        if url.startswith("s3://"):
            made = {"access_key_id": f"ASIA{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_hex(20), "session_token": secrets.token_hex(64)}
            answer["aws_temp_credentials"] = self._settings["vended_aws"] or made
        elif url.startswith("abfss://"):
            answer["azure_user_delegation_sas"] = {"sas_token": self._settings["vended_azure_sas"] or f"sv=2023-01-03&sr=d&sp=racwdlm&sig={secrets.token_hex(16)}"}
        elif url.startswith("gs://"):
            answer["gcp_oauth_token"] = {"oauth_token": f"ya29.{secrets.token_hex(32)}"}
        elif url.startswith("r2://"):
            answer["r2_temp_credentials"] = {"access_key_id": secrets.token_hex(16), "secret_access_key": secrets.token_hex(32), "session_token": secrets.token_hex(32)}
        return answer
