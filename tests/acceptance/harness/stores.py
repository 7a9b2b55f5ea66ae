"""Configuration of daemons whose lake is in an object store, and what `alluvium check` says of it."""

import json

from .azurite import ACCOUNT
from .moto import REGION
from .procs import require


def toml(value):
    """A value as TOML writes it inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def store(name, settings):
    return f"[stores.{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())


def s3(endpoint, bucket, credentials, name="s3", **more):
    return store(name, {
        "url": f"s3://{bucket}", "endpoint": endpoint, "allow_http": True, "region": REGION, "credentials": credentials,
        "request_timeout_seconds": 5, "connect_timeout_seconds": 2, **more,
    })


def azure(endpoint, container, credentials, name="azure", **more):
    return store(name, {
        "url": f"az://{container}", "account": ACCOUNT, "endpoint": endpoint, "allow_http": True, "credentials": credentials,
        "request_timeout_seconds": 5, "connect_timeout_seconds": 2, **more,
    })


def static(keys):
    found = {"type": "static", "access_key_id": keys["id"], "secret_access_key": keys["secret"]}
    return found | ({"session_token": keys["token"]} if "token" in keys else {})


def role(arn, external_id, sts, source):
    return {"type": "assume_role", "role_arn": arn, "external_id": external_id, "sts_endpoint": sts, "source": source}


def http_daemon(lake, port, spool, stores, flush=0.5, more=""):
    """A daemon that takes events over HTTP into a spool and lands them in `lake`."""
    return f"""{more}
[lake]
url = "{lake}"
[spool]
path = "{spool}"
segment_bytes = 1048576
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[table_defaults]
flush_interval_seconds = {flush}
{stores}"""


def check(world, config, name, *options):
    """`alluvium check --json` of a configuration: (exit code, document, all that was said)."""
    path = world.folder / "checked.toml"
    path.write_text(config)
    code, out, error = world.cli("check", "--json", *options, "--config", path)
    said = f"`alluvium check --json` with {name} ended with exit code {code}:\n{out}{error}"
    require(out.strip().startswith("{"), said)
    return code, json.loads(out), said


def findings(document):
    """The faults and warnings of a check's document."""
    every = [finding for section in document["sections"] for finding in section["findings"]]
    return [finding for finding in every if finding["level"] in ("fault", "warning")]
