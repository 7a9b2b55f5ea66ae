"""The vendor's own client judges the stand-in workspace: databricks-sdk-python drives each of its APIs as it would the service.

What holds here does not hold because our client agrees with it. Whatever needs Spark is in `workspace_spark`.
"""

import contextlib
import datetime
import os
import time
import uuid

import requests
from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (
    BadRequest,
    DatabricksError,
    InternalError,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceConflict,
    ResourceDoesNotExist,
    TemporarilyUnavailable,
    Unauthenticated,
)
from databricks.sdk.service import catalog, compute, iam, sql

from harness.procs import require
from harness.workspace import Workspace

DISCOVERY = "/.well-known/databricks-config"


def refused(kind, call, *texts):
    """The call fails as `kind`, in these words."""
    try:
        answer = call()
    except DatabricksError as error:
        require(type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}")
        require(all(text in str(error) for text in texts), f"the error does not say {texts}: {error}")
        return error
    raise AssertionError(f"{kind.__name__} was expected, and {answer} came")


@contextlib.contextmanager
def environment(**values):
    kept = {key: value for key, value in os.environ.items() if key.startswith(("DATABRICKS_", "ARM_"))}
    for key in kept:
        del os.environ[key]
    os.environ.update(values)
    try:
        yield
    finally:
        for key in values:
            del os.environ[key]
        os.environ.update(kept)


def client(server, **options):
    with environment():
        return WorkspaceClient(config=Config(**{"host": server.host, "retry_timeout_seconds": 20, **options}))


def run(world):
    server = Workspace(world.folder / "workspace")
    try:
        parts = (
            connections, federation, azure, statements, links, warehouses, clusters, commands, people, tokens, account, catalogs, storage, rights, vending, faults,
            pages, expiry, restart,
        )
        for part in parts:
            part(world, server)
            server.clear_faults()
        world.note(f"{len(server.journal())} requests of databricks-sdk in {len(parts)} parts")
        audit(server)
    finally:
        server.stop()


def connections(world, server):
    """OAuth with discovery, tokens, profiles, the environment, and what is wrong with each."""
    loader = server.service_principal("loader")
    secret = {"client_id": loader["client_id"], "client_secret": loader["client_secret"]}
    m2m = client(server, **secret)
    me = m2m.current_user.me()
    require((me.user_name, me.display_name) == (loader["client_id"], "loader"), f"M2M is {me}")
    require(m2m.config.auth_type == "oauth-m2m", f"by {m2m.config.auth_type}")
    asked = [entry["path"] for entry in server.journal(path="/(.well-known|oidc)")]
    require(DISCOVERY in asked and "/oidc/.well-known/oauth-authorization-server" in asked and "/oidc/v1/token" in asked, f"discovery went by {asked}")
    server.settings(expires_in_as_string=True)
    client(server, **secret).current_user.me()
    server.settings(expires_in_as_string=False)
    for style, code in (("rfc6749", "invalid_client"), ("legacy", "invalid_client")):
        server.settings(oauth_error_style=style)
        try:
            client(server, client_id=loader["client_id"], client_secret="dose-wrong").current_user.me()
            raise AssertionError("a wrong secret is taken")
        except ValueError as error:
            require(code in str(error), f"a wrong secret: {error}")
    server.settings(oauth_error_style="rfc6749", discovery=False)
    try:
        client(server, **secret)
        raise AssertionError("the SDK does without discovery after all")
    except ValueError:
        pass  # as databricks-api.md says of it
    server.settings(discovery=True)

    pat = server.token("loader")
    require(client(server, token=pat).current_user.me().user_name == loader["client_id"], "a personal access token is another's")
    refused(PermissionDenied, client(server, token="dapi" + "0" * 32).current_user.me, "Invalid access token")
    plain = requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", timeout=10)
    require(plain.status_code == 401 and plain.json()["error_code"] == 401, f"without credentials: {plain.status_code} {plain.text}")
    file = world.folder / "databrickscfg"
    file.write_text(f"[DEFAULT]\nhost = http://127.0.0.1:9\n\n[prod]\nhost = {server.host}\ntoken = {pat}\n")
    with environment(DATABRICKS_CONFIG_FILE=str(file)):
        require(WorkspaceClient(profile="prod").current_user.me().user_name == loader["client_id"], "the profile is not used")
    with environment(DATABRICKS_HOST=server.host, DATABRICKS_CLIENT_ID=loader["client_id"], DATABRICKS_CLIENT_SECRET=loader["client_secret"]):
        require(WorkspaceClient().config.auth_type == "oauth-m2m", "the environment is not used")
    user = client(server, token=server.admin_token).current_user.me()
    require(user.user_name == "admin@example.com" and "admins" in [group.display for group in user.groups], f"the administrator is {user}")


def federation(world, server):
    """A foreign token for one of ours; a token for somebody else is not."""
    loader = server.service_principal("federated")
    server.control("POST", "federation", {"client_id": loader["client_id"], "subject": "repo:alluvium", "audiences": ["stand-in"]})
    file = world.folder / "oidc-token"
    options = {"auth_type": "file-oidc", "client_id": loader["client_id"], "oidc_token_filepath": str(file)}
    file.write_text(server.control("POST", "issuer", {"claims": {"sub": "repo:alluvium", "aud": "stand-in"}})["token"])
    require(client(server, **options).current_user.me().user_name == loader["client_id"], "federation makes another of it")
    for claims in ({"sub": "repo:other", "aud": "stand-in"}, {"sub": "repo:alluvium", "aud": "other"}, {"sub": "repo:alluvium", "aud": "stand-in", "exp": 1}):
        file.write_text(server.control("POST", "issuer", {"claims": claims})["token"])
        try:
            client(server, **options).current_user.me()
            raise AssertionError(f"a token with {claims} is taken")
        except ValueError as error:
            require("invalid_grant" in str(error), f"{claims}: {error}")


