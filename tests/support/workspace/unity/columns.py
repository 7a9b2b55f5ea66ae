"""Columns of tables as Unity Catalog shows them: SQL text, a name of its own, and the field as Delta writes it."""

import itertools
import json
import re
from typing import Any

from ..sql.tokens import Token, significant, unquoted

# SQL type → (name in Unity Catalog, name in Delta's log).
TYPES = {
    "tinyint": ("BYTE", "byte"), "smallint": ("SHORT", "short"), "int": ("INT", "integer"), "bigint": ("LONG", "long"), "float": ("FLOAT", "float"),
    "double": ("DOUBLE", "double"), "boolean": ("BOOLEAN", "boolean"), "string": ("STRING", "string"), "binary": ("BINARY", "binary"), "date": ("DATE", "date"),
    "timestamp": ("TIMESTAMP", "timestamp"), "timestamp_ntz": ("TIMESTAMP_NTZ", "timestamp_ntz"), "variant": ("VARIANT", "variant"), "void": ("NULL", "void"),
}
ALIASES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint", "real": "float", "dec": "decimal", "numeric": "decimal"}


class BadType(ValueError):
    """The text is no SQL type."""


def column(name: str, type_text: str, position: int, nullable: bool = True, comment: str | None = None) -> dict[str, Any]:
    text = canonical(type_text)
    base = re.split(r"[(<]", text, maxsplit=1)[0]
    delta = delta_type(text)
    metadata = {"comment": comment} if comment else {}
    field = {"name": name, "type": delta, "nullable": nullable, "metadata": metadata}
    info: dict[str, Any] = {
        "name": name, "type_text": text, "type_name": TYPES.get(base, (base.upper(), ""))[0], "type_json": json.dumps(field, separators=(",", ":")),
        "position": position, "nullable": nullable, "type_precision": 0, "type_scale": 0,
    }
    if base == "decimal":
        info["type_precision"], info["type_scale"] = (int(part) for part in text[8:-1].split(","))
    return info | ({"comment": comment} if comment else {})


def canonical(type_text: str) -> str:
    """A SQL type in the catalog's spelling: lower case but for the names of fields, no spaces."""
    return _Parser(significant(type_text)).type()


class _Parser:
    def __init__(self, tokens: list[Token]):
        # Nested types may end in >>, which is no sign of SQL's.
        self._tokens, self._next = tokens, 0

    def _peek(self) -> str:
        return self._tokens[self._next].text if self._next < len(self._tokens) else ""

    def _take(self) -> Token:
        if self._next >= len(self._tokens):
            raise BadType("a type ends too early")
        self._next += 1
        return self._tokens[self._next - 1]

    def type(self) -> str:
        if self._next >= len(self._tokens):
            raise BadType("a type is missing")
        word = self._take().text.lower()
        word = ALIASES.get(word, word)
        if word == "decimal":
            return self._decimal()
        if word in ("array", "map", "struct") and self._peek() in ("<", "<>"):
            return self._nested(word)
        if word in ("char", "varchar", "character") and self._peek() == "(":
            while self._take().text != ")":
                pass
            return "string"
        return word

    def _decimal(self) -> str:
        if self._peek() != "(":
            return "decimal(10,0)"
        self._take()
        precision, scale = self._take().text, "0"
        if self._take().text == ",":
            scale = self._take().text
            self._take()
        return f"decimal({precision},{scale})"

    def _nested(self, word: str) -> str:
        if self._take().text == "<>":
            return f"{word}<>"
        parts: list[str] = []
        while True:
            if word == "struct":
                name = self._take().identifier or ""
                if self._peek() == ":":
                    self._take()
                parts.append(f"{name}:{self.type()}")
                self._skip_field_extras()
            else:
                parts.append(self.type())
            if self._take().text != ",":
                return f"{word}<{','.join(parts)}>"

    def _skip_field_extras(self) -> None:
        while self._peek() not in (",", ">", ""):
            self._take()


def delta_type(text: str) -> Any:
    """The type as Delta's log has it, from the catalog's spelling."""
    base = re.split(r"[(<]", text, maxsplit=1)[0]
    if base not in ("array", "map", "struct"):
        return TYPES[base][1] if base in TYPES else text
    parts = _split(text[len(base) + 1:-1])
    if base == "array":
        return {"type": "array", "elementType": delta_type(parts[0]), "containsNull": True}
    if base == "map":
        return {"type": "map", "keyType": delta_type(parts[0]), "valueType": delta_type(parts[1]), "valueContainsNull": True}
    fields = (part.partition(":") for part in parts if part)
    return {"type": "struct", "fields": [{"name": name, "type": delta_type(type), "nullable": True, "metadata": {}} for name, _, type in fields]}


def _split(text: str) -> list[str]:
    """At the commas that are inside no brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "<(") - (char in ">)")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def of_definitions(tokens: list[Token], first_position: int = 0) -> list[dict[str, Any]]:
    """The columns of a parenthesised list of definitions, its parentheses excluded. Constraints are passed over."""
    columns: list[dict[str, Any]] = []
    for definition in definitions(tokens):
        if definition[0].is_word("CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK") and len(definition) > 2:
            continue
        name = definition[0].identifier or ""
        end = next((i for i, token in enumerate(definition) if i > 1 and _depth(definition[1:i]) == 0 and token.is_word(
            "NOT", "COMMENT", "DEFAULT", "GENERATED", "PRIMARY", "CONSTRAINT", "MASK", "AFTER", "FIRST", "COLLATE")), len(definition))
        extras = definition[end:]
        comment = next((unquoted(b) for a, b in itertools.pairwise(extras) if a.is_word("COMMENT") and b.kind == "string"), None)
        nullable = not any(a.is_word("NOT") and b.is_word("NULL") for a, b in itertools.pairwise(extras))
        text = " ".join(token.text for token in definition[1:end])
        columns.append(column(name, text, first_position + len(columns), nullable, comment))
    return columns


def _depth(tokens: list[Token]) -> int:
    return sum(token.text.count("<") + token.text.count("(") - token.text.count(">") - token.text.count(")") for token in tokens if token.kind == "sign")


def definitions(tokens: list[Token]) -> list[list[Token]]:
    found: list[list[Token]] = [[]]
    for i, token in enumerate(tokens):
        if token.text == "," and _depth(tokens[:i]) == 0:
            found.append([])
        else:
            found[-1].append(token)
    return [definition for definition in found if definition]
