"""What goes wrong on the way, and lists in pages."""

import time

import requests
from databricks.sdk.errors import InternalError, NotFound, PermissionDenied, ResourceConflict, TemporarilyUnavailable

from harness.procs import require

from .common import client, refused, refused_code


def faults(world, server):
    """What the SDK retries it retries to the end: 429 and 503 with Retry-After, dead connections, phrases; a 500 it does not."""
    admin = client(server, token=server.admin_token)
    me = admin.current_user.me
    for fault in ({"status": 429, "retry_after": 1}, {"status": 503, "retry_after": 1}, {"reset": True}, {"lose": True}, {"status": 400, "message": "ClusterNotReadyException: wait"}):
        server.fault(path=".*/Me", **fault)
        begun = time.monotonic()
        me()
        took = time.monotonic() - begun
        require("retry_after" not in fault or took >= 1, f"{fault} was retried after {took:.1f} s")
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