def azure(world, server):
    """The tenant from the redirect, and a service principal that a management token lets in."""
    found = requests.get(f"{server.host}/aad/auth", allow_redirects=False, timeout=10)
    tenant = found.headers["Location"].split("/")[3]
    require(found.status_code == 302 and tenant == server.endpoints["tenant_id"], f"/aad/auth: {found.headers}")
    loader = server.service_principal("entra", assigned=False)
    form = {"grant_type": "client_credentials", "client_id": loader["client_id"], "client_secret": loader["client_secret"]}

    def token(resource):
        answer = requests.post(f"{server.login}/{tenant}/oauth2/token", {**form, "resource": resource}, timeout=10)
        require(answer.status_code == 200 and isinstance(answer.json()["expires_in"], str), f"Entra: {answer.text}")
        return answer.json()["access_token"]

    headers = {"Authorization": f"Bearer {token('2ff814a6-3304-4ab8-85cb-cd0e6f879c1d')}"}
    me = f"{server.host}/api/2.0/preview/scim/v2/Me"
    require(requests.get(me, headers=headers, timeout=10).status_code == 403, "a stranger of Entra is let in")
    more = {"X-Databricks-Azure-SP-Management-Token": token("https://management.core.windows.net/"), "X-Databricks-Azure-Workspace-Resource-Id": "/subscriptions/s"}
    answer = requests.get(me, headers=headers | more, timeout=10)
    require(answer.status_code == 200 and answer.json()["applicationId"] == loader["client_id"], f"by management token: {answer.text}")


def loader_of(server, name):
    """(service principal, its client, a warehouse it may use)."""
    loader = server.service_principal(name)
    warehouse = server.warehouse(f"of {name}")
    server.permit(loader["client_id"], "warehouses", warehouse, "CAN_USE")
    return loader, client(server, client_id=loader["client_id"], client_secret=loader["client_secret"]), warehouse


def state_of(response):
    return response.status.state.value


def statements(world, server):
    """Waiting, polling, cancelling, failing; parameters; who may."""
    _, w, warehouse = loader_of(server, "statements")
    execute = w.statement_execution.execute_statement
    typed = [sql.StatementParameterListItem("a", "INT", "7"), sql.StatementParameterListItem("b", value="x; --'"), sql.StatementParameterListItem("c", "DECIMAL(10,2)", "1.50"),
             sql.StatementParameterListItem("d", "DATE")]
    found = execute("SELECT :a AS a, :b AS b, :c AS c, :d AS d, :a AS again", warehouse, parameters=typed)
    require(state_of(found) == "SUCCEEDED" and found.result.data_array == [["7", "x; --'", "1.50", None, "7"]], f"parameters: {found}")
    shown = [(column.name, column.type_name.value, column.type_text) for column in found.manifest.schema.columns]
    require(shown[:3] == [("a", "INT", "INT"), ("b", "STRING", "STRING"), ("c", "DECIMAL", "DECIMAL(3,2)")], f"columns: {shown}")
    failures = {
        "SELECT :nobody": ("UNBOUND_SQL_PARAMETER", "42P02"), "SELEC 1": ("", None), "SELECT 1; SELECT 2": ("PARSE_SYNTAX_ERROR", "42601"), "": ("PARSE_SYNTAX_ERROR", "42601"),
    }
    for text, (condition, sql_state) in failures.items():
        found = execute(text, warehouse)
        require(state_of(found) == "FAILED" and condition in found.status.error.message, f"{text}: {found.status}")
        require(sql_state in (None, found.status.sql_state) and found.manifest is None and found.result is None, f"{text}: {found}")
    for type, value, condition in (("BINARY", "x", "INVALID_DATA_TYPE"), ("INT", "12a", "INVALID_VALUE_FOR_DATA_TYPE"), ("TINYINT", "128", "INVALID_VALUE_FOR_DATA_TYPE")):
        found = execute("SELECT :p", warehouse, parameters=[sql.StatementParameterListItem("p", type, value)])
        require(state_of(found) == "FAILED" and condition in found.status.error.message, f"{type} {value}: {found.status}")

    server.settings(statement_running_seconds=30)
    pending = execute("SELECT 1", warehouse, wait_timeout="0s")
    require(state_of(pending) == "PENDING" and pending.manifest is None, f"0s gives {pending}")
    wait_state(w, pending.statement_id, "RUNNING")
    server.advance(31)
    wait_state(w, pending.statement_id, "SUCCEEDED")
    running = execute("SELECT 2", warehouse, wait_timeout="0s")
    w.statement_execution.cancel_execution(running.statement_id)
    wait_state(w, running.statement_id, "CANCELED")
    w.statement_execution.cancel_execution(running.statement_id)
    w.statement_execution.cancel_execution(str(uuid.uuid4()))  # accepted for every id
    begun = time.monotonic()
    canceled = execute("SELECT 3", warehouse, wait_timeout="5s", on_wait_timeout=sql.ExecuteStatementRequestOnWaitTimeout.CANCEL)
    require(state_of(canceled) == "CANCELED" and 4 < time.monotonic() - begun < 9, f"CANCEL after {time.monotonic() - begun:.1f} s: {canceled.status}")
    server.settings(cancel_loses=True)
    racing = execute("SELECT 4", warehouse, wait_timeout="0s")
    wait_state(w, racing.statement_id, "RUNNING")
    w.statement_execution.cancel_execution(racing.statement_id)
    server.advance(31)
    wait_state(w, racing.statement_id, "SUCCEEDED")
    server.settings(statement_running_seconds=0, cancel_loses=False)

    script = "select from the script"
    server.script(script, error={"message": "[TABLE_OR_VIEW_NOT_FOUND] no. SQLSTATE: 42P01", "sql_state": "42P01"}, times=1)
    require(execute(script, warehouse).status.sql_state == "42P01", "the written error is not told")
    refused(InvalidParameterValue, lambda: execute("SELECT 1", warehouse, wait_timeout="3s"), "between 5 seconds and 50 seconds")
    refused(InvalidParameterValue, lambda: execute("SELECT 1", "nonsense"), "is not a valid endpoint id")
    refused(PermissionDenied, lambda: execute("SELECT 1", "0123456789abcdef"), "permission to use the SQL Warehouse")
    refused(BadRequest, lambda: w.api_client.do("POST", "/api/2.0/sql/statements", body={"warehouse_id": warehouse}), "statement")
    refused(InvalidParameterValue, lambda: execute("SELECT 1", warehouse, format=sql.Format.CSV), "JSON_ARRAY")
    refused(InvalidParameterValue, lambda: execute("SELECT 1", warehouse, row_limit=-1))
    refused(NotFound, lambda: w.statement_execution.get_statement(str(uuid.uuid4())))
    _, other, _ = loader_of(server, "another")
    refused(NotFound, lambda: other.statement_execution.get_statement(racing.statement_id))
    refused(PermissionDenied, lambda: other.statement_execution.execute_statement("SELECT 1", warehouse), "permission to use")
    w = client(server, token=server.token("statements"))
    server.advance(3700)
    require(state_of(w.statement_execution.get_statement(racing.statement_id)) == "CLOSED", "a result is kept for ever")
    server.advance(12 * 3600)
    refused(NotFound, lambda: w.statement_execution.get_statement(racing.statement_id))


