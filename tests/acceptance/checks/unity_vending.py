"""A lake whose keys Unity Catalog hands out: an S3 server that ends each session after seconds, and a daemon that never stops writing.

The stand-in workspace gives out sessions of moto's STS, for as long as the metastore and the grants allow it; the proxy before moto
refuses a session that has ended, as S3 does. What `alluvium check` says where a right is missing is tried first.
"""

import itertools
import threading
import time

from harness import moto, readers, stores
from harness.daemon import Client, free_port
from harness.expiry import ExpiryProxy
from harness.procs import require, wait_until
from harness.workspace import Workspace

LIFE, SECONDS, UNAUTHORIZED = 5, 20, 3
PATHS = "/api/2.0/unity-catalog/temporary-path-credentials"


class Keys:
    """Puts a fresh session into the stand-in every half second, so that what it hands out lives as long as it says."""

    def __init__(self, workspace, proxy, client, role):
        self._workspace, self._proxy, self._client, self._role = workspace, proxy, client, role
        self.over, self.failure = threading.Event(), None
        self._renew()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _renew(self):
        made = self._client.assume_role(RoleArn=self._role, RoleSessionName="uc", ExternalId="uc")["Credentials"]
        keys = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"], "session_token": made["SessionToken"]}
        self._workspace.settings(vended_aws=keys, vended_seconds=LIFE - 1)

    def _run(self):
        while not self.over.wait(0.5):
            try:
                self._renew()
            except Exception as error:
                self.failure = error
                return

    def stop(self):
        self.over.set()
        self._thread.join()


def run(world):
    server, workspace = world.moto(), Workspace(world.folder / "workspace")
    bucket, proxy = server.bucket("vended"), ExpiryProxy(server.port, LIFE, early=1.0)
    role, user = server.role("vended", moto.bucket_policy(bucket), "uc"), server.user("vending", moto.assume_policy())
    keys = None
    try:
        keys = Keys(workspace, proxy, server.client("sts", user, proxy.url), role)
        lander = governed(workspace, bucket)
        port = free_port()
        credentials = {"type": "unity_catalog", "connection": "prod"}
        store = stores.s3(proxy.url, bucket, credentials, url=f"s3://{bucket}/lake")  # for which they are asked
        config = stores.http_daemon(f"s3://{bucket}/lake", port, world.folder / "spool", store, more=f"""
[connections.prod]
host = "{workspace.host}"
auth = {{ type = "oauth_m2m", client_id = "{lander["client_id"]}", client_secret = "{lander["client_secret"]}" }}
""")
        refused(world, workspace, config)
        lands(world, workspace, server, proxy, bucket, config, port)
        require(keys.failure is None, f"no more sessions: {keys.failure}")
    finally:
        if keys:
            keys.stop()
        proxy.stop()
        workspace.stop()


def governed(workspace, bucket):
    for path, body in (
        ("storage-credentials", {"name": "lake", "aws_iam_role": {"role_arn": "arn:aws:iam::123456789012:role/vended"}}),
        ("external-locations", {"name": "lake", "url": f"s3://{bucket}", "credential_name": "lake"}),
    ):
        status, answer = workspace.admin("POST", f"/api/2.1/unity-catalog/{path}", body)
        require(status == 200, f"the stand-in made no {path}: {answer}")
    lander = workspace.service_principal("lander")
    workspace.grant("lander", "external_location", "lake", "ALL_PRIVILEGES")
    return lander


def refused(world, workspace, config):
    """External access is off, then the right that nothing implies is missing; each is told with what mends it."""
    code, _, said = stores.check(world, config, "a metastore that gives nothing away")
    require(code == UNAUTHORIZED and "external" in said.lower(), said)
    workspace.control("POST", "metastore", {"external_access_enabled": True})
    code, _, said = stores.check(world, config, "no right to the location")
    require(code == UNAUTHORIZED and "EXTERNAL USE LOCATION" in said, said)
    workspace.grant("lander", "external_location", "lake", "EXTERNAL_USE_LOCATION")
    code, _, said = stores.check(world, config, "all rights")
    require(code == 0, said)


def lands(world, workspace, server, proxy, bucket, config, port):
    daemon, client = world.daemon(config).start().ready(), Client(f"http://127.0.0.1:{port}")
    since, sent, end, killed = len(workspace.journal(path=PATHS)), itertools.count(), time.monotonic() + SECONDS, False
    while time.monotonic() < end:
        client.send("clicks", [{"id": next(sent)} for _ in range(50)])
        time.sleep(0.1)
        if not killed and time.monotonic() > end - SECONDS / 2:
            killed = True
            daemon.kill9()
            daemon.start().ready()
    rows = next(sent)
    code = daemon.terminate()
    require(code == 0, f"SIGTERM ended it with exit code {code}:\n{daemon.process.tail()}")
    asked = len(workspace.journal(path=PATHS)) - since
    require(asked >= SECONDS // LIFE + 1, f"credentials of {LIFE} s were asked for {asked} times in {SECONDS} s")
    refusals = sum(proxy.refused.values())
    require(refusals < asked, f"{refusals} requests bore a session that had ended, of {asked} sessions: they are not renewed ahead")
    table = server.download(bucket, "lake/clicks", world.folder / "table")
    found = wait_until(lambda: readers.count(readers.duck(), table, "count(distinct id)"), 10, "rows")
    require((found, readers.count(readers.duck(), table)) == (rows, rows), f"{found} of {rows} events landed")
    log = daemon.log.read_text()
    require(not any(token in log for token in proxy.tokens), "a key that was handed out stands in the log")
    world.note(f"{rows} events by {asked} credentials of {LIFE} s, {refusals} requests came too late and were repeated")
