"""From a method and a path to the function that answers."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import shapes
from .principals import Principal
from .wire import Reply, Request


@dataclass
class Call:
    """A request on its way to an API: who asks, and the values that the path's `{names}` have."""

    request: Request
    at: dict[str, str] = field(default_factory=dict)
    principal: Principal = field(default_factory=lambda: Principal({}))

    @property
    def query(self) -> dict[str, str]:
        return self.request.query

    def json(self) -> dict[str, Any]:
        """The body; its fields are of the kinds that they should be."""
        body = self.request.json()
        shapes.check(body)
        return body


Answer = Reply | dict[str, Any] | list[Any]


@dataclass
class Route:
    """`auth` False: anybody may ask. `{name}` is one segment, `{name...}` the rest of the path."""

    method: str
    path: str
    answer: Callable[[Call], Awaitable[Answer]]
    host: str = "workspace"
    auth: bool = True

    def __post_init__(self) -> None:
        pattern = re.sub(r"\\\{(\w+)\\\.\\\.\\\.\\\}", r"(?P<\1>.+)", re.escape(self.path))
        self.pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern) + "/?")


class Router:
    def __init__(self, routes: Iterable[Route]):
        self._routes = list(routes)

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        path = request.path
        for route in self._routes:
            if route.method == request.method and route.host == request.host and (match := route.pattern.fullmatch(path)):
                return route, match.groupdict()
        return None