def wait_state(w, id, wanted):
    for _ in range(100):
        state = state_of(w.statement_execution.get_statement(id))
        if state == wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"statement {id} is {state}, not {wanted}")


def links(world, server):
    """Chunks, inline and by links; a link takes no token, and ends."""
    _, w, warehouse = loader_of(server, "links")
    rows = [[str(n), None if n % 3 == 0 else f'"{n}",\n'] for n in range(25)]
    server.settings(chunk_rows=10)
    server.script("FROM big", columns=[["n", "INT"], ["s", "STRING"]], rows=rows, times=None)
    w.statement_execution.execute_statement("SELECT 1", warehouse)  # it starts
    inline = w.statement_execution.execute_statement("SELECT * FROM big", warehouse)
    require(inline.manifest.total_chunk_count == 3 and inline.manifest.total_row_count == 25, f"chunks: {inline.manifest}")
    found, result = [], inline.result
    while True:
        found += result.data_array
        if result.next_chunk_index is None:
            break
        require(result.next_chunk_internal_link.endswith(f"/{result.next_chunk_index}"), f"next: {result.next_chunk_internal_link}")
        result = w.statement_execution.get_statement_result_chunk_n(inline.statement_id, result.next_chunk_index)
    require(found == rows, "inline chunks lose rows")
    refused(InvalidParameterValue, lambda: w.statement_execution.get_statement_result_chunk_n(inline.statement_id, 3), "out of bounds")
    limited = w.statement_execution.execute_statement("SELECT * FROM big", warehouse, row_limit=4)
    require(limited.manifest.truncated and len(limited.result.data_array) == 4, f"row_limit: {limited.manifest}")

    server.settings(link_headers={"x-stand-in-key": "k-71"})
    for format in (sql.Format.JSON_ARRAY, sql.Format.CSV, sql.Format.ARROW_STREAM):
        external = w.statement_execution.execute_statement("SELECT * FROM big", warehouse, disposition=sql.Disposition.EXTERNAL_LINKS, format=format)
        data, index = [], 0
        while index is not None:
            link, = w.statement_execution.get_statement_result_chunk_n(external.statement_id, index).external_links
            answer = requests.get(link.external_link, headers=link.http_headers, timeout=10)
            require(answer.status_code == 200 and len(answer.content) == link.byte_count, f"link: {answer.status_code} {answer.text}")
            data.append(answer.content)
            index = link.next_chunk_index
        require(len(data) == 3, f"{format}: {len(data)} chunks")
        if format is sql.Format.CSV:
            require(data[0].startswith(b"n,s\n0,null\n") and not data[1].startswith(b"n,s"), f"CSV: {data[0][:40]} {data[1][:40]}")
    require(requests.get(link.external_link, headers={**link.http_headers, "Authorization": "Bearer x"}, timeout=10).status_code == 400, "a link takes a token")
    require(requests.get(link.external_link, timeout=10).status_code == 403, "a link does without its headers")
    require(requests.get(link.external_link[:-1] + "0", headers=link.http_headers, timeout=10).status_code in (403,), "a link takes any signature")
    ends = datetime.datetime.fromisoformat(link.expiration)
    server.advance(901)
    require(requests.get(link.external_link, headers=link.http_headers, timeout=10).status_code == 403, f"a link lives after {ends}")
    fresh, = w.statement_execution.get_statement_result_chunk_n(external.statement_id, 2).external_links
    require(requests.get(fresh.external_link, headers=fresh.http_headers, timeout=10).status_code == 200, "a link anew is refused")
    server.settings(inline_limit_bytes=100)
    large = w.statement_execution.execute_statement("SELECT * FROM big", warehouse)
    require(state_of(large) == "FAILED" and "Inline byte limit" in large.status.error.message, f"a large result: {large.status}")
    server.settings(inline_limit_bytes=25 << 20, chunk_rows=10_000, link_headers={})
    server.control("DELETE", "script")


