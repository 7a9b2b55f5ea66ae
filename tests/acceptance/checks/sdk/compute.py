"""Clusters, and commands on them."""

import datetime

import requests
from databricks.sdk.errors import BadRequest, PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import compute

from harness.procs import require

from .common import client, loader_of, refused


def clusters(world, server):
    """States, edits that restart, lists, and what is said of a cluster that is not there."""
    admin = client(server, token=server.admin_token)
    spec = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
    made = admin.clusters.create_and_wait(cluster_name="loader", autotermination_minutes=30, spark_conf={"a": "b"}, timeout=datetime.timedelta(seconds=30), **spec)
    server.settings(cluster_pending_seconds=0, cluster_terminating_seconds=0)  # it has waited once
    require(made.state is compute.State.RUNNING and made.spark_conf == {"a": "b"}, f"made: {made}")
    edited = admin.clusters.edit_and_wait(made.cluster_id, cluster_name="edited", timeout=datetime.timedelta(seconds=30), **spec)
    require(edited.cluster_name == "edited" and not edited.spark_conf and edited.spark_context_id != made.spark_context_id, f"edited: {edited}")
    admin.clusters.restart_and_wait(made.cluster_id, timeout=datetime.timedelta(seconds=30))
    admin.clusters.delete_and_wait(made.cluster_id, timeout=datetime.timedelta(seconds=30))
    refused_state(lambda: admin.clusters.restart(made.cluster_id))
    admin.clusters.start_and_wait(made.cluster_id, timeout=datetime.timedelta(seconds=30))
    admin.clusters.ensure_cluster_is_running(made.cluster_id)
    server.advance(3 * 3600)
    idle = admin.clusters.get(made.cluster_id)
    require(idle.state is compute.State.TERMINATED and idle.termination_reason.code.value == "INACTIVITY", f"after hours at rest: {idle.state}")
    refused(ResourceDoesNotExist, lambda: admin.clusters.get("0101-000000-nothing1"), "does not exist")
    plain = requests.get(f"{server.host}/api/2.1/clusters/get?cluster_id=x", headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=10)
    require((plain.status_code, plain.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), f"a missing cluster: {plain.text}")
    require("i3.xlarge" in [each.node_type_id for each in admin.clusters.list_node_types().node_types], "no node types")
    require(admin.clusters.select_spark_version(long_term_support=True).startswith("16.4"), "no spark versions")
    server.settings(page_size_max=2)
    for n in range(4):
        admin.clusters.create(cluster_name=f"c{n}", **spec)
    names = sorted(each.cluster_name for each in admin.clusters.list())
    require(names == ["c0", "c1", "c2", "c3", "edited"], f"listed: {names}")
    server.settings(page_size_max=1000)
    admin.clusters.permanent_delete(made.cluster_id)
    _, w, _ = loader_of(server, "user of clusters")
    refused(PermissionDenied, lambda: w.clusters.create(cluster_name="mine", **spec))
    require(list(w.clusters.list()) == [], "clusters of others are seen")


def refused_state(call):
    """The SDK has no class of its own for INVALID_STATE in all versions; a bad request it is in each."""
    try:
        call()
        raise AssertionError("a wrong state is taken")
    except BadRequest as error:
        require("unexpected state" in str(error), f"{error}")


def commands(world, server):
    """Contexts and commands, results of each type, and code that fails."""
    admin = client(server, token=server.admin_token)
    cluster = admin.clusters.create_and_wait("15.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=0, cluster_name="commands", timeout=datetime.timedelta(seconds=30))
    server.settings(context_pending_seconds=0.5, command_seconds=0.3)
    python = admin.command_execution.create_and_wait(cluster_id=cluster.cluster_id, language=compute.Language.PYTHON, timeout=datetime.timedelta(seconds=30))
    require(python.status is compute.ContextStatus.RUNNING, f"context: {python}")

    def execute(command, context=python, language=compute.Language.PYTHON):
        return admin.command_execution.execute_and_wait(
            cluster_id=cluster.cluster_id, context_id=context.id, language=language, command=command, timeout=datetime.timedelta(seconds=30))

    done = execute("print('hello')")
    require(done.results.result_type is compute.ResultType.TEXT and done.results.data == "hello", f"text: {done}")
    server.settings(command_seconds=0)
    failed = execute("raise ValueError('no')")
    require(failed.status is compute.CommandStatus.FINISHED and failed.results.result_type is compute.ResultType.ERROR and "ValueError" in failed.results.cause, f"error: {failed}")
    table = execute("SELECT 1 AS a, 'x' AS b", language=compute.Language.SQL)
    require(table.results.result_type is compute.ResultType.TABLE and table.results.data == [["1", "x"]], f"table: {table}")
    for type, results in (("image", {"fileName": "/plots/1.png"}), ("images", {"fileNames": ["/plots/1.png", "/plots/2.png"]}), ("table", {"data": [], "truncated": True})):
        server.control("POST", "commands", {"pattern": f"show {type}$", "results": {"resultType": type, **results}})
        require(execute(f"show {type}").results.result_type.value == type, f"no {type}")
    server.settings(command_seconds=60)
    waiter = admin.command_execution.execute(cluster_id=cluster.cluster_id, context_id=python.id, language=compute.Language.PYTHON, command="print(1)")
    admin.command_execution.cancel_and_wait(cluster_id=cluster.cluster_id, context_id=python.id, command_id=waiter.command_id, timeout=datetime.timedelta(seconds=30))
    server.settings(context_pending_seconds=0, command_seconds=0)
    admin.clusters.restart_and_wait(cluster.cluster_id, timeout=datetime.timedelta(seconds=30))
    refused(BadRequest, lambda: admin.command_execution.context_status(cluster.cluster_id, python.id), "ContextNotFound")
    raw = requests.get(f"{server.host}/api/1.2/commands/status?clusterId={cluster.cluster_id}&contextId=1&commandId=2",
                       headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=10)
    require(raw.status_code == 400 and set(raw.json()) == {"error"}, f"1.2 says {raw.text}")
    admin.clusters.delete_and_wait(cluster.cluster_id, timeout=datetime.timedelta(seconds=30))
    body = {"clusterId": cluster.cluster_id, "language": "python"}
    raw = requests.post(f"{server.host}/api/1.2/contexts/create", json=body, headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=10)
    require(raw.status_code == 400 and "ClusterNotReadyException" in raw.json()["error"], f"a context on a terminated cluster: {raw.text}")
