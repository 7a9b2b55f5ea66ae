"""Clusters, `/api/2.1/clusters/`: states over virtual time, edits that restart, and what the cloud offers to run them on."""

import random
import re
import string
from collections.abc import Iterator
from typing import Any

from .acl import Acl
from .clock import Clock
from .errors import ApiError, bad_request, denied, invalid, invalid_state
from .pages import page
from .routes import Call, Route
from .settings import Settings
from .store import Record, Store

BASE = "/api/2.1/clusters"
# Made by the service, not by a specification.
DERIVED = {"cluster_id", "state", "state_message", "start_time", "terminated_time", "creator_user_name", "cluster_source", "default_tags", "termination_reason"}
KEPT_TERMINATED = 200
KEPT_DAYS = 30
NODE_TYPES = [
    ("i3.xlarge", 31232, 4.0, "Storage Optimized"), ("m5d.large", 8192, 2.0, "General Purpose"), ("m5d.xlarge", 16384, 4.0, "General Purpose"),
    ("r5d.large", 16384, 2.0, "Memory Optimized"), ("c5d.2xlarge", 16384, 8.0, "Compute Optimized"), ("g4dn.xlarge", 16384, 4.0, "GPU Accelerated"),
]
SPARK_VERSIONS = [
    ("16.4.x-scala2.12", "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.12)"), ("15.4.x-scala2.12", "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)"),
    ("15.4.x-photon-scala2.12", "15.4 LTS Photon (includes Apache Spark 3.5.0, Scala 2.12)"), ("10.4.x-scala2.12", "10.4 LTS (includes Apache Spark 3.2.1, Scala 2.12)"),
    ("9.1.x-scala2.12", "9.1 LTS (includes Apache Spark 3.1.2, Scala 2.12)"),
]


