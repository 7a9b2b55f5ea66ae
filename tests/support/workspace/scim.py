"""SCIM of the workspace and the account: Me, ServicePrincipals, Users, Groups.

`{id}` is the numeric id, never the applicationId. Only administrators change anything; everybody may read.
"""

from collections.abc import Iterator
from typing import Any

from . import scim_filter
from .errors import ApiError, denied
from .pages import page
from .principals import Principal, Principals
from .routes import Call, Route
from .settings import Settings
from .store import Record
from .tokens import Tokens
from .wire import Reply

WORKSPACE, ACCOUNT = "/api/2.0/preview/scim/v2", "/api/2.0/accounts/{account}/scim/v2"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:"
ENTITLEMENTS = ("workspace-access", "databricks-sql-access", "allow-cluster-create", "allow-instance-pool-create", "workspace-consume")
# What a PATCH may reach: attribute → field of the record.
FIELDS = {"entitlements": "entitlements", "groups": "groups", "roles": "roles", "displayname": "display_name", "active": "active"}


class Scim:
    def __init__(self, principals: Principals, tokens: Tokens, settings: Settings, ids: dict[str, str]):
        self._principals, self._tokens, self._settings, self._ids = principals, tokens, settings, ids

    def routes(self) -> Iterator[Route]:
        yield Route("GET", f"{WORKSPACE}/Me", self.me)
        for base, host in ((WORKSPACE, "workspace"), (ACCOUNT, "account")):
            for kind in ("ServicePrincipals", "Users"):
                path = f"{base}/{{kind}}".replace("{kind}", kind)
                yield Route("GET", path, self.list_principals, host)
                yield Route("POST", path, self.create, host)
                yield Route("GET", f"{path}/{{id}}", self.get, host)
                yield Route("PUT", f"{path}/{{id}}", self.put, host)
                yield Route("PATCH", f"{path}/{{id}}", self.patch, host)
                yield Route("DELETE", f"{path}/{{id}}", self.delete, host)
            yield Route("GET", f"{base}/Groups", self.groups, host)

    # What a principal looks like.

    def shown(self, principal: Principal) -> Record:
        record = principal.record
        found: Record = {
            "id": principal.id, "displayName": principal.display_name, "active": record["active"],
            "groups": [{"display": name, "type": "direct", "value": self._principals.groups[name]["id"], "$ref": f"Groups/{self._principals.groups[name]['id']}"}
                       for name in principal.groups if name in self._principals.groups],
        }
        for field in ("entitlements", "roles"):
            if record[field]:
                found[field] = [{"value": value} for value in record[field]]
        if principal.is_service_principal:
            return {"schemas": [f"{SCHEMA}ServicePrincipal"], "applicationId": record["application_id"], **found}
        emails = [{"type": "work", "value": record["user_name"], "primary": True}]
        return {"schemas": [f"{SCHEMA}User"], "userName": record["user_name"], "emails": emails, **found}

    async def me(self, call: Call) -> Record:
        shown = self.shown(call.principal)
        # Of a service principal, userName is the applicationId.
        return shown | ({"userName": call.principal.name} if call.principal.is_service_principal else {})

    # Lists.

    def _of(self, call: Call) -> list[Principal]:
        """The principals of the path's kind that its level has."""
        self._check_account(call)
        wanted = _kind(call) == "ServicePrincipals"
        return [each for each in self._principals if each.is_service_principal == wanted and (call.request.host == "account" or each.record["assigned"])]

    def _check_account(self, call: Call) -> None:
        if call.request.host == "account":
            if call.at["account"] != self._ids["account_id"]:
                raise ApiError(404, "notFound", f"Account {call.at['account']} not found")
            if not call.principal.is_account_admin:
                raise denied("Only account administrators may call this API.")

    async def list_principals(self, call: Call) -> Record:
        return self._listed(call, [self.shown(each) for each in self._of(call)])

    async def groups(self, call: Call) -> Record:
        self._check_account(call)
        found = []
        for name, group in self._principals.groups.items():
            members = [{"display": each.display_name, "value": each.id} for each in self._principals if name in each.groups]
            found.append({"schemas": [f"{SCHEMA}Group"], "id": group["id"], "displayName": name, "members": members})
        return self._listed(call, found)

    def _listed(self, call: Call, resources: list[Record]) -> Record:
        query = call.query
        if query.get("filter"):
            test = scim_filter.parse(query["filter"])
            resources = [each for each in resources if test(each)]
        if sort := query.get("sortBy"):
            resources.sort(key=lambda each: str(each.get(sort, "")).lower(), reverse=query.get("sortOrder") == "descending")
        for name in ("startIndex", "count"):
            if query.get(name) and not query[name].lstrip("-").isdecimal():
                raise ApiError(400, "invalidValue", f"{name} must be a number")
        start = max(1, int(query.get("startIndex") or 1))
        count = min(int(query["count"]) if query.get("count") else 100, self._settings["page_size_max"])
        found, _ = page(resources[start - 1:], {}, max(0, count))
        if attributes := [name for name in query.get("attributes", "").split(",") if name]:
            found = [{key: value for key, value in each.items() if key in (*attributes, "id", "schemas")} for each in found]
        listed = {"totalResults": len(resources), "startIndex": start, "itemsPerPage": len(found), "schemas": [LIST]}
        return listed | ({"Resources": found} if found else {})

    # One.

    def _find(self, call: Call, change: bool) -> Principal:
        every = self._of(call)
        if change and not (call.principal.is_admin or call.principal.is_account_admin):
            raise denied("Only administrators may change principals.")
        principal = next((each for each in every if each.id == call.at["id"]), None)
        if principal is None and self._settings["scim_delete_by_application_id"] and call.request.method == "DELETE":
            principal = next((each for each in every if each.name == call.at["id"]), None)
        if principal is None:
            what = "Service principal" if _kind(call) == "ServicePrincipals" else "User"
            raise ApiError(404, "notFound", f"{what} with id {call.at['id']} not found.")
        return principal

    async def get(self, call: Call) -> Record:
        return self.shown(self._find(call, change=False))

    async def create(self, call: Call) -> Reply:
        self._of(call)
        if not (call.principal.is_admin or call.principal.is_account_admin):
            raise denied("Only administrators may create principals.")
        body = call.json()
        fields: Record = {"assigned": call.request.host == "workspace", **self._fields(body)}
        if _kind(call) == "ServicePrincipals":
            application_id = body.get("applicationId")
            if application_id and self._settings["cloud"] != "AZURE":
                raise ApiError(400, "invalidValue", "applicationId is not allowed in the request: Databricks generates it.")
            if application_id and self._principals.by_name(application_id):
                raise ApiError(409, "uniqueness", f"Service principal with application ID {application_id} already exists.")
            principal = self._principals.add_service_principal(fields.pop("display_name", "") or "service principal", application_id, **fields)
        else:
            if not body.get("userName"):
                raise ApiError(400, "invalidValue", "userName is required")
            if self._principals.by_name(body["userName"]):
                raise ApiError(409, "uniqueness", f"User with username {body['userName']} already exists.")
            principal = self._principals.add_user(body["userName"], **fields)
        return Reply.json(self.shown(principal), 201)

    async def put(self, call: Call) -> Record:
        principal = self._find(call, change=True)
        body = call.json()
        if self._settings["cloud"] == "AZURE" and principal.is_service_principal and not body.get("applicationId"):
            raise ApiError(400, "invalidValue", "applicationId is required")
        emptied = {"entitlements": [], "roles": [], "groups": ["users"]}
        self._principals.change(principal, **{**emptied, **self._fields(body)})
        return self.shown(principal)

    @staticmethod
    def _fields(body: Record) -> Record:
        fields: Record = {}
        for name, field in (("displayName", "display_name"), ("active", "active")):
            if body.get(name) is not None:
                fields[field] = body[name]
        for name in ("entitlements", "roles"):
            if body.get(name):
                fields[name] = _entitled(name, body[name])
        return fields

    async def patch(self, call: Call) -> Reply | Record:
        principal = self._find(call, change=True)
        body = call.json()
        if body.get("schemas") != [PATCH]:
            raise ApiError(400, "invalidValue", f"schemas must be [{PATCH}]")
        for operation in body.get("Operations") or []:
            self._apply(principal, operation)
        return self.shown(principal) if call.request.host == "workspace" else Reply(204)

    def _apply(self, principal: Principal, operation: Record) -> None:
        verb, path, value = str(operation.get("op", "")).lower(), operation.get("path"), operation.get("value")
        if path is None and isinstance(value, dict):
            for name, each in value.items():
                self._apply(principal, {"op": verb, "path": name, "value": each})
            return
        if verb not in ("add", "remove", "replace") or path is None:
            raise ApiError(400, "invalidValue", f"unsupported operation {verb} {path}")
        attribute, _, condition = str(path).partition("[")
        field = FIELDS.get(attribute.lower())
        if field is None:
            raise ApiError(400, "invalidPath", f"{path} cannot be changed")
        held = principal.record[field]
        if not isinstance(held, list):
            self._principals.change(principal, **{field: value})
            return
        given = _entitled(field, value) if value is not None else []
        if condition:  # entitlements[value eq "…"]
            test = scim_filter.parse(condition.rstrip("]"))
            given = [each for each in held if test({"value": each})]
        elif verb == "remove" and value is None:
            given = held
        if verb == "add":
            new = [*held, *(each for each in given if each not in held)]
        else:
            new = given if verb == "replace" else [each for each in held if each not in given]
        self._principals.change(principal, **{field: new})

    async def delete(self, call: Call) -> Reply:
        """Its tokens go with it."""
        principal = self._find(call, change=True)
        self._tokens.forget(principal)
        self._principals.remove(principal)
        return Reply(204)


def _kind(call: Call) -> str:
    return "ServicePrincipals" if "/ServicePrincipals" in call.request.path else "Users"


def _entitled(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    found = [each.get("value", "") if isinstance(each, dict) else str(each) for each in values]
    if name == "entitlements" and (unknown := [each for each in found if each not in ENTITLEMENTS]):
        raise ApiError(400, "invalidValue", f"{unknown[0]} is not a valid entitlement")
    return found
