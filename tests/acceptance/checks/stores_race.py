"""Sixteen writers at one table of an object store: each version has one winner, and every row lands once.

A store that cannot promise that is refused, unless the operator vouches for a single writer.
"""

import collections

import pyarrow
import pyarrow.parquet

from harness import moto, readers, stores
from harness.azurite import ACCOUNT
from harness.daemon import Client, environment, free_port
from harness.procs import Process, require
from harness.web import Reply, Server, forward

WRITERS, ROWS = 16, 4000


class Witness:
    """A proxy that remembers how each attempt to write a version ended."""

    def __init__(self, port):
        self.upstream, self.attempts = port, collections.defaultdict(list)
        self.server = Server(free_port(), self._handle)

    async def _handle(self, request):
        try:
            reply = await forward(self.upstream, request)
        except OSError as error:
            return Reply(502, str(error).encode())
        if request.method == "PUT" and "/_delta_log/" in request.path and request.path.endswith(".json"):
            self.attempts[request.path.rsplit("/", 1)[1]].append(reply.status)
        return reply


def race(world, name, lake, store):
    """Sixteen backfills of different files at once, with commits small enough to meet."""
    inbox = world.folder / name
    inbox.mkdir()
    config = world.folder / f"{name}.toml"
    config.write_text(f'[lake]\nurl = "{lake}"\n[table_defaults]\nmax_commit_rows = 1000\n{store}')
    runs = []
    for writer in range(WRITERS):
        ids = pyarrow.array(range(writer * ROWS, (writer + 1) * ROWS), pyarrow.int64())
        path = inbox / f"{writer}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"id": ids}), path)
        command = [world.binary, "backfill", "--config", config, "--table", "race", "--run-id", f"writer-{writer}", path]
        runs.append(Process(command, world.folder / f"{name}-{writer}.log", cwd=world.folder, env=environment()))
    for run in runs:
        code = run.popen.wait(120)
        require(code == 0, f"a writer ended with exit code {code}:\n{run.tail()}")


def judge(witness, name, rows, distinct):
    require(rows == distinct == WRITERS * ROWS, f"{name}: {rows} rows, {distinct} different, of {WRITERS * ROWS}")
    versions = sorted(int(version.split(".")[0]) for version in witness.attempts)
    require(versions == list(range(len(versions))), f"{name}: the versions have gaps: {versions}")
    for version, statuses in witness.attempts.items():
        wins = sum(200 <= status < 300 for status in statuses)
        require(wins == 1, f"{name}: version {version} had {wins} winners: {statuses}")
    lost = sum(len(statuses) - 1 for statuses in witness.attempts.values())
    require(lost >= WRITERS // 2, f"{name}: only {lost} commits were lost to another writer: they did not race")
    return f"{name}: {len(versions)} versions, {lost} attempts lost to another writer"


def s3(world):
    server = world.moto()
    bucket = server.bucket("race")
    credentials = stores.static(server.user("race", moto.bucket_policy(bucket)))
    witness = Witness(server.port)
    try:
        race(world, "s3", f"s3://{bucket}/lake", stores.s3(witness.server.url, bucket, credentials, request_timeout_seconds=30))
    finally:
        witness.server.stop()
    table = server.download(bucket, "lake/race", world.folder / "s3-table")
    return witness, *world.spark().one(f"select count(*), count(distinct id) from {world.spark().table(table)}")


def azure(world):
    server = world.azurite()
    container = server.container("race")
    witness = Witness(server.port)
    try:
        sas = {"type": "sas", "token": server.sas(container)}
        race(world, "azure", f"az://{container}/lake", stores.azure(
            f"{witness.server.url}/{ACCOUNT}", container, sas, request_timeout_seconds=30))
    finally:
        witness.server.stop()
    scan = readers.scan(f"az://{container}/lake/race")
    return witness, *readers.duck_azure(server).execute(f"select count(*), count(distinct id) from {scan}").fetchone()


def unconditional(world):
    """A store that answers 501 to a conditional put."""
    server = world.moto()
    bucket = server.bucket("unconditional")
    credentials = stores.static(server.user("unconditional", moto.bucket_policy(bucket)))

    async def handle(request):
        if request.method == "PUT" and request.headers.get("if-none-match"):
            body = b"<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>"
            return Reply(501, body)
        return await forward(server.port, request)

    proxy = Server(free_port(), handle)
    try:
        for vouched in (False, True):
            port, name = free_port(), f"vouched-{vouched}"
            config = stores.http_daemon(f"s3://{bucket}/{name}", port, world.folder / name, stores.s3(
                proxy.url, bucket, credentials, single_writer=vouched))
            code, _, said = stores.check(world, config, "a store without conditional put")
            require((code == 0) == vouched, said)
            require(vouched or "single_writer" in said, said)
        daemon = world.daemon(config, "single").start().ready()
        Client(f"http://127.0.0.1:{port}").send("clicks", [{"id": n} for n in range(100)])
        code = daemon.terminate()
        require(code == 0, f"SIGTERM ended the single writer with exit code {code}:\n{daemon.process.tail()}")
    finally:
        proxy.stop()
    table = server.download(bucket, f"{name}/clicks", world.folder / "single")
    rows = readers.count(readers.duck(), table, "count(distinct id)")
    require(rows == 100, f"{rows} of 100 events of the single writer landed")


def run(world):
    unconditional(world)
    for name, store in (("s3", s3), ("azure", azure)):
        witness, rows, distinct = store(world)
        world.note(judge(witness, name, rows, distinct))
