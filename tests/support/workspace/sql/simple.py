"""Queries that need no tables, answered without an engine: literals, casts of literals, and who and where one is."""

import re

from .engine import Result, SqlError, failed
from .tokens import Token, significant, unquoted


def select(sql: str, functions: dict[str, str]) -> Result:
    """A SELECT without FROM. `functions`: the strings that functions without arguments give."""
    found = significant(sql)
    if not found or not found[0].is_word("SELECT") or any(token.is_word("FROM", "WHERE", "UNION", "JOIN") for token in found):
        raise SqlError("[UNSUPPORTED_FEATURE] The stand-in runs without an SQL engine: start it with --sql spark, or script an answer. SQLSTATE: 0A000", "0A000")
    columns: list[tuple[str, str]] = []
    row: list[str | None] = []
    for item in _split(found[1:]):
        name = None
        if len(item) >= 2 and item[-2].is_word("AS"):
            item, name = item[:-2], item[-1].identifier
        text = "".join(token.text for token in item)
        type, value = _value(item, text, functions)
        columns.append((name or text.strip("'"), type))
        row.append(value)
    return Result(columns, [row])


def _split(items: list[Token]) -> list[list[Token]]:
    found: list[list[Token]] = [[]]
    depth = 0
    for token in items:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return found


def _value(item: list[Token], text: str, functions: dict[str, str]) -> tuple[str, str | None]:
    lower = text.lower()
    if lower.removesuffix("()") in functions:
        return "STRING", functions[lower.removesuffix("()")]
    if re.fullmatch(r"-?\d+", text):
        number = int(text)
        return ("INT" if -(2**31) <= number < 2**31 else "BIGINT"), text
    if re.fullmatch(r"-?\d+\.\d+", text):
        digits = re.sub(r"\D", "", text).lstrip("0")
        scale = len(text.partition(".")[2])
        return f"DECIMAL({max(len(digits), scale)},{scale})", text
    if lower in ("true", "false"):
        return "BOOLEAN", lower
    if lower == "null":
        return "VOID", None
    if len(item) == 1 and item[0].kind == "string":
        return "STRING", unquoted(item[0])
    if item and item[0].is_word("CAST") and item[-1].text == ")":
        inner, type = _cast(item)
        return type, None if inner.is_word("NULL") else unquoted(inner) if inner.kind == "string" else inner.text
    raise failed("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", f"A column, variable, or function parameter with name `{text}` cannot be resolved.")


def _cast(item: list[Token]) -> tuple[Token, str]:
    body = item[2:-1]
    split = next((i for i, token in enumerate(body) if token.is_word("AS")), None)
    if split != 1:
        raise failed("UNRESOLVED_ROUTINE", "42883", "The stand-in casts literals only.")
    words = [token.text for token in body[split + 1:]]
    type = words[0].upper() + "".join(words[1:]) if "(" in words else " ".join(words).upper()
    return body[0], type
