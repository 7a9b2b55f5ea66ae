"""SQL: statements from their submission to their retention, results in chunks and by links, warehouses, and a restart."""

import datetime
import time
import uuid

import requests
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import iam, sql

from harness.procs import require

from .common import client, loader_of, refused, state_of


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
    server.settings(warehouse_starting_seconds=0, warehouse_stopping_seconds=0)  # the SDK looks once a second or less: it has waited once
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
