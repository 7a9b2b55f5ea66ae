"""Fields inside of columns, for a catalog without an engine: `a`.`element`.`b` is a field of the structs of an array."""

import json
from typing import Any

from ..sql.log import sql_type
from ..store import Record
from .columns import canonical, column, delta_type


class NoField(Exception):
    """There is no such column or field."""


class FieldExists(Exception):
    """There is one already."""


def added(columns: list[Record], path: list[str], type_text: str) -> None:
    """Adds a field within a column; `path` has two parts or more."""
    top, tree = _tree(columns, path[0])
    place = _inner(tree, path[1:-1])
    if not isinstance(place, dict) or place.get("type") != "struct":
        raise NoField(".".join(path))
    if any(field["name"].lower() == path[-1].lower() for field in place["fields"]):
        raise FieldExists(path[-1])
    place["fields"].append({"name": path[-1], "type": delta_type(canonical(type_text)), "nullable": True, "metadata": {}})
    _put(columns, top, tree)


def widened(columns: list[Record], path: list[str], type_text: str) -> None:
    """Changes the type of a column or of a field within one."""
    top, tree = _tree(columns, path[0])
    new = delta_type(canonical(type_text))
    if len(path) == 1:
        _put(columns, top, new)
        return
    place = _inner(tree, path[1:-1])
    if isinstance(place, dict) and place.get("type") == "struct":
        _field(place, path[-1])["type"] = new
    elif isinstance(place, dict) and f"{path[-1]}Type" in place:
        place[f"{path[-1]}Type"] = new
    else:
        raise NoField(".".join(path))
    _put(columns, top, tree)


def _tree(columns: list[Record], name: str) -> tuple[Record, Any]:
    found = next((each for each in columns if each["name"].lower() == name.lower()), None)
    if found is None:
        raise NoField(name)
    return found, json.loads(found["type_json"])["type"]


def _inner(tree: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(tree, dict):
            raise NoField(part)
        if tree["type"] == "struct":
            tree = _field(tree, part)["type"]
        elif f"{part}Type" in tree:  # element of an array, key and value of a map
            tree = tree[f"{part}Type"]
        else:
            raise NoField(part)
    return tree


def _field(struct: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = next((field for field in struct["fields"] if field["name"].lower() == name.lower()), None)
    if found is None:
        raise NoField(name)
    return found


def _put(columns: list[Record], old: Record, tree: Any) -> None:
    columns[columns.index(old)] = column(old["name"], sql_type(tree), old["position"], old["nullable"], old.get("comment"))
