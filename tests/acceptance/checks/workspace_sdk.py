"""The vendor's own client judges the stand-in workspace: databricks-sdk-python drives each of its APIs as it would the service.

What holds here does not hold because our client agrees with it. The parts are in `sdk/`; what needs Spark is in `workspace_spark`.
"""

from harness.procs import require
from harness.workspace import Workspace

from .sdk import compute, identity, network, statements, unity

PARTS = (
    identity.connections, identity.federation, identity.azure, statements.statements, statements.links, statements.warehouses, compute.clusters, compute.commands,
    identity.people, identity.tokens, identity.account, unity.catalogs, unity.storage, unity.rights, unity.vending, network.faults, network.pages, identity.expiry,
    statements.restart,
)


def run(world):
    server = Workspace(world.folder / "workspace")
    try:
        for part in PARTS:
            part(world, server)
            server.clear_faults()
        world.note(f"{len(server.journal())} requests of databricks-sdk in {len(PARTS)} parts")
        audit(server)
    finally:
        server.stop()


def audit(server):
    """No secret stands in the journal, and the stand-in has stumbled over nothing."""
    text = server.journal_text()
    require("the stand-in stumbled" not in text and "Traceback" not in server.log.read_text(), f"it stumbled: {server.log.read_text()[-2000:]}")
    require(server.admin_token not in text and "dose" not in text and "eyJ" not in text, "a secret stands in the journal")
