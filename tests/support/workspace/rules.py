"""Rules that a test has written down, kept in the state: the first one that applies counts, as often as its `times` (null: for ever)."""

import re
from typing import Any

from .store import Record, Store


class Rules:
    """`fields`: what a rule may have; `pattern`, a regular expression, it must have."""

    def __init__(self, store: Store, name: str, fields: set[str]):
        self._rules, self._fields = store.collection(name), fields | {"pattern", "times"}

    def add(self, rule: dict[str, Any]) -> str:
        if unknown := set(rule) - self._fields:
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

    def find(self, text: str, flags: int = 0, **wanted: str) -> tuple[str, Record] | None:
        """The first rule that is not used up, whose pattern is found in the text, and that is for what is wanted or says nothing of it."""
        for key, rule in self._rules.items():
            times = rule.get("times")
            left = times is None or rule["hits"] < times
            if left and all(rule.get(name, value) == value for name, value in wanted.items()) and re.search(rule["pattern"], text, re.DOTALL | flags):
                return key, rule
        return None

    def hit(self, found: tuple[str, Record] | None) -> Record | None:
        """The rule, which has been used once more."""
        if found is None:
            return None
        key, rule = found
        rule["hits"] += 1
        self._rules.save(key)
        return rule
