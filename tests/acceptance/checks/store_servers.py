"""The servers of the object-store checks do what those checks rely on, as their own clients see it: boto3 and azure-storage-blob."""

import datetime
import json
import time
import urllib.error
import urllib.request

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from botocore.exceptions import BotoCoreError, ClientError

from harness import landing_zone, moto, network
from harness.azurite import now
from harness.expiry import EXPIRED, UNKNOWN, ExpiryProxy
from harness.landing_zone import LandingZone
from harness.procs import require


def refused(action):
    """The code and status of the error an action ends with; None where it succeeds."""
    try:
        action()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    except HttpResponseError as error:
        return error.error_code, error.status_code
    return None


def expect(what, action, wanted):
    found = refused(action)
    require(found == wanted, f"{what}: {found} instead of {wanted}")


def assume(server, keys, role, external_id, url=None):
    answer = server.client("sts", keys, url).assume_role(RoleArn=role, RoleSessionName="alluvium", ExternalId=external_id)
    found = answer["Credentials"]
    return {"id": found["AccessKeyId"], "secret": found["SecretAccessKey"], "token": found["SessionToken"]}


def s3(world):
    server = world.moto()
    bucket = server.bucket("servers")
    role = server.role("servers", moto.bucket_policy(bucket, ("s3:DeleteObject",)), "good")
    user = server.user("servers", moto.assume_policy())
    expect("a wrong external id", lambda: assume(server, user, role, "bad"), ("AccessDenied", 403))
    expect("the user itself", lambda: server.client("s3", user).list_objects_v2(Bucket=bucket), ("AccessDenied", 403))
    client = server.client("s3", assume(server, user, role, "good"))
    client.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")
    expect("a second create", lambda: client.put_object(Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*"), ("PreconditionFailed", 412))
    expect("a right that was taken away", lambda: client.delete_object(Bucket=bucket, Key="a"), ("AccessDenied", 403))
    forged = {**assume(server, user, role, "good"), "secret": "forged"}
    expect("a forged signature", lambda: server.client("s3", forged).get_object(Bucket=bucket, Key="a"), ("SignatureDoesNotMatch", 403))
    proxy = ExpiryProxy(server.port, life=1.5, early=1.0)
    try:
        for code, status in ((EXPIRED, 400), (UNKNOWN, 403)):
            session = server.client("s3", assume(server, user, role, "good", proxy.url), proxy.url)
            session.get_object(Bucket=bucket, Key="a")
            time.sleep(1.6)
            expect("a session past its life", lambda s=session: s.get_object(Bucket=bucket, Key="a"), (code, status))
        require(proxy.refused == {EXPIRED: 1, UNKNOWN: 1} and proxy.sessions == 2, f"the proxy counts {proxy.refused}, {proxy.sessions} sessions")
    finally:
        proxy.stop()


def way(server, between):
    """Each trouble of the network is felt, and is over once healed."""
    try:
        client = server.client("s3", server.admin, between.url, connect_timeout=1, read_timeout=1)

        def get():
            start = time.monotonic()
            try:
                client.get_object(Bucket="servers", Key="a")["Body"].read()
            except BotoCoreError as error:
                return type(error).__name__
            return time.monotonic() - start

        for trouble, felt in (
            (lambda: between.latency(200), lambda r: isinstance(r, float) and r > 0.2), (lambda: between.resets(0), lambda r: isinstance(r, str)),
            (between.half_open, lambda r: r == "ReadTimeoutError"), (between.down, lambda r: r == "EndpointConnectionError"),
        ):
            trouble()
            result = get()
            require(felt(result), f"{between.kind}: the trouble was felt as {result}")
            between.heal()
            result = get()
            require(isinstance(result, float) and result < 1, f"{between.kind}: after it was healed: {result}")
    finally:
        between.stop()


def azure(world):
    server = world.azurite()
    container = server.container("servers")

    def client(sas):
        return server.client(container, sas)

    whole = server.sas(container)
    client(whole).upload_blob("a", b"1")
    try:
        client(whole).upload_blob("a", b"2")
        require(False, "a blob was created twice")
    except ResourceExistsError as error:
        require(error.status_code == 409, f"a second create was answered {error.status_code}")
    reads = client(server.sas(container, rights="rl"))
    expect("a right that is lacking", lambda: reads.upload_blob("b", b""), ("AuthorizationPermissionMismatch", 403))
    brief = server.sas(container, now() + datetime.timedelta(seconds=1))
    time.sleep(1.5)
    # Azure itself says AuthenticationFailed in these two cases.
    expect("a signature past its end", lambda: client(brief).download_blob("a"), ("AuthorizationFailure", 403))
    tampered = whole.replace("sp=racwdlm", "sp=racwdlmt")
    expect("a tampered signature", lambda: client(tampered).download_blob("a"), ("AuthorizationFailure", 403))
    zone = LandingZone(server, container, 60, world.seed)
    try:
        landing(zone, client)
    finally:
        zone.stop()


def call(url, method="GET", headers=None, body=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}, method=method), timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, None


def landing(zone, client):
    """The landing zone: its gateway's refusals, and what a refresh does to the signature before it."""
    form = f"grant_type=client_credentials&client_id={landing_zone.CLIENT_ID}&client_secret={landing_zone.CLIENT_SECRET}".encode()
    token = call(zone.token_url, "POST", body=form)[1]["access_token"]
    headers = {**landing_zone.HEADERS, "Authorization": f"Bearer {token}"}
    require(call(zone.endpoint)[0] == 401, "no bearer token was needed")
    for name in landing_zone.HEADERS:
        less = {key: value for key, value in headers.items() if key != name}
        require(call(zone.endpoint, headers=less)[0] in (400, 403), f"{name} was not needed")
    first, again = call(zone.endpoint, headers=headers)[1], call(zone.endpoint, headers=headers)[1]
    require(first == again, "a second GET gave other credentials")
    client(first["SASToken"].lstrip("?")).download_blob("a")
    require(call(f"{zone.endpoint}&action=refresh", headers=headers)[0] == 405, "the refresh took a GET")
    second = call(f"{zone.endpoint}&action=refresh", "POST", headers)[1]
    expect("a revoked signature", lambda: client(first["SASToken"].lstrip("?")).download_blob("a"), ("AuthorizationFailure", 403))
    client(second["SASToken"].lstrip("?")).download_blob("a")
    require((zone.gets, zone.refreshes, zone.renewals) == (2, 1, 1), f"the zone counts {zone.gets}, {zone.refreshes}, {zone.renewals}")


def run(world):
    s3(world)
    for kind in network.ways(world.components):
        way(world.moto(), kind(world.moto().port, world.folder / "network"))
    azure(world)
