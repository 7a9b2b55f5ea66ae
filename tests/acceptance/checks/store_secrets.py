"""Secrets of object stores, planted in every place they may stand in, appear in no output at trace level."""

import base64
import re
import secrets as randomness
import time
import urllib.parse

from harness import landing_zone, moto, stores
from harness.azurite import ACCOUNT, KEY
from harness.daemon import Client, free_port
from harness.expiry import ExpiryProxy
from harness.landing_zone import LandingZone
from harness.procs import CheckFailed, require, wait_until

from .secrets import excerpt, spellings

# Keys that no server knows, in the form of real ones; sent to a server, so that its answers are seen too.
UNKNOWN_KEY = "PlantedSecretAccessKey0000/000+0000000000"
UNKNOWN_TOKEN = "PlantedSessionToken///aaaaBBBBccccDDDD=="
UNKNOWN_ACCOUNT_KEY = base64.b64encode(b"planted-account-key-" * 3).decode()
ENTRA_SECRET = "planted~entra.client-secret-7c"
TRACE = {"ALLUVIUM_LOG": "trace", "RUST_BACKTRACE": "full", "RUST_LOG": "trace"}


def cases(world, zone, proxy):
    """(name, URL of the lake, store, whether events land there)."""
    s3, blob = world.moto(), world.azurite()
    bucket, container = s3.bucket("secrets"), zone.container
    user = s3.user("secrets", moto.assume_policy())
    role = s3.role("secrets", moto.bucket_policy(bucket), "planted-external-id")
    key = world.folder / "key.txt"
    key.write_text(user["secret"] + "\n")
    source = {"type": "static", "access_key_id": user["id"], "secret_access_key": f"file:{key}"}
    sas = world.folder / "sas.txt"
    sas.write_text(blob.sas(container) + "\n")
    profile = world.folder / "credentials"
    lander = s3.user("lander", moto.bucket_policy(bucket))
    profile.write_text(f"[lands]\naws_access_key_id = {lander['id']}\naws_secret_access_key = {lander['secret']}\n")
    wrong = {"id": "AKIAPLANTEDPLANTED00", "secret": UNKNOWN_KEY, "token": UNKNOWN_TOKEN}
    lake, blobs = f"s3://{bucket}", f"az://{container}"

    def azure(credentials, **more):
        return stores.azure(blob.url, container, credentials, **more)

    found = [
        ("role", f"{lake}/role", stores.s3(proxy.url, bucket, stores.role(role, "planted-external-id", proxy.url, source)), True),
        ("profile", f"{lake}/profile", stores.s3(
            s3.url, bucket, {"type": "profile", "name": "lands", "credentials_file": str(profile), "config_file": str(profile)}), True),
        ("unknown", f"{lake}/unknown", stores.s3(s3.url, bucket, stores.static(wrong)), False),
        ("signature", f"{blobs}/sas", azure({"type": "sas", "token": f"file:{sas}"}), True),
        ("tampered", f"{blobs}/tampered", azure({"type": "sas", "token": f"{blob.url}/{container}?{blob.sas(container)}0"}), False),
        ("account", f"{blobs}/account", azure({"type": "account_key", "key": KEY}), True),
        ("stranger", f"{blobs}/stranger", azure({"type": "account_key", "key": UNKNOWN_ACCOUNT_KEY}), False),
        ("zone", f"{blobs}/zone", azure({
            "type": "landing_zone", "endpoint": zone.endpoint, "headers": landing_zone.HEADERS, "token_url": zone.token_url,
            "client_id": landing_zone.CLIENT_ID, "client_secret": landing_zone.CLIENT_SECRET, "refresh": True, "margin_seconds": 1}), True),
        ("entra", f"{blobs}/entra", azure({
            "type": "entra", "tenant_id": "planted-tenant", "client_id": "planted-client", "client_secret": ENTRA_SECRET,
            "authority": zone.server.url}), False),
    ]
    known = {user["secret"], lander["secret"], UNKNOWN_KEY, UNKNOWN_TOKEN, KEY, UNKNOWN_ACCOUNT_KEY, ENTRA_SECRET, landing_zone.CLIENT_SECRET,
             landing_zone.HEADERS["x-api-key"], landing_zone.HEADERS["x-gw-ims-org-id"]}
    return found, known


def outputs(world, name, lake, store, lands):
    """All that a daemon and the commands say with one store: name to text."""
    port = free_port()
    daemon = world.daemon(stores.http_daemon(lake, port, world.folder / f"spool-{name}", store, flush=0.2), name, TRACE).start()
    found = {}
    if lands:
        daemon.ready()
        for n in range(4):
            Client(f"http://127.0.0.1:{port}").send("clicks", [{"id": n}])
            time.sleep(0.6)  # across a few lives
    else:
        wait_until(lambda: not daemon.alive() or "ERROR" in (log := daemon.log.read_text(errors="replace")) or "WARN" in log, 30,
                   f"a complaint about {name}", 0.2)
        time.sleep(1)
    for path in ("/metrics", "/readyz"):
        found[path] = daemon.get(path)[1]
    for command in (["config", "show"], ["check"], ["check", "--json"], ["table", "show", "clicks"]):
        code, out, error = world.cli(*command, "--config", daemon.config, env=TRACE, seconds=90)
        require(code != 101, f"alluvium {' '.join(command)} panicked:\n{error}")
        require(command[0] != "check" or (code == 0) == lands, f"alluvium check with {name} ended with exit code {code}:\n{out}{error[-3000:]}")
        found[" ".join(command)] = out + error
    if daemon.alive():
        daemon.terminate(15)
    found["the log"] = daemon.log.read_text(errors="replace")
    require(not lands or '"trace"' in found["the log"].lower(), f"the log of {name} holds nothing at trace level")
    return found


def run(world):
    blob = world.azurite()
    container = blob.container(f"secrets-{randomness.token_hex(4)}")
    zone, proxy = LandingZone(blob, container, 4, world.seed), ExpiryProxy(world.moto().port, 2)
    size, count = 0, 0
    try:
        found, known = cases(world, zone, proxy)
        every = {(case, what): text for case, *rest in found for what, text in outputs(world, case, *rest).items()}
        known |= zone.secrets | proxy.tokens | signatures(world)
        known |= {urllib.parse.unquote(secret) for secret in known}
    finally:
        zone.stop()
        proxy.stop()
    for (case, what), text in every.items():
        size, count = size + len(text), count + 1
        for secret in known:
            for spelling in spellings(secret):
                if spelling in text:
                    raise CheckFailed(f"{what} with {case} shows a secret: {excerpt(text, spelling)}")
    require(zone.secrets and proxy.tokens and sum(proxy.refused.values()) > 0, "no session ended, or no signature was made")
    world.note(f"{len(known)} secrets sought in {count} outputs of {size} bytes; {ACCOUNT} and key ids may be told")


def signatures(world):
    """Those that stand in files and configurations."""
    texts = [path.read_text() for pattern in ("*.txt", "*.toml") for path in world.folder.glob(pattern)]
    return {found for text in texts for found in re.findall(r"sig=([^&\s\"]+)", text)}
