"""Joins the parts: four hosts on loopback, and the way of a request through faults, authentication and the APIs."""

import asyncio
import json
import traceback
import uuid
from pathlib import Path
from typing import Any

from . import control
from .acl import Acl
from .admin import Admin
from .auth import Auth
from .clock import Clock
from .clusters import Clusters
from .commands import Commands
from .control import Control
from .entra import Entra
from .errors import ApiError, envelope, no_such_api
from .faults import Faults, refusal
from .federation import Federation
from .journal import Journal
from .links import Links
from .oidc import Oidc
from .principals import Principal, Principals
from .routes import Call, Router
from .scim import Scim
from .secrets import token
from .settings import Settings
from .sql.engine import Engine
from .sql.front import Front
from .sql.runner import Runner
from .statements import Statements
from .store import Store
from .tokens import Tokens
from .unity.catalogs import Catalogs
from .unity.grants import Grants
from .unity.locations import Locations
from .unity.metastore import Metastore
from .unity.rights import Rights
from .unity.securables import Securables
from .unity.tables import Tables
from .unity.vending import Vending
from .warehouses import Warehouses
from .wire import BadBody, Listener, Reply, Request

HOSTS = ("workspace", "account", "storage", "login")
ADMIN = "admin@example.com"
STUMBLED = "the stand-in stumbled"


