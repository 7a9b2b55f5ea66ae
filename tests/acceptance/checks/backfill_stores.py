"""Files in a bucket of S3, backfilled into a table in a container of Azure by a process that is killed and goes on."""

import asyncio
import gzip
import time

from harness import events, moto, readers, stores
from harness.azurite import ACCOUNT
from harness.daemon import environment, free_port
from harness.procs import Process, require
from harness.web import Server, forward

FILES, ROWS_PER_FILE, KILLS = 10, 10_000, 3


class Versions:
    """A proxy before Azurite that counts the table's versions and takes its time with each, so that a run can be killed."""

    def __init__(self, port):
        self.upstream, self.written = port, 0
        self.server = Server(free_port(), self._handle)

    async def _handle(self, request):
        is_version = request.method == "PUT" and "/events/_delta_log/" in request.path
        if is_version:
            await asyncio.sleep(0.2)
        reply = await forward(self.upstream, request)
        self.written += is_version and reply.status == 201
        return reply


def upload(server, bucket):
    """The files, and beside them what the pattern leaves out."""
    server.bucket(bucket)
    for file in range(FILES):
        text = "\n".join(events.event(n, False) for n in range(file * ROWS_PER_FILE, (file + 1) * ROWS_PER_FILE)) + "\n"
        server.s3.put_object(Bucket=bucket, Key=f"exports/day={file}/part-00000.json.gz", Body=gzip.compress(text.encode(), 1))
    for key in ("exports/day=0/_SUCCESS", "exports/day=0/notes.txt", "other/day=0/part-00000.json.gz"):
        server.s3.put_object(Bucket=bucket, Key=key, Body=b"none of these is an event")


def run(world):
    versions = Versions(world.azurite().port)
    try:
        backfill(world, world.moto(), world.azurite(), versions)
    finally:
        versions.server.stop()


def backfill(world, source, target, versions):
    def commits():
        return versions.written

    bucket, container = "exports-of-theirs", target.container("backfill")
    upload(source, bucket)
    # Whoever only reads, needs no right to write.
    policy = moto.document(
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"})
    reader = stores.static(source.user("reader", policy))
    config = world.folder / "alluvium.toml"
    config.write_text(
        f'[lake]\nurl = "az://{container}/lake"\n[table_defaults]\nmax_commit_rows = 1000\n' + stores.s3(source.url, bucket, reader)
        + stores.azure(f"{versions.server.url}/{ACCOUNT}", container, {"type": "sas", "token": target.sas(container)}))
    pattern = f"s3://{bucket}/exports/**/*.json.gz"
    command = ["backfill", "--config", config, "--table", "events", pattern]
    code, out, error = world.cli(*command, "--dry-run")
    require(code == 0 and not target.names(container, "lake/events"), f"--dry-run ended with exit code {code} or wrote:\n{out}{error}")

    kills = 0
    while True:
        before, process = commits(), Process([world.binary, *command], world.folder / "backfill.log", cwd=world.folder, env=environment())
        end = time.monotonic() + 120
        while process.alive() and (kills >= KILLS or commits() <= before):
            require(time.monotonic() < end, f"the backfill does not end:\n{process.tail()}")
            time.sleep(0.02)
        if not process.alive():
            break
        time.sleep(world.random.uniform(0.0, 0.1))
        process.kill9()
        kills += 1
    code = process.popen.returncode
    require(code == 0, f"the backfill ended with exit code {code}:\n{process.tail()}")
    require(kills == KILLS, f"the backfill was done after {kills} kills")
    before = commits()
    code, out, error = world.cli(*command)
    require(code == 0 and commits() == before, f"a finished backfill run again is no no-op (exit code {code}):\n{out}{error}")
    scan, total = readers.scan(f"az://{container}/lake/events"), FILES * ROWS_PER_FILE
    connection = readers.duck_azure(target)
    found = connection.execute(f"select count(*), count(distinct id::bigint), sum(id::bigint) from {scan}").fetchone()
    require(found == (total, total, total * (total - 1) // 2), f"{found} instead of {total} rows, each once")
    wrong = connection.execute(f"select count(*) from {scan} where {events.mismatch('duckdb')}").fetchone()[0]
    require(wrong == 0, f"{wrong} rows hold another value than the files")
    world.note(f"{total} rows in {commits()} versions, {kills} runs killed")
