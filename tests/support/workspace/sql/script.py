"""Answers that a test has written down: the first rule whose pattern is found in a statement answers it.

A rule: `pattern` (regular expression, any case), `times` (null: for ever), `seconds` it takes, and either `error`
{message, sql_state, error_code} or `columns` [[name, type]] and `rows` [[string or null]]; with none of them the
statement only takes longer.
"""

import re

from ..rules import Rules
from ..store import Store
from .engine import Result, SqlError


class Script(Rules):
    def __init__(self, store: Store):
        super().__init__(store, "script", {"seconds", "error", "columns", "rows"})

    def delay(self, sql: str) -> float:
        found = self.find(sql, re.IGNORECASE)
        return float(found[1].get("seconds", 0)) if found else 0.0

    def answer(self, sql: str) -> Result | None:
        """What the rule says, or raises; None where there is no rule, or one that only delays."""
        rule = self.hit(self.find(sql, re.IGNORECASE))
        if rule is None:
            return None
        if error := rule.get("error"):
            raise SqlError(error["message"], error.get("sql_state"), error.get("error_code", "BAD_REQUEST"))
        return Result.of(rule) if "columns" in rule or "rows" in rule else None
