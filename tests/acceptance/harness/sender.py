"""A client of an HTTP source that never stops posting, and remembers what became of every event."""

import http.client
import itertools
import json
import threading
import time
import uuid

from .daemon import Client
from .procs import require


class Sender(threading.Thread):
    """Posts batches of 1 to 200 events, one in a hundred of them malformed, and remembers the fate of each."""

    def __init__(self, url, table, number, chance, keyed):
        super().__init__(daemon=True)
        self.client, self.table, self.random, self.keyed = Client(url, timeout=10), table, chance, keyed
        self.ids = itertools.count(number * 100_000_000)
        self.over = threading.Event()
        self.answered, self.unanswered, self.bad, self.refused, self.error = [], [], [], 0, None

    def run(self):
        try:
            while not self.over.is_set():
                self.batch()
        except Exception as error:
            self.error = error
        finally:
            self.client.close()

    def batch(self):
        ids = list(itertools.islice(self.ids, self.random.randint(1, 200)))
        bad = [n for n in ids if n % 101 == 0]
        lines = [f'{{"id": {n}, "broken": ' if n % 101 == 0 else json.dumps({"id": n, "text": f"é{n}", "half": n + 0.5}) for n in ids]
        body = "\n".join(lines).encode()
        key = {"Idempotency-Key": str(uuid.UUID(int=self.random.getrandbits(128)))} if self.keyed else {}
        good = [n for n in ids if n % 101]
        while True:
            try:
                status, answer = self.client.post(self.table, body, key)
            except (OSError, http.client.HTTPException):
                status, answer = None, None
            if status == 200:
                require(answer["accepted"] == len(good) and answer["rejected"] == len(bad), f"{len(good)} + {len(bad)} events sent, answer: {answer}")
                self.answered += good
                self.bad += bad
                return
            require(status in (None, 429, 503), f"a request was answered {status}: {answer}")
            time.sleep(0.05)
            if status is not None:
                self.refused += 1
            elif not self.keyed:
                self.unanswered += good
                return
            # A refused request left nothing behind; a keyed one is known by its key: both are sent again as they are.