class App:
    """`admin_token`: a personal access token that the administrator is to have; kept from the first start on."""

    def __init__(self, folder: Path, engine: Engine | None = None, admin_token: str | None = None):
        self.folder, self.engine = folder, engine
        self.store = Store(folder)
        self.ids = self._identity(admin_token)
        self.clock = Clock(self.store)
        self.settings = Settings(self.store)
        self.faults = Faults(self.store)
        self.journal = Journal(folder)
        self.principals = Principals(self.store)
        self.auth = Auth(self.store, self.clock, self.settings, self.principals)
        self.federation = Federation(self.store, self.ids["account_id"])
        self.acl = Acl(self.store, self.principals)
        self.tokens = Tokens(self.auth, self.clock, self.settings, self.principals, self.acl)
        self.oidc = Oidc(self.auth, self.clock, self.settings, self.principals, self.federation, self.ids)
        self.entra = Entra(self.auth, self.clock, self.settings, self.principals, self.ids["tenant_id"])
        self.warehouses = Warehouses(self.store, self.clock, self.settings, self.acl, self.ids["workspace_id"])
        self.links = Links(self.store, self.clock, self.settings)
        self.securables = Securables(self.store, self.clock, self.ids)
        self.rights = Rights(self.store, self.securables)
        self.metastore = Metastore(self.securables, self.settings, ADMIN)
        self.catalogs = Catalogs(self.securables, self.rights, self.settings)
        self.tables = Tables(self.securables, self.rights, self.settings)
        self.locations = Locations(self.securables, self.rights, self.settings)
        self.grants = Grants(self.securables, self.rights, self.principals, self.settings)
        self.vending = Vending(self.securables, self.rights, self.settings, self.clock)
        front = Front(engine, self.securables, self.rights, self.principals, self.metastore, self.catalogs, self.tables, self.grants)
        self.runner = Runner(self.store, front)
        self.statements = Statements(self.store, self.clock, self.settings, self.warehouses, self.links, self.runner)
        self.clusters = Clusters(self.store, self.clock, self.settings, self.acl)
        self.commands = Commands(self.store, self.clock, self.settings, self.clusters)
        self.scim = Scim(self.principals, self.tokens, self.settings, self.ids)
        self.admin = Admin(self.store, self.principals, self.tokens, self.clock, self.settings, self.ids)
        self.acl.exists_if("warehouses", lambda id: id in self.warehouses.records)
        self._first_start()
        apis = (
            self.oidc, self.entra, self.acl, self.tokens, self.warehouses, self.links, self.statements, self.metastore, self.catalogs, self.tables,
            self.locations, self.grants, self.vending, self.clusters, self.commands, self.scim, self.admin,
        )
        self._router = Router(route for api in apis for route in api.routes())
        self._control = Router(Control(self).routes())
        self._listeners = {host: Listener(host, self._answer) for host in HOSTS}

    def _identity(self, admin_token: str | None) -> dict[str, str]:
        records = self.store.collection("identity")
        if "ids" not in records:
            records["ids"] = {
                "account_id": str(uuid.uuid4()), "workspace_id": "7405610000000001", "tenant_id": str(uuid.uuid4()), "metastore_id": str(uuid.uuid4()),
                "admin_token": admin_token or token("dapi"),
            }
        return records["ids"]

    def _first_start(self) -> None:
        if self.principals.by_name(ADMIN) is None:
            admin = self.principals.add_user(ADMIN, groups=["users", "admins"], account_admin=True)
            self.tokens.make(admin, admin, "administrator", None, self.ids["admin_token"])
            self.rights.change("metastore", "metastore", ADMIN, ["CREATE_CATALOG", "CREATE_EXTERNAL_LOCATION", "CREATE_STORAGE_CREDENTIAL"], [])
            self.catalogs.make_catalog(admin, self.metastore.assigned()["default_catalog_name"])
        self.store.commit()

    async def start(self, ports: dict[str, int]) -> None:
        """Listens; a port of 0, or none, is one that the state remembers, or a free one."""
        known = self.store.collection("ports")
        for host, listener in self._listeners.items():
            await listener.start(ports.get(host) or known.get(host, {}).get("port", 0))
            known[host] = {"port": listener.port}
        self.links.origin = self._origin("storage")
        self.entra.login_origin = self._origin("login")
        self.statements.resume()
        self.store.commit()
        (self.folder / "endpoints.json").write_text(json.dumps(self.endpoints(), indent=1))

    async def stop(self) -> None:
        for listener in self._listeners.values():
            await listener.stop()
        self.statements.stop()
        self.store.close()
        self.journal.close()
        if self.engine is not None:
            self.engine.stop()

    def _origin(self, host: str) -> str:
        return f"http://127.0.0.1:{self._listeners[host].port}"

    def endpoints(self) -> dict[str, Any]:
        """Where everything is, with the administrator's token; also in endpoints.json of the state folder."""
        return {**{host: self._origin(host) for host in HOSTS}, **self.ids, "admin": ADMIN}

    async def _answer(self, request: Request) -> Reply:
        request.id = str(uuid.uuid4())
        if request.host == "workspace" and request.path.startswith(control.PREFIX + "/"):
            return await self._steer(request)
        principal: Principal | None = None
        rule = self.faults.match(request)
        if rule and rule.get("delay_seconds"):
            await asyncio.sleep(rule["delay_seconds"])
        reply = refusal(rule) if rule else None
        if reply is None:
            reply, principal = await self._serve(request)
            if rule and rule.get("lose"):
                reply.reset = True
            if rule and rule.get("cut") is not None:
                reply.partial = int(rule["cut"])
        self.store.commit()
        reply.headers += [("x-request-id", request.id), ("x-databricks-org-id", self.ids["workspace_id"]), ("Server", "databricks")]
        self.journal.write(request, reply, self.clock.now(), principal.name if principal else None, rule["name"] if rule else None)
        return reply

    async def _serve(self, request: Request) -> tuple[Reply, Principal | None]:
        principal: Principal | None = None
        try:
            found = self._router.find(request)
            if found is None or found[0].auth:
                principal = self.auth.principal(request)
            if found is None:
                raise no_such_api(request.method, request.path)
            route, at = found
            answer = await route.answer(Call(request, at, principal or Principal({})))
            return (answer if isinstance(answer, Reply) else Reply.json(answer)), principal
        except ApiError as error:
            return envelope(request.path, error, request.id), principal
        except BadBody:
            malformed = ApiError(400, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request - failed to parse given JSON")
            return envelope(request.path, malformed, request.id), principal
        except Exception as error:  # a fault of the stand-in: said aloud, and no end of it
            traceback.print_exc()
            text = f"{STUMBLED}: {type(error).__name__}: {error}"
            return envelope(request.path, ApiError(500, "INTERNAL_ERROR", text), request.id), principal

    async def _steer(self, request: Request) -> Reply:
        found = self._control.find(request)
        if found is None:
            return Reply.json({"error": f"no {request.method} {request.path}"}, 404)
        route, at = found
        try:
            answer = await route.answer(Call(request, at))
        except (ApiError, BadBody, KeyError, TypeError, ValueError) as error:
            return Reply.json({"error": f"{type(error).__name__}: {error}"}, 400)
        self.store.commit()
        return answer if isinstance(answer, Reply) else Reply.json(answer)