def warehouses(world, server):
    """Made, changed, started, stopped, left alone until they stop by themselves, and what that costs."""
    admin = client(server, token=server.admin_token)
    made = admin.warehouses.create_and_wait(name="made", cluster_size="2X-Small", auto_stop_mins=10, max_num_clusters=1, timeout=datetime.timedelta(seconds=30))
    require(made.state is sql.State.RUNNING and made.odbc_params.path == f"/sql/1.0/warehouses/{made.id}", f"made: {made}")
    refused(InvalidParameterValue, lambda: admin.warehouses.create(name="made", cluster_size="Small"), "already exists")
    refused(InvalidParameterValue, lambda: admin.warehouses.create(name="odd", cluster_size="Huge"))
    refused(InvalidParameterValue, lambda: admin.warehouses.create(name="odd", cluster_size="Small", auto_stop_mins=5))
    before = server.used_seconds(made.id)
    server.advance(3600)
    stopped = admin.warehouses.get(made.id)
    require(stopped.state is sql.State.STOPPED, f"after an hour at rest it is {stopped.state}")
    used = server.used_seconds(made.id) - before
    require(595 <= used <= 605, f"ten minutes to its stop cost {used} s")
    server.advance(86400)
    require(server.used_seconds(made.id) - before == used, "a stopped warehouse costs")
    answer = admin.statement_execution.execute_statement("SELECT 1", made.id)  # starts it
    require(answer.status.state is sql.StatementState.SUCCEEDED and admin.warehouses.get(made.id).state is sql.State.RUNNING, f"{answer.status}")
    admin.warehouses.edit(made.id, name="renamed", cluster_size="Small", auto_stop_mins=20)
    require(admin.warehouses.wait_get_warehouse_running(made.id, timeout=datetime.timedelta(seconds=30)).name == "renamed", "not renamed")
    admin.warehouses.stop_and_wait(made.id, timeout=datetime.timedelta(seconds=30))
    admin.warehouses.start_and_wait(made.id, timeout=datetime.timedelta(seconds=30))
    _, w, own = loader_of(server, "user of warehouses")
    require(made.id not in [each.id for each in w.warehouses.list()] and own in [each.id for each in w.warehouses.list()], "a list shows what one may not see")
    refused(PermissionDenied, lambda: w.warehouses.stop(own))
    refused(PermissionDenied, lambda: w.warehouses.create(name="mine", cluster_size="Small"))
    admin.permissions.update("warehouses", made.id, access_control_list=[iam.AccessControlRequest(group_name="users", permission_level=iam.PermissionLevel.CAN_MANAGE)])
    w.warehouses.stop(made.id)
    admin.warehouses.delete(made.id)
    server.advance(5)
    refused(ResourceDoesNotExist, lambda: admin.warehouses.get(made.id))
    refused(InvalidParameterValue, lambda: admin.warehouses.get("xyz"), "is not a valid endpoint id")


def clusters(world, server):
    """States, edits that restart, lists, and what is said of a cluster that is not there."""
    admin = client(server, token=server.admin_token)
    spec = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
    made = admin.clusters.create_and_wait(cluster_name="loader", autotermination_minutes=30, spark_conf={"a": "b"}, timeout=datetime.timedelta(seconds=30), **spec)
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


def people(world, server):
    """SCIM: service principals made, found by filters and in pages, changed and deleted by their numeric id."""
    admin = client(server, token=server.admin_token)
    made = admin.service_principals_v2.create(display_name="Segment Storage Destinations", active=True)
    require(made.id.isdecimal() and made.application_id.count("-") == 4, f"made: {made}")
    add = iam.Patch(op=iam.PatchOp.ADD, path="entitlements", value=[{"value": "allow-cluster-create"}, {"value": "databricks-sql-access"}])
    admin.service_principals_v2.patch(made.id, operations=[add], schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP])
    found = admin.service_principals_v2.get(made.id)
    require(sorted(each.value for each in found.entitlements) == ["allow-cluster-create", "databricks-sql-access"], f"entitled: {found}")
    remove = iam.Patch(op=iam.PatchOp.REMOVE, path='entitlements[value eq "allow-cluster-create"]')
    admin.service_principals_v2.patch(made.id, operations=[remove], schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP])
    require([each.value for each in admin.service_principals_v2.get(made.id).entitlements] == ["databricks-sql-access"], "an entitlement stays")
    for n in range(5):
        admin.service_principals_v2.create(display_name=f"page {n}")
    server.settings(page_size_max=2)
    names = [each.display_name for each in admin.service_principals_v2.list(filter='displayName sw "page "')]
    require(names == [f"page {n}" for n in range(5)], f"by filter and page: {names}")
    server.settings(page_size_max=1000)
    filters = {
        f'applicationId eq "{made.application_id}"': 1, 'displayName co "Storage" and active eq true': 1, 'displayName eq "page 1" or displayName eq "page 2"': 2,
        'displayName eq "none"': 0, 'displayName ne "page 0" and displayName sw "page"': 4,
    }
    for filter, count in filters.items():
        seen = list(admin.service_principals_v2.list(filter=filter))
        require(len(seen) == count, f"{filter} finds {len(seen)}")
    refused(BadRequest, lambda: list(admin.service_principals_v2.list(filter="displayName like x")))
    admin.service_principals_v2.update(made.id, display_name="renamed", active=True)
    require(admin.service_principals_v2.get(made.id).display_name == "renamed", "not renamed")
    refused(NotFound, lambda: admin.service_principals_v2.delete(made.application_id))  # which the seed document prints
    server.permit(made.id, "authorization", "tokens", "CAN_USE")
    token = admin.token_management.create_obo_token(made.application_id, comment="soon gone")
    admin.service_principals_v2.delete(made.id)
    refused(PermissionDenied, client(server, token=token.token_value).current_user.me)
    refused(NotFound, lambda: admin.service_principals_v2.get(made.id))
    _, w, _ = loader_of(server, "no administrator")
    refused(PermissionDenied, lambda: w.service_principals_v2.create(display_name="mine"))


