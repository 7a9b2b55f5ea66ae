"""Parameters of a statement: checked against their types as the service does, and put into its text as literals."""

import re
from collections.abc import Callable
from typing import Any

from .engine import SqlError, failed
from .tokens import quoted, tokens

TRUE, FALSE = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
RANGES = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}
ALIASES = {"BYTE": "TINYINT", "SHORT": "SMALLINT", "INTEGER": "INT", "LONG": "BIGINT", "REAL": "FLOAT", "DEC": "DECIMAL", "NUMERIC": "DECIMAL"}


def _integer(bits: int) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(r"[+-]?\d+", value) is not None and -(1 << bits) <= int(value) < 1 << bits


CHECKS: dict[str, Callable[[str], bool]] = {
    "STRING": lambda value: True,
    **{name: _integer(bits) for name, bits in RANGES.items()},
    "FLOAT": lambda value: re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|[+-]?Infinity", value) is not None,
    "DECIMAL": lambda value: re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", value) is not None and len(re.sub(r"\D", "", value)) <= 38,
    "BOOLEAN": lambda value: value.lower() in TRUE | FALSE,
    "DATE": lambda value: re.fullmatch(r"[+-]?\d{4,7}(-\d{1,2}(-\d{1,2}.*)?)?", value) is not None,
    "TIMESTAMP": lambda value: re.fullmatch(r"[+-]?\d{4,6}(-\d{1,2}(-\d{1,2}([T ].*)?)?)?", value) is not None,
    "VOID": lambda value: False,
}
CHECKS["DOUBLE"] = CHECKS["FLOAT"]
CHECKS["TIMESTAMP_NTZ"] = CHECKS["TIMESTAMP"]


def bind(sql: str, parameters: list[dict[str, Any]]) -> str:
    """The text with every marker replaced. Markers without a parameter fail; parameters without a marker are ignored."""
    named: dict[str, str] = {}
    positional: list[str] = []
    for parameter in parameters:
        literal = _literal(parameter)
        name = parameter.get("name")
        if not name:
            positional.append(literal)
        elif name in named:
            raise failed("INVALID_PARAMETER_MARKER_VALUE.DUPLICATE_NAME", "22023", f"An invalid parameter mapping was provided: parameter {name} was given twice.")
        else:
            named[name] = literal
    out, used = [], 0
    for token in tokens(sql):
        if token.kind != "marker":
            out.append(token.text)
        elif token.text == "?":
            if used == len(positional):
                raise _unbound(f"_{token.start}")
            out.append(positional[used])
            used += 1
        elif token.text[1:] in named:
            out.append(named[token.text[1:]])
        else:
            raise _unbound(token.text[1:])
    return "".join(out)


def _unbound(name: str) -> SqlError:
    text = f"Found the unbound parameter: {name}. Please, fix `args` and provide a mapping of the parameter to either a SQL literal or collection constructor functions."
    return failed("UNBOUND_SQL_PARAMETER", "42P02", text)


def _literal(parameter: dict[str, Any]) -> str:
    declared = str(parameter.get("type") or "STRING").strip()
    base = declared.partition("(")[0].strip().upper()
    base = ALIASES.get(base, base)
    if base.startswith("INTERVAL"):
        check: Callable[[str], bool] = lambda value: True
    elif base in CHECKS:
        check = CHECKS[base]
    else:
        name = parameter.get("name", "_0")
        raise failed("INVALID_PARAMETER_MARKER_VALUE.INVALID_DATA_TYPE", "22023", f"The parameter {name} has the data type {declared}, which is not supported.")
    value = parameter.get("value")
    if value is None:
        return f"CAST(NULL AS {_cast(declared, base)})"
    if not isinstance(value, str) or not check(value):
        text = f"The data type mismatch: the value '{value}' of the parameter {parameter.get('name', '_0')} cannot be cast to \"{declared.upper()}\"."
        raise failed("INVALID_VALUE_FOR_DATA_TYPE", "22023", text)
    if base == "STRING":
        return quoted(value)
    return f"CAST({quoted(value)} AS {_cast(declared, base, value)})"


def _cast(declared: str, base: str, value: str | None = None) -> str:
    if base != "DECIMAL" or value is None:
        return declared
    whole, _, fraction = value.lstrip("+-").partition(".")  # its precision is the value's
    scale = len(fraction)
    return f"DECIMAL({max(1, len(whole.lstrip('0')) + scale, scale)},{scale})"
