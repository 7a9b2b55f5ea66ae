"""Planted secrets appear in no log at trace level, no metric, no answer, no error and no printed configuration."""

import base64
import ssl
import subprocess
import urllib.parse

from harness import events, readers
from harness.daemon import Client, free_port
from harness.kafka import PASSWORD, produce
from harness.procs import CheckFailed, require, wait_until

INLINE, FROM_ENV, FROM_FILE, WRONG = "planted-inline-9a77", "planted-environment-51bb", "planted-file-c04e", "planted-refused-e2d9"


def certificate(folder):
    key, cert = folder / "tls-key.pem", folder / "tls-cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )
    return key, cert


def spellings(secret):
    """A secret as it is, and as a careless dump would show it."""
    raw = secret.encode()
    basic = base64.b64encode(b"user:" + raw).decode()
    return {secret, base64.b64encode(raw).decode(), basic, raw.hex(), urllib.parse.quote(secret, safe=""), str(list(raw))}


def config(world, port, key, cert, broker):
    (world.folder / "key.txt").write_text(FROM_FILE + "\n")
    return f"""
[lake]
url = "{world.folder}/lake"
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
tls = {{ cert = "file:{cert}", key = "file:{key}" }}
keys = [
  {{ key = "{INLINE}", tables = ["inline"] }},
  {{ key = "${{PLANTED_KEY}}", tables = ["environment"] }},
  {{ key = "file:{world.folder}/key.txt", tables = ["*"] }},
]
[sources.secure]
type = "kafka"
brokers = "{broker.secure}"
topics = ["secure"]
group = "secure"
[sources.secure.properties]
"security.protocol" = "SASL_SSL"
"ssl.ca.location" = "{broker.folder}/ca.pem"
"sasl.mechanism" = "SCRAM-SHA-512"
"sasl.username" = "bob"
"sasl.password" = "${{PLANTED_PASSWORD}}"
[table_defaults]
flush_interval_seconds = 0.2
"""


def run(world):
    broker = world.broker()
    broker.create("secure", 1)
    produce(broker.address, "secure", ((0, events.event(n, False).encode()) for n in range(100)))
    key, cert = certificate(world.folder)
    port = free_port()
    environment = {"PLANTED_KEY": FROM_ENV, "PLANTED_PASSWORD": PASSWORD, "ALLUVIUM_LOG": "trace", "RUST_BACKTRACE": "full"}
    daemon = world.daemon(config(world, port, key, cert, broker), env=environment).start().ready()
    outputs, context = {}, ssl.create_default_context(cafile=str(cert))
    url = f"https://127.0.0.1:{port}"

    def client(headers):
        return Client(url, headers, context=context)

    def bearer(secret):
        return {"Authorization": f"Bearer {secret}"}

    for table, secret in (("inline", INLINE), ("environment", FROM_ENV), ("file", FROM_FILE)):
        client(bearer(secret)).send(table, [{"id": 1}])
    client({"Authorization": "Basic " + base64.b64encode(f"user:{INLINE}".encode()).decode()}).send("inline", [{"id": 2}])
    for table, headers in (("inline", bearer(WRONG)), ("inline", bearer(FROM_ENV)), ("inline", {}), ("inline", {"Authorization": f"Odd {WRONG}"})):
        status, answer = client(headers).post(table, b'{"id": 3}')
        require(status in (401, 403), f"a request without a right to {table} was answered {status}: {answer}")
        outputs[f"the answer to {headers}"] = str(answer)
    connection = readers.duck()
    for table, rows in (("inline", 2), ("environment", 1), ("file", 1), ("secure", 100)):
        wait_until(lambda t=table, n=rows: readers.count(connection, world.folder / "lake" / t) == n, 60, f"the events of {table}", 0.3)
    outputs["/metrics"], outputs["/readyz"] = daemon.get("/metrics")[1], daemon.get("/readyz")[1]
    for command in (["config", "show"], ["check"]):
        outputs[" ".join(command)] = "".join(map(str, world.cli(*command, "--config", daemon.config, env=environment)))
    require(daemon.terminate() == 0, "SIGTERM did not end the daemon well")
    outputs["the log"] = daemon.log.read_text(errors="replace")
    require("TRACE" in outputs["the log"] or '"trace"' in outputs["the log"].lower(), "the log holds nothing at trace level")
    outputs |= errors(world, daemon, environment)
    private = [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    for secret in (INLINE, FROM_ENV, FROM_FILE, WRONG, PASSWORD, *private):
        for spelling in spellings(secret):
            for name, text in outputs.items():
                shown = text.replace(f"Bearer {WRONG}'", "")
                if spelling in shown:
                    raise CheckFailed(f"{name} shows a secret: {excerpt(shown, spelling)}")
    world.note(f"{len(outputs)} outputs scanned, the log of {len(outputs['the log'])} bytes")


def excerpt(text, spelling):
    at = text.index(spelling)
    return repr(text[max(0, at - 120) : at + len(spelling)])


def errors(world, daemon, environment):
    """What is said of a configuration that is wrong on the very line of a secret, and of a wrong password."""
    text, found = daemon.config.read_text(), {}
    broken = {
        "syntax": text.replace(f'"{INLINE}", tables', f'"{INLINE}" tables'),
        "unknown key": text.replace(f'"{INLINE}", tables', f'"{INLINE}", tabels'),
        "wrong type": text.replace(f'key = "{INLINE}", tables = ["inline"]', f'key = ["{INLINE}"], tables = "inline"'),
        "unset variable": text.replace("PLANTED_KEY", "PLANTED_NOWHERE"),
        "wrong password": text.replace('"${PLANTED_PASSWORD}"', f'"{WRONG}"'),
    }
    for name, changed in broken.items():
        require(changed != text, f"the case `{name}` changes nothing")
        path = world.folder / "broken.toml"
        path.write_text(changed)
        code, out, error = world.cli("check", "--config", path, env=environment)
        require(code not in (0, 101) and error, f"`alluvium check` with a {name} ended with exit code {code} and said: {out}{error}")
        found[f"the error of a {name}"] = out + error
    return found