def tokens(world, server):
    """On behalf of others, one's own, the switches of the workspace, and the permission to use tokens at all."""
    admin = client(server, token=server.admin_token)
    loader, w, _ = loader_of(server, "of tokens")
    refused(PermissionDenied, lambda: w.tokens.create(comment="without CAN_USE"))
    refused(PermissionDenied, lambda: admin.token_management.create_obo_token(loader["client_id"], comment="without CAN_USE"))
    admin.permissions.update("authorization", "tokens", access_control_list=[
        iam.AccessControlRequest(service_principal_name=loader["client_id"], permission_level=iam.PermissionLevel.CAN_USE)])
    entries = admin.permissions.get("authorization", "tokens").access_control_list
    require(loader["client_id"] in [each.service_principal_name for each in entries], f"permissions: {entries}")
    made = admin.token_management.create_obo_token(loader["client_id"], comment="Grants until 12/21", lifetime_seconds=7776000)
    require(made.token_info.expiry_time - made.token_info.creation_time == 7776000 * 1000 and made.token_value.startswith("dapi"), f"made: {made}")
    require(client(server, token=made.token_value).current_user.me().user_name == loader["client_id"], "on behalf of another")
    eternal = admin.token_management.create_obo_token(loader["client_id"], comment="for ever")
    require(eternal.token_info.expiry_time == -1, f"for ever: {eternal.token_info}")
    admin_id = admin.current_user.me().id
    listed = [each.token_id for each in admin.token_management.list(created_by_id=int(admin_id))]
    require(made.token_info.token_id in listed, "not listed")
    require(admin.token_management.get(made.token_info.token_id).token_info.owner_id == int(loader["scim_id"]), "another's")
    admin.token_management.delete(eternal.token_info.token_id)
    refused(PermissionDenied, client(server, token=eternal.token_value).current_user.me)
    refused(ResourceDoesNotExist, lambda: admin.token_management.delete(eternal.token_info.token_id))
    refused(ResourceDoesNotExist, lambda: admin.token_management.create_obo_token(str(uuid.uuid4())))
    own = w.tokens.create(comment="mine", lifetime_seconds=60)
    require([each.token_id for each in w.tokens.list() if each.comment == "mine"] == [own.token_info.token_id], "one's own is not listed")
    w.tokens.delete(own.token_info.token_id)
    own = w.tokens.create(comment="soon over", lifetime_seconds=60)
    server.advance(61)
    refused(PermissionDenied, client(server, token=own.token_value).current_user.me)
    refused(PermissionDenied, lambda: list(w.token_management.list()))
    admin.workspace_conf.set_status({"maxTokenLifetimeDays": "90"})
    require(admin.workspace_conf.get_status("enableTokensConfig,maxTokenLifetimeDays") == {"enableTokensConfig": "true", "maxTokenLifetimeDays": "90"}, "switches")
    refused(InvalidParameterValue, lambda: w.tokens.create(lifetime_seconds=91 * 86400))
    admin.workspace_conf.set_status({"maxTokenLifetimeDays": ""})
    server.settings(token_quota=3)
    with contextlib.suppress(DatabricksError):
        for _ in range(4):
            w.tokens.create()
    error = None
    try:
        w.tokens.create()
    except DatabricksError as refusal:
        error = refusal
    require(error is not None and error.error_code == "QUOTA_EXCEEDED", f"over the quota: {error}")
    server.settings(token_quota=600)


def account(world, server):
    """The account's own tokens, principals, secrets and assignments; a token of one level is no good at the other."""
    with environment():
        boss = server.control("POST", "principals", {"display_name": "account administrator", "account_admin": True})
        secret = server.control("POST", "secrets", {"principal": boss["id"]})
        options = {"account_id": server.endpoints["account_id"], "client_id": secret["client_id"], "client_secret": secret["client_secret"], "retry_timeout_seconds": 20}
        for shown in ("literal", "placeholder"):
            server.settings(account_id_in_discovery=shown)
            accounts = AccountClient(config=Config(host=server.account, **options))
            made = accounts.service_principals_v2.create(display_name=f"of the account, {shown}")
        require(made.application_id in [each.application_id for each in accounts.service_principals_v2.list()], "not listed")
        credential = accounts.service_principal_secrets.create(made.id, lifetime="7776000s")
        require(credential.secret.startswith("dose") and credential.status == "ACTIVE", f"secret: {credential}")
        inside = {"client_id": made.application_id, "client_secret": credential.secret}
        try:
            client(server, **inside).current_user.me()
            raise AssertionError("whom the workspace does not know is let in")
        except ValueError as error:
            require("invalid_client" in str(error), f"{error}")
        workspace = int(server.endpoints["workspace_id"])
        accounts.workspace_assignment.update(workspace, int(made.id), permissions=[iam.WorkspacePermission.USER])
        require(client(server, **inside).current_user.me().user_name == made.application_id, "not assigned")
        require(int(made.id) in [each.principal.principal_id for each in accounts.workspace_assignment.list(workspace)], "no assignment")
        for _ in range(4):
            accounts.service_principal_secrets.create(made.id)
        try:
            accounts.service_principal_secrets.create(made.id)
            raise AssertionError("six secrets")
        except DatabricksError as error:
            require(error.error_code == "QUOTA_EXCEEDED", f"six secrets: {error}")
        accounts.service_principal_secrets.delete(made.id, credential.id)
        require(len(list(accounts.service_principal_secrets.list(made.id))) == 4, "a secret stays")
        level = accounts.config.authenticate()
        answer = requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", headers=level, timeout=10)
        require(answer.status_code == 403, f"a token of the account at the workspace: {answer.status_code}")
        of_workspace = client(server, client_id=secret["client_id"], client_secret=secret["client_secret"]).config.authenticate()
        path = f"/api/2.0/accounts/{server.endpoints['account_id']}/scim/v2/ServicePrincipals"
        answer = requests.get(f"{server.account}{path}", headers=of_workspace, timeout=10)
        require(answer.status_code == 403, f"a token of the workspace at the account: {answer.status_code}")
        accounts.service_principals_v2.delete(made.id)


