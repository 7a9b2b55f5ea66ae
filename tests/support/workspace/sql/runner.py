"""Runs a submitted statement: binds its parameters, looks for a written answer, and gives the rest to the catalog's front."""

import itertools
from typing import Any

from ..store import Store
from .engine import Result, parse_error
from .front import Front
from .parameters import bind
from .script import Script
from .tokens import significant


class Runner:
    def __init__(self, store: Store, front: Front):
        self.script, self._front = Script(store), front
        self._working: set[str] = set()

    def delay(self, statement: str) -> float:
        return self.script.delay(statement)

    def busy(self, id: str) -> bool:
        """Whether an engine is at work on the statement, which then cannot be stopped."""
        return id in self._working

    async def run(self, record: dict[str, Any]) -> Result:
        sql = bind(record["statement"], record["parameters"])
        found = significant(sql)
        if not found:
            raise parse_error("end of input")
        if (answer := self.script.answer(sql)) is not None:
            return answer
        if any(token.text == ";" for token in found) and not found[0].is_word("BEGIN"):
            extra = next(after for token, after in itertools.pairwise(found) if token.text == ";")
            raise parse_error(f"'{extra.text}': extra input '{extra.text}'", extra.start)
        self._working.add(record["id"])
        try:
            return await self._front.run(record["owner"], record.get("catalog"), record.get("schema"), sql)
        finally:
            self._working.discard(record["id"])
