"""Signatures of Azure: a file that is rewritten every few seconds, late and wrong at times, under a streaming run; and rights."""

import datetime
import os
import re
import threading

from harness import readers, stores, storm
from harness.azurite import RIGHTS, now
from harness.daemon import free_port
from harness.procs import require

LIFE, SECONDS, LONG_SECONDS, LIVES = 4, 32, 600, 10
UNAUTHORIZED = 3
# What is asked for; without `d` tables are landed all the same.
NEEDED = "rwdl"


class Rotation(threading.Thread):
    """Writes a signature of `LIFE` seconds into a file, most often in time.

    By turns it is: in time; late, so that the old one has ended; a URI of the container; one that a stored access
    policy ends early; one with a letter too many, which is no signature at all.
    """

    def __init__(self, server, container, path):
        super().__init__(daemon=True)
        self.server, self.container, self.path, self.over = server, container, path, threading.Event()
        self.written, self.error, self.secrets = 0, None, set()
        self.write(self.sas())

    def sas(self, policy=None):
        end = (now() + datetime.timedelta(seconds=LIFE)).replace(microsecond=0)
        found = self.server.sas(self.container, end, policy=policy)
        self.secrets.add(dict(part.split("=", 1) for part in found.split("&"))["sig"])
        return found

    def write(self, text):
        new = self.path.with_suffix(".new")
        new.write_text(text + "\n")
        os.replace(new, self.path)
        self.written += 1

    def run(self):
        try:
            while True:
                for turn in (self.in_time, self.late, self.in_time, self.uri, self.revoked, self.in_time, self.tampered):
                    if self.over.is_set():
                        self.write(self.server.sas(self.container))
                        return
                    turn()
        except Exception as error:
            self.error = error

    def in_time(self):
        self.write("?" + self.sas())
        self.over.wait(LIFE * 0.55)

    def late(self):
        self.write(self.sas())
        self.over.wait(LIFE + 1)

    def uri(self):
        self.write(f"{self.server.url}/{self.container}?{self.sas()}")
        self.over.wait(LIFE * 0.55)

    def revoked(self):
        self.server.policies(self.container, {"short": now() + datetime.timedelta(seconds=LIFE)})
        self.write(self.sas("short"))
        self.over.wait(LIFE * 0.3)
        self.server.policies(self.container, {})
        self.over.wait(LIFE * 0.3)

    def tampered(self):
        self.write(self.sas().replace("sp=", "sp=x"))
        self.over.wait(LIFE * 0.4)


def streaming(world, server):
    container = server.container("sas")
    port, path = free_port(), world.folder / "sas.txt"
    rotation = Rotation(server, container, path)
    config = stores.http_daemon(
        f"az://{container}/lake", port, world.folder / "spool", stores.azure(server.url, container, {"type": "sas", "token": f"file:{path}"}))
    daemon = world.daemon(config).start().ready()
    rotation.start()
    senders = storm.senders(world, [f"http://127.0.0.1:{port}"] * 2, "keyed")
    storm.kill(world, [daemon], LONG_SECONDS if world.long else SECONDS, (4.0, 8.0))
    storm.finish(senders)
    rotation.over.set()
    rotation.join(30)
    require(rotation.error is None, f"the signatures' rotation failed: {rotation.error!r}")
    storm.drain([daemon])
    storm.audit(world, daemon, "keyed")
    rows = storm.duck_verdict(world, f"az://{container}/lake/keyed", senders, readers.duck_azure(server))
    log = daemon.log.read_text(errors="replace")
    require(not any(secret in log for secret in rotation.secrets), "the log shows a signature")
    require(rotation.written >= LIVES, f"only {rotation.written} signatures were written")
    world.note(f"{rows} rows over {rotation.written} signatures, {daemon.kills} kills, {daemon.refused} starts refused")


def rights(world, server):
    """`alluvium check` names the letter that a signature lacks."""
    container, found = server.container("rights"), []

    def check(letter):
        sas = {"type": "sas", "token": server.sas(container, rights=RIGHTS.replace(letter, ""))}
        config = stores.http_daemon(
            f"az://{container}/lake", free_port(), world.folder / "spool-rights", stores.azure(server.url, container, sas))
        return stores.check(world, config, f"a signature without {letter or 'nothing'}")

    for letter in ("", *NEEDED):
        code, document, said = check(letter)
        texts = (f"{finding['message']} {finding['remedy']}" for finding in stores.findings(document))
        named = {letter for text in texts for found in re.findall(r"sp `([a-z])`|`sp` letter ([a-z])|grant sp ([a-z]+)", text) for letter in "".join(found)}
        if named != set(letter) or code != (0 if letter in ("", "d") else UNAUTHORIZED):
            found.append(f"without `{letter}` it names {sorted(named)}; {said}")
    require(not found, "\n".join(found))


def run(world):
    server = world.azurite()
    streaming(world, server)
    rights(world, server)