def catalogs(world, server):
    """Metastore, catalogs, schemas and tables, and the words for what is not there."""
    admin = client(server, token=server.admin_token)
    summary = admin.metastores.summary()
    require(summary.metastore_id == admin.metastores.current().metastore_id and summary.external_access_enabled is False, f"metastore: {summary}")
    server.control("POST", "metastore", {"assigned": False})
    error = refused(NotFound, admin.metastores.current)
    require(error.error_code == "METASTORE_DOES_NOT_EXIST", f"no metastore: {error.error_code}")
    server.control("POST", "metastore", {"assigned": True})
    made = admin.catalogs.create("Bronze", comment="events")
    require(made.name == "bronze" and {each.name for each in admin.schemas.list("bronze")} == {"default", "information_schema"}, f"made: {made}")
    error = refused(BadRequest, lambda: admin.catalogs.create("bronze"), "already exists")
    require(error.error_code == "CATALOG_ALREADY_EXISTS", f"{error.error_code}")
    schema = admin.schemas.create("web", "bronze", comment="of the web site")
    require(schema.full_name == "bronze.web" and admin.schemas.get("bronze.web").comment == "of the web site", f"schema: {schema}")
    for call, code in ((lambda: admin.catalogs.get("none"), "CATALOG"), (lambda: admin.schemas.get("bronze.none"), "SCHEMA"), (lambda: admin.tables.get("bronze.web.none"), "TABLE")):
        error = refused(NotFound, call, "does not exist")
        require(error.error_code == f"{code}_DOES_NOT_EXIST", f"{error.error_code}")
    require(admin.tables.exists("bronze.web.none").table_exists is False, "what is not there exists")
    refused(NotFound, lambda: admin.tables.exists("bronze.none.t"))
    for name in ("a.b", "a b", "a/b", "x" * 256, "\x7f"):
        refused(InvalidParameterValue, lambda name=name: admin.schemas.create(name, "bronze"))
    admin.catalogs.update("bronze", comment="changed")
    require(admin.catalogs.get("BRONZE").comment == "changed", "not changed")
    error = refused_code(lambda: admin.catalogs.delete("bronze"))
    require("not empty" in str(error), f"{error}")
    admin.catalogs.delete("bronze", force=True)
    refused(NotFound, lambda: admin.schemas.get("bronze.web"))


def refused_code(call):
    try:
        call()
    except DatabricksError as error:
        return error
    raise AssertionError("it is taken")


def storage(world, server):
    """Storage credentials, external locations, and the check of one with the other."""
    admin = client(server, token=server.admin_token)
    role = catalog.AwsIamRoleRequest("arn:aws:iam::123456789012:role/lake")
    made = admin.storage_credentials.create("lake", aws_iam_role=role)
    require(made.aws_iam_role.external_id == server.endpoints["account_id"] and ":role/unity-catalog-" in made.aws_iam_role.unity_catalog_iam_arn, f"credential: {made}")
    location = admin.external_locations.create("lake", "s3://lake/tables/", "lake")
    require(location.url == "s3://lake/tables" and location.credential_name == "lake", f"location: {location}")
    refused(InvalidParameterValue, lambda: admin.external_locations.create("inner", "s3://lake/tables/inner", "lake"), "overlaps")
    refused(NotFound, lambda: admin.external_locations.create("other", "s3://other", "nobody"))
    checked = admin.storage_credentials.validate(storage_credential_name="lake", external_location_name="lake")
    require({each.result.value for each in checked.results} == {"PASS"}, f"checked: {checked}")
    server.settings(storage_failures={"lake": ["WRITE"]})
    checked = admin.storage_credentials.validate(storage_credential_name="lake", url="s3://lake/tables/x")
    require([each.operation.value for each in checked.results if each.result.value == "FAIL"] == ["WRITE"], f"checked: {checked}")
    refused(PermissionDenied, lambda: admin.external_locations.create("bad", "s3://bad", "lake"))
    admin.external_locations.create("bad", "s3://bad", "lake", skip_validation=True)
    server.settings(storage_failures={})
    require({each.name for each in admin.external_locations.list()} == {"lake", "bad"}, "locations")
    refused_code(lambda: admin.storage_credentials.delete("lake"))
    admin.external_locations.delete("bad")