class Clusters:
    def __init__(self, store: Store, clock: Clock, settings: Settings, acl: Acl):
        self.records, self._clock, self._settings, self._acl = store.collection("clusters"), clock, settings, acl
        acl.exists_if("clusters", lambda id: id in self.records)

    def routes(self) -> Iterator[Route]:
        yield Route("GET", f"{BASE}/list", self.list)
        yield Route("GET", f"{BASE}/get", self.get)
        yield Route("GET", f"{BASE}/list-node-types", self.node_types)
        yield Route("GET", f"{BASE}/spark-versions", self.spark_versions)
        for verb, answer in (("create", self.create), ("edit", self.edit), ("start", self.start), ("restart", self.restart), ("delete", self.delete),
                             ("permanent-delete", self.permanent_delete), ("pin", self.pin), ("unpin", self.unpin)):
            yield Route("POST", f"{BASE}/{verb}", answer)

    # The state machine.

    def state(self, record: Record) -> str:
        """The state now; moves the record over the transitions that are due."""
        now = self._clock.now()
        while True:
            if record["state"] in ("PENDING", "RESTARTING", "RESIZING") and record["until"] <= now:
                self._move(record, "RUNNING", active_at=record["until"])
            elif record["state"] == "TERMINATING" and record["until"] <= now:
                self._move(record, "TERMINATED", terminated_time=int(record["until"] * 1000))
            elif record["state"] == "RUNNING" and (idle := self._idle_end(record)) is not None and idle <= now:
                self._terminate(record, idle, "INACTIVITY")
            else:
                return record["state"]

    def _idle_end(self, record: Record) -> float | None:
        minutes = record["spec"].get("autotermination_minutes", 0)
        return record["active_at"] + 60 * minutes if minutes else None

    def _move(self, record: Record, state: str, **fields: Any) -> None:
        record.update(state=state, **fields)
        self.records.save(record["cluster_id"])

    def _launch(self, record: Record, state: str = "PENDING") -> None:
        now = self._clock.now()
        self._move(record, state, until=now + self._settings["cluster_pending_seconds"], start_time=int(now * 1000), terminated_time=None,
                   termination_reason=None, active_at=now, generation=record["generation"] + 1)

    def _terminate(self, record: Record, moment: float, reason: str = "USER_REQUEST") -> None:
        self._move(record, "TERMINATING", until=moment + self._settings["cluster_terminating_seconds"], termination_reason={"code": reason, "type": "SUCCESS"})

    def touch(self, record: Record) -> None:
        """It has been used: it does not terminate for want of work."""
        self._move(record, record["state"], active_at=self._clock.now())

    # The API.

    def find(self, call: Call, id: Any, level: str | None = "CAN_ATTACH_TO") -> Record:
        record = self.records.get(str(id))
        if not id:
            raise bad_request("Could not parse request object: Missing required field: cluster_id")
        if record is None:
            raise invalid(f"Cluster {id} does not exist")
        self.state(record)
        if level and not self._acl.may(call.principal, "clusters", record["cluster_id"], level):
            raise denied(f"{call.principal.name} does not have {level} permissions on {id}. Please contact the owner or an administrator for access.")
        return record

    async def create(self, call: Call) -> Record:
        if not call.principal.may("allow-cluster-create"):
            raise denied("You are not authorized to create clusters. Please contact your administrator.")
        spec = self._spec(call.json())
        now = self._clock.now()
        id = f"{random.randrange(1, 1231):04d}-{int(now) % 1_000_000:06d}-{''.join(random.choices(string.ascii_lowercase + string.digits, k=8))}"
        self.records[id] = {
            "cluster_id": id, "spec": spec, "creator_user_name": call.principal.name, "state": "TERMINATED", "until": 0.0, "active_at": now, "start_time": None,
            "terminated_time": None, "termination_reason": None, "pinned": False, "generation": 0,
        }
        self._acl.own("clusters", id, call.principal)
        self._launch(self.records[id])
        return {"cluster_id": id}

    def _spec(self, body: Record) -> Record:
        spec = {key: value for key, value in body.items() if key not in DERIVED and key != "apply_policy_default_values"}
        if not spec.get("spark_version"):
            raise invalid("Missing required field: settings.cluster_spec.new_cluster.spark_version")
        if not re.match(r"\d+\.\d+\.x|custom:", spec["spark_version"]):
            raise invalid(f"Invalid spark version {spec['spark_version']}.")
        if not spec.get("node_type_id") and not spec.get("instance_pool_id"):
            raise invalid("Missing required field: node_type_id")
        if spec.get("node_type_id") and spec["node_type_id"] not in [name for name, *_ in NODE_TYPES]:
            raise invalid(f"Node type {spec['node_type_id']} is not supported.")
        if "num_workers" not in spec and "autoscale" not in spec and not spec.get("is_single_node"):
            raise invalid("Missing required field: size")
        if not isinstance(spec.get("spark_conf", {}), dict):
            raise bad_request("Could not parse request object: spark_conf must be a map")
        return {"autotermination_minutes": 120, **spec}

    async def edit(self, call: Call) -> Record:
        """The whole specification, anew: what is not in it is gone. A running cluster restarts."""
        body = call.json()
        record = self.find(call, body.get("cluster_id"), "CAN_MANAGE")
        if record["state"] not in ("RUNNING", "TERMINATED"):
            raise invalid_state(f"Cluster {record['cluster_id']} is in unexpected state {_title(record['state'])}.")
        record["spec"] = self._spec(body)
        if record["state"] == "RUNNING":
            self._launch(record, "RESTARTING")
        self.records.save(record["cluster_id"])
        return {}

    async def start(self, call: Call) -> Record:
        record = self.find(call, call.json().get("cluster_id"), "CAN_RESTART")
        if record["state"] != "TERMINATED":
            raise invalid_state(f"Cluster {record['cluster_id']} is in unexpected state {_title(record['state'])}.")
        self._launch(record)
        return {}

    async def restart(self, call: Call) -> Record:
        record = self.find(call, call.json().get("cluster_id"), "CAN_RESTART")
        if record["state"] != "RUNNING":
            raise invalid_state(f"Cluster {record['cluster_id']} is in unexpected state {_title(record['state'])}.")
        self._launch(record, "RESTARTING")
        return {}

    async def delete(self, call: Call) -> Record:
        """Terminates; to a cluster that is terminated nothing happens."""
        record = self.find(call, call.json().get("cluster_id"), "CAN_RESTART")
        if record["state"] not in ("TERMINATED", "TERMINATING"):
            self._terminate(record, self._clock.now())
        return {}

    async def permanent_delete(self, call: Call) -> Record:
        record = self.find(call, call.json().get("cluster_id"), "CAN_MANAGE")
        del self.records[record["cluster_id"]]
        return {}

    async def pin(self, call: Call) -> Record:
        return self._pin(call, True)

    async def unpin(self, call: Call) -> Record:
        return self._pin(call, False)

    def _pin(self, call: Call, pinned: bool) -> Record:
        record = self.find(call, call.json().get("cluster_id"), None)
        if not call.principal.is_admin:
            raise denied("Only administrators may pin clusters.")
        self._move(record, record["state"], pinned=pinned)
        return {}

    async def get(self, call: Call) -> Record:
        return self.shown(self.find(call, call.query.get("cluster_id")))

    async def list(self, call: Call) -> Record:
        """Pinned and active ones, and those terminated of late."""
        oldest = (self._clock.now() - KEPT_DAYS * 86400) * 1000
        every = [each for each in self.records.values() if self._acl.may(call.principal, "clusters", each["cluster_id"], "CAN_ATTACH_TO")]
        ended = [each for each in every if self.state(each) == "TERMINATED" and not each["pinned"]]
        recent = sorted((each for each in ended if (each["terminated_time"] or 0) >= oldest), key=lambda each: -(each["terminated_time"] or 0))[:KEPT_TERMINATED]
        found = [each for each in every if each not in ended] + recent
        query = call.request.query_pairs
        for field, name in (("filter_by.cluster_states", "state"), ("filter_by.cluster_sources", "cluster_source")):
            if wanted := [value for key, value in query if key == field]:
                found = [each for each in found if self.shown(each)[name] in wanted]
        if call.query.get("filter_by.is_pinned") == "true":
            found = [each for each in found if each["pinned"]]
        items, token = page(found, call.query, min(self._settings["page_size_max"], 100))
        return {"clusters": [self.shown(each) for each in items]} | ({"next_page_token": token} if token else {})

    async def node_types(self, call: Call) -> Record:
        return {"node_types": [
            {"node_type_id": name, "memory_mb": memory, "num_cores": cores, "description": name, "instance_type_id": name, "category": category,
             "is_deprecated": False, "is_hidden": False, "num_gpus": int("g4" in name), "support_ebs_volumes": True, "photon_worker_capable": True,
             "node_info": {"status": [], "available_core_quota": 1000}}
            for name, memory, cores, category in NODE_TYPES
        ]}

    async def spark_versions(self, call: Call) -> Record:
        return {"versions": [{"key": key, "name": name} for key, name in SPARK_VERSIONS]}

    def shown(self, record: Record) -> Record:
        state = self.state(record)
        name = record["spec"].get("cluster_name", "")
        found = {
            **record["spec"], "cluster_id": record["cluster_id"], "cluster_name": name, "creator_user_name": record["creator_user_name"], "state": state,
            "state_message": {"PENDING": "Starting Spark", "RESTARTING": "Starting Spark", "TERMINATING": "Terminating"}.get(state, ""),
            "cluster_source": "API", "start_time": record["start_time"], "spec": record["spec"],
            "default_tags": {"Vendor": "Databricks", "Creator": record["creator_user_name"], "ClusterName": name, "ClusterId": record["cluster_id"]},
        }
        if state == "RUNNING":
            found |= {"spark_context_id": 1000 + record["generation"], "jdbc_port": 10000}
        return found | {field: record[field] for field in ("terminated_time", "termination_reason") if record[field] is not None}


def _title(state: str) -> str:
    return state.title()


def not_running(record: Record) -> ApiError:
    """What the APIs that need a running cluster say of one that does not run."""
    return ApiError(400, "INVALID_STATE", f"ClusterNotReadyException: Cluster {record['cluster_id']} is in unexpected state {_title(record['state'])}.")
