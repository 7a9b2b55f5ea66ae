"""External locations and storage credentials, and the check whether a credential can do what a path asks."""

from collections.abc import Iterator

from ..errors import ApiError, invalid
from ..pages import page
from ..principals import Principal
from ..routes import Call, Route
from ..settings import Settings
from ..store import Record
from .rights import Rights
from .securables import Securables, clean, covers, new_id

BASE = "/api/2.1/unity-catalog"
UC_MASTER_ROLE = "arn:aws:iam::414351767826:role/unity-catalog-prod-UCMasterRole-14S5ZJVKOTYTL"
KINDS = ("aws_iam_role", "azure_managed_identity", "azure_service_principal", "databricks_gcp_service_account", "cloudflare_api_token")
SCHEMES = ("s3://", "abfss://", "gs://", "r2://", "file://")
OPERATIONS = ("PATH_EXISTS", "LIST", "READ", "WRITE", "DELETE")


class Locations:
    def __init__(self, securables: Securables, rights: Rights, settings: Settings):
        self._securables, self._rights, self._settings = securables, rights, settings

    def routes(self) -> Iterator[Route]:
        for path, create, type in (("storage-credentials", self.create_credential, "storage_credential"), ("external-locations", self.create_location, "external_location")):
            yield Route("POST", f"{BASE}/{path}", create)
            yield Route("GET", f"{BASE}/{path}", self._lister(type, path.replace("-", "_")))
            yield Route("GET", f"{BASE}/{path}/{{{type}}}", self.get)
            yield Route("PATCH", f"{BASE}/{path}/{{{type}}}", self.patch)
            yield Route("DELETE", f"{BASE}/{path}/{{{type}}}", self.delete)
        yield Route("POST", f"{BASE}/validate-storage-credentials", self.validate)

    async def create_credential(self, call: Call) -> Record:
        body = call.json()
        name = body.get("name") or ""
        self._rights.need(call.principal, ("CREATE_STORAGE_CREDENTIAL", "metastore", "metastore"))
        kinds = [kind for kind in KINDS if body.get(kind)]
        if not name or len(kinds) != 1:
            raise invalid("A storage credential needs a name and exactly one of its kinds.")
        identity = dict(body[kinds[0]])
        if kinds[0] == "aws_iam_role":
            if not str(identity.get("role_arn", "")).startswith("arn:aws"):
                raise invalid("role_arn is not a valid ARN of an IAM role.")
            identity |= {"external_id": self._securables.ids["account_id"], "unity_catalog_iam_arn": UC_MASTER_ROLE}
        else:
            identity.setdefault("credential_id", new_id())
        fields = {key: body[key] for key in ("comment", "read_only") if key in body}
        return self._securables.add(
            "storage_credential", name, call.principal.name, id=new_id(), **{kinds[0]: identity}, **{"read_only": False, **fields}, isolation_mode="ISOLATION_MODE_OPEN")

    async def create_location(self, call: Call) -> Record:
        body = call.json()
        name, url = body.get("name") or "", clean(str(body.get("url", "")))
        if not name or not url.startswith(SCHEMES):
            raise invalid(f"Missing or unsupported url: {body.get('url')}")
        credential = self._securables.find("storage_credential", str(body.get("credential_name", "")))
        self._rights.need(call.principal, ("CREATE_EXTERNAL_LOCATION", "metastore", "metastore"), ("CREATE_EXTERNAL_LOCATION", "storage_credential", credential["full_name"]))
        for other in self._securables.locations.values():
            if covers(other["url"], url) or covers(url, other["url"]):
                raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Input path url '{url}' overlaps with an existing external location '{other['full_name']}'.")
        failing = [each for each in self.results(credential, url) if each["result"] == "FAIL"]
        if failing and not body.get("skip_validation"):
            raise ApiError(403, "PERMISSION_DENIED", f"Failed to access cloud storage: {failing[0]['message']}")
        fields = {key: body[key] for key in ("comment", "fallback") if key in body}
        return self._securables.add(
            "external_location", name, call.principal.name, url=url, credential_name=credential["full_name"], credential_id=credential["id"],
            read_only=bool(body.get("read_only")), isolation_mode="ISOLATION_MODE_OPEN", **fields)

    def results(self, credential: Record, url: str, read_only: bool = False) -> list[Record]:
        """What a check of the credential on a path finds; the setting `storage_failures` says what fails: {credential: [operations]}."""
        failing = self._settings["storage_failures"].get(credential["full_name"], [])
        found = []
        for operation in OPERATIONS:
            if operation in ("WRITE", "DELETE") and (read_only or credential["read_only"]):
                found.append({"operation": operation, "result": "SKIP"})
            elif operation in failing:
                message = f"The credential {credential['full_name']} does not have permission to {operation} on {url}."
                found.append({"operation": operation, "result": "FAIL", "message": message})
            else:
                found.append({"operation": operation, "result": "PASS"})
        return found

    async def validate(self, call: Call) -> Record:
        body = call.json()
        location = None
        if body.get("external_location_name"):
            location = self._securables.find("external_location", body["external_location_name"])
        name = body.get("storage_credential_name") or (location or {}).get("credential_name")
        url = body.get("url") or (location or {}).get("url")
        if not name or not url:
            raise invalid("Either storage_credential_name and url, or external_location_name, must be given.")
        credential = self._securables.find("storage_credential", name)
        self._rights.need_manage(call.principal, "storage_credential", credential["full_name"])
        if location is not None and body.get("url") and not covers(location["url"], url):
            raise invalid(f"The url {url} is not below the external location {location['full_name']}.")
        return {"is_dir": True, "results": self.results(credential, clean(url), bool(body.get("read_only")))}

    def _lister(self, type: str, field: str):
        async def answer(call: Call) -> Record:
            found = [each for name, each in self._securables.collection(type).items() if self._rights.visible(call.principal, type, name)]
            items, token = page(found, call.query, self._settings["page_size_max"], "max_results")
            shown: Record = {field: items} if items else {}
            return shown | ({"next_page_token": token} if token else {})

        return answer

    def _find(self, call: Call) -> tuple[str, Record]:
        (type, name), = call.at.items()
        return type, self._securables.find(type, name)

    async def get(self, call: Call) -> Record:
        type, record = self._find(call)
        self._need_seen(call.principal, type, record["full_name"])
        return record

    def _need_seen(self, principal: Principal, type: str, name: str) -> None:
        if not self._rights.visible(principal, type, name):
            self._rights.need(principal, ("BROWSE" if type == "external_location" else "READ_FILES", type, name))

    async def patch(self, call: Call) -> Record:
        type, record = self._find(call)
        self._rights.need_manage(call.principal, type, record["full_name"])
        record.update({key: value for key, value in call.json().items() if key in ("comment", "owner", "read_only", "url", "credential_name")})
        self._securables.touch(type, record, call.principal.name)
        return record

    async def delete(self, call: Call) -> Record:
        type, record = self._find(call)
        self._rights.need_manage(call.principal, type, record["full_name"])
        used = [each["full_name"] for each in self._securables.locations.values() if each["credential_name"] == record["full_name"]] if type == "storage_credential" else []
        if used and call.query.get("force") != "true":
            raise ApiError(400, "INVALID_STATE", f"Storage credential '{record['full_name']}' cannot be deleted because it is used by {len(used)} external location(s).")
        self._securables.remove(type, record["full_name"])
        self._rights.forget(type, record["full_name"])
        return {}