def rights(world, server):
    """Grants, inherited and not; every right of SQL and REST that a loader needs, missed in turn and said in words."""
    admin = client(server, token=server.admin_token)
    loader, w, warehouse = loader_of(server, "of rights")
    who = loader["client_id"]
    admin.catalogs.create("segment")
    location = "s3://lake/tables/orders"

    def execute(text):
        answer = w.statement_execution.execute_statement(text, warehouse)
        return (answer.status.error.message if answer.status.error else "", answer.status.sql_state)

    def grant(type, name, *privileges):
        changes = [catalog.PermissionsChange(principal=who, add=[catalog.Privilege(each) for each in privileges])]
        return admin.grants.update(type, name, changes=changes)

    steps = (
        ("CREATE SCHEMA IF NOT EXISTS segment.web", "USE CATALOG on Catalog 'segment'", "catalog", "segment", "USE_CATALOG"),
        ("CREATE SCHEMA IF NOT EXISTS segment.web", "CREATE SCHEMA on Catalog 'segment'", "catalog", "segment", "CREATE_SCHEMA"),
        (f"CREATE TABLE IF NOT EXISTS segment.web.orders (id BIGINT) USING DELTA LOCATION '{location}'", "CREATE EXTERNAL TABLE on External Location 'lake'",
         "external_location", "lake", "CREATE_EXTERNAL_TABLE"),
    )
    for text, words, type, name, privilege in steps:
        message, sql_state = execute(text)
        require(words in message and sql_state == "42501", f"{text} without {privilege}: {message}")
        grant(type, name, privilege)
        if privilege == "CREATE_SCHEMA":
            require(execute(text) == ("", None), f"{text} with all rights fails")
    require(execute(steps[-1][0]) == ("", None), "with all rights it fails")
    require(execute(steps[-1][0]) == ("", None), "twice it fails")
    table = admin.tables.get("segment.web.orders")
    require((table.storage_location, table.table_type.value, table.owner) == (location, "EXTERNAL", who), f"table: {table}")
    require([(each.name, each.type_name.value) for each in table.columns] == [("id", "LONG")], f"columns: {table.columns}")
    require(execute("ALTER TABLE segment.web.orders ADD COLUMNS (`x y` STRING COMMENT 'it''s', n INT)") == ("", None), "its owner may not alter it")
    require([each.name for each in admin.tables.get("segment.web.orders").columns] == ["id", "x y", "n"], "not added")
    message, _ = execute("ALTER TABLE segment.web.orders ADD COLUMNS (N INT)")
    require("FIELD_ALREADY_EXISTS" in message, f"a column twice: {message}")
    message, _ = execute("CREATE TABLE segment.web.second (id INT) USING DELTA LOCATION 's3://lake/tables/orders/below'")
    require("overlaps" in message, f"a table in a table: {message}")
    message, _ = execute("CREATE TABLE segment.web.second (id INT) USING DELTA LOCATION 's3://elsewhere/x'")
    require("No parent external location" in message, f"a table nowhere: {message}")

    _, other, other_warehouse = loader_of(server, "a stranger")
    found = other.statement_execution.execute_statement("ALTER TABLE segment.web.orders ADD COLUMNS (z INT)", other_warehouse)
    require("TABLE_OR_VIEW_NOT_FOUND" in found.status.error.message, f"a stranger is told: {found.status.error}")
    refused(PermissionDenied, lambda: other.tables.get("segment.web.orders"), "USE CATALOG")
    server.grant("a stranger", "catalog", "segment", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    found = other.statement_execution.execute_statement("ALTER TABLE segment.web.orders ADD COLUMNS (z INT)", other_warehouse)
    require("[INSUFFICIENT_PERMISSIONS]" in found.status.error.message and "MODIFY on Table" in found.status.error.message, f"without MODIFY: {found.status.error}")

    effective = admin.grants.get_effective("table", "segment.web.orders")
    inherited = {(entry.privilege.value, entry.inherited_from_name) for each in effective.privilege_assignments for entry in each.privileges}
    require(("SELECT", "segment") in inherited, f"effective: {inherited}")
    orders = {tuple(each.value for each in admin.grants.get("catalog", "segment").privilege_assignments[0].privileges) for _ in range(20)}
    require(len(orders) > 1, "privileges come in one order always")
    refused(InvalidParameterValue, lambda: grant("catalog", "segment", "READ_FILES"), "not applicable")
    refused(NotFound, lambda: admin.grants.update("catalog", "segment", changes=[catalog.PermissionsChange(principal="nobody", add=[catalog.Privilege.USE_CATALOG])]))
    both = catalog.PermissionsChange(principal=who, add=[catalog.Privilege.USE_CATALOG], remove=[catalog.Privilege.USE_CATALOG])
    refused(InvalidParameterValue, lambda: admin.grants.update("catalog", "segment", changes=[both]), "Duplicate")
    refused(PermissionDenied, lambda: w.grants.update("catalog", "segment", changes=[catalog.PermissionsChange(principal=who, add=[catalog.Privilege.MODIFY])]))
    message, _ = execute("DROP TABLE IF EXISTS segment.web.orders")
    require(message == "" and not admin.tables.exists("segment.web.orders").table_exists, f"dropped: {message}")
    granted = [f"GRANT USE SCHEMA, CREATE TABLE ON SCHEMA segment.web TO `{who}`", f"REVOKE CREATE TABLE ON SCHEMA segment.web FROM `{who}`"]
    for text in granted:
        answer = admin.statement_execution.execute_statement(text, warehouse)
        require(state_of(answer) == "SUCCEEDED", f"{text}: {answer.status}")
    require([each.value for each in admin.grants.get("schema", "segment.web").privilege_assignments[0].privileges] == ["USE_SCHEMA"], "GRANT and REVOKE")


def vending(world, server):
    """Temporary credentials: refused until the metastore and the rights that nothing implies allow them, under the version that is served."""
    admin = client(server, token=server.admin_token)
    loader, w, warehouse = loader_of(server, "of vending")
    who = loader["client_id"]
    server.grant(who, "catalog", "segment", "ALL_PRIVILEGES")
    server.grant(who, "external_location", "lake", "ALL_PRIVILEGES")
    answer = w.statement_execution.execute_statement("CREATE TABLE segment.web.vended (id INT) USING DELTA LOCATION 's3://lake/tables/vended'", warehouse)
    require(state_of(answer) == "SUCCEEDED", f"{answer.status}")
    table = w.tables.get("segment.web.vended")

    def of_table(operation=catalog.TableOperation.READ_WRITE):
        return w.temporary_table_credentials.generate_temporary_table_credentials(table_id=table.table_id, operation=operation)

    def of_path(url, operation=catalog.PathOperation.PATH_READ_WRITE):
        return w.temporary_path_credentials.generate_temporary_path_credentials(url, operation)

    error = refused(Unauthenticated, of_table, "from outside of Databricks")
    reasons = [detail.reason for detail in error.get_error_info()]
    require(reasons == ["UNITY_CATALOG_EXTERNAL_GENERATE_TABLE_CREDENTIALS_DENIED"], f"reasons: {reasons}")
    server.control("POST", "metastore", {"external_access_enabled": True})
    refused(PermissionDenied, of_table, "EXTERNAL USE SCHEMA on Schema 'segment.web'")
    refused(PermissionDenied, lambda: of_path("s3://lake/tables/new"), "EXTERNAL USE LOCATION on External Location 'lake'")
    server.grant(who, "schema", "segment.web", "EXTERNAL_USE_SCHEMA")
    server.grant(who, "external_location", "lake", "EXTERNAL_USE_LOCATION")
    vended = of_table()
    require(vended.aws_temp_credentials.session_token and vended.url == table.storage_location, f"vended: {vended}")
    require(of_path("s3://lake/tables/new").aws_temp_credentials.access_key_id.startswith("ASIA"), "a path")
    refused(InvalidParameterValue, lambda: of_path("s3://lake/tables/vended", catalog.PathOperation.PATH_CREATE_TABLE), "overlaps")
    refused(NotFound, lambda: w.temporary_table_credentials.generate_temporary_table_credentials(table_id=str(uuid.uuid4()), operation=catalog.TableOperation.READ))
    server.settings(vending_versions=["2.1"])
    error = refused(NotFound, of_table)
    require(error.error_code == "ENDPOINT_NOT_FOUND", f"{error.error_code}")
    server.settings(vending_versions=["2.0"])
    made = w.tables.create("rest", "segment", "web", catalog.TableType.EXTERNAL, catalog.DataSourceFormat.DELTA, "s3://lake/tables/rest",
                           columns=[catalog.ColumnInfo(name="id", type_name=catalog.ColumnTypeName.LONG, type_text="bigint", position=0)])
    require(made.full_name == "segment.web.rest", f"by REST: {made}")
    server.control("POST", "metastore", {"external_access_enabled": False})
    admin.catalogs.delete("segment", force=True)


def faults(world, server):
    """What the SDK retries it retries to the end: 429 and 503 with Retry-After, dead connections, phrases; a 500 it does not."""
    admin = client(server, token=server.admin_token)
    me = admin.current_user.me
    for fault in ({"status": 429, "retry_after": 1}, {"status": 503, "retry_after": 1}, {"reset": True}, {"lose": True}, {"status": 400, "message": "ClusterNotReadyException: wait"}):
        server.fault(path=".*/Me", times=2 if "retry_after" in fault else 1, **fault)
        begun = time.monotonic()
        me()
        took = time.monotonic() - begun
        require("retry_after" not in fault or took >= 2, f"{fault} was retried after {took:.1f} s")
    server.fault(path=".*/Me", status=500, message="broken")
    refused(InternalError, me, "broken")
    short = client(server, token=server.admin_token, retry_timeout_seconds=2)
    server.fault(path=".*/Me", status=503, retry_after=1, times=None)
    try:
        short.current_user.me()
        raise AssertionError("503 for ever is taken")
    except (TimeoutError, TemporarilyUnavailable):
        pass
    server.clear_faults()
    server.fault(path=".*/Me", status=409, error_code="RESOURCE_CONFLICT")
    refused(ResourceConflict, me)
    server.fault(path=".*/Me", status=403, body="<html><title>Forbidden by proxy</title></html>")
    refused(PermissionDenied, me, "Forbidden by proxy")
    server.fault(path=".*/Me", status=404, body="")
    refused(NotFound, me)
    server.fault(path=".*/Me", status=400, body="INVALID_STATE: plain words", content_type="text/plain")
    error = refused_code(me)
    require("plain words" in str(error), f"{error}")
    server.fault(path=".*/Me", delay_seconds=3)
    slow = client(server, token=server.admin_token, http_timeout_seconds=1)
    slow.current_user.me()  # again after its timeout
    error = refused(NotFound, lambda: admin.api_client.do("GET", "/api/2.0/sql/nothing"))
    require(error.error_code == "ENDPOINT_NOT_FOUND", f"{error.error_code}")
    answer = requests.get(f"{server.host}/api/2.0/sql/warehouses", headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=10)
    require("x-request-id" in answer.headers and answer.headers["x-databricks-org-id"] == server.endpoints["workspace_id"], f"{answer.headers}")


def pages(world, server):
    """Every list comes whole through small pages."""
    admin = client(server, token=server.admin_token)
    admin.catalogs.create("paged")
    for n in range(7):
        admin.schemas.create(f"s{n}", "paged")
        server.warehouse(f"paged {n}")
    whole = {each.name for each in admin.schemas.list("paged")}, {each.name for each in admin.warehouses.list()}
    for size in (1, 2, 3):
        server.settings(page_size_max=size)
        again = {each.name for each in admin.schemas.list("paged", max_results=size)}, {each.name for each in admin.warehouses.list()}
        require(again == whole and len(whole[0]) == 9, f"in pages of {size}: {again}")
    server.settings(page_size_max=1000)
    admin.catalogs.delete("paged", force=True)


def expiry(world, server):
    """OAuth tokens end by the virtual clock, and by revocation."""
    loader = server.service_principal("of a while")
    form = {"grant_type": "client_credentials", "scope": "all-apis"}

    def fresh():
        answer = requests.post(f"{server.host}/oidc/v1/token", form, auth=(loader["client_id"], loader["client_secret"]), timeout=10).json()
        require(answer["expires_in"] == 3600 and answer["token_type"] == "Bearer", f"token: {answer}")
        return {"Authorization": f"Bearer {answer['access_token']}"}

    def status(headers):
        return requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10).status_code

    headers = fresh()
    require(status(headers) == 200, "a fresh token is refused")
    server.advance(3599)
    require(status(headers) == 200, "a token ends early")
    server.advance(2)
    require(status(headers) == 401, "a token outlives its hour")
    headers = fresh()
    server.revoke(loader["client_id"])
    require(status(headers) == 401, "a revoked token is taken")
    server.control("PATCH", f"principals/{loader['scim_id']}", {"active": False})
    refused_token = requests.post(f"{server.host}/oidc/v1/token", form, auth=(loader["client_id"], loader["client_secret"]), timeout=10)
    require(refused_token.status_code == 401 and refused_token.json()["error"] == "invalid_client", f"of one who is not active: {refused_token.text}")


