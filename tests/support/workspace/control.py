"""`/_standin/`: where a test steers the stand-in. No credentials, no faults, no journal entry of its own.

GET  state | journal?since=&method=&path=&host= | faults | settings | script | endpoints | clock | warehouses
POST clock {advance_seconds} | faults {rule} | script {rule} | principals {…} | secrets {principal, …} | tokens {principal, …}
     grants {principal, add, remove, on: [type, name]} | permissions {principal, object: [type, id], level}
     commands {rule} | metastore {…} | revoke {principal} | federation {policy} | issuer {claims} | warehouses {name, …} | seed {seed}
PATCH settings {…} | principals/{name} {…}
DELETE journal | faults[/{number}] | script
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .routes import Answer, Call, Route
from .secrets import token

if TYPE_CHECKING:
    from .app import App

PREFIX = "/_standin"


class Control:
    def __init__(self, app: "App"):
        self._app = app

    def routes(self) -> Iterator[Route]:
        answers = {
            ("GET", "clock"): self.clock, ("POST", "clock"): self.advance, ("GET", "state"): self.state, ("GET", "endpoints"): self.endpoints,
            ("GET", "journal"): self.journal, ("DELETE", "journal"): self.clear_journal, ("GET", "faults"): self.faults,
            ("POST", "faults"): self.add_fault, ("DELETE", "faults"): self.clear_faults, ("DELETE", "faults/{number}"): self.clear_faults,
            ("GET", "settings"): self.settings, ("PATCH", "settings"): self.change_settings, ("GET", "script"): self.script,
            ("POST", "script"): self.add_script, ("DELETE", "script"): self.clear_script, ("POST", "principals"): self.add_principal,
            ("PATCH", "principals/{name}"): self.change_principal, ("POST", "secrets"): self.add_secret, ("POST", "tokens"): self.add_token,
            ("POST", "grants"): self.grant, ("POST", "permissions"): self.permit, ("POST", "revoke"): self.revoke,
            ("POST", "federation"): self.federate, ("POST", "issuer"): self.issue, ("GET", "warehouses"): self.warehouses,
            ("POST", "warehouses"): self.add_warehouse, ("POST", "seed"): self.seed, ("POST", "commands"): self.add_command, ("POST", "metastore"): self.metastore,
        }
        for (method, path), answer in answers.items():
            yield Route(method, f"{PREFIX}/{path}", answer, auth=False)

    async def clock(self, call: Call) -> Answer:
        return {"now": self._app.clock.now()}

    async def advance(self, call: Call) -> Answer:
        return {"now": self._app.clock.advance(float(call.request.json()["advance_seconds"]))}

    async def state(self, call: Call) -> Answer:
        kept = ("signing", "results")
        return {name: records for name, records in self._app.store.dump().items() if name not in kept}

    async def endpoints(self, call: Call) -> Answer:
        return self._app.endpoints()

    async def journal(self, call: Call) -> Answer:
        query = call.query
        found = self._app.journal.find(int(query.get("since", 0)), query.get("method"), query.get("path"), query.get("host"))
        return {"entries": found}

    async def clear_journal(self, call: Call) -> Answer:
        self._app.journal.clear()
        return {}

    async def faults(self, call: Call) -> Answer:
        return self._app.faults.all()

    async def add_fault(self, call: Call) -> Answer:
        return {"number": self._app.faults.add(call.request.json())}

    async def clear_faults(self, call: Call) -> Answer:
        self._app.faults.clear(call.at.get("number"))
        return {}

    async def seed(self, call: Call) -> Answer:
        self._app.faults.seed(int(call.request.json()["seed"]))
        return {}

    async def settings(self, call: Call) -> Answer:
        return self._app.settings.all()

    async def change_settings(self, call: Call) -> Answer:
        return self._app.settings.change(call.request.json())

    async def script(self, call: Call) -> Answer:
        return self._app.runner.script.all()

    async def add_script(self, call: Call) -> Answer:
        return {"number": self._app.runner.script.add(call.request.json())}

    async def add_command(self, call: Call) -> Answer:
        return {"number": self._app.commands.answers.add(call.request.json())}

    async def clear_script(self, call: Call) -> Answer:
        self._app.runner.script.clear()
        return {}

    async def add_principal(self, call: Call) -> Answer:
        """`user_name`, or `display_name` and perhaps `application_id`; then any field of the record."""
        fields = call.request.json()
        if "user_name" in fields:
            principal = self._app.principals.add_user(fields.pop("user_name"), **fields)
        else:
            principal = self._app.principals.add_service_principal(fields.pop("display_name"), fields.pop("application_id", None), **fields)
        return principal.record

    async def change_principal(self, call: Call) -> Answer:
        principal = self._app.principals.find(call.at["name"])
        self._app.principals.change(principal, **call.request.json())
        return self._app.principals.find(principal.id).record

    async def add_secret(self, call: Call) -> Answer:
        """An OAuth secret: `lifetime_seconds` (two years), `value` (made up)."""
        body = call.request.json()
        principal = self._app.principals.find(body["principal"])
        record, value = self._app.principals.add_secret(principal, self._app.clock.now(), body.get("lifetime_seconds", 2 * 365 * 86400), body.get("value"))
        return {"client_id": principal.name, "client_secret": value, "id": record["id"]}

    async def add_token(self, call: Call) -> Answer:
        """A personal access token: `lifetime_seconds` (none: for ever), `value` (made up), `comment`."""
        body = call.request.json()
        principal = self._app.principals.find(body["principal"])
        record, value = self._app.tokens.make(principal, principal, body.get("comment", ""), body.get("lifetime_seconds"), body.get("value") or token("dapi"))
        return {"token_value": value, "token_id": record["token_id"]}

    async def revoke(self, call: Call) -> Answer:
        return {"tokens": self._app.auth.revoke(self._app.principals.find(call.request.json()["principal"]))}

    async def grant(self, call: Call) -> Answer:
        body = call.request.json()
        principal = body["principal"]
        if principal not in self._app.principals.groups and principal != "account users":
            principal = self._app.principals.find(principal).name
        type, name = body["on"]
        self._app.grants.change(type, name, principal, body.get("add", []), body.get("remove", []))
        return {}

    async def permit(self, call: Call) -> Answer:
        body = call.request.json()
        type, id = body["object"]
        self._app.acl.grant(type, id, self._app.principals.find(body["principal"]).name, body.get("level"))
        return {}

    async def federate(self, call: Call) -> Answer:
        return {"id": self._app.federation.add(call.request.json())}

    async def issue(self, call: Call) -> Answer:
        """A token of the stand-in's own issuer, an hour long unless the claims say otherwise."""
        now = int(self._app.clock.now())
        return {"token": self._app.federation.own_token({"iat": now, "exp": now + 3600, **call.request.json()["claims"]})}

    async def warehouses(self, call: Call) -> Answer:
        found: dict[str, Any] = {}
        for id, record in self._app.warehouses.records.items():
            found[id] = {
                "name": record["spec"]["name"], "state": self._app.warehouses.state(record), "used_seconds": self._app.warehouses.used_seconds(record),
                "starts": record["starts"], "statements": record["statements"],
            }
        return found

    async def add_warehouse(self, call: Call) -> Answer:
        return self._app.warehouses.add(call.request.json())

    async def metastore(self, call: Call) -> Answer:
        """Changes the metastore; `{"assigned": false}` leaves the workspace without one."""
        return self._app.metastore.change(call.request.json())
