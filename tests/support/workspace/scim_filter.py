"""Filters of SCIM lists: eq, ne, co, sw, ew and pr, joined by and, or and parentheses. Strings compare without case."""

import re
from collections.abc import Callable
from typing import Any

from .errors import ApiError

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[()]|[^\s()"]+)')
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda has, wanted: has == wanted,
    "ne": lambda has, wanted: has != wanted,
    "co": lambda has, wanted: wanted in has,
    "sw": lambda has, wanted: has.startswith(wanted),
    "ew": lambda has, wanted: has.endswith(wanted),
}
Test = Callable[[dict[str, Any]], bool]


def parse(text: str) -> Test:
    """The filter as a function of a resource."""
    found, end = [], 0
    while text[end:].strip():
        match = TOKEN.match(text, end)
        if match is None:
            raise _wrong(text)
        found.append(match.group(1))
        end = match.end()
    parser = _Parser(text, found)
    test = parser.either()
    if parser.rest:
        raise _wrong(text)
    return test


def _wrong(text: str) -> ApiError:
    return ApiError(400, "invalidFilter", f"Given filter operator is not supported: {text}")


class _Parser:
    def __init__(self, text: str, tokens: list[str]):
        self._text, self.rest = text, tokens

    def _take(self) -> str:
        if not self.rest:
            raise _wrong(self._text)
        return self.rest.pop(0)

    def _takes(self, word: str) -> bool:
        found = bool(self.rest) and self.rest[0].lower() == word
        if found:
            self.rest.pop(0)
        return found

    def either(self) -> Test:
        tests = [self.both()]
        while self._takes("or"):
            tests.append(self.both())
        return lambda resource: any(test(resource) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self._takes("and"):
            tests.append(self.one())
        return lambda resource: all(test(resource) for test in tests)

    def one(self) -> Test:
        if self._takes("("):
            test = self.either()
            if self._take() != ")":
                raise _wrong(self._text)
            return test
        attribute, operator = self._take(), self._take().lower()
        if operator == "pr":
            return lambda resource: bool(_values(resource, attribute))
        if operator not in OPERATORS:
            raise _wrong(self._text)
        wanted, compare = self._take(), OPERATORS[operator]
        wanted = re.sub(r"\\(.)", r"\1", wanted[1:-1]) if wanted.startswith('"') else wanted
        wanted = wanted.lower()
        if operator == "ne":
            return lambda resource: all(compare(value, wanted) for value in _values(resource, attribute))
        return lambda resource: any(compare(value, wanted) for value in _values(resource, attribute))


def _values(resource: dict[str, Any], attribute: str) -> list[str]:
    """All the values that an attribute has, in lower case; of a list of objects those of `value`."""
    found: list[Any] = [resource]
    for name in attribute.split("."):
        step = []
        for value in found:
            match = {key.lower(): item for key, item in value.items()}.get(name.lower()) if isinstance(value, dict) else None
            step += match if isinstance(match, list) else [] if match is None else [match]
        found = step
    shown = [value.get("value") if isinstance(value, dict) else value for value in found]
    return [str(value).lower() for value in shown if value is not None]
