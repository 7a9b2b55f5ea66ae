"""Roles of S3: with an external id, chained, and with one right less than needed, as `alluvium check` tells."""

import re

from harness import moto, readers, stores
from harness.daemon import Client, free_port
from harness.expiry import ExpiryProxy
from harness.procs import require
from harness.web import Headers, Reply, Server, forward

UNAUTHORIZED = 3
# Without these tables are landed all the same, and what fails or is swept stays: a warning.
DISPENSABLE = ("s3:DeleteObject", "s3:AbortMultipartUpload")


def lands(world, name, credentials, bucket):
    """A daemon lands events by these credentials; returns it, ended."""
    server, port = world.moto(), free_port()
    config = stores.http_daemon(f"s3://{bucket}/{name}", port, world.folder / f"spool-{name}", stores.s3(server.url, bucket, credentials))
    daemon = world.daemon(config, name).start().ready()
    Client(f"http://127.0.0.1:{port}").send("clicks", [{"id": n} for n in range(1000)])
    code = daemon.terminate()
    require(code == 0, f"{name}: SIGTERM ended it with exit code {code}:\n{daemon.process.tail()}")
    table = server.download(bucket, f"{name}/clicks", world.folder / f"{name}-table")
    rows = readers.count(readers.duck(), table, "count(distinct id)")
    require(rows == 1000, f"{name}: {rows} of 1000 events landed")
    return daemon


def rights_named(document):
    """Those that findings say are missing or to be granted."""
    texts = (f"{finding['message']} {finding['remedy']}" for finding in stores.findings(document))
    return {right for text in texts for right in re.findall(r"(?:the right|grant) (s3:[A-Za-z]+)", text)}


def region(world, server, bucket):
    """A bucket in another region: the error names it."""
    text = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'"
    body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>{text}</Message><Region>eu-central-1</Region></Error>".encode()

    async def handle(request):
        there = "/eu-central-1/s3/" in request.headers.get("authorization", "")
        headers = Headers([("x-amz-bucket-region", "eu-central-1"), ("Content-Type", "application/xml")])
        return await forward(server.port, request) if there else Reply(400, body, headers)

    proxy = Server(free_port(), handle)
    try:
        credentials = stores.static(server.user("somewhere", moto.bucket_policy(bucket)))
        for given, wanted in (("us-east-1", 2), ("eu-central-1", 0)):
            store = stores.s3(proxy.url, bucket, credentials, region=given)
            config = stores.http_daemon(f"s3://{bucket}/region", free_port(), world.folder / "spool-region", store)
            code, _, said = stores.check(world, config, f"the region {given}")
            require(code == wanted and (code == 0 or "eu-central-1" in said), said)
    finally:
        proxy.stop()


def run(world):
    sts = ExpiryProxy.lasting(world.moto().port)
    try:
        roles(world, world.moto(), sts)
    finally:
        sts.stop()


def roles(world, server, sts):
    bucket = server.bucket("roles")
    user = server.user("loader", moto.assume_policy())
    source = stores.static(user)
    lander = server.role("lander", moto.bucket_policy(bucket), "the-external-id")
    daemon = lands(world, "assumed", stores.role(lander, "the-external-id", sts.url, source), bucket)
    first = server.role("first", moto.assume_policy(), "outer")
    second = server.role("second", moto.bucket_policy(bucket), "inner")
    lands(world, "chained", stores.role(second, "inner", sts.url, stores.role(first, "outer", sts.url, source)), bucket)

    good = daemon.config.read_text()
    code, document, said = stores.check(world, good, "the right external id")
    require(code == 0, said)
    code, out, error = world.cli("check", "--config", daemon.config)
    require(code == 0 and "Success!" in out, f"`alluvium check` ended with exit code {code} and does not say Success!:\n{out}{error}")
    code, document, said = stores.check(world, good.replace("the-external-id", "another-id"), "a wrong external id")
    require(code == UNAUTHORIZED and lander in said and "external" in said.lower(), said)

    region(world, server, bucket)
    found = []
    for right in (*moto.OBJECT_RIGHTS, *moto.BUCKET_RIGHTS):
        server.rights("lander", moto.bucket_policy(bucket, (right,)))
        code, document, said = stores.check(world, good, f"no {right.split(':')[1]}")
        wanted = 0 if right in DISPENSABLE else UNAUTHORIZED
        if rights_named(document) != {right} or code != wanted:
            found.append(f"without {right}: exit code {code}, names {sorted(rights_named(document))}: {said}")
    require(not found, "\n".join(found))
    server.rights("lander", moto.bucket_policy(bucket))
    # What a probe could not take away for want of a right, stays; with all rights nothing may be left behind.
    before = remains(server, bucket)
    code, document, said = stores.check(world, good, "all rights again", "--thorough")
    require(code == 0 and "1001 objects" in said, said)
    more = remains(server, bucket) - before
    require(not more, f"the probe left behind {sorted(more)}")


def remains(server, bucket):
    """What probes have left: objects, and uploads that were begun."""
    uploads = {upload["UploadId"] for upload in server.unfinished_uploads(bucket)}
    return uploads | {key for key in server.keys(bucket) if "_alluvium_probe" in key}
