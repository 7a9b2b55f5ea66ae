"""SQL warehouses, `/api/2.0/sql/warehouses`: a state machine over virtual time, and how many seconds each has run.

A warehouse is billed from the moment it is started to the moment it is stopped. Its states follow from instants kept
in its record, so that a look at it never changes what it has used.
"""

import re
import secrets
from collections.abc import Iterator
from typing import Any

from .acl import Acl
from .clock import Clock
from .errors import denied, invalid, missing
from .pages import page
from .principals import Principal
from .routes import Call, Route
from .settings import Settings
from .store import Record, Store

BASE = "/api/2.0/sql/warehouses"
SIZES = ("2X-Small", "X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large", "4X-Large", "5X-Large")
FIELDS = {
    "name", "cluster_size", "min_num_clusters", "max_num_clusters", "auto_stop_mins", "creator_name", "instance_profile_arn", "tags",
    "spot_instance_policy", "enable_photon", "channel", "enable_serverless_compute", "warehouse_type", "max_dbu",
}
NOT_PERMITTED = "You do not have permission to use the SQL Warehouse. Please contact your administrator."


class Warehouses:
    def __init__(self, store: Store, clock: Clock, settings: Settings, acl: Acl, org: str):
        self.records, self._clock, self._settings, self._acl, self._org = store.collection("warehouses"), clock, settings, acl, org
        self.host = "127.0.0.1"

    def routes(self) -> Iterator[Route]:
        yield Route("GET", BASE, self.list)
        yield Route("POST", BASE, self.create)
        yield Route("GET", f"{BASE}/{{id}}", self.get)
        yield Route("DELETE", f"{BASE}/{{id}}", self.delete)
        yield Route("POST", f"{BASE}/{{id}}/edit", self.edit)
        yield Route("POST", f"{BASE}/{{id}}/start", self.start)
        yield Route("POST", f"{BASE}/{{id}}/stop", self.stop)

    # The state machine.

    def state(self, record: Record) -> str:
        """The state now; moves the record over the transitions that are due, each at its own instant."""
        now = self._clock.now()
        while record["state"] in ("STARTING", "STOPPING", "RUNNING", "DELETING"):
            if record["state"] == "RUNNING":
                stops = self._stops_at(record)
                if stops is None or stops > now:
                    break
                self._stop(record, stops)
            elif record["until"] > now:
                break
            elif record["state"] == "STARTING":
                record.update(state="RUNNING", active_at=max(record["until"], record["active_at"]))
            else:
                record.update(state="STOPPED" if record["state"] == "STOPPING" else "DELETED")
            self.records.save(record["id"])
        return record["state"]

    def _stops_at(self, record: Record) -> float | None:
        minutes = record["spec"]["auto_stop_mins"]
        return None if minutes == 0 or record["statements"] else record["active_at"] + 60 * minutes

    def _start(self, record: Record) -> None:
        now = self._clock.now()
        record.update(state="STARTING", until=now + self._settings["warehouse_starting_seconds"], started_at=now, active_at=now, starts=record["starts"] + 1)
        self.records.save(record["id"])

    def _stop(self, record: Record, moment: float, state: str = "STOPPING") -> None:
        if record["started_at"] is not None:
            record["used_seconds"] += max(0.0, moment - record["started_at"])
        record.update(state=state, until=moment + self._settings["warehouse_stopping_seconds"], started_at=None)
        self.records.save(record["id"])

    def used_seconds(self, record: Record) -> float:
        """How long it has run in all, to now."""
        self.state(record)
        running = self._clock.now() - record["started_at"] if record["started_at"] is not None else 0.0
        return record["used_seconds"] + running

    # What statements do to a warehouse.

    def usable(self, principal: Principal, id: str) -> Record:
        """The warehouse that a statement names, or the refusal of the statement API."""
        if not re.fullmatch(r"[0-9a-f]{16}", id):
            raise invalid(f"{id} is not a valid endpoint id.")
        record = self.records.get(id)
        if record is None or self.state(record) in ("DELETING", "DELETED") or not self._acl.may(principal, "warehouses", id, "CAN_USE"):
            raise denied(NOT_PERMITTED)
        return record

    def enter(self, id: str) -> None:
        """A statement is submitted: a warehouse at rest starts, and none stops before `leave`."""
        record = self.records[id]
        if self.state(record) in ("STOPPED", "STOPPING"):
            self._start(record)
        record["statements"] += 1
        self.records.save(id)

    def leave(self, id: str) -> None:
        record = self.records.get(id)
        if record is not None:
            record.update(statements=max(0, record["statements"] - 1), active_at=self._clock.now())
            self.records.save(id)

    def forget_statements(self) -> None:
        """After a restart: none is running until it is resumed."""
        for id, record in self.records.items():
            record["statements"] = 0
            self.records.save(id)

    async def running(self, id: str) -> bool:
        """Waits until the warehouse runs; False where it will not."""
        while (record := self.records.get(id)) is not None:
            state = self.state(record)
            if state == "RUNNING":
                return True
            if state != "STARTING":
                return False
            await self._clock.until(record["until"])
        return False

    def add(self, body: Record, creator: str = "admin@example.com") -> Record:
        """A warehouse at rest; `id`, where the body has one."""
        id = body.get("id") or secrets.token_hex(8)
        self.records[id] = {
            "id": id, "spec": self._spec({"cluster_size": "2X-Small", **body}, None), "creator": creator, "state": "STOPPED", "until": 0.0,
            "started_at": None, "active_at": self._clock.now(), "used_seconds": 0.0, "starts": 0, "statements": 0,
        }
        return self.records[id]

    # The API.

    def _find(self, call: Call, permission: str | None) -> Record:
        id = call.at["id"]
        record = self.records.get(id)
        if not re.fullmatch(r"[0-9a-f]{16}", id):
            raise invalid(f"{id} is not a valid endpoint id.")
        if record is None or self.state(record) == "DELETED":
            raise missing(f"SQL warehouse {id} does not exist.")
        if permission and not self._acl.may(call.principal, "warehouses", id, permission):
            raise denied(f"{call.principal.name} does not have {permission} permission on SQL warehouse {id}.")
        return record

    async def list(self, call: Call) -> dict[str, Any]:
        seen = [each for each in self.records.values() if self.state(each) != "DELETED" and self._acl.may(call.principal, "warehouses", each["id"], "CAN_VIEW")]
        items, token = page(seen, call.query, self._settings["page_size_max"])
        answer: dict[str, Any] = {"warehouses": [self.shown(each) for each in items]} if items else {}
        return answer | ({"next_page_token": token} if token else {})

    async def create(self, call: Call) -> dict[str, Any]:
        if not call.principal.may("allow-cluster-create"):
            raise denied("You do not have permission to create SQL warehouses.")
        body = call.json()
        if not body.get("name") or not body.get("cluster_size"):
            raise invalid(f"{'name' if not body.get('name') else 'cluster_size'} is required.")
        id = self.add(body, call.principal.name)["id"]
        self._acl.own("warehouses", id, call.principal)
        self._start(self.records[id])
        return {"id": id}

    async def get(self, call: Call) -> dict[str, Any]:
        return self.shown(self._find(call, "CAN_VIEW"))

    async def edit(self, call: Call) -> dict[str, Any]:
        record = self._find(call, "CAN_MANAGE")
        record["spec"] = self._spec({**record["spec"], **call.json()}, record["id"])
        if record["state"] == "RUNNING":  # it starts anew with what has changed
            self._stop(record, self._clock.now())
            self._start(record)
        self.records.save(record["id"])
        return {}

    async def start(self, call: Call) -> dict[str, Any]:
        record = self._find(call, "CAN_USE")
        if record["state"] in ("STOPPED", "STOPPING"):
            self._start(record)
        return {}

    async def stop(self, call: Call) -> dict[str, Any]:
        record = self._find(call, "CAN_MANAGE")
        if record["state"] in ("RUNNING", "STARTING"):
            self._stop(record, self._clock.now())
        return {}

    async def delete(self, call: Call) -> dict[str, Any]:
        record = self._find(call, "CAN_MANAGE")
        self._stop(record, self._clock.now(), "DELETING")
        return {}

    def _spec(self, body: Record, id: str | None) -> Record:
        spec: Record = {"min_num_clusters": 1, "max_num_clusters": 1, "auto_stop_mins": 120, "warehouse_type": "CLASSIC", "enable_photon": True}
        spec |= {key: value for key, value in body.items() if key in FIELDS and value is not None}
        if len(spec["name"]) >= 100:
            raise invalid("name must be fewer than 100 characters.")
        if any(each["spec"]["name"] == spec["name"] and each["id"] != id and each["state"] not in ("DELETING", "DELETED") for each in self.records.values()):
            raise invalid(f"SQL warehouse with name `{spec['name']}` already exists")
        if spec["cluster_size"] not in SIZES:
            raise invalid(f"{spec['cluster_size']} is not a valid cluster size. Valid values are: {', '.join(SIZES)}.")
        if spec["auto_stop_mins"] != 0 and spec["auto_stop_mins"] < 10 and not spec.get("enable_serverless_compute"):
            raise invalid("auto_stop_mins must be 0 or at least 10 minutes.")
        if not 1 <= spec["min_num_clusters"] <= spec["max_num_clusters"] <= 40:
            raise invalid("min_num_clusters must be at least 1 and at most max_num_clusters, which is at most 40.")
        return spec

    def shown(self, record: Record) -> Record:
        state, path = self.state(record), f"/sql/1.0/warehouses/{record['id']}"
        clusters = record["spec"]["min_num_clusters"] if state == "RUNNING" else 0
        return {
            "id": record["id"], **record["spec"], "state": state, "creator_name": record["creator"], "num_clusters": clusters,
            "num_active_sessions": record["statements"], "auto_resume": True, "size": record["spec"]["cluster_size"].upper().replace("-", "_"),
            "jdbc_url": f"jdbc:spark://{self.host}:443/default;transportMode=http;ssl=1;AuthMech=3;httpPath={path};",
            "odbc_params": {"hostname": self.host, "path": path, "protocol": "https", "port": 443}, "health": {"status": "HEALTHY"},
        }
