"""Values and types of Spark in the spelling of the statement API: every value a string, every leaf of a nested one too."""

import base64
import datetime
import decimal
import json
import math
import struct
from typing import Any


def type_text(type: Any) -> str:
    """A pyspark type as a manifest has it, such as `ARRAY<STRUCT<a: INT NOT NULL>>`."""
    kind = type.typeName()
    if kind == "array":
        return f"ARRAY<{type_text(type.elementType)}>"
    if kind == "map":
        return f"MAP<{type_text(type.keyType)}, {type_text(type.valueType)}>"
    if kind == "struct":
        fields = (f"{field.name}: {type_text(field.dataType)}{'' if field.nullable else ' NOT NULL'}" for field in type.fields)
        return f"STRUCT<{', '.join(fields)}>"
    return type.simpleString().upper()


def text(value: Any, type: Any) -> str | None:
    """A value, as pyarrow gives it, of a pyspark type."""
    if value is None:
        return None
    leaf = _leaf(value, type)
    return leaf if isinstance(leaf, str) else json.dumps(leaf, ensure_ascii=False, separators=(",", ":"))


def _leaf(value: Any, type: Any) -> Any:
    if value is None:
        return None
    kind = type.typeName()
    if kind == "array":
        return [_leaf(item, type.elementType) for item in value]
    if kind == "map":
        pairs = value.items() if isinstance(value, dict) else value
        return {str(_leaf(key, type.keyType)): _leaf(item, type.valueType) for key, item in pairs}
    if kind == "struct":
        return {field.name: _leaf(value[field.name], field.dataType) for field in type.fields}
    return _scalar(value, kind)


def _scalar(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):  # milliseconds, cut and not rounded
        zone = "Z" if value.tzinfo is not None else ""
        value = value.astimezone(datetime.UTC).replace(tzinfo=None) if zone else value
        return value.isoformat(timespec="milliseconds") + zone
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return real(value, single=kind == "float")
    return str(value)


def real(value: float, single: bool = False) -> str:
    """A floating-point number as Java writes it: the shortest digits that give it back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0.0"
    digits = repr(value)
    if single:
        digits = next(d for d in (f"{value:.{n}g}" for n in range(1, 10)) if struct.pack("f", float(d)) == struct.pack("f", value))
    number = decimal.Decimal(digits)
    if 1e-3 <= abs(value) < 1e7:
        plain = format(number, "f")
        return plain if "." in plain else f"{plain}.0"
    sign, figures, exponent = number.normalize().as_tuple()
    mantissa = "".join(map(str, figures))
    assert isinstance(exponent, int)
    return f"{'-' if sign else ''}{mantissa[0]}.{mantissa[1:] or '0'}E{exponent + len(mantissa) - 1}"
