"""What a check is given: the binary, a folder of its own, seeded randomness, and the components, each started when first asked for."""

import os
import random
import time
from pathlib import Path

from .azurite import Azurite
from .daemon import Daemon, cli, free_port
from .kafka import Broker
from .moto import Moto
from .readers import Spark

HERE = Path(__file__).resolve().parent.parent


class World:
    def __init__(self, binary, root, seed, long=False):
        self.binary, self.root, self.seed, self.long = binary, Path(root), seed, long
        temporary = os.environ.get("TMPDIR", "/tmp")
        self.components = Path(os.environ.get("ALLUVIUM_COMPONENTS", f"{temporary}/alluvium-components"))
        self._broker = self._spark = self._moto = self._azurite = None
        self.daemons = []
        self.notes, self.skipped = [], []

    def begin(self, check):
        """A folder and a random generator of the check's own: a seed repeats its choices whichever checks run beside it."""
        self.folder = self.root / check
        self.folder.mkdir()
        self.random = random.Random(f"{self.seed}/{check}")
        self.notes, self.skipped = [], []

    def end(self):
        """Ends the check's daemons, however it went."""
        for daemon in self.daemons:
            if daemon.alive():
                daemon.process.kill9()
        self.daemons = []

    def note(self, text):
        """A figure worth a line in the report."""
        self.notes.append(text)

    def skip(self, part, reason):
        """A part of the check that this machine does not allow; it gets a line of its own in the report."""
        self.skipped.append((part, reason))

    def daemon(self, config, name="alluvium", env=None):
        daemon = Daemon(self.binary, self.folder, config, free_port(), env, name)
        self.daemons.append(daemon)
        return daemon

    def cli(self, *args, **options):
        return cli(self.binary, *args, cwd=self.folder, **options)

    def broker(self):
        if self._broker is None:
            start = time.monotonic()
            self._broker = Broker(HERE / "components", self.root / "broker", os.environ)
            print(f"  Kafka started in {time.monotonic() - start:.1f} s", flush=True)
        return self._broker

    def spark(self):
        if self._spark is None:
            start = time.monotonic()
            self._spark = Spark(self.components, self.root / "spark")
            print(f"  Spark started in {time.monotonic() - start:.1f} s", flush=True)
        return self._spark

    def moto(self):
        if self._moto is None:
            self._moto = Moto(self.root / "moto")
        return self._moto

    def azurite(self):
        if self._azurite is None:
            self._azurite = Azurite(self.components, self.root / "azurite")
        return self._azurite

    def close(self):
        self.end()
        for component in (self._spark, self._broker, self._moto, self._azurite):
            if component is not None:
                component.stop()
        self._spark = self._broker = self._moto = self._azurite = None