def restart(world, server):
    """After kill -9 all is there: principals, tokens, warehouses, rights, journal; statements that waited wait on, and what ran is aborted."""
    loader, w, warehouse = loader_of(server, "of both lives")
    server.grant("of both lives", "catalog", "main", "USE_CATALOG")
    server.settings(statement_running_seconds=60, warehouse_starting_seconds=60)
    waits = w.statement_execution.execute_statement("SELECT 'waited'", warehouse, wait_timeout="0s").statement_id
    second = server.warehouse("second of both lives", auto_stop_mins=0)
    server.permit(loader["client_id"], "warehouses", second, "CAN_USE")
    server.settings(warehouse_starting_seconds=0)
    runs = w.statement_execution.execute_statement("SELECT 'ran'", second, wait_timeout="0s").statement_id
    wait_state(w, runs, "RUNNING")
    entries, host = len(server.journal()), server.host
    server.kill9()
    server.start()
    require(server.host == host and len(server.journal()) >= entries, "another port, or the journal is gone")
    require(w.current_user.me().user_name == loader["client_id"], "the token of the first life is refused")
    found = w.statement_execution.get_statement(runs)
    require(state_of(found) == "FAILED" and found.status.error.error_code.value == "ABORTED", f"what ran: {found.status}")
    server.advance(130)
    wait_state(w, waits, "RUNNING")
    server.advance(130)
    wait_state(w, waits, "SUCCEEDED")
    require(client(server, token=server.admin_token).grants.get("catalog", "main").privilege_assignments, "grants are gone")
    server.settings(statement_running_seconds=0, warehouse_starting_seconds=1)


def audit(server):
    """No secret stands in the journal or the log."""
    text = server.journal_text()
    require(server.admin_token not in text and "dose" not in text and "eyJ" not in text, "a secret stands in the journal")
