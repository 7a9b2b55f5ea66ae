"""Virtual time: the machine's clock plus what a test has added. Expiry, delays and waits all live in it."""

import asyncio
import time

from .store import Store


class Clock:
    def __init__(self, store: Store):
        self._records = store.collection("clock")
        if "clock" not in self._records:
            self._records["clock"] = {"offset_seconds": 0.0}
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._records["clock"]["offset_seconds"]

    def now_ms(self) -> int:
        return int(self.now() * 1000)

    def advance(self, seconds: float) -> float:
        """Moves time on, wakes who sleeps, and returns the new time."""
        self._records["clock"]["offset_seconds"] += seconds
        self._records.save("clock")
        self._moved.set()
        self._moved = asyncio.Event()
        return self.now()

    async def until(self, moment: float) -> None:
        while (left := moment - self.now()) > 0:
            moved = self._moved
            try:
                await asyncio.wait_for(moved.wait(), min(left, 60.0))
            except TimeoutError:
                pass

    async def sleep(self, seconds: float) -> None:
        await self.until(self.now() + seconds)
