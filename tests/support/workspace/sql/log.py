"""The columns of a Delta table on local files, from the JSON commits of its log alone: the last metaData says them."""

import json
from pathlib import Path
from typing import Any

NAMES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}


def columns(location: str) -> list[dict[str, Any]] | None:
    """None where there is no log, or none that JSON commits explain."""
    if not location.startswith("file://"):
        return None
    log = Path("/" + location.removeprefix("file://").lstrip("/")) / "_delta_log"
    for commit in sorted(log.glob("[0-9]*.json"), reverse=True):
        for line in commit.read_text().splitlines():
            action = json.loads(line) if '"metaData"' in line else {}
            if "metaData" in action:
                return [_column(field) for field in json.loads(action["metaData"]["schemaString"])["fields"]]
    return None


def _column(field: dict[str, Any]) -> dict[str, Any]:
    return {"name": field["name"], "type": sql_type(field["type"]), "nullable": field["nullable"], "comment": field["metadata"].get("comment")}


def sql_type(type: Any) -> str:
    """A type of Delta's schema as SQL."""
    if isinstance(type, str):
        return NAMES.get(type, type)
    if type["type"] == "array":
        return f"array<{sql_type(type['elementType'])}>"
    if type["type"] == "map":
        return f"map<{sql_type(type['keyType'])},{sql_type(type['valueType'])}>"
    fields = (f"`{field['name'].replace('`', '``')}`:{sql_type(field['type'])}" for field in type["fields"])
    return f"struct<{','.join(fields)}>"
