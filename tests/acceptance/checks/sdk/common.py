"""Clients of the stand-in, and how one refusal is told from another."""

import contextlib
import os

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError

from harness.procs import require


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


def loader_of(server, name):
    """(service principal, its client, a warehouse it may use)."""
    loader = server.service_principal(name)
    warehouse = server.warehouse(f"of {name}")
    server.permit(loader["client_id"], "warehouses", warehouse, "CAN_USE")
    return loader, client(server, client_id=loader["client_id"], client_secret=loader["client_secret"]), warehouse


def state_of(response):
    return response.status.state.value


def refused_code(call):
    try:
        call()
    except DatabricksError as error:
        return error
    raise AssertionError("it is taken")
