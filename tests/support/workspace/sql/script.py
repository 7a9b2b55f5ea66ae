"""Answers that a test has written down: the first rule whose pattern is found in a statement answers it.

A rule: `pattern` (regular expression, any case), `times` (null: for ever), `seconds` it takes, and either `error`
{message, sql_state, error_code} or `columns` [[name, type]] and `rows` [[string or null]]; with none of them the
statement only takes longer.
"""

import re
from typing import Any

from ..store import Record, Store
from .engine import Result, SqlError

FIELDS = {"pattern", "times", "seconds", "error", "columns", "rows"}


class Script:
    def __init__(self, store: Store):
        self._rules = store.collection("script")

    def add(self, rule: dict[str, Any]) -> str:
        if unknown := set(rule) - FIELDS:
            raise ValueError(f"unknown field {min(unknown)}")
        re.compile(rule["pattern"])
        number = str(1 + max((int(key) for key in self._rules), default=0))
        self._rules[number] = {**rule, "hits": 0}
        return number

    def clear(self) -> None:
        for key in list(self._rules):
            del self._rules[key]

    def all(self) -> dict[str, Record]:
        return dict(self._rules)

    def _match(self, sql: str) -> tuple[str, Record] | None:
        for key, rule in self._rules.items():
            times = rule.get("times")
            if (times is None or rule["hits"] < times) and re.search(rule["pattern"], sql, re.IGNORECASE | re.DOTALL):
                return key, rule
        return None

    def delay(self, sql: str) -> float:
        found = self._match(sql)
        return float(found[1].get("seconds", 0)) if found else 0.0

    def answer(self, sql: str) -> Result | None:
        """What the rule says, or raises; None where there is no rule, or one that only delays."""
        found = self._match(sql)
        if found is None:
            return None
        key, rule = found
        rule["hits"] += 1
        self._rules.save(key)
        if error := rule.get("error"):
            raise SqlError(error["message"], error.get("sql_state"), error.get("error_code", "BAD_REQUEST"))
        return Result.of(rule) if "columns" in rule or "rows" in rule else None
