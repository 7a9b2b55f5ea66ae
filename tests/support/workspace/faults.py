"""What goes wrong on purpose. A rule names requests and what happens to them; rules are kept in the state.

A rule: `method`, `path` (regular expression from the path's start), `host`; `skip` requests first, then `times` (null:
for ever), each with `probability`. What happens: `delay_seconds` (of real time) before all else; then `status` with
`error_code`, `message`, `body` (a string, sent as it is) and `retry_after`; or `reset` (the connection dies before
anything is done); or `lose` (all is done, and the connection dies instead of the answer); or `cut` (the answer ends
after so many bytes of its body).
"""

import json
import random
import re
from typing import Any

from .store import Store
from .wire import Reply, Request

FIELDS = {
    "name", "method", "path", "host", "skip", "times", "probability", "delay_seconds", "status", "error_code", "message", "body", "content_type",
    "retry_after", "reset", "lose", "cut",
}


class Faults:
    def __init__(self, store: Store, seed: int = 0):
        self._rules = store.collection("faults")
        self._random = random.Random(seed)

    def add(self, rule: dict[str, Any]) -> str:
        if unknown := set(rule) - FIELDS:
            raise ValueError(f"unknown field {min(unknown)}")
        re.compile(rule.get("path", ""))
        number = 1 + max((int(key) for key in self._rules), default=0)
        self._rules[str(number)] = {"hits": 0, "seen": 0, **rule}
        return str(number)

    def all(self) -> dict[str, dict[str, Any]]:
        return dict(self._rules)

    def clear(self, number: str | None = None) -> None:
        for key in [number] if number else list(self._rules):
            self._rules.pop(key, None)

    def seed(self, seed: int) -> None:
        self._random.seed(seed)

    def match(self, request: Request) -> dict[str, Any] | None:
        """The first rule that takes this request."""
        for key, rule in self._rules.items():
            if not self._applies(rule, request):
                continue
            rule["seen"] += 1
            self._rules.save(key)
            if rule["seen"] <= rule.get("skip", 0) or self._random.random() >= rule.get("probability", 1.0):
                continue
            rule["hits"] += 1
            return {"name": rule.get("name", key), **rule}
        return None

    @staticmethod
    def _applies(rule: dict[str, Any], request: Request) -> bool:
        times = rule.get("times", 1)
        return (
            (times is None or rule["hits"] < times)
            and rule.get("method", request.method) == request.method
            and rule.get("host", request.host) == request.host
            and re.match(rule.get("path", ""), request.path) is not None
        )


def refusal(rule: dict[str, Any]) -> Reply | None:
    """What the rule answers before anything is done, if it does."""
    if rule.get("reset"):
        return Reply(reset=True)
    status = rule.get("status")
    if status is None:
        return None
    headers = [("Retry-After", str(rule["retry_after"]))] if "retry_after" in rule else []
    if "body" in rule:
        return Reply(status, rule["body"].encode(), [("Content-Type", rule.get("content_type", "text/html")), *headers])
    code = rule.get("error_code", {429: "RESOURCE_EXHAUSTED", 503: "TEMPORARILY_UNAVAILABLE"}.get(status, "INTERNAL_ERROR"))
    body = {"error_code": code, "message": rule.get("message", "an injected fault")}
    return Reply(status, json.dumps(body).encode(), [("Content-Type", "application/json"), *headers])
